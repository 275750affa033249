/* Bad pointers in the calls that move bytes: EFAULT or a partial count, never a crash; and the stream is
 * whole afterwards. */
// SPDX-License-Identifier: MIT
#include <sys/mman.h>
#include <sys/sendfile.h>
#include "tests/shim/t.h"

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS 0x20
#endif

static char *page;   /* one that can be used, the next can't */
static char *none;   /* can't be touched */
static char *rdonly; /* can be read */
static char *gone;   /* of a file that ends before it: SIGBUS */
enum { PAGE = 4096 };

static void make_pages(void)
{
	FILE *f = tmpfile();

	page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(page + PAGE, PAGE, PROT_NONE);
	none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	rdonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	gone = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);
	memset(page, 'p', PAGE);
}

struct bad {
	const char *name;
	char *p;
};
/* Four bytes or more at each of these can't be read; at the first `writable` ones not be written either. */
static size_t bad_pointers(struct bad *b)
{
	const struct bad all[] = {
		{ "NULL", NULL },
		{ "8", (char *)8 },
		{ "last bytes of page 0", (char *)4090 },
		{ "no access", none },
		{ "middle of no access", none + 2000 },
		{ "runs out of the page", page + PAGE - 3 },
		{ "beyond the file", gone },
		{ "not canonical", (char *)0x00008000000000ffull },
		{ "kernel", (char *)0xffffffff81000000ull },
		{ "last byte of all", (char *)UINTPTR_MAX },
		{ "end of user space", (char *)0x7ffffffff000ull - 3 },
		{ "read-only", rdonly },
	};

	memcpy(b, all, sizeof(all));
	return T_COUNT(all);
}
enum { BAD = 16 };

/* A line for one call with each pointer. */
#define EACH(what, count, call) \
	do { \
		struct bad b_[BAD]; \
		size_t n_ = bad_pointers(b_) - (count); \
		for (size_t i_ = 0; i_ < n_; i_++) { \
			char *p = b_[i_].p; \
			char line_[96]; \
			snprintf(line_, sizeof(line_), "%s %s", what, b_[i_].name); \
			t_res(line_, call); \
		} \
	} while (0)

static void sends(void)
{
	int a, b;
	char buf[16] = { 0 };

	t_pair(&a, &b);
	EACH("send", 1, send(a, p, 10, 0));
	EACH("write", 1, write(a, p, 10));
	EACH("send nothing", 0, send(a, p, 0, 0));
	EACH("write nothing", 0, write(a, p, 0));
	EACH("sendto", 1, sendto(a, p, 10, MSG_DONTWAIT, NULL, 0));
	t_res("send after all that", send(a, "whole", 5, 0));
	t_res("arrives", t_read_all(b, buf, 5));
	t_out("%.5s", buf);
	t_out("then %s", t_mask((uint32_t)t_poll(b, POLLIN)));
	close(a);
	close(b);
}

static void iovecs_out(void)
{
	int a, b;
	char buf[32] = { 0 };

	t_pair(&a, &b);
	EACH("writev array", 1, writev(a, (struct iovec *)(void *)p, 2));
	EACH("writev array of none", 1, writev(a, (struct iovec *)(void *)p, 0));
	EACH("writev first", 1, writev(a, (struct iovec[]){ { p, 10 }, { "good", 4 } }, 2));
	EACH("writev second", 1, writev(a, (struct iovec[]){ { "good", 4 }, { p, 10 } }, 2));
	EACH("writev only", 1, writev(a, (struct iovec[]){ { p, 10 } }, 1));
	EACH("writev empty one", 1, writev(a, (struct iovec[]){ { p, 0 } }, 1));
	t_res("writev good", writev(a, (struct iovec[]){ { "go", 2 }, { "od", 2 } }, 2));
	t_res("arrives", t_read_all(b, buf, 4));
	t_out("%.4s", buf);
	t_out("then %s", t_mask((uint32_t)t_poll(b, POLLIN)));
	close(a);
	close(b);
}

static struct msghdr *with_iov(struct msghdr *m, struct iovec *v, int n)
{
	*m = (struct msghdr){ .msg_iov = v, .msg_iovlen = (size_t)n };
	return m;
}

static void messages_out(void)
{
	int a, b;
	char buf[64] = { 0 };
	struct msghdr m;
	struct iovec v[2] = { { "good", 4 }, { "bye", 3 } };

	t_pair(&a, &b);
	EACH("sendmsg header", 1, sendmsg(a, (struct msghdr *)(void *)p, 0));
	with_iov(&m, v, 2);
	EACH("sendmsg array", 1, (m.msg_iov = (struct iovec *)(void *)p, sendmsg(a, &m, 0)));
	with_iov(&m, v, 1);
	m.msg_namelen = 16;
	EACH("sendmsg name", 1, (m.msg_name = p, sendmsg(a, &m, 0)));
	with_iov(&m, v, 1);
	m.msg_controllen = 32;
	EACH("sendmsg control", 1, (m.msg_control = p, sendmsg(a, &m, 0)));
	EACH("sendto address", 1, sendto(a, "x", 1, 0, (struct sockaddr *)(void *)p, 16));
	t_until(b, POLLIN);
	t_sleep_ms(5);
	t_res("arrives", recv(b, buf, sizeof(buf), MSG_DONTWAIT));
	close(a);
	close(b);
}

static void many_out(void)
{
	int a, b;
	char buf[64] = { 0 };
	struct iovec v = { "good", 4 }, bad = { none, 4 };
	struct mmsghdr *edge = (struct mmsghdr *)(void *)(page + PAGE - 2 * sizeof(*edge));
	struct mmsghdr m[3];

	t_pair(&a, &b);
	EACH("sendmmsg headers", 1, sendmmsg(a, (struct mmsghdr *)(void *)p, 2, 0));
	memset(m, 0, sizeof(m));
	for (int i = 0; i < 3; i++)
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 };
	m[1].msg_hdr.msg_iov = &bad;
	t_res("second bad", sendmmsg(a, m, 3, 0));
	t_out("lengths %u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	m[0].msg_hdr.msg_iov = &bad;
	t_res("first bad", sendmmsg(a, m, 3, 0));
	memset(edge, 0, 2 * sizeof(*edge));
	for (int i = 0; i < 2; i++)
		edge[i].msg_hdr = (struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 };
	t_res("headers end with the page", sendmmsg(a, edge, 3, 0));
	t_out("lengths %u %u", edge[0].msg_len, edge[1].msg_len);
	t_res("arrives", t_read_all(b, buf, 12));
	t_out("%.12s then %s", buf, t_mask((uint32_t)t_poll(b, POLLIN)));
	close(a);
	close(b);
}

static void receives(void)
{
	int a, b;
	char buf[16] = { 0 };

	t_pair(&a, &b);
	EACH("recv of nothing there", 0, recv(b, p, 10, MSG_DONTWAIT));
	send(a, "0123456789", 10, 0);
	t_until(b, POLLIN);
	EACH("recv", 0, recv(b, p, 10, 0));
	EACH("read", 0, read(b, p, 10));
	EACH("peek", 0, recv(b, p, 10, MSG_PEEK));
	EACH("dontwait", 0, recv(b, p, 10, MSG_DONTWAIT));
	EACH("waitall", 0, recv(b, p, 10, MSG_WAITALL));
	EACH("nothing", 0, recv(b, p, 0, 0));
	EACH("discard, peeked", 0, recv(b, p, 10, MSG_TRUNC | MSG_PEEK));
	t_res("all of it is still there", t_read_all(b, buf, 10));
	t_out("%.10s", buf);
	EACH("discard of nothing", 0, recv(b, p, 10, MSG_TRUNC | MSG_DONTWAIT));
	close(a);
	EACH("at the end", 0, recv(b, p, 10, 0));
	close(b);
}

static void iovecs_in(void)
{
	int a, b;
	char buf[16] = { 0 };

	t_pair(&a, &b);
	EACH("readv array", 1, readv(b, (struct iovec *)(void *)p, 2));
	send(a, "0123456789", 10, 0);
	t_until(b, POLLIN);
	EACH("readv array", 1, readv(b, (struct iovec *)(void *)p, 2));
	EACH("readv first", 0, readv(b, (struct iovec[]){ { p, 4 }, { buf, 4 } }, 2));
	EACH("readv second", 0, readv(b, (struct iovec[]){ { buf, 4 }, { p, 6 } }, 2));
	EACH("readv empty one", 0, readv(b, (struct iovec[]){ { p, 0 } }, 1));
	t_res("all of it is still there", t_read_all(b, buf, 10));
	t_out("%.10s", buf);
	close(a);
	close(b);
}

static void messages_in(void)
{
	int a, b;
	char buf[16] = { 0 };
	struct iovec v = { buf, 1 };
	struct msghdr m;

	t_pair(&a, &b);
	send(a, "0123456789abcdefghijklmnopqrstuvwxyz", 36, 0);
	t_until(b, POLLIN);
	EACH("recvmsg header", 0, recvmsg(b, (struct msghdr *)(void *)p, 0));
	with_iov(&m, &v, 1);
	EACH("recvmsg array", 1, (m.msg_iov = (struct iovec *)(void *)p, recvmsg(b, &m, 0)));
	with_iov(&m, &v, 1);
	EACH("recvmsg name", 0, (m.msg_name = p, m.msg_namelen = 16, recvmsg(b, &m, MSG_PEEK)));
	t_out("name length %u", m.msg_namelen);
	with_iov(&m, &v, 1);
	EACH("recvmsg control", 0,
	     (m.msg_control = p, m.msg_controllen = 64, recvmsg(b, &m, MSG_PEEK)));
	t_out("control length %zu flags %x", m.msg_controllen, (unsigned int)m.msg_flags);
	EACH("recvfrom name", 0,
	     recvfrom(b, buf, 1, MSG_PEEK, (struct sockaddr *)(void *)p, &(socklen_t){ 16 }));
	EACH("recvfrom length", 0,
	     recvfrom(b, buf, 1, 0, (struct sockaddr *)buf, (socklen_t *)(void *)p));
	EACH("recvfrom length, no name", 0, recvfrom(b, buf, 1, MSG_PEEK, NULL, (socklen_t *)(void *)p));
	t_res("negative length", recvfrom(b, buf, 1, 0, (struct sockaddr *)buf, &(socklen_t){ -1u }));
	t_res("what is left", read(b, buf, 10));
	t_out("%.10s", buf);
	close(a);
	close(b);
}

static void many_in(void)
{
	int a, b;
	char one[4] = { 0 };
	struct iovec v = { one, 2 }, bad = { none, 2 };
	struct mmsghdr m[3];

	t_pair(&a, &b);
	send(a, "0123456789", 10, 0);
	t_until(b, POLLIN);
	EACH("recvmmsg headers", 0, recvmmsg(b, (struct mmsghdr *)(void *)p, 2, 0, NULL));
	memset(m, 0, sizeof(m));
	for (int i = 0; i < 3; i++)
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 };
	EACH("recvmmsg time", 1, recvmmsg(b, m, 1, 0, (struct timespec *)(void *)p));
	t_res("what is left", recv(b, one, 2, MSG_PEEK));
	t_out("%.2s", one);
	m[1].msg_hdr.msg_iov = &bad;
	t_res("second bad", recvmmsg(b, m, 3, 0, NULL));
	t_out("lengths %u %u, next %s", m[0].msg_len, m[1].msg_len,
	      t_mask((uint32_t)t_poll(b, POLLIN | POLLOUT)));
	t_res("the next send tells it", send(b, "x", 1, MSG_NOSIGNAL));
	t_res("then sends", send(b, "x", 1, MSG_NOSIGNAL));
	t_res("the rest", recv(b, page, 10, 0));
	t_out("%.8s", page);
	close(a);
	close(b);
}

static void files(void)
{
	int a, b;
	char buf[16];
	FILE *f = tmpfile();

	t_pair(&a, &b);
	fputs("file", f);
	fflush(f);
	EACH("sendfile offset", 1, sendfile(a, fileno(f), (off_t *)(void *)p, 4));
	t_res("arrived", recv(b, buf, sizeof(buf), MSG_DONTWAIT));
	EACH("preadv2", 0, preadv2(b, (struct iovec[]){ { p, 4 } }, 1, -1, RWF_NOWAIT));
	EACH("pwritev2", 1, pwritev2(a, (struct iovec[]){ { p, 4 } }, 1, -1, 0));
	fclose(f);
	close(a);
	close(b);
}

/* Longer than what is copied at once: something may have gone, and that is then right. */
static void long_copies(void)
{
	enum { GOOD = 256 * 1024 };
	int a, b;
	char *p = mmap(NULL, GOOD + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static char in[GOOD + PAGE];
	ssize_t n, m;

	for (int i = 0; i < GOOD; i++)
		p[i] = (char)(i * 31 + (i >> 9));
	mprotect(p + GOOD, PAGE, PROT_NONE);
	t_pair(&a, &b);
	n = send(a, p, GOOD + 1, 0);
	t_out("a part was sent %d", n > 0 && n <= GOOD);
	shutdown(a, SHUT_WR);
	t_until(b, POLLRDHUP);
	m = t_read_all(b, in, sizeof(in));
	t_out("that part arrives %d, right %d", m == n, m == n && !memcmp(in, p, (size_t)n));
	close(a);
	close(b);

	t_pair(&a, &b);
	memset(in, 'i', sizeof(in));
	t_res("all", send(a, in, 9000, 0));
	shutdown(a, SHUT_WR);
	t_until(b, POLLRDHUP);
	n = recv(b, p + GOOD - 8999, 9000, MSG_PEEK);
	t_out("a part or EFAULT %d", (n > 0 && n < 9000) || (n < 0 && errno == EFAULT));
	t_res("all of it comes", t_read_all(b, p, 9000));
	t_out("right %d", !memcmp(in, p, 9000));
	close(a);
	close(b);
}

static void *reader(void *arg)
{
	int fd = *(int *)arg;

	t_res("blocked recv", recv(fd, none, 5, 0));
	t_res("and another thread's state is fine", recv(fd, page, 5, 0));
	return NULL;
}

static void in_a_thread(void)
{
	int a, b;
	pthread_t t;

	t_pair(&a, &b);
	pthread_create(&t, NULL, reader, &b);
	t_sleep_ms(20);
	send(a, "12345", 5, 0);
	pthread_join(t, NULL);
	close(a);
	close(b);
}

/* A page that comes into being between two tries. */
static void again_with_a_good_page(void)
{
	int a, b;
	char *p = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), buf[8] = { 0 };

	t_pair(&a, &b);
	t_res("send", send(a, p, 5, 0));
	mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	memcpy(p, "fives", 5);
	t_res("send", send(a, p, 5, 0));
	mprotect(p, PAGE, PROT_READ);
	t_res("recv", recv(b, p, 5, 0));
	mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	t_res("recv", recv(b, p, 5, 0));
	t_out("%.5s%s", p, buf);
	close(a);
	close(b);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(sends), T_CASE(iovecs_out), T_CASE(messages_out), T_CASE(many_out),
		T_CASE(receives), T_CASE(iovecs_in), T_CASE(messages_in), T_CASE(many_in),
		T_CASE(files), T_CASE(long_copies), T_CASE(in_a_thread), T_CASE(again_with_a_good_page),
	};

	make_pages();
	return t_run(cases, T_COUNT(cases), argc, argv);
}

/* recv and its family: flags, timeouts, end of file, what recvmsg fills in. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static void flags(void)
{
	int a, b;
	char buf[64];
	t_pair(&a, &b);
	t_res("empty dontwait", recv(b, buf, 8, MSG_DONTWAIT));
	t_res("empty peek dontwait", recv(b, buf, 8, MSG_PEEK | MSG_DONTWAIT));
	send(a, "hello world", 11, 0);
	t_until(b, POLLIN);
	t_res("peek", recv(b, buf, 5, MSG_PEEK));
	t_out("%.5s", buf);
	t_res("peek more", recv(b, buf, 64, MSG_PEEK));
	t_res("trunc discards", recv(b, NULL, 6, MSG_TRUNC));
	t_res("rest", recv(b, buf, 64, 0));
	t_out("%.5s", buf);
	send(a, "123", 3, 0);
	t_until(b, POLLIN);
	t_res("waitall dontwait", recv(b, buf, 64, MSG_WAITALL | MSG_DONTWAIT));
	t_res("oob", recv(b, buf, 1, MSG_OOB));
	t_res("errqueue", recv(b, buf, 1, MSG_ERRQUEUE | MSG_DONTWAIT));
	t_res("fault", recv(b, (void *)8, 1, MSG_DONTWAIT));
	send(a, "x", 1, 0);
	t_until(b, POLLIN);
	t_res("fault with data", recv(b, (void *)8, 1, MSG_DONTWAIT));
	t_res("unknown flag", recv(b, buf, 1, MSG_DONTWAIT | 0x8000000));
	close(a);
	close(b);
}

static void *feed(void *arg)
{
	int fd = *(int *)arg;
	for (int i = 0; i < 5; i++) {
		t_sleep_ms(5);
		send(fd, "ab", 2, 0);
	}
	t_sleep_ms(5);
	send(fd, "end", 3, 0);
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void waitall_waits(void)
{
	int a, b;
	char buf[64] = { 0 };
	pthread_t thread;
	t_pair(&a, &b);
	pthread_create(&thread, NULL, feed, &a);
	t_res("first", recv(b, buf, 1, 0));
	t_res("waitall", recv(b, buf, 9, MSG_WAITALL));
	t_out("%.9s", buf);
	t_res("peek waitall", recv(b, buf, 3, MSG_PEEK | MSG_WAITALL));
	t_res("cut by the end", recv(b, buf, 20, MSG_WAITALL));
	t_res("at the end", recv(b, buf, 20, MSG_WAITALL));
	pthread_join(thread, NULL);
	close(a);
	close(b);
}

static void timeouts(void)
{
	int a, b;
	char c;
	t_pair(&a, &b);
	struct timeval tv = { .tv_usec = 60000 };
	t_res("set", setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	uint64_t t0 = t_now_ms();
	t_res("recv", recv(b, &c, 1, 0));
	uint64_t took = t_now_ms() - t0;
	t_out("recv waited %s", took >= 50 && took < 500 ? "about 60 ms" : "wrongly");
	t0 = t_now_ms();
	t_res("read", read(b, &c, 1));
	took = t_now_ms() - t0;
	t_out("read waited %s", took >= 50 && took < 500 ? "about 60 ms" : "wrongly");
	send(a, "ab", 2, 0);
	char two[4];
	t_res("waitall gets what there is", recv(b, two, 4, MSG_WAITALL));
	tv = (struct timeval){ 0 };
	socklen_t len = sizeof(tv);
	setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	getsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
	t_out("off %ld.%06ld len %u", (long)tv.tv_sec, (long)tv.tv_usec, len);
	tv = (struct timeval){ .tv_sec = 1, .tv_usec = 2000000 };
	t_res("bad microseconds", setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	int l = t_listen(1, NULL);
	tv = (struct timeval){ .tv_usec = 60000 };
	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	t0 = t_now_ms();
	t_res("accept", accept(l, NULL, NULL));
	took = t_now_ms() - t0;
	t_out("accept waited %s", took >= 50 && took < 500 ? "about 60 ms" : "wrongly");
	close(a);
	close(b);
	close(l);
}

static void message_header(void)
{
	int a, b;
	char one[4], two[8], control[64];
	struct sockaddr_in from;
	t_pair(&a, &b);
	send(a, "0123456789", 10, 0);
	t_until(b, POLLIN);
	struct iovec v[2] = { { one, sizeof(one) }, { two, sizeof(two) } };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = v,
			    .msg_iovlen = 2, .msg_control = control,
			    .msg_controllen = sizeof(control), .msg_flags = 0x7fff };
	t_res("recvmsg", recvmsg(b, &m, 0));
	t_out("namelen %u controllen %zu flags %x %.4s %.6s", m.msg_namelen, m.msg_controllen,
	      (unsigned int)m.msg_flags, one, two);
	send(a, "zz", 2, 0);
	t_until(b, POLLIN);
	socklen_t len = sizeof(from);
	memset(&from, 0x11, sizeof(from));
	t_res("recvfrom", recvfrom(b, one, 4, 0, (struct sockaddr *)&from, &len));
	t_out("address length %u touched %d", len, from.sin_family != 0x1111);
	m.msg_iovlen = 1025;
	t_res("too many parts", recvmsg(b, &m, MSG_DONTWAIT));
	m.msg_iovlen = 0;
	t_res("no part", recvmsg(b, &m, MSG_DONTWAIT));
	t_res("null", recvmsg(b, NULL, MSG_DONTWAIT));
	close(a);
	close(b);
}

static void end_of_file(void)
{
	int a, b;
	char buf[8];
	t_pair(&a, &b);
	send(a, "last", 4, 0);
	close(a);
	t_out("mask %s", t_mask((uint32_t)t_until(b, POLLIN | POLLRDHUP)));
	t_res("data first", recv(b, buf, 8, 0));
	t_res("then the end", recv(b, buf, 8, 0));
	t_res("again", recv(b, buf, 8, MSG_DONTWAIT));
	t_res("peek", recv(b, buf, 8, MSG_PEEK));
	t_res("send is still possible", send(b, "x", 1, MSG_NOSIGNAL));
	close(b);
}

static void close_with_unread_data_resets(void)
{
	int a, b;
	char c;
	t_pair(&a, &b);
	send(a, "unread", 6, 0);
	t_until(b, POLLIN);
	close(b);
	t_out("mask %s", t_mask((uint32_t)t_until(a, POLLHUP)));
	t_res("read", read(a, &c, 1));
	t_res("read", read(a, &c, 1));
	close(a);
}

static void low_water_mark(void)
{
	int a, b, low = 5;
	char buf[8];
	t_pair(&a, &b);
	t_res("set", setsockopt(b, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	send(a, "123", 3, 0);
	t_sleep_ms(20);
	t_out("3 of 5: %s", t_mask((uint32_t)t_poll(b, POLLIN)));
	send(a, "45", 2, 0);
	t_out("5 of 5: %s", t_mask((uint32_t)t_until(b, POLLIN)));
	t_res("recv", recv(b, buf, 8, 0));
	close(a);
	close(b);
}

static void bytes_waiting(void)
{
	int a, b, n = -1;
	char buf[8];
	t_pair(&a, &b);
	t_res("FIONREAD empty", ioctl(b, FIONREAD, &n));
	t_out("n %d", n);
	send(a, "12345", 5, 0);
	t_until(b, POLLIN);
	t_res("FIONREAD", ioctl(b, FIONREAD, &n));
	t_out("n %d", n);
	recv(b, buf, 2, 0);
	ioctl(b, FIONREAD, &n);
	t_out("after 2: n %d", n);
	n = -1;
	t_res("SIOCOUTQ", ioctl(b, TIOCOUTQ, &n));
	t_out("nothing under way %d", n);
	int l = t_listen(1, NULL);
	t_res("FIONREAD on a listener", ioctl(l, FIONREAD, &n));
	int on = 1;
	t_res("FIONBIO", ioctl(a, FIONBIO, &on));
	t_out("nonblock %d", !!(fcntl(a, F_GETFL) & O_NONBLOCK));
	t_res("recv", recv(a, buf, 1, 0));
	on = 0;
	t_res("FIONBIO off", ioctl(a, FIONBIO, &on));
	t_out("nonblock %d", !!(fcntl(a, F_GETFL) & O_NONBLOCK));
	t_res("FIOCLEX", ioctl(a, FIOCLEX));
	t_out("cloexec %d", fcntl(a, F_GETFD));
	t_res("FIONCLEX", ioctl(a, FIONCLEX));
	t_out("cloexec %d", fcntl(a, F_GETFD));
	t_res("SIOCATMARK", ioctl(a, 0x8905, &n));
	t_out("mark %d", n);
	t_res("unknown", ioctl(a, 0x12345678, &n));
	t_res("TCGETS", ioctl(a, 0x5401, buf));
	close(a);
	close(b);
	close(l);
}

T_MAIN(T_CASE(flags), T_CASE(waitall_waits), T_CASE(timeouts), T_CASE(message_header),
       T_CASE(end_of_file), T_CASE(close_with_unread_data_resets), T_CASE(low_water_mark),
       T_CASE(bytes_waiting))

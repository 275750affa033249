/* Puts a jump at the entry of libc's leaf functions, the instructions under it into a trampoline. A call
 * for a descriptor of ours goes to the exported function, any other through the trampoline into libc's
 * own code, which keeps cancellation as it is. */
// SPDX-License-Identifier: MIT
#include "shim/deephook.h"
#include <dlfcn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shim/engine.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/poll.h"
#include "shim/process.h"

#define X(ret, name, params) extern ret LIBC_OURS(name) params;
LIBC_IO_CALLS(X)
LIBC_FD_CALLS(X)
LIBC_POLL_CALLS(X)
#undef X

/* ---- what the jumps lead to: X(return type, name, parameters, arguments); the first argument is
 * the descriptor. PRIVATE ones are glibc's for its own use, exported to its own libraries. ---- */
#define DEEP_CALLS(X) \
	X(ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, n)) \
	X(ssize_t, readv, (int fd, const struct iovec *v, int n), (fd, v, n)) \
	X(ssize_t, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags)) \
	X(ssize_t, recvfrom, \
	  (int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len), \
	  (fd, buf, n, flags, addr, len)) \
	X(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags)) \
	X(ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n)) \
	X(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n)) \
	X(ssize_t, send, (int fd, const void *buf, size_t n, int flags), (fd, buf, n, flags)) \
	X(ssize_t, sendto, \
	  (int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr, \
	   socklen_t len), \
	  (fd, buf, n, flags, addr, len)) \
	X(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags)) \
	X(int, sendmmsg, (int fd, struct mmsghdr *m, unsigned int n, int flags), (fd, m, n, flags)) \
	X(ssize_t, pread64, (int fd, void *buf, size_t n, off64_t at), (fd, buf, n, at)) \
	X(ssize_t, pwrite64, (int fd, const void *buf, size_t n, off64_t at), (fd, buf, n, at))
#define DEEP_PRIVATE_CALLS(X) \
	X(ssize_t, __read_nocancel, (int fd, void *buf, size_t n), (fd, buf, n), read) \
	X(ssize_t, __write_nocancel, (int fd, const void *buf, size_t n), (fd, buf, n), write)

/* Trampolines. */
static struct {
#define X(ret, name, params, args, ...) ret(*name) params;
	DEEP_CALLS(X)
	DEEP_PRIVATE_CALLS(X)
#undef X
	int (*close)(int fd);
	int (*__close_nocancel)(int fd);
	int (*dup2)(int fd, int to);
	int (*dup3)(int fd, int to, int flags);
	int (*poll)(struct pollfd *fds, nfds_t n, int timeout);
} orig;

#define X(ret, name, params, args) \
	static ret deep_##name params \
	{ \
		if (likely(!fdtab_has(fd))) \
			return orig.name args; \
		return LIBC_OURS(name) args; \
	}
DEEP_CALLS(X)
#undef X
#define X(ret, name, params, args, as) \
	static ret deep_##name params \
	{ \
		if (likely(!fdtab_has(fd))) \
			return orig.name args; \
		return LIBC_OURS(as) args; \
	}
DEEP_PRIVATE_CALLS(X)
#undef X

/* Inside posix_spawn (system, popen) a child that shares our memory closes and copies its own
 * descriptors: our table is not meant. */
static inline bool changes_ours(int fd)
{
	return fdtab_has(fd) && process_is_self();
}

static int deep_close(int fd)
{
	return likely(!changes_ours(fd)) ? orig.close(fd) : LIBC_OURS(close)(fd);
}

static int deep___close_nocancel(int fd)
{
	return likely(!changes_ours(fd)) ? orig.__close_nocancel(fd) : LIBC_OURS(close)(fd);
}

static int deep_dup2(int fd, int to)
{
	if (likely(!changes_ours(fd) && !changes_ours(to)))
		return orig.dup2(fd, to);
	return LIBC_OURS(dup2)(fd, to);
}

static int deep_dup3(int fd, int to, int flags)
{
	if (likely(!changes_ours(fd) && !changes_ours(to)))
		return orig.dup3(fd, to, flags);
	return LIBC_OURS(dup3)(fd, to, flags);
}

static int deep_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (likely(!poll_has_ours(fds, n)))
		return orig.poll(fds, n, timeout);
	return LIBC_OURS(poll)(fds, n, timeout);
}

/* ---- the table ---- */
struct hook {
	const char *name, *version;
	void *to;
	void **orig;
	uint8_t *at;	 /* in libc */
	uint32_t moved;	 /* bytes of instructions under the jump */
};
static struct hook hooks[] = {
#define X(ret, name, params, args) { #name, NULL, deep_##name, (void **)&orig.name, NULL, 0 },
	DEEP_CALLS(X)
#undef X
#define X(ret, name, params, args, as) \
	{ #name, "GLIBC_PRIVATE", deep_##name, (void **)&orig.name, NULL, 0 },
	DEEP_PRIVATE_CALLS(X)
#undef X
	{ "__close_nocancel", "GLIBC_PRIVATE", deep___close_nocancel,
	  (void **)&orig.__close_nocancel, NULL, 0 },
	{ "close", NULL, deep_close, (void **)&orig.close, NULL, 0 },
	{ "dup2", NULL, deep_dup2, (void **)&orig.dup2, NULL, 0 },
	{ "dup3", NULL, deep_dup3, (void **)&orig.dup3, NULL, 0 },
	{ "poll", NULL, deep_poll, (void **)&orig.poll, NULL, 0 },
};
static _Atomic uint32_t state;

/* ---- instructions ---- */
enum {
	JUMP_NEAR = 5,	/* e9 rel32 */
	JUMP_FAR = 14,	/* jmp *0(%rip), address */
	MOVED_MAX = 16,
	SLOT = JUMP_FAR + MOVED_MAX + JUMP_FAR + 4, /* to the hook; moved instructions, on into libc */
	PAGE = 4096,
};

/* Length of the instruction at p if it is one of those that begin glibc's system call wrappers and that
 * can be moved as they are, or with *rip (offset of a displacement relative to the next instruction)
 * adjusted; 0: unknown. */
static uint32_t known_instruction(const uint8_t *p, uint32_t *rip)
{
	*rip = 0;
	if (p[0] == 0x80 && p[1] == 0x3d) { /* cmpb $imm8, disp32(%rip): single threaded? */
		*rip = 2;
		return 7;
	}
	if (p[0] == 0xb8) /* mov $imm32, %eax */
		return 5;
	if ((p[0] == 0x31 && p[1] == 0xc0) || (p[0] == 0x0f && p[1] == 0x05)) /* xor, syscall */
		return 2;
	if (p[0] == 0x48 && p[1] == 0x3d) /* cmp $imm32, %rax */
		return 6;
	if (p[0] == 0x48 && p[1] == 0x83 && p[2] == 0xec) /* sub $imm8, %rsp */
		return 4;
	if ((p[0] & 0xf8) == 0x50) /* push */
		return 1;
	if ((p[0] == 0x41 || p[0] == 0x48 || p[0] == 0x49) && p[1] == 0x89 && p[2] >= 0xc0)
		return 3; /* mov register, register */
	if (p[0] == 0xf3 && p[1] == 0x0f && p[2] == 0x1e && p[3] == 0xfa) /* endbr64 */
		return 4;
	return 0;
}

static bool measure(struct hook *h)
{
	uint32_t rip, len;

	for (h->moved = 0; h->moved < JUMP_NEAR; h->moved += len) {
		len = known_instruction(h->at + h->moved, &rip);
		if (len == 0)
			return false;
	}
	return h->moved <= MOVED_MAX;
}

static void far_jump(uint8_t *at, const void *to)
{
	static const uint8_t jmp[] = { 0xff, 0x25, 0, 0, 0, 0 };

	memcpy(at, jmp, sizeof(jmp));
	memcpy(at + sizeof(jmp), &to, sizeof(to));
}

static void move(const struct hook *h, uint8_t *out)
{
	uint32_t rip, len;

	memcpy(out, h->at, h->moved);
	for (uint32_t i = 0; i < h->moved; i += len) {
		int32_t disp;

		len = known_instruction(h->at + i, &rip);
		if (!rip)
			continue;
		memcpy(&disp, h->at + i + rip, sizeof(disp));
		disp += (int32_t)(h->at - out);
		memcpy(out + i + rip, &disp, sizeof(disp));
	}
	far_jump(out + h->moved, h->at + h->moved);
}

/* The first eight bytes in one store: the entry is aligned, the rest of them stays what it was. */
static void divert(const struct hook *h, const uint8_t *slot)
{
	int32_t rel = (int32_t)(slot - (h->at + JUMP_NEAR));
	uint8_t bytes[8];
	uint64_t word;

	memcpy(bytes, h->at, sizeof(bytes));
	bytes[0] = 0xe9;
	memcpy(bytes + 1, &rel, sizeof(rel));
	memcpy(&word, bytes, sizeof(word));
	__atomic_store_n((uint64_t *)h->at, word, __ATOMIC_SEQ_CST);
}

/* ---- installing ---- */
static bool find_all(void)
{
	void *libc_so = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	bool good = libc_so != NULL;

	for (size_t i = 0; good && i < ARRAY_LEN(hooks); i++) {
		struct hook *h = &hooks[i];

		h->at = h->version ? dlvsym(libc_so, h->name, h->version) : dlsym(libc_so, h->name);
		good = h->at && ((uintptr_t)h->at & 7) == 0 && measure(h);
	}
	if (libc_so)
		dlclose(libc_so);
	return good;
}

/* Memory that a near jump reaches from all of libc's text and data. */
static uint8_t *map_near(const uint8_t *text, size_t len)
{
	enum { STEP = 1 << 20, REACH = 3 << 29 };
	uintptr_t base = (uintptr_t)text & ~(uintptr_t)(STEP - 1);

	for (uintptr_t off = 4 * STEP; off < REACH; off += STEP) {
		void *p = mmap((void *)(base - off), len, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p == (void *)(base - off))
			return p;
		if (p != MAP_FAILED)
			munmap(p, len);
	}
	return NULL;
}

static bool text_protect(int prot)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		uintptr_t page = (uintptr_t)hooks[i].at & ~(uintptr_t)(PAGE - 1);

		if (mprotect((void *)page, PAGE, prot) < 0)
			return false;
	}
	return true;
}

/* Whatever in struct libc is the real function must not run into the hook. */
static void redirect(const void *from, void *to)
{
	void **slot = (void **)&libc;

	for (size_t i = 0; i < sizeof(libc) / sizeof(void *); i++)
		if (slot[i] == from)
			__atomic_store_n(&slot[i], to, __ATOMIC_RELEASE);
}

static enum deephook_state install(void)
{
	size_t len = (ARRAY_LEN(hooks) * SLOT + PAGE - 1) & ~(size_t)(PAGE - 1);
	uint8_t *near;

	if (!find_all())
		return DEEPHOOK_UNKNOWN;
	near = map_near(hooks[0].at, len);
	if (!near)
		return DEEPHOOK_REFUSED;
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		uint8_t *slot = near + i * SLOT;

		far_jump(slot, hooks[i].to);
		move(&hooks[i], slot + JUMP_FAR);
		*hooks[i].orig = slot + JUMP_FAR;
	}
	/* Executable while written: the code that does it is on such a page itself. */
	if (mprotect(near, len, PROT_READ | PROT_EXEC) < 0 ||
	    !text_protect(PROT_READ | PROT_WRITE | PROT_EXEC)) {
		text_protect(PROT_READ | PROT_EXEC);
		munmap(near, len);
		return DEEPHOOK_REFUSED;
	}
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		redirect(hooks[i].at, *hooks[i].orig);
		divert(&hooks[i], near + i * SLOT);
	}
	text_protect(PROT_READ | PROT_EXEC);
	return DEEPHOOK_ON;
}

/* A thread that is just in one of these functions would come back to half an instruction. */
static bool is_single_threaded(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 && st.st_nlink == 3; /* ., .. and one thread */
}

void deephook_install(void)
{
	uint32_t was = DEEPHOOK_NOT_YET;
	enum deephook_state now;
	int saved = errno;

	if (!atomic_compare_exchange_strong(&state, &was, DEEPHOOK_OFF))
		return;
	if (!engine_config()->deephook)
		now = DEEPHOOK_OFF;
	else if (!is_single_threaded())
		now = DEEPHOOK_THREADS;
	else
		now = install();
	atomic_store(&state, now);
	errno = saved;
}

enum deephook_state deephook_state(void)
{
	return (enum deephook_state)atomic_load(&state);
}

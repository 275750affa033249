/* Starts the engine behind the program's back: a child with exit signal 0 (no SIGCHLD, not in the
 * program's wait(-1)) makes a grandchild, which becomes the engine and an orphan at once. exec()
 * gives every process the exit signal SIGCHLD again, so the engine itself must not be the program's
 * child. */
// SPDX-License-Identifier: MIT
#include "stack/chan/start.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "stack/base/sys.h"
#include "stack/base/util.h"
#include "stack/chan/hello.h"

/* Where `cmake --install` puts it, the last place to look. */
#ifndef FASTNETD_PATH
#define FASTNETD_PATH "/usr/local/sbin/fastnetd"
#endif

enum { ENV_MAX = 128, SIGNALS = 64, READY_FD = 3, POLL_MS = 10, RETRY_MS = 300 };

/* ---- text without libc's formatted output, which may allocate ---- */
struct text {
	char *p, *end;
};

static void put(struct text *t, const char *s)
{
	while (*s && t->p < t->end - 1)
		*t->p++ = *s++;
	*t->p = 0;
}

static void put_num(struct text *t, uint64_t v)
{
	char buf[24];
	int i = sizeof(buf) - 1;

	buf[i] = 0;
	do
		buf[--i] = (char)('0' + v % 10);
	while (v /= 10);
	put(t, buf + i);
}

static struct text text_of(char *buf, size_t n)
{
	buf[0] = 0;
	return (struct text){ buf, buf + n };
}

static int set_err(char *err, int e, const char *a, const char *b)
{
	struct text t = text_of(err, CHAN_START_ERR_MAX);

	put(&t, a);
	put(&t, b);
	return e;
}

/* ---- where engines listen ---- */
/* A directory that only uid can have made and filled, or that is not there yet. */
static bool is_private_dir(const char *path, uint32_t uid)
{
	struct stat st;
	int r = (int)sys_call3(SYS_lstat, (long)path, (long)&st, 0);

	if (r == -ENOENT)
		return true;
	return r == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid && !(st.st_mode & 022);
}

void chan_engine_paths(struct chan_paths *p, const char *configured)
{
	uint32_t uid = (uint32_t)sys_call3(SYS_geteuid, 0, 0, 0);
	uint64_t netns = chan_netns();
	char dir[64];
	struct stat st;

	memset(p, 0, sizeof(*p));
	if (configured && *configured) {
		struct text t = text_of(p->path[p->n++], CHAN_PATH_MAX);
		put(&t, configured);
		return;
	}
	struct text t = text_of(p->path[p->n++], CHAN_PATH_MAX);
	put(&t, "/run/fastnet/");
	put_num(&t, netns);
	put(&t, ".sock");

	t = text_of(dir, sizeof(dir));
	put(&t, "/run/user/");
	put_num(&t, uid);
	const char *prefix = "/fastnet-";
	if (uid == 0 || sys_stat(dir, &st) != 0 || st.st_uid != uid) {
		t = text_of(dir, sizeof(dir));
		put(&t, "/tmp/fastnet-");
		put_num(&t, uid);
		prefix = "/";
	}
	if (!is_private_dir(dir, uid))
		return;
	t = text_of(p->path[p->n++], CHAN_PATH_MAX);
	put(&t, dir);
	put(&t, prefix);
	put_num(&t, netns);
	put(&t, ".sock");
}

int chan_engine_answers(const struct chan_paths *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		int fd = chan_connect(p->path[i], 1000);

		if (fd >= 0) {
			sys_close(fd);
			return 1;
		}
	}
	return 0;
}

/* ---- which program ---- */
/* dir of `beside` + rel -> buf; true when that is a file that may be executed. */
static bool try_beside(const char *beside, size_t dir_len, const char *rel, char *buf, size_t size)
{
	if (dir_len + strlen(rel) + 1 > size)
		return false;
	memcpy(buf, beside, dir_len);
	memcpy(buf + dir_len, rel, strlen(rel) + 1);
	return sys_call3(SYS_access, (long)buf, 1 /* X_OK */, 0) == 0;
}

static bool find_engine(const struct chan_start *s, char *buf, size_t size)
{
	static const char *const places[] = {
		"fastnetd", "../fastnetd", "../sbin/fastnetd", "../../sbin/fastnetd",
		"../stack/host/fastnetd", "../host/fastnetd",
	};
	char self[512];
	const char *beside = s->beside;

	if (s->engine && *s->engine)
		return try_beside("", 0, s->engine, buf, size);
	if (!beside || !*beside) {
		long n = sys_call3(SYS_readlink, (long)"/proc/self/exe", (long)self,
				   sizeof(self) - 1);

		self[n > 0 ? n : 0] = 0;
		beside = self;
	}
	const char *slash = strrchr(beside, '/');
	for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
		if (try_beside(beside, (size_t)(slash - beside) + 1, places[i], buf, size))
			return true;
	}
	return try_beside("", 0, FASTNETD_PATH, buf, size);
}

/* ---- in the grandchild ---- */
static void reset_signals(void)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} dfl = { 0 };
	unsigned long none = 0;

	for (int sig = 1; sig <= SIGNALS; sig++)
		sys_call4(SYS_rt_sigaction, sig, (long)&dfl, 0, sizeof(none));
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof(none));
}

/* The program's limits are about the program: as high as we may, or as they are. */
static void reset_limits(void)
{
	static const int which[] = { RLIMIT_AS,	     RLIMIT_CPU,     RLIMIT_DATA,
				     RLIMIT_FSIZE,   RLIMIT_MEMLOCK, RLIMIT_NPROC,
				     RLIMIT_SIGPENDING };
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit r;

	for (size_t i = 0; i < ARRAY_LEN(which); i++) {
		if (sys_call4(SYS_prlimit64, 0, which[i], (long)&all, 0) == 0)
			continue;
		if (sys_getrlimit(which[i], &r) == 0) {
			r.rlim_cur = r.rlim_max;
			sys_call4(SYS_prlimit64, 0, which[i], (long)&r, 0);
		}
	}
	const struct rlimit files = { 1 << 20, 1 << 20 };
	if (sys_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&files, 0) != 0 &&
	    sys_getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		sys_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&r, 0);
	}
	unsigned long cpus[128];
	memset(cpus, 0xff, sizeof(cpus));
	sys_call3(SYS_sched_setaffinity, 0, sizeof(cpus), (long)cpus);
	sys_call3(SYS_setpriority, 0, 0, 0);
}

/* Leaves /dev/null on 0 to 2, the ready pipe on READY_FD, nothing else. */
static bool reset_files(int ready)
{
	int null = sys_open("/dev/null", O_RDWR, 0);

	/* ready and null may sit anywhere, also on 0 to 3: go by numbers above. */
	int r = sys_fcntl(ready, F_DUPFD, READY_FD + 1);
	int n = null < 0 ? null : sys_fcntl(null, F_DUPFD, READY_FD + 1);
	if (r < 0 || n < 0)
		return false;
	for (int fd = 0; fd < READY_FD; fd++)
		sys_dup3(n, fd, 0);
	sys_dup3(r, READY_FD, 0);
	/* Without close_range (before Linux 5.9) a loop over the soft limit. */
	if (sys_call3(SYS_close_range, READY_FD + 1, ~0u, 0) != 0) {
		struct rlimit lim = { 1024, 1024 };

		sys_getrlimit(RLIMIT_NOFILE, &lim);
		for (long fd = READY_FD + 1; fd < (long)min_u64(lim.rlim_cur, 65536); fd++)
			sys_close((int)fd);
	}
	return true;
}

static void complain(int fd, const char *what, const char *which)
{
	char buf[CHAN_START_ERR_MAX];
	struct text t = text_of(buf, sizeof(buf));

	put(&t, CHAN_READY_ERROR ": ");
	put(&t, what);
	put(&t, which);
	put(&t, "\n");
	sys_write(fd, buf, strlen(buf));
}

__attribute__((noreturn)) static void exit_now(int status)
{
	for (;;)
		sys_call3(SYS_exit_group, status, 0, 0);
}

__attribute__((noreturn)) static void become_engine(const char *path, char **envp, int ready)
{
	char *argv[] = { (char *)"fastnetd", (char *)"--auto", (char *)"--ready-fd", (char *)"3",
			 NULL };

	sys_call3(SYS_setsid, 0, 0, 0);
	sys_call3(SYS_chdir, (long)"/", 0, 0);
	reset_signals();
	if (!reset_files(ready)) {
		complain(ready, "can't start the engine: too few descriptors", "");
		exit_now(CHAN_EXIT_FAILED);
	}
	reset_limits();
	sys_call3(SYS_execve, (long)path, (long)argv, (long)envp);
	complain(READY_FD, "can't run ", path);
	exit_now(CHAN_EXIT_FAILED);
}

/* ---- in the program ---- */
static void engine_env(char *const *envp, char **out)
{
	static const char path[] =
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	int n = 0;

	for (; envp && *envp && n < ENV_MAX - 2; envp++) {
		if (!strncmp(*envp, "FASTNET_", 8) &&
		    strncmp(*envp, "FASTNET_EXPLAIN_FD=", 19) != 0)
			out[n++] = *envp;
	}
	out[n++] = (char *)path;
	out[n] = NULL;
}

static long fork_quietly(void) { return sys_call6(SYS_clone, 0 /* exit signal */, 0, 0, 0, 0, 0); }

/* The middle process: leaves the engine to init, unless the program is a subreaper and would
 * inherit it; then it stays as its parent for as long as the engine lives. */
__attribute__((noreturn)) static void run_middle(const char *path, char **envp, int ready,
						 bool stay)
{
	long pid = fork_quietly();

	if (pid == 0)
		become_engine(path, envp, ready);
	if (pid < 0)
		complain(ready, "can't start the engine: no process left", "");
	if (pid > 0 && stay) {
		sys_call3(SYS_setsid, 0, 0, 0);
		sys_call3(SYS_chdir, (long)"/", 0, 0);
		sys_call3(SYS_close_range, 0, ~0u, 0);
		while (sys_call4(SYS_wait4, pid, 0, __WALL, 0) == -EINTR)
			;
	}
	exit_now(0);
}

/* Reads the engine's one line. Its length (0: it died without a word), or -errno. */
static long read_ready(int fd, char *buf, size_t size, uint32_t timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec t0, t;
	size_t n = 0;

	sys_clock_gettime(CLOCK_MONOTONIC, &t0);
	while (n < size - 1) {
		sys_clock_gettime(CLOCK_MONOTONIC, &t);
		long past = (t.tv_sec - t0.tv_sec) * 1000 + (t.tv_nsec - t0.tv_nsec) / 1000000;
		if (past >= (long)timeout_ms)
			return -ETIMEDOUT;
		long r = sys_call3(SYS_poll, (long)&p, 1, (long)timeout_ms - past);
		if (r < 0 && r != -EINTR)
			return r;
		if (r <= 0)
			continue;
		r = sys_read(fd, buf + n, size - 1 - n);
		if (r < 0 && r != -EINTR)
			return r;
		if (r == 0)
			break;
		n += r > 0 ? (size_t)r : 0;
		buf[n] = 0;
		if (memchr(buf, '\n', n))
			break;
	}
	buf[n] = 0;
	n = strcspn(buf, "\n");
	buf[n] = 0;
	return (long)n;
}

/* One attempt: 0, -EBUSY (another engine is starting), or -errno and err. */
static int start_once(const char *path, char **envp, uint32_t timeout_ms, char *err)
{
	int p[2], is_reaper = 0;
	unsigned long all = ~0ul, old;
	char line[CHAN_START_ERR_MAX];

	long r = sys_call3(SYS_pipe2, (long)p, O_CLOEXEC, 0);
	if (r < 0)
		return set_err(err, (int)r, "can't start the engine: no descriptor left", "");
	sys_call6(SYS_prctl, PR_GET_CHILD_SUBREAPER, (long)&is_reaper, 0, 0, 0, 0);
	/* The children must not run the program's handlers before theirs are reset. */
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, sizeof(all));
	long pid = fork_quietly();
	if (pid == 0)
		run_middle(path, envp, p[1], is_reaper != 0);
	sys_close(p[1]);
	if (pid > 0 && !is_reaper) {
		while (sys_call4(SYS_wait4, pid, 0, __WCLONE, 0) == -EINTR)
			;
	}
	r = pid < 0 ? pid : read_ready(p[0], line, sizeof(line), timeout_ms);
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(old));
	sys_close(p[0]);
	if (r < 0)
		return set_err(err, (int)r, "the engine did not become ready", "");
	if (!strcmp(line, CHAN_READY_OK))
		return 0;
	if (!strcmp(line, CHAN_READY_BUSY))
		return set_err(err, -EBUSY, "another engine is starting and does not serve", "");
	if (!strncmp(line, CHAN_READY_ERROR ": ", strlen(CHAN_READY_ERROR ": ")))
		return set_err(err, -ECONNREFUSED, line + strlen(CHAN_READY_ERROR ": "), "");
	return set_err(err, -ECONNREFUSED, "the engine ended without a word: ", path);
}

static void nap(uint32_t ms)
{
	struct timespec t = { .tv_nsec = (long)ms * 1000000 };

	sys_clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

int chan_engine_start(const struct chan_start *s, char err[CHAN_START_ERR_MAX])
{
	char path[600];
	char *envp[ENV_MAX];
	struct chan_paths paths;
	struct timespec t0, t;

	err[0] = 0;
	chan_engine_paths(&paths, s->socket);
	if (!find_engine(s, path, sizeof(path)))
		return set_err(err, -ENOENT,
			       "can't find the engine program fastnetd; install it, or "
			       "name it in FASTNET_ENGINE",
			       "");
	engine_env(s->envp, envp);
	sys_clock_gettime(CLOCK_MONOTONIC, &t0);
	for (long past = 0, wait = 0;; wait += POLL_MS) {
		/* Another program's engine may still be starting, or may just have failed. */
		if (wait % RETRY_MS == 0) {
			int r = start_once(path, envp, s->timeout_ms - (uint32_t)past, err);

			if (r != -EBUSY)
				return r;
		}
		if (chan_engine_answers(&paths)) {
			err[0] = 0;
			return 0;
		}
		sys_clock_gettime(CLOCK_MONOTONIC, &t);
		past = (t.tv_sec - t0.tv_sec) * 1000 + (t.tv_nsec - t0.tv_nsec) / 1000000;
		if (past >= (long)s->timeout_ms)
			return -ETIMEDOUT;
		nap(POLL_MS);
	}
}

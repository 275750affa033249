/* Counts why sockets were left to the kernel: in this process, and in a copy wherever it can be read:
 * the engine's table of processes once attached, and the file of `fastnet explain -- prog`. */
// SPDX-License-Identifier: MIT
#include "shim/explain.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "stack/chan/app.h"

static struct chan_proc_b own;
static _Atomic(struct chan_proc_b *) file_copy, engine_copy;
static _Atomic bool file_tried;
static _Atomic int file_fd = -1;

static void read_name(char *name, size_t n)
{
	int fd = sys_open("/proc/self/comm", O_RDONLY | O_CLOEXEC, 0);
	long r = fd < 0 ? 0 : sys_read(fd, name, n - 1);

	if (fd >= 0)
		sys_close(fd);
	name[r > 0 && name[r - 1] == '\n' ? r - 1 : r > 0 ? r : 0] = 0;
}

static void copy_all(struct chan_proc_b *to)
{
	memcpy(to->name, own.name, sizeof(to->name));
	atomic_store(&to->on_stack, atomic_load(&own.on_stack));
	for (unsigned i = 0; i < CHAN_REASON_COUNT; i++)
		atomic_store(&to->reason[i], atomic_load(&own.reason[i]));
}

static struct chan_explain *open_file(void)
{
	const char *v = getenv(CHAN_EXPLAIN_ENV);
	struct chan_explain *x;
	struct stat st;
	int fd;

	if (!v || *v < '0' || *v > '9')
		return NULL;
	fd = atoi(v);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(*x))
		return NULL;
	x = mmap(NULL, sizeof(*x), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (x == MAP_FAILED)
		return NULL;
	if (x->magic != CHAN_EXPLAIN_MAGIC) {
		munmap(x, sizeof(*x));
		return NULL;
	}
	/* Children inherit it, so it stays where it is, but the program does not see it. */
	fdtab_hide_here(fd, &file_fd);
	return x;
}

static void take_slot(struct chan_explain *x)
{
	uint32_t pid = (uint32_t)sys_getpid();

	for (unsigned i = 0; i < CHAN_EXPLAIN_PROCS; i++) {
		uint32_t free = 0;

		if (!atomic_compare_exchange_strong(&x->proc[i].pid, &free, pid))
			continue;
		copy_all(&x->proc[i]);
		atomic_store(&file_copy, &x->proc[i]);
		return;
	}
}

static struct chan_explain *file;

static void first_count(void)
{
	int saved = errno;

	if (atomic_exchange(&file_tried, true))
		return;
	read_name(own.name, sizeof(own.name));
	if (!file)
		file = open_file();
	if (file)
		take_slot(file);
	errno = saved;
}

static void count(size_t offset)
{
	struct chan_proc_b *copy;
	_Atomic uint64_t *n = (_Atomic uint64_t *)((char *)&own + offset);
	uint64_t v;

	if (unlikely(!atomic_load_explicit(&file_tried, memory_order_relaxed)))
		first_count();
	v = atomic_fetch_add_explicit(n, 1, memory_order_relaxed) + 1;
	copy = atomic_load_explicit(&file_copy, memory_order_acquire);
	if (copy)
		atomic_store((_Atomic uint64_t *)((char *)copy + offset), v);
	copy = atomic_load_explicit(&engine_copy, memory_order_acquire);
	if (copy)
		atomic_store((_Atomic uint64_t *)((char *)copy + offset), v);
}

void explain_kernel(enum chan_reason why)
{
	count(offsetof(struct chan_proc_b, reason) + (size_t)why * sizeof(uint64_t));
}

void explain_stack(void)
{
	count(offsetof(struct chan_proc_b, on_stack));
}

void explain_attached(struct chan_app *app)
{
	struct chan_proc_b *p = &app->proc_b[app->proc];

	if (!atomic_load(&file_tried))
		first_count();
	atomic_store(&p->pid, (uint32_t)sys_getpid());
	copy_all(p);
	atomic_store(&engine_copy, p);
}

void explain_detached(struct chan_app *app)
{
	struct chan_proc_b *p = &app->proc_b[app->proc];

	atomic_compare_exchange_strong(&engine_copy, &p, NULL);
}

void explain_after_fork(void)
{
	char name[sizeof(own.name)];

	memcpy(name, own.name, sizeof(name));
	memset(&own, 0, sizeof(own));
	memcpy(own.name, name, sizeof(name));
	atomic_store(&file_copy, NULL);
	atomic_store(&engine_copy, NULL);
	atomic_store(&file_tried, false);
}

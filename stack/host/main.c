/* fastnetd: reads its options, starts the parts in order, serves, ends them in reverse. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/strbuf.h"
#include "stack/base/util.h"
#include "stack/chan/hello.h"
#include "stack/chan/start.h"
#include "stack/host/control.h"
#include "stack/host/host.h"
#include "stack/host/relay.h"
#include "stack/host/upgrade.h"

enum { FILES_MIN = 256 };

int host_fail(struct host *h, int err, const char *fmt, ...)
{
	struct strbuf s = strbuf_of(h->err, sizeof(h->err));
	va_list ap;

	va_start(ap, fmt);
	strbuf_vput(&s, fmt, ap);
	va_end(ap);
	return err;
}

/* One line to whoever started us. */
static void tell(struct host *h, const char *word, const char *text)
{
	char line[HOST_ERR_MAX + 16];
	struct strbuf s = strbuf_of(line, sizeof(line));

	if (h->ready_fd < 0)
		return;
	strbuf_put(&s, "%s%s%s\n", word, *text ? ": " : "", text);
	if (write(h->ready_fd, line, (size_t)s.len) < 0)
		LOG(host, INFO, "nobody waits for us to be ready: %s", strerror(errno));
	close(h->ready_fd);
	h->ready_fd = -1;
}

static int give_up(struct host *h, int status)
{
	if (status == CHAN_EXIT_BUSY && h->ready_fd >= 0) {
		tell(h, CHAN_READY_BUSY, "");
		return status;
	}
	fprintf(stderr, "fastnetd: %s\n", h->err);
	tell(h, CHAN_READY_ERROR, h->err);
	return status;
}

static void usage(void)
{
	printf("usage: fastnetd [--option value ...]\n"
	       "The fastnet engine: a TCP/IP stack in user space for programs that run with\n"
	       "LD_PRELOAD=libfastnet.so. Runs in the foreground until SIGTERM or SIGINT.\n\n"
	       "  --ready-fd N    write 'ok' and a newline to descriptor N when serving, or\n"
	       "                  'error: text'\n"
	       "  --auto          end after the last program (option linger-s)\n"
	       "  --print-config  show the options in force and where each comes from\n"
	       "  --version, --help\n\n"
	       "Options (also environment variables, and lines of the configuration file):\n");
	config_help(stdout);
	printf("\nExit status: 0 ended as asked, 1 could not start, 2 bad options, 3 another "
	       "engine\n"
	       "serves the socket.\n");
}

enum { GO_ON = -1 };

/* One option that only fastnetd has, at argv[*i]. GO_ON or the exit status. */
static int own_option(struct host *h, int argc, char **argv, int *i, bool *print)
{
	const char *a = argv[*i] + 2;

	if (!strcmp(a, "help")) {
		usage();
		return 0;
	}
	if (!strcmp(a, "version")) {
		printf("fastnetd %s\n", FASTNET_VERSION);
		return 0;
	}
	++*i;
	if (!strcmp(a, "auto")) {
		h->autostarted = true;
	} else if (!strcmp(a, "print-config")) {
		*print = true;
	} else {
		const char *eq = strchr(a, '=');
		const char *v = eq ? eq + 1 : *i < argc ? argv[(*i)++] : "";
		char *end;
		long fd = strtol(v, &end, 10);

		if (!*v || *end || fd < 0 || fd > INT_MAX ||
		    fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0) {
			host_fail(h, 0, "--%.8s: '%s' is not an open descriptor", a, v);
			return give_up(h, CHAN_EXIT_USAGE);
		}
		*(*a == 't' ? &h->takeover_fd : &h->ready_fd) = (int)fd;
	}
	return GO_ON;
}

static int read_options(struct host *h, int argc, char **argv)
{
	static const char *const own[] = { "help",	   "version",  "auto",
					   "print-config", "ready-fd", "takeover", NULL };
	bool print = false;
	int i = 1, r = 0;

	config_init(&h->config);
	while (!r && i < argc) {
		r = config_args(&h->config, argc, argv, &i, own);
		if (r || i >= argc)
			break;
		if (strncmp(argv[i], "--", 2) != 0) {
			host_fail(h, 0, "unexpected argument '%s'; --help shows the options",
				  argv[i]);
			return give_up(h, CHAN_EXIT_USAGE);
		}
		int status = own_option(h, argc, argv, &i, &print);
		if (status != GO_ON)
			return status;
	}
	if (!r)
		r = config_env(&h->config, environ);
	if (!r)
		r = config_file(&h->config);
	if (r) {
		host_fail(h, r, "%s", h->config.err);
		return give_up(h, CHAN_EXIT_USAGE);
	}
	if (log_configure(config_str(&h->config, CONFIG_log)) != 0) {
		host_fail(h, 0, "log: '%s' is not like warn,tcp=debug",
			  config_str(&h->config, CONFIG_log));
		return give_up(h, CHAN_EXIT_USAGE);
	}
	if (print) {
		config_print(&h->config, stdout);
		return 0;
	}
	return GO_ON;
}

/* Signals go to the loop of the control thread, but for those that a data thread unblocks. */
static void set_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* What the kernel sends when net_tap's real-time signals are too many. */
	signal(SIGIO, SIG_IGN);
}

static int set_limits(struct host *h)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return 0;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur >= FILES_MIN)
		return 0;
	return host_fail(h, -EMFILE,
			 "the open-file limit of %llu is too low; raise it to %d or more "
			 "(ulimit -n)",
			 (unsigned long long)r.rlim_cur, FILES_MIN);
}

static void say_ready(const struct host *h)
{
	if (!FASTNET_OPTIMISED)
		fprintf(stderr, "fastnetd: this is not an optimised build: do not measure it\n");
	if (h->autostarted)
		return;
	fprintf(stderr, "fastnetd: serving on %s, %u data thread%s, %s\n", h->socket_path,
		h->n_workers, h->n_workers == 1 ? "" : "s", h->eal.text);
	for (uint32_t i = 0; i < h->n_ports; i++)
		fprintf(stderr, "fastnetd: port %s (%s)\n", port_netif(h->port[i])->name,
			port_driver(h->port[i]));
	if (!h->n_ports)
		fprintf(stderr,
			"fastnetd: no port: only programs on this engine reach each other\n");
}

static int start(struct host *h)
{
	int r = set_limits(h);
	bool takes = h->takeover_fd >= 0;

	h->n_workers = (uint32_t)config_num(&h->config, CONFIG_workers);
	h->netns = chan_netns();
	if (!r && !takes)
		r = host_lock(h);
	h->is_second = r == -EBUSY;
	if (!r)
		r = host_dpdk_start(h);
	if (!r && takes)
		r = takeover_take(h);
	if (!r)
		host_secret(h);
	if (!r && takes)
		r = takeover_ports(h);
	if (!r)
		r = host_ports_open(h);
	if (!r)
		r = control_init(h);
	if (!r)
		r = host_launch(h);
	if (!r && takes)
		r = takeover_go(h);
	if (!r)
		r = host_run(h);
	if (!r && takes)
		takeover_gap(h);
	if (!r && !takes)
		r = host_listen(h);
	return r;
}

/* What programs have not let go of in time stays in the data threads, and ends with the process. */
static void stop(struct host *h, int status)
{
	host_unlisten(h);
	if (control_is_drained(h)) {
		host_halt(h);
		control_fini(h);
		host_ports_close(h);
		host_unlock(h);
		return;
	}
	host_join(h);
	host_ports_close(h);
	host_unlock(h);
	_exit(status);
}

static int serve(struct host *h)
{
	int status = 0;

	set_signals();
	if (start(h)) {
		if (h->takeover_fd >= 0)
			takeover_give_back(h);
		status = give_up(h, h->is_second ? CHAN_EXIT_BUSY : CHAN_EXIT_FAILED);
	} else {
		say_ready(h);
		eal_serving();
		tell(h, CHAN_READY_OK, "");
		control_run(h);
	}
	stop(h, status);
	return status;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], RELAY_ARG))
		return pump_main(argc, argv);
	/* Large and zeroed: not on the stack. */
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		return CHAN_EXIT_FAILED;
	h->ready_fd = h->lock_fd = h->listen_fd = h->takeover_fd = -1;
	h->argc = argc;
	h->argv = argv;
	int status = read_options(h, argc, argv);
	if (status == GO_ON)
		status = serve(h);
	free(h);
	return status;
}

/* Inside the control thread: its records, shared by control.c, attach.c and admin.c. */
// SPDX-License-Identifier: MIT
#pragma once
#include <ev.h>
#include <stdint.h>
#include <time.h>
#include "stack/base/list.h"
#include "stack/chan/layout.h"
#include "stack/host/host.h"
#include "stack/sock/client.h"

struct control {
	struct host *h;
	struct ev_loop *loop;
	ev_io listen_io, mail_io;
	ev_signal term, intr;
	ev_timer linger;     /* runs while an auto-started engine has no client */
	ev_timer retry;	     /* accept() again after descriptors ran out */
	ev_timer drain;	     /* the longest that stopping takes */
	struct list conns;   /* struct conn */
	struct list clients; /* struct attached */
	struct list tickets; /* struct ticket */
	struct list relays;  /* struct relay */
	uint64_t ticket_number;
	uint32_t n_clients, next_number;
	int mail_fd;
	bool stopping;
	time_t started;
	void *admin_out;     /* of the command being run */
	struct upgrade *upgrade;   /* we are handing over, NULL: not */
	struct drain *guest;	   /* we have, and serve what is left */
	struct takeover *takeover; /* the engine before us still does */
};

/* A client in the control thread's books: from HELLO until its last connection has drained. */
struct attached {
	struct list link;
	struct client *c;
	bool gone; /* client_del() was called */
	int ticket_proc;    /* the process number that holds what its tickets stand for, -1: none */
	uint32_t n_tickets;
};

enum { CONN_IN_FDS = 4 };
enum conn_kind {
	CONN_NEW,   /* nothing said yet */
	CONN_PROC,  /* a process of a client */
	CONN_TOKEN, /* for a process that is not born yet, or has not spoken */
	CONN_ADMIN, /* the tool */
};
/* One unix socket. */
struct conn {
	struct list link;
	struct control *ctl;
	ev_io io, pid_io;
	int fd, pidfd;
	enum conn_kind kind;
	uint32_t pid, uid, gid;	  /* of the process at the other end, 0: not known */
	struct attached *client; /* PROC, TOKEN */
	uint32_t proc;
	char *out;		  /* ADMIN: what is left to send */
	size_t out_len, out_at;
	bool waits;		  /* ADMIN: for control_admin_done() */
	int in[CONN_IN_FDS];	  /* came with the message at hand; what is not taken (-1) is closed */
	unsigned n_in;
};

/* control.c */
struct conn *conn_new(struct control *ctl, int fd, enum conn_kind kind);
/* The process behind it ended, or hung up: its sockets are closed. Frees conn. */
void conn_gone(struct conn *conn);
/* Watches for the death of conn->pid. pidfd: taken over, or -1 to open one. */
void conn_watch_pid(struct conn *conn, int pidfd);
/* NULL: none of that number. */
struct client *control_client(struct control *ctl, uint32_t number);
void control_client_added(struct control *ctl, struct attached *a);
/* Throws a client out: all its sockets end, its processes are told. */
void control_detach(struct control *ctl, struct attached *a);
void control_stop(struct control *ctl);
/* Nobody connects here any more: the unix socket and all that goes with it is another engine's. */
void control_moved(struct control *ctl);
/* The engine before this one has ended. */
void control_guest_gone(struct control *ctl);
/* The answer to a command that took its time: a table. */
void control_admin_done(struct conn *conn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A process number of a that has no conn is over. */
void control_proc_gone(struct control *ctl, struct attached *a, uint32_t proc);

/* attach.c: messages of programs. False: hang up. */
bool attach_answer(struct conn *conn, struct chan_msg *m, const int *fds, unsigned n_fds);
/* A token (see chan_app_token()) of client a for a process of user uid: descriptor and number, or
 * -errno. */
int attach_token(struct control *ctl, struct attached *a, uint32_t uid, int *fd, uint32_t *number);
bool attach_message(struct conn *conn, const struct chan_msg *m, uint32_t sender_pid);
void attach_refuse(struct conn *conn, int err, const char *text);

/* ticket.c: False: hang up. */
bool ticket_open(struct conn *conn, const struct chan_msg *m);
bool ticket_claim(struct conn *conn);
/* Process number proc of a has ended, perhaps by an exec. */
void ticket_proc_gone(struct control *ctl, struct attached *a, uint32_t proc);
/* All tickets of a client that is thrown out, or (NULL) of all. */
void ticket_drop_all(struct control *ctl, struct attached *a);

/* admin.c: runs a command line of the tool; its output, malloc'd, with its length. 0, a positive errno
 * (the text is then the complaint), or -EINPROGRESS: it will be answered by control_admin_done(). */
int admin_run(struct conn *conn, const char *line, char **out, size_t *len);

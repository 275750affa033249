/* The programming interface of mTCP 3.0, served by fastnet: link with -lmtcp. Unless a page says
 * otherwise a function returns -1 and sets errno when it fails. docs/man has a page for each;
 * docs/moving-from-mtcp.md tells what differs. C and C++. */
// SPDX-License-Identifier: MIT
#ifndef FASTNET_MTCP_API_H
#define FASTNET_MTCP_API_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifndef UNUSED
#define UNUSED(x) (void)x
#endif
#ifndef INPORT_ANY
#define INPORT_ANY (uint16_t)0
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a descriptor of a context can be. */
enum socket_type {
	MTCP_SOCK_UNUSED,
	MTCP_SOCK_STREAM,
	MTCP_SOCK_PROXY, /* for the numbers' sake: nothing makes one */
	MTCP_SOCK_LISTENER,
	MTCP_SOCK_EPOLL,
	MTCP_SOCK_PIPE,
};

struct mtcp_conf {
	int num_cores;	     /* contexts that may exist, numbered from 0 */
	int max_concurrency; /* descriptors of a context */
	int max_num_buffers; /* kept for the program that asks: buffers grow as needed */
	int rcvbuf_size;     /* bytes, 0: grows by itself */
	int sndbuf_size;
	int tcp_timewait;    /* seconds; kept, has no effect */
	int tcp_timeout;     /* seconds until a silent peer is given up, 0 or -1: never */
};

/* A context: descriptors and events of one thread. */
typedef struct mtcp_context *mctx_t;
typedef void (*mtcp_sighandler_t)(int);

/* ---- the library ---- */
int mtcp_app_init(void);
int mtcp_init(const char *config_file);
void mtcp_destroy(void);
int mtcp_getconf(struct mtcp_conf *conf);
int mtcp_setconf(const struct mtcp_conf *conf);
mtcp_sighandler_t mtcp_register_signal(int signum, mtcp_sighandler_t handler);

/* ---- contexts ---- */
int mtcp_core_affinitize(int cpu);
mctx_t mtcp_create_context(int cpu);
void mtcp_destroy_context(mctx_t mctx);

/* ---- sockets ---- */
int mtcp_socket(mctx_t mctx, int domain, int type, int protocol);
int mtcp_bind(mctx_t mctx, int sockid, const struct sockaddr *addr, socklen_t addrlen);
int mtcp_listen(mctx_t mctx, int sockid, int backlog);
int mtcp_accept(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen);
/* Addresses in network order, as is dport. */
int mtcp_init_rss(mctx_t mctx, in_addr_t saddr_base, int num_addr, in_addr_t daddr, in_addr_t dport);
int mtcp_connect(mctx_t mctx, int sockid, const struct sockaddr *addr, socklen_t addrlen);
int mtcp_close(mctx_t mctx, int sockid);
int mtcp_abort(mctx_t mctx, int sockid);
int mtcp_shutdown(mctx_t mctx, int sockid, int how);
int mtcp_getsockname(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen);
int mtcp_getpeername(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen);
int mtcp_getsockopt(mctx_t mctx, int sockid, int level, int optname, void *optval, socklen_t *optlen);
int mtcp_setsockopt(mctx_t mctx, int sockid, int level, int optname, const void *optval,
		    socklen_t optlen);
int mtcp_setsock_nonblock(mctx_t mctx, int sockid);
int mtcp_socket_ioctl(mctx_t mctx, int sockid, int request, void *argp);

/* ---- bytes ---- */
ssize_t mtcp_read(mctx_t mctx, int sockid, char *buf, size_t len);
ssize_t mtcp_recv(mctx_t mctx, int sockid, char *buf, size_t len, int flags);
int mtcp_readv(mctx_t mctx, int sockid, const struct iovec *iov, int num_iov);
ssize_t mtcp_write(mctx_t mctx, int sockid, const char *buf, size_t len);
int mtcp_writev(mctx_t mctx, int sockid, const struct iovec *iov, int num_iov);
/* pipeid[0] is read, pipeid[1] written; the one thing of a context that another thread may write. */
int mtcp_pipe(mctx_t mctx, int pipeid[2]);

#ifdef __cplusplus
}
#endif

#endif

/* A program that takes every name of mTCP's interface, for header.sh: C and C++. */
// SPDX-License-Identifier: MIT
#include <mtcp_epoll.h>
#include <mtcp_api.h>

static mctx_t context;

int main(int argc, char **argv)
{
	struct mtcp_conf conf;
	struct mtcp_epoll_event ev;
	struct sockaddr_in in;
	struct sockaddr *addr = (struct sockaddr *)&in;
	socklen_t len = sizeof(in);
	struct iovec iov = { argv, 1 };
	char *buf = argv[0];
	int pipes[2], v = argc;
	long sum = 0;

	UNUSED(buf);
	if (argc < 1000) /* only the compiler and the linker are asked */
		return INPORT_ANY;
	ev.events = MTCP_EPOLLIN | MTCP_EPOLLOUT | MTCP_EPOLLERR | MTCP_EPOLLHUP | MTCP_EPOLLRDHUP;
	ev.events |= (uint32_t)MTCP_EPOLLET | MTCP_EPOLLONESHOT;
	ev.data.sockid = MTCP_SOCK_UNUSED;
	sum += mtcp_app_init() + mtcp_init(argv[1]) + mtcp_getconf(&conf) + mtcp_setconf(&conf);
	sum += mtcp_core_affinitize(0);
	context = mtcp_create_context(0);
	mtcp_register_signal(2, (mtcp_sighandler_t)0);
	sum += mtcp_socket(context, AF_INET, SOCK_STREAM, 0) + mtcp_bind(context, 0, addr, len);
	sum += mtcp_listen(context, 0, 1) + mtcp_accept(context, 0, addr, &len);
	sum += mtcp_init_rss(context, INADDR_ANY, 1, in.sin_addr.s_addr, in.sin_port);
	sum += mtcp_connect(context, 0, addr, len) + mtcp_abort(context, 0) + mtcp_shutdown(context, 0, 1);
	sum += mtcp_getsockname(context, 0, addr, &len) + mtcp_getpeername(context, 0, addr, &len);
	sum += mtcp_getsockopt(context, 0, SOL_SOCKET, SO_ERROR, &v, &len);
	sum += mtcp_setsockopt(context, 0, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v));
	sum += mtcp_setsock_nonblock(context, 0) + mtcp_socket_ioctl(context, 0, 0, &v);
	sum += mtcp_read(context, 0, buf, 1) + mtcp_recv(context, 0, buf, 1, 0);
	sum += mtcp_readv(context, 0, &iov, 1);
	sum += mtcp_write(context, 0, buf, 1) + mtcp_writev(context, 0, &iov, 1) + mtcp_pipe(context, pipes);
	sum += mtcp_epoll_create(context, 1) + mtcp_epoll_create1(context, 0);
	sum += mtcp_epoll_ctl(context, 0, MTCP_EPOLL_CTL_ADD, 0, &ev);
	sum += mtcp_epoll_wait(context, 0, &ev, 1, 0) + EventToString(ev.events)[0] + mtcp_close(context, 0);
	mtcp_destroy_context(context);
	mtcp_destroy();
	return (int)sum;
}

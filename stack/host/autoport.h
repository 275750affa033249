/* port=auto: a veth pair made for one engine. The host's end has an address and belongs to the
 * kernel; the engine drives the other end. Both go away with the engine, or at the next start of
 * one. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

enum { AUTOPORT_ERR_MAX = 256, AUTOPORT_NETS = 256 };
struct autoport {
	int name_fd, net_fd;	 /* abstract sockets: signs that name and net are taken */
	uint32_t net;		 /* x of 10.77.x.0/24 */
	char host[16], engine[16]; /* interface names */
	char addr[32];		 /* the engine's address with its length: 10.77.x.2/24 */
};

/* Makes the pair with n queues, up and ready to be driven. 0, or -errno and err (-EPERM: not
 * allowed to). Also removes pairs whose engines died. */
int autoport_open(struct autoport *a, uint32_t n_queues, char err[AUTOPORT_ERR_MAX]);
void autoport_close(struct autoport *a);

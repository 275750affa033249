/* What the peer of a vhost port can take. It comes and goes while the port is open, and the driver reports
 * what the port could do, not what the two have agreed upon. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct port_vhost {
	uint16_t port_id;
	bool watched;
	_Atomic bool tso_off; /* [a] written by driver's events */
};

/* From now on *v knows, at an address that stays: true in what is returned means that the peer takes no
 * segments that it would have to cut, or that there is none. */
const _Atomic bool *port_vhost_watch(struct port_vhost *v, uint16_t port_id);
void port_vhost_unwatch(struct port_vhost *v);

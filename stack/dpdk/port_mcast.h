/* Frames to groups: a port hears them all, ip4_input() chooses. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

/* Makes port id hear all multicast frames. A descriptor that keeps it so and is closed with the port, or -1:
 * none needed, or not possible (logged). ifindex: the kernel's interface under the port, 0: none. */
int port_mcast_open(uint16_t id, uint32_t ifindex, const char *name);

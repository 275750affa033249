/* Two applications on one engine: see pair.h. */
// SPDX-License-Identifier: MIT
#include "pair.h"

struct rig *rig;
struct chan_app srv, cli;
struct client *csrv, *ccli;

void pair_up_as(uint32_t workers, const struct client_conf *of_srv, const struct client_conf *of_cli)
{
	rig = rig_new(workers);
	csrv = rig_client(rig, &srv, of_srv);
	ccli = rig_client(rig, &cli, of_cli);
}

void pair_up(uint32_t workers) { pair_up_as(workers, NULL, NULL); }

void pair_down(void)
{
	rig_client_end(rig, ccli, &cli);
	rig_client_end(rig, csrv, &srv);
	rig_free(rig);
}

void pair_pattern(uint8_t *p, size_t n, uint32_t salt)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)((i * 2654435761u + salt) >> 13);
}

/* TCP_FASTOPEN_KEY: the keys that a listener's Fast Open cookies are made with, from a call to the
 * listener and back. Does not make cookies (tcp_fastopen.c). */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include "stack/sock/sock_int.h"

static uint64_t word(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--) /* as Linux reads it */
		v = v << 8 | p[i];
	return v;
}

int sock_fo_keys_take(struct tcp_fo_keys *keys, const uint8_t key[CHAN_FO_KEY_MAX], uint64_t len)
{
	if (len == 0)
		return 0;
	if (len != CHAN_FO_KEY && len != CHAN_FO_KEY_MAX)
		return -EINVAL;
	keys->n = (uint32_t)(len / CHAN_FO_KEY);
	for (uint32_t i = 0; i < keys->n; i++)
		keys->key[i] = (struct siphash_key){ { word(key + i * CHAN_FO_KEY),
						       word(key + i * CHAN_FO_KEY + 8) } };
	return 0;
}

static uint32_t give(const struct tcp_fo_keys *keys, uint8_t *to)
{
	for (uint32_t i = 0; i < keys->n * CHAN_FO_KEY; i++)
		to[i] = (uint8_t)(keys->key[i / CHAN_FO_KEY].k[i % CHAN_FO_KEY / 8] >> 8 * (i % 8));
	return keys->n * CHAN_FO_KEY;
}

int sock_fo_key(struct call *k)
{
	struct chan_call_a *a = &k->cw->client->call_a[k->slot];
	struct listener *l = k->s->dgram ? NULL : k->s->l;
	int err;

	if (!l)
		return -EINVAL;
	err = sock_fo_keys_take(&l->tl.fo_keys, k->req.key, k->req.arg[0]);
	if (err)
		return err;
	if (k->req.arg[0])
		sock_listener_changed(k->s);
	a->len = give(&l->tl.fo_keys, a->payload);
	return 0;
}

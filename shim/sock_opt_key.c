/* TCP_FASTOPEN_KEY: kept with the socket, taken along by its listen(); once it listens the engine has it. It
 * is an option that has an effect on a listener alone, as on Linux. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include "shim/sock_conn.h"
#include "shim/sock_opt_int.h"
#include "stack/chan/app.h"

static bool has_listener(const struct sock *s)
{
	return sock_is_attached(s) && sock_has(s, SOCK_LISTENING) && !sock_is_dead(s);
}

static int call(struct sock *s, struct chan_req *req, struct chan_rep *rep)
{
	req->op = CHAN_OP_FO_KEY;
	req->sock = s->id;
	req->gen = s->gen;
	return chan_call(s->app, s->a->worker, req, rep);
}

int opt_set_fo_key(struct sock *s, const void *val, socklen_t len)
{
	struct chan_req req = { .arg = { len } };

	if (len != CHAN_FO_KEY && len != CHAN_FO_KEY_MAX)
		return -EINVAL;
	if (opt_take(req.key, val, len) < 0)
		return -EFAULT;
	if (!s->draft && !sock_draft_add(s))
		return -ENOMEM;
	memcpy(s->draft->fo_key, req.key, sizeof(req.key));
	s->draft->fo_key_len = len;
	if (has_listener(s)) /* one that has just ended listens anew with it */
		call(s, &req, NULL);
	return 0;
}

/* Another process may have set it. */
ssize_t opt_get_fo_key(struct sock *s, void *buf, size_t room)
{
	struct chan_req req = { .op = CHAN_OP_FO_KEY };
	struct chan_rep rep = { .len = 0 };
	uint32_t len = s->draft ? s->draft->fo_key_len : 0;
	const void *key = len ? s->draft->fo_key : rep.payload;

	if (has_listener(s) && call(s, &req, &rep) == 0) {
		key = rep.payload;
		len = rep.len;
	}
	len = (uint32_t)min_u64(room, len);
	memcpy(buf, key, len);
	return (ssize_t)len;
}

void sock_opt_put_key(const struct sock *s, struct chan_req *req)
{
	if (!s->draft || !s->draft->fo_key_len)
		return;
	memcpy(req->key, s->draft->fo_key, sizeof(req->key));
	req->arg[1] = s->draft->fo_key_len;
}

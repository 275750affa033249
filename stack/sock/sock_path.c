/* The links or the routes have changed: what sockets know of their paths is looked up again. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

static void look_again(struct sock *s)
{
	struct sock_env *env = s->cw->env;

	if (s->dgram && udp_is_connected(&s->dg.udp))
		s->a->path_mtu = env->host->path_mtu(env->host_arg, &s->dg.udp.remote);
	else if (!s->dgram && s->started && !s->l)
		tcp_path_changed(&env->tcp, &s->conn, env->now_ns);
}

void sock_paths_changed(struct sock_env *env)
{
	const struct list *heads[] = { &env->clients, &env->closing };

	for (unsigned h = 0; h < ARRAY_LEN(heads); h++) {
		list_for_each(it, heads[h]) {
			struct client_worker *cw = container_of(it, struct client_worker, link);

			list_for_each(is, &cw->socks)
				look_again(container_of(is, struct sock, link));
		}
	}
}

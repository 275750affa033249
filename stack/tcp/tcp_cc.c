/* The list of congestion controllers, index 0 is the default; which one a connection has, and the pool of
 * what those that live on rates need beside it. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include <string.h>
#include "stack/tcp/tcp_bbr.h"
#include "stack/tcp/tcp_core.h"

static const struct tcp_cc_ops *const all[] = {
#define CC_DEF(name) &tcp_cc_##name,
#include "stack/base/cc.def"
#undef CC_DEF
};

const struct tcp_cc_ops *tcp_cc_of(uint8_t cc)
{
	return all[cc > 0 && cc <= ARRAY_LEN(all) ? cc - 1 : 0];
}

const struct tcp_cc_ops *tcp_cc_for(const struct tcp_env *env, uint8_t cc)
{
	return tcp_cc_of(cc ? cc : env->cc);
}

int tcp_cc_find(const char *name)
{
	for (uint32_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strcmp(all[i]->name, name) == 0)
			return (int)i + 1;
	}
	return -1;
}

/* The oldest returned first, or one never used: its pages are touched only then. */
static struct tcp_model *model_get(struct tcp_table *t)
{
	struct tcp_model *m = t->model_free;

	if (m)
		t->model_free = m->next;
	else if (t->models_used < t->models_max)
		m = &t->models[t->models_used++];
	return m;
}

void tcp_cc_stop(const struct tcp_env *env, struct tcp_conn *c)
{
	if (!c->model)
		return;
	c->model->next = env->table->model_free;
	env->table->model_free = c->model;
	env->table->models_live--;
	c->model = NULL;
	c->pace_rate = 0;
	tcp_rate_init(c);
}

void tcp_cc_start(const struct tcp_env *env, struct tcp_conn *c, bool again)
{
	const struct tcp_cc_ops *cc = tcp_cc_for(env, c->opts.cc);

	if (cc == c->cc && !again)
		return;
	if (!cc->control) {
		tcp_cc_stop(env, c);
	} else if (!c->model) {
		c->model = model_get(env->table);
		if (c->model) {
			env->table->models_live++;
		} else {
			STAT_INC(tcp_cc_nomem);
			cc = all[0];
		}
	}
	c->cc = cc;
	tcp_rate_init(c);
	cc->init(c);
	tcp_pace_changed(c);
}

/* Intrusive doubly linked list; a node that is on no list points to itself. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include "stack/base/util.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_insert(struct list *n, struct list *prev, struct list *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}
static inline void list_push(struct list *head, struct list *n) { list_insert(n, head->prev, head); }
static inline void list_push_front(struct list *head, struct list *n)
{
	list_insert(n, head, head->next);
}
/* Safe on a node that is on no list. */
static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}
/* First node taken off, or NULL. */
static inline struct list *list_pop(struct list *head)
{
	struct list *n = head->next;
	if (n == head)
		return NULL;
	list_del(n);
	return n;
}
#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_for_each_safe(it, tmp, head) \
	for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

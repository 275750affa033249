/* What the programs about all options of stream sockets share: one option, read and set with good and bad
 * lengths and values, as a line. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/shim/t.h"

enum { NAMES = 91, ROOM = 320, LINE = 2048 };

/* Values that are a matter of the machine, the moment or the path. */
static bool is_free(int level, int name)
{
	static const struct {
		int level, name;
	} list[] = {
		{ SOL_SOCKET, 49 /* INCOMING_CPU */ },	{ SOL_SOCKET, 56 /* INCOMING_NAPI_ID */ },
		{ SOL_SOCKET, 57 /* COOKIE */ },	{ SOL_SOCKET, SO_SNDBUF },
		{ SOL_SOCKET, SO_RCVBUF },		{ SOL_SOCKET, 71 /* NETNS_COOKIE */ },
		{ SOL_SOCKET, 17 /* PEERCRED */ },	{ IPPROTO_TCP, TCP_MAXSEG },
		{ IPPROTO_TCP, TCP_WINDOW_CLAMP },	{ IPPROTO_TCP, TCP_TIMESTAMP },
		{ IPPROTO_TCP, TCP_CONGESTION },	{ IPPROTO_IP, IP_MTU },
		{ IPPROTO_TCP, TCP_CC_INFO },		{ IPPROTO_TCP, TCP_INFO },
		{ SOL_SOCKET, 55 /* MEMINFO */ },	{ SOL_SOCKET, SO_PEERNAME },
		{ IPPROTO_IPV6, IPV6_MTU },		{ SOL_SOCKET, 31 /* PEERSEC */ },
		{ IPPROTO_IP, 52 /* PROTOCOL */ },
	};

	for (size_t i = 0; i < T_COUNT(list); i++)
		if (list[i].level == level && list[i].name == name)
			return true;
	return false;
}

static size_t get(char *out, int fd, int level, int name, socklen_t given, void *to)
{
	static unsigned char buf[ROOM];
	int len = (int)given, v;

	memset(buf, 0x5a, sizeof(buf));
	int r = getsockopt(fd, level, name, to ? to : buf, (socklen_t *)&len);
	if (level == IPPROTO_TCP && name == TCP_CC_INFO) /* as long as the controller makes it */
		return (size_t)sprintf(out, " *");
	if (r < 0)
		return (size_t)sprintf(out, " %s", t_errname(errno));
	if (to || is_free(level, name))
		return (size_t)sprintf(out, " */%d", len);
	if (len == sizeof(int)) {
		memcpy(&v, buf, sizeof(v));
		return (size_t)sprintf(out, " %d/%d", v, len);
	}
	size_t n = (size_t)sprintf(out, " ");
	for (int i = 0; i < len && i < 16; i++)
		n += (size_t)sprintf(out + n, "%02x", buf[i]);
	return n + (size_t)sprintf(out + n, "/%d", len);
}

static size_t set(char *out, int fd, int level, int name, const void *val, int len)
{
	if (setsockopt(fd, level, name, val, (socklen_t)len) < 0)
		return (size_t)sprintf(out, " %s", t_errname(errno));
	return (size_t)sprintf(out, " ok") + get(out + 3, fd, level, name, 4, NULL);
}

/* Is this an option that does nothing but say that there is none? */
static bool is_dull(const char *line)
{
	char copy[LINE], *save, *word, *first;

	snprintf(copy, sizeof(copy), "%s", line);
	first = strtok_r(copy, " ", &save);
	while ((word = strtok_r(NULL, " ", &save)))
		if (strcmp(word, first) && strcmp(word, "EFAULT") && strcmp(word, "EINVAL") &&
		    strcmp(word, "|"))
			return false;
	return !strcmp(first, "ENOPROTOOPT") || !strcmp(first, "EOPNOTSUPP");
}

static void one(int level, int name, int fd, char *line)
{
	static const int values[] = { 1, 0, 2, -1, 63, 255, 256, 40000, INT32_MAX, INT32_MIN };
	static const int get_lens[] = { 4, 0, 1, 3, 5, 8, 64, -1 };
	static const int set_lens[] = { 0, 1, 2, 3, 5, 8, 12, 16, 17, 64, -1 };
	unsigned char big[ROOM] = { 1 };
	size_t n = 0;

	for (size_t i = 0; i < T_COUNT(get_lens); i++)
		n += get(line + n, fd, level, name, (socklen_t)get_lens[i], NULL);
	n += get(line + n, fd, level, name, 4, (void *)8);
	if (getsockopt(fd, level, name, big, NULL) < 0)
		n += (size_t)sprintf(line + n, " %s |", t_errname(errno));
	else
		n += (size_t)sprintf(line + n, " ok |");
	for (size_t i = 0; i < T_COUNT(values); i++)
		n += set(line + n, fd, level, name, &values[i], 4);
	for (size_t i = 0; i < T_COUNT(set_lens); i++)
		n += set(line + n, fd, level, name, big, set_lens[i]);
	n += set(line + n, fd, level, name, (void *)8, 4);
	n += set(line + n, fd, level, name, NULL, 0);
	n += set(line + n, fd, level, name, NULL, 64);
	if (is_dull(line + 1))
		line[0] = '\0';
}

/* rtnetlink by libmnl: build a request, send it, read the answer to its end. */
// SPDX-License-Identifier: MIT
#include "stack/host/nl.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { BUF = 16384, TIMEOUT_S = 5 };

int nl_open(struct nl *nl)
{
	struct timeval tv = { .tv_sec = TIMEOUT_S };

	nl->seq = 1;
	nl->s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->s)
		return -errno;
	setsockopt(mnl_socket_get_fd(nl->s), SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (mnl_socket_bind(nl->s, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		mnl_socket_close(nl->s);
		nl->s = NULL;
		return err;
	}
	return 0;
}

void nl_close(struct nl *nl)
{
	if (nl->s)
		mnl_socket_close(nl->s);
	nl->s = NULL;
}

static struct nlmsghdr *request(struct nl *nl, char *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = nl->seq++;
	return h;
}

static int talk(struct nl *nl, struct nlmsghdr *h, mnl_cb_t cb, void *arg)
{
	char buf[BUF];
	int r = MNL_CB_OK;

	if (mnl_socket_sendto(nl->s, h, h->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl->s, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)n, h->nlmsg_seq, mnl_socket_get_portid(nl->s), cb, arg);
	}
	return r < 0 ? -errno : 0;
}

static struct ifinfomsg *put_ifinfo(struct nlmsghdr *h, uint32_t index)
{
	struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof(*i));

	i->ifi_family = AF_UNSPEC;
	i->ifi_index = (int)index;
	return i;
}

static void put_end(struct nlmsghdr *h, const char *name, uint32_t n_queues)
{
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_NUM_TX_QUEUES, n_queues);
	mnl_attr_put_u32(h, IFLA_NUM_RX_QUEUES, n_queues);
}

int nl_veth_add(struct nl *nl, const char *a, const char *b, uint32_t n_queues)
{
	char buf[BUF];
	struct nlmsghdr *h = request(nl, buf, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);

	put_ifinfo(h, 0);
	put_end(h, a, n_queues);
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	put_ifinfo(h, 0);
	put_end(h, b, n_queues);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return talk(nl, h, NULL, NULL);
}

int nl_link_del(struct nl *nl, const char *name)
{
	char buf[BUF];
	struct nlmsghdr *h = request(nl, buf, RTM_DELLINK, NLM_F_ACK);

	put_ifinfo(h, 0);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return talk(nl, h, NULL, NULL);
}

int nl_link_up(struct nl *nl, uint32_t index)
{
	char buf[BUF];
	struct nlmsghdr *h = request(nl, buf, RTM_NEWLINK, NLM_F_ACK);
	struct ifinfomsg *i = put_ifinfo(h, index);

	i->ifi_flags = i->ifi_change = IFF_UP;
	return talk(nl, h, NULL, NULL);
}

int nl_link_no_ip6(struct nl *nl, uint32_t index)
{
	char buf[BUF];
	struct nlmsghdr *h = request(nl, buf, RTM_NEWLINK, NLM_F_ACK);

	put_ifinfo(h, index);
	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	struct nlattr *ip6 = mnl_attr_nest_start(h, AF_INET6);
	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, ip6);
	mnl_attr_nest_end(h, spec);
	return talk(nl, h, NULL, NULL);
}

int nl_link_no_xdp(struct nl *nl, uint32_t index)
{
	char buf[BUF];
	struct nlmsghdr *h = request(nl, buf, RTM_SETLINK, NLM_F_ACK);

	put_ifinfo(h, index);
	struct nlattr *xdp = mnl_attr_nest_start(h, IFLA_XDP);
	mnl_attr_put_u32(h, IFLA_XDP_FD, UINT32_MAX); /* -1: none */
	mnl_attr_nest_end(h, xdp);
	return talk(nl, h, NULL, NULL);
}

int nl_addr4_add(struct nl *nl, uint32_t index, uint32_t ip4, uint8_t plen)
{
	char buf[BUF];
	struct nlmsghdr *h = request(nl, buf, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->ifa_family = AF_INET;
	m->ifa_prefixlen = plen;
	m->ifa_index = index;
	mnl_attr_put_u32(h, IFA_LOCAL, htonl(ip4));
	mnl_attr_put_u32(h, IFA_ADDRESS, htonl(ip4));
	mnl_attr_put_u32(h, IFA_BROADCAST, htonl(ip4 | (plen ? ~0u >> plen : ~0u)));
	return talk(nl, h, NULL, NULL);
}

struct each {
	bool (*link)(void *arg, const char *name);
	bool (*addr4)(void *arg, uint32_t ip4, uint8_t plen);
	void *arg;
	bool done;
};

/* After `done` the rest of the dump is read and ignored, so that the socket stays in step. */
static int see_link(const struct nlmsghdr *h, void *arg)
{
	struct each *e = arg;
	struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(a) == IFLA_IFNAME && !e->done &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			e->done = !e->link(e->arg, mnl_attr_get_str(a));
	}
	return MNL_CB_OK;
}

static int see_addr4(const struct nlmsghdr *h, void *arg)
{
	struct each *e = arg;
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(*m)) {
		if (mnl_attr_get_type(a) == IFA_LOCAL && !e->done &&
		    mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
			e->done = !e->addr4(e->arg, ntohl(mnl_attr_get_u32(a)), m->ifa_prefixlen);
	}
	return MNL_CB_OK;
}

int nl_each_link(struct nl *nl, bool (*see)(void *arg, const char *name), void *arg)
{
	char buf[BUF];
	struct nlmsghdr *h = request(nl, buf, RTM_GETLINK, NLM_F_DUMP);
	struct each e = { .link = see, .arg = arg };

	put_ifinfo(h, 0);
	return talk(nl, h, see_link, &e);
}

int nl_each_addr4(struct nl *nl, bool (*see)(void *arg, uint32_t ip4, uint8_t plen), void *arg)
{
	char buf[BUF];
	struct nlmsghdr *h = request(nl, buf, RTM_GETADDR, NLM_F_DUMP);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	struct each e = { .addr4 = see, .arg = arg };

	m->ifa_family = AF_INET;
	return talk(nl, h, see_addr4, &e);
}

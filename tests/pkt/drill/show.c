/* A packet in the notation of scripts, for messages. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "stack/base/strbuf.h"
#include "tests/pkt/drill/packet.h"

static void show_option(struct strbuf *s, const struct pkt_opt *o)
{
	switch (o->kind) {
	case OPT_EOL:
		strbuf_put(s, "eol");
		break;
	case OPT_NOP:
		strbuf_put(s, "nop");
		break;
	case OPT_MSS:
		strbuf_put(s, o->any ? "mss *" : "mss %u", o->v[0]);
		break;
	case OPT_WSCALE:
		strbuf_put(s, o->any ? "wscale *" : "wscale %u", o->v[0]);
		break;
	case OPT_SACKOK:
		strbuf_put(s, "sackOK");
		break;
	case OPT_SACK:
		strbuf_put(s, "sack");
		for (int i = 0; i < o->n; i++)
			strbuf_put(s, " %u:%u", o->v[2 * i], o->v[2 * i + 1]);
		break;
	case OPT_TS:
		strbuf_put(s, "TS val %u ecr %u", o->v[0], o->v[1]);
		break;
	default:
		strbuf_put(s, "%s %u ", o->kind == OPT_FO ? "FO" : "kind", o->kind);
		for (int i = 0; i < o->n; i++)
			strbuf_put(s, "%02x", o->bytes[i]);
	}
}

static void show_tcp(struct strbuf *s, const struct pkt *k)
{
	static const char letters[] = "FSRP.UEW";

	for (int i = 0; i < 8; i++) {
		static const uint8_t order[] = {PKT_F, PKT_S, PKT_R, PKT_P,
						PKT_A, PKT_U, PKT_E, PKT_W};

		if (k->flags & order[i])
			strbuf_put(s, "%c", letters[i]);
	}
	strbuf_put(s, "%s %u:%u(%u)", k->flags ? "" : "-", k->seq, k->seq + k->len, k->len);
	if (k->flags & PKT_A)
		strbuf_put(s, " ack %u", k->ack);
	strbuf_put(s, " win %u", k->win);
	if (k->urg)
		strbuf_put(s, " urg %u", k->urg);
	if (k->n_opts) {
		strbuf_put(s, " <");
		for (int i = 0; i < k->n_opts; i++) {
			strbuf_put(s, i ? "," : "");
			show_option(s, &k->opt[i]);
		}
		strbuf_put(s, ">");
	}
}

const char *packet_show(const struct pkt *k, char *buf, size_t n)
{
	static const char *const ecn[] = {"", "[ect1] ", "[ect0] ", "[ce] "};
	struct strbuf s = strbuf_of(buf, (int)n);

	if (k->flow > 1)
		strbuf_put(&s, "@%u ", k->flow);
	strbuf_put(&s, "%s", ecn[k->ecn & 3]);
	if (k->proto == PKT_TCP) {
		show_tcp(&s, k);
		if (!k->flow)
			strbuf_put(&s, " (ports %u to %u: no flow of the script)", k->sport,
				   k->dport);
	} else if (k->proto == PKT_UDP) {
		strbuf_put(&s, "udp (%u)", k->len);
	} else {
		strbuf_put(&s, "icmp type %u code %u", k->icmp_type, k->icmp_code);
		if (k->mtu)
			strbuf_put(&s, " mtu %u", k->mtu);
	}
	return buf;
}

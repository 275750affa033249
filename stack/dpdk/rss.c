/* The symmetric Toeplitz key and the redirection table. */
// SPDX-License-Identifier: MIT
#include "stack/dpdk/rss.h"
#include <string.h>
#include <rte_ethdev.h>
#include "stack/net/flow.h"

enum { KEY_DEFAULT = 40, KEY_MAX = 64, RETA_MAX = 2048 };

bool rss_request(struct rte_eth_conf *conf, const struct rte_eth_dev_info *info, uint8_t key[64])
{
	const uint64_t want = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	uint8_t len = info->hash_key_size ? info->hash_key_size : KEY_DEFAULT;

	if ((info->flow_type_rss_offloads & want) != want || len > KEY_MAX ||
	    info->reta_size < FLOW_RETA || info->reta_size > RETA_MAX ||
	    info->reta_size % FLOW_RETA)
		return false;
	for (uint8_t i = 0; i < len; i++)
		key[i] = i & 1 ? FLOW_RSS_KEY & 0xff : FLOW_RSS_KEY >> 8;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_key = key;
	conf->rx_adv_conf.rss_conf.rss_key_len = len;
	conf->rx_adv_conf.rss_conf.rss_hf = want;
	return true;
}

bool rss_table(uint16_t port_id, const struct rte_eth_dev_info *info, uint16_t n_queues)
{
	struct rte_eth_rss_reta_entry64 t[RETA_MAX / RTE_ETH_RETA_GROUP_SIZE];

	memset(t, 0, sizeof(t));
	for (uint16_t i = 0; i < info->reta_size; i++) {
		struct rte_eth_rss_reta_entry64 *e = &t[i / RTE_ETH_RETA_GROUP_SIZE];

		e->mask = UINT64_MAX;
		e->reta[i % RTE_ETH_RETA_GROUP_SIZE] =
			(uint16_t)flow_worker_of(i % FLOW_RETA, n_queues);
	}
	return rte_eth_dev_rss_reta_update(port_id, t, info->reta_size) == 0;
}

/* Makes a port spread flows over its queues exactly as stack/net/flow.h computes. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct rte_eth_conf;
struct rte_eth_dev_info;

/* Before configuring: asks for RSS by our key. False: the device can't, nothing changed. The key
 * lives in `key` (at least 52 bytes, valid until the port is configured). */
bool rss_request(struct rte_eth_conf *conf, const struct rte_eth_dev_info *info, uint8_t key[64]);
/* After start: fills the redirection table. False: the port does not spread by our rule. */
bool rss_table(uint16_t port_id, const struct rte_eth_dev_info *info, uint16_t n_queues);

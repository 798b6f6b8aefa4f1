/* SPDX-License-Identifier: Apache-2.0
 * Cache sizes as tile and chunk sizes are made from. */
#ifndef SCO_ARCH_CACHE_H
#define SCO_ARCH_CACHE_H

#include "stepcost/topology.h"

/* Bytes that one rank of a team may count on at each level, peers under the same cache taken into account. Where the
 * system does not tell L1 or L2 (virtual machines, emulators), the smallest of current server cores stands in. l3 = 0:
 * none, and then l2 is the last level. */
struct sco_cache_budget {
    size_t l1, l2, l3;
};

/* Of one rank: chunk sizes that may differ from core to core on hybrid machines. */
struct sco_cache_budget sco_cache_budget_rank(const struct sco_topology *topology, size_t rank, size_t size);

/* The smallest at each level over all ranks: sizes that every rank must share. */
struct sco_cache_budget sco_cache_budget_team(const struct sco_topology *topology, size_t size);

#endif

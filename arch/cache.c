/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/cache.h"

/* Skylake client and Neoverse N1 at their smallest: 32 KiB and 256 KiB. */
static const size_t l1_unknown = (size_t)32 << 10;
static const size_t l2_unknown = (size_t)256 << 10;

struct sco_cache_budget sco_cache_budget_rank(const struct sco_topology *topology, size_t rank, size_t size)
{
    struct sco_cache_budget budget = {
        .l1 = sco_topology_cache_share(topology, rank, size, 1),
        .l2 = sco_topology_cache_share(topology, rank, size, 2),
        .l3 = sco_topology_cache_share(topology, rank, size, 3),
    };
    if (budget.l1 == 0)
        budget.l1 = l1_unknown;
    if (budget.l2 == 0)
        budget.l2 = l2_unknown;
    return budget;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

struct sco_cache_budget sco_cache_budget_team(const struct sco_topology *topology, size_t size)
{
    struct sco_cache_budget least = sco_cache_budget_rank(topology, 0, size);
    for (size_t rank = 1; rank < size; rank++) {
        const struct sco_cache_budget budget = sco_cache_budget_rank(topology, rank, size);
        least.l1 = smaller(least.l1, budget.l1);
        least.l2 = smaller(least.l2, budget.l2);
        least.l3 = smaller(least.l3, budget.l3);
    }
    return least;
}

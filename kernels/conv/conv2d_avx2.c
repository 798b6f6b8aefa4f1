/* SPDX-License-Identifier: Apache-2.0
 * 12 sums, two vectors of weights, one broadcast: 15 of 16 registers. */
#include "kernels/lanes_avx2.h"

static inline lanes lanes_max(lanes a, lanes b)
{
    return _mm256_max_ps(a, b);
}

static inline lanes lanes_min(lanes a, lanes b)
{
    return _mm256_min_ps(a, b);
}

#define TILE_PIXELS  6
#define TILE_VECTORS 2
#define EACH_TILE(TILE)                                                                                                \
    TILE(1, 1)                                                                                                         \
    TILE(2, 1)                                                                                                         \
    TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2)
#include "kernels/conv/conv2d_direct_lanes.h"

static bool fwd_plan(const struct sco_conv2d_shape *shape, size_t candidate, struct sco_conv2d_plan *plan)
{
    return sco_conv2d_plan_either(fwd_direct, sco_conv2d_winograd_fwd_avx2, shape, candidate, plan);
}

static bool bwd_data_plan(const struct sco_conv2d_shape *shape, size_t candidate, struct sco_conv2d_plan *plan)
{
    return sco_conv2d_plan_either(bwd_data_direct, sco_conv2d_winograd_bwd_data_avx2, shape, candidate, plan);
}

void sco_conv2d_fill_avx2(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_conv2d_ops *ops = table;
    ops->fwd = fwd_plan;
    ops->bwd_data = bwd_data_plan;
    ops->bwd_weights = sco_conv2d_weights_plan_avx2;
}

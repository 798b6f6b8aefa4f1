/* SPDX-License-Identifier: Apache-2.0
 * 28 sums, two vectors of weights, one broadcast: 31 of 32 registers. 28 multiply-adds then take 16 loads. */
#include "kernels/lanes_avx512.h"

static inline lanes lanes_max(lanes a, lanes b)
{
    return _mm512_max_ps(a, b);
}

static inline lanes lanes_min(lanes a, lanes b)
{
    return _mm512_min_ps(a, b);
}

#define TILE_PIXELS  14
#define TILE_VECTORS 2
#define EACH_TILE(TILE)                                                                                                \
    TILE(1, 1)                                                                                                         \
    TILE(2, 1)                                                                                                         \
    TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1) TILE(8, 1) TILE(9, 1) TILE(10, 1) TILE(11, 1) TILE(12, 1)   \
        TILE(13, 1) TILE(14, 1) TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2) TILE(7, 2)           \
            TILE(8, 2) TILE(9, 2) TILE(10, 2) TILE(11, 2) TILE(12, 2) TILE(13, 2) TILE(14, 2)
#include "kernels/conv/conv2d_direct_lanes.h"

static bool fwd_plan(const struct sco_conv2d_shape *shape, size_t candidate, struct sco_conv2d_plan *plan)
{
    return sco_conv2d_plan_either(fwd_direct, sco_conv2d_winograd_fwd_avx512, shape, candidate, plan);
}

static bool bwd_data_plan(const struct sco_conv2d_shape *shape, size_t candidate, struct sco_conv2d_plan *plan)
{
    return sco_conv2d_plan_either(bwd_data_direct, sco_conv2d_winograd_bwd_data_avx512, shape, candidate, plan);
}

void sco_conv2d_fill_avx512(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_conv2d_ops *ops = table;
    ops->fwd = fwd_plan;
    ops->bwd_data = bwd_data_plan;
    ops->bwd_weights = sco_conv2d_weights_plan_avx512;
}

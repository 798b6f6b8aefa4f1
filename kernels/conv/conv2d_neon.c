/* SPDX-License-Identifier: Apache-2.0
 * 24 sums, four vectors of weights, one broadcast: 29 of 32 registers. */
#include "kernels/lanes_neon.h"

static inline lanes lanes_max(lanes a, lanes b)
{
    return vmaxq_f32(a, b);
}

static inline lanes lanes_min(lanes a, lanes b)
{
    return vminq_f32(a, b);
}

#define TILE_PIXELS  6
#define TILE_VECTORS 4
#define EACH_TILE(TILE)                                                                                                \
    TILE(1, 2)                                                                                                         \
    TILE(2, 2)                                                                                                         \
    TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2) TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(4, 4) TILE(5, 4) TILE(6, 4)
#include "kernels/conv/conv2d_direct_lanes.h"

static bool fwd_plan(const struct sco_conv2d_shape *shape, size_t candidate, struct sco_conv2d_plan *plan)
{
    return sco_conv2d_plan_either(fwd_direct, sco_conv2d_winograd_fwd_neon, shape, candidate, plan);
}

static bool bwd_data_plan(const struct sco_conv2d_shape *shape, size_t candidate, struct sco_conv2d_plan *plan)
{
    return sco_conv2d_plan_either(bwd_data_direct, sco_conv2d_winograd_bwd_data_neon, shape, candidate, plan);
}

void sco_conv2d_fill_neon(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_conv2d_ops *ops = table;
    ops->fwd = fwd_plan;
    ops->bwd_data = bwd_data_plan;
    ops->bwd_weights = sco_conv2d_weights_plan_neon;
}

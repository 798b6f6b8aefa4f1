/* SPDX-License-Identifier: Apache-2.0
 * What the rows of conv2d share: sizes and bounds, and the planners that live in a file of their own. A row's fill
 * function numbers the candidates of all of them. */
#ifndef SCO_KERNELS_CONV2D_ROWS_H
#define SCO_KERNELS_CONV2D_ROWS_H

#include "kernels/conv/conv2d.h"

/* Channels that a tensor of C has room for. */
static inline size_t sco_padded_channels(size_t C)
{
    return C <= SCO_CHANNEL_BLOCK ? C : (C + SCO_CHANNEL_BLOCK - 1) / SCO_CHANNEL_BLOCK * SCO_CHANNEL_BLOCK;
}

/* error_k of any algorithm that does nothing but add the products, in whatever order: one rounding for each product and
 * one for each addition that a term goes through, of which bias, residual and slope are three. */
static inline double sco_conv2d_sum_error(const struct sco_conv2d_shape *s, enum sco_conv2d_direction direction)
{
    switch (direction) {
    case SCO_CONV2D_FWD: return (double)(s->C * s->KH * s->KW) + 4.0;
    case SCO_CONV2D_BWD_DATA: return (double)(s->OC * s->KH * s->KW) + 1.0;
    default: return (double)(s->N * sco_conv2d_oh(s) * sco_conv2d_ow(s)) + 1.0;
    }
}

/* conv2d_weights_*.c: bwd_weights without transforms. */
SCO_X86(sco_conv2d_plan_fn sco_conv2d_weights_plan_avx2, sco_conv2d_weights_plan_avx512;)
SCO_ARM64(sco_conv2d_plan_fn sco_conv2d_weights_plan_neon;)

#define SCO_CONV2D_WINOGRAD_DECLARE(row)                                                                               \
    sco_conv2d_plan_fn sco_conv2d_winograd_fwd_##row, sco_conv2d_winograd_bwd_data_##row;

/* conv2d_winograd_*.c. Four candidates each: 4x4 tiles, 4x4 with work cut otherwise, 2x2, 2x2 cut otherwise. */
SCO_BEGIN_DECLS
SCO_X86(SCO_CONV2D_WINOGRAD_DECLARE(avx2))
SCO_X86(SCO_CONV2D_WINOGRAD_DECLARE(avx512))
SCO_ARM64(SCO_CONV2D_WINOGRAD_DECLARE(neon))
SCO_END_DECLS

/* The candidates of one planner, then those of another. */
static inline bool sco_conv2d_plan_either(sco_conv2d_plan_fn *first, sco_conv2d_plan_fn *then,
                                          const struct sco_conv2d_shape *shape, size_t candidate,
                                          struct sco_conv2d_plan *plan)
{
    size_t count = 0;
    while (count <= candidate && first(shape, count, plan))
        count++;
    return count > candidate || then(shape, candidate - count, plan);
}

#endif

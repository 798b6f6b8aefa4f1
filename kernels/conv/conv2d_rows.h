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

#endif

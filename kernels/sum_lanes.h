/* SPDX-License-Identifier: Apache-2.0
 * The order in which every row adds up, so that a sum has the same bits in each of them: element i goes to lane
 * i mod L, lanes are folded in halves. L is a multiple of the widest register, narrower rows hold several. */
#ifndef SCO_KERNELS_SUM_LANES_H
#define SCO_KERNELS_SUM_LANES_H

#include <stddef.h>

/* Sum of count lanes (a power of two): lane i takes lane i + count / 2, until one is left. Overwrites lane. */
static inline double sco_fold_lanes(double *lane, size_t count)
{
    for (size_t half = count / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

#endif

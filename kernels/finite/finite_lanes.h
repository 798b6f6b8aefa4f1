/* SPDX-License-Identifier: Apache-2.0
 * Both questions of finite.c over the lanes of the row that includes this file. */
#include <string.h>

#include "kernels/finite/finite.h"
#include "kernels/sum_lanes.h"

enum { SUM_LANES = 32, GROUPS = SUM_LANES / LANES };

/* Four vectors a test: one branch for 16 .. 64 elements. What remains, and the vectors of a hit, are looked at one by
 * one. */
static size_t first_nonfinite_f32(size_t n, const float *x)
{
    size_t i = 0;
    while (n - i >= 4 * LANES && !lanes_any_nonfinite(lanes_load(x + i), lanes_load(x + i + LANES),
                                                      lanes_load(x + i + 2 * LANES), lanes_load(x + i + 3 * LANES)))
        i += 4 * LANES;
    for (; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        if ((bits & 0x7f800000u) == 0x7f800000u)
            break;
    }
    return i;
}

static double square_sum_f32(size_t n, const float *x)
{
    lanes_f64 sum[GROUPS];
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        sum[k] = lanes_f64_zero();
    size_t i = 0;
    for (; n - i >= SUM_LANES; i += SUM_LANES) {
        SCO_UNROLL
        for (size_t k = 0; k < GROUPS; k++)
            sum[k] = lanes_f64_add_square(sum[k], lanes_load(x + i + k * LANES));
    }
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++) {
        const size_t left = n - i < LANES ? n - i : LANES;
        if (left == 0)
            break;
        sum[k] = lanes_f64_add_square(sum[k], lanes_load_first(x + i, left));
        i += left;
    }
    double lane[SUM_LANES];
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        lanes_f64_store(lane + k * LANES, sum[k]);
    return sco_fold_lanes(lane, SUM_LANES);
}

static inline void fill(struct sco_finite_ops *ops)
{
    ops->first_nonfinite = first_nonfinite_f32;
    ops->square_sum = square_sum_f32;
}

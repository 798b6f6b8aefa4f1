/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/finite/finite.h"

#include <stdint.h>
#include <string.h>

#include "kernels/sum_lanes.h"

enum { LANES = 32 };

static size_t first_nonfinite_f32_scalar(size_t n, const float *x)
{
    size_t i = 0;
    for (; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        if ((bits & 0x7f800000u) == 0x7f800000u)
            break;
    }
    return i;
}

static double square_sum_f32_scalar(size_t n, const float *x)
{
    double lane[LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % LANES] += (double)x[i] * (double)x[i];
    return sco_fold_lanes(lane, LANES);
}

void sco_finite_fill_scalar(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_finite_ops *ops = table;
    ops->first_nonfinite = first_nonfinite_f32_scalar;
    ops->square_sum = square_sum_f32_scalar;
}

SCO_FAMILY_DEFINE(finite, SCO_FINITE_ROWS, struct sco_finite_ops, "first_nonfinite", "square_sum")

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/roof/roof.h"

#include <math.h>

static void read_scalar(size_t n, const float *a, float *sum)
{
    float s = 0.0f;
    for (size_t i = 0; i < n; i++)
        s += a[i];
    *sum = s;
}

static void rw32_scalar(size_t n, float *p, float *m, const float *g)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = fmaf(SCO_ROOF_D0, m[i], g[i]);
        p[i] = fmaf(SCO_ROOF_STEP, m[i], p[i]);
    }
}

static void rw43_scalar(size_t n, float *p, float *m, float *v, const float *g)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = fmaf(SCO_ROOF_D0, m[i], g[i]);
        v[i] = fmaf(SCO_ROOF_D2, v[i], g[i] * g[i]);
        p[i] = fmaf(SCO_ROOF_STEP, m[i] * v[i], p[i]);
    }
}

static void rw65_scalar(size_t n, float *p, float *const m[3], float *v, const float *g)
{
    for (size_t i = 0; i < n; i++) {
        m[0][i] = fmaf(SCO_ROOF_D0, m[0][i], g[i]);
        m[1][i] = fmaf(SCO_ROOF_D1, m[1][i], g[i]);
        m[2][i] = fmaf(SCO_ROOF_D2, m[2][i], g[i]);
        v[i] = fmaf(SCO_ROOF_D2, v[i], g[i] * g[i]);
        p[i] = fmaf(SCO_ROOF_STEP, m[0][i] * v[i], p[i]);
    }
}

static void fma_scalar(size_t iterations, float x[SCO_ROOF_CHAINS])
{
    for (size_t i = 0; i < SCO_ROOF_CHAINS; i++)
        for (size_t t = 0; t < iterations; t++)
            x[i] = fmaf(SCO_ROOF_FMA_A, x[i], SCO_ROOF_FMA_B);
}

void sco_roof_fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_roof_ops *)ops = (struct sco_roof_ops){read_scalar, rw32_scalar, rw43_scalar, rw65_scalar, fma_scalar};
}

SCO_FAMILY_DEFINE(roof, SCO_ROOF_ROWS, struct sco_roof_ops, "read", "rw32", "rw43", "rw65", "fma")

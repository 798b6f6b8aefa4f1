/* SPDX-License-Identifier: Apache-2.0
 * The loops of the roof family over one vector type. The including row defines
 *     VEC LANES LOAD STORE SET1 ADD MUL FMA(a, b, c) = a b + c   and CHAINS, the accumulators its register file holds,
 * and gets the static kernels below. Two vectors an iteration: enough to overlap, and each pattern has at most eleven
 * streams for the prefetchers to follow. Tails are scalar. */
#include <math.h>

#include "kernels/roof/roof.h"

enum { READ_ACCUMULATORS = 8 };
_Static_assert(SCO_ROOF_CHAINS % (CHAINS * LANES) == 0, "whole groups of chains");

static void roof_read(size_t n, const float *a, float *sum)
{
    VEC s[READ_ACCUMULATORS];
#pragma GCC unroll 8
    for (size_t u = 0; u < READ_ACCUMULATORS; u++)
        s[u] = SET1(0.0f);
    size_t i = 0;
    for (; n - i >= READ_ACCUMULATORS * LANES; i += READ_ACCUMULATORS * LANES) {
#pragma GCC unroll 8
        for (size_t u = 0; u < READ_ACCUMULATORS; u++)
            s[u] = ADD(s[u], LOAD(a + i + u * LANES));
    }
    float lane[LANES], total = 0.0f;
#pragma GCC unroll 8
    for (size_t u = 1; u < READ_ACCUMULATORS; u++)
        s[0] = ADD(s[0], s[u]);
    STORE(lane, s[0]);
    for (size_t l = 0; l < LANES; l++)
        total += lane[l];
    for (; i < n; i++)
        total += a[i];
    *sum = total;
}

static void roof_rw32(size_t n, float *restrict p, float *restrict m, const float *restrict g)
{
    const VEC d0 = SET1(SCO_ROOF_D0), step = SET1(SCO_ROOF_STEP);
    size_t i = 0;
    for (; n - i >= 2 * LANES; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t j = i; j < i + 2 * LANES; j += LANES) {
            const VEC mj = FMA(d0, LOAD(m + j), LOAD(g + j));
            STORE(m + j, mj);
            STORE(p + j, FMA(step, mj, LOAD(p + j)));
        }
    }
    for (; i < n; i++) {
        m[i] = fmaf(SCO_ROOF_D0, m[i], g[i]);
        p[i] = fmaf(SCO_ROOF_STEP, m[i], p[i]);
    }
}

static void roof_rw43(size_t n, float *restrict p, float *restrict m, float *restrict v, const float *restrict g)
{
    const VEC d0 = SET1(SCO_ROOF_D0), d2 = SET1(SCO_ROOF_D2), step = SET1(SCO_ROOF_STEP);
    size_t i = 0;
    for (; n - i >= 2 * LANES; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t j = i; j < i + 2 * LANES; j += LANES) {
            const VEC gj = LOAD(g + j);
            const VEC mj = FMA(d0, LOAD(m + j), gj);
            const VEC vj = FMA(d2, LOAD(v + j), MUL(gj, gj));
            STORE(m + j, mj);
            STORE(v + j, vj);
            STORE(p + j, FMA(step, MUL(mj, vj), LOAD(p + j)));
        }
    }
    for (; i < n; i++) {
        m[i] = fmaf(SCO_ROOF_D0, m[i], g[i]);
        v[i] = fmaf(SCO_ROOF_D2, v[i], g[i] * g[i]);
        p[i] = fmaf(SCO_ROOF_STEP, m[i] * v[i], p[i]);
    }
}

static void roof_rw65(size_t n, float *restrict p, float *const m[3], float *restrict v, const float *restrict g)
{
    float *restrict m0 = m[0], *restrict m1 = m[1], *restrict m2 = m[2];
    const VEC d0 = SET1(SCO_ROOF_D0), d1 = SET1(SCO_ROOF_D1), d2 = SET1(SCO_ROOF_D2), step = SET1(SCO_ROOF_STEP);
    size_t i = 0;
    for (; n - i >= 2 * LANES; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t j = i; j < i + 2 * LANES; j += LANES) {
            const VEC gj = LOAD(g + j);
            const VEC mj = FMA(d0, LOAD(m0 + j), gj);
            const VEC vj = FMA(d2, LOAD(v + j), MUL(gj, gj));
            STORE(m0 + j, mj);
            STORE(m1 + j, FMA(d1, LOAD(m1 + j), gj));
            STORE(m2 + j, FMA(d2, LOAD(m2 + j), gj));
            STORE(v + j, vj);
            STORE(p + j, FMA(step, MUL(mj, vj), LOAD(p + j)));
        }
    }
    for (; i < n; i++) {
        m0[i] = fmaf(SCO_ROOF_D0, m0[i], g[i]);
        m1[i] = fmaf(SCO_ROOF_D1, m1[i], g[i]);
        m2[i] = fmaf(SCO_ROOF_D2, m2[i], g[i]);
        v[i] = fmaf(SCO_ROOF_D2, v[i], g[i] * g[i]);
        p[i] = fmaf(SCO_ROOF_STEP, m0[i] * v[i], p[i]);
    }
}

static void roof_fma(size_t iterations, float x[SCO_ROOF_CHAINS])
{
    const VEC a = SET1(SCO_ROOF_FMA_A), b = SET1(SCO_ROOF_FMA_B);
    for (size_t first = 0; first < SCO_ROOF_CHAINS; first += CHAINS * LANES) {
        VEC c[CHAINS];
#pragma GCC unroll 24
        for (size_t u = 0; u < CHAINS; u++)
            c[u] = LOAD(x + first + u * LANES);
        for (size_t t = 0; t < iterations; t++) {
#pragma GCC unroll 24
            for (size_t u = 0; u < CHAINS; u++)
                c[u] = FMA(a, c[u], b);
        }
#pragma GCC unroll 24
        for (size_t u = 0; u < CHAINS; u++)
            STORE(x + first + u * LANES, c[u]);
    }
}

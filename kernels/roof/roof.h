/* SPDX-License-Identifier: Apache-2.0
 * Limits of the machine, measured with the access patterns of optimizer steps and as little arithmetic as they allow:
 * an optimizer's distance to its limit is then told against the same loads and stores on the same threads. */
#ifndef SCO_KERNELS_ROOF_H
#define SCO_KERNELS_ROOF_H

#include "kernels/kernel.h"

/* Decays, so that values stay bounded however often a pattern runs on the same arrays. */
#define SCO_ROOF_D0   0.9f
#define SCO_ROOF_D1   0.99f
#define SCO_ROOF_D2   0.999f
#define SCO_ROOF_STEP -1e-6f

/* Independent multiply-add chains of the fma slot: 12 of 16 lanes or 24 of 8; twice 12 of 8 and 24 of 4. More than two
 * pipes times a latency of four or five need, few enough to stay in registers. x' = 0.999999 x + 1e-7 has the fixed
 * point 0.1: neither overflow nor denormal ever. */
enum { SCO_ROOF_CHAINS = 192 };
#define SCO_ROOF_FMA_A 0.999999f
#define SCO_ROOF_FMA_B 1e-7f

typedef void sco_roof_read_fn(size_t n, const float *a, float *sum);
typedef void sco_roof_rw32_fn(size_t n, float *p, float *m, const float *g);
typedef void sco_roof_rw43_fn(size_t n, float *p, float *m, float *v, const float *g);
typedef void sco_roof_rw65_fn(size_t n, float *p, float *const m[3], float *v, const float *g);
typedef void sco_roof_fma_fn(size_t iterations, float x[SCO_ROOF_CHAINS]);

/* Contracts; arrays must not overlap, 4-byte alignment suffices, n = 0 is a no-op.
 *
 * read   *sum = sum of a. 4 B per element. Rounding depends on the row.
 * rw32   heavy ball's pattern, 3 loads and 2 stores, 20 B:  m' = D0 m + g; p' = p + STEP m'.
 * rw43   Adam's pattern, 4 loads and 3 stores, 28 B:  m as above; v' = D2 v + g^2; p' = p + STEP m' v'.
 * rw65   the pattern of VeLO's last sweep, 6 loads and 5 stores, 44 B:  m_k' = Dk m_k + g; v, p as in rw43 with m_0.
 * fma    x[i] = A x[i] + B, iterations times, in registers. 2 flops each.
 *
 * Multiply-adds are fused, g^2 and m' v' rounded: the same bits in every row but for read. */
struct sco_roof_ops {
    sco_roof_read_fn *read;
    sco_roof_rw32_fn *rw32;
    sco_roof_rw43_fn *rw43;
    sco_roof_rw65_fn *rw65;
    sco_roof_fma_fn *fma;
};

#define SCO_ROOF_ROWS(ROW)                                                                                             \
    ROW(roof, scalar, 0)                                                                                               \
    SCO_X86(ROW(roof, avx2, SCO_ISA_AVX2))                                                                             \
    SCO_X86(ROW(roof, avx512, SCO_ISA_AVX512))                                                                         \
    SCO_ARM64(ROW(roof, neon, SCO_ISA_NEON))
SCO_FAMILY_DECLARE(roof, SCO_ROOF_ROWS)

#endif

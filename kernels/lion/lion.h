/* SPDX-License-Identifier: Apache-2.0
 * Lion: one step over a slice of parameters. */
#ifndef SCO_KERNELS_LION_H
#define SCO_KERNELS_LION_H

#include "kernels/kernel.h"

struct sco_lion_coef {
    float gscale; /* multiplies g first: the factor of global-norm clipping, or 1 */
    float b1;     /* weight of the old momentum in the update, and 1 - b1 as its own rounded number */
    float one_minus_b1;
    float b2; /* weight of the old momentum in the new */
    float one_minus_b2;
    float lr;
    float weight_decay; /* decoupled, multiplied by lr */
};

/* One step over n parameters, in place.
 *
 *   x  = gscale g
 *   u  = sign(b1 m + (1 - b1) x)      sign(0) = 0, sign(NaN) = NaN
 *   m' = b2 m + (1 - b2) x
 *   p' = p - lr (u + weight_decay p)
 *
 * Shapes    p, m: float[n] in/out; g: float[n] in. n = 0 is a no-op.
 * Units     lr: parameter units per step; weight_decay: inverse units of lr.
 * Layout    contiguous; 4-byte alignment required, 64 preferred. The arrays must not overlap.
 * Numerics  f32; operations, their order and fused multiply-adds as in lion.c. Same bits from every row.
 *           NaN in g[i] reaches p, m at i and nowhere else; Inf reaches m, and p as a sign.
 * Cost      12 flops (sign = 1), 12 bytes read and 8 written per element.
 * Threads   reentrant; disjoint slices may run at once.
 * Memory    none allocated.
 * Errors    none.
 * Source    Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023, Algorithm 2. */
typedef void sco_lion_fn(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, const float *SCO_RESTRICT g,
                         const struct sco_lion_coef *coef);

struct sco_lion_ops {
    sco_lion_fn *lion;
};

#define SCO_LION_ROWS(ROW)                                                                                             \
    ROW(lion, scalar, 0)                                                                                               \
    SCO_HWY(ROW(lion, hwy, SCO_USE_HWY))                                                                               \
    SCO_X86(ROW(lion, avx2, SCO_ISA_AVX2))                                                                             \
    SCO_X86(ROW(lion, avx512, SCO_ISA_AVX512))                                                                         \
    SCO_ARM64(ROW(lion, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(lion, SCO_LION_ROWS)
SCO_END_DECLS

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Gradient descent with momentum, heavy ball and Nesterov: one step over a slice of parameters. */
#ifndef SCO_KERNELS_MOMENTUM_H
#define SCO_KERNELS_MOMENTUM_H

#include "kernels/kernel.h"

struct sco_momentum_coef {
    float gscale; /* multiplies g first: the factor of global-norm clipping, or 1 */
    float b1;     /* decay of the momentum */
    float lr;
    float weight_decay; /* coupled: added to the gradient; 0 leaves the term out */
};

/* One step over n parameters, in place; no dampening.
 *
 *   x = gscale g + weight_decay p
 *   m' = b1 m + x
 *   p' = p - lr m'               heavy_ball
 *   p' = p - lr (b1 m' + x)      nesterov
 *
 * Shapes    p, m: float[n] in/out; g: float[n] in. n = 0 is a no-op.
 * Units     lr: parameter units per step and unit of gradient; weight_decay: gradient per parameter unit.
 * Layout    contiguous; 4-byte alignment required, 64 preferred. The arrays must not overlap.
 * Numerics  f32; operations, their order and fused multiply-adds as in momentum.c. Same bits from every row.
 *           NaN or Inf in p[i], m[i] or g[i] reaches p at i, m too but from p without decay, and nowhere else.
 * Cost      7 flops (nesterov 9; 3 less with gscale 1 and weight_decay 0), 12 bytes read and 8 written per element.
 * Threads   reentrant; disjoint slices may run at once.
 * Memory    none allocated.
 * Errors    none.
 * Source    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013, section
 *           2, in the form of optax.trace, whose momentum is not multiplied by lr. */
typedef void sco_momentum_fn(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, const float *SCO_RESTRICT g,
                             const struct sco_momentum_coef *coef);

struct sco_momentum_ops {
    sco_momentum_fn *heavy_ball;
    sco_momentum_fn *nesterov;
};

#define SCO_MOMENTUM_ROWS(ROW)                                                                                         \
    ROW(momentum, scalar, 0)                                                                                           \
    SCO_HWY(ROW(momentum, hwy, SCO_USE_HWY))                                                                           \
    SCO_X86(ROW(momentum, avx2, SCO_ISA_AVX2))                                                                         \
    SCO_X86(ROW(momentum, avx512, SCO_ISA_AVX512))                                                                     \
    SCO_ARM64(ROW(momentum, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(momentum, SCO_MOMENTUM_ROWS)
SCO_END_DECLS

#endif

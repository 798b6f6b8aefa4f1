/* SPDX-License-Identifier: Apache-2.0
 * Adam, AdamW, NAdam and NAdamW: one step over a slice of parameters. */
#ifndef SCO_KERNELS_ADAM_H
#define SCO_KERNELS_ADAM_H

#include "kernels/kernel.h"

/* A step's numbers, from hyperparameters and k = 1, 2, ..., the number of the step. The two forms of Nesterov's
 * look-ahead differ in cm and cg alone:
 *
 *                    cm                     cg
 *   adam, adamw      1 / (1 - b1^k)         unused
 *   nadam (optax)    b1 / (1 - b1^(k+1))    (1 - b1) / (1 - b1^k)
 *   nadam (AlgoPerf) b1 / (1 - b1^k)        (1 - b1) / (1 - b1^k) */
struct sco_adam_coef {
    float gscale; /* multiplies g first: the factor of global-norm clipping, or 1 */
    float b1;     /* decay of the first moment, and 1 - b1 as its own rounded number */
    float one_minus_b1;
    float b2; /* the same of the second */
    float one_minus_b2;
    float cm;  /* update per unit of m' */
    float cg;  /* update per unit of g */
    float c2;  /* 1 / (1 - b2^k) */
    float eps; /* outside the root */
    float lr;
    float weight_decay; /* decoupled, multiplied by lr */
};

/* One step over n parameters, in place.
 *
 *   x  = gscale g
 *   m' = b1 m + (1 - b1) x                   v' = b2 v + (1 - b2) x^2
 *   u  = (cm m' + cg x) / (sqrt(c2 v') + eps)      without the term cg x in adam and adamw
 *   p' = p - lr (u + weight_decay p)               without the term weight_decay p in adam and nadam
 *
 * Shapes    p, m, v: float[n] in/out; g: float[n] in. n = 0 is a no-op.
 * Units     lr: parameter units per step; weight_decay: inverse units of lr; eps: gradient units.
 * Layout    contiguous; 4-byte alignment required, 64 preferred. The arrays must not overlap.
 * Numerics  f32; operations, their order and fused multiply-adds as in adam.c; divide and root correctly rounded.
 *           Same bits from every row. NaN or Inf in g[i] reaches p, m, v at i and nowhere else.
 * Cost      15 flops (adamw, nadam 17; nadamw 19), 16 bytes read and 12 written per element.
 * Threads   reentrant; disjoint slices may run at once.
 * Memory    none allocated.
 * Errors    none.
 * Source    Kingma and Ba, "Adam", ICLR 2015, Algorithm 1; Loshchilov and Hutter, "Decoupled Weight Decay
 *           Regularization", ICLR 2019, Algorithm 2; Dozat, "Incorporating Nesterov Momentum into Adam", ICLR 2016
 *           workshop, Algorithm 2. */
typedef void sco_adam_fn(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                         const float *SCO_RESTRICT g, const struct sco_adam_coef *coef);

struct sco_adam_ops {
    sco_adam_fn *adam;
    sco_adam_fn *adamw;
    sco_adam_fn *nadam;
    sco_adam_fn *nadamw;
};

#define SCO_ADAM_ROWS(ROW)                                                                                             \
    ROW(adam, scalar, 0)                                                                                               \
    SCO_HWY(ROW(adam, hwy, SCO_USE_HWY))                                                                               \
    SCO_X86(ROW(adam, avx2, SCO_ISA_AVX2))                                                                             \
    SCO_X86(ROW(adam, avx512, SCO_ISA_AVX512))                                                                         \
    SCO_ARM64(ROW(adam, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(adam, SCO_ADAM_ROWS)
SCO_END_DECLS

#endif

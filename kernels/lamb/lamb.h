/* SPDX-License-Identifier: Apache-2.0
 * LAMB over a slice of a tensor, in two passes: the trust ratio between them needs the whole tensor. */
#ifndef SCO_KERNELS_LAMB_H
#define SCO_KERNELS_LAMB_H

#include "kernels/kernel.h"

struct sco_lamb_coef {
    float gscale; /* multiplies g first: the factor of global-norm clipping, or 1 */
    float b1;     /* decay of the first moment, and 1 - b1 as its own rounded number */
    float one_minus_b1;
    float b2; /* the same of the second */
    float one_minus_b2;
    float cm;           /* 1 / (1 - b1^k), k = 1, 2, ... the number of the step */
    float c2;           /* 1 / (1 - b2^k) */
    float eps;          /* outside the root */
    float weight_decay; /* decoupled, within the trust ratio */
};

/* Pass 1: the moments, and the slice's share of both norms.
 *
 *   x  = gscale g       m' = b1 m + (1 - b1) x       v' = b2 v + (1 - b2) x^2
 *   u  = cm m' / (sqrt(c2 v') + eps) + weight_decay p
 *   sum[0] = sum p^2    sum[1] = sum u^2
 *
 * Shapes    m, v: float[n] in/out; p, g: float[n] in; sum: double[2] out. n = 0 gives zero sums.
 * Units     eps: gradient units; weight_decay: inverse parameter units.
 * Layout    contiguous; 4-byte alignment required, 64 preferred. The arrays must not overlap.
 * Numerics  m, v, u in f32, squares and sums in f64, 16 lanes folded in halves (kernels/sum_lanes.h). Same bits from
 *           every row; a tensor cut into fixed slices has the same bits however many threads run them.
 * Cost      19 flops, 16 bytes read and 8 written per element.
 * Threads   reentrant; disjoint slices may run at once.
 * Memory    none allocated.
 * Errors    none.
 * Source    You et al., "Large Batch Optimization for Deep Learning", ICLR 2020, Algorithm 2. */
typedef void sco_lamb_moments_fn(size_t n, const float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                                 const float *SCO_RESTRICT g, const struct sco_lamb_coef *coef, double sum[2]);

/* Pass 2: p' = p - step u, with u made again from m', v' and p, which costs less than 8 bytes of storing it.
 *
 * Shapes    p: float[n] in/out; m, v: float[n] in. n = 0 is a no-op.
 * Units     step: lr ||p|| / ||u|| over the whole tensor, lr where either norm is 0.
 * Layout, Threads, Memory, Errors, Source    as pass 1.
 * Numerics  f32, u with the bits of pass 1. Same bits from every row.
 * Cost      9 flops, 12 bytes read and 4 written per element. */
typedef void sco_lamb_apply_fn(size_t n, float *SCO_RESTRICT p, const float *SCO_RESTRICT m,
                               const float *SCO_RESTRICT v, const struct sco_lamb_coef *coef, float step);

struct sco_lamb_ops {
    sco_lamb_moments_fn *moments;
    sco_lamb_apply_fn *apply;
};

#define SCO_LAMB_ROWS(ROW)                                                                                             \
    ROW(lamb, scalar, 0)                                                                                               \
    SCO_HWY(ROW(lamb, hwy, SCO_USE_HWY))                                                                               \
    SCO_X86(ROW(lamb, avx2, SCO_ISA_AVX2))                                                                             \
    SCO_X86(ROW(lamb, avx512, SCO_ISA_AVX512))                                                                         \
    SCO_ARM64(ROW(lamb, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(lamb, SCO_LAMB_ROWS)
SCO_END_DECLS

#endif

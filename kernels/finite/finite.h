/* SPDX-License-Identifier: Apache-2.0
 * What a whole gradient is asked before a step: is it finite, and how long is it. */
#ifndef SCO_KERNELS_FINITE_H
#define SCO_KERNELS_FINITE_H

#include "kernels/kernel.h"

/* Index of the first NaN or infinity in x, n if there is none.
 *
 * Shapes    x: float[n] in. n = 0 gives 0.
 * Units     none.
 * Layout    contiguous; 4-byte alignment required, 64 preferred.
 * Numerics  looks at bits only; raises no floating-point flag.
 * Cost      4 bytes read per element; stops soon after the first hit.
 * Threads   reentrant.
 * Memory    none allocated.
 * Errors    none.
 * Source    none. */
typedef size_t sco_first_nonfinite_fn(size_t n, const float *x);

/* Sum of x^2. Finite exactly if every x[i] is, so a clipped step needs no other look at its gradient.
 *
 * Shapes    x: float[n] in. n = 0 gives 0.
 * Units     those of x, squared.
 * Layout    contiguous; 4-byte alignment required, 64 preferred.
 * Numerics  f64, 32 lanes folded in halves (kernels/sum_lanes.h). Same bits from every row. No float overflows or
 *           vanishes when squared in f64.
 * Cost      2 flops, 4 bytes read per element.
 * Threads   reentrant; a tensor cut into fixed slices has the same bits however many threads run them.
 * Memory    none allocated.
 * Errors    none.
 * Source    none. */
typedef double sco_square_sum_fn(size_t n, const float *x);

struct sco_finite_ops {
    sco_first_nonfinite_fn *first_nonfinite;
    sco_square_sum_fn *square_sum;
};

#define SCO_FINITE_ROWS(ROW)                                                                                           \
    ROW(finite, scalar, 0)                                                                                             \
    SCO_HWY(ROW(finite, hwy, SCO_USE_HWY))                                                                             \
    SCO_X86(ROW(finite, avx2, SCO_ISA_AVX2))                                                                           \
    SCO_X86(ROW(finite, avx512, SCO_ISA_AVX512))                                                                       \
    SCO_ARM64(ROW(finite, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(finite, SCO_FINITE_ROWS)
SCO_END_DECLS

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Dot interaction of a recommendation model: the products of all pairs of a sample's feature vectors. */
#ifndef SCO_KERNELS_DOT_INTERACTION_H
#define SCO_KERNELS_DOT_INTERACTION_H

#include "kernels/kernel.h"

/* Products of a sample: the upper triangle of its Gram matrix, with the diagonal. */
static inline size_t sco_interaction_pairs(size_t F)
{
    return F % 2 == 0 ? F / 2 * (F + 1) : (F + 1) / 2 * F;
}

/* y[s] = (x[s][0], <x[s][i], x[s][j]> for i = 0 .. F - 1, j = i .. F - 1).
 *
 * Shapes    x: float[samples][F][dim]; y: float[samples][dim + pairs] out; F >= 1.
 * Layout    contiguous; 4-byte alignment. The arrays must not overlap.
 * Numerics  f32; a product has sixteen lanes, column c in lane c mod 16, one fused multiply-add each with columns past the
 *           end zero, folded in halves. Same bits from every row.
 * Cost      pairs dim multiply-adds a sample.
 * Threads   reentrant; disjoint ranges of samples may run at once.
 * Memory    none allocated.
 * Errors    none.
 * Source    Naumov et al., "Deep Learning Recommendation Model for Personalization and Recommendation Systems", 2019. */
typedef void sco_interaction_forward_fn(size_t samples, size_t F, size_t dim, const float *x, float *SCO_RESTRICT y);

/* dx[s] = (G + G^T) x[s], with gy[s][0 .. dim - 1] added to row 0; G holds the rest of gy[s] where y[s] has its pairs.
 *
 * Shapes    x: as above; gy: float[samples][dim + pairs]; dx: float[samples][F][dim] out; scratch: float[F][F].
 * Numerics  f32; the accumulator starts as the row of gy, elsewhere as zero, and takes one fused multiply-add a feature in
 *           order; the diagonal counts twice. Same bits from every row.
 * Cost      F^2 dim multiply-adds a sample. */
typedef void sco_interaction_backward_fn(size_t samples, size_t F, size_t dim, const float *x, const float *gy,
                                         float *SCO_RESTRICT scratch, float *SCO_RESTRICT dx);

struct sco_dot_interaction_ops {
    sco_interaction_forward_fn *forward;
    sco_interaction_backward_fn *backward;
};

#define SCO_DOT_INTERACTION_ROWS(ROW)                                                                                  \
    ROW(dot_interaction, scalar, 0)                                                                                    \
    SCO_HWY(ROW(dot_interaction, hwy, SCO_USE_HWY))                                                                    \
    SCO_X86(ROW(dot_interaction, avx2, SCO_ISA_AVX2))                                                                  \
    SCO_X86(ROW(dot_interaction, avx512, SCO_ISA_AVX512))                                                              \
    SCO_ARM64(ROW(dot_interaction, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(dot_interaction, SCO_DOT_INTERACTION_ROWS)
SCO_END_DECLS

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Losses of the workloads with their gradients, float32: softmax cross-entropy (ResNet-50), sigmoid binary cross-entropy
 * with missing labels (OGBG, Criteo), absolute error (fastMRI). */
#ifndef SCO_KERNELS_LOSS_H
#define SCO_KERNELS_LOSS_H

#include <stdint.h>

#include "kernels/kernel.h"

/* Softmax cross-entropy of rows [first, last) of x[rows][classes] against a smoothed label, target = (1 - smoothing)
 * onehot(label) + smoothing / classes:
 *
 *   loss[r] = log(sum_j e^x[r][j]) - sum_j target_j x[r][j]       dx[r][j] = scale (softmax(x[r])_j - target_j)
 *
 * Label -1 is a padding row: its loss and gradient are 0. dx may be NULL or x itself. Sums have 16 virtual lanes, so all
 * rows give the same bits. With k = classes / 16 + 4, the roundings of a sum, the loss is within 2 (k + 4) 2^-24 of its
 * terms' magnitudes and dx within 2 (k + 6) 2^-24 scale (target + p (1 + |x - max|)); e^t with t < -80 counts as 0. NaN
 * in a row makes its loss and gradient NaN. Returns how many rows were done: fewer than last - first name the first row
 * whose label is neither -1 nor in 0 .. classes - 1. */
typedef size_t sco_softmax_xent_fn(size_t first, size_t last, size_t classes, const float *x, const int32_t *label,
                                   float smoothing, float scale, float *loss, float *dx);

struct sco_loss_sum {
    double sum, count;
};

/* Sigmoid binary cross-entropy over n logits; label NaN is missing and counts for nothing.
 *
 *   sum of max(x, 0) - x z + log(1 + e^-|x|),  count of labels that are there,  dx = scale (sigmoid(x) - z), 0 where missing
 *
 * Source    the stable form; Hu et al., "Open Graph Benchmark", 2020, for the mask.
 * dx may be NULL or x itself. Losses are within 8 2^-24 of their terms' magnitudes, gradients within 8 2^-24 scale; sums are
 * kept in 16 virtual lanes of double: the same bits in every row. */
typedef struct sco_loss_sum sco_sigmoid_bce_fn(size_t n, const float *x, const float *label, float scale, float *dx);

/* Absolute error over n: sum |x - target|, count n, dx = scale sign(x - target), sign(0) = 0. dx may be NULL or x. The
 * differences round once, the sum is kept in 16 virtual lanes of double: the same bits in every row. */
typedef struct sco_loss_sum sco_l1_fn(size_t n, const float *x, const float *target, float scale, float *dx);

struct sco_loss_ops {
    sco_softmax_xent_fn *softmax_xent;
    sco_sigmoid_bce_fn *sigmoid_bce;
    sco_l1_fn *l1;
};

#define SCO_LOSS_ROWS(ROW)                                                                                             \
    ROW(loss, scalar, 0)                                                                                               \
    SCO_HWY(ROW(loss, hwy, SCO_USE_HWY))                                                                               \
    SCO_X86(ROW(loss, avx2, SCO_ISA_AVX2))                                                                             \
    SCO_X86(ROW(loss, avx512, SCO_ISA_AVX512))                                                                         \
    SCO_ARM64(ROW(loss, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(loss, SCO_LOSS_ROWS)
SCO_END_DECLS

#endif

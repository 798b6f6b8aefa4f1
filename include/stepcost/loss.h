/* SPDX-License-Identifier: Apache-2.0
 * Losses of the workloads, each with the gradient of its mean. */
#ifndef STEPCOST_LOSS_H
#define STEPCOST_LOSS_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/ctx.h"

SCO_BEGIN_DECLS

/* mean = sum / count; count: what the mean is over. count = 0: mean is 0 and so is the gradient. */
struct sco_loss {
    double sum, count, mean;
};

/* Bytes of workspace that a loss over n rows (softmax) or n elements (the others) needs. */
SCO_API size_t sco_loss_workspace_bytes(size_t n);

/* Softmax cross-entropy of rows against smoothed labels, target = (1 - smoothing) onehot(label) + smoothing / classes:
 *
 *   loss_r = log(sum_j e^x_rj) - sum_j target_j x_rj,   mean over rows,   dx = (softmax(x) - target) / count
 *
 * Shapes    x: float[rows][classes]; label: int32_t[rows]; dx: float[rows][classes] out, x itself, or NULL.
 * Units     label: class index, or -1 for a padding row, which counts for nothing; smoothing: 0 to 1.
 * Layout    contiguous, 4-byte alignment.
 * Numerics  rows in float (kernels/loss/loss.h states the bound), their sum in double, in order. The same bits for any
 *           number of threads and for every row of kernels. NaN in x reaches loss and dx of its row and the mean.
 * Cost      about 20 flops and 12 bytes an element: three passes over a row that stays in cache.
 * Threads   the team of ctx; by row.
 * Memory    none allocated; workspace: sco_loss_workspace_bytes(rows), any content.
 * Errors    SCO_FORMAT: a label that is neither -1 nor a class (the message names row and value); SCO_INVALID: smoothing
 *           out of range, or a workspace that is too small. dx is undefined on error.
 * Source    He et al., "Deep residual learning", 2015; label smoothing: Szegedy et al., "Rethinking the Inception
 *           architecture", 2016, section 7. */
SCO_API enum sco_status sco_softmax_cross_entropy(struct sco_ctx *ctx, size_t rows, size_t classes, const float *x,
                                                  const int32_t *label, float smoothing, void *workspace,
                                                  size_t workspace_bytes, struct sco_loss *loss, float *dx);

/* Sigmoid binary cross-entropy, labels missing where they are NaN:
 *
 *   loss_i = max(x, 0) - x z + log(1 + e^-|x|),   mean over labels that are there,   dx = (sigmoid(x) - z) / count, or 0
 *
 * Shapes    x, label: float[n]; dx: float[n] out, x itself, or NULL.
 * Units     label: probability of the positive class, 0 to 1.
 * Layout    contiguous, 4-byte alignment.
 * Numerics  elements in float, sums in double over fixed blocks. The same bits for any number of threads and for every row
 *           of kernels. NaN in x reaches dx of its element and the mean, unless its label is missing.
 * Cost      about 45 flops, 8 bytes read and 4 written an element; 4 more read to count first.
 * Threads   the team of ctx; by block.
 * Memory    none allocated; workspace: sco_loss_workspace_bytes(n), any content.
 * Errors    SCO_INVALID: a workspace that is too small. dx is undefined on error.
 * Source    Hu et al., "Open Graph Benchmark", 2020 (mask); Naumov et al., "Deep Learning Recommendation Model", 2019. */
SCO_API enum sco_status sco_sigmoid_cross_entropy(struct sco_ctx *ctx, size_t n, const float *x, const float *label,
                                                  void *workspace, size_t workspace_bytes, struct sco_loss *loss,
                                                  float *dx);

/* Mean absolute error: mean of |x - target|, dx = sign(x - target) / n with sign(0) = 0. Over a batch of images of one size
 * that is the mean over images of their means.
 *
 * Shapes    x, target: float[n]; dx: float[n] out, x itself, or NULL.
 * Units     those of x.
 * Layout    contiguous, 4-byte alignment.
 * Numerics  differences in float, sums in double over fixed blocks. The same bits for any number of threads and for every
 *           row of kernels. NaN reaches dx of its element and the mean.
 * Cost      4 flops, 8 bytes read and 4 written an element.
 * Threads   the team of ctx; by block.
 * Memory    none allocated; workspace: sco_loss_workspace_bytes(n), any content.
 * Errors    SCO_INVALID: a workspace that is too small. dx is undefined on error.
 * Source    Zbontar et al., "fastMRI", 2018, section 5. */
SCO_API enum sco_status sco_l1_loss(struct sco_ctx *ctx, size_t n, const float *x, const float *target, void *workspace,
                                    size_t workspace_bytes, struct sco_loss *loss, float *dx);

SCO_END_DECLS
#endif

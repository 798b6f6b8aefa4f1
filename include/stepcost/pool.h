/* SPDX-License-Identifier: Apache-2.0
 * Pooling of blocked activations and its gradients. */
#ifndef STEPCOST_POOL_H
#define STEPCOST_POOL_H

#include <stdint.h>

#include "stepcost/blocked.h"

SCO_BEGIN_DECLS

/* Square windows of window x window pixels, stride pixels apart, from pad pixels before the image on. */
struct sco_pool {
    size_t window, stride, pad;
};

/* Rows (columns) of the result for so many of x: floor((in + 2 pad - window) / stride) + 1, or 0. */
SCO_API size_t sco_pool_extent(size_t in, const struct sco_pool *pool);

/* Maximum and average over windows.
 *
 *   max   y = the largest x of the window's pixels inside the image; argmax = kh window + kw of the first that is largest
 *   avg   y = the sum over the window / window^2
 *   bwd   dx = the sum over the windows that took (max) or hold (avg) the pixel of dy (avg: / window^2)
 *
 * Shapes    shape describes x and dx; y, dy have sco_pool_extent() rows and columns, images dst_image apart; argmax has
 *           N x one dense image of them. Sizes may be 0.
 * Layout    blocked.h; operands do not overlap. dx is written, never read.
 * Numerics  f32, windows and pixels in index order. A NaN in a window becomes its maximum. Same bits from every row and
 *           for any team.
 * Cost      each operand once; argmax is a byte an element.
 * Threads   the team of ctx; by image, block and strip of rows.
 * Memory    none allocated.
 * Errors    SCO_INVALID: window or stride is 0, window above 11 (max), pad above window / 2 (max) or not 0 (avg);
 *           SCO_SHAPE: a tensor exceeds the address space, or a stride is smaller than an image. */
SCO_API enum sco_status sco_max_pool_fwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                         const struct sco_pool *pool, const float *x, float *y, int8_t *argmax);
SCO_API enum sco_status sco_max_pool_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                         const struct sco_pool *pool, const float *dy, const int8_t *argmax, float *dx);
SCO_API enum sco_status sco_avg_pool_fwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                         const struct sco_pool *pool, const float *x, float *y);
SCO_API enum sco_status sco_avg_pool_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                         const struct sco_pool *pool, const float *dy, float *dx);

/* Mean over all pixels: y[n][c] = mean of x[n, c], dx[n, c, :] = dy[n][c] / pixels.
 *
 * Shapes    y, dy: float[N][C], plain rows, as a dense layer takes them. Without pixels y is 0.
 * Numerics  forward sums in double. Same bits from every row and for any team.
 * Threads   by image and block.
 * Errors    SCO_SHAPE as above. */
SCO_API enum sco_status sco_mean_pool_fwd(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *x,
                                          float *y);
SCO_API enum sco_status sco_mean_pool_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *dy,
                                          float *dx);

SCO_END_DECLS
#endif

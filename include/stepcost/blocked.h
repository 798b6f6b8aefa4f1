/* SPDX-License-Identifier: Apache-2.0
 * Activations of convolutional networks, kept in blocks of channels from layer to layer. */
#ifndef STEPCOST_BLOCKED_H
#define STEPCOST_BLOCKED_H

#include <stddef.h>

#include "stepcost/ctx.h"

SCO_BEGIN_DECLS

/* N images of C channels, as x[N][ceil(C / B)][H][W][B] with B = 16, or C where that is less. Channels from C on in the
 * last block are zero: operators that read them rely on it, operators that write the tensor write them. Sizes may be 0.
 *
 * Two images may lie further apart than their own size, which makes a tensor a range of channels of a wider one: an
 * operator that writes into such a range has concatenated for free. Strides are in floats; 0 stands for dense. src_image
 * belongs to the operand that forward reads (x, and dx of backward), dst_image to everything in the shape of its result. */
struct sco_blocked {
    size_t N, C, H, W;
    size_t src_image, dst_image;
};

/* Floats of one image, and of a dense tensor of N. */
SCO_API size_t sco_blocked_floats(size_t C, size_t H, size_t W);

/* Copies between the blocks and plain NCHW (dst[N][C][H][W], src likewise); padding channels are written as zero.
 *
 * Layout    the blocked side has the stride src_image in from_blocked, dst_image in to_blocked; the plain side is dense.
 * Numerics  bits are moved.
 * Threads   the team of ctx; by image and block.
 * Memory    none allocated.
 * Errors    SCO_SHAPE: the tensor exceeds the address space, or a stride is smaller than an image. */
SCO_API enum sco_status sco_blocked_from_nchw(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *nchw,
                                              float *blocked);
SCO_API enum sco_status sco_blocked_to_nchw(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *blocked,
                                            float *nchw);

/* Channels [src_first, src_first + C) of src become channels [dst_first, dst_first + C) of dst: concatenation and its
 * gradient, where strides alone will not do. N, H, W and both strides are those of shape; its C is the number of channels to
 * copy; src and dst have src_channels and dst_channels in all. Other channels of dst are left alone.
 *
 * Cost      8 bytes an element; whole blocks move as lines where both ranges start at one and have the same block.
 * Errors    SCO_SHAPE: as above, or a range ends behind its tensor. */
SCO_API enum sco_status sco_blocked_copy(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *src,
                                         size_t src_channels, size_t src_first, float *dst, size_t dst_channels,
                                         size_t dst_first);

/* y (H + bottom rows, W + right columns) is x, with row H a copy of row H - 2 and column W of column W - 2 where bottom and
 * right are 1. The gradient adds what flows into a copy to its source. dx is written, never read.
 *
 * Shapes    shape describes x; y is larger by bottom and right, which are 0 or 1.
 * Numerics  bits are moved; the gradient adds bottom first, then right, in f32.
 * Threads   the team of ctx; by image and block.
 * Memory    none allocated.
 * Errors    SCO_SHAPE: as above, or a copied axis is shorter than 2; SCO_INVALID: bottom or right is neither 0 nor 1.
 * Source    the U-Net of fastMRI at odd sizes. */
SCO_API enum sco_status sco_reflect_pad(struct sco_ctx *ctx, const struct sco_blocked *shape, size_t bottom,
                                        size_t right, const float *x, float *y);
SCO_API enum sco_status sco_reflect_pad_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape, size_t bottom,
                                            size_t right, const float *dy, float *dx);

/* y = x + bias[c], and dbias[c] = the sum of dy over images and pixels.
 *
 * Numerics  f32, the sums double over pieces of 1024 pixels in index order. Same bits for any team. y may be x.
 * Memory    none allocated; workspace of sco_blocked_bias_workspace_bytes().
 * Errors    SCO_SHAPE as above; SCO_INVALID: a pointer is NULL. */
SCO_API size_t sco_blocked_bias_workspace_bytes(const struct sco_blocked *shape);
SCO_API enum sco_status sco_blocked_bias(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *x,
                                         const float *bias, float *y);
SCO_API enum sco_status sco_blocked_bias_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *dy,
                                             float *dbias, void *workspace);

SCO_END_DECLS
#endif

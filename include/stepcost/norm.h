/* SPDX-License-Identifier: Apache-2.0
 * Batch, instance and layer normalization with what follows them fused. */
#ifndef STEPCOST_NORM_H
#define STEPCOST_NORM_H

#include "stepcost/blocked.h"
#include "stepcost/dropout.h"

SCO_BEGIN_DECLS

enum sco_norm_activation { SCO_NORM_LINEAR, SCO_NORM_RELU, SCO_NORM_LEAKY_RELU };

struct sco_batch_norm {
    const float *scale, *bias; /* C floats each; NULL stands for 1, for 0 */
    float *running_mean,
        *running_var; /* C floats each: training updates them (NULL: it does not), inference reads them */
    float keep;       /* running = keep running + (1 - keep) batch; 0.9 is usual */
    float eps;
    enum sco_norm_activation activation;
    float slope;        /* of SCO_NORM_LEAKY_RELU */
    float *mean, *rstd; /* C floats each: forward saves the batch's mean and 1 / sqrt(var + eps), backward reads them */
};

/* Batch normalization over blocked activations:
 *
 *   fwd    y = f((x - m) r scale + bias + residual), m and var over images and pixels (var biased), r = 1 / sqrt(var + eps)
 *   infer  the same with the running statistics
 *   bwd    g = f' dy; dbias = sum g; dscale = sum g (x - m) r; dx = scale r (g - mean(g) - (x - m) r mean(g (x - m) r));
 *          dresidual = g
 *
 * Shapes    x, y, dy, dx, residual, dresidual: as shape says, blocked; dscale, dbias: float[C] out, or NULL.
 *           residual, dresidual may be NULL. backward needs y where forward had a residual and an activation, else it may
 *           be NULL: the sign of the activation's argument is then computed from x again. N, H or W = 0: fwd leaves y alone
 *           and the running statistics too; bwd writes zeros to dscale and dbias.
 * Layout    blocked.h; y may be x or residual; dx may be dy or x, dresidual may be dy (then dx is not).
 * Numerics  sums in double over pieces of 1024 pixels, added in index order; the rest f32, (x - m) first, so that a
 *           large mean costs nothing but the rounding of m. Relative error of var below (pixels + 2) 2^-53 (1 + m^2 / var).
 *           Same bits from every row and for any team.
 * Cost      x is read twice, dy twice; the second time from cache where the channels of one block fit.
 * Threads   the team of ctx; by block of channels, by pieces of pixels where blocks are few.
 * Memory    none allocated; workspace of sco_batch_norm_workspace_bytes(), 64-byte aligned, undefined before and after.
 * Errors    SCO_SHAPE: the tensor exceeds the address space, or a stride is smaller than an image; SCO_INVALID: a pointer
 *           that the call needs is NULL, eps is negative, or the activation unknown. Outputs are untouched on error.
 * Source    Ioffe and Szegedy, "Batch normalization", ICML 2015, Algorithms 1 and 2. */
SCO_API size_t sco_batch_norm_workspace_bytes(const struct sco_blocked *shape);
SCO_API enum sco_status sco_batch_norm_fwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                           const struct sco_batch_norm *norm, const float *x, const float *residual,
                                           float *y, void *workspace);
SCO_API enum sco_status sco_batch_norm_infer(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                             const struct sco_batch_norm *norm, const float *x, const float *residual,
                                             float *y);
SCO_API enum sco_status sco_batch_norm_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                           const struct sco_batch_norm *norm, const float *x, const float *y,
                                           const float *dy, float *dx, float *dresidual, float *dscale, float *dbias,
                                           void *workspace);

/* Instance normalization without scale and bias: batch normalization of every image by itself. mean and rstd are
 * float[N][C]; everything else as above, with the same workspace.
 * Source    Ulyanov, Vedaldi, Lempitsky, "Instance normalization", 2016. */
struct sco_instance_norm {
    float eps;
    enum sco_norm_activation activation;
    float slope;
    float *mean, *rstd;
};
SCO_API enum sco_status sco_instance_norm_fwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                              const struct sco_instance_norm *norm, const float *x, float *y,
                                              void *workspace);
SCO_API enum sco_status sco_instance_norm_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                              const struct sco_instance_norm *norm, const float *x, const float *dy,
                                              float *dx, void *workspace);

/* Layer normalization of rows, with ReLU and dropout:
 *
 *   fwd    y = dropout(f((x - m) r scale + bias)), m and var over the row (var biased), r = 1 / sqrt(var + eps)
 *   bwd    g = f' dropout(dy); dbias = sum g; dscale = sum g (x - m) r; h = g scale;
 *          dx = r (h - mean(h) - (x - m) r mean(h (x - m) r))
 *
 * Shapes    x, y, dy, dx: float[rows][width]; scale, bias: float[width]; mean, rstd: float[rows], saved by forward and read
 *           by backward; dscale, dbias: float[width] out. rows may be 0, width may not.
 * Layout    contiguous; 4-byte alignment, 64 preferred. y may be x; dx may be dy or x.
 * Numerics  f32; sums over a row within (width / 32 + 6) 2^-24 of the sum of magnitudes; dscale and dbias in f32 over 64
 *           rows, then double over these blocks. The mask of dropout is the one of sco_dropout() on y.
 *           Same bits from every row and for any team.
 * Cost      8 bytes an element forward, 12 backward, with dropout no more.
 * Threads   the team of ctx; by blocks of 64 rows.
 * Memory    none allocated; backward takes a workspace of sco_layer_norm_workspace_bytes(), forward none.
 * Errors    SCO_SHAPE: width is 0, or rows x width exceeds the address space; SCO_INVALID: a needed pointer is NULL, eps is
 *           negative, p is out of range, or the activation is neither linear nor ReLU.
 * Source    Ba, Kiros, Hinton, "Layer normalization", 2016, Eq. 4. */
struct sco_layer_norm {
    size_t width;
    const float *scale, *bias;
    float eps;
    enum sco_norm_activation activation; /* SCO_NORM_LINEAR or SCO_NORM_RELU */
    const struct sco_dropout *dropout;   /* NULL: none */
    float *mean, *rstd;
};
SCO_API size_t sco_layer_norm_workspace_bytes(struct sco_ctx *ctx, const struct sco_layer_norm *norm, size_t rows);
SCO_API enum sco_status sco_layer_norm_fwd(struct sco_ctx *ctx, const struct sco_layer_norm *norm, size_t rows,
                                           const float *x, float *y);
SCO_API enum sco_status sco_layer_norm_bwd(struct sco_ctx *ctx, const struct sco_layer_norm *norm, size_t rows,
                                           const float *x, const float *dy, float *dx, float *dscale, float *dbias,
                                           void *workspace);

SCO_END_DECLS
#endif

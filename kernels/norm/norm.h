/* SPDX-License-Identifier: Apache-2.0
 * Inner loops of batch, instance and layer normalization, of biases, and their gradients.
 *
 * channel_* work on pixels of one block of B <= 16 channels, float[pixels][B]: a piece of a tensor in blocks of channels
 * (kernels/conv/conv2d.h). Batch and instance norm differ in which pieces share their sums. row_* and layer_norm work on
 * float[rows][width].
 *
 * Numerics  f32 with sums over pixels in double; sums over a row in 32 virtual lanes (element j goes to lane j mod 32,
 *           lanes are folded in halves). Same bits from every row. Sums over pixels are within pixels 2^-53 of the sum of
 *           magnitudes, those over a row within (width / 32 + 6) 2^-24.
 * Layout    4-byte alignment required, 64 preferred. Operands overlap only where stated.
 * Threads   reentrant; disjoint pieces may run at once.
 * Memory    none allocated.
 * Errors    none. */
#ifndef SCO_KERNELS_NORM_H
#define SCO_KERNELS_NORM_H

#include "kernels/kernel.h"
#include "stepcost/norm.h"

enum { SCO_NORM_BLOCK = 16, SCO_NORM_LANES = 32 };

/* t = (x - mean) scale + bias, by channel. */
struct sco_channel_affine {
    float mean[SCO_NORM_BLOCK], scale[SCO_NORM_BLOCK], bias[SCO_NORM_BLOCK];
    enum sco_norm_activation activation;
    float slope; /* of SCO_NORM_LEAKY_RELU below zero */
};

/* dx = dy' along_dy + (x - mean) along_x + constant, by channel. */
struct sco_channel_gradient {
    float along_dy[SCO_NORM_BLOCK], along_x[SCO_NORM_BLOCK], constant[SCO_NORM_BLOCK];
};

/* sum[c] += x and sum[16 + c] += x^2 over the pixels. */
typedef void sco_channel_moments_fn(size_t pixels, size_t B, const float *x, double sum[2 * SCO_NORM_BLOCK]);

/* y = activation(t + residual); residual may be NULL. y may be x or residual. */
typedef void sco_channel_norm_fn(size_t pixels, size_t B, const float *x, const float *residual,
                                 const struct sco_channel_affine *affine, float *y);

/* dy' is dy where the activation's argument was above zero, elsewhere dy times its slope. The argument's sign is that of
 * y, or where y is NULL that of t, computed again (without a residual it is the same number).
 * sum[c] += dy' and sum[16 + c] += dy' (x - mean) over the pixels. */
typedef void sco_channel_norm_bwd_sums_fn(size_t pixels, size_t B, const float *x, const float *y, const float *dy,
                                          const struct sco_channel_affine *affine, double sum[2 * SCO_NORM_BLOCK]);

/* dx as above; dresidual, if not NULL, is dy'. dx may be x or dy, dresidual may be y or dy, but not what dx is. */
typedef void sco_channel_norm_bwd_fn(size_t pixels, size_t B, const float *x, const float *y, const float *dy,
                                     const struct sco_channel_affine *affine,
                                     const struct sco_channel_gradient *gradient, float *dx, float *dresidual);

/* Each row by itself: m = mean(x), r = 1 / sqrt(mean((x - m)^2) + eps), y = activation((x - m) r scale + bias); mean and
 * rstd keep m and r. y may be x. activation is SCO_NORM_LINEAR or SCO_NORM_RELU.
 * Source    Ba, Kiros, Hinton, "Layer normalization", 2016, Eq. 4. */
typedef void sco_layer_norm_fn(size_t rows, size_t width, const float *x, const float *scale, const float *bias,
                               float eps, enum sco_norm_activation activation, float *y, float *mean, float *rstd);

/* dx = r (h - mean(h) - xh mean(h xh)) with xh = (x - m) r, h = dy' scale; dscale += dy' xh, dbias += dy' over the rows, in
 * their order. dx may be x or dy. */
typedef void sco_layer_norm_bwd_fn(size_t rows, size_t width, const float *x, const float *dy, const float *scale,
                                   const float *bias, const float *mean, const float *rstd,
                                   enum sco_norm_activation activation, float *dx, float *dscale, float *dbias);

/* y = x + bias, row by row; y may be x. */
typedef void sco_row_bias_fn(size_t rows, size_t width, const float *x, const float *bias, float *y);

/* sum[j] += x[0][j], then x[1][j], ... */
typedef void sco_column_sums_fn(size_t rows, size_t width, const float *x, float *sum);

struct sco_norm_ops {
    sco_channel_moments_fn *channel_moments;
    sco_channel_norm_fn *channel_norm;
    sco_channel_norm_bwd_sums_fn *channel_norm_bwd_sums;
    sco_channel_norm_bwd_fn *channel_norm_bwd;
    sco_layer_norm_fn *layer_norm;
    sco_layer_norm_bwd_fn *layer_norm_bwd;
    sco_row_bias_fn *row_bias;
    sco_column_sums_fn *column_sums;
};

#define SCO_NORM_ROWS(ROW)                                                                                             \
    ROW(norm, scalar, 0)                                                                                               \
    SCO_HWY(ROW(norm, hwy, SCO_USE_HWY))                                                                               \
    SCO_X86(ROW(norm, avx2, SCO_ISA_AVX2))                                                                             \
    SCO_X86(ROW(norm, avx512, SCO_ISA_AVX512))                                                                         \
    SCO_ARM64(ROW(norm, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(norm, SCO_NORM_ROWS)
SCO_END_DECLS

#endif

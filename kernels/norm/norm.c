/* SPDX-License-Identifier: Apache-2.0
 * The bodies are the definition; every row copies their operations, their order and their fusing. */
#include "kernels/norm/norm.h"

#include <assert.h>
#include <math.h>

static float activated(enum sco_norm_activation activation, float slope, float t)
{
    if (activation == SCO_NORM_LINEAR)
        return t;
    /* A select of its own: clang 14 makes it a maximum on AArch64, here and in vectors, and a maximum loses the sign of -0. */
    if (activation == SCO_NORM_RELU)
        return t < 0.0f ? 0.0f : t;
    return t < 0.0f ? slope * t : t;
}

static float passed(enum sco_norm_activation activation, float slope, float t, float dy)
{
    if (activation == SCO_NORM_LINEAR)
        return dy;
    return 0.0f < t ? dy : activation == SCO_NORM_RELU ? 0.0f : slope * dy;
}

/* A piece has sums of its own before they are added to those of others. */
static void add_sums(size_t B, const double own[2 * SCO_NORM_BLOCK], double sum[2 * SCO_NORM_BLOCK])
{
    assert(B <= SCO_NORM_BLOCK);
    for (size_t c = 0; c < B; c++) {
        sum[c] += own[c];
        sum[SCO_NORM_BLOCK + c] += own[SCO_NORM_BLOCK + c];
    }
}

static void channel_moments_scalar(size_t pixels, size_t B, const float *x, double sum[2 * SCO_NORM_BLOCK])
{
    double own[2 * SCO_NORM_BLOCK] = {0};
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < B; c++) {
            const double v = (double)x[i * B + c];
            own[c] += v;
            own[SCO_NORM_BLOCK + c] = fma(v, v, own[SCO_NORM_BLOCK + c]);
        }
    add_sums(B, own, sum);
}

static float affine_of(const struct sco_channel_affine *a, size_t c, float x)
{
    return fmaf(x - a->mean[c], a->scale[c], a->bias[c]);
}

static void channel_norm_scalar(size_t pixels, size_t B, const float *x, const float *residual,
                                const struct sco_channel_affine *affine, float *y)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < B; c++) {
            const float t = affine_of(affine, c, x[i * B + c]);
            y[i * B + c] = activated(affine->activation, affine->slope, residual != NULL ? t + residual[i * B + c] : t);
        }
}

static float passed_channel(size_t c, float x, const float *y, float dy, const struct sco_channel_affine *a)
{
    return passed(a->activation, a->slope, y != NULL ? *y : affine_of(a, c, x), dy);
}

static void channel_norm_bwd_sums_scalar(size_t pixels, size_t B, const float *x, const float *y, const float *dy,
                                         const struct sco_channel_affine *affine, double sum[2 * SCO_NORM_BLOCK])
{
    double own[2 * SCO_NORM_BLOCK] = {0};
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < B; c++) {
            const size_t k = i * B + c;
            const double g = (double)passed_channel(c, x[k], y != NULL ? y + k : NULL, dy[k], affine);
            own[c] += g;
            own[SCO_NORM_BLOCK + c] = fma(g, (double)(x[k] - affine->mean[c]), own[SCO_NORM_BLOCK + c]);
        }
    add_sums(B, own, sum);
}

static void channel_norm_bwd_scalar(size_t pixels, size_t B, const float *x, const float *y, const float *dy,
                                    const struct sco_channel_affine *affine,
                                    const struct sco_channel_gradient *gradient, float *dx, float *dresidual)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < B; c++) {
            const size_t k = i * B + c;
            const float g = passed_channel(c, x[k], y != NULL ? y + k : NULL, dy[k], affine);
            const float d = x[k] - affine->mean[c];
            dx[k] = fmaf(g, gradient->along_dy[c], fmaf(d, gradient->along_x[c], gradient->constant[c]));
            if (dresidual != NULL)
                dresidual[k] = g;
        }
}

static float fold(float lane[SCO_NORM_LANES])
{
    for (size_t half = SCO_NORM_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

static void layer_norm_scalar(size_t rows, size_t width, const float *x, const float *scale, const float *bias,
                              float eps, enum sco_norm_activation activation, float *y, float *mean, float *rstd)
{
    const float count = (float)width;
    for (size_t i = 0; i < rows; i++, x += width, y += width) {
        float sum[SCO_NORM_LANES] = {0}, square[SCO_NORM_LANES] = {0};
        for (size_t j = 0; j < width; j++)
            sum[j % SCO_NORM_LANES] += x[j];
        const float m = fold(sum) / count;
        for (size_t j = 0; j < width; j++)
            square[j % SCO_NORM_LANES] = fmaf(x[j] - m, x[j] - m, square[j % SCO_NORM_LANES]);
        const float r = 1.0f / sqrtf(fold(square) / count + eps);
        for (size_t j = 0; j < width; j++)
            y[j] = activated(activation, 0.0f, fmaf((x[j] - m) * r, scale[j], bias[j]));
        mean[i] = m;
        rstd[i] = r;
    }
}

static void layer_norm_bwd_scalar(size_t rows, size_t width, const float *x, const float *dy, const float *scale,
                                  const float *bias, const float *mean, const float *rstd,
                                  enum sco_norm_activation activation, float *dx, float *dscale, float *dbias)
{
    const float count = (float)width;
    for (size_t i = 0; i < rows; i++, x += width, dy += width, dx += width) {
        float sum[SCO_NORM_LANES] = {0}, along[SCO_NORM_LANES] = {0};
        for (size_t j = 0; j < width; j++) {
            const float xh = (x[j] - mean[i]) * rstd[i];
            const float g = passed(activation, 0.0f, fmaf(xh, scale[j], bias[j]), dy[j]), h = g * scale[j];
            dscale[j] = fmaf(g, xh, dscale[j]);
            dbias[j] += g;
            sum[j % SCO_NORM_LANES] += h;
            along[j % SCO_NORM_LANES] = fmaf(h, xh, along[j % SCO_NORM_LANES]);
        }
        const float c1 = fold(sum) / count, c2 = fold(along) / count;
        for (size_t j = 0; j < width; j++) {
            const float xh = (x[j] - mean[i]) * rstd[i];
            const float g = passed(activation, 0.0f, fmaf(xh, scale[j], bias[j]), dy[j]);
            dx[j] = rstd[i] * fmaf(-xh, c2, g * scale[j] - c1);
        }
    }
}

static void row_bias_scalar(size_t rows, size_t width, const float *x, const float *bias, float *y)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < width; j++)
            y[i * width + j] = x[i * width + j] + bias[j];
}

static void column_sums_scalar(size_t rows, size_t width, const float *x, float *sum)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < width; j++)
            sum[j] += x[i * width + j];
}

void sco_norm_fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_norm_ops *)ops =
        (struct sco_norm_ops){channel_moments_scalar,  channel_norm_scalar, channel_norm_bwd_sums_scalar,
                              channel_norm_bwd_scalar, layer_norm_scalar,   layer_norm_bwd_scalar,
                              row_bias_scalar,         column_sums_scalar};
}

SCO_FAMILY_DEFINE(norm, SCO_NORM_ROWS, struct sco_norm_ops, "channel_moments", "channel_norm", "channel_norm_bwd_sums",
                  "channel_norm_bwd", "layer_norm", "layer_norm_bwd", "row_bias", "column_sums")

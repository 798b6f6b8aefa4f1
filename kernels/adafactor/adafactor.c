/* SPDX-License-Identifier: Apache-2.0
 * The loop bodies are the definition of each piece; every row copies their operations, order and fusing. */
#include "kernels/adafactor/adafactor.h"

#include <math.h>
#include <string.h>

#include "kernels/sum_lanes.h"

enum { LANES = 16, RUN = 1024 };

static void square_sums_f32_scalar(size_t rows, size_t cols, ptrdiff_t stride, const float *restrict g,
                                   double *restrict row_sum, float *restrict col_sum)
{
    for (size_t i = 0; i < rows; i++, g += stride) {
        row_sum[i] = 0.0;
        for (size_t j0 = 0; j0 < cols; j0 += RUN) {
            const size_t end = cols - j0 < RUN ? cols : j0 + RUN;
            float lane[LANES] = {0};
            for (size_t j = j0; j < end; j++) {
                lane[j % LANES] = fmaf(g[j], g[j], lane[j % LANES]);
                col_sum[j] = fmaf(g[j], g[j], col_sum[j]);
            }
            for (size_t half = LANES / 2; half > 0; half /= 2)
                for (size_t l = 0; l < half; l++)
                    lane[l] += lane[l + half];
            row_sum[i] += (double)lane[0];
        }
    }
}

static double accumulate_f32_scalar(size_t n, float *restrict a, const double *restrict sum,
                                    const struct sco_adafactor_decay *c)
{
    double lane[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        a[i] = fmaf(c->decay, a[i], c->mixing * fmaf((float)sum[i], c->sum_scale, c->eps));
        lane[i % LANES] += (double)a[i];
    }
    return sco_fold_lanes(lane, LANES);
}

static void factor_f32_scalar(size_t n, const float *restrict a, float scale, float gain, float *restrict factor)
{
    for (size_t i = 0; i < n; i++)
        factor[i] = gain / sqrtf(a[i] * scale);
}

/* The normalised gradient: of a factored tensor and of an unfactored one. */
static inline float normal(float g, float row_factor, float col_factor)
{
    return g * row_factor * col_factor;
}

static inline float normal_diag(float g, float v, float gscale)
{
    return gscale * g / sqrtf(v);
}

static double update_square_sum_f32_scalar(const struct sco_adafactor_panel *panel, const float *restrict g)
{
    double lane[LANES] = {0};
    for (size_t i = 0; i < panel->rows; i++, g += panel->stride)
        for (size_t j = 0; j < panel->cols; j++) {
            const double u = (double)normal(g[j], panel->row_factor[i], panel->col_factor[j]);
            lane[j % LANES] += u * u;
        }
    return sco_fold_lanes(lane, LANES);
}

static double update_square_sum_diag_f32_scalar(size_t n, float *restrict v, const float *restrict g,
                                                const struct sco_adafactor_diag *c)
{
    double lane[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        const float x = c->gscale * g[i];
        v[i] = fmaf(c->decay, v[i], c->mixing * fmaf(x, x, c->eps));
        const double u = (double)(x / sqrtf(v[i]));
        lane[i % LANES] += u * u;
    }
    return sco_fold_lanes(lane, LANES);
}

static inline float moment(float m, float u, const struct sco_adafactor_coef *c)
{
    return fmaf(c->b1, m, c->one_minus_b1 * u);
}

static inline float stepped(float p, float u, const struct sco_adafactor_coef *c)
{
    return p - fmaf(c->decay, p, u);
}

/* The larger magnitude; any NaN is larger than all. Bits of magnitudes order as integers do. */
static inline float larger(float peak, float m)
{
    int32_t a, b;
    memcpy(&a, &peak, sizeof a);
    memcpy(&b, &m, sizeof b);
    b &= INT32_MAX;
    a = a > b ? a : b;
    memcpy(&peak, &a, sizeof peak);
    return peak;
}

static inline int8_t quantized(float m, float bucket)
{
    const float ratio = m / (bucket == 0.0f ? 1.0f : bucket);
    if (isnan(ratio))
        return 0;
    return (int8_t)rintf(ratio > 127.0f ? 127.0f : ratio < -127.0f ? -127.0f : ratio);
}

static void apply_f32_scalar(const struct sco_adafactor_panel *panel, float *restrict p, float *restrict m,
                             const float *restrict g, const struct sco_adafactor_coef *c)
{
    (void)m;
    for (size_t i = 0; i < panel->rows; i++, p += panel->stride, g += panel->stride)
        for (size_t j = 0; j < panel->cols; j++)
            p[j] = stepped(p[j], c->scale * normal(g[j], panel->row_factor[i], panel->col_factor[j]), c);
}

static void apply_momentum_f32_scalar(const struct sco_adafactor_panel *panel, float *restrict p, float *restrict m,
                                      const float *restrict g, const struct sco_adafactor_coef *c)
{
    for (size_t i = 0; i < panel->rows; i++, p += panel->stride, m += panel->stride, g += panel->stride)
        for (size_t j = 0; j < panel->cols; j++) {
            m[j] = moment(m[j], c->scale * normal(g[j], panel->row_factor[i], panel->col_factor[j]), c);
            p[j] = stepped(p[j], m[j], c);
        }
}

static void apply_int8_f32_scalar(const struct sco_adafactor_panel *panel, float *restrict p, const float *restrict g,
                                  const struct sco_adafactor_int8 *momentum, float *restrict peak,
                                  const struct sco_adafactor_coef *c)
{
    const int8_t *q = momentum->q;
    const float *bucket = momentum->bucket;
    for (size_t i = 0; i < panel->rows; i++) {
        for (size_t j = 0; j < panel->cols; j++) {
            const float u = c->scale * normal(g[j], panel->row_factor[i], panel->col_factor[j]);
            const float m = moment((float)q[j] * bucket[j], u, c);
            peak[j] = larger(peak[j], m);
            p[j] = stepped(p[j], m, c);
        }
        p += panel->stride, g += panel->stride, q += panel->stride;
        bucket += momentum->bucket_stride, peak += momentum->bucket_stride;
    }
}

static void quantize_int8_f32_scalar(const struct sco_adafactor_panel *panel, const float *restrict g,
                                     const struct sco_adafactor_int8 *momentum, const float *restrict new_bucket,
                                     const struct sco_adafactor_coef *c)
{
    int8_t *q = momentum->q;
    const float *bucket = momentum->bucket;
    for (size_t i = 0; i < panel->rows; i++) {
        for (size_t j = 0; j < panel->cols; j++) {
            const float u = c->scale * normal(g[j], panel->row_factor[i], panel->col_factor[j]);
            q[j] = quantized(moment((float)q[j] * bucket[j], u, c), new_bucket[j]);
        }
        g += panel->stride, q += panel->stride;
        bucket += momentum->bucket_stride, new_bucket += momentum->bucket_stride;
    }
}

static void apply_diag_f32_scalar(size_t n, float *restrict p, float *restrict m, const float *restrict v,
                                  const float *restrict g, const struct sco_adafactor_coef *c)
{
    (void)m;
    for (size_t i = 0; i < n; i++)
        p[i] = stepped(p[i], c->scale * normal_diag(g[i], v[i], c->gscale), c);
}

static void apply_diag_momentum_f32_scalar(size_t n, float *restrict p, float *restrict m, const float *restrict v,
                                           const float *restrict g, const struct sco_adafactor_coef *c)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = moment(m[i], c->scale * normal_diag(g[i], v[i], c->gscale), c);
        p[i] = stepped(p[i], m[i], c);
    }
}

static float apply_diag_int8_f32_scalar(size_t n, float *restrict p, const float *restrict v, const float *restrict g,
                                        const int8_t *restrict q, float bucket, float peak,
                                        const struct sco_adafactor_coef *c)
{
    for (size_t i = 0; i < n; i++) {
        const float m = moment((float)q[i] * bucket, c->scale * normal_diag(g[i], v[i], c->gscale), c);
        peak = larger(peak, m);
        p[i] = stepped(p[i], m, c);
    }
    return peak;
}

static void quantize_diag_int8_f32_scalar(size_t n, const float *restrict v, const float *restrict g,
                                          int8_t *restrict q, float bucket, float new_bucket,
                                          const struct sco_adafactor_coef *c)
{
    for (size_t i = 0; i < n; i++)
        q[i] = quantized(moment((float)q[i] * bucket, c->scale * normal_diag(g[i], v[i], c->gscale), c), new_bucket);
}

void sco_adafactor_fill_scalar(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_adafactor_ops *ops = table;
    ops->square_sums = square_sums_f32_scalar;
    ops->accumulate = accumulate_f32_scalar;
    ops->factor = factor_f32_scalar;
    ops->update_square_sum = update_square_sum_f32_scalar;
    ops->apply = apply_f32_scalar;
    ops->apply_momentum = apply_momentum_f32_scalar;
    ops->apply_int8 = apply_int8_f32_scalar;
    ops->quantize_int8 = quantize_int8_f32_scalar;
    ops->update_square_sum_diag = update_square_sum_diag_f32_scalar;
    ops->apply_diag = apply_diag_f32_scalar;
    ops->apply_diag_momentum = apply_diag_momentum_f32_scalar;
    ops->apply_diag_int8 = apply_diag_int8_f32_scalar;
    ops->quantize_diag_int8 = quantize_diag_int8_f32_scalar;
}

SCO_FAMILY_DEFINE(adafactor, SCO_ADAFACTOR_ROWS, struct sco_adafactor_ops, "square_sums", "accumulate", "factor",
                  "update_square_sum", "apply", "apply_momentum", "apply_int8", "quantize_int8",
                  "update_square_sum_diag", "apply_diag", "apply_diag_momentum", "apply_diag_int8",
                  "quantize_diag_int8")

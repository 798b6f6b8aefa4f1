/* SPDX-License-Identifier: Apache-2.0
 * norm.c over the lanes of the row that includes this file. whole (B is 16) and activation are constants where the loops
 * are inlined. */
#include "kernels/block_lanes.h"
#include "kernels/norm/norm.h"

enum { PARTS = SCO_NORM_BLOCK / LANES };

SCO_INLINE lanes activated(enum sco_norm_activation activation, lanes slope, lanes t)
{
    if (activation == SCO_NORM_LINEAR)
        return t;
    if (activation == SCO_NORM_RELU)
        return lanes_relu(t);
    return lanes_if_less(t, lanes_set(0.0f), lanes_mul(slope, t), t);
}

SCO_INLINE lanes passed(enum sco_norm_activation activation, lanes slope, lanes t, lanes dy)
{
    const lanes zero = lanes_set(0.0f);
    if (activation == SCO_NORM_LINEAR)
        return dy;
    return lanes_if_less(zero, t, dy, activation == SCO_NORM_RELU ? zero : lanes_mul(slope, dy));
}

SCO_INLINE void moments(int whole, size_t pixels, size_t B, const float *x, double *sum)
{
    lanes_f64 first[PARTS], second[PARTS];
    SCO_UNROLL
    for (size_t k = 0; k < PARTS; k++)
        first[k] = second[k] = lanes_f64_zero();
    for (size_t i = 0; i < pixels; i++, x += B) {
        SCO_UNROLL
        for (size_t k = 0; k < PARTS; k++) {
            const lanes v = load_part(whole, B, k, x);
            first[k] = lanes_f64_add(first[k], v);
            second[k] = lanes_f64_add_square(second[k], v);
        }
    }
    double lane[2 * SCO_NORM_BLOCK];
    SCO_UNROLL
    for (size_t k = 0; k < PARTS; k++) {
        lanes_f64_store(lane + k * LANES, first[k]);
        lanes_f64_store(lane + SCO_NORM_BLOCK + k * LANES, second[k]);
    }
    for (size_t c = 0; c < B; c++) {
        sum[c] += lane[c];
        sum[SCO_NORM_BLOCK + c] += lane[SCO_NORM_BLOCK + c];
    }
}

static void channel_moments_f32(size_t pixels, size_t B, const float *x, double *sum)
{
    if (B == SCO_NORM_BLOCK)
        moments(1, pixels, B, x, sum);
    else
        moments(0, pixels, B, x, sum);
}

/* Runs body(whole, activation, ...) with both as constants. */
#define SPECIALISE(B, activation, body, ...)                                                                           \
    do {                                                                                                               \
        if ((B) != SCO_NORM_BLOCK)                                                                                     \
            body(0, activation, __VA_ARGS__);                                                                          \
        else if ((activation) == SCO_NORM_LINEAR)                                                                      \
            body(1, SCO_NORM_LINEAR, __VA_ARGS__);                                                                     \
        else if ((activation) == SCO_NORM_RELU)                                                                        \
            body(1, SCO_NORM_RELU, __VA_ARGS__);                                                                       \
        else                                                                                                           \
            body(1, SCO_NORM_LEAKY_RELU, __VA_ARGS__);                                                                 \
    } while (0)

SCO_INLINE void normalize(int whole, enum sco_norm_activation activation, size_t pixels, size_t B, const float *x,
                          const float *residual, const struct sco_channel_affine *a, float *y)
{
    lanes mean[PARTS], scale[PARTS], bias[PARTS];
    const lanes slope = lanes_set(a->slope);
    SCO_UNROLL
    for (size_t k = 0; k < PARTS; k++) {
        mean[k] = lanes_load(a->mean + k * LANES);
        scale[k] = lanes_load(a->scale + k * LANES);
        bias[k] = lanes_load(a->bias + k * LANES);
    }
    for (size_t i = 0; i < pixels * B; i += B) {
        SCO_UNROLL
        for (size_t k = 0; k < PARTS; k++) {
            lanes t = lanes_fma(lanes_sub(load_part(whole, B, k, x + i), mean[k]), scale[k], bias[k]);
            if (residual != NULL)
                t = lanes_add(t, load_part(whole, B, k, residual + i));
            store_part(whole, B, k, y + i, activated(activation, slope, t));
        }
    }
}

static void channel_norm_f32(size_t pixels, size_t B, const float *x, const float *residual,
                             const struct sco_channel_affine *affine, float *y)
{
    SPECIALISE(B, affine->activation, normalize, pixels, B, x, residual, affine, y);
}

SCO_INLINE void backward_sums(int whole, enum sco_norm_activation activation, size_t pixels, size_t B, const float *x,
                              const float *y, const float *dy, const struct sco_channel_affine *a, double *sum)
{
    lanes mean[PARTS], scale[PARTS], bias[PARTS];
    const lanes slope = lanes_set(a->slope);
    lanes_f64 first[PARTS], second[PARTS];
    SCO_UNROLL
    for (size_t k = 0; k < PARTS; k++) {
        mean[k] = lanes_load(a->mean + k * LANES);
        scale[k] = lanes_load(a->scale + k * LANES);
        bias[k] = lanes_load(a->bias + k * LANES);
        first[k] = second[k] = lanes_f64_zero();
    }
    for (size_t i = 0; i < pixels * B; i += B) {
        SCO_UNROLL
        for (size_t k = 0; k < PARTS; k++) {
            const lanes d = lanes_sub(load_part(whole, B, k, x + i), mean[k]);
            lanes g = load_part(whole, B, k, dy + i);
            if (activation != SCO_NORM_LINEAR) {
                const lanes t = y != NULL ? load_part(whole, B, k, y + i) : lanes_fma(d, scale[k], bias[k]);
                g = passed(activation, slope, t, g);
            }
            first[k] = lanes_f64_add(first[k], g);
            second[k] = lanes_f64_add_product(second[k], g, d);
        }
    }
    double lane[2 * SCO_NORM_BLOCK];
    SCO_UNROLL
    for (size_t k = 0; k < PARTS; k++) {
        lanes_f64_store(lane + k * LANES, first[k]);
        lanes_f64_store(lane + SCO_NORM_BLOCK + k * LANES, second[k]);
    }
    for (size_t c = 0; c < B; c++) {
        sum[c] += lane[c];
        sum[SCO_NORM_BLOCK + c] += lane[SCO_NORM_BLOCK + c];
    }
}

static void channel_norm_bwd_sums_f32(size_t pixels, size_t B, const float *x, const float *y, const float *dy,
                                      const struct sco_channel_affine *affine, double *sum)
{
    SPECIALISE(B, affine->activation, backward_sums, pixels, B, x, y, dy, affine, sum);
}

SCO_INLINE void backward(int whole, enum sco_norm_activation activation, size_t pixels, size_t B, const float *x,
                         const float *y, const float *dy, const struct sco_channel_affine *a,
                         const struct sco_channel_gradient *gradient, float *dx, float *dresidual)
{
    lanes mean[PARTS], scale[PARTS], bias[PARTS], along_dy[PARTS], along_x[PARTS], constant[PARTS];
    const lanes slope = lanes_set(a->slope);
    SCO_UNROLL
    for (size_t k = 0; k < PARTS; k++) {
        mean[k] = lanes_load(a->mean + k * LANES);
        scale[k] = lanes_load(a->scale + k * LANES);
        bias[k] = lanes_load(a->bias + k * LANES);
        along_dy[k] = lanes_load(gradient->along_dy + k * LANES);
        along_x[k] = lanes_load(gradient->along_x + k * LANES);
        constant[k] = lanes_load(gradient->constant + k * LANES);
    }
    for (size_t i = 0; i < pixels * B; i += B) {
        SCO_UNROLL
        for (size_t k = 0; k < PARTS; k++) {
            const lanes d = lanes_sub(load_part(whole, B, k, x + i), mean[k]);
            lanes g = load_part(whole, B, k, dy + i);
            if (activation != SCO_NORM_LINEAR) {
                const lanes t = y != NULL ? load_part(whole, B, k, y + i) : lanes_fma(d, scale[k], bias[k]);
                g = passed(activation, slope, t, g);
            }
            const lanes rest = lanes_fma(d, along_x[k], constant[k]);
            store_part(whole, B, k, dx + i, lanes_fma(g, along_dy[k], rest));
            if (dresidual != NULL)
                store_part(whole, B, k, dresidual + i, g);
        }
    }
}

static void channel_norm_bwd_f32(size_t pixels, size_t B, const float *x, const float *y, const float *dy,
                                 const struct sco_channel_affine *affine, const struct sco_channel_gradient *gradient,
                                 float *dx, float *dresidual)
{
    SPECIALISE(B, affine->activation, backward, pixels, B, x, y, dy, affine, gradient, dx, dresidual);
}

/* ---- Rows ---- */

enum { ROW_PARTS = SCO_NORM_LANES / LANES };

SCO_INLINE float fold(const lanes sum[ROW_PARTS])
{
    lanes half[PARTS];
    SCO_UNROLL
    for (size_t k = 0; k < PARTS; k++)
        half[k] = lanes_add(sum[k], sum[k + PARTS]);
    return lanes_fold16(half);
}

/* Calls for the vector at column j, k-th of its group, left >= 1 columns before the end of the row. Where a group is
 * whole, left is a constant, and masks vanish. */
#define EACH_PART(width, j, left, k, call)                                                                             \
    do {                                                                                                               \
        size_t group = 0;                                                                                              \
        for (; (width)-group >= SCO_NORM_LANES; group += SCO_NORM_LANES) {                                             \
            SCO_UNROLL                                                                                                 \
            for (size_t k = 0; k < ROW_PARTS; k++) {                                                                   \
                const size_t j = group + k * LANES, left = LANES;                                                      \
                call;                                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
        SCO_UNROLL                                                                                                     \
        for (size_t k = 0; k < ROW_PARTS; k++) {                                                                       \
            const size_t j = group + k * LANES, left = (width)-j;                                                      \
            if (j < (width))                                                                                           \
                call;                                                                                                  \
        }                                                                                                              \
    } while (0)

SCO_INLINE lanes load_left(const float *x, size_t left)
{
    return left >= LANES ? lanes_load(x) : lanes_load_first(x, left);
}

SCO_INLINE void store_left(float *to, lanes x, size_t left)
{
    if (left >= LANES)
        lanes_store(to, x);
    else
        lanes_store_first(to, x, left);
}

SCO_INLINE void add_deviation(const float *x, size_t left, lanes mean, lanes *sum)
{
    lanes d = lanes_sub(load_left(x, left), mean);
    if (left < LANES)
        d = lanes_keep_first(d, left);
    *sum = lanes_fma(d, d, *sum);
}

SCO_INLINE void scale_part(enum sco_norm_activation activation, const float *x, size_t left, lanes mean, lanes rstd,
                           const float *scale, const float *bias, float *y)
{
    const lanes xh = lanes_mul(lanes_sub(load_left(x, left), mean), rstd);
    const lanes t = lanes_fma(xh, load_left(scale, left), load_left(bias, left));
    store_left(y, activated(activation, t, t), left);
}

/* Each pass goes over a few rows before the next begins: the chain from a row's sum to its root is long, and that of
 * another row fills it. */
enum { ROWS_AT_ONCE = 4 };

SCO_INLINE float row_mean(size_t width, const float *x)
{
    lanes sum[ROW_PARTS];
    SCO_UNROLL
    for (size_t k = 0; k < ROW_PARTS; k++)
        sum[k] = lanes_set(0.0f);
    EACH_PART(width, j, left, k, sum[k] = lanes_add(sum[k], load_left(x + j, left)));
    return fold(sum) / (float)width;
}

SCO_INLINE float row_rstd(size_t width, const float *x, float mean, float eps)
{
    const lanes m = lanes_set(mean);
    lanes square[ROW_PARTS];
    SCO_UNROLL
    for (size_t k = 0; k < ROW_PARTS; k++)
        square[k] = lanes_set(0.0f);
    EACH_PART(width, j, left, k, add_deviation(x + j, left, m, &square[k]));
    return 1.0f / __builtin_sqrtf(fold(square) / (float)width + eps);
}

SCO_INLINE void layer_norm(enum sco_norm_activation activation, size_t rows, size_t width, const float *x,
                           const float *scale, const float *bias, float eps, float *y, float *mean, float *rstd)
{
    for (size_t i = 0; i < rows; i += ROWS_AT_ONCE) {
        const size_t end = rows - i < ROWS_AT_ONCE ? rows : i + ROWS_AT_ONCE;
        for (size_t row = i; row < end; row++)
            mean[row] = row_mean(width, x + row * width);
        for (size_t row = i; row < end; row++)
            rstd[row] = row_rstd(width, x + row * width, mean[row], eps);
        for (size_t row = i; row < end; row++) {
            const lanes m = lanes_set(mean[row]), r = lanes_set(rstd[row]);
            const float *from = x + row * width;
            float *to = y + row * width;
            EACH_PART(width, j, left, k, scale_part(activation, from + j, left, m, r, scale + j, bias + j, to + j));
        }
    }
}

static void layer_norm_f32(size_t rows, size_t width, const float *x, const float *scale, const float *bias, float eps,
                           enum sco_norm_activation activation, float *y, float *mean, float *rstd)
{
    if (activation == SCO_NORM_RELU)
        layer_norm(SCO_NORM_RELU, rows, width, x, scale, bias, eps, y, mean, rstd);
    else
        layer_norm(SCO_NORM_LINEAR, rows, width, x, scale, bias, eps, y, mean, rstd);
}

/* Columns past the end have dy and scale of zero, and add nothing. */
SCO_INLINE void row_sums(enum sco_norm_activation activation, const float *x, const float *dy, size_t left, lanes mean,
                         lanes rstd, const float *scale, const float *bias, float *dscale, float *dbias, lanes *sum,
                         lanes *along)
{
    const lanes xh = lanes_mul(lanes_sub(load_left(x, left), mean), rstd), w = load_left(scale, left);
    const lanes t = lanes_fma(xh, w, load_left(bias, left));
    const lanes g = passed(activation, lanes_set(0.0f), t, load_left(dy, left)), h = lanes_mul(g, w);
    store_left(dscale, lanes_fma(g, xh, load_left(dscale, left)), left);
    store_left(dbias, lanes_add(load_left(dbias, left), g), left);
    *sum = lanes_add(*sum, h);
    *along = lanes_fma(h, xh, *along);
}

SCO_INLINE void row_gradient(enum sco_norm_activation activation, const float *x, const float *dy, size_t left,
                             lanes mean, lanes rstd, const float *scale, const float *bias, lanes c1, lanes c2,
                             float *dx)
{
    const lanes xh = lanes_mul(lanes_sub(load_left(x, left), mean), rstd), w = load_left(scale, left);
    const lanes t = lanes_fma(xh, w, load_left(bias, left));
    const lanes g = passed(activation, lanes_set(0.0f), t, load_left(dy, left));
    store_left(dx, lanes_mul(rstd, lanes_fnma(xh, c2, lanes_sub(lanes_mul(g, w), c1))), left);
}

SCO_INLINE void layer_norm_bwd(enum sco_norm_activation activation, size_t rows, size_t width, const float *x,
                               const float *dy, const float *scale, const float *bias, const float *mean,
                               const float *rstd, float *dx, float *dscale, float *dbias)
{
    const float count = (float)width;
    for (size_t i = 0; i < rows; i += ROWS_AT_ONCE) {
        const size_t end = rows - i < ROWS_AT_ONCE ? rows : i + ROWS_AT_ONCE;
        float c1[ROWS_AT_ONCE], c2[ROWS_AT_ONCE];
        for (size_t row = i; row < end; row++) {
            const lanes m = lanes_set(mean[row]), r = lanes_set(rstd[row]);
            const float *from = x + row * width, *along_y = dy + row * width;
            lanes sum[ROW_PARTS], along[ROW_PARTS];
            SCO_UNROLL
            for (size_t k = 0; k < ROW_PARTS; k++)
                sum[k] = along[k] = lanes_set(0.0f);
            EACH_PART(width, j, left, k,
                      row_sums(activation, from + j, along_y + j, left, m, r, scale + j, bias + j, dscale + j,
                               dbias + j, &sum[k], &along[k]));
            c1[row - i] = fold(sum) / count;
            c2[row - i] = fold(along) / count;
        }
        for (size_t row = i; row < end; row++) {
            const lanes m = lanes_set(mean[row]), r = lanes_set(rstd[row]);
            const lanes k1 = lanes_set(c1[row - i]), k2 = lanes_set(c2[row - i]);
            const float *from = x + row * width, *along_y = dy + row * width;
            float *to = dx + row * width;
            EACH_PART(width, j, left, k,
                      row_gradient(activation, from + j, along_y + j, left, m, r, scale + j, bias + j, k1, k2, to + j));
        }
    }
}

static void layer_norm_bwd_f32(size_t rows, size_t width, const float *x, const float *dy, const float *scale,
                               const float *bias, const float *mean, const float *rstd,
                               enum sco_norm_activation activation, float *dx, float *dscale, float *dbias)
{
    if (activation == SCO_NORM_RELU)
        layer_norm_bwd(SCO_NORM_RELU, rows, width, x, dy, scale, bias, mean, rstd, dx, dscale, dbias);
    else
        layer_norm_bwd(SCO_NORM_LINEAR, rows, width, x, dy, scale, bias, mean, rstd, dx, dscale, dbias);
}

static void row_bias_f32(size_t rows, size_t width, const float *x, const float *bias, float *y)
{
    for (size_t i = 0; i < rows; i++, x += width, y += width)
        EACH_PART(width, j, left, k,
                  store_left(y + j, lanes_add(load_left(x + j, left), load_left(bias + j, left)), left));
}

/* Four rows for each time the sums pass through the cache. */
SCO_INLINE void add_rows(size_t rows, size_t width, const float *x, size_t left, float *sum)
{
    lanes s = load_left(sum, left);
    for (size_t i = 0; i < rows; i++)
        s = lanes_add(s, load_left(x + i * width, left));
    store_left(sum, s, left);
}

static void column_sums_f32(size_t rows, size_t width, const float *x, float *sum)
{
    for (; rows >= 4; rows -= 4, x += 4 * width)
        EACH_PART(width, j, left, k, add_rows(4, width, x + j, left, sum + j));
    if (rows > 0)
        EACH_PART(width, j, left, k, add_rows(rows, width, x + j, left, sum + j));
}

static inline void fill(struct sco_norm_ops *ops)
{
    const struct sco_norm_ops all = {channel_moments_f32,  channel_norm_f32, channel_norm_bwd_sums_f32,
                                     channel_norm_bwd_f32, layer_norm_f32,   layer_norm_bwd_f32,
                                     row_bias_f32,         column_sums_f32};
    *ops = all;
}

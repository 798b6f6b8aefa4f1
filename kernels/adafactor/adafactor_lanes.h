/* SPDX-License-Identifier: Apache-2.0
 * The pieces of adafactor.c over the lanes of the row that includes this file. Loops over a line of elements take its tail
 * through the same code with a count of valid lanes: whole vectors pass LANES, which the compiler folds away. */
#include <string.h>

#include "kernels/adafactor/adafactor.h"
#include "kernels/sum_lanes.h"

enum { SUM_LANES = 16, GROUPS = SUM_LANES / LANES, RUN = 1024 };

SCO_INLINE lanes load(const float *x, size_t count)
{
    return count == LANES ? lanes_load(x) : lanes_load_first(x, count);
}

SCO_INLINE void store(float *to, lanes x, size_t count)
{
    if (count == LANES)
        lanes_store(to, x);
    else
        lanes_store_first(to, x, count);
}

SCO_INLINE lanes load_i8(const int8_t *q, size_t count)
{
    if (count == LANES)
        return lanes_load_i8(q);
    int8_t whole[LANES] = {0};
    memcpy(whole, q, count);
    return lanes_load_i8(whole);
}

SCO_INLINE void store_i8(int8_t *to, lanes x, size_t count)
{
    if (count == LANES) {
        lanes_store_i8(to, x);
        return;
    }
    int8_t whole[LANES];
    lanes_store_i8(whole, x);
    memcpy(to, whole, count);
}

SCO_INLINE double folded(const lanes_f64 sum[GROUPS])
{
    double lane[SUM_LANES];
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        lanes_f64_store(lane + k * LANES, sum[k]);
    return sco_fold_lanes(lane, SUM_LANES);
}

/* ---- Sums of squares ------------------------------------------------------------------------------------------ */

enum { BLOCK = 4 }; /* rows whose sums are made together: a column's sum is loaded and stored once for all of them */

/* One vector of columns of rows g, g + stride, ...: adds squares to each row's lanes and, in row order, to the column. */
SCO_INLINE void add_squares(size_t rows, const float *g, ptrdiff_t stride, lanes row[], float *col_sum, size_t count)
{
    lanes col = load(col_sum, count);
    SCO_UNROLL
    for (size_t r = 0; r < rows; r++) {
        const lanes x = load(g + (ptrdiff_t)r * stride, count);
        row[r * GROUPS] = lanes_fma(x, x, row[r * GROUPS]);
        col = lanes_fma(x, x, col);
    }
    store(col_sum, col, count);
}

SCO_INLINE void square_sums_run(size_t rows, size_t cols, ptrdiff_t stride, const float *g, double *row_sum,
                                float *col_sum)
{
    lanes row[BLOCK * GROUPS];
    SCO_UNROLL
    for (size_t r = 0; r < rows * GROUPS; r++)
        row[r] = lanes_set(0.0f);
    size_t j = 0;
    for (; cols - j >= SUM_LANES; j += SUM_LANES) {
        SCO_UNROLL
        for (size_t k = 0; k < GROUPS; k++)
            add_squares(rows, g + j + k * LANES, stride, row + k, col_sum + j + k * LANES, LANES);
    }
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++) {
        const size_t left = cols - j < LANES ? cols - j : LANES;
        if (left == 0)
            break;
        add_squares(rows, g + j, stride, row + k, col_sum + j, left);
        j += left;
    }
    SCO_UNROLL
    for (size_t r = 0; r < rows; r++)
        row_sum[r] += (double)lanes_fold16(row + r * GROUPS);
}

static void square_sums_f32(size_t rows, size_t cols, ptrdiff_t stride, const float *SCO_RESTRICT g,
                            double *SCO_RESTRICT row_sum, float *SCO_RESTRICT col_sum)
{
    for (size_t i = 0; i < rows; i++)
        row_sum[i] = 0.0;
    for (size_t j = 0; j < cols; j += RUN) {
        const size_t run = cols - j < RUN ? cols - j : (size_t)RUN;
        const float *line = g + j;
        size_t i = 0;
        for (; rows - i >= BLOCK; i += BLOCK, line += BLOCK * stride)
            square_sums_run(BLOCK, run, stride, line, row_sum + i, col_sum + j);
        for (; i < rows; i++, line += stride)
            square_sums_run(1, run, stride, line, row_sum + i, col_sum + j);
    }
}

/* ---- Vectors -------------------------------------------------------------------------------------------------- */

static double accumulate_f32(size_t n, float *SCO_RESTRICT a, const double *SCO_RESTRICT sum,
                             const struct sco_adafactor_decay *c)
{
    const lanes decay = lanes_set(c->decay), mixing = lanes_set(c->mixing);
    const lanes scale = lanes_set(c->sum_scale), eps = lanes_set(c->eps);
    lanes_f64 total[GROUPS];
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        total[k] = lanes_f64_zero();
    size_t i = 0;
    for (; n - i >= SUM_LANES; i += SUM_LANES) {
        SCO_UNROLL
        for (size_t k = 0; k < GROUPS; k++) {
            const size_t j = i + k * LANES;
            const lanes q = lanes_mul(mixing, lanes_fma(lanes_load_f64(sum + j), scale, eps));
            const lanes aj = lanes_fma(decay, lanes_load(a + j), q);
            lanes_store(a + j, aj);
            total[k] = lanes_f64_add(total[k], aj);
        }
    }
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++) {
        const size_t left = n - i < LANES ? n - i : LANES;
        if (left == 0)
            break;
        double whole[LANES] = {0};
        memcpy(whole, sum + i, left * sizeof whole[0]);
        const lanes q = lanes_mul(mixing, lanes_fma(lanes_load_f64(whole), scale, eps));
        const lanes ai = lanes_fma(decay, lanes_load_first(a + i, left), q);
        lanes_store_first(a + i, ai, left);
        total[k] = lanes_f64_add(total[k], lanes_keep_first(ai, left));
        i += left;
    }
    return folded(total);
}

SCO_INLINE void factor_at(const float *a, lanes scale, lanes gain, float *factor, size_t count)
{
    store(factor, lanes_div(gain, lanes_sqrt(lanes_mul(load(a, count), scale))), count);
}

static void factor_f32(size_t n, const float *SCO_RESTRICT a, float scale, float gain, float *SCO_RESTRICT factor)
{
    const lanes s = lanes_set(scale), one = lanes_set(gain);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        factor_at(a + i, s, one, factor + i, LANES);
    if (i < n)
        factor_at(a + i, s, one, factor + i, n - i);
}

/* ---- Factored tensors ----------------------------------------------------------------------------------------- */

struct broadcast {
    lanes gscale, scale, b1, one_minus_b1, decay;
};

SCO_INLINE struct broadcast broadcast_of(const struct sco_adafactor_coef *coef)
{
    const struct broadcast c = {lanes_set(coef->gscale), lanes_set(coef->scale), lanes_set(coef->b1),
                                lanes_set(coef->one_minus_b1), lanes_set(coef->decay)};
    return c;
}

SCO_INLINE lanes normal(lanes g, lanes row_factor, lanes col_factor)
{
    return lanes_mul(lanes_mul(g, row_factor), col_factor);
}

SCO_INLINE lanes moment(lanes m, lanes u, const struct broadcast *c)
{
    return lanes_fma(c->b1, m, lanes_mul(c->one_minus_b1, u));
}

SCO_INLINE lanes stepped(lanes p, lanes u, const struct broadcast *c)
{
    return lanes_sub(p, lanes_fma(c->decay, p, u));
}

static double update_square_sum_f32(const struct sco_adafactor_panel *panel, const float *SCO_RESTRICT g)
{
    lanes_f64 sum[GROUPS];
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        sum[k] = lanes_f64_zero();
    for (size_t i = 0; i < panel->rows; i++, g += panel->stride) {
        const lanes row = lanes_set(panel->row_factor[i]);
        size_t j = 0;
        for (; panel->cols - j >= SUM_LANES; j += SUM_LANES) {
            SCO_UNROLL
            for (size_t k = 0; k < GROUPS; k++) {
                const size_t l = j + k * LANES;
                sum[k] =
                    lanes_f64_add_square(sum[k], normal(lanes_load(g + l), row, lanes_load(panel->col_factor + l)));
            }
        }
        SCO_UNROLL
        for (size_t k = 0; k < GROUPS; k++) {
            const size_t left = panel->cols - j < LANES ? panel->cols - j : LANES;
            if (left == 0)
                break;
            const lanes u = normal(lanes_load_first(g + j, left), row, lanes_load_first(panel->col_factor + j, left));
            sum[k] = lanes_f64_add_square(sum[k], lanes_keep_first(u, left)); /* 0 times an infinite factor is NaN */
            j += left;
        }
    }
    return folded(sum);
}

SCO_INLINE void apply_at(float *p, float *m, const float *g, lanes row, const float *col_factor,
                         const struct broadcast *c, size_t count)
{
    lanes u = lanes_mul(c->scale, normal(load(g, count), row, load(col_factor, count)));
    if (m != NULL) {
        u = moment(load(m, count), u, c);
        store(m, u, count);
    }
    store(p, stepped(load(p, count), u, c), count);
}

static void apply_f32(const struct sco_adafactor_panel *panel, float *SCO_RESTRICT p, float *SCO_RESTRICT m,
                      const float *SCO_RESTRICT g, const struct sco_adafactor_coef *coef)
{
    (void)m;
    const struct broadcast c = broadcast_of(coef);
    const size_t cols = panel->cols;
    for (size_t i = 0; i < panel->rows; i++, p += panel->stride, g += panel->stride) {
        const lanes row = lanes_set(panel->row_factor[i]);
        size_t j = 0;
        for (; cols - j >= LANES; j += LANES)
            apply_at(p + j, NULL, g + j, row, panel->col_factor + j, &c, LANES);
        if (j < cols)
            apply_at(p + j, NULL, g + j, row, panel->col_factor + j, &c, cols - j);
    }
}

static void apply_momentum_f32(const struct sco_adafactor_panel *panel, float *SCO_RESTRICT p, float *SCO_RESTRICT m,
                               const float *SCO_RESTRICT g, const struct sco_adafactor_coef *coef)
{
    const struct broadcast c = broadcast_of(coef);
    const size_t cols = panel->cols;
    for (size_t i = 0; i < panel->rows; i++, p += panel->stride, m += panel->stride, g += panel->stride) {
        const lanes row = lanes_set(panel->row_factor[i]);
        size_t j = 0;
        for (; cols - j >= LANES; j += LANES)
            apply_at(p + j, m + j, g + j, row, panel->col_factor + j, &c, LANES);
        if (j < cols)
            apply_at(p + j, m + j, g + j, row, panel->col_factor + j, &c, cols - j);
    }
}

/* m' of 8-bit momentum, from u. */
SCO_INLINE lanes moment_i8(const int8_t *q, lanes bucket, lanes u, const struct broadcast *c, size_t count)
{
    return moment(lanes_mul(load_i8(q, count), bucket), u, c);
}

SCO_INLINE void apply_int8_at(float *p, const float *g, const int8_t *q, const float *bucket, float *peak, lanes row,
                              const float *col_factor, const struct broadcast *c, size_t count)
{
    const lanes u = lanes_mul(c->scale, normal(load(g, count), row, load(col_factor, count)));
    const lanes m = moment_i8(q, load(bucket, count), u, c, count);
    store(peak, lanes_larger(load(peak, count), m), count);
    store(p, stepped(load(p, count), m, c), count);
}

static void apply_int8_f32(const struct sco_adafactor_panel *panel, float *SCO_RESTRICT p, const float *SCO_RESTRICT g,
                           const struct sco_adafactor_int8 *momentum, float *SCO_RESTRICT peak,
                           const struct sco_adafactor_coef *coef)
{
    const struct broadcast c = broadcast_of(coef);
    const size_t cols = panel->cols;
    const int8_t *q = momentum->q;
    const float *bucket = momentum->bucket;
    for (size_t i = 0; i < panel->rows; i++) {
        const lanes row = lanes_set(panel->row_factor[i]);
        size_t j = 0;
        for (; cols - j >= LANES; j += LANES)
            apply_int8_at(p + j, g + j, q + j, bucket + j, peak + j, row, panel->col_factor + j, &c, LANES);
        if (j < cols)
            apply_int8_at(p + j, g + j, q + j, bucket + j, peak + j, row, panel->col_factor + j, &c, cols - j);
        p += panel->stride, g += panel->stride, q += panel->stride;
        bucket += momentum->bucket_stride, peak += momentum->bucket_stride;
    }
}

SCO_INLINE void quantize_int8_at(const float *g, int8_t *q, const float *bucket, const float *new_bucket, lanes row,
                                 const float *col_factor, const struct broadcast *c, size_t count)
{
    const lanes u = lanes_mul(c->scale, normal(load(g, count), row, load(col_factor, count)));
    const lanes m = moment_i8(q, load(bucket, count), u, c, count);
    store_i8(q, lanes_div(m, lanes_one_if_zero(load(new_bucket, count))), count);
}

static void quantize_int8_f32(const struct sco_adafactor_panel *panel, const float *SCO_RESTRICT g,
                              const struct sco_adafactor_int8 *momentum, const float *SCO_RESTRICT new_bucket,
                              const struct sco_adafactor_coef *coef)
{
    const struct broadcast c = broadcast_of(coef);
    const size_t cols = panel->cols;
    int8_t *q = momentum->q;
    const float *bucket = momentum->bucket;
    for (size_t i = 0; i < panel->rows; i++) {
        const lanes row = lanes_set(panel->row_factor[i]);
        size_t j = 0;
        for (; cols - j >= LANES; j += LANES)
            quantize_int8_at(g + j, q + j, bucket + j, new_bucket + j, row, panel->col_factor + j, &c, LANES);
        if (j < cols)
            quantize_int8_at(g + j, q + j, bucket + j, new_bucket + j, row, panel->col_factor + j, &c, cols - j);
        g += panel->stride, q += panel->stride;
        bucket += momentum->bucket_stride, new_bucket += momentum->bucket_stride;
    }
}

/* ---- Unfactored tensors --------------------------------------------------------------------------------------- */

SCO_INLINE lanes normal_diag(lanes g, lanes v, lanes gscale)
{
    return lanes_div(lanes_mul(gscale, g), lanes_sqrt(v));
}

static double update_square_sum_diag_f32(size_t n, float *SCO_RESTRICT v, const float *SCO_RESTRICT g,
                                         const struct sco_adafactor_diag *c)
{
    const lanes gscale = lanes_set(c->gscale), decay = lanes_set(c->decay);
    const lanes mixing = lanes_set(c->mixing), eps = lanes_set(c->eps);
    lanes_f64 sum[GROUPS];
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        sum[k] = lanes_f64_zero();
    size_t i = 0;
    for (; n - i >= SUM_LANES; i += SUM_LANES) {
        SCO_UNROLL
        for (size_t k = 0; k < GROUPS; k++) {
            const size_t j = i + k * LANES;
            const lanes x = lanes_mul(gscale, lanes_load(g + j));
            const lanes vj = lanes_fma(decay, lanes_load(v + j), lanes_mul(mixing, lanes_fma(x, x, eps)));
            lanes_store(v + j, vj);
            sum[k] = lanes_f64_add_square(sum[k], lanes_div(x, lanes_sqrt(vj)));
        }
    }
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++) {
        const size_t left = n - i < LANES ? n - i : LANES;
        if (left == 0)
            break;
        const lanes x = lanes_mul(gscale, lanes_load_first(g + i, left));
        const lanes vi = lanes_fma(decay, lanes_load_first(v + i, left), lanes_mul(mixing, lanes_fma(x, x, eps)));
        lanes_store_first(v + i, vi, left);
        sum[k] = lanes_f64_add_square(sum[k], lanes_keep_first(lanes_div(x, lanes_sqrt(vi)), left));
        i += left;
    }
    return folded(sum);
}

SCO_INLINE void apply_diag_at(float *p, float *m, const float *v, const float *g, const struct broadcast *c,
                              size_t count)
{
    lanes u = lanes_mul(c->scale, normal_diag(load(g, count), load(v, count), c->gscale));
    if (m != NULL) {
        u = moment(load(m, count), u, c);
        store(m, u, count);
    }
    store(p, stepped(load(p, count), u, c), count);
}

static void apply_diag_f32(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, const float *SCO_RESTRICT v,
                           const float *SCO_RESTRICT g, const struct sco_adafactor_coef *coef)
{
    (void)m;
    const struct broadcast c = broadcast_of(coef);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        apply_diag_at(p + i, NULL, v + i, g + i, &c, LANES);
    if (i < n)
        apply_diag_at(p + i, NULL, v + i, g + i, &c, n - i);
}

static void apply_diag_momentum_f32(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, const float *SCO_RESTRICT v,
                                    const float *SCO_RESTRICT g, const struct sco_adafactor_coef *coef)
{
    const struct broadcast c = broadcast_of(coef);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        apply_diag_at(p + i, m + i, v + i, g + i, &c, LANES);
    if (i < n)
        apply_diag_at(p + i, m + i, v + i, g + i, &c, n - i);
}

SCO_INLINE lanes apply_diag_int8_at(float *p, const float *v, const float *g, const int8_t *q, lanes bucket, lanes peak,
                                    const struct broadcast *c, size_t count)
{
    const lanes u = lanes_mul(c->scale, normal_diag(load(g, count), load(v, count), c->gscale));
    const lanes m = moment_i8(q, bucket, u, c, count);
    store(p, stepped(load(p, count), m, c), count);
    return lanes_larger(peak, count == LANES ? m : lanes_keep_first(m, count));
}

static float apply_diag_int8_f32(size_t n, float *SCO_RESTRICT p, const float *SCO_RESTRICT v,
                                 const float *SCO_RESTRICT g, const int8_t *SCO_RESTRICT q, float bucket, float peak,
                                 const struct sco_adafactor_coef *coef)
{
    const struct broadcast c = broadcast_of(coef);
    const lanes b = lanes_set(bucket);
    lanes peaks = lanes_set(peak);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        peaks = apply_diag_int8_at(p + i, v + i, g + i, q + i, b, peaks, &c, LANES);
    if (i < n)
        peaks = apply_diag_int8_at(p + i, v + i, g + i, q + i, b, peaks, &c, n - i);

    float lane[LANES];
    int32_t largest, bits;
    lanes_store(lane, peaks);
    memcpy(&largest, lane, sizeof largest);
    for (size_t l = 1; l < LANES; l++) {
        memcpy(&bits, lane + l, sizeof bits);
        largest = largest > bits ? largest : bits;
    }
    memcpy(&peak, &largest, sizeof peak);
    return peak;
}

SCO_INLINE void quantize_diag_int8_at(const float *v, const float *g, int8_t *q, lanes bucket, lanes new_bucket,
                                      const struct broadcast *c, size_t count)
{
    const lanes u = lanes_mul(c->scale, normal_diag(load(g, count), load(v, count), c->gscale));
    store_i8(q, lanes_div(moment_i8(q, bucket, u, c, count), new_bucket), count);
}

static void quantize_diag_int8_f32(size_t n, const float *SCO_RESTRICT v, const float *SCO_RESTRICT g,
                                   int8_t *SCO_RESTRICT q, float bucket, float new_bucket,
                                   const struct sco_adafactor_coef *coef)
{
    const struct broadcast c = broadcast_of(coef);
    const lanes b = lanes_set(bucket), to = lanes_one_if_zero(lanes_set(new_bucket));
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        quantize_diag_int8_at(v + i, g + i, q + i, b, to, &c, LANES);
    if (i < n)
        quantize_diag_int8_at(v + i, g + i, q + i, b, to, &c, n - i);
}

static inline void fill(struct sco_adafactor_ops *ops)
{
    ops->square_sums = square_sums_f32;
    ops->accumulate = accumulate_f32;
    ops->factor = factor_f32;
    ops->update_square_sum = update_square_sum_f32;
    ops->apply = apply_f32;
    ops->apply_momentum = apply_momentum_f32;
    ops->apply_int8 = apply_int8_f32;
    ops->quantize_int8 = quantize_int8_f32;
    ops->update_square_sum_diag = update_square_sum_diag_f32;
    ops->apply_diag = apply_diag_f32;
    ops->apply_diag_momentum = apply_diag_momentum_f32;
    ops->apply_diag_int8 = apply_diag_int8_f32;
    ops->quantize_diag_int8 = quantize_diag_int8_f32;
}

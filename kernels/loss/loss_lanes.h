/* SPDX-License-Identifier: Apache-2.0
 * loss.c over the lanes of the row that includes this file. Sums keep 16 virtual lanes in GROUPS vectors. */
#include "kernels/exp_lanes.h"
#include "kernels/loss/loss.h"
#include "kernels/loss/loss_curve.h"

enum { GROUPS = SCO_LOSS_LANES / LANES };

SCO_INLINE size_t at_most_lanes(size_t n)
{
    return n < LANES ? n : LANES;
}

/* The largest of a row, in any order; a NaN may hide here and shows in the sum. */
SCO_INLINE float largest(size_t n, const float *x)
{
    float peak = x[0], lane[LANES];
    size_t j = 0;
    if (n >= LANES) {
        lanes most = lanes_load(x);
        for (j = LANES; n - j >= LANES; j += LANES) {
            const lanes v = lanes_load(x + j);
            most = lanes_if_less(most, v, v, most);
        }
        lanes_store(lane, most);
        for (size_t l = 0; l < LANES; l++)
            peak = peak < lane[l] ? lane[l] : peak;
    }
    for (; j < n; j++)
        peak = peak < x[j] ? x[j] : peak;
    return peak;
}

/* d, unless it is NULL, takes e^(x - peak). */
SCO_INLINE void sum_row(size_t classes, const float *x, float peak, float *d, float *total, float *all)
{
    lanes sum[GROUPS], plain[GROUPS];
    const lanes top = lanes_set(peak);
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        sum[k] = plain[k] = lanes_set(0.0f);
    size_t j = 0;
    for (; classes - j >= SCO_LOSS_LANES; j += SCO_LOSS_LANES) {
        SCO_UNROLL
        for (size_t k = 0; k < GROUPS; k++) {
            const lanes v = lanes_load(x + j + k * LANES), e = exp_negative(lanes_sub(v, top));
            sum[k] = lanes_add(sum[k], e);
            plain[k] = lanes_add(plain[k], v);
            if (d != NULL)
                lanes_store(d + j + k * LANES, e);
        }
    }
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++) {
        const size_t count = at_most_lanes(classes - j);
        if (count == 0)
            break;
        const lanes v = lanes_load_first(x + j, count), e = exp_negative(lanes_sub(v, top));
        sum[k] = lanes_add(sum[k], lanes_keep_first(e, count));
        plain[k] = lanes_add(plain[k], v);
        if (d != NULL)
            lanes_store_first(d + j, e, count);
        j += count;
    }
    *total = lanes_fold16(sum);
    *all = lanes_fold16(plain);
}

SCO_INLINE void scale_row(size_t classes, float *d, float inverse, float less)
{
    const lanes by = lanes_set(inverse), minus = lanes_set(-less);
    size_t j = 0;
    for (; classes - j >= LANES; j += LANES)
        lanes_store(d + j, lanes_fma(lanes_load(d + j), by, minus));
    if (j < classes)
        lanes_store_first(d + j, lanes_fma(lanes_load_first(d + j, classes - j), by, minus), classes - j);
}

static size_t softmax_xent_f32(size_t first, size_t last, size_t classes, const float *x, const int32_t *label,
                               float smoothing, float scale, float *loss, float *dx)
{
    const float share = smoothing / (float)classes, hit = 1.0f - smoothing;
    for (size_t r = first; r < last; r++) {
        const float *row = x + r * classes;
        float *d = dx != NULL ? dx + r * classes : NULL, total, all;
        if (label[r] == -1) {
            loss[r] = 0.0f;
            if (d != NULL)
                memset(d, 0, classes * sizeof *d);
            continue;
        }
        if (label[r] < 0 || (size_t)label[r] >= classes)
            return r - first;
        const float aim = row[label[r]], peak = largest(classes, row);
        sum_row(classes, row, peak, d, &total, &all);
        loss[r] = (float)(sco_loss_log((double)total) + (double)peak - (double)hit * (double)aim -
                          (double)share * (double)all);
        if (d != NULL) {
            scale_row(classes, d, scale / total, scale * share);
            d[label[r]] -= scale * hit;
        }
    }
    return last - first;
}

struct bce_lanes {
    lanes loss, dx, there;
};

SCO_INLINE struct bce_lanes bce(lanes x, lanes z, lanes scale)
{
    const lanes zero = lanes_set(0.0f), one = lanes_set(1.0f);
    const lanes e = exp_negative(lanes_mul(lanes_set(-1.0f), lanes_abs(x)));
    const lanes s = lanes_div(e, lanes_add(lanes_set(2.0f), e)), s2 = lanes_mul(s, s), twice = lanes_add(s, s);
    lanes l = lanes_fma(lanes_set(SCO_LOSS_L4), s2, lanes_set(SCO_LOSS_L3));
    l = lanes_fma(l, s2, lanes_set(SCO_LOSS_L2));
    l = lanes_fma(l, s2, lanes_set(SCO_LOSS_L1));
    l = lanes_fma(l, s2, lanes_set(SCO_LOSS_L0));
    const lanes log1p_e = lanes_fma(lanes_mul(twice, s2), l, twice);
    const lanes loss = lanes_add(lanes_fnma(x, z, lanes_if_less(x, zero, zero, x)), log1p_e);
    const lanes sigmoid = lanes_div(lanes_if_less(x, zero, e, one), lanes_add(one, e));
    const lanes dx = lanes_mul(scale, lanes_sub(sigmoid, z));
    const struct bce_lanes result = {lanes_if_equal(z, z, loss, zero), lanes_if_equal(z, z, dx, zero),
                                     lanes_if_equal(z, z, one, zero)};
    return result;
}

SCO_INLINE double fold_f64(const lanes_f64 sum[GROUPS])
{
    double lane[SCO_LOSS_LANES];
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        lanes_f64_store(lane + k * LANES, sum[k]);
    return sco_loss_fold(lane);
}

static struct sco_loss_sum sigmoid_bce_f32(size_t n, const float *x, const float *label, float scale, float *dx)
{
    lanes_f64 sum[GROUPS], count[GROUPS];
    const lanes by = lanes_set(scale);
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        sum[k] = count[k] = lanes_f64_zero();
    size_t i = 0;
    for (; n - i >= SCO_LOSS_LANES; i += SCO_LOSS_LANES) {
        SCO_UNROLL
        for (size_t k = 0; k < GROUPS; k++) {
            const struct bce_lanes b = bce(lanes_load(x + i + k * LANES), lanes_load(label + i + k * LANES), by);
            sum[k] = lanes_f64_add(sum[k], b.loss);
            count[k] = lanes_f64_add(count[k], b.there);
            if (dx != NULL)
                lanes_store(dx + i + k * LANES, b.dx);
        }
    }
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++) {
        const size_t left = at_most_lanes(n - i);
        if (left == 0)
            break;
        const struct bce_lanes b = bce(lanes_load_first(x + i, left), lanes_load_first(label + i, left), by);
        sum[k] = lanes_f64_add(sum[k], lanes_keep_first(b.loss, left));
        count[k] = lanes_f64_add(count[k], lanes_keep_first(b.there, left));
        if (dx != NULL)
            lanes_store_first(dx + i, b.dx, left);
        i += left;
    }
    const struct sco_loss_sum result = {fold_f64(sum), fold_f64(count)};
    return result;
}

static struct sco_loss_sum l1_f32(size_t n, const float *x, const float *target, float scale, float *dx)
{
    lanes_f64 sum[GROUPS];
    const lanes by = lanes_set(scale);
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        sum[k] = lanes_f64_zero();
    size_t i = 0;
    for (; n - i >= SCO_LOSS_LANES; i += SCO_LOSS_LANES) {
        SCO_UNROLL
        for (size_t k = 0; k < GROUPS; k++) {
            const lanes d = lanes_sub(lanes_load(x + i + k * LANES), lanes_load(target + i + k * LANES));
            sum[k] = lanes_f64_add(sum[k], lanes_abs(d));
            if (dx != NULL)
                lanes_store(dx + i + k * LANES, lanes_mul(by, lanes_sign(d)));
        }
    }
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++) {
        const size_t left = at_most_lanes(n - i);
        if (left == 0)
            break;
        const lanes d = lanes_sub(lanes_load_first(x + i, left), lanes_load_first(target + i, left));
        sum[k] = lanes_f64_add(sum[k], lanes_abs(d));
        if (dx != NULL)
            lanes_store_first(dx + i, lanes_mul(by, lanes_sign(d)), left);
        i += left;
    }
    const struct sco_loss_sum result = {fold_f64(sum), (double)n};
    return result;
}

static inline void fill(struct sco_loss_ops *ops)
{
    ops->softmax_xent = softmax_xent_f32;
    ops->sigmoid_bce = sigmoid_bce_f32;
    ops->l1 = l1_f32;
}

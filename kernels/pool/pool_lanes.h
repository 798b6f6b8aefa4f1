/* SPDX-License-Identifier: Apache-2.0
 * pool.c over the lanes of the row that includes this file. whole (B is 16) is a constant where the loops are inlined, and
 * so are the taps of the windows that need it: 3 x 3 inside the image, 2 x 2. */
#include "kernels/block_lanes.h"
#include "kernels/pool/pool.h"

enum { PARTS = SCO_POOL_BLOCK / LANES };

/* Taps travel as floats, whose small integers are exact. */
SCO_INLINE lanes load_taps(int whole, size_t B, size_t k, const int8_t *argmax)
{
    if (whole)
        return lanes_load_i8(argmax + k * LANES);
    int8_t tap[LANES] = {0};
    for (size_t i = 0; i < part_of(B, k); i++)
        tap[i] = argmax[k * LANES + i];
    return lanes_load_i8(tap);
}

SCO_INLINE void store_taps(int whole, size_t B, size_t k, int8_t *argmax, lanes x)
{
    if (whole) {
        lanes_store_i8(argmax + k * LANES, x);
        return;
    }
    int8_t tap[LANES];
    lanes_store_i8(tap, x);
    for (size_t i = 0; i < part_of(B, k); i++)
        argmax[k * LANES + i] = tap[i];
}

/* x points to the first tap, row floats lie between two rows of taps. */
SCO_INLINE void largest(int whole, size_t B, size_t h0, size_t h1, size_t w0, size_t w1, size_t K, size_t row,
                        const float *x, float *y, int8_t *argmax)
{
    SCO_UNROLL
    for (size_t k = 0; k < PARTS; k++) {
        lanes best = load_part(whole, B, k, x), tap = lanes_set((float)(h0 * K + w0));
        SCO_UNROLL
        for (size_t kh = h0; kh < h1; kh++) {
            SCO_UNROLL
            for (size_t kw = w0; kw < w1; kw++) {
                const lanes v = load_part(whole, B, k, x + (kh - h0) * row + (kw - w0) * B);
                tap = lanes_if_above(v, best, lanes_set((float)(kh * K + kw)), tap);
                best = lanes_if_above(v, best, v, best);
            }
        }
        store_part(whole, B, k, y, best);
        store_taps(whole, B, k, argmax, tap);
    }
}

static void largest_any(int whole, size_t B, size_t h0, size_t h1, size_t w0, size_t w1, size_t K, size_t row,
                        const float *x, float *y, int8_t *argmax)
{
    for (size_t k = 0; k < PARTS; k++) {
        lanes best = load_part(whole, B, k, x), tap = lanes_set((float)(h0 * K + w0));
        for (size_t kh = h0; kh < h1; kh++)
            for (size_t kw = w0; kw < w1; kw++) {
                const lanes v = load_part(whole, B, k, x + (kh - h0) * row + (kw - w0) * B);
                tap = lanes_if_above(v, best, lanes_set((float)(kh * K + kw)), tap);
                best = lanes_if_above(v, best, v, best);
            }
        store_part(whole, B, k, y, best);
        store_taps(whole, B, k, argmax, tap);
    }
}

static void max_pool_f32(const struct sco_pool_shape *s, size_t B, size_t first, size_t last, const float *x, float *y,
                         int8_t *argmax)
{
    const int whole = B == SCO_POOL_BLOCK;
    const size_t row = s->W * B;
    for (size_t oh = first; oh < last; oh++) {
        size_t h0, h1;
        sco_pool_taps(s, oh, s->H, &h0, &h1);
        for (size_t ow = 0; ow < s->OW; ow++) {
            size_t w0, w1;
            sco_pool_taps(s, ow, s->W, &w0, &w1);
            const float *from = x + (oh * s->stride + h0 - s->pad) * row + (ow * s->stride + w0 - s->pad) * B;
            const size_t to = (oh * s->OW + ow) * B;
            if (whole && s->K == 3 && h1 - h0 == 3 && w1 - w0 == 3)
                largest(1, SCO_POOL_BLOCK, 0, 3, 0, 3, 3, row, from, y + to, argmax + to);
            else
                largest_any(whole, B, h0, h1, w0, w1, s->K, row, from, y + to, argmax + to);
        }
    }
}

SCO_INLINE void max_pool_gather(int whole, const struct sco_pool_shape *s, size_t B, size_t first, size_t last,
                                const float *dy, const int8_t *argmax, float *dx)
{
    size_t h0 = 0, h1 = 0;
    for (size_t h = first; h < last; h++) {
        size_t w0 = 0, w1 = 0;
        sco_pool_advance(s, h, s->OH, &h0, &h1);
        for (size_t w = 0; w < s->W; w++) {
            sco_pool_advance(s, w, s->OW, &w0, &w1);
            lanes sum[PARTS];
            SCO_UNROLL
            for (size_t k = 0; k < PARTS; k++)
                sum[k] = lanes_set(0.0f);
            for (size_t oh = h0; oh < h1; oh++)
                for (size_t ow = w0; ow < w1; ow++) {
                    const size_t from = (oh * s->OW + ow) * B;
                    const lanes here =
                        lanes_set((float)((h + s->pad - oh * s->stride) * s->K + w + s->pad - ow * s->stride));
                    SCO_UNROLL
                    for (size_t k = 0; k < PARTS; k++)
                        sum[k] = lanes_add(sum[k], lanes_if_equal(load_taps(whole, B, k, argmax + from), here,
                                                                  load_part(whole, B, k, dy + from), lanes_set(0.0f)));
                }
            SCO_UNROLL
            for (size_t k = 0; k < PARTS; k++)
                store_part(whole, B, k, dx + (h * s->W + w) * B, sum[k]);
        }
    }
}

static void max_pool_bwd_f32(const struct sco_pool_shape *s, size_t B, size_t first, size_t last, const float *dy,
                             const int8_t *argmax, float *dx)
{
    if (B == SCO_POOL_BLOCK)
        max_pool_gather(1, s, SCO_POOL_BLOCK, first, last, dy, argmax, dx);
    else
        max_pool_gather(0, s, B, first, last, dy, argmax, dx);
}

SCO_INLINE void average(int whole, size_t K, const struct sco_pool_shape *s, size_t B, size_t first, size_t last,
                        const float *x, float *y)
{
    const lanes share = lanes_set(1.0f / (float)(K * K));
    for (size_t oh = first; oh < last; oh++)
        for (size_t ow = 0; ow < s->OW; ow++) {
            const float *from = x + (oh * s->stride * s->W + ow * s->stride) * B;
            SCO_UNROLL
            for (size_t k = 0; k < PARTS; k++) {
                lanes sum = lanes_set(0.0f);
                for (size_t kh = 0; kh < K; kh++)
                    for (size_t kw = 0; kw < K; kw++)
                        sum = lanes_add(sum, load_part(whole, B, k, from + (kh * s->W + kw) * B));
                store_part(whole, B, k, y + (oh * s->OW + ow) * B, lanes_mul(sum, share));
            }
        }
}

static void avg_pool_f32(const struct sco_pool_shape *s, size_t B, size_t first, size_t last, const float *x, float *y)
{
    if (B == SCO_POOL_BLOCK && s->K == 2)
        average(1, 2, s, SCO_POOL_BLOCK, first, last, x, y);
    else if (B == SCO_POOL_BLOCK)
        average(1, s->K, s, SCO_POOL_BLOCK, first, last, x, y);
    else
        average(0, s->K, s, B, first, last, x, y);
}

SCO_INLINE void average_gather(int whole, const struct sco_pool_shape *s, size_t B, size_t first, size_t last,
                               const float *dy, float *dx)
{
    const lanes share = lanes_set(1.0f / (float)(s->K * s->K));
    size_t h0 = 0, h1 = 0;
    for (size_t h = first; h < last; h++) {
        size_t w0 = 0, w1 = 0;
        sco_pool_advance(s, h, s->OH, &h0, &h1);
        for (size_t w = 0; w < s->W; w++) {
            sco_pool_advance(s, w, s->OW, &w0, &w1);
            SCO_UNROLL
            for (size_t k = 0; k < PARTS; k++) {
                lanes sum = lanes_set(0.0f);
                for (size_t oh = h0; oh < h1; oh++)
                    for (size_t ow = w0; ow < w1; ow++)
                        sum = lanes_add(sum, load_part(whole, B, k, dy + (oh * s->OW + ow) * B));
                store_part(whole, B, k, dx + (h * s->W + w) * B, lanes_mul(sum, share));
            }
        }
    }
}

static void avg_pool_bwd_f32(const struct sco_pool_shape *s, size_t B, size_t first, size_t last, const float *dy,
                             float *dx)
{
    if (B == SCO_POOL_BLOCK)
        average_gather(1, s, SCO_POOL_BLOCK, first, last, dy, dx);
    else
        average_gather(0, s, B, first, last, dy, dx);
}

static void spread_f32(size_t pixels, size_t B, const float *value, float *dx)
{
    SCO_UNROLL
    for (size_t k = 0; k < PARTS; k++) {
        const lanes v = load_part(0, B, k, value);
        for (size_t i = 0; i < pixels; i++)
            store_part(0, B, k, dx + i * B, v);
    }
}

static inline void fill(struct sco_pool_ops *ops)
{
    ops->max_pool = max_pool_f32;
    ops->max_pool_bwd = max_pool_bwd_f32;
    ops->avg_pool = avg_pool_f32;
    ops->avg_pool_bwd = avg_pool_bwd_f32;
    ops->spread = spread_f32;
}

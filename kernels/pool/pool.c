/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/pool/pool.h"

#include <assert.h>

static void max_pool_scalar(const struct sco_pool_shape *s, size_t B, size_t first, size_t last, const float *x,
                            float *y, int8_t *argmax)
{
    assert(s->K * s->K <= SCO_POOL_TAPS && B <= SCO_POOL_BLOCK);
    for (size_t oh = first; oh < last; oh++)
        for (size_t ow = 0; ow < s->OW; ow++) {
            size_t h0, h1, w0, w1;
            sco_pool_taps(s, oh, s->H, &h0, &h1);
            sco_pool_taps(s, ow, s->W, &w0, &w1);
            for (size_t c = 0; c < B; c++) {
                const size_t to = (oh * s->OW + ow) * B + c;
                for (size_t kh = h0; kh < h1; kh++)
                    for (size_t kw = w0; kw < w1; kw++) {
                        const float v =
                            x[((oh * s->stride + kh - s->pad) * s->W + ow * s->stride + kw - s->pad) * B + c];
                        if ((kh == h0 && kw == w0) || y[to] < v || v != v) {
                            y[to] = v;
                            argmax[to] = (int8_t)(kh * s->K + kw);
                        }
                    }
            }
        }
}

static void max_pool_bwd_scalar(const struct sco_pool_shape *s, size_t B, size_t first, size_t last, const float *dy,
                                const int8_t *argmax, float *dx)
{
    size_t h0 = 0, h1 = 0;
    for (size_t h = first; h < last; h++) {
        size_t w0 = 0, w1 = 0;
        sco_pool_advance(s, h, s->OH, &h0, &h1);
        for (size_t w = 0; w < s->W; w++) {
            sco_pool_advance(s, w, s->OW, &w0, &w1);
            for (size_t c = 0; c < B; c++) {
                float sum = 0.0f;
                for (size_t oh = h0; oh < h1; oh++)
                    for (size_t ow = w0; ow < w1; ow++) {
                        const size_t tap = (h + s->pad - oh * s->stride) * s->K + w + s->pad - ow * s->stride;
                        const size_t from = (oh * s->OW + ow) * B + c;
                        sum += argmax[from] == (int8_t)tap ? dy[from] : 0.0f;
                    }
                dx[(h * s->W + w) * B + c] = sum;
            }
        }
    }
}

static void avg_pool_scalar(const struct sco_pool_shape *s, size_t B, size_t first, size_t last, const float *x,
                            float *y)
{
    const float share = 1.0f / (float)(s->K * s->K);
    assert(s->pad == 0);
    for (size_t oh = first; oh < last; oh++)
        for (size_t ow = 0; ow < s->OW; ow++)
            for (size_t c = 0; c < B; c++) {
                float sum = 0.0f;
                for (size_t kh = 0; kh < s->K; kh++)
                    for (size_t kw = 0; kw < s->K; kw++)
                        sum += x[((oh * s->stride + kh) * s->W + ow * s->stride + kw) * B + c];
                y[(oh * s->OW + ow) * B + c] = sum * share;
            }
}

static void avg_pool_bwd_scalar(const struct sco_pool_shape *s, size_t B, size_t first, size_t last, const float *dy,
                                float *dx)
{
    const float share = 1.0f / (float)(s->K * s->K);
    size_t h0 = 0, h1 = 0;
    for (size_t h = first; h < last; h++) {
        size_t w0 = 0, w1 = 0;
        sco_pool_advance(s, h, s->OH, &h0, &h1);
        for (size_t w = 0; w < s->W; w++) {
            sco_pool_advance(s, w, s->OW, &w0, &w1);
            for (size_t c = 0; c < B; c++) {
                float sum = 0.0f;
                for (size_t oh = h0; oh < h1; oh++)
                    for (size_t ow = w0; ow < w1; ow++)
                        sum += dy[(oh * s->OW + ow) * B + c];
                dx[(h * s->W + w) * B + c] = sum * share;
            }
        }
    }
}

static void spread_scalar(size_t pixels, size_t B, const float *value, float *dx)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < B; c++)
            dx[i * B + c] = value[c];
}

void sco_pool_fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_pool_ops *)ops = (struct sco_pool_ops){max_pool_scalar, max_pool_bwd_scalar, avg_pool_scalar,
                                                        avg_pool_bwd_scalar, spread_scalar};
}

SCO_FAMILY_DEFINE(pool, SCO_POOL_ROWS, struct sco_pool_ops, "max_pool", "max_pool_bwd", "avg_pool", "avg_pool_bwd",
                  "spread")

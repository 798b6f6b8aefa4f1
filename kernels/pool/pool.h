/* SPDX-License-Identifier: Apache-2.0
 * Pooling of one plane of a block of B <= 16 channels, x[H][W][B] (kernels/conv/conv2d.h), and its gradients. */
#ifndef SCO_KERNELS_POOL_H
#define SCO_KERNELS_POOL_H

#include <stdint.h>

#include "kernels/kernel.h"

enum { SCO_POOL_BLOCK = 16, SCO_POOL_TAPS = 127 };

/* Square windows; a window holds at least one pixel of x. */
struct sco_pool_shape {
    size_t H, W, OH, OW, K, stride, pad;
};

/* Rows [first, last) of y, or of dx: each row depends on whole planes of the other operands.
 *
 *   max_pool      y = the largest x in the window, argmax = kh K + kw of the first that is; NaN passes through
 *   max_pool_bwd  dx = the sum of dy over the windows whose argmax this pixel is
 *   avg_pool      y = sum / K^2, without padding
 *   avg_pool_bwd  dx = the sum of dy over the windows that hold this pixel, times 1 / K^2
 *
 * Shapes    x, dx: float[H][W][B]; y, dy: float[OH][OW][B]; argmax: int8_t[OH][OW][B]; K^2 <= SCO_POOL_TAPS.
 * Layout    4-byte alignment; operands do not overlap. No padding in avg_pool: pad is 0.
 * Numerics  sums in f32 over kh, kw or oh, ow ascending. Same bits from every row.
 * Cost      the bytes of x, y and argmax once.
 * Threads   reentrant; disjoint rows may be done at once.
 * Memory    none allocated.
 * Errors    none. */
typedef void sco_max_pool_fn(const struct sco_pool_shape *shape, size_t B, size_t first, size_t last, const float *x,
                             float *y, int8_t *argmax);
typedef void sco_max_pool_bwd_fn(const struct sco_pool_shape *shape, size_t B, size_t first, size_t last,
                                 const float *dy, const int8_t *argmax, float *dx);
typedef void sco_avg_pool_fn(const struct sco_pool_shape *shape, size_t B, size_t first, size_t last, const float *x,
                             float *y);

/* Every pixel becomes value[B]. */
typedef void sco_pool_spread_fn(size_t pixels, size_t B, const float *value, float *dx);

struct sco_pool_ops {
    sco_max_pool_fn *max_pool;
    sco_max_pool_bwd_fn *max_pool_bwd;
    sco_avg_pool_fn *avg_pool, *avg_pool_bwd;
    sco_pool_spread_fn *spread;
};

/* Windows [*low, *high) of an axis that hold its pixel at, from those of the pixel before; 0, 0 before the first. Division
 * would cost more than the pixel. */
static inline void sco_pool_advance(const struct sco_pool_shape *s, size_t at, size_t windows, size_t *low,
                                    size_t *high)
{
    while (*low * s->stride + s->K <= at + s->pad)
        ++*low;
    while (*high < windows && *high * s->stride <= at + s->pad)
        ++*high;
}

/* Taps [*low, *high) of a window that lie in an axis of so many pixels. */
static inline void sco_pool_taps(const struct sco_pool_shape *s, size_t window, size_t pixels, size_t *low,
                                 size_t *high)
{
    const size_t start = window * s->stride, end = pixels + s->pad - start;
    *low = start < s->pad ? s->pad - start : 0;
    *high = end < s->K ? end : s->K;
}

#define SCO_POOL_ROWS(ROW)                                                                                             \
    ROW(pool, scalar, 0)                                                                                               \
    SCO_HWY(ROW(pool, hwy, SCO_USE_HWY))                                                                               \
    SCO_X86(ROW(pool, avx2, SCO_ISA_AVX2))                                                                             \
    SCO_X86(ROW(pool, avx512, SCO_ISA_AVX512))                                                                         \
    SCO_ARM64(ROW(pool, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(pool, SCO_POOL_ROWS)
SCO_END_DECLS

#endif

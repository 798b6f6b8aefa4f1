/* SPDX-License-Identifier: Apache-2.0
 * The words in which element-wise kernels are written, on eight lanes (AVX2, FMA). A kernel's loops stand once, in
 * <family>_lanes.h; a row file includes one of lanes_*.h and then those loops. */
#ifndef SCO_KERNELS_LANES_AVX2_H
#define SCO_KERNELS_LANES_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 8 };
typedef __m256 lanes;

static inline lanes lanes_set(float x)
{
    return _mm256_set1_ps(x);
}

static inline lanes lanes_load(const float *x)
{
    return _mm256_loadu_ps(x);
}

static inline void lanes_store(float *to, lanes x)
{
    _mm256_storeu_ps(to, x);
}

/* Sliding a window of count words over ones and zeros enables the first count lanes. */
static inline __m256i lanes_first(size_t count)
{
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - count));
}

/* The first count < LANES elements; the other lanes are zero, and are not touched in memory. */
static inline lanes lanes_load_first(const float *x, size_t count)
{
    return _mm256_maskload_ps(x, lanes_first(count));
}

static inline void lanes_store_first(float *to, lanes x, size_t count)
{
    _mm256_maskstore_ps(to, lanes_first(count), x);
}

static inline lanes lanes_add(lanes a, lanes b)
{
    return _mm256_add_ps(a, b);
}

static inline lanes lanes_sub(lanes a, lanes b)
{
    return _mm256_sub_ps(a, b);
}

static inline lanes lanes_mul(lanes a, lanes b)
{
    return _mm256_mul_ps(a, b);
}

static inline lanes lanes_div(lanes a, lanes b)
{
    return _mm256_div_ps(a, b);
}

static inline lanes lanes_sqrt(lanes a)
{
    return _mm256_sqrt_ps(a);
}

/* a b + c and c - a b, rounded once. */
static inline lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline lanes lanes_fnma(lanes a, lanes b, lanes c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

#endif

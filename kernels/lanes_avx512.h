/* SPDX-License-Identifier: Apache-2.0
 * The words of lanes_avx2.h on sixteen lanes (AVX-512 F, BW, DQ, VL). */
#ifndef SCO_KERNELS_LANES_AVX512_H
#define SCO_KERNELS_LANES_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 16 };
typedef __m512 lanes;

static inline lanes lanes_set(float x)
{
    return _mm512_set1_ps(x);
}

static inline lanes lanes_load(const float *x)
{
    return _mm512_loadu_ps(x);
}

static inline void lanes_store(float *to, lanes x)
{
    _mm512_storeu_ps(to, x);
}

static inline __mmask16 lanes_first(size_t count)
{
    return (__mmask16)_bzhi_u32(0xffff, (uint32_t)count);
}

static inline lanes lanes_load_first(const float *x, size_t count)
{
    return _mm512_maskz_loadu_ps(lanes_first(count), x);
}

static inline void lanes_store_first(float *to, lanes x, size_t count)
{
    _mm512_mask_storeu_ps(to, lanes_first(count), x);
}

static inline lanes lanes_add(lanes a, lanes b)
{
    return _mm512_add_ps(a, b);
}

static inline lanes lanes_sub(lanes a, lanes b)
{
    return _mm512_sub_ps(a, b);
}

static inline lanes lanes_mul(lanes a, lanes b)
{
    return _mm512_mul_ps(a, b);
}

static inline lanes lanes_div(lanes a, lanes b)
{
    return _mm512_div_ps(a, b);
}

static inline lanes lanes_sqrt(lanes a)
{
    return _mm512_sqrt_ps(a);
}

static inline lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline lanes lanes_fnma(lanes a, lanes b, lanes c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

#endif

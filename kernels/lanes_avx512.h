/* SPDX-License-Identifier: Apache-2.0
 * The words of lanes_avx2.h on sixteen lanes (AVX-512 F, BW, DQ, VL). */
#ifndef SCO_KERNELS_LANES_AVX512_H
#define SCO_KERNELS_LANES_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel.h"

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

static inline void lanes_stream(float *to, lanes x)
{
    _mm512_stream_ps(to, x);
}

static inline void lanes_stream_end(void)
{
    _mm_sfence();
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

static inline lanes lanes_if_less(lanes a, lanes b, lanes x, lanes y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x);
}

static inline lanes lanes_if_equal(lanes a, lanes b, lanes x, lanes y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ), x);
}

static inline lanes lanes_if_above(lanes v, lanes bound, lanes x, lanes y)
{
    const __mmask16 above = _mm512_cmp_ps_mask(bound, v, _CMP_LT_OQ) | _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(y, above, x);
}

static inline lanes lanes_abs(lanes x)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x);
}

static inline lanes lanes_copy_sign(lanes magnitude, lanes sign)
{
    return _mm512_or_ps(lanes_abs(magnitude), _mm512_and_ps(_mm512_set1_ps(-0.0f), sign));
}

static inline lanes lanes_power_of_two(lanes z)
{
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(z), 23), _mm512_set1_epi32(0x3f800000)));
}

static inline lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline lanes lanes_fnma(lanes a, lanes b, lanes c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

static inline void lanes_transpose(lanes x[LANES])
{
    __m512 pair[16], quad[16], half[16];
    SCO_UNROLL
    for (size_t i = 0; i < 16; i += 2) {
        pair[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
        pair[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
    SCO_UNROLL
    for (size_t i = 0; i < 16; i += 4) {
        quad[i] = _mm512_shuffle_ps(pair[i], pair[i + 2], 0x44);
        quad[i + 1] = _mm512_shuffle_ps(pair[i], pair[i + 2], 0xee);
        quad[i + 2] = _mm512_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
        quad[i + 3] = _mm512_shuffle_ps(pair[i + 1], pair[i + 3], 0xee);
    }
    SCO_UNROLL
    for (size_t i = 0; i < 16; i += 8) {
        for (size_t j = i; j < i + 4; j++) {
            half[j] = _mm512_shuffle_f32x4(quad[j], quad[j + 4], 0x88);
            half[j + 4] = _mm512_shuffle_f32x4(quad[j], quad[j + 4], 0xdd);
        }
    }
    SCO_UNROLL
    for (size_t i = 0; i < 8; i++) {
        x[i] = _mm512_shuffle_f32x4(half[i], half[i + 8], 0x88);
        x[i + 8] = _mm512_shuffle_f32x4(half[i], half[i + 8], 0xdd);
    }
}

static inline lanes lanes_keep_first(lanes x, size_t count)
{
    return _mm512_maskz_mov_ps(lanes_first(count), x);
}

static inline lanes lanes_sign(lanes x)
{
    const __mmask16 nonzero = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NEQ_OQ);
    const lanes one = _mm512_or_ps(_mm512_and_ps(x, _mm512_set1_ps(-0.0f)), _mm512_set1_ps(1.0f));
    return _mm512_mask_mov_ps(x, nonzero, one);
}

static inline lanes lanes_larger(lanes peak, lanes x)
{
    const __m512i magnitude = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MAX));
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(peak), magnitude));
}

static inline lanes lanes_one_if_zero(lanes x)
{
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_EQ_OQ), _mm512_set1_ps(1.0f));
}

static inline int lanes_any_nonfinite(lanes a, lanes b, lanes c, lanes d)
{
    enum { NONFINITE = 0x99 }; /* quiet NaN, either infinity, signalling NaN */
    return (_mm512_fpclass_ps_mask(a, NONFINITE) | _mm512_fpclass_ps_mask(b, NONFINITE) |
            _mm512_fpclass_ps_mask(c, NONFINITE) | _mm512_fpclass_ps_mask(d, NONFINITE)) != 0;
}

static inline float lanes_fold16(const lanes x[16 / LANES])
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x[0]), _mm512_extractf32x8_ps(x[0], 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

typedef struct {
    __m512d low, high;
} lanes_f64;

static inline lanes_f64 lanes_f64_zero(void)
{
    const lanes_f64 zero = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    return zero;
}

static inline lanes_f64 lanes_f64_add(lanes_f64 sum, lanes x)
{
    sum.low = _mm512_add_pd(sum.low, _mm512_cvtps_pd(_mm512_castps512_ps256(x)));
    sum.high = _mm512_add_pd(sum.high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)));
    return sum;
}

static inline lanes_f64 lanes_f64_add_square(lanes_f64 sum, lanes x)
{
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(x)),
                  high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    sum.low = _mm512_fmadd_pd(low, low, sum.low);
    sum.high = _mm512_fmadd_pd(high, high, sum.high);
    return sum;
}

static inline lanes_f64 lanes_f64_add_product(lanes_f64 sum, lanes x, lanes y)
{
    sum.low = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(x)), _mm512_cvtps_pd(_mm512_castps512_ps256(y)),
                              sum.low);
    sum.high = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)),
                               _mm512_cvtps_pd(_mm512_extractf32x8_ps(y, 1)), sum.high);
    return sum;
}

typedef __m512i lanes_u64;

static inline lanes_u64 lanes_u64_set(uint64_t x)
{
    return _mm512_set1_epi64((int64_t)x);
}

static inline lanes_u64 lanes_u64_load(const uint64_t *x)
{
    return _mm512_loadu_si512(x);
}

static inline lanes_u64 lanes_u64_add(lanes_u64 a, lanes_u64 b)
{
    return _mm512_add_epi64(a, b);
}

static inline lanes_u64 lanes_u64_mul_low(lanes_u64 a, lanes_u64 b)
{
    return _mm512_mul_epu32(a, b);
}

static inline lanes_u64 lanes_u64_high_xor(lanes_u64 product, lanes_u64 a, lanes_u64 b)
{
    return _mm512_ternarylogic_epi64(_mm512_srli_epi64(product, 32), a, b, 0x96);
}

static inline lanes_u64 lanes_u64_zip_low(lanes_u64 even, lanes_u64 odd)
{
    return _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}

static inline lanes lanes_keep_low16(lanes_u64 random, uint32_t limit, lanes x)
{
    const __m512i low = _mm512_and_si512(random, _mm512_set1_epi32(0xffff));
    return _mm512_maskz_mov_ps(_mm512_cmplt_epu32_mask(low, _mm512_set1_epi32((int32_t)limit)), x);
}

static inline lanes lanes_keep_high16(lanes_u64 random, uint32_t limit, lanes x)
{
    const __m512i high = _mm512_srli_epi32(random, 16);
    return _mm512_maskz_mov_ps(_mm512_cmplt_epu32_mask(high, _mm512_set1_epi32((int32_t)limit)), x);
}

static inline void lanes_f64_store(double *to, lanes_f64 sum)
{
    _mm512_storeu_pd(to, sum.low);
    _mm512_storeu_pd(to + 8, sum.high);
}

static inline lanes lanes_load_f64(const double *x)
{
    const __m256 low = _mm512_cvtpd_ps(_mm512_loadu_pd(x)), high = _mm512_cvtpd_ps(_mm512_loadu_pd(x + 8));
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}

static inline lanes lanes_load_i8(const int8_t *q)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)q)));
}

static inline void lanes_store_i8(int8_t *to, lanes x)
{
    x = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x);
    x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(127.0f)), _mm512_set1_ps(-127.0f));
    _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
}

static inline lanes lanes_relu(lanes x)
{
    return _mm512_max_ps(_mm512_setzero_ps(), x);
}

static inline lanes lanes_if_positive(lanes x, lanes y)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ), y);
}

#endif

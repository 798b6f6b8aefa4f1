/* SPDX-License-Identifier: Apache-2.0
 * The words in which element-wise kernels are written, on eight lanes (AVX2, FMA). A kernel's loops stand once, in
 * <family>_lanes.h; a row file includes one of lanes_*.h and then those loops. */
#ifndef SCO_KERNELS_LANES_AVX2_H
#define SCO_KERNELS_LANES_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel.h"

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

/* A store past the caches, to a vector boundary; lanes_stream_end() orders such stores before what follows. */
static inline void lanes_stream(float *to, lanes x)
{
    _mm256_stream_ps(to, x);
}

static inline void lanes_stream_end(void)
{
    _mm_sfence();
}

/* Sliding a window of count words over ones and zeros enables the first count lanes. */
static inline __m256i lanes_first(size_t count)
{
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - count));
}

/* The first count <= LANES elements; the other lanes are zero, and are not touched in memory. */
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

/* a < b ? x : y and a == b ? x : y; y where a or b is NaN. */
static inline lanes lanes_if_less(lanes a, lanes b, lanes x, lanes y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

static inline lanes lanes_if_equal(lanes a, lanes b, lanes x, lanes y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}

/* x where v is above bound or NaN, else y: a maximum that NaN passes through. */
static inline lanes lanes_if_above(lanes v, lanes bound, lanes x, lanes y)
{
    return _mm256_blendv_ps(y, x, _mm256_or_ps(_mm256_cmp_ps(bound, v, _CMP_LT_OQ), _mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}

static inline lanes lanes_abs(lanes x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

static inline lanes lanes_copy_sign(lanes magnitude, lanes sign)
{
    return _mm256_or_ps(lanes_abs(magnitude), _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
}

/* 2^n, -127 < n < 128, where z = 0x1.8p23 + n: its low bits are n. */
static inline lanes lanes_power_of_two(lanes z)
{
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(z), 23), _mm256_set1_epi32(0x3f800000)));
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

/* Rows become columns. */
static inline void lanes_transpose(lanes x[LANES])
{
    __m256 pair[8], quad[8];
    SCO_UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
    SCO_UNROLL
    for (size_t i = 0; i < 8; i += 4) {
        quad[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
        quad[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xee);
        quad[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
        quad[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xee);
    }
    SCO_UNROLL
    for (size_t i = 0; i < 4; i++) {
        x[i] = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x20);
        x[i + 4] = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x31);
    }
}

/* x with lanes from count on zeroed. */
static inline lanes lanes_keep_first(lanes x, size_t count)
{
    return _mm256_and_ps(x, _mm256_castsi256_ps(lanes_first(count)));
}

/* 1 with the sign of x; x itself where it is zero or NaN. */
static inline lanes lanes_sign(lanes x)
{
    const lanes nonzero = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_NEQ_OQ);
    const lanes one = _mm256_or_ps(_mm256_and_ps(x, _mm256_set1_ps(-0.0f)), _mm256_set1_ps(1.0f));
    return _mm256_blendv_ps(x, one, nonzero);
}

/* The larger of peak >= 0 and |x|. Magnitudes order as the integers of their bits, any NaN above all. */
static inline lanes lanes_larger(lanes peak, lanes x)
{
    const __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(INT32_MAX));
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(peak), magnitude));
}

static inline lanes lanes_one_if_zero(lanes x)
{
    const lanes zero = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_EQ_OQ);
    return _mm256_blendv_ps(x, _mm256_set1_ps(1.0f), zero);
}

/* Is any lane of four vectors NaN or infinite? Looks at exponents, so that no flag is raised. */
static inline int lanes_any_nonfinite(lanes a, lanes b, lanes c, lanes d)
{
    const __m256i top = _mm256_set1_epi32(0x7f800000);
    const __m256i ab = _mm256_or_si256(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(a), top), top),
                                       _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(b), top), top));
    const __m256i cd = _mm256_or_si256(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(c), top), top),
                                       _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(d), top), top));
    const __m256i any = _mm256_or_si256(ab, cd);
    return !_mm256_testz_si256(any, any);
}

/* Sixteen lanes in order, folded in halves. */
static inline float lanes_fold16(const lanes x[16 / LANES])
{
    const __m256 eight = _mm256_add_ps(x[0], x[1]);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* A double for each lane. */
typedef struct {
    __m256d low, high;
} lanes_f64;

static inline lanes_f64 lanes_f64_zero(void)
{
    const lanes_f64 zero = {_mm256_setzero_pd(), _mm256_setzero_pd()};
    return zero;
}

static inline lanes_f64 lanes_f64_add(lanes_f64 sum, lanes x)
{
    sum.low = _mm256_add_pd(sum.low, _mm256_cvtps_pd(_mm256_castps256_ps128(x)));
    sum.high = _mm256_add_pd(sum.high, _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
    return sum;
}

/* sum + x^2; the square of a float is exact in a double, so that fusing changes nothing. */
static inline lanes_f64 lanes_f64_add_square(lanes_f64 sum, lanes x)
{
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(x)), high = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
    sum.low = _mm256_fmadd_pd(low, low, sum.low);
    sum.high = _mm256_fmadd_pd(high, high, sum.high);
    return sum;
}

/* sum + x y; the product of floats is exact in a double. */
static inline lanes_f64 lanes_f64_add_product(lanes_f64 sum, lanes x, lanes y)
{
    sum.low = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_castps256_ps128(y)),
                              sum.low);
    sum.high = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)),
                               _mm256_cvtps_pd(_mm256_extractf128_ps(y, 1)), sum.high);
    return sum;
}

/* Half as many words of 64 bits, for random numbers. */
typedef __m256i lanes_u64;

static inline lanes_u64 lanes_u64_set(uint64_t x)
{
    return _mm256_set1_epi64x((int64_t)x);
}

static inline lanes_u64 lanes_u64_load(const uint64_t *x)
{
    return _mm256_loadu_si256((const __m256i *)x);
}

static inline lanes_u64 lanes_u64_add(lanes_u64 a, lanes_u64 b)
{
    return _mm256_add_epi64(a, b);
}

/* The product of the low halves. */
static inline lanes_u64 lanes_u64_mul_low(lanes_u64 a, lanes_u64 b)
{
    return _mm256_mul_epu32(a, b);
}

/* (product >> 32) ^ a ^ b */
static inline lanes_u64 lanes_u64_high_xor(lanes_u64 product, lanes_u64 a, lanes_u64 b)
{
    return _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(product, 32), a), b);
}

/* Low halves in turn: even[0], odd[0], even[1], ... */
static inline lanes_u64 lanes_u64_zip_low(lanes_u64 even, lanes_u64 odd)
{
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}

/* x where the low (high) 16 bits of the lane's random word are below limit <= 65536, else 0. */
static inline lanes lanes_keep_low16(lanes_u64 random, uint32_t limit, lanes x)
{
    const __m256i low = _mm256_and_si256(random, _mm256_set1_epi32(0xffff));
    return _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)limit), low)));
}

static inline lanes lanes_keep_high16(lanes_u64 random, uint32_t limit, lanes x)
{
    const __m256i high = _mm256_srli_epi32(random, 16);
    return _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)limit), high)));
}

static inline void lanes_f64_store(double *to, lanes_f64 sum)
{
    _mm256_storeu_pd(to, sum.low);
    _mm256_storeu_pd(to + 4, sum.high);
}

static inline lanes lanes_load_f64(const double *x)
{
    return _mm256_set_m128(_mm256_cvtpd_ps(_mm256_loadu_pd(x + 4)), _mm256_cvtpd_ps(_mm256_loadu_pd(x)));
}

static inline lanes lanes_load_i8(const int8_t *q)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)q)));
}

/* Rounds to nearest even within -127 .. 127; NaN becomes 0. */
static inline void lanes_store_i8(int8_t *to, lanes x)
{
    x = _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q));
    x = _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(127.0f)), _mm256_set1_ps(-127.0f));
    const __m256i word = _mm256_cvtps_epi32(x);
    const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(word), _mm256_extracti128_si256(word, 1));
    _mm_storel_epi64((__m128i *)to, _mm_packs_epi16(half, half));
}

/* x < 0 ? 0 : x, which keeps NaN: max returns its second operand where one is NaN or both are zero. */
static inline lanes lanes_relu(lanes x)
{
    return _mm256_max_ps(_mm256_setzero_ps(), x);
}

/* x > 0 ? y : 0 */
static inline lanes lanes_if_positive(lanes x, lanes y)
{
    return _mm256_and_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ), y);
}

#endif

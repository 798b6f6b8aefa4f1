/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_avx2.h"

/* b where a or b is NaN, as the instruction has it. */
static inline lanes lanes_max(lanes a, lanes b)
{
    return _mm256_max_ps(a, b);
}

static inline lanes lanes_min(lanes a, lanes b)
{
    return _mm256_min_ps(a, b);
}

static inline float lanes_sum(lanes x)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Adds the integer in the low bits of n to the exponent of x. */
static inline lanes lanes_scale_exp2(lanes x, lanes n)
{
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}

/* to[4 i + j] = x[j][i] for i < count. */
static inline void lanes_store_interleaved(float *to, const lanes x[4], size_t count)
{
    const lanes low01 = _mm256_unpacklo_ps(x[0], x[1]), low23 = _mm256_unpacklo_ps(x[2], x[3]);
    const lanes high01 = _mm256_unpackhi_ps(x[0], x[1]), high23 = _mm256_unpackhi_ps(x[2], x[3]);
    /* t[q]: x[0..3] of lanes q and q + 4, 128 bits each */
    const lanes t[4] = {_mm256_shuffle_ps(low01, low23, 0x44), _mm256_shuffle_ps(low01, low23, 0xee),
                        _mm256_shuffle_ps(high01, high23, 0x44), _mm256_shuffle_ps(high01, high23, 0xee)};
    for (size_t q = 0; q < 4; q++) {
        if (q < count)
            _mm_storeu_ps(to + 4 * q, _mm256_castps256_ps128(t[q]));
        if (q + 4 < count)
            _mm_storeu_ps(to + 4 * (q + 4), _mm256_extractf128_ps(t[q], 1));
    }
}

#include "kernels/velo/velo_x86.h"

void sco_velo_fill_avx2(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_velo_ops *)ops = velo_x86_ops;
}

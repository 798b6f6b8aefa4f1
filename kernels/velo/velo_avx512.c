/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_avx512.h"

/* b where a or b is NaN, as the instruction has it. */
static inline lanes lanes_max(lanes a, lanes b)
{
    return _mm512_max_ps(a, b);
}

static inline lanes lanes_min(lanes a, lanes b)
{
    return _mm512_min_ps(a, b);
}

static inline float lanes_sum(lanes x)
{
    return _mm512_reduce_add_ps(x);
}

/* Adds the integer in the low bits of n to the exponent of x. */
static inline lanes lanes_scale_exp2(lanes x, lanes n)
{
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(n), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), exponent));
}

/* to[4 i + j] = x[j][i] for i < count. */
static inline void lanes_store_interleaved(float *to, const lanes x[4], size_t count)
{
    const lanes low01 = _mm512_unpacklo_ps(x[0], x[1]), low23 = _mm512_unpacklo_ps(x[2], x[3]);
    const lanes high01 = _mm512_unpackhi_ps(x[0], x[1]), high23 = _mm512_unpackhi_ps(x[2], x[3]);
    /* t[q]: x[0..3] of lanes q, q + 4, q + 8, q + 12, 128 bits each */
    const lanes t[4] = {_mm512_shuffle_ps(low01, low23, 0x44), _mm512_shuffle_ps(low01, low23, 0xee),
                        _mm512_shuffle_ps(high01, high23, 0x44), _mm512_shuffle_ps(high01, high23, 0xee)};
    const lanes even01 = _mm512_shuffle_f32x4(t[0], t[1], 0x88), even23 = _mm512_shuffle_f32x4(t[2], t[3], 0x88);
    const lanes odd01 = _mm512_shuffle_f32x4(t[0], t[1], 0xdd), odd23 = _mm512_shuffle_f32x4(t[2], t[3], 0xdd);
    const lanes row[4] = {_mm512_shuffle_f32x4(even01, even23, 0x88), _mm512_shuffle_f32x4(odd01, odd23, 0x88),
                          _mm512_shuffle_f32x4(even01, even23, 0xdd), _mm512_shuffle_f32x4(odd01, odd23, 0xdd)};
    for (size_t q = 0; q < 4 && 4 * q < count; q++)
        _mm512_mask_storeu_ps(to + q * LANES, lanes_first(4 * (count - 4 * q) < LANES ? 4 * (count - 4 * q) : LANES),
                              row[q]);
}

#include "kernels/velo/velo_x86.h"

void sco_velo_fill_avx512(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_velo_ops *)ops = velo_x86_ops;
}

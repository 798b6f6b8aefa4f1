/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/lanes_neon.h"

/* FMAX and FMIN take +0 for larger than -0, so they will not do where a zero must be kept. */
SCO_INLINE lanes floor_at(lanes x, lanes bound)
{
    return vbslq_f32(vcltq_f32(x, bound), bound, x);
}

SCO_INLINE lanes cap_at(lanes x, lanes bound)
{
    return vbslq_f32(vcgtq_f32(x, bound), bound, x);
}

SCO_INLINE lanes scale_exponent(lanes y, lanes shifted)
{
    const uint32x4_t n = vshlq_n_u32(vreinterpretq_u32_f32(shifted), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(y), n));
}

SCO_INLINE void add_f64(double sum[4], lanes x)
{
    vst1q_f64(sum, vaddq_f64(vld1q_f64(sum), vcvt_f64_f32(vget_low_f32(x))));
    vst1q_f64(sum + 2, vaddq_f64(vld1q_f64(sum + 2), vcvt_high_f64_f32(x)));
}

SCO_INLINE void add_squares_f64(double sum[4], lanes x)
{
    const float64x2_t low = vcvt_f64_f32(vget_low_f32(x)), high = vcvt_high_f64_f32(x);
    vst1q_f64(sum, vfmaq_f64(vld1q_f64(sum), low, low));
    vst1q_f64(sum + 2, vfmaq_f64(vld1q_f64(sum + 2), high, high));
}

SCO_INLINE void set4(const size_t vectors, lanes to[4][2], const float w[4])
{
    const float32x4_t q = vld1q_f32(w);
    SCO_UNROLL
    for (size_t u = 0; u < vectors; u++) {
        to[0][u] = vdupq_laneq_f32(q, 0);
        to[1][u] = vdupq_laneq_f32(q, 1);
        to[2][u] = vdupq_laneq_f32(q, 2);
        to[3][u] = vdupq_laneq_f32(q, 3);
    }
}

/* One load brings the weights of all four units: the multiply-add picks its lane. */
SCO_INLINE void add4(const size_t vectors, lanes to[4][2], const float w[4], const lanes x[])
{
    const float32x4_t q = vld1q_f32(w);
    SCO_UNROLL
    for (size_t u = 0; u < vectors; u++) {
        to[0][u] = vfmaq_laneq_f32(to[0][u], x[u], q, 0);
        to[1][u] = vfmaq_laneq_f32(to[1][u], x[u], q, 1);
        to[2][u] = vfmaq_laneq_f32(to[2][u], x[u], q, 2);
        to[3][u] = vfmaq_laneq_f32(to[3][u], x[u], q, 3);
    }
}

SCO_INLINE void add2(const size_t vectors, lanes to[2][2], const float w[2], const lanes x[])
{
    const float32x2_t q = vld1_f32(w);
    SCO_UNROLL
    for (size_t u = 0; u < vectors; u++) {
        to[0][u] = vfmaq_lane_f32(to[0][u], x[u], q, 0);
        to[1][u] = vfmaq_lane_f32(to[1][u], x[u], q, 1);
    }
}

SCO_INLINE void store_rows(float *to, lanes h[4][2])
{
    const float32x4x4_t rows = {{h[0][0], h[1][0], h[2][0], h[3][0]}};
    vst4q_f32(to, rows);
}

#include "kernels/velo/velo_lanes.h"

void sco_velo_fill_neon(void *ops, sco_isa isa)
{
    (void)isa;
    fill((struct sco_velo_ops *)ops);
}

/* SPDX-License-Identifier: Apache-2.0
 * The words of lanes_avx2.h on four lanes (Advanced SIMD). Without masked loads, a tail goes through a full vector on
 * the stack. */
#ifndef SCO_KERNELS_LANES_NEON_H
#define SCO_KERNELS_LANES_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 4 };
typedef float32x4_t lanes;

static inline lanes lanes_set(float x)
{
    return vdupq_n_f32(x);
}

static inline lanes lanes_load(const float *x)
{
    return vld1q_f32(x);
}

static inline void lanes_store(float *to, lanes x)
{
    vst1q_f32(to, x);
}

/* Advanced SIMD has no such store. */
static inline void lanes_stream(float *to, lanes x)
{
    vst1q_f32(to, x);
}

static inline void lanes_stream_end(void)
{
}

static inline lanes lanes_load_first(const float *x, size_t count)
{
    float full[4] = {0};
    for (size_t i = 0; i < count; i++)
        full[i] = x[i];
    return vld1q_f32(full);
}

static inline void lanes_store_first(float *to, lanes x, size_t count)
{
    float full[4];
    vst1q_f32(full, x);
    for (size_t i = 0; i < count; i++)
        to[i] = full[i];
}

static inline lanes lanes_add(lanes a, lanes b)
{
    return vaddq_f32(a, b);
}

static inline lanes lanes_sub(lanes a, lanes b)
{
    return vsubq_f32(a, b);
}

static inline lanes lanes_mul(lanes a, lanes b)
{
    return vmulq_f32(a, b);
}

static inline lanes lanes_div(lanes a, lanes b)
{
    return vdivq_f32(a, b);
}

static inline lanes lanes_sqrt(lanes a)
{
    return vsqrtq_f32(a);
}

static inline lanes lanes_if_less(lanes a, lanes b, lanes x, lanes y)
{
    return vbslq_f32(vcltq_f32(a, b), x, y);
}

static inline lanes lanes_if_equal(lanes a, lanes b, lanes x, lanes y)
{
    return vbslq_f32(vceqq_f32(a, b), x, y);
}

static inline lanes lanes_if_above(lanes v, lanes bound, lanes x, lanes y)
{
    return vbslq_f32(vorrq_u32(vcltq_f32(bound, v), vmvnq_u32(vceqq_f32(v, v))), x, y);
}

static inline lanes lanes_abs(lanes x)
{
    return vabsq_f32(x);
}

static inline lanes lanes_copy_sign(lanes magnitude, lanes sign)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude);
}

static inline lanes lanes_power_of_two(lanes z)
{
    return vreinterpretq_f32_s32(vaddq_s32(vshlq_n_s32(vreinterpretq_s32_f32(z), 23), vdupq_n_s32(0x3f800000)));
}

static inline lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return vfmaq_f32(c, a, b);
}

static inline lanes lanes_fnma(lanes a, lanes b, lanes c)
{
    return vfmsq_f32(c, a, b);
}

static inline void lanes_transpose(lanes x[LANES])
{
    const float32x4x2_t low = vtrnq_f32(x[0], x[1]), high = vtrnq_f32(x[2], x[3]);
    x[0] = vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0]));
    x[1] = vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1]));
    x[2] = vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0]));
    x[3] = vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1]));
}

static inline lanes lanes_keep_first(lanes x, size_t count)
{
    static const uint32_t window[8] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vld1q_u32(window + 4 - count)));
}

static inline lanes lanes_sign(lanes x)
{
    const uint32x4_t nonzero = vcgtq_f32(vabsq_f32(x), vdupq_n_f32(0.0f));
    return vbslq_f32(nonzero, vbslq_f32(vdupq_n_u32(0x80000000u), x, vdupq_n_f32(1.0f)), x);
}

static inline lanes lanes_larger(lanes peak, lanes x)
{
    return vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(peak), vreinterpretq_u32_f32(vabsq_f32(x))));
}

static inline lanes lanes_one_if_zero(lanes x)
{
    return vbslq_f32(vceqzq_f32(x), vdupq_n_f32(1.0f), x);
}

static inline int lanes_any_nonfinite(lanes a, lanes b, lanes c, lanes d)
{
    const lanes ab = lanes_larger(vabsq_f32(a), b), cd = lanes_larger(vabsq_f32(c), d);
    return vmaxvq_u32(vreinterpretq_u32_f32(lanes_larger(ab, cd))) >= 0x7f800000u;
}

static inline float lanes_fold16(const lanes x[16 / LANES])
{
    const lanes four = vaddq_f32(vaddq_f32(x[0], x[2]), vaddq_f32(x[1], x[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

typedef struct {
    float64x2_t low, high;
} lanes_f64;

static inline lanes_f64 lanes_f64_zero(void)
{
    const lanes_f64 zero = {vdupq_n_f64(0.0), vdupq_n_f64(0.0)};
    return zero;
}

static inline lanes_f64 lanes_f64_add(lanes_f64 sum, lanes x)
{
    sum.low = vaddq_f64(sum.low, vcvt_f64_f32(vget_low_f32(x)));
    sum.high = vaddq_f64(sum.high, vcvt_high_f64_f32(x));
    return sum;
}

static inline lanes_f64 lanes_f64_add_square(lanes_f64 sum, lanes x)
{
    const float64x2_t low = vcvt_f64_f32(vget_low_f32(x)), high = vcvt_high_f64_f32(x);
    sum.low = vfmaq_f64(sum.low, low, low);
    sum.high = vfmaq_f64(sum.high, high, high);
    return sum;
}

static inline lanes_f64 lanes_f64_add_product(lanes_f64 sum, lanes x, lanes y)
{
    sum.low = vfmaq_f64(sum.low, vcvt_f64_f32(vget_low_f32(x)), vcvt_f64_f32(vget_low_f32(y)));
    sum.high = vfmaq_f64(sum.high, vcvt_high_f64_f32(x), vcvt_high_f64_f32(y));
    return sum;
}

typedef uint64x2_t lanes_u64;

static inline lanes_u64 lanes_u64_set(uint64_t x)
{
    return vdupq_n_u64(x);
}

static inline lanes_u64 lanes_u64_load(const uint64_t *x)
{
    return vld1q_u64(x);
}

static inline lanes_u64 lanes_u64_add(lanes_u64 a, lanes_u64 b)
{
    return vaddq_u64(a, b);
}

static inline lanes_u64 lanes_u64_mul_low(lanes_u64 a, lanes_u64 b)
{
    return vmull_u32(vmovn_u64(a), vmovn_u64(b));
}

static inline lanes_u64 lanes_u64_high_xor(lanes_u64 product, lanes_u64 a, lanes_u64 b)
{
    return veorq_u64(veorq_u64(vshrq_n_u64(product, 32), a), b);
}

static inline lanes_u64 lanes_u64_zip_low(lanes_u64 even, lanes_u64 odd)
{
    return vsliq_n_u64(even, odd, 32);
}

static inline lanes lanes_keep_low16(lanes_u64 random, uint32_t limit, lanes x)
{
    const uint32x4_t low = vandq_u32(vreinterpretq_u32_u64(random), vdupq_n_u32(0xffff));
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vcltq_u32(low, vdupq_n_u32(limit))));
}

static inline lanes lanes_keep_high16(lanes_u64 random, uint32_t limit, lanes x)
{
    const uint32x4_t high = vshrq_n_u32(vreinterpretq_u32_u64(random), 16);
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vcltq_u32(high, vdupq_n_u32(limit))));
}

static inline void lanes_f64_store(double *to, lanes_f64 sum)
{
    vst1q_f64(to, sum.low);
    vst1q_f64(to + 2, sum.high);
}

static inline lanes lanes_load_f64(const double *x)
{
    return vcvt_high_f32_f64(vcvt_f32_f64(vld1q_f64(x)), vld1q_f64(x + 2));
}

static inline lanes lanes_load_i8(const int8_t *q)
{
    int8_t eight[8] = {q[0], q[1], q[2], q[3]};
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(eight)))));
}

/* The conversion takes NaN to 0 by itself. */
static inline void lanes_store_i8(int8_t *to, lanes x)
{
    x = vmaxq_f32(vminq_f32(x, vdupq_n_f32(127.0f)), vdupq_n_f32(-127.0f));
    const int16x4_t half = vmovn_s32(vcvtnq_s32_f32(x));
    int8_t eight[8];
    vst1_s8(eight, vmovn_s16(vcombine_s16(half, half)));
    for (size_t i = 0; i < 4; i++)
        to[i] = eight[i];
}

static inline lanes lanes_relu(lanes x)
{
    return vbslq_f32(vcltzq_f32(x), vdupq_n_f32(0.0f), x);
}

static inline lanes lanes_if_positive(lanes x, lanes y)
{
    return vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(x), vreinterpretq_u32_f32(y)));
}

#endif

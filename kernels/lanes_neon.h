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

static inline lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return vfmaq_f32(c, a, b);
}

static inline lanes lanes_fnma(lanes a, lanes b, lanes c)
{
    return vfmsq_f32(c, a, b);
}

#endif

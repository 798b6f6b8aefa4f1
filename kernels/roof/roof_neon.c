/* SPDX-License-Identifier: Apache-2.0 */
#include <arm_neon.h>

#define VEC          float32x4_t
#define LANES        4
#define CHAINS       24
#define LOAD         vld1q_f32
#define STORE        vst1q_f32
#define SET1         vdupq_n_f32
#define ADD          vaddq_f32
#define MUL          vmulq_f32
#define FMA(a, b, c) vfmaq_f32(c, a, b)

#include "kernels/roof/roof_lanes.h"

void sco_roof_fill_neon(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_roof_ops *)ops = (struct sco_roof_ops){roof_read, roof_rw32, roof_rw43, roof_rw65, roof_fma};
}

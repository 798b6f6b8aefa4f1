/* SPDX-License-Identifier: Apache-2.0
 * The exponential of scalar rows: the definition that exp_lanes.h matches bit for bit. */
#ifndef SCO_KERNELS_EXP_SCALAR_H
#define SCO_KERNELS_EXP_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/gemm/gemm_cell.h"

/* 2^n, where z = 0x1.8p23 + n */
static inline float power_of_two(float z)
{
    uint32_t bits;
    memcpy(&bits, &z, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(&z, &bits, sizeof z);
    return z;
}

/* e^t = 2^n (1 + m), t <= 0; returns m, and n in the low bits of *z. */
static inline float exp_split(float t, float *z)
{
    *z = fmaf(t, SCO_CELL_LOG2E, SCO_CELL_ROUND);
    const float n = *z - SCO_CELL_ROUND;
    float r = fmaf(-n, SCO_CELL_LN2_HI, t);
    r = fmaf(-n, SCO_CELL_LN2_LO, r);
    float q = fmaf(SCO_CELL_Q4, r, SCO_CELL_Q3);
    q = fmaf(q, r, SCO_CELL_Q2);
    q = fmaf(q, r, SCO_CELL_Q1);
    q = fmaf(q, r, SCO_CELL_Q0);
    return fmaf(r * r, q, r);
}

/* bound where x is below it; keeps NaN. */
static inline float at_least(float x, float bound)
{
    return x < bound ? bound : x;
}

/* e^t, t <= 0; 0 below SCO_EXP_MIN. */
static inline float exp_negative(float t)
{
    float z;
    const float m = exp_split(at_least(t, SCO_EXP_MIN), &z), scale = power_of_two(z);
    return t < SCO_EXP_MIN ? 0.0f : fmaf(scale, m, scale);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Constants of the curves, shared by all rows so that their bits agree.
 *
 * Phi, the normal distribution function, through a = |x| / sqrt 2: below 1, erf(a) = a P(a^2), relative error 1.3e-9; from
 * 1 on, erfc(a) = e^-Q(a), error 1.1e-9 of 1; beyond 4, erfc is 0, which 1 does not feel. The tail of the side away from x
 * is computed first, so that Phi loses nothing where it is small.
 *
 * Where a curve has reached its limit, its argument is cut off, so that no infinity meets a zero. */
#ifndef SCO_KERNELS_ACTIVATION_CURVE_H
#define SCO_KERNELS_ACTIVATION_CURVE_H

#include "kernels/gemm/gemm_cell.h"

#define SCO_CURVE_ROOT_HALF 0x1.6a09e6p-1f
#define SCO_CURVE_P0        0x1.20dd74p+0f
#define SCO_CURVE_P1        -0x1.81273ep-2f
#define SCO_CURVE_P2        0x1.ce2cf8p-4f
#define SCO_CURVE_P3        -0x1.b7f90cp-6f
#define SCO_CURVE_P4        0x1.5405b2p-8f
#define SCO_CURVE_P5        -0x1.a3f6fcp-11f
#define SCO_CURVE_P6        0x1.496a28p-14f
#define SCO_CURVE_Q0        0x1.72e404p-12f
#define SCO_CURVE_Q1        0x1.2085b2p+0f
#define SCO_CURVE_Q2        0x1.46c582p-1f
#define SCO_CURVE_Q3        0x1.a60a96p-4f
#define SCO_CURVE_Q4        -0x1.654246p-6f
#define SCO_CURVE_Q5        0x1.814d24p-9f
#define SCO_CURVE_Q6        -0x1.852dc4p-13f
#define SCO_CURVE_ERF_END   4.0f
#define SCO_CURVE_DENSITY   0x1.988454p-2f /* 1 / sqrt(2 pi) */

/* 2 u = x (C0 + C1 x^2); its derivative is C0 + 3 C1 x^2. */
#define SCO_CURVE_TANH_C0 0x1.988454p+0f
#define SCO_CURVE_TANH_C1 0x1.2444f2p-4f

#define SCO_CURVE_GELU_END 16.0f
#define SCO_CURVE_SILU_END 120.0f

#endif

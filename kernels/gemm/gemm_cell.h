/* SPDX-License-Identifier: Apache-2.0
 * Constants of the exponential under sigmoid and tanh, shared by all rows of lstm_cell so that their bits agree.
 *
 * For t <= 0: n = round(t log2(e)), r = t - n ln(2) in |r| <= ln(2) / 2, and m = e^r - 1 = r + r^2 q(r) with q of
 * degree 4 fitted to the relative error of m (1.4e-8). Both functions go through t = -|x| or -2 |x|, so nothing
 * overflows: sigmoid  e = 2^n (1 + m); (x < 0 ? e : 1) / (1 + e) tanh     e^t - 1 = 2^n m + (2^n - 1), which loses
 * nothing near zero; -(e^t - 1) / (2 + (e^t - 1)) with the sign of x */
#ifndef SCO_KERNELS_GEMM_CELL_H
#define SCO_KERNELS_GEMM_CELL_H

#define SCO_CELL_LOG2E       0x1.715476p+0f
#define SCO_CELL_ROUND       0x1.8p+23f   /* adding it leaves the nearest integer in the low bits of the word */
#define SCO_CELL_LN2_HI      0x1.62e4p-1f /* 15 bits: times n it is exact */
#define SCO_CELL_LN2_LO      0x1.7f7d1cp-20f
#define SCO_CELL_Q0          0x1p-1f
#define SCO_CELL_Q1          0x1.5554b6p-3f
#define SCO_CELL_Q2          0x1.5555bap-5f
#define SCO_CELL_Q3          0x1.1223eep-7f
#define SCO_CELL_Q4          0x1.6c5582p-10f
#define SCO_CELL_SIGMOID_MIN -104.0f /* e^t is 0 from here down, after rounding */
#define SCO_CELL_TANH_MIN    -40.0f  /* e^t - 1 is -1 from here down, after rounding */
#define SCO_EXP_MIN          -80.0f  /* e^t is nothing beside 1 below here, and no denormal from here up */

#endif

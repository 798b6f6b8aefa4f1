/* SPDX-License-Identifier: Apache-2.0
 * Activations and their gradients over n elements, and sums of two tensors. */
#ifndef SCO_KERNELS_ACTIVATION_H
#define SCO_KERNELS_ACTIVATION_H

#include "kernels/kernel.h"

/* y = f(x), element by element:
 *
 *   relu        x < 0 ? 0 : x                       leaky_relu  x < 0 ? slope x : x
 *   sigmoid     1 / (1 + e^-x)                      tanh
 *   silu        x sigmoid(x)                        gelu_erf    x (1 + erf(x / sqrt 2)) / 2
 *   gelu_tanh   x (1 + tanh(u)) / 2,  u = sqrt(2 / pi) (x + 0.044715 x^3)
 *
 * Shapes    x: float[n] in; y: float[n] out. n = 0 is a no-op.
 * Units     slope: of leaky_relu below zero; the others ignore it.
 * Layout    contiguous; 4-byte alignment required, 64 preferred. y may be x; otherwise they do not overlap.
 * Numerics  f32. Same bits from every row. sigmoid and tanh within 3 ulp of the result; silu within 4 ulp, gelu_tanh and
 *           gelu_erf within 3, of max(|y|, |x|): their negative tails are tiny beside x. NaN stays NaN, in its element alone.
 * Cost      8 bytes an element; relu 1 flop, gelu_erf about 40.
 * Threads   reentrant; disjoint slices may run at once.
 * Memory    none allocated.
 * Errors    none.
 * Source    Hendrycks and Gimpel, "Gaussian error linear units", 2016; exponential as in kernels/gemm/gemm_cell.h. */
typedef void sco_activation_fn(size_t n, const float *x, float slope, float *y);

/* dx = f'(x) dy. relu and leaky_relu (slope >= 0) take x or y as s, sigmoid and tanh take y, gelu and silu take x.
 * At zero relu' is 0 and leaky_relu' is slope. dx may be dy or s. Within 4 ulp of 2 |dy| for gelu and silu. */
typedef void sco_activation_bwd_fn(size_t n, const float *s, const float *dy, float slope, float *dx);

/* y = a + b, or relu(a + b). y may be a or b. */
typedef void sco_activation_add_fn(size_t n, const float *a, const float *b, float *y);

struct sco_activation_ops {
    sco_activation_fn *relu, *leaky_relu, *sigmoid, *tanh, *gelu_tanh, *gelu_erf, *silu;
    sco_activation_bwd_fn *relu_bwd, *leaky_relu_bwd, *sigmoid_bwd, *tanh_bwd, *gelu_tanh_bwd, *gelu_erf_bwd, *silu_bwd;
    sco_activation_add_fn *add, *add_relu;
};

#define SCO_ACTIVATION_ROWS(ROW)                                                                                       \
    ROW(activation, scalar, 0)                                                                                         \
    SCO_HWY(ROW(activation, hwy, SCO_USE_HWY))                                                                         \
    SCO_X86(ROW(activation, avx2, SCO_ISA_AVX2))                                                                       \
    SCO_X86(ROW(activation, avx512, SCO_ISA_AVX512))                                                                   \
    SCO_ARM64(ROW(activation, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(activation, SCO_ACTIVATION_ROWS)
SCO_END_DECLS

#endif

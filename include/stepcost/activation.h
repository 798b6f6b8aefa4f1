/* SPDX-License-Identifier: Apache-2.0
 * Activations, sums and biases of whole tensors. */
#ifndef STEPCOST_ACTIVATION_H
#define STEPCOST_ACTIVATION_H

#include "stepcost/ctx.h"

SCO_BEGIN_DECLS

enum sco_activation {
    SCO_RELU,       /* x < 0 ? 0 : x */
    SCO_LEAKY_RELU, /* x < 0 ? slope x : x */
    SCO_SIGMOID,    /* 1 / (1 + e^-x) */
    SCO_TANH,
    SCO_GELU_TANH, /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
    SCO_GELU_ERF,  /* x (1 + erf(x / sqrt 2)) / 2 */
    SCO_SILU       /* x / (1 + e^-x) */
};

/* y = f(x), and dx = f'(x) dy. The gradient takes what forward had or gave: s is x for the two GELU and SiLU, y for sigmoid
 * and tanh, either for the two ReLU (their y where it was computed in place).
 *
 * Shapes    x, y, s, dy, dx: float[n]. n = 0 is a no-op. y may be x; dx may be dy or s.
 * Units     slope >= 0: of leaky ReLU below zero; ignored by the others.
 * Layout    contiguous, 4-byte alignment.
 * Numerics  sigmoid and tanh within 3 ulp of y, SiLU within 4 and the GELU within 3 ulp of max(|y|, |x|); gradients of these
 *           three within 4 ulp of 2 |dy|. At 0 the ReLU have the slope of the left side. NaN stays NaN. Same bits from every
 *           row and for any team.
 * Cost      8 bytes an element, gradients 12.
 * Threads   the team of ctx; by pieces of 4096 elements.
 * Memory    none allocated.
 * Errors    SCO_INVALID: unknown activation. */
SCO_API enum sco_status sco_activation_fwd(struct sco_ctx *ctx, enum sco_activation activation, float slope, size_t n,
                                           const float *x, float *y);
SCO_API enum sco_status sco_activation_bwd(struct sco_ctx *ctx, enum sco_activation activation, float slope, size_t n,
                                           const float *s, const float *dy, float *dx);

/* y = a + b, or relu(a + b). y may be a or b. The gradient of the sum is dy for both, of its ReLU sco_activation_bwd() with
 * y. */
SCO_API enum sco_status sco_residual_add(struct sco_ctx *ctx, int relu, size_t n, const float *a, const float *b,
                                         float *y);

/* y = x + bias in every row, and dbias[j] = the sum of column j of dy.
 *
 * Shapes    x, y, dy: float[rows][width]; bias, dbias: float[width]. y may be x.
 * Numerics  column sums in f32 over blocks of 64 rows, in row order, and in double over the blocks: within
 *           64 2^-24 of the sum of magnitudes. Same bits from every row and for any team.
 * Memory    none allocated; workspace of sco_row_bias_workspace_bytes().
 * Errors    SCO_SHAPE: rows x width exceeds the address space. */
SCO_API size_t sco_row_bias_workspace_bytes(size_t rows, size_t width);
SCO_API enum sco_status sco_row_bias(struct sco_ctx *ctx, size_t rows, size_t width, const float *x, const float *bias,
                                     float *y);
SCO_API enum sco_status sco_row_bias_bwd(struct sco_ctx *ctx, size_t rows, size_t width, const float *dy, float *dbias,
                                         void *workspace);

/* Concatenation of rows: columns [src_first, src_first + columns) of src[rows][src_width] become columns from dst_first of
 * dst[rows][dst_width]; the gradient is the copy back.
 * Errors    SCO_SHAPE: a range ends behind its row. */
SCO_API enum sco_status sco_row_copy(struct sco_ctx *ctx, size_t rows, size_t columns, const float *src,
                                     size_t src_width, size_t src_first, float *dst, size_t dst_width,
                                     size_t dst_first);

SCO_END_DECLS
#endif

/* SPDX-License-Identifier: Apache-2.0
 * A dense layer over any number of rows, planned once: what sco_gemm, which plans one shape, cannot be. */
#ifndef SCO_MODELS_OP_DENSE_H
#define SCO_MODELS_OP_DENSE_H

#include "stepcost/ctx.h"

/* kernel is in x out, row major. packed holds the kernel, or its transpose, while a call runs: sco_dense_packed_bytes(). */
struct sco_dense {
    struct sco_ctx *ctx;
    size_t in, out;
    float *packed;
};

/* SIZE_MAX when they cannot be counted. */
size_t sco_dense_packed_bytes(size_t in, size_t out);

/* y = x kernel + bias.
 *
 * Shapes    x: rows x in; y: rows x out; bias: out. rows may be 0.
 * Numerics  one fused multiply-add per input, ascending, onto the bias: the same bits from every row of kernels and for any
 *           team.
 * Threads   the team of ctx; by blocks of rows. Nothing is allocated, nothing can fail. */
void sco_dense_fwd(const struct sco_dense *dense, size_t rows, const float *x, const float *kernel, const float *bias,
                   float *y);

/* dkernel = x^T dy, rows ascending; dx = dy kernel^T, or NULL: not wanted. Both are overwritten; dx overlaps nothing. */
void sco_dense_bwd(const struct sco_dense *dense, size_t rows, const float *x, const float *kernel, const float *dy,
                   float *dx, float *dkernel);

#endif

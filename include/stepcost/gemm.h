/* SPDX-License-Identifier: Apache-2.0
 * float32 matrix product, planned once and run many times:
 *
 *     C = activation(alpha op(A) op(B) + beta C + bias)
 *
 * forward, input gradient (NT) and weight gradient (TN) of a dense layer, and batches of small products. */
#ifndef STEPCOST_GEMM_H
#define STEPCOST_GEMM_H

#include "stepcost/ctx.h"

SCO_BEGIN_DECLS

enum sco_gemm_activation {
    SCO_GEMM_LINEAR,
    SCO_GEMM_RELU,      /* x < 0 ? 0 : x; NaN stays NaN */
    SCO_GEMM_LEAKY_RELU /* x < 0 ? slope x : x */
};

/* Zero-initialised fields are the plain product of dense matrices, but for alpha. */
struct sco_gemm_shape {
    size_t M, N, K;
    int trans_a, trans_b;          /* op(X) is X transposed */
    size_t lda, ldb, ldc;          /* floats from one stored row to the next; 0: the stored width */
    size_t batch;                  /* products; 0: 1 */
    size_t a_step, b_step, c_step; /* floats from one product's matrix to the next; a_step or b_step 0: shared */
    float alpha, beta;             /* beta 0: C is not read */
    int bias;                      /* 1: a run adds bias[j] to column j */
    enum sco_gemm_activation activation;
    float slope; /* of SCO_GEMM_LEAKY_RELU */
};

struct sco_gemm;

/* Shapes    op(A) M x K, op(B) K x N, C M x N, all row-major: A is stored K x M if trans_a, B N x K if trans_b. Sizes may
 *           be 0; K = 0 leaves activation(beta C + bias).
 * Layout    4-byte alignment suffices. C overlaps neither A, B nor bias.
 * Numerics  sums run over k in ascending blocks with fused multiply-add, or over fixed interleaved partial sums; the order
 *           depends on shape and instruction set alone. |error| <= (K + K / 128 + 16) 2^-24 sum |terms|. Results have the same
 *           bits for any number of threads.
 * Cost      2 M N K operations; within a few per cent of the multiply-add peak from 32 x 32 x 32 on where operands are in
 *           cache.
 * Threads   tiles of C are shared among the context's team; small products run in the calling thread alone.
 * Memory    create allocates the plan (1 KiB); run allocates nothing. */
SCO_API enum sco_status sco_gemm_create(struct sco_gemm **gemm, struct sco_ctx *ctx,
                                        const struct sco_gemm_shape *shape);
SCO_API void sco_gemm_destroy(struct sco_gemm *gemm); /* NULL is a no-op */

/* Bytes of workspace that run needs, best 64-byte aligned; may be 0. Products that do not run at once may share one. */
SCO_API size_t sco_gemm_workspace_bytes(const struct sco_gemm *gemm);

/* What runs: row and tiles, "avx512 6x64 ..."; valid for the life of gemm. */
SCO_API const char *sco_gemm_plan_name(const struct sco_gemm *gemm);

/* Errors    SCO_INVALID: a pointer that the shape needs is NULL. */
SCO_API enum sco_status sco_gemm_run(const struct sco_gemm *gemm, const float *A, const float *B, float *C,
                                     const float *bias, void *workspace);

SCO_END_DECLS
#endif

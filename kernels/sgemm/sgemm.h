/* SPDX-License-Identifier: Apache-2.0
 * float32 matrix product C = activation(alpha op(A) op(B) + beta C + bias), a planned family: the slot fills a plan, and
 * whoever runs the plan may give its tasks, tiles of C, to threads as it likes. What a task computes and in which order
 * it adds depends on shape and row alone. */
#ifndef SCO_KERNELS_SGEMM_H
#define SCO_KERNELS_SGEMM_H

#include <stdbool.h>

#include "kernels/kernel.h"
#include "stepcost/gemm.h"

struct sco_sgemm_plan;

/* Operands of a run; bias is NULL unless the shape has one. scratch: plan->scratch_bytes of the calling thread alone,
 * 4-byte aligned, contents undefined between calls. */
struct sco_sgemm_args {
    const float *A, *B, *bias;
    float *C;
    float *scratch;
};

typedef void sco_sgemm_run_fn(const struct sco_sgemm_plan *plan, const struct sco_sgemm_args *args, size_t first,
                              size_t last);
/* The whole product in one call without scratch, for sizes where a call's overhead would show. */
typedef void sco_sgemm_small_fn(const struct sco_sgemm_plan *plan, const float *A, const float *B, float *C,
                                const float *bias);

enum { SCO_SGEMM_PRIVATE = 16 };

struct sco_sgemm_plan {
    struct sco_gemm_shape shape; /* strides and batch filled in */
    sco_sgemm_small_fn *small;   /* NULL: too large, or needs scratch */
    sco_sgemm_run_fn *run;
    size_t tasks, scratch_bytes;
    size_t own[SCO_SGEMM_PRIVATE]; /* of the row: tiles, blocks */
    char name[96];
};

/* |error| <= sco_sgemm_error(K) 2^-24 sum |terms|: a multiply-add for every k, a sum for every block of k, and alpha,
 * beta, bias, slope. */
static inline double sco_sgemm_error(size_t K)
{
    return (double)(K + K / 128 + 16);
}

/* No row asks for more scratch: a panel of B and a block of transposed A, both of one block of k. */
static inline size_t sco_sgemm_scratch_most(size_t M, size_t K)
{
    const size_t depth = K < 512 ? K : 512, rows = M < 256 ? M : 256;
    return depth * (64 + rows + 64) * sizeof(float);
}

/* Fills plan; the shape must be valid (strides at least the widths, or 0). False: this row leaves the shape to the next
 * lower one, and plan is undefined. */
typedef bool sco_sgemm_plan_fn(const struct sco_gemm_shape *shape, struct sco_sgemm_plan *plan);

struct sco_sgemm_ops {
    sco_sgemm_plan_fn *plan;
};

/* The shape with defaults replaced: strides, a batch of 1. */
static inline struct sco_gemm_shape sco_sgemm_full(const struct sco_gemm_shape *shape)
{
    struct sco_gemm_shape s = *shape;
    s.lda = s.lda != 0 ? s.lda : s.trans_a ? s.M : s.K;
    s.ldb = s.ldb != 0 ? s.ldb : s.trans_b ? s.K : s.N;
    s.ldc = s.ldc != 0 ? s.ldc : s.N;
    s.batch = s.batch != 0 ? s.batch : 1;
    return s;
}

/* oneDNN stands below the rows of this library, which are faster: it is there to be pinned and compared. */
#define SCO_SGEMM_ROWS(ROW)                                                                                            \
    ROW(sgemm, scalar, 0)                                                                                              \
    SCO_ONEDNN(ROW(sgemm, onednn, SCO_USE_ONEDNN))                                                                     \
    SCO_HWY(ROW(sgemm, hwy, SCO_USE_HWY))                                                                              \
    SCO_X86(ROW(sgemm, avx2, SCO_ISA_AVX2))                                                                            \
    SCO_X86(ROW(sgemm, avx512, SCO_ISA_AVX512))                                                                        \
    SCO_ARM64(ROW(sgemm, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(sgemm, SCO_SGEMM_ROWS)
SCO_END_DECLS

#endif

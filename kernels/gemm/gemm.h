/* SPDX-License-Identifier: Apache-2.0
 * float32 matrix product against a packed right-hand side: the LSTM and the hypernetwork of a learned optimizer
 * multiply few rows (tensors) by the same large weights at every step. */
#ifndef SCO_KERNELS_GEMM_H
#define SCO_KERNELS_GEMM_H

#include "kernels/kernel.h"

/* B (K x N, row major) is packed once into panels of SCO_GEMM_NR columns: panel q holds B[0..K)[16 q .. 16 q + 16) as K
 * consecutive rows of 16 floats, columns past N zero. Panel q starts at packed + q * K * 16. */
enum { SCO_GEMM_NR = 16 };

/* C[i][j] = (beta ? C[i][j] : 0) + bias[j] + sum_k A[i][k] B[k][j]; bias may be NULL. The sum runs over k in order, one
 * accumulator per output, fused multiply-adds: the same bits in every row, however M and N are split between threads.
 * A: M x K, lda. C: M x N, ldc. packed: ceil(N / 16) panels. Reads and writes nothing beyond M, N, K. */
typedef void sco_gemm_f32_fn(size_t M, size_t N, size_t K, const float *A, size_t lda, const float *packed,
                             const float *bias, int beta, float *C, size_t ldc);
typedef void sco_gemm_pack_fn(size_t K, size_t N, const float *B, size_t ldb, float *packed);

/* One LSTM cell over n units: gates (pre-activation) i, g, f, o; forget bias 1 added here.
 *   c' = sigmoid(f + 1) c + sigmoid(i) tanh(g)      h' = sigmoid(o) tanh(c')
 * c, h in/out, element-wise; the same bits in every row. */
typedef void sco_lstm_cell_fn(size_t n, const float *i, const float *g, const float *f, const float *o, float *c, float *h);

struct sco_gemm_ops {
    sco_gemm_f32_fn *gemm;
    sco_gemm_pack_fn *pack;
    sco_lstm_cell_fn *lstm_cell;
};

#define SCO_GEMM_ROWS(ROW)                                                                                             \
    ROW(gemm, scalar, 0)                                                                                               \
    SCO_HWY(ROW(gemm, hwy, SCO_USE_HWY))                                                                               \
    SCO_X86(ROW(gemm, avx2, SCO_ISA_AVX2))                                                                             \
    SCO_X86(ROW(gemm, avx512, SCO_ISA_AVX512))                                                                         \
    SCO_ARM64(ROW(gemm, neon, SCO_ISA_NEON))
SCO_FAMILY_DECLARE(gemm, SCO_GEMM_ROWS)

#endif

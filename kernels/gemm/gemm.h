/* SPDX-License-Identifier: Apache-2.0
 * float32 matrix product against a packed right-hand side: the LSTM and the hypernetwork of a learned optimizer
 * multiply few rows (tensors) by the same large weights at every step. */
#ifndef SCO_KERNELS_GEMM_H
#define SCO_KERNELS_GEMM_H

#include "kernels/kernel.h"

/* B (K x N, row major) is packed once into panels of SCO_GEMM_NR columns; the last panel is as narrow as the rest of N
 * allows, in steps of SCO_GEMM_STEP. Panel q holds K consecutive rows of its width and starts at packed + q * NR * K,
 * so that a product with few rows, which does nothing but read weights, reads one ascending stream. Columns past N are
 * zero. */
enum { SCO_GEMM_NR = 64, SCO_GEMM_STEP = 16 };

/* Floats of a packed B. A column j0 that is a multiple of SCO_GEMM_NR starts at packed + sco_gemm_packed_count(K, j0).
 */
static inline size_t sco_gemm_packed_count(size_t K, size_t N)
{
    return K * ((N + SCO_GEMM_STEP - 1) / SCO_GEMM_STEP * SCO_GEMM_STEP);
}

/* Rows of the next tile when left are left and a tile takes at most most: tiles as even as they get, since a short last
 * tile has too few accumulators to hide the latency of the multiply-add. */
static inline size_t sco_gemm_even_rows(size_t left, size_t most)
{
    const size_t tiles = (left + most - 1) / most;
    return (left + tiles - 1) / tiles;
}

/* C[i][j] = (beta ? C[i][j] : 0) + bias[j] + sum_k A[i][k] B[k][j]; bias may be NULL, C is not read if beta is 0.
 * The accumulator starts as the first two terms, added, and takes one fused multiply-add per k in order: the same bits
 * in every row and however M, N and K are split between calls. A: M x K, lda. C: M x N, ldc; strides may exceed the
 * widths. C overlaps nothing. Sizes may be 0. Reads and writes nothing beyond M, N, K and the packed count. */
typedef void sco_gemm_f32_fn(size_t M, size_t N, size_t K, const float *A, size_t lda, const float *packed,
                             const float *bias, int beta, float *C, size_t ldc);
typedef void sco_gemm_pack_fn(size_t K, size_t N, const float *B, size_t ldb, float *packed);

/* One LSTM cell over n units: gates (pre-activation) i, g, f, o; forget bias 1 added here.
 *   c' = sigmoid(f + 1) c + sigmoid(i) tanh(g)      h' = sigmoid(o) tanh(c')
 * c in/out, h out; the arrays must not overlap. Element-wise: the same bits in every row. sigmoid and
 * tanh are within 3 ulp, gradual underflow included; they reach 0 and 1 exactly, tanh keeps the sign of zero, NaN stays
 * NaN. */
typedef void sco_lstm_cell_fn(size_t n, const float *i, const float *g, const float *f, const float *o, float *c,
                              float *h);

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
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(gemm, SCO_GEMM_ROWS)
SCO_END_DECLS

#endif

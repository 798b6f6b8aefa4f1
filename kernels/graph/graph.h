/* SPDX-License-Identifier: Apache-2.0
 * Message passing over a graph: gathering rows of nodes, summing rows of edges, and the two fused; and the gradient of
 * weights from such rows.
 *
 * A matrix has one row of H floats per node or edge, rows contiguous. Edges are listed in the order of one endpoint: row r
 * (a node, or a graph) owns the entries row_ptr[r] .. row_ptr[r + 1] - 1, and entry k stands for edge edge[k], whose other
 * endpoint is node[k]. A NULL edge means edge k. A call does rows first .. last - 1 of such a list, so that a row is always
 * summed by one thread, entry after entry: no atomics, no temporary of E x H, the same bits however rows are cut. */
#ifndef SCO_KERNELS_GRAPH_H
#define SCO_KERNELS_GRAPH_H

#include <stdint.h>

#include "kernels/kernel.h"

/* What the kernels below share; each names only what it adds.
 *
 * Layout    4-byte alignment required, 64 preferred. Outputs overlap nothing. Sizes may be 0; H is any number, fast for
 *           multiples of 64.
 * Numerics  sums start at +0 and take one addition per entry, ascending: the same bits from every row.
 *           relu(v) = v < 0 ? 0 : v, which keeps NaN; its derivative is 1 where v > 0, else 0.
 * Cost      none but moving rows is counted: one or two flops per 4 to 8 bytes.
 * Threads   reentrant; disjoint rows may run at once.
 * Errors    none: indices were validated, except in gather_*. */

/* y[i] = x[index[i]] for i < count, x of rows rows. Returns how many were done: fewer than count names the first index
 * that is no row of x. */
typedef size_t sco_graph_gather_i32_fn(size_t count, size_t H, const int32_t *index, size_t rows,
                                       const float *SCO_RESTRICT x, float *SCO_RESTRICT y);
typedef size_t sco_graph_gather_i64_fn(size_t count, size_t H, const int64_t *index, size_t rows,
                                       const float *SCO_RESTRICT x, float *SCO_RESTRICT y);

/* y[i] = a[ia[i]] + b[ib[i]] + c[ic[i]], added from the left; terms from the first NULL matrix on are left out. */
typedef void sco_graph_gather_add_fn(size_t count, size_t H, const uint32_t *ia, const float *SCO_RESTRICT a,
                                     const uint32_t *ib, const float *SCO_RESTRICT b, const uint32_t *ic,
                                     const float *SCO_RESTRICT c, float *SCO_RESTRICT y);

/* y[r] = sum over entries k of r of x[edge[k]]. */
typedef void sco_graph_segment_sum_fn(size_t first, size_t last, size_t H, const uint32_t *row_ptr,
                                      const uint32_t *edge, const float *SCO_RESTRICT x, float *SCO_RESTRICT y);

/* The same of relu(x), for a window of entries: x holds the rows of entries from .. to - 1 alone, in order. A row whose
 * first entry lies before the window continues the sum that is in y; a row without entries becomes 0. */
typedef void sco_graph_relu_window_sum_fn(size_t first, size_t last, size_t H, const uint32_t *row_ptr, size_t from,
                                          size_t to, const float *SCO_RESTRICT x, float *SCO_RESTRICT y);

/* y[r] = sum over entries k of r of relu(x[node[k]] + e[edge[k]]).
 *
 * stream    nonzero: y is larger than the cache, and is written past it where alignment allows. */
typedef void sco_graph_relu_sum_fn(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                                   const uint32_t *edge, const float *SCO_RESTRICT x, const float *SCO_RESTRICT e,
                                   float *SCO_RESTRICT y, int stream);

/* Its gradient, from the list of the other endpoint: row r is the node whose x was gathered, node[k] the one whose sum
 * took the message, dy the gradient of those sums.
 *
 *   de[edge[k]] = x[r] + e[edge[k]] > 0 ? dy[node[k]] : 0        dx[r] = sum over entries k of r of de[edge[k]] */
typedef void sco_graph_relu_sum_bwd_fn(size_t first, size_t last, size_t H, const uint32_t *row_ptr,
                                       const uint32_t *node, const uint32_t *edge, const float *SCO_RESTRICT x,
                                       const float *SCO_RESTRICT e, const float *SCO_RESTRICT dy,
                                       float *SCO_RESTRICT dx, float *SCO_RESTRICT de, int stream);

/* y[r] = sum over entries k of r of weight[edge[k]] x[node[k]], by fused multiply-adds: a sparse matrix in CSR times a
 * dense one. */
typedef void sco_graph_spmm_fn(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                               const uint32_t *edge, const float *SCO_RESTRICT weight, const float *SCO_RESTRICT x,
                               float *SCO_RESTRICT y);

/* out[edge[k]] = a[r] . b[node[k]]: a dense product sampled at the entries of a sparse matrix. Element i goes to lane i mod
 * 16 by fused multiply-adds, lanes are folded in halves. */
typedef void sco_graph_sddmm_fn(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                                const uint32_t *edge, const float *SCO_RESTRICT a, const float *SCO_RESTRICT b,
                                float *SCO_RESTRICT out);

/* C[i][j] = (beta ? C[i][j] : 0) + sum over k < K of A[k][i] B[k][j]: the gradient of weights from K rows of inputs and of
 * output gradients, neither transposed nor packed. One fused multiply-add per k, ascending: the same bits however M, N and
 * K are split between calls. lda, ldb, ldc: floats from one row to the next. Fast where K rows of B stay in L2. */
typedef void sco_graph_weight_grad_fn(size_t M, size_t N, size_t K, const float *SCO_RESTRICT A, size_t lda,
                                      const float *SCO_RESTRICT B, size_t ldb, int beta, float *SCO_RESTRICT C,
                                      size_t ldc);

struct sco_graph_ops {
    sco_graph_gather_i32_fn *gather_i32;
    sco_graph_gather_i64_fn *gather_i64;
    sco_graph_gather_add_fn *gather_add;
    sco_graph_segment_sum_fn *segment_sum;
    sco_graph_relu_window_sum_fn *relu_window_sum;
    sco_graph_relu_sum_fn *relu_sum;
    sco_graph_relu_sum_bwd_fn *relu_sum_bwd;
    sco_graph_spmm_fn *spmm;
    sco_graph_sddmm_fn *sddmm;
    sco_graph_weight_grad_fn *weight_grad;
};

#define SCO_GRAPH_ROWS(ROW)                                                                                            \
    ROW(graph, scalar, 0)                                                                                              \
    SCO_HWY(ROW(graph, hwy, SCO_USE_HWY))                                                                              \
    SCO_X86(ROW(graph, avx2, SCO_ISA_AVX2))                                                                            \
    SCO_X86(ROW(graph, avx512, SCO_ISA_AVX512))                                                                        \
    SCO_ARM64(ROW(graph, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(graph, SCO_GRAPH_ROWS)
SCO_END_DECLS

#endif

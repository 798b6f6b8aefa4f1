/* SPDX-License-Identifier: Apache-2.0
 * Scalar rows: the definition that the others match bit for bit. */
#include "kernels/graph/graph.h"

#include <math.h>
#include <string.h>

static float relu(float v)
{
    return v < 0.0f ? 0.0f : v;
}

static size_t edge_of(const uint32_t *edge, size_t k)
{
    return edge != NULL ? edge[k] : k;
}

static size_t gather_i32_scalar(size_t count, size_t H, const int32_t *index, size_t rows, const float *restrict x,
                                float *restrict y)
{
    for (size_t i = 0; i < count; i++) {
        if (index[i] < 0 || (size_t)index[i] >= rows)
            return i;
        memcpy(y + i * H, x + (size_t)index[i] * H, H * sizeof *y);
    }
    return count;
}

static size_t gather_i64_scalar(size_t count, size_t H, const int64_t *index, size_t rows, const float *restrict x,
                                float *restrict y)
{
    for (size_t i = 0; i < count; i++) {
        if (index[i] < 0 || (uint64_t)index[i] >= rows)
            return i;
        memcpy(y + i * H, x + (size_t)index[i] * H, H * sizeof *y);
    }
    return count;
}

static void gather_add_scalar(size_t count, size_t H, const uint32_t *ia, const float *restrict a, const uint32_t *ib,
                              const float *restrict b, const uint32_t *ic, const float *restrict c, float *restrict y)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < H; j++) {
            float sum = a[ia[i] * H + j];
            if (b != NULL)
                sum += b[ib[i] * H + j];
            if (b != NULL && c != NULL)
                sum += c[ic[i] * H + j];
            y[i * H + j] = sum;
        }
}

static void segment_sum_scalar(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *edge,
                               const float *restrict x, float *restrict y)
{
    for (size_t r = first; r < last; r++)
        for (size_t j = 0; j < H; j++) {
            float sum = 0.0f;
            for (size_t k = row_ptr[r]; k < row_ptr[r + 1]; k++)
                sum += x[edge_of(edge, k) * H + j];
            y[r * H + j] = sum;
        }
}

static void relu_window_sum_scalar(size_t first, size_t last, size_t H, const uint32_t *row_ptr, size_t from, size_t to,
                                   const float *restrict x, float *restrict y)
{
    for (size_t r = first; r < last; r++) {
        const size_t begin = row_ptr[r] < from ? from : row_ptr[r], end = row_ptr[r + 1] < to ? row_ptr[r + 1] : to;
        for (size_t j = 0; j < H; j++) {
            float sum = row_ptr[r] < from ? y[r * H + j] : 0.0f;
            for (size_t k = begin; k < end; k++)
                sum += relu(x[(k - from) * H + j]);
            y[r * H + j] = sum;
        }
    }
}

static void relu_sum_scalar(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                            const uint32_t *edge, const float *restrict x, const float *restrict e, float *restrict y,
                            int stream)
{
    (void)stream;
    for (size_t r = first; r < last; r++)
        for (size_t j = 0; j < H; j++) {
            float sum = 0.0f;
            for (size_t k = row_ptr[r]; k < row_ptr[r + 1]; k++)
                sum += relu(x[node[k] * H + j] + e[edge_of(edge, k) * H + j]);
            y[r * H + j] = sum;
        }
}

static void relu_sum_bwd_scalar(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                                const uint32_t *edge, const float *restrict x, const float *restrict e,
                                const float *restrict dy, float *restrict dx, float *restrict de, int stream)
{
    (void)stream;
    for (size_t r = first; r < last; r++)
        for (size_t j = 0; j < H; j++) {
            float sum = 0.0f;
            for (size_t k = row_ptr[r]; k < row_ptr[r + 1]; k++) {
                const size_t at = edge_of(edge, k) * H + j;
                de[at] = x[r * H + j] + e[at] > 0.0f ? dy[node[k] * H + j] : 0.0f;
                sum += de[at];
            }
            dx[r * H + j] = sum;
        }
}

static void spmm_scalar(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                        const uint32_t *edge, const float *restrict weight, const float *restrict x, float *restrict y)
{
    for (size_t r = first; r < last; r++)
        for (size_t j = 0; j < H; j++) {
            float sum = 0.0f;
            for (size_t k = row_ptr[r]; k < row_ptr[r + 1]; k++)
                sum = fmaf(weight[edge_of(edge, k)], x[node[k] * H + j], sum);
            y[r * H + j] = sum;
        }
}

enum { SUM_LANES = 16 };

static float fold(float lane[SUM_LANES])
{
    for (size_t half = SUM_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

static void sddmm_scalar(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                         const uint32_t *edge, const float *restrict a, const float *restrict b, float *restrict out)
{
    for (size_t r = first; r < last; r++)
        for (size_t k = row_ptr[r]; k < row_ptr[r + 1]; k++) {
            float lane[SUM_LANES] = {0};
            for (size_t j = 0; j < H; j++)
                lane[j % SUM_LANES] = fmaf(a[r * H + j], b[node[k] * H + j], lane[j % SUM_LANES]);
            out[edge_of(edge, k)] = fold(lane);
        }
}

static void weight_grad_scalar(size_t M, size_t N, size_t K, const float *restrict A, size_t lda,
                               const float *restrict B, size_t ldb, int beta, float *restrict C, size_t ldc)
{
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++) {
            float sum = beta ? C[i * ldc + j] : 0.0f;
            for (size_t k = 0; k < K; k++)
                sum = fmaf(A[k * lda + i], B[k * ldb + j], sum);
            C[i * ldc + j] = sum;
        }
}

void sco_graph_fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_graph_ops *)ops = (struct sco_graph_ops){
        gather_i32_scalar, gather_i64_scalar,   gather_add_scalar, segment_sum_scalar, relu_window_sum_scalar,
        relu_sum_scalar,   relu_sum_bwd_scalar, spmm_scalar,       sddmm_scalar,       weight_grad_scalar};
}

SCO_FAMILY_DEFINE(graph, SCO_GRAPH_ROWS, struct sco_graph_ops, "gather_i32", "gather_i64", "gather_add", "segment_sum",
                  "relu_window_sum", "relu_sum", "relu_sum_bwd", "spmm", "sddmm", "weight_grad")

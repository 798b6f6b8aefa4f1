/* SPDX-License-Identifier: Apache-2.0
 * The loops of graph.c over the lanes of the row that includes this file.
 *
 * A row of sums is made in panels of columns: a panel's accumulators stay in registers while the entries of the row pass
 * by, so a message is added without ever being stored. */
#include "kernels/graph/graph.h"

/* Vectors of the widest panel: sixteen leave room for operands among thirty-two registers, eight among sixteen. */
enum { PANEL = LANES == 8 ? 8 : 16, HALF_PANEL = 4 };

/* Rows of edges are fetched this many entries ahead. The order of an endpoint jumps, within a batch of small graphs by a
 * few rows only, but no hardware prefetcher follows it. */
enum { AHEAD = 2, LINE = 16 };

SCO_INLINE lanes get(const float *x, size_t count, const int whole)
{
    return whole ? lanes_load(x) : lanes_load_first(x, count);
}

SCO_INLINE void put(float *to, lanes x, size_t count, const int whole, const int stream)
{
    if (!whole)
        lanes_store_first(to, x, count);
    else if (stream)
        lanes_stream(to, x);
    else
        lanes_store(to, x);
}

/* Runs PANEL_CALL(vectors, count, whole), which handles columns j .. j + vectors LANES - 1, or count < LANES at the end. */
#define FOR_PANELS(H, j, PANEL_CALL)                                                                                   \
    do {                                                                                                               \
        size_t j = 0;                                                                                                  \
        for (; (H)-j >= PANEL * LANES; j += PANEL * LANES)                                                             \
            PANEL_CALL(PANEL, LANES, 1);                                                                               \
        for (; (H)-j >= HALF_PANEL * LANES; j += HALF_PANEL * LANES)                                                   \
            PANEL_CALL(HALF_PANEL, LANES, 1);                                                                          \
        for (; (H)-j >= LANES; j += LANES)                                                                             \
            PANEL_CALL(1, LANES, 1);                                                                                   \
        if (j < (H))                                                                                                   \
            PANEL_CALL(1, (H)-j, 0);                                                                                   \
    } while (0)

SCO_INLINE void fetch(const float *x, const size_t vectors)
{
    SCO_UNROLL
    for (size_t v = 0; v < vectors * LANES; v += LINE)
        __builtin_prefetch((const void *)((uintptr_t)x + v * sizeof *x));
}

SCO_INLINE void fetch_row(const float *x, size_t H)
{
    for (size_t j = 0; j < H; j += LINE)
        __builtin_prefetch((const void *)((uintptr_t)x + j * sizeof *x));
}

/* Whole lines only: a vector that straddles lines cannot be streamed. */
SCO_INLINE int can_stream(const float *y, size_t H)
{
    return (uintptr_t)y % (LINE * sizeof *y) == 0 && H % LINE == 0;
}

/* ---- Gather ---- */

SCO_INLINE void copy_row(size_t H, const float *SCO_RESTRICT x, float *SCO_RESTRICT y)
{
    size_t j = 0;
    for (; H - j >= HALF_PANEL * LANES; j += HALF_PANEL * LANES) {
        lanes v[HALF_PANEL];
        SCO_UNROLL
        for (size_t i = 0; i < HALF_PANEL; i++)
            v[i] = lanes_load(x + j + i * LANES);
        SCO_UNROLL
        for (size_t i = 0; i < HALF_PANEL; i++)
            lanes_store(y + j + i * LANES, v[i]);
    }
    for (; H - j >= LANES; j += LANES)
        lanes_store(y + j, lanes_load(x + j));
    if (j < H)
        lanes_store_first(y + j, lanes_load_first(x + j, H - j), H - j);
}

static size_t gather_i32(size_t count, size_t H, const int32_t *index, size_t rows, const float *SCO_RESTRICT x,
                         float *SCO_RESTRICT y)
{
    for (size_t i = 0; i < count; i++) {
        if (index[i] < 0 || (size_t)index[i] >= rows)
            return i;
        if (i + AHEAD < count)
            fetch_row((const float *)((uintptr_t)x + (size_t)index[i + AHEAD] * H * sizeof *x), H);
        copy_row(H, x + (size_t)index[i] * H, y + i * H);
    }
    return count;
}

static size_t gather_i64(size_t count, size_t H, const int64_t *index, size_t rows, const float *SCO_RESTRICT x,
                         float *SCO_RESTRICT y)
{
    for (size_t i = 0; i < count; i++) {
        if (index[i] < 0 || (uint64_t)index[i] >= rows)
            return i;
        if (i + AHEAD < count)
            fetch_row((const float *)((uintptr_t)x + (size_t)index[i + AHEAD] * H * sizeof *x), H);
        copy_row(H, x + (size_t)index[i] * H, y + i * H);
    }
    return count;
}

SCO_INLINE void add_rows(size_t H, const float *SCO_RESTRICT a, const float *SCO_RESTRICT b,
                         const float *SCO_RESTRICT c, float *SCO_RESTRICT y, const int three)
{
    size_t j = 0;
    for (; H - j >= LANES; j += LANES) {
        const lanes two = lanes_add(lanes_load(a + j), lanes_load(b + j));
        lanes_store(y + j, three ? lanes_add(two, lanes_load(c + j)) : two);
    }
    if (j < H) {
        const size_t rest = H - j;
        const lanes two = lanes_add(lanes_load_first(a + j, rest), lanes_load_first(b + j, rest));
        lanes_store_first(y + j, three ? lanes_add(two, lanes_load_first(c + j, rest)) : two, rest);
    }
}

static void gather_add(size_t count, size_t H, const uint32_t *ia, const float *SCO_RESTRICT a, const uint32_t *ib,
                       const float *SCO_RESTRICT b, const uint32_t *ic, const float *SCO_RESTRICT c,
                       float *SCO_RESTRICT y)
{
    if (b == NULL)
        for (size_t i = 0; i < count; i++) {
            if (i + AHEAD < count)
                fetch_row(a + ia[i + AHEAD] * H, H);
            copy_row(H, a + ia[i] * H, y + i * H);
        }
    else if (c == NULL)
        for (size_t i = 0; i < count; i++)
            add_rows(H, a + ia[i] * H, b + ib[i] * H, b, y + i * H, 0);
    else
        for (size_t i = 0; i < count; i++)
            add_rows(H, a + ia[i] * H, b + ib[i] * H, c + ic[i] * H, y + i * H, 1);
}

/* ---- Sums over the entries of a row ---- */

/* Entries begin .. end - 1 of one row, in a list that ends at list_end. */
struct entries {
    const uint32_t *node, *edge;
    size_t begin, end, list_end;
};

SCO_INLINE size_t edge_of(const struct entries *at, size_t k)
{
    return at->edge != NULL ? at->edge[k] : k;
}

SCO_INLINE void fetch_edge(const struct entries *at, size_t k, const float *x, size_t H, const size_t vectors)
{
    if (k + AHEAD < at->list_end)
        fetch(x + edge_of(at, k + AHEAD) * H, vectors);
}

SCO_INLINE void sum_panel(const size_t vectors, size_t count, const int whole, const struct entries *at, size_t H,
                          const float *SCO_RESTRICT x, float *SCO_RESTRICT y)
{
    lanes sum[PANEL];
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = lanes_set(0.0f);
    for (size_t k = at->begin; k < at->end; k++) {
        fetch_edge(at, k, x, H, vectors);
        const float *row = x + edge_of(at, k) * H;
        SCO_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[v] = lanes_add(sum[v], get(row + v * LANES, count, whole));
    }
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++)
        put(y + v * LANES, sum[v], count, whole, 0);
}

static void segment_sum(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *edge,
                        const float *SCO_RESTRICT x, float *SCO_RESTRICT y)
{
    for (size_t r = first; r < last; r++) {
        const struct entries at = {NULL, edge, row_ptr[r], row_ptr[r + 1], row_ptr[last]};
        float *to = y + r * H;
#define CALL(vectors, count, whole) sum_panel(vectors, count, whole, &at, H, x + j, to + j)
        FOR_PANELS(H, j, CALL);
#undef CALL
    }
}

SCO_INLINE void relu_window_panel(const size_t vectors, size_t count, const int whole, size_t entries, int resume,
                                  size_t H, const float *SCO_RESTRICT x, float *SCO_RESTRICT y)
{
    lanes sum[PANEL];
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = resume ? get(y + v * LANES, count, whole) : lanes_set(0.0f);
    for (size_t k = 0; k < entries; k++) {
        SCO_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[v] = lanes_add(sum[v], lanes_relu(get(x + k * H + v * LANES, count, whole)));
    }
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++)
        put(y + v * LANES, sum[v], count, whole, 0);
}

static void relu_window_sum(size_t first, size_t last, size_t H, const uint32_t *row_ptr, size_t from, size_t to,
                            const float *SCO_RESTRICT x, float *SCO_RESTRICT y)
{
    for (size_t r = first; r < last; r++) {
        const size_t begin = row_ptr[r] < from ? from : row_ptr[r], end = row_ptr[r + 1] < to ? row_ptr[r + 1] : to;
        const size_t entries = begin < end ? end - begin : 0;
        const int resume = row_ptr[r] < from;
        const float *row = entries == 0 ? x : x + (begin - from) * H;
        float *sum = y + r * H;
#define CALL(vectors, count, whole)                                                                                    \
    relu_window_panel(vectors, count, whole, entries, resume, H, entries == 0 ? x : row + j, sum + j)
        FOR_PANELS(H, j, CALL);
#undef CALL
    }
}

SCO_INLINE void relu_panel(const size_t vectors, size_t count, const int whole, const int stream,
                           const struct entries *at, size_t H, const float *SCO_RESTRICT x, const float *SCO_RESTRICT e,
                           float *SCO_RESTRICT y)
{
    lanes sum[PANEL];
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = lanes_set(0.0f);
    for (size_t k = at->begin; k < at->end; k++) {
        fetch_edge(at, k, e, H, vectors);
        const float *source = x + at->node[k] * H, *message = e + edge_of(at, k) * H;
        SCO_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            const lanes m = lanes_add(get(source + v * LANES, count, whole), get(message + v * LANES, count, whole));
            sum[v] = lanes_add(sum[v], lanes_relu(m));
        }
    }
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++)
        put(y + v * LANES, sum[v], count, whole, stream);
}

SCO_INLINE void relu_rows(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                          const uint32_t *edge, const float *SCO_RESTRICT x, const float *SCO_RESTRICT e,
                          float *SCO_RESTRICT y, const int stream)
{
    for (size_t r = first; r < last; r++) {
        const struct entries at = {node, edge, row_ptr[r], row_ptr[r + 1], row_ptr[last]};
        float *to = y + r * H;
#define CALL(vectors, count, whole) relu_panel(vectors, count, whole, stream, &at, H, x + j, e + j, to + j)
        FOR_PANELS(H, j, CALL);
#undef CALL
    }
}

static void relu_sum(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                     const uint32_t *edge, const float *SCO_RESTRICT x, const float *SCO_RESTRICT e,
                     float *SCO_RESTRICT y, int stream)
{
    if (stream && can_stream(y, H)) {
        relu_rows(first, last, H, row_ptr, node, edge, x, e, y, 1);
        lanes_stream_end();
    } else
        relu_rows(first, last, H, row_ptr, node, edge, x, e, y, 0);
}

SCO_INLINE void relu_bwd_panel(const size_t vectors, size_t count, const int whole, const int stream,
                               const struct entries *at, size_t H, const float *SCO_RESTRICT x,
                               const float *SCO_RESTRICT e, const float *SCO_RESTRICT dy, float *SCO_RESTRICT dx,
                               float *SCO_RESTRICT de)
{
    lanes sum[PANEL];
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = lanes_set(0.0f);
    for (size_t k = at->begin; k < at->end; k++) {
        fetch_edge(at, k, e, H, vectors);
        const float *target = dy + at->node[k] * H, *message = e + edge_of(at, k) * H;
        float *to = de + edge_of(at, k) * H;
        SCO_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            const lanes m = lanes_add(get(x + v * LANES, count, whole), get(message + v * LANES, count, whole));
            const lanes g = lanes_if_positive(m, get(target + v * LANES, count, whole));
            put(to + v * LANES, g, count, whole, stream);
            sum[v] = lanes_add(sum[v], g);
        }
    }
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++)
        put(dx + v * LANES, sum[v], count, whole, stream);
}

SCO_INLINE void relu_bwd_rows(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                              const uint32_t *edge, const float *SCO_RESTRICT x, const float *SCO_RESTRICT e,
                              const float *SCO_RESTRICT dy, float *SCO_RESTRICT dx, float *SCO_RESTRICT de,
                              const int stream)
{
    for (size_t r = first; r < last; r++) {
        const struct entries at = {node, edge, row_ptr[r], row_ptr[r + 1], row_ptr[last]};
        const float *source = x + r * H;
        float *to = dx + r * H;
#define CALL(vectors, count, whole)                                                                                    \
    relu_bwd_panel(vectors, count, whole, stream, &at, H, source + j, e + j, dy + j, to + j, de + j)
        FOR_PANELS(H, j, CALL);
#undef CALL
    }
}

static void relu_sum_bwd(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                         const uint32_t *edge, const float *SCO_RESTRICT x, const float *SCO_RESTRICT e,
                         const float *SCO_RESTRICT dy, float *SCO_RESTRICT dx, float *SCO_RESTRICT de, int stream)
{
    if (stream && can_stream(dx, H) && can_stream(de, H)) {
        relu_bwd_rows(first, last, H, row_ptr, node, edge, x, e, dy, dx, de, 1);
        lanes_stream_end();
    } else
        relu_bwd_rows(first, last, H, row_ptr, node, edge, x, e, dy, dx, de, 0);
}

/* ---- Sparse times dense, and dense times dense at sparse places ---- */

SCO_INLINE void spmm_panel(const size_t vectors, size_t count, const int whole, const struct entries *at, size_t H,
                           const float *SCO_RESTRICT weight, const float *SCO_RESTRICT x, float *SCO_RESTRICT y)
{
    lanes sum[PANEL];
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = lanes_set(0.0f);
    for (size_t k = at->begin; k < at->end; k++) {
        if (k + AHEAD < at->list_end)
            fetch(x + at->node[k + AHEAD] * H, vectors);
        const lanes w = lanes_set(weight[edge_of(at, k)]);
        const float *row = x + at->node[k] * H;
        SCO_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[v] = lanes_fma(w, get(row + v * LANES, count, whole), sum[v]);
    }
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++)
        put(y + v * LANES, sum[v], count, whole, 0);
}

static void spmm(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                 const uint32_t *edge, const float *SCO_RESTRICT weight, const float *SCO_RESTRICT x,
                 float *SCO_RESTRICT y)
{
    for (size_t r = first; r < last; r++) {
        const struct entries at = {node, edge, row_ptr[r], row_ptr[r + 1], row_ptr[last]};
        float *to = y + r * H;
#define CALL(vectors, count, whole) spmm_panel(vectors, count, whole, &at, H, weight, x + j, to + j)
        FOR_PANELS(H, j, CALL);
#undef CALL
    }
}

/* Sums over a row have sixteen lanes in every instruction set, in ROW_VECTORS registers. */
enum { SUM_LANES = 16, ROW_VECTORS = SUM_LANES / LANES };

SCO_INLINE size_t at_most_lanes(size_t count)
{
    return count < LANES ? count : LANES;
}

SCO_INLINE void clear(lanes sum[ROW_VECTORS])
{
    SCO_UNROLL
    for (size_t v = 0; v < ROW_VECTORS; v++)
        sum[v] = lanes_set(0.0f);
}

SCO_INLINE float dot(size_t H, const float *SCO_RESTRICT a, const float *SCO_RESTRICT b)
{
    lanes sum[ROW_VECTORS];
    clear(sum);
    size_t j = 0;
    for (; H - j >= SUM_LANES; j += SUM_LANES) {
        SCO_UNROLL
        for (size_t v = 0; v < ROW_VECTORS; v++)
            sum[v] = lanes_fma(lanes_load(a + j + v * LANES), lanes_load(b + j + v * LANES), sum[v]);
    }
    /* Lanes past the end multiply zeros, which leaves their sums as they are. */
    for (size_t v = 0; j < H; v++, j += LANES) {
        const size_t rest = at_most_lanes(H - j);
        sum[v] = lanes_fma(lanes_load_first(a + j, rest), lanes_load_first(b + j, rest), sum[v]);
    }
    return lanes_fold16(sum);
}

static void sddmm(size_t first, size_t last, size_t H, const uint32_t *row_ptr, const uint32_t *node,
                  const uint32_t *edge, const float *SCO_RESTRICT a, const float *SCO_RESTRICT b,
                  float *SCO_RESTRICT out)
{
    for (size_t r = first; r < last; r++) {
        const struct entries at = {node, edge, row_ptr[r], row_ptr[r + 1], row_ptr[last]};
        for (size_t k = at.begin; k < at.end; k++) {
            if (k + AHEAD < at.list_end)
                fetch_row(b + node[k + AHEAD] * H, H);
            out[edge_of(&at, k)] = dot(H, a + r * H, b + node[k] * H);
        }
    }
}

/* ---- Gradients of weights ---- */

/* 6 x 4 vectors: 24 accumulators, 4 vectors of B and one broadcast of 32 registers; 6 x 2 of 16. */
enum { MR = 6, NV = LANES == 8 ? 2 : 4 };

SCO_INLINE void grad_tile(const size_t rows, const size_t vectors, size_t count, const int whole, size_t K,
                          const float *SCO_RESTRICT A, size_t lda, const float *SCO_RESTRICT B, size_t ldb, int beta,
                          float *SCO_RESTRICT C, size_t ldc)
{
    lanes sum[MR][NV];
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SCO_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[i][v] = beta ? get(C + i * ldc + v * LANES, count, whole) : lanes_set(0.0f);
    }
    for (size_t k = 0; k < K; k++) {
        lanes b[NV];
        SCO_UNROLL
        for (size_t v = 0; v < vectors; v++)
            b[v] = get(B + k * ldb + v * LANES, count, whole);
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++) {
            const lanes a = lanes_set(A[k * lda + i]);
            SCO_UNROLL
            for (size_t v = 0; v < vectors; v++)
                sum[i][v] = lanes_fma(a, b[v], sum[i][v]);
        }
    }
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SCO_UNROLL
        for (size_t v = 0; v < vectors; v++)
            put(C + i * ldc + v * LANES, sum[i][v], count, whole, 0);
    }
}

SCO_INLINE void grad_columns(const size_t vectors, size_t count, const int whole, size_t M, size_t K,
                             const float *SCO_RESTRICT A, size_t lda, const float *SCO_RESTRICT B, size_t ldb, int beta,
                             float *SCO_RESTRICT C, size_t ldc)
{
    size_t i = 0;
    for (; M - i >= MR; i += MR)
        grad_tile(MR, vectors, count, whole, K, A + i, lda, B, ldb, beta, C + i * ldc, ldc);
    for (; M - i >= 2; i += 2)
        grad_tile(2, vectors, count, whole, K, A + i, lda, B, ldb, beta, C + i * ldc, ldc);
    if (i < M)
        grad_tile(1, vectors, count, whole, K, A + i, lda, B, ldb, beta, C + i * ldc, ldc);
}

static void weight_grad(size_t M, size_t N, size_t K, const float *SCO_RESTRICT A, size_t lda,
                        const float *SCO_RESTRICT B, size_t ldb, int beta, float *SCO_RESTRICT C, size_t ldc)
{
    size_t j = 0;
    for (; N - j >= NV * LANES; j += NV * LANES)
        grad_columns(NV, LANES, 1, M, K, A, lda, B + j, ldb, beta, C + j, ldc);
    for (; N - j >= LANES; j += LANES)
        grad_columns(1, LANES, 1, M, K, A, lda, B + j, ldb, beta, C + j, ldc);
    if (j < N)
        grad_columns(1, N - j, 0, M, K, A, lda, B + j, ldb, beta, C + j, ldc);
}

static inline void fill(struct sco_graph_ops *ops)
{
    ops->gather_i32 = gather_i32;
    ops->gather_i64 = gather_i64;
    ops->gather_add = gather_add;
    ops->segment_sum = segment_sum;
    ops->relu_window_sum = relu_window_sum;
    ops->relu_sum = relu_sum;
    ops->relu_sum_bwd = relu_sum_bwd;
    ops->spmm = spmm;
    ops->sddmm = sddmm;
    ops->weight_grad = weight_grad;
}

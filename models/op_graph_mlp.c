/* SPDX-License-Identifier: Apache-2.0
 * A network of two layers as message. Of the 2 E (3 H + H) H flops that the formula asks for, the projections of nodes
 * before they are gathered leave 2 E H H of the first layer and 4 N H H, and the second layer behind the sum 2 N H H. */
#include <stdint.h>
#include <stdlib.h>

#include "arch/fail.h"
#include "kernels/gemm/gemm.h"
#include "models/op_graph.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/memory.h"

/* Rows that go through the layers together: 96 is sixteen tiles of six rows, and what belongs to them stays in an L2 of
 * 512 KiB beside the weights that pass by. */
enum { BLOCK = 96 };

enum { PACK, PROJECT, MESSAGE, PHASES };

struct weights {
    const float *from; /* K x N */
    size_t K, N;
    float *packed;
};
enum { OF_SENDER, OF_RECEIVER, OF_EDGE, SECOND, SECOND_BIAS, WEIGHTS };

struct scratch {
    float *edges, *messages, *received, *sums, *degree;
    uint32_t *row;
};

struct sco_graph_mlp {
    struct sco_ctx *ctx;
    const struct sco_gemm_ops *gemm;
    struct sco_graph_mlp_shape shape;
    size_t max_nodes, threads;
    struct weights weights[WEIGHTS];
    float *sent; /* nodes x hidden: x times the sender's block of W1 */
    struct scratch *scratch;
    char *memory;
    size_t bytes;
};

struct fwd {
    struct sco_graph_mlp *mlp;
    const struct sco_graph *graph;
    const float *x, *e, *b1, *b2;
    float *y;
};

/* The next piece of the workspace, at a line of its own; without memory it only counts. Sizes that overflow leave bytes at
 * SIZE_MAX. */
static void *take(struct sco_graph_mlp *mlp, size_t rows, size_t columns)
{
    void *piece = mlp->memory != NULL ? mlp->memory + mlp->bytes : NULL;
    size_t bytes;
    if (mlp->bytes == SIZE_MAX || __builtin_mul_overflow(rows, columns, &bytes) ||
        __builtin_mul_overflow(bytes, sizeof(float), &bytes) || __builtin_add_overflow(bytes, SCO_ALIGN - 1, &bytes) ||
        __builtin_add_overflow(mlp->bytes, bytes / SCO_ALIGN * SCO_ALIGN, &bytes)) {
        mlp->bytes = SIZE_MAX;
        return NULL;
    }
    mlp->bytes = bytes;
    return piece;
}

static void carve(struct sco_graph_mlp *mlp)
{
    const struct sco_graph_mlp_shape *s = &mlp->shape;
    const size_t K[WEIGHTS] = {s->node_in, s->node_in, s->edge_in, s->hidden, 1};
    mlp->bytes = 0;
    for (size_t w = 0; w < WEIGHTS; w++) {
        const size_t N = w < SECOND ? s->hidden : s->out;
        mlp->weights[w] = (struct weights){NULL, K[w], N, take(mlp, K[w], sco_gemm_packed_count(1, N))};
    }
    mlp->sent = take(mlp, mlp->max_nodes, s->hidden);
    for (size_t rank = 0; rank < mlp->threads; rank++) {
        struct scratch scratch;
        scratch.edges = take(mlp, BLOCK, s->edge_in);
        scratch.messages = take(mlp, BLOCK, s->hidden);
        scratch.received = take(mlp, BLOCK, s->hidden);
        scratch.sums = take(mlp, BLOCK, s->hidden);
        scratch.degree = take(mlp, BLOCK, 1);
        scratch.row = take(mlp, BLOCK, 1);
        if (mlp->scratch != NULL)
            mlp->scratch[rank] = scratch;
    }
}

size_t sco_graph_mlp_bytes(struct sco_ctx *ctx, const struct sco_graph_mlp_shape *shape, size_t max_nodes)
{
    struct sco_graph_mlp mlp = {.shape = *shape, .max_nodes = max_nodes, .threads = sco_team_size(sco_ctx_team(ctx))};
    carve(&mlp);
    return mlp.bytes;
}

enum sco_status sco_graph_mlp_create(struct sco_graph_mlp **mlp, struct sco_ctx *ctx,
                                     const struct sco_graph_mlp_shape *shape, size_t max_nodes)
{
    *mlp = NULL;
    struct sco_graph_mlp *made = calloc(1, sizeof *made);
    if (made == NULL)
        return sco_fail(SCO_NOMEM, "graph mlp: out of memory");
    made->ctx = ctx;
    made->gemm = sco_ctx_ops(ctx, &sco_gemm_family);
    made->shape = *shape;
    made->max_nodes = max_nodes;
    made->threads = sco_team_size(sco_ctx_team(ctx));
    enum sco_status status = SCO_OK;
    carve(made);
    if (made->bytes > PTRDIFF_MAX)
        status = sco_fail(SCO_SHAPE,
                          "graph mlp: node_in %zu, edge_in %zu, hidden %zu, out %zu for %zu nodes cannot be addressed",
                          shape->node_in, shape->edge_in, shape->hidden, shape->out, max_nodes);
    if (status == SCO_OK) {
        made->scratch = calloc(made->threads, sizeof *made->scratch);
        made->memory = sco_alloc(made->bytes);
        if (made->scratch == NULL || made->memory == NULL)
            status = sco_fail(SCO_NOMEM, "graph mlp: needs %zu bytes", made->bytes);
    }
    if (status != SCO_OK) {
        sco_graph_mlp_destroy(made);
        return status;
    }
    carve(made);
    *mlp = made;
    return SCO_OK;
}

void sco_graph_mlp_destroy(struct sco_graph_mlp *mlp)
{
    if (mlp == NULL)
        return;
    sco_free(mlp->memory);
    free(mlp->scratch);
    free(mlp);
}

/* Task p packs the p-th panel of all weights together. */
static size_t panels(const struct weights *w)
{
    return w->K == 0 || w->from == NULL ? 0 : (w->N + SCO_GEMM_NR - 1) / SCO_GEMM_NR;
}

static void pack(const struct sco_graph_mlp *mlp, size_t first, size_t last)
{
    size_t at = 0;
    for (size_t i = 0; i < WEIGHTS; i++) {
        const struct weights *w = &mlp->weights[i];
        for (size_t p = 0; p < panels(w); p++, at++)
            if (at >= first && at < last) {
                const size_t j = p * SCO_GEMM_NR, columns = w->N - j < SCO_GEMM_NR ? w->N - j : SCO_GEMM_NR;
                mlp->gemm->pack(w->K, columns, w->from + j, w->N, w->packed + sco_gemm_packed_count(w->K, j));
            }
    }
}

static void multiply(const struct sco_graph_mlp *mlp, size_t M, const float *A, int which, const float *bias, int beta,
                     float *C)
{
    const struct weights *w = &mlp->weights[which];
    mlp->gemm->gemm(M, w->N, w->K, A, w->K, w->packed, bias, beta, C, w->N);
}

/* The messages of entries from .. to - 1, all of rows row .. row_end - 1, onto their sums. */
static void message_window(const struct fwd *f, const struct scratch *s, size_t row, size_t row_end, size_t from,
                           size_t to)
{
    const struct sco_graph_mlp *mlp = f->mlp;
    const struct graph_list *list = &f->graph->end[SCO_GRAPH_RECEIVER];
    const uint32_t *receiver = f->graph->endpoint[SCO_GRAPH_RECEIVER];
    const size_t count = to - from, H = mlp->shape.hidden;
    for (size_t k = from; k < to; k++)
        s->row[k - from] = receiver[list->edge[k]] - (uint32_t)row;
    f->graph->ops->gather_add(count, H, list->node + from, mlp->sent, s->row, s->received, NULL, NULL, s->messages);
    f->graph->ops->gather_add(count, mlp->shape.edge_in, list->edge + from, f->e, NULL, NULL, NULL, NULL, s->edges);
    multiply(mlp, count, s->edges, OF_EDGE, NULL, 1, s->messages);
    const size_t rows = row_end - row;
    f->graph->ops->relu_window_sum(0, rows, H, list->row_ptr + row, from, to, s->messages, s->sums);
}

/* Nodes row .. row_end - 1, at most BLOCK. */
static void message_block(const struct fwd *f, const struct scratch *s, size_t row, size_t row_end)
{
    const struct sco_graph_mlp *mlp = f->mlp;
    const uint32_t *row_ptr = f->graph->end[SCO_GRAPH_RECEIVER].row_ptr;
    const size_t rows = row_end - row, end = row_ptr[row_end];
    multiply(mlp, rows, f->x + row * mlp->shape.node_in, OF_RECEIVER, f->b1, 0, s->received);
    size_t from = row_ptr[row];
    do {
        const size_t count = from < end ? sco_gemm_even_rows(end - from, BLOCK) : 0;
        message_window(f, s, row, row_end, from, from + count);
        from += count;
    } while (from < end);
    float *y = f->y + row * mlp->shape.out;
    if (f->b2 != NULL) {
        for (size_t r = 0; r < rows; r++)
            s->degree[r] = (float)(row_ptr[row + r + 1] - row_ptr[row + r]);
        multiply(mlp, rows, s->degree, SECOND_BIAS, NULL, 0, y);
    }
    multiply(mlp, rows, s->sums, SECOND, NULL, f->b2 != NULL, y);
}

static void fwd_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct fwd *f = argument;
    const struct sco_graph_mlp *mlp = f->mlp;
    const size_t nodes = f->graph->nodes, H = mlp->shape.hidden, in = mlp->shape.node_in;
    if (phase == PACK)
        pack(mlp, first, last);
    else if (phase == PROJECT)
        multiply(mlp, last - first, f->x + first * in, OF_SENDER, NULL, 0, mlp->sent + first * H);
    else {
        const uint32_t *row_ptr = f->graph->end[SCO_GRAPH_RECEIVER].row_ptr;
        const size_t end = sco_graph_row_at(row_ptr, nodes, last);
        for (size_t row = sco_graph_row_at(row_ptr, nodes, first), rows; row < end; row += rows) {
            rows = sco_gemm_even_rows(end - row, BLOCK);
            message_block(f, &mlp->scratch[rank], row, row + rows);
        }
    }
}

enum sco_status sco_graph_mlp_fwd(struct sco_graph_mlp *mlp, const struct sco_graph *graph, const float *SCO_RESTRICT x,
                                  const float *SCO_RESTRICT e, const float *W1, const float *b1, const float *W2,
                                  const float *b2, float *SCO_RESTRICT y)
{
    const struct sco_graph_mlp_shape *s = &mlp->shape;
    if (graph->nodes > mlp->max_nodes)
        return sco_fail(SCO_SHAPE, "graph mlp: the graph has %zu nodes, the workspace was created for %zu",
                        graph->nodes, mlp->max_nodes);
    SCO_GRAPH_CHECK(x, graph->nodes, s->node_in);
    SCO_GRAPH_CHECK(e, graph->edges, s->edge_in);
    SCO_GRAPH_CHECK(W1, 2 * s->node_in + s->edge_in, s->hidden);
    SCO_GRAPH_CHECK(W2, s->hidden, s->out);
    SCO_GRAPH_CHECK(y, graph->nodes, s->out);
    mlp->weights[OF_SENDER].from = W1;
    mlp->weights[OF_RECEIVER].from = s->hidden == 0 ? W1 : W1 + s->node_in * s->hidden;
    mlp->weights[OF_EDGE].from = s->hidden == 0 ? W1 : W1 + 2 * s->node_in * s->hidden;
    mlp->weights[SECOND].from = W2;
    mlp->weights[SECOND_BIAS].from = b2;
    struct fwd fwd = {mlp, graph, x, e, b1, b2, y};
    size_t tasks[PHASES] = {0, graph->nodes, graph->nodes + graph->edges};
    for (size_t w = 0; w < WEIGHTS; w++)
        tasks[PACK] += panels(&mlp->weights[w]);
    sco_parallel(sco_ctx_team(mlp->ctx), PHASES, tasks, fwd_tasks, &fwd);
    return SCO_OK;
}

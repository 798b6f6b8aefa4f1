/* SPDX-License-Identifier: Apache-2.0 */
#include "models/op_graph.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/cache.h"
#include "arch/fail.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/memory.h"

enum { SENDER = SCO_GRAPH_SENDER, RECEIVER = SCO_GRAPH_RECEIVER };

/* ---- The batch ---- */

/* Pieces of one allocation, each at a line of its own; base NULL only counts. */
static uint32_t *take(char *base, size_t *used, size_t count)
{
    uint32_t *piece = base != NULL ? (uint32_t *)(void *)(base + *used) : NULL;
    *used += (count * sizeof *piece + SCO_ALIGN - 1) / SCO_ALIGN * SCO_ALIGN;
    return piece;
}

static size_t carve(struct sco_graph *graph, char *base)
{
    size_t used = 0;
    for (int end = 0; end < 2; end++) {
        graph->end[end].row_ptr = take(base, &used, graph->max_nodes + 1);
        graph->end[end].edge = take(base, &used, graph->max_edges);
        graph->end[end].node = take(base, &used, graph->max_edges);
        graph->endpoint[end] = take(base, &used, graph->max_edges);
    }
    graph->node_ptr = take(base, &used, graph->max_graphs + 1);
    graph->edge_ptr = take(base, &used, graph->max_graphs + 1);
    graph->graph_of_node = take(base, &used, graph->max_nodes);
    graph->graph_of_edge = take(base, &used, graph->max_edges);
    return used;
}

/* Every count and index fits 32 bits, with one to spare for row_ptr. */
static int countable(size_t nodes, size_t edges, size_t graphs)
{
    const uint64_t most = UINT32_MAX - 1;
    return nodes <= most && edges <= most && graphs <= most;
}

size_t sco_graph_bytes(size_t max_nodes, size_t max_edges, size_t max_graphs)
{
    struct sco_graph graph = {.max_nodes = max_nodes, .max_edges = max_edges, .max_graphs = max_graphs};
    if (!countable(max_nodes, max_edges, max_graphs))
        return SIZE_MAX;
    return sizeof graph + carve(&graph, NULL);
}

static void make_empty(struct sco_graph *graph)
{
    graph->nodes = graph->edges = graph->graphs = 0;
    graph->end[SENDER].row_ptr[0] = graph->end[RECEIVER].row_ptr[0] = 0;
    graph->node_ptr[0] = graph->edge_ptr[0] = 0;
}

enum sco_status sco_graph_create(struct sco_graph **graph, struct sco_ctx *ctx, size_t max_nodes, size_t max_edges,
                                 size_t max_graphs)
{
    *graph = NULL;
    if (!countable(max_nodes, max_edges, max_graphs))
        return sco_fail(SCO_SHAPE, "graph: %zu nodes, %zu edges, %zu graphs; each may be %" PRIu32 " at most",
                        max_nodes, max_edges, max_graphs, UINT32_MAX - 1);
    struct sco_graph *made = calloc(1, sizeof *made);
    if (made == NULL)
        return sco_fail(SCO_NOMEM, "graph: out of memory");
    made->max_nodes = max_nodes;
    made->max_edges = max_edges;
    made->max_graphs = max_graphs;
    const size_t bytes = carve(made, NULL);
    made->memory = sco_alloc(bytes);
    if (made->memory == NULL) {
        sco_graph_destroy(made);
        return sco_fail(SCO_NOMEM, "graph: %zu nodes, %zu edges and %zu graphs need %zu bytes", max_nodes, max_edges,
                        max_graphs, bytes);
    }
    carve(made, made->memory);
    make_empty(made);
    made->ctx = ctx;
    made->ops = sco_ctx_ops(ctx, &sco_graph_family);
    const size_t threads = sco_team_size(sco_ctx_team(ctx));
    const struct sco_cache_budget budget = sco_cache_budget_team(sco_ctx_topology(ctx), threads);
    made->last_level_bytes = threads * (budget.l3 != 0 ? budget.l3 : budget.l2);
    *graph = made;
    return SCO_OK;
}

void sco_graph_destroy(struct sco_graph *graph)
{
    if (graph == NULL)
        return;
    sco_free(graph->memory);
    free(graph);
}

size_t sco_graph_nodes(const struct sco_graph *graph)
{
    return graph->nodes;
}

size_t sco_graph_edges(const struct sco_graph *graph)
{
    return graph->edges;
}

size_t sco_graph_graphs(const struct sco_graph *graph)
{
    return graph->graphs;
}

static int64_t index_at(const void *index, size_t bytes, size_t i)
{
    return bytes == 4 ? ((const int32_t *)index)[i] : ((const int64_t *)index)[i];
}

/* Copies count indices below limit; returns how many there were before the first that is not. */
static size_t copy_indices(size_t count, const void *index, size_t bytes, size_t limit, uint32_t *to)
{
    for (size_t i = 0; i < count; i++) {
        const int64_t value = index_at(index, bytes, i);
        if (value < 0 || (uint64_t)value >= limit)
            return i;
        to[i] = (uint32_t)value;
    }
    return count;
}

/* Counting sort by one endpoint. Filling moves row_ptr[r] to the end of row r, which is the start of row r + 1. */
static void sort_edges(size_t nodes, size_t edges, const uint32_t *by, const uint32_t *other, struct graph_list *list)
{
    uint32_t *row_ptr = list->row_ptr;
    memset(row_ptr, 0, (nodes + 1) * sizeof *row_ptr);
    for (size_t e = 0; e < edges; e++)
        row_ptr[by[e] + 1]++;
    for (size_t r = 0; r < nodes; r++)
        row_ptr[r + 1] += row_ptr[r];
    for (size_t e = 0; e < edges; e++) {
        const uint32_t k = row_ptr[by[e]]++;
        list->edge[k] = (uint32_t)e;
        list->node[k] = other[e];
    }
    memmove(row_ptr + 1, row_ptr, nodes * sizeof *row_ptr);
    row_ptr[0] = 0;
}

struct build {
    struct sco_graph *graph;
    const struct sco_graph_batch *batch;
    size_t good[2]; /* endpoints before the first bad one */
};

/* Task t is an endpoint. */
static void build_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    struct build *build = argument;
    struct sco_graph *graph = build->graph;
    const struct sco_graph_batch *batch = build->batch;
    (void)rank;
    for (size_t t = first; t < last; t++)
        if (phase == 0)
            build->good[t] = copy_indices(batch->edges, t == SENDER ? batch->senders : batch->receivers,
                                          batch->index_bytes, batch->nodes, graph->endpoint[t]);
        else if (build->good[SENDER] == batch->edges && build->good[RECEIVER] == batch->edges)
            sort_edges(batch->nodes, batch->edges, graph->endpoint[t], graph->endpoint[1 - t], &graph->end[t]);
}

/* ptr: the running sum of counts; owner: the graph of each of them. */
static enum sco_status build_ranges(const struct sco_graph_batch *batch, const char *name, const void *counts,
                                    const char *of, size_t total, uint32_t *ptr, uint32_t *owner)
{
    size_t sum = 0;
    ptr[0] = 0;
    for (size_t g = 0; g < batch->graphs; g++) {
        const int64_t count = counts != NULL ? index_at(counts, batch->index_bytes, g) : (int64_t)total;
        if (count < 0)
            return sco_fail(SCO_INVALID, "graph: %s of graph %zu is %" PRId64, name, g, count);
        if ((uint64_t)count > total - sum)
            return sco_fail(SCO_SHAPE, "graph: %s of graphs 0 to %zu add up to more than the %zu %s of the batch", name,
                            g, total, of);
        for (size_t i = sum; i < sum + (size_t)count; i++)
            owner[i] = (uint32_t)g;
        sum += (size_t)count;
        ptr[g + 1] = (uint32_t)sum;
    }
    if (sum != total)
        return sco_fail(SCO_SHAPE, "graph: %s of all %zu graphs add up to %zu, but the batch has %zu %s", name,
                        batch->graphs, sum, total, of);
    return SCO_OK;
}

static enum sco_status check_batch(const struct sco_graph *graph, const struct sco_graph_batch *batch)
{
    if (batch->index_bytes != 4 && batch->index_bytes != 8)
        return sco_fail(SCO_INVALID, "graph: index_bytes is %zu; 4 (int32_t) and 8 (int64_t) are possible",
                        batch->index_bytes);
    if (batch->nodes > graph->max_nodes || batch->edges > graph->max_edges || batch->graphs > graph->max_graphs)
        return sco_fail(SCO_SHAPE,
                        "graph: a batch of %zu nodes, %zu edges and %zu graphs, but the graph was created for %zu, %zu "
                        "and %zu",
                        batch->nodes, batch->edges, batch->graphs, graph->max_nodes, graph->max_edges,
                        graph->max_graphs);
    if (batch->edges > 0 && (batch->senders == NULL || batch->receivers == NULL))
        return sco_fail(SCO_INVALID, "graph: %s is NULL, but the batch has %zu edges",
                        batch->senders == NULL ? "senders" : "receivers", batch->edges);
    if ((batch->n_node == NULL) != (batch->n_edge == NULL))
        return sco_fail(SCO_INVALID, "graph: %s is NULL; give both counts, or neither for one graph of everything",
                        batch->n_node == NULL ? "n_node" : "n_edge");
    if (batch->n_node == NULL && batch->graphs > 1)
        return sco_fail(SCO_INVALID, "graph: n_node and n_edge are NULL, but the batch has %zu graphs", batch->graphs);
    return SCO_OK;
}

enum sco_status sco_graph_build(struct sco_graph *graph, const struct sco_graph_batch *batch)
{
    make_empty(graph);
    enum sco_status status = check_batch(graph, batch);
    if (status == SCO_OK)
        status =
            build_ranges(batch, "n_node", batch->n_node, "nodes", batch->nodes, graph->node_ptr, graph->graph_of_node);
    if (status == SCO_OK)
        status =
            build_ranges(batch, "n_edge", batch->n_edge, "edges", batch->edges, graph->edge_ptr, graph->graph_of_edge);
    if (status != SCO_OK)
        return status;

    struct build build = {.graph = graph, .batch = batch};
    sco_parallel(sco_ctx_team(graph->ctx), 2, (const size_t[]){2, 2}, build_tasks, &build);
    for (int end = 0; end < 2; end++)
        if (build.good[end] != batch->edges) {
            make_empty(graph);
            return sco_fail(
                SCO_INVALID, "graph: the %s of edge %zu is %" PRId64 ", but nodes are 0 to %" PRId64,
                end == SENDER ? "sender" : "receiver", build.good[end],
                index_at(end == SENDER ? batch->senders : batch->receivers, batch->index_bytes, build.good[end]),
                (int64_t)batch->nodes - 1);
        }
    graph->nodes = batch->nodes;
    graph->edges = batch->edges;
    graph->graphs = batch->graphs;
    return SCO_OK;
}

/* ---- Sums and messages ---- */

size_t sco_graph_row_at(const uint32_t *row_ptr, size_t rows, size_t cost)
{
    size_t low = 0, high = rows;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (row_ptr[middle] + middle < cost)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct call {
    const struct sco_graph *graph;
    const uint32_t *row_ptr, *node, *edge;
    size_t rows, H;
    const float *x, *e, *dy;
    float *y, *de;
    int stream;
};

/* Tasks are units of cost: a row and each of its entries is one. */
static enum sco_status over_rows(const struct sco_graph *graph, struct call *call, sco_tasks_fn *body)
{
    call->graph = graph;
    const size_t cost = call->rows + call->row_ptr[call->rows];
    if (call->H > 0)
        sco_parallel(sco_ctx_team(graph->ctx), 1, &cost, body, call);
    return SCO_OK;
}

static void rows_of(const struct call *call, size_t *first, size_t *last)
{
    *first = sco_graph_row_at(call->row_ptr, call->rows, *first);
    *last = sco_graph_row_at(call->row_ptr, call->rows, *last);
}

static struct call over_list(const struct sco_graph *graph, enum sco_graph_end end, size_t H)
{
    const struct graph_list *list = &graph->end[end];
    return (struct call){
        .row_ptr = list->row_ptr, .node = list->node, .edge = list->edge, .rows = graph->nodes, .H = H};
}

enum sco_status sco_graph_check(const char *name, const float *matrix, size_t rows, size_t columns)
{
    size_t bytes;
    if (__builtin_mul_overflow(rows, columns, &bytes) || __builtin_mul_overflow(bytes, sizeof *matrix, &bytes) ||
        bytes > PTRDIFF_MAX)
        return sco_fail(SCO_SHAPE, "graph: %s of %zu rows of %zu floats cannot be addressed", name, rows, columns);
    if (matrix == NULL && bytes > 0)
        return sco_fail(SCO_INVALID, "graph: %s is NULL, but has %zu rows of %zu floats", name, rows, columns);
    return SCO_OK;
}

struct gather {
    const struct sco_graph *graph;
    const uint32_t *endpoint;
    size_t H;
    const float *x;
    float *y;
};

static void gather_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct gather *g = argument;
    (void)phase;
    (void)rank;
    g->graph->ops->gather_add(last - first, g->H, g->endpoint + first, g->x, NULL, NULL, NULL, NULL,
                              g->y + first * g->H);
}

enum sco_status sco_graph_gather(const struct sco_graph *graph, enum sco_graph_end end, size_t H,
                                 const float *SCO_RESTRICT x, float *SCO_RESTRICT y)
{
    SCO_GRAPH_CHECK(x, graph->nodes, H);
    SCO_GRAPH_CHECK(y, graph->edges, H);
    struct gather gather = {graph, graph->endpoint[end], H, x, y};
    if (H > 0)
        sco_parallel(sco_ctx_team(graph->ctx), 1, &graph->edges, gather_tasks, &gather);
    return SCO_OK;
}

static void sum_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct call *c = argument;
    (void)phase;
    (void)rank;
    rows_of(c, &first, &last);
    c->graph->ops->segment_sum(first, last, c->H, c->row_ptr, c->edge, c->x, c->y);
}

enum sco_status sco_graph_sum(const struct sco_graph *graph, enum sco_graph_end end, size_t H,
                              const float *SCO_RESTRICT x, float *SCO_RESTRICT y)
{
    SCO_GRAPH_CHECK(x, graph->edges, H);
    SCO_GRAPH_CHECK(y, graph->nodes, H);
    struct call call = over_list(graph, end, H);
    call.x = x;
    call.y = y;
    return over_rows(graph, &call, sum_tasks);
}

enum sco_status sco_graph_sum_nodes(const struct sco_graph *graph, size_t H, const float *SCO_RESTRICT x,
                                    float *SCO_RESTRICT y)
{
    SCO_GRAPH_CHECK(x, graph->nodes, H);
    SCO_GRAPH_CHECK(y, graph->graphs, H);
    struct call call = {.row_ptr = graph->node_ptr, .rows = graph->graphs, .H = H, .x = x, .y = y};
    return over_rows(graph, &call, sum_tasks);
}

enum sco_status sco_graph_sum_edges(const struct sco_graph *graph, size_t H, const float *SCO_RESTRICT x,
                                    float *SCO_RESTRICT y)
{
    SCO_GRAPH_CHECK(x, graph->edges, H);
    SCO_GRAPH_CHECK(y, graph->graphs, H);
    struct call call = {.row_ptr = graph->edge_ptr, .rows = graph->graphs, .H = H, .x = x, .y = y};
    return over_rows(graph, &call, sum_tasks);
}

/* An output that takes a quarter of the last level, beside inputs that take more, is gone from it by the time somebody
 * reads its first rows. */
static int streams(const struct sco_graph *graph, size_t rows, size_t H)
{
    return rows * H * sizeof(float) > graph->last_level_bytes / 4;
}

static void relu_sum_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct call *c = argument;
    (void)phase;
    (void)rank;
    rows_of(c, &first, &last);
    c->graph->ops->relu_sum(first, last, c->H, c->row_ptr, c->node, c->edge, c->x, c->e, c->y, c->stream);
}

enum sco_status sco_graph_relu_sum(const struct sco_graph *graph, size_t H, const float *SCO_RESTRICT x,
                                   const float *SCO_RESTRICT e, float *SCO_RESTRICT y)
{
    SCO_GRAPH_CHECK(x, graph->nodes, H);
    SCO_GRAPH_CHECK(e, graph->edges, H);
    SCO_GRAPH_CHECK(y, graph->nodes, H);
    struct call call = over_list(graph, SCO_GRAPH_RECEIVER, H);
    call.x = x;
    call.e = e;
    call.y = y;
    call.stream = streams(graph, graph->nodes, H);
    return over_rows(graph, &call, relu_sum_tasks);
}

static void relu_sum_bwd_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct call *c = argument;
    (void)phase;
    (void)rank;
    rows_of(c, &first, &last);
    c->graph->ops->relu_sum_bwd(first, last, c->H, c->row_ptr, c->node, c->edge, c->x, c->e, c->dy, c->y, c->de,
                                c->stream);
}

enum sco_status sco_graph_relu_sum_bwd(const struct sco_graph *graph, size_t H, const float *SCO_RESTRICT x,
                                       const float *SCO_RESTRICT e, const float *SCO_RESTRICT dy,
                                       float *SCO_RESTRICT dx, float *SCO_RESTRICT de)
{
    SCO_GRAPH_CHECK(x, graph->nodes, H);
    SCO_GRAPH_CHECK(e, graph->edges, H);
    SCO_GRAPH_CHECK(dy, graph->nodes, H);
    SCO_GRAPH_CHECK(dx, graph->nodes, H);
    SCO_GRAPH_CHECK(de, graph->edges, H);
    struct call call = over_list(graph, SCO_GRAPH_SENDER, H);
    call.x = x;
    call.e = e;
    call.dy = dy;
    call.y = dx;
    call.de = de;
    call.stream = streams(graph, graph->edges, H);
    return over_rows(graph, &call, relu_sum_bwd_tasks);
}

static void spmm_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct call *c = argument;
    (void)phase;
    (void)rank;
    rows_of(c, &first, &last);
    c->graph->ops->spmm(first, last, c->H, c->row_ptr, c->node, c->edge, c->e, c->x, c->y);
}

enum sco_status sco_graph_spmm(const struct sco_graph *graph, enum sco_graph_end end, size_t H,
                               const float *SCO_RESTRICT weight, const float *SCO_RESTRICT x, float *SCO_RESTRICT y)
{
    SCO_GRAPH_CHECK(weight, graph->edges, 1);
    SCO_GRAPH_CHECK(x, graph->nodes, H);
    SCO_GRAPH_CHECK(y, graph->nodes, H);
    struct call call = over_list(graph, end, H);
    call.e = weight;
    call.x = x;
    call.y = y;
    return over_rows(graph, &call, spmm_tasks);
}

static void sddmm_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct call *c = argument;
    (void)phase;
    (void)rank;
    rows_of(c, &first, &last);
    c->graph->ops->sddmm(first, last, c->H, c->row_ptr, c->node, c->edge, c->dy, c->x, c->y);
}

enum sco_status sco_graph_sddmm(const struct sco_graph *graph, size_t H, const float *SCO_RESTRICT a,
                                const float *SCO_RESTRICT b, float *SCO_RESTRICT out)
{
    SCO_GRAPH_CHECK(a, graph->nodes, H);
    SCO_GRAPH_CHECK(b, graph->nodes, H);
    SCO_GRAPH_CHECK(out, graph->edges, 1);
    struct call call = over_list(graph, SCO_GRAPH_RECEIVER, H);
    call.dy = a;
    call.x = b;
    call.y = out;
    const size_t cost = call.rows + call.row_ptr[call.rows];
    call.graph = graph;
    sco_parallel(sco_ctx_team(graph->ctx), 1, &cost, sddmm_tasks, &call);
    return SCO_OK;
}

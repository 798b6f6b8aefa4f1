/* SPDX-License-Identifier: Apache-2.0
 * The block of a graph network (Battaglia et al., "Relational inductive biases, deep learning, and graph networks", 2018,
 * Algorithm 1), forward and backward.
 *
 * With the products of nodes and globals taken before they are gathered, an edge costs one product of edge_in x hidden
 * instead of (edge_in + 2 node_in + global_in) x hidden. Backward the same holds: what arrives at a node over its edges is
 * summed before it meets the node's block of the kernel. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/gemm/gemm.h"
#include "kernels/norm/norm.h"
#include "models/op_dropout.h"
#include "models/op_graph.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/memory.h"

/* BLOCK rows go through a layer together: sixteen tiles of six rows, and what belongs to them stays in an L2 of 512 KiB
 * beside the weights that pass by. Partial gradients of bias, scale and shift belong to blocks of as many rows. DEPTH rows
 * of inputs and gradients are read from L2 for all tiles of a kernel's gradient. GROUP rows of a kernel are dealt together. */
enum { BLOCK = 96, DEPTH = 256, GROUP = 16 };

enum { EDGE, NODE, GLOBAL, LAYERS };

/* Blocks of rows of a kernel, in the order of the concatenation. */
enum { EDGE_OWN, EDGE_SENDER, EDGE_RECEIVER, EDGE_GLOBAL, PARTS };
enum { NODE_OWN, NODE_SENT, NODE_RECEIVED, NODE_GLOBAL };
enum { GLOBAL_NODES, GLOBAL_EDGES, GLOBAL_OWN };

struct part {
    size_t in, row;             /* rows row .. row + in - 1 of the kernel */
    float *packed, *transposed; /* for products with the part, in x hidden, and with its transpose */
};

struct sco_graph_block {
    struct sco_ctx *ctx;
    const struct sco_graph_ops *ops;
    const struct sco_gemm_ops *gemm;
    const struct sco_norm_ops *norm;
    struct sco_graph_block_shape shape;
    size_t max_rows[LAYERS], threads;
    struct part part[LAYERS][PARTS];
    uint32_t ascending[BLOCK];

    float *z[LAYERS], *mean[LAYERS],
        *rstd[LAYERS];                      /* rows before normalisation and their moments: kept for the gradient */
    struct sco_dropout_job dropout[LAYERS]; /* of the last forward call */
    int dropping;
    float *sent, *received;         /* by node: sums of outgoing and incoming E' */
    float *node_sum, *edge_sum;     /* by graph: sums of X' and E' */
    float *as_sender, *as_receiver; /* by node: X times its parts of the edge kernel; backward, d sent and d received */
    float *to_edges, *to_nodes;     /* by graph: U times its part, plus bias; backward, d edge_sum and d node_sum */

    float *dz[LAYERS];
    float *d_sender, *d_receiver; /* by node: sums of dz[EDGE] over outgoing and incoming edges */
    float *dz_edges, *dz_nodes;   /* by graph: sums of dz[EDGE] and dz[NODE] */
    float *partial[LAYERS];       /* by BLOCK rows: d scale, d shift, d bias */
    float *total;                 /* the same, summed */
    float *scratch;               /* BLOCK x hidden of each rank */
    char *memory;
    size_t bytes;
};

/* ---- Workspace ---- */

/* The next piece, at a line of its own; without memory it only counts. Sizes that overflow leave bytes at SIZE_MAX. */
static float *take(struct sco_graph_block *block, size_t rows, size_t columns)
{
    void *piece = block->memory != NULL ? block->memory + block->bytes : NULL;
    size_t bytes;
    if (block->bytes == SIZE_MAX || __builtin_mul_overflow(rows, columns, &bytes) ||
        __builtin_mul_overflow(bytes, sizeof(float), &bytes) || __builtin_add_overflow(bytes, SCO_ALIGN - 1, &bytes) ||
        __builtin_add_overflow(block->bytes, bytes / SCO_ALIGN * SCO_ALIGN, &bytes)) {
        block->bytes = SIZE_MAX;
        return NULL;
    }
    block->bytes = bytes;
    return piece;
}

static size_t blocks_of(size_t rows)
{
    return rows / BLOCK + (rows % BLOCK != 0);
}

/* Columns of a packed matrix; unlike sco_gemm_packed_count() without overflow where columns are absurd. */
static size_t packed_columns(size_t columns)
{
    return columns > SIZE_MAX - SCO_GEMM_STEP ? columns : sco_gemm_packed_count(1, columns);
}

static void carve(struct sco_graph_block *block)
{
    const struct sco_graph_block_shape *s = &block->shape;
    const size_t H = s->hidden, N = block->max_rows[NODE], G = block->max_rows[GLOBAL];
    const size_t in[LAYERS][PARTS] = {[EDGE] = {s->edge_in, s->node_in, s->node_in, s->global_in},
                                      [NODE] = {s->node_in, H, H, s->global_in},
                                      [GLOBAL] = {H, H, s->global_in}};
    block->bytes = 0;
    for (size_t l = 0; l < LAYERS; l++) {
        size_t row = 0;
        for (size_t p = 0; p < PARTS; p++) {
            block->part[l][p].in = in[l][p];
            block->part[l][p].row = row;
            block->part[l][p].packed = take(block, in[l][p], packed_columns(H));
            block->part[l][p].transposed = take(block, H, packed_columns(in[l][p]));
            row += in[l][p];
        }
        block->z[l] = take(block, block->max_rows[l], H);
        block->dz[l] = take(block, block->max_rows[l], H);
        block->mean[l] = take(block, block->max_rows[l], 1);
        block->rstd[l] = take(block, block->max_rows[l], 1);
        block->partial[l] = take(block, 3 * blocks_of(block->max_rows[l]), H);
    }
    float **const by_node[] = {&block->sent,        &block->received, &block->as_sender,
                               &block->as_receiver, &block->d_sender, &block->d_receiver};
    for (size_t i = 0; i < SCO_LEN(by_node); i++)
        *by_node[i] = take(block, N, H);
    float **const by_graph[] = {&block->node_sum, &block->edge_sum, &block->to_edges,
                                &block->to_nodes, &block->dz_edges, &block->dz_nodes};
    for (size_t i = 0; i < SCO_LEN(by_graph); i++)
        *by_graph[i] = take(block, G, H);
    block->total = take(block, 3 * LAYERS, H);
    block->scratch = take(block, block->threads * BLOCK, H);
}

static struct sco_graph_block described(struct sco_ctx *ctx, const struct sco_graph_block_shape *shape,
                                        size_t max_nodes, size_t max_edges, size_t max_graphs)
{
    struct sco_graph_block block = {.ctx = ctx, .shape = *shape, .threads = sco_team_size(sco_ctx_team(ctx))};
    block.max_rows[EDGE] = max_edges;
    block.max_rows[NODE] = max_nodes;
    block.max_rows[GLOBAL] = max_graphs;
    for (uint32_t i = 0; i < BLOCK; i++)
        block.ascending[i] = i;
    return block;
}

size_t sco_graph_block_bytes(struct sco_ctx *ctx, const struct sco_graph_block_shape *shape, size_t max_nodes,
                             size_t max_edges, size_t max_graphs)
{
    struct sco_graph_block block = described(ctx, shape, max_nodes, max_edges, max_graphs);
    carve(&block);
    return block.bytes > SIZE_MAX - sizeof block ? SIZE_MAX : block.bytes + sizeof block;
}

enum sco_status sco_graph_block_create(struct sco_graph_block **block, struct sco_ctx *ctx,
                                       const struct sco_graph_block_shape *shape, size_t max_nodes, size_t max_edges,
                                       size_t max_graphs)
{
    *block = NULL;
    if (shape->hidden == 0)
        return sco_fail(SCO_INVALID, "graph block: hidden is 0; layer normalisation needs at least one column");
    if (!(shape->eps >= 0.0f) || isinf(shape->eps))
        return sco_fail(SCO_INVALID, "graph block: eps is %g; give a number from 0, 1e-6 as a rule",
                        (double)shape->eps);
    struct sco_graph_block *made = malloc(sizeof *made);
    if (made == NULL)
        return sco_fail(SCO_NOMEM, "graph block: out of memory");
    *made = described(ctx, shape, max_nodes, max_edges, max_graphs);
    carve(made);
    enum sco_status status = SCO_OK;
    if (made->bytes > PTRDIFF_MAX)
        status =
            sco_fail(SCO_SHAPE,
                     "graph block: edge_in %zu, node_in %zu, global_in %zu, hidden %zu for %zu nodes, %zu edges and "
                     "%zu graphs cannot be addressed",
                     shape->edge_in, shape->node_in, shape->global_in, shape->hidden, max_nodes, max_edges, max_graphs);
    else if ((made->memory = sco_alloc(made->bytes)) == NULL)
        status = sco_fail(SCO_NOMEM, "graph block: needs %zu bytes", made->bytes);
    if (status != SCO_OK) {
        sco_graph_block_destroy(made);
        return status;
    }
    carve(made);
    made->ops = sco_ctx_ops(ctx, &sco_graph_family);
    made->gemm = sco_ctx_ops(ctx, &sco_gemm_family);
    made->norm = sco_ctx_ops(ctx, &sco_norm_family);
    *block = made;
    return SCO_OK;
}

void sco_graph_block_destroy(struct sco_graph_block *block)
{
    if (block == NULL)
        return;
    sco_free(block->memory);
    free(block);
}

/* ---- Products ---- */

/* What a call works on. The gradient's members are empty in a forward call. */
struct pass {
    struct sco_graph_block *block;
    const struct sco_graph *graph;
    struct sco_graph_layer layer[LAYERS];
    const float *in[LAYERS];
    float *out[LAYERS];         /* fwd */
    const float *d_out[LAYERS]; /* bwd */
    float *d_in[LAYERS];
    struct sco_graph_layer_gradient gradient[LAYERS];
};

/* C = (beta ? C : 0) + bias + A times a part. */
static void multiply(const struct sco_graph_block *block, size_t M, const float *A, size_t row, const struct part *part,
                     const float *bias, int beta, float *C)
{
    const size_t H = block->shape.hidden;
    /* Without columns A may be NULL; the product reads none of it, but counts from where it is. */
    A = part->in != 0 ? A + row * part->in : C;
    block->gemm->gemm(M, H, part->in, A, part->in, part->packed, bias, beta, C, H);
}

/* C = (beta ? C : 0) + D times the transpose of a part; nothing where nobody asks for C. */
static void multiply_transposed(const struct sco_graph_block *block, size_t M, const float *D, const struct part *part,
                                int beta, float *C, size_t row)
{
    const size_t H = block->shape.hidden;
    if (C != NULL)
        block->gemm->gemm(M, part->in, H, D, H, part->transposed, NULL, beta, C + row * part->in, part->in);
}

/* Columns first .. first + count - 1 of the transpose of B, which is N x K, into a panel. */
static void pack_transposed(size_t K, size_t first, size_t count, const float *B, float *panel)
{
    const size_t width = sco_gemm_packed_count(1, count);
    for (size_t k = 0; k < K; k++) {
        for (size_t j = 0; j < count; j++)
            panel[k * width + j] = B[(first + j) * K + k];
        memset(panel + k * width + count, 0, (width - count) * sizeof *panel);
    }
}

static size_t panels(size_t columns)
{
    return columns / SCO_GEMM_NR + (columns % SCO_GEMM_NR != 0);
}

/* Panel p of a part, or of its transpose. */
static void pack_panel(const struct pass *pass, size_t l, const struct part *part, size_t p, int transposed)
{
    const struct sco_graph_block *block = pass->block;
    const size_t H = block->shape.hidden, K = transposed ? H : part->in, N = transposed ? part->in : H;
    const size_t first = p * SCO_GEMM_NR, count = N - first < SCO_GEMM_NR ? N - first : SCO_GEMM_NR;
    const float *kernel = pass->layer[l].kernel + part->row * H;
    if (transposed)
        pack_transposed(K, first, count, kernel, part->transposed + sco_gemm_packed_count(K, first));
    else
        block->gemm->pack(K, count, kernel + first, H, part->packed + sco_gemm_packed_count(K, first));
}

static size_t part_panels(const struct sco_graph_block *block, const struct part *part, int transposed)
{
    return part->in == 0 ? 0 : panels(transposed ? part->in : block->shape.hidden);
}

/* Task t packs the t-th panel of all parts together. */
static void pack(const struct pass *pass, size_t first, size_t last, int transposed)
{
    size_t at = 0;
    for (size_t l = 0; l < LAYERS; l++)
        for (size_t i = 0; i < PARTS; i++) {
            const struct part *part = &pass->block->part[l][i];
            const size_t count = part_panels(pass->block, part, transposed);
            for (size_t p = 0; p < count; p++, at++)
                if (at >= first && at < last)
                    pack_panel(pass, l, part, p, transposed);
        }
}

static size_t pack_tasks(const struct sco_graph_block *block, int transposed)
{
    size_t count = 0;
    for (size_t l = 0; l < LAYERS; l++)
        for (size_t i = 0; i < PARTS; i++)
            count += part_panels(block, &block->part[l][i], transposed);
    return count;
}

/* Rows of a layer from their sums before normalisation, in z. */
static void finish_rows(const struct pass *pass, size_t l, size_t row, size_t count)
{
    const struct sco_graph_block *block = pass->block;
    const size_t H = block->shape.hidden;
    float *out = pass->out[l] + row * H;
    block->norm->layer_norm(count, H, block->z[l] + row * H, pass->layer[l].scale, pass->layer[l].shift,
                            block->shape.eps, SCO_NORM_RELU, out, block->mean[l] + row, block->rstd[l] + row);
    if (block->dropping)
        sco_dropout_rows(&block->dropout[l], row, count, out, out);
}

/* ---- Forward ---- */

enum { FWD_PACK, FWD_PROJECT, FWD_EDGES, FWD_NODES, FWD_GLOBALS, FWD_PHASES };

/* Rows of nodes come first, those of graphs after them. */
static void project(const struct pass *pass, size_t first, size_t last)
{
    struct sco_graph_block *block = pass->block;
    const size_t H = block->shape.hidden, N = pass->graph->nodes;
    if (first < N) {
        const size_t count = (last < N ? last : N) - first;
        const float *X = pass->in[NODE];
        multiply(block, count, X, first, &block->part[EDGE][EDGE_SENDER], NULL, 0, block->as_sender + first * H);
        multiply(block, count, X, first, &block->part[EDGE][EDGE_RECEIVER], NULL, 0, block->as_receiver + first * H);
        first += count;
    }
    if (first < last) {
        const size_t g = first - N, count = last - first;
        const float *U = pass->in[GLOBAL];
        multiply(block, count, U, g, &block->part[EDGE][EDGE_GLOBAL], pass->layer[EDGE].bias, 0,
                 block->to_edges + g * H);
        multiply(block, count, U, g, &block->part[NODE][NODE_GLOBAL], pass->layer[NODE].bias, 0,
                 block->to_nodes + g * H);
    }
}

static void update_edges(const struct pass *pass, size_t row, size_t count)
{
    const struct sco_graph_block *block = pass->block;
    const struct sco_graph *graph = pass->graph;
    const size_t H = block->shape.hidden;
    float *z = block->z[EDGE] + row * H;
    block->ops->gather_add(count, H, graph->endpoint[SCO_GRAPH_SENDER] + row, block->as_sender,
                           graph->endpoint[SCO_GRAPH_RECEIVER] + row, block->as_receiver, graph->graph_of_edge + row,
                           block->to_edges, z);
    multiply(block, count, pass->in[EDGE], row, &block->part[EDGE][EDGE_OWN], NULL, 1, z);
    finish_rows(pass, EDGE, row, count);
}

static void sum_edges(const struct pass *pass, enum sco_graph_end end, size_t row, size_t count, const float *edges,
                      float *sums)
{
    const struct graph_list *list = &pass->graph->end[end];
    pass->block->ops->segment_sum(row, row + count, pass->block->shape.hidden, list->row_ptr, list->edge, edges, sums);
}

static void update_nodes(const struct pass *pass, size_t row, size_t count)
{
    const struct sco_graph_block *block = pass->block;
    const size_t H = block->shape.hidden;
    float *z = block->z[NODE] + row * H;
    sum_edges(pass, SCO_GRAPH_SENDER, row, count, pass->out[EDGE], block->sent);
    sum_edges(pass, SCO_GRAPH_RECEIVER, row, count, pass->out[EDGE], block->received);
    block->ops->gather_add(count, H, pass->graph->graph_of_node + row, block->to_nodes, NULL, NULL, NULL, NULL, z);
    multiply(block, count, pass->in[NODE], row, &block->part[NODE][NODE_OWN], NULL, 1, z);
    multiply(block, count, block->sent, row, &block->part[NODE][NODE_SENT], NULL, 1, z);
    multiply(block, count, block->received, row, &block->part[NODE][NODE_RECEIVED], NULL, 1, z);
    finish_rows(pass, NODE, row, count);
}

static void update_globals(const struct pass *pass, size_t row, size_t count)
{
    const struct sco_graph_block *block = pass->block;
    const struct sco_graph *graph = pass->graph;
    const size_t H = block->shape.hidden;
    float *z = block->z[GLOBAL] + row * H;
    block->ops->segment_sum(row, row + count, H, graph->node_ptr, NULL, pass->out[NODE], block->node_sum);
    block->ops->segment_sum(row, row + count, H, graph->edge_ptr, NULL, pass->out[EDGE], block->edge_sum);
    multiply(block, count, block->node_sum, row, &block->part[GLOBAL][GLOBAL_NODES], pass->layer[GLOBAL].bias, 0, z);
    multiply(block, count, block->edge_sum, row, &block->part[GLOBAL][GLOBAL_EDGES], NULL, 1, z);
    multiply(block, count, pass->in[GLOBAL], row, &block->part[GLOBAL][GLOBAL_OWN], NULL, 1, z);
    finish_rows(pass, GLOBAL, row, count);
}

typedef void rows_fn(const struct pass *pass, size_t row, size_t count);

static void by_blocks(const struct pass *pass, rows_fn *body, size_t first, size_t last)
{
    for (size_t count; first < last; first += count) {
        count = sco_gemm_even_rows(last - first, BLOCK);
        body(pass, first, count);
    }
}

static void fwd_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct pass *pass = argument;
    (void)rank;
    switch (phase) {
    case FWD_PACK: pack(pass, first, last, 0); break;
    case FWD_PROJECT: project(pass, first, last); break;
    case FWD_EDGES: by_blocks(pass, update_edges, first, last); break;
    case FWD_NODES: by_blocks(pass, update_nodes, first, last); break;
    default: by_blocks(pass, update_globals, first, last);
    }
}

/* ---- Backward ---- */

enum { BWD_PACK, BWD_GLOBALS, BWD_NODES, BWD_EDGES, BWD_ENDPOINTS, BWD_GRAPHS, BWD_WEIGHTS, BWD_PHASES };

/* From dy to dz, in place, and the block's share of the gradients of scale, shift and bias. */
static void unfinish_rows(const struct pass *pass, size_t l, size_t row, size_t count)
{
    const struct sco_graph_block *block = pass->block;
    const size_t H = block->shape.hidden;
    float *dz = block->dz[l] + row * H, *partial = block->partial[l] + row / BLOCK * 3 * H;
    memset(partial, 0, 3 * H * sizeof *partial);
    if (block->dropping)
        sco_dropout_rows(&block->dropout[l], row, count, dz, dz);
    block->norm->layer_norm_bwd(count, H, block->z[l] + row * H, dz, pass->layer[l].scale, pass->layer[l].shift,
                                block->mean[l] + row, block->rstd[l] + row, SCO_NORM_RELU, dz, partial, partial + H);
    block->norm->column_sums(count, H, dz, partial + 2 * H);
}

static void globals_bwd(const struct pass *pass, size_t row, size_t count, float *scratch)
{
    const struct sco_graph_block *block = pass->block;
    const size_t H = block->shape.hidden;
    float *dz = block->dz[GLOBAL] + row * H;
    (void)scratch;
    if (pass->d_out[GLOBAL] != NULL)
        memcpy(dz, pass->d_out[GLOBAL] + row * H, count * H * sizeof *dz);
    else
        memset(dz, 0, count * H * sizeof *dz);
    unfinish_rows(pass, GLOBAL, row, count);
    multiply_transposed(block, count, dz, &block->part[GLOBAL][GLOBAL_NODES], 0, block->to_nodes, row);
    multiply_transposed(block, count, dz, &block->part[GLOBAL][GLOBAL_EDGES], 0, block->to_edges, row);
    multiply_transposed(block, count, dz, &block->part[GLOBAL][GLOBAL_OWN], 0, pass->d_in[GLOBAL], row);
}

static void nodes_bwd(const struct pass *pass, size_t row, size_t count, float *scratch)
{
    const struct sco_graph_block *block = pass->block;
    const size_t H = block->shape.hidden;
    const float *d_out = pass->d_out[NODE];
    float *dz = block->dz[NODE] + row * H;
    (void)scratch;
    block->ops->gather_add(count, H, pass->graph->graph_of_node + row, block->to_nodes, block->ascending,
                           d_out != NULL ? d_out + row * H : NULL, NULL, NULL, dz);
    unfinish_rows(pass, NODE, row, count);
    multiply_transposed(block, count, dz, &block->part[NODE][NODE_OWN], 0, pass->d_in[NODE], row);
    multiply_transposed(block, count, dz, &block->part[NODE][NODE_SENT], 0, block->as_sender, row);
    multiply_transposed(block, count, dz, &block->part[NODE][NODE_RECEIVED], 0, block->as_receiver, row);
}

static void edges_bwd(const struct pass *pass, size_t row, size_t count, float *scratch)
{
    const struct sco_graph_block *block = pass->block;
    const struct sco_graph *graph = pass->graph;
    const size_t H = block->shape.hidden;
    const float *d_out = pass->d_out[EDGE];
    float *dz = block->dz[EDGE] + row * H;
    block->ops->gather_add(count, H, graph->endpoint[SCO_GRAPH_SENDER] + row, block->as_sender,
                           graph->endpoint[SCO_GRAPH_RECEIVER] + row, block->as_receiver, graph->graph_of_edge + row,
                           block->to_edges, scratch);
    block->ops->gather_add(count, H, block->ascending, scratch, block->ascending,
                           d_out != NULL ? d_out + row * H : NULL, NULL, NULL, dz);
    unfinish_rows(pass, EDGE, row, count);
    multiply_transposed(block, count, dz, &block->part[EDGE][EDGE_OWN], 0, pass->d_in[EDGE], row);
}

/* Tasks are blocks of BLOCK rows: partial gradients belong to them. */
typedef void bwd_rows_fn(const struct pass *pass, size_t row, size_t count, float *scratch);

static void whole_blocks(const struct pass *pass, bwd_rows_fn *body, size_t rows, size_t first, size_t last,
                         size_t rank)
{
    float *scratch = pass->block->scratch + rank * BLOCK * pass->block->shape.hidden;
    for (size_t b = first; b < last; b++)
        body(pass, b * BLOCK, rows - b * BLOCK < BLOCK ? rows - b * BLOCK : BLOCK, scratch);
}

static void endpoints_bwd(const struct pass *pass, size_t row, size_t count)
{
    const struct sco_graph_block *block = pass->block;
    const size_t H = block->shape.hidden;
    sum_edges(pass, SCO_GRAPH_SENDER, row, count, block->dz[EDGE], block->d_sender);
    sum_edges(pass, SCO_GRAPH_RECEIVER, row, count, block->dz[EDGE], block->d_receiver);
    multiply_transposed(block, count, block->d_sender + row * H, &block->part[EDGE][EDGE_SENDER], 1, pass->d_in[NODE],
                        row);
    multiply_transposed(block, count, block->d_receiver + row * H, &block->part[EDGE][EDGE_RECEIVER], 1,
                        pass->d_in[NODE], row);
}

static void graphs_bwd(const struct pass *pass, size_t row, size_t count)
{
    const struct sco_graph_block *block = pass->block;
    const struct sco_graph *graph = pass->graph;
    const size_t H = block->shape.hidden;
    block->ops->segment_sum(row, row + count, H, graph->edge_ptr, NULL, block->dz[EDGE], block->dz_edges);
    block->ops->segment_sum(row, row + count, H, graph->node_ptr, NULL, block->dz[NODE], block->dz_nodes);
    multiply_transposed(block, count, block->dz_edges + row * H, &block->part[EDGE][EDGE_GLOBAL], 1, pass->d_in[GLOBAL],
                        row);
    multiply_transposed(block, count, block->dz_nodes + row * H, &block->part[NODE][NODE_GLOBAL], 1, pass->d_in[GLOBAL],
                        row);
}

static size_t rows_of_layer(const struct pass *pass, size_t l)
{
    return l == EDGE ? pass->graph->edges : l == NODE ? pass->graph->nodes : pass->graph->graphs;
}

static void sum_partials(const struct pass *pass, size_t l)
{
    const struct sco_graph_block *block = pass->block;
    const size_t H = block->shape.hidden;
    const uint32_t row_ptr[2] = {0, (uint32_t)blocks_of(rows_of_layer(pass, l))};
    float *total = block->total + 3 * l * H;
    block->ops->segment_sum(0, 1, 3 * H, row_ptr, NULL, block->partial[l], total);
    memcpy(pass->gradient[l].scale, total, H * sizeof *total);
    memcpy(pass->gradient[l].shift, total + H, H * sizeof *total);
    memcpy(pass->gradient[l].bias, total + 2 * H, H * sizeof *total);
}

/* The last LAYERS tasks are sums of partial gradients. */
static void by_graphs(const struct pass *pass, size_t first, size_t last)
{
    const size_t G = pass->graph->graphs;
    by_blocks(pass, graphs_bwd, first, last < G ? last : G);
    for (size_t t = first < G ? G : first; t < last; t++)
        sum_partials(pass, t - G);
}

/* A part's gradient is inputs^T x gradients, both of so many rows. */
struct weight_job {
    const struct part *part;
    float *gradient; /* of the part */
    const float *inputs, *gradients;
    size_t rows, groups;
};
enum { WEIGHT_JOBS = LAYERS * PARTS };

static size_t weight_jobs(const struct pass *pass, struct weight_job job[WEIGHT_JOBS])
{
    const struct sco_graph_block *b = pass->block;
    const struct sco_graph *graph = pass->graph;
    const size_t N = graph->nodes, E = graph->edges, G = graph->graphs;
    const struct {
        size_t l, part;
        const float *inputs, *gradients;
        size_t rows;
    } all[] = {
        {EDGE, EDGE_OWN, pass->in[EDGE], b->dz[EDGE], E},         {EDGE, EDGE_SENDER, pass->in[NODE], b->d_sender, N},
        {EDGE, EDGE_RECEIVER, pass->in[NODE], b->d_receiver, N},  {EDGE, EDGE_GLOBAL, pass->in[GLOBAL], b->dz_edges, G},
        {NODE, NODE_OWN, pass->in[NODE], b->dz[NODE], N},         {NODE, NODE_SENT, b->sent, b->dz[NODE], N},
        {NODE, NODE_RECEIVED, b->received, b->dz[NODE], N},       {NODE, NODE_GLOBAL, pass->in[GLOBAL], b->dz_nodes, G},
        {GLOBAL, GLOBAL_NODES, b->node_sum, b->dz[GLOBAL], G},    {GLOBAL, GLOBAL_EDGES, b->edge_sum, b->dz[GLOBAL], G},
        {GLOBAL, GLOBAL_OWN, pass->in[GLOBAL], b->dz[GLOBAL], G},
    };
    for (size_t i = 0; i < SCO_LEN(all); i++) {
        const struct part *part = &b->part[all[i].l][all[i].part];
        float *kernel = pass->gradient[all[i].l].kernel;
        job[i] = (struct weight_job){part,          part->in == 0 ? kernel : kernel + part->row * b->shape.hidden,
                                     all[i].inputs, all[i].gradients,
                                     all[i].rows,   part->in / GROUP + (part->in % GROUP != 0)};
    }
    return SCO_LEN(all);
}

/* A group of rows of a kernel costs as many tasks as its products have rows, in units of DEPTH, and at least one. */
static size_t group_cost(const struct weight_job *job)
{
    return job->rows / DEPTH + 1;
}

static size_t weight_tasks(const struct pass *pass)
{
    struct weight_job job[WEIGHT_JOBS];
    const size_t count = weight_jobs(pass, job);
    size_t tasks = 0;
    for (size_t i = 0; i < count; i++)
        tasks += job[i].groups * group_cost(&job[i]);
    return tasks;
}

/* Whoever has the first task of a group does all of it. */
static void weights_bwd(const struct pass *pass, size_t first, size_t last)
{
    const struct sco_graph_block *block = pass->block;
    const size_t H = block->shape.hidden;
    struct weight_job job[WEIGHT_JOBS];
    const size_t count = weight_jobs(pass, job);
    size_t start = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t cost = group_cost(&job[i]), in = job[i].part->in, end = start + cost * job[i].groups;
        const size_t from = first <= start ? 0 : (first - start + cost - 1) / cost;
        const size_t to = last >= end ? job[i].groups : last <= start ? 0 : (last - start + cost - 1) / cost;
        start = end;
        if (from >= to)
            continue;
        const size_t column = from * GROUP, columns = (to * GROUP < in ? to * GROUP : in) - column;
        size_t k = 0;
        do {
            const size_t depth = job[i].rows - k < DEPTH ? job[i].rows - k : DEPTH;
            block->ops->weight_grad(columns, H, depth, job[i].inputs + k * in + column, in, job[i].gradients + k * H, H,
                                    k > 0, job[i].gradient + column * H, H);
            k += depth;
        } while (k < job[i].rows);
    }
}

static void bwd_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct pass *pass = argument;
    const struct sco_graph *graph = pass->graph;
    switch (phase) {
    case BWD_PACK: pack(pass, first, last, 1); break;
    case BWD_GLOBALS: whole_blocks(pass, globals_bwd, graph->graphs, first, last, rank); break;
    case BWD_NODES: whole_blocks(pass, nodes_bwd, graph->nodes, first, last, rank); break;
    case BWD_EDGES: whole_blocks(pass, edges_bwd, graph->edges, first, last, rank); break;
    case BWD_ENDPOINTS: by_blocks(pass, endpoints_bwd, first, last); break;
    case BWD_GRAPHS: by_graphs(pass, first, last); break;
    default: weights_bwd(pass, first, last);
    }
}

/* ---- Calls ---- */

static const char *const layer_names[LAYERS] = {"edge", "node", "global"};
static const char *const row_names[LAYERS] = {"edges", "nodes", "globals"};

static size_t kernel_rows(const struct sco_graph_block *block, size_t l)
{
    const struct part *last = &block->part[l][PARTS - 1];
    return last->row + last->in;
}

static enum sco_status check_array(const char *group, const char *name, const char *member, const float *array,
                                   size_t count)
{
    if (array == NULL && count > 0)
        return sco_fail(SCO_INVALID, "graph block: %s%s%s.%s is NULL, but has %zu floats", group,
                        name[0] != '\0' ? "." : "", name, member, count);
    return SCO_OK;
}

static enum sco_status check_fit(const struct pass *pass)
{
    const struct sco_graph_block *block = pass->block;
    for (size_t l = 0; l < LAYERS; l++)
        if (rows_of_layer(pass, l) > block->max_rows[l])
            return sco_fail(SCO_SHAPE, "graph block: the graph has %zu %s, the block was created for %zu",
                            rows_of_layer(pass, l), l == GLOBAL ? "graphs" : row_names[l], block->max_rows[l]);
    return SCO_OK;
}

/* The four arrays of layer l, of the parameters or of their gradient. */
static enum sco_status check_layer(const struct pass *pass, const char *group, size_t l, const float *kernel,
                                   const float *bias, const float *scale, const float *shift)
{
    const size_t H = pass->block->shape.hidden;
    const struct {
        const char *member;
        const float *array;
        size_t count;
    } arrays[] = {{"kernel", kernel, kernel_rows(pass->block, l) * H},
                  {"bias", bias, H},
                  {"scale", scale, H},
                  {"shift", shift, H}};
    for (size_t i = 0; i < SCO_LEN(arrays); i++) {
        const enum sco_status status =
            check_array(group, layer_names[l], arrays[i].member, arrays[i].array, arrays[i].count);
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

static enum sco_status check_layers(const struct pass *pass)
{
    enum sco_status status = SCO_OK;
    for (size_t l = 0; l < LAYERS && status == SCO_OK; l++) {
        const struct sco_graph_layer *p = &pass->layer[l];
        status = check_layer(pass, "params", l, p->kernel, p->bias, p->scale, p->shift);
    }
    return status;
}

static enum sco_status check_gradients(const struct pass *pass)
{
    enum sco_status status = SCO_OK;
    for (size_t l = 0; l < LAYERS && status == SCO_OK; l++) {
        const struct sco_graph_layer_gradient *g = &pass->gradient[l];
        status = check_layer(pass, "gradients", l, g->kernel, g->bias, g->scale, g->shift);
    }
    return status;
}

static enum sco_status check_features(const struct pass *pass, const char *group, const float *const feature[LAYERS],
                                      const size_t columns[LAYERS])
{
    for (size_t l = 0; l < LAYERS; l++) {
        const enum sco_status status =
            check_array(group, "", row_names[l], feature[l], rows_of_layer(pass, l) * columns[l]);
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

/* A layer of the block is a layer of the generator. */
static enum sco_status take_dropout(struct sco_graph_block *block, const struct sco_dropout *dropout)
{
    enum sco_status status = SCO_OK;
    block->dropping = dropout != NULL && dropout->p != 0.0f;
    for (uint32_t l = 0; l < LAYERS && block->dropping && status == SCO_OK; l++) {
        struct sco_dropout layer = *dropout;
        layer.layer += l;
        status = sco_dropout_prepare(&block->dropout[l], block->ctx, &layer, block->shape.hidden);
    }
    return status;
}

static struct pass pass_of(struct sco_graph_block *block, const struct sco_graph *graph,
                           const struct sco_graph_block_params *params, const struct sco_graph_features *in)
{
    return (struct pass){.block = block,
                         .graph = graph,
                         .layer = {params->edge, params->node, params->global},
                         .in = {in->edges, in->nodes, in->globals}};
}

enum sco_status sco_graph_block_fwd(struct sco_graph_block *block, const struct sco_graph *graph,
                                    const struct sco_graph_block_params *params, const struct sco_dropout *dropout,
                                    const struct sco_graph_features *in, const struct sco_graph_features_out *out)
{
    struct pass pass = pass_of(block, graph, params, in);
    const struct sco_graph_block_shape *s = &block->shape;
    const size_t wide[LAYERS] = {s->edge_in, s->node_in, s->global_in},
                 hidden[LAYERS] = {s->hidden, s->hidden, s->hidden};
    pass.out[EDGE] = out->edges;
    pass.out[NODE] = out->nodes;
    pass.out[GLOBAL] = out->globals;
    enum sco_status status = check_fit(&pass);
    if (status == SCO_OK)
        status = check_layers(&pass);
    if (status == SCO_OK)
        status = check_features(&pass, "in", pass.in, wide);
    if (status == SCO_OK)
        status = take_dropout(block, dropout);
    if (status == SCO_OK)
        status = check_features(&pass, "out", (const float *const[]){out->edges, out->nodes, out->globals}, hidden);
    if (status != SCO_OK)
        return status;
    const size_t tasks[FWD_PHASES] = {pack_tasks(block, 0), graph->nodes + graph->graphs, graph->edges, graph->nodes,
                                      graph->graphs};
    sco_parallel(sco_ctx_team(block->ctx), FWD_PHASES, tasks, fwd_tasks, &pass);
    return SCO_OK;
}

enum sco_status sco_graph_block_bwd(struct sco_graph_block *block, const struct sco_graph *graph,
                                    const struct sco_graph_block_params *params, const struct sco_graph_features *in,
                                    const struct sco_graph_features *d_out, const struct sco_graph_features_out *d_in,
                                    const struct sco_graph_block_gradients *gradients)
{
    struct pass pass = pass_of(block, graph, params, in);
    const struct sco_graph_block_shape *s = &block->shape;
    const size_t wide[LAYERS] = {s->edge_in, s->node_in, s->global_in};
    const struct sco_graph_layer_gradient gradient[LAYERS] = {gradients->edge, gradients->node, gradients->global};
    for (size_t l = 0; l < LAYERS; l++) {
        pass.d_out[l] = (const float *const[]){d_out->edges, d_out->nodes, d_out->globals}[l];
        pass.d_in[l] = (float *const[]){d_in->edges, d_in->nodes, d_in->globals}[l];
        pass.gradient[l] = gradient[l];
    }
    enum sco_status status = check_fit(&pass);
    if (status == SCO_OK)
        status = check_layers(&pass);
    if (status == SCO_OK)
        status = check_gradients(&pass);
    if (status == SCO_OK)
        status = check_features(&pass, "in", pass.in, wide);
    if (status != SCO_OK)
        return status;
    const size_t tasks[BWD_PHASES] = {
        pack_tasks(block, 1), blocks_of(graph->graphs), blocks_of(graph->nodes), blocks_of(graph->edges),
        graph->nodes,         graph->graphs + LAYERS,   weight_tasks(&pass)};
    sco_parallel(sco_ctx_team(block->ctx), BWD_PHASES, tasks, bwd_tasks, &pass);
    return SCO_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * Message passing on a batch of molecules. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/random.h"
#include "microbench/op.h"
#include "stepcost/graph.h"
#include "stepcost/memory.h"

enum kind { GATHER, SCATTER, AGG, AGG_BWD, MLP, SPMM, SDDMM, BUILD, BLOCK_FWD, BLOCK_BWD, KINDS };
static const char *const ops[KINDS + 1] = {"gnn_gather", "gnn_scatter",   "gnn_agg",   "gnn_agg_bwd",
                                           "gnn_mlp",    "gnn_spmm",      "gnn_sddmm", "gnn_build",
                                           "gnn_block",  "gnn_block_bwd", NULL};

/* A batch of the OGBG workload at its average size: every graph has as many nodes and directed edges as any other, and
 * both endpoints of an edge are drawn among the nodes of its graph. */
enum { GRAPHS = 512, NODES = 13312, EDGES = 28672, HIDDEN = 256 };
enum { EDGE, NODE, GLOBAL, LAYERS };
enum { SMALL = 2 }; /* graphs that scalar code repeats */
enum { GRAPH_NODES = NODES / GRAPHS, GRAPH_EDGES = EDGES / GRAPHS };

/* Relative to the terms of a sum: of a few hundred additions in float. */
#define TOLERANCE 1e-5

struct instance {
    enum kind kind;
    struct sco_ctx *ctx;
    struct sco_graph *graph;
    struct sco_graph_mlp *mlp;
    int32_t *senders, *receivers, n_node[GRAPHS], n_edge[GRAPHS];
    float *x, *e, *dy, *y, *de; /* N, E, N, N, E rows */
    float *W1, *b1, *W2, *b2;

    /* gnn_block: outputs and gradients in arrays of LAYERS, by edge, node and graph */
    struct sco_graph_block *block;
    float *in[LAYERS], *out[LAYERS], *d_out[LAYERS], *d_in[LAYERS], *param[LAYERS], *gradient[LAYERS];
};

/* Rows of a layer's features and of its kernel, which is followed by bias, scale and shift. */
static const size_t layer_rows[LAYERS] = {EDGES, NODES, GRAPHS},
                    kernel_rows[LAYERS] = {4 * HIDDEN, 4 * HIDDEN, 3 * HIDDEN};

static void draw_endpoints(struct instance *in)
{
    for (size_t g = 0; g < GRAPHS; g++) {
        in->n_node[g] = GRAPH_NODES;
        in->n_edge[g] = GRAPH_EDGES;
    }
    for (size_t e = 0; e < EDGES; e++) {
        const int32_t base = (int32_t)(e / GRAPH_EDGES * GRAPH_NODES);
        in->senders[e] = base + (int32_t)(sco_splitmix64(0, 2 * e) % GRAPH_NODES);
        in->receivers[e] = base + (int32_t)(sco_splitmix64(0, 2 * e + 1) % GRAPH_NODES);
    }
}

static enum sco_status build(struct instance *in)
{
    const struct sco_graph_batch batch = {NODES,       EDGES,         GRAPHS,     sizeof *in->senders,
                                          in->senders, in->receivers, in->n_node, in->n_edge};
    return sco_graph_build(in->graph, &batch);
}

static const struct sco_graph_block_shape block_shape = {HIDDEN, HIDDEN, HIDDEN, HIDDEN, 1e-6f};
static const struct sco_dropout dropout = {0.1f, 1, 0, 0};

static struct sco_graph_layer layer_of(const float *param, size_t l)
{
    const float *bias = param + kernel_rows[l] * HIDDEN;
    return (struct sco_graph_layer){param, bias, bias + HIDDEN, bias + 2 * HIDDEN};
}

static struct sco_graph_layer_gradient gradient_of(float *gradient, size_t l)
{
    float *bias = gradient + kernel_rows[l] * HIDDEN;
    return (struct sco_graph_layer_gradient){gradient, bias, bias + HIDDEN, bias + 2 * HIDDEN};
}

static enum sco_status run_block(struct instance *in, int backward)
{
    const struct sco_graph_block_params params = {layer_of(in->param[EDGE], EDGE), layer_of(in->param[NODE], NODE),
                                                  layer_of(in->param[GLOBAL], GLOBAL)};
    const struct sco_graph_features features = {in->in[EDGE], in->in[NODE], in->in[GLOBAL]};
    const struct sco_graph_features_out out = {in->out[EDGE], in->out[NODE], in->out[GLOBAL]};
    if (!backward)
        return sco_graph_block_fwd(in->block, in->graph, &params, &dropout, &features, &out);
    const struct sco_graph_features d_out = {in->d_out[EDGE], in->d_out[NODE], in->d_out[GLOBAL]};
    const struct sco_graph_features_out d_in = {in->d_in[EDGE], in->d_in[NODE], in->d_in[GLOBAL]};
    const struct sco_graph_block_gradients gradients = {gradient_of(in->gradient[EDGE], EDGE),
                                                        gradient_of(in->gradient[NODE], NODE),
                                                        gradient_of(in->gradient[GLOBAL], GLOBAL)};
    return sco_graph_block_bwd(in->block, in->graph, &params, &features, &d_out, &d_in, &gradients);
}

static enum sco_status step(void *data)
{
    struct instance *in = data;
    switch (in->kind) {
    case GATHER: return sco_graph_gather(in->graph, SCO_GRAPH_SENDER, HIDDEN, in->x, in->de);
    case SCATTER: return sco_graph_sum(in->graph, SCO_GRAPH_RECEIVER, HIDDEN, in->e, in->y);
    case AGG: return sco_graph_relu_sum(in->graph, HIDDEN, in->x, in->e, in->y);
    case AGG_BWD: return sco_graph_relu_sum_bwd(in->graph, HIDDEN, in->x, in->e, in->dy, in->y, in->de);
    case MLP: return sco_graph_mlp_fwd(in->mlp, in->graph, in->x, in->e, in->W1, in->b1, in->W2, in->b2, in->y);
    case SPMM: return sco_graph_spmm(in->graph, SCO_GRAPH_RECEIVER, HIDDEN, in->e, in->x, in->y);
    case SDDMM: return sco_graph_sddmm(in->graph, HIDDEN, in->dy, in->x, in->de);
    case BUILD: return build(in);
    case BLOCK_FWD: return run_block(in, 0);
    case BLOCK_BWD: return run_block(in, 1);
    case KINDS: break;
    }
    return SCO_OK;
}

static void destroy(void *data)
{
    struct instance *in = data;
    sco_graph_mlp_destroy(in->mlp);
    sco_graph_block_destroy(in->block);
    for (size_t l = 0; l < LAYERS; l++) {
        float *const of_layer[] = {in->in[l], in->out[l], in->d_out[l], in->d_in[l], in->param[l], in->gradient[l]};
        for (size_t i = 0; i < sizeof of_layer / sizeof *of_layer; i++)
            sco_free(of_layer[i]);
    }
    sco_graph_destroy(in->graph);
    float *const arrays[] = {in->x, in->e, in->dy, in->y, in->de, in->W1, in->b1, in->W2, in->b2};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        sco_free(arrays[i]);
    sco_free(in->senders);
    sco_free(in->receivers);
    free(in);
}

/* ---- Plain code ---- */

struct sum {
    double value, magnitude;
};

static void add(struct sum *sum, double term)
{
    sum->value += term;
    sum->magnitude += fabs(term);
}

static enum sco_status compare(const struct instance *in, const char *what, const float *got, size_t row,
                               const struct sum *want, size_t columns)
{
    for (size_t j = 0; j < columns; j++)
        if (!(fabs((double)got[row * columns + j] - want[j].value) <= TOLERANCE * (want[j].magnitude + 1e-3)))
            return sco_fail(SCO_INVALID, "%s: %s of row %zu, column %zu is %.9g, not %.9g", ops[in->kind], what, row, j,
                            (double)got[row * columns + j], want[j].value);
    return SCO_OK;
}

static double message(const struct instance *in, size_t e, size_t j)
{
    const float v = in->x[(size_t)in->senders[e] * HIDDEN + j] + in->e[e * HIDDEN + j];
    return v > 0.0f ? (double)v : 0.0;
}

/* Hidden units of an edge before its sum; a dense product per edge, so only a few rows are compared. */
static void hidden_units(const struct instance *in, size_t e, double hidden[HIDDEN])
{
    const float *part[3] = {in->x + (size_t)in->senders[e] * HIDDEN, in->x + (size_t)in->receivers[e] * HIDDEN,
                            in->e + e * HIDDEN};
    for (size_t j = 0; j < HIDDEN; j++) {
        hidden[j] = (double)in->b1[j];
        for (size_t k = 0; k < 3 * HIDDEN; k++)
            hidden[j] += (double)part[k / HIDDEN][k % HIDDEN] * (double)in->W1[k * HIDDEN + j];
        hidden[j] = fmax(hidden[j], 0.0);
    }
}

static enum sco_status verify_nodes(const struct instance *in)
{
    struct sum *want = calloc((size_t)NODES * HIDDEN, sizeof *want);
    if (want == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory to verify", ops[in->kind]);
    for (size_t e = 0; e < EDGES; e++) {
        const size_t sender = (size_t)in->senders[e], receiver = (size_t)in->receivers[e];
        for (size_t j = 0; j < HIDDEN; j++)
            switch (in->kind) {
            case SCATTER: add(&want[receiver * HIDDEN + j], (double)in->e[e * HIDDEN + j]); break;
            case AGG: add(&want[receiver * HIDDEN + j], message(in, e, j)); break;
            case SPMM: add(&want[receiver * HIDDEN + j], (double)in->e[e] * (double)in->x[sender * HIDDEN + j]); break;
            default:
                add(&want[sender * HIDDEN + j], message(in, e, j) > 0.0 ? (double)in->dy[receiver * HIDDEN + j] : 0.0);
            }
    }
    enum sco_status status = SCO_OK;
    for (size_t n = 0; n < NODES && status == SCO_OK; n++)
        status = compare(in, "sum", in->y, n, want + n * HIDDEN, HIDDEN);
    free(want);
    return status;
}

static enum sco_status verify_edges(const struct instance *in)
{
    struct sum want[HIDDEN];
    for (size_t e = 0; e < EDGES; e++) {
        const float *x = in->x + (size_t)in->senders[e] * HIDDEN, *dy = in->dy + (size_t)in->receivers[e] * HIDDEN;
        memset(want, 0, sizeof want);
        for (size_t j = 0; j < HIDDEN; j++)
            if (in->kind == GATHER)
                add(&want[j], (double)x[j]);
            else if (in->kind == AGG_BWD)
                add(&want[j], message(in, e, j) > 0.0 ? (double)dy[j] : 0.0);
            else
                add(&want[0], (double)x[j] * (double)dy[j]);
        const enum sco_status status = compare(in, "row", in->de, e, want, in->kind == SDDMM ? 1 : HIDDEN);
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

static enum sco_status verify_mlp(const struct instance *in)
{
    enum { SAMPLED = 3 };
    for (size_t sample = 0; sample < SAMPLED; sample++) {
        const size_t n = sample * (NODES - 1) / (SAMPLED - 1);
        struct sum want[HIDDEN] = {{0.0, 0.0}};
        for (size_t e = 0; e < EDGES; e++) {
            if ((size_t)in->receivers[e] != n)
                continue;
            double hidden[HIDDEN];
            hidden_units(in, e, hidden);
            for (size_t j = 0; j < HIDDEN; j++) {
                add(&want[j], (double)in->b2[j]);
                for (size_t k = 0; k < HIDDEN; k++)
                    add(&want[j], hidden[k] * (double)in->W2[k * HIDDEN + j]);
            }
        }
        const enum sco_status status = compare(in, "sum", in->y, n, want, HIDDEN);
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

/* The first two graphs of the batch alone on ctx, with outputs and gradients in arrays of small's own. */
static enum sco_status run_small(struct instance *small, const struct instance *in, struct sco_ctx *ctx)
{
    const size_t rows[LAYERS] = {SMALL * GRAPH_EDGES, SMALL * GRAPH_NODES, SMALL};
    *small = *in;
    for (size_t l = 0; l < LAYERS; l++)
        small->out[l] = small->d_in[l] = small->gradient[l] = NULL;
    small->graph = NULL;
    small->block = NULL;
    enum sco_status status = SCO_OK;
    for (size_t l = 0; l < LAYERS; l++) {
        small->out[l] = sco_alloc(rows[l] * HIDDEN * sizeof(float));
        small->d_in[l] = sco_alloc(rows[l] * HIDDEN * sizeof(float));
        small->gradient[l] = sco_alloc((kernel_rows[l] + 3) * HIDDEN * sizeof(float));
        if (small->out[l] == NULL || small->d_in[l] == NULL || small->gradient[l] == NULL)
            status = sco_fail(SCO_NOMEM, "%s: no memory to verify", ops[in->kind]);
    }
    const struct sco_graph_batch batch = {rows[NODE],  rows[EDGE],    SMALL,      sizeof *in->senders,
                                          in->senders, in->receivers, in->n_node, in->n_edge};
    if (status == SCO_OK)
        status = sco_graph_create(&small->graph, ctx, rows[NODE], rows[EDGE], SMALL);
    if (status == SCO_OK)
        status = sco_graph_build(small->graph, &batch);
    if (status == SCO_OK)
        status = sco_graph_block_create(&small->block, ctx, &block_shape, rows[NODE], rows[EDGE], SMALL);
    if (status == SCO_OK)
        status = run_block(small, 0);
    if (status == SCO_OK)
        status = run_block(small, 1);
    return status;
}

static void free_small(struct instance *small)
{
    for (size_t l = 0; l < LAYERS; l++) {
        sco_free(small->out[l]);
        sco_free(small->d_in[l]);
        sco_free(small->gradient[l]);
    }
    sco_graph_block_destroy(small->block);
    sco_graph_destroy(small->graph);
}

static enum sco_status same_bits(const struct instance *in, const char *what, const float *got, const float *want,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            return sco_fail(SCO_INVALID, "%s: %s[%zu] is %.9g, by scalar code %.9g", ops[in->kind], what, i,
                            (double)got[i], (double)want[i]);
    return SCO_OK;
}

/* Rows of a graph depend on nothing outside it, so those of the first graphs must come out as by scalar code from these
 * graphs alone; gradients of weights are compared on them. */
static enum sco_status verify_block(struct instance *in)
{
    const size_t rows[LAYERS] = {SMALL * GRAPH_EDGES, SMALL * GRAPH_NODES, SMALL};
    const struct sco_ctx_options options = {.isa = "scalar", .threads = 1, .unbound = 1};
    struct sco_ctx *scalar = NULL;
    struct instance plain = {.ctx = NULL}, small = {.ctx = NULL};
    enum sco_status status = run_block(in, 0);
    if (status == SCO_OK)
        status = run_block(in, 1);
    if (status == SCO_OK)
        status = sco_ctx_create(&scalar, &options);
    if (status == SCO_OK)
        status = run_small(&plain, in, scalar);
    if (status == SCO_OK)
        status = run_small(&small, in, in->ctx);
    for (size_t l = 0; l < LAYERS && status == SCO_OK; l++) {
        status = same_bits(in, "output", in->out[l], plain.out[l], rows[l] * HIDDEN);
        if (status == SCO_OK)
            status = same_bits(in, "gradient of an input", in->d_in[l], plain.d_in[l], rows[l] * HIDDEN);
        if (status == SCO_OK)
            status = same_bits(in, "gradient of a weight", small.gradient[l], plain.gradient[l],
                               (kernel_rows[l] + 3) * HIDDEN);
    }
    free_small(&plain);
    free_small(&small);
    sco_ctx_destroy(scalar);
    return status;
}

static enum sco_status verify(struct instance *in)
{
    if (in->kind == BLOCK_FWD || in->kind == BLOCK_BWD)
        return verify_block(in);
    enum sco_status status = step(in);
    if (status == SCO_OK && in->kind == MLP)
        return verify_mlp(in);
    if (status == SCO_OK && (in->kind == GATHER || in->kind == AGG_BWD || in->kind == SDDMM))
        status = verify_edges(in);
    if (status == SCO_OK && in->kind != GATHER && in->kind != SDDMM && in->kind != BUILD)
        status = verify_nodes(in);
    return status;
}

/* ---- The class ---- */

static const char *name(const char *op, size_t index)
{
    (void)op;
    return index == 0 ? "molpcba512" : NULL;
}

static const char *const *variants(const char *op)
{
    static const char *const only[] = {"", NULL};
    (void)op;
    return only;
}

static enum sco_status drawn(const struct instance *in, float **array, size_t count, uint64_t seed, float deviation)
{
    *array = sco_alloc(count * sizeof **array);
    if (*array == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for %zu floats", ops[in->kind], count);
    sco_draw(sco_ctx_team(in->ctx), *array, count, seed, deviation);
    return SCO_OK;
}

static enum sco_status allocate_block(struct instance *in)
{
    enum sco_status status = SCO_OK;
    for (size_t l = 0; l < LAYERS && status == SCO_OK; l++) {
        const size_t features = layer_rows[l] * HIDDEN, params = (kernel_rows[l] + 3) * HIDDEN;
        const struct {
            float **array;
            size_t count;
            float deviation;
        } arrays[] = {{&in->in[l], features, 1.0f},   {&in->out[l], features, 0.0f},  {&in->d_out[l], features, 1.0f},
                      {&in->d_in[l], features, 0.0f}, {&in->param[l], params, 0.05f}, {&in->gradient[l], params, 0.0f}};
        for (size_t i = 0; i < sizeof arrays / sizeof *arrays && status == SCO_OK; i++)
            status = drawn(in, arrays[i].array, arrays[i].count, 100 + 10 * l + i, arrays[i].deviation);
    }
    return status == SCO_OK ? sco_graph_block_create(&in->block, in->ctx, &block_shape, NODES, EDGES, GRAPHS) : status;
}

static enum sco_status allocate(struct instance *in)
{
    const size_t N = (size_t)NODES * HIDDEN, E = (size_t)EDGES * HIDDEN;
    struct {
        float **array;
        size_t count;
        float deviation;
    } const arrays[] = {{&in->x, N, 1.0f},        {&in->e, E, 1.0f},
                        {&in->dy, N, 1.0f},       {&in->y, N, 0.0f},
                        {&in->de, E, 0.0f},       {&in->W1, 3 * HIDDEN * HIDDEN, 0.05f},
                        {&in->b1, HIDDEN, 0.05f}, {&in->W2, HIDDEN * HIDDEN, 0.05f},
                        {&in->b2, HIDDEN, 0.05f}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        const enum sco_status status = drawn(in, arrays[i].array, arrays[i].count, i, arrays[i].deviation);
        if (status != SCO_OK)
            return status;
    }
    in->senders = sco_alloc(EDGES * sizeof *in->senders);
    in->receivers = sco_alloc(EDGES * sizeof *in->receivers);
    if (in->senders == NULL || in->receivers == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for %d edges", ops[in->kind], EDGES);
    draw_endpoints(in);
    return SCO_OK;
}

static void count_costs(struct sco_op_instance *instance, enum kind kind)
{
    const double N = NODES, E = EDGES, G = GRAPHS, H = HIDDEN;
    const struct {
        double bytes, flops;
    } costs[KINDS] = {
        [GATHER] = {4 * H * (N + E) + 4 * E, 0},
        [SCATTER] = {4 * H * (N + E) + 4 * E, E * H},
        [AGG] = {4 * H * (2 * N + E) + 8 * E, 3 * E * H},
        [AGG_BWD] = {4 * H * (3 * N + 2 * E) + 8 * E, 3 * E * H},
        [MLP] = {4 * H * (2 * N + E), 2 * H * H * (E + 3 * N) + 3 * E * H},
        [SPMM] = {4 * H * 2 * N + 12 * E, 2 * E * H},
        [SDDMM] = {4 * H * 2 * N + 12 * E, 2 * E * H},
        [BUILD] = {8 * E + 24 * E + 12 * N, 0},
        [BLOCK_FWD] = {4 * H * (3 * E + 3 * N), 2 * H * H * (E + 5 * N + 5 * G)},
        [BLOCK_BWD] = {4 * H * (6 * E + 6 * N), 4 * H * H * (E + 5 * N + 5 * G)},
    };
    instance->bytes = costs[kind].bytes;
    instance->flops = costs[kind].flops;
    instance->items = E;
    instance->item = "edge";
}

static enum sco_status prepare(struct sco_op_instance *instance, struct sco_ctx *ctx,
                               const struct sco_op_request *request)
{
    if (strcmp(request->name, name(request->op, 0)) != 0 || strcmp(request->variant, "") != 0)
        return sco_fail(SCO_UNSUPPORTED, "operator %s: case %s, variant '%s' is unknown", request->op, request->name,
                        request->variant);
    struct instance *in = calloc(1, sizeof *in);
    if (in == NULL)
        return sco_fail(SCO_NOMEM, "operator %s: out of memory", request->op);
    in->ctx = ctx;
    while (strcmp(ops[in->kind], request->op) != 0)
        in->kind++;
    enum sco_status status = allocate(in);
    if (status == SCO_OK)
        status = sco_graph_create(&in->graph, ctx, NODES, EDGES, GRAPHS);
    if (status == SCO_OK)
        status = build(in);
    if (status == SCO_OK && in->kind == MLP)
        status =
            sco_graph_mlp_create(&in->mlp, ctx, &(struct sco_graph_mlp_shape){HIDDEN, HIDDEN, HIDDEN, HIDDEN}, NODES);
    if (status == SCO_OK && (in->kind == BLOCK_FWD || in->kind == BLOCK_BWD))
        status = allocate_block(in);
    if (status == SCO_OK)
        status = verify(in);
    if (status != SCO_OK) {
        destroy(in);
        return status;
    }
    *instance = (struct sco_op_instance){.data = in, .step = step, .destroy = destroy};
    count_costs(instance, in->kind);
    return SCO_OK;
}

const struct sco_op_class sco_graph_op_class = {ops, name, variants, prepare};

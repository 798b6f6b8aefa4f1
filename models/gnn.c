/* SPDX-License-Identifier: Apache-2.0
 * The graph network of AlgoPerf's ogbg workload: two embeddings, steps of message passing, a decoder of the globals. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "models/model.h"
#include "models/op_dense.h"
#include "stepcost/activation.h"
#include "stepcost/graph.h"
#include "stepcost/loss.h"

/* MOST_STEPS bounds names and memory, nothing else. */
enum { NODE_FEATURES = 9, EDGE_FEATURES = 3, MLPS = 3, MOST_STEPS = 64 };
enum { EDGE, NODE, GLOBAL }; /* order of the MLPs of a step */

struct dense {
    struct sco_dense dense;
    size_t kernel, bias; /* parameters */
};

struct mlp {
    size_t kernel, bias, scale, shift; /* parameters */
};

/* Features of edges, nodes and globals; those of an embedding have no globals. */
struct features {
    size_t edges, nodes, globals; /* regions */
};

struct step {
    struct sco_graph_block_shape shape;
    struct mlp mlp[MLPS];
    size_t zero_inputs; /* last rows of every kernel whose inputs are zero, and which shape leaves out */
    struct sco_graph_block *block;
    struct features out;
};

struct gnn {
    size_t hidden, steps, tasks;
    struct sco_graph *graph;
    struct dense embed_nodes, embed_edges, decoder;
    struct features embedded;
    struct step *step;
    size_t logits, d_logits, d_globals; /* regions */
    size_t packed, bias_workspace, loss_workspace;
};

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

static size_t product(size_t a, size_t b)
{
    size_t bytes;
    return __builtin_mul_overflow(a, b, &bytes) ? SIZE_MAX : bytes;
}

static size_t matrix_bytes(size_t rows, size_t columns)
{
    return product(product(rows, columns), sizeof(float));
}

static void declare_dense(struct sco_model *model, struct dense *layer, size_t number, size_t in, size_t out)
{
    layer->dense = (struct sco_dense){model->ctx, in, out, NULL};
    layer->kernel =
        sco_model_param(model, SCO_INIT_LECUN_NORMAL, 0.0, 2, (size_t[]){in, out}, "Dense_%zu/kernel", number);
    layer->bias = sco_model_param(model, SCO_INIT_CONSTANT, 0.0, 1, &out, "Dense_%zu/bias", number);
}

static void declare_mlp(struct sco_model *model, struct mlp *mlp, size_t number, size_t in, size_t hidden)
{
    /* Flax counts layers of a kind: two embeddings come before the first of these. */
    struct dense dense;
    declare_dense(model, &dense, number + 2, in, hidden);
    mlp->kernel = dense.kernel;
    mlp->bias = dense.bias;
    mlp->scale = sco_model_param(model, SCO_INIT_CONSTANT, 1.0, 1, &hidden, "LayerNorm_%zu/scale", number);
    mlp->shift = sco_model_param(model, SCO_INIT_CONSTANT, 0.0, 1, &hidden, "LayerNorm_%zu/bias", number);
}

static struct features declare_features(struct sco_model *model, size_t hidden, size_t graphs)
{
    const struct sco_model_config *c = &model->config;
    struct features out = {sco_model_activation(model, matrix_bytes(c->max_edges, hidden)),
                           sco_model_activation(model, matrix_bytes(c->max_nodes, hidden)), 0};
    if (graphs > 0)
        out.globals = sco_model_activation(model, matrix_bytes(graphs, hidden));
    return out;
}

/* The globals of the first step are zeros, one column a task. They add nothing, so that the block of this step has none:
 * their rows of a kernel come last and get a gradient of zeros. */
static void declare_step(struct sco_model *model, struct gnn *gnn, size_t s)
{
    const struct sco_model_config *c = &model->config;
    const size_t H = gnn->hidden, globals = s == 0 ? gnn->tasks : H;
    struct step *step = &gnn->step[s];
    step->zero_inputs = s == 0 ? globals : 0;
    step->shape = (struct sco_graph_block_shape){H, H, globals - step->zero_inputs, H, 1e-6f};
    sco_model_group(model, 0);
    declare_mlp(model, &step->mlp[EDGE], MLPS * s + EDGE, 3 * H + globals, H);
    declare_mlp(model, &step->mlp[NODE], MLPS * s + NODE, 3 * H + globals, H);
    declare_mlp(model, &step->mlp[GLOBAL], MLPS * s + GLOBAL, 2 * H + globals, H);
    step->out = declare_features(model, H, c->batch);
    sco_model_external(model, sco_graph_block_bytes(model->ctx, &step->shape, c->max_nodes, c->max_edges, c->batch));
    const double globals_in = (double)step->shape.global_in;
    model->plan.forward_flops += 2.0 * (double)H *
                                 ((double)c->max_edges * (double)H + 5.0 * (double)c->max_nodes * (double)H +
                                  (double)c->batch * (3.0 * globals_in + 2.0 * (double)H));
}

static enum sco_status check_config(struct sco_model_config *c)
{
    if (c->depth == 0)
        c->depth = 5;
    if (c->classes == 0)
        c->classes = 128;
    if (!c->has_dropout)
        c->dropout = 0.1f;
    c->has_dropout = 1;
    if (c->max_nodes == 0 || c->max_edges == 0)
        return sco_fail(
            SCO_INVALID,
            "max_nodes is %zu and max_edges %zu; give the most that a batch may have (sco_dataset_get_facts)",
            c->max_nodes, c->max_edges);
    if (c->depth > MOST_STEPS)
        return sco_fail(SCO_INVALID, "depth is %zu steps of message passing; possible: 1 to %d", c->depth, MOST_STEPS);
    if (c->max_nodes > INT32_MAX || c->max_edges > INT32_MAX || c->batch > INT32_MAX || c->classes > INT32_MAX)
        return sco_fail(SCO_SHAPE, "%zu nodes, %zu edges, %zu molecules and %zu tasks: each may be at most %d",
                        c->max_nodes, c->max_edges, c->batch, c->classes, INT32_MAX);
    return SCO_OK;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static enum sco_status plan(struct sco_model *model)
{
    struct sco_model_config *c = &model->config;
    const enum sco_status status = check_config(c);
    if (status != SCO_OK)
        return status;
    struct gnn *gnn = model->layers = calloc(1, sizeof *gnn);
    if (gnn == NULL || (gnn->step = calloc(c->depth, sizeof *gnn->step)) == NULL)
        return sco_fail(SCO_NOMEM, "no memory to plan a model");
    const size_t H = gnn->hidden = sco_model_width(model, 256);
    gnn->steps = c->depth;
    gnn->tasks = c->classes;
    sco_model_group(model, 0);
    declare_dense(model, &gnn->embed_nodes, 0, NODE_FEATURES, H);
    sco_model_group(model, 0);
    declare_dense(model, &gnn->embed_edges, 1, EDGE_FEATURES, H);
    gnn->embedded = declare_features(model, H, 0);
    const double embedding = (double)H * (double)(c->max_nodes * NODE_FEATURES + c->max_edges * EDGE_FEATURES);
    for (size_t s = 0; s < gnn->steps; s++)
        declare_step(model, gnn, s);
    sco_model_group(model, 0);
    declare_dense(model, &gnn->decoder, 2 + MLPS * gnn->steps, H, gnn->tasks);
    gnn->logits = sco_model_activation(model, matrix_bytes(c->batch, gnn->tasks));
    gnn->d_logits = sco_model_activation(model, matrix_bytes(c->batch, gnn->tasks));
    gnn->d_globals = sco_model_activation(model, matrix_bytes(c->batch, H));
    gnn->packed = sco_model_workspace(
        model, larger(sco_dense_packed_bytes(NODE_FEATURES, H), sco_dense_packed_bytes(H, gnn->tasks)));
    gnn->bias_workspace = sco_model_workspace(model, larger(larger(sco_row_bias_workspace_bytes(c->max_nodes, H),
                                                                   sco_row_bias_workspace_bytes(c->max_edges, H)),
                                                            sco_row_bias_workspace_bytes(c->batch, gnn->tasks)));
    gnn->loss_workspace = sco_model_workspace(model, sco_loss_workspace_bytes(product(c->batch, gnn->tasks)));
    sco_model_external(model, sco_graph_bytes(c->max_nodes, c->max_edges, c->batch));
    const double decoding = 2.0 * (double)c->batch * (double)H * (double)gnn->tasks;
    /* The embeddings have no gradient of inputs; every other product has two gradients. */
    model->plan.backward_flops = 2.0 * (model->plan.forward_flops + decoding) + 2.0 * embedding;
    model->plan.forward_flops += decoding + 2.0 * embedding;
    return model->status;
}

static enum sco_status setup(struct sco_model *model)
{
    const struct sco_model_config *c = &model->config;
    struct gnn *gnn = model->layers;
    struct dense *const layers[] = {&gnn->embed_nodes, &gnn->embed_edges, &gnn->decoder};
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++)
        layers[i]->dense.packed = sco_model_at(model, gnn->packed);
    enum sco_status status = sco_graph_create(&gnn->graph, model->ctx, c->max_nodes, c->max_edges, c->batch);
    for (size_t s = 0; s < gnn->steps && status == SCO_OK; s++)
        status = sco_graph_block_create(&gnn->step[s].block, model->ctx, &gnn->step[s].shape, c->max_nodes,
                                        c->max_edges, c->batch);
    return status;
}

static void destroy(struct sco_model *model)
{
    struct gnn *gnn = model->layers;
    if (gnn == NULL)
        return;
    for (size_t s = 0; gnn->step != NULL && s < gnn->steps; s++)
        sco_graph_block_destroy(gnn->step[s].block);
    sco_graph_destroy(gnn->graph);
    free(gnn->step);
    free(gnn);
}

/* ---- Batches ----------------------------------------------------------------------------------------------------- */

static enum sco_status check_endpoints(const char *name, const int32_t *end, const struct sco_molecules *m)
{
    for (size_t e = 0; e < m->edges; e++)
        if (end[e] < 0 || (size_t)end[e] >= m->nodes)
            return sco_fail(SCO_FORMAT, "%s of edge %zu is node %d; the batch has %zu nodes", name, e, end[e],
                            m->nodes);
    return SCO_OK;
}

static enum sco_status check_counts(const char *name, const int32_t *count, size_t graphs, size_t total)
{
    size_t sum = 0;
    for (size_t g = 0; g < graphs; g++) {
        if (count[g] < 0)
            return sco_fail(SCO_FORMAT, "%s of molecule %zu is %d", name, g, count[g]);
        sum += (size_t)count[g];
    }
    if (sum != total)
        return sco_fail(SCO_FORMAT, "%s adds up to %zu; the batch has %zu", name, sum, total);
    return SCO_OK;
}

static enum sco_status check_labels(const struct sco_molecules *m)
{
    for (size_t i = 0; i < m->graphs * m->tasks; i++)
        if (m->label[i] != 0.0f && m->label[i] != 1.0f && !isnan(m->label[i]))
            return sco_fail(SCO_FORMAT, "label of molecule %zu, task %zu is %g; possible: 0, 1, NaN where missing",
                            i / m->tasks, i % m->tasks, (double)m->label[i]);
    return SCO_OK;
}

static enum sco_status check_batch(const struct sco_model_config *c, const struct sco_molecules *m)
{
    if (m->nodes > c->max_nodes || m->edges > c->max_edges || m->graphs > c->batch)
        return sco_fail(SCO_SHAPE,
                        "the batch has %zu nodes, %zu edges, %zu molecules; the model was planned for %zu, %zu, %zu",
                        m->nodes, m->edges, m->graphs, c->max_nodes, c->max_edges, c->batch);
    if (m->tasks != c->classes)
        return sco_fail(SCO_SHAPE, "the batch has %zu tasks, the model %zu", m->tasks, c->classes);
    enum sco_status status = check_counts("n_node", m->n_node, m->graphs, m->nodes);
    if (status == SCO_OK)
        status = check_counts("n_edge", m->n_edge, m->graphs, m->edges);
    if (status == SCO_OK)
        status = check_endpoints("sender", m->senders, m);
    if (status == SCO_OK)
        status = check_endpoints("receiver", m->receivers, m);
    if (status == SCO_OK)
        status = check_labels(m);
    return status;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

static struct sco_graph_layer layer_of(const struct sco_model *model, const struct mlp *mlp)
{
    return (struct sco_graph_layer){sco_model_p(model, mlp->kernel), sco_model_p(model, mlp->bias),
                                    sco_model_p(model, mlp->scale), sco_model_p(model, mlp->shift)};
}

static struct sco_graph_layer_gradient gradient_of(const struct sco_model *model, const struct mlp *mlp)
{
    return (struct sco_graph_layer_gradient){sco_model_g(model, mlp->kernel), sco_model_g(model, mlp->bias),
                                             sco_model_g(model, mlp->scale), sco_model_g(model, mlp->shift)};
}

static struct sco_graph_block_params params_of(const struct sco_model *model, const struct step *step)
{
    return (struct sco_graph_block_params){layer_of(model, &step->mlp[EDGE]), layer_of(model, &step->mlp[NODE]),
                                           layer_of(model, &step->mlp[GLOBAL])};
}

static struct sco_graph_features_out outputs_of(const struct sco_model *model, const struct step *step)
{
    return (struct sco_graph_features_out){sco_model_at(model, step->out.edges), sco_model_at(model, step->out.nodes),
                                           sco_model_at(model, step->out.globals)};
}

static struct sco_graph_features inputs_of(const struct sco_model *model, size_t s)
{
    const struct gnn *gnn = model->layers;
    if (s == 0)
        return (struct sco_graph_features){sco_model_at(model, gnn->embedded.edges),
                                           sco_model_at(model, gnn->embedded.nodes), NULL};
    const struct sco_graph_features_out out = outputs_of(model, &gnn->step[s - 1]);
    return (struct sco_graph_features){out.edges, out.nodes, out.globals};
}

static enum sco_status steps_fwd(struct sco_model *model, enum sco_model_mode mode, uint64_t number)
{
    const struct gnn *gnn = model->layers;
    const int dropping = mode == SCO_MODEL_TRAIN && model->config.dropout > 0.0f;
    enum sco_status status = SCO_OK;
    for (size_t s = 0; s < gnn->steps && status == SCO_OK; s++) {
        const struct step *step = &gnn->step[s];
        const struct sco_dropout dropout = {.p = model->config.dropout,
                                            .seed = model->config.seed + (number >> 32),
                                            .layer = (uint32_t)(MLPS * s),
                                            .step = (uint32_t)number};
        const struct sco_graph_block_params params = params_of(model, step);
        const struct sco_graph_features in = inputs_of(model, s);
        const struct sco_graph_features_out out = outputs_of(model, step);
        status = sco_graph_block_fwd(step->block, gnn->graph, &params, dropping ? &dropout : NULL, &in, &out);
    }
    return status;
}

static void dense_fwd(const struct sco_model *model, const struct dense *layer, size_t rows, const float *x, float *y)
{
    sco_dense_fwd(&layer->dense, rows, x, sco_model_p(model, layer->kernel), sco_model_p(model, layer->bias), y);
}

static enum sco_status forward(struct sco_model *model, const struct sco_batch *batch, enum sco_model_mode mode,
                               uint64_t number, struct sco_model_result *result)
{
    const struct sco_molecules *m = &batch->molecules;
    struct gnn *gnn = model->layers;
    enum sco_status status = check_batch(&model->config, m);
    if (status == SCO_OK)
        status = sco_graph_build(gnn->graph, &(struct sco_graph_batch){.nodes = m->nodes,
                                                                       .edges = m->edges,
                                                                       .graphs = m->graphs,
                                                                       .index_bytes = sizeof(int32_t),
                                                                       .senders = m->senders,
                                                                       .receivers = m->receivers,
                                                                       .n_node = m->n_node,
                                                                       .n_edge = m->n_edge});
    if (status != SCO_OK)
        return status;
    dense_fwd(model, &gnn->embed_nodes, m->nodes, m->node, sco_model_at(model, gnn->embedded.nodes));
    dense_fwd(model, &gnn->embed_edges, m->edges, m->edge, sco_model_at(model, gnn->embedded.edges));
    status = steps_fwd(model, mode, number);
    if (status != SCO_OK)
        return status;
    float *logits = sco_model_at(model, gnn->logits);
    dense_fwd(model, &gnn->decoder, m->graphs, outputs_of(model, &gnn->step[gnn->steps - 1]).globals, logits);
    struct sco_loss loss;
    status =
        sco_sigmoid_cross_entropy(model->ctx, m->graphs * m->tasks, logits, m->label,
                                  sco_model_at(model, gnn->loss_workspace), model->regions[gnn->loss_workspace].bytes,
                                  &loss, mode == SCO_MODEL_TRAIN ? (float *)sco_model_at(model, gnn->d_logits) : NULL);
    /* AlgoPerf's evaluation divides by all entries, missing labels being zeros of its sum. */
    *result = (struct sco_model_result){
        .loss = loss.mean, .loss_sum = loss.sum, .loss_count = (double)m->graphs * (double)m->tasks};
    model->outputs = logits;
    model->output_rows = m->graphs;
    model->output_columns = m->tasks;
    return status;
}

/* Gradients of a dense layer, which is a group. */
static enum sco_status dense_bwd(struct sco_model *model, const struct dense *layer, size_t rows, const float *x,
                                 const float *dy, float *dx)
{
    const struct gnn *gnn = model->layers;
    sco_dense_bwd(&layer->dense, rows, x, sco_model_p(model, layer->kernel), dy, dx, sco_model_g(model, layer->kernel));
    const enum sco_status status =
        sco_row_bias_bwd(model->ctx, rows, layer->dense.out, dy, sco_model_g(model, layer->bias),
                         sco_model_at(model, gnn->bias_workspace));
    return status == SCO_OK ? sco_model_done(model, layer->kernel) : status;
}

static void zero_last_rows(const struct sco_model *model, const struct step *step)
{
    for (size_t i = 0; i < MLPS && step->zero_inputs > 0; i++) {
        const struct sco_param *kernel = &model->params[step->mlp[i].kernel];
        const size_t count = step->zero_inputs * step->shape.hidden;
        memset(sco_model_g(model, step->mlp[i].kernel) + kernel->elements - count, 0, count * sizeof(float));
    }
}

/* What a step gave is not read again once the step after it is done: gradients of its inputs take that place. */
static enum sco_status step_bwd(struct sco_model *model, size_t s)
{
    const struct gnn *gnn = model->layers;
    const struct step *step = &gnn->step[s];
    const int is_last = s + 1 == gnn->steps;
    const struct sco_graph_block_params params = params_of(model, step);
    const struct sco_graph_features in = inputs_of(model, s);
    const struct sco_graph_features_out above =
        is_last ? (struct sco_graph_features_out){NULL, NULL, sco_model_at(model, gnn->d_globals)}
                : outputs_of(model, &gnn->step[s + 1]);
    const struct sco_graph_features d_out = {above.edges, above.nodes, above.globals};
    struct sco_graph_features_out d_in = outputs_of(model, step);
    if (s == 0)
        d_in.globals = NULL;
    const struct sco_graph_block_gradients gradients = {gradient_of(model, &step->mlp[EDGE]),
                                                        gradient_of(model, &step->mlp[NODE]),
                                                        gradient_of(model, &step->mlp[GLOBAL])};
    zero_last_rows(model, step);
    const enum sco_status status =
        sco_graph_block_bwd(step->block, gnn->graph, &params, &in, &d_out, &d_in, &gradients);
    return status == SCO_OK ? sco_model_done(model, step->mlp[EDGE].kernel) : status;
}

static enum sco_status backward(struct sco_model *model)
{
    const struct gnn *gnn = model->layers;
    const struct sco_molecules *m = &model->batch.molecules;
    enum sco_status status =
        dense_bwd(model, &gnn->decoder, m->graphs, outputs_of(model, &gnn->step[gnn->steps - 1]).globals,
                  sco_model_at(model, gnn->d_logits), sco_model_at(model, gnn->d_globals));
    for (size_t s = gnn->steps; s-- > 0 && status == SCO_OK;)
        status = step_bwd(model, s);
    const struct sco_graph_features_out d_embedded = outputs_of(model, &gnn->step[0]);
    if (status == SCO_OK)
        status = dense_bwd(model, &gnn->embed_edges, m->edges, m->edge, d_embedded.edges, NULL);
    if (status == SCO_OK)
        status = dense_bwd(model, &gnn->embed_nodes, m->nodes, m->node, d_embedded.nodes, NULL);
    return status;
}

const struct sco_model_type sco_gnn_type = {plan, setup, forward, backward, destroy};

/* SPDX-License-Identifier: Apache-2.0
 * The graph network of AlgoPerf's ogbg workload: two embeddings, steps of message passing, a decoder of the globals.
 *
 * Embeddings are linear and so is what the first step does with them, up to its normalisation: with features f and a 1 behind
 * them, an embedding A (its kernel, below it its bias) and a block P of rows of a kernel, (f A) P = f (A P). A P has as many
 * rows as there are features, so the first step costs little beside the others, and embedded features are never made.
 * Backward, dP = A^T d(A P) and dA = d(A P) P^T. */
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

/* An embedding as one matrix. */
struct embedding {
    size_t rows;         /* of the matrix: features, and the bias */
    size_t kernel, bias; /* parameters */
    size_t input;        /* activation: nodes or edges x rows */
    size_t matrix;       /* workspace: rows x hidden */
};

/* A block of rows of a kernel of the first step that meets an embedding. */
enum { FOLDS = 4 };
struct fold {
    size_t mlp, row, folded_row; /* where it begins in the MLP's kernel, and its product in the folded kernel */
    struct embedding *of;
    size_t gradient; /* workspace: its part of the gradient of the embedding */
};

struct dense {
    struct sco_dense dense;
    size_t kernel, bias; /* parameters */
};

struct mlp {
    size_t kernel, bias, scale, shift; /* parameters */
};

struct features {
    size_t edges, nodes, globals; /* activations */
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
    struct embedding nodes, edges;
    struct fold fold[FOLDS];
    size_t folded[NODE + 1], d_folded[NODE + 1]; /* workspaces: kernels of the first step, and their gradients */
    struct step *step;
    struct dense decoder;
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

static void declare_embedding(struct sco_model *model, struct embedding *embedding, size_t number, size_t features,
                              size_t inputs, size_t hidden)
{
    struct dense dense;
    sco_model_group(model, 0);
    declare_dense(model, &dense, number, features, hidden);
    *embedding = (struct embedding){features + 1, dense.kernel, dense.bias,
                                    sco_model_activation(model, matrix_bytes(inputs, features + 1)),
                                    sco_model_workspace(model, matrix_bytes(features + 1, hidden))};
}

/* The kernel of edges begins with blocks for the edge, its sender and its receiver, that of nodes with one for the node. */
static void declare_folds(struct sco_model *model, struct gnn *gnn)
{
    const size_t H = gnn->hidden, e = gnn->edges.rows, n = gnn->nodes.rows;
    const size_t folded_rows[] = {[EDGE] = e + 2 * n, [NODE] = n + 2 * H};
    const struct fold folds[FOLDS] = {{EDGE, 0, 0, &gnn->edges, 0},
                                      {EDGE, H, e, &gnn->nodes, 0},
                                      {EDGE, 2 * H, e + n, &gnn->nodes, 0},
                                      {NODE, 0, 0, &gnn->nodes, 0}};
    memcpy(gnn->fold, folds, sizeof folds);
    for (size_t i = 0; i < FOLDS; i++)
        gnn->fold[i].gradient = sco_model_workspace(model, matrix_bytes(gnn->fold[i].of->rows, H));
    for (size_t i = 0; i <= NODE; i++) {
        gnn->folded[i] = sco_model_workspace(model, matrix_bytes(folded_rows[i], H));
        gnn->d_folded[i] = sco_model_workspace(model, matrix_bytes(folded_rows[i], H));
    }
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

/* The globals of the first step are zeros, one column a task. They add nothing, so that the block of this step has none:
 * their rows of a kernel come last and get a gradient of zeros. */
static void declare_step(struct sco_model *model, struct gnn *gnn, size_t s)
{
    const struct sco_model_config *c = &model->config;
    const size_t H = gnn->hidden, globals = s == 0 ? gnn->tasks : H;
    struct step *step = &gnn->step[s];
    step->zero_inputs = s == 0 ? globals : 0;
    step->shape = (struct sco_graph_block_shape){s == 0 ? gnn->edges.rows : H, s == 0 ? gnn->nodes.rows : H,
                                                 globals - step->zero_inputs, H, 1e-6f};
    sco_model_group(model, 0);
    declare_mlp(model, &step->mlp[EDGE], MLPS * s + EDGE, 3 * H + globals, H);
    declare_mlp(model, &step->mlp[NODE], MLPS * s + NODE, 3 * H + globals, H);
    declare_mlp(model, &step->mlp[GLOBAL], MLPS * s + GLOBAL, 2 * H + globals, H);
    step->out = (struct features){sco_model_activation(model, matrix_bytes(c->max_edges, H)),
                                  sco_model_activation(model, matrix_bytes(c->max_nodes, H)),
                                  sco_model_activation(model, matrix_bytes(c->batch, H))};
    sco_model_external(model, sco_graph_block_bytes(model->ctx, &step->shape, c->max_nodes, c->max_edges, c->batch));
    const double edge = (double)step->shape.edge_in, node = (double)step->shape.node_in;
    const double global = (double)step->shape.global_in, h = (double)H;
    model->plan.forward_flops += 2.0 * h *
                                 ((double)c->max_edges * edge + (double)c->max_nodes * (3.0 * node + 2.0 * h) +
                                  (double)c->batch * (3.0 * global + 2.0 * h));
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
    declare_embedding(model, &gnn->nodes, 0, NODE_FEATURES, c->max_nodes, H);
    declare_embedding(model, &gnn->edges, 1, EDGE_FEATURES, c->max_edges, H);
    declare_folds(model, gnn);
    for (size_t s = 0; s < gnn->steps; s++)
        declare_step(model, gnn, s);
    sco_model_group(model, 0);
    declare_dense(model, &gnn->decoder, 2 + MLPS * gnn->steps, H, gnn->tasks);
    gnn->logits = sco_model_activation(model, matrix_bytes(c->batch, gnn->tasks));
    gnn->d_logits = sco_model_activation(model, matrix_bytes(c->batch, gnn->tasks));
    gnn->d_globals = sco_model_activation(model, matrix_bytes(c->batch, H));
    gnn->packed =
        sco_model_workspace(model, larger(sco_dense_packed_bytes(H, H), sco_dense_packed_bytes(H, gnn->tasks)));
    gnn->bias_workspace = sco_model_workspace(model, sco_row_bias_workspace_bytes(c->batch, gnn->tasks));
    gnn->loss_workspace = sco_model_workspace(model, sco_loss_workspace_bytes(product(c->batch, gnn->tasks)));
    sco_model_external(model, sco_graph_bytes(c->max_nodes, c->max_edges, c->batch));
    model->plan.forward_flops += 2.0 * (double)c->batch * (double)H * (double)gnn->tasks;
    model->plan.backward_flops = 2.0 * model->plan.forward_flops;
    return model->status;
}

static enum sco_status setup(struct sco_model *model)
{
    const struct sco_model_config *c = &model->config;
    struct gnn *gnn = model->layers;
    gnn->decoder.dense.packed = sco_model_at(model, gnn->packed);
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

static struct sco_graph_block_params params_of(const struct sco_model *model, size_t s)
{
    const struct gnn *gnn = model->layers;
    const struct mlp *mlp = gnn->step[s].mlp;
    struct sco_graph_block_params params = {layer_of(model, &mlp[EDGE]), layer_of(model, &mlp[NODE]),
                                            layer_of(model, &mlp[GLOBAL])};
    if (s == 0) {
        params.edge.kernel = sco_model_at(model, gnn->folded[EDGE]);
        params.node.kernel = sco_model_at(model, gnn->folded[NODE]);
    }
    return params;
}

static struct sco_graph_block_gradients gradients_of(const struct sco_model *model, size_t s)
{
    const struct gnn *gnn = model->layers;
    const struct mlp *mlp = gnn->step[s].mlp;
    struct sco_graph_block_gradients gradients = {gradient_of(model, &mlp[EDGE]), gradient_of(model, &mlp[NODE]),
                                                  gradient_of(model, &mlp[GLOBAL])};
    if (s == 0) {
        gradients.edge.kernel = sco_model_at(model, gnn->d_folded[EDGE]);
        gradients.node.kernel = sco_model_at(model, gnn->d_folded[NODE]);
    }
    return gradients;
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
        return (struct sco_graph_features){sco_model_at(model, gnn->edges.input), sco_model_at(model, gnn->nodes.input),
                                           NULL};
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
        const struct sco_graph_block_params params = params_of(model, s);
        const struct sco_graph_features in = inputs_of(model, s);
        const struct sco_graph_features_out out = outputs_of(model, step);
        status = sco_graph_block_fwd(step->block, gnn->graph, &params, dropping ? &dropout : NULL, &in, &out);
    }
    return status;
}

/* Features with a 1 behind them, and the matrix that they meet. */
static void embed(const struct sco_model *model, const struct embedding *embedding, size_t count, const float *features)
{
    const struct gnn *gnn = model->layers;
    const size_t H = gnn->hidden, width = embedding->rows - 1;
    float *matrix = sco_model_at(model, embedding->matrix), *input = sco_model_at(model, embedding->input);
    memcpy(matrix, sco_model_p(model, embedding->kernel), width * H * sizeof *matrix);
    memcpy(matrix + width * H, sco_model_p(model, embedding->bias), H * sizeof *matrix);
    for (size_t i = 0; i < count; i++, input += width + 1) {
        for (size_t j = 0; j < width; j++)
            input[j] = features[i * width + j];
        input[width] = 1.0f;
    }
}

static struct sco_dense fold_product(const struct sco_model *model)
{
    const struct gnn *gnn = model->layers;
    return (struct sco_dense){model->ctx, gnn->hidden, gnn->hidden, sco_model_at(model, gnn->packed)};
}

static float *folded_block(const struct sco_model *model, const size_t folded[], size_t mlp, size_t row)
{
    const struct gnn *gnn = model->layers;
    return (float *)sco_model_at(model, folded[mlp]) + row * gnn->hidden;
}

/* Kernels of the first step. Those blocks of the node's stay that meet sums of edges. */
static void fold(const struct sco_model *model)
{
    const struct gnn *gnn = model->layers;
    const struct sco_dense product = fold_product(model);
    const size_t H = gnn->hidden;
    for (size_t i = 0; i < FOLDS; i++) {
        const struct fold *f = &gnn->fold[i];
        sco_dense_fwd(&product, f->of->rows, sco_model_at(model, f->of->matrix),
                      sco_model_p(model, gnn->step[0].mlp[f->mlp].kernel) + f->row * H, NULL,
                      folded_block(model, gnn->folded, f->mlp, f->folded_row));
    }
    memcpy(folded_block(model, gnn->folded, NODE, gnn->nodes.rows),
           sco_model_p(model, gnn->step[0].mlp[NODE].kernel) + H * H, 2 * H * H * sizeof(float));
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
    embed(model, &gnn->nodes, m->nodes, m->node);
    embed(model, &gnn->edges, m->edges, m->edge);
    fold(model);
    status = steps_fwd(model, mode, number);
    if (status != SCO_OK)
        return status;
    float *logits = sco_model_at(model, gnn->logits);
    sco_dense_fwd(&gnn->decoder.dense, m->graphs, outputs_of(model, &gnn->step[gnn->steps - 1]).globals,
                  sco_model_p(model, gnn->decoder.kernel), sco_model_p(model, gnn->decoder.bias), logits);
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

static enum sco_status decoder_bwd(struct sco_model *model, size_t graphs)
{
    const struct gnn *gnn = model->layers;
    const struct dense *layer = &gnn->decoder;
    const float *dy = sco_model_at(model, gnn->d_logits);
    sco_dense_bwd(&layer->dense, graphs, outputs_of(model, &gnn->step[gnn->steps - 1]).globals,
                  sco_model_p(model, layer->kernel), dy, sco_model_at(model, gnn->d_globals),
                  sco_model_g(model, layer->kernel));
    const enum sco_status status = sco_row_bias_bwd(model->ctx, graphs, gnn->tasks, dy, sco_model_g(model, layer->bias),
                                                    sco_model_at(model, gnn->bias_workspace));
    return status == SCO_OK ? sco_model_done(model, layer->kernel) : status;
}

/* Gradients of the first step's kernels, and parts of those of embeddings, from those of the folded kernels. */
static void fold_bwd(const struct sco_model *model)
{
    const struct gnn *gnn = model->layers;
    const struct sco_dense product = fold_product(model);
    const size_t H = gnn->hidden;
    for (size_t i = 0; i < FOLDS; i++) {
        const struct fold *f = &gnn->fold[i];
        const size_t kernel = gnn->step[0].mlp[f->mlp].kernel;
        sco_dense_bwd(&product, f->of->rows, sco_model_at(model, f->of->matrix),
                      sco_model_p(model, kernel) + f->row * H,
                      folded_block(model, gnn->d_folded, f->mlp, f->folded_row), sco_model_at(model, f->gradient),
                      sco_model_g(model, kernel) + f->row * H);
    }
    memcpy(sco_model_g(model, gnn->step[0].mlp[NODE].kernel) + H * H,
           folded_block(model, gnn->d_folded, NODE, gnn->nodes.rows), 2 * H * H * sizeof(float));
}

static enum sco_status embedding_bwd(struct sco_model *model, const struct embedding *embedding)
{
    const struct gnn *gnn = model->layers;
    const size_t H = gnn->hidden, elements = (embedding->rows - 1) * H;
    float *kernel = sco_model_g(model, embedding->kernel), *bias = sco_model_g(model, embedding->bias);
    memset(kernel, 0, elements * sizeof *kernel);
    memset(bias, 0, H * sizeof *bias);
    for (size_t i = 0; i < FOLDS; i++) {
        if (gnn->fold[i].of != embedding)
            continue;
        const float *part = sco_model_at(model, gnn->fold[i].gradient);
        for (size_t j = 0; j < elements; j++)
            kernel[j] += part[j];
        for (size_t j = 0; j < H; j++)
            bias[j] += part[elements + j];
    }
    return sco_model_done(model, embedding->kernel);
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
    const struct sco_graph_block_params params = params_of(model, s);
    const struct sco_graph_features in = inputs_of(model, s);
    const struct sco_graph_features_out above =
        is_last ? (struct sco_graph_features_out){NULL, NULL, sco_model_at(model, gnn->d_globals)}
                : outputs_of(model, &gnn->step[s + 1]);
    const struct sco_graph_features d_out = {above.edges, above.nodes, above.globals};
    struct sco_graph_features_out d_in = outputs_of(model, step);
    if (s == 0)
        d_in = (struct sco_graph_features_out){NULL, NULL, NULL};
    const struct sco_graph_block_gradients gradients = gradients_of(model, s);
    zero_last_rows(model, step);
    const enum sco_status status =
        sco_graph_block_bwd(step->block, gnn->graph, &params, &in, &d_out, &d_in, &gradients);
    if (status == SCO_OK && s == 0)
        fold_bwd(model);
    return status == SCO_OK ? sco_model_done(model, step->mlp[EDGE].kernel) : status;
}

static enum sco_status backward(struct sco_model *model)
{
    const struct gnn *gnn = model->layers;
    enum sco_status status = decoder_bwd(model, model->batch.molecules.graphs);
    for (size_t s = gnn->steps; s-- > 0 && status == SCO_OK;)
        status = step_bwd(model, s);
    if (status == SCO_OK)
        status = embedding_bwd(model, &gnn->edges);
    return status == SCO_OK ? embedding_bwd(model, &gnn->nodes) : status;
}

const struct sco_model_type sco_gnn_type = {plan, setup, forward, backward, destroy};

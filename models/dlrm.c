/* SPDX-License-Identifier: Apache-2.0
 * DLRM-small of AlgoPerf's criteo1tb workload: a network below for the 13 numbers, one table for the 26 categories, all pairs
 * of these 27 vectors, a network above.
 *
 * Products are planned for the whole batch: rows that a batch lacks are zeros of the input, and have gradients of zero. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/activation/activation.h"
#include "models/model.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/activation.h"
#include "stepcost/dropout.h"
#include "stepcost/embedding.h"
#include "stepcost/gemm.h"
#include "stepcost/interaction.h"
#include "stepcost/loss.h"

enum { VECTORS = SCO_CLICK_CATEGORIES + 1, BOTTOM = 3, MOST_HIDDEN = 4, MOST_LAYERS = BOTTOM + MOST_HIDDEN + 1 };

/* y = f(x kernel + bias) */
struct layer {
    size_t in, out, ldy;
    int relu;
    size_t kernel, bias; /* parameters */
    size_t x, y;         /* regions */
    struct sco_gemm *fwd, *to_x, *to_kernel;
};

struct dlrm {
    size_t dim, layers;
    struct layer layer[MOST_LAYERS]; /* those below, then those above */
    size_t table;                    /* parameter */
    struct sco_embedding *embedding;
    struct sco_interaction *interaction;
    size_t dense, vectors, pairs, logits; /* activations */
    size_t d_logits, d_vectors, d[2];     /* their gradients; d are those of whatever layer is at work */
    size_t offset;                        /* of bags */
    size_t touched;                       /* rows of the table with a gradient, as often as the batch named them */
    size_t touched_count;
    uint64_t step; /* of the last forward: its masks are those of backward */
    size_t gemm_workspace, bias_workspace, loss_workspace;
    size_t gemm_bytes, bias_bytes, widest;
};

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

static size_t matrix_bytes(size_t rows, size_t columns)
{
    size_t bytes;
    if (__builtin_mul_overflow(rows, columns, &bytes) || __builtin_mul_overflow(bytes, sizeof(float), &bytes))
        return SIZE_MAX;
    return bytes;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void note(struct sco_model *model, enum sco_status status)
{
    if (model->status == SCO_OK)
        model->status = status;
}

static void create_gemm(struct sco_model *model, struct sco_gemm **gemm, const struct sco_gemm_shape *shape)
{
    struct dlrm *dlrm = model->layers;
    const enum sco_status status = sco_gemm_create(gemm, model->ctx, shape);
    note(model, status);
    if (status == SCO_OK)
        dlrm->gemm_bytes = larger(dlrm->gemm_bytes, sco_gemm_workspace_bytes(*gemm));
}

static void plan_products(struct sco_model *model, struct layer *layer)
{
    struct dlrm *dlrm = model->layers;
    const size_t rows = model->config.batch, in = layer->in, out = layer->out;
    const double flops = 2.0 * (double)rows * (double)in * (double)out;
    const int is_first = layer == dlrm->layer;
    create_gemm(model, &layer->fwd,
                &(struct sco_gemm_shape){.M = rows,
                                         .N = out,
                                         .K = in,
                                         .ldc = layer->ldy,
                                         .alpha = 1.0f,
                                         .bias = 1,
                                         .activation = layer->relu ? SCO_GEMM_RELU : SCO_GEMM_LINEAR});
    create_gemm(model, &layer->to_kernel,
                &(struct sco_gemm_shape){.M = in, .N = out, .K = rows, .trans_a = 1, .alpha = 1.0f});
    if (!is_first)
        create_gemm(model, &layer->to_x,
                    &(struct sco_gemm_shape){.M = rows, .N = in, .K = out, .trans_b = 1, .alpha = 1.0f});
    dlrm->bias_bytes = larger(dlrm->bias_bytes, sco_row_bias_workspace_bytes(rows, out));
    dlrm->widest = larger(dlrm->widest, larger(out, is_first ? 0 : in));
    model->plan.forward_flops += flops;
    model->plan.backward_flops += is_first ? flops : 2.0 * flops;
}

/* The layer above the last one; kind and value of the initialisation of its kernel. */
static void declare_layer(struct sco_model *model, size_t in, size_t out, enum sco_init init, double value)
{
    struct dlrm *dlrm = model->layers;
    struct layer *layer = &dlrm->layer[dlrm->layers];
    const size_t number = dlrm->layers++;
    *layer = (struct layer){.in = in, .out = out, .ldy = out, .relu = 1};
    sco_model_group(model, 0);
    layer->kernel = sco_model_param(model, init, value, 2, (size_t[]){in, out}, "Dense_%zu/kernel", number);
    layer->bias = sco_model_param(model, SCO_INIT_NORMAL, sqrt(1.0 / (double)out), 1, &out, "Dense_%zu/bias", number);
}

static void declare_below(struct sco_model *model)
{
    struct dlrm *dlrm = model->layers;
    const size_t rows = model->config.batch;
    size_t x = dlrm->dense = sco_model_activation(model, matrix_bytes(rows, SCO_CLICK_DENSE)), in = SCO_CLICK_DENSE;
    for (size_t i = 0; i < BOTTOM; i++) {
        const size_t out = sco_model_width(model, (const size_t[BOTTOM]){512, 256, 128}[i]);
        declare_layer(model, in, out, SCO_INIT_GLOROT_UNIFORM, 0.0);
        struct layer *layer = &dlrm->layer[i];
        layer->x = x;
        /* The last one writes the first of a row's vectors. */
        if (i + 1 == BOTTOM) {
            layer->ldy = VECTORS * out;
            layer->y = dlrm->vectors;
        } else {
            layer->y = sco_model_activation(model, matrix_bytes(rows, out));
        }
        plan_products(model, layer);
        x = layer->y;
        in = out;
    }
}

static void declare_above(struct sco_model *model, size_t columns)
{
    struct dlrm *dlrm = model->layers;
    const size_t rows = model->config.batch, hidden = model->config.depth;
    size_t x = dlrm->pairs, in = columns;
    for (size_t i = 0; i <= hidden; i++) {
        const int is_last = i == hidden;
        const size_t out = is_last ? 1 : sco_model_width(model, (const size_t[MOST_HIDDEN]){1024, 1024, 512, 256}[i]);
        declare_layer(model, in, out, SCO_INIT_NORMAL, sqrt(2.0 / (double)(in + out)));
        struct layer *layer = &dlrm->layer[BOTTOM + i];
        layer->relu = !is_last;
        layer->x = x;
        layer->y = sco_model_activation(model, matrix_bytes(rows, out));
        plan_products(model, layer);
        x = layer->y;
        in = out;
    }
    dlrm->logits = x;
}

static enum sco_status check_config(struct sco_model_config *c)
{
    if (c->depth == 0)
        c->depth = MOST_HIDDEN;
    if (c->table_rows == 0)
        c->table_rows = 4194304;
    if (!c->has_dropout)
        c->dropout = 0.0f;
    c->has_dropout = 1;
    if (c->depth > MOST_HIDDEN)
        return sco_fail(SCO_INVALID, "depth is %zu hidden layers of the top network; possible: 1 to %d", c->depth,
                        MOST_HIDDEN);
    if (c->table_rows > INT32_MAX || c->batch > INT32_MAX / VECTORS)
        return sco_fail(SCO_SHAPE, "%zu rows of the table, %zu of a batch; possible: up to %d and %d", c->table_rows,
                        c->batch, INT32_MAX, INT32_MAX / VECTORS);
    return SCO_OK;
}

static struct sco_embedding_shape embedding_shape(const struct sco_model *model)
{
    const struct dlrm *dlrm = model->layers;
    return (struct sco_embedding_shape){model->config.table_rows, dlrm->dim, VECTORS * model->config.batch,
                                        SCO_CLICK_CATEGORIES * model->config.batch};
}

static enum sco_status plan(struct sco_model *model)
{
    enum sco_status status = check_config(&model->config);
    if (status != SCO_OK)
        return status;
    struct dlrm *dlrm = model->layers = calloc(1, sizeof *dlrm);
    if (dlrm == NULL)
        return sco_fail(SCO_NOMEM, "no memory to plan a model");
    const size_t rows = model->config.batch, V = model->config.table_rows;
    const size_t dim = dlrm->dim = sco_model_width(model, 128), pairs = VECTORS * (VECTORS + 1) / 2;
    dlrm->vectors = sco_model_activation(model, matrix_bytes(rows, VECTORS * dim));
    declare_below(model);
    sco_model_group(model, 1);
    dlrm->table =
        sco_model_param(model, SCO_INIT_UNIFORM, 1.0 / sqrt((double)V), 2, (size_t[]){V, dim}, "embedding_table");
    dlrm->pairs = sco_model_activation(model, matrix_bytes(rows, dim + pairs));
    declare_above(model, dim + pairs);
    dlrm->d_logits = sco_model_activation(model, matrix_bytes(rows, 1));
    dlrm->d_vectors = sco_model_activation(model, matrix_bytes(rows, VECTORS * dim));
    for (size_t i = 0; i < 2; i++)
        dlrm->d[i] = sco_model_activation(model, matrix_bytes(rows, dlrm->widest));
    dlrm->offset = sco_model_workspace(model, (VECTORS * rows + 1) * sizeof(int32_t));
    dlrm->touched = sco_model_workspace(model, SCO_CLICK_CATEGORIES * rows * sizeof(int32_t));
    dlrm->gemm_workspace = sco_model_workspace(model, dlrm->gemm_bytes);
    dlrm->bias_workspace = sco_model_workspace(model, dlrm->bias_bytes);
    dlrm->loss_workspace = sco_model_workspace(model, sco_loss_workspace_bytes(rows));
    const struct sco_embedding_shape shape = embedding_shape(model);
    size_t bytes = 0;
    status = sco_embedding_bytes(&shape, &bytes);
    if (status != SCO_OK)
        return status;
    sco_model_external(model, bytes);
    const double products = (double)rows * (double)dim;
    model->plan.forward_flops += 2.0 * products * (double)pairs;
    model->plan.backward_flops += 2.0 * products * VECTORS * VECTORS;
    return model->status;
}

/* A row's bags: an empty one for the vector from below, which the network below then overwrites, and one a category. So
 * lookups and their gradients are where the interaction has them, and nothing is copied. */
static void number_bags(int32_t *offset, size_t rows)
{
    int32_t lookups = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < VECTORS; v++) {
            *offset++ = lookups;
            lookups += v > 0;
        }
    *offset = lookups;
}

static enum sco_status setup(struct sco_model *model)
{
    struct dlrm *dlrm = model->layers;
    const struct sco_embedding_shape shape = embedding_shape(model);
    number_bags(sco_model_at(model, dlrm->offset), model->config.batch);
    const enum sco_status status = sco_embedding_create(&dlrm->embedding, model->ctx, &shape);
    return status == SCO_OK ? sco_interaction_create(&dlrm->interaction, model->ctx, VECTORS, dlrm->dim) : status;
}

static void destroy(struct sco_model *model)
{
    struct dlrm *dlrm = model->layers;
    if (dlrm == NULL)
        return;
    for (size_t i = 0; i < dlrm->layers; i++) {
        sco_gemm_destroy(dlrm->layer[i].fwd);
        sco_gemm_destroy(dlrm->layer[i].to_x);
        sco_gemm_destroy(dlrm->layer[i].to_kernel);
    }
    sco_embedding_destroy(dlrm->embedding);
    sco_interaction_destroy(dlrm->interaction);
    free(dlrm);
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static enum sco_status check_batch(const struct sco_model_config *c, const struct sco_clicks *clicks)
{
    if (clicks->rows > c->batch)
        return sco_fail(SCO_SHAPE, "the batch has %zu rows, the model was planned for %zu", clicks->rows, c->batch);
    for (size_t i = 0; i < clicks->rows * SCO_CLICK_CATEGORIES; i++)
        if (clicks->index[i] < 0 || (size_t)clicks->index[i] >= c->table_rows)
            return sco_fail(SCO_FORMAT, "row %zu, category %zu: index %d; the table has %zu rows",
                            i / SCO_CLICK_CATEGORIES, i % SCO_CLICK_CATEGORIES, clicks->index[i], c->table_rows);
    for (size_t i = 0; i < clicks->rows; i++)
        if (clicks->label[i] != 0.0f && clicks->label[i] != 1.0f)
            return sco_fail(SCO_FORMAT, "row %zu: label %g; possible: 0, 1", i, (double)clicks->label[i]);
    return SCO_OK;
}

/* Copies rows, and zeros what the plan has beyond them. */
static void fill_rows(float *to, const float *from, size_t rows, size_t planned, size_t width)
{
    if (rows > 0 && from != NULL)
        memcpy(to, from, rows * width * sizeof *to);
    memset(to + rows * width, 0, (planned - rows) * width * sizeof *to);
}

static struct sco_embedding_batch bags_of(const struct sco_model *model, const struct sco_clicks *clicks)
{
    const struct dlrm *dlrm = model->layers;
    return (struct sco_embedding_batch){.bags = VECTORS * clicks->rows,
                                        .offset = sco_model_at(model, dlrm->offset),
                                        .index = clicks->index,
                                        .index_bits = 32,
                                        .mode = SCO_EMBEDDING_SUM};
}

static enum sco_status layers_fwd(struct sco_model *model, size_t first, size_t last)
{
    const struct dlrm *dlrm = model->layers;
    enum sco_status status = SCO_OK;
    for (size_t i = first; i < last && status == SCO_OK; i++) {
        const struct layer *layer = &dlrm->layer[i];
        status = sco_gemm_run(layer->fwd, sco_model_at(model, layer->x), sco_model_p(model, layer->kernel),
                              sco_model_at(model, layer->y), sco_model_p(model, layer->bias),
                              sco_model_at(model, dlrm->gemm_workspace));
    }
    return status;
}

/* Dropout follows the last hidden layer. Its gradient is the same call. */
static enum sco_status drop(struct sco_model *model, uint64_t step, float *x)
{
    const struct dlrm *dlrm = model->layers;
    const struct sco_dropout dropout = {
        .p = model->config.dropout, .seed = model->config.seed + (step >> 32), .step = (uint32_t)step};
    return dropout.p > 0.0f
               ? sco_dropout_apply(model->ctx, &dropout, model->config.batch, dlrm->layer[dlrm->layers - 1].in, x, x)
               : SCO_OK;
}

static enum sco_status logits_fwd(struct sco_model *model, const struct sco_clicks *clicks, enum sco_model_mode mode,
                                  uint64_t step)
{
    struct dlrm *dlrm = model->layers;
    const size_t rows = clicks->rows, planned = model->config.batch, hidden = dlrm->layers - 1;
    const struct sco_embedding_batch bags = bags_of(model, clicks);
    float *vectors = sco_model_at(model, dlrm->vectors);
    fill_rows(sco_model_at(model, dlrm->dense), clicks->dense, rows, planned, SCO_CLICK_DENSE);
    fill_rows(vectors, NULL, rows, planned, VECTORS * dlrm->dim);
    enum sco_status status = sco_embedding_forward(dlrm->embedding, &bags, sco_model_p(model, dlrm->table), vectors);
    if (status == SCO_OK)
        status = layers_fwd(model, 0, BOTTOM);
    if (status == SCO_OK)
        status = sco_interaction_forward(dlrm->interaction, planned, vectors, sco_model_at(model, dlrm->pairs));
    if (status == SCO_OK)
        status = layers_fwd(model, BOTTOM, hidden);
    if (status == SCO_OK && mode == SCO_MODEL_TRAIN)
        status = drop(model, step, sco_model_at(model, dlrm->layer[hidden].x));
    return status == SCO_OK ? layers_fwd(model, hidden, dlrm->layers) : status;
}

static enum sco_status forward(struct sco_model *model, const struct sco_batch *batch, enum sco_model_mode mode,
                               uint64_t step, struct sco_model_result *result)
{
    const struct sco_clicks *clicks = &batch->clicks;
    struct dlrm *dlrm = model->layers;
    enum sco_status status = check_batch(&model->config, clicks);
    if (status == SCO_OK)
        status = logits_fwd(model, clicks, mode, step);
    if (status != SCO_OK)
        return status;
    float *d_logits = sco_model_at(model, dlrm->d_logits);
    const float *logits = sco_model_at(model, dlrm->logits);
    struct sco_loss loss;
    status = sco_sigmoid_cross_entropy(
        model->ctx, clicks->rows, logits, clicks->label, sco_model_at(model, dlrm->loss_workspace),
        model->regions[dlrm->loss_workspace].bytes, &loss, mode == SCO_MODEL_TRAIN ? d_logits : NULL);
    if (mode == SCO_MODEL_TRAIN)
        fill_rows(d_logits, NULL, clicks->rows, model->config.batch, 1);
    *result = (struct sco_model_result){.loss = loss.mean, .loss_sum = loss.sum, .loss_count = (double)clicks->rows};
    dlrm->step = step;
    model->outputs = logits;
    model->output_rows = clicks->rows;
    model->output_columns = 1;
    return status;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Gradients of a layer, from dy, that of its argument; that of its input to dx unless it is the first. */
static enum sco_status layer_bwd(struct sco_model *model, const struct layer *layer, const float *dy, float *dx)
{
    const struct dlrm *dlrm = model->layers;
    void *workspace = sco_model_at(model, dlrm->gemm_workspace);
    enum sco_status status =
        sco_row_bias_bwd(model->ctx, model->config.batch, layer->out, dy, sco_model_g(model, layer->bias),
                         sco_model_at(model, dlrm->bias_workspace));
    if (status == SCO_OK)
        status = sco_gemm_run(layer->to_kernel, sco_model_at(model, layer->x), dy, sco_model_g(model, layer->kernel),
                              NULL, workspace);
    if (status == SCO_OK && layer->to_x != NULL)
        status = sco_gemm_run(layer->to_x, dy, sco_model_p(model, layer->kernel), dx, NULL, workspace);
    return status == SCO_OK ? sco_model_done(model, layer->kernel) : status;
}

/* Layers last - 1 down to first, from dy, the gradient of the last one's argument, which may be d[0]. That of the first one's
 * input ends in *dx. */
static enum sco_status layers_bwd(struct sco_model *model, size_t first, size_t last, const float *dy, float **dx)
{
    const struct dlrm *dlrm = model->layers;
    enum sco_status status = SCO_OK;
    for (size_t i = last; i-- > first && status == SCO_OK;) {
        const struct layer *below = i > first ? &dlrm->layer[i - 1] : NULL;
        float *to = sco_model_at(model, dlrm->d[(last - i) % 2]);
        status = layer_bwd(model, &dlrm->layer[i], dy, to);
        if (status == SCO_OK && i + 1 == dlrm->layers)
            status = drop(model, dlrm->step, to);
        if (status == SCO_OK && below != NULL)
            status = sco_activation_bwd(model->ctx, SCO_RELU, 0.0f, model->config.batch * below->out,
                                        sco_model_at(model, below->y), to, to);
        dy = *dx = to;
    }
    return status;
}

/* Rows are dealt by number, so that a row which a batch named twice is one thread's work. */
enum { DEALS = 64 };

struct zero_job {
    const int32_t *row;
    size_t count, dim;
    float *gradient;
};

static void zero_rows(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct zero_job *job = argument;
    (void)phase, (void)rank;
    for (size_t i = 0; i < job->count; i++) {
        const size_t row = (size_t)job->row[i], deal = row % DEALS;
        if (deal >= first && deal < last)
            memset(job->gradient + row * job->dim, 0, job->dim * sizeof(float));
    }
}

/* The table's gradient is dense and all zeros but for the rows of one batch, so only these are ever written. */
static enum sco_status table_bwd(struct sco_model *model)
{
    struct dlrm *dlrm = model->layers;
    const struct sco_clicks *clicks = &model->batch.clicks;
    const struct sco_embedding_batch bags = bags_of(model, clicks);
    const size_t deals = DEALS;
    float *gradient = sco_model_g(model, dlrm->table);
    int32_t *touched = sco_model_at(model, dlrm->touched);
    struct zero_job zero = {touched, dlrm->touched_count, dlrm->dim, gradient};
    sco_parallel(sco_ctx_team(model->ctx), 1, &deals, zero_rows, &zero);
    dlrm->touched_count = clicks->rows * SCO_CLICK_CATEGORIES;
    if (clicks->rows > 0)
        memcpy(touched, clicks->index, dlrm->touched_count * sizeof *touched);
    const enum sco_status status =
        sco_embedding_backward_dense(dlrm->embedding, &bags, sco_model_at(model, dlrm->d_vectors), gradient);
    return status == SCO_OK ? sco_model_done(model, dlrm->table) : status;
}

struct slot_job {
    sco_activation_bwd_fn *relu_bwd;
    size_t dim;
    const float *vectors, *d_vectors;
    float *dy;
};

static void slot_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct slot_job *job = argument;
    const size_t dim = job->dim;
    (void)phase, (void)rank;
    for (size_t r = first; r < last; r++)
        job->relu_bwd(dim, job->vectors + r * VECTORS * dim, job->d_vectors + r * VECTORS * dim, 0.0f,
                      job->dy + r * dim);
}

/* From the vectors to the argument of the last layer below. */
static float *slot_bwd(struct sco_model *model)
{
    const struct dlrm *dlrm = model->layers;
    const struct sco_activation_ops *ops = sco_ctx_ops(model->ctx, &sco_activation_family);
    float *dy = sco_model_at(model, dlrm->d[0]);
    struct slot_job job = {ops->relu_bwd, dlrm->dim, sco_model_at(model, dlrm->vectors),
                           sco_model_at(model, dlrm->d_vectors), dy};
    sco_parallel(sco_ctx_team(model->ctx), 1, &model->config.batch, slot_tasks, &job);
    return dy;
}

static enum sco_status backward(struct sco_model *model)
{
    struct dlrm *dlrm = model->layers;
    float *dx = NULL;
    enum sco_status status = layers_bwd(model, BOTTOM, dlrm->layers, sco_model_at(model, dlrm->d_logits), &dx);
    if (status == SCO_OK)
        status = sco_interaction_backward(dlrm->interaction, model->config.batch, sco_model_at(model, dlrm->vectors),
                                          dx, sco_model_at(model, dlrm->d_vectors));
    if (status == SCO_OK)
        status = table_bwd(model);
    return status == SCO_OK ? layers_bwd(model, 0, BOTTOM, slot_bwd(model), &dx) : status;
}

const struct sco_model_type sco_dlrm_type = {plan, setup, forward, backward, destroy};

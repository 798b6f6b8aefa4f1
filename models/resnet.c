/* SPDX-License-Identifier: Apache-2.0
 * ResNet-50 with the stride of a stage in its 3 x 3 convolution ("v1.5"), as Flax's example and AlgoPerf have it.
 *
 * Source    He et al., "Deep residual learning for image recognition", CVPR 2016, Table 1; Goyal et al., "Accurate, large
 *           minibatch SGD", 2017, section 5.1, for the scales that start at zero. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "models/model.h"
#include "stepcost/activation.h"
#include "stepcost/gemm.h"
#include "stepcost/loss.h"
#include "stepcost/norm.h"
#include "stepcost/pool.h"

/* A convolution and the normalization behind it. */
struct unit {
    struct sco_conv2d_shape shape;
    struct sco_conv2d *conv[SCO_CONV2D_DIRECTIONS]; /* no bwd_data where the input is the image */
    struct sco_blocked out;
    enum sco_norm_activation activation;
    size_t kernel, scale, bias; /* parameters */
    size_t mean, var;           /* running statistics */
    size_t saved;               /* region: the batch's mean, then 1 / deviation */
    size_t z;                   /* region: what the convolution gives; backward needs it */
};

enum { REDUCE, SPATIAL, EXPAND, PROJECT, UNITS };
enum { STAGES = 4, MAX_BLOCKS = 16 };

struct block {
    struct unit unit[UNITS];
    int has_projection;
    size_t y[2], out; /* regions: of the first two units; of the block */
    size_t in_floats; /* of the block's input */
};

struct resnet {
    struct unit init;
    struct sco_pool pool;
    size_t pooled, argmax; /* regions */
    struct block block[MAX_BLOCKS];
    size_t blocks;
    struct sco_blocked last; /* shape of the last block's output */
    size_t kernel, bias;     /* parameters of the dense layer */
    struct sco_gemm *dense, *dense_dx, *dense_dw;
    size_t features, logits, dlogits, dfeatures, label; /* regions */
    /* Gradients of activations: those between blocks take turns in two, those inside of blocks in the halves of a third. The
     * first two also hold what forward needs for a moment. */
    size_t wide[2], narrow;
    size_t wide_floats, narrow_floats;
    size_t packed, scratch; /* regions: weights of the convolution that runs; workspace of the operator that runs */
    size_t packed_floats, scratch_bytes;
    struct sco_conv2d_choice choice;
};

static size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

/* Flax's SAME: the output has ceil(in / stride) elements, and what padding that takes is less by one on the low side where it
 * is odd. */
static void pad_same(size_t in, size_t k, size_t stride, size_t *low, size_t *high)
{
    const size_t reach = ((in + stride - 1) / stride - 1) * stride + k, total = reach > in ? reach - in : 0;
    *low = total / 2;
    *high = total - *low;
}

static size_t out_floats(const struct unit *unit)
{
    return unit->out.N * sco_blocked_floats(unit->out.C, unit->out.H, unit->out.W);
}

static enum sco_status plan_convolution(struct sco_model *model, struct unit *unit)
{
    struct resnet *net = model->layers;
    const struct sco_conv2d_shape *s = &unit->shape;
    const double flops = 2.0 * (double)s->N * (double)sco_conv2d_oh(s) * (double)sco_conv2d_ow(s) *
                         (double)(s->KH * s->KW) * (double)s->C * (double)s->OC;
    for (enum sco_conv2d_direction d = SCO_CONV2D_FWD; d < SCO_CONV2D_DIRECTIONS; d++) {
        if (d == SCO_CONV2D_BWD_DATA && unit == &net->init)
            continue;
        const enum sco_status status = sco_conv2d_create(&unit->conv[d], model->ctx, d, s, &net->choice);
        if (status != SCO_OK)
            return status;
        *(d == SCO_CONV2D_FWD ? &model->plan.forward_flops : &model->plan.backward_flops) += flops;
        net->packed_floats = max(net->packed_floats, sco_conv2d_packed_count(unit->conv[d]));
        net->scratch_bytes = max(net->scratch_bytes, sco_conv2d_workspace_bytes(unit->conv[d]));
    }
    return SCO_OK;
}

/* unit->shape is set. scale: what the normalization starts with. */
static enum sco_status plan_unit(struct sco_model *model, struct unit *unit, float scale, const char *path,
                                 const char *name)
{
    struct resnet *net = model->layers;
    struct sco_conv2d_shape *s = &unit->shape;
    const enum sco_status status = plan_convolution(model, unit);
    if (status != SCO_OK)
        return status;
    unit->out = (struct sco_blocked){.N = s->N, .C = s->OC, .H = sco_conv2d_oh(s), .W = sco_conv2d_ow(s)};
    net->scratch_bytes = max(net->scratch_bytes, sco_batch_norm_workspace_bytes(&unit->out));
    sco_model_group(model, 0);
    unit->kernel = sco_model_param(model, SCO_INIT_LECUN_NORMAL, 0.0, 4, (size_t[]){s->KH, s->KW, s->C, s->OC},
                                   "%sConv_%s/kernel", path, name);
    sco_model_group(model, 0);
    unit->scale =
        sco_model_param(model, SCO_INIT_CONSTANT, (double)scale, 1, &s->OC, "%sBatchNorm_%s/scale", path, name);
    unit->bias = sco_model_param(model, SCO_INIT_CONSTANT, 0.0, 1, &s->OC, "%sBatchNorm_%s/bias", path, name);
    unit->mean = sco_model_array_of(model, s->OC, 0.0f, "%sBatchNorm_%s/mean", path, name);
    unit->var = sco_model_array_of(model, s->OC, 1.0f, "%sBatchNorm_%s/var", path, name);
    unit->saved = sco_model_activation(model, 2 * s->OC * sizeof(float));
    unit->z = sco_model_activation(model, out_floats(unit) * sizeof(float));
    return SCO_OK;
}

static struct sco_conv2d_shape same(const struct sco_blocked *in, size_t channels, size_t k, size_t stride)
{
    struct sco_conv2d_shape s = {
        .N = in->N, .C = in->C, .H = in->H, .W = in->W, .OC = channels, .KH = k, .KW = k, .stride = stride};
    pad_same(in->H, k, stride, &s.pad_top, &s.pad_bottom);
    pad_same(in->W, k, stride, &s.pad_left, &s.pad_right);
    return s;
}

static enum sco_status plan_block(struct sco_model *model, struct sco_blocked *in, size_t inner, size_t outer,
                                  size_t stride)
{
    struct resnet *net = model->layers;
    struct block *block = &net->block[net->blocks];
    struct unit *unit = block->unit;
    char path[48];
    snprintf(path, sizeof path, "BottleneckResNetBlock_%zu/", net->blocks++);
    block->has_projection = in->C != outer || stride != 1;
    block->in_floats = in->N * sco_blocked_floats(in->C, in->H, in->W);

    unit[REDUCE].shape = same(in, inner, 1, 1);
    enum sco_status status = plan_unit(model, &unit[REDUCE], 1.0f, path, "0");
    if (status != SCO_OK)
        return status;
    unit[SPATIAL].shape = same(&unit[REDUCE].out, inner, 3, stride);
    status = plan_unit(model, &unit[SPATIAL], 1.0f, path, "1");
    if (status != SCO_OK)
        return status;
    unit[EXPAND].shape = same(&unit[SPATIAL].out, outer, 1, 1);
    status = plan_unit(model, &unit[EXPAND], 0.0f, path, "2");
    if (status == SCO_OK && block->has_projection) {
        unit[PROJECT].shape = same(in, outer, 1, stride);
        status = plan_unit(model, &unit[PROJECT], 1.0f, path, "proj");
    }
    if (status != SCO_OK)
        return status;
    unit[REDUCE].activation = unit[SPATIAL].activation = unit[EXPAND].activation = SCO_NORM_RELU;

    for (size_t u = REDUCE; u <= SPATIAL; u++)
        block->y[u] = sco_model_activation(model, out_floats(&unit[u]) * sizeof(float));
    block->out = sco_model_activation(model, out_floats(&unit[EXPAND]) * sizeof(float));
    net->wide_floats = max(net->wide_floats, max(block->in_floats, out_floats(&unit[EXPAND])));
    /* Where there is a projection, both halves together hold its gradient, of the size of the input. */
    const size_t halves = block->has_projection ? (block->in_floats + 1) / 2 : 0;
    net->narrow_floats =
        max(net->narrow_floats, max(halves, max(out_floats(&unit[REDUCE]), out_floats(&unit[SPATIAL]))));
    *in = unit[EXPAND].out;
    return SCO_OK;
}

static enum sco_status plan_stem(struct sco_model *model, struct sco_blocked *in)
{
    struct resnet *net = model->layers;
    const struct sco_model_config *config = &model->config;
    const size_t batch = config->batch;
    net->init.shape = (struct sco_conv2d_shape){
        .N = batch,
        .C = 3,
        .H = config->H,
        .W = config->W,
        .OC = sco_model_width(model, 64),
        .KH = 7,
        .KW = 7,
        .stride = 2,
        .pad_top = 3,
        .pad_left = 3,
        .pad_bottom = 3,
        .pad_right = 3,
    };
    net->init.activation = SCO_NORM_RELU;
    const enum sco_status status = plan_unit(model, &net->init, 1.0f, "", "init");
    if (status != SCO_OK)
        return status;
    net->pool = (struct sco_pool){.window = 3, .stride = 2, .pad = 1};
    *in = net->init.out;
    in->H = sco_pool_extent(in->H, &net->pool);
    in->W = sco_pool_extent(in->W, &net->pool);
    const size_t pooled = batch * sco_blocked_floats(in->C, in->H, in->W);
    net->pooled = sco_model_activation(model, pooled * sizeof(float));
    net->argmax = sco_model_activation(model, pooled);
    net->wide_floats = max(out_floats(&net->init), batch * 3 * config->H * config->W);
    return SCO_OK;
}

static enum sco_status plan_dense(struct sco_model *model)
{
    struct resnet *net = model->layers;
    const size_t rows = model->config.batch, features = net->last.C, classes = model->config.classes;
    const struct sco_gemm_shape forward = {.M = rows, .N = classes, .K = features, .alpha = 1.0f, .bias = 1};
    const struct sco_gemm_shape dx = {.M = rows, .N = features, .K = classes, .trans_b = 1, .alpha = 1.0f};
    const struct sco_gemm_shape dw = {.M = features, .N = classes, .K = rows, .trans_a = 1, .alpha = 1.0f};
    enum sco_status status = sco_gemm_create(&net->dense, model->ctx, &forward);
    if (status == SCO_OK)
        status = sco_gemm_create(&net->dense_dx, model->ctx, &dx);
    if (status == SCO_OK)
        status = sco_gemm_create(&net->dense_dw, model->ctx, &dw);
    if (status != SCO_OK)
        return status;
    const double flops = 2.0 * (double)rows * (double)features * (double)classes;
    model->plan.forward_flops += flops;
    model->plan.backward_flops += 2.0 * flops;
    sco_model_group(model, 0);
    net->kernel = sco_model_param(model, SCO_INIT_NORMAL, 0.01, 2, (size_t[]){features, classes}, "Dense_0/kernel");
    net->bias = sco_model_param(model, SCO_INIT_CONSTANT, 0.0, 1, &classes, "Dense_0/bias");
    net->features = sco_model_activation(model, rows * features * sizeof(float));
    net->dfeatures = sco_model_activation(model, rows * features * sizeof(float));
    net->logits = sco_model_activation(model, rows * classes * sizeof(float));
    net->dlogits = sco_model_activation(model, rows * classes * sizeof(float));
    net->label = sco_model_activation(model, rows * sizeof(int32_t));
    const struct sco_gemm *products[] = {net->dense, net->dense_dx, net->dense_dw};
    for (size_t i = 0; i < 3; i++)
        net->scratch_bytes = max(net->scratch_bytes, sco_gemm_workspace_bytes(products[i]));
    net->scratch_bytes = max(net->scratch_bytes, sco_row_bias_workspace_bytes(rows, classes));
    net->scratch_bytes = max(net->scratch_bytes, sco_loss_workspace_bytes(rows));
    return SCO_OK;
}

static enum sco_status check_config(struct sco_model_config *config)
{
    config->H = config->H != 0 ? config->H : 224;
    config->W = config->W != 0 ? config->W : 224;
    config->classes = config->classes != 0 ? config->classes : 1000;
    config->depth = config->depth != 0 ? config->depth : 6;
    if (config->classes > INT32_MAX)
        return sco_fail(SCO_INVALID, "resnet50: %zu classes; labels are 32-bit, give at most %d", config->classes,
                        INT32_MAX);
    if (!(config->label_smoothing >= 0.0f && config->label_smoothing <= 1.0f))
        return sco_fail(SCO_INVALID, "resnet50: label smoothing is %g; possible: 0 to 1",
                        (double)config->label_smoothing);
    if (config->has_dropout && config->dropout > 0.0f)
        return sco_fail(SCO_INVALID, "resnet50: dropout is %g; the model has none, give 0", (double)config->dropout);
    return SCO_OK;
}

static enum sco_status plan_layers(struct sco_model *model)
{
    static const size_t stage_blocks[STAGES] = {3, 4, 6, 3};
    struct resnet *net = model->layers;
    struct sco_blocked in;
    enum sco_status status = plan_stem(model, &in);
    for (size_t stage = 0; status == SCO_OK && stage < STAGES; stage++) {
        const size_t blocks = stage_blocks[stage] < model->config.depth ? stage_blocks[stage] : model->config.depth;
        const size_t inner = sco_model_width(model, (size_t)64 << stage);
        const size_t outer = sco_model_width(model, (size_t)256 << stage);
        for (size_t b = 0; status == SCO_OK && b < blocks; b++)
            status = plan_block(model, &in, inner, outer, b == 0 && stage > 0 ? 2 : 1);
    }
    net->last = in;
    return status == SCO_OK ? plan_dense(model) : status;
}

static enum sco_status resnet_plan(struct sco_model *model)
{
    enum sco_status status = check_config(&model->config);
    if (status != SCO_OK)
        return status;
    struct resnet *net = calloc(1, sizeof *net);
    if (net == NULL)
        return sco_fail(SCO_NOMEM, "no memory to plan a model");
    model->layers = net;
    /* Opened once, not by each of the 159 plans. */
    struct sco_conv2d_tuning *opened = NULL;
    if (model->config.conv != NULL)
        net->choice = *model->config.conv;
    if (net->choice.tuning == NULL) {
        status = sco_conv2d_tuning_open(&opened, NULL);
        net->choice.tuning = opened;
    }
    if (status == SCO_OK)
        status = plan_layers(model);
    sco_conv2d_tuning_close(opened);
    if (status != SCO_OK)
        return status;
    for (size_t i = 0; i < 2; i++)
        net->wide[i] = sco_model_activation(model, net->wide_floats * sizeof(float));
    net->narrow = sco_model_activation(model, 2 * net->narrow_floats * sizeof(float));
    net->packed = sco_model_workspace(model, net->packed_floats * sizeof(float));
    net->scratch = sco_model_workspace(model, net->scratch_bytes);
    return SCO_OK;
}

static enum sco_status resnet_setup(struct sco_model *model)
{
    const struct resnet *net = model->layers;
    model->outputs = sco_model_at(model, net->logits);
    model->output_rows = model->config.batch;
    model->output_columns = model->config.classes;
    return SCO_OK;
}

static void destroy_unit(struct unit *unit)
{
    for (size_t d = 0; d < SCO_CONV2D_DIRECTIONS; d++)
        sco_conv2d_destroy(unit->conv[d]);
}

static void resnet_destroy(struct sco_model *model)
{
    struct resnet *net = model->layers;
    if (net == NULL)
        return;
    destroy_unit(&net->init);
    for (size_t b = 0; b < net->blocks; b++)
        for (size_t u = 0; u < UNITS; u++)
            destroy_unit(&net->block[b].unit[u]);
    sco_gemm_destroy(net->dense);
    sco_gemm_destroy(net->dense_dx);
    sco_gemm_destroy(net->dense_dw);
    free(net);
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static struct sco_batch_norm norm_of(struct sco_model *model, const struct unit *unit)
{
    float *saved = sco_model_at(model, unit->saved);
    return (struct sco_batch_norm){
        .scale = sco_model_p(model, unit->scale),
        .bias = sco_model_p(model, unit->bias),
        .running_mean = sco_model_values(model, unit->mean),
        .running_var = sco_model_values(model, unit->var),
        .keep = 0.9f,
        .eps = 1e-5f,
        .activation = unit->activation,
        .mean = saved,
        .rstd = saved + unit->out.C,
    };
}

static enum sco_status unit_forward(struct sco_model *model, struct unit *unit, enum sco_model_mode mode,
                                    const float *x, const float *residual, float *y)
{
    const struct resnet *net = model->layers;
    float *packed = sco_model_at(model, net->packed), *z = sco_model_at(model, unit->z);
    void *scratch = sco_model_at(model, net->scratch);
    const struct sco_batch_norm norm = norm_of(model, unit);
    enum sco_status status = sco_conv2d_pack(unit->conv[SCO_CONV2D_FWD], sco_model_p(model, unit->kernel), packed);
    if (status == SCO_OK)
        status = sco_conv2d_fwd(unit->conv[SCO_CONV2D_FWD], x, packed, z, NULL, scratch);
    if (status != SCO_OK)
        return status;
    if (mode == SCO_MODEL_TRAIN)
        return sco_batch_norm_fwd(model->ctx, &unit->out, &norm, z, residual, y, scratch);
    return sco_batch_norm_infer(model->ctx, &unit->out, &norm, z, residual, y);
}

static enum sco_status block_forward(struct sco_model *model, struct block *block, enum sco_model_mode mode,
                                     const float *x)
{
    struct unit *unit = block->unit;
    float *y0 = sco_model_at(model, block->y[REDUCE]), *y1 = sco_model_at(model, block->y[SPATIAL]);
    float *out = sco_model_at(model, block->out);
    const float *residual = x;
    enum sco_status status = SCO_OK;
    if (block->has_projection) {
        status = unit_forward(model, &unit[PROJECT], mode, x, NULL, out);
        residual = out;
    }
    if (status == SCO_OK)
        status = unit_forward(model, &unit[REDUCE], mode, x, NULL, y0);
    if (status == SCO_OK)
        status = unit_forward(model, &unit[SPATIAL], mode, y0, NULL, y1);
    if (status == SCO_OK)
        status = unit_forward(model, &unit[EXPAND], mode, y1, residual, out);
    return status;
}

/* The images that layers see: planned for a whole batch, they get black ones behind the last of an evaluation. */
static const float *whole_batch(struct sco_model *model, const struct sco_images *images)
{
    const struct resnet *net = model->layers;
    const size_t image = images->H * images->W * 3, missing = model->config.batch - images->N;
    if (missing == 0)
        return images->x;
    float *x = sco_model_at(model, net->wide[1]);
    memcpy(x, images->x, images->N * image * sizeof *x);
    memset(x + images->N * image, 0, missing * image * sizeof *x);
    return x;
}

static enum sco_status check_batch(struct sco_model *model, const struct sco_batch *batch, enum sco_model_mode mode)
{
    const struct resnet *net = model->layers;
    const struct sco_model_config *config = &model->config;
    const struct sco_images *images = &batch->images;
    int32_t *label = sco_model_at(model, net->label);
    if (images->N != batch->samples)
        return sco_fail(SCO_INVALID, "a batch of %zu samples has %zu images", batch->samples, images->N);
    if (images->H != config->H || images->W != config->W)
        return sco_fail(SCO_SHAPE, "the batch has images of %zu x %zu, the model was planned for %zu x %zu", images->H,
                        images->W, config->H, config->W);
    if (mode == SCO_MODEL_TRAIN && images->N != config->batch)
        return sco_fail(SCO_SHAPE,
                        "the batch has %zu images, training takes %zu, those that the model was planned for: others "
                        "would change the statistics",
                        images->N, config->batch);
    for (size_t n = 0; n < images->N; n++) {
        if (images->label[n] < 0 || (size_t)images->label[n] >= config->classes)
            return sco_fail(SCO_FORMAT, "batch %llu, image %zu: label %d is no class; possible: 0 to %zu",
                            (unsigned long long)batch->position, n, (int)images->label[n], config->classes - 1);
        label[n] = images->label[n];
    }
    for (size_t n = images->N; n < config->batch; n++)
        label[n] = -1;
    return SCO_OK;
}

/* The first of equal logits counts as the largest; NaN is none. */
static size_t count_correct(const float *logits, const int32_t *label, size_t rows, size_t classes)
{
    size_t correct = 0;
    for (size_t r = 0; r < rows; r++) {
        const float *row = logits + r * classes, mine = row[label[r]];
        size_t better = 0;
        for (size_t c = 0; c < classes; c++)
            better += c < (size_t)label[r] ? !(row[c] < mine) : c != (size_t)label[r] && !(row[c] <= mine);
        correct += better == 0;
    }
    return correct;
}

static enum sco_status head_forward(struct sco_model *model, enum sco_model_mode mode, const float *x,
                                    struct sco_model_result *result)
{
    const struct resnet *net = model->layers;
    const struct sco_model_config *config = &model->config;
    const int training = mode == SCO_MODEL_TRAIN;
    float *features = sco_model_at(model, net->features), *logits = sco_model_at(model, net->logits);
    const int32_t *label = sco_model_at(model, net->label);
    void *scratch = sco_model_at(model, net->scratch);
    struct sco_loss loss;
    enum sco_status status = sco_mean_pool_fwd(model->ctx, &net->last, x, features);
    if (status == SCO_OK)
        status = sco_gemm_run(net->dense, features, sco_model_p(model, net->kernel), logits,
                              sco_model_p(model, net->bias), scratch);
    /* AlgoPerf evaluates without smoothing. */
    if (status == SCO_OK)
        status = sco_softmax_cross_entropy(model->ctx, config->batch, config->classes, logits, label,
                                           training ? config->label_smoothing : 0.0f, scratch, net->scratch_bytes,
                                           &loss, training ? sco_model_at(model, net->dlogits) : NULL);
    if (status != SCO_OK)
        return status;
    *result = (struct sco_model_result){
        .loss = loss.mean,
        .loss_sum = loss.sum,
        .loss_count = loss.count,
        .correct = count_correct(logits, label, model->batch.samples, config->classes),
    };
    return SCO_OK;
}

static enum sco_status resnet_forward(struct sco_model *model, const struct sco_batch *batch, enum sco_model_mode mode,
                                      uint64_t step, struct sco_model_result *result)
{
    struct resnet *net = model->layers;
    (void)step;
    enum sco_status status = check_batch(model, batch, mode);
    if (status != SCO_OK)
        return status;
    /* Backward takes the maxima from argmax and the signs from z, so the stem's result is not kept. */
    float *stem = sco_model_at(model, net->wide[0]), *x = sco_model_at(model, net->pooled);
    status = unit_forward(model, &net->init, mode, whole_batch(model, &batch->images), NULL, stem);
    if (status == SCO_OK)
        status = sco_max_pool_fwd(model->ctx, &net->init.out, &net->pool, stem, x, sco_model_at(model, net->argmax));
    for (size_t b = 0; status == SCO_OK && b < net->blocks; b++) {
        status = block_forward(model, &net->block[b], mode, x);
        x = sco_model_at(model, net->block[b].out);
    }
    model->output_rows = batch->samples;
    return status == SCO_OK ? head_forward(model, mode, x, result) : status;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* From dy, of what the unit gave, to dz, of what its convolution gave, and dx (NULL: not wanted). y: NULL but behind a
 * residual. dz may be dy; with dresidual it is not, but dresidual may be. */
static enum sco_status unit_backward(struct sco_model *model, struct unit *unit, const float *x, const float *y,
                                     const float *dy, float *dz, float *dresidual, float *dx)
{
    const struct resnet *net = model->layers;
    float *packed = sco_model_at(model, net->packed);
    void *scratch = sco_model_at(model, net->scratch);
    const struct sco_batch_norm norm = norm_of(model, unit);
    struct sco_conv2d *data = unit->conv[SCO_CONV2D_BWD_DATA], *weights = unit->conv[SCO_CONV2D_BWD_WEIGHTS];
    enum sco_status status =
        sco_batch_norm_bwd(model->ctx, &unit->out, &norm, sco_model_at(model, unit->z), y, dy, dz, dresidual,
                           sco_model_g(model, unit->scale), sco_model_g(model, unit->bias), scratch);
    if (status == SCO_OK)
        status = sco_model_done(model, unit->scale);
    if (status == SCO_OK && dx != NULL)
        status = sco_conv2d_pack(data, sco_model_p(model, unit->kernel), packed);
    if (status == SCO_OK && dx != NULL)
        status = sco_conv2d_bwd_data(data, dz, packed, dx, scratch);
    if (status == SCO_OK)
        status = sco_conv2d_bwd_weights(weights, x, dz, packed, scratch);
    if (status == SCO_OK)
        status = sco_conv2d_unpack(weights, packed, sco_model_g(model, unit->kernel));
    return status == SCO_OK ? sco_model_done(model, unit->kernel) : status;
}

/* dout is used up. */
static enum sco_status block_backward(struct sco_model *model, struct block *block, const float *x, float *dout,
                                      float *dx)
{
    const struct resnet *net = model->layers;
    struct unit *unit = block->unit;
    const float *y0 = sco_model_at(model, block->y[REDUCE]), *y1 = sco_model_at(model, block->y[SPATIAL]);
    float *dy1 = sco_model_at(model, net->narrow), *dy0 = dy1 + net->narrow_floats, *around = dout;
    enum sco_status status =
        unit_backward(model, &unit[EXPAND], y1, sco_model_at(model, block->out), dout, dx, dout, dy1);
    if (status == SCO_OK)
        status = unit_backward(model, &unit[SPATIAL], y0, NULL, dy1, dy1, NULL, dy0);
    if (status == SCO_OK)
        status = unit_backward(model, &unit[REDUCE], x, NULL, dy0, dy0, NULL, dx);
    if (status == SCO_OK && block->has_projection) {
        around = dy1;
        status = unit_backward(model, &unit[PROJECT], x, NULL, dout, dout, NULL, around);
    }
    return status == SCO_OK ? sco_residual_add(model->ctx, 0, block->in_floats, dx, around, dx) : status;
}

static enum sco_status head_backward(struct sco_model *model, float *dx)
{
    const struct resnet *net = model->layers;
    const float *features = sco_model_at(model, net->features), *dlogits = sco_model_at(model, net->dlogits);
    float *dfeatures = sco_model_at(model, net->dfeatures);
    void *scratch = sco_model_at(model, net->scratch);
    enum sco_status status =
        sco_gemm_run(net->dense_dx, dlogits, sco_model_p(model, net->kernel), dfeatures, NULL, scratch);
    if (status == SCO_OK)
        status = sco_gemm_run(net->dense_dw, features, dlogits, sco_model_g(model, net->kernel), NULL, scratch);
    if (status == SCO_OK)
        status = sco_row_bias_bwd(model->ctx, model->config.batch, model->config.classes, dlogits,
                                  sco_model_g(model, net->bias), scratch);
    if (status == SCO_OK)
        status = sco_model_done(model, net->kernel);
    return status == SCO_OK ? sco_mean_pool_bwd(model->ctx, &net->last, dfeatures, dx) : status;
}

static enum sco_status resnet_backward(struct sco_model *model)
{
    struct resnet *net = model->layers;
    float *d = sco_model_at(model, net->wide[0]), *other = sco_model_at(model, net->wide[1]);
    enum sco_status status = head_backward(model, d);
    for (size_t b = net->blocks; status == SCO_OK && b-- > 0;) {
        const size_t x = b > 0 ? net->block[b - 1].out : net->pooled;
        status = block_backward(model, &net->block[b], sco_model_at(model, x), d, other);
        float *dx = other;
        other = d;
        d = dx;
    }
    if (status == SCO_OK)
        status = sco_max_pool_bwd(model->ctx, &net->init.out, &net->pool, d, sco_model_at(model, net->argmax), other);
    return status == SCO_OK ? unit_backward(model, &net->init, model->batch.images.x, NULL, other, other, NULL, NULL)
                            : status;
}

const struct sco_model_type sco_resnet_type = {resnet_plan, resnet_setup, resnet_forward, resnet_backward,
                                               resnet_destroy};

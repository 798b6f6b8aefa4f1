/* SPDX-License-Identifier: Apache-2.0
 * The U-Net of fastMRI: pairs of convolutions on the way down and up, with what the way down saw put beside what comes
 * up.
 *
 * Source    Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015; Zbontar et al., "fastMRI", 2018, section 5. */
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "models/model.h"
#include "stepcost/activation.h"
#include "stepcost/blocked.h"
#include "stepcost/dropout.h"
#include "stepcost/loss.h"
#include "stepcost/norm.h"
#include "stepcost/pool.h"

enum { MAX_DEPTH = 8 };
static const float eps = 1e-5f, slope = 0.2f;
static const struct sco_pool halving = {.window = 2, .stride = 2};

/* Channels of a region, for all images of the batch; two images are image floats apart. */
struct tensor {
    size_t region, offset;
    size_t C, H, W, image;
};

struct convolution {
    size_t param;
    struct sco_conv2d *plan[SCO_CONV2D_DIRECTIONS];
};

/* Convolution, instance norm, leaky ReLU, dropout of channels.
 *
 * No memory is set aside for gradients: a tensor's gradient takes the tensor's place when backward has read it for the
 * last time. Of sum that is the norm, of in the gradient of the weights; out is in of another, or of a pooling, which
 * reads nothing. */
struct layer {
    struct convolution convolution;
    struct tensor in, sum, out;
    struct tensor gradient; /* of out: out itself, unless two gradients meet there */
    size_t mean, rstd;
    uint32_t index; /* tells the masks of dropout apart */
    int drops;
};

struct level {
    struct layer down[2];
    /* All below only where there is a level beneath. */
    struct layer rise;        /* transposed convolution from the level beneath; never drops */
    struct tensor up;         /* what rises, padded to the size of the level */
    struct tensor both;       /* [up, result of down]: both are written right here where whole blocks allow */
    size_t bottom, right;     /* rows and columns of padding; rise.out is scratch where there are any */
    int copied;               /* up and the result of down have memory of their own */
    struct layer ascended[2]; /* from both */
};

struct unet {
    size_t depth; /* of poolings; level depth is the bottom */
    struct level level[MAX_DEPTH + 1];
    struct convolution last;
    size_t bias;
    struct tensor outputs, gradient;
    size_t packed, workspace; /* of one operator at a time */
    size_t packed_bytes, workspace_bytes;
    float dropout;
    uint32_t step; /* of the last forward */
};

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Sizes are checked by the convolutions that use the tensor; until then a product may have wrapped. */
static struct tensor make_tensor(struct sco_model *model, size_t C, size_t H, size_t W)
{
    struct tensor tensor = {.C = C, .H = H, .W = W, .image = sco_blocked_floats(C, H, W)};
    tensor.region = sco_model_activation(model, model->config.batch * tensor.image * sizeof(float));
    return tensor;
}

/* The channels of whole from first on, which start a block. */
static struct tensor channels_of(const struct tensor *whole, size_t first, size_t C)
{
    struct tensor tensor = *whole;
    tensor.offset += first * whole->H * whole->W;
    tensor.C = C;
    return tensor;
}

static struct sco_blocked shape_of(const struct sco_model *model, const struct tensor *src, const struct tensor *dst)
{
    return (struct sco_blocked){model->config.batch, src->C, src->H, src->W, src->image, dst->image};
}

/* Both tensors are dense. */
static enum sco_status plan_convolution(struct sco_model *model, struct convolution *convolution,
                                        const struct tensor *in, size_t OC, size_t side, int transposed, int first)
{
    struct unet *unet = model->layers;
    const size_t pad = transposed ? 0 : side / 2;
    const struct sco_conv2d_shape shape = {.N = model->config.batch,
                                           .C = in->C,
                                           .H = in->H,
                                           .W = in->W,
                                           .OC = OC,
                                           .KH = side,
                                           .KW = side,
                                           .stride = transposed ? 2 : 1,
                                           .pad_top = pad,
                                           .pad_left = pad,
                                           .pad_bottom = pad,
                                           .pad_right = pad};
    const double flops = 2.0 * (double)(shape.N * in->H * in->W) * (double)(side * side * in->C * OC);
    for (enum sco_conv2d_direction d = SCO_CONV2D_FWD; d < SCO_CONV2D_DIRECTIONS; d++) {
        if (first && d == SCO_CONV2D_BWD_DATA)
            continue;
        struct sco_conv2d **plan = &convolution->plan[d];
        const enum sco_status status =
            transposed ? sco_conv2d_create_transposed(plan, model->ctx, d, &shape, model->config.conv)
                       : sco_conv2d_create(plan, model->ctx, d, &shape, model->config.conv);
        if (status != SCO_OK)
            return status;
        if (transposed)
            sco_model_external(model, side * side * in->C * OC * sizeof(float));
        unet->packed_bytes = largest(unet->packed_bytes, sco_conv2d_packed_count(*plan) * sizeof(float));
        unet->workspace_bytes = largest(unet->workspace_bytes, sco_conv2d_workspace_bytes(*plan));
        *(d == SCO_CONV2D_FWD ? &model->plan.forward_flops : &model->plan.backward_flops) += flops;
    }
    return SCO_OK;
}

/* All of a layer but its out. */
static enum sco_status plan_layer(struct sco_model *model, struct layer *layer, const struct tensor *in, size_t OC,
                                  int transposed)
{
    struct unet *unet = model->layers;
    const size_t grows = transposed ? 2 : 1, channels = model->config.batch * OC;
    layer->in = *in;
    const enum sco_status status = plan_convolution(model, &layer->convolution, in, OC, transposed ? 2 : 3, transposed,
                                                    in->region == unet->level[0].down[0].in.region);
    if (status != SCO_OK)
        return status;
    layer->sum = make_tensor(model, OC, grows * in->H, grows * in->W);
    layer->mean = sco_model_activation(model, channels * sizeof(float));
    layer->rstd = sco_model_activation(model, channels * sizeof(float));
    const struct sco_blocked shape = shape_of(model, &layer->sum, &layer->sum);
    unet->workspace_bytes = largest(unet->workspace_bytes, sco_batch_norm_workspace_bytes(&shape));
    return SCO_OK;
}

/* A block of two layers, all but the second's out; the convolutions are declared one after another. */
static enum sco_status plan_pair(struct sco_model *model, struct layer pair[2], const struct tensor *in, size_t OC,
                                 size_t block)
{
    enum sco_status status = SCO_OK;
    for (size_t i = 0; i < 2 && status == SCO_OK; i++) {
        const struct tensor *from = i == 0 ? in : &pair[0].out;
        sco_model_group(model, 0);
        pair[i].convolution.param =
            sco_model_param(model, SCO_INIT_LECUN_NORMAL, 0.0, 4, (const size_t[]){3, 3, from->C, OC},
                            "ConvBlock_%zu/Conv_%zu/kernel", block, i);
        status = plan_layer(model, &pair[i], from, OC, 0);
        if (i == 0)
            pair[0].out = pair[0].gradient = make_tensor(model, OC, in->H, in->W);
        pair[i].drops = 1;
        pair[i].index = (uint32_t)(2 * block + i);
    }
    return status;
}

static enum sco_status plan_way_down(struct sco_model *model)
{
    struct unet *unet = model->layers;
    enum sco_status status = SCO_OK;
    struct tensor in = make_tensor(model, 1, model->config.H, model->config.W);
    unet->level[0].down[0].in = in;
    for (size_t i = 0; i <= unet->depth && status == SCO_OK; i++) {
        struct level *level = &unet->level[i];
        const size_t C = sco_model_width(model, (size_t)32 << i);
        status = plan_pair(model, level->down, &in, C, i);
        if (status != SCO_OK)
            return status;
        struct tensor *out = &level->down[1].out;
        if (i == unet->depth) {
            *out = level->down[1].gradient = make_tensor(model, C, in.H, in.W);
            return SCO_OK;
        }
        level->both = make_tensor(model, 2 * C, in.H, in.W);
        level->copied = C % SCO_CHANNEL_BLOCK != 0;
        level->up = level->copied ? make_tensor(model, C, in.H, in.W) : channels_of(&level->both, 0, C);
        *out = level->copied ? make_tensor(model, C, in.H, in.W) : channels_of(&level->both, C, C);
        in = make_tensor(model, C, sco_pool_extent(in.H, &halving), sco_pool_extent(in.W, &halving));
    }
    return status;
}

static enum sco_status plan_way_up(struct sco_model *model)
{
    struct unet *unet = model->layers;
    struct tensor scratch = {0};
    enum sco_status status = SCO_OK;
    for (size_t i = 0; i < unet->depth; i++) {
        const struct level *level = &unet->level[i];
        if (level->both.H % 2 != 0 || level->both.W % 2 != 0)
            scratch.image = largest(scratch.image, sco_blocked_floats(level->up.C, level->both.H, level->both.W));
    }
    if (scratch.image > 0)
        scratch.region = sco_model_workspace(model, model->config.batch * scratch.image * sizeof(float));
    for (size_t i = unet->depth; i-- > 0 && status == SCO_OK;) {
        struct level *level = &unet->level[i], *beneath = level + 1;
        const struct tensor *in = i + 1 == unet->depth ? &beneath->down[1].out : &beneath->ascended[1].out;
        const size_t C = level->up.C, order = unet->depth - 1 - i;
        sco_model_group(model, 0);
        level->rise.convolution.param =
            sco_model_param(model, SCO_INIT_LECUN_NORMAL, 0.0, 4, (const size_t[]){2, 2, in->C, C},
                            "TransposeConvBlock_%zu/ConvTranspose_0/kernel", order);
        status = plan_layer(model, &level->rise, in, C, 1);
        if (status != SCO_OK)
            return status;
        level->bottom = level->both.H % 2;
        level->right = level->both.W % 2;
        if (level->bottom || level->right) {
            level->rise.out = level->rise.sum;
            level->rise.out.region = scratch.region;
        } else {
            level->rise.out = level->up;
        }
        level->rise.gradient = level->rise.out;
        status = plan_pair(model, level->ascended, &level->both, C, unet->depth + 1 + order);
        level->ascended[1].out = level->ascended[1].gradient = make_tensor(model, C, level->both.H, level->both.W);
        /* Two gradients meet in what the way down handed over: their sum takes the place of one that is done with. */
        level->down[1].gradient = level->ascended[0].sum;
    }
    return status;
}

static enum sco_status plan_last(struct sco_model *model)
{
    struct unet *unet = model->layers;
    const struct tensor *in = &unet->level[0].ascended[1].out;
    sco_model_group(model, 0);
    unet->bias = sco_model_param(model, SCO_INIT_CONSTANT, 0.0, 1, (const size_t[]){1}, "Conv_0/bias");
    unet->last.param =
        sco_model_param(model, SCO_INIT_LECUN_NORMAL, 0.0, 4, (const size_t[]){1, 1, in->C, 1}, "Conv_0/kernel");
    const enum sco_status status = plan_convolution(model, &unet->last, in, 1, 1, 0, 0);
    if (status != SCO_OK)
        return status;
    unet->outputs = make_tensor(model, 1, in->H, in->W);
    unet->gradient = make_tensor(model, 1, in->H, in->W);
    const struct sco_blocked shape = shape_of(model, &unet->outputs, &unet->outputs);
    unet->workspace_bytes = largest(unet->workspace_bytes, sco_blocked_bias_workspace_bytes(&shape));
    unet->workspace_bytes =
        largest(unet->workspace_bytes, sco_loss_workspace_bytes(model->config.batch * in->H * in->W));
    return SCO_OK;
}

static enum sco_status check(struct sco_model_config *config)
{
    config->H = config->H == 0 ? 320 : config->H;
    config->W = config->W == 0 ? 320 : config->W;
    config->depth = config->depth == 0 ? 4 : config->depth;
    if (!config->has_dropout)
        config->dropout = 0.0f;
    if (config->depth > MAX_DEPTH)
        return sco_fail(SCO_INVALID, "unet: depth is %zu; possible: 1 to %d poolings (4 is the model of the benchmark)",
                        config->depth, MAX_DEPTH);
    if (config->H >> config->depth == 0 || config->W >> config->depth == 0)
        return sco_fail(SCO_SHAPE,
                        "unet: nothing is left of %zu x %zu pixels after %zu poolings; give at least %zu a side,"
                        " or less depth",
                        config->H, config->W, config->depth, (size_t)1 << config->depth);
    return SCO_OK;
}

static enum sco_status plan(struct sco_model *model)
{
    enum sco_status status = check(&model->config);
    if (status != SCO_OK)
        return status;
    struct unet *unet = calloc(1, sizeof *unet);
    if (unet == NULL)
        return sco_fail(SCO_NOMEM, "no memory to plan a model");
    model->layers = unet;
    unet->depth = model->config.depth;
    unet->dropout = model->config.dropout;
    status = plan_way_down(model);
    if (status == SCO_OK)
        status = plan_way_up(model);
    if (status == SCO_OK)
        status = plan_last(model);
    if (status != SCO_OK)
        return status;
    unet->packed = sco_model_workspace(model, unet->packed_bytes);
    unet->workspace = sco_model_workspace(model, unet->workspace_bytes);
    return model->status;
}

static float *data(const struct sco_model *model, const struct tensor *tensor)
{
    return (float *)sco_model_at(model, tensor->region) + tensor->offset;
}

/* Copies of channels leave those that pad the last block alone. */
static enum sco_status setup(struct sco_model *model)
{
    const struct unet *unet = model->layers;
    for (size_t i = 0; i < unet->depth; i++) {
        const struct level *level = &unet->level[i];
        if (level->copied)
            memset(data(model, &level->both), 0, model->config.batch * level->both.image * sizeof(float));
    }
    return SCO_OK;
}

static void destroy_convolution(struct convolution *convolution)
{
    for (size_t d = 0; d < SCO_CONV2D_DIRECTIONS; d++)
        sco_conv2d_destroy(convolution->plan[d]);
}

static void destroy(struct sco_model *model)
{
    struct unet *unet = model->layers;
    for (size_t i = 0; unet != NULL && i <= unet->depth; i++) {
        struct level *level = &unet->level[i];
        for (size_t k = 0; k < 2; k++) {
            destroy_convolution(&level->down[k].convolution);
            destroy_convolution(&level->ascended[k].convolution);
        }
        destroy_convolution(&level->rise.convolution);
    }
    if (unet != NULL)
        destroy_convolution(&unet->last);
    free(unet);
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static enum sco_status convolve(struct sco_model *model, struct convolution *convolution, const struct tensor *in,
                                const struct tensor *out, const float *bias)
{
    const struct unet *unet = model->layers;
    struct sco_conv2d *plan = convolution->plan[SCO_CONV2D_FWD];
    const struct sco_conv2d_epilogue epilogue = {.bias = bias};
    float *packed = sco_model_at(model, unet->packed);
    const enum sco_status status = sco_conv2d_pack(plan, sco_model_p(model, convolution->param), packed);
    if (status != SCO_OK)
        return status;
    return sco_conv2d_fwd(plan, data(model, in), packed, data(model, out), bias != NULL ? &epilogue : NULL,
                          sco_model_at(model, unet->workspace));
}

static struct sco_instance_norm norm_of(const struct sco_model *model, const struct layer *layer)
{
    return (struct sco_instance_norm){.eps = eps,
                                      .activation = SCO_NORM_LEAKY_RELU,
                                      .slope = slope,
                                      .mean = sco_model_at(model, layer->mean),
                                      .rstd = sco_model_at(model, layer->rstd)};
}

/* In place. */
static enum sco_status drop(struct sco_model *model, const struct layer *layer, const struct tensor *tensor)
{
    const struct unet *unet = model->layers;
    const struct sco_dropout dropout = {unet->dropout, model->config.seed, layer->index, unet->step};
    const struct sco_blocked shape = shape_of(model, tensor, tensor);
    if (unet->dropout == 0.0f || !layer->drops)
        return SCO_OK;
    return sco_channel_dropout(model->ctx, &dropout, &shape, data(model, tensor), data(model, tensor));
}

static enum sco_status layer_forward(struct sco_model *model, struct layer *layer, enum sco_model_mode mode)
{
    const struct unet *unet = model->layers;
    const struct sco_instance_norm norm = norm_of(model, layer);
    const struct sco_blocked shape = shape_of(model, &layer->sum, &layer->out);
    enum sco_status status = convolve(model, &layer->convolution, &layer->in, &layer->sum, NULL);
    if (status == SCO_OK)
        status = sco_instance_norm_fwd(model->ctx, &shape, &norm, data(model, &layer->sum), data(model, &layer->out),
                                       sco_model_at(model, unet->workspace));
    if (status == SCO_OK && mode == SCO_MODEL_TRAIN)
        status = drop(model, layer, &layer->out);
    return status;
}

static enum sco_status pair_forward(struct sco_model *model, struct layer pair[2], enum sco_model_mode mode)
{
    const enum sco_status status = layer_forward(model, &pair[0], mode);
    return status == SCO_OK ? layer_forward(model, &pair[1], mode) : status;
}

/* Channels from first on of whole are those of part, which has memory of its own; or the other way round. */
static enum sco_status copy_channels(struct sco_model *model, const struct tensor *part, const struct tensor *whole,
                                     size_t first, int into_part)
{
    float *const p = data(model, part), *const w = data(model, whole);
    const struct sco_blocked into = shape_of(model, part, whole);
    struct sco_blocked from = into;
    from.src_image = whole->image;
    from.dst_image = part->image;
    return into_part ? sco_blocked_copy(model->ctx, &from, w, whole->C, first, p, part->C, 0)
                     : sco_blocked_copy(model->ctx, &into, p, part->C, 0, w, whole->C, first);
}

static enum sco_status ascend(struct sco_model *model, struct level *level, enum sco_model_mode mode)
{
    enum sco_status status = layer_forward(model, &level->rise, mode);
    const struct sco_blocked shape = shape_of(model, &level->rise.out, &level->up);
    if (status == SCO_OK && (level->bottom || level->right))
        status = sco_reflect_pad(model->ctx, &shape, level->bottom, level->right, data(model, &level->rise.out),
                                 data(model, &level->up));
    if (status == SCO_OK && level->copied)
        status = copy_channels(model, &level->up, &level->both, 0, 0);
    if (status == SCO_OK && level->copied)
        status = copy_channels(model, &level->down[1].out, &level->both, level->up.C, 0);
    return status == SCO_OK ? pair_forward(model, level->ascended, mode) : status;
}

static enum sco_status check_batch(const struct sco_model *model, const struct sco_batch *batch)
{
    const struct sco_slices *slices = &batch->slices;
    if (slices->N != batch->samples)
        return sco_fail(SCO_INVALID, "unet: a batch of %zu samples has %zu slices", batch->samples, slices->N);
    if (slices->H != model->config.H || slices->W != model->config.W)
        return sco_fail(SCO_SHAPE, "unet: slices are %zu x %zu, the model was planned for %zu x %zu", slices->H,
                        slices->W, model->config.H, model->config.W);
    if (slices->N > 0 && (slices->x == NULL || slices->target == NULL))
        return sco_fail(SCO_INVALID, "unet: a batch without %s", slices->x == NULL ? "x" : "target");
    return SCO_OK;
}

/* Slices that the batch has not are zeros: their outputs are those of nobody, their gradients zero. */
static void zero_rest(const struct sco_model *model, const struct tensor *tensor, size_t samples)
{
    memset(data(model, tensor) + samples * tensor->image, 0,
           (model->config.batch - samples) * tensor->image * sizeof(float));
}

static enum sco_status forward(struct sco_model *model, const struct sco_batch *batch, enum sco_model_mode mode,
                               uint64_t step, struct sco_model_result *result)
{
    struct unet *unet = model->layers;
    const struct tensor *x = &unet->level[0].down[0].in;
    const size_t pixels = x->image, all = batch->samples * pixels;
    enum sco_status status = check_batch(model, batch);
    if (status != SCO_OK)
        return status;
    unet->step = (uint32_t)step;
    if (all > 0)
        memcpy(data(model, x), batch->slices.x, all * sizeof(float));
    zero_rest(model, x, batch->samples);
    for (size_t i = 0; i <= unet->depth && status == SCO_OK; i++) {
        struct level *level = &unet->level[i];
        status = pair_forward(model, level->down, mode);
        if (status == SCO_OK && i < unet->depth) {
            const struct tensor *out = &level->down[1].out, *pooled = &level[1].down[0].in;
            const struct sco_blocked shape = shape_of(model, out, pooled);
            status = sco_avg_pool_fwd(model->ctx, &shape, &halving, data(model, out), data(model, pooled));
        }
    }
    for (size_t i = unet->depth; i-- > 0 && status == SCO_OK;)
        status = ascend(model, &unet->level[i], mode);
    if (status == SCO_OK)
        status = convolve(model, &unet->last, &unet->level[0].ascended[1].out, &unet->outputs,
                          sco_model_p(model, unet->bias));
    if (status != SCO_OK)
        return status;
    struct sco_loss loss;
    status = sco_l1_loss(model->ctx, all, data(model, &unet->outputs), batch->slices.target,
                         sco_model_at(model, unet->workspace), unet->workspace_bytes, &loss,
                         mode == SCO_MODEL_TRAIN ? data(model, &unet->gradient) : NULL);
    zero_rest(model, &unet->gradient, batch->samples);
    model->outputs = data(model, &unet->outputs);
    model->output_rows = batch->samples;
    model->output_columns = pixels;
    result->loss = loss.mean;
    result->loss_sum = loss.sum / (double)pixels;
    result->loss_count = (double)batch->samples;
    return status;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* The gradients of the weights and, in the place of in, of in; the first convolution of all has none to give. */
static enum sco_status convolve_back(struct sco_model *model, struct convolution *convolution, const struct tensor *in,
                                     const struct tensor *gradient)
{
    const struct unet *unet = model->layers;
    struct sco_conv2d *const *plan = convolution->plan, *back = plan[SCO_CONV2D_BWD_DATA];
    float *packed = sco_model_at(model, unet->packed);
    void *workspace = sco_model_at(model, unet->workspace);
    enum sco_status status =
        sco_conv2d_bwd_weights(plan[SCO_CONV2D_BWD_WEIGHTS], data(model, in), data(model, gradient), packed, workspace);
    if (status == SCO_OK)
        status = sco_conv2d_unpack(plan[SCO_CONV2D_BWD_WEIGHTS], packed, sco_model_g(model, convolution->param));
    if (status == SCO_OK && back != NULL)
        status = sco_conv2d_pack(back, sco_model_p(model, convolution->param), packed);
    if (status == SCO_OK && back != NULL)
        status = sco_conv2d_bwd_data(back, data(model, gradient), packed, data(model, in), workspace);
    return status == SCO_OK ? sco_model_done(model, convolution->param) : status;
}

static enum sco_status layer_backward(struct sco_model *model, struct layer *layer)
{
    const struct unet *unet = model->layers;
    const struct sco_instance_norm norm = norm_of(model, layer);
    const struct sco_blocked shape = shape_of(model, &layer->sum, &layer->gradient);
    float *sum = data(model, &layer->sum);
    enum sco_status status = drop(model, layer, &layer->gradient);
    if (status == SCO_OK)
        status = sco_instance_norm_bwd(model->ctx, &shape, &norm, sum, data(model, &layer->gradient), sum,
                                       sco_model_at(model, unet->workspace));
    return status == SCO_OK ? convolve_back(model, &layer->convolution, &layer->in, &layer->sum) : status;
}

static enum sco_status pair_backward(struct sco_model *model, struct layer pair[2])
{
    const enum sco_status status = layer_backward(model, &pair[1]);
    return status == SCO_OK ? layer_backward(model, &pair[0]) : status;
}

static enum sco_status ascend_back(struct sco_model *model, struct level *level)
{
    enum sco_status status = pair_backward(model, level->ascended);
    if (status == SCO_OK && level->copied)
        status = copy_channels(model, &level->up, &level->both, 0, 1);
    if (status == SCO_OK && level->copied)
        status = copy_channels(model, &level->down[1].out, &level->both, level->up.C, 1);
    const struct sco_blocked shape = shape_of(model, &level->rise.out, &level->up);
    if (status == SCO_OK && (level->bottom || level->right))
        status = sco_reflect_pad_bwd(model->ctx, &shape, level->bottom, level->right, data(model, &level->up),
                                     data(model, &level->rise.out));
    return status == SCO_OK ? layer_backward(model, &level->rise) : status;
}

/* The gradient of what level handed down and across: out of the pooling and out of the concatenation. */
static enum sco_status meet(struct sco_model *model, const struct level *level)
{
    const struct tensor *sum = &level->down[1].gradient, *across = &level->down[1].out, *below = &level[1].down[0].in;
    const struct sco_blocked shape = shape_of(model, sum, below);
    enum sco_status status = sco_avg_pool_bwd(model->ctx, &shape, &halving, data(model, below), data(model, sum));
    for (size_t n = 0; n < model->config.batch && status == SCO_OK; n++) {
        float *image = data(model, sum) + n * sum->image;
        status = sco_residual_add(model->ctx, 0, sum->image, image, data(model, across) + n * across->image, image);
    }
    return status;
}

static enum sco_status backward(struct sco_model *model)
{
    struct unet *unet = model->layers;
    const struct sco_blocked shape = shape_of(model, &unet->gradient, &unet->gradient);
    enum sco_status status = sco_blocked_bias_bwd(model->ctx, &shape, data(model, &unet->gradient),
                                                  sco_model_g(model, unet->bias), sco_model_at(model, unet->workspace));
    if (status == SCO_OK)
        status = convolve_back(model, &unet->last, &unet->level[0].ascended[1].out, &unet->gradient);
    for (size_t i = 0; i < unet->depth && status == SCO_OK; i++)
        status = ascend_back(model, &unet->level[i]);
    if (status == SCO_OK)
        status = pair_backward(model, unet->level[unet->depth].down);
    for (size_t i = unet->depth; i-- > 0 && status == SCO_OK;) {
        status = meet(model, &unet->level[i]);
        if (status == SCO_OK)
            status = pair_backward(model, unet->level[i].down);
    }
    return status;
}

const struct sco_model_type sco_unet_type = {plan, setup, forward, backward, destroy};

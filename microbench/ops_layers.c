/* SPDX-License-Identifier: Apache-2.0
 * Normalization, pooling, activations and dropout on the shapes of ResNet-50 (224 x 224), U-Net (320 x 320) and the graph
 * network (512 molecules). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "microbench/op.h"
#include "stepcost/activation.h"
#include "stepcost/dropout.h"
#include "stepcost/memory.h"
#include "stepcost/norm.h"
#include "stepcost/pool.h"

enum kind {
    BATCH_FWD,
    BATCH_BWD,
    BATCH_ADD_FWD,
    BATCH_ADD_BWD,
    INSTANCE_FWD,
    INSTANCE_BWD,
    LAYER_FWD,
    LAYER_BWD,
    LAYER_DROPOUT_FWD,
    LAYER_DROPOUT_BWD,
    MAX_FWD,
    MAX_BWD,
    AVG_FWD,
    AVG_BWD,
    MEAN_FWD,
    MEAN_BWD,
    RELU_FWD,
    RELU_BWD,
    GELU_FWD,
    GELU_BWD,
    SIGMOID_FWD,
    DROPOUT,
    ADD_RELU,
    BIAS_BWD,
    KINDS
};

/* Rows of features are images of one pixel row: N rows, C wide. */
struct shape {
    const char *name;
    size_t N, C, H, W;
};

static const struct shape resnet[] = {
    {"8x64x112x112", 8, 64, 112, 112},
    {"8x64x56x56", 8, 64, 56, 56},
    {"8x256x56x56", 8, 256, 56, 56},
    {"8x512x28x28", 8, 512, 28, 28},
    {"8x1024x14x14", 8, 1024, 14, 14},
    {"8x2048x7x7", 8, 2048, 7, 7},
    {NULL, 0, 0, 0, 0},
};
static const struct shape unet[] = {
    {"8x32x320x320", 8, 32, 320, 320}, {"8x64x160x160", 8, 64, 160, 160}, {"8x128x80x80", 8, 128, 80, 80},
    {"8x256x40x40", 8, 256, 40, 40},   {"8x512x20x20", 8, 512, 20, 20},   {NULL, 0, 0, 0, 0},
};
static const struct shape stem[] = {{"8x64x112x112", 8, 64, 112, 112}, {NULL, 0, 0, 0, 0}};
static const struct shape head[] = {{"8x2048x7x7", 8, 2048, 7, 7}, {NULL, 0, 0, 0, 0}};
static const struct shape graph[] = {
    {"13312x256", 13312, 256, 1, 1}, {"28672x256", 28672, 256, 1, 1}, {NULL, 0, 0, 0, 0}};
static const struct shape wide[] = {
    {"8x256x56x56", 8, 256, 56, 56}, {"28672x256", 28672, 256, 1, 1}, {NULL, 0, 0, 0, 0}};

/* Bytes and flops of an element of x. Normalization over images asks for its operands twice; where the second reading comes
 * from cache, a step is faster than memory alone would allow. */
static const struct {
    const struct shape *shapes;
    double bytes, flops;
} models[KINDS] = {
    [BATCH_FWD] = {resnet, 12.0, 7.0},
    [BATCH_BWD] = {resnet, 20.0, 14.0},
    [BATCH_ADD_FWD] = {resnet, 16.0, 8.0},
    [BATCH_ADD_BWD] = {resnet, 32.0, 12.0},
    [INSTANCE_FWD] = {unet, 12.0, 7.0},
    [INSTANCE_BWD] = {unet, 20.0, 14.0},
    [LAYER_DROPOUT_FWD] = {graph, 8.0, 11.0},
    [LAYER_DROPOUT_BWD] = {graph, 12.0, 22.0},
    [LAYER_FWD] = {graph, 8.0, 9.0},
    [LAYER_BWD] = {graph, 12.0, 20.0},
    [MAX_FWD] = {stem, 5.25, 2.25},
    [MAX_BWD] = {stem, 5.25, 2.25},
    [AVG_FWD] = {unet, 5.0, 1.25},
    [AVG_BWD] = {unet, 5.0, 1.0},
    [MEAN_FWD] = {head, 4.0, 1.0},
    [MEAN_BWD] = {head, 4.0, 0.0},
    [RELU_FWD] = {wide, 8.0, 1.0},
    [RELU_BWD] = {wide, 12.0, 1.0},
    [GELU_FWD] = {wide, 8.0, 28.0},
    [GELU_BWD] = {wide, 12.0, 33.0},
    [SIGMOID_FWD] = {wide, 8.0, 23.0},
    [DROPOUT] = {wide, 8.0, 2.0},
    [ADD_RELU] = {wide, 12.0, 2.0},
    [BIAS_BWD] = {graph, 4.0, 1.0},
};

static const char *const ops[] = {"batch_norm_fwd",
                                  "batch_norm_bwd",
                                  "batch_norm_add_fwd",
                                  "batch_norm_add_bwd",
                                  "instance_norm_fwd",
                                  "instance_norm_bwd",
                                  "layer_norm_fwd",
                                  "layer_norm_bwd",
                                  "layer_norm_dropout_fwd",
                                  "layer_norm_dropout_bwd",
                                  "max_pool_fwd",
                                  "max_pool_bwd",
                                  "avg_pool_fwd",
                                  "avg_pool_bwd",
                                  "mean_pool_fwd",
                                  "mean_pool_bwd",
                                  "relu_fwd",
                                  "relu_bwd",
                                  "gelu_fwd",
                                  "gelu_bwd",
                                  "sigmoid_fwd",
                                  "dropout",
                                  "add_relu",
                                  "bias_bwd",
                                  NULL};
_Static_assert(sizeof ops / sizeof *ops == KINDS + 1, "one name per kind");

enum { X, DY, RESIDUAL, INPUTS, Y = INPUTS, DX, DRESIDUAL, TENSORS };

struct instance {
    enum kind kind;
    struct sco_ctx *ctx;
    struct sco_blocked shape;
    size_t floats; /* of x, the largest tensor */
    float *tensor[TENSORS];
    float *scale, *bias, *dscale, *dbias, *mean, *rstd;
    int8_t *argmax;
    void *workspace;
};

static const struct sco_pool three_by_two = {3, 2, 1}, two_by_two = {2, 2, 0};
static const struct sco_dropout mask = {0.1f, 1, 2, 3};

static struct sco_batch_norm batch_norm_of(const struct instance *in)
{
    return (struct sco_batch_norm){.scale = in->scale,
                                   .bias = in->bias,
                                   .eps = 1e-5f,
                                   .activation = SCO_NORM_RELU,
                                   .mean = in->mean,
                                   .rstd = in->rstd};
}

static struct sco_layer_norm layer_norm_of(const struct instance *in)
{
    const int drops = in->kind == LAYER_DROPOUT_FWD || in->kind == LAYER_DROPOUT_BWD;
    const struct sco_dropout *dropout = drops ? &mask : NULL;
    return (struct sco_layer_norm){in->shape.C, in->scale, in->bias, 1e-6f, SCO_NORM_RELU, dropout, in->mean, in->rstd};
}

/* kind, or the forward step that a backward one follows. */
static enum sco_status run(const struct instance *in, enum kind kind)
{
    float *const *t = in->tensor;
    const struct sco_batch_norm batch = batch_norm_of(in);
    const struct sco_instance_norm instance = {1e-5f, SCO_NORM_LEAKY_RELU, 0.2f, in->mean, in->rstd};
    const struct sco_layer_norm layer = layer_norm_of(in);
    struct sco_ctx *ctx = in->ctx;
    switch (kind) {
    case BATCH_FWD: return sco_batch_norm_fwd(ctx, &in->shape, &batch, t[X], NULL, t[Y], in->workspace);
    case BATCH_BWD:
        return sco_batch_norm_bwd(ctx, &in->shape, &batch, t[X], NULL, t[DY], t[DX], NULL, in->dscale, in->dbias,
                                  in->workspace);
    case BATCH_ADD_FWD: return sco_batch_norm_fwd(ctx, &in->shape, &batch, t[X], t[RESIDUAL], t[Y], in->workspace);
    case BATCH_ADD_BWD:
        return sco_batch_norm_bwd(ctx, &in->shape, &batch, t[X], t[Y], t[DY], t[DX], t[DRESIDUAL], in->dscale,
                                  in->dbias, in->workspace);
    case INSTANCE_FWD: return sco_instance_norm_fwd(ctx, &in->shape, &instance, t[X], t[Y], in->workspace);
    case INSTANCE_BWD: return sco_instance_norm_bwd(ctx, &in->shape, &instance, t[X], t[DY], t[DX], in->workspace);
    case LAYER_FWD:
    case LAYER_DROPOUT_FWD: return sco_layer_norm_fwd(ctx, &layer, in->shape.N, t[X], t[Y]);
    case LAYER_BWD:
    case LAYER_DROPOUT_BWD:
        return sco_layer_norm_bwd(ctx, &layer, in->shape.N, t[X], t[DY], t[DX], in->dscale, in->dbias, in->workspace);
    case MAX_FWD: return sco_max_pool_fwd(ctx, &in->shape, &three_by_two, t[X], t[Y], in->argmax);
    case MAX_BWD: return sco_max_pool_bwd(ctx, &in->shape, &three_by_two, t[DY], in->argmax, t[DX]);
    case AVG_FWD: return sco_avg_pool_fwd(ctx, &in->shape, &two_by_two, t[X], t[Y]);
    case AVG_BWD: return sco_avg_pool_bwd(ctx, &in->shape, &two_by_two, t[DY], t[DX]);
    case MEAN_FWD: return sco_mean_pool_fwd(ctx, &in->shape, t[X], t[Y]);
    case MEAN_BWD: return sco_mean_pool_bwd(ctx, &in->shape, t[DY], t[DX]);
    case RELU_FWD: return sco_activation_fwd(ctx, SCO_RELU, 0.0f, in->floats, t[X], t[Y]);
    case RELU_BWD: return sco_activation_bwd(ctx, SCO_RELU, 0.0f, in->floats, t[X], t[DY], t[DX]);
    case GELU_FWD: return sco_activation_fwd(ctx, SCO_GELU_TANH, 0.0f, in->floats, t[X], t[Y]);
    case GELU_BWD: return sco_activation_bwd(ctx, SCO_GELU_TANH, 0.0f, in->floats, t[X], t[DY], t[DX]);
    case SIGMOID_FWD: return sco_activation_fwd(ctx, SCO_SIGMOID, 0.0f, in->floats, t[X], t[Y]);
    case DROPOUT: return sco_dropout_apply(ctx, &mask, 1, in->floats, t[X], t[Y]);
    case ADD_RELU: return sco_residual_add(ctx, 1, in->floats, t[X], t[RESIDUAL], t[Y]);
    case BIAS_BWD: return sco_row_bias_bwd(ctx, in->shape.N, in->shape.C, t[DY], in->dbias, in->workspace);
    case KINDS: break;
    }
    return SCO_OK;
}

static enum sco_status step(void *data)
{
    const struct instance *in = data;
    return run(in, in->kind);
}

/* What a backward step needs from the forward one before it. */
static enum sco_status run_before(const struct instance *in)
{
    const int follows = in->kind == BATCH_BWD || in->kind == BATCH_ADD_BWD || in->kind == INSTANCE_BWD ||
                        in->kind == LAYER_BWD || in->kind == LAYER_DROPOUT_BWD || in->kind == MAX_BWD;
    return follows ? run(in, (enum kind)(in->kind - 1)) : SCO_OK;
}

static int uses(enum kind kind, size_t tensor)
{
    const int add = kind == BATCH_ADD_FWD || kind == BATCH_ADD_BWD;
    return tensor == RESIDUAL ? add || kind == ADD_RELU : tensor == DRESIDUAL ? kind == BATCH_ADD_BWD : 1;
}

static void destroy(void *data)
{
    struct instance *in = data;
    for (size_t i = 0; i < TENSORS; i++)
        sco_free(in->tensor[i]);
    sco_free(in->scale);
    sco_free(in->argmax);
    sco_free(in->workspace);
    free(in);
}

static float drawn(size_t tensor, size_t i)
{
    uint64_t z = (uint64_t)(tensor + 1) * 0xD1B54A32D192ED03u + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (float)((z ^ (z >> 31)) >> 40) * 0x1p-23f - 1.0f;
}

static enum sco_status create(struct instance **made, struct sco_ctx *ctx, enum kind kind, const struct shape *shape)
{
    struct instance *in = calloc(1, sizeof *in);
    if (in == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory", ops[kind]);
    in->kind = kind;
    in->ctx = ctx;
    in->shape = (struct sco_blocked){shape->N, shape->C, shape->H, shape->W, 0, 0};
    in->floats = shape->N * sco_blocked_floats(shape->C, shape->H, shape->W);
    int good = 1;
    for (size_t i = 0; i < TENSORS && good; i++)
        if (uses(kind, i))
            good = (in->tensor[i] = sco_alloc_zero(in->floats * sizeof(float))) != NULL;
    const size_t statistics = shape->N * shape->C + shape->C;
    in->scale = sco_alloc_zero((4 * shape->C + 2 * statistics) * sizeof(float));
    in->argmax = sco_alloc(in->floats);
    const struct sco_layer_norm layer = layer_norm_of(in);
    size_t bytes = sco_batch_norm_workspace_bytes(&in->shape);
    const size_t rows_bytes = sco_layer_norm_workspace_bytes(ctx, &layer, shape->N);
    in->workspace = sco_alloc(bytes > rows_bytes ? bytes : rows_bytes);
    if (!good || in->scale == NULL || in->argmax == NULL || in->workspace == NULL) {
        const size_t floats = in->floats;
        destroy(in);
        return sco_fail(SCO_NOMEM, "%s %s: no memory for tensors of %zu floats", ops[kind], shape->name, floats);
    }
    in->bias = in->scale + shape->C;
    in->dscale = in->bias + shape->C;
    in->dbias = in->dscale + shape->C;
    in->mean = in->dbias + shape->C;
    in->rstd = in->mean + statistics;
    for (size_t t = 0; t < INPUTS; t++)
        for (size_t i = 0; i < in->floats && in->tensor[t] != NULL; i++)
            in->tensor[t][i] = drawn(t, i);
    for (size_t c = 0; c < shape->C; c++) {
        in->scale[c] = 1.0f + 0.2f * drawn(TENSORS, c);
        in->bias[c] = 0.1f * drawn(TENSORS + 1, c);
    }
    *made = in;
    return SCO_OK;
}

/* Every row promises the same bits, and so does every team. */
static enum sco_status compare(const struct instance *in, const struct instance *plain, const char *name)
{
    for (size_t t = INPUTS; t < TENSORS; t++)
        for (size_t i = 0; i < in->floats && in->tensor[t] != NULL; i++)
            if (memcmp(&in->tensor[t][i], &plain->tensor[t][i], sizeof(float)) != 0)
                return sco_fail(SCO_INVALID, "%s %s: element %zu is %.9g, by scalar code %.9g", ops[in->kind], name, i,
                                (double)in->tensor[t][i], (double)plain->tensor[t][i]);
    for (size_t c = 0; c < 2 * in->shape.C; c++)
        if (memcmp(&in->dscale[c], &plain->dscale[c], sizeof(float)) != 0)
            return sco_fail(SCO_INVALID, "%s %s: gradient %zu of scale and bias is %.9g, by scalar code %.9g",
                            ops[in->kind], name, c, (double)in->dscale[c], (double)plain->dscale[c]);
    return SCO_OK;
}

static enum sco_status verify(struct instance *in, const struct shape *shape)
{
    const struct sco_ctx_options options = {.isa = "scalar", .threads = 1, .unbound = 1};
    struct sco_ctx *scalar = NULL;
    struct instance *plain = NULL;
    enum sco_status status = sco_ctx_create(&scalar, &options);
    if (status == SCO_OK)
        status = create(&plain, scalar, in->kind, shape);
    if (status == SCO_OK)
        status = run_before(plain);
    if (status == SCO_OK)
        status = step(plain);
    if (status == SCO_OK)
        status = run_before(in);
    if (status == SCO_OK)
        status = step(in);
    if (status == SCO_OK)
        status = compare(in, plain, shape->name);
    if (plain != NULL)
        destroy(plain);
    sco_ctx_destroy(scalar);
    return status;
}

static enum kind kind_of(const char *op)
{
    for (size_t k = 0; k < KINDS; k++)
        if (strcmp(op, ops[k]) == 0)
            return (enum kind)k;
    return KINDS;
}

static const char *case_name(const char *op, size_t index)
{
    const struct shape *shapes = models[kind_of(op)].shapes;
    for (size_t i = 0; shapes[i].name != NULL; i++)
        if (i == index)
            return shapes[i].name;
    return NULL;
}

static const char *const *variants(const char *op)
{
    static const char *const one[] = {"", NULL};
    (void)op;
    return one;
}

static const char *row_of(const struct sco_ctx *ctx, const char *family)
{
    for (size_t f = 0; sco_ctx_family(ctx, f) != NULL; f++)
        if (strcmp(sco_ctx_family(ctx, f), family) == 0)
            return sco_ctx_row(ctx, f, 0);
    return "";
}

static enum sco_status prepare(struct sco_op_instance *instance, struct sco_ctx *ctx,
                               const struct sco_op_request *request)
{
    const enum kind kind = kind_of(request->op);
    const struct shape *shape = kind < KINDS ? models[kind].shapes : NULL;
    while (shape != NULL && shape->name != NULL && strcmp(shape->name, request->name) != 0)
        shape++;
    if (shape == NULL || shape->name == NULL)
        return sco_fail(SCO_UNSUPPORTED, "operator %s has no case %s", request->op, request->name);
    if (request->variant != NULL && request->variant[0] != '\0')
        return sco_fail(SCO_UNSUPPORTED, "operator %s has no variant %s", request->op, request->variant);
    struct instance *in;
    enum sco_status status = create(&in, ctx, kind, shape);
    if (status != SCO_OK)
        return status;
    status = verify(in, shape);
    if (status != SCO_OK) {
        destroy(in);
        return status;
    }
    const double n = (double)in->floats;
    *instance = (struct sco_op_instance){.data = in,
                                         .step = step,
                                         .destroy = destroy,
                                         .flops = models[kind].flops * n,
                                         .bytes = models[kind].bytes * n,
                                         .items = n,
                                         .item = "element"};
    const char *family = kind == DROPOUT                        ? "dropout"
                         : kind >= MAX_FWD && kind <= MEAN_BWD  ? "pool"
                         : kind >= RELU_FWD && kind <= ADD_RELU ? "activation"
                                                                : "norm";
    snprintf(instance->note, sizeof instance->note, "%s:%s", family, row_of(ctx, family));
    return SCO_OK;
}

const struct sco_op_class sco_layers_op_class = {ops, case_name, variants, prepare};

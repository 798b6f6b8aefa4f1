/* SPDX-License-Identifier: Apache-2.0
 * Convolutions of ResNet-50 (224 x 224) and of the U-Net (320 x 320), on kept layouts: activations in blocks of channels,
 * weights packed before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/kernel.h"
#include "microbench/op.h"
#include "models/conv2d_trial.h"
#include "stepcost/memory.h"

/* In the order of enum sco_conv2d_direction. */
static const char *const ops[] = {"conv_fwd", "conv_bwd_data", "conv_bwd_weight", NULL};

struct layer {
    const char *name;
    size_t C, OC, K, stride, H; /* square, padded by K / 2; transposed: not padded */
    bool transposed;
};

#define LAYER(C, OC, K, stride, H)                                                                                     \
    {                                                                                                                  \
#C "_" #OC "_" #K "x" #K "_s" #stride "_" #H, C, OC, K, stride, H, false                                       \
    }
#define UP(C, OC, H)                                                                                                   \
    {                                                                                                                  \
#C "_" #OC "_t2x2_s2_" #H, C, OC, 2, 2, H, true                                                                \
    }

static const struct layer layers[] = {
    LAYER(3, 64, 7, 2, 224),
    LAYER(64, 64, 1, 1, 56),
    LAYER(64, 64, 3, 1, 56),
    LAYER(64, 256, 1, 1, 56),
    LAYER(256, 64, 1, 1, 56),
    LAYER(256, 128, 1, 1, 56),
    LAYER(128, 128, 3, 2, 56),
    LAYER(128, 512, 1, 1, 28),
    LAYER(256, 512, 1, 2, 56),
    LAYER(512, 128, 1, 1, 28),
    LAYER(128, 128, 3, 1, 28),
    LAYER(512, 256, 1, 1, 28),
    LAYER(256, 256, 3, 2, 28),
    LAYER(256, 1024, 1, 1, 14),
    LAYER(512, 1024, 1, 2, 28),
    LAYER(1024, 256, 1, 1, 14),
    LAYER(256, 256, 3, 1, 14),
    LAYER(1024, 512, 1, 1, 14),
    LAYER(512, 512, 3, 2, 14),
    LAYER(512, 2048, 1, 1, 7),
    LAYER(1024, 2048, 1, 2, 14),
    LAYER(2048, 512, 1, 1, 7),
    LAYER(512, 512, 3, 1, 7),
    /* the U-Net, down and up again */
    LAYER(1, 32, 3, 1, 320),
    LAYER(32, 32, 3, 1, 320),
    LAYER(32, 64, 3, 1, 160),
    LAYER(64, 64, 3, 1, 160),
    LAYER(64, 128, 3, 1, 80),
    LAYER(128, 128, 3, 1, 80),
    LAYER(128, 256, 3, 1, 40),
    LAYER(256, 256, 3, 1, 40),
    LAYER(256, 512, 3, 1, 20),
    LAYER(512, 512, 3, 1, 20),
    UP(512, 256, 20),
    LAYER(512, 256, 3, 1, 40),
    UP(256, 128, 40),
    LAYER(256, 128, 3, 1, 80),
    UP(128, 64, 80),
    LAYER(128, 64, 3, 1, 160),
    UP(64, 32, 160),
    LAYER(64, 32, 3, 1, 320),
    LAYER(32, 1, 1, 1, 320),
};

static enum sco_conv2d_direction direction_of(const char *op)
{
    enum sco_conv2d_direction direction = SCO_CONV2D_FWD;
    while (strcmp(ops[direction], op) != 0)
        direction++;
    return direction;
}

/* Images have no gradient. */
static bool counts(const struct layer *layer, enum sco_conv2d_direction direction)
{
    return direction != SCO_CONV2D_BWD_DATA || (layer->C != 3 && layer->C != 1);
}

static const char *name(const char *op, size_t index)
{
    const enum sco_conv2d_direction direction = direction_of(op);
    for (size_t i = 0; i < SCO_LEN(layers); i++)
        if (counts(&layers[i], direction) && index-- == 0)
            return layers[i].name;
    return NULL;
}

static const struct layer *layer_of(const char *case_name, enum sco_conv2d_direction direction)
{
    for (size_t i = 0; i < SCO_LEN(layers); i++)
        if (strcmp(layers[i].name, case_name) == 0 && counts(&layers[i], direction))
            return &layers[i];
    return NULL;
}

/* ---- Variants ---- */

static const struct variant {
    const char *name, *rows; /* rows NULL: all in force */
    bool tuned, packs;
} table[] = {
    {"tuned", NULL, true, false},      {"own", "avx512,avx2,neon,scalar", true, false},
    {"onednn", "onednn", true, false}, {"default", NULL, false, false},
    {"tuned+pack", NULL, true, true},
};

static const char *const *variants(const char *op)
{
    static const char *const names[] = {"tuned", "own", "onednn", "default", "tuned+pack", NULL};
    (void)op;
    return names;
}

static const struct variant *variant_of(const char *variant_name)
{
    for (size_t i = 0; i < SCO_LEN(table); i++)
        if (strcmp(table[i].name, variant_name) == 0)
            return &table[i];
    return NULL;
}

/* ---- An instance ---- */

struct instance {
    struct sco_conv2d_trial trial;
    struct sco_conv2d *conv;
    float *packed;
    void *workspace;
    bool packs;
};

static enum sco_status step(void *data)
{
    struct instance *in = data;
    const bool after = in->trial.direction == SCO_CONV2D_BWD_WEIGHTS;
    enum sco_status status = SCO_OK;
    if (in->packs && !after)
        status = sco_conv2d_trial_weights(&in->trial, in->conv, in->packed);
    if (status == SCO_OK)
        status = sco_conv2d_trial_run(&in->trial, in->conv, in->packed, in->workspace);
    if (status == SCO_OK && in->packs && after)
        status = sco_conv2d_trial_weights(&in->trial, in->conv, in->packed);
    return status;
}

static void destroy(void *data)
{
    struct instance *in = data;
    sco_conv2d_trial_free(&in->trial);
    sco_conv2d_destroy(in->conv);
    sco_free(in->packed);
    sco_free(in->workspace);
    free(in);
}

/* The shape of a plan. A transposed convolution is the gradient of one whose dst is its src. */
static struct sco_conv2d_shape shape_of(const struct layer *layer, size_t batch)
{
    const size_t pad = layer->K / 2;
    struct sco_conv2d_shape s = {batch,         layer->C, layer->H, layer->H, layer->OC, layer->K, layer->K,
                                 layer->stride, pad,      pad,      pad,      pad,       0,        0};
    if (layer->transposed) {
        s.C = layer->OC, s.OC = layer->C;
        s.H = s.W = layer->H * layer->stride;
        s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 0;
    }
    return s;
}

static enum sco_status plan(struct instance *in, struct sco_ctx *ctx, const struct sco_conv2d_shape *shape,
                            enum sco_conv2d_direction direction, const struct variant *variant)
{
    struct sco_conv2d_tuning *tuning;
    enum sco_status status = sco_conv2d_tuning_open(&tuning, variant->tuned ? NULL : "");
    if (status != SCO_OK)
        return status;
    if (variant->tuned)
        status = sco_conv2d_tune(tuning, ctx, direction, shape, variant->rows);
    if (status == SCO_OK)
        status =
            sco_conv2d_create(&in->conv, ctx, direction, shape, &(struct sco_conv2d_choice){variant->rows, tuning});
    sco_conv2d_tuning_close(tuning);
    return status;
}

static enum sco_status set_up(struct instance *in, struct sco_ctx *ctx, const struct sco_conv2d_shape *shape,
                              enum sco_conv2d_direction direction)
{
    struct sco_conv2d_shape whole;
    enum sco_status status = sco_conv2d_complete(shape, &whole);
    if (status == SCO_OK)
        status = sco_conv2d_trial_init(&in->trial, ctx, direction, &whole);
    if (status != SCO_OK)
        return status;
    in->packed = sco_alloc(sco_conv2d_packed_count(in->conv) * sizeof(float));
    in->workspace = sco_alloc(sco_conv2d_workspace_bytes(in->conv));
    if (in->packed == NULL || in->workspace == NULL)
        return sco_fail(SCO_NOMEM, "conv2d: no memory for %zu weights and a workspace of %zu bytes",
                        sco_conv2d_packed_count(in->conv), sco_conv2d_workspace_bytes(in->conv));
    return sco_conv2d_trial_check(&in->trial, in->conv, in->packed, in->workspace);
}

static enum sco_status prepare(struct sco_op_instance *instance, struct sco_ctx *ctx,
                               const struct sco_op_request *request)
{
    static const enum sco_conv2d_direction transposed[] = {SCO_CONV2D_BWD_DATA, SCO_CONV2D_FWD, SCO_CONV2D_BWD_WEIGHTS};
    enum sco_conv2d_direction direction = direction_of(request->op);
    const struct layer *layer = layer_of(request->name, direction);
    const struct variant *variant = variant_of(request->variant);
    if (layer == NULL || variant == NULL)
        return sco_fail(SCO_UNSUPPORTED, "operator %s: case %s, variant '%s' is unknown", request->op, request->name,
                        request->variant);
    if (layer->transposed)
        direction = transposed[direction];
    const struct sco_conv2d_shape shape = shape_of(layer, request->batch != 0 ? request->batch : 8);
    struct instance *in = calloc(1, sizeof *in);
    if (in == NULL)
        return sco_fail(SCO_NOMEM, "operator %s: no memory", request->op);
    in->packs = variant->packs;
    enum sco_status status = plan(in, ctx, &shape, direction, variant);
    if (status == SCO_OK)
        status = set_up(in, ctx, &shape, direction);
    if (status != SCO_OK) {
        destroy(in);
        return sco_fail_context(status, "operator %s, %s, %s: ", request->op, request->name, request->variant);
    }
    const double pixels = (double)(shape.N * sco_conv2d_oh(&shape) * sco_conv2d_ow(&shape));
    *instance = (struct sco_op_instance){.data = in, .step = step, .destroy = destroy, .item = "mac"};
    instance->items = pixels * (double)in->trial.wei_count;
    instance->flops = 2.0 * instance->items;
    instance->bytes = 4.0 * (double)(in->trial.src_count + in->trial.dst_count + in->trial.wei_count);
    snprintf(instance->note, sizeof instance->note, "%s", sco_conv2d_plan_name(in->conv));
    return SCO_OK;
}

const struct sco_op_class sco_conv2d_op_class = {ops, name, variants, prepare};

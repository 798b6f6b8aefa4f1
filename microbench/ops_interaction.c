/* SPDX-License-Identifier: Apache-2.0
 * Dot interaction of a recommendation model: 26 embeddings and the bottom network's output. */
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/interact/dot_interaction.h"
#include "microbench/op.h"
#include "stepcost/interaction.h"
#include "stepcost/memory.h"

enum { SAMPLES = 2048, FEATURES = 27, DIM = 128 };

static const char *const ops[] = {"interact_fwd", "interact_bwd", NULL};

static const char *name(const char *op, size_t index)
{
    (void)op;
    return index == 0 ? "B2048_F27_D128" : NULL;
}

static const char *const *variants(const char *op)
{
    static const char *const only[] = {"", NULL};
    (void)op;
    return only;
}

struct instance {
    struct sco_interaction *interaction;
    float *x, *y, *dx; /* y is given where the gradient is taken */
    int backward;
};

static enum sco_status step(void *data)
{
    struct instance *in = data;
    return in->backward ? sco_interaction_backward(in->interaction, SAMPLES, in->x, in->y, in->dx)
                        : sco_interaction_forward(in->interaction, SAMPLES, in->x, in->y);
}

static void destroy(void *data)
{
    struct instance *in = data;
    sco_interaction_destroy(in->interaction);
    sco_free(in->x);
    sco_free(in->y);
    sco_free(in->dx);
    free(in);
}

static enum sco_status verify(const struct instance *in, const char *op)
{
    static const size_t sampled = 7;
    const size_t columns = sco_interaction_columns(in->interaction), features = (size_t)FEATURES * DIM;
    struct sco_dot_interaction_ops scalar;
    float *scratch = sco_alloc((FEATURES * FEATURES + features + columns) * sizeof *scratch);
    if (scratch == NULL)
        return sco_fail(SCO_NOMEM, "operator %s: out of memory", op);
    float *expected = scratch + FEATURES * FEATURES;
    const size_t width = in->backward ? features : columns;
    enum sco_status status = SCO_OK;
    sco_family_pin(&sco_dot_interaction_family, 0, 0, &scalar);
    for (size_t s = 0; s < SAMPLES && status == SCO_OK; s += sampled) {
        if (in->backward)
            scalar.backward(1, FEATURES, DIM, in->x + s * features, in->y + s * columns, scratch, expected);
        else
            scalar.forward(1, FEATURES, DIM, in->x + s * features, expected);
        if (memcmp(expected, (in->backward ? in->dx : in->y) + s * width, width * sizeof *expected) != 0)
            status = sco_fail(SCO_INVALID, "operator %s: sample %zu differs from scalar code", op, s);
    }
    sco_free(scratch);
    return status;
}

static enum sco_status prepare(struct sco_op_instance *instance, struct sco_ctx *ctx,
                               const struct sco_op_request *request)
{
    if (strcmp(request->name, name(request->op, 0)) != 0 || strcmp(request->variant, "") != 0)
        return sco_fail(SCO_UNSUPPORTED, "operator %s: case %s, variant '%s' is unknown", request->op, request->name,
                        request->variant);
    const size_t features = (size_t)SAMPLES * FEATURES * DIM,
                 outputs = SAMPLES * (DIM + sco_interaction_pairs(FEATURES));
    struct instance *in = calloc(1, sizeof *in);
    if (in == NULL)
        return sco_fail(SCO_NOMEM, "operator %s: out of memory", request->op);
    in->backward = strcmp(request->op, "interact_bwd") == 0;
    in->x = sco_alloc(features * sizeof *in->x);
    in->y = sco_alloc(outputs * sizeof *in->y);
    in->dx = sco_alloc(features * sizeof *in->dx);
    enum sco_status status = sco_interaction_create(&in->interaction, ctx, FEATURES, DIM);
    if (status == SCO_OK && (in->x == NULL || in->y == NULL || in->dx == NULL))
        status = sco_fail(SCO_NOMEM, "operator %s: out of memory", request->op);
    if (status == SCO_OK) {
        sco_draw(sco_ctx_team(ctx), in->x, features, 1, 1.0f);
        sco_draw(sco_ctx_team(ctx), in->y, outputs, 2, 1.0f);
        status = step(in);
    }
    if (status == SCO_OK)
        status = verify(in, request->op);
    if (status != SCO_OK) {
        destroy(in);
        return status;
    }
    const double pairs = in->backward ? (double)FEATURES * FEATURES : (double)sco_interaction_pairs(FEATURES);
    *instance = (struct sco_op_instance){.data = in,
                                         .step = step,
                                         .destroy = destroy,
                                         .flops = 2.0 * SAMPLES * pairs * DIM,
                                         .bytes = 4.0 * (double)(features * (in->backward ? 2 : 1) + outputs),
                                         .items = SAMPLES,
                                         .item = "sample"};
    return SCO_OK;
}

const struct sco_op_class sco_interaction_op_class = {ops, name, variants, prepare};

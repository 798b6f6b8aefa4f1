/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/loss/loss.h"
#include "microbench/op.h"
#include "optim/ctx.h"
#include "stepcost/loss.h"
#include "stepcost/memory.h"

enum kind { SOFTMAX, SIGMOID, L1 };

/* Batches of the workloads: ResNet-50, DLRM and the graph network, U-Net. */
static const struct loss_case {
    const char *op, *name;
    enum kind kind;
    size_t rows, width;
    double flops; /* per element */
} cases[] = {
    {"softmax_xent", "128x1000", SOFTMAX, 128, 1000, 20.0}, {"softmax_xent", "1024x1000", SOFTMAX, 1024, 1000, 20.0},
    {"sigmoid_bce", "512x128", SIGMOID, 512, 128, 45.0},    {"sigmoid_bce", "262144", SIGMOID, 262144, 1, 45.0},
    {"l1_loss", "8x320x320", L1, 8, 320 * 320, 4.0},
};

static const char *const ops[] = {"softmax_xent", "sigmoid_bce", "l1_loss", NULL};

struct loss_run {
    struct sco_ctx *ctx;
    const struct loss_case *c;
    size_t n, workspace_bytes;
    float *x, *target, *dx;
    int32_t *label;
    void *workspace;
    struct sco_loss loss;
};

static enum sco_status step(void *data)
{
    struct loss_run *run = data;
    switch (run->c->kind) {
    case SOFTMAX:
        return sco_softmax_cross_entropy(run->ctx, run->c->rows, run->c->width, run->x, run->label, 0.0f,
                                         run->workspace, run->workspace_bytes, &run->loss, run->dx);
    case SIGMOID:
        return sco_sigmoid_cross_entropy(run->ctx, run->n, run->x, run->target, run->workspace, run->workspace_bytes,
                                         &run->loss, run->dx);
    case L1: break;
    }
    return sco_l1_loss(run->ctx, run->n, run->x, run->target, run->workspace, run->workspace_bytes, &run->loss,
                       run->dx);
}

static void destroy(void *data)
{
    struct loss_run *run = data;
    if (run == NULL)
        return;
    sco_free(run->x);
    sco_free(run->target);
    sco_free(run->dx);
    sco_free(run->workspace);
    free(run->label);
    free(run);
}

/* The gradient, which every row computes bit by bit alike. */
static enum sco_status check(struct loss_run *run)
{
    struct sco_loss_ops scalar;
    sco_family_pin(&sco_loss_family, 0, 0, &scalar);
    float *dx = sco_alloc((run->n + run->c->rows) * sizeof *dx);
    if (dx == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory to check %zu elements", run->c->op, run->n);
    enum sco_status status = step(run);
    if (status == SCO_OK) {
        const float share = (float)(1.0 / run->loss.count);
        if (run->c->kind == SOFTMAX)
            scalar.softmax_xent(0, run->c->rows, run->c->width, run->x, run->label, 0.0f, share, dx + run->n, dx);
        else
            (run->c->kind == SIGMOID ? scalar.sigmoid_bce : scalar.l1)(run->n, run->x, run->target, share, dx);
    }
    for (size_t i = 0; i < run->n && status == SCO_OK; i++)
        if (memcmp(dx + i, run->dx + i, sizeof *dx) != 0)
            status =
                sco_fail(SCO_INVALID, "%s %s: dx[%zu] is %.9g, the scalar row has %.9g: a wrong result is not timed",
                         run->c->op, run->c->name, i, (double)run->dx[i], (double)dx[i]);
    sco_free(dx);
    return status;
}

static enum sco_status prepare(struct sco_op_instance *instance, struct sco_ctx *ctx,
                               const struct sco_op_request *request)
{
    const struct loss_case *c = NULL;
    for (size_t i = 0; i < SCO_LEN(cases); i++)
        if (strcmp(cases[i].op, request->op) == 0 && strcmp(cases[i].name, request->name) == 0)
            c = &cases[i];
    if (c == NULL || request->variant[0] != '\0')
        return sco_fail(SCO_UNSUPPORTED, "%s: no case \"%s\"", request->op, request->name);
    struct loss_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory", request->op);
    *run = (struct loss_run){.ctx = ctx, .c = c, .n = c->rows * c->width};
    run->workspace_bytes = sco_loss_workspace_bytes(run->n);
    run->x = sco_alloc(run->n * sizeof(float));
    run->target = sco_alloc(run->n * sizeof(float));
    run->dx = sco_alloc(run->n * sizeof(float));
    run->workspace = sco_alloc(run->workspace_bytes);
    run->label = malloc(c->rows * sizeof *run->label);
    if (run->x == NULL || run->target == NULL || run->dx == NULL || run->workspace == NULL || run->label == NULL) {
        destroy(run);
        return sco_fail(SCO_NOMEM, "%s %s: no memory for its elements", c->op, c->name);
    }
    sco_draw(sco_ctx_team(ctx), run->x, run->n, 21, 2.0f);
    sco_draw(sco_ctx_team(ctx), run->target, run->n, 22, 1.0f);
    for (size_t r = 0; r < c->rows; r++)
        run->label[r] = (int32_t)(r * 7919 % c->width);
    for (size_t i = 0; c->kind == SIGMOID && i < run->n; i++)
        run->target[i] = i % 5 == 2 ? NAN : (float)(run->target[i] > 0.0f);
    const enum sco_status status = check(run);
    if (status != SCO_OK) {
        destroy(run);
        return status;
    }
    *instance = (struct sco_op_instance){.data = run,
                                         .step = step,
                                         .destroy = destroy,
                                         .flops = c->flops * (double)run->n,
                                         .bytes = (c->kind == SOFTMAX ? 8.0 : 12.0) * (double)run->n,
                                         .items = (double)run->n,
                                         .item = "element"};
    size_t family = 0;
    while (strcmp(sco_ctx_family(ctx, family), "loss") != 0)
        family++;
    snprintf(instance->note, sizeof instance->note, "%s", sco_ctx_row(ctx, family, (size_t)c->kind));
    return SCO_OK;
}

static const char *name(const char *op, size_t index)
{
    for (size_t i = 0; i < SCO_LEN(cases); i++)
        if (strcmp(cases[i].op, op) == 0 && index-- == 0)
            return cases[i].name;
    return NULL;
}

static const char *const *variants(const char *op)
{
    static const char *const one[] = {"", NULL};
    (void)op;
    return one;
}

const struct sco_op_class sco_loss_op_class = {ops, name, variants, prepare};

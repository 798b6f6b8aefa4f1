/* SPDX-License-Identifier: Apache-2.0 */
#include "models/op_dropout.h"

#include <stdint.h>

#include "arch/fail.h"
#include "kernels/norm/norm.h"
#include "models/blocked_view.h"
#include "models/parallel.h"
#include "optim/ctx.h"

enum sco_status sco_dropout_prepare(struct sco_dropout_job *job, struct sco_ctx *ctx, const struct sco_dropout *dropout,
                                    size_t width)
{
    if (!(dropout->p >= 0.0f && dropout->p < 1.0f))
        return sco_fail(SCO_INVALID, "dropout: p = %g; give 0 <= p < 1", (double)dropout->p);
    const uint32_t limit = (uint32_t)((1.0 - (double)dropout->p) * 65536.0 + 0.5);
    job->ops = sco_ctx_ops(ctx, &sco_dropout_family);
    job->mask = (struct sco_dropout_mask){
        .seed = dropout->seed, .layer = dropout->layer, .step = dropout->step, .limit = limit > 0 ? limit : 1};
    job->mask.scale = 65536.0f / (float)job->mask.limit;
    job->width = width;
    job->padded = (width + SCO_DROPOUT_BLOCK - 1) / SCO_DROPOUT_BLOCK * SCO_DROPOUT_BLOCK;
    return SCO_OK;
}

void sco_dropout_rows(const struct sco_dropout_job *job, size_t first, size_t rows, const float *x, float *y)
{
    if (job->padded == job->width) {
        job->ops->dropout(first * job->padded, rows * job->width, x, y, &job->mask);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        job->ops->dropout((first + i) * job->padded, job->width, x + i * job->width, y + i * job->width, &job->mask);
}

struct rows_job {
    struct sco_dropout_job dropout;
    size_t rows, pieces; /* a long row falls into pieces */
    const float *x;
    float *y;
};

enum { PIECE = 4096 };

static void row_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct rows_job *job = argument;
    const struct sco_dropout_job *d = &job->dropout;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++) {
        const size_t row = t / job->pieces, column = t % job->pieces * PIECE, left = d->width - column;
        d->ops->dropout(row * d->padded + column, left < PIECE ? left : PIECE, job->x + row * d->width + column,
                        job->y + row * d->width + column, &d->mask);
    }
}

enum sco_status sco_dropout(struct sco_ctx *ctx, const struct sco_dropout *dropout, size_t rows, size_t width,
                            const float *x, float *y)
{
    struct rows_job job = {.rows = rows, .pieces = width / PIECE + (width % PIECE != 0), .x = x, .y = y};
    size_t floats;
    if (width > SIZE_MAX - SCO_DROPOUT_BLOCK || __builtin_mul_overflow(rows, width, &floats) ||
        floats > PTRDIFF_MAX / sizeof(float))
        return sco_fail(SCO_SHAPE, "dropout: %zu x %zu floats exceed the address space", rows, width);
    const enum sco_status status = sco_dropout_prepare(&job.dropout, ctx, dropout, width);
    if (status != SCO_OK)
        return status;
    const size_t tasks = rows * job.pieces;
    sco_parallel(sco_ctx_team(ctx), 1, &tasks, row_tasks, &job);
    return SCO_OK;
}

/* ---- Channels ---- */

struct channel_job {
    struct sco_blocked_view view;
    struct sco_dropout_job dropout;
    const struct sco_norm_ops *norm;
    const float *x;
    float *y;
};

/* The factors of the channels are what dropout makes of ones; the mask of a block starts in the middle of 64 elements. */
static void channel_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct channel_job *job = argument;
    const struct sco_blocked_view *v = &job->view;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++) {
        const size_t image = t / v->blocks, block = t % v->blocks, channel = block * v->block;
        const size_t start = channel / SCO_DROPOUT_BLOCK * SCO_DROPOUT_BLOCK;
        float factor[SCO_DROPOUT_BLOCK];
        struct sco_channel_affine affine = {.activation = SCO_NORM_LINEAR};
        for (size_t i = 0; i < SCO_DROPOUT_BLOCK; i++)
            factor[i] = 1.0f;
        job->dropout.ops->dropout(image * job->dropout.padded + start, SCO_DROPOUT_BLOCK, factor, factor,
                                  &job->dropout.mask);
        for (size_t c = 0; c < sco_block_channels(v, block); c++)
            affine.scale[c] = factor[channel - start + c];
        job->norm->channel_norm(v->pixels, v->block, job->x + sco_src_plane(v, image, block), NULL, &affine,
                                job->y + sco_dst_plane(v, image, block));
    }
}

enum sco_status sco_channel_dropout(struct sco_ctx *ctx, const struct sco_dropout *dropout,
                                    const struct sco_blocked *shape, const float *x, float *y)
{
    struct channel_job job = {.norm = sco_ctx_ops(ctx, &sco_norm_family), .x = x, .y = y};
    enum sco_status status = sco_blocked_view("channel dropout", shape, &job.view);
    if (status == SCO_OK)
        status = sco_dropout_prepare(&job.dropout, ctx, dropout, job.view.C);
    if (status != SCO_OK)
        return status;
    const size_t tasks = job.view.N * job.view.blocks;
    sco_parallel(sco_ctx_team(ctx), 1, &tasks, channel_tasks, &job);
    return SCO_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/norm/norm.h"
#include "models/blocked_view.h"
#include "models/op_dropout.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/activation.h"
#include "stepcost/norm.h"

/* ---- Batch and instance normalization ---- */

/* A group is what shares statistics: a block of channels of all images, or of one. */
struct channel_job {
    struct sco_blocked_view view;
    const struct sco_norm_ops *ops;
    struct sco_batch_norm norm;
    int by_image, infer;
    size_t groups, images; /* images of a group */
    const float *x, *y, *residual, *dy;
    float *to, *dresidual, *dscale, *dbias;
    double (*sums)[2 * SCO_NORM_BLOCK]; /* of a piece each, where pieces of a group are shared; else NULL */
    struct sco_channel_gradient *gradient;
    void (*add)(const struct channel_job *job, size_t group, size_t piece, double *sum);
    void (*finish)(const struct channel_job *job, size_t group, const double *sum);
    void (*apply)(const struct channel_job *job, size_t group, size_t piece);
};

struct piece {
    size_t src, dst, pixels;
};

static size_t group_pieces(const struct channel_job *job)
{
    return job->images * job->view.pieces;
}

static size_t group_block(const struct channel_job *job, size_t group)
{
    return group % job->view.blocks;
}

static struct piece piece_at(const struct channel_job *job, size_t group, size_t index)
{
    const struct sco_blocked_view *v = &job->view;
    const size_t image = (job->by_image ? group / v->blocks : 0) + index / v->pieces, block = group_block(job, group);
    const size_t first = index % v->pieces * SCO_PIECE_PIXELS, left = v->pixels - first;
    return (struct piece){sco_src_plane(v, image, block) + first * v->block,
                          sco_dst_plane(v, image, block) + first * v->block,
                          left < SCO_PIECE_PIXELS ? left : SCO_PIECE_PIXELS};
}

/* Index of the group's first channel in the arrays of statistics. */
static size_t first_channel(const struct channel_job *job, size_t group)
{
    return (job->by_image ? group / job->view.blocks * job->view.C : 0) + group_block(job, group) * job->view.block;
}

static struct sco_channel_affine affine_of(const struct channel_job *job, size_t group)
{
    const struct sco_batch_norm *norm = &job->norm;
    struct sco_channel_affine affine = {.activation = norm->activation, .slope = norm->slope};
    const size_t first = first_channel(job, group);
    for (size_t c = 0; c < sco_block_channels(&job->view, group_block(job, group)); c++) {
        const size_t k = first + c;
        const float scale = norm->scale != NULL ? norm->scale[k] : 1.0f;
        const float rstd = job->infer ? 1.0f / sqrtf(norm->running_var[k] + norm->eps) : norm->rstd[k];
        affine.mean[c] = job->infer ? norm->running_mean[k] : norm->mean[k];
        affine.scale[c] = scale * rstd;
        affine.bias[c] = norm->bias != NULL ? norm->bias[k] : 0.0f;
    }
    return affine;
}

static void add_moments(const struct channel_job *job, size_t group, size_t index, double *sum)
{
    const struct piece piece = piece_at(job, group, index);
    job->ops->channel_moments(piece.pixels, job->view.block, job->x + piece.src, sum);
}

static void running_average(float *running, float keep, double batch)
{
    *running = (float)((double)keep * (double)*running + (1.0 - (double)keep) * batch);
}

static void finish_moments(const struct channel_job *job, size_t group, const double *sum)
{
    const struct sco_batch_norm *norm = &job->norm;
    const size_t first = first_channel(job, group);
    const double count = (double)(job->images * job->view.pixels);
    for (size_t c = 0; c < sco_block_channels(&job->view, group_block(job, group)); c++) {
        const double mean = sum[c] / count, square = sum[SCO_NORM_BLOCK + c] / count - mean * mean;
        const double variance = square < 0.0 ? 0.0 : square; /* keeps NaN */
        norm->mean[first + c] = (float)mean;
        norm->rstd[first + c] = (float)(1.0 / sqrt(variance + (double)norm->eps));
        if (norm->running_mean != NULL)
            running_average(norm->running_mean + first + c, norm->keep, mean);
        if (norm->running_var != NULL)
            running_average(norm->running_var + first + c, norm->keep, variance);
    }
}

static void normalize(const struct channel_job *job, size_t group, size_t index)
{
    const struct piece piece = piece_at(job, group, index);
    const struct sco_channel_affine affine = affine_of(job, group);
    job->ops->channel_norm(piece.pixels, job->view.block, job->x + piece.src,
                           job->residual != NULL ? job->residual + piece.dst : NULL, &affine, job->to + piece.dst);
}

static void add_gradients(const struct channel_job *job, size_t group, size_t index, double *sum)
{
    const struct piece piece = piece_at(job, group, index);
    const struct sco_channel_affine affine = affine_of(job, group);
    job->ops->channel_norm_bwd_sums(piece.pixels, job->view.block, job->x + piece.src,
                                    job->y != NULL ? job->y + piece.dst : NULL, job->dy + piece.dst, &affine, sum);
}

static void finish_gradients(const struct channel_job *job, size_t group, const double *sum)
{
    const struct sco_channel_affine affine = affine_of(job, group);
    const size_t first = first_channel(job, group);
    const double count = (double)(job->images * job->view.pixels);
    struct sco_channel_gradient *gradient = job->gradient + group;
    memset(gradient, 0, sizeof *gradient);
    for (size_t c = 0; c < sco_block_channels(&job->view, group_block(job, group)); c++) {
        const double scale = (double)affine.scale[c], rstd = (double)job->norm.rstd[first + c];
        const double along = sum[SCO_NORM_BLOCK + c];
        gradient->along_dy[c] = affine.scale[c];
        gradient->along_x[c] = (float)(-scale * rstd * rstd * along / count);
        gradient->constant[c] = (float)(-scale * sum[c] / count);
        if (job->dscale != NULL)
            job->dscale[first + c] = (float)(along * rstd);
        if (job->dbias != NULL)
            job->dbias[first + c] = (float)sum[c];
    }
}

static void descend(const struct channel_job *job, size_t group, size_t index)
{
    const struct piece piece = piece_at(job, group, index);
    const struct sco_channel_affine affine = affine_of(job, group);
    job->ops->channel_norm_bwd(piece.pixels, job->view.block, job->x + piece.src,
                               job->y != NULL ? job->y + piece.dst : NULL, job->dy + piece.dst, &affine,
                               job->gradient + group, job->to + piece.src,
                               job->dresidual != NULL ? job->dresidual + piece.dst : NULL);
}

/* One rank does a whole group. Backwards the second time: the last pieces are still in cache. */
static void whole_groups(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct channel_job *job = argument;
    (void)phase;
    (void)rank;
    for (size_t group = first; group < last; group++) {
        double sum[2 * SCO_NORM_BLOCK] = {0};
        for (size_t p = 0; p < group_pieces(job); p++)
            job->add(job, group, p, sum);
        job->finish(job, group, sum);
        for (size_t p = group_pieces(job); p-- > 0 && job->apply != NULL;)
            job->apply(job, group, p);
    }
}

static void shared_groups(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct channel_job *job = argument;
    const size_t pieces = group_pieces(job);
    (void)rank;
    if (phase == 0)
        for (size_t t = first; t < last; t++) {
            memset(job->sums[t], 0, sizeof job->sums[t]);
            job->add(job, t / pieces, t % pieces, job->sums[t]);
        }
    else if (phase == 1)
        for (size_t group = first; group < last; group++) {
            double sum[2 * SCO_NORM_BLOCK] = {0};
            for (size_t p = 0; p < pieces; p++)
                for (size_t c = 0; c < 2 * SCO_NORM_BLOCK; c++)
                    sum[c] += job->sums[group * pieces + p][c];
            job->finish(job, group, sum);
        }
    else
        for (size_t t = last; t-- > first;)
            job->apply(job, t / pieces, t % pieces);
}

static void each_piece(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct channel_job *job = argument;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++)
        job->apply(job, t / group_pieces(job), t % group_pieces(job));
}

/* Groups go to ranks whole where that keeps all ranks busy, else piece by piece. Sums are added in the same order. */
static void run_groups(struct sco_team *team, struct channel_job *job, void *workspace)
{
    const size_t size = sco_team_size(team), all = job->groups * group_pieces(job);
    job->gradient = workspace;
    if (job->groups % size == 0 || job->groups >= 4 * size) {
        sco_parallel(team, 1, &job->groups, whole_groups, job);
        return;
    }
    job->sums = (void *)(job->gradient + job->groups);
    const size_t tasks[3] = {all, job->groups, all};
    sco_parallel(team, job->apply != NULL ? 3 : 2, tasks, shared_groups, job);
}

size_t sco_batch_norm_workspace_bytes(const struct sco_blocked *shape)
{
    struct sco_blocked_view v;
    if (sco_blocked_view("batch norm", shape, &v) != SCO_OK)
        return 0;
    return v.N * v.blocks * (sizeof(struct sco_channel_gradient) + v.pieces * 2 * SCO_NORM_BLOCK * sizeof(double)) +
           v.blocks * sizeof(struct sco_channel_gradient);
}

static enum sco_status prepare(struct channel_job *job, const char *op, struct sco_ctx *ctx,
                               const struct sco_blocked *shape, const struct sco_batch_norm *norm)
{
    const enum sco_status status = sco_blocked_view(op, shape, &job->view);
    if (status != SCO_OK)
        return status;
    if (!(norm->eps >= 0.0f))
        return sco_fail(SCO_INVALID, "%s: eps = %g; give 0 or more", op, (double)norm->eps);
    if (norm->activation < SCO_NORM_LINEAR || norm->activation > SCO_NORM_LEAKY_RELU)
        return sco_fail(SCO_INVALID, "%s: activation %d; possible: 0 linear, 1 relu, 2 leaky relu", op,
                        (int)norm->activation);
    job->ops = sco_ctx_ops(ctx, &sco_norm_family);
    job->norm = *norm;
    job->groups = job->view.blocks * (job->by_image ? job->view.N : 1);
    job->images = job->by_image ? 1 : job->view.N;
    return SCO_OK;
}

static int is_empty(const struct channel_job *job)
{
    return job->groups == 0 || group_pieces(job) == 0;
}

static enum sco_status missing(const char *op, const char *name)
{
    return sco_fail(SCO_INVALID, "%s: %s is NULL", op, name);
}

static enum sco_status forward(struct channel_job *job, const char *op, struct sco_ctx *ctx,
                               const struct sco_blocked *shape, const struct sco_batch_norm *norm, void *workspace)
{
    const enum sco_status status = prepare(job, op, ctx, shape, norm);
    if (status != SCO_OK || is_empty(job))
        return status;
    if (job->x == NULL || job->to == NULL)
        return missing(op, job->x == NULL ? "x" : "y");
    if (norm->mean == NULL || norm->rstd == NULL || workspace == NULL)
        return missing(op, norm->mean == NULL ? "mean" : norm->rstd == NULL ? "rstd" : "workspace");
    job->add = add_moments;
    job->finish = finish_moments;
    job->apply = normalize;
    run_groups(sco_ctx_team(ctx), job, workspace);
    return SCO_OK;
}

static enum sco_status backward(struct channel_job *job, const char *op, struct sco_ctx *ctx,
                                const struct sco_blocked *shape, const struct sco_batch_norm *norm, void *workspace)
{
    const enum sco_status status = prepare(job, op, ctx, shape, norm);
    if (status != SCO_OK)
        return status;
    if (is_empty(job)) {
        for (size_t c = 0; c < job->view.C; c++) {
            if (job->dscale != NULL)
                job->dscale[c] = 0.0f;
            if (job->dbias != NULL)
                job->dbias[c] = 0.0f;
        }
        return SCO_OK;
    }
    if (job->x == NULL || job->dy == NULL || job->to == NULL)
        return missing(op, job->x == NULL ? "x" : job->dy == NULL ? "dy" : "dx");
    if (norm->mean == NULL || norm->rstd == NULL || workspace == NULL)
        return missing(op, norm->mean == NULL ? "mean" : norm->rstd == NULL ? "rstd" : "workspace");
    if (job->dresidual != NULL && job->y == NULL && norm->activation != SCO_NORM_LINEAR)
        return missing(op, "y, from which the gradient of the residual is masked,");
    job->add = add_gradients;
    job->finish = finish_gradients;
    job->apply = descend;
    run_groups(sco_ctx_team(ctx), job, workspace);
    return SCO_OK;
}

enum sco_status sco_batch_norm_fwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                   const struct sco_batch_norm *norm, const float *x, const float *residual, float *y,
                                   void *workspace)
{
    struct channel_job job = {.x = x, .residual = residual, .to = y};
    return forward(&job, "batch norm", ctx, shape, norm, workspace);
}

enum sco_status sco_batch_norm_infer(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                     const struct sco_batch_norm *norm, const float *x, const float *residual, float *y)
{
    static const char op[] = "batch norm for inference";
    struct channel_job job = {.x = x, .residual = residual, .to = y, .infer = 1, .apply = normalize};
    const enum sco_status status = prepare(&job, op, ctx, shape, norm);
    if (status != SCO_OK || is_empty(&job))
        return status;
    if (x == NULL || y == NULL)
        return missing(op, x == NULL ? "x" : "y");
    if (norm->running_mean == NULL || norm->running_var == NULL)
        return missing(op, norm->running_mean == NULL ? "running_mean" : "running_var");
    const size_t tasks = job.groups * group_pieces(&job);
    sco_parallel(sco_ctx_team(ctx), 1, &tasks, each_piece, &job);
    return SCO_OK;
}

enum sco_status sco_batch_norm_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                   const struct sco_batch_norm *norm, const float *x, const float *y, const float *dy,
                                   float *dx, float *dresidual, float *dscale, float *dbias, void *workspace)
{
    struct channel_job job = {
        .x = x, .y = y, .dy = dy, .to = dx, .dresidual = dresidual, .dscale = dscale, .dbias = dbias};
    return backward(&job, "batch norm gradient", ctx, shape, norm, workspace);
}

static struct sco_batch_norm without_affine(const struct sco_instance_norm *norm)
{
    return (struct sco_batch_norm){
        .eps = norm->eps, .activation = norm->activation, .slope = norm->slope, .mean = norm->mean, .rstd = norm->rstd};
}

enum sco_status sco_instance_norm_fwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                      const struct sco_instance_norm *norm, const float *x, float *y, void *workspace)
{
    struct channel_job job = {.x = x, .to = y, .by_image = 1};
    const struct sco_batch_norm same = without_affine(norm);
    return forward(&job, "instance norm", ctx, shape, &same, workspace);
}

enum sco_status sco_instance_norm_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape,
                                      const struct sco_instance_norm *norm, const float *x, const float *dy, float *dx,
                                      void *workspace)
{
    struct channel_job job = {.x = x, .dy = dy, .to = dx, .by_image = 1};
    const struct sco_batch_norm same = without_affine(norm);
    return backward(&job, "instance norm gradient", ctx, shape, &same, workspace);
}

/* ---- Bias of channels ---- */

size_t sco_blocked_bias_workspace_bytes(const struct sco_blocked *shape)
{
    return sco_batch_norm_workspace_bytes(shape);
}

/* A normalization without statistics: mean 0 and variance 1. */
static void add_bias(const struct channel_job *job, size_t group, size_t index)
{
    const struct piece piece = piece_at(job, group, index);
    struct sco_channel_affine affine = {.activation = SCO_NORM_LINEAR};
    for (size_t c = 0; c < sco_block_channels(&job->view, group_block(job, group)); c++) {
        affine.scale[c] = 1.0f;
        affine.bias[c] = job->norm.bias[first_channel(job, group) + c];
    }
    job->ops->channel_norm(piece.pixels, job->view.block, job->x + piece.src, NULL, &affine, job->to + piece.dst);
}

enum sco_status sco_blocked_bias(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *x,
                                 const float *bias, float *y)
{
    struct channel_job job = {.x = x, .to = y, .apply = add_bias};
    const struct sco_batch_norm norm = {.bias = bias};
    const enum sco_status status = prepare(&job, "bias", ctx, shape, &norm);
    if (status != SCO_OK || is_empty(&job))
        return status;
    if (x == NULL || y == NULL || bias == NULL)
        return missing("bias", x == NULL ? "x" : y == NULL ? "y" : "bias");
    const size_t tasks = job.groups * group_pieces(&job);
    sco_parallel(sco_ctx_team(ctx), 1, &tasks, each_piece, &job);
    return SCO_OK;
}

static void finish_bias(const struct channel_job *job, size_t group, const double *sum)
{
    for (size_t c = 0; c < sco_block_channels(&job->view, group_block(job, group)); c++)
        job->dbias[first_channel(job, group) + c] = (float)sum[c];
}

enum sco_status sco_blocked_bias_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *dy,
                                     float *dbias, void *workspace)
{
    static const char op[] = "bias gradient";
    struct sco_blocked of_result = *shape;
    of_result.src_image = shape->dst_image; /* the kernel reads dy as it reads an x */
    struct channel_job job = {.x = dy, .dbias = dbias, .add = add_moments, .finish = finish_bias};
    const struct sco_batch_norm norm = {.eps = 0.0f};
    const enum sco_status status = prepare(&job, op, ctx, &of_result, &norm);
    if (status != SCO_OK)
        return status;
    if (dbias == NULL && job.view.C > 0)
        return missing(op, "dbias");
    if (is_empty(&job)) {
        for (size_t c = 0; c < job.view.C; c++)
            dbias[c] = 0.0f;
        return SCO_OK;
    }
    if (dy == NULL || workspace == NULL)
        return missing(op, dy == NULL ? "dy" : "workspace");
    run_groups(sco_ctx_team(ctx), &job, workspace);
    return SCO_OK;
}

/* ---- Sums of columns ---- */

enum { ROW_BLOCK = 64, DROPOUT_ROWS = 16, COLUMNS = 64 };

static size_t blocks_of(size_t n, size_t block)
{
    return n / block + (n % block != 0);
}

static size_t block_end(size_t block, size_t rows)
{
    return rows - block * ROW_BLOCK < ROW_BLOCK ? rows : (block + 1) * ROW_BLOCK;
}

/* Columns [COLUMNS t, ...) of to = the sum over the blocks, every stride floats, of partial. */
static void combine_columns(size_t t, size_t width, size_t blocks, const float *partial, size_t stride, float *to)
{
    double sum[COLUMNS] = {0};
    const size_t first = t * COLUMNS, count = width - first < COLUMNS ? width - first : COLUMNS;
    for (size_t b = 0; b < blocks; b++)
        for (size_t j = 0; j < count; j++)
            sum[j] += (double)partial[b * stride + first + j];
    for (size_t j = 0; j < count; j++)
        to[first + j] = (float)sum[j];
}

static enum sco_status check_rows(const char *op, size_t rows, size_t width)
{
    size_t floats;
    if (__builtin_mul_overflow(rows, width, &floats) || floats > PTRDIFF_MAX / sizeof(float))
        return sco_fail(SCO_SHAPE, "%s: %zu x %zu floats exceed the address space", op, rows, width);
    return SCO_OK;
}

struct bias_job {
    const struct sco_norm_ops *ops;
    size_t rows, width, blocks;
    const float *x, *bias;
    float *to, *partial;
};

static void bias_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct bias_job *job = argument;
    (void)phase;
    (void)rank;
    for (size_t b = first; b < last; b++) {
        const size_t row = b * ROW_BLOCK;
        job->ops->row_bias(block_end(b, job->rows) - row, job->width, job->x + row * job->width, job->bias,
                           job->to + row * job->width);
    }
}

enum sco_status sco_row_bias(struct sco_ctx *ctx, size_t rows, size_t width, const float *x, const float *bias,
                             float *y)
{
    const enum sco_status status = check_rows("row bias", rows, width);
    if (status != SCO_OK)
        return status;
    struct bias_job job = {
        sco_ctx_ops(ctx, &sco_norm_family), rows, width, blocks_of(rows, ROW_BLOCK), x, bias, y, NULL};
    sco_parallel(sco_ctx_team(ctx), 1, &job.blocks, bias_tasks, &job);
    return SCO_OK;
}

static void bias_bwd_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct bias_job *job = argument;
    (void)rank;
    for (size_t t = first; t < last; t++)
        if (phase == 0) {
            float *sum = job->partial + t * job->width;
            const size_t row = t * ROW_BLOCK;
            memset(sum, 0, job->width * sizeof *sum);
            job->ops->column_sums(block_end(t, job->rows) - row, job->width, job->x + row * job->width, sum);
        } else {
            combine_columns(t, job->width, job->blocks, job->partial, job->width, job->to);
        }
}

size_t sco_row_bias_workspace_bytes(size_t rows, size_t width)
{
    return blocks_of(rows, ROW_BLOCK) * width * sizeof(float);
}

enum sco_status sco_row_bias_bwd(struct sco_ctx *ctx, size_t rows, size_t width, const float *dy, float *dbias,
                                 void *workspace)
{
    const enum sco_status status = check_rows("row bias gradient", rows, width);
    if (status != SCO_OK)
        return status;
    struct bias_job job = {
        sco_ctx_ops(ctx, &sco_norm_family), rows, width, blocks_of(rows, ROW_BLOCK), dy, NULL, dbias, workspace};
    const size_t tasks[2] = {job.blocks, blocks_of(width, COLUMNS)};
    sco_parallel(sco_ctx_team(ctx), 2, tasks, bias_bwd_tasks, &job);
    return SCO_OK;
}

/* ---- Layer normalization ---- */

struct layer_job {
    const struct sco_norm_ops *ops;
    const struct sco_layer_norm *norm;
    struct sco_dropout_job dropout;
    size_t rows, blocks;
    const float *x, *dy;
    float *to, *dscale, *dbias;
    float *partial; /* dscale and dbias of each block of rows */
    float *scratch; /* DROPOUT_ROWS rows for each rank */
};

static enum sco_status prepare_rows(struct layer_job *job, const char *op, struct sco_ctx *ctx,
                                    const struct sco_layer_norm *norm, size_t rows)
{
    if (norm->width == 0)
        return sco_fail(SCO_SHAPE, "%s: rows of width 0 have no mean", op);
    if (norm->activation != SCO_NORM_LINEAR && norm->activation != SCO_NORM_RELU)
        return sco_fail(SCO_INVALID, "%s: activation %d; possible: 0 linear, 1 relu", op, (int)norm->activation);
    if (!(norm->eps >= 0.0f))
        return sco_fail(SCO_INVALID, "%s: eps = %g; give 0 or more", op, (double)norm->eps);
    if (norm->scale == NULL || norm->bias == NULL)
        return missing(op, norm->scale == NULL ? "scale" : "bias");
    if (rows > 0 && (norm->mean == NULL || norm->rstd == NULL))
        return missing(op, norm->mean == NULL ? "mean" : "rstd");
    enum sco_status status = check_rows(op, rows, norm->width);
    if (status == SCO_OK && norm->dropout != NULL)
        status = sco_dropout_prepare(&job->dropout, ctx, norm->dropout, norm->width);
    if (status != SCO_OK)
        return status;
    job->ops = sco_ctx_ops(ctx, &sco_norm_family);
    job->norm = norm;
    job->rows = rows;
    job->blocks = blocks_of(rows, ROW_BLOCK);
    return SCO_OK;
}

static void layer_norm_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct layer_job *job = argument;
    const struct sco_layer_norm *norm = job->norm;
    const size_t end = block_end(last - 1, job->rows);
    (void)phase;
    (void)rank;
    /* so few rows that dropout finds them in the nearest cache */
    for (size_t row = first * ROW_BLOCK; row < end; row += DROPOUT_ROWS) {
        const size_t count = end - row < DROPOUT_ROWS ? end - row : DROPOUT_ROWS, at = row * norm->width;
        job->ops->layer_norm(count, norm->width, job->x + at, norm->scale, norm->bias, norm->eps, norm->activation,
                             job->to + at, norm->mean + row, norm->rstd + row);
        if (norm->dropout != NULL)
            sco_dropout_rows(&job->dropout, row, count, job->to + at, job->to + at);
    }
}

enum sco_status sco_layer_norm_fwd(struct sco_ctx *ctx, const struct sco_layer_norm *norm, size_t rows, const float *x,
                                   float *y)
{
    struct layer_job job = {.x = x, .to = y};
    const enum sco_status status = prepare_rows(&job, "layer norm", ctx, norm, rows);
    if (status != SCO_OK || rows == 0)
        return status;
    if (x == NULL || y == NULL)
        return missing("layer norm", x == NULL ? "x" : "y");
    sco_parallel(sco_ctx_team(ctx), 1, &job.blocks, layer_norm_tasks, &job);
    return SCO_OK;
}

static void layer_norm_bwd_block(const struct layer_job *job, size_t block, float *scratch)
{
    const struct sco_layer_norm *norm = job->norm;
    const size_t width = norm->width, end = block_end(block, job->rows);
    float *dscale = job->partial + block * 2 * width, *dbias = dscale + width;
    memset(dscale, 0, 2 * width * sizeof *dscale);
    for (size_t row = block * ROW_BLOCK; row < end; row += DROPOUT_ROWS) {
        const size_t count = end - row < DROPOUT_ROWS ? end - row : DROPOUT_ROWS, at = row * width;
        const float *dy = job->dy + at;
        if (norm->dropout != NULL) {
            sco_dropout_rows(&job->dropout, row, count, dy, scratch);
            dy = scratch;
        }
        job->ops->layer_norm_bwd(count, width, job->x + at, dy, norm->scale, norm->bias, norm->mean + row,
                                 norm->rstd + row, norm->activation, job->to + at, dscale, dbias);
    }
}

static void layer_norm_bwd_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct layer_job *job = argument;
    const size_t width = job->norm->width;
    for (size_t t = first; t < last; t++)
        if (phase == 0) {
            layer_norm_bwd_block(job, t, job->scratch != NULL ? job->scratch + rank * DROPOUT_ROWS * width : NULL);
        } else {
            combine_columns(t, width, job->blocks, job->partial, 2 * width, job->dscale);
            combine_columns(t, width, job->blocks, job->partial + width, 2 * width, job->dbias);
        }
}

size_t sco_layer_norm_workspace_bytes(struct sco_ctx *ctx, const struct sco_layer_norm *norm, size_t rows)
{
    const size_t scratch = norm->dropout != NULL ? DROPOUT_ROWS * sco_team_size(sco_ctx_team(ctx)) : 0;
    return (2 * blocks_of(rows, ROW_BLOCK) + scratch) * norm->width * sizeof(float);
}

enum sco_status sco_layer_norm_bwd(struct sco_ctx *ctx, const struct sco_layer_norm *norm, size_t rows, const float *x,
                                   const float *dy, float *dx, float *dscale, float *dbias, void *workspace)
{
    static const char op[] = "layer norm gradient";
    struct layer_job job = {.x = x, .dy = dy, .to = dx, .dscale = dscale, .dbias = dbias, .partial = workspace};
    const enum sco_status status = prepare_rows(&job, op, ctx, norm, rows);
    if (status != SCO_OK)
        return status;
    if (dscale == NULL || dbias == NULL)
        return missing(op, dscale == NULL ? "dscale" : "dbias");
    if (rows > 0 && (x == NULL || dy == NULL || dx == NULL || workspace == NULL))
        return missing(op, x == NULL ? "x" : dy == NULL ? "dy" : dx == NULL ? "dx" : "workspace");
    if (norm->dropout != NULL)
        job.scratch = job.partial + 2 * job.blocks * norm->width;
    const size_t tasks[2] = {job.blocks, blocks_of(norm->width, COLUMNS)};
    sco_parallel(sco_ctx_team(ctx), 2, tasks, layer_norm_bwd_tasks, &job);
    return SCO_OK;
}

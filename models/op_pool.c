/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/fail.h"
#include "kernels/norm/norm.h"
#include "kernels/pool/pool.h"
#include "models/blocked_view.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/pool.h"

/* Rows of a task: enough for its reads to stream, few enough for every rank to have some. */
enum { STRIP = 8 };

struct pool_job {
    struct sco_blocked_view x, y; /* x.src_image and y.dst_image are the strides */
    struct sco_pool_shape shape;
    const struct sco_pool_ops *ops;
    size_t strips;
    int maximum;
    const float *from;
    const int8_t *argmax;
    float *to;
    int8_t *taken;
};

size_t sco_pool_extent(size_t in, const struct sco_pool *pool)
{
    return in == 0 || in + 2 * pool->pad < pool->window ? 0 : (in + 2 * pool->pad - pool->window) / pool->stride + 1;
}

static enum sco_status prepare(struct pool_job *job, const char *op, struct sco_ctx *ctx,
                               const struct sco_blocked *shape, const struct sco_pool *pool)
{
    if (pool->window == 0 || pool->stride == 0)
        return sco_fail(SCO_INVALID, "%s: window %zu, stride %zu; give at least 1", op, pool->window, pool->stride);
    if (job->maximum && pool->window > 11)
        return sco_fail(SCO_INVALID, "%s: window %zu; a byte remembers where the maximum was in at most 11 x 11", op,
                        pool->window);
    if (pool->pad > (job->maximum ? pool->window / 2 : 0))
        return sco_fail(SCO_INVALID, "%s: pad %zu for window %zu; possible: 0 to %zu", op, pool->pad, pool->window,
                        job->maximum ? pool->window / 2 : 0);
    struct sco_blocked in = *shape, out = *shape;
    in.dst_image = out.src_image = 0;
    enum sco_status status = sco_blocked_view(op, &in, &job->x);
    if (status != SCO_OK)
        return status;
    out.H = sco_pool_extent(shape->H, pool);
    out.W = sco_pool_extent(shape->W, pool);
    status = sco_blocked_view(op, &out, &job->y);
    if (status != SCO_OK)
        return status;
    job->shape = (struct sco_pool_shape){shape->H, shape->W, out.H, out.W, pool->window, pool->stride, pool->pad};
    job->ops = sco_ctx_ops(ctx, &sco_pool_family);
    return SCO_OK;
}

static size_t strips_of(size_t rows)
{
    return rows / STRIP + (rows % STRIP != 0);
}

static size_t strip_end(size_t strip, size_t rows)
{
    return rows - strip * STRIP < STRIP ? rows : (strip + 1) * STRIP;
}

static void forward_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct pool_job *job = argument;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++) {
        const size_t strip = t % job->strips, plane = t / job->strips, B = job->x.block;
        const size_t image = plane / job->x.blocks, block = plane % job->x.blocks,
                     end = strip_end(strip, job->shape.OH);
        const float *x = job->from + sco_src_plane(&job->x, image, block);
        float *y = job->to + sco_dst_plane(&job->y, image, block);
        if (job->maximum)
            job->ops->max_pool(&job->shape, B, strip * STRIP, end, x, y, job->taken + plane * job->y.pixels * B);
        else
            job->ops->avg_pool(&job->shape, B, strip * STRIP, end, x, y);
    }
}

static void backward_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct pool_job *job = argument;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++) {
        const size_t strip = t % job->strips, plane = t / job->strips, B = job->x.block;
        const size_t image = plane / job->x.blocks, block = plane % job->x.blocks, end = strip_end(strip, job->shape.H);
        const float *dy = job->from + sco_dst_plane(&job->y, image, block);
        float *dx = job->to + sco_src_plane(&job->x, image, block);
        if (job->maximum)
            job->ops->max_pool_bwd(&job->shape, B, strip * STRIP, end, dy, job->argmax + plane * job->y.pixels * B, dx);
        else
            job->ops->avg_pool_bwd(&job->shape, B, strip * STRIP, end, dy, dx);
    }
}

static enum sco_status run(struct pool_job *job, const char *op, struct sco_ctx *ctx, const struct sco_blocked *shape,
                           const struct sco_pool *pool, size_t backward)
{
    const enum sco_status status = prepare(job, op, ctx, shape, pool);
    if (status != SCO_OK)
        return status;
    job->strips = strips_of(backward ? job->shape.H : job->shape.OH);
    const size_t tasks = job->x.N * job->x.blocks * job->strips;
    sco_parallel(sco_ctx_team(ctx), 1, &tasks, backward ? backward_tasks : forward_tasks, job);
    return SCO_OK;
}

enum sco_status sco_max_pool_fwd(struct sco_ctx *ctx, const struct sco_blocked *shape, const struct sco_pool *pool,
                                 const float *x, float *y, int8_t *argmax)
{
    struct pool_job job = {.maximum = 1, .from = x, .to = y, .taken = argmax};
    return run(&job, "max pool", ctx, shape, pool, 0);
}

enum sco_status sco_max_pool_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape, const struct sco_pool *pool,
                                 const float *dy, const int8_t *argmax, float *dx)
{
    struct pool_job job = {.maximum = 1, .from = dy, .argmax = argmax, .to = dx};
    return run(&job, "max pool gradient", ctx, shape, pool, 1);
}

enum sco_status sco_avg_pool_fwd(struct sco_ctx *ctx, const struct sco_blocked *shape, const struct sco_pool *pool,
                                 const float *x, float *y)
{
    struct pool_job job = {.from = x, .to = y};
    return run(&job, "average pool", ctx, shape, pool, 0);
}

enum sco_status sco_avg_pool_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape, const struct sco_pool *pool,
                                 const float *dy, float *dx)
{
    struct pool_job job = {.from = dy, .to = dx};
    return run(&job, "average pool gradient", ctx, shape, pool, 1);
}

/* ---- Mean over the image ---- */

struct mean_job {
    struct sco_blocked_view view;
    const struct sco_norm_ops *norm;
    const struct sco_pool_ops *pool;
    const float *from;
    float *to;
};

static void mean_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct mean_job *job = argument;
    const struct sco_blocked_view *v = &job->view;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++) {
        const size_t image = t / v->blocks, block = t % v->blocks;
        double sum[2 * SCO_NORM_BLOCK] = {0};
        job->norm->channel_moments(v->pixels, v->block, job->from + sco_src_plane(v, image, block), sum);
        for (size_t c = 0; c < sco_block_channels(v, block); c++)
            job->to[image * v->C + block * v->block + c] = v->pixels > 0 ? (float)(sum[c] / (double)v->pixels) : 0.0f;
    }
}

static void mean_bwd_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct mean_job *job = argument;
    const struct sco_blocked_view *v = &job->view;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++) {
        const size_t image = t / v->blocks, block = t % v->blocks;
        float share[SCO_POOL_BLOCK] = {0};
        for (size_t c = 0; c < sco_block_channels(v, block); c++)
            share[c] = job->from[image * v->C + block * v->block + c] / (float)v->pixels;
        job->pool->spread(v->pixels, v->block, share, job->to + sco_src_plane(v, image, block));
    }
}

static enum sco_status run_mean(struct mean_job *job, const char *op, struct sco_ctx *ctx,
                                const struct sco_blocked *shape, sco_tasks_fn *body)
{
    struct sco_blocked only_src = *shape;
    only_src.dst_image = 0;
    const enum sco_status status = sco_blocked_view(op, &only_src, &job->view);
    if (status != SCO_OK)
        return status;
    job->norm = sco_ctx_ops(ctx, &sco_norm_family);
    job->pool = sco_ctx_ops(ctx, &sco_pool_family);
    const size_t tasks = job->view.N * job->view.blocks;
    sco_parallel(sco_ctx_team(ctx), 1, &tasks, body, job);
    return SCO_OK;
}

enum sco_status sco_mean_pool_fwd(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *x, float *y)
{
    struct mean_job job = {.from = x, .to = y};
    return run_mean(&job, "mean pool", ctx, shape, mean_tasks);
}

enum sco_status sco_mean_pool_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *dy, float *dx)
{
    struct mean_job job = {.from = dy, .to = dx};
    return run_mean(&job, "mean pool gradient", ctx, shape, mean_bwd_tasks);
}

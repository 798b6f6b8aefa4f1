/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/activation/activation.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/activation.h"

/* Pieces are cache lines, and few enough pages that ranks do not share one. */
enum { PIECE = 4096 };

struct curve_job {
    sco_activation_fn *fwd;
    sco_activation_bwd_fn *bwd;
    sco_activation_add_fn *add;
    size_t n;
    const float *a, *b;
    float slope;
    float *to;
};

static void curve_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct curve_job *job = argument;
    const size_t at = first * PIECE, n = (last - 1) * PIECE + PIECE <= job->n ? (last - first) * PIECE : job->n - at;
    (void)phase;
    (void)rank;
    if (job->fwd != NULL)
        job->fwd(n, job->a + at, job->slope, job->to + at);
    else if (job->bwd != NULL)
        job->bwd(n, job->a + at, job->b + at, job->slope, job->to + at);
    else
        job->add(n, job->a + at, job->b + at, job->to + at);
}

static void run(struct sco_ctx *ctx, struct curve_job *job)
{
    const size_t tasks = job->n / PIECE + (job->n % PIECE != 0);
    sco_parallel(sco_ctx_team(ctx), 1, &tasks, curve_tasks, job);
}

static enum sco_status check(enum sco_activation activation)
{
    if (activation < SCO_RELU || activation > SCO_SILU)
        return sco_fail(SCO_INVALID,
                        "activation %d; possible: 0 relu, 1 leaky relu, 2 sigmoid, 3 tanh, 4 gelu (tanh), "
                        "5 gelu (erf), 6 silu",
                        (int)activation);
    return SCO_OK;
}

enum sco_status sco_activation_fwd(struct sco_ctx *ctx, enum sco_activation activation, float slope, size_t n,
                                   const float *x, float *y)
{
    const enum sco_status status = check(activation);
    if (status != SCO_OK)
        return status;
    const struct sco_activation_ops *ops = sco_ctx_ops(ctx, &sco_activation_family);
    sco_activation_fn *const curves[] = {
        [SCO_RELU] = ops->relu, [SCO_LEAKY_RELU] = ops->leaky_relu, [SCO_SIGMOID] = ops->sigmoid,
        [SCO_TANH] = ops->tanh, [SCO_GELU_TANH] = ops->gelu_tanh,   [SCO_GELU_ERF] = ops->gelu_erf,
        [SCO_SILU] = ops->silu};
    run(ctx, &(struct curve_job){.fwd = curves[activation], .n = n, .a = x, .slope = slope, .to = y});
    return SCO_OK;
}

enum sco_status sco_activation_bwd(struct sco_ctx *ctx, enum sco_activation activation, float slope, size_t n,
                                   const float *s, const float *dy, float *dx)
{
    const enum sco_status status = check(activation);
    if (status != SCO_OK)
        return status;
    const struct sco_activation_ops *ops = sco_ctx_ops(ctx, &sco_activation_family);
    sco_activation_bwd_fn *const curves[] = {
        [SCO_RELU] = ops->relu_bwd, [SCO_LEAKY_RELU] = ops->leaky_relu_bwd, [SCO_SIGMOID] = ops->sigmoid_bwd,
        [SCO_TANH] = ops->tanh_bwd, [SCO_GELU_TANH] = ops->gelu_tanh_bwd,   [SCO_GELU_ERF] = ops->gelu_erf_bwd,
        [SCO_SILU] = ops->silu_bwd};
    run(ctx, &(struct curve_job){.bwd = curves[activation], .n = n, .a = s, .b = dy, .slope = slope, .to = dx});
    return SCO_OK;
}

enum sco_status sco_residual_add(struct sco_ctx *ctx, int relu, size_t n, const float *a, const float *b, float *y)
{
    const struct sco_activation_ops *ops = sco_ctx_ops(ctx, &sco_activation_family);
    run(ctx, &(struct curve_job){.add = relu ? ops->add_relu : ops->add, .n = n, .a = a, .b = b, .to = y});
    return SCO_OK;
}

/* ---- Concatenation ---- */

struct copy_job {
    size_t columns, src_width, dst_width;
    const float *src;
    float *dst;
};

static void copy_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct copy_job *job = argument;
    (void)phase;
    (void)rank;
    for (size_t i = first; i < last; i++)
        memcpy(job->dst + i * job->dst_width, job->src + i * job->src_width, job->columns * sizeof(float));
}

enum sco_status sco_row_copy(struct sco_ctx *ctx, size_t rows, size_t columns, const float *src, size_t src_width,
                             size_t src_first, float *dst, size_t dst_width, size_t dst_first)
{
    if (src_first > src_width || columns > src_width - src_first)
        return sco_fail(SCO_SHAPE, "row copy: columns %zu to %zu of a row of %zu", src_first, src_first + columns,
                        src_width);
    if (dst_first > dst_width || columns > dst_width - dst_first)
        return sco_fail(SCO_SHAPE, "row copy: to columns %zu to %zu of a row of %zu", dst_first, dst_first + columns,
                        dst_width);
    if (columns == 0)
        return SCO_OK;
    struct copy_job job = {columns, src_width, dst_width, src + src_first, dst + dst_first};
    sco_parallel(sco_ctx_team(ctx), 1, &rows, copy_tasks, &job);
    return SCO_OK;
}

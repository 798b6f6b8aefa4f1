/* SPDX-License-Identifier: Apache-2.0
 * What moves blocked activations about. */
#include <stdint.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/activation/activation.h"
#include "models/blocked_view.h"
#include "models/parallel.h"
#include "optim/ctx.h"

size_t sco_blocked_floats(size_t C, size_t H, size_t W)
{
    return sco_blocked_image(C, H, W);
}

enum sco_status sco_blocked_view(const char *op, const struct sco_blocked *shape, struct sco_blocked_view *view)
{
    const size_t C = shape->C, block = sco_channel_block(C);
    const size_t blocks = block > 0 ? C / block + (C % block != 0) : 0;
    size_t pixels, image, src, dst;
    if (__builtin_mul_overflow(shape->H, shape->W, &pixels) || __builtin_mul_overflow(pixels, block, &image) ||
        __builtin_mul_overflow(image, blocks, &image))
        return sco_fail(SCO_SHAPE, "%s: an image of %zu x %zu x %zu floats exceeds the address space", op, C, shape->H,
                        shape->W);
    const size_t src_image = shape->src_image != 0 ? shape->src_image : image;
    const size_t dst_image = shape->dst_image != 0 ? shape->dst_image : image;
    if (src_image < image || dst_image < image)
        return sco_fail(SCO_SHAPE, "%s: images of %zu floats are %zu apart; give at least their size, or 0", op, image,
                        src_image < image ? src_image : dst_image);
    if (__builtin_mul_overflow(shape->N, src_image, &src) || __builtin_mul_overflow(shape->N, dst_image, &dst) ||
        src > PTRDIFF_MAX / sizeof(float) || dst > PTRDIFF_MAX / sizeof(float))
        return sco_fail(SCO_SHAPE, "%s: %zu images of %zu floats exceed the address space", op, shape->N,
                        src_image > dst_image ? src_image : dst_image);
    *view = (struct sco_blocked_view){
        shape->N,  C,        shape->H, shape->W,
        block,     blocks,   pixels,   pixels / SCO_PIECE_PIXELS + (pixels % SCO_PIECE_PIXELS != 0),
        src_image, dst_image};
    return SCO_OK;
}

/* ---- Plain layout ---- */

struct plain_job {
    struct sco_blocked_view view;
    const float *from;
    float *to;
    int to_blocked;
};

static void plain_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct plain_job *job = argument;
    const struct sco_blocked_view *v = &job->view;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++) {
        const size_t image = t / v->blocks, block = t % v->blocks, B = v->block;
        const size_t plain = (image * v->C + block * B) * v->pixels;
        for (size_t c = 0; c < B; c++) {
            const int padding = c >= sco_block_channels(v, block);
            if (job->to_blocked) {
                float *to = job->to + sco_src_plane(v, image, block) + c;
                for (size_t p = 0; p < v->pixels; p++)
                    to[p * B] = padding ? 0.0f : job->from[plain + c * v->pixels + p];
            } else if (!padding) {
                const float *from = job->from + sco_dst_plane(v, image, block) + c;
                for (size_t p = 0; p < v->pixels; p++)
                    job->to[plain + c * v->pixels + p] = from[p * B];
            }
        }
    }
}

static enum sco_status run_plain(struct sco_ctx *ctx, const char *op, const struct sco_blocked *shape,
                                 struct plain_job *job)
{
    const enum sco_status status = sco_blocked_view(op, shape, &job->view);
    if (status != SCO_OK)
        return status;
    const size_t tasks = job->view.N * job->view.blocks;
    sco_parallel(sco_ctx_team(ctx), 1, &tasks, plain_tasks, job);
    return SCO_OK;
}

enum sco_status sco_blocked_from_nchw(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *nchw,
                                      float *blocked)
{
    struct plain_job job = {.from = nchw, .to = blocked, .to_blocked = 1};
    return run_plain(ctx, "from NCHW", shape, &job);
}

enum sco_status sco_blocked_to_nchw(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *blocked,
                                    float *nchw)
{
    struct plain_job job = {.from = blocked, .to = nchw};
    return run_plain(ctx, "to NCHW", shape, &job);
}

/* ---- Concatenation ---- */

struct range_job {
    struct sco_blocked_view src, dst;
    size_t C, src_first, dst_first;
    const float *from;
    float *to;
};

/* One row of every channel in the range. Within a pixel, channels are neighbours as far as both blocks reach. */
static void range_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct range_job *job = argument;
    const size_t A = job->src.block, B = job->dst.block, H = job->src.H, W = job->src.W;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++) {
        const size_t image = t / H, row = t % H;
        for (size_t c = 0; c < job->C;) {
            const size_t from = job->src_first + c, to = job->dst_first + c;
            size_t run = job->C - c;
            run = run < A - from % A ? run : A - from % A;
            run = run < B - to % B ? run : B - to % B;
            const float *x = job->from + sco_src_plane(&job->src, image, from / A) + row * W * A + from % A;
            float *y = job->to + sco_dst_plane(&job->dst, image, to / B) + row * W * B + to % B;
            if (run == A && run == B)
                memcpy(y, x, W * A * sizeof *y);
            else
                for (size_t w = 0; w < W; w++)
                    memcpy(y + w * B, x + w * A, run * sizeof *y);
            c += run;
        }
    }
}

enum sco_status sco_blocked_copy(struct sco_ctx *ctx, const struct sco_blocked *shape, const float *src,
                                 size_t src_channels, size_t src_first, float *dst, size_t dst_channels,
                                 size_t dst_first)
{
    if (src_first > src_channels || shape->C > src_channels - src_first)
        return sco_fail(SCO_SHAPE, "channel copy: channels %zu to %zu of %zu", src_first, src_first + shape->C,
                        src_channels);
    if (dst_first > dst_channels || shape->C > dst_channels - dst_first)
        return sco_fail(SCO_SHAPE, "channel copy: to channels %zu to %zu of %zu", dst_first, dst_first + shape->C,
                        dst_channels);
    struct range_job job = {.C = shape->C, .src_first = src_first, .dst_first = dst_first, .from = src, .to = dst};
    struct sco_blocked whole = *shape;
    whole.C = src_channels;
    whole.dst_image = 0;
    enum sco_status status = sco_blocked_view("channel copy", &whole, &job.src);
    whole = *shape;
    whole.C = dst_channels;
    whole.src_image = 0;
    if (status == SCO_OK)
        status = sco_blocked_view("channel copy", &whole, &job.dst);
    if (status != SCO_OK)
        return status;
    const size_t tasks = shape->N * shape->H;
    sco_parallel(sco_ctx_team(ctx), 1, &tasks, range_tasks, &job);
    return SCO_OK;
}

/* ---- Reflection ---- */

struct reflect_job {
    struct sco_blocked_view view; /* of x; dst_image that of y */
    const struct sco_activation_ops *ops;
    size_t bottom, right;
    const float *from;
    float *to;
};

static void reflect_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct reflect_job *job = argument;
    const struct sco_blocked_view *v = &job->view;
    const size_t B = v->block, wide = v->W + job->right;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++) {
        const size_t image = t / v->blocks, block = t % v->blocks;
        const float *x = job->from + sco_src_plane(v, image, block);
        float *y = job->to + image * v->dst_image + block * (v->H + job->bottom) * wide * B;
        for (size_t h = 0; h < v->H + job->bottom; h++, y += wide * B) {
            const float *row = x + (h < v->H ? h : v->H - 2) * v->W * B;
            memcpy(y, row, v->W * B * sizeof *y);
            if (job->right)
                memcpy(y + v->W * B, row + (v->W - 2) * B, B * sizeof *y);
        }
    }
}

static void reflect_bwd_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct reflect_job *job = argument;
    const struct sco_blocked_view *v = &job->view;
    const size_t B = v->block, wide = v->W + job->right;
    (void)phase;
    (void)rank;
    for (size_t t = first; t < last; t++) {
        const size_t image = t / v->blocks, block = t % v->blocks;
        const float *dy = job->from + image * v->dst_image + block * (v->H + job->bottom) * wide * B;
        float *dx = job->to + sco_src_plane(v, image, block);
        for (size_t h = 0; h < v->H; h++, dx += v->W * B) {
            const float *row = dy + h * wide * B, *below = dy + v->H * wide * B;
            const int copied = job->bottom && h + 2 == v->H;
            memcpy(dx, row, v->W * B * sizeof *dx);
            if (copied)
                job->ops->add(v->W * B, dx, below, dx);
            if (!job->right)
                continue;
            float *source = dx + (v->W - 2) * B;
            job->ops->add(B, source, row + v->W * B, source);
            if (copied)
                job->ops->add(B, source, below + v->W * B, source);
        }
    }
}

static enum sco_status run_reflect(struct sco_ctx *ctx, const char *op, const struct sco_blocked *shape,
                                   struct reflect_job *job, sco_tasks_fn *body)
{
    if (job->bottom > 1 || job->right > 1)
        return sco_fail(SCO_INVALID, "%s: bottom %zu, right %zu; possible: 0, 1", op, job->bottom, job->right);
    if ((job->bottom && shape->H < 2) || (job->right && shape->W < 2))
        return sco_fail(SCO_SHAPE, "%s: an axis of %zu x %zu is too short to reflect; it needs 2", op, shape->H,
                        shape->W);
    struct sco_blocked padded = *shape;
    struct sco_blocked_view larger;
    padded.H += job->bottom;
    padded.W += job->right;
    padded.src_image = 0;
    enum sco_status status = sco_blocked_view(op, &padded, &larger);
    padded = *shape;
    padded.dst_image = 0;
    if (status == SCO_OK)
        status = sco_blocked_view(op, &padded, &job->view);
    if (status != SCO_OK)
        return status;
    job->view.dst_image = larger.dst_image;
    job->ops = sco_ctx_ops(ctx, &sco_activation_family);
    const size_t tasks = shape->N * job->view.blocks;
    sco_parallel(sco_ctx_team(ctx), 1, &tasks, body, job);
    return SCO_OK;
}

enum sco_status sco_reflect_pad(struct sco_ctx *ctx, const struct sco_blocked *shape, size_t bottom, size_t right,
                                const float *x, float *y)
{
    struct reflect_job job = {.bottom = bottom, .right = right, .from = x, .to = y};
    return run_reflect(ctx, "reflect pad", shape, &job, reflect_tasks);
}

enum sco_status sco_reflect_pad_bwd(struct sco_ctx *ctx, const struct sco_blocked *shape, size_t bottom, size_t right,
                                    const float *dy, float *dx)
{
    struct reflect_job job = {.bottom = bottom, .right = right, .from = dy, .to = dx};
    return run_reflect(ctx, "reflect pad gradient", shape, &job, reflect_bwd_tasks);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/op_conv2d.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/text.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/memory.h"

struct sco_conv2d {
    struct sco_conv2d_plan plan;
    struct sco_team *team;
    enum sco_conv2d_direction direction; /* as the caller sees it; a transposed convolution runs another's plan */
    bool transposed;
    float *exchanged;     /* transposed: HWIO with I and O exchanged */
    size_t shared_bytes;  /* of the workspace, whole cache lines */
    size_t scratch_bytes; /* of a rank, whole cache lines */
    char name[64];
};

static size_t whole_lines(size_t bytes)
{
    return (bytes + SCO_ALIGN - 1) / SCO_ALIGN * SCO_ALIGN;
}

const char *sco_conv2d_direction_name(enum sco_conv2d_direction direction)
{
    static const char *const names[SCO_CONV2D_DIRECTIONS] = {"fwd", "bwd_data", "bwd_weights"};
    return names[direction];
}

/* ---- Shapes ---- */

/* Tensors are bounded so that no planner's arithmetic overflows: 2^40 floats are 4 TiB. */
static const size_t max_floats = (size_t)1 << 40, max_side = (size_t)1 << 24;

static bool product(const size_t *factor, size_t count, size_t *floats)
{
    *floats = 1;
    for (size_t i = 0; i < count; i++)
        if (__builtin_mul_overflow(*floats, factor[i], floats) || *floats > max_floats)
            return false;
    return true;
}

static enum sco_status check_tensor(const char *name, size_t N, size_t C, size_t H, size_t W, size_t *image)
{
    const size_t blocks = C <= SCO_CHANNEL_BLOCK ? 1 : C / SCO_CHANNEL_BLOCK + (C % SCO_CHANNEL_BLOCK != 0);
    size_t floats, all;
    if (!product((const size_t[]){sco_channel_block(C), blocks, H, W}, 4, &floats) ||
        !product((const size_t[]){*image > floats ? *image : floats, N}, 2, &all))
        return sco_fail(SCO_SHAPE, "conv2d: %s of %zu images of %zu x %zu x %zu channels exceeds 2^40 floats", name, N,
                        H, W, C);
    if (*image == 0)
        *image = floats;
    if (*image < floats)
        return sco_fail(SCO_SHAPE, "conv2d: images of %s hold %zu floats and are %zu apart; give at least %zu, or 0",
                        name, floats, *image, floats);
    return SCO_OK;
}

enum sco_status sco_conv2d_complete(const struct sco_conv2d_shape *shape, struct sco_conv2d_shape *whole)
{
    *whole = *shape;
    const struct sco_conv2d_shape *s = shape;
    if (s->stride == 0 || s->KH == 0 || s->KW == 0)
        return sco_fail(SCO_SHAPE, "conv2d: filter of %zu x %zu, stride %zu; each must be at least 1", s->KH, s->KW,
                        s->stride);
    const size_t sides[] = {s->H, s->W, s->KH, s->KW, s->stride, s->pad_top, s->pad_left, s->pad_bottom, s->pad_right};
    for (size_t i = 0; i < SCO_LEN(sides); i++)
        if (sides[i] > max_side)
            return sco_fail(SCO_SHAPE, "conv2d: a height, width, stride or padding of %zu exceeds %zu", sides[i],
                            max_side);
    const size_t OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s);
    if (OH == 0 || OW == 0)
        return sco_fail(SCO_SHAPE, "conv2d: a filter of %zu x %zu does not fit into a padded src of %zu x %zu", s->KH,
                        s->KW, s->H + s->pad_top + s->pad_bottom, s->W + s->pad_left + s->pad_right);
    size_t floats;
    if (!product((const size_t[]){s->KH, s->KW, s->C, s->OC}, 4, &floats))
        return sco_fail(SCO_SHAPE, "conv2d: weights of %zu x %zu x %zu x %zu exceed 2^40 floats", s->KH, s->KW, s->C,
                        s->OC);
    const enum sco_status status = check_tensor("src", s->N, s->C, s->H, s->W, &whole->src_image);
    return status != SCO_OK ? status : check_tensor("dst", s->N, s->OC, OH, OW, &whole->dst_image);
}

/* ---- Creating ---- */

enum sco_status sco_conv2d_rows(const struct sco_ctx *ctx, const char *words, const struct sco_row **rows,
                                size_t *count)
{
    char list[256] = "";
    struct sco_text text = {list, sizeof list, 0};
    const size_t all = sco_ctx_rows(ctx, &sco_conv2d_family, rows, SCO_CONV2D_MAX_ROWS);
    *count = 0;
    for (size_t i = 0; i < all; i++) {
        sco_text_add(&text, "%s%s", i ? ", " : "", rows[i]->name);
        if (words == NULL || sco_text_listed(words, rows[i]->name))
            rows[(*count)++] = rows[i];
    }
    if (*count == 0)
        return sco_fail(SCO_UNSUPPORTED, "conv2d: no row of \"%s\" is in force; possible here: %s", words, list);
    return SCO_OK;
}

enum sco_status sco_conv2d_create_candidate(struct sco_conv2d **conv, struct sco_ctx *ctx,
                                            enum sco_conv2d_direction direction, const struct sco_conv2d_shape *shape,
                                            const struct sco_row *row, size_t candidate)
{
    struct sco_conv2d_ops ops = {NULL, NULL, NULL};
    row->fill(&ops, sco_ctx_isa(ctx));
    sco_conv2d_plan_fn *const planners[SCO_CONV2D_DIRECTIONS] = {ops.fwd, ops.bwd_data, ops.bwd_weights};
    struct sco_conv2d *made = calloc(1, sizeof *made);
    if (made == NULL)
        return sco_fail(SCO_NOMEM, "conv2d: no memory for a plan (%zu bytes)", sizeof *made);
    if (planners[direction] == NULL || !planners[direction](shape, candidate, &made->plan)) {
        free(made);
        return sco_fail(SCO_UNSUPPORTED, "conv2d %s: row %s has no candidate %zu for this shape",
                        sco_conv2d_direction_name(direction), row->name, candidate);
    }
    made->team = sco_ctx_team(ctx);
    made->direction = direction;
    made->shared_bytes = whole_lines(made->plan.workspace_bytes);
    made->scratch_bytes = whole_lines(made->plan.scratch_bytes);
    snprintf(made->name, sizeof made->name, "%s %s", row->name, made->plan.name);
    *conv = made;
    return SCO_OK;
}

static enum sco_status create(struct sco_conv2d **conv, struct sco_ctx *ctx, enum sco_conv2d_direction direction,
                              const struct sco_conv2d_shape *shape, const struct sco_conv2d_choice *choice)
{
    static const struct sco_conv2d_choice any;
    const struct sco_row *rows[SCO_CONV2D_MAX_ROWS];
    struct sco_conv2d_shape whole;
    struct sco_conv2d_tuning *opened = NULL;
    size_t count;
    if (choice == NULL)
        choice = &any;
    enum sco_status status = sco_conv2d_complete(shape, &whole);
    if (status == SCO_OK)
        status = sco_conv2d_rows(ctx, choice->rows, rows, &count);
    if (status == SCO_OK && choice->tuning == NULL)
        status = sco_conv2d_tuning_open(&opened, NULL);
    if (status != SCO_OK)
        return status;
    const struct sco_conv2d_tuning *tuning = choice->tuning != NULL ? choice->tuning : opened;
    if (!sco_conv2d_tuned(tuning, ctx, direction, &whole, rows, count, conv)) {
        status = SCO_UNSUPPORTED;
        for (size_t i = 0; i < count && status == SCO_UNSUPPORTED; i++)
            status = sco_conv2d_create_candidate(conv, ctx, direction, &whole, rows[i], 0);
    }
    sco_conv2d_tuning_close(opened);
    return status;
}

static enum sco_status check_direction(enum sco_conv2d_direction direction)
{
    if (direction >= SCO_CONV2D_FWD && direction < SCO_CONV2D_DIRECTIONS)
        return SCO_OK;
    return sco_fail(SCO_INVALID, "conv2d: direction %d; possible: 0 fwd, 1 bwd_data, 2 bwd_weights", (int)direction);
}

enum sco_status sco_conv2d_create(struct sco_conv2d **conv, struct sco_ctx *ctx, enum sco_conv2d_direction direction,
                                  const struct sco_conv2d_shape *shape, const struct sco_conv2d_choice *choice)
{
    const enum sco_status status = check_direction(direction);
    return status == SCO_OK ? create(conv, ctx, direction, shape, choice) : status;
}

/* What src is to the transposed convolution is dst to the other, and a gradient of one is the other itself. */
enum sco_status sco_conv2d_create_transposed(struct sco_conv2d **conv, struct sco_ctx *ctx,
                                             enum sco_conv2d_direction direction, const struct sco_conv2d_shape *shape,
                                             const struct sco_conv2d_choice *choice)
{
    static const enum sco_conv2d_direction others[SCO_CONV2D_DIRECTIONS] = {SCO_CONV2D_BWD_DATA, SCO_CONV2D_FWD,
                                                                            SCO_CONV2D_BWD_WEIGHTS};
    const struct sco_conv2d_shape *s = shape;
    enum sco_status status = check_direction(direction);
    if (status != SCO_OK)
        return status;
    if (s->pad_top != 0 || s->pad_left != 0 || s->pad_bottom != 0 || s->pad_right != 0 || s->H == 0 || s->W == 0 ||
        s->H > max_side || s->W > max_side || s->stride > max_side)
        return sco_fail(
            SCO_SHAPE,
            "transposed conv2d: src of %zu x %zu, stride %zu, padding %zu %zu %zu %zu; sides from 1 to %zu and "
            "no padding are possible",
            s->H, s->W, s->stride, s->pad_top, s->pad_left, s->pad_bottom, s->pad_right, max_side);
    const struct sco_conv2d_shape other = {
        .N = s->N,
        .C = s->OC,
        .H = (s->H - 1) * s->stride + s->KH,
        .W = (s->W - 1) * s->stride + s->KW,
        .OC = s->C,
        .KH = s->KH,
        .KW = s->KW,
        .stride = s->stride,
        .src_image = s->dst_image,
        .dst_image = s->src_image,
    };
    struct sco_conv2d *made;
    status = create(&made, ctx, others[direction], &other, choice);
    if (status != SCO_OK)
        return sco_fail_context(status, "transposed ");
    made->direction = direction;
    made->transposed = true;
    const size_t weights = s->KH * s->KW * s->C * s->OC;
    made->exchanged = sco_alloc(weights * sizeof(float));
    if (made->exchanged == NULL) {
        sco_conv2d_destroy(made);
        return sco_fail(SCO_NOMEM, "transposed conv2d: no memory for %zu weights", weights);
    }
    *conv = made;
    return SCO_OK;
}

void sco_conv2d_destroy(struct sco_conv2d *conv)
{
    if (conv == NULL)
        return;
    if (conv->plan.destroy != NULL)
        conv->plan.destroy(&conv->plan);
    sco_free(conv->exchanged);
    free(conv);
}

size_t sco_conv2d_packed_count(const struct sco_conv2d *conv)
{
    return conv->plan.packed_count;
}

size_t sco_conv2d_workspace_bytes(const struct sco_conv2d *conv)
{
    return conv->shared_bytes + sco_team_size(conv->team) * conv->scratch_bytes + SCO_ALIGN - 1;
}

size_t sco_conv2d_scratch_bytes(const struct sco_conv2d *conv)
{
    return conv->scratch_bytes;
}

const char *sco_conv2d_plan_name(const struct sco_conv2d *conv)
{
    return conv->name;
}

double sco_conv2d_error_k(const struct sco_conv2d *conv)
{
    return conv->plan.error_k;
}

/* ---- Weights ---- */

struct pack_job {
    const struct sco_conv2d *conv;
    float *hwio, *packed;
};

static void pack_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct pack_job *job = argument;
    const struct sco_conv2d *conv = job->conv;
    (void)phase, (void)rank;
    conv->plan.pack(&conv->plan, job->hwio, job->packed, conv->transposed, first, last);
}

/* to[tap][o][i] = from[tap][i][o]: planes of rows x columns. */
struct exchange_job {
    size_t rows, columns;
    const float *from;
    float *to;
};

static void exchange_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct exchange_job *job = argument;
    const size_t plane = job->rows * job->columns;
    (void)phase, (void)rank;
    for (size_t tap = first; tap < last; tap++)
        for (size_t r = 0; r < job->rows; r++)
            for (size_t c = 0; c < job->columns; c++)
                job->to[tap * plane + c * job->rows + r] = job->from[tap * plane + r * job->columns + c];
}

static enum sco_status refuse(const struct sco_conv2d *conv, const char *what)
{
    return sco_fail(SCO_INVALID, "conv2d %s (%s): %s", sco_conv2d_direction_name(conv->direction), conv->name, what);
}

enum sco_status sco_conv2d_pack(struct sco_conv2d *conv, const float *hwio, float *packed)
{
    const struct sco_conv2d_shape *s = &conv->plan.shape;
    const size_t taps = s->KH * s->KW;
    if (conv->direction == SCO_CONV2D_BWD_WEIGHTS)
        return refuse(conv, "its weights are an output; unpack them");
    if (conv->plan.packed_count == 0)
        return SCO_OK;
    if (packed == NULL || (hwio == NULL && s->C * s->OC > 0))
        return refuse(conv, "pack: a pointer to weights is NULL");
    struct pack_job job = {conv, (float *)hwio, packed}; /* read only in this direction */
    if (conv->transposed) {
        /* What is I to the caller is O to the plan: rows of s->OC. */
        struct exchange_job exchange = {s->OC, s->C, hwio, conv->exchanged};
        sco_parallel(conv->team, 1, &taps, exchange_tasks, &exchange);
        job.hwio = conv->exchanged;
    }
    sco_parallel(conv->team, 1, &conv->plan.pack_tasks, pack_tasks, &job);
    return SCO_OK;
}

enum sco_status sco_conv2d_unpack(struct sco_conv2d *conv, const float *packed, float *hwio)
{
    const struct sco_conv2d_shape *s = &conv->plan.shape;
    const size_t taps = s->KH * s->KW;
    if (conv->direction != SCO_CONV2D_BWD_WEIGHTS)
        return refuse(conv, "its weights are an input; pack them");
    if (s->C * s->OC == 0)
        return SCO_OK;
    if (packed == NULL || hwio == NULL)
        return refuse(conv, "unpack: a pointer to weights is NULL");
    struct pack_job job = {conv, conv->transposed ? conv->exchanged : hwio, (float *)packed};
    sco_parallel(conv->team, 1, &conv->plan.pack_tasks, pack_tasks, &job);
    if (conv->transposed) {
        struct exchange_job exchange = {s->C, s->OC, conv->exchanged, hwio};
        sco_parallel(conv->team, 1, &taps, exchange_tasks, &exchange);
    }
    return SCO_OK;
}

/* ---- Running ---- */

struct run_job {
    const struct sco_conv2d *conv;
    struct sco_conv2d_args args; /* scratch of rank 0 */
};

static void run_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct run_job *job = argument;
    struct sco_conv2d_args args = job->args;
    if (args.scratch != NULL)
        args.scratch = (unsigned char *)args.scratch + rank * job->conv->scratch_bytes;
    job->conv->plan.run(&job->conv->plan, &args, phase, first, last);
}

static enum sco_status run(struct sco_conv2d *conv, enum sco_conv2d_direction direction, struct sco_conv2d_args *args,
                           void *workspace)
{
    const struct sco_conv2d_plan *plan = &conv->plan;
    const struct sco_conv2d_shape *s = &plan->shape;
    if (conv->direction != direction)
        return sco_fail(SCO_INVALID, "conv2d %s: the plan (%s) is of direction %s",
                        sco_conv2d_direction_name(direction), conv->name, sco_conv2d_direction_name(conv->direction));
    if ((args->src == NULL && s->N * s->C * s->H * s->W > 0) || (args->dst == NULL && s->N * s->OC > 0) ||
        (args->wei == NULL && plan->packed_count > 0))
        return refuse(conv, "a pointer to src, dst or weights is NULL");
    if (workspace == NULL && conv->shared_bytes + conv->scratch_bytes > 0)
        return refuse(conv, "workspace is NULL");
    unsigned char *start = workspace;
    if (start != NULL)
        start += (SCO_ALIGN - (uintptr_t)start % SCO_ALIGN) % SCO_ALIGN;
    args->workspace = start;
    args->scratch = start != NULL ? start + conv->shared_bytes : NULL;
    struct run_job job = {conv, *args};
    sco_parallel(conv->team, plan->phases, plan->tasks, run_tasks, &job);
    return SCO_OK;
}

/* Plans know operands by their place in the convolution that they run. */
static struct sco_conv2d_args operands(const struct sco_conv2d *conv, const float *src, const float *wei,
                                       const float *dst)
{
    struct sco_conv2d_args args = {.wei = (float *)wei};
    args.src = (float *)(conv->transposed ? dst : src);
    args.dst = (float *)(conv->transposed ? src : dst);
    return args;
}

enum sco_status sco_conv2d_fwd(struct sco_conv2d *conv, const float *src, const float *packed, float *dst,
                               const struct sco_conv2d_epilogue *epilogue, void *workspace)
{
    struct sco_conv2d_args args = operands(conv, src, packed, dst);
    if (epilogue != NULL) {
        if (conv->transposed)
            return sco_fail(SCO_UNSUPPORTED, "transposed conv2d: nothing is fused behind it; pass no epilogue");
        if (epilogue->activation < SCO_CONV2D_LINEAR || epilogue->activation > SCO_CONV2D_LEAKY_RELU)
            return sco_fail(SCO_INVALID, "conv2d: activation %d; possible: 0 linear, 1 relu, 2 leaky relu",
                            (int)epilogue->activation);
        args.bias = epilogue->bias;
        args.residual = epilogue->residual;
        args.activation = epilogue->activation;
        args.slope = epilogue->slope;
    }
    return run(conv, SCO_CONV2D_FWD, &args, workspace);
}

enum sco_status sco_conv2d_bwd_data(struct sco_conv2d *conv, const float *ddst, const float *packed, float *dsrc,
                                    void *workspace)
{
    struct sco_conv2d_args args = operands(conv, dsrc, packed, ddst);
    return run(conv, SCO_CONV2D_BWD_DATA, &args, workspace);
}

enum sco_status sco_conv2d_bwd_weights(struct sco_conv2d *conv, const float *src, const float *ddst, float *dpacked,
                                       void *workspace)
{
    struct sco_conv2d_args args = operands(conv, src, dpacked, ddst);
    return run(conv, SCO_CONV2D_BWD_WEIGHTS, &args, workspace);
}

/* ---- Layout ---- */

struct layout_job {
    size_t C, H, W, image;
    const float *from;
    float *to;
    bool to_blocked;
};

/* A task is a row of an image. */
static void layout_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct layout_job *job = argument;
    const size_t C = job->C, W = job->W, B = sco_channel_block(C), blocks = (C + B - 1) / B;
    (void)phase, (void)rank;
    for (size_t task = first; task < last; task++)
        for (size_t block = 0; block < blocks; block++) {
            const size_t n = task / job->H, y = task % job->H, real = C - block * B < B ? C - block * B : B;
            for (size_t x = 0; x < W; x++) {
                const size_t blocked = n * job->image + ((block * job->H + y) * W + x) * B;
                const size_t nhwc = (task * W + x) * C + block * B;
                for (size_t b = 0; b < B; b++)
                    if (job->to_blocked)
                        job->to[blocked + b] = b < real ? job->from[nhwc + b] : 0.0f;
                    else if (b < real)
                        job->to[nhwc + b] = job->from[blocked + b];
            }
        }
}

static enum sco_status relayout(struct sco_ctx *ctx, size_t N, struct layout_job *job)
{
    const size_t rows = job->C == 0 ? 0 : N * job->H;
    const enum sco_status status = check_tensor("blocked", N, job->C, job->H, job->W, &job->image);
    if (status == SCO_OK)
        sco_parallel(sco_ctx_team(ctx), 1, &rows, layout_tasks, job);
    return status;
}

enum sco_status sco_blocked_from_nhwc(struct sco_ctx *ctx, size_t N, size_t C, size_t H, size_t W, size_t image,
                                      const float *nhwc, float *blocked)
{
    struct layout_job job = {C, H, W, image, nhwc, blocked, true};
    return relayout(ctx, N, &job);
}

enum sco_status sco_nhwc_from_blocked(struct sco_ctx *ctx, size_t N, size_t C, size_t H, size_t W, size_t image,
                                      const float *blocked, float *nhwc)
{
    struct layout_job job = {C, H, W, image, blocked, nhwc, false};
    return relayout(ctx, N, &job);
}

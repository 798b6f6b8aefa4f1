/* SPDX-License-Identifier: Apache-2.0
 * The definition of the three directions, one output at a time: c, then kw, then kh from the slowest, plain float sums.
 * Weights stay HWIO. */
#include "kernels/conv/conv2d.h"

#include "kernels/conv/conv2d_rows.h"

/* Element (n, c, y, x) of a tensor of C channels. */
static size_t at(size_t n, size_t image, size_t C, size_t H, size_t W, size_t c, size_t y, size_t x)
{
    const size_t B = sco_channel_block(C);
    return n * image + ((c / B * H + y) * W + x) * B + c % B;
}

/* Where tap k of output o reads, if that is inside. */
static bool inside(size_t o, size_t stride, size_t k, size_t pad, size_t in, size_t *i)
{
    *i = o * stride + k - pad;
    return o * stride + k >= pad && *i < in;
}

static float activated(float x, const struct sco_conv2d_args *args)
{
    if (args->activation == SCO_CONV2D_LINEAR || x > 0.0f)
        return x;
    return args->activation == SCO_CONV2D_RELU ? 0.0f : args->slope * x;
}

/* A task is a row of dst. */
static void fwd_run(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t phase, size_t first,
                    size_t last)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    const size_t OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s);
    (void)phase;
    for (size_t task = first; task < last; task++) {
        const size_t n = task / OH, oh = task % OH;
        for (size_t oc = 0; oc < sco_padded_channels(s->OC); oc++)
            for (size_t ow = 0; ow < OW; ow++) {
                float *dst = args->dst + at(n, s->dst_image, s->OC, OH, OW, oc, oh, ow);
                if (oc >= s->OC) {
                    *dst = 0.0f;
                    continue;
                }
                float sum = 0.0f;
                for (size_t kh = 0; kh < s->KH; kh++)
                    for (size_t kw = 0; kw < s->KW; kw++) {
                        size_t ih, iw;
                        if (!inside(oh, s->stride, kh, s->pad_top, s->H, &ih) ||
                            !inside(ow, s->stride, kw, s->pad_left, s->W, &iw))
                            continue;
                        for (size_t c = 0; c < s->C; c++)
                            sum += args->src[at(n, s->src_image, s->C, s->H, s->W, c, ih, iw)] *
                                   args->wei[((kh * s->KW + kw) * s->C + c) * s->OC + oc];
                    }
                if (args->bias != NULL)
                    sum += args->bias[oc];
                if (args->residual != NULL)
                    sum += args->residual[dst - args->dst];
                *dst = activated(sum, args);
            }
    }
}

/* A task is a row of diff_src. */
static void bwd_data_run(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t phase,
                         size_t first, size_t last)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    const size_t OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s);
    (void)phase;
    for (size_t task = first; task < last; task++) {
        const size_t n = task / s->H, ih = task % s->H;
        for (size_t c = 0; c < sco_padded_channels(s->C); c++)
            for (size_t iw = 0; iw < s->W; iw++) {
                float sum = 0.0f;
                for (size_t kh = 0; kh < s->KH && c < s->C; kh++)
                    for (size_t kw = 0; kw < s->KW; kw++) {
                        const size_t y = ih + s->pad_top - kh, x = iw + s->pad_left - kw;
                        if (ih + s->pad_top < kh || iw + s->pad_left < kw || y % s->stride != 0 || x % s->stride != 0 ||
                            y / s->stride >= OH || x / s->stride >= OW)
                            continue;
                        for (size_t oc = 0; oc < s->OC; oc++)
                            sum += args->dst[at(n, s->dst_image, s->OC, OH, OW, oc, y / s->stride, x / s->stride)] *
                                   args->wei[((kh * s->KW + kw) * s->C + c) * s->OC + oc];
                    }
                args->src[at(n, s->src_image, s->C, s->H, s->W, c, ih, iw)] = sum;
            }
    }
}

/* A task is a tap. */
static void bwd_weights_run(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t phase,
                            size_t first, size_t last)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    const size_t OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s);
    (void)phase;
    for (size_t task = first; task < last; task++) {
        const size_t kh = task / s->KW, kw = task % s->KW;
        for (size_t c = 0; c < s->C; c++)
            for (size_t oc = 0; oc < s->OC; oc++) {
                float sum = 0.0f;
                for (size_t n = 0; n < s->N; n++)
                    for (size_t oh = 0; oh < OH; oh++)
                        for (size_t ow = 0; ow < OW; ow++) {
                            size_t ih, iw;
                            if (!inside(oh, s->stride, kh, s->pad_top, s->H, &ih) ||
                                !inside(ow, s->stride, kw, s->pad_left, s->W, &iw))
                                continue;
                            sum += args->src[at(n, s->src_image, s->C, s->H, s->W, c, ih, iw)] *
                                   args->dst[at(n, s->dst_image, s->OC, OH, OW, oc, oh, ow)];
                        }
                args->wei[(task * s->C + c) * s->OC + oc] = sum;
            }
    }
}

/* A task is a tap; in bwd_weights the way is back. */
static void pack(const struct sco_conv2d_plan *plan, float *hwio, float *packed, bool flip, size_t first, size_t last)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    const size_t taps = s->KH * s->KW, count = s->C * s->OC;
    for (size_t tap = first; tap < last; tap++) {
        float *outside = hwio + (flip ? taps - 1 - tap : tap) * count, *own = packed + tap * count;
        for (size_t i = 0; i < count; i++)
            if (plan->direction == SCO_CONV2D_BWD_WEIGHTS)
                outside[i] = own[i];
            else
                own[i] = outside[i];
    }
}

static bool plan_of(enum sco_conv2d_direction direction, const struct sco_conv2d_shape *s, size_t candidate,
                    size_t tasks, sco_conv2d_run_fn *run, struct sco_conv2d_plan *plan)
{
    if (candidate != 0)
        return false;
    *plan = (struct sco_conv2d_plan){
        .shape = *s,
        .direction = direction,
        .name = "scalar",
        .packed_count = s->KH * s->KW * s->C * s->OC,
        .pack_tasks = s->KH * s->KW,
        .pack = pack,
        .phases = 1,
        .tasks = {tasks},
        .run = run,
        .error_k = sco_conv2d_sum_error(s, direction),
    };
    return true;
}

static bool fwd_plan(const struct sco_conv2d_shape *s, size_t candidate, struct sco_conv2d_plan *plan)
{
    return plan_of(SCO_CONV2D_FWD, s, candidate, s->N * sco_conv2d_oh(s), fwd_run, plan);
}

static bool bwd_data_plan(const struct sco_conv2d_shape *s, size_t candidate, struct sco_conv2d_plan *plan)
{
    return plan_of(SCO_CONV2D_BWD_DATA, s, candidate, s->N * s->H, bwd_data_run, plan);
}

static bool bwd_weights_plan(const struct sco_conv2d_shape *s, size_t candidate, struct sco_conv2d_plan *plan)
{
    return plan_of(SCO_CONV2D_BWD_WEIGHTS, s, candidate, s->KH * s->KW, bwd_weights_run, plan);
}

void sco_conv2d_fill_scalar(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_conv2d_ops *ops = table;
    ops->fwd = fwd_plan;
    ops->bwd_data = bwd_data_plan;
    ops->bwd_weights = bwd_weights_plan;
}

SCO_FAMILY_DEFINE(conv2d, SCO_CONV2D_ROWS, struct sco_conv2d_ops, "fwd", "bwd_data", "bwd_weights")

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/conv2d_trial.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "arch/fail.h"
#include "arch/random.h"
#include "kernels/conv/conv2d_rows.h"
#include "models/parallel.h"
#include "stepcost/memory.h"

/* Terms are whole numbers up to LARGEST^2, and float holds sums below 2^24 exactly. */
enum { LARGEST = 2, SAMPLES = 96, CHUNK = 1 << 14 };
static const double exact_below = (double)(1 << 24) / (LARGEST * LARGEST);

/* ---- Operands ---- */

struct fill_job {
    float *x;
    size_t count;
    uint64_t seed;
    bool output;
};

static void fill_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct fill_job *job = argument;
    const size_t end = last * CHUNK < job->count ? last * CHUNK : job->count;
    (void)phase, (void)rank;
    for (size_t i = first * CHUNK; i < end; i++)
        job->x[i] = job->output ? NAN : (float)(int)(sco_splitmix64(0, job->seed + i) % (2 * LARGEST + 1)) - LARGEST;
}

static void fill(struct sco_team *team, float *x, size_t count, uint64_t seed, bool output)
{
    struct fill_job job = {x, count, seed << 40, output};
    const size_t chunks = (count + CHUNK - 1) / CHUNK;
    sco_parallel(team, 1, &chunks, fill_tasks, &job);
}

static size_t at(size_t n, size_t image, size_t C, size_t H, size_t W, size_t c, size_t y, size_t x)
{
    const size_t B = sco_channel_block(C);
    return n * image + ((c / B * H + y) * W + x) * B + c % B;
}

static void zero_padding(float *x, size_t N, size_t image, size_t C, size_t H, size_t W)
{
    for (size_t n = 0; n < N; n++)
        for (size_t c = C; c < sco_padded_channels(C); c++)
            for (size_t i = 0; i < H * W; i++)
                x[at(n, image, C, H, W, c, i / W, i % W)] = 0.0f;
}

void sco_conv2d_trial_free(struct sco_conv2d_trial *trial)
{
    sco_free(trial->src);
    sco_free(trial->dst);
    sco_free(trial->wei);
    free(trial->expected);
}

enum sco_status sco_conv2d_trial_run(const struct sco_conv2d_trial *trial, struct sco_conv2d *conv, float *packed,
                                     void *workspace)
{
    switch (trial->direction) {
    case SCO_CONV2D_FWD: return sco_conv2d_fwd(conv, trial->src, packed, trial->dst, NULL, workspace);
    case SCO_CONV2D_BWD_DATA: return sco_conv2d_bwd_data(conv, trial->dst, packed, trial->src, workspace);
    default: return sco_conv2d_bwd_weights(conv, trial->src, trial->dst, packed, workspace);
    }
}

enum sco_status sco_conv2d_trial_weights(const struct sco_conv2d_trial *trial, struct sco_conv2d *conv, float *packed)
{
    return trial->direction == SCO_CONV2D_BWD_WEIGHTS ? sco_conv2d_unpack(conv, packed, trial->wei)
                                                      : sco_conv2d_pack(conv, trial->wei, packed);
}

/* ---- Plain loops, one element of the output at a time ---- */

static void add(struct sco_conv2d_element *e, float a, float b)
{
    e->value += (double)a * (double)b;
    e->magnitude += fabs((double)a * (double)b);
}

static size_t src_at(const struct sco_conv2d_shape *s, size_t n, size_t c, size_t ih, size_t iw)
{
    return at(n, s->src_image, s->C, s->H, s->W, c, ih, iw);
}

static size_t dst_at(const struct sco_conv2d_shape *s, size_t n, size_t oc, size_t oh, size_t ow)
{
    return at(n, s->dst_image, s->OC, sco_conv2d_oh(s), sco_conv2d_ow(s), oc, oh, ow);
}

static size_t wei_at(const struct sco_conv2d_shape *s, size_t kh, size_t kw, size_t c, size_t oc)
{
    return ((kh * s->KW + kw) * s->C + c) * s->OC + oc;
}

/* Row or column of src under tap k of output o; past its end where that is padding. */
static size_t under(size_t o, size_t k, size_t stride, size_t pad)
{
    return o * stride + k - pad;
}

static void plain_fwd(const struct sco_conv2d_trial *t, struct sco_conv2d_element *e)
{
    const struct sco_conv2d_shape *s = &t->shape;
    for (size_t kh = 0; kh < s->KH; kh++)
        for (size_t kw = 0; kw < s->KW; kw++) {
            const size_t ih = under(e->i[2], kh, s->stride, s->pad_top),
                         iw = under(e->i[3], kw, s->stride, s->pad_left);
            for (size_t c = 0; c < s->C && ih < s->H && iw < s->W; c++)
                add(e, t->src[src_at(s, e->i[0], c, ih, iw)], t->wei[wei_at(s, kh, kw, c, e->i[1])]);
        }
}

static void plain_bwd_data(const struct sco_conv2d_trial *t, struct sco_conv2d_element *e)
{
    const struct sco_conv2d_shape *s = &t->shape;
    for (size_t kh = 0; kh < s->KH; kh++)
        for (size_t kw = 0; kw < s->KW; kw++) {
            /* above and left of dst wraps around to beyond it */
            const size_t y = e->i[2] + s->pad_top - kh, x = e->i[3] + s->pad_left - kw;
            if (y % s->stride != 0 || x % s->stride != 0 || y / s->stride >= sco_conv2d_oh(s) ||
                x / s->stride >= sco_conv2d_ow(s))
                continue;
            for (size_t oc = 0; oc < s->OC; oc++)
                add(e, t->dst[dst_at(s, e->i[0], oc, y / s->stride, x / s->stride)],
                    t->wei[wei_at(s, kh, kw, e->i[1], oc)]);
        }
}

static void plain_bwd_weights(const struct sco_conv2d_trial *t, struct sco_conv2d_element *e)
{
    const struct sco_conv2d_shape *s = &t->shape;
    for (size_t n = 0; n < s->N; n++)
        for (size_t oh = 0; oh < sco_conv2d_oh(s); oh++)
            for (size_t ow = 0; ow < sco_conv2d_ow(s); ow++) {
                const size_t ih = under(oh, e->i[0], s->stride, s->pad_top);
                const size_t iw = under(ow, e->i[1], s->stride, s->pad_left);
                if (ih < s->H && iw < s->W)
                    add(e, t->src[src_at(s, n, e->i[2], ih, iw)], t->dst[dst_at(s, n, e->i[3], oh, ow)]);
            }
}

/* ---- Comparing ---- */

/* The output: its sides in the order of element.i, and where it is. */
struct output {
    size_t side[4], count;
    float *x;
    double terms; /* of a sum, at most */
};

static struct output output_of(const struct sco_conv2d_trial *t)
{
    const struct sco_conv2d_shape *s = &t->shape;
    const size_t OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s);
    const double taps = (double)(s->KH * s->KW);
    switch (t->direction) {
    case SCO_CONV2D_FWD: return (struct output){{s->N, s->OC, OH, OW}, t->dst_count, t->dst, taps * (double)s->C};
    case SCO_CONV2D_BWD_DATA:
        return (struct output){{s->N, s->C, s->H, s->W}, t->src_count, t->src, taps * (double)s->OC};
    default: return (struct output){{s->KH, s->KW, s->C, s->OC}, t->wei_count, t->wei, (double)(s->N * OH * OW)};
    }
}

static double got(const struct sco_conv2d_trial *t, const struct sco_conv2d_element *e)
{
    const struct sco_conv2d_shape *s = &t->shape;
    const size_t *i = e->i;
    switch (t->direction) {
    case SCO_CONV2D_FWD: return (double)t->dst[dst_at(s, i[0], i[1], i[2], i[3])];
    case SCO_CONV2D_BWD_DATA: return (double)t->src[src_at(s, i[0], i[1], i[2], i[3])];
    default: return (double)t->wei[wei_at(s, i[0], i[1], i[2], i[3])];
    }
}

static void sample(struct sco_conv2d_trial *t)
{
    static void (*const plain[])(const struct sco_conv2d_trial *,
                                 struct sco_conv2d_element *) = {plain_fwd, plain_bwd_data, plain_bwd_weights};
    const struct output out = output_of(t);
    if (out.side[0] * out.side[1] * out.side[2] * out.side[3] == 0)
        return;
    for (size_t e = 0; e < SAMPLES; e++) {
        for (size_t axis = 0; axis < 4; axis++) /* the sixteen corners first */
            t->expected[e].i[axis] =
                e < 16 ? (e >> axis & 1) * (out.side[axis] - 1) : (size_t)(sco_splitmix64(0, e * 4 + axis) % out.side[axis]);
        plain[t->direction](t, &t->expected[e]);
    }
}

enum sco_status sco_conv2d_trial_init(struct sco_conv2d_trial *trial, struct sco_ctx *ctx,
                                      enum sco_conv2d_direction direction, const struct sco_conv2d_shape *shape)
{
    struct sco_team *team = sco_ctx_team(ctx);
    const struct sco_conv2d_shape *s = &trial->shape;
    *trial = (struct sco_conv2d_trial){.direction = direction, .shape = *shape};
    trial->src_count = s->N * s->src_image;
    trial->dst_count = s->N * s->dst_image;
    trial->wei_count = s->KH * s->KW * s->C * s->OC;
    trial->src = sco_alloc(trial->src_count * sizeof(float));
    trial->dst = sco_alloc(trial->dst_count * sizeof(float));
    trial->wei = sco_alloc(trial->wei_count * sizeof(float));
    trial->expected = calloc(SAMPLES, sizeof *trial->expected);
    if (trial->src == NULL || trial->dst == NULL || trial->wei == NULL || trial->expected == NULL) {
        sco_conv2d_trial_free(trial);
        return sco_fail(SCO_NOMEM, "conv2d: no memory for operands of %zu, %zu and %zu floats", trial->src_count,
                        trial->dst_count, trial->wei_count);
    }
    fill(team, trial->src, trial->src_count, 1, direction == SCO_CONV2D_BWD_DATA);
    fill(team, trial->dst, trial->dst_count, 2, direction == SCO_CONV2D_FWD);
    fill(team, trial->wei, trial->wei_count, 3, direction == SCO_CONV2D_BWD_WEIGHTS);
    zero_padding(trial->src, s->N, s->src_image, s->C, s->H, s->W);
    zero_padding(trial->dst, s->N, s->dst_image, s->OC, sco_conv2d_oh(s), sco_conv2d_ow(s));
    sample(trial);
    return SCO_OK;
}

enum sco_status sco_conv2d_trial_check(const struct sco_conv2d_trial *trial, struct sco_conv2d *conv, float *packed,
                                       void *workspace)
{
    const struct output out = output_of(trial);
    const struct sco_conv2d_element *element = trial->expected;
    for (size_t i = 0; i < out.count; i++)
        out.x[i] = NAN;
    if (trial->direction == SCO_CONV2D_BWD_WEIGHTS)
        for (size_t i = 0; i < sco_conv2d_packed_count(conv); i++)
            packed[i] = NAN;
    enum sco_status status = SCO_OK;
    if (trial->direction != SCO_CONV2D_BWD_WEIGHTS)
        status = sco_conv2d_trial_weights(trial, conv, packed);
    if (status == SCO_OK)
        status = sco_conv2d_trial_run(trial, conv, packed, workspace);
    if (status == SCO_OK && trial->direction == SCO_CONV2D_BWD_WEIGHTS)
        status = sco_conv2d_trial_weights(trial, conv, packed);
    if (status != SCO_OK || out.side[0] * out.side[1] * out.side[2] * out.side[3] == 0)
        return status;

    double largest = 0.0;
    for (size_t e = 0; e < SAMPLES; e++)
        largest = fmax(largest, element[e].magnitude);
    const double k = sco_conv2d_error_k(conv);
    const bool adds = k <= sco_conv2d_sum_error(&trial->shape, trial->direction) && out.terms < exact_below;
    const double allowed = adds ? 0.0 : k * 0x1p-24 * largest;
    for (size_t e = 0; e < SAMPLES; e++)
        if (!(fabs(got(trial, &element[e]) - element[e].value) <= allowed))
            return sco_fail(SCO_INVALID, "conv2d %s (%s): element %zu %zu %zu %zu is %.9g, not %.9g",
                            sco_conv2d_direction_name(trial->direction), sco_conv2d_plan_name(conv), element[e].i[0],
                            element[e].i[1], element[e].i[2], element[e].i[3], got(trial, &element[e]),
                            element[e].value);
    return SCO_OK;
}

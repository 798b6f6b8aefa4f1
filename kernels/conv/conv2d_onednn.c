/* SPDX-License-Identifier: Apache-2.0
 * Convolutions by oneDNN, 2.6 to 3.x, through its C interface.
 *
 * oneDNN would cut the work by threads of its own, and results would depend on their number. Here it runs inside one task
 * of ours, on the calling thread alone: a task is a number of whole images that the shape decides, with a primitive
 * made for that many. Partial weight gradients are added in the order of their images in a second phase.
 *
 * Planning allocates (the library's objects), running does not, apart from the bookkeeping of a call inside oneDNN. A
 * plan keeps the library's memory objects of every task, so one team at a time may run it. */
#include <math.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/conv/conv2d.h"
#include "kernels/conv/conv2d_rows.h"

/* The number of threads that OpenMP would use next is a property of the calling thread, so setting it disturbs nobody.
 * Declared here since omp.h belongs to the compiler, and this runtime to oneDNN. */
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);
#define RUNTIME_KNOWN 1
#elif DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_SEQ
#define omp_get_max_threads()        1
#define omp_set_num_threads(threads) ((void)(threads))
#define RUNTIME_KNOWN                1
#else
#define omp_get_max_threads()        1
#define omp_set_num_threads(threads) ((void)(threads))
#define RUNTIME_KNOWN                0
#endif

enum { AXES = 4, ALIGN = 64 };

/* ---- What 2.6 and 3.x spell differently ---- */

/* A memory descriptor of ours, and the form in which either version takes and returns one. */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t owned_desc;
typedef const_dnnl_memory_desc_t desc;
#define DESC(owned) (owned)
#define DESC_INIT   dnnl_memory_desc_create_with_tag
#define DESC_FREE(owned)                                                                                               \
    if ((owned) != NULL)                                                                                               \
    dnnl_memory_desc_destroy(owned)
#else
typedef dnnl_memory_desc_t owned_desc;
typedef const dnnl_memory_desc_t *desc;
#define DESC(owned)      (&(owned))
#define DESC_INIT        dnnl_memory_desc_init_by_tag
#define DESC_FREE(owned) ((void)(owned))
#endif

struct problem {
    owned_desc src, wei, dst; /* as asked for; "any" leaves the layout to oneDNN */
    dnnl_dims_t stride, pad_low, pad_high;
};

static dnnl_status_t create_fwd(const struct problem *p, dnnl_engine_t engine, const_dnnl_primitive_attr_t attr,
                                dnnl_primitive_desc_t *made)
{
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t dense = {0};
    return dnnl_convolution_forward_primitive_desc_create(made, engine, dnnl_forward_training, dnnl_convolution_direct,
                                                          p->src, p->wei, NULL, p->dst, p->stride, dense, p->pad_low,
                                                          p->pad_high, attr);
#else
    dnnl_convolution_desc_t op;
    const dnnl_status_t status =
        dnnl_convolution_forward_desc_init(&op, dnnl_forward_training, dnnl_convolution_direct, &p->src, &p->wei, NULL,
                                           &p->dst, p->stride, p->pad_low, p->pad_high);
    return status == dnnl_success ? dnnl_primitive_desc_create(made, &op, attr, engine, NULL) : status;
#endif
}

static dnnl_status_t create_bwd_data(const struct problem *p, dnnl_engine_t engine, const_dnnl_primitive_attr_t attr,
                                     const_dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *made)
{
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t dense = {0};
    return dnnl_convolution_backward_data_primitive_desc_create(made, engine, dnnl_convolution_direct, p->src, p->wei,
                                                                p->dst, p->stride, dense, p->pad_low, p->pad_high, hint,
                                                                attr);
#else
    dnnl_convolution_desc_t op;
    const dnnl_status_t status = dnnl_convolution_backward_data_desc_init(
        &op, dnnl_convolution_direct, &p->src, &p->wei, &p->dst, p->stride, p->pad_low, p->pad_high);
    return status == dnnl_success ? dnnl_primitive_desc_create(made, &op, attr, engine, hint) : status;
#endif
}

static dnnl_status_t create_bwd_weights(const struct problem *p, dnnl_engine_t engine, const_dnnl_primitive_attr_t attr,
                                        const_dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *made)
{
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t dense = {0};
    return dnnl_convolution_backward_weights_primitive_desc_create(made, engine, dnnl_convolution_direct, p->src,
                                                                   p->wei, NULL, p->dst, p->stride, dense, p->pad_low,
                                                                   p->pad_high, hint, attr);
#else
    dnnl_convolution_desc_t op;
    const dnnl_status_t status = dnnl_convolution_backward_weights_desc_init(
        &op, dnnl_convolution_direct, &p->src, &p->wei, NULL, &p->dst, p->stride, p->pad_low, p->pad_high);
    return status == dnnl_success ? dnnl_primitive_desc_create(made, &op, attr, engine, hint) : status;
#endif
}

/* Strides in blocks, and the blocks inside from the outermost. */
struct blocking {
    const dnnl_dim_t *padded, *stride, *block, *axis;
    int blocks;
};

static bool read_blocking(desc wei, struct blocking *blocking)
{
#if DNNL_VERSION_MAJOR >= 3
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    const dnnl_dims_t *padded, *stride, *block, *axis;
    if (dnnl_memory_desc_query(wei, dnnl_query_format_kind, &kind) != dnnl_success || kind != dnnl_blocked ||
        dnnl_memory_desc_query(wei, dnnl_query_padded_dims, &padded) != dnnl_success ||
        dnnl_memory_desc_query(wei, dnnl_query_strides, &stride) != dnnl_success ||
        dnnl_memory_desc_query(wei, dnnl_query_inner_nblks_s32, &blocking->blocks) != dnnl_success ||
        dnnl_memory_desc_query(wei, dnnl_query_inner_blks, &block) != dnnl_success ||
        dnnl_memory_desc_query(wei, dnnl_query_inner_idxs, &axis) != dnnl_success)
        return false;
    blocking->padded = *padded, blocking->stride = *stride, blocking->block = *block, blocking->axis = *axis;
#else
    if (wei->format_kind != dnnl_blocked)
        return false;
    const dnnl_blocking_desc_t *b = &wei->format_desc.blocking;
    *blocking = (struct blocking){wei->padded_dims, b->strides, b->inner_blks, b->inner_idxs, b->inner_nblks};
#endif
    return true;
}

/* ---- The plan's own part ---- */

/* Memory objects of a task: what the convolution sees, and our layout where that is another. */
enum { SRC, WEI, DST, SCRATCHPAD, OUR_SRC, OUR_DST, OBJECTS };

struct library_plan {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t conv, src_reorder, dst_reorder; /* reorders: NULL where the layouts agree */
    dnnl_memory_t *memory;                           /* [tasks][OBJECTS] */
    size_t images, tasks;                            /* images a task */
    size_t src_at, dst_at, plain_at;                 /* bytes into scratch, behind the library's scratchpad */
    size_t *oc_at, *c_at, kh_stride, kw_stride;      /* an element of wei is at the sum of four */
    size_t padded_OC, padded_C;
};

static void destroy(struct sco_conv2d_plan *plan)
{
    struct library_plan *own = plan->handle;
    for (size_t i = 0; own->memory != NULL && i < own->tasks * OBJECTS; i++)
        if (own->memory[i] != NULL)
            dnnl_memory_destroy(own->memory[i]);
    free(own->memory);
    free(own->oc_at);
    if (own->conv != NULL)
        dnnl_primitive_destroy(own->conv);
    if (own->src_reorder != NULL)
        dnnl_primitive_destroy(own->src_reorder);
    if (own->dst_reorder != NULL)
        dnnl_primitive_destroy(own->dst_reorder);
    if (own->stream != NULL)
        dnnl_stream_destroy(own->stream);
    if (own->engine != NULL)
        dnnl_engine_destroy(own->engine);
    free(own);
    plan->handle = NULL;
}

/* ---- Running ---- */

static bool reorder(const struct library_plan *own, dnnl_primitive_t primitive, dnnl_memory_t from, dnnl_memory_t to)
{
    const dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    return dnnl_primitive_execute(primitive, own->stream, 2, arg) == dnnl_success;
}

static bool convolve(const struct sco_conv2d_plan *plan, dnnl_memory_t *memory)
{
    static const int names[][3] = {
        [SCO_CONV2D_FWD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
        [SCO_CONV2D_BWD_DATA] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        [SCO_CONV2D_BWD_WEIGHTS] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
    };
    const struct library_plan *own = plan->handle;
    const int *name = names[plan->direction];
    const dnnl_exec_arg_t arg[] = {{name[SRC], memory[SRC]},
                                   {name[WEI], memory[WEI]},
                                   {name[DST], memory[DST]},
                                   {DNNL_ARG_SCRATCHPAD, memory[SCRATCHPAD]}};
    const bool src_in = plan->direction != SCO_CONV2D_BWD_DATA, dst_in = plan->direction != SCO_CONV2D_FWD;
    return (own->src_reorder == NULL || !src_in || reorder(own, own->src_reorder, memory[OUR_SRC], memory[SRC])) &&
           (own->dst_reorder == NULL || !dst_in || reorder(own, own->dst_reorder, memory[OUR_DST], memory[DST])) &&
           dnnl_primitive_execute(own->conv, own->stream, 4, arg) == dnnl_success &&
           (own->src_reorder == NULL || src_in || reorder(own, own->src_reorder, memory[SRC], memory[OUR_SRC])) &&
           (own->dst_reorder == NULL || dst_in || reorder(own, own->dst_reorder, memory[DST], memory[OUR_DST]));
}

static float activated(float x, const struct sco_conv2d_args *args)
{
    if (args->activation == SCO_CONV2D_LINEAR || x > 0.0f)
        return x;
    return args->activation == SCO_CONV2D_RELU ? 0.0f : args->slope * x;
}

/* What follows the sum, while the images of the task are still in cache. first is the task's first image. */
static void finish(const struct sco_conv2d_shape *s, const struct sco_conv2d_args *args, size_t first, size_t images,
                   const float *sum)
{
    const size_t pixels = sco_conv2d_oh(s) * sco_conv2d_ow(s), B = sco_channel_block(s->OC);
    const size_t blocks = sco_padded_channels(s->OC) / B, dense = blocks * B * pixels;
    for (size_t image = 0; image < images; image++)
        for (size_t block = 0; block < blocks; block++) {
            float bias[SCO_CHANNEL_BLOCK] = {0};
            for (size_t b = 0; args->bias != NULL && b < B && block * B + b < s->OC; b++)
                bias[b] = args->bias[block * B + b];
            const size_t at = (first + image) * s->dst_image + block * B * pixels;
            const float *x = sum + image * dense + block * B * pixels;
            for (size_t i = 0; i < pixels * B; i++) {
                float value = x[i] + bias[i % B];
                if (args->residual != NULL)
                    value += args->residual[at + i];
                args->dst[at + i] = activated(value, args);
            }
        }
}

static void run_task(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t task)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    const struct library_plan *own = plan->handle;
    dnnl_memory_t *memory = own->memory + task * OBJECTS;
    unsigned char *scratch = args->scratch;
    float *src = args->src + task * own->images * s->src_image, *dst = args->dst + task * own->images * s->dst_image;
    float *wei = args->wei, *sum = dst;
    if (plan->direction == SCO_CONV2D_BWD_WEIGHTS && task > 0)
        wei = (float *)args->workspace + (task - 1) * plan->packed_count;
    /* A residual may be dst itself, which oneDNN would overwrite first. */
    if (args->residual != NULL && plan->direction == SCO_CONV2D_FWD)
        sum = (float *)(void *)(scratch + own->plain_at);

    float *handle[OBJECTS] = {[SRC] = src, [WEI] = wei, [DST] = sum};
    handle[SCRATCHPAD] = args->scratch;
    if (own->src_reorder != NULL)
        handle[OUR_SRC] = src, handle[SRC] = (float *)(void *)(scratch + own->src_at);
    if (own->dst_reorder != NULL)
        handle[OUR_DST] = sum, handle[DST] = (float *)(void *)(scratch + own->dst_at);
    bool done = true;
    for (size_t i = 0; i < OBJECTS; i++)
        done = done && (memory[i] == NULL || dnnl_memory_set_data_handle(memory[i], handle[i]) == dnnl_success);
    done = done && convolve(plan, memory);

    const size_t dst_floats = sco_blocked_image(s->OC, sco_conv2d_oh(s), sco_conv2d_ow(s));
    const bool linear = args->bias == NULL && args->residual == NULL && args->activation == SCO_CONV2D_LINEAR;
    if (done && plan->direction == SCO_CONV2D_FWD && !linear)
        finish(s, args, task * own->images, own->images, sum);
    if (done)
        return;
    /* The library refused, out of memory most likely. Kernels cannot fail; a result that nobody computed is NaN. */
    float *out[] = {[SCO_CONV2D_FWD] = dst, [SCO_CONV2D_BWD_DATA] = src, [SCO_CONV2D_BWD_WEIGHTS] = wei};
    const size_t image[] = {s->dst_image, s->src_image, 0},
                 images = plan->direction == SCO_CONV2D_BWD_WEIGHTS ? 1 : own->images;
    const size_t floats[] = {dst_floats, sco_blocked_image(s->C, s->H, s->W), plan->packed_count};
    for (size_t n = 0; n < images; n++)
        for (size_t i = 0; i < floats[plan->direction]; i++)
            out[plan->direction][n * image[plan->direction] + i] = NAN;
}

enum { SLICE = 1 << 14 }; /* floats of a task that adds partial gradients: all partials of a slice fit L2 */

static void add_partials(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t task)
{
    const struct library_plan *own = plan->handle;
    const size_t from = task * SLICE, rest = plan->packed_count - from, n = rest < SLICE ? rest : SLICE;
    float *restrict sum = args->wei + from;
    for (size_t part = 0; part + 1 < own->tasks; part++) {
        const float *restrict partial = (const float *)args->workspace + part * plan->packed_count + from;
        for (size_t i = 0; i < n; i++)
            sum[i] += partial[i];
    }
}

static void run(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t phase, size_t first,
                size_t last)
{
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    for (size_t task = first; task < last; task++)
        if (phase == 0)
            run_task(plan, args, task);
        else
            add_partials(plan, args, task);
    omp_set_num_threads(threads);
}

/* A task is a tap and a block of channels. */
static void pack(const struct sco_conv2d_plan *plan, float *hwio, float *packed, bool flip, size_t first, size_t last)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    const struct library_plan *own = plan->handle;
    const size_t blocks = (own->padded_C + SCO_CHANNEL_BLOCK - 1) / SCO_CHANNEL_BLOCK, taps = s->KH * s->KW;
    for (size_t task = first; task < last; task++) {
        const size_t tap = task / blocks, c_first = task % blocks * SCO_CHANNEL_BLOCK;
        const size_t c_last = c_first + SCO_CHANNEL_BLOCK < own->padded_C ? c_first + SCO_CHANNEL_BLOCK : own->padded_C;
        float *outside = hwio + (flip ? taps - 1 - tap : tap) * s->C * s->OC;
        float *own_tap = packed + tap / s->KW * own->kh_stride + tap % s->KW * own->kw_stride;
        for (size_t c = c_first; c < c_last; c++)
            for (size_t oc = 0; oc < own->padded_OC; oc++) {
                const bool real = c < s->C && oc < s->OC;
                float *element = own_tap + own->c_at[c] + own->oc_at[oc];
                if (plan->direction != SCO_CONV2D_BWD_WEIGHTS)
                    *element = real ? outside[c * s->OC + oc] : 0.0f;
                else if (real)
                    outside[c * s->OC + oc] = *element;
            }
    }
}

/* ---- Planning ---- */

/* Smallest number of equal parts of N images, at least wanted where N has as many. */
static size_t equal_parts(size_t N, size_t wanted)
{
    size_t parts = wanted < N ? wanted : N;
    while (N % parts != 0)
        parts++;
    return parts;
}

/* Images of a task; 0: there is no such candidate. Enough tasks for the cores of a small machine first. Each task of
 * bwd_weights has a whole gradient to write and to add, so there are fewer where that is large. */
static size_t images_of(const struct sco_conv2d_shape *s, enum sco_conv2d_direction direction, size_t candidate)
{
    const bool dense = s->src_image == sco_blocked_image(s->C, s->H, s->W) &&
                       s->dst_image == sco_blocked_image(s->OC, sco_conv2d_oh(s), sco_conv2d_ow(s));
    if (!dense) /* oneDNN's layouts have no gap between images */
        return candidate == 0;
    const size_t small_gradient = 1 << 18;
    const bool few = direction == SCO_CONV2D_BWD_WEIGHTS && s->C * s->OC * s->KH * s->KW > small_gradient;
    const size_t wanted[] = {few ? 2 : 8, few ? 8 : 2, 4, 16, 1, s->N};
    size_t seen[SCO_LEN(wanted)], count = 0;
    for (size_t i = 0; i < SCO_LEN(wanted); i++) {
        const size_t parts = equal_parts(s->N, wanted[i]);
        size_t k = 0;
        while (k < count && seen[k] != parts)
            k++;
        if (k < count)
            continue;
        if (count == candidate)
            return s->N / parts;
        seen[count++] = parts;
    }
    return 0;
}

/* Our activations: channels that fill up the last block are data like any other, and their weights are zero. */
static bool init_activation(owned_desc *made, size_t images, size_t C, size_t H, size_t W, bool any)
{
    const dnnl_dims_t dims = {(dnnl_dim_t)images, (dnnl_dim_t)sco_padded_channels(C), (dnnl_dim_t)H, (dnnl_dim_t)W};
    const dnnl_format_tag_t tag = any                      ? dnnl_format_tag_any
                                  : C >= SCO_CHANNEL_BLOCK ? dnnl_nChw16c
                                  : C == 1                 ? dnnl_nchw
                                                           : dnnl_nhwc;
    return DESC_INIT(made, AXES, dims, dnnl_f32, tag) == dnnl_success;
}

static bool init_problem(struct problem *p, const struct sco_conv2d_shape *s, size_t images, bool src_any, bool dst_any)
{
    const dnnl_dims_t wei = {(dnnl_dim_t)sco_padded_channels(s->OC), (dnnl_dim_t)sco_padded_channels(s->C),
                             (dnnl_dim_t)s->KH, (dnnl_dim_t)s->KW};
    p->stride[0] = p->stride[1] = (dnnl_dim_t)s->stride;
    p->pad_low[0] = (dnnl_dim_t)s->pad_top, p->pad_low[1] = (dnnl_dim_t)s->pad_left;
    p->pad_high[0] = (dnnl_dim_t)s->pad_bottom, p->pad_high[1] = (dnnl_dim_t)s->pad_right;
    return init_activation(&p->src, images, s->C, s->H, s->W, src_any) &&
           init_activation(&p->dst, images, s->OC, sco_conv2d_oh(s), sco_conv2d_ow(s), dst_any) &&
           DESC_INIT(&p->wei, AXES, wei, dnnl_f32, dnnl_format_tag_any) == dnnl_success;
}

static void free_problem(struct problem *p)
{
    DESC_FREE(p->src);
    DESC_FREE(p->wei);
    DESC_FREE(p->dst);
}

static const char *implementation(const_dnnl_primitive_desc_t pd)
{
    const char *name = NULL;
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    return name != NULL ? name : "ref";
}

/* A descriptor of the direction on these layouts, or NULL: no implementation, or only the library's plain loops. */
static dnnl_primitive_desc_t describe(const struct library_plan *own, const struct sco_conv2d_plan *plan,
                                      const_dnnl_primitive_attr_t attr, bool src_any, bool dst_any)
{
    struct problem p = {0};
    dnnl_primitive_desc_t forward = NULL, made = NULL;
    if (init_problem(&p, &plan->shape, own->images, src_any, dst_any) &&
        create_fwd(&p, own->engine, attr, &forward) == dnnl_success) {
        dnnl_status_t status = dnnl_success;
        switch (plan->direction) {
        case SCO_CONV2D_BWD_DATA: status = create_bwd_data(&p, own->engine, attr, forward, &made); break;
        case SCO_CONV2D_BWD_WEIGHTS: status = create_bwd_weights(&p, own->engine, attr, forward, &made); break;
        default: made = forward, forward = NULL;
        }
        if (status == dnnl_success && strstr(implementation(made), "ref") != NULL) {
            dnnl_primitive_desc_destroy(made);
            made = NULL;
        }
        if (status != dnnl_success)
            made = NULL;
    }
    if (forward != NULL)
        dnnl_primitive_desc_destroy(forward);
    free_problem(&p);
    return made;
}

/* A reorder between ours and what the convolution wants, in the direction of its data; false: the library has none that
 * does without memory of its own. *made stays NULL where both are the same. */
static bool plan_reorder(const struct library_plan *own, desc ours, desc theirs, bool input,
                         const_dnnl_primitive_attr_t attr, dnnl_primitive_t *made)
{
    if (dnnl_memory_desc_equal(ours, theirs))
        return true;
    dnnl_primitive_desc_t pd = NULL;
    bool good = dnnl_reorder_primitive_desc_create(&pd, input ? ours : theirs, own->engine, input ? theirs : ours,
                                                   own->engine, attr) == dnnl_success;
    if (!good)
        return false;
    const desc scratchpad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    good = (scratchpad == NULL || dnnl_memory_desc_get_size(scratchpad) == 0) &&
           dnnl_primitive_create(made, pd) == dnnl_success;
    dnnl_primitive_desc_destroy(pd);
    return good;
}

/* Offset of index i of an axis in a blocked layout. */
static size_t offset(const struct blocking *blocking, dnnl_dim_t axis, size_t i)
{
    size_t at = 0, inner = 1;
    for (int b = blocking->blocks - 1; b >= 0; b--) {
        const size_t block = (size_t)blocking->block[b];
        if (blocking->axis[b] == axis)
            at += i % block * inner, i /= block;
        inner *= block;
    }
    return at + i * (size_t)blocking->stride[axis];
}

static bool plan_weights(struct library_plan *own, struct sco_conv2d_plan *plan, desc wei)
{
    struct blocking blocking;
    if (!read_blocking(wei, &blocking))
        return false;
    for (int b = 0; b < blocking.blocks; b++)
        if (blocking.axis[b] > 1)
            return false;
    own->padded_OC = (size_t)blocking.padded[0], own->padded_C = (size_t)blocking.padded[1];
    own->kh_stride = (size_t)blocking.stride[2], own->kw_stride = (size_t)blocking.stride[3];
    own->oc_at = malloc((own->padded_OC + own->padded_C) * sizeof *own->oc_at);
    if (own->oc_at == NULL)
        return false;
    own->c_at = own->oc_at + own->padded_OC;
    for (size_t oc = 0; oc < own->padded_OC; oc++)
        own->oc_at[oc] = offset(&blocking, 0, oc);
    for (size_t c = 0; c < own->padded_C; c++)
        own->c_at[c] = offset(&blocking, 1, c);
    plan->packed_count = dnnl_memory_desc_get_size(wei) / sizeof(float);
    plan->pack_tasks = plan->shape.KH * plan->shape.KW * ((own->padded_C + SCO_CHANNEL_BLOCK - 1) / SCO_CHANNEL_BLOCK);
    return true;
}

static size_t whole_lines(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static bool create_objects(struct library_plan *own, desc const object[OBJECTS])
{
    own->memory = calloc(own->tasks * OBJECTS, sizeof *own->memory);
    bool good = own->memory != NULL;
    for (size_t i = 0; good && i < own->tasks * OBJECTS; i++)
        if (object[i % OBJECTS] != NULL)
            good =
                dnnl_memory_create(&own->memory[i], object[i % OBJECTS], own->engine, DNNL_MEMORY_NONE) == dnnl_success;
    return good;
}

/* Everything behind a descriptor that was found: primitives, scratch, weights, objects. */
static bool complete(struct library_plan *own, struct sco_conv2d_plan *plan, const_dnnl_primitive_desc_t pd,
                     const_dnnl_primitive_attr_t attr)
{
    static const dnnl_query_t queries[][3] = {
        [SCO_CONV2D_FWD] = {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        [SCO_CONV2D_BWD_DATA] = {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
        [SCO_CONV2D_BWD_WEIGHTS] = {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md},
    };
    const dnnl_query_t *query = queries[plan->direction];
    const bool src_in = plan->direction != SCO_CONV2D_BWD_DATA, dst_in = plan->direction != SCO_CONV2D_FWD;
    struct problem ours = {0};
    desc object[OBJECTS] = {NULL};
    for (size_t i = SRC; i <= DST; i++)
        object[i] = dnnl_primitive_desc_query_md(pd, query[i], 0);
    object[SCRATCHPAD] = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    bool good = init_problem(&ours, &plan->shape, own->images, false, false) &&
                dnnl_primitive_create(&own->conv, pd) == dnnl_success &&
                plan_reorder(own, DESC(ours.src), object[SRC], src_in, attr, &own->src_reorder) &&
                plan_reorder(own, DESC(ours.dst), object[DST], dst_in, attr, &own->dst_reorder) &&
                plan_weights(own, plan, object[WEI]);
    if (good) {
        if (own->src_reorder != NULL)
            object[OUR_SRC] = DESC(ours.src);
        if (own->dst_reorder != NULL)
            object[OUR_DST] = DESC(ours.dst);
        own->src_at = whole_lines(dnnl_memory_desc_get_size(object[SCRATCHPAD]));
        own->dst_at = own->src_at;
        if (own->src_reorder != NULL)
            own->dst_at += whole_lines(dnnl_memory_desc_get_size(object[SRC]));
        own->plain_at = own->dst_at;
        if (own->dst_reorder != NULL)
            own->plain_at += whole_lines(dnnl_memory_desc_get_size(object[DST]));
        plan->scratch_bytes = own->plain_at;
        if (plan->direction == SCO_CONV2D_FWD)
            plan->scratch_bytes += whole_lines(dnnl_memory_desc_get_size(DESC(ours.dst)));
        good = create_objects(own, object);
    }
    free_problem(&ours);
    return good;
}

/* The layouts to try: ours; those of few channels left to oneDNN; all left to oneDNN, as where a CPU's kernels know no
 * blocks of 16 channels. */
static dnnl_primitive_desc_t choose_layout(const struct library_plan *own, const struct sco_conv2d_plan *plan,
                                           const_dnnl_primitive_attr_t attr)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    const bool src_few = s->C < SCO_CHANNEL_BLOCK, dst_few = s->OC < SCO_CHANNEL_BLOCK;
    dnnl_primitive_desc_t pd = describe(own, plan, attr, src_few, dst_few);
    return pd != NULL ? pd : describe(own, plan, attr, true, true);
}

static bool build(struct library_plan *own, struct sco_conv2d_plan *plan)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    bool good = dnnl_engine_create(&own->engine, dnnl_cpu, 0) == dnnl_success &&
                dnnl_stream_create(&own->stream, own->engine, dnnl_stream_default_flags) == dnnl_success &&
                dnnl_primitive_attr_create(&attr) == dnnl_success &&
                dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success &&
                (pd = choose_layout(own, plan, attr)) != NULL;
    if (good) {
        good = complete(own, plan, pd, attr);
        snprintf(plan->name, sizeof plan->name, "%.24s by %zu", implementation(pd), own->images);
    }
    if (pd != NULL)
        dnnl_primitive_desc_destroy(pd);
    if (attr != NULL)
        dnnl_primitive_attr_destroy(attr);
    return good;
}

/* oneDNN chooses instructions by itself. Its cap is one for the process and final once it has been used, so a mask that
 * allows less than what is already in use gets no plan. */
static bool within(sco_isa isa)
{
#if defined(__x86_64__)
    if (!(isa & SCO_ISA_AVX512))
        dnnl_set_max_cpu_isa(isa & SCO_ISA_AVX2 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_sse41);
    switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41: return true;
    case dnnl_cpu_isa_avx:
    case dnnl_cpu_isa_avx2:
    case dnnl_cpu_isa_avx2_vnni: return (isa & SCO_ISA_AVX2) != 0;
    default: return (isa & SCO_ISA_AVX512) != 0;
    }
#else
    return (isa & SCO_ISA_NEON) != 0;
#endif
}

static bool plan_of(enum sco_conv2d_direction direction, sco_isa isa, const struct sco_conv2d_shape *s,
                    size_t candidate, struct sco_conv2d_plan *plan)
{
    const size_t OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s);
    if (s->N * s->C * s->H * s->W == 0 || s->OC * OH * OW == 0 || !within(isa))
        return false;
    const size_t images = images_of(s, direction, candidate);
    struct library_plan *own = images > 0 ? calloc(1, sizeof *own) : NULL;
    if (own == NULL)
        return false;
    own->images = images;
    own->tasks = s->N / images;
    *plan = (struct sco_conv2d_plan){.shape = *s, .direction = direction, .pack = pack, .run = run, .handle = own};
    plan->destroy = destroy;
    plan->error_k = sco_conv2d_sum_error(s, direction);
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1); /* the number that a primitive is made for */
    const bool good = build(own, plan);
    omp_set_num_threads(threads);
    if (!good) {
        destroy(plan);
        return false;
    }
    plan->phases = 1;
    plan->tasks[0] = own->tasks;
    if (direction == SCO_CONV2D_BWD_WEIGHTS && own->tasks > 1) {
        plan->workspace_bytes = (own->tasks - 1) * plan->packed_count * sizeof(float);
        plan->phases = 2;
        plan->tasks[1] = (plan->packed_count + SLICE - 1) / SLICE;
    }
    return true;
}

/* A planner is not told the levels in force, so every level has its own three. */
#define PLANNER(level, isa, slot, direction)                                                                           \
    static bool slot##_##level(const struct sco_conv2d_shape *s, size_t candidate, struct sco_conv2d_plan *plan)       \
    {                                                                                                                  \
        return plan_of(direction, isa, s, candidate, plan);                                                            \
    }
#define PLANNERS(level, isa)                                                                                           \
    PLANNER(level, isa, fwd, SCO_CONV2D_FWD)                                                                           \
    PLANNER(level, isa, bwd_data, SCO_CONV2D_BWD_DATA)                                                                 \
    PLANNER(level, isa, bwd_weights, SCO_CONV2D_BWD_WEIGHTS)                                                           \
    static const struct sco_conv2d_ops level##_ops = {fwd_##level, bwd_data_##level, bwd_weights_##level};

PLANNERS(base, 0)
PLANNERS(avx2, SCO_ISA_AVX2)
PLANNERS(avx512, SCO_ISA_AVX512 | SCO_ISA_AVX2)
PLANNERS(neon, SCO_ISA_NEON)

void sco_conv2d_fill_onednn(void *table, sco_isa isa)
{
    struct sco_conv2d_ops *ops = table;
    if (!RUNTIME_KNOWN) /* it would start threads */
        return;
    *ops = isa & SCO_ISA_NEON ? neon_ops : isa & SCO_ISA_AVX512 ? avx512_ops : isa & SCO_ISA_AVX2 ? avx2_ops : base_ops;
}

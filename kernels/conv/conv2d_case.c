/* SPDX-License-Identifier: Apache-2.0
 * Every call of a case plans, packs and runs, its tasks in pieces and from the last to the first: nothing may depend on
 * their order. Weights are given and taken as HWIO, since rows pack them as they like. */
#include <math.h>
#include <stdint.h>

#include "kernels/case.h"
#include "kernels/conv/conv2d_rows.h"

enum { SLOT_FWD, SLOT_BWD_DATA, SLOT_BWD_WEIGHTS };
/* dims. pads has the digits top left bottom right. gap: floats between one image and the next, of src and of dst. */
enum { DIM_N, DIM_C, DIM_H, DIM_W, DIM_OC, DIM_KH, DIM_KW, DIM_STRIDE, DIM_PADS, DIM_GAP, DIM_MODE, DIM_CANDIDATE };
/* What fwd fuses. In the gradients FLIP alone means anything. */
enum { PLAIN, FLIP, BIAS, BIAS_RELU, BIAS_LEAKY_RESIDUAL, RELU_RESIDUAL_IS_DST };
enum { SRC, HWIO, DST, PACKED, WORKSPACE, SCRATCH, OPERANDS_OF_ALL, BIAS_VECTOR = OPERANDS_OF_ALL, RESIDUAL };
enum { LINE = 64 };
static const float slope = 0.2f;

static struct sco_conv2d_shape shape_of(const size_t dim[])
{
    struct sco_conv2d_shape s = {
        .N = dim[DIM_N],
        .C = dim[DIM_C],
        .H = dim[DIM_H],
        .W = dim[DIM_W],
        .OC = dim[DIM_OC],
        .KH = dim[DIM_KH],
        .KW = dim[DIM_KW],
        .stride = dim[DIM_STRIDE],
        .pad_top = dim[DIM_PADS] / 1000,
        .pad_left = dim[DIM_PADS] / 100 % 10,
        .pad_bottom = dim[DIM_PADS] / 10 % 10,
        .pad_right = dim[DIM_PADS] % 10,
    };
    /* dims that are all zero only ask for names */
    s.KH += s.KH == 0;
    s.KW += s.KW == 0;
    s.stride += s.stride == 0;
    s.src_image = sco_blocked_image(s.C, s.H, s.W) + dim[DIM_GAP];
    s.dst_image = sco_blocked_image(s.OC, sco_conv2d_oh(&s), sco_conv2d_ow(&s)) + dim[DIM_GAP];
    return s;
}

static size_t tensor_count(size_t N, size_t image, size_t gap)
{
    return N == 0 ? 0 : N * image - gap;
}

static size_t src_count(const struct sco_conv2d_shape *s, const size_t dim[])
{
    return tensor_count(s->N, s->src_image, dim[DIM_GAP]);
}

static size_t dst_count(const struct sco_conv2d_shape *s, const size_t dim[])
{
    return tensor_count(s->N, s->dst_image, dim[DIM_GAP]);
}

static size_t wei_count(const struct sco_conv2d_shape *s)
{
    return s->KH * s->KW * s->C * s->OC;
}

/* Enough for every algorithm on the shapes below: rows say what they need, but only where they can run. */
static size_t packed_capacity(const struct sco_conv2d_shape *s)
{
    const size_t taps = s->KH == 3 && s->KW == 3 ? 64 : s->KH * s->KW;
    return taps * (s->C + 63) / 64 * 64 * ((s->OC + 63) / 64 * 64);
}

static size_t workspace_capacity(const struct sco_conv2d_shape *s, const size_t dim[])
{
    const size_t padded = s->N * (s->H + 16) * (s->W + 16) * (s->C + 16);
    return 8 * (padded + src_count(s, dim) + dst_count(s, dim)) + packed_capacity(s) + 1024;
}

static void set(struct sco_operand operand[], size_t at, const char *name, size_t count, enum sco_role role)
{
    operand[at] = (struct sco_operand){name, count, sizeof(float), role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
}

static void bounded(struct sco_operand *operand, const struct sco_conv2d_shape *s, enum sco_conv2d_direction direction)
{
    operand->bound = SCO_GAMMA;
    operand->k = sco_conv2d_sum_error(s, direction);
}

/* Tensors that are written come with contents, so that what lies between images must survive. */
static struct sco_conv2d_shape common(const size_t dim[], struct sco_operand operand[], enum sco_role src,
                                      enum sco_role wei, enum sco_role dst)
{
    const struct sco_conv2d_shape s = shape_of(dim);
    set(operand, SRC, "src", src_count(&s, dim), src);
    set(operand, HWIO, "wei", wei_count(&s), wei);
    set(operand, DST, "dst", dst_count(&s, dim), dst);
    set(operand, PACKED, "packed", packed_capacity(&s), SCO_SCRATCH);
    set(operand, WORKSPACE, "workspace", workspace_capacity(&s, dim), SCO_SCRATCH);
    set(operand, SCRATCH, "scratch", workspace_capacity(&s, dim), SCO_SCRATCH);
    return s;
}

static size_t fwd_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const struct sco_conv2d_shape s = common(dim, operand, SCO_IN, SCO_IN, SCO_INOUT);
    bounded(&operand[DST], &s, SCO_CONV2D_FWD);
    set(operand, BIAS_VECTOR, "bias", s.OC, SCO_IN);
    set(operand, RESIDUAL, "residual", dst_count(&s, dim), SCO_IN);
    return RESIDUAL + 1;
}

static size_t bwd_data_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const struct sco_conv2d_shape s = common(dim, operand, SCO_INOUT, SCO_IN, SCO_IN);
    bounded(&operand[SRC], &s, SCO_CONV2D_BWD_DATA);
    return OPERANDS_OF_ALL;
}

static size_t bwd_weights_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const struct sco_conv2d_shape s = common(dim, operand, SCO_IN, SCO_OUT, SCO_IN);
    bounded(&operand[HWIO], &s, SCO_CONV2D_BWD_WEIGHTS);
    return OPERANDS_OF_ALL;
}

static size_t at(size_t n, size_t image, size_t C, size_t H, size_t W, size_t c, size_t y, size_t x)
{
    const size_t B = sco_channel_block(C);
    return n * image + ((c / B * H + y) * W + x) * B + c % B;
}

/* Channels that only fill a block are zero. */
static void zero_padding(float *x, size_t N, size_t image, size_t C, size_t H, size_t W)
{
    for (size_t n = 0; n < N; n++)
        for (size_t c = C; c < sco_padded_channels(C); c++)
            for (size_t i = 0; i < H * W; i++)
                x[at(n, image, C, H, W, c, i / W, i % W)] = 0.0f;
}

static void zero_both(const struct sco_conv2d_shape *s, float *src, float *dst)
{
    zero_padding(src, s->N, s->src_image, s->C, s->H, s->W);
    zero_padding(dst, s->N, s->dst_image, s->OC, sco_conv2d_oh(s), sco_conv2d_ow(s));
}

static void fwd_prepare(const size_t dim[], void *const buffer[])
{
    const struct sco_conv2d_shape s = shape_of(dim);
    zero_both(&s, buffer[SRC], buffer[DST]);
    zero_both(&s, buffer[SRC], buffer[RESIDUAL]);
}

static void prepare(const size_t dim[], void *const buffer[])
{
    const struct sco_conv2d_shape s = shape_of(dim);
    zero_both(&s, buffer[SRC], buffer[DST]);
}

static sco_conv2d_plan_fn *planner(const struct sco_conv2d_ops *ops, enum sco_conv2d_direction direction)
{
    return direction == SCO_CONV2D_FWD ? ops->fwd : direction == SCO_CONV2D_BWD_DATA ? ops->bwd_data : ops->bwd_weights;
}

/* The candidate of that number among those that only add, as the bound of these cases supposes; the scalar row's plan
 * where this row has none. */
static void choose(const struct sco_conv2d_ops *ops, enum sco_conv2d_direction direction,
                   const struct sco_conv2d_shape *s, size_t wanted, struct sco_conv2d_plan *plan)
{
    for (size_t candidate = 0; planner(ops, direction)(s, candidate, plan); candidate++)
        if (plan->error_k <= sco_conv2d_sum_error(s, direction) && wanted-- == 0)
            return;
    struct sco_conv2d_ops scalar;
    sco_conv2d_fill_scalar(&scalar, 0);
    planner(&scalar, direction)(s, 0, plan);
}

static void *aligned(void *memory)
{
    return (unsigned char *)memory + (LINE - (uintptr_t)memory % LINE) % LINE;
}

/* Pieces of one task, two, three, ... from the end. */
static void pack_all(const struct sco_conv2d_plan *plan, float *hwio, float *packed, bool flip)
{
    for (size_t last = plan->pack_tasks, piece = 1; last > 0; piece++) {
        const size_t first = last > piece ? last - piece : 0;
        plan->pack(plan, hwio, packed, flip, first, last);
        last = first;
    }
}

static void run(const struct sco_conv2d_ops *ops, enum sco_conv2d_direction direction, const size_t dim[],
                void *const buffer[], struct sco_conv2d_args *args)
{
    const struct sco_conv2d_shape s = shape_of(dim);
    struct sco_conv2d_plan plan;
    choose(ops, direction, &s, dim[DIM_CANDIDATE], &plan);
    const size_t capacity = workspace_capacity(&s, dim) * sizeof(float) - LINE;
    if (plan.packed_count > packed_capacity(&s) || plan.workspace_bytes > capacity || plan.scratch_bytes > capacity)
        return; /* the checker finds the output unwritten */
    args->src = buffer[SRC];
    /* Weights end where the operand does, and what lies past them is guarded. */
    args->wei = (float *)buffer[PACKED] + (packed_capacity(&s) - plan.packed_count);
    args->dst = buffer[DST];
    args->workspace = aligned(buffer[WORKSPACE]);
    args->scratch = aligned(buffer[SCRATCH]);

    const bool flip = dim[DIM_MODE] == FLIP;
    if (direction != SCO_CONV2D_BWD_WEIGHTS)
        pack_all(&plan, buffer[HWIO], args->wei, flip);
    for (size_t phase = 0; phase < plan.phases; phase++)
        for (size_t last = plan.tasks[phase], piece = 1; last > 0; piece++) {
            const size_t first = last > piece ? last - piece : 0;
            plan.run(&plan, args, phase, first, last);
            last = first;
        }
    if (direction == SCO_CONV2D_BWD_WEIGHTS)
        pack_all(&plan, buffer[HWIO], args->wei, flip);
    if (plan.destroy != NULL)
        plan.destroy(&plan);
}

static void fwd_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const size_t mode = dim[DIM_MODE];
    struct sco_conv2d_args args = {.slope = slope};
    if (mode == BIAS || mode == BIAS_RELU || mode == BIAS_LEAKY_RESIDUAL)
        args.bias = buffer[BIAS_VECTOR];
    if (mode == BIAS_LEAKY_RESIDUAL)
        args.residual = buffer[RESIDUAL];
    if (mode == RELU_RESIDUAL_IS_DST)
        args.residual = buffer[DST];
    if (mode == BIAS_RELU || mode == RELU_RESIDUAL_IS_DST)
        args.activation = SCO_CONV2D_RELU;
    if (mode == BIAS_LEAKY_RESIDUAL)
        args.activation = SCO_CONV2D_LEAKY_RELU;
    run(ops, SCO_CONV2D_FWD, dim, buffer, &args);
}

static void bwd_data_run(const void *ops, const size_t dim[], void *const buffer[])
{
    run(ops, SCO_CONV2D_BWD_DATA, dim, buffer, &(struct sco_conv2d_args){0});
}

static void bwd_weights_run(const void *ops, const size_t dim[], void *const buffer[])
{
    run(ops, SCO_CONV2D_BWD_WEIGHTS, dim, buffer, &(struct sco_conv2d_args){0});
}

/* Calls term(src index, wei index, dst index) for every product. */
#define EACH_PRODUCT(s, flip, ...)                                                                                     \
    for (size_t n = 0; n < (s).N; n++)                                                                                 \
        for (size_t oh = 0; oh < sco_conv2d_oh(&(s)); oh++)                                                            \
            for (size_t ow = 0; ow < sco_conv2d_ow(&(s)); ow++)                                                        \
                for (size_t kh = 0; kh < (s).KH; kh++)                                                                 \
                    for (size_t kw = 0; kw < (s).KW; kw++) {                                                           \
                        const size_t ih = oh * (s).stride + kh - (s).pad_top;                                          \
                        const size_t iw = ow * (s).stride + kw - (s).pad_left;                                         \
                        if (ih >= (s).H || iw >= (s).W) /* above and left of src wraps around */                       \
                            continue;                                                                                  \
                        const size_t tap = kh * (s).KW + kw;                                                           \
                        const size_t row = ((flip) ? (s).KH * (s).KW - 1 - tap : tap) * (s).C;                         \
                        for (size_t c = 0; c < (s).C; c++)                                                             \
                            for (size_t oc = 0; oc < (s).OC; oc++) {                                                   \
                                const size_t x = at(n, (s).src_image, (s).C, (s).H, (s).W, c, ih, iw);                 \
                                const size_t w = (row + c) * (s).OC + oc;                                              \
                                const size_t y = at(n, (s).dst_image, (s).OC, sco_conv2d_oh(&(s)),                     \
                                                    sco_conv2d_ow(&(s)), oc, oh, ow);                                  \
                                __VA_ARGS__                                                                            \
                            }                                                                                          \
                    }

static void accumulate(double *value, double *scale, size_t i, float a, float b)
{
    const double term = (double)a * (double)b;
    value[i] += term;
    scale[i] += fabs(term);
}

/* What a tensor holds before the sums: nothing, and between images what was there. */
static void start(double *value, double *scale, const float *before, size_t count, size_t image, size_t gap)
{
    for (size_t i = 0; i < count; i++) {
        value[i] = i % image >= image - gap ? (double)before[i] : 0.0;
        scale[i] = 0.0;
    }
}

static void fwd_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const struct sco_conv2d_shape s = shape_of(dim);
    const float *src = before[SRC], *wei = before[HWIO], *dst = before[DST], *bias = before[BIAS_VECTOR];
    const size_t mode = dim[DIM_MODE], OH = sco_conv2d_oh(&s), OW = sco_conv2d_ow(&s);
    const float *residual = mode == RELU_RESIDUAL_IS_DST ? dst : before[RESIDUAL];
    (void)operand;
    start(value, scale, dst, dst_count(&s, dim), s.dst_image, dim[DIM_GAP]);
    EACH_PRODUCT(s, mode == FLIP, accumulate(value, scale, y, src[x], wei[w]);)
    for (size_t n = 0; n < s.N; n++)
        for (size_t oc = 0; oc < s.OC; oc++)
            for (size_t i = 0; i < OH * OW; i++) {
                const size_t y = at(n, s.dst_image, s.OC, OH, OW, oc, i / OW, i % OW);
                if (mode == BIAS || mode == BIAS_RELU || mode == BIAS_LEAKY_RESIDUAL)
                    accumulate(value, scale, y, bias[oc], 1.0f);
                if (mode == BIAS_LEAKY_RESIDUAL || mode == RELU_RESIDUAL_IS_DST)
                    accumulate(value, scale, y, residual[y], 1.0f);
                if (mode == BIAS_RELU || mode == RELU_RESIDUAL_IS_DST)
                    value[y] = fmax(value[y], 0.0);
                if (mode == BIAS_LEAKY_RESIDUAL && value[y] < 0.0)
                    value[y] *= (double)slope;
            }
}

static void bwd_data_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const struct sco_conv2d_shape s = shape_of(dim);
    const float *wei = before[HWIO], *dst = before[DST];
    (void)operand;
    start(value, scale, before[SRC], src_count(&s, dim), s.src_image, dim[DIM_GAP]);
    EACH_PRODUCT(s, dim[DIM_MODE] == FLIP, accumulate(value, scale, x, dst[y], wei[w]);)
}

static void bwd_weights_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const struct sco_conv2d_shape s = shape_of(dim);
    const float *src = before[SRC], *dst = before[DST];
    (void)operand;
    for (size_t i = 0; i < wei_count(&s); i++)
        value[i] = scale[i] = 0.0;
    EACH_PRODUCT(s, dim[DIM_MODE] == FLIP, accumulate(value, scale, w, src[x], dst[y]);)
}

/* Taps outside src count too: few, and what a plan does there is its own affair. */
static double flops(const size_t dim[])
{
    const struct sco_conv2d_shape s = shape_of(dim);
    return 2.0 * (double)(s.N * sco_conv2d_oh(&s) * sco_conv2d_ow(&s)) * (double)wei_count(&s);
}

static double bytes(const size_t dim[])
{
    const struct sco_conv2d_shape s = shape_of(dim);
    return 4.0 * (double)(src_count(&s, dim) + dst_count(&s, dim) + wei_count(&s));
}

static double items(const size_t dim[])
{
    return flops(dim) / 2.0;
}

/* The commonest layer of ResNet-50: 3x3 on 14 x 14 x 256, in as many images as it takes. */
static void size(size_t total, size_t dim[])
{
    static const size_t layer[SCO_CASE_DIMS] = {0, 256, 14, 14, 256, 3, 3, 1, 1111, 0, PLAIN, 0};
    for (size_t i = 0; i < SCO_CASE_DIMS; i++)
        dim[i] = layer[i];
    dim[DIM_N] = total / (2 * 256 * 14 * 14 * sizeof(float)) + 1;
}

static const size_t shapes[][SCO_CASE_DIMS] = {
    /* nothing in, nothing out, one of everything */
    {0, 3, 5, 5, 4, 3, 3, 1, 1111, 0, PLAIN, 0},
    {1, 0, 4, 4, 5, 3, 3, 1, 1111, 0, BIAS, 0},
    {1, 3, 4, 4, 0, 1, 1, 1, 0, 0, PLAIN, 0},
    {1, 3, 0, 4, 2, 3, 3, 1, 1111, 0, PLAIN, 0},
    {2, 17, 2, 2, 18, 3, 3, 1, 0, 5, PLAIN, 0},
    {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, PLAIN, 0},
    {1, 1, 1, 1, 1, 3, 3, 1, 1111, 0, BIAS_RELU, 0},
    /* 1 x 1, of every stride */
    {1, 16, 7, 7, 32, 1, 1, 1, 0, 0, PLAIN, 0},
    {2, 32, 7, 7, 64, 1, 1, 1, 0, 3, BIAS_RELU, 0},
    {1, 64, 3, 5, 33, 1, 1, 1, 0, 0, BIAS_LEAKY_RESIDUAL, 0},
    {3, 17, 5, 6, 31, 1, 1, 1, 0, 1, RELU_RESIDUAL_IS_DST, 0},
    {2, 32, 8, 8, 48, 1, 1, 2, 0, 0, BIAS, 0},
    {1, 48, 7, 9, 16, 1, 1, 3, 0, 7, RELU_RESIDUAL_IS_DST, 0},
    {2, 32, 10, 11, 1, 1, 1, 1, 0, 0, BIAS, 0},
    {2, 1, 10, 11, 32, 1, 1, 1, 0, 0, FLIP, 0},
    /* 3 x 3 on widths around every tile */
    {1, 16, 14, 14, 16, 3, 3, 1, 1111, 0, PLAIN, 0},
    {2, 32, 7, 7, 64, 3, 3, 1, 1111, 0, BIAS_RELU, 0},
    {1, 20, 5, 29, 40, 3, 3, 1, 1111, 2, BIAS_LEAKY_RESIDUAL, 0},
    {1, 33, 4, 15, 17, 3, 3, 1, 1111, 0, RELU_RESIDUAL_IS_DST, 0},
    {1, 16, 3, 56, 32, 3, 3, 1, 1111, 0, PLAIN, 0},
    {1, 15, 6, 13, 15, 3, 3, 1, 1111, 3, BIAS, 0},
    {1, 5, 9, 8, 7, 3, 3, 1, 1111, 0, BIAS_LEAKY_RESIDUAL, 0},
    {1, 1, 12, 20, 32, 3, 3, 1, 1111, 0, PLAIN, 0},
    {1, 16, 9, 4, 32, 3, 3, 1, 0, 0, PLAIN, 0},
    {2, 32, 20, 20, 32, 3, 3, 1, 1111, 0, FLIP, 0},
    /* strided, with both paddings that frameworks use */
    {1, 16, 14, 14, 32, 3, 3, 2, 1111, 0, PLAIN, 0},
    {2, 32, 14, 14, 32, 3, 3, 2, 11, 4, BIAS_RELU, 0},
    {1, 17, 9, 11, 34, 3, 3, 2, 11, 0, BIAS_LEAKY_RESIDUAL, 0},
    {1, 33, 8, 7, 16, 3, 3, 3, 1111, 0, FLIP, 0},
    {1, 3, 28, 30, 64, 7, 7, 2, 3333, 0, BIAS_RELU, 0},
    {1, 3, 16, 16, 20, 7, 7, 2, 2233, 1, PLAIN, 0},
    {1, 4, 11, 11, 16, 5, 5, 2, 2121, 0, BIAS, 0},
    /* the transposed 2 x 2 of a U-Net */
    {1, 16, 12, 12, 32, 2, 2, 2, 0, 0, FLIP, 0},
    {2, 32, 10, 40, 16, 2, 2, 2, 0, 6, PLAIN, 0},
    {1, 24, 7, 5, 19, 2, 2, 2, 0, 0, FLIP, 0},
    /* taller than wide, steps beyond the filter, padding beyond the filter, primes */
    {1, 16, 9, 9, 16, 1, 3, 1, 101, 0, BIAS, 0},
    {1, 18, 9, 9, 16, 3, 1, 2, 1010, 0, PLAIN, 0},
    {1, 16, 11, 13, 17, 2, 3, 5, 0, 0, BIAS, 0},
    {1, 19, 5, 7, 23, 2, 4, 1, 2143, 9, BIAS_LEAKY_RESIDUAL, 0},
    {1, 16, 3, 3, 16, 2, 2, 2, 4545, 0, BIAS, 0},
    {1, 53, 5, 3, 37, 3, 5, 1, 1212, 0, PLAIN, 0},
    {1, 7, 2, 2, 16, 5, 5, 1, 2222, 0, BIAS, 0},
    {1, 112, 4, 6, 80, 3, 3, 1, 1111, 0, PLAIN, 0},
    /* other candidates */
    {2, 32, 7, 7, 64, 3, 3, 1, 1111, 3, BIAS_LEAKY_RESIDUAL, 1},
    {2, 48, 6, 14, 65, 3, 3, 1, 1111, 0, RELU_RESIDUAL_IS_DST, 2},
    {2, 33, 9, 30, 48, 3, 3, 2, 1111, 0, BIAS_RELU, 1},
    {2, 33, 9, 30, 48, 3, 3, 2, 1111, 0, BIAS_RELU, 2},
    {3, 64, 7, 7, 96, 1, 1, 1, 0, 0, BIAS_RELU, 1},
    {3, 64, 7, 7, 96, 1, 1, 1, 0, 0, BIAS_RELU, 2},
    {2, 20, 6, 8, 33, 2, 2, 2, 0, 1, FLIP, 1},
};

#define CONV2D_CASE(case_name, slot_number, direction, prepare_function)                                               \
    {                                                                                                                  \
        .name = case_name, .family = &sco_conv2d_family, .slot = slot_number, .dim_count = SCO_CASE_DIMS,              \
        .dim_names = {"N", "C", "H", "W", "OC", "KH", "KW", "stride", "pads", "gap", "mode", "candidate"},             \
        .operands = direction##_operands, .prepare = prepare_function, .run = direction##_run,                         \
        .oracle = direction##_oracle, .flops = flops, .bytes = bytes, .items = items, .size = size, .shapes = shapes,  \
        .shape_count = SCO_LEN(shapes), .finite = 1                                                                    \
    }
static const struct sco_case cases[] = {
    CONV2D_CASE("conv2d.fwd", SLOT_FWD, fwd, fwd_prepare),
    CONV2D_CASE("conv2d.bwd_data", SLOT_BWD_DATA, bwd_data, prepare),
    CONV2D_CASE("conv2d.bwd_weights", SLOT_BWD_WEIGHTS, bwd_weights, prepare),
};

const struct sco_case_list sco_conv2d_cases = {cases, SCO_LEN(cases)};

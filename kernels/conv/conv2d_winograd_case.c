/* SPDX-License-Identifier: Apache-2.0
 * Algorithms that transform mix the elements of a tile: their rounding is relative to the magnitudes that pass through
 * the transforms, which the oracle computes. Where a row has no such candidate its lower row's plan is checked. */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/case.h"
#include "kernels/conv/conv2d_rows.h"

enum { SLOT_FWD, SLOT_BWD_DATA };
/* dims. tile: 4 or 2. other: which of the candidates of that tile. */
enum { DIM_N, DIM_C, DIM_H, DIM_W, DIM_OC, DIM_PADS, DIM_GAP, DIM_MODE, DIM_TILE, DIM_OTHER, DIMS };
enum { PLAIN, FLIP, BIAS, BIAS_RELU, BIAS_LEAKY_RESIDUAL, RELU_RESIDUAL_IS_DST };
enum { SRC, HWIO, DST, PACKED, WORKSPACE, SCRATCH, BWD_OPERANDS, BIAS_VECTOR = BWD_OPERANDS, RESIDUAL, FWD_OPERANDS };
enum { LINE = 64, TAPS = 9, SIDE = 6 /* of the elements of the largest tile */, MOST_CHANNELS = 144 };
static const float slope = 0.2f;

static struct sco_conv2d_shape shape_of(const size_t dim[])
{
    struct sco_conv2d_shape s = {
        .N = dim[DIM_N],
        .C = dim[DIM_C],
        .H = dim[DIM_H],
        .W = dim[DIM_W],
        .OC = dim[DIM_OC],
        .KH = 3,
        .KW = 3,
        .stride = 1,
        .pad_top = dim[DIM_PADS] / 1000,
        .pad_left = dim[DIM_PADS] / 100 % 10,
        .pad_bottom = dim[DIM_PADS] / 10 % 10,
        .pad_right = dim[DIM_PADS] % 10,
    };
    s.src_image = sco_blocked_image(s.C, s.H, s.W) + dim[DIM_GAP];
    s.dst_image = sco_blocked_image(s.OC, sco_conv2d_oh(&s), sco_conv2d_ow(&s)) + dim[DIM_GAP];
    return s;
}

/* Either direction as a convolution of in: the gradient's filter is turned and exchanged. */
struct tensor {
    size_t C, H, W, image;
};

struct problem {
    struct tensor in, out;
    size_t N;
    ptrdiff_t pad_top, pad_left;
    bool turn; /* taps are read from the last to the first */
    size_t in_stride, out_stride, tap_stride;
};

static struct problem problem_of(const size_t dim[], bool fwd)
{
    const struct sco_conv2d_shape s = shape_of(dim);
    const struct tensor src = {s.C, s.H, s.W, s.src_image},
                        dst = {s.OC, sco_conv2d_oh(&s), sco_conv2d_ow(&s), s.dst_image};
    const ptrdiff_t top = (ptrdiff_t)s.pad_top, left = (ptrdiff_t)s.pad_left;
    const bool flip = dim[DIM_MODE] == FLIP;
    if (fwd)
        return (struct problem){src, dst, s.N, top, left, flip, s.OC, 1, s.C * s.OC};
    return (struct problem){dst, src, s.N, 2 - top, 2 - left, !flip, 1, s.OC, s.C * s.OC};
}

static size_t count_of(const struct tensor *t, size_t N, const size_t dim[])
{
    return N == 0 ? 0 : N * t->image - dim[DIM_GAP];
}

static size_t at(const struct tensor *t, size_t n, size_t c, size_t y, size_t x)
{
    const size_t B = sco_channel_block(t->C);
    return n * t->image + ((c / B * t->H + y) * t->W + x) * B + c % B;
}

static size_t padded(size_t channels)
{
    return (channels + SCO_CHANNEL_BLOCK - 1) / SCO_CHANNEL_BLOCK * SCO_CHANNEL_BLOCK;
}

/* All elements of the filters, or of the tiles in a block, whose number is rounded up. */
static size_t packed_capacity(const struct problem *p)
{
    return SIDE * SIDE * (padded(p->in.C) * padded(p->out.C) + SCO_CHANNEL_BLOCK);
}

static size_t transformed_capacity(const struct problem *p)
{
    const size_t tiles = p->N * ((p->out.H + 1) / 2) * ((p->out.W + 1) / 2) + 5;
    return SIDE * SIDE * (tiles * (padded(p->in.C) + padded(p->out.C)) + 2 * SCO_CHANNEL_BLOCK) + LINE;
}

static void set(struct sco_operand operand[], size_t index, const char *name, size_t count, enum sco_role role)
{
    operand[index] = (struct sco_operand){name, count, sizeof(float), role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
}

/* K + 21 roundings with transforms, 9 K + 4 of products and sums without. */
static void bounded(struct sco_operand *operand, const struct problem *p)
{
    operand->role = SCO_INOUT; /* what lies between images must survive */
    operand->bound = SCO_GAMMA;
    operand->k = (double)(TAPS * p->in.C) + 21.0;
}

static struct problem common(const size_t dim[], struct sco_operand operand[], bool fwd)
{
    const struct problem p = problem_of(dim, fwd);
    set(operand, fwd ? SRC : DST, fwd ? "src" : "dst", count_of(&p.in, p.N, dim), SCO_IN);
    set(operand, HWIO, "wei", TAPS * p.in.C * p.out.C, SCO_IN);
    set(operand, fwd ? DST : SRC, fwd ? "dst" : "src", count_of(&p.out, p.N, dim), SCO_INOUT);
    set(operand, PACKED, "packed", packed_capacity(&p), SCO_SCRATCH);
    set(operand, WORKSPACE, "workspace", transformed_capacity(&p), SCO_SCRATCH);
    set(operand, SCRATCH, "scratch", transformed_capacity(&p), SCO_SCRATCH);
    bounded(&operand[fwd ? DST : SRC], &p);
    return p;
}

static size_t fwd_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const struct problem p = common(dim, operand, true);
    set(operand, BIAS_VECTOR, "bias", p.out.C, SCO_IN);
    set(operand, RESIDUAL, "residual", count_of(&p.out, p.N, dim), SCO_IN);
    return FWD_OPERANDS;
}

static size_t bwd_data_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    common(dim, operand, false);
    return BWD_OPERANDS;
}

static void zero_padding(float *x, const struct tensor *t, size_t N)
{
    for (size_t n = 0; n < N; n++)
        for (size_t c = t->C; c < sco_padded_channels(t->C); c++)
            for (size_t i = 0; i < t->H * t->W; i++)
                x[at(t, n, c, i / t->W, i % t->W)] = 0.0f;
}

static void fwd_prepare(const size_t dim[], void *const buffer[])
{
    const struct problem p = problem_of(dim, true);
    zero_padding(buffer[SRC], &p.in, p.N);
    zero_padding(buffer[DST], &p.out, p.N);
    zero_padding(buffer[RESIDUAL], &p.out, p.N);
}

static void bwd_data_prepare(const size_t dim[], void *const buffer[])
{
    const struct problem p = problem_of(dim, false);
    zero_padding(buffer[DST], &p.in, p.N);
    zero_padding(buffer[SRC], &p.out, p.N);
}

static void choose(const struct sco_conv2d_ops *ops, bool fwd, const size_t dim[], struct sco_conv2d_plan *plan)
{
    const struct sco_conv2d_shape s = shape_of(dim);
    const char *const name = dim[DIM_TILE] == 4 ? "winograd 4x4" : "winograd 2x2";
    size_t wanted = dim[DIM_OTHER];
    for (size_t candidate = 0; (fwd ? ops->fwd : ops->bwd_data)(&s, candidate, plan); candidate++) {
        if (strncmp(plan->name, name, strlen(name)) == 0 && wanted-- == 0)
            return;
        if (plan->destroy != NULL)
            plan->destroy(plan);
    }
    struct sco_conv2d_ops scalar;
    sco_conv2d_fill_scalar(&scalar, 0);
    (fwd ? scalar.fwd : scalar.bwd_data)(&s, 0, plan);
}

static void *aligned(void *memory)
{
    return (unsigned char *)memory + (LINE - (uintptr_t)memory % LINE) % LINE;
}

/* Tasks in pieces of one, two, three, ... from the end: nothing may depend on their order. */
static void run(const struct sco_conv2d_ops *ops, bool fwd, const size_t dim[], void *const buffer[],
                struct sco_conv2d_args *args)
{
    const struct problem p = problem_of(dim, fwd);
    struct sco_conv2d_plan plan;
    choose(ops, fwd, dim, &plan);
    const size_t capacity = transformed_capacity(&p) * sizeof(float) - LINE;
    if (plan.packed_count > packed_capacity(&p) || plan.workspace_bytes > capacity || plan.scratch_bytes > capacity)
        return; /* the checker finds the output unwritten */
    args->src = buffer[SRC];
    args->wei = (float *)buffer[PACKED] + (packed_capacity(&p) - plan.packed_count);
    args->dst = buffer[DST];
    args->workspace = aligned(buffer[WORKSPACE]);
    args->scratch = aligned(buffer[SCRATCH]);
    for (size_t last = plan.pack_tasks, piece = 1; last > 0; piece++) {
        const size_t first = last > piece ? last - piece : 0;
        plan.pack(&plan, buffer[HWIO], args->wei, dim[DIM_MODE] == FLIP, first, last);
        last = first;
    }
    for (size_t phase = 0; phase < plan.phases; phase++)
        for (size_t last = plan.tasks[phase], piece = 1; last > 0; piece++) {
            const size_t first = last > piece ? last - piece : 0;
            plan.run(&plan, args, phase, first, last);
            last = first;
        }
    if (plan.destroy != NULL)
        plan.destroy(&plan);
}

static bool has_bias(size_t mode)
{
    return mode == BIAS || mode == BIAS_RELU || mode == BIAS_LEAKY_RESIDUAL;
}

static bool has_residual(size_t mode)
{
    return mode == BIAS_LEAKY_RESIDUAL || mode == RELU_RESIDUAL_IS_DST;
}

static void fwd_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const size_t mode = dim[DIM_MODE];
    struct sco_conv2d_args args = {.slope = slope};
    if (has_bias(mode))
        args.bias = buffer[BIAS_VECTOR];
    if (has_residual(mode))
        args.residual = buffer[mode == RELU_RESIDUAL_IS_DST ? DST : RESIDUAL];
    if (mode == BIAS_RELU || mode == RELU_RESIDUAL_IS_DST)
        args.activation = SCO_CONV2D_RELU;
    if (mode == BIAS_LEAKY_RESIDUAL)
        args.activation = SCO_CONV2D_LEAKY_RELU;
    run(ops, true, dim, buffer, &args);
}

static void bwd_data_run(const void *ops, const size_t dim[], void *const buffer[])
{
    run(ops, false, dim, buffer, &(struct sco_conv2d_args){0});
}

/* |B|^T, |G|, |A|^T of F(4, 3) at 0, +-a, +-b and infinity and of F(2, 3) at 0, +-1 and infinity. */
struct magnitudes {
    size_t tile, side;
    double B[SIDE][SIDE], G[SIDE][3], A[4][SIDE];
};

static void magnitudes_of(size_t tile, struct magnitudes *to)
{
    const double a = 0.625, b = 1.5, a2 = a * a, b2 = b * b, distance = b2 - a2;
    const double at_a = 1.0 / (2.0 * a2 * distance), at_b = 1.0 / (2.0 * b2 * distance);
    const struct magnitudes two = {
        2,
        4,
        {{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 0, 1}},
        {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, {0, 0, 1}},
        {{1, 1, 1, 0}, {0, 1, 1, 1}},
    };
    const struct magnitudes four = {
        4,
        6,
        {{a2 * b2, 0, a2 + b2, 0, 1, 0},
         {0, a * b2, b2, a, 1, 0},
         {0, a * b2, b2, a, 1, 0},
         {0, a2 * b, a2, b, 1, 0},
         {0, a2 * b, a2, b, 1, 0},
         {0, a2 * b2, 0, a2 + b2, 0, 1}},
        {{1.0 / (a2 * b2), 0, 0},
         {at_a, a * at_a, a2 * at_a},
         {at_a, a * at_a, a2 * at_a},
         {at_b, b * at_b, b2 * at_b},
         {at_b, b * at_b, b2 * at_b},
         {0, 0, 1}},
        {{1, 1, 1, 1, 1, 0}, {0, a, a, b, b, 0}, {0, a2, a2, b2, b2, 0}, {0, a2 * a, a2 * a, b2 * b, b2 * b, 1}},
    };
    *to = tile == 2 ? two : four;
}

/* to = L x L^T for an m x k matrix L, k x k matrix x; rows of L are stride apart. */
static void sandwich(size_t m, size_t k, const double *L, size_t stride, double x[SIDE][SIDE], double to[SIDE][SIDE])
{
    double half[SIDE][SIDE] = {{0}};
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < k; j++)
            for (size_t l = 0; l < k; l++)
                half[i][j] += L[i * stride + l] * x[l][j];
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < m; j++) {
            to[i][j] = 0.0;
            for (size_t l = 0; l < k; l++)
                to[i][j] += half[i][l] * L[j * stride + l];
        }
}

static double filter_at(const struct problem *p, const float *wei, size_t tap, size_t in, size_t out)
{
    return (double)wei[(p->turn ? TAPS - 1 - tap : tap) * p->tap_stride + in * p->in_stride + out * p->out_stride];
}

/* Elements of in under one tile; above and left of the plane wraps around. */
static void tile_of(const struct problem *p, const float *in, size_t n, size_t c, size_t top, size_t left,
                    double d[SIDE][SIDE])
{
    for (size_t i = 0; i < SIDE; i++)
        for (size_t j = 0; j < SIDE; j++) {
            const size_t y = top + i - (size_t)p->pad_top, x = left + j - (size_t)p->pad_left;
            d[i][j] = y < p->in.H && x < p->in.W ? (double)in[at(&p->in, n, c, y, x)] : 0.0;
        }
}

static void magnitude(double x[SIDE][SIDE])
{
    for (size_t i = 0; i < SIDE; i++)
        for (size_t j = 0; j < SIDE; j++)
            x[i][j] = fabs(x[i][j]);
}

/* m and sum of one in channel and one out channel. */
static void add_products(const struct magnitudes *a, double g[SIDE][SIDE], double d[SIDE][SIDE], double v[SIDE][SIDE],
                         double m[SIDE][SIDE], double sum[SIDE][SIDE])
{
    double u[SIDE][SIDE];
    for (size_t i = 0; i < a->tile; i++)
        for (size_t j = 0; j < a->tile; j++)
            for (size_t tap = 0; tap < TAPS; tap++)
                sum[i][j] += d[i + tap / 3][j + tap % 3] * g[tap / 3][tap % 3];
    magnitude(g);
    sandwich(a->side, 3, &a->G[0][0], 3, g, u);
    for (size_t i = 0; i < a->side; i++)
        for (size_t j = 0; j < a->side; j++)
            m[i][j] += u[i][j] * v[i][j];
}

/* All out channels of one tile. */
static void tile_oracle(const struct problem *p, const struct magnitudes *a, const float *in, const float *wei,
                        size_t n, size_t top, size_t left, double *value, double *scale)
{
    double m[MOST_CHANNELS][SIDE][SIDE] = {{{0}}}, sum[MOST_CHANNELS][SIDE][SIDE] = {{{0}}};
    assert(p->out.C <= MOST_CHANNELS);
    for (size_t c = 0; c < p->in.C; c++) {
        double d[SIDE][SIDE], x[SIDE][SIDE], v[SIDE][SIDE], g[SIDE][SIDE] = {{0}};
        tile_of(p, in, n, c, top, left, d);
        memcpy(x, d, sizeof x);
        magnitude(x);
        sandwich(a->side, a->side, &a->B[0][0], SIDE, x, v);
        for (size_t out = 0; out < p->out.C; out++) {
            for (size_t tap = 0; tap < TAPS; tap++)
                g[tap / 3][tap % 3] = filter_at(p, wei, tap, c, out);
            add_products(a, g, d, v, m[out], sum[out]);
        }
    }
    for (size_t out = 0; out < p->out.C; out++) {
        double y[SIDE][SIDE];
        sandwich(a->tile, a->side, &a->A[0][0], SIDE, m[out], y);
        for (size_t i = 0; i < a->tile && top + i < p->out.H; i++)
            for (size_t j = 0; j < a->tile && left + j < p->out.W; j++) {
                const size_t to = at(&p->out, n, out, top + i, left + j);
                value[to] = sum[out][i][j];
                scale[to] = y[i][j];
            }
    }
}

static struct problem oracle(const size_t dim[], void *const before[], bool fwd, double *value, double *scale)
{
    const struct problem p = problem_of(dim, fwd);
    const float *in = before[fwd ? SRC : DST], *out = before[fwd ? DST : SRC];
    struct magnitudes a;
    magnitudes_of(dim[DIM_TILE], &a);
    const size_t count = count_of(&p.out, p.N, dim);
    for (size_t i = 0; i < count; i++) {
        value[i] = i % p.out.image >= p.out.image - dim[DIM_GAP] ? (double)out[i] : 0.0;
        scale[i] = 0.0;
    }
    for (size_t n = 0; n < p.N; n++)
        for (size_t top = 0; top < p.out.H; top += a.tile)
            for (size_t left = 0; left < p.out.W; left += a.tile)
                tile_oracle(&p, &a, in, before[HWIO], n, top, left, value, scale);
    return p;
}

static void fwd_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const size_t mode = dim[DIM_MODE];
    const float *bias = before[BIAS_VECTOR], *residual = before[mode == RELU_RESIDUAL_IS_DST ? DST : RESIDUAL];
    const struct problem p = oracle(dim, before, true, value, scale);
    (void)operand;
    for (size_t n = 0; n < p.N; n++)
        for (size_t c = 0; c < p.out.C; c++)
            for (size_t i = 0; i < p.out.H * p.out.W; i++) {
                const size_t y = at(&p.out, n, c, i / p.out.W, i % p.out.W);
                const double add =
                    (has_bias(mode) ? (double)bias[c] : 0.0) + (has_residual(mode) ? (double)residual[y] : 0.0);
                value[y] += add;
                scale[y] += (has_bias(mode) ? fabs((double)bias[c]) : 0.0) +
                            (has_residual(mode) ? fabs((double)residual[y]) : 0.0);
                if (mode == BIAS_RELU || mode == RELU_RESIDUAL_IS_DST)
                    value[y] = fmax(value[y], 0.0);
                if (mode == BIAS_LEAKY_RESIDUAL && value[y] < 0.0)
                    value[y] *= (double)slope;
            }
}

static void bwd_data_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    (void)operand;
    oracle(dim, before, false, value, scale);
}

/* Of the convolution, not of the algorithm. */
static double flops(const size_t dim[])
{
    const struct problem p = problem_of(dim, true);
    return 2.0 * (double)(p.N * p.out.H * p.out.W * p.out.C) * (double)(TAPS * p.in.C);
}

static double bytes(const size_t dim[])
{
    const struct problem p = problem_of(dim, true);
    return 4.0 * (double)(p.N * (p.in.image + p.out.image) + TAPS * p.in.C * p.out.C);
}

static double items(const size_t dim[])
{
    return flops(dim) / 2.0;
}

/* ResNet-50's 3x3 on 28 x 28 x 128, in as many images as it takes. */
static void size(size_t total, size_t dim[])
{
    static const size_t layer[DIMS] = {0, 128, 28, 28, 128, 1111, 0, PLAIN, 4, 0};
    memcpy(dim, layer, sizeof layer);
    dim[DIM_N] = total / (2 * 128 * 28 * 28 * sizeof(float)) + 1;
}

static const size_t shapes[][SCO_CASE_DIMS] = {
    /* one image smaller than a tile, one tile, tiles cut at both edges */
    {1, 16, 1, 1, 16, 1111, 0, PLAIN, 4, 0},
    {1, 16, 2, 3, 16, 1111, 0, PLAIN, 2, 0},
    {1, 16, 4, 4, 16, 1111, 0, FLIP, 4, 1},
    {1, 17, 6, 6, 18, 0, 0, BIAS, 4, 0},
    {2, 16, 7, 5, 33, 1111, 3, BIAS_LEAKY_RESIDUAL, 4, 0},
    {2, 33, 5, 7, 16, 1111, 5, RELU_RESIDUAL_IS_DST, 2, 0},
    /* inner tiles, and tiles that only just reach out */
    {1, 16, 12, 12, 16, 1111, 0, PLAIN, 4, 0},
    {1, 16, 6, 8, 16, 1111, 0, PLAIN, 2, 0},
    /* blocks of tiles across images, panels of every width */
    {5, 32, 7, 7, 80, 1111, 0, BIAS_RELU, 4, 0},
    {5, 80, 7, 7, 32, 1111, 1, RELU_RESIDUAL_IS_DST, 4, 1},
    {2, 32, 14, 14, 48, 1111, 0, BIAS_LEAKY_RESIDUAL, 4, 0},
    {1, 32, 11, 13, 112, 1111, 0, FLIP, 4, 1},
    {1, 20, 7, 21, 66, 1111, 0, BIAS_RELU, 2, 1},
    {2, 144, 5, 5, 24, 1111, 0, PLAIN, 4, 0},
    {1, 24, 6, 5, 144, 1111, 0, BIAS, 2, 0},
    /* paddings of every kind */
    {1, 16, 9, 4, 32, 0, 0, BIAS, 4, 0},
    {1, 32, 5, 6, 16, 2222, 0, PLAIN, 4, 1},
    {1, 16, 3, 5, 16, 2013, 2, BIAS_RELU, 4, 0},
    {1, 16, 2, 2, 16, 4545, 0, PLAIN, 4, 0},
    {2, 16, 4, 3, 32, 120, 7, FLIP, 2, 1},
};

#define WINOGRAD_CASE(case_name, slot_number, direction)                                                               \
    {                                                                                                                  \
        .name = case_name, .family = &sco_conv2d_family, .slot = slot_number, .dim_count = DIMS,                       \
        .dim_names = {"N", "C", "H", "W", "OC", "pads", "gap", "mode", "tile", "other"},                               \
        .operands = direction##_operands, .prepare = direction##_prepare, .run = direction##_run,                      \
        .oracle = direction##_oracle, .flops = flops, .bytes = bytes, .items = items, .size = size, .shapes = shapes,  \
        .shape_count = SCO_LEN(shapes), .finite = 1                                                                    \
    }
static const struct sco_case cases[] = {
    WINOGRAD_CASE("conv2d.fwd/winograd", SLOT_FWD, fwd),
    WINOGRAD_CASE("conv2d.bwd_data/winograd", SLOT_BWD_DATA, bwd_data),
};

const struct sco_case_list sco_conv2d_winograd_cases = {cases, SCO_LEN(cases)};

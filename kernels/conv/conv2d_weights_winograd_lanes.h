/* SPDX-License-Identifier: Apache-2.0
 * bwd_weights of 3x3 filters in the Winograd domain, over the words of lanes_*.h: Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks", CVPR 2016, F(4x4, 3x3). Forward is
 *
 *   dst = A^T [(G wei G^T) * (B^T src B)] A     on tiles of 4 x 4 outputs, * elementwise
 *
 * and linear in wei, so that its transpose is the gradient: with D = B^T src B and E = A diff_dst A^T of every tile,
 *
 *   diff_wei = G^T [sum over tiles of D * E] G.
 *
 * The points are those of conv2d_winograd_lanes.h: 0, +-5/8, +-3/2 and infinity have half the error of Lavin's.
 * At each of the 36 pairs the sum is an outer product over channels, which the tiles of conv2d_weights_lanes.h do: 36
 * multiply-adds for 16 pixels instead of 144.
 *
 * Phase 0 writes D and E of all images to workspace, phase 1 sums. Where groups of channels are many, a task of phase 1
 * has all points of one and can transform the sums while they are in cache; where they are few, a task has one point and
 * phase 2 transforms.
 *
 * A rounding is relative to |G|^T [sum of |B|^T|src||B| * |A||diff_dst||A|^T] |G|, and a term goes through at most
 * tiles + 24 of them. Where all |src| are equal and all |diff_dst|, that scale is 50.15 sum |terms| at most inside the
 * plane: error_k is for such data, while a weight whose own terms are small has the error of its tiles. */
#ifndef SCO_KERNELS_CONV2D_WEIGHTS_WINOGRAD_LANES_H
#define SCO_KERNELS_CONV2D_WEIGHTS_WINOGRAD_LANES_H

#include "kernels/conv/conv2d_weights_lanes.h"

#define POINT_A 0.625f
#define POINT_B 1.5f
#define A2      (POINT_A * POINT_A)
#define B2      (POINT_B * POINT_B)

enum { WINOGRAD_OUT = 4, WINOGRAD_IN = 6, WINOGRAD_POINTS = 36 };

struct winograd_cut {
    struct weights_cut c;
    size_t tiles_h, tiles_w; /* of an image */
    size_t parts;            /* tasks of phase 1 that share a group of channels: 1 or WINOGRAD_POINTS */
};
_Static_assert(sizeof(struct winograd_cut) <= sizeof((struct sco_conv2d_plan *)0)->own, "fits plan->own");

static size_t winograd_tiles(const struct sco_conv2d_shape *s, const struct winograd_cut *w)
{
    return s->N * w->tiles_h * w->tiles_w;
}

/* Floats from one point to the next: [block][tile][channel], and a line more, since 36 lines that all fall into one set
 * of a cache would drive each other out. */
static size_t winograd_point(size_t tiles, size_t blocks)
{
    return (blocks * tiles + 1) * SCO_CHANNEL_BLOCK;
}

/* B^T d */
SCO_INLINE void transform_src(const lanes d[WINOGRAD_IN], lanes to[WINOGRAD_IN])
{
    const lanes a = lanes_set(POINT_A), b = lanes_set(POINT_B), a2 = lanes_set(A2), b2 = lanes_set(B2);
    const lanes sum = lanes_set(A2 + B2), product = lanes_set(A2 * B2);
    const lanes even_a = lanes_fnma(b2, d[2], d[4]), odd_a = lanes_fnma(b2, d[1], d[3]);
    const lanes even_b = lanes_fnma(a2, d[2], d[4]), odd_b = lanes_fnma(a2, d[1], d[3]);
    to[0] = lanes_fma(product, d[0], lanes_fnma(sum, d[2], d[4]));
    to[1] = lanes_fma(a, odd_a, even_a);
    to[2] = lanes_fnma(a, odd_a, even_a);
    to[3] = lanes_fma(b, odd_b, even_b);
    to[4] = lanes_fnma(b, odd_b, even_b);
    to[5] = lanes_fma(product, d[1], lanes_fnma(sum, d[3], d[5]));
}

/* A e */
SCO_INLINE void transform_dst(const lanes e[WINOGRAD_OUT], lanes to[WINOGRAD_IN])
{
    const lanes a = lanes_set(POINT_A), b = lanes_set(POINT_B), a2 = lanes_set(A2), b2 = lanes_set(B2);
    const lanes even_a = lanes_fma(a2, e[2], e[0]), odd_a = lanes_fma(a2, e[3], e[1]);
    const lanes even_b = lanes_fma(b2, e[2], e[0]), odd_b = lanes_fma(b2, e[3], e[1]);
    to[0] = e[0];
    to[1] = lanes_fma(a, odd_a, even_a);
    to[2] = lanes_fnma(a, odd_a, even_a);
    to[3] = lanes_fma(b, odd_b, even_b);
    to[4] = lanes_fnma(b, odd_b, even_b);
    to[5] = e[3];
}

/* G^T u */
SCO_INLINE void transform_wei(const lanes u[WINOGRAD_IN], lanes to[3])
{
    /* One over the product of a point's distances to the others. */
    const float at_0 = 1.0f / (A2 * B2), at_a = 1.0f / (2.0f * A2 * (A2 - B2)), at_b = 1.0f / (2.0f * B2 * (B2 - A2));
    const lanes sum_a = lanes_mul(lanes_set(at_a), lanes_add(u[1], u[2]));
    const lanes sum_b = lanes_mul(lanes_set(at_b), lanes_add(u[3], u[4]));
    const lanes difference_a = lanes_mul(lanes_set(POINT_A * at_a), lanes_sub(u[1], u[2]));
    to[0] = lanes_fma(lanes_set(at_0), u[0], lanes_add(sum_a, sum_b));
    to[1] = lanes_fma(lanes_set(POINT_B * at_b), lanes_sub(u[3], u[4]), difference_a);
    to[2] = lanes_fma(lanes_set(A2), sum_a, lanes_fma(lanes_set(B2), sum_b, u[5]));
}

/* Tiles of one channel block of one image: size x size pixels each, from (y0, x0) in steps of four, zero outside
 * H x W; to its points. */
SCO_INLINE void transform_plane(size_t size, const float *plane, size_t H, size_t W, size_t pad_top, size_t pad_left,
                                size_t tiles_h, size_t tiles_w, float *to, size_t point)
{
    static const float zeros[SCO_CHANNEL_BLOCK];
    for (size_t ty = 0; ty < tiles_h; ty++)
        for (size_t tx = 0; tx < tiles_w; tx++, to += SCO_CHANNEL_BLOCK)
            for (size_t part = 0; part < SCO_CHANNEL_BLOCK; part += LANES) {
                lanes half[WINOGRAD_IN][WINOGRAD_IN];
                SCO_UNROLL
                for (size_t j = 0; j < size; j++) {
                    const size_t x = tx * WINOGRAD_OUT + j - pad_left; /* left of the plane it wraps */
                    lanes in[WINOGRAD_IN], out[WINOGRAD_IN];
                    SCO_UNROLL
                    for (size_t i = 0; i < size; i++) {
                        const size_t y = ty * WINOGRAD_OUT + i - pad_top;
                        in[i] = lanes_load(y < H && x < W ? plane + (y * W + x) * SCO_CHANNEL_BLOCK + part : zeros);
                    }
                    if (size == WINOGRAD_IN)
                        transform_src(in, out);
                    else
                        transform_dst(in, out);
                    SCO_UNROLL
                    for (size_t i = 0; i < WINOGRAD_IN; i++)
                        half[i][j] = out[i];
                }
                SCO_UNROLL
                for (size_t i = 0; i < WINOGRAD_IN; i++) {
                    lanes out[WINOGRAD_IN];
                    if (size == WINOGRAD_IN)
                        transform_src(half[i], out);
                    else
                        transform_dst(half[i], out);
                    SCO_UNROLL
                    for (size_t j = 0; j < WINOGRAD_IN; j++)
                        lanes_store(to + (i * WINOGRAD_IN + j) * point + part, out[j]);
                }
            }
}

/* The sums of a tile of weights at all points, to its nine taps. */
static void transform_tile(const float *sums, size_t point, float *wei, size_t count)
{
    for (size_t at = 0; at < count; at += LANES) {
        lanes half[WINOGRAD_IN][3];
        SCO_UNROLL
        for (size_t i = 0; i < WINOGRAD_IN; i++) {
            lanes row[WINOGRAD_IN];
            SCO_UNROLL
            for (size_t j = 0; j < WINOGRAD_IN; j++)
                row[j] = lanes_load(sums + (i * WINOGRAD_IN + j) * point + at);
            transform_wei(row, half[i]);
        }
        SCO_UNROLL
        for (size_t j = 0; j < 3; j++) {
            lanes column[WINOGRAD_IN], out[3];
            SCO_UNROLL
            for (size_t i = 0; i < WINOGRAD_IN; i++)
                column[i] = half[i][j];
            transform_wei(column, out);
            SCO_UNROLL
            for (size_t i = 0; i < 3; i++)
                lanes_store(wei + (i * 3 + j) * count + at, out[i]);
        }
    }
}

/* The group of a task: its blocks of either side. */
struct winograd_group {
    size_t k_first, k_last, v_first, v_last;
};

static struct winograd_group winograd_group(const struct weights_cut *c, size_t group)
{
    const size_t k_groups = ceil_div(c->k_blocks, c->k_group);
    const size_t k = group % k_groups * c->k_group, v = group / k_groups * c->v_group;
    return (struct winograd_group){k, k + c->k_group < c->k_blocks ? k + c->k_group : c->k_blocks, v,
                                   v + c->v_group < c->v_blocks ? v + c->v_group : c->v_blocks};
}

static size_t group_floats(const struct weights_cut *c)
{
    return c->k_group * c->v_group * SCO_CHANNEL_BLOCK * SCO_CHANNEL_BLOCK;
}

static void winograd_sums(const struct winograd_group *g, size_t tiles, const float *d, const float *e, float *sums)
{
    const struct weights_walk walk = {
        .images = 1, .rows = 1, .columns = tiles, .k_column = SCO_CHANNEL_BLOCK, .v_block = tiles * SCO_CHANNEL_BLOCK};
    for (size_t v = g->v_first; v < g->v_last; v += TILE_BLOCKS) {
        const size_t blocks = g->v_last - v < TILE_BLOCKS ? 1 : TILE_BLOCKS;
        for (size_t k = g->k_first; k < g->k_last; k++, sums += blocks * SCO_CHANNEL_BLOCK * SCO_CHANNEL_BLOCK)
            weights_tap(SCO_CHANNEL_BLOCK, &walk, d + k * tiles * SCO_CHANNEL_BLOCK, e + v * tiles * SCO_CHANNEL_BLOCK,
                        sums, blocks, false);
    }
}

static void winograd_taps(const struct sco_conv2d_shape *s, const struct weights_cut *c, const struct winograd_group *g,
                          const float *sums, float *wei)
{
    for (size_t v = g->v_first; v < g->v_last; v += TILE_BLOCKS) {
        const size_t blocks = g->v_last - v < TILE_BLOCKS ? 1 : TILE_BLOCKS;
        const size_t count = blocks * SCO_CHANNEL_BLOCK * SCO_CHANNEL_BLOCK;
        for (size_t k = g->k_first; k < g->k_last; k++, sums += count)
            transform_tile(sums, group_floats(c), wei + packed_at(s, c, v, k), count);
    }
}

static void winograd_run(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t phase,
                         size_t first, size_t last)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    struct winograd_cut w;
    memcpy(&w, plan->own, sizeof w);
    const struct weights_cut *c = &w.c;
    const size_t tiles = winograd_tiles(s, &w), image_tiles = w.tiles_h * w.tiles_w;
    const size_t d_point = winograd_point(tiles, c->k_blocks), e_point = winograd_point(tiles, c->v_blocks);
    float *d = args->workspace, *e = d + WINOGRAD_POINTS * d_point, *all_sums = e + WINOGRAD_POINTS * e_point;
    const size_t group_sums = WINOGRAD_POINTS * group_floats(c), OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s);
    for (size_t task = first; task < last; task++) {
        if (phase == 0) {
            const size_t n = task / (c->k_blocks + c->v_blocks), block = task % (c->k_blocks + c->v_blocks);
            if (block < c->k_blocks)
                transform_plane(WINOGRAD_IN, args->src + n * s->src_image + block * s->H * s->W * SCO_CHANNEL_BLOCK,
                                s->H, s->W, s->pad_top, s->pad_left, w.tiles_h, w.tiles_w,
                                d + (block * tiles + n * image_tiles) * SCO_CHANNEL_BLOCK, d_point);
            else
                transform_plane(WINOGRAD_OUT,
                                args->dst + n * s->dst_image + (block - c->k_blocks) * OH * OW * SCO_CHANNEL_BLOCK, OH,
                                OW, 0, 0, w.tiles_h, w.tiles_w,
                                e + ((block - c->k_blocks) * tiles + n * image_tiles) * SCO_CHANNEL_BLOCK, e_point);
            continue;
        }
        const size_t group = phase == 1 ? task / w.parts : task, part = task % w.parts;
        const struct winograd_group g = winograd_group(c, group);
        float *sums = w.parts == 1 ? args->scratch : all_sums + group * group_sums;
        if (phase == 1)
            for (size_t i = WINOGRAD_POINTS * part / w.parts; i < WINOGRAD_POINTS * (part + 1) / w.parts; i++)
                winograd_sums(&g, tiles, d + i * d_point, e + i * e_point, sums + i * group_floats(c));
        if (phase == 2 || w.parts == 1)
            winograd_taps(s, c, &g, sums, args->wei);
    }
}

static const size_t winograd_group_blocks = 4, winograd_most_bytes = (size_t)128 << 20;

/* Transforms move 36 / 16 of both operands out to memory and back, and pay where each pixel brings enough sums; what does
 * not fit is not even tried. */
static bool winograd_pays(const struct sco_conv2d_plan *plan)
{
    const size_t C = plan->shape.C, OC = plan->shape.OC;
    return C * OC >= 24 * (C + OC) && plan->workspace_bytes <= winograd_most_bytes;
}

static bool winograd_plan(const struct sco_conv2d_shape *s, struct sco_conv2d_plan *plan)
{
    const size_t OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s);
    if (s->KH != 3 || s->KW != 3 || s->stride != 1 || s->C < SCO_CHANNEL_BLOCK || s->OC < SCO_CHANNEL_BLOCK ||
        s->N * OH * OW == 0)
        return false;
    struct winograd_cut w = {
        .c =
            {
                .k_channels = s->C,
                .v_channels = s->OC,
                .k_row = SCO_CHANNEL_BLOCK,
                .k_blocks = ceil_div(s->C, SCO_CHANNEL_BLOCK),
                .v_blocks = ceil_div(s->OC, SCO_CHANNEL_BLOCK),
                .taps_w = 3,
            },
        .tiles_h = ceil_div(OH, WINOGRAD_OUT),
        .tiles_w = ceil_div(OW, WINOGRAD_OUT),
    };
    struct weights_cut *c = &w.c;
    c->k_group = winograd_group_blocks < c->k_blocks ? winograd_group_blocks : c->k_blocks;
    c->v_group = winograd_group_blocks < c->v_blocks ? winograd_group_blocks : c->v_blocks;
    const size_t groups = ceil_div(c->k_blocks, c->k_group) * ceil_div(c->v_blocks, c->v_group);
    w.parts = groups < 16 ? WINOGRAD_POINTS : 1;
    const size_t sums = WINOGRAD_POINTS * group_floats(c), tiles = winograd_tiles(s, &w);
    *plan = (struct sco_conv2d_plan){
        .shape = *s,
        .direction = SCO_CONV2D_BWD_WEIGHTS,
        .name = "winograd 4x4 " TILE_NAME,
        .packed_count = c->v_blocks * c->k_blocks * 9 * SCO_CHANNEL_BLOCK * SCO_CHANNEL_BLOCK,
        .pack_tasks = c->k_blocks * ceil_div(c->v_blocks, TILE_BLOCKS),
        .pack = weights_unpack,
        .phases = w.parts == 1 ? 2 : 3,
        .tasks = {s->N * (c->k_blocks + c->v_blocks), groups * w.parts, w.parts == 1 ? 0 : groups},
        .run = winograd_run,
        .error_k = 50.15 * ((double)tiles + 24.0),
    };
    plan->workspace_bytes =
        (WINOGRAD_POINTS * (winograd_point(tiles, c->k_blocks) + winograd_point(tiles, c->v_blocks)) +
         (w.parts == 1 ? 0 : groups * sums)) *
        sizeof(float);
    plan->scratch_bytes = w.parts == 1 ? sums * sizeof(float) : 0;
    memcpy(plan->own, &w, sizeof w);
    return true;
}

/* The faster one first. */
static bool weights_or_winograd_plan(const struct sco_conv2d_shape *s, size_t candidate, struct sco_conv2d_plan *plan)
{
    if (!winograd_plan(s, plan))
        return weights_plan(s, candidate, plan);
    const size_t winograd_at = winograd_pays(plan) ? 0 : 1;
    if (candidate == winograd_at)
        return true;
    return weights_plan(s, candidate > winograd_at ? candidate - 1 : candidate, plan);
}

#endif

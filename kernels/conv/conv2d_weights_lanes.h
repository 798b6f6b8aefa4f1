/* SPDX-License-Identifier: Apache-2.0
 * bwd_weights without transforms, over the words of lanes_*.h.
 *
 * diff_wei[k][v] is a sum over output pixels of an outer product: k runs over the channels of src (at one tap), v over
 * those of dst. A tile of TILE_K x TILE_V vectors of sums stays in registers while a block of pixels passes: for each
 * pixel TILE_V vectors of one side are loaded, TILE_K floats of the other broadcast, so loads are fewer than
 * multiply-adds and rarely limit. The pixels of a block stay in the second level of cache while every tile of the task
 * visits them.
 *
 * Where src has padding or stride, a task first copies its block of it with explicit zeros and without the pixels that
 * no tap reads: one store for each 2 KH KW TILE_V multiply-adds of vectors at least. With fewer than 16 channels a row
 * of KW C floats is contiguous in such a copy, and kw becomes part of k: a 7x7 filter on three channels has rows of 21.
 *
 * The including file defines TILE_K (at most 8), TILE_V and TILE_NAME. */
#ifndef SCO_KERNELS_CONV2D_WEIGHTS_LANES_H
#define SCO_KERNELS_CONV2D_WEIGHTS_LANES_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "kernels/conv/conv2d_rows.h"

enum {
    TILE_WIDTH = TILE_V * LANES < SCO_CHANNEL_BLOCK ? SCO_CHANNEL_BLOCK : TILE_V * LANES, /* channels of v */
    TILE_BLOCKS = TILE_WIDTH / SCO_CHANNEL_BLOCK,
};
_Static_assert(TILE_V *LANES == TILE_WIDTH, "a tile is whole channel blocks wide");

/* Floats. The first tile to visit a block of pixels finds it in no near cache, and what the hardware fetches ahead ends
 * with a page: ask for the page after, into the second level. Past the end of a block that is the next one. */
enum { AHEAD = 4096 / sizeof(float) };

/* How a shape is cut: plan->own. The side of k is src and that of v dst, or, where dst has few channels and both have
 * the same pixels, the other way round, so that vectors are full. */
struct weights_cut {
    size_t swapped;
    size_t k_channels, v_channels, k_image, v_image;
    size_t k_row;              /* floats of one tap: a channel block, or KW C of few channels */
    size_t k_blocks, v_blocks; /* channel blocks */
    size_t taps_w;             /* KW, or 1 where kw is part of k */
    size_t copy_k, copy_v;     /* whether a block of pixels is copied into scratch */
    size_t step_y, step_x;     /* rows and columns of the copy from one output pixel to the next */
    size_t panel_w;            /* columns of the copy */
    size_t images, rows;       /* of a block of pixels */
    size_t blocks, splits;     /* blocks of pixels; parts of them that are summed apart */
    size_t k_group, v_group;   /* channel blocks of a task */
};
_Static_assert(sizeof(struct weights_cut) <= sizeof((struct sco_conv2d_plan *)0)->own, "fits plan->own");

/* The pixels a tile passes over: images of rows of columns, floats from one to the next on either side. */
struct weights_walk {
    size_t images, rows, columns;
    size_t k_image, k_row, k_column;
    size_t v_image, v_row, v_block; /* v_column is a channel block */
};

static size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

SCO_INLINE void weights_tile(size_t k, size_t blocks, const struct weights_walk *walk, const float *k_side,
                             const float *v_side, float *wei, bool add)
{
    enum { PER_BLOCK = SCO_CHANNEL_BLOCK / LANES };
    const struct weights_walk w = *walk;
    const size_t vectors = blocks * PER_BLOCK;
    lanes sum[TILE_K][TILE_V];
    SCO_UNROLL
    for (size_t i = 0; i < k; i++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++)
            sum[i][j] = add ? lanes_load(wei + (i * vectors + j) * LANES) : lanes_set(0.0f);
    }
    for (size_t n = 0; n < w.images; n++)
        for (size_t y = 0; y < w.rows; y++) {
            const float *a = k_side + n * w.k_image + y * w.k_row, *b = v_side + n * w.v_image + y * w.v_row;
            for (size_t x = w.columns; x > 0; x--) {
                lanes v[TILE_V];
                __builtin_prefetch(a + AHEAD, 0, 2);
                SCO_UNROLL
                for (size_t j = 0; j < blocks; j++)
                    __builtin_prefetch(b + j * w.v_block + AHEAD, 0, 2);
                SCO_UNROLL
                for (size_t j = 0; j < vectors; j++)
                    v[j] = lanes_load(b + j / PER_BLOCK * w.v_block + j % PER_BLOCK * LANES);
                SCO_UNROLL
                for (size_t i = 0; i < k; i++) {
                    const lanes broadcast = lanes_set(a[i]);
                    SCO_UNROLL
                    for (size_t j = 0; j < vectors; j++)
                        sum[i][j] = lanes_fma(broadcast, v[j], sum[i][j]);
                }
                a += w.k_column;
                b += SCO_CHANNEL_BLOCK;
            }
        }
    SCO_UNROLL
    for (size_t i = 0; i < k; i++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++)
            lanes_store(wei + (i * vectors + j) * LANES, sum[i][j]);
    }
}

/* One function for each number of rows; only the last tile of v can be narrow. */
#define WEIGHTS_TILE(K)                                                                                                \
    static void weights_tile_##K(const struct weights_walk *walk, const float *k_side, const float *v_side,            \
                                 float *wei, size_t blocks, bool add)                                                  \
    {                                                                                                                  \
        if (blocks == TILE_BLOCKS)                                                                                     \
            weights_tile(K, TILE_BLOCKS, walk, k_side, v_side, wei, add);                                              \
        else                                                                                                           \
            weights_tile(K, 1, walk, k_side, v_side, wei, add);                                                        \
    }
_Static_assert(TILE_BLOCKS <= 2, "a narrow tile has one block");

typedef void weights_tile_fn(const struct weights_walk *walk, const float *k_side, const float *v_side, float *wei,
                             size_t blocks, bool add);

WEIGHTS_TILE(1)
WEIGHTS_TILE(2)
WEIGHTS_TILE(3)
WEIGHTS_TILE(4)
WEIGHTS_TILE(5)
WEIGHTS_TILE(6)
#if TILE_K > 6
WEIGHTS_TILE(7)
WEIGHTS_TILE(8)
#endif

static weights_tile_fn *const weights_tiles[] = {
    NULL,           weights_tile_1, weights_tile_2, weights_tile_3, weights_tile_4, weights_tile_5, weights_tile_6,
#if TILE_K > 6
    weights_tile_7, weights_tile_8,
#endif
};

/* The rows of a tap, cut into tiles of about equal height: 16 is 8 + 8, or 5 + 5 + 6. */
static void weights_tap(size_t k_row, const struct weights_walk *walk, const float *k_side, const float *v_side,
                        float *wei, size_t blocks, bool add)
{
    const size_t tiles = ceil_div(k_row, TILE_K);
    for (size_t tile = 0; tile < tiles; tile++) {
        const size_t first = k_row * tile / tiles, count = k_row * (tile + 1) / tiles - first;
        weights_tiles[count](walk, k_side + first, v_side, wei + first * blocks * SCO_CHANNEL_BLOCK, blocks, add);
    }
}

/* Packed: [tile of v][block of k][kh][kw][row of k][channel of v], a tile dense at its own width. */
static size_t packed_at(const struct sco_conv2d_shape *s, const struct weights_cut *c, size_t v_block, size_t k_block)
{
    const size_t width = c->v_blocks - v_block < TILE_BLOCKS ? 1 : TILE_BLOCKS, taps = s->KH * c->taps_w;
    return (v_block * c->k_blocks + k_block * width) * taps * c->k_row * SCO_CHANNEL_BLOCK;
}

/* Columns [0, panel_w) of the row of src that begins at row, which has W pixels of B floats. */
static void copy_row(const struct sco_conv2d_shape *s, const struct weights_cut *c, const float *row, size_t B,
                     float *to)
{
    const size_t gap = s->stride / c->step_x;
    if (gap == 1) {
        const size_t low = s->pad_left < c->panel_w ? s->pad_left : c->panel_w;
        const size_t inside = c->panel_w - low < s->W ? c->panel_w - low : s->W;
        memset(to, 0, low * B * sizeof *to);
        memcpy(to + low * B, row, inside * B * sizeof *to);
        memset(to + (low + inside) * B, 0, (c->panel_w - low - inside) * B * sizeof *to);
        return;
    }
    for (size_t x = 0; x < c->panel_w; x++, to += B) {
        const size_t in = x * gap - s->pad_left; /* below 0 it wraps, beyond W */
        if (in >= s->W)
            memset(to, 0, B * sizeof *to);
        else if (B == SCO_CHANNEL_BLOCK)
            memcpy(to, row + in * B, SCO_CHANNEL_BLOCK * sizeof *to);
        else
            memcpy(to, row + in * B, B * sizeof *to);
    }
}

/* Rows of the copy that rows of output read. */
static size_t panel_rows(const struct sco_conv2d_shape *s, const struct weights_cut *c, size_t rows)
{
    return rows == 0 ? 0 : (rows - 1) * c->step_y + s->KH;
}

struct weights_pixels {
    size_t image, images, row, rows;
};

static void copy_k_side(const struct sco_conv2d_shape *s, const struct weights_cut *c, const struct weights_pixels *p,
                        const float *src, size_t block, float *to)
{
    const size_t B = sco_channel_block(s->C), rows = panel_rows(s, c, p->rows), gap = s->stride / c->step_y;
    for (size_t n = p->image; n < p->image + p->images; n++)
        for (size_t y = 0; y < rows; y++, to += c->panel_w * B) {
            const size_t in = (p->row * c->step_y + y) * gap - s->pad_top;
            if (in < s->H)
                copy_row(s, c, src + n * s->src_image + (block * s->H + in) * s->W * B, B, to);
            else
                memset(to, 0, c->panel_w * B * sizeof *to);
        }
}

/* dst of fewer channels than a block, widened with zeros. */
static void copy_v_side(const struct weights_cut *c, size_t plane_w, const struct weights_pixels *p, const float *dst,
                        float *to)
{
    for (size_t n = p->image; n < p->image + p->images; n++) {
        const float *from = dst + n * c->v_image + p->row * plane_w * c->v_channels;
        for (size_t i = 0; i < p->rows * plane_w; i++, to += SCO_CHANNEL_BLOCK, from += c->v_channels) {
            memset(to, 0, SCO_CHANNEL_BLOCK * sizeof *to);
            memcpy(to, from, c->v_channels * sizeof *to);
        }
    }
}

/* Floats of one channel block of a copy of k, and of a copy of v. */
static size_t k_panel(const struct sco_conv2d_shape *s, const struct weights_cut *c)
{
    return c->images * panel_rows(s, c, c->rows) * c->panel_w * sco_channel_block(c->k_channels);
}

static size_t v_panel(const struct sco_conv2d_shape *s, const struct weights_cut *c)
{
    return c->images * c->rows * sco_conv2d_ow(s) * SCO_CHANNEL_BLOCK;
}

static struct weights_pixels block_pixels(const struct sco_conv2d_shape *s, const struct weights_cut *c, size_t block)
{
    const size_t OH = sco_conv2d_oh(s);
    if (c->rows == OH) {
        const size_t image = block * c->images;
        return (struct weights_pixels){image, image + c->images <= s->N ? c->images : s->N - image, 0, OH};
    }
    const size_t bands = ceil_div(OH, c->rows), row = block % bands * c->rows;
    return (struct weights_pixels){block / bands, 1, row, row + c->rows <= OH ? c->rows : OH - row};
}

/* One block of pixels into the weights of one task. */
static void weights_block(const struct sco_conv2d_shape *s, const struct weights_cut *c, const float *k_side,
                          const float *v_side, float *scratch, const struct weights_pixels *p, size_t k_first,
                          size_t v_first, float *wei, bool add)
{
    const size_t OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s);
    const size_t k_last = k_first + c->k_group < c->k_blocks ? k_first + c->k_group : c->k_blocks;
    const size_t v_last = v_first + c->v_group < c->v_blocks ? v_first + c->v_group : c->v_blocks;
    const size_t B = sco_channel_block(c->k_channels);
    struct weights_walk walk = {.images = p->images, .rows = p->rows, .columns = OW, .k_column = c->step_x * B};
    size_t k_block, pitch = c->panel_w * B;
    const float *k_first_side, *v_first_side;

    if (c->copy_k) {
        walk.k_image = panel_rows(s, c, p->rows) * pitch;
        k_block = p->images * walk.k_image;
        for (size_t k = k_first; k < k_last; k++)
            copy_k_side(s, c, p, k_side, k, scratch + (k - k_first) * k_block);
        k_first_side = scratch;
        scratch += c->k_group * k_panel(s, c);
    } else {
        walk.k_image = c->k_image;
        k_block = OH * pitch;
        k_first_side = k_side + p->image * c->k_image + k_first * k_block + p->row * pitch;
    }
    if (c->copy_v) {
        walk.v_image = p->rows * OW * SCO_CHANNEL_BLOCK;
        copy_v_side(c, OW, p, v_side, scratch);
        v_first_side = scratch;
    } else {
        walk.v_image = c->v_image;
        walk.v_block = OH * OW * SCO_CHANNEL_BLOCK;
        v_first_side = v_side + p->image * c->v_image + v_first * walk.v_block + p->row * OW * SCO_CHANNEL_BLOCK;
    }
    walk.k_row = c->step_y * pitch;
    walk.v_row = OW * SCO_CHANNEL_BLOCK;
    if (walk.k_row == OW * walk.k_column) { /* rows without gaps are one row */
        walk.columns *= walk.rows;
        walk.rows = 1;
    }

    for (size_t v = v_first; v < v_last; v += TILE_BLOCKS) {
        const size_t blocks = v_last - v < TILE_BLOCKS ? 1 : TILE_BLOCKS;
        for (size_t k = k_first; k < k_last; k++) {
            float *to = wei + packed_at(s, c, v, k);
            for (size_t kh = 0; kh < s->KH; kh++)
                for (size_t kw = 0; kw < c->taps_w; kw++, to += c->k_row * blocks * SCO_CHANNEL_BLOCK)
                    weights_tap(c->k_row, &walk, k_first_side + (k - k_first) * k_block + kh * pitch + kw * B,
                                v_first_side + (v - v_first) * walk.v_block, to, blocks, add);
        }
    }
}

/* Sums the parts in order. A task is a stretch of SUM_STRETCH floats. */
enum { SUM_STRETCH = 4096 };

static void weights_sum(size_t packed_count, size_t parts, const float *part, float *wei, size_t first, size_t last)
{
    const size_t end = last * SUM_STRETCH < packed_count ? last * SUM_STRETCH : packed_count;
    for (size_t i = first * SUM_STRETCH; i < end; i += SCO_CHANNEL_BLOCK) {
        enum { PER_BLOCK = SCO_CHANNEL_BLOCK / LANES };
        lanes sum[PER_BLOCK];
        SCO_UNROLL
        for (size_t j = 0; j < PER_BLOCK; j++)
            sum[j] = lanes_load(wei + i + j * LANES);
        for (size_t p = 0; p < parts; p++) {
            SCO_UNROLL
            for (size_t j = 0; j < PER_BLOCK; j++)
                sum[j] = lanes_add(sum[j], lanes_load(part + p * packed_count + i + j * LANES));
        }
        SCO_UNROLL
        for (size_t j = 0; j < PER_BLOCK; j++)
            lanes_store(wei + i + j * LANES, sum[j]);
    }
}

/* Phase 0: a task is a part of the blocks of pixels and a group of channels of either side; part 0 goes to wei itself,
 * the others to workspace. Phase 1, where there are parts, sums them. */
static void weights_run(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t phase,
                        size_t first, size_t last)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    struct weights_cut c;
    memcpy(&c, plan->own, sizeof c);
    if (phase == 1) {
        weights_sum(plan->packed_count, c.splits - 1, args->workspace, args->wei, first, last);
        return;
    }
    const float *k_side = c.swapped ? args->dst : args->src, *v_side = c.swapped ? args->src : args->dst;
    const size_t k_groups = ceil_div(c.k_blocks, c.k_group), v_groups = ceil_div(c.v_blocks, c.v_group);
    for (size_t task = first; task < last; task++) {
        const size_t k = task % k_groups * c.k_group, v = task / k_groups % v_groups * c.v_group;
        const size_t split = task / (k_groups * v_groups);
        const size_t block = c.blocks * split / c.splits, end = c.blocks * (split + 1) / c.splits;
        float *wei = split == 0 ? args->wei : (float *)args->workspace + (split - 1) * plan->packed_count;
        if (block == end) {
            const struct weights_pixels none = {0};
            weights_block(s, &c, k_side, v_side, args->scratch, &none, k, v, wei, false);
        }
        for (size_t b = block; b < end; b++) {
            const struct weights_pixels p = block_pixels(s, &c, b);
            weights_block(s, &c, k_side, v_side, args->scratch, &p, k, v, wei, b > block);
        }
    }
}

/* A task is a block of k under a tile of v. */
static void weights_unpack(const struct sco_conv2d_plan *plan, float *hwio, float *packed, bool flip, size_t first,
                           size_t last)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    struct weights_cut c;
    memcpy(&c, plan->own, sizeof c);
    const size_t taps = s->KH * s->KW, B = sco_channel_block(c.k_channels);
    for (size_t task = first; task < last; task++) {
        const size_t k_block = task % c.k_blocks, v_block = task / c.k_blocks * TILE_BLOCKS;
        const size_t width = (c.v_blocks - v_block < TILE_BLOCKS ? 1 : TILE_BLOCKS) * SCO_CHANNEL_BLOCK;
        const size_t v = v_block * SCO_CHANNEL_BLOCK, v_left = c.v_channels - v,
                     v_count = v_left < width ? v_left : width;
        const size_t k = k_block * B, k_left = c.k_channels - k, k_count = k_left < B ? k_left : B;
        const float *from = packed + packed_at(s, &c, v_block, k_block);
        for (size_t tap = 0; tap < taps; tap++, from += B * width) {
            float *to = hwio + (flip ? taps - 1 - tap : tap) * s->C * s->OC;
            for (size_t i = 0; i < k_count; i++)
                if (!c.swapped)
                    memcpy(to + (k + i) * s->OC + v, from + i * width, v_count * sizeof *to);
                else
                    for (size_t j = 0; j < v_count; j++)
                        to[(v + j) * s->OC + k + i] = from[i * width + j];
        }
    }
}

/* Sizes of blocks, groups and parts, from the shape alone.
 *
 * A task of g channels by g channels reads 2 g floats for g^2 KH KW multiply-adds a pixel: 1x1 filters need wide groups
 * to leave memory alone, larger ones reach that sooner and rather give more tasks. A block of pixels is as long as fits
 * the second level beside the weights (their sums are loaded and stored once a block). Parts are made where there are
 * few tasks, but not shorter than the sums of a later phase are worth. */
struct weights_sizes {
    const char *name;
    size_t block_floats, group_floats, part_pixels;
};

enum { WEIGHTS_TASKS = 64 };

static void weights_cut(const struct sco_conv2d_shape *s, const struct weights_sizes *sizes, struct weights_cut *c)
{
    const size_t OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s), plane = OH * OW;
    const bool plain = s->KH == 1 && s->KW == 1 && s->stride == 1 && s->pad_top == 0 && s->pad_left == 0 &&
                       s->pad_bottom == 0 && s->pad_right == 0;
    *c =
        (struct weights_cut){.k_channels = s->C, .v_channels = s->OC, .k_image = s->src_image, .v_image = s->dst_image};
    if (plain && s->OC < SCO_CHANNEL_BLOCK && s->C > s->OC)
        *c = (struct weights_cut){
            .swapped = 1, .k_channels = s->OC, .v_channels = s->C, .k_image = s->dst_image, .v_image = s->src_image};
    const size_t B = sco_channel_block(c->k_channels);
    const bool few = B < SCO_CHANNEL_BLOCK;
    c->k_row = few ? s->KW * B : B;
    c->taps_w = few ? 1 : s->KW;
    c->k_blocks = B == 0 ? 0 : ceil_div(c->k_channels, B);
    c->v_blocks = ceil_div(c->v_channels, SCO_CHANNEL_BLOCK);
    c->copy_k = !plain;
    c->copy_v = c->v_channels < SCO_CHANNEL_BLOCK;
    c->step_y = s->KH == 1 ? 1 : s->stride;
    c->step_x = s->KW == 1 ? 1 : s->stride;
    c->panel_w = OW == 0 ? 0 : (OW - 1) * c->step_x + s->KW;

    const size_t taps = s->KH * s->KW;
    size_t group = TILE_BLOCKS;
    while (4 * group * group * SCO_CHANNEL_BLOCK * SCO_CHANNEL_BLOCK * taps <= sizes->group_floats)
        group *= 2;
    c->k_group = group < c->k_blocks || c->k_blocks == 0 ? group : c->k_blocks;
    /* Pixels of 1x1 filters with a stride are copied for few multiply-adds: less often. */
    group *= taps == 1 && s->stride > 1 ? 2 : 1;
    c->v_group = group < c->v_blocks || c->v_blocks == 0 ? group : c->v_blocks;

    const size_t pixel = (c->k_group + c->v_group) * SCO_CHANNEL_BLOCK;
    const size_t pixels = sizes->block_floats / pixel;
    c->rows = OW == 0 || pixels / OW < 1 ? 1 : pixels / OW;
    c->images = 1;
    if (c->rows >= OH) {
        c->rows = OH;
        if (plane > 0 && s->N > 0 && pixels / plane > 1)
            c->images = pixels / plane < s->N ? pixels / plane : s->N;
        c->blocks = plane == 0 ? 0 : ceil_div(s->N, c->images);
    } else
        c->blocks = s->N * ceil_div(OH, c->rows);

    const size_t tasks = ceil_div(c->k_blocks, c->k_group) * ceil_div(c->v_blocks, c->v_group);
    const size_t parts = s->N * plane / sizes->part_pixels, wanted = tasks == 0 ? 1 : ceil_div(WEIGHTS_TASKS, tasks);
    c->splits = parts < wanted ? parts : wanted;
    if (c->splits > c->blocks)
        c->splits = c->blocks;
    if (c->splits == 0)
        c->splits = 1;
}

static bool weights_plan(const struct sco_conv2d_shape *s, size_t candidate, struct sco_conv2d_plan *plan)
{
    static const struct weights_sizes sizes[] = {
        {"direct " TILE_NAME, 96 << 10, 40 << 10, 2048},
        {"direct " TILE_NAME " short", 24 << 10, 40 << 10, 64},
        {"direct " TILE_NAME " wide", 96 << 10, 160 << 10, 4096},
    };
    if (candidate >= SCO_LEN(sizes))
        return false;
    struct weights_cut c;
    weights_cut(s, &sizes[candidate], &c);
    const size_t tasks = (c.k_blocks == 0 ? 0 : ceil_div(c.k_blocks, c.k_group)) * ceil_div(c.v_blocks, c.v_group);
    *plan = (struct sco_conv2d_plan){
        .shape = *s,
        .direction = SCO_CONV2D_BWD_WEIGHTS,
        .packed_count = c.v_blocks * c.k_blocks * s->KH * c.taps_w * c.k_row * SCO_CHANNEL_BLOCK,
        .pack_tasks = c.k_blocks * ceil_div(c.v_blocks, TILE_BLOCKS),
        .pack = weights_unpack,
        .phases = c.splits > 1 ? 2 : 1,
        .tasks = {tasks * c.splits},
        .run = weights_run,
        .error_k = sco_conv2d_sum_error(s, SCO_CONV2D_BWD_WEIGHTS),
    };
    plan->workspace_bytes = (c.splits - 1) * plan->packed_count * sizeof(float);
    plan->scratch_bytes =
        ((c.copy_k ? c.k_group * k_panel(s, &c) : 0) + (c.copy_v ? v_panel(s, &c) : 0)) * sizeof(float);
    if (c.splits > 1)
        plan->tasks[1] = ceil_div(plan->packed_count, SUM_STRETCH);
    memcpy(plan->own, &c, sizeof c);
    size_t length = 0;
    for (; sizes[candidate].name[length] != '\0'; length++)
        plan->name[length] = sizes[candidate].name[length];
    plan->name[length] = '\0';
    return true;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Direct convolution, forward and backward data, over the lanes of the row that includes this file. The row says
 *
 *   TILE_PIXELS   pixels of a tile: its sums, TILE_PIXELS * TILE_VECTORS, and TILE_VECTORS + 1 operands fill the registers
 *   TILE_VECTORS  vectors of output channels of a tile, 16 or 32 channels
 *
 * and defines lanes_max, lanes_min (b where a or b is NaN).
 *
 * Both directions are one engine. It maps a tensor `in` to a tensor `out` through filters of unit or greater stride:
 * fwd is one of them; bwd_data of stride s falls into s x s, one for each residue of a row and of a column of diff_src,
 * each with the taps that reach it (turned round, so that they ascend), and no product with an inserted zero remains.
 *
 * A tile keeps its sums in registers through all channels and taps, so that out is written once. For each input channel
 * it multiplies TILE_VECTORS vectors of weights with one number of every pixel: weights stream from L2 (packed in just
 * this order), pixels sit in L1. Tiles never straddle what a row cannot fill: a row is cut into tiles of equal width, of
 * which there is a kernel each, and rows of half a tile or less are taken two at a time (the 7 x 7 of ResNet). Without
 * padding, stride and filter an image is one long row. */
#ifndef SCO_KERNELS_CONV2D_DIRECT_LANES_H
#define SCO_KERNELS_CONV2D_DIRECT_LANES_H

#include <assert.h>
#include <string.h>

#include "kernels/conv/conv2d_rows.h"

enum {
    BLOCK = SCO_CHANNEL_BLOCK,
    PANEL = TILE_VECTORS * LANES,    /* output channels of a tile */
    HALF_VECTORS = TILE_VECTORS / 2, /* the last panel may need half of it only */
    IN_FLOATS = 96 * 1024,           /* of in that a task works on: with weights streaming by, less than half of L2 */
    TASKS = 32                       /* enough to balance threads, where the shape gives them */
};

/* ---- Geometry --------------------------------------------------------------------------------------------------- */

/* One axis of one filter: output i of `count` sums taps 0 .. taps - 1 of inputs i * in_stride + start + tap. */
struct axis {
    size_t taps, count;
    ptrdiff_t start;
    size_t first_tap, tap_step; /* tap u is number first_tap - u tap_step of the caller's if turned, else u */
};

struct problem {
    enum sco_conv2d_direction direction;
    size_t N, KH, KW;
    size_t C, H, W, B, image;      /* of in; B: floats of a pixel */
    size_t OC, OH, OW, OB, oimage; /* of out */
    size_t blocks, last_block;     /* of input channels, and the channels of the last */
    size_t panels;
    size_t in_stride, out_stride;
    ptrdiff_t low_h, low_w; /* the first input that output 0 of any filter needs */
    size_t span_h, span_w;  /* and how far the last one is from it, plus 1 */
    size_t rows, cols;      /* of the largest filter's output */
    bool copies;            /* in is copied with its padding, else read where it lies */
    size_t step_h, phases;  /* of the copy: rows from one output row to the next, phases of columns */
    size_t width;           /* columns of a phase */
    size_t row_chunks, row_chunk, col_chunks, col_chunk; /* tasks: parts of rows or of the one long row, */
    size_t groups, group;                                /* of panels, */
    size_t parts, images;                                /* and of the batch */
};

static struct axis axis_fwd(size_t K, size_t pad, size_t count)
{
    return (struct axis){.taps = K, .count = count, .start = -(ptrdiff_t)pad, .tap_step = 1};
}

/* diff_src[i s + residue] sums the taps k = first + s t, t = 0, 1, ..., of diff_dst[i + (residue + pad - first) / s - t]. */
static struct axis axis_bwd(size_t K, size_t pad, size_t stride, size_t extent, size_t residue)
{
    const size_t first = (residue + pad) % stride;
    const size_t taps = K > first ? (K - 1 - first) / stride + 1 : 0;
    return (struct axis){.taps = taps,
                         .count = extent > residue ? (extent - 1 - residue) / stride + 1 : 0,
                         .start = (ptrdiff_t)((residue + pad - first) / stride) + 1 - (ptrdiff_t)taps,
                         .first_tap = first + (taps > 0 ? taps - 1 : 0) * stride,
                         .tap_step = stride};
}

static size_t caller_tap(const struct problem *p, const struct axis *axis, size_t u)
{
    return p->direction == SCO_CONV2D_FWD ? u : axis->first_tap - u * axis->tap_step;
}

static void filter(const struct sco_conv2d_plan *plan, const struct problem *p, size_t residue_h, size_t residue_w,
                   struct axis *h, struct axis *w)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    if (p->direction == SCO_CONV2D_FWD) {
        *h = axis_fwd(s->KH, s->pad_top, p->OH);
        *w = axis_fwd(s->KW, s->pad_left, p->OW);
        return;
    }
    *h = axis_bwd(s->KH, s->pad_top, s->stride, p->OH, residue_h);
    *w = axis_bwd(s->KW, s->pad_left, s->stride, p->OW, residue_w);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t quotient_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* Width of a panel in packed weights. */
static size_t panel_width(const struct problem *p, size_t panel)
{
    return p->OC - panel * PANEL <= HALF_VECTORS * LANES ? HALF_VECTORS * LANES : PANEL;
}

static size_t overhang_low(const struct axis *axis)
{
    return axis->start < 0 ? smaller((size_t)-axis->start, axis->taps) : 0;
}

/* Taps of the last output that lie beyond extent inputs. */
static size_t overhang_high(const struct axis *axis, size_t in_stride, size_t extent)
{
    const ptrdiff_t end = (ptrdiff_t)((axis->count - 1) * in_stride + axis->taps) + axis->start;
    return end > (ptrdiff_t)extent ? smaller((size_t)end - extent, axis->taps) : 0;
}

static void extend(const struct axis *axis, ptrdiff_t *low, ptrdiff_t *high)
{
    if (axis->taps == 0 || axis->count == 0)
        return;
    const ptrdiff_t end = axis->start + (ptrdiff_t)axis->taps;
    *low = axis->start < *low ? axis->start : *low;
    *high = end > *high ? end : *high;
}

/* Whether leaving out the first and the last pixel of a row is all that padding asks for. */
static bool thin_edges(const struct axis *w, size_t in_stride, size_t extent)
{
    if (w->taps == 0 || w->count == 0)
        return true;
    const size_t low = overhang_low(w), high = overhang_high(w, in_stride, extent);
    return w->start >= -1 && high <= 1 && low + high <= w->taps;
}

enum { OWN_ROW_CHUNK, OWN_COL_CHUNK, OWN_GROUP, OWN_IMAGES };

static struct problem problem_of(const struct sco_conv2d_plan *plan)
{
    const struct sco_conv2d_shape *s = &plan->shape;
    const bool fwd = plan->direction == SCO_CONV2D_FWD;
    const size_t OH = sco_conv2d_oh(s), OW = sco_conv2d_ow(s);
    struct problem p = {.direction = plan->direction, .N = s->N, .KH = s->KH, .KW = s->KW};
    p.C = fwd ? s->C : s->OC, p.H = fwd ? s->H : OH, p.W = fwd ? s->W : OW;
    p.image = fwd ? s->src_image : s->dst_image;
    p.OC = fwd ? s->OC : s->C, p.OH = fwd ? OH : s->H, p.OW = fwd ? OW : s->W;
    p.oimage = fwd ? s->dst_image : s->src_image;
    p.B = sco_channel_block(p.C), p.OB = sco_channel_block(p.OC);
    p.in_stride = fwd ? s->stride : 1, p.out_stride = fwd ? 1 : s->stride;
    p.blocks = quotient_up(p.C, BLOCK), p.last_block = p.C - (p.blocks > 0 ? p.blocks - 1 : 0) * BLOCK;
    p.panels = quotient_up(p.OC, PANEL);

    ptrdiff_t low_h = PTRDIFF_MAX, low_w = PTRDIFF_MAX, high_h = PTRDIFF_MIN, high_w = PTRDIFF_MIN;
    bool thin = true;
    for (size_t rh = 0; rh < p.out_stride; rh++)
        for (size_t rw = 0; rw < p.out_stride; rw++) {
            struct axis h, w;
            filter(plan, &p, rh, rw, &h, &w);
            extend(&h, &low_h, &high_h);
            extend(&w, &low_w, &high_w);
            thin = thin_edges(&w, p.in_stride, p.W) && thin;
            p.rows = h.count > p.rows ? h.count : p.rows;
            p.cols = w.count > p.cols ? w.count : p.cols;
        }
    if (high_h > low_h)
        p.low_h = low_h, p.span_h = (size_t)(high_h - low_h);
    if (high_w > low_w)
        p.low_w = low_w, p.span_w = (size_t)(high_w - low_w);
    p.copies = !thin || p.in_stride > 1 || p.B < BLOCK;
    p.step_h = p.in_stride < p.span_h ? p.in_stride : p.span_h;
    p.phases = p.in_stride < p.span_w ? p.in_stride : p.span_w;
    if (!p.copies && p.out_stride == 1 && p.KH == 1 && p.KW == 1 && p.rows == p.H && p.cols == p.W) {
        p.W *= p.H, p.OW *= p.OH, p.cols *= p.rows;
        p.H = p.OH = p.rows = 1;
    }
    p.width = p.cols + (p.span_w > 0 ? (p.span_w - 1) / p.in_stride : 0);
    p.row_chunk = plan->own[OWN_ROW_CHUNK], p.col_chunk = plan->own[OWN_COL_CHUNK], p.group = plan->own[OWN_GROUP];
    p.images = plan->own[OWN_IMAGES];
    if (p.row_chunk > 0) {
        p.row_chunks = quotient_up(p.rows, p.row_chunk);
        p.col_chunks = quotient_up(p.cols, p.col_chunk);
        p.groups = quotient_up(p.panels, p.group);
        p.parts = quotient_up(p.N, p.images);
    }
    return p;
}

/* ---- Tiles ------------------------------------------------------------------------------------------------------ */

/* What all tiles of one filter share. */
struct sweep {
    const float *in;
    size_t blocks, last_block, taps_h, taps_w;
    size_t block_step, row_step; /* of in, floats: from one block of channels, one row of taps to the next */
    size_t phases, phase_step;
    bool far;                   /* in is read where it lies: blocks are far apart, fetch each ahead */
    size_t out_step, out_block; /* of out: from pixel to pixel, from block to block */
    size_t channels;            /* of the panel that exist, up to a full block */
    const float *bias;
    size_t biases; /* 0 without bias */
    enum sco_conv2d_activation activation;
    float slope;
};

/* The first half of a tile's pixels lies at a, the second at b: further along the row, or in the next row. Taps that
 * fall on padding are not multiplied: rows of them are left out, and so is the first pixel in the first taps of a row
 * and the last in the last. */
struct spot {
    ptrdiff_t in_a, in_b; /* where pixels have their first tap, which may be outside in */
    float *out_a, *out_b;
    const float *residual_a, *residual_b; /* or NULL */
    size_t first_row, last_row;           /* of taps */
    size_t skip_left, skip_right;         /* taps */
    bool pair;                            /* b is another row, with edges of its own */
};

typedef void tile_fn(const struct sweep *s, const struct spot *at, const float *wei);

SCO_INLINE lanes load_some(const float *x, size_t count)
{
    return count >= LANES ? lanes_load(x) : lanes_load_first(x, count);
}

SCO_INLINE size_t vector_channels(size_t channels, size_t v)
{
    return channels > v * LANES ? channels - v * LANES : 0;
}

/* One tap: count channels, all pixels but two (none: numbers past the last). */
SCO_INLINE void multiply(lanes sum[TILE_PIXELS][TILE_VECTORS], const float *in, ptrdiff_t at_a, ptrdiff_t at_b,
                         const float *wei, size_t count, const size_t pixels, const size_t vectors, const size_t skip,
                         const size_t skip_too)
{
    const size_t half = (pixels + 1) / 2;
    for (size_t c = 0; c < count; c++) {
        lanes w[TILE_VECTORS];
        SCO_UNROLL
        for (size_t v = 0; v < vectors; v++)
            w[v] = lanes_load(wei + v * LANES);
        SCO_UNROLL
        for (size_t m = 0; m < pixels; m++) {
            if (m == skip || m == skip_too)
                continue;
            const lanes x =
                lanes_set(m < half ? in[at_a + (ptrdiff_t)(m * BLOCK)] : in[at_b + (ptrdiff_t)((m - half) * BLOCK)]);
            SCO_UNROLL
            for (size_t v = 0; v < vectors; v++)
                sum[m][v] = lanes_fma(x, w[v], sum[m][v]);
        }
        wei += vectors * LANES;
        at_a++;
        at_b++;
    }
}

SCO_INLINE void tile(const struct sweep *s, const struct spot *at, const float *wei, const size_t pixels,
                     const size_t vectors)
{
    const size_t half = (pixels + 1) / 2;
    lanes sum[TILE_PIXELS][TILE_VECTORS];
    SCO_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        const size_t count = vector_channels(s->biases, v);
        const lanes start = count > 0 ? load_some(s->bias + v * LANES, count) : lanes_set(0.0f);
        SCO_UNROLL
        for (size_t m = 0; m < pixels; m++)
            sum[m][v] = start;
    }

    /* Lines of out arrive while the sums grow. */
    SCO_UNROLL
    for (size_t m = 0; m < pixels; m++) {
        const float *y = m < half ? at->out_a + m * s->out_step : at->out_b + (m - half) * s->out_step;
        SCO_UNROLL
        for (size_t v = 0; v < vectors * LANES / BLOCK; v++)
            __builtin_prefetch(y + v * s->out_block, 1);
    }

    const float *in = s->in;
    const bool pair = pixels % 2 == 0 && at->pair;
    const size_t taps = s->taps_h * s->taps_w, rows = at->last_row - at->first_row;
    const bool single = taps == 1 && rows == 1 && at->skip_left + at->skip_right == 0;
    /* 1 x 1, where a tile is short and what surrounds the sums shows: a loop without the general one's bookkeeping. */
    for (size_t block = 0; block < s->blocks && single; block++) {
        const bool last = block + 1 == s->blocks;
        const float *next = last ? in : in + s->block_step;
        if (s->far) {
            SCO_UNROLL
            for (size_t m = 0; m < pixels; m++)
                __builtin_prefetch(
                    next + (m < half ? at->in_a + (ptrdiff_t)(m * BLOCK) : at->in_b + (ptrdiff_t)((m - half) * BLOCK)));
        }
        const size_t count = last ? s->last_block : BLOCK;
        multiply(sum, in, at->in_a, at->in_b, wei, count, pixels, vectors, pixels, pixels);
        wei += count * vectors * LANES;
        in = next;
    }
    for (size_t block = 0; block < s->blocks && !single; block++) {
        const bool last = block + 1 == s->blocks;
        const size_t count = last ? s->last_block : BLOCK, tap_floats = count * vectors * LANES;
        const float *w = wei + at->first_row * s->taps_w * tap_floats;
        for (size_t u = at->first_row; u < at->last_row; u++) {
            ptrdiff_t row_a = at->in_a + (ptrdiff_t)(u * s->row_step), row_b = at->in_b + (ptrdiff_t)(u * s->row_step);
            if (s->far && !last) {
                const char *next = (const char *)in + s->block_step * sizeof *in;
                SCO_UNROLL
                for (size_t m = 0; m < pixels; m++)
                    __builtin_prefetch(
                        next + (m < half ? row_a + (ptrdiff_t)(m * BLOCK) : row_b + (ptrdiff_t)((m - half) * BLOCK)) *
                                   (ptrdiff_t)sizeof *in);
            }
            size_t phase = 0;
            for (size_t t = 0; t < s->taps_w; t++, w += tap_floats) {
                const ptrdiff_t a = row_a + (ptrdiff_t)(phase * s->phase_step),
                                b = row_b + (ptrdiff_t)(phase * s->phase_step);
                if (++phase == s->phases)
                    phase = 0, row_a += BLOCK, row_b += BLOCK;
                if (t < at->skip_left) {
                    if (pair)
                        multiply(sum, in, a, b, w, count, pixels, vectors, 0, half);
                    else
                        multiply(sum, in, a, b, w, count, pixels, vectors, 0, pixels);
                } else if (t + at->skip_right >= s->taps_w) {
                    if (pair)
                        multiply(sum, in, a, b, w, count, pixels, vectors, half - 1, pixels - 1);
                    else
                        multiply(sum, in, a, b, w, count, pixels, vectors, pixels - 1, pixels);
                } else {
                    multiply(sum, in, a, b, w, count, pixels, vectors, pixels, pixels);
                }
            }
        }
        wei += taps * tap_floats;
        in += s->block_step;
    }

    if (at->residual_a != NULL) {
        SCO_UNROLL
        for (size_t m = 0; m < pixels; m++) {
            const float *r = m < half ? at->residual_a + m * s->out_step : at->residual_b + (m - half) * s->out_step;
            SCO_UNROLL
            for (size_t v = 0; v < vectors; v++) {
                const size_t count = vector_channels(s->channels, v);
                if (count > 0)
                    sum[m][v] = lanes_add(sum[m][v],
                                          load_some(r + (v * LANES) / BLOCK * s->out_block + v * LANES % BLOCK, count));
            }
        }
    }
    if (s->activation != SCO_CONV2D_LINEAR) {
        const lanes zero = lanes_set(0.0f), slope = lanes_set(s->slope);
        SCO_UNROLL
        for (size_t m = 0; m < pixels; m++)
            SCO_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[m][v] = lanes_fma(slope, lanes_min(zero, sum[m][v]), lanes_max(zero, sum[m][v]));
    }
    SCO_UNROLL
    for (size_t m = 0; m < pixels; m++) {
        float *y = m < half ? at->out_a + m * s->out_step : at->out_b + (m - half) * s->out_step;
        SCO_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            const size_t count = vector_channels(s->channels, v);
            float *to = y + (v * LANES) / BLOCK * s->out_block + v * LANES % BLOCK;
            if (count >= LANES)
                lanes_store(to, sum[m][v]);
            else if (count > 0)
                lanes_store_first(to, sum[m][v], count);
        }
    }
}

#define TILE(pixels, vectors)                                                                                          \
    static void tile_##pixels##_##vectors(const struct sweep *s, const struct spot *at, const float *wei)              \
    {                                                                                                                  \
        tile(s, at, wei, pixels, vectors);                                                                             \
    }
EACH_TILE(TILE)
#undef TILE

#define TILE(pixels, vectors) [vectors == TILE_VECTORS][(pixels)-1] = tile_##pixels##_##vectors,
static tile_fn *const tiles[2][TILE_PIXELS] = {EACH_TILE(TILE)};
#undef TILE

/* ---- Weights ---------------------------------------------------------------------------------------------------- */

static size_t panel_offset(const struct problem *p, size_t panel)
{
    return p->KH * p->KW * p->C * panel * PANEL;
}

/* Per panel and filter: blocks of input channels, tap rows, taps, channels of the block, PANEL output channels; just as
 * tile() reads. A task is a panel. */
static void pack(const struct sco_conv2d_plan *plan, float *hwio, float *packed, bool flip, size_t first, size_t last)
{
    const struct problem p = problem_of(plan);
    const bool fwd = p.direction == SCO_CONV2D_FWD;
    const size_t in_step = fwd ? plan->shape.OC : 1, out_step = fwd ? 1 : plan->shape.OC;
    const size_t tap_step = plan->shape.C * plan->shape.OC;
    for (size_t panel = first; panel < last; panel++) {
        float *to = packed + panel_offset(&p, panel);
        const size_t width = panel_width(&p, panel), exist = smaller(width, p.OC - panel * PANEL);
        for (size_t residue = 0; residue < p.out_stride * p.out_stride; residue++) {
            struct axis h, w;
            filter(plan, &p, residue / p.out_stride, residue % p.out_stride, &h, &w);
            for (size_t block = 0; block < p.blocks; block++)
                for (size_t tap = 0; tap < h.taps * w.taps; tap++) {
                    const size_t kh = caller_tap(&p, &h, tap / w.taps), kw = caller_tap(&p, &w, tap % w.taps);
                    const size_t number = flip ? (p.KH - 1 - kh) * p.KW + p.KW - 1 - kw : kh * p.KW + kw;
                    const float *from = hwio + number * tap_step + block * BLOCK * in_step + panel * PANEL * out_step;
                    const size_t channels = block + 1 < p.blocks ? BLOCK : p.last_block;
                    /* Along HWIO's last axis either way: down a column, steps of a power of two meet in few sets of a cache.
                     * Nobody else asks ahead for the lines of so many rows at once. */
                    if (fwd)
                        for (size_t c = 0; c < channels; c++)
                            memcpy(to + c * width, from + c * in_step, exist * sizeof *to);
                    else
                        for (size_t o = 0; o < exist; o++) {
                            __builtin_prefetch(from + o * out_step + 2 * BLOCK);
                            for (size_t c = 0; c < channels; c++)
                                to[c * width + o] = from[o * out_step + c];
                        }
                    for (size_t c = 0; c < channels; c++, to += width)
                        memset(to + exist, 0, (width - exist) * sizeof *to);
                }
        }
    }
}

/* ---- Copies of in ----------------------------------------------------------------------------------------------- */

static size_t copy_rows(const struct problem *p, size_t rows)
{
    return rows == 0 ? 0 : (rows - 1) * p->step_h + p->span_h;
}

/* Pixels of one row and phase, padding included; every pixel gets BLOCK floats, of which `channels` are used. */
SCO_INLINE void copy_pixels(float *to, const float *from, const struct problem *p, ptrdiff_t iw, size_t B,
                            size_t channels)
{
    size_t x = 0;
    for (; x < p->width && iw < 0; x++, iw += (ptrdiff_t)p->in_stride, to += BLOCK)
        for (size_t c = 0; c < BLOCK; c += LANES)
            lanes_store(to + c, lanes_set(0.0f));
    for (; x < p->width && iw < (ptrdiff_t)p->W; x++, iw += (ptrdiff_t)p->in_stride, to += BLOCK) {
        const float *pixel = from + (size_t)iw * B;
        if (channels == BLOCK)
            for (size_t c = 0; c < BLOCK; c += LANES)
                lanes_store(to + c, lanes_load(pixel + c));
        else
            for (size_t c = 0; c < channels; c += LANES)
                lanes_store(to + c, load_some(pixel + c, channels - c));
    }
    for (; x < p->width; x++, to += BLOCK)
        for (size_t c = 0; c < BLOCK; c += LANES)
            lanes_store(to + c, lanes_set(0.0f));
}

/* What output rows [first, last) need: to[block][row][phase][column][BLOCK], columns of a phase in_stride apart in in. */
static void copy_in(const struct problem *p, const float *image, size_t first, size_t last, float *to)
{
    const size_t rows = copy_rows(p, last - first), row_floats = p->phases * p->width * BLOCK;
    for (size_t block = 0; block < p->blocks; block++) {
        const size_t channels = block + 1 < p->blocks ? BLOCK : p->last_block;
        for (size_t row = 0; row < rows; row++, to += row_floats) {
            const size_t skipped = p->in_stride > p->span_h ? row / p->span_h * (p->in_stride - p->span_h) : 0;
            const ptrdiff_t ih = (ptrdiff_t)(first * p->in_stride + row + skipped) + p->low_h;
            if (ih < 0 || ih >= (ptrdiff_t)p->H) /* no tile reads it */
                continue;
            const float *from = image + ((block * p->H + (size_t)ih) * p->W) * p->B;
            for (size_t phase = 0; phase < p->phases; phase++) {
                float *at = to + phase * p->width * BLOCK;
                const ptrdiff_t iw = (ptrdiff_t)phase + p->low_w;
                if (p->B == BLOCK && channels == BLOCK)
                    copy_pixels(at, from, p, iw, BLOCK, BLOCK);
                else
                    copy_pixels(at, from, p, iw, p->B, channels);
            }
        }
    }
}

/* ---- Runs ------------------------------------------------------------------------------------------------------- */

struct task {
    size_t n, n_end, row, row_end, col, col_end, panel, panel_end;
};

static struct task task_of(const struct problem *p, size_t number)
{
    const size_t group = number % p->groups, chunk = number / p->groups;
    const size_t col = chunk % p->col_chunks * p->col_chunk, row = chunk / p->col_chunks % p->row_chunks * p->row_chunk;
    const size_t n = chunk / p->col_chunks / p->row_chunks * p->images;
    return (struct task){.n = n,
                         .n_end = smaller(n + p->images, p->N),
                         .row = row,
                         .row_end = smaller(row + p->row_chunk, p->rows),
                         .col = col,
                         .col_end = smaller(col + p->col_chunk, p->cols),
                         .panel = group * p->group,
                         .panel_end = smaller((group + 1) * p->group, p->panels)};
}

/* Rows of taps of output row `row` that lie inside in. */
static void tap_rows(const struct problem *p, const struct axis *h, size_t row, struct spot *at)
{
    const ptrdiff_t top = (ptrdiff_t)(row * p->in_stride) + h->start, left = (ptrdiff_t)p->H - top;
    at->first_row = top < 0 ? smaller((size_t)-top, h->taps) : 0;
    at->last_row = left < 0 ? 0 : smaller((size_t)left, h->taps);
    if (at->last_row < at->first_row)
        at->last_row = at->first_row;
}

/* One filter and one panel over the rows of an image, or of two of them, in_image and oimage floats apart. in: where
 * pixel (task row, column 0) has its first tap. */
static void sweep_rows(const struct problem *p, const struct sweep *s, const struct task *task, const struct axis *h,
                       const struct axis *w, ptrdiff_t in, size_t in_image, bool two, const float *wei, float *out,
                       const float *residual, bool full)
{
    const size_t row_end = smaller(task->row_end, h->count), col_end = smaller(task->col_end, w->count);
    if (task->row >= row_end || task->col >= col_end)
        return;
    const size_t cols = col_end - task->col, out_row = p->out_stride * p->OW * p->OB;
    const size_t in_row = (p->copies ? p->step_h : 1) * s->row_step;
    const size_t skip_left = task->col == 0 ? overhang_low(w) : 0;
    const size_t skip_right = col_end == w->count ? overhang_high(w, p->in_stride, p->W) : 0;
    const size_t parts = quotient_up(cols, TILE_PIXELS), wide = cols % parts;
    tile_fn *const *kernel = tiles[full];
    for (size_t row = task->row; row < row_end; row++) {
        const size_t offset = row * out_row + task->col * s->out_step;
        struct spot at = {.in_a = in + (ptrdiff_t)((row - task->row) * in_row + task->col * BLOCK),
                          .out_a = out + offset,
                          .residual_a = residual == NULL ? NULL : residual + offset,
                          .skip_left = skip_left};
        tap_rows(p, h, row, &at);
        size_t in_b = in_image, out_b = p->oimage;
        at.pair = two;
        if (!two && 2 * cols <= TILE_PIXELS && row + 1 < row_end) {
            struct spot next = at;
            tap_rows(p, h, row + 1, &next);
            at.pair = next.first_row == at.first_row && next.last_row == at.last_row;
            in_b = in_row, out_b = out_row;
            row += at.pair;
        }
        if (at.pair) {
            at.in_b = at.in_a + (ptrdiff_t)in_b;
            at.out_b = at.out_a + out_b;
            at.residual_b = residual == NULL ? NULL : at.residual_a + out_b;
            at.skip_right = skip_right;
            kernel[2 * cols - 1](s, &at, wei);
            continue;
        }
        for (size_t part = 0; part < parts; part++) {
            const size_t pixels = cols / parts + (part < wide), half = (pixels + 1) / 2;
            at.in_b = at.in_a + (ptrdiff_t)(half * BLOCK);
            at.out_b = at.out_a + half * s->out_step;
            at.residual_b = residual == NULL ? NULL : at.residual_a + half * s->out_step;
            at.skip_right = part + 1 == parts ? skip_right : 0;
            kernel[pixels - 1](s, &at, wei);
            at.in_a += (ptrdiff_t)(pixels * BLOCK);
            at.out_a += pixels * s->out_step;
            at.residual_a = residual == NULL ? NULL : at.residual_a + pixels * s->out_step;
            at.skip_left = 0;
        }
    }
}

/* Zeros in all rows of a task's channels: where the step is wider than the filter, no filter reaches some of them. */
static void clear_rows(const struct problem *p, const struct task *task, float *out, size_t channels)
{
    const size_t first = task->row * p->out_stride, last = smaller(task->row_end * p->out_stride, p->OH);
    const size_t row_floats = p->OW * p->OB;
    for (size_t c = 0; c < channels; c += p->OB, out += p->OH * row_floats)
        memset(out + first * row_floats, 0, (last - first) * row_floats * sizeof *out);
}

static void run(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t phase, size_t first,
                size_t last)
{
    const struct problem p = problem_of(plan);
    const bool fwd = p.direction == SCO_CONV2D_FWD, sparse = p.out_stride > smaller(p.KH, p.KW);
    const float *in = fwd ? args->src : args->dst, *residual = fwd ? args->residual : NULL;
    float *out = fwd ? args->dst : args->src, *copy = args->scratch;
    (void)phase;
    struct sweep s = {
        .blocks = p.blocks,
        .last_block = p.last_block,
        .row_step = p.copies ? p.phases * p.width * BLOCK : p.W * BLOCK,
        .phases = p.phases,
        .phase_step = p.width * BLOCK,
        .far = !p.copies,
        .out_step = p.out_stride * p.OB,
        .out_block = p.OH * p.OW * BLOCK,
        .activation = fwd ? args->activation : SCO_CONV2D_LINEAR,
        .slope = args->activation == SCO_CONV2D_LEAKY_RELU ? args->slope : 0.0f,
    };
    size_t copied = SIZE_MAX;
    for (size_t number = first; number < last; number++) {
        const struct task task = task_of(&p, number);
        size_t in_image = p.image;
        s.in = in + task.n * p.image;
        s.block_step = p.H * s.row_step;
        if (p.copies) {
            s.block_step = copy_rows(&p, task.row_end - task.row) * s.row_step;
            in_image = p.blocks * s.block_step;
            for (size_t n = task.n; n < task.n_end && copied != number / p.groups; n++)
                copy_in(&p, in + n * p.image, task.row, task.row_end, copy + (n - task.n) * in_image);
            copied = number / p.groups;
            s.in = copy;
        }
        for (size_t panel = task.panel; panel < task.panel_end; panel++) {
            const size_t width = panel_width(&p, panel), channel = panel * PANEL;
            s.channels = p.OC < BLOCK ? p.OC : smaller(width, quotient_up(p.OC - channel, BLOCK) * BLOCK);
            s.bias = fwd ? args->bias : NULL;
            s.biases = s.bias == NULL ? 0 : p.OC - channel;
            if (s.bias != NULL)
                s.bias += channel;
            for (size_t n = task.n; n < task.n_end;) {
                const bool two = n + 1 < task.n_end && 2 * p.cols <= TILE_PIXELS;
                const size_t offset = n * p.oimage + channel / BLOCK * s.out_block;
                const float *wei = args->wei + panel_offset(&p, panel);
                for (size_t i = 0; i <= two && sparse; i++)
                    clear_rows(&p, &task, out + offset + i * p.oimage, s.channels);
                for (size_t residue = 0; residue < p.out_stride * p.out_stride; residue++) {
                    const size_t rh = residue / p.out_stride, rw = residue % p.out_stride;
                    struct axis h, w;
                    filter(plan, &p, rh, rw, &h, &w);
                    s.taps_h = h.taps, s.taps_w = w.taps;
                    if (sparse && h.taps * w.taps == 0)
                        continue;
                    ptrdiff_t from = (ptrdiff_t)((n - task.n) * in_image);
                    if (!p.copies)
                        from += ((ptrdiff_t)task.row + h.start) * (ptrdiff_t)s.row_step + w.start * BLOCK;
                    else if (h.taps * w.taps > 0)
                        from += (h.start - p.low_h) * (ptrdiff_t)s.row_step + (w.start - p.low_w) * BLOCK;
                    const size_t at = offset + (rh * p.OW + rw) * p.OB;
                    sweep_rows(&p, &s, &task, &h, &w, from, in_image, two, wei, out + at,
                               residual == NULL ? NULL : residual + at, width == PANEL);
                    wei += p.C * width * h.taps * w.taps;
                }
                n += 1 + two;
            }
        }
    }
}

/* ---- Plans ------------------------------------------------------------------------------------------------------ */

static void put_text(char **to, const char *text)
{
    while (*text != '\0')
        *(*to)++ = *text++;
}

static void put_number(char **to, size_t x)
{
    char digits[20];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + x % 10);
    while ((x /= 10) > 0);
    while (count > 0)
        *(*to)++ = digits[--count];
}

/* Candidates differ in how much of in a task works on. */
static bool plan_direct(enum sco_conv2d_direction direction, const struct sco_conv2d_shape *s, size_t candidate,
                        struct sco_conv2d_plan *plan)
{
    static const size_t floats[] = {IN_FLOATS, IN_FLOATS / 3, IN_FLOATS * 2};
    if (candidate >= SCO_LEN(floats))
        return false;
    *plan = (struct sco_conv2d_plan){.shape = *s,
                                     .direction = direction,
                                     .pack = pack,
                                     .phases = 1,
                                     .run = run,
                                     .error_k = sco_conv2d_sum_error(s, direction)};
    struct problem p = problem_of(plan);
    plan->pack_tasks = p.panels;
    plan->packed_count =
        p.panels == 0 ? 0 : panel_offset(&p, p.panels - 1) + p.KH * p.KW * p.C * panel_width(&p, p.panels - 1);

    /* Of one long row a multiple of a tile; otherwise whole rows, two at least. */
    const size_t channels = p.blocks == 0 ? 1 : p.blocks * BLOCK;
    size_t rows = p.rows == 0 ? 1 : p.rows, cols = p.cols == 0 ? 1 : p.cols;
    if (p.rows == 1) {
        const size_t most = floats[candidate] / channels / TILE_PIXELS * TILE_PIXELS;
        cols = smaller(cols, most > 0 ? most : TILE_PIXELS);
    } else {
        const size_t row = channels * p.step_h * p.phases * p.width + 1, most = floats[candidate] / row;
        rows = smaller(rows, most > 2 ? most / 2 * 2 : 2);
    }
    if (p.rows > 0 && p.cols > 0) { /* chunks alike */
        rows = quotient_up(p.rows, quotient_up(p.rows, rows));
        cols = quotient_up(p.cols, quotient_up(p.cols, cols));
    }
    const size_t chunks = quotient_up(p.rows, rows) * quotient_up(p.cols, cols);
    size_t images = 1;
    if (chunks == 1) /* as many as fit and divide the batch, and two for tiles that need them */
        for (size_t i = 2; i <= p.N; i++)
            if (p.N % i == 0 &&
                (i * channels * p.H * p.W <= floats[candidate] || (i == 2 && 2 * p.cols <= TILE_PIXELS)))
                images = i;
    const size_t parts = quotient_up(p.N, images) * chunks;
    size_t groups = parts == 0 || parts >= TASKS ? 1 : quotient_up(TASKS, parts);
    groups = groups > p.panels ? p.panels : groups;
    plan->own[OWN_ROW_CHUNK] = rows;
    plan->own[OWN_COL_CHUNK] = p.copies ? (p.cols == 0 ? 1 : p.cols) : cols;
    plan->own[OWN_GROUP] = groups == 0 ? 1 : quotient_up(p.panels, groups);
    plan->own[OWN_IMAGES] = images;
    p = problem_of(plan);
    plan->tasks[0] = p.parts * p.row_chunks * p.col_chunks * p.groups;
    if (p.copies)
        plan->scratch_bytes = p.images * p.blocks * copy_rows(&p, rows) * p.phases * p.width * BLOCK * sizeof(float);

    char *name = plan->name;
    put_text(&name, "direct ");
    put_number(&name, TILE_PIXELS);
    put_text(&name, "x");
    put_number(&name, PANEL);
    put_text(&name, p.rows == 1 ? " pixels " : " rows ");
    put_number(&name, p.rows == 1 ? plan->own[OWN_COL_CHUNK] : rows);
    return true;
}

static bool fwd_direct(const struct sco_conv2d_shape *s, size_t candidate, struct sco_conv2d_plan *plan)
{
    return plan_direct(SCO_CONV2D_FWD, s, candidate, plan);
}

static bool bwd_data_direct(const struct sco_conv2d_shape *s, size_t candidate, struct sco_conv2d_plan *plan)
{
    return plan_direct(SCO_CONV2D_BWD_DATA, s, candidate, plan);
}

#endif

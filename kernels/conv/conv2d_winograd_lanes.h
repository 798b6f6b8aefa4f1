/* SPDX-License-Identifier: Apache-2.0
 * Winograd's minimal filtering (Lavin and Gray, arXiv 1509.09308) for 3x3 convolutions of stride 1, over the lanes of the
 * row that includes this file:
 *
 *   Y = A^T [ sum over c of (G g G^T) . (B^T d B) ] A          (their equation 12)
 *
 * for tiles Y of TILE x TILE outputs. F(4x4, 3x3) takes 36 products for 16 outputs where direct convolution takes 144,
 * F(2x2, 3x3) 16 for 4 instead of 36. Sums over c are one matrix product for each of the (TILE + 2)^2 elements:
 *
 *   m[e][tile][oc] = sum over c of v[e][tile][c] u[e][c][oc]
 *
 * bwd_data is the same operation: it convolves diff_dst, padded by 2 - pad, with the filter turned by 180 degrees and its
 * channels exchanged. "in" and "out" below are the tensors of either direction.
 *
 * Numerics. Polynomials are interpolated at 0, +-5/8, +-3/2 and infinity, not at Lavin's 0, +-1, +-2: as many operations,
 * less than half the error, and entries of A and B that float32 holds exactly. A rounding in the transformed domain is
 * relative to |A|^T [ sum of |G||g||G|^T . |B|^T|d||B| ] |A|, and a path has at most K + 21 of them for K channels of in:
 * 4 through B, 8 through G and its constants, K products and sums, 6 through A, 3 for bias, residual and slope. Where
 * every |g| and |d| is as large as the largest of its tile, that scale is AMPLIFICATION times sum |terms|: error_k is
 * for such data. An output whose own terms are small beside those of its tile has the error of its tile. */
#include <stdint.h>

#include "kernels/conv/conv2d_rows.h"

/* WIDE vectors hold a block of channels. u comes in panels of PANEL blocks of out channels, which with MOST_ROWS tiles
 * fill the registers with accumulators; narrower last panels take more tiles. */
enum {
    BLOCK = SCO_CHANNEL_BLOCK,
    WIDE = BLOCK / LANES,
    PANEL = (int)LANES == (int)BLOCK ? 4 : 1,
    MOST_ROWS = 6,
    MOST_ROWS_NARROW = (int)LANES == (int)BLOCK ? 12 : 6
};

/* A thread's share of L2, of which v and m of a block of tiles should leave room for panels of u. */
enum { CACHE_BYTES = (int)LANES == (int)BLOCK ? 768 * 1024 : 256 * 1024 };

/* Rows of u are fetched this far ahead: u passes by once for every block of tiles, from L3 or memory. */
enum { AHEAD_BYTES = 4096 };

#define POINT_A 0.625f
#define POINT_B 1.5f
#define A2      (POINT_A * POINT_A)
#define B2      (POINT_B * POINT_B)

static const double amplification[] = {[2] = 64.0 / 9.0, [4] = 62.7};

enum { OWN_TILE, OWN_BLOCK_TILES, OWN_PHASED };

/* Tiles of one task where a phase transforms. */
enum { TRANSFORM_TILES = 8 };

/* v[e][in block][tile][16], m[e][tile][out channel], u[e][panel][in channel][out channel of the panel]. room is the
 * number of tiles that v and m are laid out for. */
struct winograd {
    size_t tile, elements;
    size_t in_blocks, in_h, in_w, in_image;
    size_t out_blocks, out_h, out_w, out_image, out_channels;
    ptrdiff_t pad_top, pad_left;
    size_t tiles_h, tiles_w, tiles, room;
    size_t u_stride, v_stride, m_stride; /* floats from one element to the next */
};

/* Transforms write all elements of a tile in turn: at an even number of cache lines apart they would share few sets. */
static size_t odd_lines(size_t floats)
{
    return (floats / BLOCK | 1) * BLOCK;
}

static size_t blocks_of(size_t channels)
{
    return (channels + BLOCK - 1) / BLOCK;
}

static struct winograd winograd_of(const struct sco_conv2d_shape *s, enum sco_conv2d_direction direction, size_t tile,
                                   size_t room)
{
    const size_t oh = sco_conv2d_oh(s), ow = sco_conv2d_ow(s);
    struct winograd w = {.tile = tile, .elements = (tile + 2) * (tile + 2)};
    if (direction == SCO_CONV2D_FWD) {
        w.in_blocks = blocks_of(s->C), w.in_h = s->H, w.in_w = s->W, w.in_image = s->src_image;
        w.out_channels = s->OC, w.out_h = oh, w.out_w = ow, w.out_image = s->dst_image;
        w.pad_top = (ptrdiff_t)s->pad_top, w.pad_left = (ptrdiff_t)s->pad_left;
    } else {
        w.in_blocks = blocks_of(s->OC), w.in_h = oh, w.in_w = ow, w.in_image = s->dst_image;
        w.out_channels = s->C, w.out_h = s->H, w.out_w = s->W, w.out_image = s->src_image;
        w.pad_top = 2 - (ptrdiff_t)s->pad_top, w.pad_left = 2 - (ptrdiff_t)s->pad_left;
    }
    w.out_blocks = blocks_of(w.out_channels);
    w.tiles_h = (w.out_h + tile - 1) / tile;
    w.tiles_w = (w.out_w + tile - 1) / tile;
    w.tiles = s->N * w.tiles_h * w.tiles_w;
    w.room = room != 0 ? room : w.tiles;
    w.u_stride = odd_lines(w.in_blocks * w.out_blocks * BLOCK * BLOCK);
    w.v_stride = odd_lines(w.in_blocks * w.room * BLOCK);
    w.m_stride = odd_lines(w.out_blocks * w.room * BLOCK);
    return w;
}

static struct winograd winograd_of_plan(const struct sco_conv2d_plan *plan)
{
    return winograd_of(&plan->shape, plan->direction, plan->own[OWN_TILE],
                       plan->own[OWN_PHASED] ? 0 : plan->own[OWN_BLOCK_TILES]);
}

/* v = B^T d */
SCO_INLINE void data_1d(const size_t tile, const lanes d[], lanes v[])
{
    if (tile == 2) {
        v[0] = lanes_sub(d[0], d[2]);
        v[1] = lanes_add(d[1], d[2]);
        v[2] = lanes_sub(d[2], d[1]);
        v[3] = lanes_sub(d[1], d[3]);
        return;
    }
    const lanes a = lanes_set(POINT_A), b = lanes_set(POINT_B), a2 = lanes_set(A2), b2 = lanes_set(B2);
    const lanes sum = lanes_set(A2 + B2), product = lanes_set(A2 * B2);
    const lanes even_a = lanes_fnma(b2, d[2], d[4]), odd_a = lanes_fnma(b2, d[1], d[3]);
    const lanes even_b = lanes_fnma(a2, d[2], d[4]), odd_b = lanes_fnma(a2, d[1], d[3]);
    v[0] = lanes_fma(product, d[0], lanes_fnma(sum, d[2], d[4]));
    v[1] = lanes_fma(a, odd_a, even_a);
    v[2] = lanes_fnma(a, odd_a, even_a);
    v[3] = lanes_fma(b, odd_b, even_b);
    v[4] = lanes_fnma(b, odd_b, even_b);
    v[5] = lanes_fma(product, d[1], lanes_fnma(sum, d[3], d[5]));
}

/* u = G g */
SCO_INLINE void filter_1d(const size_t tile, const lanes g[3], lanes u[])
{
    if (tile == 2) {
        const lanes half = lanes_set(0.5f), ends = lanes_add(g[0], g[2]);
        u[0] = g[0];
        u[1] = lanes_mul(half, lanes_add(ends, g[1]));
        u[2] = lanes_mul(half, lanes_sub(ends, g[1]));
        u[3] = g[2];
        return;
    }
    /* One over the product of the distances to the other points. */
    const float at_0 = 1.0f / (A2 * B2), at_a = 1.0f / (2.0f * A2 * (A2 - B2)), at_b = 1.0f / (2.0f * B2 * (B2 - A2));
    const lanes even_a = lanes_fma(lanes_set(A2 * at_a), g[2], lanes_mul(lanes_set(at_a), g[0]));
    const lanes even_b = lanes_fma(lanes_set(B2 * at_b), g[2], lanes_mul(lanes_set(at_b), g[0]));
    u[0] = lanes_mul(lanes_set(at_0), g[0]);
    u[1] = lanes_fma(lanes_set(POINT_A * at_a), g[1], even_a);
    u[2] = lanes_fnma(lanes_set(POINT_A * at_a), g[1], even_a);
    u[3] = lanes_fma(lanes_set(POINT_B * at_b), g[1], even_b);
    u[4] = lanes_fnma(lanes_set(POINT_B * at_b), g[1], even_b);
    u[5] = g[2];
}

/* y = A^T m */
SCO_INLINE void output_1d(const size_t tile, const lanes m[], lanes y[])
{
    if (tile == 2) {
        y[0] = lanes_add(lanes_add(m[0], m[1]), m[2]);
        y[1] = lanes_sub(lanes_sub(m[1], m[2]), m[3]);
        return;
    }
    const lanes a = lanes_set(POINT_A), b = lanes_set(POINT_B), a2 = lanes_set(A2), b2 = lanes_set(B2);
    const lanes a3 = lanes_set(A2 * POINT_A), b3 = lanes_set(B2 * POINT_B);
    const lanes even_a = lanes_add(m[1], m[2]), odd_a = lanes_sub(m[1], m[2]);
    const lanes even_b = lanes_add(m[3], m[4]), odd_b = lanes_sub(m[3], m[4]);
    y[0] = lanes_add(lanes_add(m[0], even_a), even_b);
    y[1] = lanes_fma(b, odd_b, lanes_mul(a, odd_a));
    y[2] = lanes_fma(b2, even_b, lanes_mul(a2, even_a));
    y[3] = lanes_fma(b3, odd_b, lanes_fma(a3, odd_a, m[5]));
}

/* d of one tile and one vector of channels into v; row: floats of a row of pixels. */
SCO_INLINE void data_tile(const size_t tile, const float *d, size_t row, float *v, size_t stride)
{
    lanes half[6][6];
    SCO_UNROLL
    for (size_t j = 0; j < tile + 2; j++) {
        lanes column[6], transformed[6];
        SCO_UNROLL
        for (size_t i = 0; i < tile + 2; i++)
            column[i] = lanes_load(d + i * row + j * BLOCK);
        data_1d(tile, column, transformed);
        SCO_UNROLL
        for (size_t i = 0; i < tile + 2; i++)
            half[i][j] = transformed[i];
    }
    SCO_UNROLL
    for (size_t i = 0; i < tile + 2; i++) {
        lanes transformed[6];
        data_1d(tile, half[i], transformed);
        SCO_UNROLL
        for (size_t j = 0; j < tile + 2; j++)
            lanes_store(v + (i * (tile + 2) + j) * stride, transformed[j]);
    }
}

/* The part of a tile that lies inside the image, zero around it. */
static void gather_edge(const struct winograd *w, const float *plane, ptrdiff_t top, ptrdiff_t left, float *d)
{
    const size_t side = w->tile + 2;
    for (size_t i = 0; i < side; i++)
        for (size_t j = 0; j < side; j++) {
            const size_t y = (size_t)(top + (ptrdiff_t)i), x = (size_t)(left + (ptrdiff_t)j);
            const bool inside = y < w->in_h && x < w->in_w; /* above and left wraps around */
            const float *from = inside ? plane + (y * w->in_w + x) * BLOCK : NULL;
            for (size_t k = 0; k < BLOCK; k += LANES)
                lanes_store(d + (i * side + j) * BLOCK + k, inside ? lanes_load(from + k) : lanes_set(0.0f));
        }
}

/* Tiles [first, last) of one block of channels; v points to the place of the first. */
SCO_INLINE void data_tiles(const size_t tile, const struct winograd *w, const float *in, size_t block, size_t first,
                           size_t last, float *v)
{
    const size_t side = tile + 2;
    float edge[6 * 6 * BLOCK];
    for (size_t t = first; t < last; t++, v += BLOCK) {
        const size_t n = t / (w->tiles_h * w->tiles_w), th = t / w->tiles_w % w->tiles_h, tw = t % w->tiles_w;
        const ptrdiff_t top = (ptrdiff_t)(th * tile) - w->pad_top, left = (ptrdiff_t)(tw * tile) - w->pad_left;
        const float *plane = in + n * w->in_image + block * w->in_h * w->in_w * BLOCK, *d = edge;
        size_t row = side * BLOCK;
        if (top >= 0 && left >= 0 && (size_t)top + side <= w->in_h && (size_t)left + side <= w->in_w) {
            d = plane + ((size_t)top * w->in_w + (size_t)left) * BLOCK;
            row = w->in_w * BLOCK;
        } else {
            gather_edge(w, plane, top, left, edge);
        }
        for (size_t k = 0; k < BLOCK; k += LANES)
            data_tile(tile, d + k, row, v + k, w->v_stride);
    }
}

static void transform_data(const struct winograd *w, const float *in, size_t block, size_t first, size_t last, float *v)
{
    if (w->tile == 4)
        data_tiles(4, w, in, block, first, last, v);
    else
        data_tiles(2, w, in, block, first, last, v);
}

/* rows tiles times one panel: v advances by v_block from one block of channels to the next. */
SCO_INLINE void multiply(const size_t rows, const size_t blocks, size_t in_blocks, const float *v, size_t v_block,
                         const float *u, float *m, size_t m_row)
{
    lanes sum[MOST_ROWS_NARROW][PANEL * WIDE];
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++)
        SCO_UNROLL
    for (size_t j = 0; j < blocks * WIDE; j++)
        sum[i][j] = lanes_set(0.0f);
    for (size_t block = 0; block < in_blocks; block++, v += v_block)
        for (size_t k = 0; k < BLOCK; k++, u += blocks * BLOCK) {
            lanes row[PANEL * WIDE];
            SCO_UNROLL
            for (size_t j = 0; j < blocks; j++)
                __builtin_prefetch((const void *)((uintptr_t)(u + j * BLOCK) + AHEAD_BYTES));
            SCO_UNROLL
            for (size_t j = 0; j < blocks * WIDE; j++)
                row[j] = lanes_load(u + j * LANES);
            SCO_UNROLL
            for (size_t i = 0; i < rows; i++) {
                const lanes x = lanes_set(v[i * BLOCK + k]);
                SCO_UNROLL
                for (size_t j = 0; j < blocks * WIDE; j++)
                    sum[i][j] = lanes_fma(x, row[j], sum[i][j]);
            }
        }
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++)
        SCO_UNROLL
    for (size_t j = 0; j < blocks * WIDE; j++)
        lanes_store(m + i * m_row + j * LANES, sum[i][j]);
}

typedef void multiply_fn(size_t in_blocks, const float *v, size_t v_block, const float *u, float *m, size_t m_row);
#define MULTIPLY(rows, blocks)                                                                                         \
    static void multiply_##rows##x##blocks(size_t in_blocks, const float *v, size_t v_block, const float *u, float *m, \
                                           size_t m_row)                                                               \
    {                                                                                                                  \
        multiply(rows, blocks, in_blocks, v, v_block, u, m, m_row);                                                    \
    }
#define EACH_SIX(M, blocks) M(1, blocks) M(2, blocks) M(3, blocks) M(4, blocks) M(5, blocks) M(6, blocks)
#define EACH_TWELVE(M, blocks)                                                                                         \
    EACH_SIX(M, blocks)                                                                                                \
    M(7, blocks) M(8, blocks) M(9, blocks) M(10, blocks) M(11, blocks) M(12, blocks)
#define MULTIPLY_NAME(rows, blocks) multiply_##rows##x##blocks,
#ifdef SCO_WINOGRAD_WIDE
EACH_TWELVE(MULTIPLY, 1)
EACH_TWELVE(MULTIPLY, 2)
EACH_SIX(MULTIPLY, 3)
EACH_SIX(MULTIPLY, 4)
static multiply_fn *const multiply_table[PANEL][MOST_ROWS_NARROW] = {{EACH_TWELVE(MULTIPLY_NAME, 1)},
                                                                     {EACH_TWELVE(MULTIPLY_NAME, 2)},
                                                                     {EACH_SIX(MULTIPLY_NAME, 3)},
                                                                     {EACH_SIX(MULTIPLY_NAME, 4)}};
#else
EACH_SIX(MULTIPLY, 1)
static multiply_fn *const multiply_table[PANEL][MOST_ROWS_NARROW] = {{EACH_SIX(MULTIPLY_NAME, 1)}};
#endif

static size_t panel_count(const struct winograd *w)
{
    return (w->out_blocks + PANEL - 1) / PANEL;
}

static size_t panel_blocks(const struct winograd *w, size_t panel)
{
    const size_t rest = w->out_blocks - panel * PANEL;
    return rest < PANEL ? rest : PANEL;
}

/* One element and one panel of count tiles. */
static void multiply_panel(const struct winograd *w, size_t element, size_t panel, size_t count, const float *v,
                           const float *u, float *m)
{
    const size_t blocks = panel_blocks(w, panel), most = blocks > 2 ? MOST_ROWS : MOST_ROWS_NARROW;
    const size_t m_row = w->out_blocks * BLOCK;
    v += element * w->v_stride;
    u += element * w->u_stride + panel * PANEL * BLOCK * w->in_blocks * BLOCK;
    m += element * w->m_stride + panel * PANEL * BLOCK;
    for (size_t t = 0; t < count;) {
        /* as even as possible: no short rest */
        const size_t rest = count - t, calls = (rest + most - 1) / most, rows = (rest + calls - 1) / calls;
        multiply_table[blocks - 1][rows - 1](w->in_blocks, v + t * BLOCK, w->room * BLOCK, u, m + t * m_row, m_row);
        t += rows;
    }
}

SCO_INLINE lanes finished(lanes y, lanes bias, const float *residual, const struct sco_conv2d_args *args)
{
    const lanes zero = lanes_set(0.0f);
    y = lanes_add(y, bias);
    if (residual != NULL)
        y = lanes_add(y, lanes_load(residual));
    if (args->activation == SCO_CONV2D_RELU)
        y = lanes_if_less(zero, y, y, zero);
    else if (args->activation == SCO_CONV2D_LEAKY_RELU)
        y = lanes_if_less(zero, y, y, lanes_mul(lanes_set(args->slope), y));
    return y;
}

/* The first rows and columns of one tile and one vector of channels into out. */
SCO_INLINE void output_tile(const size_t tile, const float *m, size_t stride, lanes bias, float *out,
                            const float *residual, size_t row, size_t rows, size_t columns,
                            const struct sco_conv2d_args *args)
{
    lanes half[4][6];
    SCO_UNROLL
    for (size_t j = 0; j < tile + 2; j++) {
        lanes column[6], transformed[4];
        SCO_UNROLL
        for (size_t i = 0; i < tile + 2; i++)
            column[i] = lanes_load(m + (i * (tile + 2) + j) * stride);
        output_1d(tile, column, transformed);
        SCO_UNROLL
        for (size_t i = 0; i < tile; i++)
            half[i][j] = transformed[i];
    }
    SCO_UNROLL
    for (size_t i = 0; i < tile; i++) {
        if (i >= rows)
            break;
        lanes y[4];
        output_1d(tile, half[i], y);
        SCO_UNROLL
        for (size_t j = 0; j < tile; j++) {
            const size_t at = i * row + j * BLOCK;
            if (j < columns)
                lanes_store(out + at, finished(y[j], bias, residual != NULL ? residual + at : NULL, args));
        }
    }
}

/* Tiles [first, last) of blocks [block, end); m points to the first tile's channel 0. */
SCO_INLINE void output_tiles(const size_t tile, const struct winograd *w, const struct sco_conv2d_args *args,
                             float *out, bool fused, size_t block, size_t end, size_t first, size_t last,
                             const float *m)
{
    const float *bias = fused ? args->bias : NULL, *residual = fused ? args->residual : NULL;
    const struct sco_conv2d_args plain = {.activation = SCO_CONV2D_LINEAR}, *last_step = fused ? args : &plain;
    for (size_t t = first; t < last; t++, m += w->out_blocks * BLOCK) {
        const size_t n = t / (w->tiles_h * w->tiles_w), th = t / w->tiles_w % w->tiles_h, tw = t % w->tiles_w;
        const size_t top = th * tile, left = tw * tile;
        const size_t rows = w->out_h - top < tile ? w->out_h - top : tile;
        const size_t columns = w->out_w - left < tile ? w->out_w - left : tile;
        for (size_t b = block; b < end; b++) {
            const size_t at = n * w->out_image + ((b * w->out_h + top) * w->out_w + left) * BLOCK;
            for (size_t k = 0; k < BLOCK; k += LANES) {
                const size_t channel = b * BLOCK + k;
                lanes add = lanes_set(0.0f);
                if (bias != NULL && channel < w->out_channels)
                    add = w->out_channels - channel >= LANES
                              ? lanes_load(bias + channel)
                              : lanes_load_first(bias + channel, w->out_channels - channel);
                output_tile(tile, m + channel, w->m_stride, add, out + at + k,
                            residual != NULL ? residual + at + k : NULL, w->out_w * BLOCK, rows, columns, last_step);
            }
        }
    }
}

static void transform_output(const struct winograd *w, enum sco_conv2d_direction direction,
                             const struct sco_conv2d_args *args, size_t block, size_t end, size_t first, size_t last,
                             const float *m)
{
    const bool fwd = direction == SCO_CONV2D_FWD;
    float *out = fwd ? args->dst : args->src;
    if (w->tile == 4)
        output_tiles(4, w, args, out, fwd, block, end, first, last, m);
    else
        output_tiles(2, w, args, out, fwd, block, end, first, last, m);
}

/* A task is a block of tiles, from in to out. Elements in the outer loop: a block's v[e] stays in L1 for all panels. */
static void run_blocks(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t phase,
                       size_t first, size_t last)
{
    const struct winograd w = winograd_of_plan(plan);
    const float *in = plan->direction == SCO_CONV2D_FWD ? args->src : args->dst;
    float *v = args->scratch, *m = v + w.elements * w.v_stride;
    (void)phase;
    for (size_t task = first; task < last; task++) {
        const size_t from = task * w.room, to = w.tiles - from < w.room ? w.tiles : from + w.room;
        for (size_t block = 0; block < w.in_blocks; block++)
            transform_data(&w, in, block, from, to, v + block * w.room * BLOCK);
        for (size_t element = 0; element < w.elements; element++)
            for (size_t panel = 0; panel < panel_count(&w); panel++)
                multiply_panel(&w, element, panel, to - from, v, args->wei, m);
        transform_output(&w, plan->direction, args, 0, w.out_blocks, from, to, m);
    }
}

/* For few tiles of many channels, where u is what has to be read: all of v, then all products, each part of u read once,
 * then all of out. */
static void run_phases(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t phase,
                       size_t first, size_t last)
{
    const struct winograd w = winograd_of_plan(plan);
    const float *in = plan->direction == SCO_CONV2D_FWD ? args->src : args->dst;
    float *v = args->workspace, *m = v + w.elements * w.v_stride;
    const size_t pieces = (w.tiles + TRANSFORM_TILES - 1) / TRANSFORM_TILES, panels = panel_count(&w);
    for (size_t task = first; task < last; task++) {
        if (phase == 1) {
            multiply_panel(&w, task / panels, task % panels, w.tiles, v, args->wei, m);
            continue;
        }
        const size_t block = task / pieces, from = task % pieces * TRANSFORM_TILES;
        const size_t to = w.tiles - from < TRANSFORM_TILES ? w.tiles : from + TRANSFORM_TILES;
        if (phase == 0)
            transform_data(&w, in, block, from, to, v + (block * w.room + from) * BLOCK);
        else
            transform_output(&w, plan->direction, args, block, block + 1, from, to, m + from * w.out_blocks * BLOCK);
    }
}

/* Block (in, out) of g as [tap][in channel][out channel], the taps in the order of a correlation of in. */
static void gather_filters(const struct sco_conv2d_plan *plan, const float *hwio, bool flip, size_t in, size_t out,
                           float g[9][BLOCK][BLOCK])
{
    const struct sco_conv2d_shape *s = &plan->shape;
    const bool fwd = plan->direction == SCO_CONV2D_FWD, turn = flip == fwd;
    const size_t first_row = in * BLOCK, first_column = out * BLOCK;
    const size_t all_rows = (fwd ? s->C : s->OC) - first_row, all_columns = (fwd ? s->OC : s->C) - first_column;
    const size_t rows = all_rows < BLOCK ? all_rows : BLOCK, columns = all_columns < BLOCK ? all_columns : BLOCK;
    const size_t row_stride = fwd ? s->OC : 1, column_stride = fwd ? 1 : s->OC;
    for (size_t tap = 0; tap < 9; tap++) {
        const float *from =
            hwio + (turn ? 8 - tap : tap) * s->C * s->OC + first_row * row_stride + first_column * column_stride;
        if (rows < BLOCK || columns < BLOCK)
            for (size_t i = 0; i < BLOCK; i++)
                for (size_t k = 0; k < BLOCK; k += LANES)
                    lanes_store(&g[tap][i][k], lanes_set(0.0f));
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < columns; j++)
                g[tap][i][j] = from[i * row_stride + j * column_stride];
    }
}

/* u = G g G^T for LANES out channels. */
SCO_INLINE void filter_tile(const size_t tile, const float *g, size_t tap_stride, float *u, size_t stride)
{
    lanes half[6][3];
    SCO_UNROLL
    for (size_t j = 0; j < 3; j++) {
        lanes column[3], transformed[6];
        SCO_UNROLL
        for (size_t i = 0; i < 3; i++)
            column[i] = lanes_load(g + (i * 3 + j) * tap_stride);
        filter_1d(tile, column, transformed);
        SCO_UNROLL
        for (size_t i = 0; i < tile + 2; i++)
            half[i][j] = transformed[i];
    }
    SCO_UNROLL
    for (size_t i = 0; i < tile + 2; i++) {
        lanes transformed[6];
        filter_1d(tile, half[i], transformed);
        SCO_UNROLL
        for (size_t j = 0; j < tile + 2; j++)
            lanes_store(u + (i * (tile + 2) + j) * stride, transformed[j]);
    }
}

/* A task is a block of in channels. A panel is finished row by row: u is large, and one stream of whole cache lines for
 * each element is what writes it fastest. */
static void pack_filters(const struct sco_conv2d_plan *plan, float *hwio, float *packed, bool flip, size_t first,
                         size_t last)
{
    const struct winograd w = winograd_of_plan(plan);
    float g[PANEL][9][BLOCK][BLOCK];
    for (size_t in = first; in < last; in++)
        for (size_t panel = 0; panel < panel_count(&w); panel++) {
            const size_t blocks = panel_blocks(&w, panel), width = blocks * BLOCK;
            float *u = packed + panel * PANEL * BLOCK * w.in_blocks * BLOCK + in * BLOCK * width;
            for (size_t b = 0; b < blocks; b++)
                gather_filters(plan, hwio, flip, in, panel * PANEL + b, g[b]);
            for (size_t i = 0; i < BLOCK; i++)
                for (size_t b = 0; b < blocks; b++)
                    for (size_t k = 0; k < BLOCK; k += LANES, u += LANES)
                        if (w.tile == 4)
                            filter_tile(4, &g[b][0][i][k], BLOCK * BLOCK, u, w.u_stride);
                        else
                            filter_tile(2, &g[b][0][i][k], BLOCK * BLOCK, u, w.u_stride);
        }
}

/* Tiles of a task: as many as v and m have room for in the cache, but enough that u, which a task reads once, costs less
 * to read than to multiply; then as even as the number of tasks allows. */
static size_t block_tiles(const struct winograd *w)
{
    enum { LARGE_BYTES = 16 * 1024 * 1024, LEAST = 24, LEAST_LARGE = 48 };
    const size_t least = w->elements * w->u_stride * sizeof(float) > LARGE_BYTES ? LEAST_LARGE : LEAST;
    const size_t fit = CACHE_BYTES / (w->elements * (w->in_blocks + w->out_blocks) * BLOCK * sizeof(float));
    const size_t most = fit > least ? fit : least, tasks = (w->tiles + most - 1) / most;
    const size_t even = (w->tiles + tasks - 1) / tasks;
    return (even + MOST_ROWS - 1) / MOST_ROWS * MOST_ROWS;
}

/* u of a size that every block of tiles would read from memory, v and m that mostly stay in a shared cache. */
static bool phases_are_better(const struct winograd *w)
{
    enum { LARGE_FILTERS = 16 * 1024 * 1024, SHARED_CACHE = 64 * 1024 * 1024 };
    return w->elements * w->u_stride * sizeof(float) > LARGE_FILTERS &&
           w->elements * (w->in_blocks + w->out_blocks) * w->tiles * BLOCK * sizeof(float) < SHARED_CACHE;
}

/* Candidates: 4x4 tiles as phases_are_better() says, 4x4 the other way, 2x2 likewise. */
static bool winograd_plan(const struct sco_conv2d_shape *s, enum sco_conv2d_direction direction, size_t candidate,
                          struct sco_conv2d_plan *plan)
{
    if (candidate > 3 || s->KH != 3 || s->KW != 3 || s->stride != 1 || s->C < BLOCK || s->OC < BLOCK || s->N == 0 ||
        s->H == 0 || s->W == 0 || sco_conv2d_oh(s) == 0 || sco_conv2d_ow(s) == 0)
        return false;
    const size_t tile = candidate < 2 ? 4 : 2;
    struct winograd w = winograd_of(s, direction, tile, 0);
    const bool phased = phases_are_better(&w) != (candidate % 2 == 1);
    const size_t block = block_tiles(&w);
    if (!phased)
        w = winograd_of(s, direction, tile, block);
    const size_t transformed_bytes = w.elements * (w.v_stride + w.m_stride) * sizeof(float);
    const size_t pieces = (w.tiles + TRANSFORM_TILES - 1) / TRANSFORM_TILES;
    *plan = (struct sco_conv2d_plan){
        .shape = *s,
        .direction = direction,
        .packed_count = w.elements * w.u_stride,
        .pack_tasks = w.in_blocks,
        .pack = pack_filters,
        .workspace_bytes = phased ? transformed_bytes : 0,
        .scratch_bytes = phased ? 0 : transformed_bytes,
        .phases = phased ? 3 : 1,
        .tasks = {(w.tiles + block - 1) / block},
        .run = phased ? run_phases : run_blocks,
        .error_k = amplification[tile] * (double)(w.in_blocks * BLOCK + 21),
        .own = {[OWN_TILE] = tile, [OWN_BLOCK_TILES] = block, [OWN_PHASED] = phased},
    };
    if (phased) {
        plan->tasks[0] = w.in_blocks * pieces;
        plan->tasks[1] = w.elements * panel_count(&w);
        plan->tasks[2] = w.out_blocks * pieces;
    }
    static const char names[2][2][sizeof plan->name] = {{"winograd 2x2 blocks", "winograd 2x2 phases"},
                                                        {"winograd 4x4 blocks", "winograd 4x4 phases"}};
    for (size_t i = 0; i < sizeof plan->name; i++)
        plan->name[i] = names[tile == 4][phased][i];
    return true;
}

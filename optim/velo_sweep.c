/* SPDX-License-Identifier: Apache-2.0
 * The sweeps over the tensors. A group of tensors goes through all phases before the next one starts, so that what one
 * sweep has read is still in cache for the next:
 *
 *   accumulate   square sums of g per row and column; R, C and the factors rho, gam made from them    4 B per element
 *   statistics   sums of squares of the features; normalisers folded into the first layer            20 B
 *   MLP          new p, m, v                                                                         44 B
 *
 * Each thread has the same part of the group in every phase. Blocks are walked in ascending order in all of them: to
 * begin a sweep of a tensor larger than the cache where the one before has ended was no faster. */
#include <math.h>
#include <string.h>

#include "kernels/finite/finite.h"
#include "optim/velo_optim.h"
#include "stepcost/clock.h"

enum { FEATURE_P = 2, FEATURE_R = 15, FEATURE_C = 18, FEATURE_INVERSE_R = 21, FEATURE_INVERSE_C = 24, FEATURE_MF = 27 };

void sco_velo_lap(struct velo *velo, size_t rank, enum velo_phase phase)
{
    if (rank != 0)
        return;
    const uint64_t now = sco_clock_ns();
    velo->phase_ns[phase] += now - velo->lap;
    velo->lap = now;
}

static enum velo_side side_of_r(const struct velo_shape *shape)
{
    return shape->axis[VELO_ROWS] == shape->r ? VELO_ROWS : VELO_COLS;
}

static size_t length(const struct velo_shape *shape, enum velo_side side)
{
    return side == VELO_ROWS ? shape->rows : shape->cols;
}

/* Partial vectors that the sum sweep leaves for a side: one per cut of the other side. */
static size_t parts(const struct velo_cut *cut, enum velo_side side)
{
    return side == VELO_ROWS ? cut->col_parts : cut->row_parts;
}

void sco_velo_tensor_make(struct velo_tensor *tensor, const struct sco_tensor *shape)
{
    *tensor = (struct velo_tensor){0};
    sco_velo_shape_make(&tensor->shape, shape);
    tensor->sum_cut = sco_velo_cut_make(&tensor->shape, VELO_SUM_SWEEP);
    tensor->cut = sco_velo_cut_make(&tensor->shape, VELO_ELEMENT_SWEEP);
    tensor->sum_block_count = sco_velo_cut_blocks(&tensor->shape, &tensor->sum_cut);
    tensor->block_count = sco_velo_cut_blocks(&tensor->shape, &tensor->cut);
    for (enum velo_side side = 0; side < VELO_SIDES; side++) {
        tensor->vector_cut[side] = sco_velo_vector_cut_make(&tensor->shape, side);
        tensor->item_count += sco_velo_vector_items(&tensor->shape, &tensor->vector_cut[side]);
    }
}

void sco_velo_tensor_carve(struct velo_tensor *tensor, struct velo_arena *part_arena, struct velo_arena *arena,
                           bool own_gradient)
{
    const struct velo_shape *shape = &tensor->shape;
    tensor->sums = sco_velo_take(arena, tensor->block_count * SCO_VELO_SUMS, sizeof(double));
    if (own_gradient)
        tensor->gradient = sco_velo_take(arena, shape->n, sizeof(float));
    if (!shape->factored)
        return;
    for (enum velo_side side = 0; side < VELO_SIDES; side++) {
        const size_t count = shape->batch * length(shape, side);
        tensor->square_part[side] = sco_velo_take(part_arena, count * parts(&tensor->sum_cut, side), sizeof(float));
        for (int k = 0; k < 3; k++)
            tensor->factor[side][k] = sco_velo_take(arena, count, sizeof(float));
    }
    const size_t r_parts = tensor->vector_cut[side_of_r(shape)].parts;
    tensor->a_sums = sco_velo_take(arena, shape->batch * r_parts * 3, sizeof(double));
    tensor->vector_sums = sco_velo_take(arena, tensor->item_count * 6, sizeof(double));
    tensor->row_hidden = sco_velo_take(arena, shape->batch * shape->rows * 4, sizeof(float));
    for (int j = 0; j < 4; j++)
        tensor->col_hidden[j] = sco_velo_take(arena, shape->batch * shape->cols, sizeof(float));
}

/* ---- Division of work ---- */

/* First of the units first .. end - 1 with at least the given work in front of it. */
static size_t unit_at(const size_t *work, size_t first, size_t end, size_t target)
{
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (work[middle] < target)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

/* A rank's share of units first .. end - 1, equal in work. */
static void share(const size_t *work, size_t first, size_t end, size_t rank, size_t size, size_t *begin, size_t *stop)
{
    const size_t total = work[end] - work[first];
    *begin = unit_at(work, first, end, work[first] + total / size * rank + total % size * rank / size);
    *stop = rank + 1 == size
                ? end
                : unit_at(work, first, end, work[first] + total / size * (rank + 1) + total % size * (rank + 1) / size);
}

/* ---- Blocks ---- */

enum { GATHER_AHEAD = 1024 }; /* elements to prefetch ahead: the runs are too short for the hardware's */
typedef float quad __attribute__((vector_size(16)));

/* One row of a block of interleaved panels: column j is a run of neighbouring elements, one of each panel; tile holds the
 * panels one after the other, area apart. */
static void gather_row(const float *restrict row, ptrdiff_t col_stride, size_t cols, size_t panels, size_t area,
                       float *restrict tile)
{
    size_t j = 0;
    for (; j + 4 <= cols; j += 4, row += 4 * col_stride) {
        for (ptrdiff_t line = 0; line < 4 * col_stride; line += 16)
            __builtin_prefetch((const char *)((uintptr_t)(row + line) + GATHER_AHEAD * sizeof *row));
        for (size_t q = 0; q < panels; q++) {
            const float *from = row + q;
            const quad x = {from[0], from[col_stride], from[2 * col_stride], from[3 * col_stride]};
            memcpy(tile + q * area + j, &x, sizeof x);
        }
    }
    for (; j < cols; j++, row += col_stride)
        for (size_t q = 0; q < panels; q++)
            tile[q * area + j] = row[q];
}

static void scatter_row(const float *restrict tile, size_t area, size_t cols, size_t panels, ptrdiff_t col_stride,
                        float *restrict row)
{
    size_t j = 0;
    for (; j + 4 <= cols; j += 4, row += 4 * col_stride)
        for (size_t q = 0; q < panels; q++) {
            quad x;
            memcpy(&x, tile + q * area + j, sizeof x);
            float *to = row + q;
            to[0] = x[0], to[col_stride] = x[1], to[2 * col_stride] = x[2], to[3 * col_stride] = x[3];
        }
    for (; j < cols; j++, row += col_stride)
        for (size_t q = 0; q < panels; q++)
            row[q] = tile[q * area + j];
}

/* Copies the interleaved panels of a block, rows x cols each, out of or into a tensor. */
static void gather(const struct velo_shape *shape, const struct velo_block *block, const float *tensor, float *tile)
{
    const size_t area = block->rows * block->cols;
    const float *row = tensor + sco_velo_panel_offset(shape, block->b) + block->row * (size_t)shape->row_stride +
                       block->col * (size_t)shape->col_stride;
    for (size_t i = 0; i < block->rows; i++, row += shape->row_stride, tile += block->cols)
        gather_row(row, shape->col_stride, block->cols, block->panels, area, tile);
}

static void scatter(const struct velo_shape *shape, const struct velo_block *block, const float *tile, float *tensor)
{
    const size_t area = block->rows * block->cols;
    float *row = tensor + sco_velo_panel_offset(shape, block->b) + block->row * (size_t)shape->row_stride +
                 block->col * (size_t)shape->col_stride;
    for (size_t i = 0; i < block->rows; i++, row += shape->row_stride, tile += block->cols)
        scatter_row(tile, area, block->cols, block->panels, shape->col_stride, row);
}

/* Where the q-th panel of a block starts in g and p, or in the tiles they were gathered into, and in the state planes. */
struct place {
    size_t element, state;
    ptrdiff_t stride;
};

static struct place locate(const struct velo_shape *shape, const struct velo_block *block, size_t q)
{
    if (shape->inner > 1) {
        const size_t tile = q * block->rows * block->cols;
        return (struct place){tile, block->offset + tile, (ptrdiff_t)block->cols};
    }
    const size_t at = sco_velo_panel_offset(shape, block->b + q) + block->row * (size_t)shape->row_stride + block->col;
    return (struct place){at, at, shape->row_stride};
}

static void sum_block(const struct velo *velo, const struct velo_block *block, float *tile)
{
    const struct velo_tensor *tensor = &velo->tensors[block->tensor];
    const struct velo_shape *shape = &tensor->shape;
    const struct velo_cut *cut = &tensor->sum_cut;
    const float *g = velo->g[block->tensor];
    if (shape->inner > 1) {
        gather(shape, block, g, tile);
        g = tile;
    }
    for (size_t q = 0; q < block->panels; q++) {
        const size_t b = block->b + q;
        const struct place place = locate(shape, block, q);
        float *rows =
            tensor->square_part[VELO_ROWS] + (b * cut->col_parts + block->col / cut->cols) * shape->rows + block->row;
        float *cols =
            tensor->square_part[VELO_COLS] + (b * cut->row_parts + block->row / cut->rows) * shape->cols + block->col;
        memset(cols, 0, block->cols * sizeof *cols);
        velo->ops->square_sums(block->rows, block->cols, place.stride, g + place.element, rows, cols);
    }
}

static struct sco_velo_slice slice_of(const struct velo *velo, const struct velo_block *block)
{
    const struct velo_tensor *tensor = &velo->tensors[block->tensor];
    const size_t at = block->col;
    struct sco_velo_slice slice = {
        .n = block->cols, .p = velo->p[block->tensor] + at, .v = tensor->v + at, .g = velo->g[block->tensor] + at};
    for (int k = 0; k < 3; k++) {
        slice.m[k] = tensor->m[k] + at;
        slice.d[k] = tensor->d[k] + at;
    }
    return slice;
}

static struct sco_velo_panel panel_of(const struct velo *velo, const struct velo_block *block, size_t q, float *p,
                                      const float *g)
{
    const struct velo_tensor *tensor = &velo->tensors[block->tensor];
    const struct velo_shape *shape = &tensor->shape;
    const struct place place = locate(shape, block, q);
    const size_t row = (block->b + q) * shape->rows + block->row, col = (block->b + q) * shape->cols + block->col;
    struct sco_velo_panel panel = {.rows = block->rows,
                                   .cols = block->cols,
                                   .stride = place.stride,
                                   .p = p + place.element,
                                   .v = tensor->v + place.state,
                                   .g = g + place.element,
                                   .row_hidden = tensor->row_hidden + row * 4};
    for (int k = 0; k < 3; k++) {
        panel.m[k] = tensor->m[k] + place.state;
        panel.row_factor[k] = tensor->factor[VELO_ROWS][k] + row;
        panel.col_factor[k] = tensor->factor[VELO_COLS][k] + col;
    }
    for (int j = 0; j < 4; j++)
        panel.col_hidden[j] = tensor->col_hidden[j] + col;
    return panel;
}

static void statistics_block(const struct velo *velo, const struct velo_block *block, double *sums, float *tile)
{
    const struct velo_tensor *tensor = &velo->tensors[block->tensor];
    if (!tensor->shape.factored) {
        const struct sco_velo_slice slice = slice_of(velo, block);
        velo->ops->statistics_diag(&slice, sums);
        return;
    }
    float *p = velo->p[block->tensor];
    const float *g = velo->g[block->tensor];
    if (tensor->shape.inner > 1) {
        gather(&tensor->shape, block, g, tile);
        g = p = tile; /* p is not read */
    }
    for (size_t q = 0; q < block->panels; q++) {
        const struct sco_velo_panel panel = panel_of(velo, block, q, p, g);
        double part[SCO_VELO_SUMS];
        velo->ops->statistics(&panel, q == 0 ? sums : part);
        for (size_t i = 0; q != 0 && i < SCO_VELO_SUMS; i++)
            sums[i] += part[i];
    }
}

static double mlp_block(const struct velo *velo, const struct velo_block *block, float *tile)
{
    const struct velo_tensor *tensor = &velo->tensors[block->tensor];
    if (!tensor->shape.factored) {
        const struct sco_velo_slice slice = slice_of(velo, block);
        return velo->ops->mlp_diag(&slice, &tensor->mlp);
    }
    float *p = velo->p[block->tensor];
    const float *g = velo->g[block->tensor];
    const bool interleaved = tensor->shape.inner > 1;
    if (interleaved) {
        gather(&tensor->shape, block, g, tile);
        gather(&tensor->shape, block, p, tile + velo->tile_floats);
        g = tile;
        p = tile + velo->tile_floats;
    }
    double squares = 0.0;
    for (size_t q = 0; q < block->panels; q++) {
        const struct sco_velo_panel panel = panel_of(velo, block, q, p, g);
        squares += velo->ops->mlp(&panel, &tensor->mlp);
    }
    if (interleaved)
        scatter(&tensor->shape, block, p, velo->p[block->tensor]);
    return squares;
}

/* ---- Vectors ---- */

/* Adds up count vectors of n entries, stride apart, in double. */
static const float *add_parts(const float *part, size_t count, size_t stride, size_t n, float *out)
{
    enum { WIDTH = 256 };
    if (count == 1)
        return part;
    for (size_t i = 0; i < n; i += WIDTH) {
        const size_t width = n - i < WIDTH ? n - i : WIDTH;
        double sum[WIDTH] = {0.0};
        for (size_t c = 0; c < count; c++)
            for (size_t j = 0; j < width; j++)
                sum[j] += (double)part[c * stride + i + j];
        for (size_t j = 0; j < width; j++)
            out[i + j] = (float)sum[j];
    }
    return out;
}

static void accumulate_item(const struct velo *velo, const struct velo_item *item, float *scratch)
{
    const struct velo_tensor *tensor = &velo->tensors[item->tensor];
    const struct velo_shape *shape = &tensor->shape;
    const enum velo_side side = item->side;
    const size_t n = length(shape, side), count = parts(&tensor->sum_cut, side);
    const struct velo_vector_cut *cut = &tensor->vector_cut[side];
    for (size_t b = item->b; b < item->b + item->panels; b++) {
        const float *part = tensor->square_part[side] + b * count * n + item->i;
        const float *squares = add_parts(part, count, n, item->n, scratch);
        float *a[3];
        for (int k = 0; k < 3; k++)
            a[k] = tensor->a[side][k] + b * n + item->i;
        double sum[3];
        velo->ops->accumulate(item->n, squares, (float)length(shape, !side), a, sum);
        if (side == side_of_r(shape))
            memcpy(tensor->a_sums + (b * cut->parts + item->i / cut->n) * 3, sum, sizeof sum);
    }
}

/* rho from R over its mean along r, gam from C as it is; sums of squares for the normalisers. */
static void factor_item(const struct velo *velo, const struct velo_item *item, double sums[6])
{
    const struct velo_tensor *tensor = &velo->tensors[item->tensor];
    const struct velo_shape *shape = &tensor->shape;
    const enum velo_side side = item->side;
    const size_t n = length(shape, side);
    const bool is_r = side == side_of_r(shape);
    memset(sums, 0, 6 * sizeof *sums);
    for (size_t b = item->b; b < item->b + item->panels; b++) {
        const float *a[3];
        float *factor[3], mean[3];
        for (int k = 0; k < 3; k++) {
            a[k] = tensor->a[side][k] + b * n + item->i;
            factor[k] = tensor->factor[side][k] + b * n + item->i;
        }
        for (int k = 0; is_r && k < 3; k++) {
            const size_t r_parts = tensor->vector_cut[side].parts;
            double sum = 0.0;
            for (size_t part = 0; part < r_parts; part++)
                sum += tensor->a_sums[(b * r_parts + part) * 3 + (size_t)k];
            mean[k] = (float)(sum / (double)n) + 1e-9f;
        }
        double square[3], reciprocal[3];
        velo->ops->factor(item->n, a, is_r ? mean : NULL, factor, square, reciprocal);
        for (int k = 0; k < 3; k++) {
            sums[k] += square[k];
            sums[3 + k] += reciprocal[k];
        }
    }
}

static void hidden_item(const struct velo *velo, const struct velo_item *item)
{
    const struct velo_tensor *tensor = &velo->tensors[item->tensor];
    const enum velo_side side = item->side;
    const size_t n = length(&tensor->shape, side), at = item->b * n + item->i;
    const size_t count = item->panels == 1 ? item->n : item->panels * n; /* several panels' vectors are one range */
    const float *const a[3] = {tensor->a[side][0] + at, tensor->a[side][1] + at, tensor->a[side][2] + at};
    if (side == VELO_ROWS) {
        velo->ops->hidden_rows(count, a, tensor->wa[side], tensor->wra[side], tensor->mlp.b0,
                               tensor->row_hidden + at * 4);
        return;
    }
    static const float none[4] = {0.0f};
    float *const hidden[4] = {tensor->col_hidden[0] + at, tensor->col_hidden[1] + at, tensor->col_hidden[2] + at,
                              tensor->col_hidden[3] + at};
    velo->ops->hidden_cols(count, a, tensor->wa[side], tensor->wra[side], none, hidden);
}

/* ---- Per tensor ---- */

/* Layer 0 of feature f, divided by the feature's root mean square. */
static void put_feature(const float *mlp, size_t f, double mean_square, float w[4])
{
    const double norm = 1.0 / sqrt(1e-5 + mean_square);
    for (size_t j = 0; j < 4; j++)
        w[j] = (float)((double)mlp[VELO_W0 + f * 4 + j] * norm);
}

static void fold_vectors(struct velo_tensor *tensor, const struct velo_item *items, const float *mlp)
{
    const struct velo_shape *shape = &tensor->shape;
    double sums[VELO_SIDES][6] = {{0.0}};
    for (size_t i = 0; i < tensor->item_count; i++)
        for (size_t k = 0; k < 6; k++)
            sums[items[i].side][k] += tensor->vector_sums[i * 6 + k];
    for (enum velo_side side = 0; side < VELO_SIDES; side++) {
        const double n = (double)(shape->batch * length(shape, side));
        const bool is_r = side == side_of_r(shape);
        for (size_t k = 0; k < 3; k++) {
            put_feature(mlp, (is_r ? FEATURE_R : FEATURE_C) + k, sums[side][k] / n, tensor->wa[side][k]);
            put_feature(mlp, (is_r ? FEATURE_INVERSE_R : FEATURE_INVERSE_C) + k, sums[side][3 + k] / n,
                        tensor->wra[side][k]);
        }
    }
}

/* Blocks 9 and 10 are the same feature of an unfactored tensor, and so are 11 and 12. */
static void fold_diagonal(struct velo_tensor *tensor, const double *sums, double n, const float *mlp)
{
    for (size_t k = 0; k < 3; k++) {
        float first[4], second[4];
        put_feature(mlp, FEATURE_R + k, sums[SCO_VELO_SUM_D + k] / n, first);
        put_feature(mlp, FEATURE_C + k, sums[SCO_VELO_SUM_D + k] / n, second);
        for (int j = 0; j < 4; j++)
            tensor->mlp.wd[k][j] = first[j] + second[j];
        put_feature(mlp, FEATURE_INVERSE_R + k, sums[SCO_VELO_SUM_RD + k] / n, first);
        put_feature(mlp, FEATURE_INVERSE_C + k, sums[SCO_VELO_SUM_RD + k] / n, second);
        for (int j = 0; j < 4; j++)
            tensor->mlp.wrd[k][j] = first[j] + second[j];
    }
}

/* The tensor's MLP with everything folded in, and the moments of m and v for the next step. */
static void fold_tensor(const struct velo *velo, size_t t)
{
    struct velo_tensor *tensor = &velo->tensors[t];
    const struct velo_network *network = &velo->network;
    const float *mlp = network->mlp + t * VELO_BANK_STRIDE;
    const double n = (double)tensor->shape.n;
    double *moments = velo->moments + t * VELO_MOMENTS, sums[SCO_VELO_SUMS] = {0.0};
    if (tensor->shape.n == 0)
        return;
    for (size_t block = 0; block < tensor->block_count; block++)
        for (size_t i = 0; i < SCO_VELO_SUMS; i++)
            sums[i] += tensor->sums[block * SCO_VELO_SUMS + i];

    const double p2 = moments[VELO_MOMENT_P2] / n;
    for (size_t i = 0; i < SCO_VELO_INPUTS; i++)
        put_feature(mlp, i < SCO_VELO_MF ? i : FEATURE_MF + i - SCO_VELO_MF, i == FEATURE_P ? p2 : sums[i] / n,
                    tensor->mlp.w0[i]);
    if (tensor->shape.factored)
        fold_vectors(tensor, velo->items + tensor->item, mlp);
    else
        fold_diagonal(tensor, sums, n, mlp);
    memcpy(tensor->mlp.b0, mlp + VELO_B0, sizeof tensor->mlp.b0);
    memcpy(tensor->mlp.w1, mlp + VELO_W1, sizeof tensor->mlp.w1);
    memcpy(tensor->mlp.b1, mlp + VELO_B1, sizeof tensor->mlp.b1);
    const double lr = (double)network->controls[t * network->control_stride + network->experts];
    const double scale[2] = {lr * sqrt(p2 + 1e-9) * 0.001, 0.001 * 1.4426950408889634};
    for (int c = 0; c < 2; c++) {
        for (int i = 0; i < 4; i++)
            tensor->mlp.w2[i][c] = (float)((double)mlp[VELO_W2 + i * 2 + c] * scale[c]);
        tensor->mlp.b2[c] = (float)((double)mlp[VELO_B2 + c] * scale[c]);
    }

    for (size_t k = 0; k < 3; k++) {
        moments[VELO_MOMENT_M + k] = sums[SCO_VELO_SUM_M + k];
        moments[VELO_MOMENT_M2 + k] = sums[SCO_VELO_M + k];
    }
    moments[VELO_MOMENT_V] = sums[SCO_VELO_SUM_V];
    moments[VELO_MOMENT_V2] = sums[SCO_VELO_V];
}

static void finish_tensor(const struct velo *velo, size_t t)
{
    const struct velo_tensor *tensor = &velo->tensors[t];
    double squares = 0.0;
    for (size_t block = 0; block < tensor->block_count; block++)
        squares += velo->squares[tensor->block + block];
    velo->moments[t * VELO_MOMENTS + VELO_MOMENT_P2] = squares;
}

void sco_velo_sweep_moments(const struct velo_tensor *tensor, double moments[VELO_MOMENTS])
{
    for (size_t k = 0; k < 4; k++) {
        const float *x = k < 3 ? tensor->m[k] : tensor->v;
        double sum = 0.0, squares = 0.0;
        for (size_t i = 0; i < tensor->shape.n; i++) {
            sum += (double)x[i];
            squares += (double)x[i] * (double)x[i];
        }
        moments[k < 3 ? VELO_MOMENT_M + k : VELO_MOMENT_V] = sum;
        moments[k < 3 ? VELO_MOMENT_M2 + k : VELO_MOMENT_V2] = squares;
    }
}

/* ---- Groups ---- */

static void finish_group(const struct velo *velo, const struct velo_group *group, size_t rank, size_t size)
{
    size_t begin, end;
    sco_team_block(group->end - group->first, rank, size, &begin, &end);
    for (size_t t = begin; t < end; t++)
        finish_tensor(velo, group->first + t);
}

static void factor_group(struct velo *velo, size_t first, size_t end, size_t rank, size_t size, float *scratch)
{
    size_t begin, stop;
    share(velo->item_work, first, end, rank, size, &begin, &stop);
    for (size_t i = begin; i < stop; i++)
        accumulate_item(velo, &velo->items[i], scratch);
    sco_optim_barrier(velo->optim, rank, size);
    for (size_t i = begin; i < stop; i++) {
        const struct velo_tensor *tensor = &velo->tensors[velo->items[i].tensor];
        factor_item(velo, &velo->items[i], tensor->vector_sums + (i - tensor->item) * 6);
    }
    sco_optim_barrier(velo->optim, rank, size);
}

static void fold_group(struct velo *velo, const struct velo_group *group, size_t first, size_t end, size_t rank,
                       size_t size)
{
    size_t begin, stop;
    sco_team_block(group->end - group->first, rank, size, &begin, &stop);
    for (size_t t = begin; t < stop; t++)
        fold_tensor(velo, group->first + t);
    sco_optim_barrier(velo->optim, rank, size);
    if (first == end)
        return;
    share(velo->item_work, first, end, rank, size, &begin, &stop);
    for (size_t i = begin; i < stop; i++)
        hidden_item(velo, &velo->items[i]);
    sco_optim_barrier(velo->optim, rank, size);
}

/* The gradient that the sweeps read: clipped, with weight decay, averaged over calls; as far as each applies. */
static void own_gradient(const struct velo *velo, size_t t, size_t rank, size_t size)
{
    const struct velo_tensor *tensor = &velo->tensors[t];
    const float scale = velo->optim->gscale, decay = (float)velo->optim->config.weight_decay;
    const float calls = (float)velo->accumulate;
    const float *g = velo->caller_g[t], *p = velo->p[t];
    float *sum = tensor->gradient_sum, *out = tensor->gradient;
    size_t begin, end;
    sco_team_block(sco_chunks(tensor->shape.n), rank, size, &begin, &end);
    begin *= SCO_CHUNK;
    end = end * SCO_CHUNK < tensor->shape.n ? end * SCO_CHUNK : tensor->shape.n;
    for (size_t i = begin; i < end; i++) {
        const float x = decay != 0.0f ? scale * g[i] + decay * p[i] : scale * g[i];
        if (sum == NULL) {
            out[i] = x;
        } else if (velo->inner) {
            out[i] = (sum[i] + x) / calls;
            sum[i] = 0.0f;
        } else {
            sum[i] += x;
        }
    }
}

void sco_velo_sweep_run(struct velo *velo, const struct velo_group *groups, size_t count, size_t rank, size_t size)
{
    float *tile = velo->tiles + rank * 2 * velo->tile_floats;
    for (size_t g = 0; g < count; g++) {
        const struct velo_group *group = &groups[g];
        const struct velo_tensor *head = &velo->tensors[group->first], *last = &velo->tensors[group->end - 1];
        const size_t item_end = last->item + last->item_count;
        size_t begin, end;
        if (velo->own_gradient) {
            /* the workspace may still be in use by the MLP sweep of the group before */
            sco_optim_barrier(velo->optim, rank, size);
            for (size_t t = group->first; t < group->end; t++)
                own_gradient(velo, t, rank, size);
            sco_optim_barrier(velo->optim, rank, size);
            sco_velo_lap(velo, rank, VELO_ACCUMULATE);
            if (!velo->inner)
                continue;
        }
        share(velo->sum_block_work, head->sum_block, last->sum_block + last->sum_block_count, rank, size, &begin, &end);
        for (size_t i = begin; i < end; i++)
            sum_block(velo, &velo->sum_blocks[i], tile);
        sco_optim_barrier(velo->optim, rank, size);
        /* The MLP sweep of the group before shares its last barrier with the sums of this one. */
        if (g != 0)
            finish_group(velo, group - 1, rank, size);
        if (head->item != item_end)
            factor_group(velo, head->item, item_end, rank, size, tile);
        sco_velo_lap(velo, rank, VELO_ACCUMULATE);

        share(velo->block_work, head->block, last->block + last->block_count, rank, size, &begin, &end);
        for (size_t i = begin; i < end; i++) {
            const struct velo_tensor *tensor = &velo->tensors[velo->blocks[i].tensor];
            statistics_block(velo, &velo->blocks[i], tensor->sums + (i - tensor->block) * SCO_VELO_SUMS, tile);
        }
        sco_optim_barrier(velo->optim, rank, size);
        fold_group(velo, group, head->item, item_end, rank, size);
        sco_velo_lap(velo, rank, VELO_STATISTICS);

        for (size_t i = begin; i < end; i++)
            velo->squares[i] = mlp_block(velo, &velo->blocks[i], tile);
        sco_velo_lap(velo, rank, VELO_MLP);
    }
    sco_optim_barrier(velo->optim, rank, size);
    if (count == 0 || !velo->inner)
        return;
    finish_group(velo, &groups[count - 1], rank, size);
    sco_velo_lap(velo, rank, VELO_MLP);
}

void sco_velo_sweep_parameters(struct velo *velo, size_t rank, size_t size)
{
    const struct velo_group all = {0, velo->count};
    size_t begin, end;
    if (velo->count == 0)
        return;
    const struct velo_tensor *last = &velo->tensors[velo->count - 1];
    share(velo->block_work, 0, last->block + last->block_count, rank, size, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t t = velo->blocks[i].tensor;
        const struct velo_tensor *tensor = &velo->tensors[t];
        size_t from, to; /* as many flat slices as blocks */
        sco_team_block(tensor->shape.n, i - tensor->block, tensor->block_count, &from, &to);
        velo->squares[i] = velo->optim->finite->square_sum(to - from, velo->p[t] + from);
    }
    sco_optim_barrier(velo->optim, rank, size);
    finish_group(velo, &all, rank, size);
}

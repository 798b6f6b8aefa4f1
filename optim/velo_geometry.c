/* SPDX-License-Identifier: Apache-2.0
 * Panels, blocks and vector items of a tensor: from its shape alone, so that sums over them are the same whatever the
 * machine and the team. */
#include "optim/velo_optim.h"

/* Elements of a block. Every call starts streams that prefetchers must find again and folds 28 sums, which blocks of half
 * the size show; those of twice the size do not, and balance threads worse. Row sums need only g, and leave a vector of
 * column sums per block: larger blocks, fewer vectors to add up. */
enum { ELEMENTS = 32768, SUM_ELEMENTS = 131072 };

/* A tensor too small for that is cut into so many blocks, so that threads share it, of at least so many elements. */
enum { SMALL_BLOCKS = 8, LEAST_ELEMENTS = 2048 };

/* Rows of a block are a multiple of this where it does not hold all of a panel: kernels take rows in pairs. */
enum { ROW_UNIT = 4 };

/* Widest block. The seven column vectors of the MLP sweep (three factors, four hidden) are walked once per row, and come
 * from L2 as fast as they are used; streams broken after fewer columns cost more than what L1 would save. */
enum { WIDTH = 2048, SUM_WIDTH = 4096 };

/* Interleaved panels taken together: one cache line of them. */
enum { INTERLEAVE = 16 };

static size_t divide_up(size_t n, size_t by)
{
    return (n + by - 1) / by;
}

static size_t at_least_one(size_t n)
{
    return n != 0 ? n : 1;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* n in equal parts of at most limit entries, each a multiple of unit if there is more than one: the size of a part. */
static size_t equal_part(size_t n, size_t limit, size_t unit)
{
    if (n <= limit)
        return n;
    return divide_up(divide_up(n, divide_up(n, limit)), unit) * unit;
}

void sco_velo_shape_make(struct velo_shape *shape, const struct sco_tensor *tensor)
{
    *shape = (struct velo_shape){.n = sco_elements(tensor), .batch = 1, .rows = 1, .inner = 1, .col_stride = 1};
    for (size_t i = 0; i < tensor->rank; i++)
        shape->wide_axes += tensor->shape[i] > 1;
    if (tensor->rank < 2 || shape->n == 0) {
        shape->cols = shape->n;
        shape->row_stride = (ptrdiff_t)shape->n;
        return;
    }
    /* Stable sort by size: among equal axes the later one is the larger. */
    size_t c = 0, r = SIZE_MAX;
    for (size_t i = 1; i < tensor->rank; i++)
        if (tensor->shape[i] >= tensor->shape[c])
            c = i;
    for (size_t i = 0; i < tensor->rank; i++)
        if (i != c && (r == SIZE_MAX || tensor->shape[i] >= tensor->shape[r]))
            r = i;
    size_t stride[SCO_MAX_RANK], fast = 0;
    for (size_t i = tensor->rank, n = 1; i-- > 0; n *= tensor->shape[i]) {
        stride[i] = n;
        if (n == 1) /* the last axis longer than 1, or the first of all */
            fast = i;
    }
    const enum velo_side side_of_c = fast == r ? VELO_ROWS : VELO_COLS;
    shape->factored = true;
    shape->r = r;
    shape->c = c;
    shape->axis[side_of_c] = c;
    shape->axis[!side_of_c] = r;
    shape->rows = tensor->shape[shape->axis[VELO_ROWS]];
    shape->cols = tensor->shape[shape->axis[VELO_COLS]];
    shape->row_stride = (ptrdiff_t)stride[shape->axis[VELO_ROWS]];
    shape->col_stride = shape->cols > 1 ? (ptrdiff_t)stride[shape->axis[VELO_COLS]] : 1;
    if (fast != r && fast != c)
        shape->inner = stride[r > c ? r : c];
    for (size_t i = 0; i < tensor->rank; i++) {
        if (i == r || i == c)
            continue;
        shape->batch_axis[shape->batch_rank] = i;
        shape->batch_size[shape->batch_rank] = tensor->shape[i];
        shape->batch_stride[shape->batch_rank++] = stride[i];
        shape->batch *= tensor->shape[i];
    }
}

size_t sco_velo_panel_offset(const struct velo_shape *shape, size_t b)
{
    size_t offset = 0;
    for (size_t i = shape->batch_rank; i-- > 0; b /= shape->batch_size[i])
        offset += b % shape->batch_size[i] * shape->batch_stride[i];
    return offset;
}

size_t sco_velo_vector_index(const struct velo_shape *shape, const struct sco_tensor *tensor, enum velo_side side,
                             size_t b, size_t i)
{
    size_t index[SCO_MAX_RANK] = {0};
    for (size_t k = shape->batch_rank; k-- > 0; b /= shape->batch_size[k])
        index[shape->batch_axis[k]] = b % shape->batch_size[k];
    index[shape->axis[side]] = i;
    size_t position = 0;
    for (size_t k = 0; k < tensor->rank; k++)
        if (k != shape->axis[!side])
            position = position * tensor->shape[k] + index[k];
    return position;
}

static size_t block_elements(size_t n, size_t most)
{
    const size_t share = n / SMALL_BLOCKS;
    return share < LEAST_ELEMENTS ? LEAST_ELEMENTS : share < most ? share : most;
}

struct velo_cut sco_velo_cut_make(const struct velo_shape *shape, enum velo_sweep sweep)
{
    /* Gathering writes what the sweep reads, so an interleaved block has the size of the smaller kind in both sweeps. */
    const bool interleaved = shape->inner > 1, large = sweep == VELO_SUM_SWEEP && !interleaved;
    const size_t limit = block_elements(shape->n, large ? SUM_ELEMENTS : ELEMENTS);
    if (shape->n == 0 || (sweep == VELO_SUM_SWEEP && !shape->factored))
        return (struct velo_cut){.panels = 1, .rows = 1, .cols = 1};
    struct velo_cut cut = {.panels = 1};
    if (!shape->factored) {
        cut.rows = 1;
        cut.cols = equal_part(shape->cols, limit, 16);
    } else {
        if (interleaved)
            cut.panels = equal_part(shape->inner, INTERLEAVE, 1);
        const size_t fits = at_least_one(limit / (cut.panels * ROW_UNIT)), width = large ? SUM_WIDTH : WIDTH;
        cut.cols = equal_part(shape->cols, smaller(width, fits), 16);
        cut.rows = equal_part(shape->rows, at_least_one(limit / (cut.cols * cut.panels)), ROW_UNIT);
        if (!interleaved && cut.rows == shape->rows && cut.cols == shape->cols)
            cut.panels = at_least_one(limit / (cut.rows * cut.cols));
    }
    cut.row_parts = divide_up(shape->rows, cut.rows);
    cut.col_parts = divide_up(shape->cols, cut.cols);
    return cut;
}

size_t sco_velo_cut_blocks(const struct velo_shape *shape, const struct velo_cut *cut)
{
    const size_t runs = shape->inner > 1 ? shape->batch / shape->inner * divide_up(shape->inner, cut->panels)
                                         : divide_up(shape->batch, cut->panels);
    return runs * cut->row_parts * cut->col_parts;
}

void sco_velo_cut_list(const struct velo_shape *shape, const struct velo_cut *cut, size_t tensor,
                       struct velo_block *block)
{
    if (cut->row_parts * cut->col_parts == 0)
        return;
    size_t offset = 0;
    for (size_t b = 0, panels; b < shape->batch; b += panels) {
        /* interleaved panels of one block are neighbours: b .. b + panels - 1 within one run of inner */
        panels = smaller(cut->panels, shape->inner > 1 ? shape->inner - b % shape->inner : shape->batch - b);
        for (size_t row = 0; row < shape->rows; row += cut->rows)
            for (size_t col = 0; col < shape->cols; col += cut->cols) {
                *block = (struct velo_block){tensor,
                                             b,
                                             panels,
                                             row,
                                             smaller(cut->rows, shape->rows - row),
                                             col,
                                             smaller(cut->cols, shape->cols - col),
                                             offset};
                offset += panels * block->rows * block->cols;
                block++;
            }
    }
}

struct velo_vector_cut sco_velo_vector_cut_make(const struct velo_shape *shape, enum velo_side side)
{
    if (!shape->factored)
        return (struct velo_vector_cut){.panels = 1, .n = 1};
    const size_t n = side == VELO_ROWS ? shape->rows : shape->cols;
    struct velo_vector_cut cut = {.panels = 1, .n = equal_part(n, VELO_VECTOR_MAX, 16)};
    cut.parts = divide_up(n, cut.n);
    if (cut.parts == 1)
        cut.panels = smaller(shape->batch, at_least_one(VELO_VECTOR_MAX / n));
    return cut;
}

size_t sco_velo_vector_items(const struct velo_shape *shape, const struct velo_vector_cut *cut)
{
    return divide_up(shape->batch, cut->panels) * cut->parts;
}

void sco_velo_vector_list(const struct velo_shape *shape, const struct velo_vector_cut *cut, size_t tensor,
                          enum velo_side side, struct velo_item *item)
{
    if (cut->parts == 0)
        return;
    const size_t n = side == VELO_ROWS ? shape->rows : shape->cols;
    for (size_t b = 0; b < shape->batch; b += cut->panels)
        for (size_t i = 0; i < n; i += cut->n)
            *item++ =
                (struct velo_item){tensor, side, b, smaller(cut->panels, shape->batch - b), i, smaller(cut->n, n - i)};
}

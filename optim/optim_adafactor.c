/* SPDX-License-Identifier: Apache-2.0
 * Adafactor over a list of tensors, in the definitions of optax and of AlgoPerf.
 *
 * A tensor is a batch of panels, spanned by its two factored axes; an unfactored one is a single row. Panels are cut
 * into blocks of fixed size, whose partial sums are combined in index order: the same bits for any number of threads. A
 * group of tensors goes through the phases below, one barrier between two of them:
 *
 *   sums      of g^2 along rows and columns of every block; of p^2
 *   vectors   accumulate the row and column statistics, turn them into factors
 *   norm      sum of u^2 of every block; advances v of unfactored tensors
 *   apply     the step; with 8-bit momentum also the peaks of |m'|
 *   buckets   the new buckets from the peaks         (8-bit momentum of rank 1 and 2 only:
 *   quantize  m' to 8 bits                            from rank 3 on, the first axis is outside the panels and one
 *                                                     block holds all that share a bucket) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/adafactor/adafactor.h"
#include "kernels/finite/finite.h"
#include "optim/ctx.h"
#include "optim/optim.h"

/* Tensors whose p and g stay in cache from phase to phase. */
enum { GROUP_ELEMENTS = 1 << 18 };
/* A block: at most 4096 columns (16 KiB of column sums) by 1024 rows (the kernel's bound for column sums in float) and
 * about 65536 elements, so that the sums that it stores stay below a tenth of what it reads. */
enum { BLOCK_COLS = 4096, BLOCK_ROWS = 1024, BLOCK_ELEMENTS = 65536 };

/* How a tensor is walked, and where its state and scratch are. */
struct geometry {
    bool factored, int8;
    size_t n, batch, rows, cols;
    ptrdiff_t row_stride, col_stride; /* in the tensor; col_stride is 1 unless the last axis is a batch axis */
    bool rows_are_r;                  /* the row statistic is the normalised one, v_row */
    size_t block_rows, block_cols, row_blocks, col_blocks;
    size_t first_block; /* of the list */

    /* Batch axes, slowest first: size, and stride in the tensor, in the row and in the column statistic. */
    size_t batch_rank, batch_size[SCO_MAX_RANK];
    size_t batch_stride[SCO_MAX_RANK], batch_row_stride[SCO_MAX_RANK], batch_col_stride[SCO_MAX_RANK];
    size_t stat_row_stride, stat_col_stride; /* along the statistics themselves */

    /* State: NULL where there is none. */
    float *row_stat, *col_stat, *v, *ema, *m_scale;
    int8_t *q;

    /* Workspace offsets. */
    size_t row_sums;   /* double [batch][col_blocks][rows] */
    size_t col_sums;   /* float [batch][row_blocks][cols] */
    size_t totals;     /* double [batch][cols] */
    size_t gathered;   /* float [batch][max(rows, cols)], where a statistic is not contiguous */
    size_t row_factor; /* float [batch][rows] */
    size_t col_factor; /* float [batch][cols] */
    size_t peaks;      /* float: rank 1 [col_blocks]; rank 2 [row_blocks][cols]; rank >= 3 as m_scale */
    size_t stale;      /* float: buckets of the step before, rank 1 and 2 */
};

struct adafactor {
    struct sco_adafactor_ops ops;
    const struct sco_finite_ops *finite;
    struct geometry *geometry; /* [tensors] */
    size_t p_sums;             /* workspace: double per chunk of the list */
    size_t u_sums;             /* workspace: double per block of the list */
    float decay, mixing;
    double lr;
};

static void defaults(struct sco_optim_config *config)
{
    config->schedule.lr = 1e-3;
    config->adafactor_min_dim = 128;
}

/* ---- Geometry ---- */

/* The two axes that are factored: the last two in AlgoPerf's definition, the two longest in optax's, of equal ones the
 * later; c is the longest. */
static bool choose_axes(const struct sco_optim_config *config, const struct sco_tensor *tensor, size_t *r, size_t *c)
{
    if (tensor->rank < 2)
        return false;
    *r = tensor->rank - 2;
    *c = tensor->rank - 1;
    if (config->adafactor_algoperf)
        return true;
    *c = 0;
    for (size_t i = 1; i < tensor->rank; i++)
        if (tensor->shape[i] >= tensor->shape[*c])
            *c = i;
    *r = *c == 0;
    for (size_t i = *r + 1; i < tensor->rank; i++)
        if (i != *c && tensor->shape[i] >= tensor->shape[*r])
            *r = i;
    return tensor->shape[*r] >= config->adafactor_min_dim;
}

/* Stride of axis in the tensor from which axis without is left out (SIZE_MAX: none). */
static size_t stride_of(const struct sco_tensor *tensor, size_t axis, size_t without)
{
    size_t stride = 1;
    for (size_t i = axis + 1; i < tensor->rank; i++)
        stride *= i == without ? 1 : tensor->shape[i];
    return stride;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t blocks_of(size_t n, size_t block)
{
    return n / block + (n % block != 0);
}

static void measure(struct geometry *geometry, const struct sco_optim_config *config, const struct sco_tensor *tensor)
{
    *geometry = (struct geometry){.n = sco_elements(tensor), .batch = 1, .rows = 1};
    /* An empty tensor has no statistics: the product of its other axes need not fit size_t. */
    geometry->int8 = config->adafactor_algoperf && tensor->rank > 0 && geometry->n != 0;
    size_t r = 0, c = 0;
    geometry->factored = choose_axes(config, tensor, &r, &c) && geometry->n != 0;
    if (!geometry->factored) {
        geometry->cols = geometry->n;
        geometry->col_stride = 1;
        geometry->block_rows = 1;
        geometry->block_cols = BLOCK_ELEMENTS / 4;
    } else {
        /* Panel rows run along r unless r is the contiguous axis. */
        geometry->rows_are_r = stride_of(tensor, r, SIZE_MAX) != 1;
        const size_t row = geometry->rows_are_r ? r : c, col = geometry->rows_are_r ? c : r;
        geometry->rows = tensor->shape[row];
        geometry->cols = tensor->shape[col];
        geometry->row_stride = (ptrdiff_t)stride_of(tensor, row, SIZE_MAX);
        geometry->col_stride = (ptrdiff_t)stride_of(tensor, col, SIZE_MAX);
        geometry->stat_row_stride = stride_of(tensor, row, col);
        geometry->stat_col_stride = stride_of(tensor, col, row);
        for (size_t i = 0; i < tensor->rank; i++) {
            if (i == r || i == c)
                continue;
            const size_t k = geometry->batch_rank++;
            geometry->batch *= tensor->shape[i];
            geometry->batch_size[k] = tensor->shape[i];
            geometry->batch_stride[k] = stride_of(tensor, i, SIZE_MAX);
            geometry->batch_row_stride[k] = stride_of(tensor, i, col);
            geometry->batch_col_stride[k] = stride_of(tensor, i, row);
        }
        /* Columns that are not contiguous are panels of their own. */
        geometry->block_cols = geometry->col_stride == 1 ? smaller(geometry->cols, BLOCK_COLS) : 1;
        geometry->block_rows = smaller(BLOCK_ROWS, BLOCK_ELEMENTS / geometry->block_cols);
    }
    geometry->row_blocks = blocks_of(geometry->rows, geometry->block_rows);
    geometry->col_blocks = blocks_of(geometry->cols, geometry->block_cols);
}

static size_t block_count(const struct geometry *geometry)
{
    return geometry->batch * geometry->row_blocks * geometry->col_blocks;
}

static size_t bucket_count(const struct sco_tensor *tensor)
{
    size_t n = 1;
    for (size_t i = 1; i < tensor->rank; i++)
        n *= tensor->shape[i];
    return n;
}

/* Scratch of a tensor; the same calls in layout and in create. */
static void place_scratch(struct sco_layout *layout, struct geometry *geometry, const struct sco_tensor *tensor)
{
    const size_t batch = geometry->batch, rows = geometry->rows, cols = geometry->cols;
    if (geometry->factored) {
        const bool strided = geometry->stat_row_stride != 1 || geometry->stat_col_stride != 1;
        geometry->row_sums = sco_layout_scratch(layout, batch * geometry->col_blocks * rows, sizeof(double));
        geometry->col_sums = sco_layout_scratch(layout, batch * geometry->row_blocks * cols, sizeof(float));
        geometry->totals = sco_layout_scratch(layout, batch * cols, sizeof(double));
        geometry->gathered =
            sco_layout_scratch(layout, strided ? batch * (rows > cols ? rows : cols) : 0, sizeof(float));
        geometry->row_factor = sco_layout_scratch(layout, batch * rows, sizeof(float));
        geometry->col_factor = sco_layout_scratch(layout, batch * cols, sizeof(float));
    }
    if (geometry->int8) {
        const size_t buckets = bucket_count(tensor);
        const size_t peaks = tensor->rank == 1   ? geometry->col_blocks
                             : tensor->rank == 2 ? geometry->row_blocks * cols
                                                 : buckets;
        geometry->peaks = sco_layout_scratch(layout, peaks, sizeof(float));
        geometry->stale = sco_layout_scratch(layout, tensor->rank <= 2 ? buckets : 0, sizeof(float));
    }
}

static size_t without_axis(const struct sco_tensor *tensor, size_t axis)
{
    size_t n = 1;
    for (size_t i = 0; i < tensor->rank; i++)
        n *= i == axis ? 1 : tensor->shape[i];
    return n;
}

enum plane { ROW, COL, DIAG, MOMENT, SCALE, PLANES };
static const char *const optax_names[PLANES] = {"v_row", "v_col", "v", "ema", NULL};
static const char *const algoperf_names[PLANES] = {"vr", "vc", "v", "m", "m_scale"};

static void layout(struct sco_layout *layout, const struct sco_ctx *ctx, const struct sco_optim_config *config,
                   const struct sco_tensor_list *list)
{
    (void)ctx;
    const char *const *names = config->adafactor_algoperf ? algoperf_names : optax_names;
    size_t blocks = 0;
    for (enum plane plane = ROW; plane < PLANES; plane++)
        for (size_t t = 0; t < list->count; t++) {
            const struct sco_tensor *tensor = &list->tensors[t];
            struct geometry geometry;
            size_t r = 0, c = 0;
            measure(&geometry, config, tensor);
            choose_axes(config, tensor, &r, &c);
            blocks += plane == ROW ? block_count(&geometry) : 0;
            if (plane == ROW && geometry.factored)
                sco_layout_plane(layout, names[ROW], t, without_axis(tensor, c), sizeof(float));
            if (plane == COL && geometry.factored)
                sco_layout_plane(layout, names[COL], t, without_axis(tensor, r), sizeof(float));
            if (plane == DIAG && !geometry.factored)
                sco_layout_plane(layout, names[DIAG], t, geometry.n, sizeof(float));
            if (plane == MOMENT && (config->adafactor_algoperf || config->adafactor_momentum))
                sco_layout_plane(layout, names[MOMENT], t, geometry.n, geometry.int8 ? 1 : sizeof(float));
            if (plane == SCALE && geometry.int8)
                sco_layout_plane(layout, names[SCALE], t, bucket_count(tensor), sizeof(float));
        }
    sco_layout_scratch(layout, config->adafactor_algoperf ? 0 : sco_list_chunks(list), sizeof(double));
    sco_layout_scratch(layout, blocks, sizeof(double));
    for (size_t t = 0; t < list->count; t++) {
        struct geometry geometry;
        measure(&geometry, config, &list->tensors[t]);
        place_scratch(layout, &geometry, &list->tensors[t]);
    }
}

static enum sco_status create(struct sco_optim *optim)
{
    const struct sco_optim_config *config = &optim->config;
    const struct sco_tensor_list *list = &optim->list;
    const char *const *names = config->adafactor_algoperf ? algoperf_names : optax_names;
    const struct sco_adafactor_ops *ops = sco_ctx_ops(optim->ctx, &sco_adafactor_family);
    struct adafactor *adafactor = optim->data = calloc(1, sizeof *adafactor);
    if (adafactor == NULL)
        return sco_fail(SCO_NOMEM, "no memory for an optimizer");
    adafactor->ops = *ops;
    adafactor->finite = optim->finite;
    adafactor->geometry = calloc(list->count + 1, sizeof *adafactor->geometry);
    if (adafactor->geometry == NULL)
        return sco_fail(SCO_NOMEM, "no memory for an optimizer of %zu tensors", list->count);

    size_t blocks = 0;
    for (size_t t = 0; t < list->count; t++) {
        measure(&adafactor->geometry[t], config, &list->tensors[t]);
        adafactor->geometry[t].first_block = blocks;
        blocks += block_count(&adafactor->geometry[t]);
    }
    struct sco_layout scratch = {.workspace_bytes = optim->kind_scratch};
    adafactor->p_sums =
        sco_layout_scratch(&scratch, config->adafactor_algoperf ? 0 : sco_list_chunks(list), sizeof(double));
    adafactor->u_sums = sco_layout_scratch(&scratch, blocks, sizeof(double));
    for (size_t t = 0; t < list->count; t++)
        place_scratch(&scratch, &adafactor->geometry[t], &list->tensors[t]);

    for (size_t i = 0; i < optim->layout.plane_count; i++) {
        const struct sco_plane *plane = &optim->layout.planes[i];
        struct geometry *geometry = &adafactor->geometry[plane->tensor];
        void *memory = sco_optim_plane(optim, i);
        if (plane->name == names[ROW])
            *(geometry->rows_are_r ? &geometry->row_stat : &geometry->col_stat) = memory;
        else if (plane->name == names[COL])
            *(geometry->rows_are_r ? &geometry->col_stat : &geometry->row_stat) = memory;
        else if (plane->name == names[DIAG])
            geometry->v = memory;
        else if (plane->name == names[SCALE])
            geometry->m_scale = memory;
        else if (geometry->int8)
            geometry->q = memory;
        else
            geometry->ema = memory;
    }
    return SCO_OK;
}

static void destroy(struct sco_optim *optim)
{
    struct adafactor *adafactor = optim->data;
    if (adafactor != NULL)
        free(adafactor->geometry);
}

static enum sco_status prepare(struct sco_optim *optim, float loss)
{
    (void)loss;
    const struct sco_optim_config *config = &optim->config;
    struct adafactor *adafactor = optim->data;
    const double t = (double)optim->steps;
    const double decay =
        config->adafactor_algoperf ? 0.99 * (1 - pow(0.99, t)) / (1 - pow(0.99, t + 1)) : 1 - pow(t + 1, -0.8);
    adafactor->decay = (float)decay;
    adafactor->mixing = (float)(1 - decay);
    adafactor->lr = sco_schedule_lr(&config->schedule, optim->steps);
    return SCO_OK;
}

/* ---- Phases ---- */

struct block {
    size_t tensor, batch, row, rows, col, cols;
    size_t row_block, col_block;
    size_t index; /* in the list */
};

/* What a rank carries through the phases of a group. */
struct pass {
    const struct sco_work *work;
    struct sco_optim *optim;
    struct adafactor *adafactor;
    size_t first, end; /* tensors of the group */
    size_t rank, size;
    size_t coef_tensor; /* whose step the coefficients below are for; SIZE_MAX: nobody's */
    struct sco_adafactor_coef coef;
};

typedef void block_fn(struct pass *pass, const struct geometry *geometry, const struct block *block);

static const float *gradient(const struct pass *pass, size_t t)
{
    return pass->work->g[t - pass->work->first];
}

static float *parameters(const struct pass *pass, size_t t)
{
    return pass->work->p[t - pass->work->first];
}

/* Offset that a batch index has where its axes have these strides. */
static size_t batch_offset(const struct geometry *geometry, size_t batch, const size_t *stride)
{
    size_t offset = 0;
    for (size_t k = geometry->batch_rank; k-- > 0;) {
        offset += batch % geometry->batch_size[k] * stride[k];
        batch /= geometry->batch_size[k];
    }
    return offset;
}

static size_t block_offset(const struct geometry *geometry, const struct block *block)
{
    return batch_offset(geometry, block->batch, geometry->batch_stride) + block->row * (size_t)geometry->row_stride +
           block->col * (size_t)geometry->col_stride;
}

/* Calls visit for the rank's blocks of the group: a range of them in list order, of about equal elements. Where fold is
 * set, the panels of an 8-bit tensor of rank >= 3 that differ in the first axis alone count as one. */
static void walk(struct pass *pass, bool fold, block_fn *visit)
{
    size_t total = 0, before = 0;
    for (size_t t = pass->first; t < pass->end; t++)
        total += pass->optim->elements[t];
    for (size_t t = pass->first; t < pass->end; t++) {
        const struct geometry *geometry = &pass->adafactor->geometry[t];
        if (geometry->n == 0)
            continue;
        const size_t depth = fold && geometry->int8 && geometry->batch_rank > 0 ? geometry->batch_size[0] : 1;
        struct block block = {.tensor = t, .index = geometry->first_block};
        for (; block.batch < geometry->batch / depth; block.batch++)
            for (block.row_block = 0; block.row_block < geometry->row_blocks; block.row_block++)
                for (block.col_block = 0; block.col_block < geometry->col_blocks; block.col_block++, block.index++) {
                    block.row = block.row_block * geometry->block_rows;
                    block.col = block.col_block * geometry->block_cols;
                    block.rows = smaller(geometry->rows - block.row, geometry->block_rows);
                    block.cols = smaller(geometry->cols - block.col, geometry->block_cols);
                    const double owner = (double)before / (double)total * (double)pass->size;
                    before += block.rows * block.cols * depth;
                    if ((size_t)owner == pass->rank)
                        visit(pass, geometry, &block);
                }
    }
}

static struct sco_adafactor_panel panel_of(const struct pass *pass, const struct geometry *geometry,
                                           const struct block *block)
{
    const float *row_factor = sco_optim_scratch(pass->optim, geometry->row_factor);
    const float *col_factor = sco_optim_scratch(pass->optim, geometry->col_factor);
    return (struct sco_adafactor_panel){
        .rows = block->rows,
        .cols = block->cols,
        .stride = geometry->row_stride,
        .row_factor = row_factor + block->batch * geometry->rows + block->row,
        .col_factor = col_factor + block->batch * geometry->cols + block->col,
    };
}

static void sums_phase(struct pass *pass, const struct geometry *geometry, const struct block *block)
{
    if (!geometry->factored)
        return;
    double *row_sums = sco_optim_scratch(pass->optim, geometry->row_sums);
    float *col_sums = sco_optim_scratch(pass->optim, geometry->col_sums);
    row_sums += (block->batch * geometry->col_blocks + block->col_block) * geometry->rows + block->row;
    col_sums += (block->batch * geometry->row_blocks + block->row_block) * geometry->cols + block->col;
    memset(col_sums, 0, block->cols * sizeof *col_sums);
    pass->adafactor->ops.square_sums(block->rows, block->cols, geometry->row_stride,
                                     gradient(pass, block->tensor) + block_offset(geometry, block), row_sums, col_sums);
}

/* Sums of p^2 in the chunks of the list, for optax's parameter scale. */
static void parameter_sums(struct pass *pass)
{
    const struct sco_optim *optim = pass->optim;
    double *sums = sco_optim_scratch(optim, pass->adafactor->p_sums);
    const struct sco_share share = sco_group_share(optim, pass->first, pass->end, pass->rank, pass->size);
    for (size_t t = share.first; t < share.end; t++) {
        size_t begin = 0, end = 0;
        for (sco_share_range(optim, &share, t, &begin, &end); begin < end; begin += SCO_CHUNK)
            sums[optim->first_chunk[t] + begin / SCO_CHUNK] =
                pass->adafactor->finite->square_sum(smaller(end - begin, SCO_CHUNK), parameters(pass, t) + begin);
    }
}

/* Advances one statistic of a panel by its sums and writes its factor. */
static void advance_statistic(const struct pass *pass, float *stat, size_t stride, size_t n, const double *sums,
                              size_t summed, float *gathered, bool normalise, float gain, float *factor)
{
    const struct adafactor *adafactor = pass->adafactor;
    const float gscale = pass->optim->gscale;
    const struct sco_adafactor_decay decay = {adafactor->decay, adafactor->mixing,
                                              (float)((double)gscale * gscale / (double)summed), 1e-30f};
    float *a = stride == 1 ? stat : gathered;
    for (size_t i = 0; stride != 1 && i < n; i++)
        a[i] = stat[i * stride];
    const double sum = adafactor->ops.accumulate(n, a, sums, &decay);
    for (size_t i = 0; stride != 1 && i < n; i++)
        stat[i * stride] = a[i];
    adafactor->ops.factor(n, a, normalise ? (float)((double)n / sum) : 1, gain, factor);
}

static void panel_vectors(const struct pass *pass, const struct geometry *geometry, size_t batch)
{
    const size_t rows = geometry->rows, cols = geometry->cols;
    double *row_sums = sco_optim_scratch(pass->optim, geometry->row_sums);
    const float *col_sums = sco_optim_scratch(pass->optim, geometry->col_sums);
    double *totals = sco_optim_scratch(pass->optim, geometry->totals);
    float *gathered = sco_optim_scratch(pass->optim, geometry->gathered);
    float *row_factor = sco_optim_scratch(pass->optim, geometry->row_factor);
    float *col_factor = sco_optim_scratch(pass->optim, geometry->col_factor);
    row_sums += batch * geometry->col_blocks * rows;
    col_sums += batch * geometry->row_blocks * cols;
    totals += batch * cols;
    if (geometry->stat_row_stride != 1 || geometry->stat_col_stride != 1)
        gathered += batch * (rows > cols ? rows : cols);

    for (size_t k = 1; k < geometry->col_blocks; k++)
        for (size_t i = 0; i < rows; i++)
            row_sums[i] += row_sums[k * rows + i];
    for (size_t j = 0; j < cols; j++)
        totals[j] = (double)col_sums[j];
    for (size_t k = 1; k < geometry->row_blocks; k++)
        for (size_t j = 0; j < cols; j++)
            totals[j] += (double)col_sums[k * cols + j];

    float *row_stat = geometry->row_stat + batch_offset(geometry, batch, geometry->batch_row_stride);
    float *col_stat = geometry->col_stat + batch_offset(geometry, batch, geometry->batch_col_stride);
    advance_statistic(pass, row_stat, geometry->stat_row_stride, rows, row_sums, cols, gathered, geometry->rows_are_r,
                      pass->optim->gscale, row_factor + batch * rows);
    advance_statistic(pass, col_stat, geometry->stat_col_stride, cols, totals, rows, gathered, !geometry->rows_are_r, 1,
                      col_factor + batch * cols);
}

/* Panels are dealt out in turn: they differ little within a tensor, and most tensors have one. */
static void vectors_phase(struct pass *pass)
{
    size_t panel = 0;
    for (size_t t = pass->first; t < pass->end; t++) {
        const struct geometry *geometry = &pass->adafactor->geometry[t];
        if (!geometry->factored || geometry->n == 0)
            continue;
        for (size_t batch = 0; batch < geometry->batch; batch++)
            if (panel++ % pass->size == pass->rank)
                panel_vectors(pass, geometry, batch);
    }
}

static void norm_phase(struct pass *pass, const struct geometry *geometry, const struct block *block)
{
    const struct adafactor *adafactor = pass->adafactor;
    double *u_sums = sco_optim_scratch(pass->optim, adafactor->u_sums);
    const size_t offset = block_offset(geometry, block);
    const float *g = gradient(pass, block->tensor) + offset;
    if (geometry->factored) {
        const struct sco_adafactor_panel panel = panel_of(pass, geometry, block);
        u_sums[block->index] = adafactor->ops.update_square_sum(&panel, g);
    } else {
        const struct sco_adafactor_diag diag = {pass->optim->gscale, adafactor->decay, adafactor->mixing, 1e-30f};
        u_sums[block->index] = adafactor->ops.update_square_sum_diag(block->cols, geometry->v + offset, g, &diag);
    }
}

/* The coefficients of a tensor's step; a rank meets the blocks of a tensor in a row. */
static const struct sco_adafactor_coef *coefficients(struct pass *pass, size_t t)
{
    if (pass->coef_tensor == t)
        return &pass->coef;
    const struct sco_optim *optim = pass->optim;
    const struct sco_optim_config *config = &optim->config;
    const struct adafactor *adafactor = pass->adafactor;
    const struct geometry *geometry = &adafactor->geometry[t];
    const double *u_sums = sco_optim_scratch(optim, adafactor->u_sums);
    const double n = (double)geometry->n;

    double u = 0;
    for (size_t i = 0; i < block_count(geometry); i++)
        u += u_sums[geometry->first_block + i];
    const double rms = sqrt(u / n);
    double scale = adafactor->lr / (rms <= 1 ? 1 : rms); /* NaN stays NaN */
    if (!config->adafactor_algoperf) {
        const double *p_sums = sco_optim_scratch(optim, adafactor->p_sums);
        double p = 0;
        for (size_t c = optim->first_chunk[t]; c < optim->first_chunk[t + 1]; c++)
            p += p_sums[c];
        scale *= fmax(sqrt(p / n), 1e-3);
    }
    pass->coef_tensor = t;
    pass->coef = (struct sco_adafactor_coef){
        .gscale = optim->gscale,
        .scale = (float)scale,
        .b1 = (float)config->b1,
        .one_minus_b1 = (float)(1 - config->b1),
        .decay = (float)(config->adafactor_algoperf ? adafactor->lr * config->weight_decay : config->weight_decay),
    };
    return &pass->coef;
}

static struct sco_adafactor_int8 int8_of(const struct geometry *geometry, size_t offset, const float *bucket,
                                         ptrdiff_t bucket_stride)
{
    return (struct sco_adafactor_int8){geometry->q + offset, bucket, bucket_stride};
}

/* Rank >= 3: the panels along the first axis share buckets and are done together, so that their peaks are complete. */
static void apply_deep(struct pass *pass, const struct geometry *geometry, const struct block *block)
{
    const struct adafactor *adafactor = pass->adafactor;
    const struct sco_adafactor_coef *coef = coefficients(pass, block->tensor);
    const size_t cols = geometry->cols, depth = geometry->batch_size[0], panels = geometry->batch / depth;
    const size_t buckets = (block->batch * geometry->rows + block->row) * cols + block->col;
    float *scale = geometry->m_scale + buckets;
    float *peak = (float *)sco_optim_scratch(pass->optim, geometry->peaks) + buckets;
    for (size_t i = 0; i < block->rows; i++)
        memset(peak + i * cols, 0, block->cols * sizeof *peak);

    struct block part = *block;
    for (size_t k = 0; k < depth; k++) {
        part.batch = block->batch + k * panels;
        const size_t offset = block_offset(geometry, &part);
        const struct sco_adafactor_panel panel = panel_of(pass, geometry, &part);
        const struct sco_adafactor_int8 m = int8_of(geometry, offset, scale, (ptrdiff_t)cols);
        adafactor->ops.apply_int8(&panel, parameters(pass, block->tensor) + offset,
                                  gradient(pass, block->tensor) + offset, &m, peak, coef);
    }
    for (size_t i = 0; i < block->rows; i++)
        for (size_t j = 0; j < block->cols; j++)
            peak[i * cols + j] /= 127;
    for (size_t k = 0; k < depth; k++) {
        part.batch = block->batch + k * panels;
        const size_t offset = block_offset(geometry, &part);
        const struct sco_adafactor_panel panel = panel_of(pass, geometry, &part);
        const struct sco_adafactor_int8 m = int8_of(geometry, offset, scale, (ptrdiff_t)cols);
        adafactor->ops.quantize_int8(&panel, gradient(pass, block->tensor) + offset, &m, peak, coef);
    }
    for (size_t i = 0; i < block->rows; i++)
        memcpy(scale + i * cols, peak + i * cols, block->cols * sizeof *scale);
}

static void apply_phase(struct pass *pass, const struct geometry *geometry, const struct block *block)
{
    const struct sco_adafactor_ops *ops = &pass->adafactor->ops;
    if (geometry->int8 && geometry->batch_rank > 0) {
        apply_deep(pass, geometry, block);
        return;
    }
    const struct sco_adafactor_coef *coef = coefficients(pass, block->tensor);
    const size_t offset = block_offset(geometry, block);
    float *p = parameters(pass, block->tensor) + offset, *ema = geometry->ema == NULL ? NULL : geometry->ema + offset;
    const float *g = gradient(pass, block->tensor) + offset;
    float *peaks = sco_optim_scratch(pass->optim, geometry->peaks);
    if (geometry->factored) {
        const struct sco_adafactor_panel panel = panel_of(pass, geometry, block);
        if (geometry->int8) {
            const struct sco_adafactor_int8 m = int8_of(geometry, offset, geometry->m_scale + block->col, 0);
            float *peak = peaks + block->row_block * geometry->cols + block->col;
            memset(peak, 0, block->cols * sizeof *peak);
            ops->apply_int8(&panel, p, g, &m, peak, coef);
        } else {
            (ema == NULL ? ops->apply : ops->apply_momentum)(&panel, p, ema, g, coef);
        }
    } else if (geometry->int8) {
        peaks[block->col_block] = ops->apply_diag_int8(block->cols, p, geometry->v + offset, g, geometry->q + offset,
                                                       geometry->m_scale[0], 0, coef);
    } else {
        (ema == NULL ? ops->apply_diag : ops->apply_diag_momentum)(block->cols, p, ema, geometry->v + offset, g, coef);
    }
}

/* m_scale takes the new buckets; stale keeps the old ones for the quantization. A NaN stays. */
static void buckets_phase(const struct pass *pass)
{
    for (size_t t = pass->first; t < pass->end; t++) {
        const struct geometry *geometry = &pass->adafactor->geometry[t];
        if (!geometry->int8 || geometry->batch_rank > 0 || geometry->n == 0 || t % pass->size != pass->rank)
            continue;
        const size_t buckets = geometry->factored ? geometry->cols : 1;
        const size_t parts = geometry->factored ? geometry->row_blocks : geometry->col_blocks;
        const float *peaks = sco_optim_scratch(pass->optim, geometry->peaks);
        float *stale = sco_optim_scratch(pass->optim, geometry->stale);
        for (size_t j = 0; j < buckets; j++) {
            float peak = 0;
            for (size_t k = 0; k < parts; k++) {
                const float other = peaks[k * buckets + j];
                peak = isnan(other) || other > peak ? other : peak;
            }
            stale[j] = geometry->m_scale[j];
            geometry->m_scale[j] = peak / 127;
        }
    }
}

static void quantize_phase(struct pass *pass, const struct geometry *geometry, const struct block *block)
{
    if (!geometry->int8 || geometry->batch_rank > 0)
        return;
    const struct sco_adafactor_coef *coef = coefficients(pass, block->tensor);
    const size_t offset = block_offset(geometry, block);
    const float *g = gradient(pass, block->tensor) + offset;
    const float *stale = sco_optim_scratch(pass->optim, geometry->stale);
    if (geometry->factored) {
        const struct sco_adafactor_panel panel = panel_of(pass, geometry, block);
        const struct sco_adafactor_int8 m = int8_of(geometry, offset, stale + block->col, 0);
        pass->adafactor->ops.quantize_int8(&panel, g, &m, geometry->m_scale + block->col, coef);
    } else {
        pass->adafactor->ops.quantize_diag_int8(block->cols, geometry->v + offset, g, geometry->q + offset, stale[0],
                                                geometry->m_scale[0], coef);
    }
}

static void body(size_t rank, size_t size, void *argument)
{
    const struct sco_work *work = argument;
    struct sco_optim *optim = work->optim;
    const bool algoperf = optim->config.adafactor_algoperf;
    struct pass pass = {.work = work, .optim = optim, .adafactor = optim->data, .rank = rank, .size = size};
    for (pass.end = work->first; pass.end < work->first + work->count;) {
        pass.first = pass.end;
        pass.end = sco_work_group(work, pass.first, GROUP_ELEMENTS);
        pass.coef_tensor = SIZE_MAX;
        walk(&pass, false, sums_phase);
        if (!algoperf)
            parameter_sums(&pass);
        sco_optim_barrier(optim, rank, size);
        vectors_phase(&pass);
        sco_optim_barrier(optim, rank, size);
        walk(&pass, false, norm_phase);
        sco_optim_barrier(optim, rank, size);
        walk(&pass, true, apply_phase);
        if (algoperf) {
            sco_optim_barrier(optim, rank, size);
            buckets_phase(&pass);
            sco_optim_barrier(optim, rank, size);
            walk(&pass, false, quantize_phase);
        }
    }
}

static void apply(struct sco_optim *optim, size_t tensor, float *p, const float *g)
{
    struct sco_work work = {optim, tensor, 1, &p, &g};
    sco_optim_run(optim, optim->elements[tensor], body, &work);
}

static void step(struct sco_optim *optim, float *const *p, const float *const *g)
{
    struct sco_work work = {optim, 0, optim->list.count, p, g};
    sco_optim_run(optim, optim->total_elements, body, &work);
}

static int describe(const struct sco_optim *optim, char *text, size_t bytes)
{
    const struct sco_optim_config *config = &optim->config;
    if (config->adafactor_algoperf)
        return snprintf(text, bytes, "definition algoperf");
    return snprintf(text, bytes, "definition optax, min_dim %zu, momentum %d", config->adafactor_min_dim,
                    config->adafactor_momentum != 0);
}

/* kernels/adafactor/adafactor.h, the sweeps over elements; row and column vectors are not counted. */
static void cost(const struct sco_optim_config *config, const struct sco_tensor_list *list, double *bytes,
                 double *flops)
{
    *bytes = *flops = 0;
    for (size_t t = 0; t < list->count; t++) {
        struct geometry geometry;
        measure(&geometry, config, &list->tensors[t]);
        const double n = (double)geometry.n;
        if (config->adafactor_algoperf) {
            /* sums 4, norm 4, apply 13, quantize 6; unfactored: norm 12, apply 17, quantize 10 */
            *bytes += (geometry.factored ? 27 : 39) * n;
            *flops += (geometry.factored ? 4 + 4 + 13 + 10 : 9 + 14 + 11) * n;
        } else {
            /* p^2 4, sums 4, norm 4, apply 12; unfactored: p^2 4, norm 12, apply 16; momentum 8 more */
            *bytes += ((geometry.factored ? 24 : 32) + (config->adafactor_momentum ? 8 : 0)) * n;
            *flops += ((geometry.factored ? 2 + 4 + 4 + 7 : 2 + 9 + 8) + (config->adafactor_momentum ? 3 : 0)) * n;
        }
    }
}

const struct sco_optim_class sco_adafactor_class = {
    .group_elements = GROUP_ELEMENTS,
    .defaults = defaults,
    .layout = layout,
    .create = create,
    .destroy = destroy,
    .prepare = prepare,
    .apply = apply,
    .step = step,
    .describe = describe,
    .cost = cost,
};

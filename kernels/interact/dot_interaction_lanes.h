/* SPDX-License-Identifier: Apache-2.0
 * The loops of dot_interaction.c over the lanes of the row that includes this file. Both walk tiles whose accumulators
 * fill the registers: a sample is read from the first level a few times, and its products never leave the registers. */
#include "kernels/interact/dot_interaction.h"

enum {
    VIRTUAL_LANES = 16,
    PARTS = VIRTUAL_LANES / LANES, /* vectors of a product */
    TILE = LANES == 16 ? 4 : 2,    /* features a side of a tile of products */
    ROWS = 4,                      /* of a tile of gradients */
    COLUMNS = LANES == 8 ? 2 : 4   /* and its vectors */
};

SCO_INLINE lanes load(const float *x, size_t rest)
{
    return rest != 0 ? lanes_load_first(x, rest) : lanes_load(x);
}

/* Lanes first .. first + LANES - 1 of the last left columns; zero past the end. */
SCO_INLINE lanes load_part(const float *x, size_t first, size_t left)
{
    return left >= first + LANES ? lanes_load(x + first)
           : left > first        ? lanes_load_first(x + first, left - first)
                                 : lanes_set(0.0f);
}

SCO_INLINE void dot_columns(lanes sum[TILE][TILE][PARTS], const float *const a[TILE], const float *const b[TILE],
                            size_t c, size_t left)
{
    SCO_UNROLL
    for (size_t part = 0; part < PARTS; part++) {
        lanes row[TILE];
        SCO_UNROLL
        for (size_t i = 0; i < TILE; i++)
            row[i] = load_part(a[i] + c, part * LANES, left);
        SCO_UNROLL
        for (size_t j = 0; j < TILE; j++) {
            const lanes column = load_part(b[j] + c, part * LANES, left);
            SCO_UNROLL
            for (size_t i = 0; i < TILE; i++)
                sum[i][j][part] = lanes_fma(row[i], column, sum[i][j][part]);
        }
    }
}

/* Products of TILE features from i0 on with as many from j0 on; features past the last repeat it and are not stored. */
SCO_INLINE void dot_tile(size_t F, size_t dim, const float *x, size_t i0, size_t j0, float *triangle)
{
    const float *a[TILE], *b[TILE];
    lanes sum[TILE][TILE][PARTS];
    SCO_UNROLL
    for (size_t t = 0; t < TILE; t++) {
        a[t] = x + (i0 + t < F ? i0 + t : F - 1) * dim;
        b[t] = x + (j0 + t < F ? j0 + t : F - 1) * dim;
    }
    SCO_UNROLL
    for (size_t i = 0; i < TILE; i++)
        SCO_UNROLL
    for (size_t j = 0; j < TILE; j++)
        SCO_UNROLL
    for (size_t part = 0; part < PARTS; part++)
        sum[i][j][part] = lanes_set(0.0f);
    size_t c = 0;
    for (; dim - c >= VIRTUAL_LANES; c += VIRTUAL_LANES)
        dot_columns(sum, a, b, c, VIRTUAL_LANES);
    if (c < dim)
        dot_columns(sum, a, b, c, dim - c);
    SCO_UNROLL
    for (size_t i = 0; i < TILE; i++) {
        /* Row i of the triangle, shifted so that column j is its j-th element. */
        float *row = triangle + (i0 + i) * F - (i0 + i) * (i0 + i + 1) / 2;
        SCO_UNROLL
        for (size_t j = 0; j < TILE; j++)
            if (i0 + i <= j0 + j && j0 + j < F)
                row[j0 + j] = lanes_fold16(sum[i][j]);
    }
}

static void forward_f32(size_t samples, size_t F, size_t dim, const float *x, float *SCO_RESTRICT y)
{
    for (size_t s = 0; s < samples; s++, x += F * dim) {
        size_t c = 0;
        for (; dim - c >= LANES; c += LANES)
            lanes_store(y + c, lanes_load(x + c));
        if (c < dim)
            lanes_store_first(y + c, lanes_load_first(x + c, dim - c), dim - c);
        y += dim;
        for (size_t i = 0; i < F; i += TILE)
            for (size_t j = i; j < F; j += TILE)
                dot_tile(F, dim, x, i, j, y);
        y += sco_interaction_pairs(F);
    }
}

/* Gradients of rows features from i0 on, columns vectors from c on or the first rest lanes of one. */
SCO_INLINE void gradient_tile(size_t rows, size_t columns, size_t rest, size_t F, size_t dim, const float *x,
                              const float *bottom, const float *scratch, size_t i0, size_t c, float *dx)
{
    lanes sum[ROWS][COLUMNS];
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++)
        SCO_UNROLL
    for (size_t k = 0; k < columns; k++)
        sum[i][k] = i0 + i == 0 ? load(bottom + c + k * LANES, rest) : lanes_set(0.0f);
    for (size_t j = 0; j < F; j++) {
        lanes feature[COLUMNS];
        SCO_UNROLL
        for (size_t k = 0; k < columns; k++)
            feature[k] = load(x + j * dim + c + k * LANES, rest);
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++) {
            const lanes g = lanes_set(scratch[(i0 + i) * F + j]);
            SCO_UNROLL
            for (size_t k = 0; k < columns; k++)
                sum[i][k] = lanes_fma(g, feature[k], sum[i][k]);
        }
    }
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++)
        SCO_UNROLL
    for (size_t k = 0; k < columns; k++) {
        float *to = dx + (i0 + i) * dim + c + k * LANES;
        if (rest != 0)
            lanes_store_first(to, sum[i][k], rest);
        else
            lanes_store(to, sum[i][k]);
    }
}

SCO_INLINE void gradient_rows(size_t rows, size_t F, size_t dim, const float *x, const float *bottom,
                              const float *scratch, size_t i0, float *dx)
{
    size_t c = 0;
    for (; dim - c >= COLUMNS * LANES; c += COLUMNS * LANES)
        gradient_tile(rows, COLUMNS, 0, F, dim, x, bottom, scratch, i0, c, dx);
    for (; dim - c >= LANES; c += LANES)
        gradient_tile(rows, 1, 0, F, dim, x, bottom, scratch, i0, c, dx);
    if (c < dim)
        gradient_tile(rows, 1, dim - c, F, dim, x, bottom, scratch, i0, c, dx);
}

static void backward_f32(size_t samples, size_t F, size_t dim, const float *x, const float *gy,
                         float *SCO_RESTRICT scratch, float *SCO_RESTRICT dx)
{
    for (size_t s = 0; s < samples; s++, x += F * dim, dx += F * dim) {
        const float *bottom = gy;
        gy += dim;
        for (size_t i = 0; i < F; i++)
            for (size_t j = i; j < F; j++, gy++)
                scratch[i * F + j] = scratch[j * F + i] = i == j ? *gy + *gy : *gy;
        size_t i = 0;
        for (; F - i >= ROWS; i += ROWS)
            gradient_rows(ROWS, F, dim, x, bottom, scratch, i, dx);
        switch (F - i) {
        case 3: gradient_rows(3, F, dim, x, bottom, scratch, i, dx); break;
        case 2: gradient_rows(2, F, dim, x, bottom, scratch, i, dx); break;
        case 1: gradient_rows(1, F, dim, x, bottom, scratch, i, dx); break;
        default: break;
        }
    }
}

static inline void fill(struct sco_dot_interaction_ops *ops)
{
    ops->forward = forward_f32;
    ops->backward = backward_f32;
}

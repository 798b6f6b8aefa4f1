/* SPDX-License-Identifier: Apache-2.0
 * The loops of embedding_bag.c over the lanes of the row that includes this file. Random rows of a table larger than the
 * caches are bound by how many lines are under way: every row is asked for AHEAD_BYTES of rows early, and into the second
 * level, which keeps more misses in flight than the few buffers of the first that the loads themselves need. */
#include "kernels/embed/embedding_bag.h"

/* Rows are asked for in bursts: sums between them would leave the queue to memory half empty. */
enum { BURST = 16 };

enum { AHEAD_BYTES = 16384, AHEAD_LEAST = 4, AHEAD_MOST = 32, LINE_BYTES = 64 };

/* Vectors of a tile: accumulators that stay in registers beside a factor and a loaded vector. */
enum { TILE = LANES == 8 ? 8 : 128 / LANES > 16 ? 16 : 128 / LANES };

static inline size_t lookups_ahead(size_t dim)
{
    const size_t rows = AHEAD_BYTES / (dim * sizeof(float) + 1), least = AHEAD_LEAST, most = AHEAD_MOST;
    return rows < least ? least : rows > most ? most : rows;
}

/* The address may be that of no row: nothing is read. */
static inline void prefetch_row(const float *base, size_t row, size_t dim)
{
    const uintptr_t begin = (uintptr_t)base + row * dim * sizeof(float), end = begin + dim * sizeof(float);
    for (uintptr_t line = begin / LINE_BYTES * LINE_BYTES; line < end; line += LINE_BYTES)
        __builtin_prefetch((const void *)line, 0, 2);
}

/* ---- Forward ---------------------------------------------------------------------------------------------------- */

struct bags {
    const void *offset, *index; /* both int64_t where wide is set, otherwise int32_t */
    const float *weight;
    int mean;
    size_t dim;
    const float *table;
    int stream;
    size_t ahead, end; /* lookups to read rows ahead, and where the last bag of the call ends */
};

SCO_INLINE size_t element(const void *x, int wide, size_t at)
{
    return wide ? (size_t)((const int64_t *)x)[at] : (size_t)((const int32_t *)x)[at];
}

/* Columns j on of one bag: count vectors, or the first rest lanes of one. */
SCO_INLINE void bag_tile(const struct bags *a, int wide, size_t from, size_t to, size_t j, size_t count, size_t rest,
                         float *y)
{
    lanes sum[TILE];
    SCO_UNROLL
    for (size_t k = 0; k < count; k++)
        sum[k] = lanes_set(0.0f);
    for (size_t l = from; l < to; l++) {
        const float *row = a->table + element(a->index, wide, l) * a->dim + j;
        if (j == 0 && l % BURST == 0) /* the first tile asks for whole rows */
            for (size_t next = l + a->ahead; next < l + a->ahead + BURST && next < a->end; next++)
                prefetch_row(a->table, element(a->index, wide, next), a->dim);
        if (a->weight != NULL) {
            const lanes w = lanes_set(a->weight[l]);
            SCO_UNROLL
            for (size_t k = 0; k < count; k++)
                sum[k] = lanes_fma(w, rest != 0 ? lanes_load_first(row, rest) : lanes_load(row + k * LANES), sum[k]);
        } else {
            SCO_UNROLL
            for (size_t k = 0; k < count; k++)
                sum[k] = lanes_add(sum[k], rest != 0 ? lanes_load_first(row, rest) : lanes_load(row + k * LANES));
        }
    }
    if (a->mean && to > from) {
        const lanes lookups = lanes_set((float)(to - from));
        SCO_UNROLL
        for (size_t k = 0; k < count; k++)
            sum[k] = lanes_div(sum[k], lookups);
    }
    if (rest != 0) {
        lanes_store_first(y + j, sum[0], rest);
    } else if (a->stream && (uintptr_t)(y + j) % (LANES * sizeof(float)) == 0) {
        SCO_UNROLL
        for (size_t k = 0; k < count; k++)
            lanes_stream(y + j + k * LANES, sum[k]);
    } else {
        SCO_UNROLL
        for (size_t k = 0; k < count; k++)
            lanes_store(y + j + k * LANES, sum[k]);
    }
}

SCO_INLINE size_t forward(size_t bags, struct bags *a, int wide, size_t rows, float *y)
{
    const size_t origin = element(a->offset, wide, 0), dim = a->dim;
    a->end = element(a->offset, wide, bags);
    a->ahead = lookups_ahead(dim);
    for (size_t l = origin; l < a->end && l < origin + a->ahead + BURST; l++)
        prefetch_row(a->table, element(a->index, wide, l), dim);
    size_t from = origin;
    for (size_t b = 0; b < bags; b++, y += dim) {
        const size_t to = element(a->offset, wide, b + 1);
        for (size_t l = from; l < to; l++)
            if (element(a->index, wide, l) >= rows) { /* a negative index is a huge one */
                lanes_stream_end();
                return l - origin;
            }
        size_t j = 0;
        for (; dim - j >= TILE * LANES; j += TILE * LANES)
            bag_tile(a, wide, from, to, j, TILE, 0, y);
        for (; dim - j >= 4 * LANES; j += 4 * LANES)
            bag_tile(a, wide, from, to, j, 4, 0, y);
        for (; dim - j >= LANES; j += LANES)
            bag_tile(a, wide, from, to, j, 1, 0, y);
        if (j < dim)
            bag_tile(a, wide, from, to, j, 1, dim - j, y);
        from = to;
    }
    lanes_stream_end();
    return a->end - origin;
}

static size_t forward_i32(size_t bags, const int32_t *offset, const int32_t *index, const float *weight, int mean,
                          size_t rows, size_t dim, const float *table, int stream, float *SCO_RESTRICT y)
{
    struct bags a = {offset, index, weight, mean, dim, table, stream, 0, 0};
    return forward(bags, &a, 0, rows, y);
}

static size_t forward_i64(size_t bags, const int64_t *offset, const int64_t *index, const float *weight, int mean,
                          size_t rows, size_t dim, const float *table, int stream, float *SCO_RESTRICT y)
{
    struct bags a = {offset, index, weight, mean, dim, table, stream, 0, 0};
    return forward(bags, &a, 1, rows, y);
}

/* ---- Gradient sums and steps ------------------------------------------------------------------------------------- */

enum step { SUM, SGD, HEAVY_BALL, ADAM, ADAGRAD };

struct broadcast {
    lanes gscale, lr, b1, one_minus_b1, b2, one_minus_b2, cm, c2, eps;
};

static inline size_t bag_of(const struct sco_embedding_runs *runs, size_t key)
{
    const size_t source = runs->key[key].source;
    return runs->bag != NULL ? runs->bag[source] : source;
}

SCO_INLINE lanes load(const float *x, size_t rest)
{
    return rest != 0 ? lanes_load_first(x, rest) : lanes_load(x);
}

SCO_INLINE void store(float *to, lanes x, size_t rest)
{
    if (rest != 0)
        lanes_store_first(to, x, rest);
    else
        lanes_store(to, x);
}

/* Lanes past the end load zero, may divide zero by an eps of zero, and are not stored. */
SCO_INLINE void step_lanes(enum step step, lanes sum, size_t rest, float *p, float *m, float *v,
                           const struct broadcast *c)
{
    if (step == SUM) {
        store(p, sum, rest);
        return;
    }
    const lanes x = lanes_mul(c->gscale, sum);
    lanes direction = x;
    if (step == HEAVY_BALL) {
        direction = lanes_fma(c->b1, load(m, rest), x);
        store(m, direction, rest);
    } else if (step == ADAM) {
        const lanes mm = lanes_fma(c->b1, load(m, rest), lanes_mul(c->one_minus_b1, x));
        const lanes vv = lanes_fma(c->b2, load(v, rest), lanes_mul(lanes_mul(c->one_minus_b2, x), x));
        store(m, mm, rest);
        store(v, vv, rest);
        direction = lanes_div(lanes_mul(c->cm, mm), lanes_add(lanes_sqrt(lanes_mul(c->c2, vv)), c->eps));
    } else if (step == ADAGRAD) {
        const lanes vv = lanes_fma(x, x, load(v, rest));
        store(v, vv, rest);
        direction = lanes_div(x, lanes_add(lanes_sqrt(vv), c->eps));
    }
    store(p, lanes_fnma(c->lr, direction, load(p, rest)), rest);
}

/* Columns j on of one run: count vectors, or the first rest lanes of one. at: of the row in p, m and v. */
SCO_INLINE void run_tile(enum step step, const struct sco_embedding_runs *runs, size_t from, size_t to, size_t dim,
                         const float *g, size_t j, size_t count, size_t rest, size_t at, float *p, float *m, float *v,
                         const struct broadcast *c)
{
    lanes sum[TILE];
    SCO_UNROLL
    for (size_t k = 0; k < count; k++)
        sum[k] = lanes_set(0.0f);
    for (size_t i = from; i < to; i++) {
        const float *row = g + bag_of(runs, i) * dim + j;
        if (runs->factor != NULL) {
            const lanes w = lanes_set(runs->factor[runs->key[i].source]);
            SCO_UNROLL
            for (size_t k = 0; k < count; k++)
                sum[k] = lanes_fma(w, load(row + k * LANES, rest), sum[k]);
        } else {
            SCO_UNROLL
            for (size_t k = 0; k < count; k++)
                sum[k] = lanes_add(sum[k], load(row + k * LANES, rest));
        }
    }
    at += j;
    SCO_UNROLL
    for (size_t k = 0; k < count; k++) {
        const size_t lane = at + k * LANES;
        step_lanes(step, sum[k], rest, p + lane, step == HEAVY_BALL || step == ADAM ? m + lane : m,
                   step == ADAM || step == ADAGRAD ? v + lane : v, c);
    }
}

SCO_INLINE void prefetch_run(enum step step, const struct sco_embedding_runs *runs, size_t run, size_t dim, float *p,
                             float *m, float *v)
{
    const size_t row = runs->key[runs->begin[run]].row;
    prefetch_row(p, row, dim);
    if (step == HEAVY_BALL || step == ADAM)
        prefetch_row(m, row, dim);
    if (step == ADAM || step == ADAGRAD)
        prefetch_row(v, row, dim);
}

SCO_INLINE void run_steps(enum step step, const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim,
                          const float *g, float *p, float *m, float *v, const struct sco_embedding_coef *coef)
{
    const struct broadcast c = {lanes_set(coef->gscale),       lanes_set(coef->lr), lanes_set(coef->b1),
                                lanes_set(coef->one_minus_b1), lanes_set(coef->b2), lanes_set(coef->one_minus_b2),
                                lanes_set(coef->cm),           lanes_set(coef->c2), lanes_set(coef->eps)};
    const size_t ahead = lookups_ahead(dim), keys = runs->begin[runs->count];
    for (size_t r = first; r < last; r++) {
        const size_t from = runs->begin[r], to = runs->begin[r + 1];
        for (size_t i = from + ahead; i < to + ahead && i < keys; i++)
            prefetch_row(g, bag_of(runs, i), dim);
        if (step != SUM && r + ahead < runs->count)
            prefetch_run(step, runs, r + ahead, dim, p, m, v);
        const size_t at = step == SUM ? (r - first) * dim : runs->key[from].row * dim;
        size_t j = 0;
        for (; dim - j >= TILE * LANES; j += TILE * LANES)
            run_tile(step, runs, from, to, dim, g, j, TILE, 0, at, p, m, v, &c);
        for (; dim - j >= 4 * LANES; j += 4 * LANES)
            run_tile(step, runs, from, to, dim, g, j, 4, 0, at, p, m, v, &c);
        for (; dim - j >= LANES; j += LANES)
            run_tile(step, runs, from, to, dim, g, j, 1, 0, at, p, m, v, &c);
        if (j < dim)
            run_tile(step, runs, from, to, dim, g, j, 1, dim - j, at, p, m, v, &c);
    }
}

static void sum_f32(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim, const float *g,
                    float *SCO_RESTRICT sum)
{
    const struct sco_embedding_coef none = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    run_steps(SUM, runs, first, last, dim, g, sum, NULL, NULL, &none);
}

static void sgd_f32(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim, const float *g,
                    float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                    const struct sco_embedding_coef *coef)
{
    run_steps(SGD, runs, first, last, dim, g, p, m, v, coef);
}

static void heavy_ball_f32(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim, const float *g,
                           float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                           const struct sco_embedding_coef *coef)
{
    run_steps(HEAVY_BALL, runs, first, last, dim, g, p, m, v, coef);
}

static void adam_f32(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim, const float *g,
                     float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                     const struct sco_embedding_coef *coef)
{
    run_steps(ADAM, runs, first, last, dim, g, p, m, v, coef);
}

static void adagrad_f32(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim, const float *g,
                        float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                        const struct sco_embedding_coef *coef)
{
    run_steps(ADAGRAD, runs, first, last, dim, g, p, m, v, coef);
}

static inline void fill(struct sco_embedding_bag_ops *ops)
{
    ops->forward_i32 = forward_i32;
    ops->forward_i64 = forward_i64;
    ops->sum = sum_f32;
    ops->sgd = sgd_f32;
    ops->heavy_ball = heavy_ball_f32;
    ops->adam = adam_f32;
    ops->adagrad = adagrad_f32;
}

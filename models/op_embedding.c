/* SPDX-License-Identifier: Apache-2.0
 * Backward sorts the lookups of a batch by row and cuts the sorted list into runs of one row. A run also ends at every
 * multiple of CHUNK keys, so that a row with many lookups is summed by many threads: such a row's partial sums are
 * added up afterwards, in order. Everything below the sort works on ranges of runs. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "arch/fail.h"
#include "kernels/embed/embedding_bag.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/embedding.h"
#include "stepcost/memory.h"

enum {
    CHUNK = 512,
    SLICES = 256,      /* of equal cost: what the ranks share */
    SORT_BLOCK = 8192, /* keys that are counted and placed together, so long as there are at most MOST_BLOCKS */
    MOST_BLOCKS = 64,
    DIGIT_BITS = 11, /* counters of a digit fit the first level; 22 bits of rows take two passes */
    MOST_DIGITS = 1 << DIGIT_BITS,
    RUN_COST = 4, /* a run costs about as much as this many of its keys: its row comes from memory and returns */
    STREAM_BYTES = 4 << 20 /* an output of more bytes is written past the caches */
};

struct sco_embedding {
    struct sco_ctx *ctx;
    const struct sco_embedding_bag_ops *ops;
    struct sco_embedding_shape shape;
    size_t most_chunks;

    struct sco_embedding_key *key[2]; /* lookups each */
    uint32_t *bag;                    /* lookups */
    float *factor;                    /* lookups */
    uint32_t *digits;                 /* MOST_BLOCKS x MOST_DIGITS */
    uint32_t *begin;                  /* runs, at most lookups + 1 */
    uint32_t *chunk_runs;             /* first run of each chunk */
    uint32_t *chunk_rows;             /* distinct rows before each chunk's first new row */
    float *partial;                   /* 2 rows a chunk: its first run and its last */
    struct sco_embedding_key *split_key;
    uint32_t *split_begin;
    uint32_t *split_row; /* its place among the distinct rows */
};

/* ---- Create ------------------------------------------------------------------------------------------------------ */

static size_t chunks_of(size_t lookups)
{
    return lookups / CHUNK + (lookups % CHUNK != 0);
}

enum sco_status sco_embedding_bytes(const struct sco_embedding_shape *shape, size_t *bytes)
{
    if (shape->rows > UINT32_MAX || shape->bags > UINT32_MAX || shape->lookups > UINT32_MAX)
        return sco_fail(SCO_SHAPE, "embedding: %zu rows, %zu bags, %zu lookups; each may be at most %u", shape->rows,
                        shape->bags, shape->lookups, UINT32_MAX);
    if (shape->dim > SIZE_MAX / 16 / ((shape->rows > shape->bags ? shape->rows : shape->bags) + 1) ||
        shape->dim > SIZE_MAX / 64 / (chunks_of(shape->lookups) + 1))
        return sco_fail(SCO_SHAPE, "embedding: %zu rows of %zu floats do not fit an address space", shape->rows,
                        shape->dim);
    const size_t n = shape->lookups, chunks = chunks_of(n);
    *bytes = sizeof(struct sco_embedding) + 2 * n * sizeof(struct sco_embedding_key) + n * sizeof(uint32_t) +
             n * sizeof(float) + MOST_BLOCKS * MOST_DIGITS * sizeof(uint32_t) + (n + 1) * sizeof(uint32_t) +
             2 * (chunks + 1) * sizeof(uint32_t) + 2 * chunks * shape->dim * sizeof(float) +
             2 * chunks * sizeof(struct sco_embedding_key) + 2 * (chunks + 1) * sizeof(uint32_t);
    return SCO_OK;
}

void sco_embedding_destroy(struct sco_embedding *e)
{
    if (e == NULL)
        return;
    sco_free(e->key[0]);
    sco_free(e->key[1]);
    sco_free(e->bag);
    sco_free(e->factor);
    sco_free(e->digits);
    sco_free(e->begin);
    sco_free(e->chunk_runs);
    sco_free(e->chunk_rows);
    sco_free(e->partial);
    sco_free(e->split_key);
    sco_free(e->split_begin);
    sco_free(e->split_row);
    free(e);
}

enum sco_status sco_embedding_create(struct sco_embedding **embedding, struct sco_ctx *ctx,
                                     const struct sco_embedding_shape *shape)
{
    size_t bytes = 0;
    const enum sco_status status = sco_embedding_bytes(shape, &bytes);
    if (status != SCO_OK)
        return status;
    const size_t n = shape->lookups, chunks = chunks_of(n);
    struct sco_embedding *e = calloc(1, sizeof *e);
    if (e == NULL)
        return sco_fail(SCO_NOMEM, "embedding: no memory for %zu bytes of workspace", bytes);
    e->ctx = ctx;
    e->ops = sco_ctx_ops(ctx, &sco_embedding_bag_family);
    e->shape = *shape;
    e->key[0] = sco_alloc(n * sizeof *e->key[0]);
    e->key[1] = sco_alloc(n * sizeof *e->key[1]);
    e->bag = sco_alloc(n * sizeof *e->bag);
    e->factor = sco_alloc(n * sizeof *e->factor);
    e->digits = sco_alloc(MOST_BLOCKS * MOST_DIGITS * sizeof *e->digits);
    e->begin = sco_alloc((n + 1) * sizeof *e->begin);
    e->chunk_runs = sco_alloc((chunks + 1) * sizeof *e->chunk_runs);
    e->chunk_rows = sco_alloc((chunks + 1) * sizeof *e->chunk_rows);
    e->partial = sco_alloc(2 * chunks * shape->dim * sizeof *e->partial);
    e->split_key = sco_alloc(2 * chunks * sizeof *e->split_key);
    e->split_begin = sco_alloc((chunks + 1) * sizeof *e->split_begin);
    e->split_row = sco_alloc((chunks + 1) * sizeof *e->split_row);
    if (e->key[0] == NULL || e->key[1] == NULL || e->bag == NULL || e->factor == NULL || e->digits == NULL ||
        e->begin == NULL || e->chunk_runs == NULL || e->chunk_rows == NULL || e->partial == NULL ||
        e->split_key == NULL || e->split_begin == NULL || e->split_row == NULL) {
        sco_embedding_destroy(e);
        return sco_fail(SCO_NOMEM, "embedding: no memory for %zu bytes of workspace", bytes);
    }
    *embedding = e;
    return SCO_OK;
}

/* ---- Batches ----------------------------------------------------------------------------------------------------- */

static size_t number(const void *x, int bits, size_t at)
{
    return bits == 64 ? (size_t)((const int64_t *)x)[at] : (size_t)((const int32_t *)x)[at];
}

static const void *advance(const void *x, int bits, size_t by)
{
    return (const char *)x + by * (bits == 64 ? sizeof(int64_t) : sizeof(int32_t));
}

static enum sco_status check_batch(const struct sco_embedding *e, const struct sco_embedding_batch *batch,
                                   size_t *lookups)
{
    if (batch->index_bits != 32 && batch->index_bits != 64)
        return sco_fail(SCO_INVALID, "embedding: indices of %d bits; possible: 32, 64", batch->index_bits);
    if (batch->mode != SCO_EMBEDDING_SUM && batch->mode != SCO_EMBEDDING_MEAN)
        return sco_fail(SCO_INVALID, "embedding: mode %d; possible: sum, mean", (int)batch->mode);
    if (batch->bags > e->shape.bags)
        return sco_fail(SCO_SHAPE, "embedding: %zu bags; created for at most %zu", batch->bags, e->shape.bags);
    if (batch->bags > 0 && number(batch->offset, batch->index_bits, 0) != 0)
        return sco_fail(SCO_SHAPE, "embedding: offset 0 is %lld; bags begin at 0",
                        (long long)number(batch->offset, batch->index_bits, 0));
    size_t end = 0;
    for (size_t b = 0; b < batch->bags; b++) {
        const size_t next = number(batch->offset, batch->index_bits, b + 1);
        if (next < end || next > e->shape.lookups)
            return sco_fail(SCO_SHAPE, "embedding: offset %zu is %lld after %zu; offsets ascend to at most %zu lookups",
                            b + 1, (long long)next, end, e->shape.lookups);
        end = next;
    }
    *lookups = end;
    return SCO_OK;
}

/* First of count ascending places whose cost, its value plus each times its number, reaches slice of the whole. */
static size_t slice_begin(size_t slice, size_t count, size_t each, const void *value, int bits)
{
    const size_t total = number(value, bits, count) + each * count;
    const size_t goal = (size_t)((double)total * (double)slice / SLICES);
    size_t low = 0, high = count;
    if (slice == SLICES)
        return count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (number(value, bits, middle) + each * middle < goal)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct job {
    struct sco_embedding *e;
    const struct sco_embedding_batch *batch;
    size_t n;           /* lookups */
    size_t bad[SLICES]; /* a slice's first bad lookup, or n */

    const float *table; /* forward */
    float *y;

    bool indirect; /* keys name lookups, whose bags and factors are stored */
    size_t blocks, block_keys;
    unsigned shift, bits, from;
    size_t chunks, rows;
    struct sco_embedding_runs runs, split;
    const float *gy;
    const struct sco_embedding_coef *coef;
    sco_embedding_step_fn *step; /* NULL: store the sums in p and the rows in row */
    float *p, *m, *v;
    uint32_t *row;
};

static enum sco_status index_refusal(const struct job *job)
{
    const struct sco_embedding_batch *batch = job->batch;
    for (size_t s = 0; s < SLICES; s++)
        if (job->bad[s] < job->n)
            return sco_fail(SCO_SHAPE, "embedding: index %lld of lookup %zu; the table has %zu rows",
                            batch->index_bits == 64 ? (long long)((const int64_t *)batch->index)[job->bad[s]]
                                                    : (long long)((const int32_t *)batch->index)[job->bad[s]],
                            job->bad[s], job->e->shape.rows);
    return SCO_OK;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* Bags of slices first .. last - 1, and what their lookups begin and end with. */
static void bags_of(const struct job *job, size_t first, size_t last, size_t *begin, size_t *end, size_t *origin)
{
    const struct sco_embedding_batch *batch = job->batch;
    *begin = slice_begin(first, batch->bags, 1, batch->offset, batch->index_bits);
    *end = slice_begin(last, batch->bags, 1, batch->offset, batch->index_bits);
    *origin = number(batch->offset, batch->index_bits, *begin);
}

static void note_bad(struct job *job, size_t slice, size_t origin, size_t end_bag, size_t done)
{
    const size_t end = number(job->batch->offset, job->batch->index_bits, end_bag);
    if (done < end - origin)
        job->bad[slice] = origin + done;
}

static void forward_slices(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    struct job *job = argument;
    const struct sco_embedding_batch *batch = job->batch;
    const struct sco_embedding_bag_ops *ops = job->e->ops;
    const size_t rows = job->e->shape.rows, dim = job->e->shape.dim;
    const int mean = batch->mode == SCO_EMBEDDING_MEAN;
    const int stream = batch->bags * dim * sizeof(float) > STREAM_BYTES;
    size_t begin, end, origin;
    (void)phase, (void)rank;
    bags_of(job, first, last, &begin, &end, &origin);
    const void *offset = advance(batch->offset, batch->index_bits, begin);
    float *y = job->y + begin * dim;
    const size_t done = batch->index_bits == 64 ? ops->forward_i64(end - begin, offset, batch->index, batch->weight,
                                                                   mean, rows, dim, job->table, stream, y)
                                                : ops->forward_i32(end - begin, offset, batch->index, batch->weight,
                                                                   mean, rows, dim, job->table, stream, y);
    note_bad(job, first, origin, end, done);
}

static void no_bad(struct job *job)
{
    for (size_t s = 0; s < SLICES; s++)
        job->bad[s] = job->n;
}

enum sco_status sco_embedding_forward(struct sco_embedding *e, const struct sco_embedding_batch *batch,
                                      const float *table, float *y)
{
    struct job job = {.e = e, .batch = batch, .table = table, .y = y};
    const enum sco_status status = check_batch(e, batch, &job.n);
    if (status != SCO_OK || batch->bags == 0)
        return status;
    no_bad(&job);
    const size_t slices = SLICES;
    sco_parallel(sco_ctx_team(e->ctx), 1, &slices, forward_slices, &job);
    return index_refusal(&job);
}

/* ---- Sort -------------------------------------------------------------------------------------------------------- */

static void key_slices(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    struct job *job = argument;
    struct sco_embedding *e = job->e;
    const struct sco_embedding_batch *batch = job->batch;
    const int mean = batch->mode == SCO_EMBEDDING_MEAN;
    size_t begin, end, origin;
    (void)phase, (void)rank;
    bags_of(job, first, last, &begin, &end, &origin);
    const void *offset = advance(batch->offset, batch->index_bits, begin);
    uint32_t *bag = job->indirect ? e->bag : NULL;
    const size_t done = batch->index_bits == 64
                            ? e->ops->keys_i64(end - begin, offset, batch->index, batch->weight, mean, e->shape.rows,
                                               (uint32_t)begin, e->key[0] + origin, bag, e->factor)
                            : e->ops->keys_i32(end - begin, offset, batch->index, batch->weight, mean, e->shape.rows,
                                               (uint32_t)begin, e->key[0] + origin, bag, e->factor);
    note_bad(job, first, origin, end, done);
}

static void block_of(const struct job *job, size_t block, size_t *begin, size_t *count)
{
    *begin = block * job->block_keys;
    *count = job->n - *begin < job->block_keys ? job->n - *begin : job->block_keys;
}

/* Frequencies of all blocks to places: digits ascending, and blocks ascending within a digit, which keeps the sort
 * stable. */
static void digits_to_places(const struct job *job)
{
    const size_t digits = (size_t)1 << job->bits;
    uint32_t before = 0;
    for (size_t d = 0; d < digits; d++)
        for (size_t block = 0; block < job->blocks; block++) {
            uint32_t *at = &job->e->digits[block * MOST_DIGITS + d];
            const uint32_t count = *at;
            *at = before;
            before += count;
        }
}

enum { COUNT_DIGITS, SUM_DIGITS, PLACE_KEYS, SORT_PHASES };

static void sort_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    struct job *job = argument;
    struct sco_embedding *e = job->e;
    (void)rank;
    if (phase == SUM_DIGITS) {
        digits_to_places(job);
        return;
    }
    for (size_t block = first; block < last; block++) {
        uint32_t *digits = e->digits + block * MOST_DIGITS;
        const struct sco_embedding_key *key = e->key[job->from];
        size_t begin, count;
        block_of(job, block, &begin, &count);
        if (phase == COUNT_DIGITS)
            e->ops->count(count, key + begin, job->shift, job->bits, digits);
        else
            e->ops->place(count, key + begin, job->shift, job->bits, digits, e->key[1 - job->from]);
    }
}

static unsigned bits_of(size_t rows)
{
    unsigned bits = 0;
    while (bits < 32 && (rows - 1) >> bits != 0)
        bits++;
    return bits;
}

static void sort(struct job *job)
{
    const unsigned row_bits = bits_of(job->e->shape.rows), passes = (row_bits + DIGIT_BITS - 1) / DIGIT_BITS;
    job->block_keys = job->n > (size_t)SORT_BLOCK * MOST_BLOCKS ? job->n / MOST_BLOCKS + 1 : SORT_BLOCK;
    job->blocks = (job->n + job->block_keys - 1) / job->block_keys;
    const size_t tasks[SORT_PHASES] = {job->blocks, 1, job->blocks};
    for (unsigned pass = 0; pass < passes; pass++, job->from = 1 - job->from) {
        const unsigned end = row_bits * (pass + 1) / passes;
        job->shift = row_bits * pass / passes;
        job->bits = end - job->shift;
        sco_parallel(sco_ctx_team(job->e->ctx), SORT_PHASES, tasks, sort_tasks, job);
    }
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

static bool starts_row(const struct sco_embedding_key *key, size_t at)
{
    return at == 0 || key[at].row != key[at - 1].row;
}

static void chunk_range(const struct job *job, size_t chunk, size_t *begin, size_t *end)
{
    *begin = chunk * CHUNK;
    *end = job->n - *begin < CHUNK ? job->n : *begin + CHUNK;
}

/* Is the run part of a row that goes on before or after it? */
static bool is_split(const struct job *job, size_t run)
{
    const struct sco_embedding_key *key = job->runs.key;
    const size_t begin = job->runs.begin[run], end = job->runs.begin[run + 1];
    return !starts_row(key, begin) || (end < job->n && !starts_row(key, end));
}

/* A split run touches an end of its chunk. */
static size_t partial_of(const struct job *job, size_t run)
{
    const size_t begin = job->runs.begin[run];
    return 2 * (begin / CHUNK) + (begin % CHUNK != 0);
}

/* Place of a run's row among the distinct rows. chunk_rows counts the runs up to a chunk's first one that go on with
 * the row before them. */
static size_t row_place(const struct job *job, size_t run)
{
    return run - job->e->chunk_rows[job->runs.begin[run] / CHUNK];
}

static void sum_chunks(struct job *job)
{
    struct sco_embedding *e = job->e;
    const struct sco_embedding_key *key = job->runs.key;
    uint32_t runs = 0, continued = 0;
    for (size_t c = 0; c < job->chunks; c++) {
        const uint32_t count = e->chunk_runs[c];
        continued += !starts_row(key, c * CHUNK);
        e->chunk_runs[c] = runs;
        e->chunk_rows[c] = continued;
        runs += count;
    }
    e->chunk_runs[job->chunks] = runs;
    e->begin[runs] = (uint32_t)job->n;
    job->runs.count = runs;
    job->rows = runs - continued;
}

/* The partial sums of each split row as a run of their own, whose sources are rows of partial. */
static void list_split_rows(struct job *job)
{
    struct sco_embedding *e = job->e;
    const struct sco_embedding_key *key = job->runs.key;
    uint32_t keys = 0;
    size_t rows = 0;
    for (size_t c = 0; c < job->chunks; c++) {
        const size_t first = e->chunk_runs[c], last = e->chunk_runs[c + 1] - 1;
        for (size_t run = first; run <= last; run += last > first ? last - first : 1) {
            if (!is_split(job, run))
                continue;
            if (starts_row(key, job->runs.begin[run])) {
                e->split_row[rows] = (uint32_t)row_place(job, run);
                e->split_begin[rows++] = keys;
            }
            e->split_key[keys++] =
                (struct sco_embedding_key){key[job->runs.begin[run]].row, (uint32_t)partial_of(job, run)};
        }
    }
    e->split_begin[rows] = keys;
    job->split = (struct sco_embedding_runs){.count = rows, .begin = e->split_begin, .key = e->split_key};
}

enum { COUNT_RUNS, SUM_CHUNKS, WRITE_RUNS, LIST_SPLIT, RUN_PHASES };

static void run_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    struct job *job = argument;
    struct sco_embedding *e = job->e;
    const struct sco_embedding_key *key = job->runs.key;
    (void)rank;
    if (phase == SUM_CHUNKS) {
        sum_chunks(job);
        return;
    }
    if (phase == LIST_SPLIT) {
        list_split_rows(job);
        return;
    }
    for (size_t chunk = first; chunk < last; chunk++) {
        size_t begin, end;
        chunk_range(job, chunk, &begin, &end);
        uint32_t *at = e->begin + (phase == WRITE_RUNS ? e->chunk_runs[chunk] : 0), runs = 0;
        for (size_t i = begin; i < end; i++)
            if (i == begin || key[i].row != key[i - 1].row) {
                if (phase == WRITE_RUNS)
                    at[runs] = (uint32_t)i;
                runs++;
            }
        if (phase == COUNT_RUNS)
            e->chunk_runs[chunk] = runs;
    }
}

/* ---- Gradients and steps ----------------------------------------------------------------------------------------- */

/* Whole rows, runs first .. last - 1. */
static void apply(const struct job *job, const struct sco_embedding_runs *runs, size_t first, size_t last,
                  const float *g, size_t place)
{
    const size_t dim = job->e->shape.dim;
    if (job->step != NULL) {
        job->step(runs, first, last, dim, g, job->p, job->m, job->v, job->coef);
        return;
    }
    job->e->ops->sum(runs, first, last, dim, g, job->p + place * dim);
    for (size_t r = first; r < last; r++)
        job->row[place + r - first] = runs->key[runs->begin[r]].row;
}

enum { APPLY_RUNS, APPLY_SPLIT, APPLY_PHASES };

/* Between two split runs every run is a whole row, and its place is one more than that of the run before it. */
static void apply_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct job *job = argument;
    const struct sco_embedding *e = job->e;
    const size_t dim = e->shape.dim;
    (void)rank;
    if (phase == APPLY_SPLIT) {
        for (size_t r = first; r < last; r++)
            apply(job, &job->split, r, r + 1, e->partial, e->split_row[r]);
        return;
    }
    size_t run = slice_begin(first, job->runs.count, RUN_COST, job->runs.begin, 32);
    const size_t end = slice_begin(last, job->runs.count, RUN_COST, job->runs.begin, 32);
    while (run < end) {
        size_t stop = run;
        while (stop < end && !is_split(job, stop))
            stop++;
        if (stop > run)
            apply(job, &job->runs, run, stop, job->gy, row_place(job, run));
        if (stop < end)
            e->ops->sum(&job->runs, stop, stop + 1, dim, job->gy, e->partial + partial_of(job, stop) * dim);
        run = stop + 1;
    }
}

static enum sco_status prepare(struct job *job)
{
    struct sco_embedding *e = job->e;
    enum sco_status status = check_batch(e, job->batch, &job->n);
    if (status != SCO_OK || job->n == 0)
        return status;
    no_bad(job);
    job->indirect = job->batch->weight != NULL || job->batch->mode == SCO_EMBEDDING_MEAN;
    const size_t slices = SLICES;
    sco_parallel(sco_ctx_team(e->ctx), 1, &slices, key_slices, job);
    status = index_refusal(job);
    if (status != SCO_OK)
        return status;
    sort(job);
    job->runs = (struct sco_embedding_runs){.begin = e->begin,
                                            .key = e->key[job->from],
                                            .bag = job->indirect ? e->bag : NULL,
                                            .factor = job->indirect ? e->factor : NULL};
    job->chunks = chunks_of(job->n);
    const size_t tasks[RUN_PHASES] = {job->chunks, 1, job->chunks, 1};
    sco_parallel(sco_ctx_team(e->ctx), RUN_PHASES, tasks, run_tasks, job);
    return SCO_OK;
}

static enum sco_status backward(struct job *job)
{
    const enum sco_status status = prepare(job);
    if (status != SCO_OK || job->n == 0)
        return status;
    const size_t tasks[APPLY_PHASES] = {SLICES, job->split.count};
    sco_parallel(sco_ctx_team(job->e->ctx), APPLY_PHASES, tasks, apply_tasks, job);
    return SCO_OK;
}

enum sco_status sco_embedding_backward_sparse(struct sco_embedding *e, const struct sco_embedding_batch *batch,
                                              const float *gy, size_t *count, uint32_t *row, float *gradient)
{
    struct job job = {.e = e, .batch = batch, .gy = gy, .p = gradient, .row = row};
    const enum sco_status status = backward(&job);
    if (status == SCO_OK)
        *count = job.rows;
    return status;
}

enum sco_status sco_embedding_backward_dense(struct sco_embedding *e, const struct sco_embedding_batch *batch,
                                             const float *gy, float *gradient)
{
    const struct sco_embedding_coef add = {.gscale = 1.0f, .lr = -1.0f};
    struct job job = {.e = e, .batch = batch, .gy = gy, .p = gradient, .coef = &add, .step = e->ops->sgd};
    return backward(&job);
}

enum sco_status sco_embedding_step(struct sco_embedding *e, const struct sco_embedding_batch *batch, const float *gy,
                                   const struct sco_embedding_optimizer *o, float *table, float *m, float *v)
{
    const bool has_m = o->rule == SCO_EMBEDDING_HEAVY_BALL || o->rule == SCO_EMBEDDING_ADAM;
    const bool has_v = o->rule == SCO_EMBEDDING_ADAM || o->rule == SCO_EMBEDDING_ADAGRAD;
    sco_embedding_step_fn *const steps[] = {[SCO_EMBEDDING_SGD] = e->ops->sgd,
                                            [SCO_EMBEDDING_HEAVY_BALL] = e->ops->heavy_ball,
                                            [SCO_EMBEDDING_ADAM] = e->ops->adam,
                                            [SCO_EMBEDDING_ADAGRAD] = e->ops->adagrad};
    if ((size_t)o->rule >= SCO_LEN(steps))
        return sco_fail(SCO_INVALID, "embedding: rule %d; possible: sgd, heavy ball, adam, adagrad", (int)o->rule);
    if ((has_m && m == NULL) || (has_v && v == NULL))
        return sco_fail(SCO_INVALID, "embedding: the rule needs %s, which is NULL", has_m && m == NULL ? "m" : "v");
    if (o->rule == SCO_EMBEDDING_ADAM && o->step == 0)
        return sco_fail(SCO_INVALID, "embedding: step 0; Adam's bias correction counts steps from 1");
    const double k = (double)o->step;
    const struct sco_embedding_coef coef = {.gscale = o->gradient_scale,
                                            .lr = o->lr,
                                            .b1 = o->b1,
                                            .one_minus_b1 = (float)(1.0 - (double)o->b1),
                                            .b2 = o->b2,
                                            .one_minus_b2 = (float)(1.0 - (double)o->b2),
                                            .cm = (float)(1.0 / (1.0 - pow((double)o->b1, k))),
                                            .c2 = (float)(1.0 / (1.0 - pow((double)o->b2, k))),
                                            .eps = o->eps};
    struct job job = {
        .e = e, .batch = batch, .gy = gy, .coef = &coef, .step = steps[o->rule], .p = table, .m = m, .v = v};
    return backward(&job);
}

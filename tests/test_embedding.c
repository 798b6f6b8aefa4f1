/* SPDX-License-Identifier: Apache-2.0
 * Embedding bags: sums and gradients against double, the same bits for any team, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "stepcost/embedding.h"

/* Enough lookups for several blocks and chunks; a fifth of them read one row, so that it is summed in parts. */
enum { ROWS = 3001, DIM = 37, BAGS = 4000, MOST = 12, FEW_ROWS = 29, FEW_BAGS = 15 };

struct data {
    size_t rows, bags, lookups;
    int64_t *offset, *index;
    int32_t *offset32, *index32;
    float *weight, *table, *m, *v, *gy, *y;
};

static struct sco_ctx *context(size_t threads)
{
    struct sco_ctx *ctx = NULL;
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = threads, .oversubscribe = 1}), SCO_OK);
    return ctx;
}

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static float *random_floats(size_t count, uint64_t seed, float least)
{
    float *x = malloc((count + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = least + (float)(next(&seed) % 2048) / 1024.0f;
    return x;
}

static struct data make(size_t rows, size_t bags)
{
    struct data d = {.rows = rows, .bags = bags};
    uint64_t state = 7;
    d.offset = malloc((bags + 1) * sizeof *d.offset);
    d.offset32 = malloc((bags + 1) * sizeof *d.offset32);
    d.index = malloc((bags * MOST + 1) * sizeof *d.index);
    d.index32 = malloc((bags * MOST + 1) * sizeof *d.index32);
    d.offset[0] = d.offset32[0] = 0;
    for (size_t b = 0; b < bags; b++) {
        for (size_t k = next(&state) % (MOST + 1); k > 0; k--, d.lookups++) {
            const size_t row = next(&state) % 5 == 0 ? rows / 2 : next(&state) % rows;
            d.index[d.lookups] = (int64_t)row;
            d.index32[d.lookups] = (int32_t)row;
        }
        d.offset[b + 1] = (int64_t)d.lookups;
        d.offset32[b + 1] = (int32_t)d.lookups;
    }
    d.weight = random_floats(d.lookups, 1, -1.0f);
    d.table = random_floats(rows * DIM, 2, -1.0f);
    d.m = random_floats(rows * DIM, 3, -1.0f);
    d.v = random_floats(rows * DIM, 4, 0.5f);
    d.gy = random_floats(bags * DIM, 5, -1.0f);
    d.y = malloc(bags * DIM * sizeof *d.y);
    return d;
}

static void release(struct data *d)
{
    free(d->offset), free(d->offset32), free(d->index), free(d->index32);
    free(d->weight), free(d->table), free(d->m), free(d->v), free(d->gy), free(d->y);
}

static struct sco_embedding_batch batch_of(const struct data *d, int bits, int weighted, enum sco_embedding_mode mode)
{
    return (struct sco_embedding_batch){.bags = d->bags,
                                        .offset = bits == 64 ? (const void *)d->offset : d->offset32,
                                        .index = bits == 64 ? (const void *)d->index : d->index32,
                                        .index_bits = bits,
                                        .weight = weighted ? d->weight : NULL,
                                        .mode = mode};
}

static struct sco_embedding *embedding_of(struct sco_ctx *ctx, const struct data *d)
{
    struct sco_embedding *e = NULL;
    const struct sco_embedding_shape shape = {d->rows, DIM, d->bags, d->lookups};
    assert_int_equal(sco_embedding_create(&e, ctx, &shape), SCO_OK);
    return e;
}

static double factor_of(const struct data *d, const struct sco_embedding_batch *batch, size_t bag, size_t lookup)
{
    const double w = batch->weight != NULL ? (double)batch->weight[lookup] : 1.0;
    return batch->mode == SCO_EMBEDDING_MEAN ? w / (double)(d->offset[bag + 1] - d->offset[bag]) : w;
}

static double output(const struct data *d, const struct sco_embedding_batch *batch, const double *table, size_t bag,
                     size_t j)
{
    double sum = 0.0;
    for (size_t l = (size_t)d->offset[bag]; l < (size_t)d->offset[bag + 1]; l++)
        sum += factor_of(d, batch, bag, l) * table[(size_t)d->index[l] * DIM + j];
    return sum;
}

static void gradient_of(const struct data *d, const struct sco_embedding_batch *batch, double *gradient)
{
    for (size_t i = 0; i < d->rows * DIM; i++)
        gradient[i] = 0.0;
    for (size_t b = 0; b < d->bags; b++)
        for (size_t l = (size_t)d->offset[b]; l < (size_t)d->offset[b + 1]; l++)
            for (size_t j = 0; j < DIM; j++)
                gradient[(size_t)d->index[l] * DIM + j] += factor_of(d, batch, b, l) * (double)d->gy[b * DIM + j];
}

static void close_to(double x, double expected, double scale)
{
    if (!(fabs(x - expected) <= scale * 1e-5))
        fail_msg("%.9g instead of %.9g", x, expected);
}

static void forward_is_the_sum(void **state)
{
    (void)state;
    struct data d = make(ROWS, BAGS);
    struct sco_ctx *ctx = context(2);
    struct sco_embedding *e = embedding_of(ctx, &d);
    double *table = malloc(d.rows * DIM * sizeof *table);
    for (size_t i = 0; i < d.rows * DIM; i++)
        table[i] = (double)d.table[i];
    for (int variant = 0; variant < 8; variant++) {
        const struct sco_embedding_batch batch =
            batch_of(&d, variant & 1 ? 32 : 64, variant & 2, variant & 4 ? SCO_EMBEDDING_MEAN : SCO_EMBEDDING_SUM);
        assert_int_equal(sco_embedding_forward(e, &batch, d.table, d.y), SCO_OK);
        for (size_t b = 0; b < d.bags; b++)
            for (size_t j = 0; j < DIM; j++)
                close_to((double)d.y[b * DIM + j], output(&d, &batch, table, b, j), MOST);
    }
    free(table);
    sco_embedding_destroy(e);
    sco_ctx_destroy(ctx);
    release(&d);
}

/* <gy, y(table)> is linear in the table: a central difference is the gradient but for rounding. */
static void gradient_is_the_difference(void **state)
{
    (void)state;
    struct data d = make(FEW_ROWS, FEW_BAGS);
    struct sco_ctx *ctx = context(2);
    struct sco_embedding *e = embedding_of(ctx, &d);
    double *table = malloc(d.rows * DIM * sizeof *table);
    float *gradient = calloc(d.rows * DIM, sizeof *gradient);
    for (size_t i = 0; i < d.rows * DIM; i++)
        table[i] = (double)d.table[i];
    const struct sco_embedding_batch batch = batch_of(&d, 64, 1, SCO_EMBEDDING_MEAN);
    assert_int_equal(sco_embedding_backward_dense(e, &batch, d.gy, gradient), SCO_OK);
    for (size_t i = 0; i < d.rows * DIM; i += 5) {
        const double step = 1e-3, x = table[i];
        double loss[2] = {0.0, 0.0};
        for (int side = 0; side < 2; side++) {
            table[i] = side == 0 ? x - step : x + step;
            for (size_t b = 0; b < d.bags; b++)
                loss[side] += output(&d, &batch, table, b, i % DIM) * (double)d.gy[b * DIM + i % DIM];
        }
        table[i] = x;
        close_to((double)gradient[i], (loss[1] - loss[0]) / (2.0 * step), MOST);
    }
    free(table);
    free(gradient);
    sco_embedding_destroy(e);
    sco_ctx_destroy(ctx);
    release(&d);
}

static void gradients_agree(void **state)
{
    (void)state;
    struct data d = make(ROWS, BAGS);
    struct sco_ctx *ctx = context(2);
    struct sco_embedding *e = embedding_of(ctx, &d);
    double *expected = malloc(d.rows * DIM * sizeof *expected);
    for (int variant = 0; variant < 8; variant++) {
        const struct sco_embedding_batch batch =
            batch_of(&d, variant & 1 ? 32 : 64, variant & 2, variant & 4 ? SCO_EMBEDDING_MEAN : SCO_EMBEDDING_SUM);
        float *dense = calloc(d.rows * DIM, sizeof *dense), *sparse = calloc(d.rows * DIM, sizeof *sparse);
        uint32_t *row = malloc(d.rows * sizeof *row);
        size_t count = 0, touched = 0;
        gradient_of(&d, &batch, expected);
        assert_int_equal(sco_embedding_backward_dense(e, &batch, d.gy, dense), SCO_OK);
        assert_int_equal(sco_embedding_backward_sparse(e, &batch, d.gy, &count, row, sparse), SCO_OK);
        for (size_t i = 0; i < d.rows * DIM; i++)
            close_to((double)dense[i], expected[i], 50.0);
        for (size_t r = 0; r < count; r++) {
            assert_true(r == 0 || row[r] > row[r - 1]);
            assert_memory_equal(sparse + r * DIM, dense + row[r] * DIM, DIM * sizeof *dense);
        }
        for (size_t r = 0; r < d.rows; r++) {
            size_t l = 0;
            while (l < d.lookups && (size_t)d.index[l] != r)
                l++;
            touched += l < d.lookups;
        }
        assert_int_equal(count, touched);
        free(dense), free(sparse), free(row);
    }
    free(expected);
    sco_embedding_destroy(e);
    sco_ctx_destroy(ctx);
    release(&d);
}

static void *copy(const float *x, size_t count)
{
    float *to = malloc(count * sizeof *to);
    memcpy(to, x, count * sizeof *to);
    return to;
}

static void steps_have_the_same_bits(void **state)
{
    (void)state;
    static const size_t teams[] = {1, 2, 3, 7};
    struct data d = make(ROWS, BAGS);
    const size_t elements = d.rows * DIM;
    double *gradient = malloc(elements * sizeof *gradient);
    for (int rule = SCO_EMBEDDING_SGD; rule <= SCO_EMBEDDING_ADAGRAD; rule++) {
        const struct sco_embedding_batch batch = batch_of(&d, 64, rule & 1, SCO_EMBEDDING_SUM);
        const struct sco_embedding_optimizer o = {.rule = (enum sco_embedding_rule)rule,
                                                  .step = 3,
                                                  .lr = 0.01f,
                                                  .b1 = 0.9f,
                                                  .b2 = 0.99f,
                                                  .eps = 1e-8f,
                                                  .gradient_scale = 0.5f};
        float *first_p = NULL, *first_m = NULL, *first_v = NULL, *first_y = NULL;
        gradient_of(&d, &batch, gradient);
        for (size_t t = 0; t < sizeof teams / sizeof teams[0]; t++) {
            struct sco_ctx *ctx = context(teams[t]);
            struct sco_embedding *e = embedding_of(ctx, &d);
            float *p = copy(d.table, elements), *m = copy(d.m, elements), *v = copy(d.v, elements);
            assert_int_equal(sco_embedding_forward(e, &batch, p, d.y), SCO_OK);
            assert_int_equal(sco_embedding_step(e, &batch, d.gy, &o, p, m, v), SCO_OK);
            if (t == 0) {
                first_p = p, first_m = m, first_v = v;
                first_y = copy(d.y, d.bags * DIM);
            } else {
                assert_memory_equal(p, first_p, elements * sizeof *p);
                assert_memory_equal(m, first_m, elements * sizeof *m);
                assert_memory_equal(v, first_v, elements * sizeof *v);
                assert_memory_equal(d.y, first_y, d.bags * DIM * sizeof *d.y);
                free(p), free(m), free(v);
            }
            sco_embedding_destroy(e);
            sco_ctx_destroy(ctx);
        }
        for (size_t r = 0; r < d.rows; r++) {
            size_t l = 0;
            while (l < d.lookups && (size_t)d.index[l] != r)
                l++;
            for (size_t i = r * DIM; i < (r + 1) * DIM; i++) {
                const double g = 0.5 * gradient[i];
                double p = (double)d.table[i], m = (double)d.m[i], v = (double)d.v[i], u = g;
                if (l == d.lookups) {
                    assert_true(first_p[i] == d.table[i] && first_m[i] == d.m[i] && first_v[i] == d.v[i]);
                    continue;
                }
                if (rule == SCO_EMBEDDING_HEAVY_BALL)
                    u = m = 0.9 * m + g;
                if (rule == SCO_EMBEDDING_ADAM) {
                    m = 0.9 * m + 0.1 * g, v = 0.99 * v + 0.01 * g * g;
                    u = m / (1.0 - pow(0.9, 3.0)) / (sqrt(v / (1.0 - pow(0.99, 3.0))) + 1e-8);
                }
                if (rule == SCO_EMBEDDING_ADAGRAD)
                    v += g * g, u = g / (sqrt(v) + 1e-8);
                close_to((double)first_p[i], p - 0.01 * u, 2.0);
                close_to((double)first_m[i], m, 50.0);
                close_to((double)first_v[i], v, 1.0 + 10.0 * v);
            }
        }
        free(first_p), free(first_m), free(first_v), free(first_y);
    }
    free(gradient);
    release(&d);
}

static void nothing_is_fine(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(3);
    struct sco_embedding *e = NULL;
    const int32_t offset[] = {0, 0, 0};
    float y[2] = {7.0f, 7.0f}, g[2] = {1.0f, 1.0f};
    uint32_t row[1] = {5};
    size_t count = 9;
    assert_int_equal(sco_embedding_create(&e, ctx, &(struct sco_embedding_shape){1, 1, 2, 0}), SCO_OK);
    const struct sco_embedding_batch empty_bags = {2, offset, NULL, 32, NULL, SCO_EMBEDDING_MEAN};
    assert_int_equal(sco_embedding_forward(e, &empty_bags, g, y), SCO_OK);
    assert_true(y[0] == 0.0f && y[1] == 0.0f);
    assert_int_equal(sco_embedding_backward_sparse(e, &empty_bags, g, &count, row, y), SCO_OK);
    assert_int_equal(count, 0);
    const struct sco_embedding_batch no_bags = {0, NULL, NULL, 64, NULL, SCO_EMBEDDING_SUM};
    assert_int_equal(sco_embedding_forward(e, &no_bags, g, y), SCO_OK);
    sco_embedding_destroy(e);
    sco_ctx_destroy(ctx);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_embedding *e = NULL;
    float table[10] = {0}, y[2], gy[2] = {1.0f, 1.0f};
    const int64_t offset[] = {0, 2, 3}, late[] = {1, 2, 3}, down[] = {0, 3, 2}, index[] = {0, 4, 9}, good[] = {0, 4, 1};
    const int64_t negative[] = {0, -1, 1};
    const struct sco_embedding_optimizer adam = {.rule = SCO_EMBEDDING_ADAM, .step = 1};
    assert_int_equal(sco_embedding_create(&e, ctx, &(struct sco_embedding_shape){(size_t)1 << 32, 1, 2, 3}), SCO_SHAPE);
    assert_int_equal(sco_embedding_create(&e, ctx, &(struct sco_embedding_shape){5, 1, 2, 3}), SCO_OK);
    struct sco_embedding_batch batch = {2, offset, index, 64, NULL, SCO_EMBEDDING_SUM};
    assert_int_equal(sco_embedding_forward(e, &batch, table, y), SCO_SHAPE);
    assert_non_null(strstr(sco_error_message(), "index 9 of lookup 2"));
    assert_int_equal(sco_embedding_step(e, &batch, gy, &adam, table, table + 5, table + 5), SCO_SHAPE);
    batch.index = negative;
    assert_int_equal(sco_embedding_backward_dense(e, &batch, gy, table), SCO_SHAPE);
    assert_non_null(strstr(sco_error_message(), "index -1 of lookup 1"));
    batch.index = good;
    assert_int_equal(sco_embedding_step(e, &batch, gy, &adam, table, NULL, NULL), SCO_INVALID);
    assert_non_null(strstr(sco_error_message(), "needs m"));
    batch.offset = late;
    assert_int_equal(sco_embedding_forward(e, &batch, table, y), SCO_SHAPE);
    batch.offset = down;
    assert_int_equal(sco_embedding_forward(e, &batch, table, y), SCO_SHAPE);
    assert_non_null(strstr(sco_error_message(), "offset 2 is 2 after 3"));
    batch.offset = offset;
    batch.index_bits = 16;
    assert_int_equal(sco_embedding_forward(e, &batch, table, y), SCO_INVALID);
    batch.index_bits = 64;
    batch.bags = 3;
    assert_int_equal(sco_embedding_forward(e, &batch, table, y), SCO_SHAPE);
    for (size_t i = 0; i < 10; i++)
        assert_true(table[i] == 0.0f);
    sco_embedding_destroy(e);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_the_sum), cmocka_unit_test(gradient_is_the_difference),
        cmocka_unit_test(gradients_agree),    cmocka_unit_test(steps_have_the_same_bits),
        cmocka_unit_test(nothing_is_fine),    cmocka_unit_test(says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

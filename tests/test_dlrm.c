/* SPDX-License-Identifier: Apache-2.0
 * DLRM: against a recorded run in double, differences of its own loss, and itself: other teams, shared gradients, short
 * batches; the table's gradient over many batches; and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "golden_model.h"
#include "model_runs.h"

enum { MOST_ROWS = 24, DENSE = SCO_CLICK_DENSE, CATEGORIES = SCO_CLICK_CATEGORIES };

struct clicks {
    float dense[MOST_ROWS * DENSE], label[MOST_ROWS];
    int32_t index[MOST_ROWS * CATEGORIES];
    struct sco_batch batch;
};

static void finish(struct clicks *c, size_t rows)
{
    c->batch.workload = SCO_DLRM;
    c->batch.samples = rows;
    c->batch.clicks = (struct sco_clicks){rows, c->dense, c->index, c->label};
}

/* Half of the indices are among the first few, so that rows of the table repeat. */
static void draw(struct clicks *c, uint64_t seed, size_t rows, size_t table_rows)
{
    for (size_t i = 0; i < rows * DENSE; i++)
        c->dense[i] = (float)log1p((double)sco_random_below(seed, i, 50));
    for (size_t i = 0; i < rows * CATEGORIES; i++) {
        const uint64_t most = sco_random_below(seed + 1, i, 2) == 0 ? 5 : table_rows;
        c->index[i] = (int32_t)sco_random_below(seed + 2, i, most);
    }
    for (size_t i = 0; i < rows; i++)
        c->label[i] = (float)sco_random_below(seed + 3, i, 2);
    finish(c, rows);
}

/* Layers of 32-16-8 and 64-64. */
static const struct sco_model_config small = {
    .workload = SCO_DLRM, .batch = MOST_ROWS, .width = 8.0 / 128.0, .depth = 2, .table_rows = 600, .seed = 3};

/* ---- The model of the benchmark ---- */

static const struct sco_model_config full = {.workload = SCO_DLRM, .batch = 16, .table_rows = 1000};

static void test_names(void **state)
{
    (void)state;
    const struct sco_model_config published = {.workload = SCO_DLRM, .batch = 16};
    struct sco_model_plan plan;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &full);
    check_names(model, "dlrm", "embedding_table");
    const size_t table = tensor_named(model, "embedding_table");
    assert_int_equal(sco_model_tensors(model)->tensors[table].shape[0], 1000);
    ok(sco_model_plan_of(ctx, &published, &plan));
    assert_int_equal(plan.parameters, 539267457);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

static void moments(const float *x, size_t count, double *mean, double *variance)
{
    *mean = *variance = 0.0;
    for (size_t i = 0; i < count; i++)
        *mean += (double)x[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        *variance += ((double)x[i] - *mean) * ((double)x[i] - *mean) / (double)count;
}

static void test_initialisation(void **state)
{
    (void)state;
    const struct {
        const char *name;
        double mean, variance;
    } want[] = {{"Dense_1/kernel", 0.0, 2.0 / (512 + 256)},
                {"Dense_4/kernel", 0.0, 2.0 / (1024 + 1024)},
                {"Dense_5/bias", 0.0, 1.0 / 512},
                {"embedding_table", 0.5 / sqrt(1000.0), 1.0 / 12 / 1000.0}};
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &full);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const size_t t = tensor_named(model, want[i].name), count = elements_of(model, t);
        double mean, variance;
        moments(sco_model_params(model)[t], count, &mean, &variance);
        assert_true(fabs(mean - want[i].mean) < 5.0 * sqrt(want[i].variance / (double)count));
        assert_true(fabs(variance / want[i].variance - 1.0) < 8.0 / sqrt((double)count));
    }
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

static void recorded_clicks(const json_t *root, struct clicks *c)
{
    const uint64_t seed = (uint64_t)golden_value(root, "seed"), rows = (uint64_t)golden_value(root, "batch");
    const uint64_t table_rows = (uint64_t)golden_value(root, "vocab_size");
    float *inputs = malloc(rows * CATEGORIES * sizeof *inputs);
    assert_non_null(inputs);
    golden_input(seed, 0, 1.0, rows * DENSE, inputs);
    for (size_t i = 0; i < rows * DENSE; i++)
        c->dense[i] = (float)log1p(floor(50.0 * fabs((double)inputs[i])));
    golden_input(seed, 1, 1.0, rows * CATEGORIES, inputs);
    for (size_t i = 0; i < rows * CATEGORIES; i++)
        c->index[i] = (int32_t)((uint64_t)floor(((double)inputs[i] + 1.0) * 5e6) % table_rows);
    free(inputs);
    for (size_t i = 0; i < rows; i++)
        c->label[i] = i % 3 == 0 ? 1.0f : 0.0f;
    finish(c, rows);
}

/* Float rounds by u = 2^-24 = 6e-8. Each layer adds up to 1024 terms, whose errors grow like their square root: some 10 u a
 * layer, passed on by the next, and as much again on the way back. What reaches the network below cancels: 27 products of
 * the interaction and a copy nearly add up to nothing, which leaves 100 u. Entries have their row's error in common, so that
 * sums over 100,000 of them show it tenfold and more. */
#define OUTPUT_BOUND 5e-6
#define ENTRY_BOUND  2e-5
#define SUM_BOUND    3e-4

static void check_examples(struct sco_model *model, const struct clicks *c, const json_t *record)
{
    float loss[MOST_ROWS];
    for (size_t r = 0; r < c->batch.samples; r++) {
        const struct sco_batch one = {.workload = SCO_DLRM,
                                      .samples = 1,
                                      .clicks = {1, c->dense + r * DENSE, c->index + r * CATEGORIES, c->label + r}};
        struct sco_model_result result;
        ok(sco_model_forward(model, &one, SCO_MODEL_EVALUATE, 0, &result));
        assert_true(result.loss_count == 1.0);
        loss[r] = (float)result.loss_sum;
    }
    golden_assert(record, "loss of each row", loss, c->batch.samples, OUTPUT_BOUND);
}

static void test_golden(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &full);
    json_t *root = golden_read("dlrm_V1000_b16.json");
    const json_t *outputs = golden_member(root, "outputs"), *records = golden_member(root, "grads");
    static struct clicks c;
    recorded_clicks(root, &c);
    golden_parameters(model, (uint64_t)golden_value(root, "seed"));
    golden_check_parameters(model, root);
    struct gradients g = gradients_of(model);
    const struct sco_model_result result = run_step(model, &c.batch, 0, &g);
    assert_true(fabs(result.loss - golden_value(root, "loss")) < OUTPUT_BOUND);
    assert_true(result.loss_count == 16.0 && fabs(result.loss_sum / 16.0 - result.loss) < 1e-12);
    size_t rows, columns;
    const float *logits = sco_model_outputs(model, &rows, &columns);
    assert_true(rows == 16 && columns == 1);
    golden_assert(golden_member(outputs, "logits"), "logits", logits, 16, OUTPUT_BOUND);
    assert_int_equal(json_object_size(records), sco_model_tensors(model)->count);
    for (size_t t = 0; t < sco_model_tensors(model)->count; t++) {
        const char *name = sco_model_tensors(model)->tensors[t].name;
        const json_t *record = golden_member(records, name);
        golden_assert(record, name, g.values + g.first[t], elements_of(model, t), SUM_BOUND);
        const struct golden_error e = golden_compare(record, g.values + g.first[t], elements_of(model, t));
        assert_true(e.l2 < ENTRY_BOUND && e.entry < ENTRY_BOUND);
    }
    check_examples(model, &c, golden_member(outputs, "per_example"));
    gradients_free(&g);
    json_decref(root);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

/* ---- Gradients ---- */

static void test_differences(void **state)
{
    (void)state;
    struct sco_model_config dropping = small;
    dropping.has_dropout = 1;
    dropping.dropout = 0.3f;
    struct sco_ctx *ctx = context(1);
    struct sco_model *model = model_of(ctx, &small), *other = model_of(ctx, &dropping);
    static struct clicks c;
    draw(&c, 1, MOST_ROWS - 5, small.table_rows);
    check_differences(model, &c.batch);
    check_differences(other, &c.batch);
    sco_model_destroy(other);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

static void test_shared_gradients(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    static struct clicks c;
    draw(&c, 1, MOST_ROWS, small.table_rows);
    check_shared(ctx, &small, &c.batch);
    sco_ctx_destroy(ctx);
}

/* Over steps, the gradient of the table has exactly the bits of a model that never saw another batch; so it is zero outside
 * the rows of its own. */
static void test_table_gradient(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_model *used = model_of(ctx, &small);
    const size_t table = tensor_named(used, "embedding_table"), dim = 8;
    const float *gradient = sco_model_gradients(used)[table];
    static struct clicks c;
    static const size_t rows[] = {24, 1, 24, 7, 0, 13};
    struct sco_model_result result;
    for (size_t step = 0; step < sizeof rows / sizeof rows[0]; step++) {
        struct sco_model *fresh = model_of(ctx, &small);
        char touched[600] = {0};
        draw(&c, 10 + step, rows[step], small.table_rows);
        for (size_t i = 0; i < rows[step] * CATEGORIES; i++)
            touched[c.index[i]] = 1;
        ok(sco_model_forward(used, &c.batch, SCO_MODEL_TRAIN, step, &result));
        ok(sco_model_backward(used, NULL, NULL));
        ok(sco_model_forward(fresh, &c.batch, SCO_MODEL_TRAIN, step, &result));
        ok(sco_model_backward(fresh, NULL, NULL));
        assert_memory_equal(gradient, sco_model_gradients(fresh)[table], 600 * dim * sizeof *gradient);
        size_t with = 0, without = 0;
        for (size_t r = 0; r < 600; r++) {
            int zero = 1;
            for (size_t j = 0; j < dim; j++)
                zero &= gradient[r * dim + j] == 0.0f;
            assert_true(touched[r] || zero);
            with += touched[r] && !zero;
            without += !touched[r];
        }
        assert_true(without > 0 && (rows[step] == 0 || with > 0));
        sco_model_destroy(fresh);
    }
    sco_model_destroy(used);
    sco_ctx_destroy(ctx);
}

/* ---- Itself ---- */

static void test_teams(void **state)
{
    (void)state;
    struct sco_model_config config = small;
    config.has_dropout = 1;
    config.dropout = 0.2f;
    static struct clicks a, b, c;
    draw(&a, 1, 24, small.table_rows);
    draw(&b, 2, 11, small.table_rows);
    draw(&c, 3, 1, small.table_rows);
    check_teams(&config, (const struct sco_batch *const[]){&a.batch, &b.batch, &c.batch, &a.batch}, 4);
}

/* Rows of a short batch have the logits that they have in a full one, and gradients as of a model of that size. */
static void test_short_batches(void **state)
{
    (void)state;
    struct sco_model_config nine = small;
    nine.batch = 9;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &small), *exact = model_of(ctx, &nine);
    struct gradients x = gradients_of(model), y = gradients_of(exact);
    static struct clicks c;
    struct sco_model_result all, part;
    float logits[MOST_ROWS];
    size_t rows, columns;
    draw(&c, 1, MOST_ROWS, small.table_rows);
    ok(sco_model_forward(model, &c.batch, SCO_MODEL_EVALUATE, 0, &all));
    memcpy(logits, sco_model_outputs(model, &rows, &columns), sizeof logits);
    assert_true(rows == MOST_ROWS && columns == 1 && all.loss_count == MOST_ROWS);
    finish(&c, 9);
    ok(sco_model_forward(model, &c.batch, SCO_MODEL_EVALUATE, 0, &part));
    assert_memory_equal(sco_model_outputs(model, &rows, &columns), logits, 9 * sizeof *logits);
    assert_true(rows == 9 && part.loss_count == 9.0);
    assert_true(fabs(part.loss - part.loss_sum / 9.0) < 1e-12);
    const double a = run_step(model, &c.batch, 0, &x).loss, b = run_step(exact, &c.batch, 0, &y).loss;
    assert_true(fabs(a - b) < 1e-6);
    for (size_t i = 0; i < gradients_bytes(&x) / sizeof *x.values; i++)
        assert_true(fabs((double)x.values[i] - (double)y.values[i]) < 1e-6);
    gradients_free(&x);
    gradients_free(&y);
    sco_model_destroy(exact);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

static void test_dropout(void **state)
{
    (void)state;
    struct sco_model_config config = small;
    config.has_dropout = 1;
    config.dropout = 0.3f;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &config), *plain = model_of(ctx, &small);
    static struct clicks c;
    struct sco_model_result first, again, next, evaluated, without;
    draw(&c, 1, MOST_ROWS, small.table_rows);
    ok(sco_model_forward(model, &c.batch, SCO_MODEL_TRAIN, 7, &first));
    ok(sco_model_forward(model, &c.batch, SCO_MODEL_TRAIN, 8, &next));
    ok(sco_model_forward(model, &c.batch, SCO_MODEL_EVALUATE, 7, &evaluated));
    ok(sco_model_forward(model, &c.batch, SCO_MODEL_TRAIN, 7, &again));
    ok(sco_model_forward(plain, &c.batch, SCO_MODEL_TRAIN, 7, &without));
    assert_true(first.loss == again.loss && first.loss != next.loss && first.loss != without.loss);
    assert_true(evaluated.loss == without.loss);
    assert_true(sco_model_get_config(plain)->dropout == 0.0f);
    sco_model_destroy(plain);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

/* ---- Refusals ---- */

static void refused_batch(struct sco_model *model, const struct clicks *c, enum sco_status want, const char *message)
{
    struct sco_model_result result;
    size_t rows, columns;
    float before[MOST_ROWS];
    const float *outputs = sco_model_outputs(model, &rows, &columns);
    memcpy(before, outputs, rows * sizeof *outputs);
    refused(sco_model_forward(model, &c->batch, SCO_MODEL_TRAIN, 0, &result), want, message);
    assert_memory_equal(before, outputs, rows * sizeof *outputs);
    refused(sco_model_backward(model, NULL, NULL), SCO_INVALID, "forward in training");
}

static void test_refusals(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &small);
    struct sco_model_result result;
    static struct clicks good, bad;
    draw(&good, 1, MOST_ROWS, small.table_rows);
    ok(sco_model_forward(model, &good.batch, SCO_MODEL_TRAIN, 0, &result));
#define BAD(change, status, message)                                                                                   \
    do {                                                                                                               \
        draw(&bad, 2, MOST_ROWS, small.table_rows);                                                                    \
        change;                                                                                                        \
        refused_batch(model, &bad, status, message);                                                                   \
    } while (0)
    BAD(bad.index[2 * 26 + 5] = 600, SCO_FORMAT, "row 2, category 5: index 600; the table has 600 rows");
    BAD(bad.index[0] = -1, SCO_FORMAT, "row 0, category 0: index -1");
    BAD(bad.label[3] = 2.0f, SCO_FORMAT, "row 3: label 2");
    BAD(bad.label[4] = NAN, SCO_FORMAT, "row 4: label nan");
    BAD(bad.batch.clicks.rows = 25, SCO_SHAPE, "25 rows, the model was planned for 24");
#undef BAD
    sco_model_destroy(model);

    struct sco_model_config config = small;
    struct sco_model_plan plan;
    config.depth = 5;
    refused(sco_model_plan_of(ctx, &config, &plan), SCO_INVALID, "depth is 5");
    config = small;
    config.table_rows = (size_t)INT32_MAX + 1;
    refused(sco_model_plan_of(ctx, &config, &plan), SCO_SHAPE, "rows of the table");
    config = small;
    config.batch = SIZE_MAX;
    refused(sco_model_plan_of(ctx, &config, &plan), SCO_SHAPE, "of a batch");
    config = small;
    config.table_rows = INT32_MAX;
    config.width = 64.0;
    model = NULL;
    assert_int_equal(sco_model_create(&model, ctx, &config), SCO_NOMEM);
    assert_null(model);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_initialisation),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_shared_gradients),
        cmocka_unit_test(test_table_gradient),
        cmocka_unit_test(test_teams),
        cmocka_unit_test(test_short_batches),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

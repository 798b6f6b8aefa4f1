/* SPDX-License-Identifier: Apache-2.0
 * Statistics, generated data, shortened lists, rounds, and the checks that stand before a timing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "microbench/case_check.h"
#include "microbench/roofs.h"
#include "microbench/rounds.h"
#include "microbench/shorten.h"
#include "stepcost/memory.h"
#include "stepcost/microbench.h"

static void near(double a, double b)
{
    assert_true(fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b)));
}

static void test_statistics(void **state)
{
    (void)state;
    struct sco_stats stats;
    sco_stats_sort(NULL, 0, &stats);
    assert_int_equal(stats.count, 0);

    double one[] = {7.0};
    sco_stats_sort(one, 1, &stats);
    near(stats.median, 7.0);
    near(stats.low, 7.0);
    assert_true(stats.confidence < 0.95);
    assert_true(stats.spread == 0.0);

    /* Five values cover 1 - 2 / 2^5, six 1 - 2 / 2^6. */
    double five[] = {5.0, 1.0, 4.0, 2.0, 3.0};
    sco_stats_sort(five, 5, &stats);
    near(stats.median, 3.0);
    near(stats.confidence, 0.9375);
    near(stats.low, 1.0);
    near(stats.high, 5.0);
    near(stats.spread, 1.0 / 3.0); /* deviations 2 1 0 1 2 */
    double six[] = {6.0, 1.0, 5.0, 2.0, 4.0, 3.0};
    sco_stats_sort(six, 6, &stats);
    near(stats.median, 3.5);
    near(stats.confidence, 0.96875);
    near(stats.spread, 1.5 / 3.5); /* deviations 2.5 1.5 0.5, twice each */

    /* Tables of the sign test: n = 10 uses ranks 2 and 9 (0.9785), n = 100 ranks 40 and 61 (0.9648). */
    double ten[10], hundred[100];
    for (int i = 0; i < 10; i++)
        ten[i] = 10.0 - i;
    sco_stats_sort(ten, 10, &stats);
    near(stats.low, 2.0);
    near(stats.high, 9.0);
    assert_true(fabs(stats.confidence - 0.978515625) < 1e-9);
    for (int i = 0; i < 100; i++)
        hundred[i] = 100.0 - i;
    sco_stats_sort(hundred, 100, &stats);
    near(stats.low, 40.0);
    near(stats.high, 61.0);

    /* 2^-n is no float at this length. */
    enum { MANY = 3000 };
    double *many = malloc(MANY * sizeof *many);
    assert_non_null(many);
    for (int i = 0; i < MANY; i++)
        many[i] = i;
    sco_stats_sort(many, MANY, &stats);
    assert_true(stats.confidence >= 0.95 && stats.confidence < 0.96);
    assert_true(stats.low > 1440.0 && stats.low < 1450.0);
    free(many);
}

static void test_groups(void **state)
{
    (void)state;
    /* Medians of groups of three: 2, 20, 5; the smallest of all is 1. */
    const double value[] = {3, 1, 2, 10, 20, 30, 5, 5, 4};
    struct sco_stats stats;
    assert_int_equal(sco_grouped_stats(value, 9, 3, &stats), SCO_OK);
    near(stats.median, 5.0);
    near(stats.min, 1.0);
    near(stats.low, 2.0);
    near(stats.high, 20.0);
    assert_int_equal(stats.count, 3);
}

static void test_draw(void **state)
{
    (void)state;
    enum { N = 100003 };
    float *one = sco_alloc(N * sizeof *one), *three = sco_alloc(N * sizeof *three);
    struct sco_ctx *ctx;
    assert_non_null(one);
    assert_non_null(three);
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = 1}), SCO_OK);
    sco_draw(sco_ctx_team(ctx), one, N, 5, 1e-3f);
    sco_ctx_destroy(ctx);
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = 3, .oversubscribe = 1}), SCO_OK);
    sco_draw(sco_ctx_team(ctx), three, N, 5, 1e-3f);
    assert_memory_equal(one, three, N * sizeof *one);
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < N; i++) {
        sum += (double)one[i];
        squares += (double)one[i] * (double)one[i];
        assert_true(one[i] == 0.0f || fabsf(one[i]) >= 2e-8f);
        assert_true(fabsf(one[i]) < 4e-3f);
    }
    assert_true(fabs(sum / N) < 5e-3 * 1e-3 * 3.2);
    assert_true(fabs(sqrt(squares / N) / 1e-3 - 1.0) < 0.01);
    sco_draw(sco_ctx_team(ctx), three, N, 6, 1e-3f);
    assert_memory_not_equal(one, three, N * sizeof *one);
    sco_ctx_destroy(ctx);
    sco_free(one);
    sco_free(three);
}

static void test_shorten(void **state)
{
    (void)state;
    const struct sco_tensor tensors[] = {
        {"table", 2, {4000000, 128}}, {"kernel", 4, {3, 3, 64, 64}}, {"bias", 1, {64}}, {"scalar", 0, {0}}};
    const struct sco_tensor_list list = {4, tensors};
    const size_t full = (size_t)4000000 * 128 + 9 * 4096 + 64 + 1;
    struct sco_short_list s;

    assert_int_equal(sco_short_list_init(&s, &list, 0), SCO_OK);
    assert_int_equal(s.params, full);
    assert_int_equal(s.full_params, full);
    sco_short_list_free(&s);

    assert_int_equal(sco_short_list_init(&s, &list, 1000000), SCO_OK);
    assert_true(s.params <= 1000000 && s.params > 990000);
    assert_int_equal(s.full_params, full);
    assert_int_equal(s.list.tensors[0].shape[1], 128); /* the table lost rows, the others nothing */
    assert_int_equal(s.list.tensors[1].shape[2], 64);
    assert_int_equal(s.list.tensors[2].shape[0], 64);
    sco_short_list_free(&s);

    for (size_t limit = 4; limit < 3000; limit += 7) {
        assert_int_equal(sco_short_list_init(&s, &list, limit), SCO_OK);
        assert_true(s.params <= limit && s.params >= 4);
        sco_short_list_free(&s);
    }
    assert_int_equal(sco_short_list_init(&s, &list, 3), SCO_SHAPE);
    const struct sco_tensor empty = {"empty", 2, {5, 0}};
    assert_int_equal(sco_short_list_init(&s, &(struct sco_tensor_list){1, &empty}, 0), SCO_SHAPE);
}

/* ---- Rounds ---- */

static char order[4096];

struct player {
    char name;
    size_t steps, fail_at;
};

static enum sco_status play(void *argument)
{
    struct player *player = argument;
    player->steps++;
    strncat(order, &player->name, 1);
    return player->steps == player->fail_at ? SCO_NONFINITE : SCO_OK;
}

static void test_rounds(void **state)
{
    (void)state;
    struct player players[3] = {{'a', 0, 0}, {'b', 0, 0}, {'c', 0, 0}};
    struct sco_lane lanes[3] = {{0}}, *pointers[3];
    for (int i = 0; i < 3; i++) {
        /* Calibrated by hand, so that the number of steps does not depend on the clock. */
        lanes[i] = (struct sco_lane){.argument = &players[i], .step = play, .steps = 1, .calls = 1};
        pointers[i] = &lanes[i];
    }
    size_t rounds;
    enum sco_stop stop;
    const struct sco_rounds options = {.seconds = 0.0, .min_rounds = 3};
    order[0] = '\0';
    assert_int_equal(sco_rounds_run(pointers, 3, &options, &rounds, &stop), SCO_OK);
    assert_int_equal(rounds, 3);
    assert_int_equal(stop, SCO_STOP_BUDGET);
    assert_string_equal(order, "abcbcacab");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lanes[i].round_count, 3);
        assert_int_equal(lanes[i].sample_count, 3);
    }
    players[1].fail_at = players[1].steps + 1;
    assert_int_equal(sco_rounds_run(pointers, 3, &options, &rounds, &stop), SCO_NONFINITE);
    for (int i = 0; i < 3; i++)
        sco_lane_free(&lanes[i]);
}

/* ---- A wrong row is caught ---- */

struct twice_ops {
    void (*twice)(size_t n, float *x);
};

static void twice(size_t n, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= 2.0f;
}

static void twice_without_tail(size_t n, float *x)
{
    for (size_t i = 0; i + 4 <= n; i++)
        x[i] *= 2.0f;
}

static void fill_right(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct twice_ops *)ops = (struct twice_ops){twice};
}

static void fill_wrong(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct twice_ops *)ops = (struct twice_ops){twice_without_tail};
}

static size_t twice_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"x", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return 1;
}

static size_t loose_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"x", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_ULP, 1.0};
    return 1;
}

static void twice_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct twice_ops *)ops)->twice(dim[0], buffer[0]);
}

static void twice_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    (void)operand;
    for (size_t i = 0; i < dim[0]; i++) {
        value[i] = 2.0 * (double)((const float *)before[0])[i];
        scale[i] = fabs(value[i]);
    }
}

static void twice_size(size_t bytes, size_t dim[])
{
    dim[0] = bytes / 4 + 3;
}

static void test_wrong_row(void **state)
{
    (void)state;
    static const struct sco_row rows[] = {{"scalar", 0, fill_right}, {"same", 0, fill_right}, {"wrong", 0, fill_wrong}};
    static const char *const slots[] = {"twice"};
    static const struct sco_family family = {"twice", rows, 3, slots, 1};
    struct sco_case c = {.name = "twice.twice",
                         .family = &family,
                         .dim_count = 1,
                         .operands = twice_operands,
                         .run = twice_run,
                         .oracle = twice_oracle,
                         .size = twice_size};
    for (int loose = 0; loose < 2; loose++) {
        c.operands = loose ? loose_operands : twice_operands;
        assert_int_equal(sco_case_check(&c, 0, 0), SCO_OK);
        assert_int_equal(sco_case_check(&c, 1, 0), SCO_OK);
        assert_int_equal(sco_case_check(&c, 2, 0), SCO_INVALID);
        assert_non_null(strstr(sco_error_message(), "twice.twice row wrong: x["));
    }
}

/* ---- Cost ---- */

static void test_verify(void **state)
{
    (void)state;
    struct sco_ctx *ctx;
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = 2, .oversubscribe = 1}), SCO_OK);
    for (int kind = 0; kind < SCO_OPTIM_VELO; kind++) {
        struct sco_optim_config config;
        sco_optim_defaults((enum sco_optim_kind)kind, &config);
        assert_int_equal(sco_cost_verify(ctx, &config), SCO_OK);
    }
    sco_ctx_destroy(ctx);
}

static void test_cost(void **state)
{
    (void)state;
    static const struct sco_tensor tensors[] = {{"w", 2, {40, 30}}, {"b", 1, {30}}};
    static const struct sco_tensor vast[] = {{"v", 2, {(size_t)1 << 24, (size_t)1 << 24}}};
    const struct sco_cost_workload workloads[] = {{"small", {2, tensors}}, {"vast", {1, vast}}};
    static const enum sco_optim_kind kinds[] = {SCO_OPTIM_LION, SCO_OPTIM_ADAM};
    const struct sco_cost_options options = {
        .workloads = workloads, .workload_count = 2, .kinds = kinds, .kind_count = 2, .seconds = 0.01};
    struct sco_cost_report *report;
    struct sco_ctx *ctx;
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = 1}), SCO_OK);
    assert_int_equal(sco_cost_run(&report, ctx, &options), SCO_OK);
    assert_int_equal(report->row_count, 2);
    assert_int_equal(report->refusal_count, 2);
    assert_string_equal(report->refusals[0].workload, "vast");
    assert_true(report->refusals[0].needed_bytes / 12 >= (size_t)1 << 48);
    for (size_t i = 0; i < 2; i++) {
        const struct sco_cost_row *row = &report->rows[i];
        assert_string_equal(row->workload, "small");
        assert_int_equal(row->kind, kinds[i]);
        assert_int_equal(row->params, 1230);
        assert_true(row->ns_per_param.count >= 3);
        assert_true(row->ns_per_param.min <= row->ns_per_param.low &&
                    row->ns_per_param.low <= row->ns_per_param.median);
        assert_true(row->ns_per_param.median <= row->ns_per_param.high);
        assert_true(row->roof_fraction > 0.0 && isfinite(row->roof_fraction));
        assert_int_equal(row->sample_count, row->ns_per_param.count * row->samples_per_round);
        assert_int_equal(row->ratio_paired, 1);
        assert_null(row->weights);
    }
    near(report->rows[1].ratio_to_adam.median, 1.0);
    near(report->rows[1].model_bytes, 28.0);
    sco_cost_report_destroy(report);

    struct sco_cost_options none = options;
    none.kind_count = 0;
    assert_int_equal(sco_cost_run(&report, ctx, &none), SCO_INVALID);
    static const enum sco_optim_kind velo[] = {SCO_OPTIM_VELO};
    none.kinds = velo;
    none.kind_count = 1;
    assert_int_equal(sco_cost_run(&report, ctx, &none), SCO_INVALID); /* no weights */
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics), cmocka_unit_test(test_groups), cmocka_unit_test(test_draw),
        cmocka_unit_test(test_shorten),    cmocka_unit_test(test_rounds), cmocka_unit_test(test_wrong_row),
        cmocka_unit_test(test_verify),     cmocka_unit_test(test_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

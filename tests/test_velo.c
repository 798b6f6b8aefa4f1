/* SPDX-License-Identifier: Apache-2.0
 * VeLO against traces of the reference implementation: whole runs, single steps from every kept state, on every row and
 * number of threads; and what the interface promises: same bits from step and from prepare and apply, from any team, and
 * after saving and loading. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "optim/velo_optim.h"
#include "stepcost/memory.h"
#include "stepcost/trace.h"

static void ok(enum sco_status status)
{
    if (status != SCO_OK)
        fail_msg("%s", sco_error_message());
}

/* ---- A recorded run ---- */

struct run {
    struct sco_trace *trace;
    struct sco_velo_theta *theta;
    struct sco_optim_config config;
    size_t steps, count;
    struct sco_tensor tensors[16];
    struct sco_tensor_list list;
    const float *losses;
};

struct parameters {
    float *p[16];
    const float *g[16];
};

static const struct sco_trace_array *find(const struct run *run, const char *format, size_t step, size_t t)
{
    const struct sco_trace_array *array = sco_trace_find(run->trace, format, step, t);
    if (array == NULL)
        fail_msg("%s: no array for %s, step %zu, tensor %zu", sco_trace_name(run->trace), format, step, t);
    return array;
}

static double fact(const struct run *run, const char *key)
{
    double value = 0;
    ok(sco_trace_number(run->trace, key, &value));
    return value;
}

static void open_run(struct run *run, const char *name)
{
    char path[512];
    *run = (struct run){0};
    ok(sco_trace_open(&run->trace, SCO_GOLDEN, name));
    if (strcmp(name, "full") == 0) {
        const struct sco_velo_generator generator = {
            (size_t)fact(run, "lstm_hidden_size"), (size_t)fact(run, "param_inits"), (uint64_t)fact(run, "weight_seed"),
            (float)fact(run, "magcol"), (float)fact(run, "dirscale")};
        ok(sco_velo_theta_generate(&run->theta, &generator));
    } else {
        const bool shares = strcmp(name, "wd") == 0 || strcmp(name, "accum") == 0;
        snprintf(path, sizeof path, "%s/%s.params", SCO_GOLDEN, shares ? "tiny" : name);
        ok(sco_velo_theta_read(&run->theta, path));
    }
    run->steps = (size_t)fact(run, "steps");
    run->losses = find(run, "losses", 0, 0)->data;
    const struct sco_trace_array *p;
    for (size_t t = 0; (p = sco_trace_find(run->trace, "init/p/%zu", t)) != NULL; t++) {
        run->tensors[t].rank = p->rank;
        memcpy(run->tensors[t].shape, p->shape, p->rank * sizeof p->shape[0]);
        run->count = t + 1;
    }
    run->list = (struct sco_tensor_list){run->count, run->tensors};
    sco_optim_defaults(SCO_OPTIM_VELO, &run->config);
    run->config.theta = run->theta;
    run->config.num_steps = (uint64_t)fact(run, "num_steps");
    run->config.past_end = SCO_VELO_EXCEED;
    run->config.weight_decay = strcmp(name, "wd") == 0 ? 0.01 : 0.0;
    run->config.accumulate = strcmp(name, "accum") == 0 ? 3 : 0;
}

static void close_run(struct run *run)
{
    sco_trace_close(run->trace);
    sco_velo_theta_destroy(run->theta);
}

static struct sco_optim *start(const struct run *run, struct sco_ctx *ctx)
{
    struct sco_optim *optim;
    ok(sco_optim_create(&optim, ctx, &run->config, &run->list));
    return optim;
}

/* Parameters after a recorded step, 0 being the initial ones. */
static void load_parameters(const struct run *run, size_t step, struct parameters *parameters)
{
    for (size_t t = 0; t < run->count; t++) {
        const struct sco_trace_array *p =
            step == 0 ? sco_trace_find(run->trace, "init/p/%zu", t) : find(run, "s%03zu/p/%zu", step, t);
        parameters->p[t] = sco_alloc(p->elements * sizeof(float));
        memcpy(parameters->p[t], p->data, p->elements * sizeof(float));
    }
}

static void free_parameters(const struct run *run, struct parameters *parameters)
{
    for (size_t t = 0; t < run->count; t++)
        sco_free(parameters->p[t]);
}

static void load_gradients(const struct run *run, size_t step, struct parameters *parameters)
{
    for (size_t t = 0; t < run->count; t++)
        parameters->g[t] = find(run, "s%03zu/g/%zu", step, t)->data;
}

static bool kept(const struct run *run, size_t step)
{
    return sco_trace_find(run->trace, "s%03zu/lstm_h", step) != NULL;
}

/* ---- Errors ---- */

/* Largest errors of a run, relative to the root mean square of their array. */
struct errors {
    double update, parameter, accumulator, lstm, loss;
};

static void keep_largest(double *largest, double error)
{
    if (!(error <= *largest))
        *largest = error;
}

static double relative_error(const struct sco_trace_array *expected, const float *got)
{
    const float *x = expected->data;
    double squares = 0, largest = 0;
    for (size_t i = 0; i < expected->elements; i++) {
        squares += (double)x[i] * (double)x[i];
        keep_largest(&largest, fabs((double)got[i] - (double)x[i]));
    }
    return largest == 0 ? 0 : largest / sqrt(squares / (double)expected->elements);
}

static void compare_state(const struct run *run, const struct sco_optim *optim, size_t step, struct errors *errors)
{
    for (size_t owner = 0; owner <= run->count; owner++) {
        const size_t t = owner < run->count ? owner : SIZE_MAX;
        const char *name;
        size_t count;
        for (size_t i = 0; (name = sco_optim_state_array(optim, t, i, &count)) != NULL; i++) {
            char key[64];
            snprintf(key, sizeof key, t == SIZE_MAX ? "s%03zu/%s" : "s%03zu/%s/%zu", step, name, t);
            const struct sco_trace_array *expected = sco_trace_find(run->trace, "%s", key);
            if (expected == NULL && (strcmp(name, "gradient_sum") == 0 || strcmp(name, "loss_sum") == 0))
                continue;
            assert_non_null(expected);
            assert_int_equal(expected->elements, count);
            float *got = sco_alloc(count * sizeof *got);
            ok(sco_optim_state_get(optim, t, name, got, count));
            const double error = relative_error(expected, got);
            keep_largest(t != SIZE_MAX ? &errors->accumulator : name[1] == 's' ? &errors->lstm : &errors->loss, error);
            sco_free(got);
        }
    }
}

static void restore_state(const struct run *run, struct sco_optim *optim, size_t step)
{
    for (size_t owner = 0; owner <= run->count; owner++) {
        const size_t t = owner < run->count ? owner : SIZE_MAX;
        const char *name;
        size_t count;
        for (size_t i = 0; (name = sco_optim_state_array(optim, t, i, &count)) != NULL; i++) {
            char key[64];
            snprintf(key, sizeof key, t == SIZE_MAX ? "s%03zu/%s" : "s%03zu/%s/%zu", step, name, t);
            const struct sco_trace_array *array = sco_trace_find(run->trace, "%s", key);
            if (array != NULL)
                ok(sco_optim_state_set(optim, t, name, array->data, count));
        }
    }
    ok(sco_optim_set_steps(optim, step));
}

static void compare_updates(const struct run *run, size_t step, const struct parameters *before,
                            const struct parameters *after, struct errors *errors)
{
    for (size_t t = 0; t < run->count; t++) {
        const struct sco_trace_array *expected = find(run, "s%03zu/upd64/%zu", step, t);
        const float *update = expected->data;
        double squares = 0;
        for (size_t i = 0; i < expected->elements; i++)
            squares += (double)update[i] * (double)update[i];
        const double rms = sqrt(squares / (double)expected->elements);
        for (size_t i = 0; i < expected->elements; i++) {
            const double p = (double)before->p[t][i], exact = p - (double)update[i];
            const double error = fabs((double)after->p[t][i] - exact) - fabs(p) * 0x1p-24; /* of rounding p itself */
            keep_largest(&errors->update, error <= 0 ? 0 : error / rms);
        }
    }
}

static void expect_within(const char *name, const char *what, const struct errors *errors)
{
    print_message("%-7s %-13s update %.1e parameter %.1e accumulator %.1e lstm %.1e loss %.1e\n", name, what,
                  errors->update, errors->parameter, errors->accumulator, errors->lstm, errors->loss);
    assert_true(errors->update <= 2e-3);
    assert_true(errors->parameter <= 3e-4);
    assert_true(errors->accumulator <= 1e-5);
    assert_true(errors->lstm <= 1e-4);
    assert_true(errors->loss <= 1e-3);
}

static void replay_run(struct sco_ctx *ctx, const char *name)
{
    struct run run;
    struct parameters parameters;
    struct errors errors = {0};
    open_run(&run, name);
    load_parameters(&run, 0, &parameters);
    struct sco_optim *optim = start(&run, ctx);
    ok(sco_optim_init(optim, (const float *const *)parameters.p));
    for (size_t step = 1; step <= run.steps; step++) {
        load_gradients(&run, step, &parameters);
        ok(sco_optim_step(optim, run.losses[step - 1], parameters.p, parameters.g));
        for (size_t t = 0; t < run.count; t++)
            keep_largest(&errors.parameter, relative_error(find(&run, "s%03zu/p/%zu", step, t), parameters.p[t]));
        if (kept(&run, step))
            compare_state(&run, optim, step, &errors);
    }
    expect_within(name, "whole run", &errors);
    sco_optim_destroy(optim);
    free_parameters(&run, &parameters);
    close_run(&run);
}

static void replay_steps(struct sco_ctx *ctx, const char *name)
{
    struct run run;
    struct errors errors = {0};
    open_run(&run, name);
    const size_t calls = run.config.accumulate > 1 ? run.config.accumulate : 1;
    struct sco_optim *optim = start(&run, ctx);
    for (size_t from = 1; from + calls <= run.steps; from++) {
        if (!kept(&run, from))
            continue;
        struct parameters before, after;
        load_parameters(&run, from, &before);
        load_parameters(&run, from, &after);
        ok(sco_optim_init(optim, (const float *const *)after.p));
        restore_state(&run, optim, from);
        for (size_t step = from + 1; step <= from + calls; step++) {
            load_gradients(&run, step, &after);
            ok(sco_optim_step(optim, run.losses[step - 1], after.p, after.g));
        }
        compare_updates(&run, from + calls, &before, &after, &errors);
        if (kept(&run, from + calls))
            compare_state(&run, optim, from + calls, &errors);
        free_parameters(&run, &before);
        free_parameters(&run, &after);
    }
    expect_within(name, "single steps", &errors);
    sco_optim_destroy(optim);
    close_run(&run);
}

static const char *const cases[] = {"tiny", "edge", "medium", "long", "full", "wd", "accum"};

static struct sco_ctx *open_ctx(const char *isa, size_t threads)
{
    struct sco_ctx *ctx;
    const struct sco_ctx_options options = {.isa = isa, .threads = threads, .oversubscribe = 1, .unbound = 1};
    ok(sco_ctx_create(&ctx, &options));
    return ctx;
}

static void test_traces(void **state)
{
    static const char *const levels[] = {"scalar", "hwy", "avx2", "avx512", "neon"};
    (void)state;
    for (size_t level = 0; level < SCO_LEN(levels); level++) {
        sco_isa isa;
        if (sco_isa_parse(levels[level], sco_isa_detected(), &isa) != SCO_OK)
            continue;
        print_message("rows: %s\n", levels[level]);
        struct sco_ctx *ctx = open_ctx(levels[level], 2);
        for (size_t i = 0; i < SCO_LEN(cases); i++) {
            replay_run(ctx, cases[i]);
            replay_steps(ctx, cases[i]);
        }
        sco_ctx_destroy(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

/* ---- Invented runs ---- */

/* A list of tensors with parameters and gradients from a counter. */
struct task {
    struct sco_velo_theta *theta;
    struct sco_optim_config config;
    struct sco_tensor_list list;
    float *p[16], *g[16];
    size_t n[16];
};

static float noise(uint64_t *counter)
{
    uint64_t z = *counter += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (float)((z ^ (z >> 31)) >> 40) * 0x1p-23f - 1.0f;
}

static void open_task(struct task *task, const struct sco_tensor *tensors, size_t count)
{
    uint64_t counter = 1;
    char path[512];
    *task = (struct task){.list = {count, tensors}};
    snprintf(path, sizeof path, "%s/tiny.params", SCO_GOLDEN);
    ok(sco_velo_theta_read(&task->theta, path));
    sco_optim_defaults(SCO_OPTIM_VELO, &task->config);
    task->config.theta = task->theta;
    task->config.num_steps = 100;
    for (size_t t = 0; t < count; t++) {
        ok(sco_tensor_elements(&tensors[t], &task->n[t]));
        task->p[t] = sco_alloc(task->n[t] * sizeof(float));
        task->g[t] = sco_alloc(task->n[t] * sizeof(float));
        for (size_t i = 0; i < task->n[t]; i++)
            task->p[t][i] = noise(&counter);
    }
}

static void new_gradients(struct task *task, size_t step)
{
    for (size_t t = 0; t < task->list.count; t++) {
        uint64_t counter = step * 1000 + t;
        for (size_t i = 0; i < task->n[t]; i++)
            task->g[t][i] = 0.1f * noise(&counter);
    }
}

static float loss_at(size_t step)
{
    return 3.0f / (float)(step + 1);
}

static void close_task(struct task *task)
{
    for (size_t t = 0; t < task->list.count; t++) {
        sco_free(task->p[t]);
        sco_free(task->g[t]);
    }
    sco_velo_theta_destroy(task->theta);
}

static struct sco_optim *begin(struct task *task, struct sco_ctx *ctx)
{
    struct sco_optim *optim;
    ok(sco_optim_create(&optim, ctx, &task->config, &task->list));
    ok(sco_optim_init(optim, (const float *const *)task->p));
    return optim;
}

static void take_steps(struct task *task, struct sco_optim *optim, size_t first, size_t end)
{
    for (size_t step = first; step < end; step++) {
        new_gradients(task, step);
        ok(sco_optim_step(optim, loss_at(step), task->p, (const float *const *)task->g));
    }
}

static void expect_same_bits(const struct task *a, const struct task *b)
{
    for (size_t t = 0; t < a->list.count; t++)
        assert_memory_equal(a->p[t], b->p[t], a->n[t] * sizeof(float));
}

/* Several blocks and vector items, every kind of panel, sizes off every vector width, and nothing at all. */
static const struct sco_tensor mixed_shapes[] = {
    {"wide", 2, {21, 2500}},     {"tall", 2, {2301, 40}},  {"bias", 1, {40001}},
    {"scalar", 0, {0}},          {"empty", 2, {0, 5}},     {"conv", 4, {3, 3, 33, 65}},
    {"oihw", 4, {67, 34, 3, 3}}, {"column", 2, {3000, 1}}, {"row", 2, {1, 3000}},
    {"many", 3, {59, 61, 20}},   {"none", 1, {0}},         {"small", 5, {2, 3, 2, 3, 2}},
};
enum { MIXED = sizeof mixed_shapes / sizeof mixed_shapes[0], STEPS = 4 };

static void run_mixed(struct task *task, size_t threads, uint64_t accumulate, double weight_decay)
{
    struct sco_ctx *ctx = open_ctx(NULL, threads);
    open_task(task, mixed_shapes, MIXED);
    task->config.accumulate = accumulate;
    task->config.weight_decay = weight_decay;
    struct sco_optim *optim = begin(task, ctx);
    take_steps(task, optim, 0, STEPS);
    sco_optim_destroy(optim);
    sco_ctx_destroy(ctx);
}

static void test_threads(void **state)
{
    static const size_t threads[] = {2, 3, 7};
    (void)state;
    for (uint64_t accumulate = 1; accumulate <= 2; accumulate++) {
        struct task one, many;
        run_mixed(&one, 1, accumulate, accumulate == 2 ? 0.01 : 0.0);
        for (size_t i = 0; i < SCO_LEN(threads); i++) {
            run_mixed(&many, threads[i], accumulate, accumulate == 2 ? 0.01 : 0.0);
            expect_same_bits(&one, &many);
            close_task(&many);
        }
        close_task(&one);
    }
}

static void test_apply(void **state)
{
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 2);
    for (uint64_t accumulate = 1; accumulate <= 2; accumulate++) {
        struct task whole, single;
        run_mixed(&whole, 2, accumulate, 0.01);
        open_task(&single, mixed_shapes, MIXED);
        single.config.accumulate = accumulate;
        single.config.weight_decay = 0.01;
        struct sco_optim *optim = begin(&single, ctx);
        for (size_t step = 0; step < STEPS; step++) {
            new_gradients(&single, step);
            ok(sco_optim_prepare(optim, loss_at(step)));
            for (size_t i = 0; i < MIXED; i++) {
                const size_t t = (i * 5 + step) % MIXED; /* 5 and MIXED have no common factor */
                ok(sco_optim_apply(optim, t, single.p[t], single.g[t]));
            }
        }
        expect_same_bits(&whole, &single);
        sco_optim_destroy(optim);
        close_task(&single);
        close_task(&whole);
    }
    sco_ctx_destroy(ctx);
}

static void test_save(void **state)
{
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 2);
    char path[] = "test_velo_XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    for (uint64_t accumulate = 1; accumulate <= 2; accumulate++) {
        struct task whole, halves;
        run_mixed(&whole, 2, accumulate, 0.0);
        open_task(&halves, mixed_shapes, MIXED);
        halves.config.accumulate = accumulate;
        struct sco_optim *optim = begin(&halves, ctx);
        take_steps(&halves, optim, 0, 3); /* in the middle of an accumulated step */
        ok(sco_optim_save(optim, path));
        sco_optim_destroy(optim);
        ok(sco_optim_create(&optim, ctx, &halves.config, &halves.list));
        ok(sco_optim_load(optim, path));
        take_steps(&halves, optim, 3, STEPS);
        expect_same_bits(&whole, &halves);
        sco_optim_destroy(optim);

        struct sco_optim_config other = halves.config;
        other.num_steps += 2;
        ok(sco_optim_create(&optim, ctx, &other, &halves.list));
        assert_int_equal(sco_optim_load(optim, path), SCO_FORMAT);
        sco_optim_destroy(optim);
        close_task(&halves);
        close_task(&whole);
    }
    unlink(path);
    sco_ctx_destroy(ctx);
}

/* State set from what was got is the same state, in every layout. */
static void test_state(void **state)
{
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 2);
    struct task task;
    open_task(&task, mixed_shapes, MIXED);
    task.config.accumulate = 2;
    struct sco_optim *from = begin(&task, ctx), *to = begin(&task, ctx);
    take_steps(&task, from, 0, 3);
    for (size_t owner = 0; owner <= MIXED; owner++) {
        const size_t t = owner < MIXED ? owner : SIZE_MAX;
        const char *name;
        size_t count;
        for (size_t i = 0; (name = sco_optim_state_array(from, t, i, &count)) != NULL; i++) {
            float *got = sco_alloc(count * sizeof *got), *again = sco_alloc(count * sizeof *again);
            ok(sco_optim_state_get(from, t, name, got, count));
            ok(sco_optim_state_set(to, t, name, got, count));
            ok(sco_optim_state_get(to, t, name, again, count));
            assert_memory_equal(got, again, count * sizeof *got);
            sco_free(got);
            sco_free(again);
        }
    }
    const struct velo *a = from->data, *b = to->data;
    for (size_t i = 0; i < 14 * MIXED; i++) { /* the planes themselves, laid out by the same code */
        const struct sco_plane *plane = &from->layout.planes[i];
        assert_memory_equal(from->state + plane->offset, to->state + plane->offset,
                            plane->count * plane->element_bytes);
    }
    for (size_t i = 0; i < MIXED * VELO_MOMENTS; i++)
        if (i % VELO_MOMENTS != VELO_MOMENT_P2)
            assert_true(fabs(a->moments[i] - b->moments[i]) <= 1e-5 * fabs(a->moments[i]) + 1e-6);
    sco_optim_destroy(from);
    sco_optim_destroy(to);
    close_task(&task);
    sco_ctx_destroy(ctx);
}

/* The order of axes decides how a tensor is walked, never (without ties) what happens to it. */
static void expect_same_permuted(struct sco_ctx *ctx, const struct sco_tensor *shape, const size_t order[])
{
    struct task plain, permuted;
    struct sco_tensor other = {.rank = shape->rank};
    size_t stride[SCO_MAX_RANK], size = 1;
    for (size_t i = shape->rank; i-- > 0; size *= shape->shape[i])
        stride[i] = size;
    for (size_t i = 0; i < shape->rank; i++)
        other.shape[i] = shape->shape[order[i]];
    open_task(&plain, shape, 1);
    open_task(&permuted, &other, 1);
    size_t *at = sco_alloc(plain.n[0] * sizeof *at); /* in plain, of each element of permuted */
    for (size_t i = 0; i < plain.n[0]; i++) {
        size_t rest = i;
        at[i] = 0;
        for (size_t k = shape->rank; k-- > 0; rest /= other.shape[k])
            at[i] += rest % other.shape[k] * stride[order[k]];
        permuted.p[0][i] = plain.p[0][at[i]];
    }
    struct sco_optim *a = begin(&plain, ctx), *b = begin(&permuted, ctx);
    double largest = 0;
    for (size_t step = 0; step < 3; step++) {
        new_gradients(&plain, step);
        for (size_t i = 0; i < plain.n[0]; i++)
            permuted.g[0][i] = plain.g[0][at[i]];
        ok(sco_optim_step(a, loss_at(step), plain.p, (const float *const *)plain.g));
        ok(sco_optim_step(b, loss_at(step), permuted.p, (const float *const *)permuted.g));
        for (size_t i = 0; i < plain.n[0]; i++)
            keep_largest(&largest, fabs((double)permuted.p[0][i] - (double)plain.p[0][at[i]]));
    }
    if (!(largest <= 3e-5)) /* rms of p: 0.6 */
        fail_msg("%zu axes of %zu elements, first %zu: parameters differ by %g", shape->rank, plain.n[0],
                 other.shape[0], largest);
    sco_optim_destroy(a);
    sco_optim_destroy(b);
    close_task(&plain);
    close_task(&permuted);
    sco_free(at);
}

static void test_permutations(void **state)
{
    static const struct sco_tensor shapes[] = {
        {NULL, 2, {1, 5000}},      {NULL, 2, {70, 2101}},    {NULL, 3, {40, 41, 42}},   {NULL, 3, {3, 70, 1201}},
        {NULL, 4, {2, 3, 50, 90}}, {NULL, 4, {1, 1, 7, 11}}, {NULL, 3, {17, 60, 1100}}, {NULL, 3, {1, 600, 3}},
    };
    static const size_t orders[][4] = {{0, 1, 2, 3}, {1, 0, 3, 2}, {2, 1, 0, 3},
                                       {2, 0, 1, 3}, {3, 2, 0, 1}, {1, 2, 3, 0}};
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 2);
    for (size_t i = 0; i < SCO_LEN(shapes); i++)
        for (size_t k = 0; k < SCO_LEN(orders); k++) {
            bool fits = true;
            size_t order[4], used = 0;
            for (size_t j = 0; j < 4; j++)
                if (orders[k][j] < shapes[i].rank)
                    order[used++] = orders[k][j];
            for (size_t j = 0; j < used; j++)
                fits &= order[j] < shapes[i].rank;
            assert_true(fits && used == shapes[i].rank);
            expect_same_permuted(ctx, &shapes[i], order);
        }
    sco_ctx_destroy(ctx);
}

static void test_nonfinite(void **state)
{
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 2);
    for (int policy = SCO_NONFINITE_STOP; policy <= SCO_NONFINITE_PASS; policy++) {
        struct task task, kept_back;
        open_task(&task, mixed_shapes, MIXED);
        open_task(&kept_back, mixed_shapes, MIXED);
        task.config.nonfinite = (enum sco_nonfinite_policy)policy;
        struct sco_optim *optim = begin(&task, ctx), *other = begin(&kept_back, ctx);
        take_steps(&task, optim, 0, 2);
        take_steps(&kept_back, other, 0, 2);
        const enum sco_status expected = policy == SCO_NONFINITE_STOP ? SCO_NONFINITE : SCO_OK;

        new_gradients(&task, 2);
        task.g[6][1234] = NAN;
        assert_int_equal(sco_optim_step(optim, loss_at(2), task.p, (const float *const *)task.g), expected);
        if (policy == SCO_NONFINITE_PASS) {
            assert_true(isnan(task.p[6][1234]) != 0);
            assert_true(isnan(task.p[0][0]) == 0); /* this step; the next one mixes all tensors */
        } else {
            assert_non_null(strstr(sco_error_message(), "tensor 6 (oihw) is nan at element 1234"));
            expect_same_bits(&task, &kept_back);
            new_gradients(&task, 2);
            assert_int_equal(sco_optim_step(optim, INFINITY, task.p, (const float *const *)task.g), expected);
            take_steps(&task, optim, 2, STEPS);
            take_steps(&kept_back, other, 2, STEPS);
            expect_same_bits(&task, &kept_back); /* what was refused has left no trace */
        }
        sco_optim_destroy(optim);
        sco_optim_destroy(other);
        close_task(&task);
        close_task(&kept_back);
    }
    sco_ctx_destroy(ctx);
}

static void expect_refused(struct sco_ctx *ctx, const struct task *task, const struct sco_optim_config *config,
                           const char *said)
{
    struct sco_optim *optim;
    assert_int_equal(sco_optim_create(&optim, ctx, config, &task->list), SCO_INVALID);
    assert_null(optim);
    if (strstr(sco_error_message(), said) == NULL)
        fail_msg("expected '%s', got '%s'", said, sco_error_message());
}

static void test_configuration(void **state)
{
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 1);
    struct task task;
    open_task(&task, mixed_shapes, MIXED);
    struct sco_optim_config config = task.config;
    config.num_steps = 0;
    expect_refused(ctx, &task, &config, "num_steps is 0");
    config = task.config;
    config.num_steps = (uint64_t)1 << 31;
    expect_refused(ctx, &task, &config, "below 2^31");
    config = task.config;
    config.theta = NULL;
    expect_refused(ctx, &task, &config, "no weights");
    config = task.config;
    config.accumulate = 101;
    expect_refused(ctx, &task, &config, "leaves no inner step");

    static const struct {
        uint64_t num_steps, accumulate, prompt, gradients;
    } prompts[] = {{100, 0, 100, 1},
                   {100, 3, 33, 3},
                   {150000, SCO_VELO_AUTO, 150000, 1},
                   {150001, SCO_VELO_AUTO, 75000, 2},
                   {1000000, SCO_VELO_AUTO, 142857, 7}};
    for (size_t i = 0; i < SCO_LEN(prompts); i++) {
        struct sco_optim *optim;
        uint64_t gradients;
        config = task.config;
        config.num_steps = prompts[i].num_steps;
        config.accumulate = prompts[i].accumulate;
        ok(sco_optim_create(&optim, ctx, &config, &task.list));
        assert_int_equal(sco_velo_prompt(optim, &gradients), prompts[i].prompt);
        assert_int_equal(gradients, prompts[i].gradients);
        sco_optim_destroy(optim);
    }
    close_task(&task);
    sco_ctx_destroy(ctx);
}

/* hold and exceed part at the end of the run, where error refuses and leaves everything as it was. */
static void test_past_end(void **state)
{
    static const struct sco_tensor shape = {"matrix", 2, {20, 30}};
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 1);
    struct task tasks[3];
    for (size_t policy = SCO_VELO_HOLD; policy <= SCO_VELO_EXCEED; policy++) {
        struct task *task = &tasks[policy];
        open_task(task, &shape, 1);
        task->config.num_steps = 3;
        task->config.past_end = (enum sco_velo_past_end)policy;
        struct sco_optim *optim = begin(task, ctx);
        take_steps(task, optim, 0, 3);
        if (policy == SCO_VELO_ERROR) {
            assert_int_equal(sco_optim_step(optim, 1.0f, task->p, (const float *const *)task->g), SCO_INVALID);
            assert_non_null(strstr(sco_error_message(), "num_steps = 3"));
            assert_int_equal(sco_optim_steps(optim), 3);
        } else {
            take_steps(task, optim, 3, 4); /* t / N = 1 in both */
            if (policy == SCO_VELO_EXCEED)
                expect_same_bits(&tasks[SCO_VELO_HOLD], task);
        }
        if (policy == SCO_VELO_HOLD) {
            sco_optim_destroy(optim);
            continue;
        }
        if (policy == SCO_VELO_EXCEED) {
            struct task held;
            open_task(&held, &shape, 1);
            held.config = tasks[SCO_VELO_HOLD].config;
            held.config.theta = held.theta;
            struct sco_optim *hold = begin(&held, ctx);
            take_steps(&held, hold, 0, 5);
            take_steps(task, optim, 4, 5);
            assert_memory_not_equal(held.p[0], task->p[0], task->n[0] * sizeof(float));
            sco_optim_destroy(hold);
            close_task(&held);
        }
        sco_optim_destroy(optim);
    }
    for (size_t i = 0; i < 3; i++)
        close_task(&tasks[i]);
    sco_ctx_destroy(ctx);
}

static void test_historic_flags(void **state)
{
    static const struct sco_tensor shapes[] = {{"matrix", 2, {20, 30}}, {"bias", 1, {30}}};
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 1);
    struct task flagged, ten;
    float h[2 * 16], initial[2 * 16], means[10], expected[10];
    open_task(&flagged, shapes, 2);
    open_task(&ten, shapes, 2);
    flagged.config.bugged_lstm_state = flagged.config.bugged_loss_features = 1;
    ten.config.num_steps = 10;
    struct sco_optim *a = begin(&flagged, ctx), *b = begin(&ten, ctx);
    ok(sco_optim_state_get(a, SIZE_MAX, "lstm_h", initial, 32));
    take_steps(&flagged, a, 0, 5);
    take_steps(&ten, b, 0, 5);
    ok(sco_optim_state_get(a, SIZE_MAX, "lstm_h", h, 32));
    assert_memory_equal(h, initial, sizeof h);
    ok(sco_optim_state_get(a, SIZE_MAX, "loss_means", means, 10));
    ok(sco_optim_state_get(b, SIZE_MAX, "loss_means", expected, 10));
    assert_memory_equal(means, expected, sizeof means);
    ok(sco_optim_state_get(b, SIZE_MAX, "lstm_h", h, 32));
    assert_memory_not_equal(h, initial, sizeof h);
    sco_optim_destroy(a);
    sco_optim_destroy(b);
    close_task(&flagged);
    close_task(&ten);
    sco_ctx_destroy(ctx);
}

/* Parameters edited between steps: as if the optimizer had been given them from the start. */
static void test_params_changed(void **state)
{
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 2);
    struct task edited, fresh;
    open_task(&edited, mixed_shapes, MIXED);
    open_task(&fresh, mixed_shapes, MIXED);
    struct sco_optim *a = begin(&edited, ctx);
    for (size_t t = 0; t < MIXED; t++)
        for (size_t i = 0; i < edited.n[t]; i++) {
            edited.p[t][i] *= 3.0f;
            fresh.p[t][i] *= 3.0f;
        }
    ok(sco_velo_params_changed(a, (const float *const *)edited.p));
    struct sco_optim *b = begin(&fresh, ctx);
    take_steps(&edited, a, 0, 2);
    take_steps(&fresh, b, 0, 2);
    expect_same_bits(&edited, &fresh);
    float *const missing = edited.p[0];
    edited.p[0] = NULL;
    assert_int_equal(sco_velo_params_changed(a, (const float *const *)edited.p), SCO_INVALID);
    edited.p[0] = missing;
    sco_optim_destroy(a);
    sco_optim_destroy(b);
    close_task(&edited);
    close_task(&fresh);
    sco_ctx_destroy(ctx);
}

/* A gradient that is the same everywhere leaves momenta without variance, which raw moments cannot tell from rounding:
 * the LSTM input must not depend on how many such elements there are. */
static void test_equal_gradients(void **state)
{
    static const struct sco_tensor shapes[] = {{"few", 1, {2}}, {"many", 1, {5003}}};
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 1);
    struct task task;
    open_task(&task, shapes, 2);
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < task.n[t]; i++)
            task.p[t][i] = 1e-6f;
    struct sco_optim *optim = begin(&task, ctx);
    for (size_t step = 0; step < 3; step++) {
        for (size_t t = 0; t < 2; t++)
            for (size_t i = 0; i < task.n[t]; i++)
                task.g[t][i] = 0.7f;
        ok(sco_optim_step(optim, loss_at(step), task.p, (const float *const *)task.g));
    }
    float h[2][16];
    ok(sco_optim_state_get(optim, SIZE_MAX, "lstm_h", h[0], 32));
    for (size_t i = 0; i < 16; i++)
        assert_true(fabsf(h[0][i] - h[1][i]) <= 1e-4f);
    sco_optim_destroy(optim);
    close_task(&task);
    sco_ctx_destroy(ctx);
}

static void test_empty_list(void **state)
{
    (void)state;
    struct sco_ctx *ctx = open_ctx(NULL, 2);
    struct task task;
    open_task(&task, NULL, 0);
    struct sco_optim *optim = begin(&task, ctx);
    ok(sco_optim_step(optim, 1.0f, NULL, NULL));
    assert_int_equal(sco_optim_steps(optim), 1);
    sco_optim_destroy(optim);
    close_task(&task);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traces),         cmocka_unit_test(test_threads),
        cmocka_unit_test(test_apply),          cmocka_unit_test(test_save),
        cmocka_unit_test(test_state),          cmocka_unit_test(test_permutations),
        cmocka_unit_test(test_nonfinite),      cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_past_end),       cmocka_unit_test(test_historic_flags),
        cmocka_unit_test(test_params_changed), cmocka_unit_test(test_equal_gradients),
        cmocka_unit_test(test_empty_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * The classical optimizers against runs recorded from optax and AlgoPerf (tests/golden/velo/README.md): parameters at
 * every step, states at the first and the last, one step on from a recorded state; and the same bits for 1, 2, 3 and 7
 * threads, for every level that this machine has, for step and for apply in another order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"
#include "stepcost/optim.h"
#include "stepcost/trace.h"

enum { MAX_TENSORS = 8 };

struct run {
    const char *name;
    enum sco_optim_kind kind;
    enum sco_schedule_kind schedule;
    double bound;       /* largest |dp| / rms(p): 3e-5 for the Adam family, 3e-6 for others */
    const char *states; /* name in the trace = state array, comma separated */
    int decay, clip, nadam_optax, adafactor_algoperf, adafactor_momentum;
};

#define MOMENTS "0/mu=mu,0/nu=nu"
#define FACTORS "0/v_row=v_row,0/v_col=v_col,0/v=v"
static const struct run runs[] = {
    {"adam", SCO_OPTIM_ADAM, SCO_SCHEDULE_CONSTANT, 3e-5, MOMENTS, .decay = 0},
    {"adamw", SCO_OPTIM_ADAMW, SCO_SCHEDULE_COSINE, 3e-5, MOMENTS, .decay = 1},
    {"nadam", SCO_OPTIM_NADAM, SCO_SCHEDULE_CONSTANT, 3e-5, MOMENTS, .decay = 0},
    {"nadamw", SCO_OPTIM_NADAMW, SCO_SCHEDULE_COSINE, 3e-5, MOMENTS, .decay = 1},
    {"nadamw_optax", SCO_OPTIM_NADAMW, SCO_SCHEDULE_COSINE, 3e-5, MOMENTS, .decay = 1, .nadam_optax = 1},
    {"nadamw_clip", SCO_OPTIM_NADAMW, SCO_SCHEDULE_COSINE, 3e-5, MOMENTS, .decay = 1, .clip = 1},
    {"momentum", SCO_OPTIM_HEAVY_BALL, SCO_SCHEDULE_LINEAR, 3e-6, "1/0/trace=trace", .decay = 1},
    {"nesterov", SCO_OPTIM_NESTEROV, SCO_SCHEDULE_LINEAR, 3e-6, "1/0/trace=trace", .decay = 1},
    {"adafactor_optax", SCO_OPTIM_ADAFACTOR, SCO_SCHEDULE_CONSTANT, 3e-6, FACTORS, .decay = 0},
    {"adafactor_optax_mom", SCO_OPTIM_ADAFACTOR, SCO_SCHEDULE_CONSTANT, 3e-6, FACTORS ",4/ema=ema", .decay = 1,
     .adafactor_momentum = 1},
    {"adafactor_algoperf", SCO_OPTIM_ADAFACTOR, SCO_SCHEDULE_COSINE, 3e-6, "/m=m,/m_scale=m_scale,/vr=vr,/vc=vc,/v=v",
     .decay = 1, .adafactor_algoperf = 1},
    {"lamb", SCO_OPTIM_LAMB, SCO_SCHEDULE_COSINE, 3e-5, MOMENTS, .decay = 1},
    {"lion", SCO_OPTIM_LION, SCO_SCHEDULE_CONSTANT, 3e-6, "0/mu=mu", .decay = 1},
};

static struct sco_trace *trace;
static struct sco_tensor tensors[MAX_TENSORS];
static struct sco_tensor_list list = {0, tensors};
static size_t elements[MAX_TENSORS];
static size_t steps;

static double fact(const char *key)
{
    double value = 0;
    if (sco_trace_number(trace, key, &value) != SCO_OK)
        fail_msg("%s", sco_error_message());
    return value;
}

static const struct sco_trace_array *array_of(const struct sco_trace_array *array)
{
    assert_non_null(array);
    return array;
}

static int open_trace(void **state)
{
    (void)state;
    if (sco_trace_open(&trace, SCO_GOLDEN, "baselines") != SCO_OK) {
        fprintf(stderr, "%s\n", sco_error_message());
        return -1;
    }
    steps = (size_t)fact("steps");
    const struct sco_trace_array *p;
    while ((p = sco_trace_find(trace, "init/p/%zu", list.count)) != NULL) {
        struct sco_tensor *tensor = &tensors[list.count];
        tensor->rank = p->rank;
        memcpy(tensor->shape, p->shape, p->rank * sizeof *p->shape);
        elements[list.count++] = p->elements;
    }
    return steps == 12 && list.count == 6 ? 0 : -1;
}

static int close_trace(void **state)
{
    (void)state;
    sco_trace_close(trace);
    return 0;
}

/* NULL where this machine or build does not have the level. */
static struct sco_ctx *new_ctx(size_t threads, const char *isa)
{
    struct sco_ctx *ctx = NULL;
    const struct sco_ctx_options options = {.isa = isa, .threads = threads, .oversubscribe = 1};
    const enum sco_status status = sco_ctx_create(&ctx, &options);
    if (status != SCO_OK && (isa == NULL || status != SCO_UNSUPPORTED))
        fail_msg("%s", sco_error_message());
    return ctx;
}

static struct sco_optim_config config_of(const struct run *run)
{
    struct sco_optim_config config;
    sco_optim_defaults(run->kind, &config);
    config.schedule = (struct sco_schedule){
        .kind = run->schedule,
        .lr = fact("hparams/lr"),
        .warmup_steps = floor(fact("hparams/warmup_factor") * fact("hparams/step_hint")),
        .total_steps = (uint64_t)fact("hparams/step_hint"),
        .end_factor = run->schedule == SCO_SCHEDULE_LINEAR ? fact("hparams/end_factor") : 0,
        .decay_steps_factor = fact("hparams/decay_steps_factor"),
    };
    config.b1 = fact("hparams/beta1");
    if (run->kind != SCO_OPTIM_LION)
        config.b2 = fact("hparams/beta2");
    config.weight_decay = run->decay ? fact("hparams/weight_decay") : 0;
    config.grad_clip = run->clip ? fact("hparams/grad_clip") : 0;
    config.nadam_optax = run->nadam_optax;
    config.adafactor_algoperf = run->adafactor_algoperf;
    config.adafactor_min_dim = (size_t)fact("hparams/adafactor_min_dim");
    config.adafactor_momentum = run->adafactor_momentum;
    return config;
}

static struct sco_optim *new_optim(struct sco_ctx *ctx, const struct run *run)
{
    const struct sco_optim_config config = config_of(run);
    struct sco_optim *optim = NULL;
    if (sco_optim_create(&optim, ctx, &config, &list) != SCO_OK)
        fail_msg("%s: %s", run->name, sco_error_message());
    return optim;
}

static void load_p(float **p, const char *format, ...)
{
    char prefix[64];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    for (size_t i = 0; i < list.count; i++)
        memcpy(p[i], array_of(sco_trace_find(trace, "%s/p/%zu", prefix, i))->data, elements[i] * sizeof(float));
}

static void gradients(const float **g, size_t step)
{
    for (size_t i = 0; i < list.count; i++)
        g[i] = array_of(sco_trace_find(trace, "s%03zu/g/%zu", step, i))->data;
}

static double rms(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum / (double)n);
}

/* Largest |x - want| over rms(want), which counts as 1e-20 where all is as good as zero. */
static double deviation(const float *x, const float *want, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, isnan(x[i]) ? INFINITY : fabs((double)x[i] - want[i]));
    return worst / fmax(rms(want, n), 1e-20);
}

static void check_p(const struct run *run, size_t step, float *const *p, double bound, const char *what)
{
    for (size_t i = 0; i < list.count; i++) {
        const struct sco_trace_array *want = array_of(sco_trace_find(trace, "%s/s%03zu/p/%zu", run->name, step, i));
        const double error = deviation(p[i], want->data, elements[i]);
        if (!(error <= bound))
            fail_msg("%s, step %zu, tensor %zu, %s: |dp| is %.3g rms(p), bound %.3g", run->name, step, i, what, error,
                     bound);
    }
}

/* The recorded array of a state as floats, or NULL where the tensor has none (optax has a placeholder of one zero). */
static float *recorded_state(const struct run *run, const struct sco_optim *optim, const char *pair, size_t step,
                             size_t tensor, const char **name, size_t *count)
{
    static char key[64];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(pair, ","), pair);
    char *equals = strchr(key, '=');
    *equals = '\0';
    *name = equals + 1;
    const struct sco_trace_array *array =
        array_of(sco_trace_find(trace, "%s/s%03zu/state/%s/t%02zu", run->name, step, key, tensor));
    const char *found;
    for (size_t i = 0; (found = sco_optim_state_array(optim, tensor, i, count)) != NULL; i++)
        if (strcmp(found, *name) == 0)
            break;
    if (found == NULL) {
        assert_int_equal(array->elements, 1);
        return NULL;
    }
    assert_int_equal(array->elements, *count);
    float *values = malloc(*count * sizeof(float));
    for (size_t i = 0; i < *count; i++)
        values[i] = array->type == SCO_TRACE_I8 ? ((const int8_t *)array->data)[i] : ((const float *)array->data)[i];
    return values;
}

#define FOR_EACH_STATE(run, pair)                                                                                      \
    for (const char *pair = (run)->states, *end_; pair != NULL;                                                        \
         end_ = strchr(pair, ','), pair = end_ == NULL ? NULL : end_ + 1)

static void check_state(const struct run *run, const struct sco_optim *optim, size_t step)
{
    for (size_t t = 0; t < list.count; t++)
        FOR_EACH_STATE(run, pair)
        {
            const char *name;
            size_t count;
            float *want = recorded_state(run, optim, pair, step, t, &name, &count);
            if (want == NULL)
                continue;
            /* The first rate of the schedule is 0, which leaves rounding noise for the 8-bit momentum to scale up. */
            const bool eight_bit = run->adafactor_algoperf && strcmp(name, "m") == 0;
            if (eight_bit && step == 1) {
                free(want);
                continue;
            }
            float *have = malloc(count * sizeof(float));
            assert_int_equal(sco_optim_state_get(optim, t, name, have, count), SCO_OK);
            const double error = deviation(have, want, count);
            const double bound = eight_bit ? 1.01 / rms(want, count) : 1e-5; /* one of the 127 levels may flip */
            if (!(error <= bound))
                fail_msg("%s, step %zu, tensor %zu, state %s: error %.3g rms, bound %.3g", run->name, step, t, name,
                         error, bound);
            free(have), free(want);
        }
}

static void set_state(const struct run *run, struct sco_optim *optim, size_t step)
{
    for (size_t t = 0; t < list.count; t++)
        FOR_EACH_STATE(run, pair)
        {
            const char *name;
            size_t count;
            float *values = recorded_state(run, optim, pair, step, t, &name, &count);
            if (values != NULL)
                assert_int_equal(sco_optim_state_set(optim, t, name, values, count), SCO_OK);
            free(values);
        }
    assert_int_equal(sco_optim_set_steps(optim, step), SCO_OK);
}

static void new_p(float **p)
{
    for (size_t i = 0; i < list.count; i++)
        p[i] = malloc(elements[i] * sizeof(float));
    load_p(p, "init");
}

static void free_p(float **p)
{
    for (size_t i = 0; i < list.count; i++)
        free(p[i]);
}

static void assert_same_p(const struct run *run, float *const *a, float *const *b, const char *what)
{
    for (size_t i = 0; i < list.count; i++)
        if (memcmp(a[i], b[i], elements[i] * sizeof(float)) != 0)
            fail_msg("%s, tensor %zu: other bits with %s", run->name, i, what);
}

static void test_recorded_runs(void **state)
{
    (void)state;
    static const struct {
        size_t threads;
        const char *isa; /* NULL: all there is */
    } teams[] = {{1, NULL}, {2, NULL}, {3, NULL}, {7, NULL}, {2, "scalar"}, {2, "hwy"}, {2, "avx2"}, {2, "neon"}};
    float *first[SCO_LEN(runs)][MAX_TENSORS];
    for (size_t k = 0; k < SCO_LEN(teams); k++) {
        struct sco_ctx *ctx = new_ctx(teams[k].threads, teams[k].isa);
        if (ctx == NULL) {
            printf("SKIP %s: %s\n", teams[k].isa, sco_error_message());
            continue;
        }
        for (size_t r = 0; r < SCO_LEN(runs); r++) {
            const struct run *run = &runs[r];
            struct sco_optim *optim = new_optim(ctx, run);
            float *p[MAX_TENSORS];
            const float *g[MAX_TENSORS];
            new_p(p);
            assert_int_equal(sco_optim_init(optim, (const float *const *)p), SCO_OK);
            for (size_t step = 1; step <= steps; step++) {
                gradients(g, step);
                assert_int_equal(sco_optim_step(optim, 0, p, g), SCO_OK);
                check_p(run, step, p, run->bound, "from the first step");
                if (step == 1 || step == steps)
                    check_state(run, optim, step);
            }
            assert_int_equal(sco_optim_steps(optim), steps);
            if (k == 0) {
                memcpy(first[r], p, sizeof p);
            } else {
                assert_same_p(run, first[r], p, "other threads or another level");
                free_p(p);
            }
            sco_optim_destroy(optim);
        }
        sco_ctx_destroy(ctx);
    }
    for (size_t r = 0; r < SCO_LEN(runs); r++)
        free_p(first[r]);
}

static void test_one_step_from_a_recorded_state(void **state)
{
    (void)state;
    struct sco_ctx *ctx = new_ctx(2, NULL);
    for (size_t r = 0; r < SCO_LEN(runs); r++) {
        const struct run *run = &runs[r];
        struct sco_optim *optim = new_optim(ctx, run);
        float *p[MAX_TENSORS];
        const float *g[MAX_TENSORS];
        new_p(p);
        assert_int_equal(sco_optim_init(optim, (const float *const *)p), SCO_OK);
        load_p(p, "%s/s001", run->name);
        set_state(run, optim, 1);
        check_state(run, optim, 1);
        gradients(g, 2);
        assert_int_equal(sco_optim_step(optim, 0, p, g), SCO_OK);
        check_p(run, 2, p, run->bound, "from the recorded state of step 1");
        free_p(p);
        sco_optim_destroy(optim);
    }
    sco_ctx_destroy(ctx);
}

static void test_apply_in_another_order(void **state)
{
    (void)state;
    struct sco_ctx *ctx = new_ctx(2, NULL);
    for (size_t r = 0; r < SCO_LEN(runs); r++) {
        const struct run *run = &runs[r];
        struct sco_optim *whole = new_optim(ctx, run), *parts = new_optim(ctx, run);
        float *p[MAX_TENSORS], *q[MAX_TENSORS];
        const float *g[MAX_TENSORS];
        new_p(p), new_p(q);
        assert_int_equal(sco_optim_init(whole, (const float *const *)p), SCO_OK);
        assert_int_equal(sco_optim_init(parts, (const float *const *)q), SCO_OK);
        for (size_t step = 1; step <= steps; step++) {
            gradients(g, step);
            assert_int_equal(sco_optim_prepare(parts, 0), SCO_OK);
            for (size_t i = 0; i < list.count; i++) {
                const size_t t = (i * 5 + step) % list.count; /* 5 and 6 have no common factor */
                assert_int_equal(sco_optim_apply(parts, t, q[t], g[t]), run->clip ? SCO_UNSUPPORTED : SCO_OK);
            }
            assert_int_equal(sco_optim_step(whole, 0, p, g), SCO_OK);
        }
        if (!run->clip)
            assert_same_p(run, p, q, "apply in another order");
        free_p(p), free_p(q);
        sco_optim_destroy(whole), sco_optim_destroy(parts);
    }
    sco_ctx_destroy(ctx);
}

static void test_schedules(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct run run = {.kind = SCO_OPTIM_ADAM, .schedule = i == 0 ? SCO_SCHEDULE_COSINE : SCO_SCHEDULE_LINEAR};
        const struct sco_optim_config config = config_of(&run);
        const struct sco_trace_array *want = array_of(sco_trace_find(trace, i == 0 ? "lr_cosine" : "lr_linear"));
        assert_int_equal(want->elements, steps);
        assert_int_equal(sco_schedule_check(&config.schedule), SCO_OK);
        for (size_t t = 0; t < steps; t++) {
            const float lr = (float)sco_schedule_lr(&config.schedule, t), recorded = ((const float *)want->data)[t];
            if (fabsf(lr - recorded) > 0x1p-22f * recorded)
                fail_msg("schedule %zu, step %zu: %.9g, recorded %.9g", i, t, (double)lr, (double)recorded);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_recorded_runs),
        cmocka_unit_test(test_one_step_from_a_recorded_state),
        cmocka_unit_test(test_apply_in_another_order),
    };
    return cmocka_run_group_tests(tests, open_trace, close_trace);
}

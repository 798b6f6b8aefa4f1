/* SPDX-License-Identifier: Apache-2.0
 * Everything around an optimizer's arithmetic: configurations and lists that must be refused, the policies for NaN and
 * Inf, threads, the order of apply, save and load and every kind of damaged file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/kernel.h"
#include "stepcost/memory.h"
#include "stepcost/optim.h"

/* More than the elements that one thread takes alone, shares that end inside tensors, empty tensors and single
 * elements, rank 8, a last axis that is neither of the two longest. */
static const struct sco_tensor tensors[] = {
    {"embed", 2, {257, 131}}, {"bias", 1, {131}},
    {"scale", 0, {0}},        {"none", 3, {(size_t)1 << 40, 0, (size_t)1 << 40}},
    {"one", 1, {1}},          {"conv", 4, {3, 3, 20, 50}},
    {NULL, 1, {20011}},       {"deep", 8, {2, 1, 3, 2, 1, 5, 2, 3}},
    {"square", 2, {90, 90}},  {"loose", 3, {40, 60, 2}},
};
enum { TENSORS = SCO_LEN(tensors) };
static const struct sco_tensor_list list = {TENSORS, tensors};

static const enum sco_optim_kind kinds[] = {
    SCO_OPTIM_HEAVY_BALL, SCO_OPTIM_NESTEROV, SCO_OPTIM_ADAM, SCO_OPTIM_ADAMW,     SCO_OPTIM_NADAM,
    SCO_OPTIM_NADAMW,     SCO_OPTIM_LION,     SCO_OPTIM_LAMB, SCO_OPTIM_ADAFACTOR,
};

static struct sco_ctx *ctx;

static size_t elements_of(const struct sco_tensor *tensor)
{
    size_t n = 0;
    assert_int_equal(sco_tensor_elements(tensor, &n), SCO_OK);
    return n;
}

/* Uniform in [-1, 1), from an integer (splitmix64). */
static float uniform(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (float)((double)((x ^ (x >> 31)) >> 11) * 0x1p-52 - 1);
}

struct arrays {
    float *of[TENSORS];
};

static void fill(struct arrays *arrays, uint64_t seed, float scale)
{
    for (size_t t = 0; t < TENSORS; t++)
        for (size_t i = 0; i < elements_of(&tensors[t]); i++)
            arrays->of[t][i] = scale * uniform(seed * 1000003 + t * 100000007 + i);
}

static struct arrays new_arrays(uint64_t seed)
{
    struct arrays arrays;
    for (size_t t = 0; t < TENSORS; t++)
        arrays.of[t] = malloc(elements_of(&tensors[t]) * sizeof(float) + 1);
    fill(&arrays, seed, 1);
    return arrays;
}

static void free_arrays(struct arrays *arrays)
{
    for (size_t t = 0; t < TENSORS; t++)
        free(arrays->of[t]);
}

static int same_arrays(const struct arrays *a, const struct arrays *b)
{
    for (size_t t = 0; t < TENSORS; t++)
        if (memcmp(a->of[t], b->of[t], elements_of(&tensors[t]) * sizeof(float)) != 0)
            return 0;
    return 1;
}

#define IN(arrays) ((const float *const *)(arrays).of)

static struct sco_optim *new_optim(struct sco_ctx *context, const struct sco_optim_config *config)
{
    struct sco_optim *optim = NULL;
    if (sco_optim_create(&optim, context, config, &list) != SCO_OK)
        fail_msg("%s: %s", sco_optim_name(config->kind), sco_error_message());
    return optim;
}

static struct sco_optim *ready_optim(const struct sco_optim_config *config, const struct arrays *p)
{
    struct sco_optim *optim = new_optim(ctx, config);
    assert_int_equal(sco_optim_init(optim, IN(*p)), SCO_OK);
    return optim;
}

static void say(const char *what)
{
    if (strstr(sco_error_message(), what) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", sco_error_message(), what);
}

/* All state of an optimizer in a row, and its counts. */
static float *snapshot(const struct sco_optim *optim, size_t *count)
{
    float *all = NULL;
    size_t total = 0, n = 0;
    for (size_t t = 0; t <= TENSORS; t++) {
        const size_t tensor = t == TENSORS ? SIZE_MAX : t;
        const char *name;
        for (size_t i = 0; (name = sco_optim_state_array(optim, tensor, i, &n)) != NULL; i++) {
            all = realloc(all, (total + n + 1) * sizeof(float));
            assert_int_equal(sco_optim_state_get(optim, tensor, name, all + total, n), SCO_OK);
            total += n;
        }
    }
    all = realloc(all, (total + 2) * sizeof(float));
    all[total++] = (float)sco_optim_steps(optim);
    all[total++] = (float)sco_optim_skipped(optim);
    *count = total;
    return all;
}

static void assert_state(const struct sco_optim *optim, const float *before, size_t count)
{
    size_t n = 0;
    float *now = snapshot(optim, &n);
    assert_int_equal(n, count);
    assert_memory_equal(now, before, n * sizeof(float));
    free(now);
}

static int create_ctx(void **state)
{
    (void)state;
    const struct sco_ctx_options options = {.threads = 2, .oversubscribe = 1};
    return sco_ctx_create(&ctx, &options) == SCO_OK ? 0 : -1;
}

static int destroy_ctx(void **state)
{
    (void)state;
    sco_ctx_destroy(ctx);
    return 0;
}

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCO_OPTIM_KINDS; i++) {
        enum sco_optim_kind kind = SCO_OPTIM_KINDS;
        assert_int_equal(sco_optim_parse(sco_optim_name((enum sco_optim_kind)i), &kind), SCO_OK);
        assert_int_equal(kind, i);
    }
    enum sco_optim_kind kind = SCO_OPTIM_LION;
    assert_int_equal(sco_optim_parse("sgd", &kind), SCO_INVALID);
    assert_int_equal(kind, SCO_OPTIM_LION);
    for (size_t i = 0; i < SCO_OPTIM_KINDS; i++)
        say(sco_optim_name((enum sco_optim_kind)i));
}

static void test_bad_configs(void **state)
{
    (void)state;
    struct sco_optim_config good;
    sco_optim_defaults(SCO_OPTIM_ADAMW, &good);
    struct sco_optim *optim = NULL;
    size_t bytes = 0, workspace = 0;
#define REFUSE(change, what)                                                                                           \
    do {                                                                                                               \
        struct sco_optim_config config = good;                                                                         \
        change;                                                                                                        \
        assert_int_equal(sco_optim_create(&optim, ctx, &config, &list), SCO_INVALID);                                  \
        assert_null(optim);                                                                                            \
        say(what);                                                                                                     \
        assert_int_equal(sco_optim_plan(ctx, &config, &list, &bytes, &workspace), SCO_INVALID);                        \
    } while (0)
    REFUSE(config.schedule.lr = -1, "lr is -1");
    REFUSE(config.schedule.lr = NAN, "lr is");
    REFUSE(config.schedule.lr = INFINITY, "lr is inf");
    REFUSE(config.b1 = 1, "b1 is 1");
    REFUSE(config.b1 = -0.1, "b1 is -0.1");
    REFUSE(config.b2 = NAN, "b2 is");
    REFUSE(config.b2 = 1.5, "b2 is 1.5");
    REFUSE(config.eps = -1e-8, "eps is -1e-08");
    REFUSE(config.weight_decay = -1, "weight_decay is -1");
    REFUSE(config.grad_clip = INFINITY, "grad_clip is inf");
    REFUSE(config.nonfinite = (enum sco_nonfinite_policy)7, "policy 7");
    REFUSE(config.kind = SCO_OPTIM_KINDS, "kind");
    REFUSE(config.schedule.kind = (enum sco_schedule_kind)9, "schedule 9");
    REFUSE(config.schedule.kind = SCO_SCHEDULE_COSINE; config.schedule.warmup_steps = 11;
           config.schedule.total_steps = 10, "warmup_steps is 11");
    REFUSE(config.schedule.kind = SCO_SCHEDULE_COSINE; config.schedule.end_factor = 2, "end_factor is 2");
    REFUSE(config.schedule.kind = SCO_SCHEDULE_LINEAR;
           config.schedule.decay_steps_factor = -1, "decay_steps_factor is -1");
    REFUSE(config.kind = SCO_OPTIM_ADAM, "use adamw");
#undef REFUSE
    assert_int_equal(bytes + workspace, 0);
}

static void test_lists(void **state)
{
    (void)state;
    struct sco_optim_config config;
    sco_optim_defaults(SCO_OPTIM_ADAM, &config);
    size_t bytes = 0, workspace = 0;
    const struct {
        struct sco_tensor tensor[2];
        size_t count;
        const char *what;
    } bad[] = {
        {{{"ranked", 9, {1}}}, 1, "ranked has rank 9"},
        {{{"huge", 2, {SIZE_MAX / 4, 3}}}, 1, "huge"},
        {{{"half", 1, {SIZE_MAX / 8}}, {"more", 1, {2}}}, 2, "more"},
        {{{"state", 1, {SIZE_MAX / 8}}}, 1, "address space"},
    };
    for (size_t i = 0; i < SCO_LEN(bad); i++) {
        const struct sco_tensor_list wrong = {bad[i].count, bad[i].tensor};
        assert_int_equal(sco_optim_plan(ctx, &config, &wrong, &bytes, &workspace), SCO_SHAPE);
        say(bad[i].what);
        assert_int_equal(bytes, 0);
    }

    const struct sco_tensor big = {"table", 2, {(size_t)1 << 36, 8}};
    const struct sco_tensor_list too_big = {1, &big};
    struct sco_optim *optim = NULL;
    assert_int_equal(sco_optim_plan(ctx, &config, &too_big, &bytes, &workspace), SCO_OK);
    assert_int_equal(bytes, 2 * ((size_t)1 << 41));
    assert_int_equal(sco_optim_create(&optim, ctx, &config, &too_big), SCO_NOMEM);
    assert_null(optim);
    say("4398046511104 bytes");
    say("available");

    const struct sco_tensor_list empty = {0, NULL};
    assert_int_equal(sco_optim_create(&optim, ctx, &config, &empty), SCO_OK);
    assert_int_equal(sco_optim_init(optim, NULL), SCO_OK);
    assert_int_equal(sco_optim_step(optim, 0, NULL, NULL), SCO_OK);
    sco_optim_destroy(optim);

    for (size_t k = 0; k < SCO_LEN(kinds); k++) {
        sco_optim_defaults(kinds[k], &config);
        double traffic = 0, flops = 0;
        assert_int_equal(sco_optim_cost_model(&config, &list, &traffic, &flops), SCO_OK);
        assert_true(traffic > 0 && flops > 0);
    }
}

static void test_misuse(void **state)
{
    (void)state;
    struct sco_optim_config config;
    sco_optim_defaults(SCO_OPTIM_ADAM, &config);
    struct arrays p = new_arrays(1), g = new_arrays(2);
    struct sco_optim *optim = new_optim(ctx, &config);
    float x = 0;
    assert_int_equal(sco_optim_step(optim, 0, p.of, IN(g)), SCO_INVALID);
    say("sco_optim_init");
    assert_int_equal(sco_optim_prepare(optim, 0), SCO_INVALID);
    assert_int_equal(sco_optim_save(optim, "/nowhere"), SCO_INVALID);
    assert_int_equal(sco_optim_state_get(optim, 0, "mu", &x, 1), SCO_INVALID);

    float *kept = p.of[5];
    p.of[5] = NULL;
    assert_int_equal(sco_optim_init(optim, IN(p)), SCO_INVALID);
    say("p of tensor 5 (conv) is NULL");
    p.of[5] = kept;
    assert_int_equal(sco_optim_init(optim, IN(p)), SCO_OK);
    assert_int_equal(sco_optim_step(optim, 0, p.of, NULL), SCO_INVALID);
    say("g of tensor 0 (embed) is NULL");

    assert_int_equal(sco_optim_apply(optim, 0, p.of[0], g.of[0]), SCO_INVALID);
    say("without sco_optim_prepare");
    assert_int_equal(sco_optim_prepare(optim, 0), SCO_OK);
    assert_int_equal(sco_optim_apply(optim, TENSORS, p.of[0], g.of[0]), SCO_INVALID);
    assert_int_equal(sco_optim_apply(optim, 6, NULL, g.of[6]), SCO_INVALID);
    say("p of tensor 6 is NULL");
    assert_int_equal(sco_optim_apply(optim, 3, NULL, NULL), SCO_OK); /* empty */
    assert_int_equal(sco_optim_apply(optim, 6, p.of[6], g.of[6]), SCO_OK);
    assert_int_equal(sco_optim_apply(optim, 6, p.of[6], g.of[6]), SCO_INVALID);
    say("already applied");
    assert_int_equal(sco_optim_state_get(optim, 4, "mu", &x, 2), SCO_INVALID);
    say("1 elements, not 2");
    assert_int_equal(sco_optim_state_get(optim, 4, "trace", &x, 1), SCO_INVALID);
    say("mu, nu");
    assert_int_equal(sco_optim_state_set(optim, TENSORS, "mu", &x, 1), SCO_INVALID);
    sco_optim_destroy(optim);
    sco_optim_destroy(NULL);
    free_arrays(&p), free_arrays(&g);
}

enum { STEPS = 4 };

static void run_steps(struct sco_optim *optim, struct arrays *p, struct arrays *g, size_t from, size_t to)
{
    for (size_t s = from; s < to; s++) {
        fill(g, 100 + s, s % 2 == 0 ? 1 : 1e-3f);
        assert_int_equal(sco_optim_step(optim, 1, p->of, IN(*g)), SCO_OK);
    }
}

/* Configurations that take different paths; clip as well. */
static size_t variants(struct sco_optim_config *configs)
{
    size_t count = 0;
    for (size_t k = 0; k < SCO_LEN(kinds); k++)
        for (int clip = 0; clip < 2; clip++) {
            sco_optim_defaults(kinds[k], &configs[count]);
            configs[count].grad_clip = clip ? 10 : 0;
            count++;
        }
    for (int i = 0; i < 4;
         i++) { /* Adafactor: optax's with and without momentum, AlgoPerf's with and without clipping */
        sco_optim_defaults(SCO_OPTIM_ADAFACTOR, &configs[count]);
        configs[count].adafactor_min_dim = 2;
        configs[count].adafactor_momentum = i % 2;
        configs[count].adafactor_algoperf = i / 2;
        configs[count].grad_clip = i == 3 ? 10 : 0;
        configs[count].weight_decay = 0.01;
        count++;
    }
    return count;
}
enum { MAX_VARIANTS = 64 };

static void test_threads(void **state)
{
    (void)state;
    static const size_t threads[] = {1, 2, 3, 7};
    struct sco_optim_config configs[MAX_VARIANTS];
    const size_t count = variants(configs);
    struct arrays first[MAX_VARIANTS], g = new_arrays(2);
    for (size_t k = 0; k < SCO_LEN(threads); k++) {
        struct sco_ctx *team = NULL;
        const struct sco_ctx_options options = {.threads = threads[k], .oversubscribe = 1};
        assert_int_equal(sco_ctx_create(&team, &options), SCO_OK);
        for (size_t c = 0; c < count; c++) {
            struct arrays p = new_arrays(1);
            struct sco_optim *optim = new_optim(team, &configs[c]);
            assert_int_equal(sco_optim_init(optim, IN(p)), SCO_OK);
            run_steps(optim, &p, &g, 0, STEPS);
            if (k == 0)
                first[c] = p;
            else if (!same_arrays(&first[c], &p))
                fail_msg("%s: other bits with %zu threads", sco_optim_name(configs[c].kind), threads[k]);
            if (k != 0)
                free_arrays(&p);
            sco_optim_destroy(optim);
        }
        sco_ctx_destroy(team);
    }
    for (size_t c = 0; c < count; c++)
        free_arrays(&first[c]);
    free_arrays(&g);
}

static void test_apply(void **state)
{
    (void)state;
    struct sco_optim_config configs[MAX_VARIANTS];
    const size_t count = variants(configs);
    struct arrays g = new_arrays(2);
    for (size_t c = 0; c < count; c++) {
        if (configs[c].grad_clip > 0)
            continue;
        struct arrays p = new_arrays(1), q = new_arrays(1);
        struct sco_optim *whole = ready_optim(&configs[c], &p), *parts = ready_optim(&configs[c], &q);
        for (size_t s = 0; s < STEPS; s++) {
            run_steps(whole, &p, &g, s, s + 1);
            assert_int_equal(sco_optim_prepare(parts, 1), SCO_OK);
            for (size_t t = TENSORS; t-- > 0;)
                assert_int_equal(sco_optim_apply(parts, t, q.of[t], g.of[t]), SCO_OK);
        }
        if (!same_arrays(&p, &q))
            fail_msg("%s: other bits from apply than from step", sco_optim_name(configs[c].kind));
        size_t n = 0;
        float *expected = snapshot(whole, &n);
        assert_state(parts, expected, n);
        free(expected);
        sco_optim_destroy(whole), sco_optim_destroy(parts);
        free_arrays(&p), free_arrays(&q);
    }
    free_arrays(&g);
}

static void test_nonfinite(void **state)
{
    (void)state;
    static const float values[] = {NAN, INFINITY, -INFINITY};
    struct sco_optim_config configs[MAX_VARIANTS];
    const size_t count = variants(configs);
    struct arrays g = new_arrays(2), before = new_arrays(1);
    for (size_t c = 0; c < count; c++)
        for (size_t policy = SCO_NONFINITE_STOP; policy <= SCO_NONFINITE_PASS; policy++) {
            struct arrays p = new_arrays(1);
            configs[c].nonfinite = (enum sco_nonfinite_policy)policy;
            struct sco_optim *optim = ready_optim(&configs[c], &p);
            run_steps(optim, &p, &g, 0, 1);
            for (size_t t = 0; t < TENSORS; t++)
                memcpy(before.of[t], p.of[t], elements_of(&tensors[t]) * sizeof(float));
            size_t n = 0;
            float *expected = snapshot(optim, &n);
            const enum sco_status want = policy == SCO_NONFINITE_STOP ? SCO_NONFINITE : SCO_OK;

            /* The first bad element of the list is named, wherever the threads' shares end. */
            fill(&g, 7, 1);
            g.of[7][11] = values[c % 3];
            g.of[6][19999] = values[(c + 1) % 3];
            assert_int_equal(sco_optim_step(optim, 1, p.of, IN(g)), want);
            if (policy == SCO_NONFINITE_PASS) {
                const bool sign = configs[c].kind == SCO_OPTIM_LION && !isnan(values[(c + 1) % 3]);
                if (!sign && isfinite(p.of[6][19999]))
                    fail_msg("%s under PASS hides what is not finite", sco_optim_name(configs[c].kind));
            } else {
                say("tensor 6");
                say("element 19999 of 20011");
                assert_true(same_arrays(&p, &before));
                expected[n - 1] += policy == SCO_NONFINITE_SKIP;
                assert_state(optim, expected, n);

                fill(&g, 7, 1);
                assert_int_equal(sco_optim_step(optim, NAN, p.of, IN(g)), want);
                say("loss is");
                assert_true(same_arrays(&p, &before));
                expected[n - 1] += policy == SCO_NONFINITE_SKIP;
                assert_state(optim, expected, n);

                assert_int_equal(sco_optim_prepare(optim, INFINITY), want);
                say("loss is inf");
                if (policy == SCO_NONFINITE_SKIP && configs[c].grad_clip == 0)
                    assert_int_equal(sco_optim_apply(optim, 0, p.of[0], g.of[0]), SCO_OK);
                assert_true(same_arrays(&p, &before));
                expected[n - 1] += policy == SCO_NONFINITE_SKIP;
                assert_state(optim, expected, n);

                if (configs[c].grad_clip == 0) {
                    assert_int_equal(sco_optim_prepare(optim, 1), SCO_OK);
                    g.of[8][8099] = values[c % 3];
                    assert_int_equal(sco_optim_apply(optim, 8, p.of[8], g.of[8]), want);
                    say("tensor 8 (square)");
                    say("element 8099 of 8100");
                    assert_true(same_arrays(&p, &before));
                    expected[n - 1] += policy == SCO_NONFINITE_SKIP;
                    expected[n - 2] += 1;
                    assert_state(optim, expected, n);
                    g.of[8][8099] = 0; /* under STOP the gradient may be mended */
                    assert_int_equal(sco_optim_apply(optim, 8, p.of[8], g.of[8]),
                                     policy == SCO_NONFINITE_STOP ? SCO_OK : SCO_INVALID);
                }
            }
            free(expected);
            sco_optim_destroy(optim);
            free_arrays(&p);
        }
    free_arrays(&g), free_arrays(&before);
}

/* ---- Files ---- */

static char folder[32], path[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "stepcost-test-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/state", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails if a temporary file was left */
}

static unsigned char *read_file(size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void write_file(const unsigned char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void test_resume(void **state)
{
    (void)state;
    struct sco_optim_config configs[MAX_VARIANTS];
    const size_t count = variants(configs);
    struct arrays g = new_arrays(2);
    for (size_t c = 0; c < count; c++) {
        struct arrays p = new_arrays(1), q = new_arrays(1);
        struct sco_optim *through = ready_optim(&configs[c], &p), *saved = ready_optim(&configs[c], &q);
        run_steps(through, &p, &g, 0, STEPS);
        run_steps(saved, &q, &g, 0, 2);
        assert_int_equal(sco_optim_save(saved, path), SCO_OK);
        assert_int_equal(sco_optim_save(saved, path), SCO_OK); /* over an older file */
        sco_optim_destroy(saved);

        struct sco_optim *resumed = new_optim(ctx, &configs[c]);
        assert_int_equal(sco_optim_load(resumed, path), SCO_OK);
        assert_int_equal(sco_optim_steps(resumed), 2);
        run_steps(resumed, &q, &g, 2, STEPS);
        if (!same_arrays(&p, &q))
            fail_msg("%s: other bits after load", sco_optim_name(configs[c].kind));
        size_t n = 0;
        float *expected = snapshot(through, &n);
        assert_state(resumed, expected, n);
        assert_int_equal(sco_optim_load(resumed, path), SCO_OK); /* over a live state */
        assert_int_equal(sco_optim_steps(resumed), 2);
        free(expected);
        sco_optim_destroy(through), sco_optim_destroy(resumed);
        free_arrays(&p), free_arrays(&q);
    }
    free_arrays(&g);
}

static void refuse_load(struct sco_optim *optim, enum sco_status status, const char *what)
{
    size_t n = 0;
    float *before = snapshot(optim, &n);
    const enum sco_status got = sco_optim_load(optim, path);
    if (got != status)
        fail_msg("%s instead of %s (%s): %s", sco_status_name(got), sco_status_name(status), what, sco_error_message());
    say(what);
    assert_state(optim, before, n);
    free(before);
}

static void test_damaged_files(void **state)
{
    (void)state;
    struct sco_optim_config config;
    sco_optim_defaults(SCO_OPTIM_ADAM, &config);
    struct arrays p = new_arrays(1), g = new_arrays(2);
    struct sco_optim *optim = ready_optim(&config, &p);
    run_steps(optim, &p, &g, 0, 2);
    assert_int_equal(sco_optim_save(optim, path), SCO_OK);
    run_steps(optim, &p, &g, 2, 3); /* so that a load would change something */
    size_t size = 0;
    unsigned char *good = read_file(&size), *bad = malloc(size + 1);

    /* Any single bit: a sample of the data, all of the header. */
    uint64_t header = 0;
    memcpy(&header, good, 8);
    for (size_t i = 0; i < size; i += i < header + 8 ? 1 : 9973) {
        memcpy(bad, good, size);
        bad[i] ^= (unsigned char)(1u << (i % 8));
        write_file(bad, size);
        size_t n = 0;
        float *before = snapshot(optim, &n);
        const enum sco_status status = sco_optim_load(optim, path);
        if (status != SCO_FORMAT && status != SCO_SHAPE)
            fail_msg("bit %zu of byte %zu flipped: %s", i % 8, i, sco_status_name(status));
        assert_state(optim, before, n);
        free(before);
    }

    static const size_t lengths[] = {0, 1, 8, 60, 100, 500};
    for (size_t i = 0; i < SCO_LEN(lengths); i++) {
        write_file(good, lengths[i]);
        refuse_load(optim, SCO_FORMAT, "truncated");
    }
    write_file(good, size - 1);
    refuse_load(optim, SCO_FORMAT, "truncated");
    memcpy(bad, good, size);
    bad[size] = 0;
    write_file(bad, size + 1);
    refuse_load(optim, SCO_FORMAT, "oversized");

    const uint64_t hostile[] = {96000000000u, UINT64_MAX, 3};
    for (size_t i = 0; i < SCO_LEN(hostile); i++) {
        memcpy(bad, good, size);
        memcpy(bad, &hostile[i], 8);
        write_file(bad, size);
        refuse_load(optim, SCO_FORMAT, "header");
    }
    memcpy(bad, good, size);
    memset(bad + 8, 'x', 20);
    write_file(bad, size);
    refuse_load(optim, SCO_FORMAT, "not a stepcost optimizer state");
    memcpy(bad, good, size);
    strstr((char *)bad + 8, "\"version\":\"1\"")[11] = '2';
    write_file(bad, size);
    refuse_load(optim, SCO_FORMAT, "version");
    memcpy(bad, good, size);
    bad[size - 5] ^= 1;
    write_file(bad, size);
    refuse_load(optim, SCO_FORMAT, "CRC-32");

    unlink(path);
    refuse_load(optim, SCO_IO, "cannot be opened");
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse_load(optim, SCO_IO, "not a regular file");
    unlink(path);
    char nowhere[96];
    snprintf(nowhere, sizeof nowhere, "%s/none/state", folder);
    assert_int_equal(sco_optim_save(optim, nowhere), SCO_IO);
    say(nowhere);
    free(good), free(bad);
    sco_optim_destroy(optim);
    free_arrays(&p), free_arrays(&g);
}

static void test_files_of_others(void **state)
{
    (void)state;
    struct sco_optim_config config;
    sco_optim_defaults(SCO_OPTIM_ADAM, &config);
    struct arrays p = new_arrays(1);
    struct sco_optim *adam = ready_optim(&config, &p);
    assert_int_equal(sco_optim_save(adam, path), SCO_OK);

    config.kind = SCO_OPTIM_NADAM;
    struct sco_optim *nadam = ready_optim(&config, &p);
    refuse_load(nadam, SCO_FORMAT, "the state of adam, not of nadam");
    sco_optim_destroy(nadam);

    config.kind = SCO_OPTIM_ADAM;
    struct sco_tensor other[TENSORS];
    memcpy(other, tensors, sizeof other);
    other[5].shape[2] = 50, other[5].shape[3] = 20; /* the same size */
    const struct sco_tensor_list changed = {TENSORS, other}, shorter = {TENSORS - 1, tensors};
    struct sco_optim *optim = NULL;
    assert_int_equal(sco_optim_create(&optim, ctx, &config, &changed), SCO_OK);
    assert_int_equal(sco_optim_load(optim, path), SCO_SHAPE);
    say("tensor 5 (conv) has shape [3, 3, 50, 20]");
    assert_int_equal(sco_optim_step(optim, 0, p.of, IN(p)), SCO_INVALID); /* there is still no state */
    sco_optim_destroy(optim);
    assert_int_equal(sco_optim_create(&optim, ctx, &config, &shorter), SCO_OK);
    assert_int_equal(sco_optim_load(optim, path), SCO_SHAPE);
    say("made for 10 tensors, not 9");
    sco_optim_destroy(optim);
    sco_optim_destroy(adam);
    free_arrays(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bad_configs),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_apply),
        cmocka_unit_test(test_nonfinite),
        cmocka_unit_test_setup_teardown(test_resume, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_damaged_files, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_files_of_others, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, create_ctx, destroy_ctx);
}

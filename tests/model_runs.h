/* SPDX-License-Identifier: Apache-2.0
 * What tests of models share: runs, their gradients, and these against differences of the loss. Included after cmocka. */
#ifndef SCO_TESTS_MODEL_RUNS_H
#define SCO_TESTS_MODEL_RUNS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/random.h"
#include "io/workloads.h"
#include "stepcost/model.h"

static const size_t teams[] = {1, 2, 3, 7};
enum { TEAMS = 4 };

static inline void ok(enum sco_status status)
{
    if (status != SCO_OK)
        fail_msg("%s", sco_error_message());
}

static inline void refused(enum sco_status got, enum sco_status want, const char *message)
{
    assert_int_equal(got, want);
    if (strstr(sco_error_message(), message) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", sco_error_message(), message);
}

static inline struct sco_ctx *context(size_t threads)
{
    struct sco_ctx *ctx = NULL;
    ok(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = threads, .oversubscribe = 1}));
    return ctx;
}

static inline struct sco_model *model_of(struct sco_ctx *ctx, const struct sco_model_config *config)
{
    struct sco_model *model = NULL;
    ok(sco_model_create(&model, ctx, config));
    ok(sco_model_init(model, 5));
    return model;
}

static inline size_t elements_of(const struct sco_model *model, size_t tensor)
{
    size_t count = 0;
    ok(sco_tensor_elements(&sco_model_tensors(model)->tensors[tensor], &count));
    return count;
}

static inline size_t tensor_named(const struct sco_model *model, const char *name)
{
    const struct sco_tensor_list *list = sco_model_tensors(model);
    for (size_t t = 0; t < list->count; t++)
        if (strcmp(list->tensors[t].name, name) == 0)
            return t;
    fail_msg("no tensor %s", name);
    return 0;
}

/* Gradients of a model, one tensor after another. */
struct gradients {
    const struct sco_model *model;
    size_t *first; /* tensors + 1 */
    int *calls;
    float *values;
};

static inline struct gradients gradients_of(const struct sco_model *model)
{
    const size_t count = sco_model_tensors(model)->count;
    struct gradients g = {model, malloc((count + 1) * sizeof *g.first), calloc(count, sizeof *g.calls), NULL};
    assert_true(g.first != NULL && g.calls != NULL);
    g.first[0] = 0;
    for (size_t t = 0; t < count; t++)
        g.first[t + 1] = g.first[t] + elements_of(model, t);
    g.values = calloc(g.first[count], sizeof *g.values);
    assert_non_null(g.values);
    return g;
}

static inline void gradients_free(struct gradients *g)
{
    free(g->first);
    free(g->calls);
    free(g->values);
}

/* Parameters may be changed by then: damage them, so that a backward that still reads one is found out. */
static inline enum sco_status gradients_take(void *argument, size_t tensor, float *p, const float *values)
{
    struct gradients *g = argument;
    const size_t count = g->first[tensor + 1] - g->first[tensor];
    memcpy(g->values + g->first[tensor], values, count * sizeof *values);
    g->calls[tensor]++;
    for (size_t i = 0; i < count; i++)
        p[i] = NAN;
    return SCO_OK;
}

/* Forward and backward; parameters are as before. */
static inline struct sco_model_result run_step(struct sco_model *model, const struct sco_batch *batch, uint64_t step,
                                               struct gradients *g)
{
    const size_t count = sco_model_tensors(model)->count, total = g->first[count];
    struct sco_model_result result;
    float *saved = malloc(total * sizeof *saved);
    assert_non_null(saved);
    for (size_t t = 0; t < count; t++)
        memcpy(saved + g->first[t], sco_model_params(model)[t], elements_of(model, t) * sizeof *saved);
    memset(g->calls, 0, count * sizeof *g->calls);
    ok(sco_model_forward(model, batch, SCO_MODEL_TRAIN, step, &result));
    ok(sco_model_backward(model, gradients_take, g));
    for (size_t t = 0; t < count; t++) {
        assert_int_equal(g->calls[t], 1);
        memcpy(sco_model_params(model)[t], saved + g->first[t], elements_of(model, t) * sizeof *saved);
    }
    free(saved);
    return result;
}

static inline size_t gradients_bytes(const struct gradients *g)
{
    return g->first[sco_model_tensors(g->model)->count] * sizeof *g->values;
}

/* Moves tensor t by h along a direction of length 1, and gives the loss. */
static inline double loss_along(struct sco_model *model, const struct sco_batch *batch, size_t t, double h,
                                const double *direction)
{
    const size_t count = elements_of(model, t);
    float *p = sco_model_params(model)[t], *saved = malloc(count * sizeof *saved);
    struct sco_model_result result;
    assert_non_null(saved);
    memcpy(saved, p, count * sizeof *saved);
    for (size_t i = 0; i < count; i++)
        p[i] = (float)((double)p[i] + h * direction[i]);
    ok(sco_model_forward(model, batch, SCO_MODEL_TRAIN, 0, &result));
    memcpy(p, saved, count * sizeof *saved);
    free(saved);
    return result.loss;
}

/* Every tensor's gradient against central differences of the loss, along itself and along a random direction. What differs is
 * the kinks of ReLU within a step h, and the rounding of the loss over h: h is such that a loss of about 1 changes by
 * some hundred times its rounding. */
static inline void check_differences(struct sco_model *model, const struct sco_batch *batch)
{
    const double rise = 2e-5, most = 4e-3, bound = 0.02;
    struct gradients g = gradients_of(model);
    run_step(model, batch, 0, &g);
    for (size_t t = 0; t < sco_model_tensors(model)->count; t++)
        for (int random = 0; random < 2; random++) {
            const size_t count = elements_of(model, t);
            const float *values = g.values + g.first[t];
            double *direction = calloc(count, sizeof *direction), norm = 0.0, length = 0.0, slope = 0.0;
            assert_non_null(direction);
            for (size_t i = 0; i < count; i++) {
                norm += (double)values[i] * (double)values[i];
                direction[i] = random ? sco_random_uniform(t, i) - 0.5 : (double)values[i];
                length += direction[i] * direction[i];
            }
            norm = sqrt(norm), length = sqrt(length);
            for (size_t i = 0; i < count && length > 0.0; i++) {
                direction[i] /= length;
                slope += direction[i] * (double)values[i];
            }
            const double h = norm > rise / most ? rise / norm : most;
            const double difference =
                (loss_along(model, batch, t, h, direction) - loss_along(model, batch, t, -h, direction)) / (2.0 * h);
            if (!(fabs(difference - slope) <= bound * (norm + 1e-3)))
                fail_msg("%s: slope %g, difference %g, |g| %g", sco_model_tensors(model)->tensors[t].name, slope,
                         difference, norm);
            free(direction);
        }
    gradients_free(&g);
}

/* The same gradients, in the same bits, where they share memory. */
static inline void check_shared(struct sco_ctx *ctx, const struct sco_model_config *config,
                                const struct sco_batch *batch)
{
    struct sco_model_config sharing = *config;
    sharing.share_gradients = 1;
    struct sco_model *a = model_of(ctx, config), *b = model_of(ctx, &sharing);
    struct gradients x = gradients_of(a), y = gradients_of(b);
    assert_true(sco_model_get_plan(b)->gradient_bytes < sco_model_get_plan(a)->gradient_bytes);
    for (uint64_t step = 0; step < 3; step++) {
        run_step(a, batch, step, &x);
        run_step(b, batch, step, &y);
        assert_memory_equal(x.values, y.values, gradients_bytes(&x));
        for (size_t t = 0; t < sco_model_tensors(a)->count; t++)
            assert_memory_equal(sco_model_gradients(a)[t], x.values + x.first[t], elements_of(a, t) * sizeof *x.values);
    }
    gradients_free(&x);
    gradients_free(&y);
    sco_model_destroy(a);
    sco_model_destroy(b);
}

/* The same loss, outputs and gradients from teams of 1, 2, 3 and 7, over batches one after another. */
static inline void check_teams(const struct sco_model_config *config, const struct sco_batch *const batch[],
                               size_t batches)
{
    struct sco_ctx *ctx[TEAMS];
    struct sco_model *model[TEAMS];
    struct gradients g[TEAMS];
    for (size_t i = 0; i < TEAMS; i++) {
        ctx[i] = context(teams[i]);
        model[i] = model_of(ctx[i], config);
        g[i] = gradients_of(model[i]);
    }
    for (size_t b = 0; b < batches; b++) {
        struct sco_model_result want = run_step(model[0], batch[b], b, &g[0]);
        size_t rows, columns;
        const float *outputs = sco_model_outputs(model[0], &rows, &columns);
        for (size_t i = 1; i < TEAMS; i++) {
            struct sco_model_result got = run_step(model[i], batch[b], b, &g[i]);
            assert_memory_equal(&got.loss, &want.loss, sizeof got.loss);
            assert_memory_equal(&got.loss_sum, &want.loss_sum, sizeof got.loss_sum);
            assert_memory_equal(sco_model_outputs(model[i], &rows, &columns), outputs,
                                rows * columns * sizeof *outputs);
            assert_memory_equal(g[i].values, g[0].values, gradients_bytes(&g[0]));
        }
    }
    for (size_t i = 0; i < TEAMS; i++) {
        gradients_free(&g[i]);
        sco_model_destroy(model[i]);
        sco_ctx_destroy(ctx[i]);
    }
}

/* Names, order and shapes of a built-in list; the first axis of a tensor named except may differ. */
static inline void check_names(const struct sco_model *model, const char *name, const char *except)
{
    const struct sco_tensor_list *got = sco_model_tensors(model), *want = NULL;
    for (size_t i = 0; i < SCO_BUILTIN_LISTS; i++)
        if (strcmp(sco_builtin_lists[i].name, name) == 0)
            want = &sco_builtin_lists[i].list;
    assert_non_null(want);
    assert_int_equal(got->count, want->count);
    for (size_t t = 0; t < want->count; t++) {
        assert_string_equal(got->tensors[t].name, want->tensors[t].name);
        assert_int_equal(got->tensors[t].rank, want->tensors[t].rank);
        for (size_t axis = strcmp(want->tensors[t].name, except) == 0; axis < want->tensors[t].rank; axis++)
            assert_int_equal(got->tensors[t].shape[axis], want->tensors[t].shape[axis]);
    }
}

#endif

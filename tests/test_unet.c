/* SPDX-License-Identifier: Apache-2.0
 * The U-Net: the recorded runs of the Flax model, gradients by central differences, teams, dropout, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stepcost/model.h"
#include "stepcost/model_replay.h"
#include "stepcost/shapes.h"
#include "tests/layer_data.h"

static struct sco_model *make(struct sco_ctx *ctx, const struct sco_model_config *config)
{
    struct sco_model *model = NULL;
    if (sco_model_create(&model, ctx, config) != SCO_OK)
        fail_msg("%s", sco_error_message());
    return model;
}

static struct sco_batch batch_of(size_t N, size_t H, size_t W, const float *x, const float *target)
{
    return (struct sco_batch){
        .workload = SCO_UNET, .samples = N, .slices = {.N = N, .H = H, .W = W, .x = x, .target = target}};
}

static size_t elements_of(struct sco_model *model, size_t tensor)
{
    size_t count;
    assert_int_equal(sco_tensor_elements(&sco_model_tensors(model)->tensors[tensor], &count), SCO_OK);
    return count;
}

/* ---- The model of the benchmark ---- */

static void names_and_shapes_are_the_benchmarks(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    struct sco_model *model = make(ctx, &(struct sco_model_config){.workload = SCO_UNET, .batch = 1, .H = 32, .W = 32});
    struct sco_shapes *shapes;
    assert_int_equal(sco_shapes_open(&shapes, "unet"), SCO_OK);
    const struct sco_tensor_list *list = sco_model_tensors(model), *wanted = sco_shapes_list(shapes);
    assert_int_equal(list->count, wanted->count);
    for (size_t t = 0; t < list->count; t++) {
        assert_string_equal(list->tensors[t].name, wanted->tensors[t].name);
        assert_int_equal(list->tensors[t].rank, wanted->tensors[t].rank);
        for (size_t axis = 0; axis < list->tensors[t].rank; axis++)
            assert_int_equal(list->tensors[t].shape[axis], wanted->tensors[t].shape[axis]);
    }
    assert_int_equal(sco_model_get_plan(model)->parameters, 7756097);
    sco_shapes_destroy(shapes);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

/* ---- Recorded runs ---- */

/* docs/numerics.md has the bounds. */
static void recorded_runs_are_met(void **state)
{
    (void)state;
    static const char *const names[] = {"unet_2x32x48", "unet_1x34x38"}, *const plans[] = {"", "winograd"};
    struct sco_ctx *ctx = context(2);
    for (size_t i = 0; i < 4; i++) {
        struct sco_model_replay *replay = NULL;
        const struct sco_model_replay_entry *entry;
        if (sco_model_replay_create(&replay, ctx, SCO_TEST_DIR "/golden/algoperf/models", names[i / 2], plans[i % 2]) !=
            SCO_OK)
            fail_msg("%s", sco_error_message());
        for (size_t e = 0; (entry = sco_model_replay_at(replay, e)) != NULL; e++)
            if (!entry->passed)
                fail_msg("%s: %s is off by %.3g, allowed: %.3g", names[i / 2], entry->name, entry->error, entry->bound);
        sco_model_replay_destroy(replay);
    }
    sco_ctx_destroy(ctx);
}

/* ---- Small models ---- */

/* Widths of 8 and 16 channels and sizes that are odd at both levels: copies, padding and whole blocks all occur. */
static const struct sco_model_config small = {
    .workload = SCO_UNET, .batch = 3, .width = 0.25, .depth = 2, .H = 11, .W = 14, .seed = 5};

/* A target out of reach of the outputs keeps the loss free of kinks. */
struct trial {
    struct sco_ctx *ctx;
    struct sco_model *model;
    size_t floats;
    float *x, *target;
    struct sco_batch batch;
};

static struct trial begin(const struct sco_model_config *config, size_t threads, size_t samples)
{
    struct trial t = {.ctx = context(threads), .floats = samples * config->H * config->W};
    t.model = make(t.ctx, config);
    assert_int_equal(sco_model_init(t.model, 7), SCO_OK);
    t.x = draw(11, t.floats);
    t.target = draw(12, t.floats);
    for (size_t i = 0; i < t.floats; i++)
        t.target[i] = i % 3 == 0 ? -16.0f : 16.0f;
    t.batch = batch_of(samples, config->H, config->W, t.x, t.target);
    return t;
}

static void end(struct trial *t)
{
    free(t->x);
    free(t->target);
    sco_model_destroy(t->model);
    sco_ctx_destroy(t->ctx);
}

static double loss_of(struct trial *t, enum sco_model_mode mode, uint64_t step)
{
    struct sco_model_result result;
    assert_int_equal(sco_model_forward(t->model, &t->batch, mode, step, &result), SCO_OK);
    return result.loss;
}

static void step(struct trial *t, uint64_t number)
{
    loss_of(t, SCO_MODEL_TRAIN, number);
    assert_int_equal(sco_model_backward(t->model, NULL, NULL), SCO_OK);
}

static float *copy(const float *x, size_t count)
{
    float *y = floats(count);
    memcpy(y, x, count * sizeof *x);
    return y;
}

/* Along the gradient and along a drawn direction the loss must change as the gradient says. Slopes that change within
 * the step leave an error of some thousandths of the gradient, and rounding of the outputs over the step less. */
static void check_tensor(struct trial *t, size_t tensor, const float *gradient)
{
    const size_t count = elements_of(t->model, tensor);
    float *p = sco_model_params(t->model)[tensor], *const start = copy(p, count);
    double norm = 0.0;
    for (size_t i = 0; i < count; i++)
        norm += (double)gradient[i] * (double)gradient[i];
    norm = sqrt(norm);
    assert_true(norm > 0.0);
    for (int drawn = 0; drawn < 2; drawn++) {
        const double length = 3e-4;
        double expected = 0.0, side[2], drawn_norm = 0.0;
        float *direction = draw(13 + tensor, count);
        for (size_t i = 0; i < count; i++)
            drawn_norm += (double)direction[i] * (double)direction[i];
        for (size_t i = 0; i < count; i++) {
            direction[i] = (float)(drawn ? (double)direction[i] / sqrt(drawn_norm) : (double)gradient[i] / norm);
            expected += (double)direction[i] * (double)gradient[i];
        }
        for (int s = 0; s < 2; s++) {
            for (size_t i = 0; i < count; i++)
                p[i] = start[i] + (float)((s ? -0.5 : 0.5) * length * (double)direction[i]);
            side[s] = loss_of(t, SCO_MODEL_TRAIN, 3);
        }
        memcpy(p, start, count * sizeof *p);
        const double found = (side[0] - side[1]) / length;
        if (!(fabs(found - expected) <= 0.02 * norm))
            fail_msg("%s: differences give %.5g, the gradient %.5g, its norm %.5g",
                     sco_model_tensors(t->model)->tensors[tensor].name, found, expected, norm);
        free(direction);
    }
    free(start);
}

static void check_differences(const struct sco_model_config *config, size_t samples)
{
    struct trial t = begin(config, 1, samples);
    step(&t, 3);
    const size_t tensors = sco_model_tensors(t.model)->count;
    for (size_t i = 0; i < tensors; i++) {
        float *gradient = copy(sco_model_gradients(t.model)[i], elements_of(t.model, i));
        check_tensor(&t, i, gradient);
        free(gradient);
    }
    end(&t);
}

static void differences_agree(void **state)
{
    (void)state;
    check_differences(&small, 3);
    struct sco_model_config other = small;
    other.width = 0.6;
    other.depth = 1;
    check_differences(&other, 2);
    other = small;
    other.has_dropout = 1;
    other.dropout = 0.3f;
    check_differences(&other, 3);
}

/* ---- Teams, groups, dropout, part of a batch ---- */

static uint64_t hash(uint64_t h, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        h = (h ^ at[i]) * 0x100000001b3u;
    return h;
}

static uint64_t hash_of(struct trial *t)
{
    size_t rows, columns;
    const float *outputs = sco_model_outputs(t->model, &rows, &columns);
    uint64_t h = hash(0xcbf29ce484222325u, outputs, rows * columns * sizeof(float));
    for (size_t i = 0; i < sco_model_tensors(t->model)->count; i++)
        h = hash(h, sco_model_gradients(t->model)[i], elements_of(t->model, i) * sizeof(float));
    return h;
}

static void teams_give_the_same_bits(void **state)
{
    (void)state;
    uint64_t first = 0;
    struct sco_model_config config = small;
    config.has_dropout = 1;
    config.dropout = 0.25f;
    for (size_t i = 0; i < TEAMS; i++) {
        struct trial t = begin(&config, teams[i], 2);
        step(&t, 1);
        const uint64_t h = hash_of(&t);
        first = i == 0 ? h : first;
        assert_true(h == first);
        /* What the step before left behind does not matter. */
        step(&t, 2);
        assert_true(hash_of(&t) != first);
        step(&t, 1);
        assert_true(hash_of(&t) == first);
        end(&t);
    }
}

struct gathering {
    float **gradients;
    struct sco_model *model;
    size_t calls;
    int stop;
};

/* Takes a gradient and makes the parameter unusable: nothing may read it any more. */
static enum sco_status gather(void *argument, size_t tensor, float *p, const float *g)
{
    struct gathering *gathering = argument;
    const size_t count = elements_of(gathering->model, tensor);
    assert_null(gathering->gradients[tensor]);
    assert_ptr_equal(p, sco_model_params(gathering->model)[tensor]);
    gathering->gradients[tensor] = copy(g, count);
    for (size_t i = 0; i < count; i++)
        p[i] = NAN;
    gathering->calls++;
    return gathering->stop && gathering->calls == 3 ? SCO_IO : SCO_OK;
}

static void gradients_may_share_memory(void **state)
{
    (void)state;
    struct sco_model_config config = small;
    struct trial plain = begin(&config, 2, 3);
    config.share_gradients = 1;
    struct trial shared = begin(&config, 2, 3);
    const size_t count = sco_model_tensors(plain.model)->count;
    struct gathering gathering = {calloc(count, sizeof(float *)), shared.model, 0, 0};
    assert_true(sco_model_get_plan(shared.model)->gradient_bytes < sco_model_get_plan(plain.model)->gradient_bytes / 2);
    step(&plain, 0);
    loss_of(&shared, SCO_MODEL_TRAIN, 0);
    assert_int_equal(sco_model_backward(shared.model, gather, &gathering), SCO_OK);
    assert_int_equal(gathering.calls, count);
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(gathering.gradients[i], sco_model_gradients(plain.model)[i],
                            elements_of(plain.model, i) * sizeof(float));
        free(gathering.gradients[i]);
        gathering.gradients[i] = NULL;
    }
    assert_int_equal(sco_model_init(shared.model, 7), SCO_OK);
    loss_of(&shared, SCO_MODEL_TRAIN, 0);
    gathering.calls = 0;
    gathering.stop = 1;
    assert_int_equal(sco_model_backward(shared.model, gather, &gathering), SCO_IO);
    assert_int_equal(gathering.calls, 3);
    for (size_t i = 0; i < count; i++)
        free(gathering.gradients[i]);
    free(gathering.gradients);
    end(&plain);
    end(&shared);
}

static void dropout_repeats_by_step_and_ends_with_training(void **state)
{
    (void)state;
    struct sco_model_config config = small;
    struct trial plain = begin(&config, 1, 3);
    config.has_dropout = 1;
    config.dropout = 0.3f;
    struct trial dropping = begin(&config, 1, 3);
    config.seed = 6;
    struct trial other = begin(&config, 1, 3);
    const double first = loss_of(&dropping, SCO_MODEL_TRAIN, 1);
    assert_true(first != loss_of(&dropping, SCO_MODEL_TRAIN, 2));
    assert_true(first == loss_of(&dropping, SCO_MODEL_TRAIN, 1));
    assert_true(first != loss_of(&other, SCO_MODEL_TRAIN, 1));
    assert_true(first != loss_of(&plain, SCO_MODEL_TRAIN, 1));
    assert_true(loss_of(&dropping, SCO_MODEL_EVALUATE, 1) == loss_of(&plain, SCO_MODEL_EVALUATE, 1));
    assert_true(loss_of(&plain, SCO_MODEL_TRAIN, 1) == loss_of(&plain, SCO_MODEL_EVALUATE, 1));
    end(&plain);
    end(&dropping);
    end(&other);
}

static double distance(const float *a, const float *b, size_t count)
{
    double difference = 0.0, norm = 0.0;
    for (size_t i = 0; i < count; i++) {
        difference += pow((double)a[i] - (double)b[i], 2.0);
        norm += pow((double)b[i], 2.0);
    }
    return sqrt(difference / norm);
}

/* Slices that are not there count for nothing: the same as a model of two, but for the order of sums. */
static void part_of_a_batch_is_a_smaller_batch(void **state)
{
    (void)state;
    struct sco_model_config config = small;
    struct trial part = begin(&config, 2, 2);
    config.batch = 2;
    struct trial whole = begin(&config, 2, 2);
    struct sco_batch none = part.batch;
    struct sco_model_result result;
    size_t rows, columns;
    step(&part, 0);
    step(&whole, 0);
    assert_true(distance(sco_model_outputs(part.model, &rows, &columns),
                         sco_model_outputs(whole.model, &rows, &columns), 2 * config.H * config.W) < 1e-5);
    assert_int_equal(rows, 2);
    for (size_t i = 0; i < sco_model_tensors(part.model)->count; i++)
        assert_true(distance(sco_model_gradients(part.model)[i], sco_model_gradients(whole.model)[i],
                             elements_of(part.model, i)) < 1e-4);
    assert_int_equal(sco_model_forward(part.model, &part.batch, SCO_MODEL_EVALUATE, 0, &result), SCO_OK);
    assert_true(result.loss_count == 2.0);
    assert_close(result.loss_sum, 2.0 * result.loss, 1e-9);
    none.samples = none.slices.N = 0;
    assert_int_equal(sco_model_forward(part.model, &none, SCO_MODEL_TRAIN, 0, &result), SCO_OK);
    assert_true(result.loss == 0.0 && result.loss_count == 0.0);
    assert_int_equal(sco_model_backward(part.model, NULL, NULL), SCO_OK);
    for (size_t i = 0; i < elements_of(part.model, 0); i++)
        assert_true(sco_model_gradients(part.model)[0][i] == 0.0f);
    end(&part);
    end(&whole);
}

/* ---- Plans and refusals ---- */

static void the_plan_is_what_was_promised(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_model_plan plan, wide;
    struct sco_model *model = make(ctx, &small);
    struct sco_model_config config = {.workload = SCO_UNET, .batch = 4};
    assert_int_equal(sco_model_plan_of(ctx, &small, &plan), SCO_OK);
    assert_memory_equal(&plan, sco_model_get_plan(model), sizeof plan);
    assert_int_equal(sco_model_plan_of(ctx, &config, &wide), SCO_OK);
    assert_int_equal(wide.parameters, 7756097);
    /* Backward is twice forward, but for the first layer's input. */
    assert_close(wide.backward_flops, 2.0 * wide.forward_flops - 2.0 * 4 * 320 * 320 * 9 * 32, 1.0);
    assert_int_equal(sco_model_get_config(model)->depth, 2);
    assert_null(sco_model_state(model, 0));
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    struct sco_model *model;
    struct sco_model_config config = {.workload = SCO_UNET, .batch = 1, .H = 15, .W = 320};
    assert_refused(sco_model_create(&model, ctx, &config), SCO_SHAPE, "15 x 320");
    config.H = 16;
    assert_int_equal(sco_model_plan_of(ctx, &config, &(struct sco_model_plan){0}), SCO_OK);
    config.depth = 9;
    assert_refused(sco_model_create(&model, ctx, &config), SCO_INVALID, "1 to 8");
    config.depth = 0;
    config.batch = SIZE_MAX / 64;
    assert_refused(sco_model_create(&model, ctx, &config), SCO_SHAPE, "conv2d");
    config.batch = 1;
    config.H = config.W = SIZE_MAX / 2;
    assert_refused(sco_model_create(&model, ctx, &config), SCO_SHAPE, "exceeds");
    sco_ctx_destroy(ctx);

    struct trial t = begin(&small, 1, 3);
    struct sco_model_result result;
    struct sco_batch batch = t.batch;
    assert_refused(sco_model_backward(t.model, NULL, NULL), SCO_INVALID, "forward");
    batch.slices.H++;
    assert_refused(sco_model_forward(t.model, &batch, SCO_MODEL_TRAIN, 0, &result), SCO_SHAPE, "12 x 14");
    batch = t.batch;
    batch.slices.N = 2;
    assert_refused(sco_model_forward(t.model, &batch, SCO_MODEL_TRAIN, 0, &result), SCO_INVALID, "2 slices");
    batch = t.batch;
    batch.slices.target = NULL;
    assert_refused(sco_model_forward(t.model, &batch, SCO_MODEL_TRAIN, 0, &result), SCO_INVALID, "target");
    batch = t.batch;
    batch.samples = batch.slices.N = 4;
    assert_refused(sco_model_forward(t.model, &batch, SCO_MODEL_TRAIN, 0, &result), SCO_SHAPE, "planned for 3");
    loss_of(&t, SCO_MODEL_EVALUATE, 0);
    assert_refused(sco_model_backward(t.model, NULL, NULL), SCO_INVALID, "forward");
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_shapes_are_the_benchmarks),
        cmocka_unit_test(recorded_runs_are_met),
        cmocka_unit_test(differences_agree),
        cmocka_unit_test(teams_give_the_same_bits),
        cmocka_unit_test(gradients_may_share_memory),
        cmocka_unit_test(dropout_repeats_by_step_and_ends_with_training),
        cmocka_unit_test(part_of_a_batch_is_a_smaller_batch),
        cmocka_unit_test(the_plan_is_what_was_promised),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

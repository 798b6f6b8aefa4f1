/* SPDX-License-Identifier: Apache-2.0
 * ResNet-50: its parameters, a recorded run in double, gradients by differences, teams, shared gradients, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stepcost/shapes.h"
#include "tests/golden_model.h"
#include "tests/layer_data.h"

static struct sco_model *model_of(struct sco_ctx *ctx, const struct sco_model_config *config)
{
    struct sco_model *model = NULL;
    if (sco_model_create(&model, ctx, config) != SCO_OK)
        fail_msg("%s", sco_error_message());
    return model;
}

static size_t count_of(struct sco_model *model, size_t t)
{
    size_t count;
    assert_int_equal(sco_tensor_elements(&sco_model_tensors(model)->tensors[t], &count), SCO_OK);
    return count;
}

static const struct sco_model_array *array_of(struct sco_model *model, const char *name)
{
    const struct sco_model_array *array;
    for (size_t i = 0; (array = sco_model_state(model, i)) != NULL; i++)
        if (strcmp(array->name, name) == 0)
            return array;
    fail_msg("no state '%s'", name);
    return NULL;
}

static struct sco_batch batch_of(size_t N, size_t H, size_t W, const float *x, const int32_t *label)
{
    return (struct sco_batch){
        .workload = SCO_RESNET50, .samples = N, .images = {.N = N, .H = H, .W = W, .x = x, .label = label}};
}

static struct sco_model_result forward(struct sco_model *model, const struct sco_batch *batch, enum sco_model_mode mode)
{
    struct sco_model_result result;
    if (sco_model_forward(model, batch, mode, 0, &result) != SCO_OK)
        fail_msg("%s", sco_error_message());
    return result;
}

/* ---- Full width ---- */

static void parameters_are_those_of_the_benchmark(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    struct sco_shapes *shapes;
    assert_int_equal(sco_shapes_open(&shapes, "resnet50"), SCO_OK);
    struct sco_model *model =
        model_of(ctx, &(struct sco_model_config){.workload = SCO_RESNET50, .batch = 1, .H = 32, .W = 32});
    const struct sco_tensor_list *list = sco_model_tensors(model), *wanted = sco_shapes_list(shapes);
    assert_int_equal(list->count, 161);
    assert_int_equal(list->count, wanted->count);
    for (size_t t = 0; t < list->count; t++) {
        assert_string_equal(list->tensors[t].name, wanted->tensors[t].name);
        assert_int_equal(list->tensors[t].rank, wanted->tensors[t].rank);
        for (size_t axis = 0; axis < list->tensors[t].rank; axis++)
            assert_int_equal(list->tensors[t].shape[axis], wanted->tensors[t].shape[axis]);
    }
    assert_int_equal(sco_model_get_plan(model)->parameters, 25557032);
    size_t statistics = 0;
    const struct sco_model_array *array;
    for (size_t i = 0; (array = sco_model_state(model, i)) != NULL; i++)
        statistics += array->count;
    assert_int_equal(statistics, 53120);
    sco_model_destroy(model);
    sco_shapes_destroy(shapes);
    sco_ctx_destroy(ctx);
}

/* Published counts of multiply-adds at 224 x 224: 4.09 billion forward. Each convolution but the first has two gradients of
 * the same cost. */
static void work_is_counted(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    struct sco_model_plan plan;
    const struct sco_model_config config = {.workload = SCO_RESNET50, .batch = 2};
    assert_int_equal(sco_model_plan_of(ctx, &config, &plan), SCO_OK);
    assert_close(plan.forward_flops, 2.0 * 2.0 * 4.09e9, 0.05e9);
    const double first = 2.0 * 2.0 * 112.0 * 112.0 * 7.0 * 7.0 * 3.0 * 64.0;
    assert_close(plan.backward_flops, 2.0 * plan.forward_flops - first, 1.0);
    sco_ctx_destroy(ctx);
}

/* Activations differ from the recorded ones by about 1e-5 of their size, so about as many ReLU in a hundred thousand are
 * on their other side, and of n gradients, f n of which are wrong altogether, the relative error is sqrt(f). Measured in l2
 * norm: 1.3 % at most over all tensors between PyTorch in float and in double; here 0.4 % in norms, 2.6 % over the few
 * recorded entries and 0.3 % of the largest possible sum, for the worst of scalar, AVX2, AVX-512 and Winograd plans.
 * Nothing flips behind the last layer's input, whose gradient is as good as the logits. */
static void assert_gradient(struct sco_model *model, size_t t, const json_t *root)
{
    const char *name = sco_model_tensors(model)->tensors[t].name;
    const size_t count = count_of(model, t);
    const json_t *record = golden_member(golden_member(root, "grads"), name);
    const float *g = sco_model_gradients(model)[t];
    if (strncmp(name, "Dense_0", 7) == 0) {
        golden_assert(record, name, g, count, 3e-4);
        return;
    }
    const struct golden_error e = golden_compare(record, g, count);
    if (!(e.l2 <= 0.015 && e.entry <= 0.08 && e.sum <= 0.01 * sqrt((double)count)))
        fail_msg("%s differs from the record by %.3g (norm), %.3g (sum), %.3g (entries)", name, e.l2, e.sum, e.entry);
}

static void a_recorded_run_is_repeated(void **state)
{
    (void)state;
    enum { N = 4, SIDE = 64, SEED = 11 };
    json_t *root = golden_read("resnet50_4x64.json"), *outputs = golden_member(root, "outputs");
    struct sco_ctx *ctx = context(2);
    struct sco_model *model =
        model_of(ctx, &(struct sco_model_config){.workload = SCO_RESNET50, .batch = N, .H = SIDE, .W = SIDE});
    assert_int_equal(sco_model_init(model, 1), SCO_OK); /* the statistics start as recorded */
    golden_parameters(model, SEED);
    golden_check_parameters(model, root);
    float *x = floats(N * SIDE * SIDE * 3);
    int32_t label[N];
    golden_input(SEED, 0, 1.0, N * SIDE * SIDE * 3, x);
    for (size_t n = 0; n < N; n++)
        label[n] = (int32_t)json_integer_value(json_array_get(golden_member(root, "labels"), n));
    const struct sco_batch batch = batch_of(N, SIDE, SIDE, x, label);
    const struct sco_model_result result = forward(model, &batch, SCO_MODEL_TRAIN);
    assert_int_equal(sco_model_backward(model, NULL, NULL), SCO_OK);

    size_t rows, columns;
    const float *logits = sco_model_outputs(model, &rows, &columns);
    assert_close(result.loss, golden_value(root, "loss"), 1e-4);
    assert_int_equal(result.loss_count, N);
    golden_assert(golden_member(outputs, "logits"), "logits", logits, rows * columns, 3e-4);
    static const char *const arrays[][2] = {
        {"BatchNorm_init/mean", "new_mean_init"},
        {"BatchNorm_init/var", "new_var_init"},
        {"BottleneckResNetBlock_15/BatchNorm_2/var", "new_var_last_bn2"},
    };
    for (size_t i = 0; i < 3; i++) {
        const struct sco_model_array *array = array_of(model, arrays[i][0]);
        golden_assert(golden_member(outputs, arrays[i][1]), array->name, array->values, array->count, 1e-5);
    }
    for (size_t t = 0; t < sco_model_tensors(model)->count; t++)
        assert_gradient(model, t, root);
    free(x);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
    json_decref(root);
}

/* ---- Narrow and shallow ---- */

enum { CLASSES = 10 };

struct small {
    struct sco_model_config config;
    float *x;
    int32_t label[8];
    struct sco_batch batch;
};

static struct small small_of(size_t N, size_t H, size_t W, double width, size_t depth)
{
    struct small s = {.config = {.workload = SCO_RESNET50,
                                 .batch = N,
                                 .width = width,
                                 .depth = depth,
                                 .H = H,
                                 .W = W,
                                 .classes = CLASSES,
                                 .label_smoothing = 0.1f},
                      .x = draw(5, N * H * W * 3)};
    return s;
}

static void fill_batch(struct small *s)
{
    const struct sco_model_config *c = &s->config;
    for (size_t n = 0; n < c->batch; n++)
        s->label[n] = (int32_t)(3 * n % CLASSES);
    s->batch = batch_of(c->batch, c->H, c->W, s->x, s->label);
}

static double dot(const float *a, const float *b, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* One tensor after the other is moved along its gradient, and along a direction that knows nothing of it: the loss changes
 * by the inner product. ReLU and maxima that change sides on the way make the quotient wrong by a part that shrinks with
 * the step, float sums by one that grows: 5 % were measured in the worst tensor, 0.4 % on average. */
static void gradients_are_differences_of(struct small *s)
{
    struct sco_ctx *ctx = context(2);
    fill_batch(s);
    struct sco_model *model = model_of(ctx, &s->config);
    assert_int_equal(sco_model_init(model, 1), SCO_OK);
    golden_parameters(model, 3);
    forward(model, &s->batch, SCO_MODEL_TRAIN);
    assert_int_equal(sco_model_backward(model, NULL, NULL), SCO_OK);
    double errors = 0.0;
    for (size_t t = 0; t < sco_model_tensors(model)->count; t++) {
        const size_t count = count_of(model, t);
        float *p = sco_model_params(model)[t], *direction = floats(count), *from = floats(count);
        const float *g = sco_model_gradients(model)[t];
        const double norm = sqrt(dot(g, g, count));
        memcpy(from, p, count * sizeof *p);
        assert_true(norm > 0.0);
        for (size_t i = 0; i < count; i++)
            direction[i] = (float)((double)g[i] / norm + 0.5 * number(t, i) / sqrt((double)count));
        const double h = 1e-3 / (1.0 + norm);
        double loss[2];
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < count; i++)
                p[i] = (float)((double)from[i] + (side ? h : -h) * (double)direction[i]);
            loss[side] = forward(model, &s->batch, SCO_MODEL_TRAIN).loss;
        }
        const double slope = (loss[1] - loss[0]) / (2.0 * h), wanted = dot(g, direction, count);
        const double error = fabs(slope - wanted) / norm;
        if (!(error <= 0.15))
            fail_msg("%s: loss changes by %.5g, the gradient says %.5g", sco_model_tensors(model)->tensors[t].name,
                     slope, wanted);
        errors += error;
        memcpy(p, from, count * sizeof *p);
        free(direction), free(from);
    }
    assert_close(errors / (double)sco_model_tensors(model)->count, 0.0, 0.015);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
    free(s->x);
}

static void gradients_are_differences(void **state)
{
    (void)state;
    struct small narrow = small_of(4, 32, 32, 1.0 / 16.0, 1);
    gradients_are_differences_of(&narrow);
    struct small odd = small_of(3, 37, 45, 3.0 / 16.0, 2);
    gradients_are_differences_of(&odd);
}

struct collected {
    struct sco_model *model;
    float **g;
    int *seen;
    size_t calls, stop_after;
};

/* Takes a copy of the gradient and spoils the parameter, which backward has promised not to read any more. */
static enum sco_status collect(void *argument, size_t t, float *p, const float *g)
{
    struct collected *c = argument;
    const size_t count = count_of(c->model, t);
    assert_ptr_equal(p, sco_model_params(c->model)[t]);
    assert_ptr_equal(g, sco_model_gradients(c->model)[t]);
    assert_false(c->seen[t]++);
    memcpy(c->g[t], g, count * sizeof *g);
    for (size_t i = 0; i < count; i++)
        p[i] = NAN;
    return ++c->calls == c->stop_after ? SCO_IO : SCO_OK;
}

/* Loss, gradients, logits and statistics of one step, one after the other; *floats_count of them. */
static float *step_of(struct small *s, size_t threads, int shares, size_t *floats_count)
{
    struct sco_ctx *ctx = context(threads);
    struct sco_model_config config = s->config;
    config.share_gradients = shares;
    struct sco_model *model = model_of(ctx, &config);
    assert_int_equal(sco_model_init(model, 7), SCO_OK);
    golden_parameters(model, 3);
    const struct sco_model_result result = forward(model, &s->batch, SCO_MODEL_TRAIN);
    const size_t tensors = sco_model_tensors(model)->count, parameters = sco_model_get_plan(model)->parameters;
    size_t rows, columns;
    const float *logits = sco_model_outputs(model, &rows, &columns);
    float *all = floats(2 * parameters + rows * columns + 1), *at = all;
    struct collected c = {.model = model, .g = calloc(tensors, sizeof *c.g), .seen = calloc(tensors, sizeof *c.seen)};
    assert_non_null(c.g);
    assert_non_null(c.seen);
    *at++ = (float)result.loss;
    memcpy(at, logits, rows * columns * sizeof *at);
    at += rows * columns;
    for (size_t t = 0; t < tensors; at += count_of(model, t++))
        c.g[t] = at;
    assert_int_equal(sco_model_backward(model, shares ? collect : NULL, &c), SCO_OK);
    for (size_t t = 0; t < tensors; t++)
        if (shares)
            assert_int_equal(c.seen[t], 1);
        else
            memcpy(c.g[t], sco_model_gradients(model)[t], count_of(model, t) * sizeof *at);
    const struct sco_model_array *array;
    for (size_t i = 0; (array = sco_model_state(model, i)) != NULL; at += array->count, i++)
        memcpy(at, array->values, array->count * sizeof *at);
    *floats_count = (size_t)(at - all);
    free(c.g), free(c.seen);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
    return all;
}

static void bits_depend_on_no_team_and_no_sharing(void **state)
{
    (void)state;
    struct small s = small_of(4, 41, 32, 5.0 / 64.0, 2);
    fill_batch(&s);
    size_t count, other;
    float *first = step_of(&s, 1, 0, &count);
    for (size_t i = 0; i < count; i++)
        assert_true(isfinite(first[i]));
    for (size_t k = 0; k < TEAMS; k++)
        for (int shares = 0; shares < 2; shares++) {
            float *next = step_of(&s, teams[k], shares, &other);
            assert_int_equal(other, count);
            assert_memory_equal(next, first, count * sizeof *first);
            free(next);
        }
    free(first), free(s.x);
}

static void shared_gradients_take_less(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    struct small s = small_of(2, 32, 32, 0.25, 1);
    fill_batch(&s);
    struct sco_model_plan plain, shared;
    assert_int_equal(sco_model_plan_of(ctx, &s.config, &plain), SCO_OK);
    s.config.share_gradients = 1;
    assert_int_equal(sco_model_plan_of(ctx, &s.config, &shared), SCO_OK);
    assert_int_equal(shared.gradient_bytes, 3 * 3 * 128 * 128 * sizeof(float));
    assert_true(shared.gradient_bytes < plain.gradient_bytes);
    /* What the callback returns ends backward. */
    struct sco_model *model = model_of(ctx, &s.config);
    assert_int_equal(sco_model_init(model, 7), SCO_OK);
    forward(model, &s.batch, SCO_MODEL_TRAIN);
    const size_t tensors = sco_model_tensors(model)->count;
    struct collected c = {
        .model = model, .g = calloc(tensors, sizeof *c.g), .seen = calloc(tensors, sizeof *c.seen), .stop_after = 3};
    float *room = floats(plain.parameters);
    for (size_t t = 0; t < tensors; t++)
        c.g[t] = room;
    assert_int_equal(sco_model_backward(model, collect, &c), SCO_IO);
    assert_int_equal(c.calls, 3);
    free(room), free(c.g), free(c.seen), free(s.x);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

static void blocks_start_as_identities(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    struct small s = small_of(2, 32, 32, 0.25, 2);
    struct sco_model *model = model_of(ctx, &s.config);
    assert_int_equal(sco_model_init(model, 7), SCO_OK);
    const struct sco_tensor_list *list = sco_model_tensors(model);
    for (size_t t = 0; t < list->count; t++) {
        const char *name = list->tensors[t].name;
        const float *p = sco_model_params(model)[t];
        const size_t count = count_of(model, t);
        const double deviation = sqrt(dot(p, p, count) / (double)count);
        if (golden_ends_in(name, "bias") || golden_ends_in(name, "BatchNorm_2/scale"))
            assert_true(deviation == 0.0);
        else if (golden_ends_in(name, "scale"))
            assert_true(deviation == 1.0 && p[0] == 1.0f && p[count - 1] == 1.0f);
        else if (golden_ends_in(name, "Dense_0/kernel"))
            assert_close(deviation, 0.01, 0.001);
        else
            assert_close(deviation * sqrt((double)(count / list->tensors[t].shape[3])), 1.0, 0.1);
    }
    free(s.x);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

/* ---- Evaluation ---- */

static size_t largest_of(const float *logits)
{
    size_t largest = 0;
    for (size_t c = 0; c < CLASSES; c++)
        largest = logits[c] > logits[largest] ? c : largest;
    return largest;
}

static void check_loss(struct sco_model *model, const struct small *s, enum sco_model_mode mode, size_t correct)
{
    const struct sco_model_result result = forward(model, &s->batch, mode);
    const double smoothing = mode == SCO_MODEL_TRAIN ? (double)s->config.label_smoothing : 0.0;
    size_t rows, columns;
    const float *logits = sco_model_outputs(model, &rows, &columns);
    assert_int_equal(rows, s->batch.samples);
    assert_int_equal(columns, CLASSES);
    double sum = 0.0;
    for (size_t n = 0; n < rows; n++, logits += CLASSES) {
        double all = 0.0, mean = 0.0;
        for (size_t c = 0; c < CLASSES; c++) {
            all += exp((double)logits[c]);
            mean += (double)logits[c] / CLASSES;
        }
        sum += log(all) - (1.0 - smoothing) * (double)logits[s->label[n]] - smoothing * mean;
    }
    assert_close(result.loss_sum, sum, 1e-5 * sum);
    assert_close(result.loss, sum / (double)rows, 1e-5 * sum);
    assert_true(result.loss_count == (double)rows);
    assert_int_equal(result.correct, correct);
}

/* Labels are chosen after the outputs are known, so that the images from right on are classified wrongly. */
static void label_by_output(struct sco_model *model, struct small *s, enum sco_model_mode mode, size_t right)
{
    forward(model, &s->batch, mode);
    size_t rows, columns;
    const float *logits = sco_model_outputs(model, &rows, &columns);
    for (size_t n = 0; n < rows; n++)
        s->label[n] = (int32_t)((largest_of(logits + n * CLASSES) + (n < right ? 0 : 1)) % CLASSES);
}

static void loss_follows_its_formula(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct small s = small_of(6, 32, 32, 1.0 / 16.0, 1);
    fill_batch(&s);
    struct sco_model *model = model_of(ctx, &s.config);
    assert_int_equal(sco_model_init(model, 7), SCO_OK);
    golden_parameters(model, 3);
    for (enum sco_model_mode mode = SCO_MODEL_TRAIN; mode <= SCO_MODEL_EVALUATE; mode++)
        for (size_t right = 0; right <= 6; right += 3) {
            label_by_output(model, &s, mode, right);
            check_loss(model, &s, mode, right);
        }
    free(s.x);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

/* Fewer images give what they give in a whole batch, and evaluation changes nothing. */
static void an_evaluation_ends_with_fewer_images(void **state)
{
    (void)state;
    enum { N = 5 };
    struct sco_ctx *ctx = context(2);
    struct small s = small_of(N, 35, 32, 1.0 / 16.0, 2);
    fill_batch(&s);
    struct sco_model *model = model_of(ctx, &s.config);
    assert_int_equal(sco_model_init(model, 7), SCO_OK);
    golden_parameters(model, 3);
    forward(model, &s.batch, SCO_MODEL_TRAIN);
    const struct sco_model_array *mean = array_of(model, "BottleneckResNetBlock_1/BatchNorm_1/mean");
    assert_true(mean->values[0] != 0.0f);
    const float moved = mean->values[0];
    size_t rows, columns;
    float whole[N * CLASSES];
    label_by_output(model, &s, SCO_MODEL_EVALUATE, 2);
    memcpy(whole, sco_model_outputs(model, &rows, &columns), sizeof whole);
    for (size_t n = 0; n <= N; n++) {
        s.batch.samples = s.batch.images.N = n;
        const struct sco_model_result result = forward(model, &s.batch, SCO_MODEL_EVALUATE);
        const float *logits = sco_model_outputs(model, &rows, &columns);
        assert_int_equal(rows, n);
        assert_memory_equal(logits, whole, n * CLASSES * sizeof *whole);
        assert_true(result.loss_count == (double)n);
        assert_int_equal(result.correct, n < 2 ? n : 2);
    }
    assert_true(mean->values[0] == moved);
    assert_refused(sco_model_backward(model, NULL, NULL), SCO_INVALID, "training");
    free(s.x);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

/* ---- Refusals ---- */

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    struct small s = small_of(4, 32, 40, 1.0 / 16.0, 1);
    fill_batch(&s);
    struct sco_model *model = model_of(ctx, &s.config);
    assert_int_equal(sco_model_init(model, 7), SCO_OK);
    struct sco_model_result result;
    struct sco_batch bad = s.batch;
    bad.samples = bad.images.N = 3;
    assert_refused(sco_model_forward(model, &bad, SCO_MODEL_TRAIN, 0, &result), SCO_SHAPE, "has 3 images");
    bad = s.batch;
    bad.images.N = 3;
    assert_refused(sco_model_forward(model, &bad, SCO_MODEL_EVALUATE, 0, &result), SCO_INVALID, "has 3 images");
    bad = s.batch;
    bad.images.W = 32;
    assert_refused(sco_model_forward(model, &bad, SCO_MODEL_TRAIN, 0, &result), SCO_SHAPE, "32 x 32");
    bad = s.batch;
    bad.workload = SCO_UNET;
    assert_refused(sco_model_forward(model, &bad, SCO_MODEL_TRAIN, 0, &result), SCO_INVALID, "unet");
    for (int32_t label = -1; label <= CLASSES; label += CLASSES + 1) {
        s.label[2] = label;
        assert_refused(sco_model_forward(model, &s.batch, SCO_MODEL_EVALUATE, 0, &result), SCO_FORMAT, "image 2");
    }
    assert_refused(sco_model_backward(model, NULL, NULL), SCO_INVALID, "training");
    sco_model_destroy(model);

    struct sco_model_plan plan;
    struct sco_model_config config = s.config;
    config.label_smoothing = 1.5f;
    assert_refused(sco_model_plan_of(ctx, &config, &plan), SCO_INVALID, "smoothing");
    config = s.config;
    config.has_dropout = 1;
    config.dropout = 0.1f;
    assert_refused(sco_model_plan_of(ctx, &config, &plan), SCO_INVALID, "dropout");
    config = s.config;
    config.classes = (size_t)1 << 31;
    assert_refused(sco_model_plan_of(ctx, &config, &plan), SCO_INVALID, "classes");
    config = s.config;
    config.H = (size_t)1 << 40;
    assert_refused(sco_model_plan_of(ctx, &config, &plan), SCO_SHAPE, "conv2d");
    config = s.config;
    config.batch = (size_t)1 << 22;
    config.H = config.W = 224;
    assert_refused(sco_model_create(&model, ctx, &config), SCO_NOMEM, "bytes");
    free(s.x);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_those_of_the_benchmark),
        cmocka_unit_test(work_is_counted),
        cmocka_unit_test(a_recorded_run_is_repeated),
        cmocka_unit_test(gradients_are_differences),
        cmocka_unit_test(bits_depend_on_no_team_and_no_sharing),
        cmocka_unit_test(shared_gradients_take_less),
        cmocka_unit_test(blocks_start_as_identities),
        cmocka_unit_test(loss_follows_its_formula),
        cmocka_unit_test(an_evaluation_ends_with_fewer_images),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

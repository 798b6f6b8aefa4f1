/* SPDX-License-Identifier: Apache-2.0
 * ResNet-50: its parameters, a recorded run in double, gradients by differences, teams, shared gradients, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
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
    struct golden_error e = golden_compare(golden_member(outputs, "logits"), logits, rows * columns);
    printf("loss %.3g logits %.3g %.3g %.3g\n", result.loss - golden_value(root, "loss"), e.l2, e.sum, e.entry);
    static const char *const arrays[][2] = {
        {"BatchNorm_init/mean", "new_mean_init"},
        {"BatchNorm_init/var", "new_var_init"},
        {"BottleneckResNetBlock_15/BatchNorm_2/var", "new_var_last_bn2"},
    };
    for (size_t i = 0; i < 3; i++) {
        const struct sco_model_array *array = array_of(model, arrays[i][0]);
        e = golden_compare(golden_member(outputs, arrays[i][1]), array->values, array->count);
        printf("%s %.3g %.3g %.3g\n", arrays[i][0], e.l2, e.sum, e.entry);
    }
    const struct sco_tensor_list *list = sco_model_tensors(model);
    for (size_t t = 0; t < list->count; t++) {
        e = golden_compare(golden_member(golden_member(root, "grads"), list->tensors[t].name),
                           sco_model_gradients(model)[t], count_of(model, t));
        printf("%s %.3g %.3g %.3g\n", list->tensors[t].name, e.l2, e.sum, e.entry);
    }
    free(x);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_those_of_the_benchmark),
        cmocka_unit_test(work_is_counted),
        cmocka_unit_test(a_recorded_run_is_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

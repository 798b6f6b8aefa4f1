/* SPDX-License-Identifier: Apache-2.0
 * Metrics against vectors of the reference implementations, and what they must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "stepcost/metrics.h"

static struct sco_ctx *context(size_t threads)
{
    struct sco_ctx *ctx = NULL;
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = threads, .oversubscribe = 1}), SCO_OK);
    return ctx;
}

static json_t *load(const char *name)
{
    char path[512];
    json_error_t error;
    snprintf(path, sizeof path, "%s/golden/algoperf/%s", SCO_TEST_DIR, name);
    json_t *vectors = json_load_file(path, 0, &error);
    assert_non_null(vectors);
    assert_true(json_array_size(vectors) > 0);
    return vectors;
}

static float *floats(const json_t *object, const char *key, size_t count)
{
    const json_t *list = json_object_get(object, key);
    float *x = malloc((count + 1) * sizeof *x);
    assert_non_null(x);
    assert_int_equal(json_array_size(list), count);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)json_number_value(json_array_get(list, i));
    return x;
}

static size_t size_of(const json_t *list, size_t i)
{
    return (size_t)json_integer_value(json_array_get(list, i));
}

/* The reference computes in float32: half the digits of a double are what its values can be held to. */
#define SSIM_BOUND 2e-6

static void ssim_equals_reference(void **state)
{
    (void)state;
    json_t *vectors = load("ssim_vectors.json"), *v;
    struct sco_ctx *ctx = context(2);
    size_t at;
    json_array_foreach(vectors, at, v)
    {
        const json_t *shape = json_object_get(v, "shape");
        const size_t N = size_of(shape, 0), H = size_of(shape, 1), W = size_of(shape, 2);
        float *x = floats(v, "logits", N * H * W), *y = floats(v, "targets", N * H * W), *mean = floats(v, "mean", N),
              *std = floats(v, "std", N), *max = floats(v, "volume_max", N);
        double ssim[8];
        assert_true(N <= 8);
        assert_int_equal(sco_ssim(ctx, N, H, W, x, y, mean, std, max, ssim), SCO_OK);
        for (size_t i = 0; i < N; i++) {
            const double want = json_number_value(json_array_get(json_object_get(v, "ssim"), i));
            assert_true(fabs(ssim[i] - want) < SSIM_BOUND);
        }
        free(x), free(y), free(mean), free(std), free(max);
    }
    json_decref(vectors);
    sco_ctx_destroy(ctx);
}

static void ssim_of_an_image_with_itself_is_one(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    float x[9 * 8], zero[9 * 8] = {0};
    const float mean = 1.0f, std = 2.0f, max = 0.0f; /* range 1 */
    for (size_t i = 0; i < 9 * 8; i++)
        x[i] = (float)((i * 7) % 11) - 5.0f;
    double same, blank, other;
    assert_int_equal(sco_ssim(ctx, 1, 9, 8, x, x, &mean, &std, &max, &same), SCO_OK);
    assert_int_equal(sco_ssim(ctx, 1, 9, 8, zero, zero, &mean, &std, &max, &blank), SCO_OK);
    assert_int_equal(sco_ssim(ctx, 1, 9, 8, x, zero, &mean, &std, &max, &other), SCO_OK);
    assert_true(fabs(same - 1.0) < 1e-12);
    assert_true(fabs(blank - 1.0) < 1e-12);
    assert_true(other < 0.5);
    x[40] = NAN;
    assert_int_equal(sco_ssim(ctx, 1, 9, 8, x, zero, &mean, &std, &max, &other), SCO_OK);
    assert_true(isnan(other));
    assert_int_equal(sco_ssim(ctx, 1, 6, 8, x, x, &mean, &std, &max, &same), SCO_SHAPE);
    assert_non_null(strstr(sco_error_message(), "6 x 8"));
    assert_int_equal(sco_ssim(ctx, 0, 9, 8, x, x, &mean, &std, &max, &same), SCO_OK);
    sco_ctx_destroy(ctx);
}

static void average_precision_equals_reference(void **state)
{
    (void)state;
    json_t *vectors = load("map_vectors.json"), *v;
    struct sco_ctx *ctx = context(2);
    size_t at, defined = 0;
    json_array_foreach(vectors, at, v)
    {
        const size_t n = (size_t)json_integer_value(json_object_get(v, "n")),
                     T = (size_t)json_integer_value(json_object_get(v, "T"));
        float *score = floats(v, "logits", n * T), *label = floats(v, "labels", n * T),
              *mask = floats(v, "mask", n * T);
        for (size_t i = 0; i < n * T; i++)
            label[i] = mask[i] == 0.0f ? NAN : label[i];
        double ap[16], mean;
        assert_true(T <= 16);
        assert_int_equal(sco_mean_average_precision(ctx, n, T, score, label, ap, &mean), SCO_OK);
        for (size_t t = 0; t < T; t++) {
            const json_t *want = json_array_get(json_object_get(v, "ap"), t);
            assert_int_equal(isnan(ap[t]), json_is_null(want));
            assert_true(json_is_null(want) || fabs(ap[t] - json_number_value(want)) < 1e-14);
            defined += !json_is_null(want);
        }
        const json_t *want = json_object_get(v, "mean_ap");
        assert_true(json_is_null(want) ? isnan(mean) : fabs(mean - json_number_value(want)) < 1e-14);
        free(score), free(label), free(mask);
    }
    assert_true(defined > 10);
    json_decref(vectors);
    sco_ctx_destroy(ctx);
}

static void same_bits_for_any_team(void **state)
{
    (void)state;
    enum { N = 5, H = 19, W = 23, ROWS = 211, TASKS = 6 };
    static float x[N * H * W], y[N * H * W], score[ROWS * TASKS], label[ROWS * TASKS], mean[N], std[N], max[N];
    unsigned random = 1;
    for (size_t i = 0; i < N * H * W; i++) {
        x[i] = (float)((random = random * 1664525u + 1013904223u) >> 8) * 0x1p-24f;
        y[i] = x[i] + (float)((random = random * 1664525u + 1013904223u) >> 8) * 0x1p-26f;
    }
    for (size_t i = 0; i < N; i++)
        mean[i] = 0.1f * (float)i, std[i] = 1.0f + (float)i, max[i] = 3.0f;
    for (size_t i = 0; i < ROWS * TASKS; i++) {
        score[i] = (float)((random = random * 1664525u + 1013904223u) >> 28);
        label[i] = (random >> 20 & 7) == 0 ? NAN : (float)(random >> 24 & 1);
    }
    static const size_t teams[] = {1, 2, 3, 7};
    double first[N + TASKS + 1], other[N + TASKS + 1];
    for (size_t i = 0; i < sizeof teams / sizeof *teams; i++) {
        struct sco_ctx *ctx = context(teams[i]);
        double *to = i == 0 ? first : other;
        assert_int_equal(sco_ssim(ctx, N, H, W, x, y, mean, std, max, to), SCO_OK);
        assert_int_equal(sco_mean_average_precision(ctx, ROWS, TASKS, score, label, to + N, to + N + TASKS), SCO_OK);
        assert_true(i == 0 || memcmp(first, other, sizeof first) == 0);
        sco_ctx_destroy(ctx);
    }
}

static void average_precision_refuses(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    float score[] = {0.5f, 0.1f, 0.9f}, label[] = {1.0f, 0.0f, 1.0f};
    double ap, mean;
    assert_int_equal(sco_mean_average_precision(ctx, 3, 1, score, label, &ap, &mean), SCO_OK);
    assert_true(ap == 1.0 && mean == 1.0);
    label[1] = 0.5f;
    assert_int_equal(sco_mean_average_precision(ctx, 3, 1, score, label, &ap, &mean), SCO_FORMAT);
    assert_non_null(strstr(sco_error_message(), "row 1, task 0 is 0.5"));
    label[1] = 0.0f;
    score[2] = NAN;
    assert_int_equal(sco_mean_average_precision(ctx, 3, 1, score, label, &ap, &mean), SCO_NONFINITE);
    assert_non_null(strstr(sco_error_message(), "row 2, task 0"));
    label[2] = NAN; /* what does not count may be anything */
    assert_int_equal(sco_mean_average_precision(ctx, 3, 1, score, label, NULL, &mean), SCO_OK);
    assert_int_equal(sco_mean_average_precision(ctx, 0, 1, score, label, &ap, &mean), SCO_OK);
    assert_true(isnan(ap) && isnan(mean));
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ssim_equals_reference),
        cmocka_unit_test(ssim_of_an_image_with_itself_is_one),
        cmocka_unit_test(average_precision_equals_reference),
        cmocka_unit_test(average_precision_refuses),
        cmocka_unit_test(same_bits_for_any_team),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

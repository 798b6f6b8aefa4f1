/* SPDX-License-Identifier: Apache-2.0
 * Losses: gradients against central differences in double, the same bits for any team, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "stepcost/loss.h"

enum { ROWS = 9, CLASSES = 21, N = 9000 };

static float uniform(unsigned *state, float low, float high)
{
    *state = *state * 1664525u + 1013904223u;
    return low + (high - low) * (float)(*state >> 8) * 0x1p-24f;
}

static struct sco_ctx *context(size_t threads)
{
    struct sco_ctx *ctx = NULL;
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = threads, .oversubscribe = 1}), SCO_OK);
    return ctx;
}

/* ---- The losses in double, by their definition ---- */

static double xent_mean(const double *x, const int32_t *label, double smoothing)
{
    double sum = 0.0, count = 0.0;
    for (size_t r = 0; r < ROWS; r++) {
        if (label[r] < 0)
            continue;
        double total = 0.0, aim = 0.0;
        for (size_t j = 0; j < CLASSES; j++) {
            total += exp(x[r * CLASSES + j]);
            aim += x[r * CLASSES + j] * (smoothing / CLASSES + (label[r] == (int32_t)j ? 1.0 - smoothing : 0.0));
        }
        sum += log(total) - aim;
        count += 1.0;
    }
    return sum / count;
}

static void softmax_gradient_is_that_of_its_definition(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    unsigned random = 3;
    float x[ROWS * CLASSES], dx[ROWS * CLASSES];
    double exact[ROWS * CLASSES];
    int32_t label[ROWS];
    char workspace[4096];
    for (size_t i = 0; i < ROWS * CLASSES; i++)
        exact[i] = (double)(x[i] = uniform(&random, -4.0f, 4.0f));
    for (size_t r = 0; r < ROWS; r++)
        label[r] = r == 4 ? -1 : (int32_t)((5 * r) % CLASSES);
    for (int smooth = 0; smooth < 2; smooth++) {
        const float smoothing = smooth ? 0.1f : 0.0f;
        struct sco_loss loss;
        assert_int_equal(
            sco_softmax_cross_entropy(ctx, ROWS, CLASSES, x, label, smoothing, workspace, sizeof workspace, &loss, dx),
            SCO_OK);
        assert_true(loss.count == ROWS - 1);
        assert_true(fabs(loss.mean - xent_mean(exact, label, (double)smoothing)) < 1e-6);
        for (size_t i = 0; i < ROWS * CLASSES; i++) {
            const double h = 1e-5, here = exact[i];
            exact[i] = here + h;
            const double up = xent_mean(exact, label, (double)smoothing);
            exact[i] = here - h;
            const double down = xent_mean(exact, label, (double)smoothing);
            exact[i] = here;
            assert_true(fabs((double)dx[i] - (up - down) / (2.0 * h)) < 1e-7);
        }
        struct sco_loss alone;
        assert_int_equal(sco_softmax_cross_entropy(ctx, ROWS, CLASSES, x, label, smoothing, workspace, sizeof workspace,
                                                   &alone, NULL),
                         SCO_OK);
        assert_true(alone.sum == loss.sum);
    }
    sco_ctx_destroy(ctx);
}

static double bce(double x, double z)
{
    return -z * log(1.0 / (1.0 + exp(-x))) - (1.0 - z) * log(1.0 / (1.0 + exp(x)));
}

static void element_gradients_are_those_of_their_definitions(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    unsigned random = 5;
    static float x[N], label[N], target[N], dx[N];
    double bce_sum = 0.0, bce_count = 0.0, l1_sum = 0.0;
    const size_t bytes = sco_loss_workspace_bytes(N);
    void *workspace = malloc(bytes);
    for (size_t i = 0; i < N; i++) {
        x[i] = uniform(&random, -6.0f, 6.0f);
        target[i] = i % 11 == 0 ? x[i] : uniform(&random, -1.0f, 1.0f);
        label[i] = i % 7 == 3 ? NAN : (float)(i % 2);
        if (!isnan(label[i]))
            bce_sum += bce((double)x[i], (double)label[i]), bce_count += 1.0;
        l1_sum += fabs((double)x[i] - (double)target[i]);
    }
    struct sco_loss loss;
    assert_int_equal(sco_sigmoid_cross_entropy(ctx, N, x, label, workspace, bytes, &loss, dx), SCO_OK);
    assert_true(loss.count == bce_count);
    assert_true(fabs(loss.mean - bce_sum / bce_count) < 1e-6);
    for (size_t i = 0; i < N; i++) {
        const double h = 1e-5, z = (double)label[i], at = (double)x[i];
        const double want = isnan(z) ? 0.0 : (bce(at + h, z) - bce(at - h, z)) / (2.0 * h) / bce_count;
        assert_true(fabs((double)dx[i] - want) < 1e-6 / bce_count);
    }
    assert_int_equal(sco_l1_loss(ctx, N, x, target, workspace, bytes, &loss, dx), SCO_OK);
    assert_true(fabs(loss.mean - l1_sum / N) < 1e-6);
    for (size_t i = 0; i < N; i++)
        assert_true(dx[i] == (x[i] > target[i] ? 1.0f : x[i] < target[i] ? -1.0f : 0.0f) / (float)N);
    free(workspace);
    sco_ctx_destroy(ctx);
}

static void same_bits_for_any_team(void **state)
{
    (void)state;
    static const size_t teams[] = {1, 2, 3, 7};
    static float x[N], label[N], dx[4][3][N];
    struct sco_loss loss[4][3];
    int32_t class_of[N / 90];
    unsigned random = 9;
    const size_t bytes = sco_loss_workspace_bytes(N);
    void *workspace = malloc(bytes);
    for (size_t i = 0; i < N; i++) {
        x[i] = uniform(&random, -9.0f, 9.0f);
        label[i] = i % 5 == 0 ? NAN : (float)(i % 2);
    }
    for (size_t r = 0; r < N / 90; r++)
        class_of[r] = (int32_t)(r * 13 % 90);
    for (size_t t = 0; t < 4; t++) {
        struct sco_ctx *ctx = context(teams[t]);
        assert_int_equal(
            sco_softmax_cross_entropy(ctx, N / 90, 90, x, class_of, 0.1f, workspace, bytes, &loss[t][0], dx[t][0]),
            SCO_OK);
        assert_int_equal(sco_sigmoid_cross_entropy(ctx, N, x, label, workspace, bytes, &loss[t][1], dx[t][1]), SCO_OK);
        assert_int_equal(sco_l1_loss(ctx, N, x, label, workspace, bytes, &loss[t][2], dx[t][2]), SCO_OK);
        assert_memory_equal(loss[t], loss[0], sizeof loss[0]);
        assert_memory_equal(dx[t], dx[0], sizeof dx[0]);
        sco_ctx_destroy(ctx);
    }
    free(workspace);
}

static void edges_and_refusals(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    const float x[4] = {1.0f, 2.0f, 3.0f, 4.0f}, missing[2] = {NAN, NAN};
    float dx[4];
    int32_t label[2] = {1, 2};
    char workspace[256];
    struct sco_loss loss;
    assert_int_equal(sco_softmax_cross_entropy(ctx, 2, 2, x, label, 0.0f, workspace, sizeof workspace, &loss, dx),
                     SCO_FORMAT);
    assert_non_null(strstr(sco_error_message(), "row 1 is 2"));
    label[1] = -1;
    assert_int_equal(sco_softmax_cross_entropy(ctx, 2, 2, x, label, 1.5f, workspace, sizeof workspace, &loss, dx),
                     SCO_INVALID);
    assert_non_null(strstr(sco_error_message(), "smoothing is 1.5"));
    assert_int_equal(sco_softmax_cross_entropy(ctx, 2, 2, x, label, 0.0f, workspace, 1, &loss, dx), SCO_INVALID);
    assert_non_null(strstr(sco_error_message(), "workspace of 1 bytes"));
    assert_int_equal(sco_sigmoid_cross_entropy(ctx, 2, x, x, NULL, 0, &loss, dx), SCO_INVALID);
    assert_int_equal(sco_l1_loss(ctx, 2, x, x, workspace, 4, &loss, dx), SCO_INVALID);
    label[0] = -1;
    assert_int_equal(sco_softmax_cross_entropy(ctx, 2, 2, x, label, 0.0f, workspace, sizeof workspace, &loss, dx),
                     SCO_OK);
    assert_true(loss.mean == 0.0 && loss.count == 0.0 && dx[0] == 0.0f && dx[3] == 0.0f);
    assert_int_equal(sco_sigmoid_cross_entropy(ctx, 2, x, missing, workspace, sizeof workspace, &loss, dx), SCO_OK);
    assert_true(loss.mean == 0.0 && loss.count == 0.0 && dx[0] == 0.0f && dx[1] == 0.0f);
    assert_int_equal(sco_l1_loss(ctx, 0, x, x, workspace, sizeof workspace, &loss, dx), SCO_OK);
    assert_true(loss.mean == 0.0);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_gradient_is_that_of_its_definition),
        cmocka_unit_test(element_gradients_are_those_of_their_definitions),
        cmocka_unit_test(same_bits_for_any_team),
        cmocka_unit_test(edges_and_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

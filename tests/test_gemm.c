/* SPDX-License-Identifier: Apache-2.0
 * Products through the public interface: the gradients of a dense layer against central differences in double, the same
 * bits for any team, what is refused. Sums of every row against double are in check_kernels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <stdint.h>

#include "stepcost/gemm.h"
#include "stepcost/memory.h"

static void fill(float *x, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) * 0x1p-23f - 1.0f;
    }
}

static float *floats(size_t n, unsigned seed)
{
    float *x = sco_alloc((n + 1) * sizeof *x);
    assert_non_null(x);
    fill(x, n, seed);
    return x;
}

static struct sco_ctx *context(size_t threads)
{
    struct sco_ctx *ctx = NULL;
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = threads, .oversubscribe = 1}), SCO_OK);
    return ctx;
}

static void multiply(struct sco_ctx *ctx, const struct sco_gemm_shape *shape, const float *A, const float *B, float *C,
                     const float *bias)
{
    struct sco_gemm *gemm = NULL;
    assert_int_equal(sco_gemm_create(&gemm, ctx, shape), SCO_OK);
    void *workspace = sco_alloc(sco_gemm_workspace_bytes(gemm));
    assert_int_equal(sco_gemm_run(gemm, A, B, C, bias, workspace), SCO_OK);
    sco_free(workspace);
    sco_gemm_destroy(gemm);
}

/* ---- A dense layer ---- */

enum { BATCH = 11, IN = 19, OUT = 17 };

static double layer_loss(const double *x, const double *w, const float *bias, const float *dy)
{
    double loss = 0.0;
    for (size_t i = 0; i < BATCH; i++) {
        for (size_t j = 0; j < OUT; j++) {
            double y = (double)bias[j];
            for (size_t k = 0; k < IN; k++)
                y += x[i * IN + k] * w[k * OUT + j];
            loss += (y < 0.0 ? 0.125 * y : y) * (double)dy[i * OUT + j];
        }
    }
    return loss;
}

static double central_difference(double *x, double *w, double *at, const float *bias, const float *dy)
{
    const double h = 1e-6, here = *at;
    *at = here + h;
    const double up = layer_loss(x, w, bias, dy);
    *at = here - h;
    const double down = layer_loss(x, w, bias, dy);
    *at = here;
    return (up - down) / (2.0 * h);
}

static void dense_layer_gradients_are_those_of_its_definition(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    float *x = floats(BATCH * IN, 1), *w = floats(IN * OUT, 2), *bias = floats(OUT, 3), *dy = floats(BATCH * OUT, 4);
    float *y = floats(BATCH * OUT, 0), *dx = floats(BATCH * IN, 0), *dw = floats(IN * OUT, 0);
    double exact_x[BATCH * IN], exact_w[IN * OUT];
    for (size_t i = 0; i < BATCH * IN; i++)
        exact_x[i] = (double)x[i];
    for (size_t i = 0; i < IN * OUT; i++)
        exact_w[i] = (double)w[i];
    multiply(ctx,
             &(struct sco_gemm_shape){.M = BATCH,
                                      .N = OUT,
                                      .K = IN,
                                      .alpha = 1.0f,
                                      .bias = 1,
                                      .activation = SCO_GEMM_LEAKY_RELU,
                                      .slope = 0.125f},
             x, w, y, bias);
    double loss = 0.0;
    float *dz = floats(BATCH * OUT, 0); /* behind the activation */
    for (size_t i = 0; i < BATCH * OUT; i++) {
        loss += (double)y[i] * (double)dy[i];
        dz[i] = y[i] < 0.0f ? 0.125f * dy[i] : dy[i];
    }
    assert_true(fabs(loss - layer_loss(exact_x, exact_w, bias, dy)) < 1e-4);
    multiply(ctx, &(struct sco_gemm_shape){.M = BATCH, .N = IN, .K = OUT, .trans_b = 1, .alpha = 1.0f}, dz, w, dx,
             NULL);
    multiply(ctx, &(struct sco_gemm_shape){.M = IN, .N = OUT, .K = BATCH, .trans_a = 1, .alpha = 1.0f}, x, dz, dw,
             NULL);
    for (size_t i = 0; i < BATCH * IN; i++)
        assert_true(fabs((double)dx[i] - central_difference(exact_x, exact_w, exact_x + i, bias, dy)) < 1e-4);
    for (size_t i = 0; i < IN * OUT; i++)
        assert_true(fabs((double)dw[i] - central_difference(exact_x, exact_w, exact_w + i, bias, dy)) < 1e-4);
    float *all[] = {x, w, bias, dy, y, dx, dw, dz};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sco_free(all[i]);
    sco_ctx_destroy(ctx);
}

/* ---- Teams ---- */

static void every_team_gives_the_same_bits(void **state)
{
    (void)state;
    static const struct sco_gemm_shape shapes[] = {
        {.M = 300, .N = 130, .K = 140, .alpha = 1.0f},
        {.M = 97, .N = 1042, .K = 130, .alpha = 0.5f, .beta = 2.0f},
        {.M = 257, .N = 49, .K = 600, .alpha = 1.0f, .bias = 1, .activation = SCO_GEMM_RELU},
        {.M = 300, .N = 200, .K = 90, .trans_b = 1, .alpha = 1.0f},
        {.M = 270, .N = 140, .K = 520, .trans_a = 1, .alpha = 1.0f},
        {.M = 130, .N = 70, .K = 150, .trans_a = 1, .trans_b = 1, .alpha = 1.0f},
        {.M = 20, .N = 30, .K = 40, .batch = 9, .a_step = 800, .b_step = 1200, .c_step = 600, .alpha = 1.0f},
    };
    static const size_t teams[] = {1, 2, 3, 7};
    for (size_t q = 0; q < sizeof shapes / sizeof *shapes; q++) {
        const struct sco_gemm_shape *s = &shapes[q];
        const size_t batch = s->batch != 0 ? s->batch : 1, n = batch * s->M * s->N;
        float *A = floats(batch * s->M * s->K, 5), *B = floats(batch * s->K * s->N, 6), *bias = floats(s->N, 7);
        float *first = floats(n, 8), *C = floats(n, 8);
        for (size_t t = 0; t < sizeof teams / sizeof *teams; t++) {
            struct sco_ctx *ctx = context(teams[t]);
            fill(C, n, 8);
            multiply(ctx, s, A, B, t == 0 ? first : C, bias);
            if (t > 0)
                assert_memory_equal(C, first, n * sizeof *C);
            sco_ctx_destroy(ctx);
        }
        for (size_t i = 0; i < s->M && batch == 1 && s->beta == 0.0f; i += 13) { /* and they are the product */
            for (size_t j = 0; j < s->N; j += 7) {
                double sum = s->bias ? (double)bias[j] : 0.0;
                for (size_t k = 0; k < s->K; k++)
                    sum += (double)s->alpha * (double)A[s->trans_a ? k * s->M + i : i * s->K + k] *
                           (double)B[s->trans_b ? j * s->K + k : k * s->N + j];
                sum = s->activation == SCO_GEMM_RELU && sum < 0.0 ? 0.0 : sum;
                assert_true(fabs((double)first[i * s->N + j] - sum) < 1e-4);
            }
        }
        float *all[] = {A, B, bias, first, C};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            sco_free(all[i]);
    }
}

/* ---- Edges ---- */

static void empty_products_leave_what_is_added(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    float C[6] = {1.0f, -2.0f, 3.0f, -4.0f, 5.0f, -6.0f}, bias[3] = {0.5f, 0.5f, 0.5f};
    multiply(
        ctx,
        &(struct sco_gemm_shape){.M = 2, .N = 3, .alpha = 1.0f, .beta = 2.0f, .bias = 1, .activation = SCO_GEMM_RELU},
        C, C, C, bias);
    const float want[6] = {2.5f, 0.0f, 6.5f, 0.0f, 10.5f, 0.0f};
    assert_memory_equal(C, want, sizeof want);
    multiply(ctx, &(struct sco_gemm_shape){.N = 3, .K = 4, .alpha = 1.0f}, NULL, NULL, NULL, NULL);
    multiply(ctx, &(struct sco_gemm_shape){.M = 3, .K = 4, .alpha = 1.0f}, NULL, NULL, NULL, NULL);
    sco_gemm_destroy(NULL);
    sco_ctx_destroy(ctx);
}

static void refuse(struct sco_ctx *ctx, const struct sco_gemm_shape *shape, enum sco_status status, const char *word)
{
    struct sco_gemm *gemm = NULL;
    assert_int_equal(sco_gemm_create(&gemm, ctx, shape), status);
    assert_null(gemm);
    assert_non_null(strstr(sco_error_message(), word));
}

static void impossible_shapes_are_refused(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    refuse(ctx, &(struct sco_gemm_shape){.M = 4, .N = 4, .K = 4, .lda = 3}, SCO_SHAPE, "lda = 3");
    refuse(ctx, &(struct sco_gemm_shape){.M = 5, .N = 4, .K = 4, .lda = 4, .trans_a = 1}, SCO_SHAPE, "lda = 4");
    refuse(ctx, &(struct sco_gemm_shape){.M = 4, .N = 4, .K = 5, .ldb = 4, .trans_b = 1}, SCO_SHAPE, "ldb = 4");
    refuse(ctx, &(struct sco_gemm_shape){.M = 4, .N = 4, .K = 4, .ldc = 1}, SCO_SHAPE, "ldc = 1");
    refuse(ctx, &(struct sco_gemm_shape){.M = SIZE_MAX / 8, .N = 4, .K = 16}, SCO_SHAPE, "address space");
    refuse(ctx, &(struct sco_gemm_shape){.M = 4, .N = 4, .K = 4, .batch = 2, .c_step = 15}, SCO_SHAPE, "c_step = 15");
    refuse(ctx, &(struct sco_gemm_shape){.M = 1, .N = 1, .K = 1, .activation = (enum sco_gemm_activation)7},
           SCO_INVALID, "activation 7");

    float x[16] = {0};
    struct sco_gemm *gemm = NULL;
    assert_int_equal(sco_gemm_create(&gemm, ctx, &(struct sco_gemm_shape){.M = 4, .N = 4, .K = 4, .bias = 1}), SCO_OK);
    assert_non_null(strchr(sco_gemm_plan_name(gemm), ' '));
    assert_int_equal(sco_gemm_run(gemm, NULL, x, x, x, NULL), SCO_INVALID);
    assert_non_null(strstr(sco_error_message(), "A is NULL"));
    assert_int_equal(sco_gemm_run(gemm, x, x, x, NULL, NULL), SCO_INVALID);
    assert_non_null(strstr(sco_error_message(), "bias is NULL"));
    sco_gemm_destroy(gemm);

    const struct sco_gemm_shape large = {.M = 300, .N = 300, .K = 70, .trans_b = 1, .alpha = 1.0f};
    assert_int_equal(sco_gemm_create(&gemm, ctx, &large), SCO_OK);
    if (sco_gemm_workspace_bytes(gemm) > 0) {
        assert_int_equal(sco_gemm_run(gemm, x, x, x, NULL, NULL), SCO_INVALID);
        assert_non_null(strstr(sco_error_message(), "workspace is NULL"));
    }
    sco_gemm_destroy(gemm);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_layer_gradients_are_those_of_its_definition),
        cmocka_unit_test(every_team_gives_the_same_bits),
        cmocka_unit_test(empty_products_leave_what_is_added),
        cmocka_unit_test(impossible_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

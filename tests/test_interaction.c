/* SPDX-License-Identifier: Apache-2.0
 * Dot interaction against double and central differences, the same bits for any team, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "stepcost/interaction.h"

enum { MOST_FEATURES = 27, MOST_DIM = 40, SAMPLES = 9 };

static const struct {
    size_t F, dim;
} shapes[] = {{1, 5}, {4, 16}, {5, 33}, {27, 40}};

static struct sco_ctx *context(size_t threads)
{
    struct sco_ctx *ctx = NULL;
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = threads, .oversubscribe = 1}), SCO_OK);
    return ctx;
}

static float *random_floats(size_t count, uint64_t seed)
{
    float *x = malloc(count * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)((int64_t)(seed >> 40) - (1 << 23)) * 0x1p-23f;
    }
    return x;
}

static void interact(size_t F, size_t dim, const double *x, double *y)
{
    for (size_t c = 0; c < dim; c++)
        *y++ = x[c];
    for (size_t i = 0; i < F; i++)
        for (size_t j = i; j < F; j++, y++) {
            *y = 0.0;
            for (size_t c = 0; c < dim; c++)
                *y += x[i * dim + c] * x[j * dim + c];
        }
}

static double loss(size_t F, size_t dim, const double *x, const float *gy)
{
    double y[MOST_DIM + MOST_FEATURES * MOST_FEATURES], sum = 0.0;
    interact(F, dim, x, y);
    for (size_t k = 0; k < dim + F * (F + 1) / 2; k++)
        sum += y[k] * (double)gy[k];
    return sum;
}

static void close_to(double x, double expected, double scale)
{
    if (!(fabs(x - expected) <= scale * 1e-6))
        fail_msg("%.9g instead of %.9g", x, expected);
}

static void follows_the_definition(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        const size_t F = shapes[k].F, dim = shapes[k].dim;
        struct sco_interaction *in = NULL;
        assert_int_equal(sco_interaction_create(&in, ctx, F, dim), SCO_OK);
        const size_t columns = sco_interaction_columns(in);
        assert_int_equal(columns, dim + F * (F + 1) / 2);
        float *x = random_floats(SAMPLES * F * dim, 1), *gy = random_floats(SAMPLES * columns, 2);
        float *y = malloc(SAMPLES * columns * sizeof *y), *dx = malloc(SAMPLES * F * dim * sizeof *dx);
        assert_int_equal(sco_interaction_forward(in, SAMPLES, x, y), SCO_OK);
        assert_int_equal(sco_interaction_backward(in, SAMPLES, x, gy, dx), SCO_OK);
        for (size_t s = 0; s < SAMPLES; s++) {
            double wide[MOST_FEATURES * MOST_DIM], expected[MOST_DIM + MOST_FEATURES * MOST_FEATURES];
            for (size_t i = 0; i < F * dim; i++)
                wide[i] = (double)x[s * F * dim + i];
            interact(F, dim, wide, expected);
            for (size_t i = 0; i < columns; i++)
                close_to((double)y[s * columns + i], expected[i], (double)dim);
            /* The loss is quadratic: a central difference is its gradient but for rounding. */
            for (size_t i = 0; i < F * dim; i += 7) {
                const double step = 1e-3, value = wide[i];
                wide[i] = value + step;
                const double above = loss(F, dim, wide, gy + s * columns);
                wide[i] = value - step;
                const double below = loss(F, dim, wide, gy + s * columns);
                wide[i] = value;
                close_to((double)dx[s * F * dim + i], (above - below) / (2.0 * step), (double)(2 * F));
            }
        }
        free(x), free(gy), free(y), free(dx);
        sco_interaction_destroy(in);
    }
    sco_ctx_destroy(ctx);
}

static void has_the_same_bits_for_any_team(void **state)
{
    (void)state;
    static const size_t teams[] = {1, 2, 3, 7};
    enum { F = 11, DIM = 29, COLUMNS = DIM + F * (F + 1) / 2 };
    float *x = random_floats(SAMPLES * F * DIM, 3), *gy = random_floats(SAMPLES * COLUMNS, 4);
    static float y[2][SAMPLES * COLUMNS], dx[2][SAMPLES * F * DIM];
    for (size_t t = 0; t < sizeof teams / sizeof teams[0]; t++) {
        struct sco_ctx *ctx = context(teams[t]);
        struct sco_interaction *in = NULL;
        assert_int_equal(sco_interaction_create(&in, ctx, F, DIM), SCO_OK);
        assert_int_equal(sco_interaction_forward(in, SAMPLES, x, y[t > 0]), SCO_OK);
        assert_int_equal(sco_interaction_backward(in, SAMPLES, x, gy, dx[t > 0]), SCO_OK);
        assert_int_equal(sco_interaction_forward(in, 0, NULL, NULL), SCO_OK);
        if (t > 0) {
            assert_memory_equal(y[0], y[1], sizeof y[0]);
            assert_memory_equal(dx[0], dx[1], sizeof dx[0]);
        }
        sco_interaction_destroy(in);
        sco_ctx_destroy(ctx);
    }
    free(x), free(gy);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    struct sco_interaction *in = NULL;
    assert_int_equal(sco_interaction_create(&in, ctx, 0, 8), SCO_SHAPE);
    assert_non_null(strstr(sco_error_message(), "at least 1"));
    assert_int_equal(sco_interaction_create(&in, ctx, 3, SIZE_MAX / 8), SCO_SHAPE);
    sco_interaction_destroy(NULL);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_definition),
        cmocka_unit_test(has_the_same_bits_for_any_team),
        cmocka_unit_test(says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

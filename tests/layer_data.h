/* SPDX-License-Identifier: Apache-2.0
 * What the tests of layers share: numbers, blocked tensors and comparisons. Included after cmocka. */
#ifndef SCO_TESTS_LAYER_DATA_H
#define SCO_TESTS_LAYER_DATA_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stepcost/blocked.h"

static const size_t teams[] = {1, 2, 3, 7};
enum { TEAMS = 4 };

static struct sco_ctx *context(size_t threads)
{
    struct sco_ctx *ctx = NULL;
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = threads, .oversubscribe = 1}), SCO_OK);
    return ctx;
}

/* In (-1, 1), from a seed and an index. */
static double number(uint64_t seed, uint64_t i)
{
    uint64_t z = seed * 0xD1B54A32D192ED03u + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return ldexp((double)((z ^ (z >> 31)) >> 11), -52) - 1.0;
}

static float *floats(size_t count)
{
    float *x = malloc((count + 1) * sizeof *x);
    assert_non_null(x);
    memset(x, 0x5a, (count + 1) * sizeof *x);
    return x;
}

static double *doubles(size_t count)
{
    double *x = calloc(count + 1, sizeof *x);
    assert_non_null(x);
    return x;
}

static float *draw(uint64_t seed, size_t count)
{
    float *x = floats(count);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)number(seed, i);
    return x;
}

static double *widened(const float *x, size_t count)
{
    double *y = doubles(count);
    for (size_t i = 0; i < count; i++)
        y[i] = (double)x[i];
    return y;
}

/* Where element (n, c, p) of a blocked tensor is. */
static inline size_t blocked_at(size_t C, size_t P, size_t image, size_t n, size_t c, size_t p)
{
    const size_t B = C < 16 ? C : 16;
    return n * image + c / B * P * B + p * B + c % B;
}

/* A blocked tensor drawn from seed, images apart floats from each other; zero in padding channels. */
static inline float *draw_blocked(uint64_t seed, size_t N, size_t C, size_t P, size_t image)
{
    float *x = floats(N * image);
    memset(x, 0, N * image * sizeof *x);
    for (size_t n = 0; n < N; n++)
        for (size_t c = 0; c < C; c++)
            for (size_t p = 0; p < P; p++)
                x[blocked_at(C, P, image, n, c, p)] = (float)number(seed, (n * C + c) * P + p);
    return x;
}

static void assert_close(double value, double wanted, double tolerance)
{
    if (!(fabs(value - wanted) <= tolerance))
        fail_msg("%.9g is not %.9g within %.2g", value, wanted, tolerance);
}

static void assert_refused(enum sco_status status, enum sco_status wanted, const char *text)
{
    assert_int_equal(status, wanted);
    if (strstr(sco_error_message(), text) == NULL)
        fail_msg("'%s' does not say '%s'", sco_error_message(), text);
}

#endif

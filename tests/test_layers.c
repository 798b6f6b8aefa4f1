/* SPDX-License-Identifier: Apache-2.0
 * Activations, dropout, pooling and what moves tensors about: values and gradients in double, teams, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stepcost/activation.h"
#include "stepcost/dropout.h"
#include "stepcost/pool.h"
#include "tests/layer_data.h"

/* ---- Activations ---- */

static double curve(enum sco_activation activation, double x)
{
    switch (activation) {
    case SCO_RELU: return x < 0.0 ? 0.0 : x;
    case SCO_LEAKY_RELU: return x < 0.0 ? 0.25 * x : x;
    case SCO_SIGMOID: return 1.0 / (1.0 + exp(-x));
    case SCO_TANH: return tanh(x);
    case SCO_GELU_TANH: return 0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case SCO_GELU_ERF: return 0.5 * x * (1.0 + erf(x * sqrt(0.5)));
    case SCO_SILU: return x / (1.0 + exp(-x));
    }
    return 0.0;
}

static void activations_and_gradients_follow_their_curves(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    enum { N = 9001 };
    float *x = floats(N), *y = floats(N), *dy = draw(2, N), *dx = floats(N);
    for (size_t i = 0; i < N; i++)
        x[i] = (float)(12.0 * number(1, i));
    for (enum sco_activation a = SCO_RELU; a <= SCO_SILU; a++) {
        assert_int_equal(sco_activation_fwd(ctx, a, 0.25f, N, x, y), SCO_OK);
        const float *s = a <= SCO_TANH ? y : x;
        assert_int_equal(sco_activation_bwd(ctx, a, 0.25f, N, s, dy, dx), SCO_OK);
        for (size_t i = 0; i < N; i++) {
            const double at = (double)x[i], h = 1e-5;
            assert_close((double)y[i], curve(a, at), 4e-7 * (1.0 + fabs(at)));
            if (fabs(at) > h)
                assert_close((double)dx[i], (curve(a, at + h) - curve(a, at - h)) / (2.0 * h) * (double)dy[i], 2e-6);
        }
    }
    free(x), free(y), free(dy), free(dx);
    sco_ctx_destroy(ctx);
}

static void sums_and_biases(void **state)
{
    (void)state;
    enum { ROWS = 200, WIDTH = 77, N = ROWS * WIDTH };
    float *a = draw(1, N), *b = draw(2, N), *bias = draw(3, WIDTH), *first = NULL;
    for (size_t k = 0; k < TEAMS; k++) {
        struct sco_ctx *ctx = context(teams[k]);
        float *y = floats(N), *dbias = floats(WIDTH), *workspace = malloc(sco_row_bias_workspace_bytes(ROWS, WIDTH));
        assert_int_equal(sco_residual_add(ctx, 1, N, a, b, y), SCO_OK);
        for (size_t i = 0; i < N; i++)
            assert_true(y[i] == (a[i] + b[i] < 0.0f ? 0.0f : a[i] + b[i]));
        assert_int_equal(sco_residual_add(ctx, 0, N, a, b, y), SCO_OK);
        for (size_t i = 0; i < N; i++)
            assert_true(y[i] == a[i] + b[i]);
        assert_int_equal(sco_row_bias(ctx, ROWS, WIDTH, a, bias, y), SCO_OK);
        for (size_t i = 0; i < N; i++)
            assert_true(y[i] == a[i] + bias[i % WIDTH]);
        assert_int_equal(sco_row_bias_bwd(ctx, ROWS, WIDTH, a, dbias, workspace), SCO_OK);
        for (size_t j = 0; j < WIDTH; j++) {
            double sum = 0.0;
            for (size_t i = 0; i < ROWS; i++)
                sum += (double)a[i * WIDTH + j];
            assert_close((double)dbias[j], sum, 1e-5);
        }
        if (first == NULL)
            first = dbias;
        else
            assert_memory_equal(dbias, first, WIDTH * sizeof(float)), free(dbias);
        assert_int_equal(sco_row_bias_bwd(ctx, 0, WIDTH, a, y, workspace), SCO_OK);
        for (size_t j = 0; j < WIDTH; j++)
            assert_true(y[j] == 0.0f);
        free(y), free(workspace);
        sco_ctx_destroy(ctx);
    }
    free(a), free(b), free(bias), free(first);
}

/* ---- Dropout ---- */

/* The generator written down once more, straight from the paper. */
static void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        const uint64_t p0 = UINT64_C(0xD2511F53) * c[0], p1 = UINT64_C(0xCD9E8D57) * c[2];
        const uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k1,
                                  (uint32_t)p0};
        memcpy(c, next, sizeof next);
    }
}

static uint32_t random16(const struct sco_dropout *d, uint64_t i)
{
    const uint64_t counter = 8 * (i / 64) + i % 16 / 2;
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), d->layer, d->step};
    philox(c, (uint32_t)d->seed, (uint32_t)(d->seed >> 32));
    return c[2 * (i % 64 / 32) + i % 2] >> (i / 16 % 2 * 16) & 0xffff;
}

/* Known answers of Random123, kat_vectors: philox4x32 10. */
static void the_generator_is_philox(void **state)
{
    (void)state;
    uint32_t zero[4] = {0}, ones[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    const uint32_t of_zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    const uint32_t of_ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    philox(zero, 0, 0);
    philox(ones, UINT32_MAX, UINT32_MAX);
    assert_memory_equal(zero, of_zero, sizeof of_zero);
    assert_memory_equal(ones, of_ones, sizeof of_ones);
}

static void dropout_depends_on_the_index_alone(void **state)
{
    (void)state;
    const struct sco_dropout d = {0.1f, 0x123456789abcdefu, 5, 6};
    const size_t shapes[][2] = {{1, 10007}, {13, 100}, {65, 64}, {7, 1}, {0, 5}, {5, 0}, {3, 4097}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t rows = shapes[s][0], width = shapes[s][1], padded = (width + 63) / 64 * 64;
        float *x = draw(1, rows * width), *y = floats(rows * width);
        for (size_t k = 0; k < TEAMS; k++) {
            struct sco_ctx *ctx = context(teams[k]);
            assert_int_equal(sco_dropout_apply(ctx, &d, rows, width, x, y), SCO_OK);
            for (size_t i = 0; i < rows * width; i++) {
                const int kept = random16(&d, i / width * padded + i % width) < 58982;
                assert_true(y[i] == (kept ? x[i] * (65536.0f / 58982.0f) : 0.0f));
            }
            sco_ctx_destroy(ctx);
        }
        free(x), free(y);
    }
}

/* Each of half a million draws keeps with probability 0.9: five standard deviations are 0.0021. */
static void dropout_keeps_as_many_as_it_says(void **state)
{
    (void)state;
    enum { N = 1 << 19 };
    struct sco_ctx *ctx = context(2);
    float *x = floats(N), *other = floats(N);
    for (size_t i = 0; i < N; i++)
        x[i] = other[i] = 1.0f;
    struct sco_dropout d = {0.1f, 1, 2, 3};
    assert_int_equal(sco_dropout_apply(ctx, &d, 1, N, x, x), SCO_OK);
    d.step = 4;
    assert_int_equal(sco_dropout_apply(ctx, &d, 1, N, other, other), SCO_OK);
    size_t kept = 0, both = 0;
    for (size_t i = 0; i < N; i++)
        kept += x[i] != 0.0f, both += x[i] != 0.0f && other[i] != 0.0f;
    assert_close((double)kept / N, 0.9, 0.0021);
    assert_close((double)both / N, 0.81, 0.0028);
    d.p = 0.0f;
    assert_int_equal(sco_dropout_apply(ctx, &d, 1, N, other, x), SCO_OK);
    assert_memory_equal(x, other, N * sizeof(float));
    free(x), free(other);
    sco_ctx_destroy(ctx);
}

static void channels_drop_as_a_whole(void **state)
{
    (void)state;
    enum { IMAGES = 3, C = 83, H = 3, W = 5 };
    struct sco_ctx *ctx = context(3);
    const struct sco_dropout d = {0.5f, 7, 8, 9};
    const size_t image = sco_blocked_floats(C, H, W);
    const struct sco_blocked shape = {IMAGES, C, H, W, 0, 0};
    float *x = draw_blocked(1, IMAGES, C, H * W, image), *y = floats(IMAGES * image);
    assert_int_equal(sco_channel_dropout(ctx, &d, &shape, x, y), SCO_OK);
    for (size_t n = 0; n < IMAGES; n++)
        for (size_t c = 0; c < C; c++)
            for (size_t p = 0; p < H * W; p++) {
                const size_t at = blocked_at(C, H * W, image, n, c, p);
                assert_true(y[at] == (random16(&d, n * 128 + c) < 32768 ? 2.0f * x[at] : 0.0f));
            }
    free(x), free(y);
    sco_ctx_destroy(ctx);
}

/* ---- Pooling ---- */

struct window {
    size_t N, C, H, W, window, stride, pad, gap;
};
static const struct window windows[] = {
    {2, 16, 9, 12, 3, 2, 1, 0}, {1, 35, 8, 7, 3, 2, 1, 16}, {3, 5, 6, 6, 2, 2, 0, 0},
    {2, 16, 7, 9, 2, 2, 0, 3},  {1, 16, 1, 1, 3, 2, 1, 0},  {1, 17, 13, 5, 5, 3, 2, 0},
    {0, 16, 4, 4, 2, 2, 0, 0},  {2, 16, 0, 4, 2, 2, 0, 0},  {1, 3, 37, 5, 2, 1, 0, 0},
};

/* Gradient of sum(dy y) by the definition; with y written. */
static void pool_by_definition(const struct window *w, int maximum, const float *x, const float *dy, size_t image,
                               size_t dst_image, size_t OH, size_t OW, double *y, double *dx)
{
    for (size_t n = 0; n < w->N; n++)
        for (size_t c = 0; c < w->C; c++)
            for (size_t o = 0; o < OH * OW; o++) {
                const size_t to = blocked_at(w->C, OH * OW, dst_image, n, c, o), area = w->window * w->window;
                size_t best = SIZE_MAX;
                double sum = 0.0;
                for (size_t k = 0; k < area; k++) {
                    const size_t h = o / OW * w->stride + k / w->window - w->pad;
                    const size_t v = o % OW * w->stride + k % w->window - w->pad;
                    if (h >= w->H || v >= w->W)
                        continue;
                    const size_t from = blocked_at(w->C, w->H * w->W, image, n, c, h * w->W + v);
                    sum += (double)x[from] / (double)area;
                    if (!maximum)
                        dx[from] += (double)dy[to] / (double)area;
                    if (best == SIZE_MAX || x[from] > x[best])
                        best = from;
                }
                if (maximum)
                    dx[best] += (double)dy[to];
                y[to] = maximum ? (double)x[best] : sum;
            }
}

static void pooling_follows_its_definition(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof windows / sizeof *windows; i++) {
        const struct window *w = windows + i / 2;
        const int maximum = i % 2 == 0;
        const struct sco_pool pool = {w->window, w->stride, w->pad};
        if (!maximum && w->pad > 0)
            continue;
        const size_t OH = sco_pool_extent(w->H, &pool), OW = sco_pool_extent(w->W, &pool);
        const size_t image = sco_blocked_floats(w->C, w->H, w->W) + w->gap;
        const size_t dense = sco_blocked_floats(w->C, OH, OW), dst_image = dense + w->gap;
        const struct sco_blocked shape = {w->N, w->C, w->H, w->W, image, dst_image};
        float *x = draw_blocked(1, w->N, w->C, w->H * w->W, image),
              *dy = draw_blocked(2, w->N, w->C, OH * OW, dst_image);
        double *want = doubles(w->N * dst_image), *slope = doubles(w->N * image);
        pool_by_definition(w, maximum, x, dy, image, dst_image, OH, OW, want, slope);
        float *first = NULL;
        for (size_t k = 0; k < TEAMS; k++) {
            struct sco_ctx *ctx = context(teams[k]);
            float *y = floats(w->N * dst_image), *dx = floats(w->N * image);
            int8_t *argmax = malloc(w->N * dense + 1);
            if (maximum) {
                assert_int_equal(sco_max_pool_fwd(ctx, &shape, &pool, x, y, argmax), SCO_OK);
                assert_int_equal(sco_max_pool_bwd(ctx, &shape, &pool, dy, argmax, dx), SCO_OK);
            } else {
                assert_int_equal(sco_avg_pool_fwd(ctx, &shape, &pool, x, y), SCO_OK);
                assert_int_equal(sco_avg_pool_bwd(ctx, &shape, &pool, dy, dx), SCO_OK);
            }
            for (size_t n = 0; n < w->N; n++) {
                for (size_t j = 0; j < dense; j++)
                    assert_close((double)y[n * dst_image + j], want[n * dst_image + j], 1e-6);
                for (size_t j = 0; j < image - w->gap; j++)
                    assert_close((double)dx[n * image + j], slope[n * image + j], 1e-6);
            }
            if (first == NULL)
                first = dx;
            else
                assert_memory_equal(dx, first, w->N * image * sizeof(float)), free(dx);
            free(y), free(argmax);
            sco_ctx_destroy(ctx);
        }
        free(x), free(dy), free(want), free(slope), free(first);
    }
}

static void mean_pooling(void **state)
{
    (void)state;
    enum { IMAGES = 3, C = 37, P = 7 * 9 };
    const size_t image = sco_blocked_floats(C, 7, 9);
    const struct sco_blocked shape = {IMAGES, C, 7, 9, 0, 0};
    float *x = draw_blocked(1, IMAGES, C, P, image), *dy = draw(2, IMAGES * C);
    for (size_t k = 0; k < TEAMS; k++) {
        struct sco_ctx *ctx = context(teams[k]);
        float *y = floats(IMAGES * C), *dx = floats(IMAGES * image);
        assert_int_equal(sco_mean_pool_fwd(ctx, &shape, x, y), SCO_OK);
        assert_int_equal(sco_mean_pool_bwd(ctx, &shape, dy, dx), SCO_OK);
        for (size_t n = 0; n < IMAGES; n++)
            for (size_t c = 0; c < C; c++) {
                double sum = 0.0;
                for (size_t p = 0; p < P; p++) {
                    sum += (double)x[blocked_at(C, P, image, n, c, p)];
                    assert_true(dx[blocked_at(C, P, image, n, c, p)] == dy[n * C + c] / P);
                }
                assert_close((double)y[n * C + c], sum / P, 1e-7);
            }
        free(y), free(dx);
        sco_ctx_destroy(ctx);
    }
    free(x), free(dy);
}

/* ---- Blocked layout ---- */

static void layouts_convert_and_concatenate(void **state)
{
    (void)state;
    enum { N = 2, H = 3, W = 4, P = H * W };
    struct sco_ctx *ctx = context(3);
    const size_t parts[][2] = {{32, 16}, {16, 32}, {5, 11}, {20, 3}, {1, 40}, {17, 17}, {0, 7}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const size_t A = parts[i][0], B = parts[i][1], C = A + B;
        const struct sco_blocked a = {N, A, H, W, 0, 0}, b = {N, B, H, W, 0, 0}, all = {N, C, H, W, 0, 0};
        float *left = draw(1, N * A * P), *right = draw(2, N * B * P), *plain = floats(N * C * P);
        float *x = floats(N * sco_blocked_floats(A, H, W)), *y = floats(N * sco_blocked_floats(B, H, W)),
              *z = floats(N * sco_blocked_floats(C, H, W));
        assert_int_equal(sco_blocked_from_nchw(ctx, &a, left, x), SCO_OK);
        assert_int_equal(sco_blocked_from_nchw(ctx, &b, right, y), SCO_OK);
        assert_int_equal(sco_blocked_copy(ctx, &a, x, A, 0, z, C, 0), SCO_OK);
        assert_int_equal(sco_blocked_copy(ctx, &b, y, B, 0, z, C, A), SCO_OK);
        assert_int_equal(sco_blocked_to_nchw(ctx, &all, z, plain), SCO_OK);
        for (size_t n = 0; n < N; n++) {
            assert_memory_equal(plain + n * C * P, left + n * A * P, A * P * sizeof(float));
            assert_memory_equal(plain + (n * C + A) * P, right + n * B * P, B * P * sizeof(float));
        }
        memset(y, 0, N * sco_blocked_floats(B, H, W) * sizeof(float));
        assert_int_equal(sco_blocked_copy(ctx, &b, z, C, A, y, B, 0), SCO_OK);
        assert_int_equal(sco_blocked_to_nchw(ctx, &b, y, plain), SCO_OK);
        assert_memory_equal(plain, right, N * B * P * sizeof(float));
        free(left), free(right), free(plain), free(x), free(y), free(z);
    }
    sco_ctx_destroy(ctx);
}

static void reflection_and_its_gradient(void **state)
{
    (void)state;
    enum { N = 2, H = 3, W = 5 };
    struct sco_ctx *ctx = context(2);
    const size_t channels[] = {16, 3, 18};
    for (size_t i = 0; i < 3 * 4; i++) {
        const size_t C = channels[i / 4], bottom = i % 2, right = i / 2 % 2, OH = H + bottom, OW = W + right;
        const size_t image = sco_blocked_floats(C, H, W) + 2, dst_image = sco_blocked_floats(C, OH, OW) + 1;
        const struct sco_blocked shape = {N, C, H, W, image, dst_image};
        float *x = draw_blocked(1, N, C, H * W, image), *y = floats(N * dst_image),
              *dy = draw_blocked(2, N, C, OH * OW, dst_image), *dx = floats(N * image);
        double *slope = doubles(N * image);
        assert_int_equal(sco_reflect_pad(ctx, &shape, bottom, right, x, y), SCO_OK);
        assert_int_equal(sco_reflect_pad_bwd(ctx, &shape, bottom, right, dy, dx), SCO_OK);
        for (size_t n = 0; n < N; n++)
            for (size_t c = 0; c < C; c++)
                for (size_t o = 0; o < OH * OW; o++) {
                    const size_t h = o / OW < H ? o / OW : H - 2, w = o % OW < W ? o % OW : W - 2;
                    const size_t from = blocked_at(C, H * W, image, n, c, h * W + w);
                    const size_t to = blocked_at(C, OH * OW, dst_image, n, c, o);
                    assert_true(y[to] == x[from]);
                    slope[from] += (double)dy[to];
                }
        for (size_t n = 0; n < N; n++)
            for (size_t j = 0; j < image - 2; j++)
                assert_close((double)dx[n * image + j], slope[n * image + j], 1e-6);
        free(x), free(y), free(dy), free(dx), free(slope);
    }
    sco_ctx_destroy(ctx);
}

static void channel_biases(void **state)
{
    (void)state;
    enum { N = 3, C = 18, H = 40, W = 41, P = H * W };
    const size_t image = sco_blocked_floats(C, H, W);
    const struct sco_blocked shape = {N, C, H, W, 0, image + 4};
    float *x = draw_blocked(1, N, C, P, image), *dy = draw_blocked(2, N, C, P, image + 4), *bias = draw(3, C),
          *first = NULL;
    for (size_t k = 0; k < TEAMS; k++) {
        struct sco_ctx *ctx = context(teams[k]);
        float *y = floats(N * (image + 4)), *dbias = floats(C);
        void *workspace = malloc(sco_blocked_bias_workspace_bytes(&shape));
        assert_int_equal(sco_blocked_bias(ctx, &shape, x, bias, y), SCO_OK);
        assert_int_equal(sco_blocked_bias_bwd(ctx, &shape, dy, dbias, workspace), SCO_OK);
        for (size_t c = 0; c < C; c++) {
            double sum = 0.0;
            for (size_t n = 0; n < N; n++)
                for (size_t p = 0; p < P; p++) {
                    const size_t at = blocked_at(C, P, image + 4, n, c, p);
                    assert_true(y[at] == x[blocked_at(C, P, image, n, c, p)] + bias[c]);
                    sum += (double)dy[at];
                }
            assert_close((double)dbias[c], sum, 1e-5);
        }
        if (first == NULL)
            first = dbias;
        else
            assert_memory_equal(dbias, first, C * sizeof(float)), free(dbias);
        free(y), free(workspace);
        sco_ctx_destroy(ctx);
    }
    free(x), free(dy), free(bias), free(first);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    float one[64] = {0};
    int8_t taps[64];
    struct sco_blocked shape = {1, 4, 3, 3, 0, 0};
    assert_refused(sco_activation_fwd(ctx, (enum sco_activation)12, 0.0f, 1, one, one), SCO_INVALID, "activation 12");
    assert_refused(sco_dropout_apply(ctx, &(struct sco_dropout){.p = -0.5f}, 1, 1, one, one), SCO_INVALID, "p = -0.5");
    assert_refused(sco_dropout_apply(ctx, &(struct sco_dropout){.p = (float)NAN}, 1, 1, one, one), SCO_INVALID,
                   "0 <= p < 1");
    assert_refused(sco_dropout_apply(ctx, &(struct sco_dropout){.p = 0.5f}, SIZE_MAX / 2, 3, one, one), SCO_SHAPE,
                   "exceed");
    assert_refused(sco_max_pool_fwd(ctx, &shape, &(struct sco_pool){3, 0, 1}, one, one, taps), SCO_INVALID, "stride 0");
    assert_refused(sco_max_pool_fwd(ctx, &shape, &(struct sco_pool){12, 1, 0}, one, one, taps), SCO_INVALID, "11 x 11");
    assert_refused(sco_max_pool_fwd(ctx, &shape, &(struct sco_pool){3, 1, 2}, one, one, taps), SCO_INVALID, "pad 2");
    assert_refused(sco_avg_pool_fwd(ctx, &shape, &(struct sco_pool){3, 1, 1}, one, one), SCO_INVALID,
                   "possible: 0 to 0");
    assert_refused(sco_reflect_pad(ctx, &shape, 2, 0, one, one), SCO_INVALID, "bottom 2");
    shape.W = 1;
    assert_refused(sco_reflect_pad(ctx, &shape, 0, 1, one, one), SCO_SHAPE, "too short");
    assert_refused(sco_blocked_copy(ctx, &shape, one, 3, 0, one, 8, 0), SCO_SHAPE, "channels 0 to 4 of 3");
    assert_refused(sco_row_copy(ctx, 1, 4, one, 8, 6, one, 8, 0), SCO_SHAPE, "columns 6 to 10 of a row of 8");
    shape = (struct sco_blocked){2, SIZE_MAX / 4, 8, 8, 0, 0};
    assert_refused(sco_mean_pool_fwd(ctx, &shape, one, one), SCO_SHAPE, "address space");
    sco_ctx_destroy(ctx);
}

static void rows_concatenate(void **state)
{
    (void)state;
    enum { ROWS = 9 };
    struct sco_ctx *ctx = context(2);
    float *a = draw(1, ROWS * 5), *b = draw(2, ROWS * 3), *y = floats(ROWS * 8);
    assert_int_equal(sco_row_copy(ctx, ROWS, 5, a, 5, 0, y, 8, 0), SCO_OK);
    assert_int_equal(sco_row_copy(ctx, ROWS, 3, b, 3, 0, y, 8, 5), SCO_OK);
    for (size_t i = 0; i < ROWS; i++) {
        assert_memory_equal(y + i * 8, a + i * 5, 5 * sizeof(float));
        assert_memory_equal(y + i * 8 + 5, b + i * 3, 3 * sizeof(float));
    }
    free(a), free(b), free(y);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_and_gradients_follow_their_curves),
        cmocka_unit_test(sums_and_biases),
        cmocka_unit_test(the_generator_is_philox),
        cmocka_unit_test(dropout_depends_on_the_index_alone),
        cmocka_unit_test(dropout_keeps_as_many_as_it_says),
        cmocka_unit_test(channels_drop_as_a_whole),
        cmocka_unit_test(pooling_follows_its_definition),
        cmocka_unit_test(mean_pooling),
        cmocka_unit_test(layouts_convert_and_concatenate),
        cmocka_unit_test(reflection_and_its_gradient),
        cmocka_unit_test(channel_biases),
        cmocka_unit_test(rows_concatenate),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Whole convolutions: against their definition and central differences of it in double, the same bits for any team, Flax's
 * paddings and transposition, tuning, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <math.h>

#include "models/conv2d_trial.h"
#include "optim/ctx.h"
#include "stepcost/conv2d.h"
#include "stepcost/memory.h"

static struct sco_ctx *context_of(size_t threads, const char *row)
{
    struct sco_ctx *ctx = NULL;
    const struct sco_ctx_options options = {.threads = threads, .oversubscribe = 1, .row = row};
    assert_int_equal(sco_ctx_create(&ctx, &options), SCO_OK);
    return ctx;
}

static struct sco_ctx *context(size_t threads)
{
    return context_of(threads, NULL);
}

/* ---- A problem: tensors as NHWC and HWIO ---- */

struct problem {
    const char *name;
    struct sco_conv2d_shape s;
    bool transposed;
};

/* {N, C, H, W, OC, KH, KW, stride, pads top left bottom right, image distances} */
static const struct problem problems[] = {
    {"1 x 1", {2, 20, 5, 6, 35, 1, 1, 1, 0, 0, 0, 0, 0, 0}, false},
    {"3 x 3", {3, 16, 8, 9, 32, 3, 3, 1, 1, 1, 1, 1, 0, 0}, false},
    {"3 x 3 of stride 2, padded as Flax's SAME", {2, 17, 8, 8, 19, 3, 3, 2, 0, 0, 1, 1, 0, 0}, false},
    {"7 x 7 of stride 2 on an image", {2, 3, 16, 16, 18, 7, 7, 2, 2, 2, 3, 3, 0, 0}, false},
    {"one channel in", {2, 1, 12, 10, 32, 3, 3, 1, 1, 1, 1, 1, 0, 0}, false},
    {"one channel out", {2, 32, 6, 7, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0}, false},
    {"a stride beyond the filter", {1, 7, 9, 7, 5, 2, 1, 3, 0, 0, 0, 0, 0, 0}, false},
    {"transposed 2 x 2", {2, 32, 5, 4, 16, 2, 2, 2, 0, 0, 0, 0, 0, 0}, true},
    {"transposed 3 x 2 of stride 2", {1, 5, 4, 3, 18, 3, 2, 2, 0, 0, 0, 0, 0, 0}, true},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static size_t rows_of(const struct problem *p)
{
    return p->transposed ? (p->s.H - 1) * p->s.stride + p->s.KH : sco_conv2d_oh(&p->s);
}

static size_t columns_of(const struct problem *p)
{
    return p->transposed ? (p->s.W - 1) * p->s.stride + p->s.KW : sco_conv2d_ow(&p->s);
}

static size_t x_count(const struct problem *p)
{
    return p->s.N * p->s.H * p->s.W * p->s.C;
}

static size_t w_count(const struct problem *p)
{
    return p->s.KH * p->s.KW * p->s.C * p->s.OC;
}

static size_t y_count(const struct problem *p)
{
    return p->s.N * rows_of(p) * columns_of(p) * p->s.OC;
}

/* Adds what pixel (ih, iw) of x contributes to pixel (oh, ow) of y through tap (kh, kw). */
static void contribute(const struct problem *p, size_t n, size_t ih, size_t iw, size_t oh, size_t ow, size_t kh,
                       size_t kw, const double *x, const double *w, double *y)
{
    const size_t C = p->s.C, OC = p->s.OC;
    const double *from = x + ((n * p->s.H + ih) * p->s.W + iw) * C, *tap = w + (kh * p->s.KW + kw) * C * OC;
    double *to = y + ((n * rows_of(p) + oh) * columns_of(p) + ow) * OC;
    for (size_t c = 0; c < C; c++)
        for (size_t oc = 0; oc < OC; oc++)
            to[oc] += from[c] * tap[c * OC + oc];
}

static void define(const struct problem *p, const double *x, const double *w, double *y)
{
    const struct sco_conv2d_shape *s = &p->s;
    memset(y, 0, y_count(p) * sizeof *y);
    for (size_t n = 0; n < s->N; n++)
        for (size_t kh = 0; kh < s->KH; kh++)
            for (size_t kw = 0; kw < s->KW; kw++)
                if (p->transposed) {
                    for (size_t ih = 0; ih < s->H; ih++)
                        for (size_t iw = 0; iw < s->W; iw++)
                            contribute(p, n, ih, iw, ih * s->stride + s->KH - 1 - kh, iw * s->stride + s->KW - 1 - kw,
                                       kh, kw, x, w, y);
                } else {
                    for (size_t oh = 0; oh < rows_of(p); oh++)
                        for (size_t ow = 0; ow < columns_of(p); ow++) {
                            const size_t ih = oh * s->stride + kh - s->pad_top;
                            const size_t iw = ow * s->stride + kw - s->pad_left;
                            if (ih < s->H && iw < s->W)
                                contribute(p, n, ih, iw, oh, ow, kh, kw, x, w, y);
                        }
                }
}

static void *allocated(size_t bytes)
{
    void *memory = malloc(bytes + 1);
    assert_non_null(memory);
    return memory;
}

static float *drawn(size_t count, unsigned seed)
{
    float *x = allocated(count * sizeof *x);
    uint32_t state = 2463534242u + seed;
    for (size_t i = 0; i < count; i++) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
    return x;
}

static double *widened(const float *x, size_t count, bool magnitudes)
{
    double *wide = allocated(count * sizeof *wide);
    for (size_t i = 0; i < count; i++)
        wide[i] = magnitudes ? fabs((double)x[i]) : (double)x[i];
    return wide;
}

/* ---- The same through the library ---- */

static struct sco_conv2d *created(struct sco_ctx *ctx, const struct problem *p, enum sco_conv2d_direction direction)
{
    struct sco_conv2d *conv = NULL;
    const enum sco_status status = p->transposed ? sco_conv2d_create_transposed(&conv, ctx, direction, &p->s, NULL)
                                                 : sco_conv2d_create(&conv, ctx, direction, &p->s, NULL);
    if (status != SCO_OK)
        fail_msg("%s: %s", p->name, sco_error_message());
    return conv;
}

static float *blocked(struct sco_ctx *ctx, size_t N, size_t C, size_t H, size_t W, const float *nhwc)
{
    float *x = allocated(N * sco_blocked_image(C, H, W) * sizeof *x);
    if (nhwc != NULL)
        assert_int_equal(sco_blocked_from_nhwc(ctx, N, C, H, W, 0, nhwc, x), SCO_OK);
    return x;
}

/* Runs the plan on x, w, and dy, whichever its direction reads; the result as NHWC or HWIO. */
static float *run(struct sco_ctx *ctx, struct sco_conv2d *conv, const struct problem *p,
                  enum sco_conv2d_direction direction, const float *x, const float *w, const float *dy)
{
    const struct sco_conv2d_shape *s = &p->s;
    const size_t OH = rows_of(p), OW = columns_of(p);
    float *src = blocked(ctx, s->N, s->C, s->H, s->W, direction != SCO_CONV2D_BWD_DATA ? x : NULL);
    float *dst = blocked(ctx, s->N, s->OC, OH, OW, direction != SCO_CONV2D_FWD ? dy : NULL);
    float *packed = allocated(sco_conv2d_packed_count(conv) * sizeof *packed), *out = NULL;
    void *workspace = allocated(sco_conv2d_workspace_bytes(conv));
    if (direction != SCO_CONV2D_BWD_WEIGHTS)
        assert_int_equal(sco_conv2d_pack(conv, w, packed), SCO_OK);
    switch (direction) {
    case SCO_CONV2D_FWD:
        out = allocated(y_count(p) * sizeof *out);
        assert_int_equal(sco_conv2d_fwd(conv, src, packed, dst, NULL, workspace), SCO_OK);
        assert_int_equal(sco_nhwc_from_blocked(ctx, s->N, s->OC, OH, OW, 0, dst, out), SCO_OK);
        break;
    case SCO_CONV2D_BWD_DATA:
        out = allocated(x_count(p) * sizeof *out);
        assert_int_equal(sco_conv2d_bwd_data(conv, dst, packed, src, workspace), SCO_OK);
        assert_int_equal(sco_nhwc_from_blocked(ctx, s->N, s->C, s->H, s->W, 0, src, out), SCO_OK);
        break;
    default:
        out = allocated(w_count(p) * sizeof *out);
        assert_int_equal(sco_conv2d_bwd_weights(conv, src, dst, packed, workspace), SCO_OK);
        assert_int_equal(sco_conv2d_unpack(conv, packed, out), SCO_OK);
    }
    free(src);
    free(dst);
    free(packed);
    free(workspace);
    return out;
}

static void forward_is_the_definition(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    for (size_t i = 0; i < PROBLEMS; i++) {
        const struct problem *p = &problems[i];
        float *x = drawn(x_count(p), 1), *w = drawn(w_count(p), 2);
        double *wide_x = widened(x, x_count(p), false), *wide_w = widened(w, w_count(p), false);
        double *abs_x = widened(x, x_count(p), true), *abs_w = widened(w, w_count(p), true);
        double *y = allocated(y_count(p) * sizeof *y), *scale = allocated(y_count(p) * sizeof *scale), largest = 0.0;
        define(p, wide_x, wide_w, y);
        define(p, abs_x, abs_w, scale);
        struct sco_conv2d *conv = created(ctx, p, SCO_CONV2D_FWD);
        float *got = run(ctx, conv, p, SCO_CONV2D_FWD, x, w, NULL);
        for (size_t j = 0; j < y_count(p); j++)
            largest = fmax(largest, scale[j]);
        for (size_t j = 0; j < y_count(p); j++)
            if (!(fabs((double)got[j] - y[j]) <= sco_conv2d_error_k(conv) * 0x1p-24 * largest))
                fail_msg("%s, %s: y[%zu] is %.9g, not %.9g", p->name, sco_conv2d_plan_name(conv), j, (double)got[j],
                         y[j]);
        sco_conv2d_destroy(conv);
        free(x), free(w), free(wide_x), free(wide_w), free(abs_x), free(abs_w), free(y), free(scale), free(got);
    }
    sco_ctx_destroy(ctx);
}

static double loss(const struct problem *p, const double *x, const double *w, const double *dy, double *y)
{
    double sum = 0.0;
    define(p, x, w, y);
    for (size_t i = 0; i < y_count(p); i++)
        sum += y[i] * dy[i];
    return sum;
}

/* d loss / d at[i], where at is x or w. The loss is linear in either, so any step will do. */
static double central_difference(const struct problem *p, const double *x, const double *w, const double *dy, double *y,
                                 double *at, size_t i)
{
    const double before = at[i];
    at[i] = before + 1.0;
    const double above = loss(p, x, w, dy, y);
    at[i] = before - 1.0;
    const double below = loss(p, x, w, dy, y);
    at[i] = before;
    return 0.5 * (above - below);
}

static void check_gradient(struct sco_ctx *ctx, const struct problem *p, enum sco_conv2d_direction direction)
{
    enum { CHECKED = 40 };
    float *x = drawn(x_count(p), 3), *w = drawn(w_count(p), 4), *dy = drawn(y_count(p), 5);
    double *wide[3] = {widened(x, x_count(p), false), widened(w, w_count(p), false), widened(dy, y_count(p), false)};
    double *size[3] = {widened(x, x_count(p), true), widened(w, w_count(p), true), widened(dy, y_count(p), true)};
    double *y = allocated(y_count(p) * sizeof *y), want[CHECKED], largest = 0.0;
    const size_t of = direction == SCO_CONV2D_BWD_WEIGHTS, count = of == 1 ? w_count(p) : x_count(p);
    struct sco_conv2d *conv = created(ctx, p, direction);
    float *got = run(ctx, conv, p, direction, x, w, dy);
    for (size_t j = 0; j < CHECKED; j++) {
        const size_t i = j * (count - 1) / (CHECKED - 1);
        want[j] = central_difference(p, wide[0], wide[1], wide[2], y, wide[of], i);
        largest = fmax(largest, central_difference(p, size[0], size[1], size[2], y, size[of], i));
    }
    for (size_t j = 0; j < CHECKED; j++) {
        const size_t i = j * (count - 1) / (CHECKED - 1);
        if (!(fabs((double)got[i] - want[j]) <= sco_conv2d_error_k(conv) * 0x1p-24 * largest))
            fail_msg("%s, %s %s: element %zu is %.9g, not %.9g", p->name, sco_conv2d_direction_name(direction),
                     sco_conv2d_plan_name(conv), i, (double)got[i], want[j]);
    }
    sco_conv2d_destroy(conv);
    for (size_t j = 0; j < 3; j++)
        free(wide[j]), free(size[j]);
    free(x), free(w), free(dy), free(y), free(got);
}

static void gradients_are_central_differences(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    for (size_t i = 0; i < PROBLEMS; i++) {
        check_gradient(ctx, &problems[i], SCO_CONV2D_BWD_DATA);
        check_gradient(ctx, &problems[i], SCO_CONV2D_BWD_WEIGHTS);
    }
    sco_ctx_destroy(ctx);
}

static size_t out_count(const struct problem *p, enum sco_conv2d_direction direction)
{
    return direction == SCO_CONV2D_FWD ? y_count(p) : direction == SCO_CONV2D_BWD_DATA ? x_count(p) : w_count(p);
}

/* Every candidate of every row, and the transposed ones as they come. */
static void teams_give_the_same_bits(void **state)
{
    (void)state;
    static const size_t teams[] = {1, 2, 3, 7};
    struct sco_ctx *ctx[4];
    for (size_t t = 0; t < 4; t++)
        ctx[t] = context(teams[t]);
    const struct sco_row *rows[SCO_CONV2D_MAX_ROWS];
    const size_t row_count = sco_ctx_rows(ctx[0], &sco_conv2d_family, rows, SCO_CONV2D_MAX_ROWS);
    for (size_t i = 0; i < PROBLEMS; i++)
        for (enum sco_conv2d_direction d = SCO_CONV2D_FWD; d < SCO_CONV2D_DIRECTIONS; d++)
            for (size_t r = 0; r < row_count; r++)
                for (size_t candidate = 0;; candidate++) {
                    const struct problem *p = &problems[i];
                    float *x = drawn(x_count(p), 6), *w = drawn(w_count(p), 7), *dy = drawn(y_count(p), 8);
                    float *first = NULL;
                    size_t planned = 0;
                    for (size_t t = 0; t < 4; t++) {
                        struct sco_conv2d *conv = NULL;
                        struct sco_conv2d_shape whole;
                        if (p->transposed) {
                            if (r == 0 && candidate == 0)
                                conv = created(ctx[t], p, d);
                        } else {
                            assert_int_equal(sco_conv2d_complete(&p->s, &whole), SCO_OK);
                            sco_conv2d_create_candidate(&conv, ctx[t], d, &whole, rows[r], candidate);
                        }
                        if (conv == NULL)
                            break;
                        planned++;
                        float *got = run(ctx[t], conv, p, d, x, w, dy);
                        if (first == NULL)
                            first = got;
                        else if (memcmp(got, first, out_count(p, d) * sizeof *got) != 0)
                            fail_msg("%s, %s %s: other bits with %zu threads", p->name, sco_conv2d_direction_name(d),
                                     sco_conv2d_plan_name(conv), teams[t]);
                        if (got != first)
                            free(got);
                        sco_conv2d_destroy(conv);
                    }
                    free(x), free(w), free(dy), free(first);
                    if (planned == 0)
                        break;
                }
    for (size_t t = 0; t < 4; t++)
        sco_ctx_destroy(ctx[t]);
}

/* Bias, residual (dst itself) and LeakyReLU behind the sum, into a range of channels of a wider tensor. */
static void epilogue_and_image_distance(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_conv2d *conv, *plain;
    enum { N = 2, C = 16, OC = 32, H = 6, W = 5, WIDE = 2 * OC * H * W };
    struct sco_conv2d_shape s = {N, C, H, W, OC, 3, 3, 1, 1, 1, 1, 1, 0, WIDE};
    assert_int_equal(sco_conv2d_create(&conv, ctx, SCO_CONV2D_FWD, &s, NULL), SCO_OK);
    s.dst_image = 0;
    assert_int_equal(sco_conv2d_create(&plain, ctx, SCO_CONV2D_FWD, &s, NULL), SCO_OK);
    float *x = drawn(N * C * H * W, 1), *w = drawn(9 * C * OC, 2), *bias = drawn(OC, 3), *dst = drawn(N * WIDE, 4);
    float *before = allocated(N * WIDE * sizeof *before), *sum = allocated(N * OC * H * W * sizeof *sum);
    float *packed = allocated(sco_conv2d_packed_count(conv) * sizeof *packed);
    float *packed_plain = allocated(sco_conv2d_packed_count(plain) * sizeof *packed_plain);
    void *workspace = allocated(sco_conv2d_workspace_bytes(conv));
    void *workspace_plain = allocated(sco_conv2d_workspace_bytes(plain));
    memcpy(before, dst, N * WIDE * sizeof *before);
    assert_int_equal(sco_conv2d_pack(conv, w, packed), SCO_OK);
    assert_int_equal(sco_conv2d_pack(plain, w, packed_plain), SCO_OK);
    const struct sco_conv2d_epilogue epilogue = {bias, dst, SCO_CONV2D_LEAKY_RELU, 0.25f};
    assert_int_equal(sco_conv2d_fwd(plain, x, packed_plain, sum, NULL, workspace_plain), SCO_OK);
    assert_int_equal(sco_conv2d_fwd(conv, x, packed, dst, &epilogue, workspace), SCO_OK);
    for (size_t n = 0; n < N; n++)
        for (size_t i = 0; i < WIDE; i++) {
            const size_t j = n * WIDE + i, oc = i / (16 * H * W) * 16 + i % 16;
            if (i >= OC * H * W) {
                assert_true(dst[j] == before[j]);
                continue;
            }
            const double v = (double)sum[n * OC * H * W + i] + (double)bias[oc] + (double)before[j];
            assert_true(fabs((double)dst[j] - (v > 0.0 ? v : 0.25 * v)) <= 2e-4);
        }
    sco_conv2d_destroy(conv);
    sco_conv2d_destroy(plain);
    free(x), free(w), free(bias), free(dst), free(before), free(sum), free(packed), free(packed_plain);
    free(workspace), free(workspace_plain);
    sco_ctx_destroy(ctx);
}

static void layouts_there_and_back(void **state)
{
    (void)state;
    static const size_t channels[] = {1, 3, 15, 16, 17, 32, 50};
    enum { N = 2, H = 3, W = 5, GAP = 7 };
    struct sco_ctx *ctx = context(3);
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        const size_t C = channels[i], image = sco_blocked_image(C, H, W) + GAP;
        float *nhwc = drawn(N * H * W * C, 1), *x = drawn(N * image, 2),
              *back = allocated(N * H * W * C * sizeof *back);
        float *gap = drawn(N * image, 2);
        assert_int_equal(sco_blocked_from_nhwc(ctx, N, C, H, W, image, nhwc, x), SCO_OK);
        assert_int_equal(sco_nhwc_from_blocked(ctx, N, C, H, W, image, x, back), SCO_OK);
        assert_memory_equal(nhwc, back, N * H * W * C * sizeof *back);
        for (size_t j = 0; j < N * image; j++)
            if (j % image >= image - GAP)
                assert_true(x[j] == gap[j]);
        if (C == 17) /* pixel (1, 2) of image 1: channel 16 and the fifteen that pad its block */
            for (size_t b = 0; b < 16; b++)
                assert_true(x[image + ((H + 1) * W + 2) * 16 + b] ==
                            (b == 0 ? nhwc[((H + 1) * W + 2) * C + 16] : 0.0f));
        free(nhwc), free(x), free(back), free(gap);
    }
    sco_ctx_destroy(ctx);
}

/* ---- Tuning ---- */

static void temporary(char path[64])
{
    snprintf(path, 64, "conv2d_tune_%ld.txt", (long)getpid());
    unlink(path);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void read_text(const char *path, char *text, size_t bytes)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, bytes - 1, file)] = '\0';
    fclose(file);
}

static size_t lines_with(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

static void tuned_choices_are_kept_and_used(void **state)
{
    (void)state;
    char path[64], text[8192];
    temporary(path);
    const char foreign[] = "Another CPU | avx2 | 0.0.9 | avx2,scalar | fwd | a shape | avx2 | 3 | direct | 1000\n";
    write_text(path, foreign);
    struct sco_ctx *ctx = context(2);
    struct sco_conv2d_tuning *tuning;
    const struct sco_conv2d_shape s = {4, 32, 8, 8, 32, 3, 3, 1, 1, 1, 1, 1, 0, 0};
    assert_int_equal(sco_conv2d_tuning_open(&tuning, path), SCO_OK);
    for (enum sco_conv2d_direction d = SCO_CONV2D_FWD; d < SCO_CONV2D_DIRECTIONS; d++)
        for (size_t twice = 0; twice < 2; twice++)
            assert_int_equal(sco_conv2d_tune(tuning, ctx, d, &s, NULL), SCO_OK);
    assert_int_equal(sco_conv2d_tune(tuning, ctx, SCO_CONV2D_FWD, &s, "scalar"), SCO_OK);
    sco_conv2d_tuning_close(tuning);
    read_text(path, text, sizeof text);
    assert_non_null(strstr(text, foreign));
    assert_int_equal(lines_with(text, " | 4x32x8x8 to 32 by 3x3 stride 1 pad 1 1 1 1 | "), 4);
    assert_int_equal(lines_with(text, " | scalar | fwd | "), 1);

    /* What the file says is what runs, with any team; when the name of its plan is another, it is passed over. */
    char *line = strstr(text, " | scalar | fwd | "), *number = strstr(line, " | 0 | scalar | ");
    assert_non_null(number);
    for (size_t known = 0; known < 2; known++) {
        struct sco_conv2d *conv;
        if (known == 0)
            assert_int_equal(sco_conv2d_tuning_open(&tuning, path), SCO_OK);
        else {
            memcpy(number + strlen(" | 0 | "), "SCALAR", 6);
            write_text(path, text);
            assert_int_equal(sco_conv2d_tuning_open(&tuning, path), SCO_OK);
        }
        struct sco_conv2d_shape whole;
        const struct sco_row *rows[SCO_CONV2D_MAX_ROWS];
        size_t count;
        assert_int_equal(sco_conv2d_complete(&s, &whole), SCO_OK);
        assert_int_equal(sco_conv2d_rows(ctx, "scalar", rows, &count), SCO_OK);
        const bool tuned = sco_conv2d_tuned(tuning, ctx, SCO_CONV2D_FWD, &whole, rows, count, &conv);
        assert_int_equal(tuned, known == 0);
        if (tuned)
            sco_conv2d_destroy(conv);
        const struct sco_conv2d_choice choice = {"scalar", tuning};
        assert_int_equal(sco_conv2d_create(&conv, ctx, SCO_CONV2D_FWD, &s, &choice), SCO_OK);
        assert_string_equal(sco_conv2d_plan_name(conv), "scalar scalar");
        sco_conv2d_destroy(conv);
        sco_conv2d_tuning_close(tuning);
    }
    sco_ctx_destroy(ctx);
    unlink(path);
}

static void damaged_tuning_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } damaged[] = {
        {"# comment\n\nCPU | avx2\n", ":3: 2 fields instead of 10"},
        {"a | b | c | d | e | f | row | 0 | plan | 1 | more\n", ":1: 11 fields"},
        {"a | b | c | d | e | f | row | -1 | plan | 1\n", ":1: \"-1\" is not the number of a candidate"},
        {"a | b | c | d | e | f | row | 0 | plan | fast\n", ":1: \"fast\" is not a time"},
        {"a | b | c | d | e | f | row | 0 | plan | nan\n", ":1: \"nan\" is not a time"},
        {"a | b |  | d | e | f | row | 0 | plan | 1\n", ":1: field 3 is empty"},
    };
    char path[64];
    struct sco_conv2d_tuning *tuning;
    temporary(path);
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        write_text(path, damaged[i].text);
        assert_int_equal(sco_conv2d_tuning_open(&tuning, path), SCO_FORMAT);
        if (strstr(sco_error_message(), damaged[i].message) == NULL || strstr(sco_error_message(), path) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", sco_error_message(), damaged[i].message);
    }
    unlink(path);
    assert_int_equal(sco_conv2d_tuning_open(&tuning, "."), SCO_IO);
    assert_int_equal(sco_conv2d_tuning_open(&tuning, path), SCO_OK); /* none yet */
    sco_conv2d_tuning_close(tuning);
}

/* What stands between a wrong kernel and a time. */
static void wrong_results_are_found(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    const struct sco_conv2d_shape s = {2, 16, 6, 6, 16, 3, 3, 1, 1, 1, 1, 1, 0, 0};
    for (enum sco_conv2d_direction d = SCO_CONV2D_FWD; d < SCO_CONV2D_DIRECTIONS; d++) {
        struct sco_conv2d_trial trial;
        struct sco_conv2d_shape whole;
        struct sco_conv2d *conv;
        assert_int_equal(sco_conv2d_complete(&s, &whole), SCO_OK);
        assert_int_equal(sco_conv2d_trial_init(&trial, ctx, d, &whole), SCO_OK);
        assert_int_equal(sco_conv2d_create(&conv, ctx, d, &s, NULL), SCO_OK);
        float *packed = allocated(sco_conv2d_packed_count(conv) * sizeof *packed);
        void *workspace = allocated(sco_conv2d_workspace_bytes(conv));
        assert_int_equal(sco_conv2d_trial_check(&trial, conv, packed, workspace), SCO_OK);
        float *input = d == SCO_CONV2D_FWD ? trial.src : trial.dst;
        for (size_t i = 0; i < 16; i++) /* the first pixel, which a corner sees */
            input[i] += 1.0f;
        assert_int_equal(sco_conv2d_trial_check(&trial, conv, packed, workspace), SCO_INVALID);
        sco_conv2d_destroy(conv);
        sco_conv2d_trial_free(&trial);
        free(packed), free(workspace);
    }
    sco_ctx_destroy(ctx);
}

/* ---- Refusals ---- */

static void impossible_shapes_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct sco_conv2d_shape s;
        const char *message;
    } cases[] = {
        {{1, 3, 5, 5, 4, 0, 3, 1, 0, 0, 0, 0, 0, 0}, "at least 1"},
        {{1, 3, 5, 5, 4, 3, 3, 0, 0, 0, 0, 0, 0, 0}, "at least 1"},
        {{1, 3, 2, 5, 4, 3, 3, 1, 0, 0, 0, 0, 0, 0}, "does not fit into a padded src of 2 x 5"},
        {{2, 3, 5, 5, 4, 3, 3, 1, 0, 0, 0, 0, 74, 0}, "give at least 75"},
        {{2, 3, 5, 5, 20, 1, 1, 1, 0, 0, 0, 0, 0, 500}, "images of dst"},
        {{SIZE_MAX / 2, 3, 5, 5, 4, 3, 3, 1, 0, 0, 0, 0, 0, 0}, "exceeds 2^40"},
        {{1, SIZE_MAX, 5, 5, 4, 3, 3, 1, 0, 0, 0, 0, 0, 0}, "exceed 2^40"},
        {{1, 3, SIZE_MAX, 5, 4, 3, 3, 1, 0, 0, 0, 0, 0, 0}, "exceeds 16777216"},
    };
    struct sco_ctx *ctx = context(1);
    struct sco_conv2d *conv;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(sco_conv2d_create(&conv, ctx, SCO_CONV2D_FWD, &cases[i].s, NULL), SCO_SHAPE);
        if (strstr(sco_error_message(), cases[i].message) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", sco_error_message(), cases[i].message);
    }
    const struct sco_conv2d_shape padded = {1, 4, 3, 3, 4, 2, 2, 2, 1, 0, 0, 0, 0, 0};
    assert_int_equal(sco_conv2d_create_transposed(&conv, ctx, SCO_CONV2D_FWD, &padded, NULL), SCO_SHAPE);
    sco_ctx_destroy(ctx);
}

static void impossible_calls_are_refused(void **state)
{
    (void)state;
    const struct sco_conv2d_shape s = {1, 4, 3, 3, 4, 2, 2, 2, 0, 0, 0, 0, 0, 0};
    struct sco_ctx *ctx = context(1);
    struct sco_conv2d *conv;
    float x[64] = {0}, packed[1 << 12] = {0};
    static unsigned char workspace[1 << 20];
    assert_int_equal(sco_conv2d_create(&conv, ctx, (enum sco_conv2d_direction)7, &s, NULL), SCO_INVALID);
    assert_int_equal(sco_conv2d_create(&conv, ctx, SCO_CONV2D_FWD, &s, &(struct sco_conv2d_choice){"sse9", NULL}),
                     SCO_UNSUPPORTED);
    assert_non_null(strstr(sco_error_message(), "scalar"));

    assert_int_equal(sco_conv2d_create(&conv, ctx, SCO_CONV2D_FWD, &s, NULL), SCO_OK);
    assert_true(sco_conv2d_packed_count(conv) <= 1 << 12 && sco_conv2d_workspace_bytes(conv) <= sizeof workspace);
    assert_int_equal(sco_conv2d_pack(conv, x, NULL), SCO_INVALID);
    assert_int_equal(sco_conv2d_unpack(conv, packed, x), SCO_INVALID);
    assert_int_equal(sco_conv2d_fwd(conv, NULL, packed, x, NULL, workspace), SCO_INVALID);
    assert_int_equal(sco_conv2d_bwd_data(conv, x, packed, x, workspace), SCO_INVALID);
    assert_non_null(strstr(sco_error_message(), "is of direction fwd"));
    const struct sco_conv2d_epilogue unknown = {.activation = (enum sco_conv2d_activation)9}, none = {.slope = 0.0f};
    assert_int_equal(sco_conv2d_fwd(conv, x, packed, x + 36, &unknown, workspace), SCO_INVALID);
    sco_conv2d_destroy(conv);

    assert_int_equal(sco_conv2d_create_transposed(&conv, ctx, SCO_CONV2D_FWD, &s, NULL), SCO_OK);
    assert_int_equal(sco_conv2d_fwd(conv, x, packed, x, &none, workspace), SCO_UNSUPPORTED);
    sco_conv2d_destroy(conv);
    sco_conv2d_destroy(NULL);
    sco_ctx_destroy(ctx);
}

static void pinned_rows_run(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context_of(1, "conv2d:scalar");
    const struct sco_conv2d_shape s = {1, 16, 4, 4, 16, 3, 3, 1, 1, 1, 1, 1, 0, 0};
    struct sco_conv2d *conv;
    assert_int_equal(sco_conv2d_create(&conv, ctx, SCO_CONV2D_FWD, &s, NULL), SCO_OK);
    assert_string_equal(sco_conv2d_plan_name(conv), "scalar scalar");
    sco_conv2d_destroy(conv);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_the_definition),
        cmocka_unit_test(gradients_are_central_differences),
        cmocka_unit_test(teams_give_the_same_bits),
        cmocka_unit_test(epilogue_and_image_distance),
        cmocka_unit_test(layouts_there_and_back),
        cmocka_unit_test(tuned_choices_are_kept_and_used),
        cmocka_unit_test(damaged_tuning_files_are_refused),
        cmocka_unit_test(wrong_results_are_found),
        cmocka_unit_test(impossible_shapes_are_refused),
        cmocka_unit_test(impossible_calls_are_refused),
        cmocka_unit_test(pinned_rows_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

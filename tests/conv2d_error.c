/* SPDX-License-Identifier: Apache-2.0
 * Prints how far the forward plans of 3x3 convolutions are from exact, for docs/numerics.md: normally distributed data, each plan
 * of the best row beside one chain of fused multiply-adds. Fails where a plan leaves its bound. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/op_conv2d.h"
#include "stepcost/conv2d.h"
#include "stepcost/memory.h"
#include "stepcost/microbench.h"

enum { LAYERS = 4, SAMPLES = 4000, PLANS = 16 };
#define UNIT 0x1p-24

static const size_t layers[LAYERS][3] = {{64, 56, 2}, {128, 28, 4}, {256, 14, 8}, {512, 7, 8}}; /* channels, H, N */

struct error {
    double squares, largest; /* of error; of error / sum |terms| */
};

static void count(struct error *e, double error, double magnitude)
{
    e->squares += error * error;
    e->largest = fmax(e->largest, fabs(error) / magnitude);
}

struct layer {
    struct sco_conv2d_shape s;
    const float *src, *wei;
};

/* One output exactly, the sum of its terms' magnitudes, and by one chain in float. */
static double exact(const struct layer *l, size_t n, size_t oc, size_t y, size_t x, double *magnitude, double *chain)
{
    const struct sco_conv2d_shape *s = &l->s;
    double sum = 0.0;
    float serial = 0.0f;
    *magnitude = 0.0;
    for (size_t c = 0; c < s->C; c++)
        for (size_t k = 0; k < 9; k++) {
            const size_t iy = y + k / 3 - 1, ix = x + k % 3 - 1; /* wraps below 0 */
            if (iy >= s->H || ix >= s->W)
                continue;
            const float a = l->src[n * s->src_image + ((c / 16 * s->H + iy) * s->W + ix) * 16 + c % 16];
            const float b = l->wei[(k * s->C + c) * s->OC + oc];
            sum += (double)a * (double)b;
            *magnitude += fabs((double)a * (double)b);
            serial = fmaf(a, b, serial);
        }
    *chain = (double)serial;
    return sum;
}

static int fail(const char *what)
{
    fprintf(stderr, "conv2d_error: %s: %s\n", what, sco_error_message());
    return EXIT_FAILURE;
}

static int measure(struct sco_ctx *ctx, const struct sco_row *row, const size_t layer[3])
{
    struct layer l = {.s = {.N = layer[2],
                            .C = layer[0],
                            .H = layer[1],
                            .W = layer[1],
                            .OC = layer[0],
                            .KH = 3,
                            .KW = 3,
                            .stride = 1,
                            .pad_top = 1,
                            .pad_left = 1,
                            .pad_bottom = 1,
                            .pad_right = 1}};
    if (sco_conv2d_complete(&l.s, &l.s) != SCO_OK)
        return fail("shape");
    const size_t activations = l.s.N * l.s.src_image, weights = 9 * l.s.C * l.s.OC;
    float *src = sco_alloc(activations * sizeof *src), *dst = sco_alloc(activations * sizeof *dst),
          *wei = sco_alloc(weights * sizeof *wei);
    if (src == NULL || dst == NULL || wei == NULL)
        return fail("no memory");
    sco_draw(sco_ctx_team(ctx), src, activations, 1, 1.0f);
    sco_draw(sco_ctx_team(ctx), wei, weights, 2, 1.0f);
    l.src = src;
    l.wei = wei;

    double value[SAMPLES], magnitude[SAMPLES], squares = 0.0;
    size_t at[SAMPLES];
    struct error chain = {0.0, 0.0};
    for (size_t i = 0; i < SAMPLES; i++) {
        const size_t element = i * 2654435761u % activations, image = element / l.s.src_image;
        const size_t oc = element % l.s.src_image / (16 * l.s.H * l.s.W) * 16 + element % 16;
        const size_t pixel = element / 16 % (l.s.H * l.s.W);
        double serial;
        at[i] = element;
        value[i] = exact(&l, image, oc, pixel / l.s.W, pixel % l.s.W, &magnitude[i], &serial);
        squares += value[i] * value[i];
        count(&chain, serial - value[i], magnitude[i]);
    }
    printf("| %zu channels, %zu x %zu | one chain | %.1f | %.1f | |\n", l.s.C, l.s.H, l.s.W,
           sqrt(chain.squares / squares) / UNIT, chain.largest / UNIT);

    int code = EXIT_SUCCESS;
    struct sco_conv2d *conv;
    for (size_t candidate = 0; candidate < PLANS; candidate++) {
        if (sco_conv2d_create_candidate(&conv, ctx, SCO_CONV2D_FWD, &l.s, row, candidate) != SCO_OK)
            break;
        float *packed = sco_alloc(sco_conv2d_packed_count(conv) * sizeof *packed);
        void *workspace = sco_alloc(sco_conv2d_workspace_bytes(conv) + 64);
        if (packed == NULL || workspace == NULL || sco_conv2d_pack(conv, wei, packed) != SCO_OK ||
            sco_conv2d_fwd(conv, src, packed, dst, NULL, workspace) != SCO_OK)
            return fail("run");
        struct error e = {0.0, 0.0};
        for (size_t i = 0; i < SAMPLES; i++)
            count(&e, (double)dst[at[i]] - value[i], magnitude[i]);
        const double bound = sco_conv2d_error_k(conv);
        printf("| | %s | %.1f | %.1f | %.0f |\n", sco_conv2d_plan_name(conv), sqrt(e.squares / squares) / UNIT,
               e.largest / UNIT, bound);
        if (!(e.largest / UNIT <= bound))
            code = EXIT_FAILURE;
        sco_free(packed);
        sco_free(workspace);
        sco_conv2d_destroy(conv);
    }
    sco_free(src), sco_free(dst), sco_free(wei);
    return code;
}

int main(void)
{
    struct sco_ctx *ctx = NULL;
    const struct sco_row *rows[SCO_CONV2D_MAX_ROWS];
    size_t row_count;
    if (sco_ctx_create(&ctx, NULL) != SCO_OK || sco_conv2d_rows(ctx, NULL, rows, &row_count) != SCO_OK)
        return fail("context");
    puts("Errors in units of 2^-24.\n\n| 3x3 layer | plan | rms error / rms(y) | largest error / sum of magnitudes | "
         "its bound |\n"
         "|---|---|---|---|---|");
    int code = EXIT_SUCCESS;
    for (size_t i = 0; i < LAYERS; i++)
        code |= measure(ctx, rows[0], layers[i]);
    sco_ctx_destroy(ctx);
    return code;
}

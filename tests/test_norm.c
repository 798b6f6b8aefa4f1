/* SPDX-License-Identifier: Apache-2.0
 * Normalization against the textbook in double: values, gradients by central differences, teams, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stepcost/norm.h"
#include "tests/layer_data.h"

/* ---- Batch and instance normalization ---- */

struct problem {
    size_t N, C, H, W, gap; /* gap: floats between two images */
    int by_image, residual;
    enum sco_norm_activation activation;
};

static const struct problem problems[] = {
    {2, 3, 2, 3, 0, 0, 0, SCO_NORM_LINEAR},  {3, 16, 3, 2, 0, 0, 0, SCO_NORM_RELU},
    {2, 17, 3, 3, 5, 0, 1, SCO_NORM_RELU},   {3, 35, 1, 2, 16, 0, 1, SCO_NORM_LINEAR},
    {5, 1, 1, 3, 0, 0, 0, SCO_NORM_RELU},    {2, 16, 2, 3, 0, 0, 1, SCO_NORM_LEAKY_RELU},
    {2, 15, 3, 3, 1, 1, 0, SCO_NORM_LINEAR}, {2, 32, 2, 3, 0, 1, 0, SCO_NORM_LEAKY_RELU},
    {1, 19, 3, 5, 0, 1, 0, SCO_NORM_RELU},   {7, 2, 2, 2, 3, 1, 0, SCO_NORM_LEAKY_RELU},
};
static const double slope = 0.2, eps = 1e-5;

struct tensors {
    size_t P, image, floats;
    struct sco_blocked shape;
    float *x, *residual, *dy, *y, *dx, *dresidual, *scale, *bias, *mean, *rstd, *dscale, *dbias;
    void *workspace;
};

static struct tensors make(const struct problem *p)
{
    struct tensors t = {.P = p->H * p->W};
    t.image = sco_blocked_floats(p->C, p->H, p->W) + p->gap;
    t.floats = p->N * t.image;
    t.shape = (struct sco_blocked){p->N, p->C, p->H, p->W, t.image, t.image};
    t.x = draw_blocked(1, p->N, p->C, t.P, t.image);
    t.residual = draw_blocked(2, p->N, p->C, t.P, t.image);
    t.dy = draw_blocked(3, p->N, p->C, t.P, t.image);
    t.y = floats(t.floats), t.dx = floats(t.floats), t.dresidual = floats(t.floats);
    t.scale = draw(4, p->C), t.bias = draw(5, p->C);
    t.mean = floats(p->N * p->C + p->C), t.rstd = floats(p->N * p->C + p->C);
    t.dscale = floats(p->C), t.dbias = floats(p->C);
    t.workspace = malloc(sco_batch_norm_workspace_bytes(&t.shape) + 1);
    return t;
}

static void discard(struct tensors *t)
{
    float *all[] = {t->x,     t->residual, t->dy,   t->y,    t->dx,     t->dresidual,
                    t->scale, t->bias,     t->mean, t->rstd, t->dscale, t->dbias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(t->workspace);
}

static void forward_and_backward(struct sco_ctx *ctx, const struct problem *p, struct tensors *t)
{
    if (p->by_image) {
        const struct sco_instance_norm norm = {(float)eps, p->activation, (float)slope, t->mean, t->rstd};
        assert_int_equal(sco_instance_norm_fwd(ctx, &t->shape, &norm, t->x, t->y, t->workspace), SCO_OK);
        assert_int_equal(sco_instance_norm_bwd(ctx, &t->shape, &norm, t->x, t->dy, t->dx, t->workspace), SCO_OK);
        return;
    }
    const struct sco_batch_norm norm = {.scale = t->scale,
                                        .bias = t->bias,
                                        .eps = (float)eps,
                                        .activation = p->activation,
                                        .slope = (float)slope,
                                        .mean = t->mean,
                                        .rstd = t->rstd};
    assert_int_equal(
        sco_batch_norm_fwd(ctx, &t->shape, &norm, t->x, p->residual ? t->residual : NULL, t->y, t->workspace), SCO_OK);
    assert_int_equal(sco_batch_norm_bwd(ctx, &t->shape, &norm, t->x, p->residual ? t->y : NULL, t->dy, t->dx,
                                        p->residual ? t->dresidual : NULL, t->dscale, t->dbias, t->workspace),
                     SCO_OK);
}

/* Sum of dy y, with y written where it is not NULL; x, residual, scale, bias in double. */
static double textbook(const struct problem *p, const struct tensors *t, const double *x, const double *residual,
                       const double *scale, const double *bias, double *y)
{
    double loss = 0.0;
    const size_t images = p->by_image ? 1 : p->N;
    for (size_t c = 0; c < p->C; c++)
        for (size_t first = 0; first < p->N; first += images) {
            double mean = 0.0, var = 0.0;
            for (size_t n = first; n < first + images; n++)
                for (size_t k = 0; k < t->P; k++)
                    mean += x[blocked_at(p->C, t->P, t->image, n, c, k)];
            mean /= (double)(images * t->P);
            for (size_t n = first; n < first + images; n++)
                for (size_t k = 0; k < t->P; k++)
                    var += pow(x[blocked_at(p->C, t->P, t->image, n, c, k)] - mean, 2.0);
            var /= (double)(images * t->P);
            for (size_t n = first; n < first + images; n++)
                for (size_t k = 0; k < t->P; k++) {
                    const size_t at = blocked_at(p->C, t->P, t->image, n, c, k);
                    double v = (x[at] - mean) / sqrt(var + (double)(float)eps);
                    if (!p->by_image)
                        v = v * scale[c] + bias[c];
                    if (p->residual)
                        v += residual[at];
                    if (v < 0.0 && p->activation != SCO_NORM_LINEAR)
                        v *= p->activation == SCO_NORM_RELU ? 0.0 : (double)(float)slope;
                    loss += v * (double)t->dy[at];
                    if (y != NULL)
                        y[at] = v;
                }
        }
    return loss;
}

static int is_element(const struct problem *p, const struct tensors *t, size_t i)
{
    for (size_t n = 0; n < p->N; n++)
        for (size_t c = 0; c < p->C; c++)
            for (size_t k = 0; k < t->P; k++)
                if (blocked_at(p->C, t->P, t->image, n, c, k) == i)
                    return 1;
    return 0;
}

/* Central difference of the loss in each element of a, against gradient; of a tensor, gaps and padding are left out. */
static void assert_gradient(const struct problem *p, const struct tensors *t, double *x, double *residual,
                            double *scale, double *bias, double *a, size_t count, const float *gradient,
                            double tolerance)
{
    const double h = 1e-6;
    for (size_t i = 0; i < count; i++) {
        if ((a == x || a == residual) && !is_element(p, t, i))
            continue;
        const double old = a[i];
        a[i] = old + h;
        const double above = textbook(p, t, x, residual, scale, bias, NULL);
        a[i] = old - h;
        const double below = textbook(p, t, x, residual, scale, bias, NULL);
        a[i] = old;
        assert_close((double)gradient[i], (above - below) / (2.0 * h), tolerance);
    }
}

static void blocked_norms_follow_the_textbook(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        const struct problem *p = problems + i;
        struct tensors t = make(p);
        forward_and_backward(ctx, p, &t);
        double *x = widened(t.x, t.floats), *residual = widened(t.residual, t.floats), *scale = widened(t.scale, p->C),
               *bias = widened(t.bias, p->C), *y = doubles(t.floats);
        textbook(p, &t, x, residual, scale, bias, y);
        for (size_t k = 0; k < t.floats; k++) {
            if (is_element(p, &t, k))
                assert_close((double)t.y[k], y[k], 2e-5);
        }
        assert_gradient(p, &t, x, residual, scale, bias, x, t.floats - p->gap, t.dx, 1e-3);
        if (!p->by_image) {
            assert_gradient(p, &t, x, residual, scale, bias, scale, p->C, t.dscale, 1e-4);
            assert_gradient(p, &t, x, residual, scale, bias, bias, p->C, t.dbias, 1e-4);
        }
        if (p->residual)
            assert_gradient(p, &t, x, residual, scale, bias, residual, t.floats - p->gap, t.dresidual, 1e-4);
        free(x), free(residual), free(scale), free(bias), free(y);
        discard(&t);
    }
    sco_ctx_destroy(ctx);
}

/* Padding channels are written as zero, the gap between images is not written at all. */
static void padding_is_zero_and_gaps_are_left_alone(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(3);
    const struct problem p = {2, 17, 3, 2, 5, 0, 1, SCO_NORM_RELU};
    struct tensors t = make(&p);
    forward_and_backward(ctx, &p, &t);
    const float *written[] = {t.y, t.dx, t.dresidual};
    float untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    for (size_t w = 0; w < 3; w++)
        for (size_t i = 0; i < t.floats; i++)
            if (i % t.image >= t.image - p.gap)
                assert_memory_equal(&written[w][i], &untouched, sizeof untouched);
            else if (!is_element(&p, &t, i))
                assert_true(written[w][i] == 0.0f);
    discard(&t);
    sco_ctx_destroy(ctx);
}

/* More pixels than a piece, more groups than ranks and fewer. */
static void blocked_norms_have_the_same_bits_for_any_team(void **state)
{
    (void)state;
    const struct problem many[] = {
        {3, 35, 33, 37, 0, 0, 1, SCO_NORM_RELU},      {2, 16, 41, 29, 0, 0, 0, SCO_NORM_RELU},
        {1, 64, 7, 7, 0, 0, 0, SCO_NORM_LINEAR},      {2, 33, 47, 23, 7, 1, 0, SCO_NORM_LEAKY_RELU},
        {1, 4, 97, 31, 0, 1, 0, SCO_NORM_LEAKY_RELU},
    };
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        struct tensors first = make(many + i);
        for (size_t k = 0; k < TEAMS; k++) {
            struct sco_ctx *ctx = context(teams[k]);
            struct tensors t = make(many + i);
            forward_and_backward(ctx, many + i, k == 0 ? &first : &t);
            if (k > 0) {
                assert_memory_equal(t.y, first.y, t.floats * sizeof(float));
                assert_memory_equal(t.dx, first.dx, t.floats * sizeof(float));
                assert_memory_equal(t.dresidual, first.dresidual, t.floats * sizeof(float));
                assert_memory_equal(t.dscale, first.dscale, many[i].C * sizeof(float));
                assert_memory_equal(t.dbias, first.dbias, many[i].C * sizeof(float));
            }
            discard(&t);
            sco_ctx_destroy(ctx);
        }
        discard(&first);
    }
}

static void running_statistics_follow_and_serve_inference(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    const struct problem p = {4, 20, 3, 5, 0, 0, 0, SCO_NORM_LINEAR};
    struct tensors t = make(&p);
    float *running_mean = draw(7, p.C), *running_var = draw(8, p.C), *old_mean = draw(7, p.C), *old_var = draw(8, p.C);
    for (size_t c = 0; c < p.C; c++)
        running_var[c] = old_var[c] = 1.5f + old_var[c];
    struct sco_batch_norm norm = {t.scale,    t.bias,          running_mean, running_var, 0.9f,
                                  (float)eps, SCO_NORM_LINEAR, 0.0f,         t.mean,      t.rstd};
    assert_int_equal(sco_batch_norm_fwd(ctx, &t.shape, &norm, t.x, NULL, t.y, t.workspace), SCO_OK);
    for (size_t c = 0; c < p.C; c++) {
        const double var = 1.0 / ((double)t.rstd[c] * (double)t.rstd[c]) - eps;
        assert_close((double)running_mean[c], 0.9 * (double)old_mean[c] + 0.1 * (double)t.mean[c], 1e-6);
        assert_close((double)running_var[c], 0.9 * (double)old_var[c] + 0.1 * var, 1e-6);
    }
    assert_int_equal(sco_batch_norm_infer(ctx, &t.shape, &norm, t.x, NULL, t.dx), SCO_OK);
    for (size_t n = 0; n < p.N; n++)
        for (size_t c = 0; c < p.C; c++)
            for (size_t k = 0; k < t.P; k++) {
                const size_t at = blocked_at(p.C, t.P, t.image, n, c, k);
                const double want = ((double)t.x[at] - (double)running_mean[c]) / sqrt((double)running_var[c] + eps) *
                                        (double)t.scale[c] +
                                    (double)t.bias[c];
                assert_close((double)t.dx[at], want, 1e-5);
            }
    free(running_mean), free(running_var), free(old_mean), free(old_var);
    discard(&t);
    sco_ctx_destroy(ctx);
}

/* Sums in double: a mean of a thousand standard deviations costs the variance nothing. */
static void large_means_keep_the_variance(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    const struct problem p = {2, 16, 40, 40, 0, 0, 0, SCO_NORM_LINEAR};
    struct tensors t = make(&p);
    double sum[16] = {0}, square[16] = {0};
    for (size_t i = 0; i < t.floats; i++)
        t.x[i] = 1024.0f + t.x[i];
    for (size_t i = 0; i < t.floats; i++)
        sum[i % 16] += (double)t.x[i] - 1024.0;
    const double count = (double)(p.N * t.P);
    for (size_t i = 0; i < t.floats; i++)
        square[i % 16] += pow((double)t.x[i] - 1024.0 - sum[i % 16] / count, 2.0);
    forward_and_backward(ctx, &p, &t);
    for (size_t c = 0; c < 16; c++)
        assert_close((double)t.rstd[c] * sqrt(square[c] / count + (double)(float)eps), 1.0, 1e-7);
    discard(&t);
    sco_ctx_destroy(ctx);
}

static void empty_tensors_are_no_work(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(3);
    const struct problem none[] = {{0, 5, 2, 2, 0, 0, 0, SCO_NORM_RELU},
                                   {2, 0, 2, 2, 0, 0, 0, SCO_NORM_RELU},
                                   {2, 5, 0, 2, 0, 0, 0, SCO_NORM_RELU},
                                   {2, 5, 2, 0, 0, 1, 0, SCO_NORM_RELU}};
    for (size_t i = 0; i < 4; i++) {
        struct tensors t = make(none + i);
        forward_and_backward(ctx, none + i, &t);
        for (size_t c = 0; c < none[i].C && !none[i].by_image; c++)
            assert_true(t.dscale[c] == 0.0f && t.dbias[c] == 0.0f);
        discard(&t);
    }
    sco_ctx_destroy(ctx);
}

/* ---- Layer normalization ---- */

struct rows {
    size_t rows, width;
    enum sco_norm_activation activation;
    float p; /* of dropout; below 0 there is none */
};

struct row_tensors {
    float *x, *dy, *y, *dx, *scale, *bias, *mean, *rstd, *dscale, *dbias;
};

static void layer_norm(struct sco_ctx *ctx, const struct rows *r, struct row_tensors *t)
{
    const struct sco_dropout dropout = {r->p, 99, 3, 7};
    const size_t n = r->rows * r->width;
    *t = (struct row_tensors){draw(1, n),        draw(2, n),      floats(n),       floats(n),        draw(3, r->width),
                              draw(4, r->width), floats(r->rows), floats(r->rows), floats(r->width), floats(r->width)};
    const struct sco_layer_norm norm = {
        r->width, t->scale, t->bias, 1e-6f, r->activation, r->p >= 0.0f ? &dropout : NULL, t->mean, t->rstd};
    void *workspace = malloc(sco_layer_norm_workspace_bytes(ctx, &norm, r->rows) + 1);
    assert_int_equal(sco_layer_norm_fwd(ctx, &norm, r->rows, t->x, t->y), SCO_OK);
    assert_int_equal(sco_layer_norm_bwd(ctx, &norm, r->rows, t->x, t->dy, t->dx, t->dscale, t->dbias, workspace),
                     SCO_OK);
    free(workspace);
}

static void discard_rows(struct row_tensors *t)
{
    float *all[] = {t->x, t->dy, t->y, t->dx, t->scale, t->bias, t->mean, t->rstd, t->dscale, t->dbias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static double row_textbook(const struct rows *r, const double *x, const double *scale, const double *bias,
                           const double *factor, const double *dy, double *y)
{
    double loss = 0.0;
    for (size_t i = 0; i < r->rows; i++) {
        double mean = 0.0, var = 0.0;
        for (size_t j = 0; j < r->width; j++)
            mean += x[i * r->width + j] / (double)r->width;
        for (size_t j = 0; j < r->width; j++)
            var += pow(x[i * r->width + j] - mean, 2.0) / (double)r->width;
        for (size_t j = 0; j < r->width; j++) {
            const size_t k = i * r->width + j;
            double v = (x[k] - mean) / sqrt(var + 1e-6) * scale[j] + bias[j];
            if (v < 0.0 && r->activation == SCO_NORM_RELU)
                v = 0.0;
            v *= factor[k];
            loss += v * dy[k];
            if (y != NULL)
                y[k] = v;
        }
    }
    return loss;
}

static void assert_row_gradient(const struct rows *r, double *x, double *scale, double *bias, const double *factor,
                                const double *dy, double *a, size_t count, const float *gradient)
{
    const double h = 1e-6;
    for (size_t i = 0; i < count; i++) {
        const double old = a[i];
        a[i] = old + h;
        const double above = row_textbook(r, x, scale, bias, factor, dy, NULL);
        a[i] = old - h;
        const double below = row_textbook(r, x, scale, bias, factor, dy, NULL);
        a[i] = old;
        assert_close((double)gradient[i], (above - below) / (2.0 * h), 1e-4);
    }
}

static void layer_norm_follows_the_textbook(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    const struct rows shapes[] = {{3, 7, SCO_NORM_LINEAR, -1.0f}, {5, 33, SCO_NORM_RELU, -1.0f},
                                  {4, 64, SCO_NORM_RELU, 0.1f},   {3, 70, SCO_NORM_RELU, 0.5f},
                                  {6, 16, SCO_NORM_LINEAR, 0.3f}, {70, 3, SCO_NORM_RELU, 0.0f}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const struct rows *r = shapes + s;
        const size_t n = r->rows * r->width;
        struct row_tensors t;
        layer_norm(ctx, r, &t);
        float *factor = floats(n);
        for (size_t i = 0; i < n; i++)
            factor[i] = 1.0f;
        if (r->p >= 0.0f) {
            const struct sco_dropout dropout = {r->p, 99, 3, 7};
            assert_int_equal(sco_dropout(ctx, &dropout, r->rows, r->width, factor, factor), SCO_OK);
        }
        double *x = widened(t.x, n), *scale = widened(t.scale, r->width), *bias = widened(t.bias, r->width),
               *f = widened(factor, n), *dy = widened(t.dy, n), *y = doubles(n);
        row_textbook(r, x, scale, bias, f, dy, y);
        for (size_t i = 0; i < n; i++)
            assert_close((double)t.y[i], y[i], 1e-5);
        assert_row_gradient(r, x, scale, bias, f, dy, x, n, t.dx);
        assert_row_gradient(r, x, scale, bias, f, dy, scale, r->width, t.dscale);
        assert_row_gradient(r, x, scale, bias, f, dy, bias, r->width, t.dbias);
        free(x), free(scale), free(bias), free(f), free(dy), free(y), free(factor);
        discard_rows(&t);
    }
    sco_ctx_destroy(ctx);
}

static void layer_norm_has_the_same_bits_for_any_team(void **state)
{
    (void)state;
    const struct rows shapes[] = {{1000, 256, SCO_NORM_RELU, 0.1f},
                                  {129, 131, SCO_NORM_RELU, 0.1f},
                                  {64, 1, SCO_NORM_LINEAR, -1.0f},
                                  {0, 17, SCO_NORM_LINEAR, 0.1f},
                                  {1, 1000, SCO_NORM_RELU, -1.0f}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t bytes = shapes[s].rows * shapes[s].width * sizeof(float);
        struct row_tensors first, t;
        for (size_t k = 0; k < TEAMS; k++) {
            struct sco_ctx *ctx = context(teams[k]);
            layer_norm(ctx, shapes + s, k == 0 ? &first : &t);
            if (k > 0) {
                assert_memory_equal(t.y, first.y, bytes);
                assert_memory_equal(t.dx, first.dx, bytes);
                assert_memory_equal(t.dscale, first.dscale, shapes[s].width * sizeof(float));
                assert_memory_equal(t.dbias, first.dbias, shapes[s].width * sizeof(float));
                discard_rows(&t);
            }
            sco_ctx_destroy(ctx);
        }
        discard_rows(&first);
    }
}

static void mistakes_are_named(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(1);
    float one[16] = {0};
    double workspace[64];
    struct sco_blocked shape = {1, 4, 2, 2, 0, 0};
    struct sco_batch_norm norm = {.eps = 1e-5f, .mean = one, .rstd = one};
    assert_refused(sco_batch_norm_fwd(ctx, &shape, &norm, one, NULL, NULL, workspace), SCO_INVALID, "y is NULL");
    assert_refused(sco_batch_norm_fwd(ctx, &shape, &norm, one, NULL, one, NULL), SCO_INVALID, "workspace is NULL");
    assert_refused(sco_batch_norm_infer(ctx, &shape, &norm, one, NULL, one), SCO_INVALID, "running_mean is NULL");
    norm.activation = SCO_NORM_RELU;
    assert_refused(sco_batch_norm_bwd(ctx, &shape, &norm, one, NULL, one, one, one, NULL, NULL, workspace), SCO_INVALID,
                   "gradient of the residual");
    norm.eps = -1.0f;
    assert_refused(sco_batch_norm_fwd(ctx, &shape, &norm, one, NULL, one, workspace), SCO_INVALID, "eps = -1");
    norm.eps = 0.0f;
    norm.activation = (enum sco_norm_activation)9;
    assert_refused(sco_batch_norm_fwd(ctx, &shape, &norm, one, NULL, one, workspace), SCO_INVALID, "activation 9");
    norm.activation = SCO_NORM_RELU;
    shape.src_image = 3;
    assert_refused(sco_batch_norm_fwd(ctx, &shape, &norm, one, NULL, one, workspace), SCO_SHAPE,
                   "16 floats are 3 apart");
    shape = (struct sco_blocked){SIZE_MAX / 8, 4, 2, 2, 0, 0};
    assert_refused(sco_batch_norm_fwd(ctx, &shape, &norm, one, NULL, one, workspace), SCO_SHAPE, "address space");

    struct sco_layer_norm rows = {.scale = one, .bias = one, .mean = one, .rstd = one};
    assert_refused(sco_layer_norm_fwd(ctx, &rows, 1, one, one), SCO_SHAPE, "width 0");
    rows.width = 4;
    rows.activation = SCO_NORM_LEAKY_RELU;
    assert_refused(sco_layer_norm_fwd(ctx, &rows, 1, one, one), SCO_INVALID, "activation 2");
    rows.activation = SCO_NORM_RELU;
    rows.dropout = &(struct sco_dropout){.p = 1.0f};
    assert_refused(sco_layer_norm_fwd(ctx, &rows, 1, one, one), SCO_INVALID, "p = 1");
    rows.dropout = NULL;
    assert_refused(sco_layer_norm_bwd(ctx, &rows, 1, one, one, one, one, NULL, workspace), SCO_INVALID,
                   "dbias is NULL");
    assert_refused(sco_layer_norm_fwd(ctx, &rows, SIZE_MAX / 2, one, one), SCO_SHAPE, "address space");
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocked_norms_follow_the_textbook),
        cmocka_unit_test(padding_is_zero_and_gaps_are_left_alone),
        cmocka_unit_test(blocked_norms_have_the_same_bits_for_any_team),
        cmocka_unit_test(running_statistics_follow_and_serve_inference),
        cmocka_unit_test(large_means_keep_the_variance),
        cmocka_unit_test(empty_tensors_are_no_work),
        cmocka_unit_test(layer_norm_follows_the_textbook),
        cmocka_unit_test(layer_norm_has_the_same_bits_for_any_team),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

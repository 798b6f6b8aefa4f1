/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "arch/fail.h"
#include "models/parallel.h"
#include "stepcost/memory.h"
#include "stepcost/metrics.h"

/* ---- Structural similarity ---- */

enum { WINDOW = 7, SUMS = 5 }; /* of x, y, xx, yy, xy */

struct ssim_job {
    size_t H, W;
    const float *x, *y, *mean, *std, *volume_max;
    double *ssim, *columns; /* columns: SUMS x W for each rank */
};

/* Sums over the rows of a window, for every column: what neighbouring windows share. */
static void sum_columns(const struct ssim_job *job, size_t image, size_t top, double *columns)
{
    const size_t W = job->W;
    const double mean = (double)job->mean[image], std = (double)job->std[image];
    for (size_t i = 0; i < SUMS * W; i++)
        columns[i] = 0.0;
    for (size_t row = 0; row < WINDOW; row++) {
        const float *x = job->x + (image * job->H + top + row) * W, *y = job->y + (image * job->H + top + row) * W;
        for (size_t j = 0; j < W; j++) {
            const double a = (double)x[j] * std + mean, b = (double)y[j] * std + mean;
            columns[j] += a;
            columns[W + j] += b;
            columns[2 * W + j] += a * a;
            columns[3 * W + j] += b * b;
            columns[4 * W + j] += a * b;
        }
    }
}

static double window_mean(const double *column)
{
    double sum = 0.0;
    for (size_t j = 0; j < WINDOW; j++)
        sum += column[j];
    return sum / (WINDOW * WINDOW);
}

static double ssim_image(const struct ssim_job *job, size_t image, double *columns)
{
    const double sample = (double)(WINDOW * WINDOW) / (WINDOW * WINDOW - 1);
    const size_t W = job->W, rows = job->H - WINDOW + 1, cols = W - WINDOW + 1;
    const double range = job->volume_max[image] == 0.0f ? 1.0 : (double)job->volume_max[image];
    const double c1 = (0.01 * range) * (0.01 * range), c2 = (0.03 * range) * (0.03 * range);
    double total = 0.0;
    for (size_t i = 0; i < rows; i++) {
        sum_columns(job, image, i, columns);
        for (size_t j = 0; j < cols; j++) {
            const double ux = window_mean(columns + j), uy = window_mean(columns + W + j);
            const double vx = sample * (window_mean(columns + 2 * W + j) - ux * ux);
            const double vy = sample * (window_mean(columns + 3 * W + j) - uy * uy);
            const double vxy = sample * (window_mean(columns + 4 * W + j) - ux * uy);
            total += (2.0 * ux * uy + c1) * (2.0 * vxy + c2) / ((ux * ux + uy * uy + c1) * (vx + vy + c2));
        }
    }
    return total / (double)(rows * cols);
}

static void ssim_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct ssim_job *job = argument;
    (void)phase;
    for (size_t image = first; image < last; image++)
        job->ssim[image] = ssim_image(job, image, job->columns + rank * SUMS * job->W);
}

enum sco_status sco_ssim(struct sco_ctx *ctx, size_t N, size_t H, size_t W, const float *x, const float *y,
                         const float *mean, const float *std, const float *volume_max, double *ssim)
{
    struct sco_team *team = sco_ctx_team(ctx);
    if (H < WINDOW || W < WINDOW)
        return sco_fail(SCO_SHAPE, "ssim: images of %zu x %zu; the window needs at least %d x %d", H, W, WINDOW,
                        WINDOW);
    struct ssim_job job = {H, W, x, y, mean, std, volume_max, ssim, NULL};
    job.columns = sco_alloc(sco_team_size(team) * SUMS * W * sizeof(double));
    if (job.columns == NULL)
        return sco_fail(SCO_NOMEM, "ssim: no memory for sums over %zu columns", W);
    sco_parallel(team, 1, &N, ssim_tasks, &job);
    sco_free(job.columns);
    return SCO_OK;
}

/* ---- Average precision ---- */

struct scored {
    float score, label;
};

struct ap_job {
    size_t n, T;
    const float *score, *label;
    double *ap;
    size_t *bad;          /* per task: the row that cannot count, or n */
    struct scored *order; /* n for each rank */
};

static int descending(const void *a, const void *b)
{
    const float x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return (x < y) - (x > y);
}

static bool counts(float label)
{
    return label == 0.0f || label == 1.0f;
}

static double average_precision(const struct ap_job *job, size_t task, struct scored *order)
{
    size_t kept = 0, positives = 0;
    for (size_t i = 0; i < job->n; i++) {
        const struct scored row = {job->score[i * job->T + task], job->label[i * job->T + task]};
        if (isnan(row.label))
            continue;
        if (!counts(row.label) || isnan(row.score)) {
            job->bad[task] = i;
            return (double)NAN;
        }
        order[kept++] = row;
        positives += row.label == 1.0f;
    }
    if (positives == 0 || positives == job->n)
        return (double)NAN;
    qsort(order, kept, sizeof *order, descending);
    double sum = 0.0;
    size_t found = 0;
    for (size_t i = 0; i < kept;) {
        const float score = order[i].score;
        const size_t before = found;
        for (; i < kept && order[i].score == score; i++)
            found += order[i].label == 1.0f;
        sum += (double)(found - before) / (double)positives * ((double)found / (double)i);
    }
    return sum;
}

static void ap_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct ap_job *job = argument;
    (void)phase;
    for (size_t task = first; task < last; task++)
        job->ap[task] = average_precision(job, task, job->order + rank * job->n);
}

static enum sco_status ap_refusal(const struct ap_job *job)
{
    for (size_t t = 0; t < job->T; t++) {
        const size_t row = job->bad[t];
        if (row == job->n)
            continue;
        const float label = job->label[row * job->T + t];
        if (!counts(label))
            return sco_fail(SCO_FORMAT,
                            "average precision: label of row %zu, task %zu is %g; possible: 0, 1, NaN (missing)", row,
                            t, (double)label);
        return sco_fail(SCO_NONFINITE, "average precision: score of row %zu, task %zu is NaN", row, t);
    }
    return SCO_OK;
}

enum sco_status sco_mean_average_precision(struct sco_ctx *ctx, size_t n, size_t T, const float *score,
                                           const float *label, double *ap, double *mean)
{
    struct sco_team *team = sco_ctx_team(ctx);
    struct ap_job job = {.n = n, .T = T, .score = score, .label = label};
    job.order = sco_alloc(sco_team_size(team) * (n + 1) * sizeof *job.order);
    job.bad = malloc((T + 1) * sizeof *job.bad);
    job.ap = malloc((T + 1) * sizeof *job.ap);
    enum sco_status status = SCO_OK;
    if (job.order == NULL || job.bad == NULL || job.ap == NULL) {
        status = sco_fail(SCO_NOMEM, "average precision: no memory for %zu rows of %zu tasks", n, T);
        goto done;
    }
    for (size_t t = 0; t < T; t++)
        job.bad[t] = n;
    sco_parallel(team, 1, &T, ap_tasks, &job);
    status = ap_refusal(&job);
    double sum = 0.0;
    size_t defined = 0;
    for (size_t t = 0; t < T; t++) {
        if (ap != NULL)
            ap[t] = job.ap[t];
        if (!isnan(job.ap[t]))
            sum += job.ap[t], defined++;
    }
    *mean = defined > 0 ? sum / (double)defined : (double)NAN;
done:
    sco_free(job.order);
    free(job.bad);
    free(job.ap);
    return status;
}

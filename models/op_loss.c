/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/fail.h"
#include "kernels/loss/loss.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/loss.h"

/* Elements whose sum is one partial result: enough to hide the call, few enough for every thread to get some. */
enum { BLOCK = 4096 };

/* A float for each row, or two doubles for each block: of these there are far fewer, and they may start a float late. */
size_t sco_loss_workspace_bytes(size_t n)
{
    return (n + 1) * sizeof(float) + (n / BLOCK + 1) * sizeof(struct sco_loss_sum);
}

static enum sco_status check_workspace(const char *loss, size_t n, const void *workspace, size_t bytes)
{
    const size_t needed = sco_loss_workspace_bytes(n);
    if (workspace == NULL || bytes < needed)
        return sco_fail(SCO_INVALID, "%s: a workspace of %zu bytes; %zu are needed (sco_loss_workspace_bytes)", loss,
                        workspace == NULL ? (size_t)0 : bytes, needed);
    return SCO_OK;
}

static struct sco_loss finished(double sum, double count)
{
    return (struct sco_loss){sum, count, count > 0.0 ? sum / count : 0.0};
}

/* ---- Softmax ---- */

struct xent_job {
    sco_softmax_xent_fn *kernel;
    size_t rows, classes;
    const float *x;
    const int32_t *label;
    float smoothing, scale;
    float *row_loss, *dx;
};

static void xent_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct xent_job *job = argument;
    (void)phase, (void)rank;
    job->kernel(first, last, job->classes, job->x, job->label, job->smoothing, job->scale, job->row_loss, job->dx);
}

enum sco_status sco_softmax_cross_entropy(struct sco_ctx *ctx, size_t rows, size_t classes, const float *x,
                                          const int32_t *label, float smoothing, void *workspace,
                                          size_t workspace_bytes, struct sco_loss *loss, float *dx)
{
    const struct sco_loss_ops *ops = sco_ctx_ops(ctx, &sco_loss_family);
    enum sco_status status = check_workspace("softmax cross-entropy", rows, workspace, workspace_bytes);
    if (status == SCO_OK && !(smoothing >= 0.0f && smoothing <= 1.0f))
        status = sco_fail(SCO_INVALID, "softmax cross-entropy: smoothing is %g; possible: 0 to 1", (double)smoothing);
    size_t count = 0;
    for (size_t r = 0; r < rows && status == SCO_OK; r++) {
        if (label[r] < -1 || (label[r] >= 0 && (size_t)label[r] >= classes))
            status = sco_fail(SCO_FORMAT,
                              "softmax cross-entropy: label of row %zu is %d; possible: 0 to %zu, or -1 (padding)", r,
                              (int)label[r], classes - 1);
        count += label[r] >= 0;
    }
    if (status != SCO_OK)
        return status;
    struct xent_job job = {
        ops->softmax_xent, rows, classes, x, label, smoothing, count > 0 ? 1.0f / (float)count : 0.0f, workspace, dx};
    sco_parallel(sco_ctx_team(ctx), 1, &rows, xent_tasks, &job);
    double sum = 0.0;
    for (size_t r = 0; r < rows; r++)
        sum += (double)job.row_loss[r];
    *loss = finished(sum, (double)count);
    return SCO_OK;
}

/* ---- Element-wise ---- */

typedef struct sco_loss_sum pair_fn(size_t n, const float *x, const float *label, float scale, float *dx);

struct pair_job {
    pair_fn *kernel;
    size_t n;
    const float *x, *label;
    float scale;
    float *dx;
    struct sco_loss_sum *block; /* one for each BLOCK elements */
};

static void pair_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct pair_job *job = argument;
    (void)rank, (void)phase;
    for (size_t b = first; b < last; b++) {
        const size_t at = b * BLOCK, n = job->n - at < BLOCK ? job->n - at : BLOCK;
        job->block[b] = job->kernel(n, job->x + at, job->label + at, job->scale, job->dx != NULL ? job->dx + at : NULL);
    }
}

static void count_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct pair_job *job = argument;
    (void)rank, (void)phase;
    for (size_t b = first; b < last; b++) {
        size_t count = 0;
        for (size_t i = b * BLOCK; i < job->n && i < (b + 1) * BLOCK; i++)
            count += job->label[i] == job->label[i];
        job->block[b].count = (double)count;
    }
}

static struct sco_loss_sum add_blocks(const struct pair_job *job, size_t blocks)
{
    struct sco_loss_sum all = {0.0, 0.0};
    for (size_t b = 0; b < blocks; b++) {
        all.sum += job->block[b].sum;
        all.count += job->block[b].count;
    }
    return all;
}

static struct sco_loss run_pairs(struct sco_ctx *ctx, struct pair_job *job, size_t blocks)
{
    sco_parallel(sco_ctx_team(ctx), 1, &blocks, pair_tasks, job);
    const struct sco_loss_sum all = add_blocks(job, blocks);
    return finished(all.sum, all.count);
}

/* Where a double may stand. */
static struct sco_loss_sum *blocks_of(void *workspace)
{
    const uintptr_t at = (uintptr_t)workspace;
    return (struct sco_loss_sum *)(void *)((unsigned char *)workspace + (at % sizeof(double) ? sizeof(float) : 0));
}

enum sco_status sco_sigmoid_cross_entropy(struct sco_ctx *ctx, size_t n, const float *x, const float *label,
                                          void *workspace, size_t workspace_bytes, struct sco_loss *loss, float *dx)
{
    const struct sco_loss_ops *ops = sco_ctx_ops(ctx, &sco_loss_family);
    const enum sco_status status = check_workspace("sigmoid cross-entropy", n, workspace, workspace_bytes);
    if (status != SCO_OK)
        return status;
    const size_t blocks = (n + BLOCK - 1) / BLOCK;
    struct pair_job job = {ops->sigmoid_bce, n, x, label, 0.0f, dx, blocks_of(workspace)};
    if (dx != NULL) {
        sco_parallel(sco_ctx_team(ctx), 1, &blocks, count_tasks, &job);
        double count = 0.0;
        for (size_t b = 0; b < blocks; b++)
            count += job.block[b].count;
        job.scale = count > 0.0 ? (float)(1.0 / count) : 0.0f;
    }
    *loss = run_pairs(ctx, &job, blocks);
    return SCO_OK;
}

enum sco_status sco_l1_loss(struct sco_ctx *ctx, size_t n, const float *x, const float *target, void *workspace,
                            size_t workspace_bytes, struct sco_loss *loss, float *dx)
{
    const struct sco_loss_ops *ops = sco_ctx_ops(ctx, &sco_loss_family);
    const enum sco_status status = check_workspace("absolute error", n, workspace, workspace_bytes);
    if (status != SCO_OK)
        return status;
    struct pair_job job = {ops->l1, n, x, target, n > 0 ? 1.0f / (float)n : 0.0f, dx, blocks_of(workspace)};
    *loss = run_pairs(ctx, &job, (n + BLOCK - 1) / BLOCK);
    return SCO_OK;
}

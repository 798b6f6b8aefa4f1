/* SPDX-License-Identifier: Apache-2.0
 * Evaluation: loss and metric of a split, over all its samples. */
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "evaluation/run.h"
#include "stepcost/metrics.h"

struct sums {
    double loss, loss_count, metric;
    uint64_t samples;
    float *scores, *labels; /* ogbg: every output and label, since average precision orders them all */
    size_t rows, room, tasks;
};

static enum sco_status collect(struct sums *sums, const struct sco_molecules *m, const float *outputs)
{
    const size_t rows = sums->rows + m->graphs;
    if (rows > sums->room) {
        const size_t room = rows + sums->room, bytes = room * m->tasks * sizeof(float);
        float *scores = realloc(sums->scores, bytes);
        if (scores != NULL)
            sums->scores = scores;
        float *labels = realloc(sums->labels, bytes);
        if (labels != NULL)
            sums->labels = labels;
        if (scores == NULL || labels == NULL)
            return sco_fail(SCO_NOMEM, "no memory for the outputs of %zu molecules", room);
        sums->room = room;
    }
    sums->tasks = m->tasks;
    memcpy(sums->scores + sums->rows * m->tasks, outputs, m->graphs * m->tasks * sizeof(float));
    memcpy(sums->labels + sums->rows * m->tasks, m->label, m->graphs * m->tasks * sizeof(float));
    sums->rows = rows;
    return SCO_OK;
}

static enum sco_status add_ssim(struct sums *sums, struct sco_ctx *ctx, const struct sco_slices *s, const float *y)
{
    double *ssim = malloc((s->N + 1) * sizeof *ssim);
    if (ssim == NULL)
        return sco_fail(SCO_NOMEM, "no memory to compare %zu slices", s->N);
    const enum sco_status status =
        sco_ssim(ctx, s->N, s->H, s->W, y, s->target, s->mean, s->deviation, s->volume_max, ssim);
    for (size_t i = 0; i < s->N && status == SCO_OK; i++)
        sums->metric += ssim[i];
    free(ssim);
    return status;
}

static enum sco_status add_batch(struct sco_run *run, const struct sco_batch *batch, struct sums *sums)
{
    struct sco_model_result result;
    size_t rows, columns;
    enum sco_status status = sco_model_forward(run->model, batch, SCO_MODEL_EVALUATE, run->progress.step, &result);
    if (status != SCO_OK)
        return status;
    const float *outputs = sco_model_outputs(run->model, &rows, &columns);
    sums->loss += result.loss_sum;
    sums->loss_count += result.loss_count;
    sums->samples += batch->samples;
    switch (batch->workload) {
    case SCO_RESNET50: sums->metric += (double)result.correct; break;
    case SCO_OGBG: status = collect(sums, &batch->molecules, outputs); break;
    case SCO_UNET: status = add_ssim(sums, run->ctx, &batch->slices, outputs); break;
    default: break;
    }
    return status;
}

/* A loss that is not finite makes scores that cannot be ordered: the metric is NaN then, and never reaches a target. */
static enum sco_status conclude(struct sco_run *run, struct sums *sums, struct sco_evaluation *result)
{
    result->samples = sums->samples;
    result->loss = sums->loss / sums->loss_count;
    result->metric = result->loss;
    if (run->config.model.workload == SCO_RESNET50 || run->config.model.workload == SCO_UNET)
        result->metric = sums->metric / (double)sums->samples;
    if (run->config.model.workload != SCO_OGBG || sums->rows == 0)
        return SCO_OK;
    const enum sco_status status = sco_mean_average_precision(run->ctx, sums->rows, sums->tasks, sums->scores,
                                                              sums->labels, NULL, &result->metric);
    if (status != SCO_NONFINITE)
        return status;
    result->metric = 0.0 / 0.0;
    return SCO_OK;
}

static enum sco_status evaluate(struct sco_run *run, enum sco_split split, struct sco_evaluation *result, bool *stopped)
{
    struct sco_dataset_options options = sco_run_stream(&run->config, split);
    struct sco_dataset *stream = NULL;
    struct sums sums = {0};
    if (split == SCO_TRAIN_SUBSET && options.samples == 0)
        options.samples = run->plan.validation_samples != 0
                              ? run->plan.validation_samples
                              : sco_protocol_of(run->config.preset, run->config.model.workload)->validation_samples;
    enum sco_status status = sco_dataset_open(&stream, &options);
    while (status == SCO_OK) {
        const struct sco_batch *batch;
        *stopped = run->config.stop != NULL && run->config.stop(run->config.stop_argument) != 0;
        if (*stopped)
            break;
        status = sco_dataset_next(stream, &batch);
        if (status != SCO_OK || batch == NULL)
            break;
        status = add_batch(run, batch, &sums);
    }
    if (status == SCO_OK && !*stopped && sums.samples > 0)
        status = conclude(run, &sums, result);
    sco_dataset_close(stream);
    free(sums.scores);
    free(sums.labels);
    return status;
}

/* Strictly better, as AlgoPerf's harness asks; NaN is not. */
static bool meets(const struct sco_run *run, const struct sco_evaluation *result, double target)
{
    if (result->samples == 0)
        return false;
    return run->config.model.workload == SCO_DLRM ? result->metric < target : result->metric > target;
}

enum sco_status sco_run_evaluate(struct sco_run *run, bool *stopped)
{
    const struct sco_protocol *protocol = sco_protocol_of(run->config.preset, run->config.model.workload);
    struct sco_evaluation train = {0}, validation = {0}, test = {0};
    *stopped = false;
    enum sco_status status = evaluate(run, SCO_TRAIN_SUBSET, &train, stopped);
    if (status == SCO_OK && !*stopped && run->plan.has_validation)
        status = evaluate(run, SCO_VALIDATION, &validation, stopped);
    if (status == SCO_OK && !*stopped && run->plan.has_test)
        status = evaluate(run, SCO_TEST, &test, stopped);
    if (status != SCO_OK || *stopped)
        return status;
    run->progress.train = train;
    run->progress.validation = validation;
    run->progress.test = test;
    run->progress.evaluated = run->progress.step;
    run->met_validation |= meets(run, &validation, protocol->validation_target);
    run->met_test |= meets(run, &test, protocol->test_target);
    return SCO_OK;
}

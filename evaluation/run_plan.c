/* SPDX-License-Identifier: Apache-2.0
 * What a run will need, before anything large is allocated. */
#include <stdio.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/random.h"
#include "evaluation/run.h"
#include "stepcost/memory.h"

/* Streams of random numbers of a run's seed; the parameters take the seed itself. */
enum { SEED_DATA = 1, SEED_DROPOUT = 2 };

struct sco_dataset_options sco_run_stream(const struct sco_train_config *config, enum sco_split split)
{
    struct sco_dataset_options options = config->data;
    options.workload = config->model.workload;
    options.split = split;
    options.seed = sco_random_stream(config->seed, SEED_DATA);
    if (options.table_rows == 0)
        options.table_rows = config->model.table_rows;
    options.batch = config->model.batch;
    if (split != SCO_TRAIN) {
        options.samples = config->eval_samples;
        if (config->eval_batch != 0)
            options.batch = config->eval_batch;
    }
    return options;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Sizes of the larger of both in *facts, its other facts untouched. */
static void widen(struct sco_dataset_facts *facts, const struct sco_dataset_facts *other)
{
    facts->max_samples = larger(facts->max_samples, other->max_samples);
    facts->max_nodes = larger(facts->max_nodes, other->max_nodes);
    facts->max_edges = larger(facts->max_edges, other->max_edges);
}

/* Opens a stream of evaluation once: what it says, and what is wrong with it. A split that is not there, or cannot be read at
 * all, is none: *exists and why (of 256 characters; NULL: it must be there). */
static enum sco_status look(const struct sco_train_config *config, enum sco_split split, struct sco_train_plan *plan,
                            struct sco_dataset_facts *bounds, uint64_t *samples, int *exists, char *why)
{
    const struct sco_dataset_options options = sco_run_stream(config, split);
    struct sco_dataset *stream = NULL;
    const enum sco_status status = sco_dataset_open(&stream, &options);
    *exists = status == SCO_OK;
    if (status == SCO_IO && why != NULL) {
        snprintf(why, 256, "%s", sco_error_message());
        return SCO_OK;
    }
    if (status != SCO_OK)
        return status;
    const struct sco_dataset_facts *facts = sco_dataset_get_facts(stream);
    *samples = facts->samples;
    widen(bounds, facts);
    if (facts->memory_bytes > plan->data_bytes)
        plan->data_bytes = facts->memory_bytes;
    sco_dataset_close(stream);
    return SCO_OK;
}

static enum sco_status look_at_evaluation(const struct sco_train_config *config, struct sco_train_plan *plan,
                                          struct sco_dataset_facts *bounds)
{
    int exists;
    if (config->no_evaluation)
        return SCO_OK;
    enum sco_status status = look(config, SCO_VALIDATION, plan, bounds, &plan->validation_samples,
                                  &plan->has_validation, plan->no_validation);
    if (status == SCO_OK)
        status = look(config, SCO_TEST, plan, bounds, &plan->test_samples, &plan->has_test, plan->no_test);
    if (status == SCO_OK)
        status = look(config, SCO_TRAIN_SUBSET, plan, bounds, &plan->subset_samples, &exists, NULL);
    return status;
}

static struct sco_model_config fit(const struct sco_train_config *config, const struct sco_dataset_facts *bounds)
{
    struct sco_model_config model = config->model;
    model.seed = sco_random_stream(config->seed, SEED_DROPOUT);
    model.share_gradients = config->fused_step;
    model.batch = larger(model.batch, bounds->max_samples);
    switch (model.workload) {
    case SCO_RESNET50:
    case SCO_UNET:
        model.H = bounds->H;
        model.W = bounds->W;
        break;
    case SCO_OGBG:
        model.max_nodes = bounds->max_nodes;
        model.max_edges = bounds->max_edges;
        model.classes = bounds->classes;
        break;
    default:
        if (config->data.table_rows != 0)
            model.table_rows = config->data.table_rows;
        break;
    }
    return model;
}

enum sco_status sco_run_plan(struct sco_ctx *ctx, const struct sco_train_config *config, struct sco_train_plan *plan,
                             struct sco_dataset **data, struct sco_model_config *fitted, struct sco_model **draft)
{
    *plan = (struct sco_train_plan){.available_bytes = sco_memory_available()};
    *data = NULL;
    *draft = NULL;
    enum sco_status status = sco_train_check(config);
    if (status != SCO_OK)
        return status;
    const struct sco_dataset_options options = sco_run_stream(config, SCO_TRAIN);
    status = sco_dataset_open(data, &options);
    if (status != SCO_OK)
        return status;
    plan->data = *sco_dataset_get_facts(*data);
    struct sco_dataset_facts bounds = plan->data;
    status = look_at_evaluation(config, plan, &bounds);
    if (status != SCO_OK)
        return status;
    plan->data_bytes += plan->data.memory_bytes;

    *fitted = fit(config, &bounds);
    status = sco_model_draft(draft, ctx, fitted);
    if (status != SCO_OK)
        return status;
    const struct sco_tensor_list *tensors = sco_model_tensors(*draft);
    plan->model = *sco_model_get_plan(*draft);
    plan->tensors = tensors->count;
    struct sco_model_config unfused = *fitted;
    struct sco_model_plan unfused_plan;
    unfused.share_gradients = 0;
    status = sco_model_plan_of(ctx, &unfused, &unfused_plan);
    if (status == SCO_OK)
        status = sco_optim_plan(ctx, &config->optim, tensors, &plan->optim_state_bytes, &plan->optim_workspace_bytes);
    if (status != SCO_OK)
        return status;
    plan->gradient_bytes_unfused = unfused_plan.gradient_bytes;
    if (__builtin_add_overflow(plan->model.total_bytes, plan->optim_state_bytes, &plan->total_bytes) ||
        __builtin_add_overflow(plan->total_bytes, plan->optim_workspace_bytes, &plan->total_bytes) ||
        __builtin_add_overflow(plan->total_bytes, plan->data_bytes, &plan->total_bytes))
        return sco_fail(SCO_SHAPE, "the run's memory cannot be addressed; lower batch, width or image size");
    return SCO_OK;
}

enum sco_status sco_train_plan_of(struct sco_ctx *ctx, const struct sco_train_config *config,
                                  struct sco_train_plan *plan, struct sco_model **model)
{
    struct sco_dataset *data;
    struct sco_model_config fitted;
    struct sco_model *draft;
    const enum sco_status status = sco_run_plan(ctx, config, plan, &data, &fitted, &draft);
    sco_dataset_close(data);
    if (status == SCO_OK && model != NULL)
        *model = draft;
    else
        sco_model_destroy(draft);
    return status;
}

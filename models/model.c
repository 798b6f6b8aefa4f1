/* SPDX-License-Identifier: Apache-2.0 */
#include "models/model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/random.h"
#include "stepcost/memory.h"
#include "stepcost/team.h"

static const struct sco_model_type *const types[SCO_WORKLOADS] = {
    [SCO_RESNET50] = &sco_resnet_type,
    [SCO_OGBG] = &sco_gnn_type,
    [SCO_DLRM] = &sco_dlrm_type,
    [SCO_UNET] = &sco_unet_type,
};

/* ---- Declarations ------------------------------------------------------------------------------------------------ */

static void note(struct sco_model *model, enum sco_status status)
{
    if (model->status == SCO_OK)
        model->status = status;
}

/* Appends one zeroed element to a counted array. Room doubles, so it is the count itself that says when to grow. */
static void *append(struct sco_model *model, void *array, size_t *count, size_t element_bytes)
{
    char **elements = array;
    if ((*count & (*count - 1)) == 0) {
        const size_t room = *count == 0 ? 1 : 2 * *count;
        char *grown = realloc(*elements, room * element_bytes);
        if (grown == NULL) {
            note(model, sco_fail(SCO_NOMEM, "no memory to plan a model"));
            return NULL;
        }
        *elements = grown;
    }
    char *element = *elements + (*count)++ * element_bytes;
    memset(element, 0, element_bytes);
    return element;
}

static char *format_name(struct sco_model *model, const char *format, va_list arguments)
{
    char text[160];
    vsnprintf(text, sizeof text, format, arguments);
    char *name = strdup(text);
    if (name == NULL)
        note(model, sco_fail(SCO_NOMEM, "no memory to plan a model"));
    return name;
}

void sco_model_group(struct sco_model *model, int keep)
{
    int *keeps = append(model, &model->group_keeps, &model->group_count, sizeof *keeps);
    if (keeps != NULL)
        *keeps = keep;
}

size_t sco_model_param(struct sco_model *model, enum sco_init init, double value, size_t rank, const size_t *shape,
                       const char *format, ...)
{
    if (model->group_count == 0)
        sco_model_group(model, 0);
    struct sco_param *param = append(model, &model->params, &model->param_count, sizeof *param);
    if (param == NULL)
        return 0;
    param->rank = rank;
    memcpy(param->shape, shape, rank * sizeof *shape);
    param->init = init;
    param->value = value;
    param->group = model->group_count - 1;
    va_list arguments;
    va_start(arguments, format);
    param->name = format_name(model, format, arguments);
    va_end(arguments);
    struct sco_tensor tensor = {.name = param->name, .rank = rank};
    memcpy(tensor.shape, shape, rank * sizeof *shape);
    note(model, sco_tensor_elements(&tensor, &param->elements));
    return model->param_count - 1;
}

size_t sco_model_array_of(struct sco_model *model, size_t count, float value, const char *format, ...)
{
    size_t starts = model->state_count;
    struct sco_model_array *array = append(model, &model->state, &model->state_count, sizeof *array);
    float *start = append(model, &model->state_init, &starts, sizeof *start);
    if (array == NULL || start == NULL)
        return 0;
    array->count = count;
    *start = value;
    va_list arguments;
    va_start(arguments, format);
    array->name = format_name(model, format, arguments);
    va_end(arguments);
    return model->state_count - 1;
}

static size_t aligned(size_t bytes)
{
    return (bytes + SCO_ALIGN - 1) / SCO_ALIGN * SCO_ALIGN;
}

/* Adds up to SIZE_MAX and stays there. */
static size_t add(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

static size_t region_of(struct sco_model *model, size_t bytes, size_t *sum)
{
    struct sco_region *region = append(model, &model->regions, &model->region_count, sizeof *region);
    if (region == NULL)
        return 0;
    region->bytes = bytes > SIZE_MAX - SCO_ALIGN ? bytes : aligned(bytes);
    *sum = add(*sum, region->bytes);
    return model->region_count - 1;
}

size_t sco_model_activation(struct sco_model *model, size_t bytes)
{
    return region_of(model, bytes, &model->plan.activation_bytes);
}

size_t sco_model_workspace(struct sco_model *model, size_t bytes)
{
    return region_of(model, bytes, &model->plan.workspace_bytes);
}

void sco_model_external(struct sco_model *model, size_t bytes)
{
    model->external_bytes = add(model->external_bytes, bytes);
    model->plan.workspace_bytes = add(model->plan.workspace_bytes, bytes);
}

size_t sco_model_width(const struct sco_model *model, size_t units)
{
    const double scaled = floor((double)units * model->config.width + 0.5);
    return scaled < 1.0 ? 1 : (size_t)scaled;
}

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

/* JAX flattens a dict by sorted keys, level by level. '/' sorts before every character that the keys have, so that comparing
 * whole paths is the same. */
static int by_name(const void *a, const void *b)
{
    const struct sco_param *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static enum sco_status sort_params(struct sco_model *model)
{
    const size_t n = model->param_count;
    const struct sco_param **order = malloc(n * sizeof *order);
    model->tensors = calloc(n, sizeof *model->tensors);
    model->declared = calloc(n, sizeof *model->declared);
    model->p = calloc(n, sizeof *model->p);
    model->g = calloc(n, sizeof *model->g);
    if (order == NULL || model->tensors == NULL || model->declared == NULL || model->p == NULL || model->g == NULL) {
        free(order);
        return sco_fail(SCO_NOMEM, "no memory to plan a model");
    }
    for (size_t i = 0; i < n; i++)
        order[i] = &model->params[i];
    qsort(order, n, sizeof *order, by_name);
    for (size_t i = 0; i < n; i++) {
        const size_t declared = (size_t)(order[i] - model->params);
        struct sco_param *param = &model->params[declared];
        param->index = i;
        model->declared[i] = declared;
        model->tensors[i].name = param->name;
        model->tensors[i].rank = param->rank;
        memcpy(model->tensors[i].shape, param->shape, sizeof param->shape);
    }
    model->list = (struct sco_tensor_list){n, model->tensors};
    free(order);
    return SCO_OK;
}

static size_t param_bytes(const struct sco_param *param)
{
    return aligned(param->elements * sizeof(float));
}

/* Bytes of the gradients of groups that share memory: those of the largest. */
static size_t shared_bytes(const struct sco_model *model)
{
    size_t largest = 0;
    for (size_t group = 0; group < model->group_count; group++) {
        size_t bytes = 0;
        for (size_t i = 0; i < model->param_count && !model->group_keeps[group]; i++)
            if (model->params[i].group == group)
                bytes += param_bytes(&model->params[i]);
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

static int shares(const struct sco_model *model, const struct sco_param *param)
{
    return model->config.share_gradients && !model->group_keeps[param->group];
}

static enum sco_status add_up(struct sco_model *model)
{
    struct sco_model_plan *plan = &model->plan;
    for (size_t i = 0; i < model->param_count; i++) {
        plan->parameters = add(plan->parameters, model->params[i].elements);
        plan->parameter_bytes = add(plan->parameter_bytes, param_bytes(&model->params[i]));
        if (!shares(model, &model->params[i]))
            plan->gradient_bytes = add(plan->gradient_bytes, param_bytes(&model->params[i]));
    }
    if (model->config.share_gradients)
        plan->gradient_bytes = add(plan->gradient_bytes, shared_bytes(model));
    for (size_t i = 0; i < model->state_count; i++)
        plan->state_bytes = add(plan->state_bytes, aligned(model->state[i].count * sizeof(float)));
    plan->total_bytes = add(add(add(plan->parameter_bytes, plan->gradient_bytes), plan->state_bytes),
                            add(plan->activation_bytes, plan->workspace_bytes));
    if (plan->total_bytes == SIZE_MAX)
        return sco_fail(SCO_SHAPE, "the model's memory cannot be addressed; lower batch, width or image size");
    return SCO_OK;
}

static enum sco_status check(const struct sco_model_config *config)
{
    if ((unsigned)config->workload >= SCO_WORKLOADS)
        return sco_fail(SCO_INVALID, "workload %d does not exist", (int)config->workload);
    if (config->batch == 0)
        return sco_fail(SCO_INVALID, "batch is 0; a model is planned for at least one sample");
    if (!(config->width >= 0.0) || config->width > 64.0)
        return sco_fail(SCO_INVALID, "width is %g; possible: above 0 to 64 (1 is the model of the benchmark)",
                        config->width);
    if (config->has_dropout && !(config->dropout >= 0.0f && config->dropout < 1.0f))
        return sco_fail(SCO_INVALID, "dropout is %g; possible: 0 to below 1", (double)config->dropout);
    return SCO_OK;
}

enum sco_status sco_model_draft(struct sco_model **out, struct sco_ctx *ctx, const struct sco_model_config *config)
{
    *out = NULL;
    enum sco_status status = check(config);
    if (status != SCO_OK)
        return status;
    struct sco_model *model = calloc(1, sizeof *model);
    if (model == NULL)
        return sco_fail(SCO_NOMEM, "no memory to plan a model");
    model->type = types[config->workload];
    model->ctx = ctx;
    model->config = *config;
    if (config->width == 0.0)
        model->config.width = 1.0;
    status = model->type->plan(model);
    if (status == SCO_OK)
        status = model->status;
    if (status == SCO_OK)
        status = sort_params(model);
    if (status == SCO_OK)
        status = add_up(model);
    if (status == SCO_OK)
        *out = model;
    else
        sco_model_destroy(model);
    return status;
}

enum sco_status sco_model_plan_of(struct sco_ctx *ctx, const struct sco_model_config *config,
                                  struct sco_model_plan *plan)
{
    struct sco_model *model;
    const enum sco_status status = sco_model_draft(&model, ctx, config);
    if (status != SCO_OK)
        return status;
    *plan = model->plan;
    sco_model_destroy(model);
    return SCO_OK;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static enum sco_status place_params(struct sco_model *model)
{
    char *p = sco_alloc(model->plan.parameter_bytes), *g = sco_alloc_zero(model->plan.gradient_bytes);
    if (p == NULL || g == NULL) {
        sco_free(p);
        sco_free(g);
        return sco_fail(SCO_NOMEM, "memory for %zu bytes of parameters was refused", model->plan.parameter_bytes);
    }
    model->p_memory = p;
    model->g_memory = g;
    char *const shared = g;
    if (model->config.share_gradients)
        g += shared_bytes(model);
    size_t at = 0;
    for (size_t i = 0; i < model->param_count; i++) {
        const struct sco_param *param = &model->params[i];
        model->p[param->index] = (float *)(void *)p;
        p += param_bytes(param);
        if (shares(model, param)) {
            at = i > 0 && model->params[i - 1].group == param->group ? at : 0;
            model->g[param->index] = (float *)(void *)(shared + at);
            at += param_bytes(param);
        } else {
            model->g[param->index] = (float *)(void *)g;
            g += param_bytes(param);
        }
    }
    return SCO_OK;
}

static enum sco_status place_regions(struct sco_model *model)
{
    for (size_t i = 0; i < model->state_count; i++) {
        model->state[i].values = sco_alloc(aligned(model->state[i].count * sizeof(float)));
        if (model->state[i].values == NULL)
            return sco_fail(SCO_NOMEM, "memory for running statistics was refused");
    }
    for (size_t i = 0; i < model->region_count; i++) {
        model->regions[i].at = sco_alloc(model->regions[i].bytes);
        if (model->regions[i].at == NULL)
            return sco_fail(SCO_NOMEM, "memory for %zu bytes of activations was refused", model->regions[i].bytes);
    }
    return SCO_OK;
}

enum sco_status sco_model_create(struct sco_model **model, struct sco_ctx *ctx, const struct sco_model_config *config)
{
    enum sco_status status = sco_model_draft(model, ctx, config);
    if (status != SCO_OK)
        return status;
    const size_t available = sco_memory_available();
    if (available != 0 && (*model)->plan.total_bytes > available)
        status =
            sco_fail(SCO_NOMEM,
                     "the model needs %zu bytes and %zu are available; lower the batch, or the model's width or depth",
                     (*model)->plan.total_bytes, available);
    if (status == SCO_OK)
        status = place_params(*model);
    if (status == SCO_OK)
        status = place_regions(*model);
    if (status == SCO_OK)
        status = (*model)->type->setup(*model);
    if (status != SCO_OK) {
        sco_model_destroy(*model);
        *model = NULL;
    }
    return status;
}

void sco_model_destroy(struct sco_model *model)
{
    if (model == NULL)
        return;
    model->type->destroy(model);
    sco_free(model->p_memory);
    sco_free(model->g_memory);
    for (size_t i = 0; i < model->param_count; i++)
        free(model->params[i].name);
    for (size_t i = 0; i < model->state_count; i++) {
        free((char *)model->state[i].name);
        sco_free(model->state[i].values);
    }
    for (size_t i = 0; i < model->region_count; i++)
        sco_free(model->regions[i].at);
    free(model->params);
    free(model->group_keeps);
    free(model->tensors);
    free(model->declared);
    free(model->p);
    free(model->g);
    free(model->state);
    free(model->state_init);
    free(model->regions);
    free(model);
}

/* ---- Initialisation ---------------------------------------------------------------------------------------------- */

struct drawing {
    const struct sco_param *param;
    float *values;
    uint64_t seed;
    double scale;
};

static double normal(uint64_t seed, size_t i)
{
    const double radius = sqrt(-2.0 * log(1.0 - sco_random_uniform(seed, 2 * i)));
    return radius * cos(6.283185307179586477 * sco_random_uniform(seed, 2 * i + 1));
}

static double cut_normal(uint64_t seed, size_t i)
{
    for (uint64_t attempt = 0;; attempt++) {
        const double x = normal(sco_random_stream(seed, attempt), i);
        if (fabs(x) <= 2.0)
            return x;
    }
}

static void draw(size_t rank, size_t size, void *argument)
{
    const struct drawing *d = argument;
    size_t begin, end;
    sco_team_block(d->param->elements, rank, size, &begin, &end);
    for (size_t i = begin; i < end; i++)
        switch (d->param->init) {
        case SCO_INIT_CONSTANT: d->values[i] = (float)d->scale; break;
        case SCO_INIT_LECUN_NORMAL: d->values[i] = (float)(d->scale * cut_normal(d->seed, i)); break;
        case SCO_INIT_NORMAL: d->values[i] = (float)(d->scale * normal(d->seed, i)); break;
        case SCO_INIT_UNIFORM: d->values[i] = (float)(d->scale * sco_random_uniform(d->seed, i)); break;
        case SCO_INIT_GLOROT_UNIFORM:
            d->values[i] = (float)(d->scale * (2.0 * sco_random_uniform(d->seed, i) - 1.0));
            break;
        }
}

static double init_scale(const struct sco_param *param)
{
    /* Deviation of a standard normal cut at two: jax.nn.initializers divides by it. */
    static const double cut_deviation = 0.87962566103423978;
    const double out = param->rank > 0 ? (double)param->shape[param->rank - 1] : 1.0;
    const double in = param->rank > 1 ? (double)param->elements / out : 1.0;
    switch (param->init) {
    case SCO_INIT_LECUN_NORMAL: return sqrt(1.0 / in) / cut_deviation;
    case SCO_INIT_GLOROT_UNIFORM: return sqrt(6.0 / (in + out));
    default: return param->value;
    }
}

void sco_model_reset(struct sco_model *model)
{
    for (size_t i = 0; i < model->state_count; i++)
        for (size_t k = 0; k < model->state[i].count; k++)
            model->state[i].values[k] = model->state_init[i];
    model->trained = 0;
}

enum sco_status sco_model_init(struct sco_model *model, uint64_t seed)
{
    for (size_t i = 0; i < model->list.count; i++) {
        const struct sco_param *param = &model->params[model->declared[i]];
        struct drawing drawing = {param, model->p[i], sco_random_stream(seed, i), init_scale(param)};
        sco_team_run(sco_ctx_team(model->ctx), draw, &drawing);
    }
    sco_model_reset(model);
    return SCO_OK;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

enum sco_status sco_model_forward(struct sco_model *model, const struct sco_batch *batch, enum sco_model_mode mode,
                                  uint64_t step, struct sco_model_result *result)
{
    model->trained = 0;
    if (batch->workload != model->config.workload)
        return sco_fail(SCO_INVALID, "the batch is one of %s, the model is %s", sco_workload_name(batch->workload),
                        sco_workload_name(model->config.workload));
    if (batch->samples > model->config.batch)
        return sco_fail(SCO_SHAPE, "the batch has %zu samples, the model was planned for %zu", batch->samples,
                        model->config.batch);
    model->batch = *batch;
    *result = (struct sco_model_result){0};
    const enum sco_status status = model->type->forward(model, batch, mode, step, result);
    model->trained = status == SCO_OK && mode == SCO_MODEL_TRAIN;
    return status;
}

enum sco_status sco_model_backward(struct sco_model *model, sco_gradient_fn *done, void *argument)
{
    if (!model->trained)
        return sco_fail(SCO_INVALID, "backward needs a forward in training before it");
    model->trained = 0;
    model->done = done;
    model->done_argument = argument;
    return model->type->backward(model);
}

enum sco_status sco_model_done(struct sco_model *model, size_t param)
{
    const size_t group = model->params[param].group;
    enum sco_status status = SCO_OK;
    /* A group's parameters were declared one after another. */
    while (param > 0 && model->params[param - 1].group == group)
        param--;
    for (; model->done != NULL && status == SCO_OK && param < model->param_count && model->params[param].group == group;
         param++) {
        const size_t tensor = model->params[param].index;
        status = model->done(model->done_argument, tensor, model->p[tensor], model->g[tensor]);
    }
    return status;
}

/* ---- Access ------------------------------------------------------------------------------------------------------ */

const struct sco_model_config *sco_model_get_config(const struct sco_model *model)
{
    return &model->config;
}

const struct sco_model_plan *sco_model_get_plan(const struct sco_model *model)
{
    return &model->plan;
}

const struct sco_tensor_list *sco_model_tensors(const struct sco_model *model)
{
    return &model->list;
}

float *const *sco_model_params(struct sco_model *model)
{
    return model->p;
}

float *const *sco_model_gradients(struct sco_model *model)
{
    return model->g;
}

const struct sco_model_array *sco_model_state(struct sco_model *model, size_t index)
{
    return index < model->state_count ? &model->state[index] : NULL;
}

const float *sco_model_outputs(struct sco_model *model, size_t *rows, size_t *columns)
{
    *rows = model->output_rows;
    *columns = model->output_columns;
    return model->outputs;
}

/* SPDX-License-Identifier: Apache-2.0
 * What the four models share: parameters in JAX's order, memory that is planned before it is allocated. */
#ifndef SCO_MODELS_MODEL_H
#define SCO_MODELS_MODEL_H

#include "stepcost/model.h"

enum sco_init {
    SCO_INIT_CONSTANT, /* value */
    SCO_INIT_LECUN_NORMAL, /* normal cut at two deviations, variance 1 / fan_in after the cut; fan_in: all axes but the last */
    SCO_INIT_NORMAL,         /* deviation value */
    SCO_INIT_UNIFORM,        /* [0, value) */
    SCO_INIT_GLOROT_UNIFORM, /* +- sqrt(6 / (fan_in + fan_out)) */
};

/* A parameter as its layer declared it. */
struct sco_param {
    char *name; /* path in the JAX tree: "ConvBlock_0/Conv_0/kernel" */
    size_t rank, shape[SCO_MAX_RANK], elements;
    enum sco_init init;
    double value;
    size_t group;
    size_t index; /* in JAX's order */
};

/* A stretch of memory of the plan; at is valid after setup has begun. */
struct sco_region {
    size_t bytes;
    void *at;
};

struct sco_model;
struct sco_model_type {
    /* Checks config, replaces zeros by defaults, declares parameters, state and regions, creates operators that are small
     * (plans of convolutions and products), adds up flops. */
    enum sco_status (*plan)(struct sco_model *model);
    /* Memory is there: creates operators that allocate for themselves. What those take, plan has declared with
     * sco_model_external(). */
    enum sco_status (*setup)(struct sco_model *model);
    enum sco_status (*forward)(struct sco_model *model, const struct sco_batch *batch, enum sco_model_mode mode,
                               uint64_t step, struct sco_model_result *result);
    /* Ends every group with sco_model_done(). */
    enum sco_status (*backward)(struct sco_model *model);
    void (*destroy)(struct sco_model *model); /* operators and layers; after a plan that failed too */
};
extern const struct sco_model_type sco_resnet_type, sco_gnn_type, sco_dlrm_type, sco_unet_type;

struct sco_model {
    const struct sco_model_type *type;
    struct sco_ctx *ctx;
    struct sco_model_config config;
    struct sco_model_plan plan;
    void *layers; /* the type's own */

    struct sco_param *params; /* as declared */
    size_t param_count;
    int *group_keeps;
    size_t group_count;
    struct sco_tensor *tensors; /* in JAX's order, as all below */
    size_t *declared;           /* index in params */
    struct sco_tensor_list list;
    float **p, **g;
    void *p_memory, *g_memory;
    struct sco_model_array *state;
    float *state_init; /* what each array starts with */
    size_t state_count;
    struct sco_region *regions;
    size_t region_count;
    size_t external_bytes;

    const float *outputs; /* of the last forward */
    size_t output_rows, output_columns;
    int trained;            /* the last forward was in training */
    struct sco_batch batch; /* of the last forward */
    enum sco_status status; /* first failure while declaring: the model's plan returns it */

    sco_gradient_fn *done;
    void *done_argument;
};

/* ---- While planning ---- */

/* Parameters declared from here on form a group: those whose gradients one step of backward writes together. A model with
 * share_gradients keeps the gradients of one group at a time, so backward goes through groups one after another. keep: theirs
 * share no memory and keep their contents, zeros at first, from step to step. */
void sco_model_group(struct sco_model *model, int keep);

/* Declares a parameter, and an array of state that starts with value; the result is the handle. A failure is kept in
 * model->status, which plan returns at its end. */
size_t sco_model_param(struct sco_model *model, enum sco_init init, double value, size_t rank, const size_t *shape,
                       const char *format, ...) SCO_PRINTF(6, 7);
size_t sco_model_array_of(struct sco_model *model, size_t count, float value, const char *format, ...) SCO_PRINTF(4, 5);

/* A stretch of memory of so many bytes, 64-byte aligned, undefined at first; the result is its handle. Activations live from
 * forward to backward; the rest is scratch. */
size_t sco_model_activation(struct sco_model *model, size_t bytes);
size_t sco_model_workspace(struct sco_model *model, size_t bytes);
void sco_model_external(struct sco_model *model, size_t bytes); /* of an operator that allocates for itself */

/* max(1, round(width x units)) */
size_t sco_model_width(const struct sco_model *model, size_t units);

/* ---- Afterwards ---- */

static inline void *sco_model_at(const struct sco_model *model, size_t region)
{
    return model->regions[region].at;
}

static inline float *sco_model_p(const struct sco_model *model, size_t param)
{
    return model->p[model->params[param].index];
}

static inline float *sco_model_g(const struct sco_model *model, size_t param)
{
    return model->g[model->params[param].index];
}

static inline float *sco_model_values(const struct sco_model *model, size_t array)
{
    return model->state[array].values;
}

/* State as initialisation leaves it. */
void sco_model_reset(struct sco_model *model);

/* The gradients of the group of this parameter are complete and its parameters are not needed any more in this backward. */
enum sco_status sco_model_done(struct sco_model *model, size_t param);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The four AlgoPerf models: parameters, forward, backward.
 *
 *     sco_model_create(&model, ctx, &config);
 *     sco_model_init(model, seed);
 *     for (...) {
 *         sco_model_forward(model, batch, SCO_MODEL_TRAIN, step, &result);
 *         sco_model_backward(model, NULL, NULL);
 *         sco_optim_step(optim, (float)result.loss, sco_model_params(model), sco_model_gradients(model));
 *     } */
#ifndef STEPCOST_MODEL_H
#define STEPCOST_MODEL_H

#include "stepcost/conv2d.h"
#include "stepcost/ctx.h"
#include "stepcost/dataset.h"
#include "stepcost/tensor.h"

SCO_BEGIN_DECLS

/* Zeros are AlgoPerf's definition, but for batch. docs/models.md has the layers. */
struct sco_model_config {
    enum sco_workload workload;
    size_t batch; /* images, rows, slices, molecules at most in a batch */
    double width; /* multiplies every number of channels or hidden units, rounded, at least 1 (0: 1) */
    size_t depth; /* resnet50: blocks of a stage at most (6); ogbg: steps of message passing (5); dlrm: hidden layers of
                          the top network (4); unet: poolings (4) */
    size_t H, W;  /* resnet50: 224, unet: 320 */
    size_t classes;              /* resnet50: 1000; ogbg: tasks, 128 */
    size_t table_rows;           /* dlrm: 4,194,304 */
    size_t max_nodes, max_edges; /* ogbg: of a batch; required */
    int has_dropout;             /* 1: dropout below instead of the default (ogbg 0.1, others 0) */
    float dropout;
    float label_smoothing; /* resnet50 */
    uint64_t seed;         /* of dropout masks */
    int share_gradients;   /* 1: gradients share memory and live only until backward's callback returns */
    const struct sco_conv2d_choice *conv; /* NULL: what zeros mean there */
};

/* What a model will need, before anything is allocated. */
struct sco_model_plan {
    size_t parameters;      /* elements */
    size_t parameter_bytes; /* packed copies of weights count as workspace */
    size_t gradient_bytes;
    size_t state_bytes;      /* running statistics */
    size_t activation_bytes; /* what forward keeps for backward, and gradients of activations */
    size_t workspace_bytes;
    size_t total_bytes;
    double forward_flops, backward_flops; /* of a batch; multiply-adds count two */
};

/* Errors    SCO_INVALID: config; SCO_SHAPE: sizes that cannot be addressed or an image too small for the layers. */
SCO_API enum sco_status sco_model_plan_of(struct sco_ctx *ctx, const struct sco_model_config *config,
                                          struct sco_model_plan *plan);

struct sco_model;

/* A model without memory: configuration, plan and tensors can be asked for, and it can be destroyed. Errors as
 * sco_model_plan_of. */
SCO_API enum sco_status sco_model_draft(struct sco_model **model, struct sco_ctx *ctx,
                                        const struct sco_model_config *config);

/* Plans every layer, then allocates everything at once. config is copied; ctx must outlive the model.
 *
 * Memory    plan.total_bytes, and bookkeeping. Steps allocate nothing.
 * Errors    as sco_model_plan_of; SCO_NOMEM before anything large is allocated when the plan exceeds
 *           sco_memory_available() (the message has both), or when memory is refused. */
SCO_API enum sco_status sco_model_create(struct sco_model **model, struct sco_ctx *ctx,
                                         const struct sco_model_config *config);
SCO_API void sco_model_destroy(struct sco_model *model); /* NULL is a no-op */

/* In force: defaults filled in. Names and shapes of the parameters in the order and layout of the JAX tree (convolutions HWIO,
 * dense layers [in, out]): the list that the optimizer takes. */
SCO_API const struct sco_model_config *sco_model_get_config(const struct sco_model *model);
SCO_API const struct sco_model_plan *sco_model_get_plan(const struct sco_model *model);
SCO_API const struct sco_tensor_list *sco_model_tensors(const struct sco_model *model);
SCO_API float *const *sco_model_params(struct sco_model *model);
SCO_API float *const *sco_model_gradients(struct sco_model *model); /* of the last backward */

/* Arrays that training changes besides parameters (running statistics), by name; NULL past the end. */
struct sco_model_array {
    const char *name;
    size_t count;
    float *values;
};
SCO_API const struct sco_model_array *sco_model_state(struct sco_model *model, size_t index);

/* Draws the parameters and resets the state.
 *
 * Numerics  the distributions of the Flax model; an element depends on seed, its tensor and its index alone.
 * Source    docs/models.md. */
SCO_API enum sco_status sco_model_init(struct sco_model *model, uint64_t seed);

enum sco_model_mode {
    SCO_MODEL_TRAIN,   /* batch statistics, dropout, gradients follow */
    SCO_MODEL_EVALUATE /* running statistics, no dropout */
};

/* loss: the mean that training minimises; loss_sum and loss_count: what an evaluation adds up. */
struct sco_model_result {
    double loss, loss_sum, loss_count;
    size_t correct; /* images whose largest logit is the label's */
};

/* Runs the model on a batch of at most config.batch samples.
 *
 * Shapes    batch: of the model's workload and sizes.
 * Numerics  f32. step tells the dropout masks of one seed apart. The same bits for any team.
 * Threads   the team of ctx.
 * Memory    none allocated.
 * Errors    SCO_SHAPE, SCO_INVALID: the batch is not the model's (the message has both); SCO_FORMAT: a label that is no
 *           class, an index out of range. */
SCO_API enum sco_status sco_model_forward(struct sco_model *model, const struct sco_batch *batch,
                                          enum sco_model_mode mode, uint64_t step, struct sco_model_result *result);

/* The outputs of the last forward: float[rows][columns] (unet: a slice a row). */
SCO_API const float *sco_model_outputs(struct sco_model *model, size_t *rows, size_t *columns);

/* Called when the gradient of a tensor is complete and backward will not read its parameter any more: the parameter may be
 * changed. A status other than SCO_OK ends backward with that status. */
typedef enum sco_status sco_gradient_fn(void *argument, size_t tensor, float *p, const float *g);

/* Gradients of the loss of the last forward in training, every tensor once, in an order that the model's type and config
 * fix. done may be NULL.
 *
 * Errors    SCO_INVALID: no forward in training before; what done returned. */
SCO_API enum sco_status sco_model_backward(struct sco_model *model, sco_gradient_fn *done, void *argument);

SCO_END_DECLS
#endif

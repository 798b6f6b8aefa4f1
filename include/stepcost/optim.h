/* SPDX-License-Identifier: Apache-2.0
 * One interface to every optimizer, over a list of tensors. */
#ifndef STEPCOST_OPTIM_H
#define STEPCOST_OPTIM_H

#include <stdint.h>

#include "stepcost/ctx.h"
#include "stepcost/tensor.h"

SCO_BEGIN_DECLS

enum sco_optim_kind {
    SCO_OPTIM_HEAVY_BALL,
    SCO_OPTIM_NESTEROV,
    SCO_OPTIM_ADAM,
    SCO_OPTIM_ADAMW,
    SCO_OPTIM_NADAM,
    SCO_OPTIM_NADAMW, /* AlgoPerf's definition, not optax's */
    SCO_OPTIM_ADAFACTOR,
    SCO_OPTIM_LION,
    SCO_OPTIM_LAMB,
    SCO_OPTIM_VELO,
    SCO_OPTIM_KINDS
};

enum sco_nonfinite_policy {
    SCO_NONFINITE_STOP, /* refuse the step with SCO_NONFINITE; nothing is touched */
    SCO_NONFINITE_SKIP, /* count the step as skipped; nothing else is touched */
    SCO_NONFINITE_PASS  /* do not look */
};

enum sco_schedule_kind { SCO_SCHEDULE_CONSTANT, SCO_SCHEDULE_COSINE, SCO_SCHEDULE_LINEAR };

/* Learning rate at 0-based step t; see sco_schedule_lr. */
struct sco_schedule {
    enum sco_schedule_kind kind;
    double lr;
    uint64_t warmup_steps;
    uint64_t total_steps;
    double end_factor;         /* final lr as a fraction of lr */
    double decay_steps_factor; /* linear only */
};

struct sco_velo_theta; /* stepcost/velo.h */

enum sco_velo_past_end { SCO_VELO_HOLD, SCO_VELO_ERROR };

struct sco_optim_config {
    enum sco_optim_kind kind;
    struct sco_schedule schedule;
    double b1, b2, eps, weight_decay;
    double grad_clip; /* global norm; 0 = off */
    enum sco_nonfinite_policy nonfinite;

    /* Adafactor */
    int adafactor_algoperf; /* 0: optax's definition, 1: AlgoPerf's */
    size_t adafactor_min_dim;
    int adafactor_momentum; /* keep a first moment with b1 */

    /* NAdam and NAdamW */
    int nadam_optax; /* 0: AlgoPerf's bias correction, 1: optax's */

    /* VeLO */
    const struct sco_velo_theta *theta; /* must outlive the optimizer */
    uint64_t num_steps;                 /* required: the prompt */
    enum sco_velo_past_end past_end;
    uint64_t accumulate;      /* 0 or 1 = off, N = N gradients per inner step, SCO_VELO_AUTO */
    int bugged_loss_features; /* 1: the loss buffer is always built with N = 10 (older checkpoints) */
    int bugged_lstm_state;    /* 1: the LSTM state never changes (older checkpoints) */
};
#define SCO_VELO_AUTO UINT64_MAX

/* Fills config with the kind's defaults (documented in docs/optimizers.md). */
SCO_API void sco_optim_defaults(enum sco_optim_kind kind, struct sco_optim_config *config);
SCO_API const char *sco_optim_name(enum sco_optim_kind kind);                         /* "adam", "heavy_ball", ... */
SCO_API enum sco_status sco_optim_parse(const char *name, enum sco_optim_kind *kind); /* error lists the names */

struct sco_optim;

/* Bytes that sco_optim_create will ask for: state (kept, saved) and workspace (scratch). Nothing is allocated. */
SCO_API enum sco_status sco_optim_plan(const struct sco_ctx *ctx, const struct sco_optim_config *config,
                                       const struct sco_tensor_list *list, size_t *state_bytes,
                                       size_t *workspace_bytes);
SCO_API enum sco_status sco_optim_create(struct sco_optim **optim, struct sco_ctx *ctx,
                                         const struct sco_optim_config *config, const struct sco_tensor_list *list);
SCO_API void sco_optim_destroy(struct sco_optim *optim);

/* Zeroes the state and reads what the optimizer needs of the parameters p[i] (VeLO: sum p^2). */
SCO_API enum sco_status sco_optim_init(struct sco_optim *optim, const float *const *p);

/* A step in two calls: prepare once with the loss (VeLO: loss buffer, LSTM, hypernetwork; others: the learning rate),
 * then apply once per tensor in any order as its gradient arrives. step does both, for all tensors. */
SCO_API enum sco_status sco_optim_prepare(struct sco_optim *optim, float loss);
SCO_API enum sco_status sco_optim_apply(struct sco_optim *optim, size_t tensor, float *p, const float *g);
SCO_API enum sco_status sco_optim_step(struct sco_optim *optim, float loss, float *const *p, const float *const *g);

/* Steps prepared since init (skipped ones not counted), and steps and tensor applications left out under
 * SCO_NONFINITE_SKIP. */
SCO_API uint64_t sco_optim_steps(const struct sco_optim *optim);
SCO_API uint64_t sco_optim_skipped(const struct sco_optim *optim);
SCO_API enum sco_status sco_optim_set_steps(struct sco_optim *optim, uint64_t steps);
SCO_API const struct sco_optim_config *sco_optim_get_config(const struct sco_optim *optim);

/* The state as named float arrays in the reference implementation's layout. tensor is an index in the list, or SIZE_MAX
 * for arrays of the optimizer as a whole. sco_optim_state_array gives the name and element count of the i-th array,
 * NULL past the last. */
SCO_API const char *sco_optim_state_array(const struct sco_optim *optim, size_t tensor, size_t i, size_t *count);
SCO_API enum sco_status sco_optim_state_get(const struct sco_optim *optim, size_t tensor, const char *name, float *dst,
                                            size_t count);
SCO_API enum sco_status sco_optim_state_set(struct sco_optim *optim, size_t tensor, const char *name, const float *src,
                                            size_t count);

/* Name of the i-th phase of a step and the seconds that the last step spent in it; NULL past the last (kinds that work
 * in one sweep have none). */
SCO_API const char *sco_optim_phase(const struct sco_optim *optim, size_t i, double *seconds);

/* Bytes asked of memory (reads plus writes) and flops of one step over the list, by formula. */
SCO_API enum sco_status sco_optim_cost_model(const struct sco_optim_config *config, const struct sco_tensor_list *list,
                                             double *bytes, double *flops);

SCO_API enum sco_status sco_optim_save(const struct sco_optim *optim, const char *path);
SCO_API enum sco_status sco_optim_load(struct sco_optim *optim, const char *path);

SCO_END_DECLS
#endif

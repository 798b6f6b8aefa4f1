/* SPDX-License-Identifier: Apache-2.0
 * One interface to every optimizer, over a list of tensors.
 *
 *     struct sco_optim_config config;
 *     sco_optim_defaults(SCO_OPTIM_ADAM, &config);
 *     config.schedule.lr = 1e-3;
 *     sco_optim_create(&optim, ctx, &config, &list);
 *     sco_optim_init(optim, p);
 *     for (...)
 *         sco_optim_step(optim, loss, p, g);
 *
 * p[i] and g[i] are the parameters and the gradient of list tensor i, contiguous, in the tensor's row-major order. Both
 * belong to the caller; the optimizer keeps neither. Formulas and defaults of every kind: docs/optimizers.md.
 *
 * Calls on one optimizer come from the thread that created its context, one at a time; the context's team does the
 * work. No call but create, load and destroy allocates. Results have the same bits for every number of threads, for
 * step and for apply in any order, and for every row whose kernels promise it. */
#ifndef STEPCOST_OPTIM_H
#define STEPCOST_OPTIM_H

#include <stdint.h>

#include "stepcost/ctx.h"
#include "stepcost/schedule.h"
#include "stepcost/tensor.h"

SCO_BEGIN_DECLS

enum sco_optim_kind {
    SCO_OPTIM_HEAVY_BALL,
    SCO_OPTIM_NESTEROV,
    SCO_OPTIM_ADAM,
    SCO_OPTIM_ADAMW,
    SCO_OPTIM_NADAM,
    SCO_OPTIM_NADAMW,
    SCO_OPTIM_ADAFACTOR,
    SCO_OPTIM_LION,
    SCO_OPTIM_LAMB,
    SCO_OPTIM_VELO,
    SCO_OPTIM_KINDS
};

/* What a NaN or Inf in a gradient or in the loss does. Under STOP and SKIP the gradient is read once more before
 * anything is written (4 bytes per parameter from memory; none where it stays in cache or is clipped, which reads it
 * anyway). */
enum sco_nonfinite_policy {
    SCO_NONFINITE_STOP, /* refuse with SCO_NONFINITE; no state or parameter is touched. The default */
    SCO_NONFINITE_SKIP, /* succeed and count a skip; no state or parameter is touched, the step number included */
    SCO_NONFINITE_PASS  /* do not look: it goes where the arithmetic takes it */
};

struct sco_velo_theta; /* stepcost/velo.h */

/* VeLO past its num_steps: the fraction of the run that is over is held at 1; the step is refused; or the fraction grows
 * beyond 1, as in the reference. */
enum sco_velo_past_end { SCO_VELO_HOLD, SCO_VELO_ERROR, SCO_VELO_EXCEED };

struct sco_optim_config {
    enum sco_optim_kind kind;
    struct sco_schedule schedule; /* learning rate; VeLO has its own and does not read it */
    double b1, b2;                /* 0 <= b < 1 */
    double eps;                   /* >= 0, gradient units, outside the root */
    double weight_decay;          /* >= 0; what it multiplies depends on the kind: docs/optimizers.md */
    double grad_clip;             /* global norm; 0 = off. Needs all gradients at once: step, not apply */
    enum sco_nonfinite_policy nonfinite;

    /* Adafactor */
    int adafactor_algoperf;   /* 0: optax's definition, 1: AlgoPerf's */
    size_t adafactor_min_dim; /* optax's: factor where the second largest axis is at least this long */
    int adafactor_momentum;   /* optax's: keep a first moment with b1 (AlgoPerf's always does, as int8) */

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

/* Fills config with the kind's defaults: AlgoPerf's hyper-parameters, a constant learning rate, no clipping, STOP.
 *
 * Shapes    config: out.
 * Units     as the fields.
 * Errors    none: kind is below SCO_OPTIM_KINDS.
 * Source    docs/optimizers.md has the table. */
SCO_API void sco_optim_defaults(enum sco_optim_kind kind, struct sco_optim_config *config);

/* "heavy_ball", "nesterov", "adam", "adamw", "nadam", "nadamw", "adafactor", "lion", "lamb", "velo"; static. */
SCO_API const char *sco_optim_name(enum sco_optim_kind kind);

/* The kind of that name.
 *
 * Errors    SCO_INVALID: no such name; the message lists all. *kind is untouched. */
SCO_API enum sco_status sco_optim_parse(const char *name, enum sco_optim_kind *kind);

struct sco_optim;

/* Checks config and list and tells what sco_optim_create would allocate.
 *
 * Shapes    list: any count; tensors of rank 0 .. SCO_MAX_RANK and of any size, 0 included.
 * Units     bytes. state: kept between steps and saved; workspace: scratch. Bookkeeping (names, offsets; a few hundred
 *           bytes per tensor) is not counted.
 * Layout    state arrays start at 64-byte boundaries.
 * Numerics  exact.
 * Cost      independent of tensor sizes.
 * Threads   reentrant.
 * Memory    none allocated.
 * Errors    SCO_INVALID: a hyper-parameter out of range; SCO_SHAPE: a tensor that cannot be, or state whose bytes do
 *           not fit size_t. The outputs are untouched.
 * Source    none. */
SCO_API enum sco_status sco_optim_plan(const struct sco_ctx *ctx, const struct sco_optim_config *config,
                                       const struct sco_tensor_list *list, size_t *state_bytes,
                                       size_t *workspace_bytes);

/* Allocates an optimizer. It cannot step before sco_optim_init or sco_optim_load.
 *
 * Shapes    as sco_optim_plan. config and list are copied, names included; ctx and config->theta must outlive *optim.
 * Cost      independent of tensor sizes: the state is not touched.
 * Threads   from the thread that created ctx.
 * Memory    what sco_optim_plan reports, and bookkeeping.
 * Errors    as sco_optim_plan; SCO_NOMEM before anything is allocated when state and workspace exceed
 *           sco_memory_available() (the message has both), or when memory is refused. *optim is NULL on error. */
SCO_API enum sco_status sco_optim_create(struct sco_optim **optim, struct sco_ctx *ctx,
                                         const struct sco_optim_config *config, const struct sco_tensor_list *list);
SCO_API void sco_optim_destroy(struct sco_optim *optim); /* NULL is a no-op */

/* Starts over: zeroes state, step number and skip count, and reads what the optimizer needs of the parameters (VeLO:
 * sum p^2). Each page of state is first written by the thread that will use it.
 *
 * Shapes    p: list.count pointers; p[i] may be NULL where the tensor is empty, p where the list is.
 * Cost      one write of the state; VeLO reads p once.
 * Errors    SCO_INVALID: a NULL pointer, named. State is untouched then. */
SCO_API enum sco_status sco_optim_init(struct sco_optim *optim, const float *const *p);

/* A step in two calls, for gradients that arrive one by one: prepare once, then apply once per tensor in any order. A
 * tensor that is not applied before the next prepare keeps its parameters and state.
 *
 *   prepare   fixes the learning rate (VeLO: updates the loss buffer, runs the LSTM and the hypernetwork)
 *   apply     updates parameters and state of one tensor
 *
 * Shapes    p: float[elements of tensor] in/out; g: the same, in. p and g must not overlap.
 * Units     loss: the mean training loss of the batch whose gradient follows; only VeLO uses its value.
 * Layout    4-byte alignment required, 64 preferred.
 * Numerics  f32 per element; sums in f64 over fixed blocks of elements, combined in index order.
 * Cost      sco_optim_cost_model; per call at most one fork-join of the team.
 * Memory    none allocated.
 * Errors    SCO_INVALID: no init or load before, apply without prepare, a tensor applied twice or not in the list, a
 *           NULL pointer; SCO_UNSUPPORTED: apply with grad_clip; SCO_NONFINITE: under STOP, the loss, or g with tensor
 *           and index.
 *           Nothing is touched on error. Under SKIP a non-finite loss makes every apply up to the next prepare a no-op
 *           (one skip), a non-finite gradient that apply (one skip); sco_error_message() says what was skipped. */
SCO_API enum sco_status sco_optim_prepare(struct sco_optim *optim, float loss);
SCO_API enum sco_status sco_optim_apply(struct sco_optim *optim, size_t tensor, float *p, const float *g);

/* prepare, then apply to every tensor, in at most three fork-joins of the team.
 *
 * Shapes    p, g: list.count pointers as in apply; NULL allowed for empty tensors.
 * Errors    as prepare and apply. Loss and all gradients are looked at before anything is written: under STOP and SKIP
 *           either all tensors are updated or none. A skipped step is one skip. */
SCO_API enum sco_status sco_optim_step(struct sco_optim *optim, float loss, float *const *p, const float *const *g);

/* Steps prepared since init, skipped ones not counted, and skips: whole steps, and tensors left out by apply. */
SCO_API uint64_t sco_optim_steps(const struct sco_optim *optim);
SCO_API uint64_t sco_optim_skipped(const struct sco_optim *optim);

/* Sets the step number, as part of putting a recorded state in place with sco_optim_state_set.
 *
 * Errors    SCO_INVALID: no init or load before. */
SCO_API enum sco_status sco_optim_set_steps(struct sco_optim *optim, uint64_t steps);

/* The configuration in force (the optimizer's copy). */
SCO_API const struct sco_optim_config *sco_optim_get_config(const struct sco_optim *optim);

/* The state as named float arrays, in the layout of the reference implementation (optax, AlgoPerf,
 * learned_optimization). S is the tensor's shape.
 *
 *   heavy_ball, nesterov   trace S
 *   adam .. nadamw, lamb   mu S, nu S
 *   lion                   mu S
 *   adafactor, optax's     factored: v_row (S without the largest axis c), v_col (S without the second largest axis r);
 *                          otherwise v S; with momentum: ema S
 *   adafactor, AlgoPerf's  m S (int8 as floats), m_scale (S without its first axis); rank >= 2: vr (S without the last
 *                          axis), vc (S without the last but one); otherwise v S
 *   velo                   m S x 3, rms S x 1; rank >= 2: fac_row (S without c) x 3, fac_col (S without r) x 3;
 *                          otherwise fac_diag S x 3; three decays innermost. Optimizer: lstm_h, lstm_c
 *                          (tensors x H), loss_means, loss_running_min (10)
 *
 * array: name and element count of the i-th array of a tensor, or of the optimizer as a whole with tensor = SIZE_MAX;
 * NULL past the last. get and set copy one array, whose count must be exact.
 *
 * Cost      one pass over the array.
 * Errors    SCO_INVALID: no init or load before, no such tensor or array (the message lists those there are), or
 *           another count. Nothing is touched. */
SCO_API const char *sco_optim_state_array(const struct sco_optim *optim, size_t tensor, size_t i, size_t *count);
SCO_API enum sco_status sco_optim_state_get(const struct sco_optim *optim, size_t tensor, const char *name, float *dst,
                                            size_t count);
SCO_API enum sco_status sco_optim_state_set(struct sco_optim *optim, size_t tensor, const char *name, const float *src,
                                            size_t count);

/* Name of the i-th phase of a step and the seconds that the last step spent in it; NULL past the last. Kinds that work
 * in one sweep have no phases. */
SCO_API const char *sco_optim_phase(const struct sco_optim *optim, size_t i, double *seconds);

/* What one step over the list costs by formula, without clipping and the scan for NaN.
 *
 * Units     bytes: asked for by the kernels, reads plus writes, as if every sweep came from memory; flops: fused
 *           multiply-add = 2, divide = root = 1.
 * Cost      independent of tensor sizes.
 * Threads   reentrant.
 * Memory    none allocated.
 * Errors    as sco_optim_plan.
 * Source    docs/optimizers.md. */
SCO_API enum sco_status sco_optim_cost_model(const struct sco_optim_config *config, const struct sco_tensor_list *list,
                                             double *bytes, double *flops);

/* Writes the whole state, or reads it back.
 *
 * The file is in safetensors format, little-endian: 8 bytes header length, a JSON header, arrays without gaps. Its
 * __metadata__ has version, CRC-32 of the whole file, kind, the hyper-parameters that the state depends on, step and
 * skip counts, names and shapes. Arrays are in the optimizer's own layout.
 *
 *   save   writes a temporary file in the same folder, syncs it, renames it to path, syncs the folder: path is the old
 *          file or the complete new one at every moment. A step begun and not finished is not taken up by load.
 *   load   into an optimizer of the same kind, configuration and shapes. Steps on from there have the bits of a run
 *          that was never interrupted.
 *
 * Cost      one pass over state and file.
 * Memory    load into an optimizer that has state: a second copy of it until the file has proved good.
 * Errors    SCO_INVALID: save before init or load; SCO_IO: the operating system refused (path and reason); SCO_FORMAT:
 *           not such a file, another version, truncated, oversized or damaged (with offset), or of another kind or
 *           configuration; SCO_SHAPE: other tensors (named); SCO_NOMEM. On error an optimizer that had state keeps
 *           it. */
SCO_API enum sco_status sco_optim_save(const struct sco_optim *optim, const char *path);
SCO_API enum sco_status sco_optim_load(struct sco_optim *optim, const char *path);

SCO_END_DECLS
#endif

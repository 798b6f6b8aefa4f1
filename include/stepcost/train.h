/* SPDX-License-Identifier: Apache-2.0
 * Training runs: a workload's model, data and optimizer under AlgoPerf's protocol, with measurements and checkpoints.
 *
 *     sco_train_defaults(SCO_PRESET_STUDY, SCO_OGBG, SCO_OPTIM_ADAM, &config);
 *     config.data.path = "synthetic";
 *     config.model.batch = 32;
 *     config.steps = 200;
 *     config.out = "run";
 *     sco_run_open(&run, ctx, &config);
 *     while (!sco_run_get_progress(run)->done)
 *         sco_run_step(run);
 *     sco_run_finish(run);
 *     sco_run_close(run);
 *
 * Calls on one run come from the thread that created its context. docs/training.md has the files and the protocol. */
#ifndef STEPCOST_TRAIN_H
#define STEPCOST_TRAIN_H

#include "stepcost/counters.h"
#include "stepcost/dataset.h"
#include "stepcost/model.h"
#include "stepcost/optim.h"

SCO_BEGIN_DECLS

/* ---- Presets ----------------------------------------------------------------------------------------------------- */

/* Whose constants a run takes. They differ in targets, runtimes and step hints, and are never mixed. */
enum sco_preset {
    SCO_PRESET_STUDY,       /* the VeLO study on AlgoPerf's workloads, arXiv 2310.18191 */
    SCO_PRESET_ALGOPERF_05, /* AlgoPerf 0.5, external tuning */
    SCO_PRESET_ALGOPERF_06, /* AlgoPerf 0.6 */
    SCO_PRESETS
};

/* "study", "algoperf-0.5", "algoperf-0.6"; static. */
SCO_API const char *sco_preset_name(enum sco_preset preset);
/* Errors    SCO_INVALID: no such name; the message lists all. */
SCO_API enum sco_status sco_preset_parse(const char *name, enum sco_preset *preset);

/* Steps that VeLO was prompted with in the study; 0 in other presets. */
struct sco_prompts {
    uint64_t full, three_quarters, long_run, step_target;
};

struct sco_protocol {
    size_t batch, eval_batch; /* ogbg: molecules of average size */
    uint64_t train_samples, validation_samples, test_samples;
    double max_runtime, eval_period; /* seconds */
    double validation_target, test_target;
    uint64_t step_hint;
    struct sco_prompts velo;
};

/* The constants of a preset; static.
 * Source    docs/training.md has the table and where each number is from. */
SCO_API const struct sco_protocol *sco_protocol_of(enum sco_preset preset, enum sco_workload workload);

/* The workload's metric as AlgoPerf's columns name it: "accuracy", "mean_average_precision", "loss", "ssim"; static. */
SCO_API const char *sco_workload_metric(enum sco_workload workload);

/* ---- Configuration ----------------------------------------------------------------------------------------------- */

struct sco_train_config {
    enum sco_preset preset;
    struct sco_model_config model;   /* batch: of training. H, W, table_rows, max_nodes, max_edges, tasks: the data's */
    struct sco_optim_config optim;   /* VeLO: theta and num_steps are required */
    struct sco_dataset_options data; /* path, side, table_rows, samples, bad_sample, workers, ahead; the rest is set */
    uint64_t seed;                   /* of parameters, order and augmentation of data, dropout */

    uint64_t steps;     /* training is complete after so many; 0: no such end */
    double max_runtime; /* seconds of submission time after which no step begins; 0: no limit */
    int until_targets;  /* 1: ends when both targets have been met, each at some evaluation */

    size_t eval_batch;         /* 0: as in training, which takes no further memory */
    uint64_t eval_samples;     /* at most so many of each split; 0: all, and of training as many as in validation */
    double eval_period;        /* seconds between evaluations; ignored where eval_steps is set */
    uint64_t eval_steps;       /* evaluate after step 1, every so many steps, and at the end; 0: by eval_period */
    int no_evaluation;         /* 1: never */
    uint64_t checkpoint_steps; /* 0: when the run ends or is stopped alone */
    uint64_t log_steps;        /* an event for every so many steps; 0: 1 */

    int fused_step; /* 1: each tensor is updated as its gradient arrives in backward; gradients share memory */
    int counters;   /* 1: count hardware and software events of the calling thread, by part */

    const char
        *out; /* folder of measurements.csv, events.jsonl and checkpoints, made if absent; NULL: nothing is written */
    const char *context; /* text of a JSON object for the first event: the caller's environment; NULL: none */

    int (*stop)(
        void *argument); /* asked between steps and between batches of an evaluation; not 0: stop. May be NULL */
    void *stop_argument;
};

/* The preset's constants; the optimizer as the study's baselines have it (docs/training.md): schedule over three quarters
 * of the step hint for the Adam family, over all of it for momentum. data.path and VeLO's theta and num_steps are left out. */
SCO_API void sco_train_defaults(enum sco_preset preset, enum sco_workload workload, enum sco_optim_kind kind,
                                struct sco_train_config *config);

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

struct sco_train_plan {
    struct sco_model_plan model;
    size_t tensors;
    size_t gradient_bytes_unfused; /* what gradients take without fused_step */
    size_t optim_state_bytes, optim_workspace_bytes;
    size_t data_bytes;                   /* batches, prepared and in use, of training and of the largest evaluation */
    size_t total_bytes, available_bytes; /* available 0: unknown */
    struct sco_dataset_facts data;
    uint64_t subset_samples, validation_samples, test_samples; /* 0: there are none, or their number is unknown */
    int has_validation, has_test;
    char no_validation[256], no_test[256]; /* why not: the message of the stream that could not be opened */
};

/* Opens the data, checks the configuration and plans everything; allocates no parameter. *model, unless model is NULL,
 * becomes a draft with the run's tensors, for sco_model_destroy().
 *
 * Errors    as sco_run_open, but a plan that does not fit is no error here: compare total_bytes and available_bytes. */
SCO_API enum sco_status sco_train_plan_of(struct sco_ctx *ctx, const struct sco_train_config *config,
                                          struct sco_train_plan *plan, struct sco_model **model);

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

/* What the time of an iteration goes to. One reading of the clock ends a part and begins the next, so that the parts add up
 * to the wall clock. */
enum sco_part {
    SCO_PART_DATA, /* waiting for the batch */
    SCO_PART_FORWARD,
    SCO_PART_BACKWARD,
    SCO_PART_OPTIMIZER,
    SCO_PART_EVALUATION,
    SCO_PART_CHECKPOINT,
    SCO_PART_LOGGING, /* measurements.csv, events.jsonl */
    SCO_PART_OTHER,   /* what is left, the caller's work between steps included */
    SCO_PARTS
};
SCO_API const char *sco_part_name(enum sco_part part); /* "data", ...; static */

enum { SCO_RUN_COUNTERS = 8 };

/* Events of the calling thread by part: the other ranks of the team, and workers of the data, are not counted. */
struct sco_run_counters {
    size_t count;
    struct sco_counter event[SCO_RUN_COUNTERS];
    int64_t total[SCO_PARTS][SCO_RUN_COUNTERS]; /* since open; SCO_COUNT_ABSENT where absent */
};

/* samples 0: the split does not exist. metric: the workload's, loss itself for dlrm. */
struct sco_evaluation {
    double loss, metric;
    uint64_t samples;
};

enum sco_run_end {
    SCO_RUN_GOES_ON,
    SCO_RUN_COMPLETE, /* steps are done */
    SCO_RUN_RUNTIME,  /* max_runtime is used up */
    SCO_RUN_TARGETS,  /* both targets have been met */
    SCO_RUN_STOPPED   /* stop() said so */
};
SCO_API const char *sco_run_end_name(enum sco_run_end end); /* "complete", ...; static */

struct sco_run_progress {
    uint64_t step;                                       /* done, since the first sitting */
    uint64_t step_zero;                                  /* the one that this sitting resumed from */
    double loss, lr;                                     /* of the last step */
    size_t samples;                                      /* in its batch */
    uint64_t seconds_ns[SCO_PARTS], total_ns[SCO_PARTS]; /* of the last iteration; of this sitting */
    uint64_t wall_ns;                                    /* of this sitting: the sum of total_ns */
    double submission_time;                              /* seconds of data .. optimizer, all sittings */
    uint64_t skipped_samples, skipped_steps;             /* by the data, all sittings; by the optimizer */
    uint64_t evaluated;                                  /* step of the last evaluation; 0: none */
    struct sco_evaluation train, validation, test;       /* its results */
    uint64_t saved;                                      /* step of the last checkpoint; 0: none */
    uint64_t preemptions;
    enum sco_run_end end;
    int done;
};

struct sco_run;

/* Opens the data, plans, allocates and initialises model and optimizer; where out holds a checkpoint, goes on from it: what
 * the files of out hold from later is cut off first.
 *
 * Numerics  parameters after a step depend on the configuration alone: not on the team, data.workers, evaluation, checkpoints
 *           or interruptions; nor on fused_step, unless NaN is skipped.
 * Memory    plan.total_bytes.
 * Errors    SCO_INVALID: config; out belongs to a run of another configuration (the message has the first difference), or
 *           another process runs in it; SCO_NOMEM: the plan does not fit (the message has both), before anything large is
 *           allocated; SCO_IO, SCO_FORMAT: data, out, or a damaged checkpoint; SCO_UNSUPPORTED: a format that this build
 *           lacks. *run is NULL on error. */
SCO_API enum sco_status sco_run_open(struct sco_run **run, struct sco_ctx *ctx, const struct sco_train_config *config);

/* One iteration: a batch, a step, and the evaluation and the checkpoint that are due after it. After done: nothing.
 *
 * Memory    a step allocates nothing; an evaluation holds outputs and labels of its split (ogbg).
 * Errors    as sco_dataset_next, sco_model_forward, sco_optim_step, sco_checkpoint_save. The last checkpoint is intact; the
 *           run cannot go on, but by opening it again. */
SCO_API enum sco_status sco_run_step(struct sco_run *run);

/* Saves a checkpoint of the last step where there is none yet, and writes the last event. */
SCO_API enum sco_status sco_run_finish(struct sco_run *run);

/* Without finish: as if the process had been killed between two steps. */
SCO_API void sco_run_close(struct sco_run *run); /* NULL is a no-op */

/* Valid until close; updated by step and finish. */
SCO_API const struct sco_run_progress *sco_run_get_progress(const struct sco_run *run);
SCO_API const struct sco_train_plan *sco_run_get_plan(const struct sco_run *run);
SCO_API const struct sco_train_config *sco_run_get_config(const struct sco_run *run); /* in force */
SCO_API const struct sco_run_counters *sco_run_get_counters(const struct sco_run *run);
SCO_API struct sco_model *sco_run_model(struct sco_run *run);

/* 64-bit FNV-1a over the bits of all parameters, then of all running statistics, 32 bits at a time: equal for equal runs. */
SCO_API uint64_t sco_run_hash(struct sco_run *run);

SCO_END_DECLS
#endif

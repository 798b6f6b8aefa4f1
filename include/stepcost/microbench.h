/* SPDX-License-Identifier: Apache-2.0
 * Measurements: what an optimizer step costs, what a kernel costs, and what the machine allows.
 *
 * Everything compared is timed in interleaved rounds (A B C, B C A, C A B, ...), so that a slow spell of the machine
 * falls on all alike. A round times a short burst of every participant; the median of a burst is one value. Reported
 * medians and their intervals are over the rounds, minima over all samples. Rounds go on until the median absolute
 * deviation of every participant is below 1 % of its median or the budget ends, and each row says which. The cost of
 * reading the clock is measured and subtracted. */
#ifndef STEPCOST_MICROBENCH_H
#define STEPCOST_MICROBENCH_H

#include <stdint.h>

#include "stepcost/ctx.h"
#include "stepcost/optim.h"
#include "stepcost/tensor.h"

SCO_BEGIN_DECLS

/* ---- Statistics ------------------------------------------------------------------------------------------------- */

/* low .. high is an interval of the median by order statistics: the narrowest symmetric pair of ranks whose binomial
 * coverage reaches 95 %. Under six values none does; then low and high are the extremes and confidence is what they
 * cover. spread is the median absolute deviation divided by the median. */
struct sco_stats {
    double min, median, low, high, confidence, spread;
    size_t count; /* 0: nothing was measured, all else is 0 */
};

/* value is sorted in place. Cost: one sort. Errors: none. */
SCO_API void sco_stats_sort(double *value, size_t count, struct sco_stats *stats);

enum sco_stop { SCO_STOP_SPREAD, SCO_STOP_BUDGET }; /* why the rounds ended */

/* ---- Environment ------------------------------------------------------------------------------------------------ */

/* What a figure depends on besides the code under test. Compare only equal environments. */
struct sco_environment {
    const char *version, *commit, *compiler, *flags; /* of this build; commit ends in "+" when the tree had changes */
    char cpu[96], isa[64], system[160];              /* CPU's name, levels in force, kernel and architecture */
    char governor[32], huge_pages[32], date[32]; /* "unknown" when the system does not tell; date is UTC, ISO 8601 */
    size_t threads, pus;                         /* team size; processing units the process may use */
    unsigned *cores;                             /* [threads] processing unit that each rank is bound to */
    size_t memory_bytes, memory_available_bytes;
    double load_average;                           /* of the last minute, before the measurement */
    double cycles_per_ns;                          /* core clock in GHz, an estimate */
    double clock_overhead_ns, clock_resolution_ns; /* overhead: subtracted from every sample */
};

/* Reads the environment. Cost: about 3 ms for the clock. Errors: SCO_NOMEM. */
SCO_API enum sco_status sco_environment_create(struct sco_environment **environment, struct sco_ctx *ctx);
SCO_API void sco_environment_destroy(struct sco_environment *environment); /* NULL is a no-op */

/* Version and build of the library: version, commit, compiler, flags. Valid for the life of the process. */
SCO_API const char *sco_build_version(void);
SCO_API const char *sco_build_commit(void);
SCO_API const char *sco_build_compiler(void);
SCO_API const char *sco_build_flags(void);

/* ---- Roofs ------------------------------------------------------------------------------------------------------ */

/* Access patterns of the roof kernels: loads and stores per element of an in-place update. */
enum sco_roof_pattern {
    SCO_ROOF_READ, /* 1 load */
    SCO_ROOF_RW32, /* 3 loads, 2 stores: heavy ball */
    SCO_ROOF_RW43, /* 4 loads, 3 stores: Adam */
    SCO_ROOF_RW65, /* 6 loads, 5 stores: VeLO's last sweep */
    SCO_ROOF_PATTERNS
};
SCO_API const char *sco_roof_name(enum sco_roof_pattern pattern); /* "read", "rw32", "rw43", "rw65" */
SCO_API double sco_roof_bytes(enum sco_roof_pattern pattern);     /* bytes asked for per element: 4, 20, 28, 44 */

/* One pattern on one working set, timed in the same rounds and on the same threads as the steps it is compared with. */
struct sco_roof {
    enum sco_roof_pattern pattern;
    const char *workload; /* NULL: of a kernel benchmark */
    size_t elements;      /* of each array, all threads together */
    struct sco_stats ns_per_element;
    double gbs; /* from the median */
};

/* ---- Optimizer steps -------------------------------------------------------------------------------------------- */

enum { SCO_COST_PHASES = 8 };

struct sco_cost_phase {
    const char *name;
    struct sco_stats ns_per_param;
};

struct sco_cost_row {
    const char *workload; /* name of the list, or "sweep" */
    enum sco_optim_kind kind;
    const char *weights;    /* origin of VeLO's weights; NULL for other kinds */
    size_t tensors, params; /* as timed */
    size_t full_params;     /* above params when the list was shortened by max_params */
    size_t state_bytes, workspace_bytes;
    double model_bytes, model_flops; /* per parameter, by formula (sco_optim_cost_model) */
    struct sco_stats ns_per_param;
    struct sco_stats ratio_to_adam; /* of the same round; count = 0 when Adam was not timed */
    int ratio_paired;               /* 0: memory did not hold both at once, so only the ratio of medians is known */
    enum sco_roof_pattern pattern;  /* the pattern it is measured against */
    double gbs, gflops;             /* model bytes and flops over the median time */
    double roof_gbs, roof_gflops;   /* attainable: the pattern's bandwidth, multiply-add peak of all threads */
    int compute_bound;              /* 1: the flops, not the bytes, set the shortest time possible */
    double roof_fraction;           /* shortest time possible by that model / median time */
    size_t phase_count;
    struct sco_cost_phase phases[SCO_COST_PHASES];
    enum sco_stop stop;
    size_t resets;           /* times the parameters had drifted too far and were drawn afresh, untimed */
    size_t steps_per_sample; /* above 1 where one step is too short for the clock */
    size_t samples_per_round, sample_count;
    double *samples; /* ns per step, in order; every samples_per_round of them are one round */
};

/* A row that was asked for and not measured. */
struct sco_cost_refusal {
    const char *workload;
    enum sco_optim_kind kind;
    size_t needed_bytes, available_bytes; /* 0 when memory is not the reason */
    char why[320];
};

struct sco_cost_workload {
    const char *name; /* must outlive the report */
    struct sco_tensor_list list;
};

struct sco_cost_options {
    const struct sco_cost_workload *workloads;
    size_t workload_count;
    const enum sco_optim_kind *kinds;
    size_t kind_count;
    const struct sco_velo_theta *theta; /* needed when kinds holds SCO_OPTIM_VELO; must outlive the report */
    uint64_t num_steps;                 /* VeLO's prompt */
    enum sco_nonfinite_policy nonfinite;
    double seconds;    /* budget of the whole run, about; three rounds are timed whatever it is */
    size_t max_params; /* shorten longer lists; 0 = never */
    int sweep;         /* also time single tensors of 1 .. 100 M parameters, Adam and VeLO where asked for */
    void (*progress)(void *argument, const char *text); /* may be NULL */
    void *argument;
};

struct sco_cost_report {
    struct sco_cost_row *rows, *sweep;
    size_t row_count, sweep_count;
    struct sco_roof *roofs;
    size_t roof_count;
    struct sco_cost_refusal *refusals;
    size_t refusal_count;
    double peak_gflops;   /* multiply-adds in registers, all threads; 0 = unknown (scalar code only) */
    const char *peak_row; /* the row it was measured with */
    const char *weights;  /* NULL when VeLO was not asked for */
    enum sco_nonfinite_policy nonfinite;
    double elapsed_seconds;
};

/* Times one step of every kind on every workload.
 *
 * Before a kind is timed its steps are compared with those of the scalar rows on a small list of awkward shapes.
 * Parameters and gradients are drawn from a counter-based generator (gradients: mean 0, standard deviation 1e-3;
 * parameters: 2e-2), written first by the threads that will use them, and shared by all kinds. Gradients stay the same
 * from step to step, so moments settle and never become denormal. Parameters are looked at between rounds and drawn
 * afresh when one is not finite or beyond 1e3 in magnitude (resets counts it). Where the states of all kinds fit in
 * memory together they are timed in the same rounds; otherwise each with Adam alone.
 *
 * Memory    p, g and the roof's arrays: 8 bytes per parameter and at most 1 GiB; and the states. All is planned
 *           before anything is allocated; what does not fit in 90 % of the memory available becomes a refusal.
 * Errors    SCO_NONFINITE or SCO_INVALID: a kind disagrees with its scalar rows, or a step fails; SCO_SHAPE: a list is
 *           longer than max_params even with one element per tensor; SCO_NOMEM. Refusals are no error. */
SCO_API enum sco_status sco_cost_run(struct sco_cost_report **report, struct sco_ctx *ctx,
                                     const struct sco_cost_options *options);
SCO_API void sco_cost_report_destroy(struct sco_cost_report *report); /* NULL is a no-op */

/* Runs three steps of a kind on a small list of awkward shapes with ctx and with the scalar rows on one thread.
 * config: as for sco_optim_create.
 * Errors    SCO_INVALID: they differ by more than the kind allows (the message names tensor, index and values). */
SCO_API enum sco_status sco_cost_verify(struct sco_ctx *ctx, const struct sco_optim_config *config);

/* Draws x[i] (i = first .. first + n - 1 of a stream) with mean 0 and the given standard deviation: the sum of four
 * uniform 16-bit numbers from splitmix64(seed, i), so that |x| is 0 or at least 2e-5 deviations: no square is denormal.
 * The team's ranks write their sco_team_block of it.
 * Numerics  the same bits on every machine and for any team. Errors: none. */
SCO_API void sco_draw(struct sco_team *team, float *x, size_t n, uint64_t seed, float deviation);

/* ---- Kernels ---------------------------------------------------------------------------------------------------- */

enum { SCO_BENCH_DIMS = 12, SCO_BENCH_LEVELS = 4 };

/* A working set per thread: a level of the memory hierarchy or a byte count. */
struct sco_bench_size {
    char name[16]; /* "L1", "L2", "L3", "mem", or the byte count as given */
    size_t bytes;
};

struct sco_bench_row {
    const char *name, *row; /* case ("adam.step"), row ("avx2") */
    struct sco_bench_size size;
    size_t dim_count, dims[SCO_BENCH_DIMS];
    const char *dim_names[SCO_BENCH_DIMS];
    double items, bytes, flops; /* per call and thread */
    struct sco_stats ns_per_item;
    double cycles_per_item; /* by the estimated clock, one thread */
    double gbs, gflops;     /* all threads, from the median */
    enum sco_roof_pattern pattern;
    double roof_gbs, roof_gflops, roof_fraction; /* roof_gflops: peak of the same row */
    int compute_bound;
    enum sco_stop stop;
    size_t sample_count;
    double *samples; /* ns per call */
};

struct sco_bench_options {
    const char *filter; /* cases whose name contains it; NULL = all. Variants (adam.adam/eps0) only with a slash */
    const char *rows;   /* comma list of rows; NULL = all that can run */
    const struct sco_bench_size *sizes;
    size_t size_count;
    double seconds; /* budget of the whole run, about */
    void (*progress)(void *argument, const char *text);
    void *argument;
};

struct sco_bench_report {
    struct sco_bench_row *rows;
    size_t row_count;
    struct sco_roof *roofs;
    size_t roof_count;
};

/* Name of the index-th case; NULL past the last. */
SCO_API const char *sco_bench_case(size_t index);

/* Parses "L1,L2,L3,mem" or byte counts ("65536", "64K", "1M") into sizes per thread of ctx's team; L1 .. L3 are half of
 * the level's share, mem is four times the last level. NULL: all levels that exist. Errors    SCO_INVALID: an unknown
 * word, no word, a count below 64 or above 2^40, more than capacity. */
SCO_API enum sco_status sco_bench_sizes(struct sco_ctx *ctx, const char *words, struct sco_bench_size *sizes,
                                        size_t capacity, size_t *count);

/* What sco_bench_run would refuse of its options.
 * Errors    SCO_INVALID: no case matches the filter, or an unknown row; SCO_UNSUPPORTED: a named row cannot run here. */
SCO_API enum sco_status sco_bench_check_options(const struct sco_ctx *ctx, const struct sco_bench_options *options);

/* Checks each selected row of each selected case against the scalar row (or the case's oracle) and then times it, every
 * thread on operands of its own. A call that takes longer than 0.2 s is timed once.
 * Errors    as sco_bench_check_options; SCO_INVALID: a row is wrong (the message names case, row, operand, index and
 *           values: nothing wrong is ever timed); SCO_NOMEM. */
SCO_API enum sco_status sco_bench_run(struct sco_bench_report **report, struct sco_ctx *ctx,
                                      const struct sco_bench_options *options);
SCO_API void sco_bench_report_destroy(struct sco_bench_report *report); /* NULL is a no-op */

/* ---- Operators --------------------------------------------------------------------------------------------------- */

/* An operation on whole tensors as a training runs it: "conv_fwd" on one layer of a network, with all threads. */
struct sco_op_request {
    const char *op, *name, *variant; /* variant "": the first */
    size_t batch;                    /* of convolutions; 0: 8 */
    size_t rows;                     /* of embedding tables; 0: 4,000,000 */
};

struct sco_op;

/* Name of the index-th operator; of the index-th case or variant of an operator, best variant first. NULL past the last. */
SCO_API const char *sco_op_name(size_t index);
SCO_API const char *sco_op_case(const char *op, size_t index);
SCO_API const char *sco_op_variant(const char *op, size_t index);

/* Allocates and fills the operands of an operator and checks its result against scalar code.
 * Errors    SCO_UNSUPPORTED: unknown operator, case or variant, or one that this build or CPU lacks; SCO_INVALID: the
 *           result is wrong (nothing wrong is ever timed); SCO_NOMEM. */
SCO_API enum sco_status sco_op_create(struct sco_op **op, struct sco_ctx *ctx, const struct sco_op_request *request);
SCO_API void sco_op_destroy(struct sco_op *op); /* NULL is a no-op */
/* Runs it once with all threads of the context; allocates nothing. */
SCO_API enum sco_status sco_op_step(struct sco_op *op);
/* What runs: row and plan. Valid for the life of op. */
SCO_API const char *sco_op_note(const struct sco_op *op);

struct sco_op_row {
    const char *op, *name, *variant;
    char note[96];
    const char *item;             /* what items counts: "mac", "lookup", "edge", "element" */
    double items, bytes, flops;   /* per step, of the best algorithm known: the same for all variants */
    struct sco_stats ns;          /* per step */
    double gbs, gflops;           /* from the median */
    double roof_gbs, roof_gflops; /* rw32 over as many bytes, or bare random rows; multiply-add peak of all threads */
    const char *limit;            /* "compute", "memory" or "rows": what sets the shortest time possible */
    double roof_fraction;         /* shortest time possible / median; above 1 an algorithm saves flops (Winograd) */
    enum sco_stop stop;
    size_t sample_count;
    double *samples; /* ns per step */
};

struct sco_op_options {
    const char *ops;      /* comma list of operators; NULL = all */
    const char *filter;   /* cases whose name contains it; NULL = all */
    const char *variants; /* comma list; NULL = the first of each operator */
    size_t batch, rows;   /* as in struct sco_op_request */
    double seconds;       /* budget of the whole run, about; three rounds are timed whatever it is */
    void (*progress)(void *argument, const char *text); /* may be NULL */
    void *argument;
};

struct sco_op_report {
    struct sco_op_row *rows;
    size_t row_count;
};

/* Times operators, the variants of a case and its limit in turn in the same rounds.
 * Errors    SCO_INVALID: an unknown operator, no case matches, or a wrong result; SCO_NOMEM. A variant that this build or
 *           CPU lacks is left out. */
SCO_API enum sco_status sco_op_bench(struct sco_op_report **report, struct sco_ctx *ctx,
                                     const struct sco_op_options *options);
SCO_API void sco_op_report_destroy(struct sco_op_report *report); /* NULL is a no-op */

SCO_END_DECLS
#endif

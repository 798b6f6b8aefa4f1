/* SPDX-License-Identifier: Apache-2.0
 * A training run from the inside: time by part, records, evaluation. */
#ifndef SCO_EVALUATION_RUN_H
#define SCO_EVALUATION_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "stepcost/train.h"

/* ---- Time by part (run_timing.c) ---------------------------------------------------------------------------------- */

struct sco_timing {
    uint64_t mark; /* end of the last part, and start of the next */
    uint64_t part[SCO_PARTS], total[SCO_PARTS];
    uint64_t logged[SCO_PARTS]; /* total at the last event */
    struct sco_counters *counters;
    struct sco_run_counters counts;
    int64_t last[SCO_RUN_COUNTERS];
};

/* Counters that cannot be opened are no error: each event says why. */
void sco_timing_start(struct sco_timing *split, bool counters);
void sco_timing_stop(struct sco_timing *split);
/* The time since the last call belongs to this part. */
void sco_timing_lap(struct sco_timing *split, enum sco_part part);
/* What falls before it belongs to SCO_PART_OTHER of the new iteration. */
void sco_timing_iteration(struct sco_timing *split);

/* ---- Records (run_records.c) ------------------------------------------------------------------------------------- */

/* A file that grows by whole lines. A line is one write; what a process killed in the middle leaves behind is cut off by the
 * next sitting, which knows the size that belongs to its checkpoint. */
struct sco_record {
    char *path;
    int fd; /* -1: not open */
    uint64_t bytes;
};

enum sco_status sco_record_open(struct sco_record *record, const char *folder, const char *name);
void sco_record_close(struct sco_record *record);
/* The file must have at least so many bytes. */
enum sco_status sco_record_cut(struct sco_record *record, uint64_t bytes);
enum sco_status sco_record_line(struct sco_record *record, const char *text, size_t bytes);
/* object is released; NULL: memory ran out. */
enum sco_status sco_record_object(struct sco_record *record, json_t *object);
enum sco_status sco_record_sync(const struct sco_record *record);
/* The first line as JSON; *object is NULL where there is no whole one. */
enum sco_status sco_record_first(const struct sco_record *record, json_t **object);

/* ---- Configuration as a record (run_config.c) -------------------------------------------------------------------- */

/* What belongs to the run alone; model, data and optimizer check the rest. */
enum sco_status sco_train_check(const struct sco_train_config *config);

/* identity: what the bits of a run depend on; two sittings of one run have the same. settings: the rest, which may change. */
json_t *sco_train_identity(const struct sco_train_config *config, const struct sco_train_plan *plan,
                           const struct sco_model *model);
json_t *sco_train_settings(const struct sco_train_config *config, size_t threads);
/* Errors    SCO_INVALID: names the first key that differs, and both values. where: the folder. */
enum sco_status sco_train_same(const char *where, const json_t *saved, const json_t *mine);

/* ---- The run ----------------------------------------------------------------------------------------------------- */

struct sco_run {
    struct sco_ctx *ctx;
    struct sco_train_config config; /* strings are the run's own */
    char *data_path, *out;
    struct sco_train_plan plan;
    struct sco_dataset *data;
    struct sco_model *model;
    struct sco_optim *optim;
    struct sco_timing timing;
    struct sco_record measurements, events;
    json_t *identity;
    struct sco_run_progress progress;

    double submission_before, evaluation_before, logging_before, total_before; /* seconds, of earlier sittings */
    uint64_t skipped_before;
    uint64_t skipped_steps_seen;
    uint64_t start;        /* ns, of this sitting */
    bool has_evaluated;    /* in any sitting */
    uint64_t evaluated_at; /* ns; the end of the last evaluation */
    bool met_validation, met_test;
    bool resumed; /* and no step since: what was due after the last one may be open */
    bool failed;
};

/* Evaluates every split that exists. *stopped: stop() said so, and progress is what it was (run_evaluate.c). */
enum sco_status sco_run_evaluate(struct sco_run *run, bool *stopped);

/* A row of measurements.csv, after its header where the file is empty (run_measure.c). */
enum sco_status sco_run_measure(struct sco_run *run);

/* The options of a stream of a run (run_plan.c). */
struct sco_dataset_options sco_run_stream(const struct sco_train_config *config, enum sco_split split);

/* Opens the data of training, plans, and makes a draft of the model; all three are the caller's, also after an error. fitted:
 * the model's configuration with what the data decide. */
enum sco_status sco_run_plan(struct sco_ctx *ctx, const struct sco_train_config *config, struct sco_train_plan *plan,
                             struct sco_dataset **data, struct sco_model_config *fitted, struct sco_model **draft);

/* FNV-1a, 32 bits at a time, going on from hash or SCO_HASH_START: what tells parameters and weights apart. */
#define SCO_HASH_START 0xcbf29ce484222325u
static inline uint64_t sco_hash_floats(uint64_t hash, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3u;
    }
    return hash;
}

/* Seconds of a sitting so far and of those before. */
double sco_run_seconds(const struct sco_run *run, double before, enum sco_part first, enum sco_part last);

#endif

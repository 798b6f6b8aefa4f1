/* SPDX-License-Identifier: Apache-2.0
 * Training runs: opening, resuming, steps, and what is due after them. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "arch/fail.h"
#include "arch/text.h"
#include "evaluation/run.h"
#include "stepcost/checkpoint.h"
#include "stepcost/clock.h"
#include "stepcost/memory.h"
#include "stepcost/velo.h"

enum { RECORD_VERSION = 1 };

const char *sco_run_end_name(enum sco_run_end end)
{
    static const char *const names[] = {"goes on", "complete", "runtime", "targets", "stopped"};
    return names[end];
}

double sco_run_seconds(const struct sco_run *run, double before, enum sco_part first, enum sco_part last)
{
    uint64_t ns = 0;
    for (size_t part = first; part <= (size_t)last; part++)
        ns += run->timing.total[part];
    return before + (double)ns * 1e-9;
}

static void update_progress(struct sco_run *run)
{
    struct sco_run_progress *progress = &run->progress;
    memcpy(progress->seconds_ns, run->timing.part, sizeof progress->seconds_ns);
    memcpy(progress->total_ns, run->timing.total, sizeof progress->total_ns);
    progress->wall_ns = run->timing.mark - run->start;
    progress->submission_time = sco_run_seconds(run, run->submission_before, SCO_PART_DATA, SCO_PART_OPTIMIZER);
    progress->skipped_samples = run->skipped_before + sco_dataset_skipped(run->data);
    progress->skipped_steps = sco_optim_skipped(run->optim);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static const char *reason(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static enum sco_status event_start(struct sco_run *run, const char *event)
{
    const struct sco_train_config *config = &run->config;
    const size_t threads = sco_team_size(sco_ctx_team(run->ctx));
    char isa[64], date[32];
    const time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_error_t error;
    json_t *context = config->context != NULL ? json_loads(config->context, 0, &error) : NULL;
    const char *weights = config->optim.kind == SCO_OPTIM_VELO ? sco_velo_theta_origin(config->optim.theta) : NULL;
    json_t *counters = json_object();
    for (size_t i = 0; i < run->timing.counts.count; i++) {
        const struct sco_counter *counter = &run->timing.counts.event[i];
        json_object_set_new(counters, counter->name,
                            json_string(counter->source == SCO_COUNTER_ABSENT
                                            ? counter->reason
                                            : sco_counter_source_name(counter->source)));
    }
    return sco_record_object(
        &run->events,
        json_pack("{s:s, s:i, s:I, s:s, s:s, s:s, s:b, s:b, s:b, s:s?, s:s?, s:s?, s:O, s:o, s:o, s:o}", "event", event,
                  "version", RECORD_VERSION, "step", (json_int_t)run->progress.step, "date", date, "cpu",
                  sco_cpu_name(), "isa", sco_isa_format(sco_ctx_isa(run->ctx), isa, sizeof isa), "synthetic_data",
                  run->plan.data.synthetic, "has_validation", run->plan.has_validation, "has_test", run->plan.has_test,
                  "no_validation", reason(run->plan.no_validation), "no_test", reason(run->plan.no_test),
                  "velo_weights", weights, "configuration", run->identity, "settings",
                  sco_train_settings(config, threads), "counters_of_calling_thread", counters, "context",
                  context != NULL ? context : json_null()));
}

/* A number as JSON has it. */
static void add_number(struct sco_text *text, const char *key, double x)
{
    if (isfinite(x))
        sco_text_add(text, ",\"%s\":%.9g", key, x);
    else
        sco_text_add(text, ",\"%s\":null", key);
}

/* Written without an allocation. ns: of all parts since the last such event, so that the events close as the run does. */
static enum sco_status event_step(struct sco_run *run)
{
    char line[1024];
    struct sco_text text = {line, sizeof line, 0};
    struct sco_timing *timing = &run->timing;
    sco_text_add(&text, "{\"event\":\"step\",\"step\":%" PRIu64 ",\"samples\":%zu", run->progress.step,
                 run->progress.samples);
    add_number(&text, "loss", run->progress.loss);
    add_number(&text, "lr", run->progress.lr);
    sco_text_add(&text, ",\"ns\":{");
    for (size_t part = 0; part < SCO_PARTS; part++) {
        sco_text_add(&text, "%s\"%s\":%" PRIu64, part == 0 ? "" : ",", sco_part_name((enum sco_part)part),
                     timing->total[part] - timing->logged[part]);
        timing->logged[part] = timing->total[part];
    }
    sco_text_add(&text, "}}\n");
    return sco_record_line(&run->events, line, text.used);
}

static json_t *evaluation_object(const struct sco_run *run, const struct sco_evaluation *e)
{
    if (e->samples == 0)
        return json_null();
    json_t *object = json_pack("{s:o, s:I}", "loss", number(e->loss), "samples", (json_int_t)e->samples);
    json_object_set_new(object, sco_workload_metric(run->config.model.workload), number(e->metric));
    return object;
}

static enum sco_status event_evaluation(struct sco_run *run)
{
    const struct sco_run_progress *p = &run->progress;
    return sco_record_object(&run->events,
                             json_pack("{s:s, s:I, s:f, s:o, s:o, s:o, s:b, s:b}", "event", "evaluation", "step",
                                       (json_int_t)p->step, "submission_time", p->submission_time, "train",
                                       evaluation_object(run, &p->train), "validation",
                                       evaluation_object(run, &p->validation), "test", evaluation_object(run, &p->test),
                                       "met_validation_target", run->met_validation, "met_test_target", run->met_test));
}

static json_t *counter_totals(const struct sco_run *run)
{
    json_t *parts = json_object();
    for (size_t part = 0; part < SCO_PARTS; part++) {
        json_t *object = json_object();
        for (size_t i = 0; i < run->timing.counts.count; i++) {
            const int64_t total = run->timing.counts.total[part][i];
            json_object_set_new(object, run->timing.counts.event[i].name,
                                total == SCO_COUNT_ABSENT ? json_null() : json_integer(total));
        }
        json_object_set_new(parts, sco_part_name((enum sco_part)part), object);
    }
    return parts;
}

static enum sco_status event_end(struct sco_run *run)
{
    char hash[24];
    json_t *ns = json_object();
    snprintf(hash, sizeof hash, "%016" PRIx64, sco_run_hash(run));
    for (size_t part = 0; part < SCO_PARTS; part++)
        json_object_set_new(ns, sco_part_name((enum sco_part)part), json_integer((json_int_t)run->timing.total[part]));
    return sco_record_object(
        &run->events, json_pack("{s:s, s:I, s:s, s:s, s:f, s:I, s:I, s:o, s:I, s:o}", "event", "end", "step",
                                (json_int_t)run->progress.step, "why", sco_run_end_name(run->progress.end),
                                "parameters", hash, "submission_time", run->progress.submission_time, "skipped_samples",
                                (json_int_t)run->progress.skipped_samples, "skipped_steps",
                                (json_int_t)run->progress.skipped_steps, "ns", ns, "wall_ns",
                                (json_int_t)run->progress.wall_ns, "counters_of_calling_thread", counter_totals(run)));
}

/* What data and optimizer left out in this step. */
static enum sco_status event_skips(struct sco_run *run, uint64_t samples_seen)
{
    enum sco_status status = SCO_OK;
    const uint64_t samples = sco_dataset_skipped(run->data), steps = sco_optim_skipped(run->optim);
    if (samples > samples_seen)
        status = sco_record_object(&run->events, json_pack("{s:s, s:I, s:I, s:s}", "event", "skipped_samples", "step",
                                                           (json_int_t)run->progress.step, "count",
                                                           (json_int_t)(samples - samples_seen), "last",
                                                           sco_dataset_last_skipped(run->data)));
    if (status == SCO_OK && steps > run->skipped_steps_seen)
        status = sco_record_object(&run->events, json_pack("{s:s, s:I, s:I, s:s}", "event", "skipped_updates", "step",
                                                           (json_int_t)run->progress.step, "count",
                                                           (json_int_t)(steps - run->skipped_steps_seen), "why",
                                                           sco_error_message()));
    run->skipped_steps_seen = steps;
    return status;
}

/* ---- Checkpoints ------------------------------------------------------------------------------------------------- */

static enum sco_status save(struct sco_run *run)
{
    struct sco_run_progress *progress = &run->progress;
    enum sco_status status = sco_record_sync(&run->measurements);
    if (status == SCO_OK)
        status = sco_record_sync(&run->events);
    if (status != SCO_OK)
        return status;
    const double since = run->has_evaluated ? (double)(run->timing.mark - run->evaluated_at) * 1e-9 : -1.0;
    json_t *object = json_pack(
        "{s:i, s:O, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:b, s:b, s:I, s:I, s:I, s:I}", "version", RECORD_VERSION,
        "configuration", run->identity, "step", (json_int_t)progress->step, "submission_time",
        progress->submission_time, "evaluation_time",
        sco_run_seconds(run, run->evaluation_before, SCO_PART_EVALUATION, SCO_PART_EVALUATION), "logging_time",
        sco_run_seconds(run, run->logging_before, SCO_PART_CHECKPOINT, SCO_PART_LOGGING), "total_time",
        sco_run_seconds(run, run->total_before, (enum sco_part)0, SCO_PART_OTHER), "since_evaluation", since,
        "evaluated", (json_int_t)progress->evaluated, "met_validation", run->met_validation, "met_test", run->met_test,
        "preemptions", (json_int_t)progress->preemptions, "skipped_samples", (json_int_t)progress->skipped_samples,
        "measurements_bytes", (json_int_t)run->measurements.bytes, "events_bytes", (json_int_t)run->events.bytes);
    char *meta = object != NULL ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    status = meta != NULL ? sco_checkpoint_save(run->out, progress->step, meta, run->model, run->optim)
                          : sco_fail(SCO_NOMEM, "%s: no memory to describe a checkpoint", run->out);
    json_decref(object);
    free(meta);
    sco_timing_lap(&run->timing, SCO_PART_CHECKPOINT);
    if (status != SCO_OK)
        return status;
    progress->saved = progress->step;
    status = sco_record_object(&run->events,
                               json_pack("{s:s, s:I}", "event", "checkpoint", "step", (json_int_t)progress->step));
    sco_timing_lap(&run->timing, SCO_PART_LOGGING);
    return status;
}

static enum sco_status read_meta(struct sco_run *run, const json_t *meta, uint64_t step)
{
    json_t *configuration = NULL;
    json_int_t version = 0, saved_step = -1, evaluated = 0, preemptions = 0, skipped = 0, measurements = 0, events = 0;
    double since = 0.0;
    int met_validation = 0, met_test = 0;
    struct sco_run_progress *progress = &run->progress;
    if (json_unpack((json_t *)meta, "{s:I, s:o, s:I, s:F, s:F, s:F, s:F, s:F, s:I, s:b, s:b, s:I, s:I, s:I, s:I}",
                    "version", &version, "configuration", &configuration, "step", &saved_step, "submission_time",
                    &run->submission_before, "evaluation_time", &run->evaluation_before, "logging_time",
                    &run->logging_before, "total_time", &run->total_before, "since_evaluation", &since, "evaluated",
                    &evaluated, "met_validation", &met_validation, "met_test", &met_test, "preemptions", &preemptions,
                    "skipped_samples", &skipped, "measurements_bytes", &measurements, "events_bytes", &events) != 0 ||
        version != RECORD_VERSION || saved_step != (json_int_t)step || evaluated < 0 || preemptions < 0 ||
        skipped < 0 || measurements < 0 || events < 0)
        return sco_fail(SCO_FORMAT, "%s: the checkpoint of step %" PRIu64 " was not saved by a run of this version",
                        run->out, step);
    enum sco_status status = sco_train_same(run->out, configuration, run->identity);
    if (status != SCO_OK)
        return status;
    progress->step = progress->step_zero = progress->saved = step;
    progress->submission_time = run->submission_before;
    progress->evaluated = (uint64_t)evaluated;
    progress->preemptions = (uint64_t)preemptions + 1;
    run->skipped_before = (uint64_t)skipped;
    run->met_validation = met_validation != 0;
    run->met_test = met_test != 0;
    run->has_evaluated = since >= 0.0;
    run->evaluated_at = run->timing.mark - (uint64_t)(since * 1e9 * run->has_evaluated);
    status = sco_record_cut(&run->measurements, (uint64_t)measurements);
    return status == SCO_OK ? sco_record_cut(&run->events, (uint64_t)events) : status;
}

/* Takes up the run where its last checkpoint left it. */
static enum sco_status resume(struct sco_run *run, uint64_t step)
{
    json_error_t error;
    char *text = NULL;
    enum sco_status status = sco_checkpoint_meta(run->out, step, &text);
    if (status != SCO_OK)
        return status;
    json_t *meta = json_loads(text, 0, &error);
    status = meta != NULL ? read_meta(run, meta, step)
                          : sco_fail(SCO_FORMAT, "%s: the checkpoint of step %" PRIu64 " has no record of its run",
                                     run->out, step);
    json_decref(meta);
    sco_free(text);
    if (status == SCO_OK)
        status = sco_checkpoint_load(run->out, step, run->model, run->optim);
    if (status == SCO_OK)
        status = sco_dataset_seek(run->data, step);
    if (status == SCO_OK)
        status = event_start(run, "resume");
    run->resumed = true;
    run->skipped_steps_seen = sco_optim_skipped(run->optim);
    return status;
}

/* A run that was killed before its first checkpoint begins again; files of anything else stay. */
static enum sco_status begin(struct sco_run *run)
{
    json_t *first = NULL;
    enum sco_status status = run->events.bytes > 0 ? sco_record_first(&run->events, &first) : SCO_OK;
    if (status == SCO_OK && first != NULL)
        status = sco_train_same(run->out, json_object_get(first, "configuration"), run->identity);
    if (status == SCO_OK && run->events.bytes == 0 && run->measurements.bytes > 0)
        status = sco_fail(SCO_INVALID, "%s: there already, and of no run known here; choose another folder",
                          run->measurements.path);
    json_decref(first);
    if (status == SCO_OK)
        status = sco_record_cut(&run->measurements, 0);
    if (status == SCO_OK)
        status = sco_record_cut(&run->events, 0);
    return status == SCO_OK ? event_start(run, "start") : status;
}

static enum sco_status open_folder(struct sco_run *run, int *found, uint64_t *step)
{
    if (mkdir(run->out, 0777) != 0 && errno != EEXIST)
        return sco_fail(SCO_IO, "%s: the folder cannot be made: %s", run->out, strerror(errno));
    enum sco_status status = sco_record_open(&run->events, run->out, "events.jsonl");
    if (status == SCO_OK)
        status = sco_record_open(&run->measurements, run->out, "measurements.csv");
    return status == SCO_OK ? sco_checkpoint_latest(run->out, found, step) : status;
}

/* ---- Life of a run ----------------------------------------------------------------------------------------------- */

static enum sco_status copy_config(struct sco_run *run, const struct sco_train_config *config)
{
    run->config = *config;
    if (config->data.path != NULL)
        run->config.data.path = run->data_path = strdup(config->data.path);
    if (config->out != NULL)
        run->config.out = run->out = strdup(config->out);
    if (run->config.log_steps == 0)
        run->config.log_steps = 1;
    if ((config->data.path != NULL && run->data_path == NULL) || (config->out != NULL && run->out == NULL))
        return sco_fail(SCO_NOMEM, "no memory for a run");
    return SCO_OK;
}

static enum sco_status allocate(struct sco_run *run)
{
    struct sco_model_config fitted;
    struct sco_model *draft = NULL;
    enum sco_status status = sco_run_plan(run->ctx, &run->config, &run->plan, &run->data, &fitted, &draft);
    if (status == SCO_OK && run->plan.available_bytes != 0 && run->plan.total_bytes > run->plan.available_bytes)
        status = sco_fail(
            SCO_NOMEM, "the run needs %zu bytes and %zu are available; lower the batch, or the model's width or depth",
            run->plan.total_bytes, run->plan.available_bytes);
    if (status == SCO_OK) {
        run->identity = sco_train_identity(&run->config, &run->plan, draft);
        if (run->identity == NULL)
            status = sco_fail(SCO_NOMEM, "no memory for a run");
    }
    sco_model_destroy(draft);
    if (status == SCO_OK)
        status = sco_model_create(&run->model, run->ctx, &fitted);
    if (status == SCO_OK)
        status = sco_optim_create(&run->optim, run->ctx, &run->config.optim, sco_model_tensors(run->model));
    return status;
}

static enum sco_status initialise(struct sco_run *run)
{
    const enum sco_status status = sco_model_init(run->model, run->config.seed);
    return status == SCO_OK ? sco_optim_init(run->optim, (const float *const *)sco_model_params(run->model)) : status;
}

enum sco_status sco_run_open(struct sco_run **out, struct sco_ctx *ctx, const struct sco_train_config *config)
{
    int found = 0;
    uint64_t step = 0;
    *out = NULL;
    struct sco_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return sco_fail(SCO_NOMEM, "no memory for a run");
    run->ctx = ctx;
    sco_timing_start(&run->timing, config->counters != 0);
    run->start = run->timing.mark;
    enum sco_status status = copy_config(run, config);
    if (status == SCO_OK)
        status = allocate(run);
    if (status == SCO_OK && run->out != NULL)
        status = open_folder(run, &found, &step);
    if (status == SCO_OK && found)
        status = resume(run, step);
    else if (status == SCO_OK) {
        status = initialise(run);
        if (status == SCO_OK && run->out != NULL)
            status = begin(run);
    }
    if (status != SCO_OK) {
        sco_run_close(run);
        return status;
    }
    update_progress(run);
    *out = run;
    return SCO_OK;
}

void sco_run_close(struct sco_run *run)
{
    if (run == NULL)
        return;
    sco_dataset_close(run->data);
    sco_optim_destroy(run->optim);
    sco_model_destroy(run->model);
    sco_record_close(&run->measurements);
    sco_record_close(&run->events);
    sco_timing_stop(&run->timing);
    json_decref(run->identity);
    free(run->data_path);
    free(run->out);
    free(run);
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

static enum sco_status apply(void *argument, size_t tensor, float *p, const float *g)
{
    struct sco_run *run = argument;
    sco_timing_lap(&run->timing, SCO_PART_BACKWARD);
    const enum sco_status status = sco_optim_apply(run->optim, tensor, p, g);
    sco_timing_lap(&run->timing, SCO_PART_OPTIMIZER);
    return status;
}

static enum sco_status update(struct sco_run *run, float loss)
{
    enum sco_status status = SCO_OK;
    if (run->config.fused_step) {
        status = sco_optim_prepare(run->optim, loss);
        sco_timing_lap(&run->timing, SCO_PART_OPTIMIZER);
        if (status == SCO_OK)
            status = sco_model_backward(run->model, apply, run);
        sco_timing_lap(&run->timing, SCO_PART_BACKWARD);
        return status;
    }
    status = sco_model_backward(run->model, NULL, NULL);
    sco_timing_lap(&run->timing, SCO_PART_BACKWARD);
    if (status == SCO_OK)
        status = sco_optim_step(run->optim, loss, sco_model_params(run->model),
                                (const float *const *)sco_model_gradients(run->model));
    sco_timing_lap(&run->timing, SCO_PART_OPTIMIZER);
    return status;
}

static double current_rate(const struct sco_run *run)
{
    const struct sco_optim_config *optim = &run->config.optim;
    return optim->kind == SCO_OPTIM_VELO ? NAN : sco_schedule_lr(&optim->schedule, sco_optim_steps(run->optim));
}

static enum sco_status iterate(struct sco_run *run)
{
    struct sco_run_progress *progress = &run->progress;
    const struct sco_batch *batch = NULL;
    struct sco_model_result result;
    const uint64_t skipped = sco_dataset_skipped(run->data);
    progress->lr = current_rate(run);
    enum sco_status status = sco_dataset_next(run->data, &batch);
    sco_timing_lap(&run->timing, SCO_PART_DATA);
    if (status != SCO_OK)
        return status;
    if (batch == NULL)
        return sco_fail(SCO_FORMAT, "%s: the training data ended", run->data_path);
    status = sco_model_forward(run->model, batch, SCO_MODEL_TRAIN, progress->step, &result);
    sco_timing_lap(&run->timing, SCO_PART_FORWARD);
    if (status != SCO_OK)
        return status;
    progress->samples = batch->samples;
    progress->loss = result.loss;
    status = update(run, (float)result.loss);
    if (status != SCO_OK)
        return status;
    progress->step++;
    update_progress(run);
    if (run->out == NULL)
        return SCO_OK;
    status = event_skips(run, skipped);
    if (status == SCO_OK && progress->step % run->config.log_steps == 0)
        status = event_step(run);
    sco_timing_lap(&run->timing, SCO_PART_LOGGING);
    return status;
}

static bool complete(const struct sco_run *run)
{
    return run->config.steps != 0 && run->progress.step >= run->config.steps;
}

static bool evaluation_is_due(const struct sco_run *run)
{
    const struct sco_train_config *config = &run->config;
    const uint64_t step = run->progress.step;
    if (config->no_evaluation || step == 0 || run->progress.evaluated == step)
        return false;
    if (complete(run))
        return true;
    if (config->eval_steps != 0)
        return step == 1 || step % config->eval_steps == 0;
    return !run->has_evaluated || (double)(run->timing.mark - run->evaluated_at) * 1e-9 >= config->eval_period;
}

static enum sco_status evaluate(struct sco_run *run, bool *stopped)
{
    enum sco_status status = sco_run_evaluate(run, stopped);
    sco_timing_lap(&run->timing, SCO_PART_EVALUATION);
    if (status != SCO_OK || *stopped)
        return status;
    if (run->out != NULL) {
        status = sco_run_measure(run);
        if (status == SCO_OK)
            status = event_evaluation(run);
        sco_timing_lap(&run->timing, SCO_PART_LOGGING);
    }
    run->has_evaluated = true;
    run->evaluated_at = run->timing.mark;
    return status;
}

/* Why the run ends here, as AlgoPerf's loop asks after each step. */
static enum sco_run_end end_of(const struct sco_run *run)
{
    const struct sco_train_config *config = &run->config;
    if (complete(run))
        return SCO_RUN_COMPLETE;
    if (config->until_targets && run->met_validation && run->met_test)
        return SCO_RUN_TARGETS;
    if (config->max_runtime > 0.0 && run->progress.submission_time >= config->max_runtime)
        return SCO_RUN_RUNTIME;
    return SCO_RUN_GOES_ON;
}

static enum sco_status after_step(struct sco_run *run)
{
    struct sco_run_progress *progress = &run->progress;
    const uint64_t every = run->config.checkpoint_steps;
    bool stopped = false;
    enum sco_status status = evaluation_is_due(run) ? evaluate(run, &stopped) : SCO_OK;
    progress->end = stopped ? SCO_RUN_STOPPED : end_of(run);
    progress->done = progress->end != SCO_RUN_GOES_ON;
    if (status == SCO_OK && run->out != NULL && !stopped && every != 0 && progress->step % every == 0 &&
        progress->saved != progress->step)
        status = save(run);
    return status;
}

enum sco_status sco_run_step(struct sco_run *run)
{
    struct sco_run_progress *progress = &run->progress;
    if (progress->done)
        return SCO_OK;
    if (run->failed)
        return sco_fail(SCO_INVALID, "a step of this run has failed; open it again to go on from its last checkpoint");
    sco_timing_iteration(&run->timing);
    enum sco_status status = run->resumed ? after_step(run) : SCO_OK;
    run->resumed = false;
    if (status == SCO_OK && !progress->done && run->config.stop != NULL &&
        run->config.stop(run->config.stop_argument) != 0) {
        progress->end = SCO_RUN_STOPPED;
        progress->done = 1;
    }
    if (status == SCO_OK && !progress->done) {
        status = iterate(run);
        if (status == SCO_OK)
            status = after_step(run);
    }
    run->failed = status != SCO_OK;
    update_progress(run);
    return status;
}

enum sco_status sco_run_finish(struct sco_run *run)
{
    enum sco_status status = SCO_OK;
    if (run->failed)
        return sco_fail(SCO_INVALID, "a step of this run has failed: its last checkpoint stays as it is");
    sco_timing_lap(&run->timing, SCO_PART_OTHER);
    if (run->out != NULL && (run->progress.saved != run->progress.step || run->progress.step == 0))
        status = save(run);
    update_progress(run);
    if (status == SCO_OK && run->out != NULL)
        status = event_end(run);
    sco_timing_lap(&run->timing, SCO_PART_LOGGING);
    update_progress(run);
    return status;
}

/* ---- Access ------------------------------------------------------------------------------------------------------ */

const struct sco_run_progress *sco_run_get_progress(const struct sco_run *run)
{
    return &run->progress;
}

const struct sco_train_plan *sco_run_get_plan(const struct sco_run *run)
{
    return &run->plan;
}

const struct sco_train_config *sco_run_get_config(const struct sco_run *run)
{
    return &run->config;
}

const struct sco_run_counters *sco_run_get_counters(const struct sco_run *run)
{
    return &run->timing.counts;
}

struct sco_model *sco_run_model(struct sco_run *run)
{
    return run->model;
}

uint64_t sco_run_hash(struct sco_run *run)
{
    const struct sco_tensor_list *list = sco_model_tensors(run->model);
    uint64_t hash = SCO_HASH_START;
    for (size_t i = 0; i < list->count; i++) {
        size_t n = 0;
        sco_tensor_elements(&list->tensors[i], &n);
        hash = sco_hash_floats(hash, sco_model_params(run->model)[i], n);
    }
    const struct sco_model_array *state;
    for (size_t i = 0; (state = sco_model_state(run->model, i)) != NULL; i++)
        hash = sco_hash_floats(hash, state->values, state->count);
    return hash;
}

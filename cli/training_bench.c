/* SPDX-License-Identifier: Apache-2.0
 * stepcost train --bench: the time of an iteration and its parts, and what the fused step saves. */
#include <jansson.h>
#include <stdlib.h>

#include "cli/report/report.h"
#include "cli/training.h"
#include "stepcost/velo.h"

/* What belongs to an iteration of the protocol, as its submission time counts it. */
enum { ITERATION_PARTS = SCO_PART_OPTIMIZER + 1, SERIES = ITERATION_PARTS + 2 };
enum series { SERIES_ITERATION = ITERATION_PARTS, SERIES_UPDATE /* backward and optimizer together */ };

/* An event as the run had it; the run is closed when it is printed. */
struct event {
    char name[48], reason[256];
    bool absent;
};

struct bench {
    struct sco_stats ms[SERIES];
    double samples_per_second; /* of all timed steps */
    double best_samples_per_second;
    double optimizer_share; /* of the time of all timed steps */
    struct sco_train_plan plan;
    struct sco_run_counters counters;
    struct event events[SCO_RUN_COUNTERS];
    double loss;
};

static void sample(const struct sco_run_progress *progress, double *ms[SERIES], size_t i)
{
    double sum = 0.0;
    for (size_t part = 0; part < ITERATION_PARTS; part++) {
        ms[part][i] = (double)progress->seconds_ns[part] * 1e-6;
        sum += ms[part][i];
    }
    ms[SERIES_ITERATION][i] = sum;
    ms[SERIES_UPDATE][i] = ms[SCO_PART_BACKWARD][i] + ms[SCO_PART_OPTIMIZER][i];
}

static enum sco_status time_steps(const struct training *training, struct sco_run *run, double *ms[SERIES],
                                  struct bench *bench, bool *stopped)
{
    const struct sco_run_progress *progress = sco_run_get_progress(run);
    double total = 0.0, optimizer = 0.0, samples = 0.0;
    enum sco_status status = SCO_OK;
    for (size_t i = 0; i < training->warmup_steps && status == SCO_OK && !progress->done; i++)
        status = sco_run_step(run);
    for (size_t i = 0; i < training->bench_steps && status == SCO_OK && !progress->done; i++) {
        status = sco_run_step(run);
        sample(progress, ms, i);
        const double rate = (double)progress->samples / (ms[SERIES_ITERATION][i] * 1e-3);
        if (rate > bench->best_samples_per_second)
            bench->best_samples_per_second = rate;
        total += ms[SERIES_ITERATION][i];
        optimizer += ms[SCO_PART_OPTIMIZER][i];
        samples += (double)progress->samples;
        char text[96];
        snprintf(text, sizeof text, "step %zu of %zu: %.1f ms", i + 1, training->bench_steps, ms[SERIES_ITERATION][i]);
        cli_progress(NULL, text);
    }
    cli_progress_end();
    *stopped = progress->done != 0;
    if (status != SCO_OK || *stopped)
        return status;
    bench->samples_per_second = samples / (total * 1e-3);
    bench->optimizer_share = optimizer / total;
    bench->loss = progress->loss;
    for (size_t s = 0; s < SERIES; s++)
        sco_stats_sort(ms[s], training->bench_steps, &bench->ms[s]);
    return SCO_OK;
}

static int measure(const struct training *training, int fused, struct bench *bench)
{
    struct sco_train_config config = training->config;
    struct sco_run *run = NULL;
    double *ms[SERIES];
    bool stopped = false;
    config.fused_step = fused;
    config.out = NULL;
    config.no_evaluation = 1;
    config.until_targets = 0;
    config.steps = 0;
    config.max_runtime = 0.0;
    *bench = (struct bench){.samples_per_second = 0.0};
    double *memory = calloc(training->bench_steps * SERIES, sizeof *memory);
    if (memory == NULL)
        return cli_fail(CLI_ENVIRONMENT, "no memory for %zu steps", training->bench_steps);
    for (size_t s = 0; s < SERIES; s++)
        ms[s] = memory + s * training->bench_steps;
    enum sco_status status = sco_run_open(&run, training->ctx, &config);
    if (status == SCO_OK)
        status = time_steps(training, run, ms, bench, &stopped);
    if (status == SCO_OK) {
        bench->plan = *sco_run_get_plan(run);
        bench->counters = *sco_run_get_counters(run);
        for (size_t i = 0; i < bench->counters.count; i++) {
            const struct sco_counter *counter = &bench->counters.event[i];
            struct event *event = &bench->events[i];
            snprintf(event->name, sizeof event->name, "%s", counter->name);
            snprintf(event->reason, sizeof event->reason, "%s", counter->reason);
            event->absent = counter->source == SCO_COUNTER_ABSENT;
        }
    }
    sco_run_close(run);
    free(memory);
    if (status != SCO_OK)
        return cli_fail_status(status);
    return stopped ? cli_fail(CLI_FAILED, "interrupted: nothing is reported") : CLI_OK;
}

/* ---- Reports ----------------------------------------------------------------------------------------------------- */

static const char *series_name(size_t series)
{
    if (series == SERIES_ITERATION)
        return "iteration";
    return series == SERIES_UPDATE ? "backward_and_optimizer" : sco_part_name((enum sco_part)series);
}

static void print_counters(const struct bench *bench)
{
    for (size_t i = 0; i < bench->counters.count; i++) {
        const struct event *event = &bench->events[i];
        if (event->absent) {
            printf("  %-22s not counted: %s\n", event->name, event->reason);
            continue;
        }
        printf("  %-22s", event->name);
        for (size_t part = 0; part < ITERATION_PARTS; part++)
            printf(" %s %.3g", sco_part_name((enum sco_part)part), (double)bench->counters.total[part][i]);
        putchar('\n');
    }
}

static void print_bench(const struct bench *bench)
{
    printf("  %-22s %10s %10s %8s\n", "ms", "min", "median", "share");
    for (size_t s = 0; s < SERIES; s++)
        printf("  %-22s %10.3f %10.3f %6.1f %%\n", series_name(s), bench->ms[s].min, bench->ms[s].median,
               100.0 * bench->ms[s].median / bench->ms[SERIES_ITERATION].median);
    printf("  %.1f samples/s, best step %.1f; loss %.6g\n", bench->samples_per_second, bench->best_samples_per_second,
           bench->loss);
}

static void print_fused(const struct bench *plain, const struct bench *fused)
{
    char bytes[CLI_BYTES_TEXT];
    const double before = plain->ms[SERIES_UPDATE].median, after = fused->ms[SERIES_UPDATE].median;
    printf("the fused step saves %s of gradients, and %.3f of %.3f ms of backward and optimizer (%+.1f %%)\n",
           cli_format_bytes(bytes, (double)(fused->plan.gradient_bytes_unfused - fused->plan.model.gradient_bytes)),
           before - after, before, 100.0 * (after - before) / before);
}

static void print_prediction(const struct bench *bench, const struct prediction *prediction)
{
    const double ms = bench->ms[SCO_PART_OPTIMIZER].median;
    if (prediction->ms > 0.0)
        printf("optimizer: %.1f %% of an iteration; %.3f ms here, stepcost cost has %.3f ms for these tensors (%+.1f "
               "%%)\n",
               100.0 * bench->optimizer_share, ms, prediction->ms, 100.0 * (ms - prediction->ms) / prediction->ms);
    else
        printf("optimizer: %.1f %% of an iteration%s%s\n", 100.0 * bench->optimizer_share,
               prediction->why[0] != '\0' ? "; stepcost cost: " : "", prediction->why);
}

static json_t *report_bench(const struct bench *bench)
{
    json_t *parts = json_object(), *counters = json_object();
    for (size_t s = 0; s < SERIES; s++)
        json_object_set_new(parts, series_name(s), cli_report_stats(&bench->ms[s], 1.0));
    for (size_t i = 0; i < bench->counters.count; i++) {
        json_t *counts = json_object();
        for (size_t part = 0; part < ITERATION_PARTS; part++) {
            const int64_t total = bench->counters.total[part][i];
            json_object_set_new(counts, sco_part_name((enum sco_part)part),
                                total == SCO_COUNT_ABSENT ? json_null() : json_integer(total));
        }
        json_object_set_new(counts, "reason", json_string(bench->events[i].reason));
        json_object_set_new(counters, bench->events[i].name, counts);
    }
    return json_pack("{s:o, s:f, s:f, s:f, s:I, s:I, s:o}", "ms", parts, "samples_per_second",
                     bench->samples_per_second, "best_samples_per_second", bench->best_samples_per_second,
                     "optimizer_share", bench->optimizer_share, "gradient_bytes",
                     (json_int_t)bench->plan.model.gradient_bytes, "total_bytes", (json_int_t)bench->plan.total_bytes,
                     "counters_of_calling_thread", counters);
}

static json_t *report(const struct training *training, const struct bench *plain, const struct bench *fused,
                      const struct prediction *prediction)
{
    const struct sco_train_config *config = &training->config;
    return json_pack(
        "{s:i, s:s, s:o, s:s, s:s, s:b, s:s?, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "schema", CLI_REPORT_SCHEMA,
        "report", "train-bench", "context", cli_report_context(training->ctx, training->environment), "workload",
        sco_workload_name(config->model.workload), "optimizer", sco_optim_name(config->optim.kind), "synthetic_data",
        plain->plan.data.synthetic, "weights", training->theta != NULL ? sco_velo_theta_origin(training->theta) : NULL,
        "batch", (json_int_t)config->model.batch, "steps", (json_int_t)training->bench_steps, "warmup_steps",
        (json_int_t)training->warmup_steps, "parameters", (json_int_t)plain->plan.model.parameters, "plain",
        report_bench(plain), "fused", fused != NULL ? report_bench(fused) : json_null(), "cost_ms",
        prediction->ms > 0.0 ? json_real(prediction->ms) : json_null());
}

static void predict(struct training *training, struct prediction *prediction)
{
    struct sco_train_plan plan;
    struct sco_model *draft = NULL;
    if (sco_train_plan_of(training->ctx, &training->config, &plan, &draft) != SCO_OK)
        return;
    training_predict(training, sco_model_tensors(draft), prediction);
    sco_model_destroy(draft);
}

int training_bench(struct training *training)
{
    struct bench plain, fused;
    struct prediction prediction = {0};
    char title[512];
    const bool both = training->config.fused_step != 0;
    int code = measure(training, 0, &plain);
    if (code == CLI_OK && both)
        code = measure(training, 1, &fused);
    if (code != CLI_OK)
        return code;
    if (training->predict)
        predict(training, &prediction);
    if (training->json.file != stdout) {
        printf("%s%s%s: %zu steps after %zu\n", cli_bold(), training_title(training, &plain.plan, title, sizeof title),
               cli_plain(), training->bench_steps, training->warmup_steps);
        if (training->theta != NULL)
            printf("velo weights: %s\n", sco_velo_theta_origin(training->theta));
        print_bench(&plain);
        if (both) {
            puts("fused");
            print_bench(&fused);
            print_fused(&plain, &fused);
        }
        print_prediction(&plain, &prediction);
        puts("counters of the calling thread, all steps:");
        print_counters(both ? &fused : &plain);
    }
    if (training->json.file != NULL)
        code = cli_report_write(training->json.file, training->json.path,
                                report(training, &plain, both ? &fused : NULL, &prediction));
    return code == CLI_OK ? cli_output_commit(&training->json) : code;
}

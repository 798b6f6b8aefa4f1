/* SPDX-License-Identifier: Apache-2.0
 * What a training will need: stepcost train --dry-run, and the step that `stepcost cost` predicts. */
#include <inttypes.h>
#include <jansson.h>

#include "cli/report/report.h"
#include "cli/training.h"

enum { COST_SECONDS = 3 };

void training_predict(const struct training *training, const struct sco_tensor_list *tensors, struct prediction *out)
{
    const struct sco_optim_config *optim = &training->config.optim;
    const char *name = sco_workload_name(training->config.model.workload);
    const struct sco_cost_workload workload = {name, *tensors};
    const struct sco_cost_options options = {
        .workloads = &workload,
        .workload_count = 1,
        .kinds = &optim->kind,
        .kind_count = 1,
        .theta = optim->theta,
        .num_steps = optim->num_steps,
        .nonfinite = optim->nonfinite,
        .seconds = COST_SECONDS,
    };
    struct sco_cost_report *report = NULL;
    *out = (struct prediction){0};
    const enum sco_status status = sco_cost_run(&report, training->ctx, &options);
    if (status != SCO_OK) {
        snprintf(out->why, sizeof out->why, "%.300s", sco_error_message());
        return;
    }
    out->peak_gflops = report->peak_gflops;
    if (report->row_count > 0)
        out->ms = report->rows[0].ns_per_param.median * (double)report->rows[0].params * 1e-6;
    else
        snprintf(out->why, sizeof out->why, "%s", report->refusal_count > 0 ? report->refusals[0].why : "");
    sco_cost_report_destroy(report);
}

char *training_count(char text[16], double n)
{
    if (n < 1e4)
        snprintf(text, 16, "%.0f", n);
    else if (n < 1e6)
        snprintf(text, 16, "%.1f k", n * 1e-3);
    else
        snprintf(text, 16, "%.1f M", n * 1e-6);
    return text;
}

char *training_title(const struct training *training, const struct sco_train_plan *plan, char *text, size_t bytes)
{
    const struct sco_train_config *config = &training->config;
    const size_t threads = training->environment->threads;
    snprintf(text, bytes, "%s on %s with %s%s, batch %zu, %zu thread%s", sco_workload_name(config->model.workload),
             plan->data.synthetic ? "synthetic data (made up)" : config->data.path, sco_optim_name(config->optim.kind),
             config->fused_step ? ", fused step" : "", config->model.batch, threads, threads == 1 ? "" : "s");
    return text;
}

static void print_bytes(const char *what, size_t bytes, const char *note)
{
    char text[CLI_BYTES_TEXT];
    printf("  %-20s %10s%s%s\n", what, cli_format_bytes(text, (double)bytes), note[0] != '\0' ? "  " : "", note);
}

static void print_memory(const struct sco_train_plan *plan)
{
    char note[64], count[16];
    snprintf(note, sizeof note, "%s in %zu tensors", training_count(count, (double)plan->model.parameters),
             plan->tensors);
    print_bytes("parameters", plan->model.parameter_bytes, note);
    print_bytes("gradients", plan->model.gradient_bytes,
                plan->model.gradient_bytes != plan->gradient_bytes_unfused ? "shared by the fused step" : "");
    print_bytes("running statistics", plan->model.state_bytes, "");
    print_bytes("activations", plan->model.activation_bytes, "");
    print_bytes("workspace", plan->model.workspace_bytes, "");
    print_bytes("optimizer state", plan->optim_state_bytes, "");
    print_bytes("optimizer workspace", plan->optim_workspace_bytes, "");
    print_bytes("data", plan->data_bytes, "batches in use and prepared, indices");
    print_bytes("total", plan->total_bytes, "");
    print_bytes("available", plan->available_bytes, "");
}

/* A lower bound: the peak is that of multiply-adds in registers. */
static double least_ms(const struct sco_train_plan *plan, const struct prediction *prediction)
{
    const double flops = plan->model.forward_flops + plan->model.backward_flops;
    return prediction->ms + (prediction->peak_gflops > 0.0 ? flops / prediction->peak_gflops * 1e-6 : 0.0);
}

static void print_time(const struct training *training, const struct sco_train_plan *plan,
                       const struct prediction *prediction)
{
    const double gflop = (plan->model.forward_flops + plan->model.backward_flops) * 1e-9;
    const double ms = least_ms(plan, prediction);
    printf("time of a step, from flops and measured peaks: a lower bound; --bench measures steps\n");
    if (prediction->peak_gflops > 0.0)
        printf("  forward, backward    %10.3f ms  %.3f GFLOP at %.0f GFLOP/s multiply-add peak\n",
               gflop / prediction->peak_gflops * 1e3, gflop, prediction->peak_gflops);
    else
        printf("  forward, backward           unknown  %.3f GFLOP\n", gflop);
    if (prediction->ms > 0.0)
        printf("  optimizer            %10.3f ms  as stepcost cost measures it\n", prediction->ms);
    else
        printf("  optimizer                   unknown  %s\n", prediction->why);
    if (ms > 0.0)
        printf("  step, at least       %10.3f ms\n", ms);
    if (ms > 0.0 && training->config.steps != 0)
        printf("  %" PRIu64 " steps, at least %.0f s, without evaluation\n", training->config.steps,
               ms * 1e-3 * (double)training->config.steps);
}

static json_t *report_plan(const struct training *training, const struct sco_train_plan *plan,
                           const struct prediction *prediction)
{
    const struct sco_train_config *config = &training->config;
    const double ms = least_ms(plan, prediction);
    json_t *memory =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "parameter_bytes",
                  (json_int_t)plan->model.parameter_bytes, "gradient_bytes", (json_int_t)plan->model.gradient_bytes,
                  "gradient_bytes_unfused", (json_int_t)plan->gradient_bytes_unfused, "statistics_bytes",
                  (json_int_t)plan->model.state_bytes, "activation_bytes", (json_int_t)plan->model.activation_bytes,
                  "workspace_bytes", (json_int_t)plan->model.workspace_bytes, "optimizer_state_bytes",
                  (json_int_t)plan->optim_state_bytes, "optimizer_workspace_bytes",
                  (json_int_t)plan->optim_workspace_bytes, "data_bytes", (json_int_t)plan->data_bytes, "total_bytes",
                  (json_int_t)plan->total_bytes, "available_bytes", (json_int_t)plan->available_bytes);
    return json_pack("{s:i, s:s, s:o, s:s, s:s, s:b, s:I, s:I, s:I, s:f, s:f, s:o, s:o, s:o}", "schema",
                     CLI_REPORT_SCHEMA, "report", "train-plan", "context",
                     cli_report_context(training->ctx, training->environment), "workload",
                     sco_workload_name(config->model.workload), "optimizer", sco_optim_name(config->optim.kind),
                     "synthetic_data", plan->data.synthetic, "batch", (json_int_t)config->model.batch, "tensors",
                     (json_int_t)plan->tensors, "parameters", (json_int_t)plan->model.parameters, "forward_flops",
                     plan->model.forward_flops, "backward_flops", plan->model.backward_flops, "memory", memory,
                     "optimizer_ms", prediction->ms > 0.0 ? json_real(prediction->ms) : json_null(), "step_ms_at_least",
                     ms > 0.0 ? json_real(ms) : json_null());
}

int training_dry_run(struct training *training)
{
    struct sco_train_plan plan;
    struct sco_model *draft = NULL;
    struct prediction prediction = {.why = "the plan does not fit"};
    char title[512];
    int code = CLI_OK;
    const enum sco_status status = sco_train_plan_of(training->ctx, &training->config, &plan, &draft);
    if (status != SCO_OK)
        return cli_fail_status(status);
    const bool fits = plan.available_bytes == 0 || plan.total_bytes <= plan.available_bytes;
    if (fits && training->predict)
        training_predict(training, sco_model_tensors(draft), &prediction);
    else if (fits)
        snprintf(prediction.why, sizeof prediction.why, "not measured");
    if (training->json.file != stdout) {
        printf("%s%s%s\n", cli_bold(), training_title(training, &plan, title, sizeof title), cli_plain());
        print_memory(&plan);
        print_time(training, &plan, &prediction);
    }
    if (training->json.file != NULL)
        code = cli_report_write(training->json.file, training->json.path, report_plan(training, &plan, &prediction));
    if (code == CLI_OK)
        code = cli_output_commit(&training->json);
    sco_model_destroy(draft);
    if (code == CLI_OK && !fits)
        code = cli_fail(CLI_ENVIRONMENT,
                        "the run needs %zu bytes and %zu are available; lower the batch, or the "
                        "model's width or depth",
                        plan.total_bytes, plan.available_bytes);
    return code;
}

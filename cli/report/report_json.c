/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/report/report.h"
#include "stepcost/counters.h"
#include "stepcost/topology.h"

static json_t *report_rows(const struct sco_ctx *ctx)
{
    json_t *rows = json_object();
    for (size_t f = 0; sco_ctx_family(ctx, f) != NULL; f++)
        for (size_t s = 0; sco_ctx_slot(ctx, f, s) != NULL; s++) {
            char slot[96];
            snprintf(slot, sizeof slot, "%s.%s", sco_ctx_family(ctx, f), sco_ctx_slot(ctx, f, s));
            json_object_set_new(rows, slot, json_string(sco_ctx_row(ctx, f, s)));
        }
    return rows;
}

static json_t *report_caches(const struct sco_topology *topology)
{
    json_t *caches = json_array();
    const size_t kinds = sco_topology_counts(topology).kinds;
    for (size_t kind = 0; kind < kinds; kind++) {
        const struct sco_cpu_kind cores = sco_topology_kind(topology, kind);
        for (size_t level = 0; level < SCO_CACHE_LEVELS; level++) {
            const struct sco_cache *cache = &cores.cache[level];
            if (cache->bytes != 0)
                json_array_append_new(caches,
                                      json_pack("{s:I, s:I, s:I, s:I, s:I}", "core_kind", (json_int_t)kind, "level",
                                                (json_int_t)level + 1, "bytes", (json_int_t)cache->bytes, "line_bytes",
                                                (json_int_t)cache->line_bytes, "cpus", (json_int_t)cache->pus));
        }
    }
    return caches;
}

json_t *cli_report_context(struct sco_ctx *ctx, const struct sco_environment *e)
{
    const struct sco_topology *topology = sco_ctx_topology(ctx);
    const struct sco_topology_counts counts = sco_topology_counts(topology);
    json_t *pinned = json_array();
    for (size_t rank = 0; rank < e->threads; rank++)
        json_array_append_new(pinned, json_integer(e->cores[rank]));
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:o, s:I, s:I, s:I, s:I, s:s, s:f, s:f, s:f, s:s, "
        "s:I, s:I, s:f}",
        "version", e->version, "commit", e->commit, "compiler", e->compiler, "flags", e->flags, "date", e->date, "cpu",
        e->cpu, "system", e->system, "isa", e->isa, "rows", report_rows(ctx), "caches", report_caches(topology),
        "threads", (json_int_t)e->threads, "pinned_cpus", pinned, "packages", (json_int_t)counts.packages, "numa_nodes",
        (json_int_t)counts.numa_nodes, "cores", (json_int_t)counts.cores, "allowed_cpus", (json_int_t)counts.pus,
        "governor", e->governor, "ghz_estimate", e->cycles_per_ns, "clock_overhead_ns", e->clock_overhead_ns,
        "clock_resolution_ns", e->clock_resolution_ns, "huge_pages", e->huge_pages, "memory_bytes",
        (json_int_t)e->memory_bytes, "memory_available_bytes", (json_int_t)e->memory_available_bytes, "load_average",
        e->load_average);
}

/* Each event in a set of its own: what can be read at all, not what can be read at once. */
static json_t *report_counters(void)
{
    static const char *const names[] = {"PAPI_TOT_CYC", "PAPI_TOT_INS", "PAPI_L1_DCM",       "PAPI_L2_DCM",
                                        "PAPI_L3_TCM",  "PAPI_FP_OPS",  "perf::PAGE-FAULTS", "perf::TASK-CLOCK"};
    json_t *array = json_array();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct sco_counters *counters;
        if (sco_counters_open(&counters, &names[i], 1) != SCO_OK)
            continue;
        const struct sco_counter event = sco_counters_event(counters, 0);
        json_array_append_new(array, json_pack("{s:s, s:b, s:s, s:s}", "name", event.name, "available",
                                               event.source != SCO_COUNTER_ABSENT, "source",
                                               sco_counter_source_name(event.source), "reason", event.reason));
        sco_counters_close(counters);
    }
    return array;
}

json_t *cli_report_info(struct sco_ctx *ctx, const struct sco_environment *environment)
{
    char levels[64];
    return json_pack("{s:i, s:s, s:s, s:o, s:o}", "schema", CLI_REPORT_SCHEMA, "report", "info", "isa_detected",
                     sco_isa_format(sco_isa_detected(), levels, sizeof levels), "counters", report_counters(),
                     "context", cli_report_context(ctx, environment));
}

static json_t *interval(double low, double high)
{
    return json_pack("[f, f]", low, high);
}

/* No values become null. */
json_t *cli_report_stats(const struct sco_stats *stats, double factor)
{
    if (stats->count == 0)
        return json_null();
    return json_pack("{s:f, s:f, s:o, s:f, s:f, s:I}", "min", factor * stats->min, "median", factor * stats->median,
                     "ci95", interval(factor * stats->low, factor * stats->high), "confidence", stats->confidence,
                     "spread", stats->spread, "rounds", (json_int_t)stats->count);
}

static json_t *report_samples(const double *samples, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_real(samples[i]));
    return array;
}

static const char *stop_name(enum sco_stop stop)
{
    return stop == SCO_STOP_SPREAD ? "spread" : "budget";
}

static const char *nonfinite_name(enum sco_nonfinite_policy policy)
{
    return policy == SCO_NONFINITE_STOP ? "stop" : policy == SCO_NONFINITE_SKIP ? "skip" : "pass";
}

static const char *limit_name(int compute_bound)
{
    return compute_bound ? "compute" : "memory";
}

static json_t *optional_string(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}

static json_t *report_cost_row(const struct sco_cost_row *row, size_t threads)
{
    json_t *phases = json_object();
    for (size_t i = 0; i < row->phase_count; i++)
        json_object_set_new(phases, row->phases[i].name, cli_report_stats(&row->phases[i].ns_per_param, 1.0));
    const double params = (double)row->params;
    json_t *object = json_pack(
        "{s:s, s:s, s:I, s:o, s:I, s:I, s:I, s:b, s:o, s:o}", "workload", row->workload, "optimizer",
        sco_optim_name(row->kind), "threads", (json_int_t)threads, "weights", optional_string(row->weights), "tensors",
        (json_int_t)row->tensors, "params", (json_int_t)row->params, "full_params", (json_int_t)row->full_params,
        "shortened", row->params != row->full_params, "ns_per_param", cli_report_stats(&row->ns_per_param, 1.0),
        "ms_per_step", cli_report_stats(&row->ns_per_param, params * 1e-6));
    const int has_ratio = row->ratio_to_adam.count != 0;
    json_object_set_new(object, "ratio_to_adam", has_ratio ? json_real(row->ratio_to_adam.median) : json_null());
    json_object_set_new(object, "ratio_to_adam_ci95",
                        has_ratio ? interval(row->ratio_to_adam.low, row->ratio_to_adam.high) : json_null());
    json_object_set_new(object, "ratio_paired", json_boolean(row->ratio_paired));
    json_t *rest =
        json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:{s:s, s:f, s:f, s:f}, s:f, s:s, s:o, s:s, s:I, s:I, s:I, s:o}",
                  "state_bytes", (json_int_t)row->state_bytes, "workspace_bytes", (json_int_t)row->workspace_bytes,
                  "state_bytes_per_param", (double)row->state_bytes / params, "model_bytes_per_param", row->model_bytes,
                  "model_flops_per_param", row->model_flops, "gbs", row->gbs, "gflops", row->gflops, "roof", "pattern",
                  sco_roof_name(row->pattern), "pattern_bytes", sco_roof_bytes(row->pattern), "gbs", row->roof_gbs,
                  "gflops", row->roof_gflops, "roof_fraction", row->roof_fraction, "limit",
                  limit_name(row->compute_bound), "phases", phases, "stop", stop_name(row->stop), "resets",
                  (json_int_t)row->resets, "steps_per_sample", (json_int_t)row->steps_per_sample, "samples_per_round",
                  (json_int_t)row->samples_per_round, "samples", report_samples(row->samples, row->sample_count));
    json_object_update(object, rest);
    json_decref(rest);
    return object;
}

static json_t *report_roofs(const struct sco_roof *roofs, size_t count, size_t threads)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            array, json_pack("{s:o, s:s, s:I, s:I, s:f, s:o, s:f}", "workload", optional_string(roofs[i].workload),
                             "pattern", sco_roof_name(roofs[i].pattern), "threads", (json_int_t)threads, "elements",
                             (json_int_t)roofs[i].elements, "bytes_per_element", sco_roof_bytes(roofs[i].pattern),
                             "ns_per_element", cli_report_stats(&roofs[i].ns_per_element, 1.0), "gbs", roofs[i].gbs));
    return array;
}

static json_t *report_cost_rows(const struct sco_cost_row *rows, size_t count, size_t threads)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, report_cost_row(&rows[i], threads));
    return array;
}

json_t *cli_report_cost(struct sco_ctx *ctx, const struct sco_environment *environment,
                        const struct sco_cost_report *report)
{
    const size_t threads = environment->threads;
    json_t *refused = json_array();
    for (size_t i = 0; i < report->refusal_count; i++) {
        const struct sco_cost_refusal *refusal = &report->refusals[i];
        json_array_append_new(refused, json_pack("{s:s, s:s, s:I, s:I, s:s}", "workload", refusal->workload,
                                                 "optimizer", sco_optim_name(refusal->kind), "needed_bytes",
                                                 (json_int_t)refusal->needed_bytes, "available_bytes",
                                                 (json_int_t)refusal->available_bytes, "why", refusal->why));
    }
    return json_pack("{s:i, s:s, s:o, s:o, s:o, s:s, s:f, s:{s:f, s:s, s:I}, s:o, s:o, s:o, s:o}", "schema",
                     CLI_REPORT_SCHEMA, "report", "cost", "context", cli_report_context(ctx, environment), "counters",
                     report_counters(), "weights", optional_string(report->weights), "nonfinite",
                     nonfinite_name(report->nonfinite), "elapsed_seconds", report->elapsed_seconds, "peak", "gflops",
                     report->peak_gflops, "row", report->peak_row, "threads", (json_int_t)threads, "rows",
                     report_cost_rows(report->rows, report->row_count, threads), "sweep",
                     report_cost_rows(report->sweep, report->sweep_count, threads), "roofs",
                     report_roofs(report->roofs, report->roof_count, threads), "refused", refused);
}

static json_t *report_bench_row(const struct sco_bench_row *row, size_t threads)
{
    json_t *dims = json_object();
    for (size_t i = 0; i < row->dim_count; i++)
        json_object_set_new(dims, row->dim_names[i], json_integer((json_int_t)row->dims[i]));
    return json_pack("{s:s, s:s, s:s, s:I, s:o, s:I, s:f, s:f, s:f, s:o, s:f, s:f, s:f, s:{s:s, s:f, s:f}, s:f, s:s, "
                     "s:s, s:o}",
                     "case", row->name, "row", row->row, "size", row->size.name, "size_bytes",
                     (json_int_t)row->size.bytes, "dims", dims, "threads", (json_int_t)threads, "items", row->items,
                     "bytes", row->bytes, "flops", row->flops, "ns_per_item", cli_report_stats(&row->ns_per_item, 1.0),
                     "cycles_per_item", row->cycles_per_item, "gbs", row->gbs, "gflops", row->gflops, "roof", "pattern",
                     sco_roof_name(row->pattern), "gbs", row->roof_gbs, "gflops", row->roof_gflops, "roof_fraction",
                     row->roof_fraction, "limit", limit_name(row->compute_bound), "stop", stop_name(row->stop),
                     "samples", report_samples(row->samples, row->sample_count));
}

json_t *cli_report_bench(struct sco_ctx *ctx, const struct sco_environment *environment,
                         const struct sco_bench_report *report)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < report->row_count; i++)
        json_array_append_new(rows, report_bench_row(&report->rows[i], environment->threads));
    return json_pack("{s:i, s:s, s:o, s:o, s:o}", "schema", CLI_REPORT_SCHEMA, "report", "bench", "context",
                     cli_report_context(ctx, environment), "rows", rows, "roofs",
                     report_roofs(report->roofs, report->roof_count, environment->threads));
}

static json_t *report_op_row(const struct sco_op_row *row, size_t threads)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:f, s:s, s:f, s:f, s:o, s:o, s:f, s:f, s:{s:f, s:f}, s:f, s:s, s:s, "
                     "s:o}",
                     "operator", row->op, "case", row->name, "variant", row->variant, "ran", row->note, "threads",
                     (json_int_t)threads, "items", row->items, "item", row->item, "bytes", row->bytes, "flops",
                     row->flops, "ms_per_step", cli_report_stats(&row->ns, 1e-6), "ns_per_item",
                     cli_report_stats(&row->ns, 1.0 / row->items), "gbs", row->gbs, "gflops", row->gflops, "roof",
                     "gbs", row->roof_gbs, "gflops", row->roof_gflops, "roof_fraction", row->roof_fraction, "limit",
                     row->limit, "stop", stop_name(row->stop), "samples",
                     report_samples(row->samples, row->sample_count));
}

json_t *cli_report_ops(struct sco_ctx *ctx, const struct sco_environment *environment,
                       const struct sco_op_report *report)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < report->row_count; i++)
        json_array_append_new(rows, report_op_row(&report->rows[i], environment->threads));
    return json_pack("{s:i, s:s, s:o, s:o}", "schema", CLI_REPORT_SCHEMA, "report", "operators", "context",
                     cli_report_context(ctx, environment), "rows", rows);
}

int cli_report_write(FILE *file, const char *path, json_t *report)
{
    if (report == NULL)
        return cli_fail(CLI_ENVIRONMENT, "%s: no memory for the report", path);
    const int failed = json_dumpf(report, file, JSON_INDENT(1) | JSON_REAL_PRECISION(CLI_REPORT_DIGITS));
    json_decref(report);
    if (failed != 0 || fputc('\n', file) == EOF)
        return cli_fail(CLI_IO, "%s: could not be written", path);
    return CLI_OK;
}

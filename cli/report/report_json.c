/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/report/report.h"
#include "stepcost/topology.h"

enum { SCHEMA = 1, DIGITS = 9 };

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

json_t *cli_report_info(struct sco_ctx *ctx, const struct sco_environment *environment)
{
    char levels[64];
    return json_pack("{s:i, s:s, s:s, s:o}", "schema", SCHEMA, "report", "info", "isa_detected",
                     sco_isa_format(sco_isa_detected(), levels, sizeof levels), "context",
                     cli_report_context(ctx, environment));
}

int cli_report_write(FILE *file, const char *path, json_t *report)
{
    if (report == NULL)
        return cli_fail(CLI_ENVIRONMENT, "%s: no memory for the report", path);
    const int failed = json_dumpf(report, file, JSON_INDENT(1) | JSON_REAL_PRECISION(DIGITS));
    json_decref(report);
    if (failed != 0 || fputc('\n', file) == EOF)
        return cli_fail(CLI_IO, "%s: could not be written", path);
    return CLI_OK;
}

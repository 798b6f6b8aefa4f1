/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/report/report.h"
#include "stepcost/counters.h"
#include "stepcost/ctx.h"
#include "stepcost/microbench.h"
#include "stepcost/topology.h"

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "Print JSON (docs/json.md)", 0},
    {"threads", 't', "N", 0, "Threads of the team (default: one per allowed core)", 0},
    {0},
};

struct arguments {
    bool json;
    size_t threads;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'j': arguments->json = true; return 0;
    case 't': arguments->threads = cli_number(argument, "threads", 1, 65536, state); return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", argument); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc = "Shows what measurements on this machine rest on: CPU, topology, instruction set levels, the row (variant) "
           "behind every kernel, counters, huge pages, memory."
           "\vExamples:\n"
           "  stepcost info\n"
           "  STEPCOST_ISA=avx2 stepcost info\n"
           "  stepcost info --json | jq .context.rows\n\n" CLI_EXIT_TEXT,
};

static void print_row(const char *key, const char *value)
{
    printf("  %-16s %s\n", key, value);
}

static void print_caches(const struct sco_topology *topology)
{
    const struct sco_topology_counts counts = sco_topology_counts(topology);
    for (size_t kind = 0; kind < counts.kinds; kind++) {
        const struct sco_cpu_kind cores = sco_topology_kind(topology, kind);
        if (counts.kinds > 1)
            printf("  core kind %-6zu %zu cores, %zu CPUs\n", kind, cores.cores, cores.pus);
        for (size_t level = 0; level < SCO_CACHE_LEVELS; level++) {
            const struct sco_cache *cache = &cores.cache[level];
            char bytes[CLI_BYTES_TEXT];
            if (cache->bytes != 0)
                printf("  L%zu%-14s %s, lines of %zu B, shared by %zu CPU%s\n", level + 1, level == 0 ? " data" : "",
                       cli_format_bytes(bytes, (double)cache->bytes), cache->line_bytes, cache->pus,
                       cache->pus == 1 ? "" : "s");
        }
    }
}

static void print_kernels(const struct sco_ctx *ctx)
{
    printf("%sKernels%s (the row that each slot resolves to)\n", cli_bold(), cli_plain());
    for (size_t f = 0; sco_ctx_family(ctx, f) != NULL; f++) {
        printf("  %-16s", sco_ctx_family(ctx, f));
        for (size_t s = 0; sco_ctx_slot(ctx, f, s) != NULL; s++)
            printf(" %s=%s", sco_ctx_slot(ctx, f, s), sco_ctx_row(ctx, f, s));
        putchar('\n');
    }
}

static void print_counters(void)
{
    const size_t bytes = sco_counters_describe(NULL, 0);
    char *text = malloc(bytes);
    printf("%sCounters%s\n", cli_bold(), cli_plain());
    if (text == NULL)
        return;
    sco_counters_describe(text, bytes);
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;)
        if (line[0] != '\0')
            printf("  %s\n", line);
    free(text);
}

static void print_text(struct sco_ctx *ctx, const struct sco_environment *e)
{
    const struct sco_topology *topology = sco_ctx_topology(ctx);
    const struct sco_topology_counts counts = sco_topology_counts(topology);
    const char *bold = cli_bold(), *plain = cli_plain();
    char text[CLI_BYTES_TEXT], more[CLI_BYTES_TEXT], levels[64];

    printf("%sCPU%s\n", bold, plain);
    print_row("name", e->cpu);
    print_row("system", e->system);
    print_row("levels here", sco_isa_format(sco_isa_detected(), levels, sizeof levels));
    print_row("levels in force", e->isa);
    printf("  %-16s %.2f GHz (estimate)\n", "clock", e->cycles_per_ns);
    print_row("governor", e->governor);

    printf("%sTopology%s (what this process may use)\n", bold, plain);
    printf("  %-16s %zu package%s, %zu NUMA node%s, %zu cores, %zu CPUs\n", "machine", counts.packages,
           counts.packages == 1 ? "" : "s", counts.numa_nodes, counts.numa_nodes == 1 ? "" : "s", counts.cores,
           counts.pus);
    print_caches(topology);
    printf("  %-16s %zu, on CPU", "threads", e->threads);
    for (size_t rank = 0; rank < e->threads; rank++)
        printf(" %u", e->cores[rank]);
    putchar('\n');

    printf("%sMemory%s\n", bold, plain);
    printf("  %-16s %s, available %s\n", "size", cli_format_bytes(text, (double)e->memory_bytes),
           cli_format_bytes(more, (double)e->memory_available_bytes));
    print_row("huge pages", e->huge_pages);

    print_kernels(ctx);

    print_counters();

    printf("%sTimer%s\n", bold, plain);
    printf("  %-16s %.1f ns, resolution %.1f ns\n", "overhead", e->clock_overhead_ns, e->clock_resolution_ns);

    printf("%sBuild%s\n", bold, plain);
    printf("  %-16s %s, commit %s\n", "stepcost", e->version, e->commit);
    printf("  %-16s %s, %s\n", "compiler", e->compiler, e->flags);
}

static int run(int argc, char **argv)
{
    struct arguments arguments = {false, 0};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);

    struct sco_ctx *ctx = NULL;
    struct sco_environment *environment = NULL;
    int code = CLI_OK;
    enum sco_status status = sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = arguments.threads});
    if (status == SCO_OK)
        status = sco_environment_create(&environment, ctx);
    if (status != SCO_OK)
        code = cli_fail_status(status);
    else if (arguments.json)
        code = cli_report_write(stdout, "standard output", cli_report_info(ctx, environment));
    else
        print_text(ctx, environment);
    sco_environment_destroy(environment);
    sco_ctx_destroy(ctx);
    return code;
}

const struct cli_verb cli_info_verb = {"info", "Show the CPU, its topology, kernels and counters", &argp, run, false};

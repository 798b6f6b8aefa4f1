/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/cli.h"
#include "cli/peer.h"
#include "cli/report/report.h"
#include "stepcost/ctx.h"
#include "stepcost/microbench.h"

enum {
    KEY_SIZE = 256,
    KEY_ROWS,
    KEY_LIST,
    KEY_PEER,
    KEY_SERVE,
    KEY_SUITE,
    KEY_OP,
    KEY_CASE,
    KEY_REPS,
    KEY_COLD,
    KEY_BATCH,
    KEY_VARIANT
};
enum { MAX_SIZES = 16 };

static const struct argp_option options[] = {
    {"list", KEY_LIST, NULL, 0, "List cases, rows behind slots and operators; time nothing", 0},
    {"op", KEY_OP, "LIST", 0, "Time whole operators instead of kernels: names such as conv_fwd,gemm, or all", 0},
    {"variant", KEY_VARIANT, "LIST", 0, "With --op: these ways to run it (default: the first)", 0},
    {"batch", KEY_BATCH, "N", 0, "With --op: images of a convolution (default: 8)", 0},
    {"size", KEY_SIZE, "LIST", 0, "Working set of a thread: L1, L2, L3, mem or bytes such as 64K (default: all four)",
     0},
    {"rows", KEY_ROWS, "LIST", 0, "Only these rows, such as avx2,avx512 (default: all that can run)", 0},
    {"threads", 't', "N", 0, "Threads (default: one per allowed core)", 0},
    {"seconds", 's', "BUDGET", 0, "Time to spend measuring, about (default: 60)", 0},
    {"json", 'j', "FILE", 0, "Write the report as JSON (docs/json.md); - is standard output", 0},
    {NULL, 0, NULL, 0, "As a peer of another benchmark program (docs/benchmarking.md):", 1},
    {"peer", KEY_PEER, NULL, 0, "Time one optimizer or operator on one case and print the times as JSON lines", 1},
    {"serve", KEY_SERVE, NULL, 0, "With --peer: answer JSON requests on standard input", 1},
    {"suite", KEY_SUITE, "NAME", 0, "With --peer: optim (default) or ops", 1},
    {"case", KEY_CASE, "NAME", 0, "With --peer: of optim 10k, 1M, 1M-flat, resnet50, resnet50-flat or 100M", 1},
    {"reps", KEY_REPS, "K", 0, "With --peer: time at least so many steps", 1},
    {"cold", KEY_COLD, "BYTES", 0, "With --peer: sweep so many bytes between steps", 1},
    {0},
};

struct arguments {
    const char *filter, *sizes, *rows, *json, *variants;
    size_t threads;
    double seconds;
    bool list, peer, serve;
    struct cli_peer_request request;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case KEY_LIST: a->list = true; return 0;
    case KEY_SIZE: a->sizes = argument; return 0;
    case KEY_ROWS: a->rows = argument; return 0;
    case 't': a->threads = cli_number(argument, "threads", 1, 65536, state); return 0;
    case 's': a->seconds = cli_seconds(argument, "seconds", state); return 0;
    case 'j': a->json = argument; return 0;
    case KEY_PEER: a->peer = true; return 0;
    case KEY_SERVE: a->serve = true; return 0;
    case KEY_SUITE: a->request.suite = argument; return 0;
    case KEY_OP: a->request.op = argument; return 0;
    case KEY_CASE: a->request.name = argument; return 0;
    case KEY_REPS: a->request.min_reps = cli_number(argument, "reps", 1, 1000000, state); return 0;
    case KEY_VARIANT: a->variants = argument; return 0;
    case KEY_BATCH: a->request.batch = cli_number(argument, "batch", 1, 65536, state); return 0;
    case KEY_COLD: a->request.cold_bytes = cli_number(argument, "cold", 0, (uint64_t)1 << 40, state); return 0;
    case ARGP_KEY_ARG:
        if (a->filter != NULL)
            argp_error(state, "one filter at a time");
        a->filter = argument;
        return 0;
    case ARGP_KEY_END:
        if (!a->peer && (a->serve || a->request.suite != NULL || a->request.name != NULL))
            argp_error(state, "--serve, --suite and --case need --peer");
        if (a->request.op == NULL && (a->variants != NULL || a->request.batch != 0))
            argp_error(state, "--variant and --batch need --op");
        if (!a->peer && a->request.op != NULL && (a->sizes != NULL || a->rows != NULL))
            argp_error(state, "--size and --rows are for kernels; operators have --variant and STEPCOST_ROW");
        if (a->peer && !a->serve && (a->request.op == NULL || a->request.name == NULL))
            argp_error(state, "--peer needs --serve, or --op and --case");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[FILTER]",
    .doc = "Times kernels: every row (variant) of the cases whose name contains FILTER, from L1 to memory, beside the "
           "access pattern most like it. A row is checked against the scalar one before it is timed. With --op: whole "
           "operators on the shapes of the workloads, with all threads."
           "\vExamples:\n"
           "  stepcost bench --list\n"
           "  stepcost bench adam --size L2,mem\n"
           "  stepcost bench velo.mlp --rows avx2,avx512 --threads 1\n"
           "  stepcost bench --op conv_fwd,conv_bwd_data --variant tuned,own,onednn 64_64\n"
           "  stepcost bench --peer --suite optim --op adam --case resnet50 --threads 2\n\n" CLI_EXIT_TEXT,
};

static int list(const struct sco_ctx *ctx)
{
    const char *name;
    for (size_t i = 0; (name = sco_bench_case(i)) != NULL; i++)
        puts(name);
    putchar('\n');
    for (size_t f = 0; sco_ctx_family(ctx, f) != NULL; f++)
        for (size_t s = 0; sco_ctx_slot(ctx, f, s) != NULL; s++)
            printf("%s.%s uses row %s\n", sco_ctx_family(ctx, f), sco_ctx_slot(ctx, f, s), sco_ctx_row(ctx, f, s));
    putchar('\n');
    const char *op;
    for (size_t o = 0; (op = sco_op_name(o)) != NULL; o++) {
        printf("%s:", op);
        for (size_t v = 0; (name = sco_op_variant(op, v)) != NULL; v++)
            printf("%s%s", v == 0 ? " variants " : ", ", name[0] != '\0' ? name : "(one)");
        puts("; cases");
        for (size_t i = 0; (name = sco_op_case(op, i)) != NULL; i++)
            printf("  %s\n", name);
    }
    return CLI_OK;
}

static void print_table(const struct sco_environment *e, const struct sco_bench_report *report)
{
    printf("%s%s%s, %s, %zu thread%s on operands of their own; stepcost %s (%s)\n", cli_bold(), e->cpu, cli_plain(),
           e->isa, e->threads, e->threads == 1 ? "" : "s", e->version, e->commit);
    printf("%-26s %-7s %-5s %9s %9s %19s %8s %8s %8s  %-7s %8s\n", "case", "row", "size", "min", "ns/item", "95 %",
           "cycles", "GB/s", "GFLOP/s", "limit", "of roof");
    for (size_t i = 0; i < report->row_count; i++) {
        const struct sco_bench_row *row = &report->rows[i];
        const struct sco_stats *ns = &row->ns_per_item;
        char interval[40];
        snprintf(interval, sizeof interval, "%.4f..%.4f", ns->low, ns->high);
        printf("%-26s %-7s %-5s %9.4f %9.4f %19s %8.3f %8.1f %8.1f  %-7s %6.0f %%%s\n", row->name, row->row,
               row->size.name, ns->min, ns->median, interval, row->cycles_per_item, row->gbs, row->gflops,
               row->compute_bound ? "compute" : sco_roof_name(row->pattern), 100.0 * row->roof_fraction,
               row->stop == SCO_STOP_SPREAD ? "" : " ~");
    }
    puts("~ the budget ended before the spread of the rounds fell below 1 %");
}

static void print_op_table(const struct sco_environment *e, const struct sco_op_report *report)
{
    printf("%s%s%s, %s, %zu thread%s together; stepcost %s (%s)\n", cli_bold(), e->cpu, cli_plain(), e->isa, e->threads,
           e->threads == 1 ? "" : "s", e->version, e->commit);
    printf("%-16s %-24s %-10s %10s %10s %10s %8s %8s  %-7s %8s    %s\n", "operator", "case", "variant", "ms min", "ms",
           "ns/item", "GB/s", "GFLOP/s", "limit", "of roof", "ran");
    for (size_t i = 0; i < report->row_count; i++) {
        const struct sco_op_row *row = &report->rows[i];
        printf("%-16s %-24s %-10s %10.4f %10.4f %10.4f %8.1f %8.1f  %-7s %6.0f %%%s  %s\n", row->op, row->name,
               row->variant, row->ns.min / 1e6, row->ns.median / 1e6, row->ns.median / row->items, row->gbs,
               row->gflops, row->limit, 100.0 * row->roof_fraction, row->stop == SCO_STOP_SPREAD ? "  " : " ~",
               row->note);
    }
    puts("~ the budget ended before the spread of the rounds fell below 1 %; flops are those of the direct algorithm");
}

static int measure_ops(const struct arguments *a, struct sco_ctx *ctx, struct cli_output *json)
{
    const struct sco_op_options wanted = {
        .ops = strcmp(a->request.op, "all") == 0 ? NULL : a->request.op,
        .filter = a->filter,
        .variants = a->variants,
        .batch = a->request.batch,
        .seconds = a->seconds,
        .progress = cli_progress,
    };
    struct sco_environment *environment = NULL;
    struct sco_op_report *report = NULL;
    int code = CLI_OK;
    enum sco_status status = sco_environment_create(&environment, ctx);
    if (status == SCO_OK)
        status = sco_op_bench(&report, ctx, &wanted);
    cli_progress_end();
    if (status != SCO_OK)
        code = cli_fail_status(status);
    if (code == CLI_OK) {
        if (json->file != stdout)
            print_op_table(environment, report);
        if (json->file != NULL)
            code = cli_report_write(json->file, json->path, cli_report_ops(ctx, environment, report));
        if (code == CLI_OK)
            code = cli_output_commit(json);
    }
    sco_op_report_destroy(report);
    sco_environment_destroy(environment);
    return code;
}

static int measure(const struct arguments *a, struct sco_ctx *ctx, struct cli_output *json)
{
    struct sco_bench_size sizes[MAX_SIZES];
    struct sco_bench_options bench = {
        .filter = a->filter, .rows = a->rows, .sizes = sizes, .seconds = a->seconds, .progress = cli_progress};
    struct sco_environment *environment = NULL;
    struct sco_bench_report *report = NULL;
    int code = CLI_OK;
    enum sco_status status = sco_bench_sizes(ctx, a->sizes, sizes, MAX_SIZES, &bench.size_count);
    if (status == SCO_OK)
        status = sco_environment_create(&environment, ctx);
    if (status == SCO_OK)
        status = sco_bench_check_options(ctx, &bench);
    if (status != SCO_OK)
        code = cli_fail_status(status);
    if (code == CLI_OK) {
        status = sco_bench_run(&report, ctx, &bench);
        cli_progress_end();
        /* The options have been checked: what is still invalid is a row. */
        if (status != SCO_OK)
            code = cli_fail(status == SCO_INVALID ? CLI_FAILED : cli_exit_code(status), "%s", sco_error_message());
    }
    if (code == CLI_OK) {
        if (json->file != stdout)
            print_table(environment, report);
        if (json->file != NULL)
            code = cli_report_write(json->file, json->path, cli_report_bench(ctx, environment, report));
        if (code == CLI_OK)
            code = cli_output_commit(json);
    }
    sco_bench_report_destroy(report);
    sco_environment_destroy(environment);
    return code;
}

static int run(int argc, char **argv)
{
    struct arguments a = {.seconds = 60.0, .request = {.min_reps = 2, .max_reps = 1000}};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    if (a.peer) {
        a.request.threads = a.threads;
        a.request.seconds = a.seconds;
        return a.serve ? cli_peer_serve() : cli_peer_once(&a.request);
    }
    struct sco_ctx *ctx = NULL;
    struct cli_output json = {0};
    int code = cli_output_open(&json, a.json);
    if (code == CLI_OK) {
        const enum sco_status status = sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = a.threads});
        if (status != SCO_OK)
            code = cli_fail_status(status);
    }
    if (code == CLI_OK)
        code = a.list ? list(ctx) : a.request.op != NULL ? measure_ops(&a, ctx, &json) : measure(&a, ctx, &json);
    cli_output_discard(&json);
    sco_ctx_destroy(ctx);
    return code;
}

const struct cli_verb cli_bench_verb = {"bench", "Time every kernel from L1 to memory", &argp, run, false};

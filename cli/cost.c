/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/report/report.h"
#include "stepcost/ctx.h"
#include "stepcost/microbench.h"
#include "stepcost/shapes.h"
#include "stepcost/velo.h"

enum { KEY_NO_SWEEP = 256, KEY_HTML, KEY_NUM_STEPS, KEY_NONFINITE, KEY_MAX_PARAMS };
enum { MAX_WORKLOADS = 64, ALL_WORKLOADS = 4 };

static const struct argp_option options[] = {
    {"workload", 'w', "LIST", 0, "all, resnet50, ogbg, dlrm, unet, 10k, 1M, 100M or a JSON FILE (default: all)", 0},
    {"optimizer", 'o', "LIST", 0, "all, or names such as adam,velo (default: all)", 0},
    {"threads", 't', "N", 0, "Threads (default: one per allowed core)", 0},
    {"json", 'j', "FILE", 0, "Write the report as JSON (docs/json.md); - is standard output", 0},
    {"html", KEY_HTML, "FILE", 0, "Write the report as one page for a browser; - is standard output", 0},
    {"seconds", 's', "BUDGET", 0, "Time to spend measuring, about (default: 75)", 0},
    {"max-params", KEY_MAX_PARAMS, "N", 0, "Shorten longer lists to N parameters, and say so", 0},
    {"weights", 'W', "FILE", 0, "VeLO's weights (default: generated, good for cost only)", 0},
    {"num-steps", KEY_NUM_STEPS, "N", 0, "Training steps that VeLO is told to expect (default: 150000)", 0},
    {"nonfinite", KEY_NONFINITE, "POLICY", 0, "What a step does about NaN and Inf: stop, skip or pass (default: pass)",
     0},
    {"no-sweep", KEY_NO_SWEEP, NULL, 0, "Leave out the tensor sizes 1 to 100 M that a report shows", 0},
    {0},
};

struct arguments {
    const char *workloads, *optimizers, *json, *html, *weights;
    size_t threads, max_params;
    uint64_t num_steps;
    double seconds;
    enum sco_nonfinite_policy nonfinite;
    bool no_sweep;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case 'w': a->workloads = argument; return 0;
    case 'o': a->optimizers = argument; return 0;
    case 't': a->threads = cli_number(argument, "threads", 1, 65536, state); return 0;
    case 'j': a->json = argument; return 0;
    case 's': a->seconds = cli_seconds(argument, "seconds", state); return 0;
    case KEY_HTML: a->html = argument; return 0;
    case 'W': a->weights = argument; return 0;
    case KEY_MAX_PARAMS: a->max_params = cli_number(argument, "max-params", 1, (uint64_t)1 << 50, state); return 0;
    case KEY_NUM_STEPS: a->num_steps = cli_number(argument, "num-steps", 1, UINT32_MAX, state); return 0;
    case KEY_NONFINITE:
        if (strcmp(argument, "stop") == 0)
            a->nonfinite = SCO_NONFINITE_STOP;
        else if (strcmp(argument, "skip") == 0)
            a->nonfinite = SCO_NONFINITE_SKIP;
        else if (strcmp(argument, "pass") == 0)
            a->nonfinite = SCO_NONFINITE_PASS;
        else
            argp_error(state, "--nonfinite=%s: possible: stop, skip, pass", argument);
        return 0;
    case KEY_NO_SWEEP: a->no_sweep = true; return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", argument); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc =
        "Times one step of optimizers over lists of parameter tensors and sets it against the limits of this machine, "
        "measured in the same rounds on the same threads. Before an optimizer is timed, its steps are compared with "
        "scalar code."
        "\vExamples:\n"
        "  stepcost cost\n"
        "  stepcost cost --workload resnet50,ogbg --optimizer adam,velo --threads 1\n"
        "  stepcost cost --workload shapes.json --json cost.json\n"
        "  stepcost cost --html cost.html\n"
        "  stepcost cost --workload dlrm --max-params 100000000\n\n"
        "FILE is a JSON list of {\"name\": text, \"shape\": [sizes]}. A built-in workload that does not fit in memory "
        "is left out of \"all\" and reported; one that was named is refused with exit status 3.\n\n" CLI_EXIT_TEXT,
};

/* ---- What to measure ---- */

struct selection {
    struct sco_shapes *shapes[MAX_WORKLOADS];
    struct sco_cost_workload workloads[MAX_WORKLOADS];
    size_t workload_count;
    enum sco_optim_kind kinds[SCO_OPTIM_KINDS];
    size_t kind_count;
    struct sco_velo_theta *theta;
    bool all_workloads; /* then what does not fit is no failure */
};

static int add_workload(struct selection *selection, const char *word)
{
    if (selection->workload_count == MAX_WORKLOADS)
        return cli_fail(CLI_USAGE, "at most %d workloads at a time", MAX_WORKLOADS);
    struct sco_shapes **shapes = &selection->shapes[selection->workload_count];
    const enum sco_status status = sco_shapes_open(shapes, word);
    if (status != SCO_OK)
        return cli_fail_status(status);
    selection->workloads[selection->workload_count++] =
        (struct sco_cost_workload){sco_shapes_name(*shapes), *sco_shapes_list(*shapes)};
    return CLI_OK;
}

static int add_kind(struct selection *selection, enum sco_optim_kind kind)
{
    for (size_t i = 0; i < selection->kind_count; i++)
        if (selection->kinds[i] == kind)
            return CLI_OK;
    selection->kinds[selection->kind_count++] = kind;
    return CLI_OK;
}

static int select_workload(struct selection *selection, const char *word)
{
    int code = CLI_OK;
    if (strcmp(word, "all") != 0)
        return add_workload(selection, word);
    selection->all_workloads = true;
    for (size_t i = 0; i < ALL_WORKLOADS && code == CLI_OK; i++)
        code = add_workload(selection, sco_shapes_builtin(i));
    return code;
}

static int select_optimizer(struct selection *selection, const char *word)
{
    if (strcmp(word, "all") == 0) {
        for (size_t kind = 0; kind < SCO_OPTIM_KINDS; kind++)
            add_kind(selection, (enum sco_optim_kind)kind);
        return CLI_OK;
    }
    enum sco_optim_kind kind;
    const enum sco_status status = sco_optim_parse(word, &kind);
    return status == SCO_OK ? add_kind(selection, kind) : cli_fail_status(status);
}

static int for_each_word(const char *list, int (*select)(struct selection *, const char *), struct selection *selection)
{
    char *copy = strdup(list), *rest = copy;
    int code = copy != NULL ? CLI_OK : cli_fail(CLI_ENVIRONMENT, "no memory");
    for (const char *word; code == CLI_OK && (word = strsep(&rest, ",")) != NULL;)
        code = select(selection, word);
    free(copy);
    return code;
}

/* Directions a thousandth of the recorded traces' keep the parameters where they are: cost does not depend on them. */
static int load_weights(struct selection *selection, const char *path)
{
    static const struct sco_velo_generator generator = {512, 256, 15, 30.0f, 1e-3f};
    bool velo = false;
    for (size_t i = 0; i < selection->kind_count; i++)
        velo |= selection->kinds[i] == SCO_OPTIM_VELO;
    if (!velo)
        return CLI_OK;
    const enum sco_status status = path != NULL ? sco_velo_theta_read(&selection->theta, path)
                                                : sco_velo_theta_generate(&selection->theta, &generator);
    return status == SCO_OK ? CLI_OK : cli_fail_status(status);
}

static void selection_free(struct selection *selection)
{
    for (size_t i = 0; i < selection->workload_count; i++)
        sco_shapes_destroy(selection->shapes[i]);
    sco_velo_theta_destroy(selection->theta);
}

/* ---- The table ---- */

static const char *format_count(char text[16], size_t n)
{
    if (n < 10000)
        snprintf(text, 16, "%zu", n);
    else if (n < 1000000)
        snprintf(text, 16, "%.1f k", (double)n * 1e-3);
    else
        snprintf(text, 16, "%.1f M", (double)n * 1e-6);
    return text;
}

/* Three significant digits, never in powers of ten. */
static const char *format_value(char text[16], double value)
{
    const int digits = value < 1.0 ? 3 : value < 10.0 ? 2 : value < 100.0 ? 1 : 0;
    snprintf(text, 16, "%.*f", digits, value);
    return text;
}

static void print_row(const struct sco_cost_row *row)
{
    char min[16], median[16], low[16], high[16], interval[40], ms[16], ratio[16], state[16], bytes[16], flops[16],
        gbs[16];
    const struct sco_stats *ns = &row->ns_per_param;
    snprintf(interval, sizeof interval, "%s..%s", format_value(low, ns->low), format_value(high, ns->high));
    const char *times = row->ratio_to_adam.count != 0 ? format_value(ratio, row->ratio_to_adam.median) : "-";
    printf("  %-11s %8s %8s %15s %9s %8s%s %8s %8s %8s %8s %6.0f %%  %-7s %s%s\n", sco_optim_name(row->kind),
           format_value(min, ns->min), format_value(median, ns->median), interval,
           format_value(ms, ns->median * (double)row->params * 1e-6), times,
           row->ratio_to_adam.count != 0 && !row->ratio_paired ? "*" : " ",
           format_value(state, (double)row->state_bytes / (double)row->params), format_value(bytes, row->model_bytes),
           format_value(flops, row->model_flops), format_value(gbs, row->gbs), 100.0 * row->roof_fraction,
           row->compute_bound ? "compute" : sco_roof_name(row->pattern),
           row->stop == SCO_STOP_SPREAD ? "settled" : "budget", ns->confidence < 0.95 ? "!" : "");
}

static void print_phases(const struct sco_cost_row *row)
{
    if (row->phase_count == 0)
        return;
    printf("  %s phases, ns/param:", sco_optim_name(row->kind));
    for (size_t i = 0; i < row->phase_count; i++) {
        char text[16];
        printf("%s %s %s", i > 0 ? "," : "", row->phases[i].name,
               format_value(text, row->phases[i].ns_per_param.median));
    }
    putchar('\n');
}

static void print_workload(const struct sco_cost_report *report, const char *name, size_t threads)
{
    const struct sco_cost_row *first = NULL;
    bool unpaired = false, uncertain = false;
    for (size_t i = 0; i < report->row_count; i++) {
        const struct sco_cost_row *row = &report->rows[i];
        if (strcmp(row->workload, name) != 0)
            continue;
        if (first == NULL) {
            char count[16], full[16];
            first = row;
            printf("\n%s%s%s: %zu tensors, %s parameters, %zu thread%s", cli_bold(), name, cli_plain(), row->tensors,
                   format_count(count, row->params), threads, threads == 1 ? "" : "s");
            if (row->params != row->full_params)
                printf(" (SHORTENED from %s parameters)", format_count(full, row->full_params));
            printf("\n  %-11s %8s %8s %15s %9s %8s  %8s %8s %8s %8s %8s  %-7s %s\n", "optimizer", "min", "ns/param",
                   "95 %", "ms/step", "x Adam", "state", "bytes", "flops", "GB/s", "of roof", "limit", "ended by");
        }
        print_row(row);
        unpaired |= row->ratio_to_adam.count != 0 && !row->ratio_paired;
        uncertain |= row->ns_per_param.confidence < 0.95;
    }
    for (size_t i = 0; i < report->row_count; i++)
        if (strcmp(report->rows[i].workload, name) == 0)
            print_phases(&report->rows[i]);
    for (size_t i = 0; i < report->roof_count; i++)
        if (report->roofs[i].workload != NULL && strcmp(report->roofs[i].workload, name) == 0) {
            const bool leader = i == 0 || strcmp(report->roofs[i - 1].workload, name) != 0;
            const bool last = i + 1 == report->roof_count || strcmp(report->roofs[i + 1].workload, name) != 0;
            printf("%s %s %.1f GB/s%s", leader ? "  roofs:" : ",", sco_roof_name(report->roofs[i].pattern),
                   report->roofs[i].gbs, last ? "\n" : "");
        }
    if (unpaired)
        puts("  * ratio of medians: memory does not hold the optimizer and Adam at once");
    if (uncertain)
        puts("  ! fewer than six rounds: the interval is the range of what was seen");
    for (size_t i = 0; i < report->refusal_count; i++)
        if (strcmp(report->refusals[i].workload, name) == 0)
            printf("%s%s: %s REFUSED: %s\n", first == NULL && i == 0 ? "\n" : "  ", name,
                   sco_optim_name(report->refusals[i].kind), report->refusals[i].why);
}

static void print_table(const struct selection *selection, const struct sco_environment *e,
                        const struct sco_cost_report *report)
{
    printf("%s%s%s, %s, %zu thread%s; stepcost %s (%s)\n", cli_bold(), e->cpu, cli_plain(), e->isa, e->threads,
           e->threads == 1 ? "" : "s", e->version, e->commit);
    printf("clock %.1f ns a reading, subtracted", e->clock_overhead_ns);
    if (report->peak_gflops > 0.0)
        printf("; %.0f GFLOP/s multiply-add peak (%s)", report->peak_gflops, report->peak_row);
    putchar('\n');
    if (report->weights != NULL)
        printf("velo weights: %s\n", report->weights);
    if (report->nonfinite != SCO_NONFINITE_PASS)
        puts("steps look for NaN and Inf first: the gradient is read once more than the bytes below say");
    puts("state, bytes, flops: per parameter, by formula; of roof: shortest time possible / median time");
    for (size_t i = 0; i < selection->workload_count; i++)
        print_workload(report, selection->workloads[i].name, e->threads);
    printf("\n%.0f s\n", report->elapsed_seconds);
}

/* ---- The verb ---- */

/* Files that the report goes to. Open before the measurement starts: a path that cannot be written is told at once. */
struct outputs {
    struct cli_output json, html;
    char *command; /* that makes the report again */
};

/* A word as a shell reads it back. */
static void quote(FILE *out, const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+,./:@%";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word != '\0'; word++)
        if (*word == '\'')
            fputs("'\\''", out);
        else
            fputc(*word, out);
    fputc('\'', out);
}

/* The command line, with the variables that it depended on. NULL when memory ran out. argv[0] is "stepcost cost". */
static char *command_text(int argc, char **argv)
{
    static const char *const variables[] = {"STEPCOST_THREADS", "STEPCOST_ISA", "STEPCOST_ROW"};
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *value = getenv(variables[i]);
        if (value == NULL || value[0] == '\0')
            continue;
        fprintf(out, "%s=", variables[i]);
        quote(out, value);
        fputc(' ', out);
    }
    fputs(argv[0], out);
    for (int i = 1; i < argc; i++) {
        fputc(' ', out);
        quote(out, argv[i]);
    }
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static int write_reports(struct outputs *outputs, json_t *report)
{
    int code = CLI_OK;
    if (report != NULL)
        json_object_set_new(report, "command", json_string(outputs->command));
    if (outputs->html.file != NULL)
        code = cli_report_html(outputs->html.file, outputs->html.path, report);
    if (code == CLI_OK && outputs->json.file != NULL)
        code = cli_report_write(outputs->json.file, outputs->json.path, json_incref(report));
    if (code == CLI_OK)
        code = cli_output_commit(&outputs->json);
    if (code == CLI_OK)
        code = cli_output_commit(&outputs->html);
    json_decref(report);
    return code;
}

/* A workload that was named and does not fit is a failure; one that "all" stands for is not, as long as another does. */
static int refusal_code(const struct selection *selection, const struct sco_cost_report *report)
{
    if (report->refusal_count == 0 || (selection->all_workloads && report->row_count > 0))
        return CLI_OK;
    return cli_fail(CLI_ENVIRONMENT, "%s with %s %s", report->refusals[0].workload,
                    sco_optim_name(report->refusals[0].kind), report->refusals[0].why);
}

static int measure(const struct sco_cost_options *cost, size_t threads, const struct selection *selection,
                   struct outputs *outputs)
{
    struct sco_ctx *ctx = NULL;
    struct sco_environment *environment = NULL;
    struct sco_cost_report *report = NULL;
    int code = CLI_OK;
    enum sco_status status = sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = threads});
    if (status == SCO_OK)
        status = sco_environment_create(&environment, ctx);
    if (status != SCO_OK)
        code = cli_fail_status(status);
    if (code == CLI_OK) {
        status = sco_cost_run(&report, ctx, cost);
        cli_progress_end();
        /* What could be wrong with the arguments has been refused by now: this is a step that disagrees with the scalar
         * one. */
        if (status != SCO_OK)
            code = cli_fail(status == SCO_INVALID ? CLI_FAILED : cli_exit_code(status), "%s", sco_error_message());
    }
    if (code == CLI_OK) {
        if (outputs->json.file != stdout && outputs->html.file != stdout)
            print_table(selection, environment, report);
        code = write_reports(outputs, cli_report_cost(ctx, environment, report));
    }
    if (code == CLI_OK)
        code = refusal_code(selection, report);
    sco_cost_report_destroy(report);
    sco_environment_destroy(environment);
    sco_ctx_destroy(ctx);
    return code;
}

static int run(int argc, char **argv)
{
    struct arguments a = {
        .workloads = "all", .optimizers = "all", .seconds = 75.0, .num_steps = 150000, .nonfinite = SCO_NONFINITE_PASS};
    argp_parse(&argp, argc, argv, 0, NULL, &a);

    struct selection selection = {0};
    struct outputs outputs = {.command = command_text(argc, argv)};
    int code = for_each_word(a.optimizers, select_optimizer, &selection);
    if (code == CLI_OK)
        code = for_each_word(a.workloads, select_workload, &selection);
    if (code == CLI_OK)
        code = load_weights(&selection, a.weights);
    if (code == CLI_OK)
        code = cli_output_open(&outputs.json, a.json);
    if (code == CLI_OK)
        code = cli_output_open(&outputs.html, a.html);
    if (code == CLI_OK) {
        const struct sco_cost_options cost = {
            .workloads = selection.workloads,
            .workload_count = selection.workload_count,
            .kinds = selection.kinds,
            .kind_count = selection.kind_count,
            .theta = selection.theta,
            .num_steps = a.num_steps,
            .nonfinite = a.nonfinite,
            .seconds = a.seconds,
            .max_params = a.max_params,
            .sweep = (outputs.json.file != NULL || outputs.html.file != NULL) && !a.no_sweep,
            .progress = cli_progress,
        };
        code = measure(&cost, a.threads, &selection, &outputs);
    }
    cli_output_discard(&outputs.json);
    cli_output_discard(&outputs.html);
    free(outputs.command);
    selection_free(&selection);
    return code;
}

const struct cli_verb cli_cost_verb = {"cost", "Time the step of optimizers on the tensors of real models", &argp, run,
                                       false};

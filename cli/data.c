/* SPDX-License-Identifier: Apache-2.0
 * stepcost data: what is wrong with training data, and what is in it. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "stepcost/dataset.h"

enum { OPTION_SPLIT = 256, OPTION_SIDE, OPTION_ROWS, OPTION_SEED, OPTION_BAD, OPTION_POSITION };

static const struct argp_option options[] = {
    {"workload", 'w', "NAME", 0, "resnet50, ogbg, dlrm or unet (required)", 0},
    {"split", OPTION_SPLIT, "NAME", 0, "info: train, train-subset, validation or test (default: train)", 0},
    {"batch", 'b', "N", 0, "info: images, rows, slices, or molecules of average size, in a batch (default: 32)", 0},
    {"samples", 'n', "N", 0, "info: the most samples to know of (default: all)", 0},
    {"side", OPTION_SIDE, "N", 0, "info: pixels of an image or slice (default: 224; slices: the files' own)", 0},
    {"table-rows", OPTION_ROWS, "N", 0, "info: rows of the embedding table (default: 4194304)", 0},
    {"position", OPTION_POSITION, "N", 0, "info: the batch to show, from 0 (default: 0)", 0},
    {"seed", OPTION_SEED, "N", 0, "info: seed of order, augmentation and masks (default: 0)", 0},
    {"on-bad-sample", OPTION_BAD, "WHAT", 0, "info: stop or skip (default: stop)", 0},
    {0},
};

struct arguments {
    const char *task;
    bool has_workload;
    uint64_t position;
    struct sco_dataset_options data;
};

static const char *const splits[] = {
    [SCO_TRAIN] = "train",
    [SCO_TRAIN_SUBSET] = "train-subset",
    [SCO_VALIDATION] = "validation",
    [SCO_TEST] = "test",
};

static void parse_split(struct arguments *arguments, const char *name, struct argp_state *state)
{
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (strcmp(name, splits[i]) == 0) {
            arguments->data.split = (enum sco_split)i;
            return;
        }
    argp_error(state, "--split=%s: possible: train, train-subset, validation, test", name);
}

static void parse_bad_sample(struct arguments *arguments, const char *name, struct argp_state *state)
{
    if (strcmp(name, "stop") != 0 && strcmp(name, "skip") != 0)
        argp_error(state, "--on-bad-sample=%s: possible: stop, skip", name);
    arguments->data.bad_sample = strcmp(name, "skip") == 0 ? SCO_BAD_SKIP : SCO_BAD_STOP;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct sco_dataset_options *data = &arguments->data;
    switch (key) {
    case 'w':
        if (sco_workload_parse(argument, &data->workload) != SCO_OK)
            argp_error(state, "--workload: %s", sco_error_message());
        arguments->has_workload = true;
        return 0;
    case OPTION_SPLIT: parse_split(arguments, argument, state); return 0;
    case 'b': data->batch = cli_number(argument, "batch", 1, INT32_MAX, state); return 0;
    case 'n': data->samples = cli_number(argument, "samples", 1, SIZE_MAX, state); return 0;
    case OPTION_SIDE: data->side = cli_number(argument, "side", 1, 65536, state); return 0;
    case OPTION_ROWS: data->table_rows = cli_number(argument, "table-rows", 1, INT32_MAX, state); return 0;
    case OPTION_POSITION: arguments->position = cli_number(argument, "position", 0, UINT64_MAX, state); return 0;
    case OPTION_SEED: data->seed = cli_number(argument, "seed", 0, UINT64_MAX, state); return 0;
    case OPTION_BAD: parse_bad_sample(arguments, argument, state); return 0;
    case ARGP_KEY_ARG:
        if (arguments->task == NULL) {
            arguments->task = argument;
            if (strcmp(argument, "verify") != 0 && strcmp(argument, "info") != 0)
                argp_error(state, "unknown task \"%s\": possible: verify, info", argument);
            return 0;
        }
        if (data->path != NULL)
            argp_error(state, "unexpected argument \"%s\"", argument);
        data->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->task == NULL)
            argp_error(state, "a task is needed: verify or info");
        if (data->path == NULL)
            argp_error(state, "a folder of data is needed, or \"synthetic\"");
        if (!arguments->has_workload)
            argp_error(state, "--workload is needed: resnet50, ogbg, dlrm or unet");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "verify|info DIR|synthetic",
    .doc =
        "verify reads everything under DIR that training would read and names each fault with file and position. info "
        "shows "
        "what a stream of batches holds, and statistics of one batch. docs/data.md has the folders and files of every "
        "workload."
        "\vExamples:\n"
        "  stepcost data verify imagenet --workload resnet50\n"
        "  stepcost data info pcba --workload ogbg --batch 512\n"
        "  stepcost data info synthetic -w dlrm --split validation --position 3\n\n" CLI_EXIT_TEXT,
};

/* ---- verify ---- */

static void print_finding(void *argument, enum sco_status status, const char *text)
{
    (void)argument;
    cli_progress_end();
    printf("%s: %s\n", sco_status_name(status), text);
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static int verify(const struct arguments *arguments)
{
    struct sco_verify_result result;
    const enum sco_status status =
        sco_dataset_verify(arguments->data.workload, arguments->data.path, print_finding, NULL, &result);
    if (status != SCO_OK)
        return cli_fail_status(status);
    if (strcmp(arguments->data.path, "synthetic") == 0) {
        puts("synthetic: made up as it is used, nothing to verify");
        return CLI_OK;
    }
    printf("%s%llu%s file%s, %llu sample%s, %llu finding%s\n", cli_bold(), (unsigned long long)result.files,
           cli_plain(), plural(result.files), (unsigned long long)result.samples, plural(result.samples),
           (unsigned long long)result.findings, plural(result.findings));
    return result.findings == 0 ? CLI_OK : CLI_DATA;
}

/* ---- info ---- */

static void print_row(const char *key, const char *format, ...) SCO_PRINTF(2, 3);
static void print_row(const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("  %-14s ", key);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

static void print_numbers(const char *key, const float *values, size_t count)
{
    double sum = 0.0, squares = 0.0, least = INFINITY, most = -INFINITY;
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        const double value = (double)values[i];
        if (isnan(value))
            continue;
        known++;
        sum += value;
        squares += value * value;
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    if (known == 0) {
        print_row(key, "none");
        return;
    }
    const double mean = sum / (double)known, variance = squares / (double)known - mean * mean;
    char missing[48] = "";
    if (known < count)
        snprintf(missing, sizeof missing, ", %.1f %% missing", 100.0 * (1.0 - (double)known / (double)count));
    print_row(key, "mean %.4g, deviation %.4g, from %.4g to %.4g%s", mean, sqrt(variance > 0.0 ? variance : 0.0), least,
              most, missing);
}

static int compare(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void print_integers(const char *key, const int32_t *values, size_t count)
{
    int32_t *sorted = malloc((count + 1) * sizeof *sorted);
    if (sorted == NULL || count == 0) {
        print_row(key, sorted == NULL ? "(no memory to count them)" : "none");
        free(sorted);
        return;
    }
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
    size_t different = 1;
    for (size_t i = 1; i < count; i++)
        different += sorted[i] != sorted[i - 1];
    print_row(key, "%zu different, from %d to %d", different, (int)sorted[0], (int)sorted[count - 1]);
    free(sorted);
}

static void print_batch(const struct sco_batch *batch)
{
    printf("%sBatch %llu%s, %zu sample%s\n", cli_bold(), (unsigned long long)batch->position, cli_plain(),
           batch->samples, plural(batch->samples));
    switch (batch->workload) {
    case SCO_RESNET50: {
        const struct sco_images *b = &batch->images;
        print_numbers("pixels", b->x, b->N * b->H * b->W * 3);
        print_integers("classes", b->label, b->N);
        return;
    }
    case SCO_OGBG: {
        const struct sco_molecules *b = &batch->molecules;
        print_row("graphs", "%zu: %zu nodes, %zu directed edges", b->graphs, b->nodes, b->edges);
        print_integers("nodes each", b->n_node, b->graphs);
        print_integers("edges each", b->n_edge, b->graphs);
        print_numbers("labels", b->label, b->graphs * b->tasks);
        return;
    }
    case SCO_DLRM: {
        const struct sco_clicks *b = &batch->clicks;
        print_numbers("dense", b->dense, b->rows * SCO_CLICK_DENSE);
        print_integers("table rows", b->index, b->rows * SCO_CLICK_CATEGORIES);
        print_numbers("labels", b->label, b->rows);
        return;
    }
    case SCO_UNET: {
        const struct sco_slices *b = &batch->slices;
        print_numbers("input", b->x, b->N * b->H * b->W);
        print_numbers("target", b->target, b->N * b->H * b->W);
        print_numbers("means", b->mean, b->N);
        print_numbers("deviations", b->deviation, b->N);
        print_numbers("volumes' max", b->volume_max, b->N);
        return;
    }
    case SCO_WORKLOADS: return;
    }
}

static void print_facts(const struct arguments *arguments, const struct sco_dataset_facts *facts)
{
    const struct sco_dataset_options *data = &arguments->data;
    char bytes[CLI_BYTES_TEXT];
    printf("%s%s%s of %s, %s\n", cli_bold(), sco_workload_name(data->workload), cli_plain(), data->path,
           splits[data->split]);
    if (facts->synthetic)
        puts("  SYNTHETIC: made up. No loss or metric on it compares with a published one.");
    if (facts->samples > 0)
        print_row("samples", "%llu", (unsigned long long)facts->samples);
    else
        print_row("samples", "unknown until read once");
    print_row("batch", "%zu samples at most", facts->max_samples);
    if (facts->max_nodes > 0)
        print_row("bounds", "%zu nodes, %zu directed edges", facts->max_nodes, facts->max_edges);
    if (facts->classes > 0)
        print_row(data->workload == SCO_OGBG ? "tasks" : "classes", "%zu", facts->classes);
    if (facts->H > 0)
        print_row("pixels", "%zu x %zu", facts->H, facts->W);
    print_row("memory", "%s", cli_format_bytes(bytes, (double)facts->memory_bytes));
}

static int info(const struct arguments *arguments)
{
    struct sco_dataset *dataset = NULL;
    const struct sco_batch *batch = NULL;
    enum sco_status status = sco_dataset_open(&dataset, &arguments->data);
    if (status == SCO_OK && arguments->position > 0)
        status = sco_dataset_seek(dataset, arguments->position);
    if (status == SCO_OK)
        status = sco_dataset_next(dataset, &batch);
    if (status == SCO_OK) {
        print_facts(arguments, sco_dataset_get_facts(dataset));
        if (batch != NULL)
            print_batch(batch);
        else
            printf("The stream ends before batch %llu\n", (unsigned long long)arguments->position);
        if (sco_dataset_skipped(dataset) > 0)
            printf("LEFT OUT: %llu sample%s, the last: %s\n", (unsigned long long)sco_dataset_skipped(dataset),
                   plural(sco_dataset_skipped(dataset)), sco_dataset_last_skipped(dataset));
    }
    sco_dataset_close(dataset);
    return status == SCO_OK ? CLI_OK : cli_fail_status(status);
}

static int run(int argc, char **argv)
{
    struct arguments arguments = {.data = {.batch = 32, .ahead = 1}};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    return strcmp(arguments.task, "verify") == 0 ? verify(&arguments) : info(&arguments);
}

const struct cli_verb cli_data_verb = {"data", "Verify training data, or show what it holds", &argp, run, false};

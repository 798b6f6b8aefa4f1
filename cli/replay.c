/* SPDX-License-Identifier: Apache-2.0
 * stepcost replay: recorded runs of optimizers and models on every row and number of threads asked for. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/replay.h"
#include "cli/report/report.h"
#include "stepcost/replay.h"

static const struct argp_option options[] = {
    {"threads", 't', "N,...", 0, "Numbers of threads; above the allowed CPUs they share them (default: 1,2,3,7)", 0},
    {"rows", 'r', "ROW,...", 0,
     "scalar, hwy, avx2, avx512, neon; for models onednn and winograd too (default: all, or what STEPCOST_ISA and "
     "STEPCOST_ROW say where one is set)",
     0},
    {"tensors", 'T', NULL, 0, "Show every tensor and row, not the worst of each stage", 0},
    {"json", 'j', "FILE", 0, "Write everything as JSON too (docs/json.md); - is standard output", 0},
    {0},
};

static void parse_threads(struct replay_arguments *arguments, const char *list, struct argp_state *state)
{
    char word[REPLAY_NAME];
    arguments->thread_count = 0;
    for (const char *at = list;; at++) {
        const size_t n = strcspn(at, ",");
        if (n >= sizeof word || arguments->thread_count == REPLAY_MAX_THREADS)
            argp_error(state, "--threads=%s: at most %d numbers", list, REPLAY_MAX_THREADS);
        snprintf(word, sizeof word, "%.*s", (int)n, at);
        arguments->threads[arguments->thread_count++] = cli_number(word, "threads", 1, 1024, state);
        at += n;
        if (*at == '\0')
            return;
    }
}

static void parse_rows(struct replay_arguments *arguments, const char *list, struct argp_state *state)
{
    arguments->row_count = 0;
    for (const char *at = list;; at++) {
        const size_t n = strcspn(at, ",");
        if (n == 0 || n >= REPLAY_NAME || arguments->row_count == REPLAY_MAX_ROWS)
            argp_error(state, "--rows=%s: 1 to %d names of rows", list, REPLAY_MAX_ROWS);
        snprintf(arguments->rows[arguments->row_count++], REPLAY_NAME, "%.*s", (int)n, at);
        at += n;
        if (*at == '\0')
            return;
    }
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct replay_arguments *arguments = state->input;
    switch (key) {
    case 't': parse_threads(arguments, argument, state); return 0;
    case 'r': parse_rows(arguments, argument, state); return 0;
    case 'T': arguments->tensors = true; return 0;
    case 'j': arguments->json = argument; return 0;
    case ARGP_KEY_ARG:
        if (arguments->dir != NULL)
            return ARGP_ERR_UNKNOWN; /* the first case: ARGP_KEY_ARGS takes the rest */
        arguments->dir = argument;
        return 0;
    case ARGP_KEY_ARGS:
        arguments->cases = state->argv + state->next;
        arguments->case_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "a folder of recorded traces is needed"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "DIR [CASE...]",
    .doc = "Replays recorded optimizer runs: one step from every recorded state, and whole runs from the first step, "
           "on every "
           "row and number of threads. Shows the largest deviation of each stage, absolute, relative to the rms of the "
           "recorded array, and in units of the last place, and whether all numbers of threads gave the same bits.\n\n"
           "A folder of records of models (.json without .idx): one forward and backward of each, from parameters and "
           "inputs drawn by formula. Shows the error of the loss, and the largest ones of outputs and gradients. Row "
           "onednn takes its convolutions and products wherever it has them, row winograd that algorithm."
           "\vExamples:\n"
           "  stepcost replay tests/golden/velo\n"
           "  stepcost replay tests/golden/velo tiny edge --rows scalar,avx2 --threads 1,2\n"
           "  stepcost replay tests/golden/velo tiny --tensors --json replay.json\n"
           "  stepcost replay tests/golden/algoperf/models unet_1x34x38\n\n"
           "A row that this machine or build cannot run is listed as skipped.\n\n" CLI_EXIT_TEXT,
};

/* ---- Rows ---- */

/* "family:ROW" for every family that has such a row: others would hide it otherwise. */
static enum sco_status pin_everywhere(struct replay_row *row)
{
    struct sco_ctx *ctx;
    const enum sco_status status = sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = 1});
    if (status != SCO_OK)
        return status;
    size_t bytes;
    FILE *stream = open_memstream(&row->pins, &bytes);
    const char *family, *name;
    for (size_t f = 0; stream != NULL && (family = sco_ctx_family(ctx, f)) != NULL; f++)
        for (size_t i = 0; (name = sco_ctx_family_row(ctx, f, i)) != NULL; i++)
            if (strcmp(name, row->name) == 0)
                fprintf(stream, "%s%s:%s", ftell(stream) > 0 ? "," : "", family, name);
    if (stream != NULL)
        fclose(stream);
    sco_ctx_destroy(ctx);
    if (row->pins == NULL || row->pins[0] == '\0')
        snprintf(row->skipped, sizeof row->skipped, "no kernel has a row %s in this build", row->name);
    return SCO_OK;
}

enum sco_status replay_start(struct sco_ctx **ctx, const struct replay_row *row, size_t threads)
{
    return sco_ctx_create(
        ctx, &(struct sco_ctx_options){.isa = row->isa, .row = row->pins, .threads = threads, .oversubscribe = 1});
}

/* Which families run other rows than the one asked for. Slots of a family that has the row may fall back too, one by
 * one; that is what a row is, so only whole families are told. */
static char *list_fallback(const struct sco_ctx *ctx, const char *name)
{
    char *list;
    size_t bytes;
    FILE *stream = open_memstream(&list, &bytes);
    const char *family, *row;
    if (stream == NULL)
        return NULL;
    for (size_t f = 0; (family = sco_ctx_family(ctx, f)) != NULL; f++) {
        bool has = false;
        for (size_t slot = 0; (row = sco_ctx_row(ctx, f, slot)) != NULL; slot++)
            has = has || strcmp(row, name) == 0;
        if (!has && sco_ctx_row(ctx, f, 0) != NULL)
            fprintf(stream, "%s%s (%s)", ftell(stream) > 0 ? ", " : "", family, sco_ctx_row(ctx, f, 0));
    }
    fclose(stream);
    return list;
}

/* Finds out whether a row can run here. Errors: a name that is no row. */
static enum sco_status probe(struct replay_row *row, bool models)
{
    enum sco_status status = SCO_OK;
    struct sco_ctx *ctx = NULL;
    if (strcmp(row->name, "hwy") == 0 || (models && strcmp(row->name, "onednn") == 0))
        status = pin_everywhere(row);
    else if (models && strcmp(row->name, "winograd") == 0)
        row->plan = row->name;
    else if (strcmp(row->name, "environment") != 0)
        row->isa = row->name;
    if (status != SCO_OK || row->skipped[0] != '\0')
        return status;
    status = replay_start(&ctx, row, 1);
    if (status == SCO_OK && strcmp(row->name, "environment") != 0 && row->plan == NULL)
        row->fallback = list_fallback(ctx, row->name);
    sco_ctx_destroy(ctx);
    if (status != SCO_UNSUPPORTED)
        return status;
    snprintf(row->skipped, sizeof row->skipped, "%s", sco_error_message());
    return SCO_OK;
}

/* ---- Results ---- */

/* Runs of one row whose bits are the same: one, unless threads matter. */
struct result {
    size_t row;
    size_t threads[REPLAY_MAX_THREADS], thread_count;
    struct sco_replay *replay;
};

struct replayed {
    const char *name;
    struct result results[REPLAY_MAX_ROWS * REPLAY_MAX_THREADS];
    size_t count;
    size_t failed;  /* entries above their bound */
    bool same_bits; /* for all numbers of threads, within each row */
};

static const char *const mode_names[] = {
    [SCO_REPLAY_STEP] = "step", [SCO_REPLAY_RUN] = "run", [SCO_REPLAY_TRACE] = "trace"};

static void replayed_clear(struct replayed *replayed)
{
    for (size_t i = 0; i < replayed->count; i++)
        sco_replay_destroy(replayed->results[i].replay);
}

static enum sco_status replay_case(struct replayed *replayed, const struct replay_arguments *arguments,
                                   const struct replay_row *rows, size_t row_count)
{
    replayed->same_bits = true;
    for (size_t r = 0; r < row_count; r++) {
        if (rows[r].skipped[0] != '\0')
            continue;
        const size_t first = replayed->count;
        for (size_t t = 0; t < arguments->thread_count; t++) {
            char text[128];
            snprintf(text, sizeof text, "%s, row %s, %zu threads", replayed->name, rows[r].name, arguments->threads[t]);
            cli_progress(NULL, text);
            struct sco_ctx *ctx;
            struct sco_replay *replay;
            enum sco_status status = replay_start(&ctx, &rows[r], arguments->threads[t]);
            if (status != SCO_OK)
                return status;
            status = sco_replay_create(&replay, ctx, arguments->dir, replayed->name);
            sco_ctx_destroy(ctx);
            if (status != SCO_OK)
                return status;
            size_t i = first;
            while (i < replayed->count && sco_replay_hash(replayed->results[i].replay) != sco_replay_hash(replay))
                i++;
            if (i == replayed->count) {
                replayed->results[replayed->count++] = (struct result){.row = r, .replay = replay};
                const struct sco_replay_entry *entry;
                for (size_t e = 0; (entry = sco_replay_at(replay, e)) != NULL; e++)
                    replayed->failed += !entry->passed;
            } else {
                sco_replay_destroy(replay);
            }
            struct result *result = &replayed->results[i];
            result->threads[result->thread_count++] = arguments->threads[t];
        }
        replayed->same_bits = replayed->same_bits && replayed->count == first + 1;
    }
    cli_progress_end();
    return SCO_OK;
}

/* ---- Text ---- */

void replay_print_bits(const struct replay_row *row, uint64_t hash, const size_t *threads, size_t thread_count)
{
    printf("  bits of row %s: %016llx with", row->name, (unsigned long long)hash);
    for (size_t t = 0; t < thread_count; t++)
        printf("%s%zu", t == 0 ? " " : ", ", threads[t]);
    printf(" thread%s\n", thread_count == 1 && threads[0] == 1 ? "" : "s");
}

static void print_tensor(char text[REPLAY_NAME], size_t tensor)
{
    if (tensor == SIZE_MAX)
        snprintf(text, REPLAY_NAME, "-");
    else
        snprintf(text, REPLAY_NAME, "%zu", tensor);
}

static void print_entry(const struct sco_replay_entry *entry, const char *row)
{
    char tensor[REPLAY_NAME];
    print_tensor(tensor, entry->tensor);
    printf("  %-19s %-5s %-16s %6s %5zu  %9.2e  %9.2e  %7.0e  %9.3g  %-10s %s\n", entry->optimizer,
           mode_names[entry->mode], entry->stage, tensor, entry->step, entry->absolute, entry->relative, entry->bound,
           entry->ulp, row, entry->passed ? "ok" : "ABOVE THE BOUND");
}

static bool same_stage(const struct sco_replay_entry *a, const struct sco_replay_entry *b)
{
    return a->mode == b->mode && strcmp(a->optimizer, b->optimizer) == 0 && strcmp(a->stage, b->stage) == 0;
}

/* The entry's stage over all tensors and rows: each measure's largest value, and where the relative one was met. Bounds
 * may differ within a stage; the entry nearest to its own bound, or farthest above it, is the one that is shown. */
static struct sco_replay_entry worst_of_stage(const struct replayed *replayed, const struct sco_replay_entry *stage,
                                              size_t *row)
{
    struct sco_replay_entry worst = *stage;
    const struct sco_replay_entry *entry;
    *row = replayed->results[0].row;
    for (size_t i = 0; i < replayed->count; i++)
        for (size_t e = 0; (entry = sco_replay_at(replayed->results[i].replay, e)) != NULL; e++) {
            if (!same_stage(stage, entry))
                continue;
            const double absolute = fmax(worst.absolute, entry->absolute), ulp = fmax(worst.ulp, entry->ulp);
            if (entry->relative / entry->bound > worst.relative / worst.bound) {
                worst = *entry;
                *row = replayed->results[i].row;
            }
            worst.absolute = absolute;
            worst.ulp = ulp;
        }
    return worst;
}

static void print_stages(const struct replayed *replayed, const struct replay_row *rows)
{
    const struct sco_replay *first = replayed->results[0].replay;
    const struct sco_replay_entry *entry, *earlier;
    for (size_t e = 0; (entry = sco_replay_at(first, e)) != NULL; e++) {
        size_t k = 0, row;
        while ((earlier = sco_replay_at(first, k)) != entry && !same_stage(earlier, entry))
            k++;
        if (earlier != entry)
            continue;
        const struct sco_replay_entry worst = worst_of_stage(replayed, entry, &row);
        print_entry(&worst, rows[row].name);
    }
}

static void print_case(const struct replayed *replayed, const struct replay_row *rows, bool tensors)
{
    const char *weights = sco_replay_weights(replayed->results[0].replay);
    printf("%s%s%s%s%s\n", cli_bold(), replayed->name, cli_plain(), weights[0] != '\0' ? "  weights: " : "", weights);
    printf("  %-19s %-5s %-16s %6s %5s  %9s  %9s  %7s  %9s  %-10s\n", "optimizer", "mode", "stage", "tensor", "step",
           "absolute", "relative", "bound", "ulp", "row");
    if (!tensors) {
        print_stages(replayed, rows);
    } else {
        const struct sco_replay_entry *entry;
        for (size_t i = 0; i < replayed->count; i++)
            for (size_t e = 0; (entry = sco_replay_at(replayed->results[i].replay, e)) != NULL; e++)
                print_entry(entry, rows[replayed->results[i].row].name);
    }
    for (size_t i = 0; i < replayed->count; i++) {
        const struct result *result = &replayed->results[i];
        replay_print_bits(&rows[result->row], sco_replay_hash(result->replay), result->threads, result->thread_count);
    }
    printf("  %zu above their bound, bits %s\n\n", replayed->failed,
           replayed->same_bits ? "the same for all numbers of threads" : "DIFFER BETWEEN NUMBERS OF THREADS");
}

/* ---- JSON ---- */

json_t *replay_number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *replay_threads_json(const size_t *threads, size_t thread_count)
{
    json_t *list = json_array();
    for (size_t t = 0; t < thread_count; t++)
        json_array_append_new(list, json_integer((json_int_t)threads[t]));
    return list;
}

static json_t *entry_json(const struct sco_replay_entry *entry)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:o, s:o, s:o, s:I, s:I, s:f, s:b}", "optimizer", entry->optimizer,
                     "mode", mode_names[entry->mode], "stage", entry->stage, "tensor",
                     entry->tensor == SIZE_MAX ? json_null() : json_integer((json_int_t)entry->tensor), "steps",
                     (json_int_t)entry->steps, "absolute", replay_number_or_null(entry->absolute), "relative",
                     replay_number_or_null(entry->relative), "ulp", replay_number_or_null(entry->ulp), "worst_step",
                     (json_int_t)entry->step, "worst_index", (json_int_t)entry->index, "bound", entry->bound, "passed",
                     entry->passed);
}

static json_t *case_json(const struct replayed *replayed, const struct replay_row *rows)
{
    json_t *results = json_array();
    for (size_t i = 0; i < replayed->count; i++) {
        const struct result *result = &replayed->results[i];
        json_t *threads = replay_threads_json(result->threads, result->thread_count), *entries = json_array();
        const struct sco_replay_entry *entry;
        for (size_t e = 0; (entry = sco_replay_at(result->replay, e)) != NULL; e++)
            json_array_append_new(entries, entry_json(entry));
        char hash[17];
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)sco_replay_hash(result->replay));
        json_array_append_new(results, json_pack("{s:s, s:o, s:s, s:o}", "row", rows[result->row].name, "threads",
                                                 threads, "hash", hash, "entries", entries));
    }
    return json_pack("{s:s, s:s, s:I, s:b, s:o}", "case", replayed->name, "weights",
                     sco_replay_weights(replayed->results[0].replay), "above_bound", (json_int_t)replayed->failed,
                     "same_bits", replayed->same_bits, "results", results);
}

static json_t *rows_json(const struct replay_row *rows, size_t row_count)
{
    json_t *list = json_array();
    for (size_t r = 0; r < row_count; r++)
        json_array_append_new(list, json_pack("{s:s, s:s?, s:s?}", "row", rows[r].name, "skipped",
                                              rows[r].skipped[0] != '\0' ? rows[r].skipped : NULL, "fallback",
                                              rows[r].fallback));
    return list;
}

static enum sco_status write_json(struct cli_output *output, const char *report, json_t *cases,
                                  const struct replay_row *rows, size_t row_count, bool passed, int *code)
{
    struct sco_ctx *ctx = NULL;
    struct sco_environment *environment = NULL;
    enum sco_status status = sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = 1});
    if (status == SCO_OK)
        status = sco_environment_create(&environment, ctx);
    if (status == SCO_OK)
        *code = cli_report_write(output->file, output->path,
                                 json_pack("{s:i, s:s, s:o, s:O, s:o, s:b}", "schema", 1, "report", report, "context",
                                           cli_report_context(ctx, environment), "cases", cases, "rows",
                                           rows_json(rows, row_count), "passed", passed));
    sco_environment_destroy(environment);
    sco_ctx_destroy(ctx);
    return status;
}

/* ---- The verb ---- */

static bool ends_in(const char *name, const char *end)
{
    const size_t n = strlen(name), tail = strlen(end);
    return n > tail && strcmp(name + n - tail, end) == 0;
}

static int is_index(const struct dirent *entry)
{
    return ends_in(entry->d_name, ".idx");
}

static int is_record(const struct dirent *entry)
{
    return ends_in(entry->d_name, ".json");
}

static void free_entries(struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

/* Traces of optimizers have an index and may have a .json beside it; a folder of .json alone is one of models. */
static bool holds_models(const char *dir)
{
    struct dirent **entries = NULL;
    const int traces = scandir(dir, &entries, is_index, NULL);
    free_entries(entries, traces);
    entries = NULL;
    const int records = traces == 0 ? scandir(dir, &entries, is_record, NULL) : 0;
    free_entries(entries, records);
    return records > 0;
}

/* All cases of the folder, by name. */
static int find_cases(struct replay_arguments *arguments, bool models)
{
    struct dirent **entries = NULL;
    const int count = scandir(arguments->dir, &entries, models ? is_record : is_index, alphasort);
    if (count < 0)
        return cli_fail(CLI_IO, "%s: cannot be listed: %s", arguments->dir, strerror(errno));
    arguments->cases = calloc((size_t)count + 1, sizeof *arguments->cases);
    bool memory = arguments->cases != NULL;
    for (int i = 0; i < count && memory; i++) {
        const char *name = entries[i]->d_name;
        arguments->cases[i] = strndup(name, strlen(name) - strlen(models ? ".json" : ".idx"));
        memory = arguments->cases[i] != NULL;
    }
    free_entries(entries, count);
    if (!memory)
        return cli_fail(CLI_ENVIRONMENT, "%s: no memory for %d names", arguments->dir, count);
    arguments->case_count = (size_t)count;
    return count > 0 ? CLI_OK : cli_fail(CLI_DATA, "%s: no recorded traces (NAME.idx) here", arguments->dir);
}

static enum sco_status replay_optimizers(const struct replay_arguments *arguments, const struct replay_row *rows,
                                         size_t row_count, const struct cli_output *output, json_t *cases,
                                         size_t *failed)
{
    enum sco_status status = SCO_OK;
    for (size_t c = 0; c < arguments->case_count && status == SCO_OK; c++) {
        struct replayed replayed = {.name = arguments->cases[c]};
        status = replay_case(&replayed, arguments, rows, row_count);
        if (status == SCO_OK) {
            if (output->file != stdout)
                print_case(&replayed, rows, arguments->tensors);
            if (output->file != NULL)
                json_array_append_new(cases, case_json(&replayed, rows));
            *failed += replayed.failed > 0 || !replayed.same_bits;
        }
        replayed_clear(&replayed);
    }
    return status;
}

static int replay_all(const struct replay_arguments *arguments, const struct replay_row *rows, size_t row_count,
                      struct cli_output *output, bool models)
{
    json_t *cases = json_array();
    size_t failed = 0;
    int code = CLI_OK;
    enum sco_status status =
        (models ? replay_models : replay_optimizers)(arguments, rows, row_count, output, cases, &failed);
    for (size_t r = 0; r < row_count && output->file != stdout; r++) {
        if (rows[r].skipped[0] != '\0')
            printf("SKIPPED row %s: %s\n", rows[r].name, rows[r].skipped);
        else if (rows[r].fallback != NULL && rows[r].fallback[0] != '\0')
            printf("row %s: families without it ran another: %s\n", rows[r].name, rows[r].fallback);
    }
    if (status == SCO_OK && output->file != stdout)
        printf("%zu of %zu cases within all bounds, with the same bits for all numbers of threads\n",
               arguments->case_count - failed, arguments->case_count);
    if (status == SCO_OK && output->file != NULL)
        status = write_json(output, models ? "replay_models" : "replay", cases, rows, row_count, failed == 0, &code);
    json_decref(cases);
    if (status != SCO_OK)
        return cli_fail_status(status);
    return code != CLI_OK ? code : failed > 0 ? CLI_FAILED : CLI_OK;
}

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

static int run(int argc, char **argv)
{
    struct replay_arguments arguments = {.threads = {1, 2, 3, 7}, .thread_count = 4};
    struct replay_row rows[REPLAY_MAX_ROWS] = {{0}};
    struct cli_output output = {0};
    size_t able = 0;
    int code = CLI_OK;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    const bool all_cases = arguments.case_count == 0, models = holds_models(arguments.dir);
    if (arguments.row_count == 0)
        parse_rows(&arguments,
                   is_set("STEPCOST_ISA") || is_set("STEPCOST_ROW") ? "environment"
                   : models                                         ? "scalar,hwy,avx2,avx512,neon,onednn,winograd"
                                                                    : "scalar,hwy,avx2,avx512,neon",
                   NULL);
    for (size_t r = 0; r < arguments.row_count && code == CLI_OK; r++) {
        rows[r].name = arguments.rows[r];
        const enum sco_status status = probe(&rows[r], models);
        if (status != SCO_OK)
            code = cli_fail_status(status);
        able += rows[r].skipped[0] == '\0';
    }
    if (code == CLI_OK && all_cases)
        code = find_cases(&arguments, models);
    if (code == CLI_OK)
        code = cli_output_open(&output, arguments.json);
    if (code == CLI_OK && able == 0) {
        for (size_t r = 0; r < arguments.row_count; r++)
            cli_fail(CLI_SKIPPED, "row %s: %s", rows[r].name, rows[r].skipped);
        code = CLI_SKIPPED;
    } else if (code == CLI_OK) {
        code = replay_all(&arguments, rows, arguments.row_count, &output, models);
    }
    if (code == CLI_OK || code == CLI_FAILED) {
        const int committed = cli_output_commit(&output);
        code = committed != CLI_OK ? committed : code;
    } else {
        cli_output_discard(&output);
    }
    for (size_t c = 0; all_cases && arguments.cases != NULL && c < arguments.case_count; c++)
        free(arguments.cases[c]);
    if (all_cases)
        free(arguments.cases);
    for (size_t r = 0; r < arguments.row_count; r++)
        free(rows[r].pins), free(rows[r].fallback);
    return code;
}

const struct cli_verb cli_replay_verb = {"replay", "Replay recorded runs of optimizers and models and show deviations",
                                         &argp, run, false};

/* SPDX-License-Identifier: Apache-2.0
 * stepcost replay, for a folder of recorded models. */
#include <math.h>
#include <string.h>

#include "cli/replay.h"
#include "stepcost/model_replay.h"

/* Runs of one row whose bits are the same: one, unless threads matter. */
struct result {
    size_t row;
    size_t threads[REPLAY_MAX_THREADS], thread_count;
    struct sco_model_replay *replay;
};

struct replayed {
    const char *name;
    struct result results[REPLAY_MAX_ROWS * REPLAY_MAX_THREADS];
    size_t count;
    size_t failed;  /* entries above their bound */
    bool same_bits; /* for all numbers of threads, within each row */
};

static void replayed_clear(struct replayed *replayed)
{
    for (size_t i = 0; i < replayed->count; i++)
        sco_model_replay_destroy(replayed->results[i].replay);
}

/* Keeps replay among the results of its row, or counts it to one that has the same bits. */
static void add(struct replayed *replayed, size_t first, size_t row, size_t threads, struct sco_model_replay *replay)
{
    const struct sco_model_replay_entry *entry;
    size_t i = first;
    while (i < replayed->count && sco_model_replay_hash(replayed->results[i].replay) != sco_model_replay_hash(replay))
        i++;
    if (i == replayed->count) {
        replayed->results[replayed->count++] = (struct result){.row = row, .replay = replay};
        for (size_t e = 0; (entry = sco_model_replay_at(replay, e)) != NULL; e++)
            replayed->failed += !entry->passed;
    } else {
        sco_model_replay_destroy(replay);
    }
    struct result *result = &replayed->results[i];
    result->threads[result->thread_count++] = threads;
}

static enum sco_status replay_row(struct replayed *replayed, const struct replay_arguments *arguments,
                                  const struct replay_row *row, size_t index)
{
    const size_t first = replayed->count;
    for (size_t t = 0; t < arguments->thread_count; t++) {
        char text[128];
        struct sco_ctx *ctx;
        struct sco_model_replay *replay;
        snprintf(text, sizeof text, "%s, row %s, %zu threads", replayed->name, row->name, arguments->threads[t]);
        cli_progress(NULL, text);
        enum sco_status status = replay_start(&ctx, row, arguments->threads[t]);
        if (status != SCO_OK)
            return status;
        status = sco_model_replay_create(&replay, ctx, arguments->dir, replayed->name, row->plan);
        sco_ctx_destroy(ctx);
        if (status != SCO_OK)
            return status;
        add(replayed, first, index, arguments->threads[t], replay);
    }
    replayed->same_bits = replayed->same_bits && replayed->count == first + 1;
    return SCO_OK;
}

/* ---- Text ---- */

static void print_entry(const struct sco_model_replay_entry *entry, const char *row)
{
    printf("  %-11s %-9s  %9.2e  %7.0e  %-15s %s\n", row, sco_model_replay_kind_name(entry->kind), entry->error,
           entry->bound, entry->passed ? "ok" : "ABOVE THE BOUND", entry->name);
}

/* Of each kind the entry nearest to its bound, or farthest above it. */
static void print_worst(const struct sco_model_replay *replay, const char *row)
{
    for (enum sco_model_replay_kind kind = 0; kind < SCO_MODEL_REPLAY_KINDS; kind++) {
        const struct sco_model_replay_entry *entry, *worst = NULL;
        for (size_t e = 0; (entry = sco_model_replay_at(replay, e)) != NULL; e++)
            if (entry->kind == kind && (worst == NULL || entry->error / entry->bound > worst->error / worst->bound))
                worst = entry;
        if (worst != NULL)
            print_entry(worst, row);
    }
}

static void print_case(const struct replayed *replayed, const struct replay_row *rows, bool tensors)
{
    const struct sco_model_replay *first = replayed->results[0].replay;
    printf("%s%s%s  model: %s\n", cli_bold(), replayed->name, cli_plain(),
           sco_workload_name(sco_model_replay_workload(first)));
    printf("  %-11s %-9s  %9s  %7s  %-15s %s\n", "row", "kind", "error", "bound", "", "of");
    for (size_t i = 0; i < replayed->count; i++) {
        const struct result *result = &replayed->results[i];
        const struct sco_model_replay_entry *entry;
        if (!tensors)
            print_worst(result->replay, rows[result->row].name);
        for (size_t e = 0; tensors && (entry = sco_model_replay_at(result->replay, e)) != NULL; e++)
            print_entry(entry, rows[result->row].name);
    }
    for (size_t i = 0; i < replayed->count; i++) {
        const struct result *result = &replayed->results[i];
        replay_print_bits(&rows[result->row], sco_model_replay_hash(result->replay), result->threads,
                          result->thread_count);
    }
    printf("  %zu above their bound, bits %s\n\n", replayed->failed,
           replayed->same_bits ? "the same for all numbers of threads" : "DIFFER BETWEEN NUMBERS OF THREADS");
}

/* ---- JSON ---- */

static json_t *entry_json(const struct sco_model_replay_entry *entry)
{
    return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:f, s:b}", "kind", sco_model_replay_kind_name(entry->kind),
                     "name", entry->name, "count", (json_int_t)entry->count, "norm", replay_number_or_null(entry->norm),
                     "sum", replay_number_or_null(entry->sum), "entries", replay_number_or_null(entry->entries),
                     "error", replay_number_or_null(entry->error), "bound", entry->bound, "passed", entry->passed);
}

static json_t *case_json(const struct replayed *replayed, const struct replay_row *rows)
{
    json_t *results = json_array();
    for (size_t i = 0; i < replayed->count; i++) {
        const struct result *result = &replayed->results[i];
        json_t *entries = json_array();
        const struct sco_model_replay_entry *entry;
        for (size_t e = 0; (entry = sco_model_replay_at(result->replay, e)) != NULL; e++)
            json_array_append_new(entries, entry_json(entry));
        char hash[17];
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)sco_model_replay_hash(result->replay));
        json_array_append_new(results, json_pack("{s:s, s:o, s:s, s:o}", "row", rows[result->row].name, "threads",
                                                 replay_threads_json(result->threads, result->thread_count), "hash",
                                                 hash, "entries", entries));
    }
    return json_pack("{s:s, s:s, s:I, s:b, s:o}", "case", replayed->name, "model",
                     sco_workload_name(sco_model_replay_workload(replayed->results[0].replay)), "above_bound",
                     (json_int_t)replayed->failed, "same_bits", replayed->same_bits, "results", results);
}

/* ---- All cases ---- */

enum sco_status replay_models(const struct replay_arguments *arguments, const struct replay_row *rows, size_t row_count,
                              const struct cli_output *output, json_t *cases, size_t *failed)
{
    enum sco_status status = SCO_OK;
    for (size_t c = 0; c < arguments->case_count && status == SCO_OK; c++) {
        struct replayed replayed = {.name = arguments->cases[c], .same_bits = true};
        for (size_t r = 0; r < row_count && status == SCO_OK; r++)
            if (rows[r].skipped[0] == '\0')
                status = replay_row(&replayed, arguments, &rows[r], r);
        cli_progress_end();
        if (status == SCO_OK && output->file != stdout)
            print_case(&replayed, rows, arguments->tensors);
        if (status == SCO_OK && output->file != NULL)
            json_array_append_new(cases, case_json(&replayed, rows));
        *failed += replayed.failed > 0 || !replayed.same_bits;
        replayed_clear(&replayed);
    }
    return status;
}

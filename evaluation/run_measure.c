/* SPDX-License-Identifier: Apache-2.0
 * measurements.csv: AlgoPerf's columns, in AlgoPerf's order. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/text.h"
#include "evaluation/run.h"

enum { COLUMNS = 16, NAME = 48, VALUE = 32 };

struct cell {
    char name[NAME], value[VALUE];
};

struct row {
    struct cell cells[COLUMNS];
    size_t count;
};

static struct cell *add(struct row *row, const char *format, const char *a, const char *b)
{
    struct cell *cell = &row->cells[row->count++];
    if (b != NULL)
        snprintf(cell->name, NAME, format, a, b);
    else
        snprintf(cell->name, NAME, "%s", a);
    cell->value[0] = '\0';
    return cell;
}

static void add_seconds(struct row *row, const char *name, double seconds)
{
    snprintf(add(row, NULL, name, NULL)->value, VALUE, "%.6f", seconds);
}

static void add_count(struct row *row, const char *name, uint64_t count)
{
    snprintf(add(row, NULL, name, NULL)->value, VALUE, "%" PRIu64, count);
}

/* What there is not, and what is not a number, is an empty cell, as pandas writes it. */
static void add_number(struct row *row, const char *split, const char *what, double number, bool exists)
{
    struct cell *cell = add(row, "%s/%s", split, what);
    if (exists && isfinite(number))
        snprintf(cell->value, VALUE, "%.12g", number);
}

static void add_split(struct row *row, const char *split, const char *metric, const struct sco_evaluation *e,
                      bool samples)
{
    add_number(row, split, "loss", e->loss, e->samples != 0);
    if (strcmp(metric, "loss") != 0)
        add_number(row, split, metric, e->metric, e->samples != 0);
    if (samples)
        add_number(row, split, "num_examples", (double)e->samples, true);
}

static int by_name(const void *a, const void *b)
{
    const struct cell *x = a, *y = b;
    return strcmp(x->name, y->name);
}

enum sco_status sco_run_measure(struct sco_run *run)
{
    const struct sco_run_progress *progress = &run->progress;
    const char *metric = sco_workload_metric(run->config.model.workload);
    struct row row = {.count = 0};
    char line[COLUMNS * (NAME + 1)];
    add_seconds(&row, "accumulated_eval_time",
                sco_run_seconds(run, run->evaluation_before, SCO_PART_EVALUATION, SCO_PART_EVALUATION));
    add_seconds(&row, "accumulated_logging_time",
                sco_run_seconds(run, run->logging_before, SCO_PART_CHECKPOINT, SCO_PART_LOGGING));
    add_seconds(&row, "accumulated_submission_time", progress->submission_time);
    add_seconds(&row, "score", progress->submission_time);
    add_seconds(&row, "total_duration", sco_run_seconds(run, run->total_before, (enum sco_part)0, SCO_PART_OTHER));
    add_count(&row, "global_step", progress->step);
    add_count(&row, "preemption_count", progress->preemptions);
    add_split(&row, "train", metric, &progress->train, false);
    add_split(&row, "validation", metric, &progress->validation, true);
    add_split(&row, "test", metric, &progress->test, true);
    qsort(row.cells, row.count, sizeof *row.cells, by_name);

    for (int header = run->measurements.bytes == 0; header >= 0; header--) {
        struct sco_text text = {line, sizeof line, 0};
        for (size_t i = 0; i < row.count; i++)
            sco_text_add(&text, "%s%s", i == 0 ? "" : ",", header ? row.cells[i].name : row.cells[i].value);
        sco_text_add(&text, "\n");
        const enum sco_status status = sco_record_line(&run->measurements, line, text.used);
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

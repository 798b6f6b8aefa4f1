/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/report/cost_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double view_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *view_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static double element(const json_t *array, size_t index)
{
    const json_t *value = json_array_get(array, index);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static struct view_stat read_stat(const json_t *stat)
{
    const json_t *interval = json_object_get(stat, "ci95");
    return (struct view_stat){
        .min = view_number(stat, "min"),
        .median = view_number(stat, "median"),
        .low = element(interval, 0),
        .high = element(interval, 1),
        .confidence = view_number(stat, "confidence"),
        .rounds = view_number(stat, "rounds"),
    };
}

static void read_row(struct view_row *row, const json_t *object, const char *peak_row)
{
    const json_t *roof = json_object_get(object, "roof"), *ratio = json_object_get(object, "ratio_to_adam_ci95");
    row->workload = view_text(object, "workload");
    row->optimizer = view_text(object, "optimizer");
    row->weights = view_text(object, "weights");
    row->limit = view_text(object, "limit");
    row->stop = view_text(object, "stop");
    row->pattern = view_text(roof, "pattern");
    row->peak_row = peak_row;
    row->threads = view_number(object, "threads");
    row->tensors = view_number(object, "tensors");
    row->params = view_number(object, "params");
    row->full_params = view_number(object, "full_params");
    row->shortened = json_is_true(json_object_get(object, "shortened"));
    row->ratio_paired = !json_is_false(json_object_get(object, "ratio_paired"));
    row->ns = read_stat(json_object_get(object, "ns_per_param"));
    row->ms = read_stat(json_object_get(object, "ms_per_step"));
    row->ratio = view_number(object, "ratio_to_adam");
    row->ratio_low = element(ratio, 0);
    row->ratio_high = element(ratio, 1);
    row->state = view_number(object, "state_bytes_per_param");
    row->bytes = view_number(object, "model_bytes_per_param");
    row->flops = view_number(object, "model_flops_per_param");
    row->gbs = view_number(object, "gbs");
    row->gflops = view_number(object, "gflops");
    row->roof_gbs = view_number(roof, "gbs");
    row->roof_gflops = view_number(roof, "gflops");
    row->roof_fraction = view_number(object, "roof_fraction");

    json_t *phases = json_object_get(object, "phases"), *phase;
    const char *name;
    json_object_foreach(phases, name, phase)
    {
        if (row->phase_count == VIEW_PHASES)
            break;
        row->phase_name[row->phase_count] = name;
        row->phase[row->phase_count++] = read_stat(phase);
    }
}

struct view_stat view_phase(const struct view_row *row, const char *name)
{
    for (size_t i = 0; i < row->phase_count; i++)
        if (strcmp(row->phase_name[i], name) == 0)
            return row->phase[i];
    return read_stat(NULL);
}

/* NULL when memory ran out. */
static struct view_row *read_rows(const json_t *array, const char *peak_row, size_t *count)
{
    *count = json_array_size(array);
    struct view_row *rows = calloc(*count + 1, sizeof *rows);
    for (size_t i = 0; rows != NULL && i < *count; i++) {
        rows[i].index = i;
        read_row(&rows[i], json_array_get(array, i), peak_row);
    }
    return rows;
}

static bool same_workload(const struct view_row *a, const struct view_row *b)
{
    return strcmp(a->workload, b->workload) == 0 && a->params == b->params && a->tensors == b->tensors;
}

static void group(struct cost_view *view)
{
    for (size_t i = 0; i < view->row_count; i++) {
        if (i == 0 || !same_workload(&view->rows[i - 1], &view->rows[i]))
            view->workloads[view->workload_count++] = (struct view_workload){&view->rows[i], 0};
        view->workloads[view->workload_count - 1].count++;
    }
}

int cost_view_create(struct cost_view *view, const json_t *report)
{
    const char *peak_row = view_text(json_object_get(report, "peak"), "row");
    const json_t *refused = json_object_get(report, "refused");
    *view = (struct cost_view){.report = report, .context = json_object_get(report, "context")};
    view->rows = read_rows(json_object_get(report, "rows"), peak_row, &view->row_count);
    view->sweep = read_rows(json_object_get(report, "sweep"), peak_row, &view->sweep_count);
    view->workloads = calloc(view->row_count + 1, sizeof *view->workloads);
    view->refusal_count = json_array_size(refused);
    view->refusals = calloc(view->refusal_count + 1, sizeof *view->refusals);
    if (view->rows == NULL || view->sweep == NULL || view->workloads == NULL || view->refusals == NULL) {
        cost_view_destroy(view);
        return -1;
    }
    group(view);
    for (size_t i = 0; i < view->refusal_count; i++) {
        const json_t *refusal = json_array_get(refused, i);
        view->refusals[i] = (struct view_refusal){view_text(refusal, "workload"), view_text(refusal, "optimizer"),
                                                  view_text(refusal, "why")};
    }
    return 0;
}

void cost_view_destroy(struct cost_view *view)
{
    free(view->rows);
    free(view->sweep);
    free(view->workloads);
    free(view->refusals);
    *view = (struct cost_view){0};
}

const char *view_optimizer(const char *name)
{
    static const char *const names[][2] = {
        {"heavy_ball", "heavy ball"},
        {"nesterov", "Nesterov"},
        {"adam", "Adam"},
        {"adamw", "AdamW"},
        {"nadam", "NAdam"},
        {"nadamw", "NAdamW"},
        {"adafactor", "Adafactor"},
        {"lion", "Lion"},
        {"lamb", "LAMB"},
        {"velo", "VeLO"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i][0]) == 0)
            return names[i][1];
    return name;
}

bool view_is_velo(const struct view_row *row)
{
    return strcmp(row->optimizer, "velo") == 0;
}

bool view_is_adam(const struct view_row *row)
{
    return strcmp(row->optimizer, "adam") == 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * A JSON report of `cost` (docs/json.md) as structures to draw from. Numbers that are null or absent are NaN,
 * texts "". */
#ifndef SCO_CLI_REPORT_COST_VIEW_H
#define SCO_CLI_REPORT_COST_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct view_stat {
    double min, median, low, high, confidence, rounds;
};

enum { VIEW_PHASES = 8 };

struct view_row {
    size_t index; /* in rows[] or sweep[] */
    const char *workload, *optimizer, *weights, *limit, *stop, *pattern, *peak_row;
    double threads, tensors, params, full_params;
    bool shortened, ratio_paired;
    struct view_stat ns, ms;
    double ratio, ratio_low, ratio_high;
    double state, bytes, flops; /* per parameter */
    double gbs, gflops, roof_gbs, roof_gflops, roof_fraction;
    size_t phase_count;
    const char *phase_name[VIEW_PHASES];
    struct view_stat phase[VIEW_PHASES];
};

/* Rows of one workload, which stand together. */
struct view_workload {
    const struct view_row *rows;
    size_t count;
};

struct view_refusal {
    const char *workload, *optimizer, *why;
};

struct cost_view {
    const json_t *report, *context;
    struct view_row *rows, *sweep;
    size_t row_count, sweep_count;
    struct view_workload *workloads;
    size_t workload_count;
    struct view_refusal *refusals;
    size_t refusal_count;
};

/* Borrows report, which must outlive the view. Returns 0, or -1 when memory ran out. */
int cost_view_create(struct cost_view *view, const json_t *report);
void cost_view_destroy(struct cost_view *view);

/* NaN throughout when the row has no such phase. */
struct view_stat view_phase(const struct view_row *row, const char *name);

double view_number(const json_t *object, const char *key);
const char *view_text(const json_t *object, const char *key);

/* "adam" is "Adam", "heavy_ball" "heavy ball", ...; names that are not known stay as they are. */
const char *view_optimizer(const char *name);
bool view_is_velo(const struct view_row *row);
bool view_is_adam(const struct view_row *row);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Plots of a cost report, each one <svg> with title, description and text. Points, bars and segments carry the index of
 * their row in data-row, so that what is drawn can be checked against the numbers. id is unique in the page. */
#ifndef SCO_CLI_REPORT_COST_PLOTS_H
#define SCO_CLI_REPORT_COST_PLOTS_H

#include <stdio.h>

#include "cli/report/cost_view.h"

/* ns per parameter of every optimizer, with intervals and the shortest time possible. */
void plot_bars(FILE *out, const char *id, const struct view_workload *workload);
/* Against the size of one tensor: ns per parameter, or with whole = true ns per step. */
void plot_sweep(FILE *out, const char *id, const struct cost_view *view, bool whole);
/* VeLO's phases, one bar per workload. */
void plot_phases(FILE *out, const char *id, const struct cost_view *view);
/* GFLOP/s against flops per byte under the roofs of the workload. */
void plot_roofline(FILE *out, const char *id, const struct view_workload *workload);

#endif

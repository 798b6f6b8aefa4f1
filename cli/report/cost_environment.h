/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCO_CLI_REPORT_COST_ENVIRONMENT_H
#define SCO_CLI_REPORT_COST_ENVIRONMENT_H

#include <stdio.h>

#include "cli/report/cost_view.h"

/* The section on what the figures depend on: machine, system, build, kernels, and which counters could be read. */
void page_environment(FILE *out, const struct cost_view *view);

#endif

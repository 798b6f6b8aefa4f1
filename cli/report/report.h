/* SPDX-License-Identifier: Apache-2.0
 * Reports: results of the library as JSON (docs/json.md). Other forms are made from the JSON, not from the results, so that
 * all forms show the same numbers. */
#ifndef SCO_CLI_REPORT_H
#define SCO_CLI_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "stepcost/microbench.h"

enum {
    CLI_REPORT_SCHEMA = 1, /* docs/json.md */
    CLI_REPORT_DIGITS = 9  /* significant digits of a number in a file */
};

/* Each returns a new reference, or NULL when memory ran out. */
json_t *cli_report_context(struct sco_ctx *ctx, const struct sco_environment *environment);
json_t *cli_report_info(struct sco_ctx *ctx, const struct sco_environment *environment);
json_t *cli_report_cost(struct sco_ctx *ctx, const struct sco_environment *environment,
                        const struct sco_cost_report *report);
json_t *cli_report_bench(struct sco_ctx *ctx, const struct sco_environment *environment,
                         const struct sco_bench_report *report);

/* A statistic (docs/json.md), every time multiplied by factor. */
json_t *cli_report_stats(const struct sco_stats *stats, double factor);

json_t *cli_report_ops(struct sco_ctx *ctx, const struct sco_environment *environment,
                       const struct sco_op_report *report);

/* Writes report with a final newline and drops the reference; report NULL means that memory ran out. path is for the message.
 * Returns the exit code. */
int cli_report_write(FILE *file, const char *path, json_t *report);

/* Writes a report of `cost` as one HTML page. It is made from the text that cli_report_write would write: a saved
 * report gives the same bytes. path is for the message. Returns the exit code. */
int cli_report_html(FILE *file, const char *path, const json_t *report);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What replays of optimizers and of models share. */
#ifndef SCO_CLI_REPLAY_H
#define SCO_CLI_REPLAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "stepcost/ctx.h"

enum { REPLAY_MAX_THREADS = 16, REPLAY_MAX_ROWS = 8, REPLAY_NAME = 32 };

struct replay_arguments {
    const char *dir, *json;
    char **cases;
    size_t case_count;
    size_t threads[REPLAY_MAX_THREADS], thread_count;
    char rows[REPLAY_MAX_ROWS][REPLAY_NAME];
    size_t row_count;
    bool tensors;
};

/* One way to choose kernels. */
struct replay_row {
    const char *name;
    const char *isa;  /* of sco_ctx_options; NULL: the environment */
    const char *plan; /* of convolutions; NULL: any */
    char *pins;
    char *fallback;    /* families that have no such row and run another one: "velo (scalar)"; may be "" */
    char skipped[256]; /* why it cannot run; empty: it can */
};

enum sco_status replay_start(struct sco_ctx **ctx, const struct replay_row *row, size_t threads);

/* "  bits of row ROW: HASH with 1, 2 threads" */
void replay_print_bits(const struct replay_row *row, uint64_t hash, const size_t *threads, size_t thread_count);

/* JSON has no infinity. */
json_t *replay_number_or_null(double value);
json_t *replay_threads_json(const size_t *threads, size_t thread_count);

/* Every case of arguments on every row that can run. Prints unless output is standard output, appends to cases where
 * there is an output, counts the cases that failed. replay_models.c */
enum sco_status replay_models(const struct replay_arguments *arguments, const struct replay_row *rows, size_t row_count,
                              const struct cli_output *output, json_t *cases, size_t *failed);

#endif

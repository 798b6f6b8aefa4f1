/* SPDX-License-Identifier: Apache-2.0
 * What the verbs of the command share: the verb table, exit codes, failing, output files, the terminal. */
#ifndef SCO_CLI_CLI_H
#define SCO_CLI_CLI_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "stepcost/status.h"

/* docs/exit-codes.md; the numbers never change. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the work was done and its answer is no: a bound was passed, a kernel was wrong */
    CLI_USAGE = 2,       /* the command line or an environment variable makes no sense */
    CLI_ENVIRONMENT = 3, /* this machine, build or memory cannot do it */
    CLI_DATA = 4,        /* an input file is not what it should be */
    CLI_IO = 5,          /* the operating system refused a file operation */
    CLI_NUMERICAL = 6,   /* NaN or Inf where the policy says stop */
    CLI_SKIPPED = 77     /* nothing to do here; only tests ask for it */
};

#define CLI_EXIT_TEXT                                                                                                  \
    "Exit status: 0 done, 1 failed or a bound was passed, 2 usage, 3 refused by this machine (CPU, memory, build), "   \
    "4 bad input data, 5 file could not be read or written, 6 NaN or Inf, 77 skipped."

struct cli_verb {
    const char *name, *summary;
    const struct argp *argp;           /* options of the verb: parsing, --help and shell completions */
    int (*run)(int argc, char **argv); /* argv[0] is "stepcost VERB"; returns the exit code */
    bool hidden;                       /* left out of --help */
};

/* Every verb, one per file; NULL ends the list (main.c). */
extern const struct cli_verb *const cli_verbs[];
extern const struct cli_verb cli_info_verb, cli_cost_verb, cli_bench_verb, cli_replay_verb, cli_report_verb,
    cli_data_verb, cli_train_verb, cli_completions_verb;

/* Prints "stepcost VERB: message" on stderr and returns code. */
int cli_fail(enum cli_exit code, const char *format, ...) SCO_PRINTF(2, 3);
/* The same with the library's last message and the exit code that belongs to status. */
int cli_fail_status(enum sco_status status);
enum cli_exit cli_exit_code(enum sco_status status);
void cli_set_name(const char *name); /* "stepcost VERB", for messages */

/* Whole number from low to high, or argp_error (which exits with CLI_USAGE). */
uint64_t cli_number(const char *text, const char *option, uint64_t low, uint64_t high, struct argp_state *state);
double cli_seconds(const char *text, const char *option, struct argp_state *state);

/* A file that appears whole or not at all: written beside path under a temporary name, renamed by commit. Opened before
 * a measurement starts, so that a path that cannot be written is told at once. path "-" is standard output. */
struct cli_output {
    const char *path;
    char *temporary;
    FILE *file; /* NULL: not open */
};
int cli_output_open(struct cli_output *output, const char *path); /* CLI_OK or CLI_IO; path NULL: stays closed */
int cli_output_commit(struct cli_output *output);
void cli_output_discard(struct cli_output *output); /* no-op when not open */

/* Bold when stdout is a terminal that can, and NO_COLOR is unset or empty; else "". */
const char *cli_bold(void);
const char *cli_plain(void);

/* A line on stderr that overwrites itself; silent unless stderr is a terminal. Signature of the library's progress. */
void cli_progress(void *argument, const char *text);
void cli_progress_end(void);

/* "123 B", "4.5 KiB", "1.2 GiB". Returns text. */
enum { CLI_BYTES_TEXT = 24 };
char *cli_format_bytes(char text[CLI_BYTES_TEXT], double bytes);

#endif

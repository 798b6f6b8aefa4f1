/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "stepcost/microbench.h"

const struct cli_verb *const cli_verbs[] = {&cli_info_verb,   &cli_cost_verb,        &cli_bench_verb,
                                            &cli_replay_verb, &cli_report_verb,      &cli_data_verb,
                                            &cli_train_verb,  &cli_completions_verb, NULL};

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "stepcost %s\ncommit %s\nbuilt with %s, %s\nlicense Apache-2.0\n", sco_build_version(),
            sco_build_commit(), sco_build_compiler(), sco_build_flags());
}

/* The verbs, between the options' description and the examples. */
static char *list_verbs(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_PRE_DOC)
        return (char *)text;
    char *list;
    size_t bytes;
    FILE *stream = open_memstream(&list, &bytes);
    if (stream == NULL)
        return (char *)text;
    fprintf(stream, "%s\n\nVerbs (each has its own --help):\n", text);
    for (const struct cli_verb *const *verb = cli_verbs; *verb != NULL; verb++)
        if (!(*verb)->hidden)
            fprintf(stream, "  %-9s %s\n", (*verb)->name, (*verb)->summary);
    fclose(stream);
    return list; /* argp frees it */
}

static const struct cli_verb *find(const char *verb_name)
{
    for (const struct cli_verb *const *verb = cli_verbs; *verb != NULL; verb++)
        if (strcmp((*verb)->name, verb_name) == 0)
            return *verb;
    return NULL;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    const size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein distance of two short words. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 32 };
    const size_t m = strlen(a), n = strlen(b);
    size_t row[LONGEST + 1];
    if (m > LONGEST || n > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; i <= m; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

static void unknown_verb(const char *word, struct argp_state *state)
{
    const struct cli_verb *nearest = NULL;
    size_t least = 3; /* two slips of the finger */
    for (const struct cli_verb *const *verb = cli_verbs; *verb != NULL; verb++) {
        const size_t d = distance(word, (*verb)->name);
        if (!(*verb)->hidden && d < least) {
            least = d;
            nearest = *verb;
        }
    }
    if (nearest != NULL)
        argp_error(state, "unknown verb \"%s\": did you mean \"%s\"?", word, nearest->name);
    else
        argp_error(state, "unknown verb \"%s\"", word);
}

struct command {
    const struct cli_verb *verb;
    int at; /* index of the verb in argv */
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct command *command = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        command->verb = find(argument);
        if (command->verb == NULL)
            unknown_verb(argument, state);
        command->at = state->next - 1;
        state->next = state->argc; /* the rest belongs to the verb */
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "a verb is needed"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .parser = parse,
        .args_doc = "VERB [OPTION...]",
        .doc = "Measures what the step of an optimizer costs on this CPU."
               "\vExamples:\n"
               "  stepcost info\n"
               "  stepcost cost --workload resnet50 --optimizer adam,velo\n"
               "  stepcost cost --json cost.json\n"
               "  stepcost bench adam --size L2,mem\n\n"
               "Environment: STEPCOST_THREADS, STEPCOST_ISA (levels to use: avx2; scalar), STEPCOST_ROW "
               "(family:row), NO_COLOR.\n\n" CLI_EXIT_TEXT,
        .help_filter = list_verbs,
    };
    argp_err_exit_status = CLI_USAGE;
    argp_program_version_hook = print_version;

    struct command command = {NULL, 0};
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &command) != 0 || command.verb == NULL)
        return CLI_USAGE;
    char name[64];
    snprintf(name, sizeof name, "stepcost %s", command.verb->name);
    cli_set_name(name);
    argv[command.at] = name;
    const int code = command.verb->run(argc - command.at, argv + command.at);
    if (fflush(stdout) != 0)
        return cli_fail(CLI_IO, "standard output could not be written");
    return code;
}

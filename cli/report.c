/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/report/report.h"

static const struct argp_option options[] = {
    {"html", 'H', "FILE", 0, "Write the page to FILE; - is standard output", 0},
    {0},
};

struct arguments {
    const char *json, *html;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case 'H': a->html = argument; return 0;
    case ARGP_KEY_ARG:
        if (a->json != NULL)
            argp_error(state, "one report at a time");
        a->json = argument;
        return 0;
    case ARGP_KEY_END:
        if (a->json == NULL)
            argp_error(state, "a JSON report of `stepcost cost` is needed");
        if (a->html == NULL)
            argp_error(state, "--html=FILE is needed");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "FILE.json",
    .doc = "Makes the page of `stepcost cost --html` from a report that `stepcost cost --json` wrote, without "
           "measuring. The "
           "same JSON gives the same bytes; - reads standard input."
           "\vExample:\n"
           "  stepcost report cost.json --html cost.html\n\n" CLI_EXIT_TEXT,
};

static int load(json_t **report, const char *path)
{
    json_error_t error;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL)
        return cli_fail(CLI_IO, "%s: cannot be read: %s", path, strerror(errno));
    *report = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    if (file != stdin)
        fclose(file);
    if (*report == NULL)
        return cli_fail(CLI_DATA, "%s: line %d, column %d: %s", path, error.line, error.column, error.text);
    const char *kind = json_string_value(json_object_get(*report, "report"));
    if (kind == NULL || strcmp(kind, "cost") != 0)
        return cli_fail(CLI_DATA, "%s: not a report of `stepcost cost`", path);
    if (json_integer_value(json_object_get(*report, "schema")) != CLI_REPORT_SCHEMA)
        return cli_fail(CLI_DATA, "%s: its schema is not %d, the one this program knows", path, CLI_REPORT_SCHEMA);
    return CLI_OK;
}

static int run(int argc, char **argv)
{
    struct arguments a = {NULL, NULL};
    argp_parse(&argp, argc, argv, 0, NULL, &a);

    struct cli_output html = {0};
    json_t *report = NULL;
    int code = load(&report, a.json);
    if (code == CLI_OK)
        code = cli_output_open(&html, a.html);
    if (code == CLI_OK)
        code = cli_report_html(html.file, html.path, report);
    if (code == CLI_OK)
        code = cli_output_commit(&html);
    cli_output_discard(&html);
    json_decref(report);
    return code;
}

const struct cli_verb cli_report_verb = {"report", "Make the HTML page of a saved JSON report", &argp, run, false};

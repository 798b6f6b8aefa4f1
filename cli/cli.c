/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *name = "stepcost";

void cli_set_name(const char *verb_name)
{
    name = verb_name;
}

int cli_fail(enum cli_exit code, const char *format, ...)
{
    va_list args;
    cli_progress_end();
    fprintf(stderr, "%s: ", name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return (int)code;
}

enum cli_exit cli_exit_code(enum sco_status status)
{
    switch (status) {
    case SCO_OK: return CLI_OK;
    case SCO_INVALID: return CLI_USAGE;
    case SCO_UNSUPPORTED:
    case SCO_NOMEM: return CLI_ENVIRONMENT;
    case SCO_SHAPE:
    case SCO_FORMAT: return CLI_DATA;
    case SCO_IO: return CLI_IO;
    case SCO_NONFINITE: return CLI_NUMERICAL;
    }
    return CLI_FAILED;
}

int cli_fail_status(enum sco_status status)
{
    return cli_fail(cli_exit_code(status), "%s", sco_error_message());
}

uint64_t cli_number(const char *text, const char *option, uint64_t low, uint64_t high, struct argp_state *state)
{
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < low || number > high)
        argp_error(state, "--%s=%s: a whole number from %llu to %llu is needed", option, text, (unsigned long long)low,
                   (unsigned long long)high);
    return number;
}

double cli_seconds(const char *text, const char *option, struct argp_state *state)
{
    char *end;
    const double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds > 0.0 && seconds <= 86400.0))
        argp_error(state, "--%s=%s: a number of seconds above 0 and up to 86400 is needed", option, text);
    return seconds;
}

int cli_output_open(struct cli_output *output, const char *path)
{
    *output = (struct cli_output){.path = path};
    if (path == NULL)
        return CLI_OK;
    if (strcmp(path, "-") == 0) {
        output->file = stdout;
        return CLI_OK;
    }
    struct stat existing;
    if (stat(path, &existing) == 0 && !S_ISREG(existing.st_mode))
        return cli_fail(CLI_IO, "%s: cannot be written: not a regular file", path);
    if (asprintf(&output->temporary, "%s.XXXXXX", path) < 0) {
        output->temporary = NULL;
        return cli_fail(CLI_IO, "%s: cannot be written: no memory", path);
    }
    const int descriptor = mkostemp(output->temporary, O_CLOEXEC);
    if (descriptor >= 0) {
        /* mkostemp makes private files; the result is to have the permissions that creating it would have given. */
        const mode_t mask = umask(0);
        umask(mask);
        if (fchmod(descriptor, 0666 & ~mask) == 0)
            output->file = fdopen(descriptor, "w");
    }
    if (output->file == NULL) {
        const int error = errno;
        if (descriptor >= 0) {
            close(descriptor);
            unlink(output->temporary);
        }
        free(output->temporary);
        output->temporary = NULL;
        return cli_fail(CLI_IO, "%s: cannot be written: %s", path, strerror(error));
    }
    return CLI_OK;
}

int cli_output_commit(struct cli_output *output)
{
    int error = 0;
    if (output->file == NULL)
        return CLI_OK;
    if (output->temporary == NULL) {
        if (fflush(output->file) != 0)
            error = errno;
    } else {
        if (ferror(output->file) || fflush(output->file) != 0 || fsync(fileno(output->file)) != 0)
            error = errno != 0 ? errno : EIO;
        if (fclose(output->file) != 0 && error == 0)
            error = errno;
        if (error == 0 && rename(output->temporary, output->path) != 0)
            error = errno;
        if (error != 0)
            unlink(output->temporary);
        free(output->temporary);
        output->temporary = NULL;
    }
    output->file = NULL;
    return error == 0 ? CLI_OK : cli_fail(CLI_IO, "%s: could not be written: %s", output->path, strerror(error));
}

void cli_output_discard(struct cli_output *output)
{
    if (output->file == NULL || output->temporary == NULL)
        return;
    fclose(output->file);
    unlink(output->temporary);
    free(output->temporary);
    *output = (struct cli_output){0};
}

static bool colour(void)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

const char *cli_bold(void)
{
    return colour() ? "\033[1m" : "";
}

const char *cli_plain(void)
{
    return colour() ? "\033[0m" : "";
}

static bool progress_shown;

void cli_progress(void *argument, const char *text)
{
    (void)argument;
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
    progress_shown = true;
}

void cli_progress_end(void)
{
    if (progress_shown)
        fputs("\r\033[K", stderr);
    progress_shown = false;
}

char *cli_format_bytes(char text[CLI_BYTES_TEXT], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1024.0 && unit + 1 < sizeof units / sizeof *units; unit++)
        bytes /= 1024.0;
    const int digits = bytes < 10.0 && bytes != floor(bytes) ? 1 : 0;
    snprintf(text, CLI_BYTES_TEXT, "%.*f %s", digits, bytes, units[unit]);
    return text;
}

/* SPDX-License-Identifier: Apache-2.0
 * Compares every row of every family with the scalar row, on every case. */
#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/registry.h"
#include "tests/check_kernels.h"

struct options {
    const char *family, *row, *emulator, *isa;
    struct sco_check check;
    bool list;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    char *end = NULL;
    switch (key) {
    case 'f': options->family = arg; break;
    case 'r': options->row = arg; break;
    case 's':
        options->check.seed = strtoull(arg, &end, 10);
        if (*arg == '\0' || *end != '\0')
            argp_error(state, "--seed takes a whole number, not '%s'", arg);
        break;
    case 'q': options->check.quick = true; break;
    case 'i': options->isa = arg; break;
    case 'l': options->list = true; break;
    case 'e': options->emulator = arg; break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option argp_options[] = {
    {"family", 'f', "NAME", 0, "Only this family", 0},
    {"row", 'r', "NAME", 0, "Only this row", 0},
    {"isa", 'i', "LEVELS", 0, "Only these levels, as in STEPCOST_ISA; exits with 77 where the CPU lacks one", 0},
    {"seed", 's', "N", 0, "Seed of the inputs (1)", 0},
    {"quick", 'q', NULL, 0, "Fewer lengths and offsets, for emulators", 0},
    {"emulator", 'e', "COMMAND", 0, "Run the AVX-512 rows in this emulator (tests/emulate_avx512.py)", 0},
    {"list", 'l', NULL, 0, "List cases and rows; check nothing", 0},
    {0},
};

/* A row that is listed for a slot nobody checks would pass by silence, and so would a family that dispatch knows and no
 * case does. */
static bool has_case(const struct sco_case_list *const *lists, size_t list_count, const struct sco_family *family,
                     size_t slot)
{
    for (size_t l = 0; l < list_count; l++)
        for (size_t i = 0; i < lists[l]->count; i++)
            if (lists[l]->cases[i].family == family && lists[l]->cases[i].slot == slot)
                return true;
    return false;
}

static size_t unchecked_slots(const struct sco_case_list *const *lists, size_t list_count)
{
    size_t missing = 0, family_count;
    const struct sco_family *const *families = sco_families(&family_count);
    for (size_t f = 0; f < family_count; f++)
        for (size_t slot = 0; slot < families[f]->slot_count; slot++) {
            if (has_case(lists, list_count, families[f], slot))
                continue;
            printf("FAIL %s.%s has no case\n", families[f]->name, families[f]->slots[slot]);
            missing++;
        }
    return missing;
}

static void connect_emulator(struct options *options)
{
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0) {
        perror("check_kernels: pipe");
        exit(EXIT_FAILURE);
    }
    const pid_t child = fork();
    if (child == 0) {
        dup2(to[0], STDIN_FILENO);
        dup2(from[1], STDOUT_FILENO);
        for (int i = 0; i < 2; i++)
            close(to[i]), close(from[i]);
        execl("/bin/sh", "sh", "-c", options->emulator, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    options->check.emulator_in = fdopen(to[1], "wb");
    options->check.emulator_out = fdopen(from[0], "rb");
    if (child < 0 || options->check.emulator_in == NULL || options->check.emulator_out == NULL) {
        perror("check_kernels: starting the emulator");
        exit(EXIT_FAILURE);
    }
    signal(SIGPIPE, SIG_IGN);
    options->check.quick = true;
    options->row = "avx512";
}

int main(int argc, char **argv)
{
    struct options options = {.check = {.seed = 1, .report = stdout}};
    const struct argp argp = {argp_options, parse, NULL, "Compares every kernel row with the scalar one.", 0, 0, 0};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    setvbuf(stdout, NULL, _IOLBF, 0);

    sco_isa isa = sco_isa_detected();
    if (options.isa != NULL) {
        const enum sco_status status = sco_isa_parse(options.isa, isa, &isa);
        if (status != SCO_OK) {
            fprintf(stderr, "check_kernels: %s\n", sco_error_message());
            return status == SCO_UNSUPPORTED ? 77 : EXIT_FAILURE;
        }
    }
    if (options.emulator != NULL) {
        connect_emulator(&options);
        isa |= SCO_ISA_AVX512 | SCO_ISA_AVX2;
    }
    const struct sco_case_list *const *lists;
    const size_t list_count = sco_case_lists(&lists);
    size_t passed = 0, failed = unchecked_slots(lists, list_count), skipped = 0;
    for (size_t l = 0; l < list_count; l++) {
        const struct sco_family *family = lists[l]->cases[0].family;
        if (options.family != NULL && strcmp(options.family, family->name) != 0)
            continue;
        for (size_t row = 0; row < family->row_count; row++) {
            if (options.row != NULL && strcmp(options.row, family->rows[row].name) != 0)
                continue;
            const bool runs = (family->rows[row].need & ~isa) == 0;
            size_t applied = 0;
            for (size_t i = 0; i < lists[l]->count; i++) {
                const struct sco_case *c = &lists[l]->cases[i];
                if (runs && !sco_check_applies(&options.check, c, row, isa))
                    continue;
                applied++;
                if (options.list) {
                    printf("%s %s%s\n", c->name, family->rows[row].name, runs ? "" : " (not on this CPU)");
                    continue;
                }
                if (!runs) {
                    printf("SKIP %s row %s: not on this CPU\n", c->name, family->rows[row].name);
                    skipped++;
                    continue;
                }
                const size_t calls = options.check.calls;
                const size_t bad = sco_check_row(&options.check, c, row, isa);
                printf("%s %s row %s: %zu of %zu calls\n", bad == 0 ? "ok  " : "FAIL", c->name, family->rows[row].name,
                       options.check.calls - calls - bad, options.check.calls - calls);
                *(bad == 0 ? &passed : &failed) += 1;
            }
            if (applied == 0 && !options.list) {
                printf("SKIP %s row %s: fills no slot on this CPU\n", family->name, family->rows[row].name);
                skipped++;
            }
        }
    }
    if (options.list)
        return EXIT_SUCCESS;
    printf("%zu passed, %zu failed, %zu skipped\n", passed, failed, skipped);
    /* Nothing checked is not success: a misspelt --family must not read as passed. */
    return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

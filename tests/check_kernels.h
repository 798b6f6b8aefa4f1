/* SPDX-License-Identifier: Apache-2.0
 * Checks one row of a family against the scalar row, on one case. */
#ifndef SCO_TESTS_CHECK_KERNELS_H
#define SCO_TESTS_CHECK_KERNELS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "kernels/case.h"

struct sco_check {
    uint64_t seed;
    bool quick;   /* fewer lengths, offsets and fills: for emulators */
    FILE *report; /* failures go here; NULL is silent */
    size_t calls; /* of rows under test, so far */

    /* Another program runs the rows on an emulated CPU (emulate_avx512.py has the protocol); NULL: this CPU does. */
    FILE *emulator_in, *emulator_out;
};

/* True if the row writes the case's slot when it fills a blank table. */
bool sco_check_applies(const struct sco_check *check, const struct sco_case *c, size_t row, sco_isa isa);

/* Runs the case on the row with every length, fill and placement. Returns how many calls failed; the first few are
 * reported with all it takes to repeat them. Not reentrant: faults are caught by process-wide signal handlers. */
size_t sco_check_row(struct sco_check *check, const struct sco_case *c, size_t row, sco_isa isa);

#endif

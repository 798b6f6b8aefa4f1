/* SPDX-License-Identifier: Apache-2.0
 * Operands of a kernel case, and the check that stands before every timing. */
#ifndef SCO_MICROBENCH_CASE_CHECK_H
#define SCO_MICROBENCH_CASE_CHECK_H

#include <stdbool.h>

#include "kernels/case.h"
#include "stepcost/status.h"

/* Operands of one case in one allocation. */
struct sco_case_buffers {
    const struct sco_case *c;
    size_t dim[SCO_CASE_DIMS];
    size_t count;
    struct sco_operand operand[SCO_CASE_OPERANDS];
    unsigned char *memory;
    void *buffer[SCO_CASE_OPERANDS];
};

/* Bytes of the operands, spacing included. */
size_t sco_case_bytes(const struct sco_case *c, const size_t dim[]);
/* Allocates and places the operands; contents undefined. */
enum sco_status sco_case_buffers_init(struct sco_case_buffers *buffers, const struct sco_case *c, const size_t dim[]);
void sco_case_buffers_free(struct sco_case_buffers *buffers);
/* Inputs: magnitudes around deviation, never denormal, with the sign that the operand asks for, then the
 * case's prepare(). Outputs: zero. */
void sco_case_fill(const struct sco_case_buffers *buffers, float deviation);

/* True when the row writes the case's slot within isa. */
bool sco_case_has_row(const struct sco_case *c, size_t row, sco_isa isa);
/* Runs row and the scalar row at small sizes and compares them as the case says: the bits, or the distance from its oracle.
 * Errors: SCO_INVALID with case, row, operand, index and values; SCO_NOMEM. */
enum sco_status sco_case_check(const struct sco_case *c, size_t row, sco_isa isa);

#endif

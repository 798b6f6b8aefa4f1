/* SPDX-License-Identifier: Apache-2.0
 * Dropout whose mask is computed, not stored: it depends on seed, layer, step and the element's index alone. */
#ifndef STEPCOST_DROPOUT_H
#define STEPCOST_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/blocked.h"

SCO_BEGIN_DECLS

struct sco_dropout {
    float p; /* probability to drop, 0 <= p < 1; taken to the nearest multiple of 2^-16 */
    uint64_t seed;
    uint32_t layer, step; /* tell the masks of one seed apart */
};

/* y = x / (1 - p) where an element is kept, 0 where it is dropped. The gradient is the same call with dy for x.
 *
 * Shapes    x, y: float[rows][width]. Either may be 0. y may be x.
 * Layout    contiguous, 4-byte alignment. The mask belongs to (row, column): it is that of index row R + column, R being
 *           width rounded up to 64, so that rows may be done in any order and place.
 * Numerics  random bits by Philox4x32-10, 16 for an element (kernels/dropout/dropout.h has the equations); the factor is the
 *           inverse of the probability that these bits realise, so that the expectation is kept exactly. What is dropped
 *           is 0, even NaN. Same bits from every row and for any team.
 * Cost      8 bytes an element; arithmetic stays below the time of the memory.
 * Threads   the team of ctx; by row.
 * Memory    none allocated.
 * Errors    SCO_INVALID: p out of range; SCO_SHAPE: rows x width exceeds the address space.
 * Source    Srivastava et al., JMLR 2014; Salmon et al., SC 2011. */
SCO_API enum sco_status sco_dropout(struct sco_ctx *ctx, const struct sco_dropout *dropout, size_t rows, size_t width,
                                    const float *x, float *y);

/* The same for whole channels: channel c of image n has the mask of row n, column c. */
SCO_API enum sco_status sco_channel_dropout(struct sco_ctx *ctx, const struct sco_dropout *dropout,
                                            const struct sco_blocked *shape, const float *x, float *y);

SCO_END_DECLS
#endif

/* SPDX-License-Identifier: Apache-2.0
 * Dropout for operators that end with it. */
#ifndef SCO_MODELS_OP_DROPOUT_H
#define SCO_MODELS_OP_DROPOUT_H

#include "kernels/dropout/dropout.h"
#include "stepcost/dropout.h"

struct sco_dropout_job {
    const struct sco_dropout_ops *ops;
    struct sco_dropout_mask mask;
    size_t width, padded; /* columns, and indices from one row to the next */
};

/* Errors    SCO_INVALID: p out of range. */
enum sco_status sco_dropout_prepare(struct sco_dropout_job *job, struct sco_ctx *ctx, const struct sco_dropout *dropout,
                                    size_t width);

/* Rows first .. first + rows - 1 of the tensor, of which x and y hold nothing else. y may be x. */
void sco_dropout_rows(const struct sco_dropout_job *job, size_t first, size_t rows, const float *x, float *y);

#endif

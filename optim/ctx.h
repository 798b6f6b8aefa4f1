/* SPDX-License-Identifier: Apache-2.0
 * What optimizers take from a context beyond its public face. */
#ifndef SCO_OPTIM_CTX_H
#define SCO_OPTIM_CTX_H

#include "kernels/kernel.h"
#include "stepcost/ctx.h"

/* The resolved table of a registered family, to be cast to its ops struct; NULL when it is not registered. Linear in the
 * number of families: look it up once, when an optimizer is created. */
const void *sco_ctx_ops(const struct sco_ctx *ctx, const struct sco_family *family);

/* The rows in force of a planned family, best first: what isa and STEPCOST_ROW allow. A pinned family has the pinned row
 * and scalar. Returns how many were written to rows, at most capacity. */
size_t sco_ctx_rows(const struct sco_ctx *ctx, const struct sco_family *family, const struct sco_row **rows,
                    size_t capacity);

#endif

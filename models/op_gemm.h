/* SPDX-License-Identifier: Apache-2.0
 * What benchmarks ask of products beyond their public face. */
#ifndef SCO_MODELS_OP_GEMM_H
#define SCO_MODELS_OP_GEMM_H

#include "stepcost/gemm.h"

/* sco_gemm_create() with one row alone; NULL: the best in force.
 * Errors    SCO_UNSUPPORTED as well: the row is not in force, or leaves the shape to others. */
enum sco_status sco_gemm_create_row(struct sco_gemm **gemm, struct sco_ctx *ctx, const struct sco_gemm_shape *shape,
                                    const char *row);

#endif

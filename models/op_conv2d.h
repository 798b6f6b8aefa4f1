/* SPDX-License-Identifier: Apache-2.0
 * What tuning and benchmarks take from the convolution operator beyond its public face. */
#ifndef SCO_MODELS_OP_CONV2D_H
#define SCO_MODELS_OP_CONV2D_H

#include "kernels/conv/conv2d.h"

enum { SCO_CONV2D_MAX_ROWS = 16 };

/* The rows in force that words names (NULL: all), best first.
 * Errors    SCO_UNSUPPORTED: none. */
enum sco_status sco_conv2d_rows(const struct sco_ctx *ctx, const char *words, const struct sco_row **rows,
                                size_t *count);

/* Checks shape and fills in image distances that are 0. */
enum sco_status sco_conv2d_complete(const struct sco_conv2d_shape *shape, struct sco_conv2d_shape *whole);

/* One certain candidate of a row; shape is complete. SCO_UNSUPPORTED: there is none. */
enum sco_status sco_conv2d_create_candidate(struct sco_conv2d **conv, struct sco_ctx *ctx,
                                            enum sco_conv2d_direction direction, const struct sco_conv2d_shape *shape,
                                            const struct sco_row *row, size_t candidate);

/* The tuned choice for a complete shape; false: none, or its plan has changed. */
bool sco_conv2d_tuned(const struct sco_conv2d_tuning *tuning, struct sco_ctx *ctx, enum sco_conv2d_direction direction,
                      const struct sco_conv2d_shape *shape, const struct sco_row *const *rows, size_t row_count,
                      struct sco_conv2d **conv);

/* A tuning in memory whose choice for every shape is the first candidate with word in its plan's name, of the best row
 * that has one. */
enum sco_status sco_conv2d_tuning_prefer(struct sco_conv2d_tuning **tuning, const char *word);

#endif

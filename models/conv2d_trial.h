/* SPDX-License-Identifier: Apache-2.0
 * Operands on which plans of one convolution are tried: tuning and benchmarks run them on whole numbers, whose sums have no
 * rounding in any order, and compare outputs with plain loops before they time anything. */
#ifndef SCO_MODELS_CONV2D_TRIAL_H
#define SCO_MODELS_CONV2D_TRIAL_H

#include "models/op_conv2d.h"

/* An element of the output by plain loops. */
struct sco_conv2d_element {
    size_t i[4]; /* n, channel, row, column; of a weight kh, kw, c, oc */
    double value, magnitude;
};

struct sco_conv2d_trial {
    enum sco_conv2d_direction direction;
    struct sco_conv2d_shape shape; /* complete */
    size_t src_count, dst_count, wei_count;
    float *src, *dst, *wei; /* wei as HWIO */
    struct sco_conv2d_element *expected;
};

/* Allocates and fills the operands; outputs are NaN. Computes what is expected of them. Errors    SCO_NOMEM. On error there is nothing to free. */
enum sco_status sco_conv2d_trial_init(struct sco_conv2d_trial *trial, struct sco_ctx *ctx,
                                      enum sco_conv2d_direction direction, const struct sco_conv2d_shape *shape);
void sco_conv2d_trial_free(struct sco_conv2d_trial *trial);

/* Runs the plan once on the operands and on packed weights. */
enum sco_status sco_conv2d_trial_run(const struct sco_conv2d_trial *trial, struct sco_conv2d *conv, float *packed,
                                     void *workspace);

/* Packs weights or unpacks them, as the direction asks. */
enum sco_status sco_conv2d_trial_weights(const struct sco_conv2d_trial *trial, struct sco_conv2d *conv, float *packed);

/* Runs the plan on an output of NaN and compares elements of it, the corners and others, with plain loops: they are equal,
 * or, where the plan does more than add products, within its bound.
 * Errors    SCO_INVALID: they differ (the message says where). */
enum sco_status sco_conv2d_trial_check(const struct sco_conv2d_trial *trial, struct sco_conv2d *conv, float *packed,
                                       void *workspace);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What the last VeLO step computed on its way, for comparison with recorded traces. */
#ifndef SCO_OPTIM_VELO_TRACED_H
#define SCO_OPTIM_VELO_TRACED_H

#include "optim/optim.h"

/* Name and element count of the i-th traced stage of a tensor, or of the optimizer with tensor = SIZE_MAX; NULL past the
 * last. With dst, copies it too. optim is a VeLO optimizer after sco_optim_step.
 *
 *   optimizer  lstm_in [T][30]; controls [T][P]; lr_mult [T]: step size of the LSTM's second head
 *   tensor     w0 [30][4], b0 [4], w1 [4][4], b1 [4], w2 [4][2], b2 [2]: mixed MLP, without the unused third output;
 *              normaliser [30]: 1 / sqrt(1e-5 + mean square) of the features, as folded into w0. Features themselves
 *              are made and used up in registers. */
const char *sco_velo_traced(const struct sco_optim *optim, size_t tensor, size_t i, float *dst, size_t *count);

#endif

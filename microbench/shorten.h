/* SPDX-License-Identifier: Apache-2.0
 * Tensor lists cut to fit a machine. */
#ifndef SCO_MICROBENCH_SHORTEN_H
#define SCO_MICROBENCH_SHORTEN_H

#include "stepcost/tensor.h"

/* An owned copy of a list (names are shared), shortened to at most max_params elements; 0 = as long as it is. */
struct sco_short_list {
    struct sco_tensor *tensors;
    struct sco_tensor_list list;
    size_t params, full_params;
};

/* Tensors above some element count are cut along their largest axis, the others stay: an embedding table loses rows, biases
 * and small kernels keep their share of a step. Errors: SCO_SHAPE when even one element per tensor is too many. */
enum sco_status sco_short_list_init(struct sco_short_list *shortened, const struct sco_tensor_list *list,
                                    size_t max_params);
void sco_short_list_free(struct sco_short_list *shortened);

#endif

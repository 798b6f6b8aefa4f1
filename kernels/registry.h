/* SPDX-License-Identifier: Apache-2.0
 * The one list of kernel families. Dispatch, `stepcost info`, checks and benchmarks walk it. */
#ifndef SCO_KERNELS_REGISTRY_H
#define SCO_KERNELS_REGISTRY_H

#include "kernels/kernel.h"

const struct sco_family *const *sco_families(size_t *count);

#endif

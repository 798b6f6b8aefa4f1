/* SPDX-License-Identifier: Apache-2.0
 * Lists of tensor shapes: what an optimizer works on. */
#ifndef STEPCOST_TENSOR_H
#define STEPCOST_TENSOR_H

#include <stddef.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

enum { SCO_MAX_RANK = 8 };

/* A tensor in row-major (C) order, last axis contiguous. VeLO is not invariant to transposition: the layout that it was
 * trained on is JAX's (dense [in, out], convolution HWIO). Rank 0 is a scalar; axes may be 0 or 1. */
struct sco_tensor {
    const char *name; /* for messages and reports; not owned */
    size_t rank;
    size_t shape[SCO_MAX_RANK];
};

struct sco_tensor_list {
    size_t count;
    const struct sco_tensor *tensors;
};

/* Elements of a tensor and of a list.
 * Errors    SCO_SHAPE: rank above SCO_MAX_RANK, or the product or sum does not fit size_t / 8; *n is untouched. */
SCO_API enum sco_status sco_tensor_elements(const struct sco_tensor *tensor, size_t *n);
SCO_API enum sco_status sco_tensor_list_elements(const struct sco_tensor_list *list, size_t *n);

SCO_END_DECLS
#endif

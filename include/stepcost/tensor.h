/* SPDX-License-Identifier: Apache-2.0
 * Lists of tensor shapes: what an optimizer works on. */
#ifndef STEPCOST_TENSOR_H
#define STEPCOST_TENSOR_H

#include <stddef.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

enum { SCO_MAX_RANK = 8 };

/* A tensor in row-major (C) order, last axis contiguous. VeLO and Adafactor are not invariant to transposition: the
 * layout that VeLO was trained on is JAX's (dense [in, out], convolution HWIO). Rank 0 is a scalar; axes may be 0 or 1.
 */
struct sco_tensor {
    const char *name; /* for messages and reports; not owned; NULL where there is none */
    size_t rank;
    size_t shape[SCO_MAX_RANK];
};

struct sco_tensor_list {
    size_t count; /* may be 0 */
    const struct sco_tensor *tensors;
};

/* Elements of one tensor: the product of its axes, 1 for rank 0.
 *
 * Shapes    tensor: any.
 * Units     *n: elements.
 * Layout    none.
 * Numerics  exact.
 * Cost      rank multiplications.
 * Threads   reentrant.
 * Memory    none allocated.
 * Errors    SCO_SHAPE: rank above SCO_MAX_RANK, or a product above SIZE_MAX / 8 (bytes of doubles must fit); the
 *           message names the tensor and its shape. *n is untouched.
 * Source    none. */
SCO_API enum sco_status sco_tensor_elements(const struct sco_tensor *tensor, size_t *n);

/* Elements of a whole list: the sum over its tensors.
 *
 * Shapes    list: any count, 0 included.
 * Units     *n: elements.
 * Layout    none.
 * Numerics  exact.
 * Cost      as sco_tensor_elements, per tensor.
 * Threads   reentrant.
 * Memory    none allocated.
 * Errors    SCO_INVALID: tensors is NULL and count is not 0; SCO_SHAPE: as sco_tensor_elements, or a sum above
 *           SIZE_MAX / 8. *n is untouched.
 * Source    none. */
SCO_API enum sco_status sco_tensor_list_elements(const struct sco_tensor_list *list, size_t *n);

/* Writes a shape as "[3, 3, 64, 128]" ("[]" for rank 0), cut to bytes.
 *
 * Shapes    buffer: char[bytes] out, bytes > 0.
 * Returns   buffer.
 * Threads   reentrant.
 * Memory    none allocated.
 * Errors    none. */
SCO_API char *sco_tensor_format(const struct sco_tensor *tensor, char *buffer, size_t bytes);

SCO_END_DECLS
#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/tensor.h"

#include <stdint.h>

#include "arch/fail.h"

/* Every byte count of a list (eight bytes an element is the widest array there is) fits size_t. */
enum { WIDEST_ELEMENT = 8 };

enum sco_status sco_tensor_elements(const struct sco_tensor *tensor, size_t *n)
{
    if (tensor->rank > SCO_MAX_RANK)
        return sco_fail(SCO_SHAPE, "tensor '%s': rank %zu is above %d", tensor->name, tensor->rank, SCO_MAX_RANK);
    /* A zero anywhere makes the tensor empty, whatever the other sizes multiply to. */
    for (size_t axis = 0; axis < tensor->rank; axis++) {
        if (tensor->shape[axis] == 0) {
            *n = 0;
            return SCO_OK;
        }
    }
    size_t elements = 1;
    for (size_t axis = 0; axis < tensor->rank; axis++) {
        if (tensor->shape[axis] > SIZE_MAX / WIDEST_ELEMENT / elements)
            return sco_fail(SCO_SHAPE,
                            "tensor '%s': its shape has more elements than can be addressed (axis %zu has %zu)",
                            tensor->name, axis, tensor->shape[axis]);
        elements *= tensor->shape[axis];
    }
    *n = elements;
    return SCO_OK;
}

enum sco_status sco_tensor_list_elements(const struct sco_tensor_list *list, size_t *n)
{
    size_t total = 0;
    for (size_t i = 0; i < list->count; i++) {
        size_t elements;
        const enum sco_status status = sco_tensor_elements(&list->tensors[i], &elements);
        if (status != SCO_OK)
            return sco_fail_context(status, "tensor list, index %zu", i);
        if (elements > SIZE_MAX / WIDEST_ELEMENT - total)
            return sco_fail(SCO_SHAPE, "tensor list: more elements than can be addressed, from index %zu ('%s') on", i,
                            list->tensors[i].name);
        total += elements;
    }
    *n = total;
    return SCO_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/tensor.h"

#include <stdint.h>
#include <stdio.h>

#include "arch/fail.h"

static const size_t max_elements = SIZE_MAX / 8;

char *sco_tensor_format(const struct sco_tensor *tensor, char *buffer, size_t bytes)
{
    size_t used = (size_t)snprintf(buffer, bytes, "[");
    for (size_t i = 0; i < tensor->rank && i < SCO_MAX_RANK && used < bytes; i++)
        used += (size_t)snprintf(buffer + used, bytes - used, i == 0 ? "%zu" : ", %zu", tensor->shape[i]);
    if (used < bytes)
        snprintf(buffer + used, bytes - used, "]");
    return buffer;
}

enum sco_status sco_tensor_elements(const struct sco_tensor *tensor, size_t *n)
{
    const char *name = tensor->name != NULL ? tensor->name : "(unnamed)";
    if (tensor->rank > SCO_MAX_RANK)
        return sco_fail(SCO_SHAPE, "tensor %s has rank %zu; at most %d axes are supported", name, tensor->rank,
                        SCO_MAX_RANK);

    /* An axis of 0 makes the tensor empty however long the others are, so it is looked for before multiplying. */
    size_t product = 1;
    for (size_t i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] == 0)
            product = 0;
    for (size_t i = 0; i < tensor->rank && product != 0; i++) {
        if (tensor->shape[i] > max_elements / product) {
            char shape[256];
            return sco_fail(SCO_SHAPE, "tensor %s %s has more than %zu elements", name,
                            sco_tensor_format(tensor, shape, sizeof shape), max_elements);
        }
        product *= tensor->shape[i];
    }
    *n = product;
    return SCO_OK;
}

enum sco_status sco_tensor_list_elements(const struct sco_tensor_list *list, size_t *n)
{
    if (list->tensors == NULL && list->count != 0)
        return sco_fail(SCO_INVALID, "tensor list of %zu tensors has no tensors array", list->count);

    size_t sum = 0;
    for (size_t i = 0; i < list->count; i++) {
        size_t elements = 0;
        const enum sco_status status = sco_tensor_elements(&list->tensors[i], &elements);
        if (status != SCO_OK)
            return status;
        if (elements > max_elements - sum)
            return sco_fail(SCO_SHAPE, "tensor list has more than %zu elements up to tensor %zu (%s)", max_elements, i,
                            list->tensors[i].name != NULL ? list->tensors[i].name : "unnamed");
        sum += elements;
    }
    *n = sum;
    return SCO_OK;
}

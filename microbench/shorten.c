/* SPDX-License-Identifier: Apache-2.0 */
#include "microbench/shorten.h"

#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"

static size_t elements(const struct sco_tensor *tensor)
{
    size_t n = 1;
    for (size_t i = 0; i < tensor->rank; i++)
        n *= tensor->shape[i];
    return n;
}

/* Cuts the largest axis, again and again where one axis is not enough. */
static struct sco_tensor cut(struct sco_tensor tensor, size_t limit)
{
    for (size_t n; (n = elements(&tensor)) > limit;) {
        size_t largest = 0;
        for (size_t i = 1; i < tensor.rank; i++)
            if (tensor.shape[i] > tensor.shape[largest])
                largest = i;
        const size_t slab = n / tensor.shape[largest];
        tensor.shape[largest] = limit / slab > 0 ? limit / slab : 1;
    }
    return tensor;
}

static size_t total(const struct sco_tensor_list *list, size_t limit)
{
    size_t sum = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct sco_tensor tensor = cut(list->tensors[i], limit);
        sum += elements(&tensor);
    }
    return sum;
}

enum sco_status sco_short_list_init(struct sco_short_list *shortened, const struct sco_tensor_list *list,
                                    size_t max_params)
{
    *shortened = (struct sco_short_list){0};
    enum sco_status status = sco_tensor_list_elements(list, &shortened->full_params);
    if (status != SCO_OK)
        return status;
    if (shortened->full_params == 0)
        return sco_fail(SCO_SHAPE, "the list has no elements: there is nothing to time");

    /* The largest limit that fits, between 1 and the whole list. */
    size_t low = shortened->full_params;
    if (max_params != 0 && max_params < shortened->full_params) {
        low = 1;
        size_t high = shortened->full_params;
        if (total(list, low) > max_params)
            return sco_fail(SCO_SHAPE, "the list has %zu tensors: it cannot be shortened to %zu parameters",
                            list->count, max_params);
        while (high - low > 1) {
            const size_t middle = low + (high - low) / 2;
            if (total(list, middle) <= max_params)
                low = middle;
            else
                high = middle;
        }
    }
    shortened->tensors = malloc(list->count * sizeof *shortened->tensors);
    if (shortened->tensors == NULL)
        return sco_fail(SCO_NOMEM, "no memory for a list of %zu tensors", list->count);
    for (size_t i = 0; i < list->count; i++) {
        shortened->tensors[i] = cut(list->tensors[i], low);
        shortened->params += elements(&shortened->tensors[i]);
    }
    shortened->list = (struct sco_tensor_list){list->count, shortened->tensors};
    return SCO_OK;
}

void sco_short_list_free(struct sco_short_list *shortened)
{
    free(shortened->tensors);
    *shortened = (struct sco_short_list){0};
}

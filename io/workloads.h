/* SPDX-License-Identifier: Apache-2.0
 * The tensor lists that are built in. */
#ifndef SCO_IO_WORKLOADS_H
#define SCO_IO_WORKLOADS_H

#include "stepcost/tensor.h"

struct sco_builtin_list {
    const char *name;
    struct sco_tensor_list list;
};

enum { SCO_BUILTIN_LISTS = 7 };
extern const struct sco_builtin_list sco_builtin_lists[SCO_BUILTIN_LISTS];

#endif

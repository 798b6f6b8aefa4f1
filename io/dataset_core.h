/* SPDX-License-Identifier: Apache-2.0
 * A stream over any source: what sco_dataset_open() does once it has chosen one. */
#ifndef SCO_IO_DATASET_CORE_H
#define SCO_IO_DATASET_CORE_H

#include "io/source.h"

enum sco_status sco_dataset_open_source(struct sco_dataset **dataset, const struct sco_dataset_options *options,
                                        const struct sco_source_type *type);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The file behind sco_optim_save and sco_optim_load: every plane of an optimizer, in safetensors format
 * (io/safetensors.h).
 *
 * Its metadata: format "stepcost optimizer state", optimizer, config (what the kind's describe hook says), steps, skipped,
 * tensors (JSON: [[name or null, shape], ...]). One array per plane in layout order, key NAME/TENSOR or NAME. */
#ifndef SCO_OPTIM_STATE_FILE_H
#define SCO_OPTIM_STATE_FILE_H

#include "optim/optim.h"

enum sco_status sco_state_file_write(const struct sco_optim *optim, const char *path);

struct sco_state_counts {
    uint64_t steps, skipped;
};

/* Fills state, laid out as optim's own, and counts. Everything is checked; on error state has undefined contents and
 * counts is untouched. */
enum sco_status sco_state_file_read(const struct sco_optim *optim, const char *path, unsigned char *state,
                                    struct sco_state_counts *counts);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints of a training run: a model, its optimizer, and what the run itself must remember. */
#ifndef STEPCOST_CHECKPOINT_H
#define STEPCOST_CHECKPOINT_H

#include <stdint.h>

#include "stepcost/model.h"
#include "stepcost/optim.h"

SCO_BEGIN_DECLS

/* A checkpoint of step s is two files of a folder, checkpoint-S.optimizer and checkpoint-S.model (S: s in ten digits), both
 * safetensors with a CRC-32; no two processes save into one folder at a time. Each is written to a temporary file in the folder, synced, renamed, and the folder synced; the model
 * file comes last and names the CRC of the other: there is a checkpoint where there is a model file. Older checkpoints
 * are removed after that, and not before.
 *
 *   save    meta: a text of the caller's, kept with the model
 *   latest  *found is 0 where the folder has none; temporary files of an interrupted save are no checkpoint
 *   meta    the text that was saved; the caller frees it with sco_free()
 *   load    fills model and optim, which were created with the configuration of the save
 *
 * Cost      one pass over parameters and state.
 * Memory    load: a second copy of parameters and state until the files have proved good.
 * Errors    SCO_IO: the operating system refused (path, bytes, reason); the older checkpoint is still there then. SCO_FORMAT:
 *           damaged or another format (path, byte); SCO_SHAPE: another model; SCO_NOMEM. Model and optimizer are
 *           untouched on error. */
SCO_API enum sco_status sco_checkpoint_save(const char *folder, uint64_t step, const char *meta,
                                            struct sco_model *model, const struct sco_optim *optim);
SCO_API enum sco_status sco_checkpoint_latest(const char *folder, int *found, uint64_t *step);
SCO_API enum sco_status sco_checkpoint_meta(const char *folder, uint64_t step, char **meta);
SCO_API enum sco_status sco_checkpoint_load(const char *folder, uint64_t step, struct sco_model *model,
                                            struct sco_optim *optim);

SCO_END_DECLS
#endif

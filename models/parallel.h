/* SPDX-License-Identifier: Apache-2.0
 * How operators share work among the threads of a team. */
#ifndef SCO_MODELS_PARALLEL_H
#define SCO_MODELS_PARALLEL_H

#include <stddef.h>

#include "stepcost/team.h"

/* Does tasks [first, last) of a phase. What a task computes depends on its index alone, never on rank, so results have
 * the same bits for any team; rank only selects scratch memory. */
typedef void sco_tasks_fn(size_t phase, size_t first, size_t last, size_t rank, void *argument);

/* Runs the phases one after another, a barrier between two; within a phase every rank takes its static block of
 * tasks[phase]. One fork and join in all. */
void sco_parallel(struct sco_team *team, size_t phases, const size_t tasks[], sco_tasks_fn *body, void *argument);

#endif

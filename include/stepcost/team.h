/* SPDX-License-Identifier: Apache-2.0
 * A team of pinned threads that run one function together. */
#ifndef STEPCOST_TEAM_H
#define STEPCOST_TEAM_H

#include <stddef.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

struct sco_team;
struct sco_topology;

/* Member rank of size members runs body(rank, size, argument) */
typedef void sco_team_fn(size_t rank, size_t size, void *argument);

/* Starts size - 1 threads; the caller becomes rank 0. Each rank is bound to one allowed processing unit, cores before
 * hardware threads, in topology order; the caller's own binding is saved and restored by destroy.
 *
 * Errors    SCO_INVALID: size = 0 or more than the allowed processing units (the message says how many);
 *           SCO_NOMEM; SCO_UNSUPPORTED: the topology describes another machine (binding would be a silent no-op). */
SCO_API enum sco_status sco_team_create(struct sco_team **team, const struct sco_topology *topology, size_t size);
SCO_API void sco_team_destroy(struct sco_team *team); /* NULL is a no-op */
SCO_API size_t sco_team_size(const struct sco_team *team);

/* Runs body on every rank and returns when all have returned. Writes before the call are visible to
 * every rank, writes of every rank are visible after it. Idle ranks spin shortly, then sleep.
 * Threads   one caller at a time, from the thread that created the team. */
SCO_API void sco_team_run(struct sco_team *team, sco_team_fn *body, void *argument);

/* Inside body only: returns when every rank has arrived; orders memory as sco_team_run does. */
SCO_API void sco_team_barrier(struct sco_team *team, size_t rank);

/* The static block partition: items [*begin, *end) of n belong to rank. Blocks differ by at most one item and depend
 * on n, rank and size alone. */
SCO_API void sco_team_block(size_t n, size_t rank, size_t size, size_t *begin, size_t *end);

SCO_END_DECLS
#endif

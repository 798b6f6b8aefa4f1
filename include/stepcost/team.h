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

/* What a team may do that it does not do unasked. */
enum {
    SCO_TEAM_OVERSUBSCRIBE =
        1,               /* more ranks than CPUs: they share CPUs, and waiting sleeps at once instead of spinning */
    SCO_TEAM_UNBOUND = 2 /* bind nothing; the only way with a topology that describes another machine */
};

/* Starts size - 1 threads; the caller becomes rank 0. Rank r is bound to the CPU sco_topology_pu(topology, r), and the
 * binding is read back. The caller's affinity is saved, and restored when its last team is destroyed. topology must
 * outlive the team. flags: 0 or a sum of the above.
 *
 * Threads   destroy is called by the thread that created the team.
 * Errors    SCO_INVALID: size = 0, or more than the allowed CPUs without SCO_TEAM_OVERSUBSCRIBE (the message says how
 *           many); SCO_NOMEM; SCO_UNSUPPORTED: the topology describes another machine and SCO_TEAM_UNBOUND is absent
 *           (binding would be a silent no-op), or the operating system refused a binding. */
SCO_API enum sco_status sco_team_create(struct sco_team **team, const struct sco_topology *topology, size_t size,
                                        unsigned flags);
SCO_API void sco_team_destroy(struct sco_team *team); /* NULL is a no-op */
SCO_API size_t sco_team_size(const struct sco_team *team);
SCO_API int sco_team_is_bound(const struct sco_team *team); /* 1, or 0 after SCO_TEAM_UNBOUND */

/* Runs body on every rank and returns when all have returned. Writes before the call are visible to
 * every rank, writes of every rank are visible after it. Idle ranks spin for 50 us, then sleep.
 * Cost      100 to 200 ns while ranks spin, a wake-up (tens of microseconds) after they have gone to sleep.
 * Threads   one caller at a time, from the thread that created the team. */
SCO_API void sco_team_run(struct sco_team *team, sco_team_fn *body, void *argument);

/* Inside body only: returns when every rank has arrived; orders memory as sco_team_run does. */
SCO_API void sco_team_barrier(struct sco_team *team, size_t rank);

/* The static block partition: items [*begin, *end) of n belong to rank. Blocks differ by at most one item and depend
 * on n, rank and size alone. */
SCO_API void sco_team_block(size_t n, size_t rank, size_t size, size_t *begin, size_t *end);

/* Zeroes n items of item_bytes, each rank its own static block: the first touch, which places a page on the NUMA node
 * of the rank that will work on it. */
SCO_API void sco_team_zero(struct sco_team *team, void *memory, size_t n, size_t item_bytes);

SCO_END_DECLS
#endif

/* SPDX-License-Identifier: Apache-2.0
 * The machine as dispatch needs it: processing units (PUs: hardware threads), their caches and who shares them. */
#ifndef STEPCOST_TOPOLOGY_H
#define STEPCOST_TOPOLOGY_H

#include <stddef.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

struct sco_topology;

/* Where a description comes from. SCO_TOPOLOGY_MACHINE is this machine, unless the user says otherwise in hwloc's own
 * variables HWLOC_XMLFILE or HWLOC_SYNTHETIC. */
enum sco_topology_source { SCO_TOPOLOGY_MACHINE, SCO_TOPOLOGY_SYNTHETIC, SCO_TOPOLOGY_XML };

/* Reads a topology. text: NULL, a synthetic description ("package:2 l3:1 core:4 pu:2") or the path of an XML file, by
 * source. allowed restricts it: a list of operating-system PU numbers ("0-3,8"), or NULL for all that the process may
 * use (its control group and the calling thread's affinity, as it was before a team bound the thread).
 *
 * Cost      milliseconds: once per context.
 * Errors    SCO_INVALID: text is not a description, or allowed names no PU of it; SCO_IO: no such file; SCO_NOMEM. */
SCO_API enum sco_status sco_topology_create(struct sco_topology **topology, enum sco_topology_source source,
                                            const char *text, const char *allowed);
SCO_API void sco_topology_destroy(struct sco_topology *topology); /* NULL is a no-op */

/* 1 when it describes this machine, so that binding to its PUs means something; 0 for a description from a text, a file
 * or hwloc's variables (unless HWLOC_THISSYSTEM=1 vouches for it). */
SCO_API int sco_topology_is_this_machine(const struct sco_topology *topology);

/* Objects that hold at least one allowed PU. kinds: sorts of core (performance, efficiency), at least 1. */
struct sco_topology_counts {
    size_t packages, numa_nodes, cores, pus, kinds;
};
SCO_API struct sco_topology_counts sco_topology_counts(const struct sco_topology *topology);

/* A data or unified cache. bytes = 0: the level is absent or unknown. pus: allowed PUs that share one instance. */
struct sco_cache {
    size_t bytes, line_bytes, pus;
};
enum { SCO_CACHE_LEVELS = 3 };

/* A kind of core, the most efficient at computing (fastest) last in hwloc's ranking, first here: kind 0 is the fastest. */
struct sco_cpu_kind {
    size_t cores, pus;
    struct sco_cache cache[SCO_CACHE_LEVELS]; /* [0] L1 data, [1] L2, [2] L3 */
};
SCO_API struct sco_cpu_kind sco_topology_kind(const struct sco_topology *topology, size_t kind);

/* Placement: rank r of a team runs on PU sco_topology_pu(topology, r), an operating-system number. One PU of every core
 * comes before any second one, fast kinds before slow ones, and otherwise topology order. r wraps at the PU count. */
SCO_API unsigned sco_topology_pu(const struct sco_topology *topology, size_t rank);
SCO_API size_t sco_topology_rank_kind(const struct sco_topology *topology, size_t rank);

/* Bytes of the level (1, 2, 3) that rank may count on in a team of size: the cache divided by the ranks placed under the
 * same instance. 0 when the level is absent or unknown. */
SCO_API size_t sco_topology_cache_share(const struct sco_topology *topology, size_t rank, size_t size, unsigned level);

/* Writes a summary, a few lines of text, cut to bytes. Returns the bytes the whole text needs, terminator included. */
SCO_API size_t sco_topology_describe(const struct sco_topology *topology, char *buffer, size_t bytes);

SCO_END_DECLS
#endif

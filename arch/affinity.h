/* SPDX-License-Identifier: Apache-2.0
 * The calling thread's affinity: what it may use, and binding it. */
#ifndef SCO_ARCH_AFFINITY_H
#define SCO_ARCH_AFFINITY_H

#include <hwloc.h>
#include <pthread.h>

#include "stepcost/status.h"

/* The PUs that the calling thread may use, as they were before a team of ours bound it: without that memory a second
 * context made by the same thread would see one PU. Returns 0, or -1 when the system does not tell. */
int sco_affinity_get(hwloc_topology_t topology, hwloc_bitmap_t set);

/* Their number by the operating system, whatever any topology says; at least 1. */
size_t sco_affinity_count(void);

/* Binds the calling thread to one PU, and reads the binding back: hwloc reports success when it did nothing. */
enum sco_status sco_affinity_bind(hwloc_topology_t topology, unsigned pu);

/* hold remembers the calling thread's affinity, release restores it. Pairs may nest or overlap: the first hold saves,
 * the last release restores. */
enum sco_status sco_affinity_hold(hwloc_topology_t topology);
void sco_affinity_release(hwloc_topology_t topology);

/* Lets thread, which the caller has started, run where the caller could before a team bound it: threads inherit
 * bindings. What the system refuses stays as it is. */
void sco_affinity_pass(pthread_t thread);

#endif

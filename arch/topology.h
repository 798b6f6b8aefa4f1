/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCO_ARCH_TOPOLOGY_H
#define SCO_ARCH_TOPOLOGY_H

#include <hwloc.h>

#include "stepcost/topology.h"

hwloc_topology_t sco_topology_hwloc(const struct sco_topology *topology);

/* "HWLOC_SYNTHETIC=...", for messages; "this machine" where it is. */
const char *sco_topology_origin(const struct sco_topology *topology);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_neon.h"

#include "kernels/graph/graph_lanes.h"

void sco_graph_fill_neon(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

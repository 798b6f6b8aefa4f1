/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_avx512.h"

#include "kernels/graph/graph_lanes.h"

void sco_graph_fill_avx512(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

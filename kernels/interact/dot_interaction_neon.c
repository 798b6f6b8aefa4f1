/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_neon.h"

#include "kernels/interact/dot_interaction_lanes.h"

void sco_dot_interaction_fill_neon(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

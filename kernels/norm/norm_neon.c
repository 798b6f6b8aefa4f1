/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_neon.h"

#include "kernels/norm/norm_lanes.h"

void sco_norm_fill_neon(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

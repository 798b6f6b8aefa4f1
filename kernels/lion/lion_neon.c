/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_neon.h"

#include "kernels/lion/lion_lanes.h"

void sco_lion_fill_neon(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

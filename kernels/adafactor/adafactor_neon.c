/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_neon.h"

#include "kernels/adafactor/adafactor_lanes.h"

void sco_adafactor_fill_neon(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

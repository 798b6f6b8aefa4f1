/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels/lanes_neon.h"

#define REGISTERS 32
#define MASKED    0
enum { PANEL = 4, KC = 256 };
#include "kernels/sgemm/sgemm_lanes.h"

void sco_sgemm_fill_neon(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

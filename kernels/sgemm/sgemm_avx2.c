/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels/lanes_avx2.h"

#define REGISTERS 16
#define MASKED    0
enum { PANEL = 2, KC = 256 };
#include "kernels/sgemm/sgemm_lanes.h"

void sco_sgemm_fill_avx2(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

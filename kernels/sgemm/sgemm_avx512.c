/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels/lanes_avx512.h"

#define REGISTERS 32
#define MASKED    1
enum { PANEL = 4, KC = 512 };
#include "kernels/sgemm/sgemm_lanes.h"

void sco_sgemm_fill_avx512(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

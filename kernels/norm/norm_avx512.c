/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_avx512.h"

#include "kernels/norm/norm_lanes.h"

void sco_norm_fill_avx512(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

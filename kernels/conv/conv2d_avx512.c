/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/conv/conv2d.h"

void sco_conv2d_fill_avx512(void *table, sco_isa isa)
{
    (void)table;
    (void)isa;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/conv/conv2d_rows.h"

void sco_conv2d_fill_avx512(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_conv2d_ops *ops = table;
    ops->bwd_weights = sco_conv2d_weights_plan_avx512;
}

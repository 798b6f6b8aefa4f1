/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_neon.h"

#include "kernels/embed/embedding_bag_lanes.h"

void sco_embedding_bag_fill_neon(void *ops, sco_isa isa)
{
    (void)isa;
    fill(ops);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_avx2.h"

#define TILE_K    6
#define TILE_V    2
#define TILE_NAME "6x16"
#include "kernels/conv/conv2d_weights_winograd_lanes.h"

bool sco_conv2d_weights_plan_avx2(const struct sco_conv2d_shape *shape, size_t candidate, struct sco_conv2d_plan *plan)
{
    return weights_or_winograd_plan(shape, candidate, plan);
}

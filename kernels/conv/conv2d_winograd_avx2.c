/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_avx2.h"

#include "kernels/conv/conv2d_winograd_lanes.h"

bool sco_conv2d_winograd_fwd_avx2(const struct sco_conv2d_shape *shape, size_t candidate, struct sco_conv2d_plan *plan)
{
    return winograd_plan(shape, SCO_CONV2D_FWD, candidate, plan);
}

bool sco_conv2d_winograd_bwd_data_avx2(const struct sco_conv2d_shape *shape, size_t candidate,
                                       struct sco_conv2d_plan *plan)
{
    return winograd_plan(shape, SCO_CONV2D_BWD_DATA, candidate, plan);
}

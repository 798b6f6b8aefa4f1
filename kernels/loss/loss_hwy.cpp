/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/loss/loss_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/gemm/gemm_cell.h"
#include "kernels/loss/loss.h"
#include "kernels/loss/loss_curve.h"

HWY_BEFORE_NAMESPACE();
namespace sco_loss
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#include "kernels/loss/loss_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_loss
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_loss_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_loss;
    struct sco_loss_ops *ops = static_cast<struct sco_loss_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

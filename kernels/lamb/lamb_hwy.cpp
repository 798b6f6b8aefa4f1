/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lamb/lamb_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/lamb/lamb.h"
#include "kernels/sum_lanes.h"

HWY_BEFORE_NAMESPACE();
namespace sco_lamb
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#include "kernels/lamb/lamb_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_lamb
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_lamb_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_lamb;
    struct sco_lamb_ops *ops = static_cast<struct sco_lamb_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

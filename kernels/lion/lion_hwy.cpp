/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lion/lion_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/lion/lion.h"

HWY_BEFORE_NAMESPACE();
namespace sco_lion
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#include "kernels/lion/lion_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_lion
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_lion_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_lion;
    struct sco_lion_ops *ops = static_cast<struct sco_lion_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

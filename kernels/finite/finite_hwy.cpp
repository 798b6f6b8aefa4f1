/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/finite/finite_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/finite/finite.h"
#include "kernels/sum_lanes.h"

HWY_BEFORE_NAMESPACE();
namespace sco_finite
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#include "kernels/finite/finite_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_finite
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_finite_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_finite;
    struct sco_finite_ops *ops = static_cast<struct sco_finite_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

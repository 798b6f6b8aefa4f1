/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adam/adam_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/adam/adam.h"

HWY_BEFORE_NAMESPACE();
namespace sco_adam
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#include "kernels/adam/adam_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_adam
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_adam_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_adam;
    struct sco_adam_ops *ops = static_cast<struct sco_adam_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

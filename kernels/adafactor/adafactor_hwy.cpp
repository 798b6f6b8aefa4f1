/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adafactor/adafactor_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/adafactor/adafactor.h"
#include "kernels/sum_lanes.h"

HWY_BEFORE_NAMESPACE();
namespace sco_adafactor
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#include "kernels/adafactor/adafactor_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_adafactor
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_adafactor_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_adafactor;
    struct sco_adafactor_ops *ops = static_cast<struct sco_adafactor_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dropout/dropout_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/dropout/dropout.h"

HWY_BEFORE_NAMESPACE();
namespace sco_dropout
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#include "kernels/dropout/dropout_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_dropout
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_dropout_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_dropout;
    struct sco_dropout_ops *ops = static_cast<struct sco_dropout_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

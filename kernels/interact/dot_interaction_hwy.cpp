/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/interact/dot_interaction_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/interact/dot_interaction.h"

HWY_BEFORE_NAMESPACE();
namespace sco_dot_interaction
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#include "kernels/interact/dot_interaction_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_dot_interaction
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_dot_interaction_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_dot_interaction;
    struct sco_dot_interaction_ops *ops = static_cast<struct sco_dot_interaction_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/embed/embedding_bag_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/embed/embedding_bag.h"

HWY_BEFORE_NAMESPACE();
namespace sco_embedding_bag
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#include "kernels/embed/embedding_bag_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_embedding_bag
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_embedding_bag_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_embedding_bag;
    struct sco_embedding_bag_ops *ops = static_cast<struct sco_embedding_bag_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

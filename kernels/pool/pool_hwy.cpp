/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool/pool_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/pool/pool.h"

HWY_BEFORE_NAMESPACE();
namespace sco_pool
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#include "kernels/pool/pool_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_pool
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_pool_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_pool;
    struct sco_pool_ops *ops = static_cast<struct sco_pool_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/sgemm/sgemm_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include <utility>

#include "kernels/sgemm/sgemm.h"

HWY_BEFORE_NAMESPACE();
namespace sco_sgemm
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

#undef REGISTERS
#undef MASKED
#if HWY_TARGET == HWY_AVX2
#define REGISTERS 16
enum : size_t { PANEL = 2, KC = 256 };
#else
#define REGISTERS 32
enum : size_t { PANEL = 4, KC = 256 };
#endif
#define MASKED 0
#include "kernels/sgemm/sgemm_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_sgemm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_sgemm_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_sgemm;
    struct sco_sgemm_ops *ops = static_cast<struct sco_sgemm_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

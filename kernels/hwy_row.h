/* SPDX-License-Identifier: Apache-2.0
 * Which targets Highway rows are compiled for. Included before hwy/foreach_target.h. A row guards its kernels by
 * #if SCO_HWY_TARGET and defines fill(ops) among them; kernels/hwy_choose.h calls the best one. */
#ifndef SCO_KERNELS_HWY_ROW_H
#define SCO_KERNELS_HWY_ROW_H

#include <hwy/cache_control.h>

#include "kernels/kernel.h"

/* No level asks for these. SVE vectors have no size and fit into no array besides. */
#define HWY_DISABLED_TARGETS (HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

/* Bits equal those of the other rows only where multiply-adds are fused. */
#define SCO_HWY_TARGET HWY_NATIVE_FMA

#endif

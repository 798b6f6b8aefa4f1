/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/velo/velo_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <string.h>

#include "kernels/velo/velo.h"

HWY_BEFORE_NAMESPACE();
namespace sco_velo
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

/* x86 returns the second operand of min and max if one is NaN or both are zero; Arm does not. */
SCO_INLINE lanes floor_at(lanes x, lanes bound)
{
#if HWY_ARCH_X86
    return hn::Max(bound, x);
#else
    return hn::IfThenElse(hn::Lt(x, bound), bound, x);
#endif
}

SCO_INLINE lanes cap_at(lanes x, lanes bound)
{
#if HWY_ARCH_X86
    return hn::Min(bound, x);
#else
    return hn::IfThenElse(hn::Gt(x, bound), bound, x);
#endif
}

SCO_INLINE lanes scale_exponent(lanes y, lanes shifted)
{
    const I32 bits;
    return hn::BitCast(F32(), hn::Add(hn::BitCast(bits, y), hn::ShiftLeft<23>(hn::BitCast(bits, shifted))));
}

SCO_INLINE void add_f64(double *sum, lanes x)
{
    hn::StoreU(hn::Add(hn::LoadU(F64(), sum), lanes_low_f64(x)), F64(), sum);
    sum += LANES / 2;
    hn::StoreU(hn::Add(hn::LoadU(F64(), sum), lanes_high_f64(x)), F64(), sum);
}

SCO_INLINE void add_squares_f64(double *sum, lanes x)
{
    const auto low = lanes_low_f64(x), high = lanes_high_f64(x);
    hn::StoreU(hn::MulAdd(low, low, hn::LoadU(F64(), sum)), F64(), sum);
    sum += LANES / 2;
    hn::StoreU(hn::MulAdd(high, high, hn::LoadU(F64(), sum)), F64(), sum);
}

SCO_INLINE void set4(const size_t vectors, lanes to[4][2], const float w[4])
{
    SCO_UNROLL
    for (size_t j = 0; j < 4; j++) {
        SCO_UNROLL
        for (size_t u = 0; u < vectors; u++)
            to[j][u] = lanes_set(w[j]);
    }
}

SCO_INLINE void add4(const size_t vectors, lanes to[4][2], const float w[4], const lanes x[])
{
    SCO_UNROLL
    for (size_t j = 0; j < 4; j++) {
        SCO_UNROLL
        for (size_t u = 0; u < vectors; u++)
            to[j][u] = lanes_fma(lanes_set(w[j]), x[u], to[j][u]);
    }
}

SCO_INLINE void add2(const size_t vectors, lanes to[2][2], const float w[2], const lanes x[])
{
    SCO_UNROLL
    for (size_t c = 0; c < 2; c++) {
        SCO_UNROLL
        for (size_t u = 0; u < vectors; u++)
            to[c][u] = lanes_fma(lanes_set(w[c]), x[u], to[c][u]);
    }
}

SCO_INLINE void store_rows(float *to, lanes h[4][2])
{
    hn::StoreInterleaved4(h[0][0], h[1][0], h[2][0], h[3][0], F32(), to);
}

#include "kernels/velo/velo_lanes.h"
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_velo
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_velo_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_velo;
    struct sco_velo_ops *ops = static_cast<struct sco_velo_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

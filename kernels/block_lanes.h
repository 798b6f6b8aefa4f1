/* SPDX-License-Identifier: Apache-2.0
 * Vector k of a pixel's block of B channels, over the lanes of the row that includes this file. whole: B is the full block, and
 * nothing is masked; a constant where the loops are inlined. */
#include "kernels/kernel.h"

SCO_INLINE size_t part_of(size_t B, size_t k)
{
    const size_t left = B > k * LANES ? B - k * LANES : 0;
    return left < LANES ? left : LANES;
}

SCO_INLINE lanes load_part(int whole, size_t B, size_t k, const float *x)
{
    return whole ? lanes_load(x + k * LANES) : lanes_load_first(x + k * LANES, part_of(B, k));
}

SCO_INLINE void store_part(int whole, size_t B, size_t k, float *to, lanes x)
{
    if (whole)
        lanes_store(to + k * LANES, x);
    else
        lanes_store_first(to + k * LANES, x, part_of(B, k));
}

/* SPDX-License-Identifier: Apache-2.0
 * dropout.c over the lanes of the row that includes this file. A word of the generator is the low half of a 64-bit lane:
 * the multiplication yields both halves of the product there, and whatever else is in the high half is ignored. */
#include "kernels/dropout/dropout.h"

/* Words 0, 1 and words 2, 3 of LANES / 2 counters, each two side by side. */
SCO_INLINE void philox(lanes_u64 counter, lanes_u64 high, const struct sco_dropout_mask *mask, lanes_u64 *first,
                       lanes_u64 *second)
{
    const lanes_u64 m0 = lanes_u64_set(SCO_PHILOX_M0), m1 = lanes_u64_set(SCO_PHILOX_M1);
    lanes_u64 c0 = counter, c1 = high, c2 = lanes_u64_set(mask->layer), c3 = lanes_u64_set(mask->step);
    uint32_t k0 = (uint32_t)mask->seed, k1 = (uint32_t)(mask->seed >> 32);
    SCO_UNROLL
    for (int round = 0; round < SCO_PHILOX_ROUNDS; round++) {
        const lanes_u64 p0 = lanes_u64_mul_low(m0, c0), p1 = lanes_u64_mul_low(m1, c2);
        c0 = lanes_u64_high_xor(p1, c1, lanes_u64_set(k0));
        c1 = p1;
        c2 = lanes_u64_high_xor(p0, c3, lanes_u64_set(k1));
        c3 = p0;
        k0 += SCO_PHILOX_W0;
        k1 += SCO_PHILOX_W1;
    }
    *first = lanes_u64_zip_low(c0, c1);
    *second = lanes_u64_zip_low(c2, c3);
}

SCO_INLINE lanes kept(size_t quarter, lanes_u64 random, const struct sco_dropout_mask *mask, lanes x)
{
    x = lanes_mul(lanes_set(mask->scale), x);
    return quarter % 2 == 0 ? lanes_keep_low16(random, mask->limit, x) : lanes_keep_high16(random, mask->limit, x);
}

static void dropout_f32(size_t first, size_t n, const float *x, float *y, const struct sco_dropout_mask *mask)
{
    static const uint64_t count[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    const struct sco_dropout_mask m = *mask;
    for (size_t block = 0; block < n; block += SCO_DROPOUT_BLOCK) {
        const uint64_t counter = (first + block) / 8;
        const lanes_u64 base = lanes_u64_set(counter), high = lanes_u64_set(counter >> 32);
        for (size_t v = 0; v < 16 / LANES; v++) {
            lanes_u64 random[2];
            philox(lanes_u64_add(base, lanes_u64_load(count + v * (LANES / 2))), high, &m, random, random + 1);
            SCO_UNROLL
            for (size_t quarter = 0; quarter < 4; quarter++) {
                const size_t i = block + 16 * quarter + v * LANES;
                if (i >= n)
                    break;
                const size_t left = n - i;
                if (left >= LANES)
                    lanes_store(y + i, kept(quarter, random[quarter / 2], &m, lanes_load(x + i)));
                else
                    lanes_store_first(y + i, kept(quarter, random[quarter / 2], &m, lanes_load_first(x + i, left)),
                                      left);
            }
        }
    }
}

static inline void fill(struct sco_dropout_ops *ops)
{
    ops->dropout = dropout_f32;
}

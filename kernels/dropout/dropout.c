/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/dropout/dropout.h"

#include <assert.h>

static void philox(uint32_t c[4], uint64_t seed)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < SCO_PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)SCO_PHILOX_M0 * c[0], p1 = (uint64_t)SCO_PHILOX_M1 * c[2];
        c[0] = (uint32_t)(p1 >> 32) ^ c[1] ^ k0;
        c[1] = (uint32_t)p1;
        c[2] = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[3] = (uint32_t)p0;
        k0 += SCO_PHILOX_W0;
        k1 += SCO_PHILOX_W1;
    }
}

static void dropout_scalar(size_t first, size_t n, const float *x, float *y, const struct sco_dropout_mask *mask)
{
    assert(first % SCO_DROPOUT_BLOCK == 0);
    for (size_t block = 0; block < n; block += SCO_DROPOUT_BLOCK)
        for (size_t pair = 0; pair < 8; pair++) {
            const uint64_t counter = (first + block) / 8 + pair;
            uint32_t word[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), mask->layer, mask->step};
            philox(word, mask->seed);
            for (size_t k = 0; k < 8; k++) {
                const size_t i = block + 32 * (k / 4) + 16 * (k / 2 % 2) + 2 * pair + k % 2;
                const uint32_t w = word[2 * (k / 4) + k % 2], u = k / 2 % 2 == 0 ? w & 0xffff : w >> 16;
                if (i < n)
                    y[i] = u < mask->limit ? mask->scale * x[i] : 0.0f;
            }
        }
}

void sco_dropout_fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    ((struct sco_dropout_ops *)ops)->dropout = dropout_scalar;
}

SCO_FAMILY_DEFINE(dropout, SCO_DROPOUT_ROWS, struct sco_dropout_ops, "dropout")

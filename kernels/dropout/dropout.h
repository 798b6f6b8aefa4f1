/* SPDX-License-Identifier: Apache-2.0
 * Dropout by a counter-based generator: whether an element is kept depends on seed, layer, step and its index, on nothing
 * else, so that forward and backward, every row and every team draw the same mask and none is stored.
 *
 * Philox4x32-10 under the key seed turns the counter (c, layer, step), c of 64 bits, into four words w0 .. w3: eight
 * numbers u of 16 bits. Sixty-four elements share eight counters. Element i has
 *
 *   c = 8 (i / 64) + (i mod 16) / 2,  word 2 ((i mod 64) / 32) + i mod 2,  u = its low or high half as (i / 16) mod 2 is 0, 1
 *
 * (words side by side in one vector, halves one vector after the other: nothing is permuted) and is kept where u < limit. */
#ifndef SCO_KERNELS_DROPOUT_H
#define SCO_KERNELS_DROPOUT_H

#include <stdint.h>

#include "kernels/kernel.h"

enum { SCO_DROPOUT_BLOCK = 64 };

struct sco_dropout_mask {
    uint64_t seed;
    uint32_t layer, step;
    uint32_t limit; /* of 65536: how many of them are kept */
    float scale;    /* 65536 / limit: the expectation stays */
};

/* y = u < limit ? scale x : 0 for elements first .. first + n - 1 of a tensor; x and y point to the first of them. The
 * gradient is the same function of dy.
 *
 * Shapes    x: float[n] in; y: float[n] out. n = 0 is a no-op.
 * Layout    contiguous; first is a multiple of SCO_DROPOUT_BLOCK. y may be x; otherwise they do not overlap.
 * Numerics  same bits from every row. What is dropped is 0, even NaN.
 * Cost      8 bytes and about 2 integer operations in a vector of 16 lanes an element.
 * Threads   reentrant.
 * Memory    none allocated.
 * Errors    none.
 * Source    Srivastava et al., "Dropout", JMLR 2014; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 *           SC 2011, section 3.3. */
typedef void sco_dropout_fn(size_t first, size_t n, const float *x, float *y, const struct sco_dropout_mask *mask);

struct sco_dropout_ops {
    sco_dropout_fn *dropout;
};

#define SCO_PHILOX_M0 0xD2511F53u
#define SCO_PHILOX_M1 0xCD9E8D57u
#define SCO_PHILOX_W0 0x9E3779B9u
#define SCO_PHILOX_W1 0xBB67AE85u
enum { SCO_PHILOX_ROUNDS = 10 };

#define SCO_DROPOUT_ROWS(ROW)                                                                                          \
    ROW(dropout, scalar, 0)                                                                                            \
    SCO_HWY(ROW(dropout, hwy, SCO_USE_HWY))                                                                            \
    SCO_X86(ROW(dropout, avx2, SCO_ISA_AVX2))                                                                          \
    SCO_X86(ROW(dropout, avx512, SCO_ISA_AVX512))                                                                      \
    SCO_ARM64(ROW(dropout, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(dropout, SCO_DROPOUT_ROWS)
SCO_END_DECLS

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Fingerprint64 of FarmHash, the hash that never changes: what TensorFlow puts strings into buckets by.
 *
 * Source    G. Pike, FarmHash 1.1 (2014), namespace farmhashna: a function of the length's class (0, 1 to 3, 4 to 7, 8 to 16,
 *           17 to 32, 33 to 64, above). */
#ifndef SCO_IO_FARMHASH_H
#define SCO_IO_FARMHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t sco_fingerprint64(const void *bytes, size_t size);

/* The first and the last 8 bytes as little-endian numbers are all that the class of 8 to 16 bytes looks at. */
static inline uint64_t sco_fingerprint64_8to16(uint64_t first, uint64_t last, size_t size)
{
    const uint64_t k2 = 0x9ae16a3b2f90404fu, multiplier = k2 + 2 * size, a = first + k2;
    const uint64_t c = (last >> 37 | last << 27) * multiplier + a, d = ((a >> 25 | a << 39) + last) * multiplier;
    uint64_t e = (c ^ d) * multiplier;
    e ^= e >> 47;
    e = (d ^ e) * multiplier;
    return (e ^ e >> 47) * multiplier;
}

#endif

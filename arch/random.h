/* SPDX-License-Identifier: Apache-2.0
 * Random numbers by index: any element can be made by any thread, in any order. */
#ifndef SCO_ARCH_RANDOM_H
#define SCO_ARCH_RANDOM_H

#include <stdint.h>

/* Number index of the sequence of seed.
 * Source    Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014: a counter and a mixer. */
static inline uint64_t sco_splitmix64(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A seed for the sequence named stream of seed; streams of streams are seeds of their own. */
static inline uint64_t sco_random_stream(uint64_t seed, uint64_t stream)
{
    return sco_splitmix64(seed ^ stream * 0xd1b54a32d192ed03u, stream);
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double sco_random_uniform(uint64_t seed, uint64_t index)
{
    return (double)(sco_splitmix64(seed, index) >> 11) * 0x1p-53;
}

__extension__ typedef unsigned __int128 sco_uint128;

/* Uniform among 0 .. n - 1, n from 1; the bias is below n / 2^64. */
static inline uint64_t sco_random_below(uint64_t seed, uint64_t index, uint64_t n)
{
    return (uint64_t)((sco_uint128)sco_splitmix64(seed, index) * n >> 64);
}

#endif

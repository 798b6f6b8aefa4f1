/* SPDX-License-Identifier: Apache-2.0 */
#include "io/farmhash.h"

static const uint64_t k0 = 0xc3a5c85c97cb3127u, k1 = 0xb492b66fbe98f273u, k2 = 0x9ae16a3b2f90404fu;

struct pair {
    uint64_t first, second;
};

static uint64_t load32(const unsigned char *s)
{
    return (uint64_t)s[0] | (uint64_t)s[1] << 8 | (uint64_t)s[2] << 16 | (uint64_t)s[3] << 24;
}

static uint64_t load64(const unsigned char *s)
{
    return load32(s) | load32(s + 4) << 32;
}

static uint64_t rotate(uint64_t x, unsigned right)
{
    return x >> right | x << (64 - right);
}

static uint64_t mix(uint64_t x)
{
    return x ^ x >> 47;
}

static uint64_t join(uint64_t u, uint64_t v, uint64_t multiplier)
{
    const uint64_t a = mix((u ^ v) * multiplier);
    return mix((v ^ a) * multiplier) * multiplier;
}

static uint64_t up_to_7(const unsigned char *s, size_t size)
{
    if (size >= 4)
        return join(size + (load32(s) << 3), load32(s + size - 4), k2 + 2 * size);
    if (size == 0)
        return k2;
    const uint64_t y = s[0] + ((uint64_t)s[size / 2] << 8), z = size + ((uint64_t)s[size - 1] << 2);
    return mix(y * k2 ^ z * k0) * k2;
}

static uint64_t up_to_32(const unsigned char *s, size_t size)
{
    const uint64_t multiplier = k2 + 2 * size;
    const uint64_t a = load64(s) * k1, b = load64(s + 8);
    const uint64_t c = load64(s + size - 8) * multiplier, d = load64(s + size - 16) * k2;
    return join(rotate(a + b, 43) + rotate(c, 30) + d, a + rotate(b + k2, 18) + c, multiplier);
}

static uint64_t up_to_64(const unsigned char *s, size_t size)
{
    const uint64_t multiplier = k2 + 2 * size;
    const uint64_t a = load64(s) * k2, b = load64(s + 8);
    const uint64_t c = load64(s + size - 8) * multiplier, d = load64(s + size - 16) * k2;
    const uint64_t y = rotate(a + b, 43) + rotate(c, 30) + d;
    const uint64_t z = join(y, a + rotate(b + k2, 18) + c, multiplier);
    const uint64_t e = load64(s + 16) * multiplier, f = load64(s + 24);
    const uint64_t g = (y + load64(s + size - 32)) * multiplier, h = (z + load64(s + size - 24)) * multiplier;
    return join(rotate(e + f, 43) + rotate(g, 30) + h, e + rotate(f + a, 18) + g, multiplier);
}

/* Half of a 64-byte block. */
static struct pair absorb(const unsigned char *s, uint64_t a, uint64_t b)
{
    const uint64_t w = load64(s), x = load64(s + 8), y = load64(s + 16), z = load64(s + 24);
    a += w;
    const uint64_t start = a;
    b = rotate(b + a + z, 21);
    a += x + y;
    b += rotate(a, 44);
    return (struct pair){a + z, b + start};
}

static uint64_t above_64(const unsigned char *s, size_t size)
{
    const uint64_t seed = 81;
    const unsigned char *end = s + (size - 1) / 64 * 64, *last = s + size - 64;
    struct pair v = {0, 0}, w = {0, 0};
    uint64_t x = seed * k2 + load64(s), y = seed * k1 + 113, z = mix(y * k2 + 113) * k2, multiplier = k1;

    /* The last block overlaps the one before, and differs in the multiplier and in three weights. */
    for (;; s += 64) {
        uint64_t weight = 1;
        if (s == end) {
            multiplier = k1 + ((z & 0xff) << 1);
            weight = 9;
            s = last;
            w.first += (size - 1) & 63;
            v.first += w.first;
            w.first += v.first;
        }
        x = rotate(x + y + v.first + load64(s + 8), 37) * multiplier;
        y = rotate(y + v.second + load64(s + 48), 42) * multiplier;
        x ^= w.second * weight;
        y += v.first * weight + load64(s + 40);
        z = rotate(z + w.first, 33) * multiplier;
        v = absorb(s, v.second * multiplier, x + w.first);
        w = absorb(s + 32, z + w.second, y + load64(s + 16));
        const uint64_t swap = z;
        z = x;
        x = swap;
        if (weight == 9)
            break;
    }
    return join(join(v.first, w.first, multiplier) + mix(y) * k0 + z, join(v.second, w.second, multiplier) + x,
                multiplier);
}

uint64_t sco_fingerprint64(const void *bytes, size_t size)
{
    const unsigned char *s = bytes;
    if (size < 8)
        return up_to_7(s, size);
    if (size <= 16)
        return sco_fingerprint64_8to16(load64(s), load64(s + size - 8), size);
    if (size <= 32)
        return up_to_32(s, size);
    if (size <= 64)
        return up_to_64(s, size);
    return above_64(s, size);
}

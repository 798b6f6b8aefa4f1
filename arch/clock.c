/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/clock.h"

#include <stdlib.h>
#include <time.h>

uint64_t sco_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

enum { SAMPLES = 31, READINGS = 64, CHAIN = 1 << 17, UNROLL = 16 };

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double sample[SAMPLES])
{
    qsort(sample, SAMPLES, sizeof sample[0], compare);
    return sample[SAMPLES / 2];
}

/* CHAIN additions, each needing the one before. The empty asm keeps the compiler from folding them into one; 16 to a
 * trip, so that the loop's own branch stays in the shadow of the chain. */
static double chain_ns(void)
{
    uint64_t x = 0;
    const uint64_t start = sco_clock_ns();
    for (int i = 0; i < CHAIN / UNROLL; i++) {
#pragma GCC unroll 16
        for (int j = 0; j < UNROLL; j++) {
            x += 1;
            __asm__ volatile("" : "+r"(x));
        }
    }
    return (double)(sco_clock_ns() - start);
}

struct sco_clock_quality sco_clock_measure(void)
{
    struct sco_clock_quality quality = {0};
    double sample[SAMPLES];
    uint64_t smallest = UINT64_MAX;
    for (int i = 0; i < SAMPLES; i++) {
        const uint64_t start = sco_clock_ns();
        uint64_t previous = start, now = start;
        for (int j = 0; j < READINGS; j++) {
            now = sco_clock_ns();
            if (now != previous && now - previous < smallest)
                smallest = now - previous;
            previous = now;
        }
        sample[i] = (double)(now - start) / READINGS;
    }
    quality.overhead_ns = median(sample);
    quality.resolution_ns = (double)smallest;

    for (int i = 0; i < SAMPLES; i++)
        sample[i] = chain_ns();
    quality.cycles_per_ns = CHAIN / (median(sample) - quality.overhead_ns);
    return quality;
}

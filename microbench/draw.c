/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/microbench.h"
#include "stepcost/team.h"

struct draw {
    float *x;
    size_t n;
    uint64_t seed;
    float deviation;
};

/* Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014: a counter and a mixer, so that
 * any element can be made by any thread. */
static uint64_t splitmix64(uint64_t seed, uint64_t counter)
{
    uint64_t z = seed + (counter + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void draw_block(size_t rank, size_t size, void *argument)
{
    const struct draw *draw = argument;
    /* Four uniforms on 0 .. 65535 have the mean 2 * 65535 and the variance 4 * (65536^2 - 1) / 12. */
    const float scale = draw->deviation / 37837.2223f;
    size_t begin, end;
    sco_team_block(draw->n, rank, size, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const uint64_t z = splitmix64(draw->seed, i);
        const int32_t sum = (int32_t)((z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48));
        draw->x[i] = (float)(sum - 2 * 65535) * scale;
    }
}

void sco_draw(struct sco_team *team, float *x, size_t n, uint64_t seed, float deviation)
{
    struct draw draw = {x, n, seed, deviation};
    sco_team_run(team, draw_block, &draw);
}

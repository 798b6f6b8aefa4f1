/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/random.h"
#include "stepcost/microbench.h"
#include "stepcost/team.h"

struct draw {
    float *x;
    size_t n;
    uint64_t seed;
    float deviation;
};

static void draw_block(size_t rank, size_t size, void *argument)
{
    const struct draw *draw = argument;
    /* Four uniforms on 0 .. 65535 have the mean 2 * 65535 and the variance 4 * (65536^2 - 1) / 12. */
    const float scale = draw->deviation / 37837.2223f;
    size_t begin, end;
    sco_team_block(draw->n, rank, size, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const uint64_t z = sco_splitmix64(draw->seed, i);
        const int32_t sum = (int32_t)((z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48));
        draw->x[i] = (float)(sum - 2 * 65535) * scale;
    }
}

void sco_draw(struct sco_team *team, float *x, size_t n, uint64_t seed, float deviation)
{
    struct draw draw = {x, n, seed, deviation};
    sco_team_run(team, draw_block, &draw);
}

/* SPDX-License-Identifier: Apache-2.0
 * The loss buffer. 1 - decay^k cancels for long horizons, so features depend on rounding: operations and their order,
 * powf included, are the reference's. */
#include <math.h>

#include "optim/velo_optim.h"

/* Like the reference's minimum and maximum, these keep a NaN. */
static float smaller(float a, float b)
{
    return a < b || a != a ? a : b;
}

static float larger(float a, float b)
{
    return a > b || a != a ? a : b;
}

void sco_velo_loss_decays(float decay[VELO_HORIZONS], uint64_t num_steps)
{
    const float first = 1.0f, last = log10f((float)num_steps);
    for (int j = 0; j < VELO_HORIZONS; j++) {
        const float step = (float)j / (float)(VELO_HORIZONS - 1);
        const float exponent = j == VELO_HORIZONS - 1 ? last : first * (1.0f - step) + last * step;
        decay[j] = expf(-1.0f / powf(10.0f, exponent));
    }
}

void sco_velo_loss_init(struct velo_loss *buffer)
{
    for (int j = 0; j < VELO_HORIZONS; j++) {
        buffer->mean[j] = 0.0f;
        buffer->running_min[j] = 999999999999.0f;
    }
}

void sco_velo_loss_update(struct velo_loss *buffer, uint64_t count, float loss)
{
    float correction[VELO_HORIZONS], cap = 0.0f;
    for (int j = 0; j < VELO_HORIZONS; j++) {
        correction[j] = 1.0f - powf(buffer->decay[j], (float)(count + 1));
        /* the old mean with the new count: it underestimates, and is what the network was trained on */
        const float mean = buffer->mean[j] / correction[j];
        cap = j == 0 ? mean : larger(mean, cap);
    }
    if (count == 0)
        cap = loss;
    loss = smaller(2.0f * fabsf(cap), loss);
    for (int j = 0; j < VELO_HORIZONS; j++) {
        buffer->mean[j] = buffer->mean[j] * buffer->decay[j] + loss * (1.0f - buffer->decay[j]);
        buffer->running_min[j] = smaller(buffer->mean[j] / correction[j], buffer->running_min[j]);
    }
}

void sco_velo_loss_features(const struct velo_loss *buffer, uint64_t count, float features[VELO_HORIZONS - 1])
{
    float mean[VELO_HORIZONS];
    for (int j = 0; j < VELO_HORIZONS; j++)
        mean[j] = buffer->mean[j] / (1.0f - powf(buffer->decay[j], (float)count));
    for (int j = 0; j < VELO_HORIZONS - 1; j++) {
        const float floor = buffer->running_min[j], range = larger(1e-8f, mean[j + 1] - floor);
        const float x = (mean[j] - floor) / range - 1.0f;
        features[j] = count <= 2 ? 0.0f : x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x;
    }
}

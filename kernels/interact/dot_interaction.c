/* SPDX-License-Identifier: Apache-2.0
 * The loops are the definition; every row copies their operations, their order and their fusing. */
#include "kernels/interact/dot_interaction.h"

#include <math.h>

enum { VIRTUAL_LANES = 16 };

static float dot(size_t dim, const float *a, const float *b)
{
    float lane[VIRTUAL_LANES] = {0};
    for (size_t c = 0; c < dim; c += VIRTUAL_LANES)
        for (size_t l = 0; l < VIRTUAL_LANES; l++)
            lane[l] = c + l < dim ? fmaf(a[c + l], b[c + l], lane[l]) : lane[l] + 0.0f;
    for (size_t half = VIRTUAL_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

static void forward_f32_scalar(size_t samples, size_t F, size_t dim, const float *x, float *restrict y)
{
    for (size_t s = 0; s < samples; s++, x += F * dim) {
        for (size_t c = 0; c < dim; c++)
            *y++ = x[c];
        for (size_t i = 0; i < F; i++)
            for (size_t j = i; j < F; j++)
                *y++ = dot(dim, x + i * dim, x + j * dim);
    }
}

static void backward_f32_scalar(size_t samples, size_t F, size_t dim, const float *x, const float *gy,
                                float *restrict scratch, float *restrict dx)
{
    for (size_t s = 0; s < samples; s++, x += F * dim, dx += F * dim) {
        const float *bottom = gy;
        gy += dim;
        for (size_t i = 0; i < F; i++)
            for (size_t j = i; j < F; j++, gy++)
                scratch[i * F + j] = scratch[j * F + i] = i == j ? *gy + *gy : *gy;
        for (size_t i = 0; i < F; i++)
            for (size_t c = 0; c < dim; c++) {
                float sum = i == 0 ? bottom[c] : 0.0f;
                for (size_t j = 0; j < F; j++)
                    sum = fmaf(scratch[i * F + j], x[j * dim + c], sum);
                dx[i * dim + c] = sum;
            }
    }
}

void sco_dot_interaction_fill_scalar(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_dot_interaction_ops *ops = table;
    ops->forward = forward_f32_scalar;
    ops->backward = backward_f32_scalar;
}

SCO_FAMILY_DEFINE(dot_interaction, SCO_DOT_INTERACTION_ROWS, struct sco_dot_interaction_ops, "forward", "backward")

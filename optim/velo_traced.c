/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/velo_traced.h"

#include <math.h>
#include <string.h>

#include "optim/velo_optim.h"

/* Blocks 9-12 of the features, three decays each: R, C, 1 / sqrt(R), 1 / sqrt(C); 13 follows. */
enum { FEATURE_R = 15, FEATURE_C = 18, FEATURE_INVERSE_R = 21, FEATURE_INVERSE_C = 24, FEATURE_MF = 27 };

/* rows x cols out of an array whose rows are stride apart. */
static void copy_rows(float *dst, size_t rows, size_t cols, const float *src, size_t stride)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(dst + i * cols, src + i * stride, cols * sizeof *dst);
}

/* What folding multiplied four weights by, from the weight farthest from zero. */
static float quotient(const float folded[4], const float raw[4])
{
    size_t j = 0;
    for (size_t i = 1; i < 4; i++)
        j = fabsf(raw[i]) > fabsf(raw[j]) ? i : j;
    return (float)((double)folded[j] / raw[j]);
}

static void normalisers(const struct velo_tensor *tensor, const float *mlp, float out[VELO_FEATURES])
{
    const float *w0 = mlp + VELO_W0;
    for (size_t i = 0; i < SCO_VELO_INPUTS; i++) {
        const size_t f = i < SCO_VELO_MF ? i : FEATURE_MF + i - SCO_VELO_MF;
        out[f] = quotient(tensor->mlp.w0[i], w0 + f * 4);
    }
    if (tensor->shape.factored) {
        const enum velo_side r = tensor->shape.axis[VELO_ROWS] == tensor->shape.r ? VELO_ROWS : VELO_COLS;
        for (size_t k = 0; k < 3; k++) {
            out[FEATURE_R + k] = quotient(tensor->wa[r][k], w0 + (FEATURE_R + k) * 4);
            out[FEATURE_C + k] = quotient(tensor->wa[!r][k], w0 + (FEATURE_C + k) * 4);
            out[FEATURE_INVERSE_R + k] = quotient(tensor->wra[r][k], w0 + (FEATURE_INVERSE_R + k) * 4);
            out[FEATURE_INVERSE_C + k] = quotient(tensor->wra[!r][k], w0 + (FEATURE_INVERSE_C + k) * 4);
        }
        return;
    }
    /* Unfactored: R and C are both D, and their weights have been added up. */
    for (size_t k = 0; k < 3; k++) {
        float sum[4], inverse_sum[4];
        for (size_t j = 0; j < 4; j++) {
            sum[j] = w0[(FEATURE_R + k) * 4 + j] + w0[(FEATURE_C + k) * 4 + j];
            inverse_sum[j] = w0[(FEATURE_INVERSE_R + k) * 4 + j] + w0[(FEATURE_INVERSE_C + k) * 4 + j];
        }
        out[FEATURE_R + k] = out[FEATURE_C + k] = quotient(tensor->mlp.wd[k], sum);
        out[FEATURE_INVERSE_R + k] = out[FEATURE_INVERSE_C + k] = quotient(tensor->mlp.wrd[k], inverse_sum);
    }
}

static const char *optimizer_stage(const struct velo *velo, size_t i, float *dst, size_t *count)
{
    const struct velo_network *network = &velo->network;
    const size_t T = velo->count, P = network->experts;
    switch (i) {
    case 0:
        *count = T * VELO_FEATURES;
        if (dst != NULL)
            copy_rows(dst, T, VELO_FEATURES, network->input, VELO_INPUT_STRIDE);
        return "lstm_in";
    case 1:
        *count = T * P;
        if (dst != NULL)
            copy_rows(dst, T, P, network->controls, network->control_stride);
        return "controls";
    case 2:
        *count = T;
        if (dst != NULL)
            copy_rows(dst, T, 1, network->controls + P, network->control_stride);
        return "lr_mult";
    default: return NULL;
    }
}

const char *sco_velo_traced(const struct sco_optim *optim, size_t tensor, size_t i, float *dst, size_t *count)
{
    static const struct {
        const char *name;
        size_t offset, count;
    } weights[] = {{"w0", VELO_W0, VELO_FEATURES * 4},
                   {"b0", VELO_B0, 4},
                   {"w1", VELO_W1, 16},
                   {"b1", VELO_B1, 4},
                   {"w2", VELO_W2, 8},
                   {"b2", VELO_B2, 2}};
    const size_t weight_count = sizeof weights / sizeof *weights;
    const struct velo *velo = optim->data;
    if (tensor == SIZE_MAX)
        return optimizer_stage(velo, i, dst, count);
    const float *mlp = velo->network.mlp + tensor * VELO_BANK_STRIDE;
    if (i < weight_count) {
        *count = weights[i].count;
        if (dst != NULL)
            memcpy(dst, mlp + weights[i].offset, *count * sizeof *dst);
        return weights[i].name;
    }
    if (i > weight_count)
        return NULL;
    *count = VELO_FEATURES;
    if (dst != NULL)
        normalisers(&velo->tensors[tensor], mlp, dst);
    return "normaliser";
}

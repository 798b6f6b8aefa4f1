/* SPDX-License-Identifier: Apache-2.0
 * Scalar rows: the definition that the others match bit for bit. */
#include "kernels/loss/loss.h"

#include "kernels/exp_scalar.h"
#include "kernels/loss/loss_curve.h"

static float fold(float lane[SCO_LOSS_LANES])
{
    for (int half = SCO_LOSS_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

static size_t softmax_xent_scalar(size_t first, size_t last, size_t classes, const float *x, const int32_t *label,
                                  float smoothing, float scale, float *loss, float *dx)
{
    const float share = smoothing / (float)classes, hit = 1.0f - smoothing;
    for (size_t r = first; r < last; r++) {
        const float *row = x + r * classes;
        float *d = dx != NULL ? dx + r * classes : NULL;
        if (label[r] == -1) {
            loss[r] = 0.0f;
            for (size_t j = 0; d != NULL && j < classes; j++)
                d[j] = 0.0f;
            continue;
        }
        if (label[r] < 0 || (size_t)label[r] >= classes)
            return r - first;
        const float aim = row[label[r]];
        float peak = row[0], sum[SCO_LOSS_LANES] = {0.0f}, plain[SCO_LOSS_LANES] = {0.0f};
        for (size_t j = 1; j < classes; j++)
            peak = peak < row[j] ? row[j] : peak;
        for (size_t j = 0; j < classes; j++) {
            const float xj = row[j], e = exp_negative(xj - peak);
            sum[j % SCO_LOSS_LANES] += e;
            plain[j % SCO_LOSS_LANES] += xj;
            if (d != NULL)
                d[j] = e;
        }
        const float total = fold(sum), all = fold(plain), inverse = scale / total, less = scale * share;
        loss[r] = (float)(sco_loss_log((double)total) + (double)peak - (double)hit * (double)aim -
                          (double)share * (double)all);
        for (size_t j = 0; d != NULL && j < classes; j++)
            d[j] = fmaf(d[j], inverse, -less);
        if (d != NULL)
            d[label[r]] -= scale * hit;
    }
    return last - first;
}

static struct sco_loss_sum sigmoid_bce_scalar(size_t n, const float *x, const float *label, float scale, float *dx)
{
    double sum[SCO_LOSS_LANES] = {0.0}, count[SCO_LOSS_LANES] = {0.0};
    for (size_t i = 0; i < n; i++) {
        const float xi = x[i], z = label[i], e = exp_negative(-fabsf(xi)), s = e / (2.0f + e), s2 = s * s;
        float l = fmaf(SCO_LOSS_L4, s2, SCO_LOSS_L3);
        l = fmaf(l, s2, SCO_LOSS_L2);
        l = fmaf(l, s2, SCO_LOSS_L1);
        l = fmaf(l, s2, SCO_LOSS_L0);
        const float s_twice = s + s, log1p_e = fmaf(s_twice * s2, l, s_twice);
        const float loss = fmaf(-xi, z, xi < 0.0f ? 0.0f : xi) + log1p_e;
        const float sigmoid = (xi < 0.0f ? e : 1.0f) / (1.0f + e);
        const int there = z == z;
        sum[i % SCO_LOSS_LANES] += there ? (double)loss : 0.0;
        count[i % SCO_LOSS_LANES] += there ? 1.0 : 0.0;
        if (dx != NULL)
            dx[i] = there ? scale * (sigmoid - z) : 0.0f;
    }
    return (struct sco_loss_sum){sco_loss_fold(sum), sco_loss_fold(count)};
}

static struct sco_loss_sum l1_scalar(size_t n, const float *x, const float *target, float scale, float *dx)
{
    double sum[SCO_LOSS_LANES] = {0.0};
    for (size_t i = 0; i < n; i++) {
        const float d = x[i] - target[i];
        sum[i % SCO_LOSS_LANES] += (double)fabsf(d);
        if (dx != NULL)
            dx[i] = scale * (d > 0.0f ? 1.0f : d < 0.0f ? -1.0f : d);
    }
    return (struct sco_loss_sum){sco_loss_fold(sum), (double)n};
}

void sco_loss_fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_loss_ops *)ops = (struct sco_loss_ops){softmax_xent_scalar, sigmoid_bce_scalar, l1_scalar};
}

SCO_FAMILY_DEFINE(loss, SCO_LOSS_ROWS, struct sco_loss_ops, "softmax_xent", "sigmoid_bce", "l1")

/* SPDX-License-Identifier: Apache-2.0 */
#include "io/image_resize.h"

#include <math.h>

#include "arch/random.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

struct sco_crop sco_crop_centre(size_t H, size_t W, size_t side)
{
    const float part = (float)((double)side / (double)(side + 32));
    size_t s = (size_t)(part * (float)least(H, W));
    s = s == 0 ? 1 : s;
    return (struct sco_crop){.top = (H - s + 1) / 2, .left = (W - s + 1) / 2, .H = s, .W = s};
}

/* Sizes round to even and areas are floats, as in the original: its crops come out the same from the same numbers. */
static bool attempt(uint64_t seed, uint64_t first, int H, int W, struct sco_crop *crop)
{
    const float narrowest = 3.0f / 4, widest = 4.0f / 3;
    const float ratio = (float)sco_random_uniform(seed, first) * (widest - narrowest) + narrowest;
    const float smallest = 0.08f * (float)W * (float)H, largest = (float)W * (float)H;
    int low = (int)lrintf(sqrtf(smallest / ratio)), high = (int)lrintf(sqrtf(largest / ratio));
    if (lrintf((float)high * ratio) > W) {
        high = (int)(((float)W + 0.5f - 1e-7f) / ratio);
        if (lrintf((float)high * ratio) > W)
            high--;
    }
    high = high < H ? high : H;
    low = low < high ? low : high;
    int h = low + (int)sco_random_below(seed, first + 1, (uint64_t)(high - low) + 1);
    int w = (int)lrintf((float)h * ratio);
    /* Rounding may have left the bounds by a line. */
    if ((float)w * (float)h < smallest)
        w = (int)lrintf((float)++h * ratio);
    if ((float)w * (float)h > largest)
        w = (int)lrintf((float)--h * ratio);
    const float area = (float)w * (float)h;
    if (w < 1 || h < 1 || w > W || h > H || area < smallest || area > largest || area / largest < 0.1f)
        return false;
    crop->top = h < H ? (size_t)sco_random_below(seed, first + 2, (uint64_t)(H - h)) : 0;
    crop->left = w < W ? (size_t)sco_random_below(seed, first + 3, (uint64_t)(W - w)) : 0;
    crop->H = (size_t)h;
    crop->W = (size_t)w;
    return true;
}

struct sco_crop sco_crop_random(uint64_t seed, size_t H, size_t W, size_t side)
{
    struct sco_crop crop;
    for (uint64_t first = 0; first < SCO_CROP_NUMBERS; first += 4) {
        if (!attempt(seed, first, (int)H, (int)W, &crop))
            continue;
        if (crop.H == H && crop.W == W)
            break;
        return crop;
    }
    return sco_crop_centre(H, W, side);
}

/* Keys's kernel at distance x. */
static float cubic(double x)
{
    const double a = -0.5;
    return (float)(x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a);
}

void sco_resize_taps(size_t in, size_t out, struct sco_tap *taps)
{
    const float scale = (float)in / (float)out;
    for (size_t i = 0; i < out; i++) {
        const float at = ((float)i + 0.5f) * scale - 0.5f;
        const float whole = floorf(at);
        const double part = (double)lrintf((at - whole) * 1024) / 1024;
        const float weight[4] = {cubic(part + 1), cubic(part), cubic(1 - part), cubic(2 - part)};
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            const long j = (long)whole - 1 + k;
            const bool inside = j >= 0 && j < (long)in;
            taps[i].index[k] = (uint32_t)(j < 0 ? 0 : inside ? j : (long)in - 1);
            taps[i].weight[k] = inside ? weight[k] : 0;
            sum += taps[i].weight[k];
        }
        const float one = 1 / sum;
        for (int k = 0; k < 4; k++)
            taps[i].weight[k] *= one;
    }
}

void sco_resize_column(const unsigned char *const row[4], const float weight[4], size_t n, float *restrict out)
{
    const unsigned char *restrict a = row[0], *restrict b = row[1], *restrict c = row[2], *restrict d = row[3];
    const float wa = weight[0], wb = weight[1], wc = weight[2], wd = weight[3];
    for (size_t i = 0; i < n; i += SCO_RESIZE_BLOCK)
        for (size_t j = 0; j < SCO_RESIZE_BLOCK; j++) /* a constant count from 0: compilers vectorise it at -O2 */
            out[i + j] = (float)a[i + j] * wa + (float)b[i + j] * wb + (float)c[i + j] * wc + (float)d[i + j] * wd;
}

void sco_resize_row(const float *restrict column, const struct sco_tap *restrict taps, size_t side, bool mirror,
                    float *restrict out)
{
    static const float mean[4] = {123.675f, 116.28f, 103.53f, 0}, deviation[4] = {58.395f, 57.12f, 57.375f, 1};
    for (size_t i = 0; i < side; i++) {
        const float *weight = taps[i].weight;
        const float *a = column + 3 * (size_t)taps[i].index[0], *b = column + 3 * (size_t)taps[i].index[1];
        const float *c = column + 3 * (size_t)taps[i].index[2], *d = column + 3 * (size_t)taps[i].index[3];
        float pixel[4]; /* three channels and what follows them: a vector */
        for (int k = 0; k < 4; k++)
            pixel[k] =
                (a[k] * weight[0] + b[k] * weight[1] + c[k] * weight[2] + d[k] * weight[3] - mean[k]) / deviation[k];
        float *to = out + 3 * (mirror ? side - 1 - i : i);
        for (int k = 0; k < 3; k++)
            to[k] = pixel[k];
    }
}

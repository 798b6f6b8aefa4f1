/* SPDX-License-Identifier: Apache-2.0
 * Slices: phantoms of ellipses, after Shepp and Logan, with shading, noise and a smooth phase, 16 to a volume.
 *
 * The input is what zero-filling makes of every fourth column of k-space plus the middle ones, in closed form: four
 * copies of the slice a quarter of its width apart, with the phases of where the columns start, and the slice
 * blurred along its rows. */
#include <math.h>
#include <stdlib.h>

#include "arch/fail.h"
#include "io/synthetic.h"
#include "stepcost/memory.h"

enum { DEPTH = 16, ELLIPSES = 12, FOLDS = 4 };

/* The middle 8 % of the columns resolve details of 1 / 0.08 pixels. */
enum { WINDOW = 12, REACH = WINDOW - 1 };

struct slices {
    struct sco_synthetic made;
    size_t side;
};

struct images {
    float *x, *target, *mean, *deviation, *volume_max;
    float *re, *im;                           /* scratch: one slice */
    float *blurred_re, *blurred_im, *wrapped; /* one row of it, and one with what is around its ends */
    void *memory;
};

static enum sco_status open_slices(void **source, const struct sco_dataset_options *options,
                                   struct sco_dataset_facts *facts)
{
    struct slices *slices = calloc(1, sizeof *slices);
    if (slices == NULL)
        return sco_fail(SCO_NOMEM, "no memory for made-up slices");
    sco_synthetic_begin(&slices->made, options, 4096, 256, facts);
    slices->side = facts->H = facts->W = options->side != 0 ? options->side : 320;
    *source = slices;
    return SCO_OK;
}

static void slot_destroy(void *source, void *slot)
{
    struct images *images = slot;
    (void)source;
    if (images == NULL)
        return;
    sco_free(images->memory);
    free(images);
}

static enum sco_status slot_create(void *source, void **slot, size_t *bytes)
{
    const struct slices *slices = source;
    const size_t batch = slices->made.batch, side = slices->side, pixels = side * side;
    const size_t size = (2 * batch * pixels + 3 * batch + 2 * pixels + 3 * side + 2 * REACH) * sizeof(float);
    struct images *images = calloc(1, sizeof *images);
    if (images != NULL)
        images->memory = sco_alloc(size);
    if (images == NULL || images->memory == NULL) {
        slot_destroy(source, images);
        return sco_fail(SCO_NOMEM, "memory for %zu slices was refused: %zu bytes", batch, size);
    }
    float *at = images->memory;
    images->x = at, at += batch * pixels;
    images->target = at, at += batch * pixels;
    images->re = at, at += pixels;
    images->im = at, at += pixels;
    images->mean = at, at += batch;
    images->deviation = at, at += batch;
    images->volume_max = at, at += batch;
    images->blurred_re = at, at += side;
    images->blurred_im = at, at += side;
    images->wrapped = at;
    *slot = images;
    *bytes += size;
    return SCO_OK;
}

/* ---- Phantoms ---------------------------------------------------------------------------------------------------- */

/* Points with (a u + b v)^2 + (c u + d v)^2 < 1 of (u, v) = (x - x0, y - y0), in units of half a side. */
struct ellipse {
    float x0, y0, a, b, c, d, brightness;
};

static struct ellipse tilted(float x0, float y0, float width, float height, float tilt, float brightness)
{
    /* Cosine and sine of twice the angle whose tangent is tilt. */
    const float cosine = (1.0f - tilt * tilt) / (1.0f + tilt * tilt), sine = 2.0f * tilt / (1.0f + tilt * tilt);
    return (struct ellipse){x0, y0, cosine / width, sine / width, -sine / height, cosine / height, brightness};
}

/* z from -1 to 1 through the volume: ellipsoids, cut. */
static void cut(struct ellipse ellipses[ELLIPSES], uint64_t volume, float z)
{
    const float width = 0.62f + 0.1f * sco_synthetic_even(volume, 0),
                height = 0.78f + 0.1f * sco_synthetic_even(volume, 1);
    const float body = sqrtf(1.0f - 0.5f * z * z), tilt = 0.15f * sco_synthetic_even(volume, 2);
    ellipses[0] = tilted(0.0f, 0.0f, width * body, height * body, tilt, 0.9f);
    ellipses[1] = tilted(0.0f, 0.0f, 0.92f * width * body, 0.94f * height * body, tilt, -0.55f);
    for (uint64_t e = 2; e < ELLIPSES; e++) {
        const uint64_t own = sco_random_stream(volume, e);
        const float far = z - 0.8f * sco_synthetic_even(own, 0), cross = 1.0f - far * far;
        const float shrink = cross > 0.01f ? sqrtf(cross) : 0.1f;
        const float size = (0.17f + 0.13f * sco_synthetic_even(own, 1)) * shrink;
        ellipses[e] = tilted(0.55f * width * sco_synthetic_even(own, 2), 0.55f * height * sco_synthetic_even(own, 3),
                             size, size * (1.0f + 0.6f * sco_synthetic_even(own, 4)), sco_synthetic_even(own, 5),
                             cross > 0.01f ? 0.3f * sco_synthetic_even(own, 6) : 0.0f);
    }
}

/* Magnitudes of a slice, the largest of them peak. */
static void draw(float *magnitude, size_t side, const struct ellipse ellipses[ELLIPSES], uint64_t sample, float peak)
{
    const float shade_x = 0.25f * sco_synthetic_even(sample, 0), shade_y = 0.25f * sco_synthetic_even(sample, 1);
    const uint64_t noise = sco_random_stream(sample, 1);
    float largest = 0.0f;
    for (size_t i = 0; i < side; i++)
        for (size_t j = 0; j < side; j++) {
            const float y = (2.0f * (float)i + 1.0f) / (float)side - 1.0f,
                        x = (2.0f * (float)j + 1.0f) / (float)side - 1.0f;
            float sum = 0.0f;
            for (size_t e = 0; e < ELLIPSES; e++) {
                const float u = x - ellipses[e].x0, v = y - ellipses[e].y0;
                const float p = ellipses[e].a * u + ellipses[e].b * v, q = ellipses[e].c * u + ellipses[e].d * v;
                sum += p * p + q * q < 1.0f ? ellipses[e].brightness : 0.0f;
            }
            sum = (sum < 0.0f ? 0.0f : sum) * (1.0f + shade_x * x + shade_y * y);
            sum = fabsf(sum + 0.02f * sco_synthetic_bell(noise, side * i + j));
            magnitude[side * i + j] = sum;
            largest = sum > largest ? sum : largest;
        }
    for (size_t k = 0; k < side * side; k++)
        magnitude[k] *= peak / largest;
}

/* Gives each pixel the phase whose half has a tangent that bends gently over the slice. */
static void turn(struct images *images, const float *magnitude, size_t side, uint64_t sample)
{
    const uint64_t bend = sco_random_stream(sample, 2);
    for (size_t i = 0; i < side; i++)
        for (size_t j = 0; j < side; j++) {
            const float y = 2.0f * (float)i / (float)side - 1.0f, x = 2.0f * (float)j / (float)side - 1.0f;
            const float t = 0.4f * (sco_synthetic_even(bend, 0) + sco_synthetic_even(bend, 1) * x +
                                    sco_synthetic_even(bend, 2) * y + sco_synthetic_even(bend, 3) * x * y);
            const float scale = magnitude[side * i + j] / (1.0f + t * t);
            images->re[side * i + j] = scale * (1.0f - t * t);
            images->im[side * i + j] = scale * 2.0f * t;
        }
}

/* Twice a running mean of a row, around its ends. */
static void blur(float *blurred, float *wrapped, const float *row, size_t side)
{
    for (size_t j = 0; j < side + 2 * REACH; j++)
        wrapped[j] = row[(j + side - REACH) % side];
    for (size_t j = 0; j < side; j++)
        blurred[j] = 0.0f;
    for (size_t k = 0; k <= 2 * REACH; k++) {
        const float weight = (float)(k <= REACH ? k + 1 : 2 * REACH + 1 - k) / (WINDOW * WINDOW);
        for (size_t j = 0; j < side; j++)
            blurred[j] += weight * wrapped[j + k];
    }
}

static void undersample(float *x, const struct images *images, size_t side, uint64_t start)
{
    /* Powers of i. */
    static const float phase_re[FOLDS] = {1, 0, -1, 0}, phase_im[FOLDS] = {0, 1, 0, -1};
    for (size_t i = 0; i < side; i++) {
        const float *re = images->re + side * i, *im = images->im + side * i;
        blur(images->blurred_re, images->wrapped, re, side);
        blur(images->blurred_im, images->wrapped, im, side);
        for (size_t j = 0; j < side; j++) {
            float sum_re = 0.75f * images->blurred_re[j], sum_im = 0.75f * images->blurred_im[j];
            for (size_t fold = 0; fold < FOLDS; fold++) {
                const size_t at = (j + fold * side / FOLDS) % side, turns = (fold * start) % FOLDS;
                sum_re += 0.25f * (phase_re[turns] * re[at] - phase_im[turns] * im[at]);
                sum_im += 0.25f * (phase_re[turns] * im[at] + phase_im[turns] * re[at]);
            }
            x[side * i + j] = sqrtf(sum_re * sum_re + sum_im * sum_im);
        }
    }
}

static float clipped(float x)
{
    return x < -6.0f ? -6.0f : x > 6.0f ? 6.0f : x;
}

static void normalise(float *x, float *target, size_t pixels, float *mean_out, float *deviation_out)
{
    double sum = 0.0, squares = 0.0;
    for (size_t k = 0; k < pixels; k++)
        sum += (double)x[k];
    const double mean = sum / (double)pixels;
    for (size_t k = 0; k < pixels; k++)
        squares += ((double)x[k] - mean) * ((double)x[k] - mean);
    const float m = (float)mean, s = (float)sqrt(squares / (double)pixels);
    for (size_t k = 0; k < pixels; k++) {
        x[k] = clipped((x[k] - m) / s);
        target[k] = clipped((target[k] - m) / s);
    }
    *mean_out = m;
    *deviation_out = s;
}

static enum sco_status fill(void *source, uint64_t position, void *slot, struct sco_skips *skips,
                            struct sco_batch *batch)
{
    const struct slices *slices = source;
    const struct sco_synthetic *made = &slices->made;
    struct images *images = slot;
    const size_t side = slices->side, pixels = side * side, count = sco_synthetic_count(made, position);
    (void)skips;
    for (size_t n = 0; n < count; n++) {
        const uint64_t index = sco_synthetic_index(made, position * made->batch + n);
        const uint64_t sample = sco_random_stream(made->content, index);
        const uint64_t volume = sco_random_stream(sco_random_stream(made->content, UINT32_MAX), index / DEPTH);
        const float z = (2.0f * (float)(index % DEPTH) + 1.0f) / DEPTH - 1.0f;
        /* Magnitudes of the range that scanners write. The middle slices hold the volume's brightest pixel. */
        const float most = 4e-4f + 2e-4f * sco_synthetic_even(volume, 3);
        const float peak = index % DEPTH == DEPTH / 2 ? most : most * (1.0f - 0.4f * z * z);
        struct ellipse ellipses[ELLIPSES];
        float *x = images->x + n * pixels, *target = images->target + n * pixels;
        cut(ellipses, volume, z);
        draw(target, side, ellipses, sample, peak);
        turn(images, target, side, sample);
        undersample(x, images, side, sco_random_below(sample, 2, FOLDS));
        normalise(x, target, pixels, &images->mean[n], &images->deviation[n]);
        images->volume_max[n] = most;
    }
    batch->samples = count;
    batch->slices = (struct sco_slices){.N = count,
                                        .H = side,
                                        .W = side,
                                        .x = images->x,
                                        .target = images->target,
                                        .mean = images->mean,
                                        .deviation = images->deviation,
                                        .volume_max = images->volume_max};
    return SCO_OK;
}

const struct sco_source_type sco_synthetic_slices = {
    .open = open_slices,
    .close = free,
    .slot_create = slot_create,
    .slot_destroy = slot_destroy,
    .seek = sco_synthetic_seek,
    .fetch = sco_synthetic_fetch,
    .fill = fill,
};

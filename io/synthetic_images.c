/* SPDX-License-Identifier: Apache-2.0
 * Images of 1000 classes: smooth fields of colour, noise on top. A class belongs to one of 16 groups of similar
 * colours, so that a model learns something within a few steps and more later; a field of the image's own stands for
 * what classes do not say. */
#include <stdlib.h>

#include "arch/fail.h"
#include "io/synthetic.h"
#include "stepcost/memory.h"

enum { CLASSES = 1000, GROUPS = 16, CHANNELS = 3, GRID = 5, KNOTS = GRID * GRID * CHANNELS };

struct images {
    struct sco_synthetic made;
    size_t side;
};

struct pixels {
    float *x;
    int32_t *label;
};

static enum sco_status open_images(void **source, const struct sco_dataset_options *options,
                                   struct sco_dataset_facts *facts)
{
    struct images *images = calloc(1, sizeof *images);
    if (images == NULL)
        return sco_fail(SCO_NOMEM, "no memory for made-up images");
    sco_synthetic_begin(&images->made, options, 16384, 1024, facts);
    images->side = facts->H = facts->W = options->side;
    facts->classes = CLASSES;
    *source = images;
    return SCO_OK;
}

static void slot_destroy(void *source, void *slot)
{
    struct pixels *pixels = slot;
    (void)source;
    if (pixels == NULL)
        return;
    sco_free(pixels->x);
    sco_free(pixels->label);
    free(pixels);
}

static enum sco_status slot_create(void *source, void **slot, size_t *bytes)
{
    const struct images *images = source;
    const size_t x_bytes = images->made.batch * images->side * images->side * CHANNELS * sizeof(float);
    struct pixels *pixels = calloc(1, sizeof *pixels);
    if (pixels != NULL) {
        pixels->x = sco_alloc(x_bytes);
        pixels->label = sco_alloc(images->made.batch * sizeof *pixels->label);
    }
    if (pixels == NULL || pixels->x == NULL || pixels->label == NULL) {
        slot_destroy(source, pixels);
        return sco_fail(SCO_NOMEM, "memory for %zu images was refused: %zu bytes", images->made.batch, x_bytes);
    }
    *slot = pixels;
    *bytes += x_bytes + images->made.batch * sizeof *pixels->label;
    return SCO_OK;
}

/* Which knots a pixel lies between, and how far it is from the first. */
static float place(size_t at, size_t side, size_t *knot)
{
    const float t = ((float)at + 0.5f) * (float)(GRID - 1) / (float)side;
    *knot = (size_t)t;
    return t - (float)*knot;
}

static void paint(float *x, size_t side, const float knots[KNOTS], uint64_t noise)
{
    static const float mean[CHANNELS] = {123.675f, 116.28f, 103.53f}, deviation[CHANNELS] = {58.395f, 57.12f, 57.375f};
    uint64_t n = 0;
    for (size_t i = 0; i < side; i++) {
        float row[GRID * CHANNELS];
        size_t knot;
        const float t = place(i, side, &knot);
        const float *above = knots + knot * GRID * CHANNELS, *below = above + GRID * CHANNELS;
        for (size_t k = 0; k < GRID * CHANNELS; k++)
            row[k] = above[k] + t * (below[k] - above[k]);
        for (size_t j = 0; j < side; j++) {
            const float u = place(j, side, &knot);
            for (size_t c = 0; c < CHANNELS; c++) {
                const float left = row[knot * CHANNELS + c], right = row[(knot + 1) * CHANNELS + c];
                float value = 115.0f + 64.0f * (left + u * (right - left)) + 12.0f * sco_synthetic_bell(noise, n++);
                value = value < 0.0f ? 0.0f : value > 255.0f ? 255.0f : value;
                *x++ = (value - mean[c]) / deviation[c];
            }
        }
    }
}

static enum sco_status fill(void *source, uint64_t position, void *slot, struct sco_skips *skips,
                            struct sco_batch *batch)
{
    const struct images *images = source;
    const struct sco_synthetic *made = &images->made;
    const struct pixels *pixels = slot;
    const size_t side = images->side, count = sco_synthetic_count(made, position);
    (void)skips;
    for (size_t n = 0; n < count; n++) {
        const uint64_t sample = sco_synthetic_sample(made, position * made->batch + n);
        const uint64_t label = sco_random_below(sample, 0, CLASSES);
        const uint64_t group = sco_random_stream(made->world, CLASSES + label % GROUPS),
                       class = sco_random_stream(made->world, label), own = sco_random_stream(sample, 1);
        float knots[KNOTS];
        for (size_t k = 0; k < KNOTS; k++)
            knots[k] = 0.7f * sco_synthetic_even(group, k) + 0.6f * sco_synthetic_even(class, k) +
                       0.4f * sco_synthetic_even(own, k);
        pixels->label[n] = (int32_t)label;
        paint(pixels->x + n * side * side * CHANNELS, side, knots, sco_random_stream(sample, 2));
    }
    batch->samples = count;
    batch->images = (struct sco_images){.N = count, .H = side, .W = side, .x = pixels->x, .label = pixels->label};
    return SCO_OK;
}

const struct sco_source_type sco_synthetic_images = {
    .open = open_images,
    .close = free,
    .slot_create = slot_create,
    .slot_destroy = slot_destroy,
    .seek = sco_synthetic_seek,
    .fetch = sco_synthetic_fetch,
    .fill = fill,
};

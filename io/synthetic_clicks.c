/* SPDX-License-Identifier: Apache-2.0
 * Clicks: counts and categories spread over powers of two, so that few values make up most rows, with the numbers of
 * categories of Criteo's columns. A row is a click where a weighing of its values is above a threshold that 3.5 % of
 * rows pass. */
#include <math.h>
#include <stdlib.h>

#include "arch/fail.h"
#include "io/synthetic.h"
#include "stepcost/memory.h"

/* Buckets of each column, before they are reduced to rows of the table. */
static const uint32_t buckets[SCO_CLICK_CATEGORIES] = {
    39884406, 39043, 17289, 7420, 20263, 3,  7120,     1543,     63,       38532951, 2953546, 403346, 10,
    2208,     11938, 155,   4,    976,   14, 39979771, 25641295, 39664984, 585935,   12972,   108,    36};

/* Largest power of two of each count. */
static const uint8_t magnitude[SCO_CLICK_DENSE] = {4, 10, 8, 4, 14, 8, 6, 5, 9, 2, 5, 7, 5};

static const double share_of_clicks = 0.035;
enum { PROBES = 16384 };

struct clicks {
    struct sco_synthetic made;
    uint64_t scatter[SCO_CLICK_CATEGORIES], weight[SCO_CLICK_CATEGORIES];
    float dense_weight[SCO_CLICK_DENSE];
    float threshold;
    size_t table_rows;
};

struct rows {
    float *dense, *label;
    int32_t *index;
    void *memory;
};

/* 1 .. 2^(most + 1) - 1, each power of two as likely as the next: near 1 / x. */
static uint64_t skewed(uint64_t sequence, uint64_t index, unsigned most)
{
    const uint64_t bits = sco_splitmix64(sequence, index);
    const uint64_t power = (uint64_t)1 << ((bits >> 48) * (most + 1) >> 16);
    return power + (bits & (power - 1));
}

/* Fills one row but for its label, whose score it returns. */
static float make(const struct clicks *clicks, uint64_t sample, float *dense, int32_t *index)
{
    float score = 0.6f * sco_synthetic_bell(sample, 0);
    for (uint64_t c = 0; c < SCO_CLICK_DENSE; c++) {
        const uint64_t count = skewed(sample, 1 + c, magnitude[c]) - 1;
        dense[c] = (float)log((double)count + 1.0);
        score += clicks->dense_weight[c] * dense[c];
    }
    for (uint64_t c = 0; c < SCO_CLICK_CATEGORIES; c++) {
        const unsigned most = 31 - (unsigned)__builtin_clz(buckets[c]);
        const uint64_t category = skewed(sample, 1 + SCO_CLICK_DENSE + c, most);
        const uint64_t bucket = sco_random_below(clicks->scatter[c], category, buckets[c]);
        score += sco_synthetic_even(clicks->weight[c], bucket);
        /* The reference implementation keeps buckets as floats, which rounds those above 2^24. */
        index[c] = (int32_t)((uint64_t)(float)bucket % clicks->table_rows);
    }
    return score;
}

static enum sco_status choose_threshold(struct clicks *clicks)
{
    float *scores = calloc(PROBES, sizeof *scores), dense[SCO_CLICK_DENSE];
    int32_t index[SCO_CLICK_CATEGORIES];
    if (scores == NULL)
        return sco_fail(SCO_NOMEM, "no memory for made-up clicks");
    const uint64_t probes = sco_random_stream(clicks->made.world, 3);
    for (uint64_t i = 0; i < PROBES; i++)
        scores[i] = make(clicks, sco_random_stream(probes, i), dense, index);
    clicks->threshold = sco_synthetic_threshold(scores, PROBES, share_of_clicks);
    free(scores);
    return SCO_OK;
}

static enum sco_status open_clicks(void **source, const struct sco_dataset_options *options,
                                   struct sco_dataset_facts *facts)
{
    struct clicks *clicks = calloc(1, sizeof *clicks);
    if (clicks == NULL)
        return sco_fail(SCO_NOMEM, "no memory for made-up clicks");
    sco_synthetic_begin(&clicks->made, options, 4194304, 262144, facts);
    clicks->table_rows = options->table_rows;
    const uint64_t world = clicks->made.world;
    for (uint64_t c = 0; c < SCO_CLICK_CATEGORIES; c++) {
        clicks->scatter[c] = sco_random_stream(world, 100 + c);
        clicks->weight[c] = sco_random_stream(world, 200 + c);
    }
    for (uint64_t c = 0; c < SCO_CLICK_DENSE; c++)
        clicks->dense_weight[c] = 0.3f * sco_synthetic_even(sco_random_stream(world, 4), c);
    const enum sco_status status = choose_threshold(clicks);
    if (status != SCO_OK) {
        free(clicks);
        return status;
    }
    *source = clicks;
    return SCO_OK;
}

static void slot_destroy(void *source, void *slot)
{
    struct rows *rows = slot;
    (void)source;
    if (rows == NULL)
        return;
    sco_free(rows->memory);
    free(rows);
}

static enum sco_status slot_create(void *source, void **slot, size_t *bytes)
{
    const struct clicks *clicks = source;
    const size_t batch = clicks->made.batch,
                 size = batch * (SCO_CLICK_DENSE + 1 + SCO_CLICK_CATEGORIES) * sizeof(float);
    struct rows *rows = calloc(1, sizeof *rows);
    if (rows != NULL)
        rows->memory = sco_alloc(size);
    if (rows == NULL || rows->memory == NULL) {
        slot_destroy(source, rows);
        return sco_fail(SCO_NOMEM, "memory for %zu rows was refused: %zu bytes", batch, size);
    }
    rows->dense = rows->memory;
    rows->label = rows->dense + batch * SCO_CLICK_DENSE;
    rows->index = (int32_t *)(void *)(rows->label + batch);
    *slot = rows;
    *bytes += size;
    return SCO_OK;
}

static enum sco_status fill(void *source, uint64_t position, void *slot, struct sco_skips *skips,
                            struct sco_batch *batch)
{
    const struct clicks *clicks = source;
    const struct sco_synthetic *made = &clicks->made;
    const struct rows *rows = slot;
    const size_t count = sco_synthetic_count(made, position);
    (void)skips;
    for (size_t i = 0; i < count; i++) {
        const float score = make(clicks, sco_synthetic_sample(made, position * made->batch + i),
                                 rows->dense + SCO_CLICK_DENSE * i, rows->index + SCO_CLICK_CATEGORIES * i);
        rows->label[i] = score > clicks->threshold;
    }
    batch->samples = count;
    batch->clicks =
        (struct sco_clicks){.rows = count, .dense = rows->dense, .index = rows->index, .label = rows->label};
    return SCO_OK;
}

const struct sco_source_type sco_synthetic_clicks = {
    .open = open_clicks,
    .close = free,
    .slot_create = slot_create,
    .slot_destroy = slot_destroy,
    .seek = sco_synthetic_seek,
    .fetch = sco_synthetic_fetch,
    .fill = fill,
};

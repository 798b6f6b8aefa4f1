/* SPDX-License-Identifier: Apache-2.0 */
#include "io/synthetic.h"

#include <stdlib.h>

/* Streams of the world from here on are contents of splits; sources take those below. */
enum { FIRST_SPLIT = 1 << 16 };

void sco_synthetic_begin(struct sco_synthetic *s, const struct sco_dataset_options *options, uint64_t train,
                         uint64_t other, struct sco_dataset_facts *facts)
{
    const bool trains = options->split == SCO_TRAIN || options->split == SCO_TRAIN_SUBSET;
    s->batch = options->batch;
    s->endless = options->split == SCO_TRAIN;
    s->samples = options->samples != 0 ? options->samples : s->endless ? train : other;
    s->seed = options->seed;
    s->world = sco_random_stream(options->seed, 1 + (uint64_t)options->workload);
    s->content = sco_random_stream(s->world, FIRST_SPLIT + (trains ? SCO_TRAIN : (uint64_t)options->split));
    facts->samples = s->samples;
    facts->max_samples = options->batch;
}

uint64_t sco_synthetic_index(const struct sco_synthetic *s, uint64_t i)
{
    return s->endless ? sco_shuffled(s->samples, s->seed, i / s->samples, i % s->samples) : i;
}

uint64_t sco_synthetic_sample(const struct sco_synthetic *s, uint64_t i)
{
    return sco_random_stream(s->content, sco_synthetic_index(s, i));
}

size_t sco_synthetic_count(const struct sco_synthetic *s, uint64_t position)
{
    if (s->endless)
        return s->batch;
    if (position > (s->samples - 1) / s->batch)
        return 0;
    const uint64_t left = s->samples - position * s->batch;
    return left < s->batch ? (size_t)left : s->batch;
}

enum sco_status sco_synthetic_seek(void *source, uint64_t position)
{
    (void)source;
    (void)position;
    return SCO_OK;
}

enum sco_status sco_synthetic_fetch(void *source, uint64_t position, void *slot, struct sco_skips *skips, bool *end)
{
    (void)slot;
    (void)skips;
    *end = sco_synthetic_count(source, position) == 0;
    return SCO_OK;
}

static int compare(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

float sco_synthetic_threshold(float *scores, size_t count, double share)
{
    qsort(scores, count, sizeof *scores, compare);
    const size_t above = (size_t)(share * (double)count);
    return scores[count - 1 - above];
}

/* SPDX-License-Identifier: Apache-2.0
 * What the sources of made-up data share. A sample is a function of seed, split and index: no state, no tables of
 * samples, and, but for the logarithm of clicks, no library function whose last bit another machine could round
 * otherwise. */
#ifndef SCO_IO_SYNTHETIC_H
#define SCO_IO_SYNTHETIC_H

#include "arch/random.h"
#include "io/source.h"

struct sco_synthetic {
    size_t batch;
    uint64_t samples, seed;
    uint64_t world;   /* what all splits share, such as how a class looks; sources use its streams below 2^16 */
    uint64_t content; /* what samples of a split are made of; the subset of training is training */
    bool endless;     /* SCO_TRAIN: epochs follow each other, shuffled */
};

/* train and other: samples of the training data, and of any evaluation, where options do not say. */
void sco_synthetic_begin(struct sco_synthetic *s, const struct sco_dataset_options *options, uint64_t train,
                         uint64_t other, struct sco_dataset_facts *facts);

/* The sample at place i of the stream, and the sequence of random numbers that it is made from. */
uint64_t sco_synthetic_index(const struct sco_synthetic *s, uint64_t i);
uint64_t sco_synthetic_sample(const struct sco_synthetic *s, uint64_t i);

/* Samples of the batch at position: batch, fewer at the end of an evaluation, 0 after it. */
size_t sco_synthetic_count(const struct sco_synthetic *s, uint64_t position);

/* Calls of a source type that have nothing to do: fetch for sources that begin with struct sco_synthetic. */
enum sco_status sco_synthetic_seek(void *source, uint64_t position);
enum sco_status sco_synthetic_fetch(void *source, uint64_t position, void *slot, struct sco_skips *skips, bool *end);

/* Uniform in [-1, 1). */
static inline float sco_synthetic_even(uint64_t sequence, uint64_t index)
{
    return (float)(2.0 * sco_random_uniform(sequence, index) - 1.0);
}

/* Bell-shaped with mean 0 and variance 1: the sum of four uniform numbers of 16 bits. */
static inline float sco_synthetic_bell(uint64_t sequence, uint64_t index)
{
    const uint64_t bits = sco_splitmix64(sequence, index);
    const int sum = (int)((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
    return (float)(sum - 2 * 0xffff) * (1.7320508f / 0x1p16f);
}

/* The number that a share of the scores is above, so that labels are as frequent as wanted. Sorts scores. */
float sco_synthetic_threshold(float *scores, size_t count, double share);

#endif

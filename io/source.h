/* SPDX-License-Identifier: Apache-2.0
 * What dataset.c knows of a data format: batches are fetched in order by one thread at a time, then filled by any worker. */
#ifndef SCO_IO_SOURCE_H
#define SCO_IO_SOURCE_H

#include <stdbool.h>

#include "stepcost/dataset.h"

/* Samples left out of one batch under SCO_BAD_SKIP; dataset.c adds them up when the batch is handed out, so that what is
 * reported does not depend on how far the workers are ahead. */
struct sco_skips {
    uint64_t count;
    char last[512];
};

/* Counts the sample that the last sco_fail() of this thread named. */
void sco_skips_note(struct sco_skips *skips);

/* A format. Sources and slots are the format's own types. Every call reports errors by sco_fail(), with file and position. */
struct sco_source_type {
    /* options have been checked and hold defaults. Fills facts but for synthetic; memory_bytes with what open holds. */
    enum sco_status (*open)(void **source, const struct sco_dataset_options *options, struct sco_dataset_facts *facts);
    void (*close)(void *source); /* NULL is a no-op */

    /* Memory of one batch under preparation: arrays, raw bytes, scratch; adds what it took to *bytes. A slot is in the hands
     * of one thread at a time. */
    enum sco_status (*slot_create)(void *source, void **slot, size_t *bytes);
    void (*slot_destroy)(void *source, void *slot); /* NULL is a no-op */

    /* The next fetch will be of this position. */
    enum sco_status (*seek)(void *source, uint64_t position);

    /* What must happen in order: which samples, raw bytes of a stream. position is the one after the last fetch or that of
     * the last seek; after an error the same one is asked for again. *end: the stream has ended before position. */
    enum sco_status (*fetch)(void *source, uint64_t position, void *slot, struct sco_skips *skips, bool *end);

    /* The rest: decoding, parsing, augmenting. Several at once, on different slots: source is read only, or locked.
     * Fills everything of batch but workload and position. */
    enum sco_status (*fill)(void *source, uint64_t position, void *slot, struct sco_skips *skips,
                            struct sco_batch *batch);

    enum sco_status (*verify)(const char *path, sco_finding_fn *found, void *argument,
                              struct sco_verify_result *result); /* NULL: nothing to verify */
};

/* What a workload's data may be: made up, or a format. */
extern const struct sco_source_type sco_synthetic_images, sco_synthetic_molecules, sco_synthetic_clicks,
    sco_synthetic_slices;
extern const struct sco_source_type sco_ilsvrc_source; /* folders of JPEG files, or tar files of them */
extern const struct sco_source_type sco_ogb_source;
extern const struct sco_source_type sco_criteo_source;
extern const struct sco_source_type sco_fastmri_source;

/* Place of sample i of an epoch of n in a pseudo-random order: a bijection of 0 .. n - 1 that depends on seed and epoch alone,
 * computed without a table. */
uint64_t sco_shuffled(uint64_t n, uint64_t seed, uint64_t epoch, uint64_t i);

#endif

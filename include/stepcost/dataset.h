/* SPDX-License-Identifier: Apache-2.0
 * Training and evaluation data of the four workloads, from their own file formats or made up. */
#ifndef STEPCOST_DATASET_H
#define STEPCOST_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

enum sco_workload {
    SCO_RESNET50, /* ResNet-50 on ImageNet (ILSVRC 2012) */
    SCO_OGBG,     /* graph network on OGBG-molpcba */
    SCO_DLRM,     /* DLRM-small on Criteo 1TB */
    SCO_UNET,     /* U-Net on fastMRI, single-coil knee */
    SCO_WORKLOADS
};

/* "resnet50", "ogbg", "dlrm", "unet"; static. */
SCO_API const char *sco_workload_name(enum sco_workload workload);
/* Errors    SCO_INVALID: no such name; the message lists all. */
SCO_API enum sco_status sco_workload_parse(const char *name, enum sco_workload *workload);

/* ---- A batch ----------------------------------------------------------------------------------------------------- */

/* Images, normalised per channel. */
struct sco_images {
    size_t N, H, W;       /* always as many as asked for, except the last ones of an evaluation */
    const float *x;       /* [N][H][W][3] */
    const int32_t *label; /* [N], a class */
};

/* Molecules as one graph: those of molecule g follow those of g - 1. Indices count nodes of the batch. */
struct sco_molecules {
    size_t nodes, edges, graphs, tasks;
    const float *node;        /* [nodes][9] */
    const float *edge;        /* [edges][3] */
    const int32_t *senders;   /* [edges] */
    const int32_t *receivers; /* [edges] */
    const int32_t *n_node;    /* [graphs] */
    const int32_t *n_edge;    /* [graphs] */
    const float *label;       /* [graphs][tasks]: 0, 1, or NaN where missing */
};

enum { SCO_CLICK_DENSE = 13, SCO_CLICK_CATEGORIES = 26 };
/* Rows of a click log. */
struct sco_clicks {
    size_t rows;
    const float *dense;   /* [rows][13]: log(max(x, 0) + 1) */
    const int32_t *index; /* [rows][26]: row of the shared table */
    const float *label;   /* [rows]: 0 or 1 */
};

/* Slices of volumes, both normalised by mean and standard deviation of the zero-filled reconstruction. */
struct sco_slices {
    size_t N, H, W;
    const float *x, *target;                    /* [N][H][W] */
    const float *mean, *deviation, *volume_max; /* [N] */
};

struct sco_batch {
    enum sco_workload workload;
    uint64_t position; /* of the batch in its stream, from 0 */
    size_t samples;    /* images, molecules, rows or slices */
    union {
        struct sco_images images;
        struct sco_molecules molecules;
        struct sco_clicks clicks;
        struct sco_slices slices;
    };
};

/* ---- A stream of batches ----------------------------------------------------------------------------------------- */

enum sco_split {
    SCO_TRAIN,        /* without end, each epoch in an order of its own, augmented */
    SCO_TRAIN_SUBSET, /* the first samples of the training data as evaluation sees them: once, unshuffled, not augmented */
    SCO_VALIDATION, /* once, unshuffled */
    SCO_TEST
};

enum sco_bad_sample {
    SCO_BAD_STOP, /* refuse the batch, naming file and position. The default */
    SCO_BAD_SKIP  /* the next good sample of the order takes its place; counted and reported */
};

/* Zeros are defaults. */
struct sco_dataset_options {
    enum sco_workload workload;
    const char *path; /* folder, or file where the format has one; "synthetic": made up, nothing is read */
    enum sco_split split;
    size_t batch;      /* images, rows, slices; molecules of average size. Required */
    size_t samples;    /* most samples that the stream knows of (0: all): the size of a subset, or of made-up data */
    uint64_t seed;     /* order, augmentation and masks; 0 is a seed like any other */
    size_t side;       /* pixels of an image (224), or of a slice (0: the file's own, 320 in fastMRI; synthetic 320) */
    size_t table_rows; /* of the embedding table that indices are reduced to (4,194,304) */
    enum sco_bad_sample bad_sample;
    size_t workers; /* threads that prepare batches ahead, unbound (0: 1) */
    size_t ahead;   /* batches prepared ahead (0: 2) */
};

struct sco_dataset;

/* What a stream promises, known after open. */
struct sco_dataset_facts {
    uint64_t samples;                     /* in the split; 0: unknown before it was read once (click logs) */
    size_t max_samples;                   /* of a batch: options.batch, but for molecules */
    size_t max_nodes, max_edges, classes; /* molecules: bounds of a batch, tasks in classes; images: classes */
    size_t H, W;                          /* images and slices */
    int synthetic;
    size_t memory_bytes; /* held for batches and indices */
};

/* Opens a stream at batch 0: reads indices and headers, starts the workers.
 *
 * Layout    docs/data.md has the folders and files of every workload.
 * Numerics  the bits of a batch depend on data, options.seed, split, batch, side, table_rows and position; never on workers,
 *           ahead, or what was read before.
 * Threads   next, seek and close from one thread.
 * Memory    facts.memory_bytes, and what libraries hold of open files.
 * Errors    SCO_IO, SCO_FORMAT: names file and position; SCO_INVALID: options; SCO_UNSUPPORTED: built without the
 *           library that the format needs; SCO_NOMEM. */
SCO_API enum sco_status sco_dataset_open(struct sco_dataset **dataset, const struct sco_dataset_options *options);
SCO_API void sco_dataset_close(struct sco_dataset *dataset); /* NULL is a no-op */
SCO_API const struct sco_dataset_facts *sco_dataset_get_facts(const struct sco_dataset *dataset);

/* The next batch; its arrays are valid until the following call. *batch is NULL, with SCO_OK, past the end of an evaluation.
 *
 * Errors    SCO_IO, SCO_FORMAT: under SCO_BAD_STOP a sample that cannot be used, by file and position (record, line, row,
 *           byte, whatever the format has); under SCO_BAD_SKIP only where no good sample is left. The stream stays where it is:
 *           the call may be repeated. */
SCO_API enum sco_status sco_dataset_next(struct sco_dataset *dataset, const struct sco_batch **batch);

/* The next batch will be the one of this position.
 * Cost      none for most; click logs are read up to it, molecules are packed up to it. */
SCO_API enum sco_status sco_dataset_seek(struct sco_dataset *dataset, uint64_t position);

/* Samples left out so far under SCO_BAD_SKIP, and the last of them, by file and position ("": none). */
SCO_API uint64_t sco_dataset_skipped(const struct sco_dataset *dataset);
SCO_API const char *sco_dataset_last_skipped(const struct sco_dataset *dataset);

/* ---- Verification ------------------------------------------------------------------------------------------------ */

/* Called for every finding, in the order of the files: what is wrong, where (file, position), how to mend it. */
typedef void sco_finding_fn(void *argument, enum sco_status status, const char *text);

struct sco_verify_result {
    uint64_t files, samples, findings;
};

/* Reads everything under path that the workload would read, and reports each fault instead of stopping at the first.
 *
 * Errors    SCO_IO: path cannot be read at all; SCO_UNSUPPORTED, SCO_NOMEM. Findings are no error. */
SCO_API enum sco_status sco_dataset_verify(enum sco_workload workload, const char *path, sco_finding_fn *found,
                                           void *argument, struct sco_verify_result *result);

SCO_END_DECLS
#endif

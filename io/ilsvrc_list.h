/* SPDX-License-Identifier: Apache-2.0
 * Which images an ImageNet split has, where they lie, and their classes. */
#ifndef SCO_IO_ILSVRC_LIST_H
#define SCO_IO_ILSVRC_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stepcost/dataset.h"

/* Under a dataset's folder lie
 *   train/SYNSET/NAME.JPEG      or ILSVRC2012_img_train.tar, which holds SYNSET.tar, each with NAME.JPEG;
 *   val/SYNSET/NAME.JPEG        or ILSVRC2012_img_val.tar of NAME.JPEG, beside it ILSVRC2012_val_labels.txt: a line for
 *                               each image in the order of names, its synset or its class;
 *   test/SYNSET/NAME.JPEG       or, as in ImageNet-v2, test/CLASS/NAME.jpeg.
 * Instead of the folder, a tar file names itself for the split that it holds; everything else lies beside it.
 * Extensions are .JPEG or .JPG in any case; other files are passed over.
 *
 * A class is the rank of its synset, in the order of bytes, among those of train and of the folder val: a part of
 * ImageNet whose splits differ keeps one numbering, and the whole has that of train. Verification reports what train
 * lacks.
 *
 * Order: train and test take the first image of every class, then the second, so that any number of first ones has all
 * classes alike; val is in the order of file names. Both are the same for folders and tar files. */
struct sco_ilsvrc_image {
    uint64_t offset; /* in the tar file */
    size_t name;     /* in text */
    uint32_t group, rank, size;
    int32_t label;
};

/* A folder of a class, or a tar within the tar; one without a name where the tar is flat. */
struct sco_ilsvrc_group {
    uint64_t offset, size;
    size_t name, count;
    int32_t label;
};

struct sco_ilsvrc_list {
    char *path; /* of the split's folder, or of the tar file */
    int fd;     /* of the tar file, -1 for folders */
    char *text; /* names */
    size_t text_used, text_room;
    struct sco_ilsvrc_group *groups;
    size_t group_count, group_room;
    struct sco_ilsvrc_image *images;
    size_t count, room;
    size_t classes;
};

/* Receives findings, where listing shall go on. */
struct sco_ilsvrc_report {
    sco_finding_fn *found;
    void *argument;
    uint64_t findings;
};

/* Hands the last sco_fail() to report and returns SCO_OK; without report, or where memory ran out, returns status. */
enum sco_status sco_ilsvrc_found(struct sco_ilsvrc_report *report, enum sco_status status);

/* Lists a split. With report, what can be passed over is reported instead (and so are empty classes).
 * Errors    SCO_IO, SCO_FORMAT, SCO_NOMEM; SCO_UNSUPPORTED: a tar file without libarchive. */
enum sco_status sco_ilsvrc_list_open(struct sco_ilsvrc_list *list, const char *path, enum sco_split split,
                                     struct sco_ilsvrc_report *report);
void sco_ilsvrc_list_close(struct sco_ilsvrc_list *list); /* of zeros with fd -1: a no-op */

/* Whether path has anything of a split. Errors SCO_IO. */
enum sco_status sco_ilsvrc_has(const char *path, enum sco_split split, bool *here);

size_t sco_ilsvrc_list_bytes(const struct sco_ilsvrc_list *list);

/* Where an image is, for messages and for opening: PATH/GROUP/NAME; of a tar file PATH: GROUP.tar: NAME. */
void sco_ilsvrc_list_where(const struct sco_ilsvrc_list *list, const struct sco_ilsvrc_image *image, char *text,
                           size_t bytes);

#endif

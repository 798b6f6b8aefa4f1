/* SPDX-License-Identifier: Apache-2.0
 * ImageNet: JPEG files to normalised batches. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/fail.h"
#include "arch/random.h"
#include "io/ilsvrc_list.h"
#include "io/image_jpeg.h"
#include "io/image_resize.h"
#include "io/source.h"
#include "stepcost/memory.h"

enum {
    FILE_BYTES = 1 << 28,
    WHERE_BYTES = PATH_MAX + 256,
    CROP_STREAM = 0x1a6e, /* of the seed, then one an epoch, then one an image: numbers 0 .. 39 crop, 40 mirrors */
};

struct ilsvrc {
    struct sco_ilsvrc_list list;
    size_t count; /* images in use */
    size_t batch, side;
    uint64_t seed;
    bool train, skip;
};

/* Bytes of one file, and their decoder. */
struct reader {
    unsigned char *bytes;
    size_t room;
    struct sco_jpeg *jpeg;
};

struct slot {
    struct reader reader;
    float *column; /* a row of the crop, resized vertically */
    struct sco_tap *down, *across;
    float *x;
    int32_t *label;
};

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static enum sco_status read_part(int fd, uint64_t offset, size_t size, struct reader *reader)
{
    if (size > FILE_BYTES)
        return sco_fail(SCO_FORMAT, "byte 0: %zu bytes, more than the limit of %d", size, FILE_BYTES);
    if (size > reader->room) {
        sco_free(reader->bytes);
        reader->room = 0;
        reader->bytes = sco_alloc(size + size / 4);
        if (reader->bytes == NULL)
            return sco_fail(SCO_NOMEM, "no memory for its %zu bytes", size);
        reader->room = size + size / 4;
    }
    for (size_t done = 0; done < size;) {
        const ssize_t n = pread(fd, reader->bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sco_fail(SCO_IO, "byte %zu: cannot be read: %s", done, strerror(errno));
        if (n == 0)
            return sco_fail(SCO_IO, "byte %zu: ends before its %zu bytes; did it change meanwhile?", done, size);
        done += (size_t)n;
    }
    return SCO_OK;
}

/* Reads the file at path, or its part of the tar file. */
static enum sco_status read_image(const struct sco_ilsvrc_list *list, const struct sco_ilsvrc_image *image,
                                  const char *path, struct reader *reader, size_t *size)
{
    if (list->fd >= 0) {
        *size = image->size;
        return read_part(list->fd, image->offset, *size, reader);
    }
    enum sco_status status;
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return sco_fail(SCO_IO, "cannot be opened: %s", strerror(errno));
    if (fstat(fd, &info) != 0) {
        status = sco_fail(SCO_IO, "cannot be examined: %s", strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        status = sco_fail(SCO_IO, "not a regular file");
    } else {
        *size = (size_t)info.st_size;
        status = read_part(fd, 0, *size, reader);
    }
    close(fd);
    return status;
}

static enum sco_status reader_create(struct reader *reader, size_t *bytes)
{
    enum { ROOM = 1 << 18 }; /* most files; larger ones make it grow */
    reader->bytes = sco_alloc(ROOM);
    if (reader->bytes == NULL)
        return sco_fail(SCO_NOMEM, "no memory for %d bytes of an image file", ROOM);
    reader->room = ROOM;
    *bytes += ROOM;
    return sco_jpeg_create(&reader->jpeg, bytes);
}

static void reader_destroy(struct reader *reader)
{
    sco_free(reader->bytes);
    sco_jpeg_destroy(reader->jpeg);
}

/* ---- One image --------------------------------------------------------------------------------------------------- */

/* Decodes the rows that the next one of the result needs, and no further: four of them are all that is held. */
static enum sco_status resize(struct slot *slot, const struct sco_crop *crop, size_t side, bool mirror, float *out)
{
    struct sco_jpeg *jpeg = slot->reader.jpeg;
    const unsigned char *ring[4] = {NULL};
    const size_t columns = (3 * crop->W + SCO_RESIZE_BLOCK - 1) / SCO_RESIZE_BLOCK * SCO_RESIZE_BLOCK;
    size_t rows = 0;
    sco_resize_taps(crop->H, side, slot->down);
    sco_resize_taps(crop->W, side, slot->across);
    for (size_t y = 0; y < side; y++) {
        const struct sco_tap *tap = &slot->down[y];
        for (; rows <= tap->index[3]; rows++) {
            const enum sco_status status = sco_jpeg_row(jpeg, &ring[rows % 4]);
            if (status != SCO_OK)
                return status;
        }
        const unsigned char *const row[4] = {ring[tap->index[0] % 4], ring[tap->index[1] % 4], ring[tap->index[2] % 4],
                                             ring[tap->index[3] % 4]};
        sco_resize_column(row, tap->weight, columns, slot->column);
        sco_resize_row(slot->column, slot->across, side, mirror, out + 3 * side * y);
    }
    return sco_jpeg_finish(jpeg);
}

/* The image of a place of the stream, into out; failures name its file. */
static enum sco_status load(const struct ilsvrc *s, struct slot *slot, uint64_t place, float *out, int32_t *label)
{
    const uint64_t epoch = place / s->count;
    const uint64_t index = s->train ? sco_shuffled(s->count, s->seed, epoch, place % s->count) : place % s->count;
    const struct sco_ilsvrc_image *image = &s->list.images[index];
    const uint64_t seed = sco_random_stream(sco_random_stream(sco_random_stream(s->seed, CROP_STREAM), epoch), index);
    char where[WHERE_BYTES];
    size_t size, H, W;
    sco_ilsvrc_list_where(&s->list, image, where, sizeof where);
    enum sco_status status = read_image(&s->list, image, where, &slot->reader, &size);
    if (status == SCO_OK)
        status = sco_jpeg_start(slot->reader.jpeg, slot->reader.bytes, size, &H, &W);
    if (status == SCO_OK) {
        const struct sco_crop crop = s->train ? sco_crop_random(seed, H, W, s->side) : sco_crop_centre(H, W, s->side);
        const bool mirror = s->train && sco_random_uniform(seed, SCO_CROP_NUMBERS) < 0.5;
        status = sco_jpeg_crop(slot->reader.jpeg, &crop);
        if (status == SCO_OK)
            status = resize(slot, &crop, s->side, mirror, out);
    }
    *label = image->label;
    return status == SCO_OK ? SCO_OK : sco_fail_context(status, "%s", where);
}

/* ---- The source -------------------------------------------------------------------------------------------------- */

static void ilsvrc_close(void *source)
{
    struct ilsvrc *s = source;
    if (s == NULL)
        return;
    sco_ilsvrc_list_close(&s->list);
    free(s);
}

static enum sco_status ilsvrc_open(void **source, const struct sco_dataset_options *options,
                                   struct sco_dataset_facts *facts)
{
    struct ilsvrc *s = malloc(sizeof *s);
    if (s == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory to open it", options->path);
    *s = (struct ilsvrc){.batch = options->batch,
                         .side = options->side,
                         .seed = options->seed,
                         .train = options->split == SCO_TRAIN,
                         .skip = options->bad_sample == SCO_BAD_SKIP};
    enum sco_status status =
        s->side == 0 || s->side > SCO_JPEG_SIDE
            ? sco_fail(SCO_INVALID, "side of an image: %zu, expected 1 to %d", s->side, SCO_JPEG_SIDE)
            : SCO_OK;
    s->list.fd = -1;
    if (status == SCO_OK)
        status = sco_ilsvrc_list_open(&s->list, options->path, options->split, NULL);
    if (status != SCO_OK) {
        ilsvrc_close(s);
        return status;
    }
    s->count = options->samples > 0 && options->samples < s->list.count ? options->samples : s->list.count;
    facts->samples = s->count;
    facts->max_samples = s->batch;
    facts->classes = s->list.classes;
    facts->H = facts->W = s->side;
    facts->memory_bytes += sizeof *s + sco_ilsvrc_list_bytes(&s->list);
    *source = s;
    return SCO_OK;
}

static void slot_destroy(void *source, void *slot)
{
    (void)source;
    struct slot *t = slot;
    if (t == NULL)
        return;
    reader_destroy(&t->reader);
    sco_free(t->column);
    sco_free(t->down);
    sco_free(t->across);
    sco_free(t->x);
    sco_free(t->label);
    free(t);
}

static enum sco_status slot_create(void *source, void **slot, size_t *bytes)
{
    const struct ilsvrc *s = source;
    const size_t column = ((size_t)3 * SCO_JPEG_SIDE + 2 * SCO_RESIZE_BLOCK) * sizeof(float);
    const size_t taps = s->side * sizeof(struct sco_tap), labels = s->batch * sizeof(int32_t);
    size_t x;
    if (__builtin_mul_overflow(s->batch, 3 * s->side * s->side * sizeof(float), &x))
        return sco_fail(SCO_NOMEM, "a batch of %zu images of %zu x %zu pixels does not fit", s->batch, s->side,
                        s->side);
    struct slot *t = calloc(1, sizeof *t);
    if (t == NULL)
        return sco_fail(SCO_NOMEM, "no memory to prepare a batch");
    enum sco_status status = reader_create(&t->reader, bytes);
    t->column = sco_alloc_zero(column);
    t->down = sco_alloc(taps);
    t->across = sco_alloc(taps);
    t->x = sco_alloc(x);
    t->label = sco_alloc(labels);
    if (status == SCO_OK && (!t->column || !t->down || !t->across || !t->x || !t->label))
        status = sco_fail(SCO_NOMEM, "no memory for %zu images of %zu x %zu pixels (%zu bytes)", s->batch, s->side,
                          s->side, x);
    if (status != SCO_OK) {
        slot_destroy(source, t);
        return status;
    }
    *bytes += sizeof *t + column + 2 * taps + x + labels;
    *slot = t;
    return SCO_OK;
}

static enum sco_status seek(void *source, uint64_t position)
{
    const struct ilsvrc *s = source;
    if (position > UINT64_MAX / 2 / s->batch)
        return sco_fail(SCO_INVALID, "position %ju is beyond what can be counted", (uintmax_t)position);
    return SCO_OK;
}

/* Images of a batch; 0 past the end. */
static size_t images_at(const struct ilsvrc *s, uint64_t position)
{
    if (s->train)
        return s->batch;
    if (position > (s->count - 1) / s->batch)
        return 0;
    const uint64_t left = s->count - position * s->batch;
    return left < s->batch ? (size_t)left : s->batch;
}

static enum sco_status fetch(void *source, uint64_t position, void *slot, struct sco_skips *skips, bool *end)
{
    (void)slot;
    (void)skips;
    *end = images_at(source, position) == 0;
    return SCO_OK;
}

static bool may_skip(enum sco_status status)
{
    return status == SCO_FORMAT || status == SCO_IO;
}

/* The first good image from place *next on, at most one round of all of them. */
static enum sco_status replace(const struct ilsvrc *s, struct slot *slot, uint64_t *next, float *out, int32_t *label)
{
    enum sco_status status = SCO_FORMAT;
    for (size_t tried = 0; tried < s->count && may_skip(status); tried++)
        status = load(s, slot, (*next)++, out, label);
    return may_skip(status) ? sco_fail_context(status, "none of the %zu images can be used; the last", s->count)
                            : status;
}

/* What takes the place of a bad image comes from behind the batch, so that no image is twice in it; batches behind it
 * are as if nothing had been skipped, or else they could not be made without making all before. */
static enum sco_status fill(void *source, uint64_t position, void *slot, struct sco_skips *skips,
                            struct sco_batch *batch)
{
    const struct ilsvrc *s = source;
    struct slot *t = slot;
    const size_t n = images_at(s, position), pixels = 3 * s->side * s->side;
    const uint64_t first = position * s->batch;
    uint64_t next = first + n;
    for (size_t i = 0; i < n; i++) {
        enum sco_status status = load(s, t, first + i, t->x + i * pixels, &t->label[i]);
        if (s->skip && may_skip(status)) {
            sco_skips_note(skips);
            status = replace(s, t, &next, t->x + i * pixels, &t->label[i]);
        }
        if (status != SCO_OK)
            return status;
    }
    batch->samples = n;
    batch->images = (struct sco_images){.N = n, .H = s->side, .W = s->side, .x = t->x, .label = t->label};
    return SCO_OK;
}

/* ---- Verification ------------------------------------------------------------------------------------------------ */

static enum sco_status verify_image(const struct sco_ilsvrc_list *list, const struct sco_ilsvrc_image *image,
                                    struct reader *reader)
{
    char where[WHERE_BYTES];
    const unsigned char *row;
    size_t size, H, W;
    sco_ilsvrc_list_where(list, image, where, sizeof where);
    enum sco_status status = read_image(list, image, where, reader, &size);
    if (status == SCO_OK)
        status = sco_jpeg_start(reader->jpeg, reader->bytes, size, &H, &W);
    if (status == SCO_OK)
        status = sco_jpeg_crop(reader->jpeg, &(struct sco_crop){.H = H, .W = W});
    for (size_t y = 0; status == SCO_OK && y < H; y++)
        status = sco_jpeg_row(reader->jpeg, &row);
    if (status == SCO_OK)
        status = sco_jpeg_finish(reader->jpeg);
    return status == SCO_OK ? SCO_OK : sco_fail_context(status, "%s", where);
}

static enum sco_status verify_split(const char *path, enum sco_split split, struct reader *reader,
                                    struct sco_ilsvrc_report *report, struct sco_verify_result *result)
{
    struct sco_ilsvrc_list list = {.fd = -1};
    enum sco_status status = sco_ilsvrc_found(report, sco_ilsvrc_list_open(&list, path, split, report));
    result->files += list.fd >= 0 ? 1 : list.count;
    for (size_t i = 0; i < list.count && status == SCO_OK; i++) {
        status = verify_image(&list, &list.images[i], reader);
        result->samples += status == SCO_OK;
        status = sco_ilsvrc_found(report, status);
    }
    sco_ilsvrc_list_close(&list);
    return status;
}

static enum sco_status verify(const char *path, sco_finding_fn *found, void *argument, struct sco_verify_result *result)
{
    static const enum sco_split splits[] = {SCO_TRAIN, SCO_VALIDATION, SCO_TEST};
    struct sco_ilsvrc_report report = {.found = found, .argument = argument};
    struct reader reader = {.bytes = NULL};
    size_t bytes = 0, present = 0;
    enum sco_status status = reader_create(&reader, &bytes);
    *result = (struct sco_verify_result){.files = 0};
    for (size_t i = 0; i < 3 && status == SCO_OK; i++) {
        bool here;
        status = sco_ilsvrc_has(path, splits[i], &here);
        if (status != SCO_OK || !here)
            continue;
        present++;
        status = verify_split(path, splits[i], &reader, &report, result);
    }
    if (status == SCO_OK && present == 0)
        status = sco_fail(SCO_IO, "%s: neither train nor val nor a tar file of them is there", path);
    result->findings = report.findings;
    reader_destroy(&reader);
    return status;
}

const struct sco_source_type sco_ilsvrc_source = {.open = ilsvrc_open,
                                                  .close = ilsvrc_close,
                                                  .slot_create = slot_create,
                                                  .slot_destroy = slot_destroy,
                                                  .seek = seek,
                                                  .fetch = fetch,
                                                  .fill = fill,
                                                  .verify = verify};

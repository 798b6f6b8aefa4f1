/* SPDX-License-Identifier: Apache-2.0
 * fastMRI knee, single coil, as a source of batches. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "arch/fail.h"
#include "arch/random.h"
#include "io/fastmri.h"
#include "io/source.h"
#include "stepcost/memory.h"

/* The first files of the validation folder validate, the others test. */
enum { VALIDATION_FILES = 100 };

/* Masks of training follow options.seed; that of evaluation is one for every slice of a width, in every run. */
enum { TRAIN_MASKS = 0x3a5c };
static const uint64_t evaluation_mask = 0x666173744d5249;

/* ---- Folders ----------------------------------------------------------------------------------------------------- */

/* Paths of the volumes of a folder, in the order of their names. */
struct listing {
    char **paths;
    size_t count;
};

static void listing_free(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        free(listing->paths[i]);
    free(listing->paths);
    *listing = (struct listing){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_volume_name(const char *name)
{
    const size_t length = strlen(name);
    return name[0] != '.' && length > 3 && strcmp(name + length - 3, ".h5") == 0;
}

/* A folder goes by the name of the data set's own archive, or by the short one. */
static enum sco_status find_folder(const char *path, bool train, char **folder)
{
    const char *const names[2][2] = {{"singlecoil_val", "knee_singlecoil_val"},
                                     {"singlecoil_train", "knee_singlecoil_train"}};
    for (size_t i = 0; i < 2; i++) {
        struct stat info;
        if (asprintf(folder, "%s/%s", path, names[train][i]) < 0) {
            *folder = NULL;
            return sco_fail(SCO_NOMEM, "%s: no memory for a path", path);
        }
        if (stat(*folder, &info) == 0 && S_ISDIR(info.st_mode))
            return SCO_OK;
        free(*folder);
        *folder = NULL;
    }
    return sco_fail(SCO_IO, "%s: no folder %s or %s in it", path, names[train][0], names[train][1]);
}

static enum sco_status list_volumes(const char *path, bool train, struct listing *listing)
{
    *listing = (struct listing){0};
    char *folder;
    enum sco_status status = find_folder(path, train, &folder);
    if (status != SCO_OK)
        return status;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        status = sco_fail(SCO_IO, "%s: cannot be opened: %s", folder, strerror(errno));
        goto out;
    }
    size_t room = 0;
    for (struct dirent *entry; status == SCO_OK && (entry = readdir(dir)) != NULL;) {
        if (!is_volume_name(entry->d_name))
            continue;
        if (listing->count == room) {
            room = 2 * room + 64;
            char **more = realloc(listing->paths, room * sizeof *more);
            if (more == NULL) {
                status = sco_fail(SCO_NOMEM, "%s: no memory for the names of its files", folder);
                break;
            }
            listing->paths = more;
        }
        if (asprintf(&listing->paths[listing->count], "%s/%s", folder, entry->d_name) < 0)
            status = sco_fail(SCO_NOMEM, "%s: no memory for the names of its files", folder);
        else
            listing->count++;
    }
    if (status == SCO_OK && listing->count == 0)
        status = sco_fail(SCO_IO, "%s: no file *.h5 in it", folder);
    if (status == SCO_OK)
        qsort(listing->paths, listing->count, sizeof *listing->paths, by_name);
out:
    if (dir != NULL)
        closedir(dir);
    free(folder);
    if (status != SCO_OK)
        listing_free(listing);
    return status;
}

/* ---- Source ------------------------------------------------------------------------------------------------------ */

struct entry {
    struct sco_fastmri_volume volume; /* of a file that cannot be used: one slice, which fails when it is read */
    uint64_t first;                   /* its slices follow those of the entries before */
    bool usable;
};

struct fastmri {
    struct listing files;
    struct entry *entries; /* [files.count] */
    struct sco_fastmri_transforms *transforms;
    uint64_t samples, seed;
    size_t batch, side; /* side 0: the reconstruction's own */
    size_t H, W;        /* of every slice after the cut */
    bool train, skip;
};

struct slot {
    float *x, *target, *mean, *deviation, *volume_max;
    float *kspace, *reconstruction;
    void *scratch;
    bool *kept;
};

static void close_fastmri(void *source)
{
    struct fastmri *f = source;
    if (f == NULL)
        return;
    sco_fastmri_transforms_destroy(f->transforms);
    sco_free(f->entries);
    listing_free(&f->files);
    free(f);
}

/* The files of a split; the others are forgotten. */
static void choose_split(struct listing *files, enum sco_split split)
{
    if (files->count <= VALIDATION_FILES || (split != SCO_VALIDATION && split != SCO_TEST))
        return;
    const size_t from = split == SCO_TEST ? VALIDATION_FILES : 0;
    const size_t to = split == SCO_TEST ? files->count : VALIDATION_FILES;
    for (size_t i = 0; i < files->count; i++)
        if (i < from || i >= to)
            free(files->paths[i]);
    memmove(files->paths, files->paths + from, (to - from) * sizeof *files->paths);
    files->count = to - from;
}

/* Slices of a batch are of one size: that of the first usable file unless options.side cuts all to its own. */
static enum sco_status check_size(const struct fastmri *f, const char *path, const struct sco_fastmri_volume *volume)
{
    const size_t H = volume->target_H, W = volume->target_W;
    if (f->side != 0 && (H < f->side || W < f->side))
        return sco_fail(SCO_FORMAT,
                        "%s: its reconstruction of %zu x %zu cannot be cut to side %zu; choose a smaller side", path, H,
                        W, f->side);
    if (f->side == 0 && f->H != 0 && (H != f->H || W != f->W))
        return sco_fail(
            SCO_FORMAT,
            "%s: its reconstruction is of %zu x %zu, that of the files before of %zu x %zu; move it away, or "
            "choose a side that all can be cut to",
            path, H, W, f->H, f->W);
    return SCO_OK;
}

static enum sco_status describe(const struct fastmri *f, const char *path, struct sco_fastmri_volume *volume)
{
    const enum sco_status status = sco_fastmri_describe(path, volume);
    return status == SCO_OK ? check_size(f, path, volume) : status;
}

static enum sco_status index_files(struct fastmri *f)
{
    uint64_t samples = 0;
    for (size_t i = 0; i < f->files.count; i++) {
        struct entry *entry = &f->entries[i];
        enum sco_status status = describe(f, f->files.paths[i], &entry->volume);
        entry->usable = status == SCO_OK;
        if (status != SCO_OK) {
            const bool last = i + 1 == f->files.count && f->H == 0;
            if (!f->skip || last || (status != SCO_FORMAT && status != SCO_IO))
                return status;
            entry->volume = (struct sco_fastmri_volume){.slices = 1};
        } else {
            f->H = f->side != 0 ? f->side : entry->volume.target_H;
            f->W = f->side != 0 ? f->side : entry->volume.target_W;
            status = sco_fastmri_transforms_add(f->transforms, entry->volume.H);
            if (status == SCO_OK)
                status = sco_fastmri_transforms_add(f->transforms, entry->volume.W);
            if (status != SCO_OK)
                return status;
        }
        entry->first = samples;
        samples += entry->volume.slices;
    }
    f->samples = f->samples != 0 && f->samples < samples ? f->samples : samples;
    return SCO_OK;
}

static enum sco_status open_fastmri(void **source, const struct sco_dataset_options *options,
                                    struct sco_dataset_facts *facts)
{
    struct fastmri *f = calloc(1, sizeof *f);
    *source = f;
    if (f == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for its index", options->path);
    f->train = options->split == SCO_TRAIN;
    f->skip = options->bad_sample == SCO_BAD_SKIP;
    f->seed = options->seed;
    f->batch = options->batch;
    f->side = options->side;
    f->samples = options->samples;
    enum sco_status status =
        list_volumes(options->path, options->split == SCO_TRAIN || options->split == SCO_TRAIN_SUBSET, &f->files);
    if (status != SCO_OK)
        return status;
    choose_split(&f->files, options->split);
    f->entries = sco_alloc(f->files.count * sizeof *f->entries);
    if (f->entries == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for its index", options->path);
    status = sco_fastmri_transforms_create(&f->transforms);
    if (status == SCO_OK)
        status = index_files(f);
    if (status != SCO_OK)
        return status;
    facts->samples = f->samples;
    facts->max_samples = f->batch;
    facts->H = f->H;
    facts->W = f->W;
    facts->memory_bytes = sizeof *f + f->files.count * (sizeof *f->entries + sizeof *f->files.paths);
    for (size_t i = 0; i < f->files.count; i++)
        facts->memory_bytes += strlen(f->files.paths[i]) + 1;
    return SCO_OK;
}

/* ---- Slots ------------------------------------------------------------------------------------------------------- */

static void slot_destroy(void *source, void *slot)
{
    struct slot *s = slot;
    (void)source;
    if (s == NULL)
        return;
    sco_free(s->x);
    sco_free(s->target);
    sco_free(s->mean);
    sco_free(s->deviation);
    sco_free(s->volume_max);
    sco_free(s->kspace);
    sco_free(s->reconstruction);
    sco_free(s->scratch);
    sco_free(s->kept);
    free(s);
}

static bool reserve(void *array, size_t size, size_t *bytes)
{
    void *const memory = sco_alloc(size);
    memcpy(array, &memory, sizeof memory);
    *bytes += size;
    return memory != NULL;
}

static enum sco_status slot_create(void *source, void **slot, size_t *bytes)
{
    const struct fastmri *f = source;
    size_t H = 0, W = 0, values = 0, target = 0, all = 0;
    for (size_t i = 0; i < f->files.count; i++) {
        const struct sco_fastmri_volume *volume = &f->entries[i].volume;
        if (!f->entries[i].usable)
            continue;
        H = volume->H > H ? volume->H : H;
        W = volume->W > W ? volume->W : W;
        values = volume->H * volume->W > values ? volume->H * volume->W : values;
        target = volume->target_H * volume->target_W > target ? volume->target_H * volume->target_W : target;
    }
    /* Sides are at most 4096 and batches below 2^31, so that no product overflows. */
    const size_t pixels = f->batch * f->H * f->W * sizeof(float), per_slice = f->batch * sizeof(float);
    struct slot *s = calloc(1, sizeof *s);
    *slot = s;
    if (s == NULL || !reserve(&s->x, pixels, &all) || !reserve(&s->target, pixels, &all) ||
        !reserve(&s->mean, per_slice, &all) || !reserve(&s->deviation, per_slice, &all) ||
        !reserve(&s->volume_max, per_slice, &all) || !reserve(&s->kspace, 2 * values * sizeof(float), &all) ||
        !reserve(&s->reconstruction, target * sizeof(float), &all) ||
        !reserve(&s->scratch, sco_fastmri_scratch_bytes(H, W, f->H), &all) || !reserve(&s->kept, W, &all))
        return sco_fail(SCO_NOMEM, "no memory for a batch of %zu slices of %zu x %zu; lower batch", f->batch, f->H,
                        f->W);
    *bytes += all;
    return SCO_OK;
}

/* ---- Batches ----------------------------------------------------------------------------------------------------- */

static enum sco_status seek(void *source, uint64_t position)
{
    (void)source;
    (void)position;
    return SCO_OK;
}

/* Which slices a batch holds follows from its position alone: there is nothing to do in order. */
static enum sco_status fetch(void *source, uint64_t position, void *slot, struct sco_skips *skips, bool *end)
{
    const struct fastmri *f = source;
    (void)slot;
    (void)skips;
    *end = !f->train && position * f->batch >= f->samples;
    return SCO_OK;
}

static const struct entry *find_entry(const struct fastmri *f, uint64_t sample)
{
    size_t low = 0, high = f->files.count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (f->entries[middle].first <= sample)
            low = middle;
        else
            high = middle;
    }
    return &f->entries[low];
}

/* The middle rows and columns of a reconstruction, where options.side asks for less than all of it. */
static void cut(const float *reconstruction, const struct sco_fastmri_volume *volume, size_t H, size_t W, float *target)
{
    const size_t top = (volume->target_H - H) / 2, left = (volume->target_W - W) / 2;
    for (size_t h = 0; h < H; h++)
        memcpy(target + h * W, reconstruction + (top + h) * volume->target_W + left, W * sizeof(float));
}

/* Makes place n of the slot from place number order of the stream: epochs one after the other. */
static enum sco_status make_slice(const struct fastmri *f, uint64_t order, struct slot *s, size_t n)
{
    const uint64_t epoch = order / f->samples, in_epoch = order % f->samples;
    const uint64_t sample = f->train ? sco_shuffled(f->samples, f->seed, epoch, in_epoch) : in_epoch;
    const struct entry *entry = find_entry(f, sample);
    const struct sco_fastmri_volume *volume = &entry->volume;
    const char *path = f->files.paths[entry - f->entries];
    const size_t slice = (size_t)(sample - entry->first);
    if (!entry->usable) {
        struct sco_fastmri_volume now;
        const enum sco_status status = describe(f, path, &now);
        return status != SCO_OK ? status : sco_fail(SCO_IO, "%s: changed since it was opened; start again", path);
    }
    const enum sco_status status = sco_fastmri_read(path, volume, slice, s->kspace, s->reconstruction);
    if (status != SCO_OK)
        return status;

    const uint64_t epochs = sco_random_stream(sco_random_stream(f->seed, TRAIN_MASKS), epoch);
    sco_fastmri_mask(volume->W, f->train ? sco_random_stream(epochs, sample) : evaluation_mask, s->kept);
    /* First the reconstruction's place in the image, then the cut within it: both arrays lose the same pixels. */
    const size_t top = (volume->H - volume->target_H) / 2 + (volume->target_H - f->H) / 2;
    const size_t left = (volume->W - volume->target_W) / 2 + (volume->target_W - f->W) / 2;
    const size_t pixels = f->H * f->W;
    float *x = s->x + n * pixels, *target = s->target + n * pixels;
    sco_fastmri_image(f->transforms, volume->H, volume->W, s->kspace, s->kept, top, left, f->H, f->W, s->scratch, x);
    double mean, deviation;
    if (!sco_fastmri_moments(pixels, x, &mean, &deviation))
        return sco_fail(SCO_FORMAT, "%s: slice %zu: its image cannot be normalised: mean %g, deviation %g", path, slice,
                        mean, deviation);
    cut(s->reconstruction, volume, f->H, f->W, target);
    sco_fastmri_normalise(pixels, x, mean, deviation, x);
    sco_fastmri_normalise(pixels, target, mean, deviation, target);
    s->mean[n] = (float)mean;
    s->deviation[n] = (float)deviation;
    s->volume_max[n] = volume->max;
    return SCO_OK;
}

/* A slice that cannot be used is counted where it stands in the order, and the next good one is used there. That one stays in
 * its own place too: a batch follows from its position alone, whatever was read before. */
static enum sco_status make_place(const struct fastmri *f, uint64_t order, struct slot *s, size_t n,
                                  struct sco_skips *skips)
{
    enum sco_status status = make_slice(f, order, s, n);
    if (status == SCO_OK || !f->skip || (status != SCO_FORMAT && status != SCO_IO))
        return status;
    sco_skips_note(skips);
    for (uint64_t next = 1; next < f->samples; next++) {
        status = make_slice(f, order + next, s, n);
        if (status != SCO_FORMAT && status != SCO_IO)
            return status;
    }
    return sco_fail_context(status, "no slice is left that can be used; the last one");
}

static enum sco_status fill(void *source, uint64_t position, void *slot, struct sco_skips *skips,
                            struct sco_batch *batch)
{
    const struct fastmri *f = source;
    struct slot *s = slot;
    const uint64_t first = position * f->batch;
    size_t count = f->batch;
    if (!f->train && f->samples - first < count)
        count = (size_t)(f->samples - first);
    for (size_t n = 0; n < count; n++) {
        const enum sco_status status = make_place(f, first + n, s, n, skips);
        if (status != SCO_OK)
            return status;
    }
    batch->samples = count;
    batch->slices = (struct sco_slices){.N = count,
                                        .H = f->H,
                                        .W = f->W,
                                        .x = s->x,
                                        .target = s->target,
                                        .mean = s->mean,
                                        .deviation = s->deviation,
                                        .volume_max = s->volume_max};
    return SCO_OK;
}

/* ---- Verification ------------------------------------------------------------------------------------------------ */

struct verification {
    sco_finding_fn *found;
    void *argument;
    struct sco_verify_result *result;
    struct fastmri sizes; /* what check_size() compares with */
};

static void report(struct verification *v, enum sco_status status)
{
    v->result->findings++;
    v->found(v->argument, status, sco_error_message());
}

static enum sco_status verify_file(struct verification *v, const char *path)
{
    struct sco_fastmri_volume volume;
    float *kspace = NULL, *target = NULL;
    v->result->files++;
    enum sco_status status = describe(&v->sizes, path, &volume);
    if (status != SCO_OK) {
        report(v, status);
        return SCO_OK;
    }
    v->sizes.H = volume.target_H;
    v->sizes.W = volume.target_W;
    kspace = sco_alloc(2 * volume.H * volume.W * sizeof *kspace);
    target = sco_alloc(volume.target_H * volume.target_W * sizeof *target);
    if (kspace == NULL || target == NULL) {
        status = sco_fail(SCO_NOMEM, "%s: no memory for a slice of %zu x %zu", path, volume.H, volume.W);
        goto out;
    }
    for (size_t slice = 0; slice < volume.slices; slice++) {
        v->result->samples++;
        const enum sco_status bad = sco_fastmri_read(path, &volume, slice, kspace, target);
        if (bad != SCO_OK)
            report(v, bad);
    }
out:
    sco_free(target);
    sco_free(kspace);
    return status;
}

static enum sco_status verify(const char *path, sco_finding_fn *found, void *argument, struct sco_verify_result *result)
{
    struct verification v = {.found = found, .argument = argument, .result = result};
    struct stat info;
    if (stat(path, &info) != 0)
        return sco_fail(SCO_IO, "%s: cannot be examined: %s", path, strerror(errno));
    for (int train = 1; train >= 0; train--) {
        struct listing files;
        enum sco_status status = list_volumes(path, train, &files);
        if (status == SCO_IO) {
            report(&v, status);
            continue;
        }
        for (size_t i = 0; status == SCO_OK && i < files.count; i++)
            status = verify_file(&v, files.paths[i]);
        listing_free(&files);
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

const struct sco_source_type sco_fastmri_source = {
    .open = open_fastmri,
    .close = close_fastmri,
    .slot_create = slot_create,
    .slot_destroy = slot_destroy,
    .seek = seek,
    .fetch = fetch,
    .fill = fill,
    .verify = verify,
};

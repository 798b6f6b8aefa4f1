/* SPDX-License-Identifier: Apache-2.0
 * Streams of batches: a ring of slots that workers fill ahead of the reader.
 *
 * Position p belongs to slot p mod slots. One worker at a time fetches, in order; filling overlaps. The reader takes
 * positions in order and holds the slot of the last one, so that at most slots - 1 positions are under way: who
 * prepares a batch and when cannot show in it. */
#include "stepcost/dataset.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/affinity.h"
#include "arch/fail.h"
#include "arch/random.h"
#include "io/dataset_core.h"
#include "stepcost/memory.h"

enum slot_state {
    SLOT_FREE,
    SLOT_BUSY,
    SLOT_READY, /* status is SCO_OK and batch is whole, or the message says why not */
    SLOT_END
};

struct slot {
    enum slot_state state;
    enum sco_status status;
    bool fetched; /* the source is past this position */
    void *own;    /* the source's */
    struct sco_skips skips;
    struct sco_batch batch;
    char message[SCO_MESSAGE_BYTES]; /* messages are per thread: this one crosses over to the reader's */
};

struct sco_dataset {
    const struct sco_source_type *type;
    void *source;
    char *path;
    struct sco_dataset_options options;
    struct sco_dataset_facts facts;
    struct slot *slots;
    pthread_t *threads;
    size_t slot_count, thread_count;
    bool locks;

    /* The reader's own. */
    bool failed; /* the last call of next() was refused, or a seek: workers are to be restarted first */
    bool lost;   /* and the source is elsewhere */
    uint64_t skipped;
    char last_skipped[sizeof((struct sco_skips *)0)->last];

    pthread_mutex_t lock; /* of all that follows, and of the slots' states */
    pthread_cond_t work, done;
    uint64_t next, fetch; /* positions that the reader, and the workers, come to next */
    size_t active;        /* workers at a slot */
    bool fetching, halted, draining, stop;
};

/* ---- Order, skips ------------------------------------------------------------------------------------------------ */

/* A Feistel network over the next even number of bits; what lands outside 0 .. n - 1 walks on, and the walk comes
 * back since the network is a bijection and i itself is inside (Black and Rogaway, "Ciphers with Arbitrary Finite
 * Domains", CT-RSA 2002). */
uint64_t sco_shuffled(uint64_t n, uint64_t seed, uint64_t epoch, uint64_t i)
{
    enum { ROUNDS = 6 };
    assert(i < n);
    const uint64_t key = sco_random_stream(sco_random_stream(seed, 0x5f0f), epoch);
    unsigned half = 1;
    while (half < 32 && (n - 1) >> (2 * half) != 0)
        half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t left = i >> half, right = i & mask;
        for (uint64_t round = 0; round < ROUNDS; round++) {
            const uint64_t mixed = left ^ (sco_splitmix64(key, ROUNDS * right + round) & mask);
            left = right;
            right = mixed;
        }
        i = left << half | right;
    } while (i >= n);
    return i;
}

void sco_skips_note(struct sco_skips *skips)
{
    skips->count++;
    snprintf(skips->last, sizeof skips->last, "%s", sco_error_message());
}

/* ---- Workers ----------------------------------------------------------------------------------------------------- */

static bool may_fetch(const struct sco_dataset *d)
{
    return !d->halted && !d->fetching && d->fetch - d->next < d->slot_count - 1;
}

/* Keeps what a failed call said. Called without the lock: the slot is this worker's. */
static void keep_message(struct slot *slot, enum sco_status status)
{
    slot->status = status;
    if (status != SCO_OK)
        snprintf(slot->message, sizeof slot->message, "%s", sco_error_message());
}

/* Fetches the next position and fills its slot. Called and left with the lock held. */
static void prepare(struct sco_dataset *d)
{
    const uint64_t position = d->fetch;
    struct slot *slot = &d->slots[position % d->slot_count];
    bool end = false;
    assert(slot->state == SLOT_FREE);
    d->fetching = true;
    d->active++;
    slot->state = SLOT_BUSY;
    pthread_mutex_unlock(&d->lock);
    slot->skips = (struct sco_skips){0};
    keep_message(slot, d->type->fetch(d->source, position, slot->own, &slot->skips, &end));
    pthread_mutex_lock(&d->lock);

    d->fetching = false;
    slot->fetched = slot->status == SCO_OK && !end;
    if (slot->fetched) {
        d->fetch++;
        pthread_cond_signal(&d->work);
    } else {
        d->halted = true;
    }
    if (slot->fetched && !d->draining) {
        pthread_mutex_unlock(&d->lock);
        slot->batch = (struct sco_batch){.workload = d->options.workload, .position = position};
        keep_message(slot, d->type->fill(d->source, position, slot->own, &slot->skips, &slot->batch));
        pthread_mutex_lock(&d->lock);
        d->halted = d->halted || slot->status != SCO_OK;
    }
    slot->state = slot->status == SCO_OK && end ? SLOT_END : SLOT_READY;
    d->active--;
    pthread_cond_broadcast(&d->done);
}

static void *run_worker(void *argument)
{
    struct sco_dataset *d = argument;
    pthread_mutex_lock(&d->lock);
    while (!d->stop)
        if (may_fetch(d))
            prepare(d);
        else
            pthread_cond_wait(&d->work, &d->lock);
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static enum sco_status start_workers(struct sco_dataset *d)
{
    /* Signals belong to the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    while (d->thread_count < d->options.workers && error == 0) {
        error = pthread_create(&d->threads[d->thread_count], NULL, run_worker, d);
        if (error == 0)
            sco_affinity_pass(d->threads[d->thread_count++]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return sco_fail(SCO_NOMEM, "worker %zu of %zu could not be started: %s", d->thread_count + 1,
                        d->options.workers, strerror(error));
    return SCO_OK;
}

/* Waits until no worker touches source or slots, and forgets what was prepared. */
static void drain(struct sco_dataset *d)
{
    pthread_mutex_lock(&d->lock);
    d->halted = d->draining = true;
    while (d->active > 0)
        pthread_cond_wait(&d->done, &d->lock);
    for (size_t i = 0; i < d->slot_count; i++)
        d->slots[i].state = SLOT_FREE;
    d->draining = false;
    pthread_mutex_unlock(&d->lock);
}

/* Begins at d->next: after a failed fetch the source is there, otherwise it is sent there first. */
static enum sco_status restart(struct sco_dataset *d)
{
    drain(d);
    if (d->lost) {
        const enum sco_status status = d->type->seek(d->source, d->next);
        if (status != SCO_OK)
            return status;
    }
    d->failed = d->lost = false;
    pthread_mutex_lock(&d->lock);
    d->fetch = d->next;
    d->halted = false;
    pthread_cond_broadcast(&d->work);
    pthread_mutex_unlock(&d->lock);
    return SCO_OK;
}

/* ---- The reader's side ------------------------------------------------------------------------------------------- */

enum sco_status sco_dataset_next(struct sco_dataset *d, const struct sco_batch **batch)
{
    *batch = NULL;
    if (d->failed) {
        const enum sco_status status = restart(d);
        if (status != SCO_OK)
            return status;
    }
    struct slot *slot = &d->slots[d->next % d->slot_count];
    pthread_mutex_lock(&d->lock);
    while (slot->state == SLOT_FREE || slot->state == SLOT_BUSY)
        pthread_cond_wait(&d->done, &d->lock);
    const bool end = slot->state == SLOT_END;
    if (!end && slot->status == SCO_OK) {
        /* The batch that was held until now makes room; this one is held instead. */
        d->slots[(d->next + d->slot_count - 1) % d->slot_count].state = SLOT_FREE;
        d->next++;
        pthread_cond_signal(&d->work);
    }
    pthread_mutex_unlock(&d->lock);

    if (end)
        return SCO_OK;
    if (slot->status != SCO_OK) {
        d->failed = true;
        d->lost = slot->fetched;
        return sco_fail(slot->status, "%s", slot->message);
    }
    if (slot->skips.count > 0) {
        d->skipped += slot->skips.count;
        memcpy(d->last_skipped, slot->skips.last, sizeof d->last_skipped);
    }
    *batch = &slot->batch;
    return SCO_OK;
}

enum sco_status sco_dataset_seek(struct sco_dataset *d, uint64_t position)
{
    /* Sources count samples, and the ring a few positions more. */
    if (position > UINT64_MAX / d->options.batch - d->slot_count)
        return sco_fail(SCO_INVALID, "position %llu is too large for batches of %zu", (unsigned long long)position,
                        d->options.batch);
    if (position == d->next && !d->failed)
        return SCO_OK;
    drain(d);
    d->next = position;
    d->failed = d->lost = true;
    return restart(d);
}

uint64_t sco_dataset_skipped(const struct sco_dataset *d)
{
    return d->skipped;
}

const char *sco_dataset_last_skipped(const struct sco_dataset *d)
{
    return d->last_skipped;
}

const struct sco_dataset_facts *sco_dataset_get_facts(const struct sco_dataset *d)
{
    return &d->facts;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

#ifdef SCO_HAVE_JPEG
#define ILSVRC &sco_ilsvrc_source
#else
#define ILSVRC NULL
#endif
#if defined(SCO_HAVE_HDF5) && defined(SCO_HAVE_FFTW)
#define FASTMRI &sco_fastmri_source
#else
#define FASTMRI NULL
#endif

/* What a workload is read with. type is NULL where the build found no library to read the format with. */
static const struct {
    const struct sco_source_type *type, *synthetic;
    const char *needs;
} formats[SCO_WORKLOADS] = {
    [SCO_RESNET50] = {ILSVRC, &sco_synthetic_images, "libjpeg"},
    [SCO_OGBG] = {&sco_ogb_source, &sco_synthetic_molecules, "zlib"},
    [SCO_DLRM] = {&sco_criteo_source, &sco_synthetic_clicks, "zlib"},
    [SCO_UNET] = {FASTMRI, &sco_synthetic_slices, "HDF5 and FFTW"},
};

static enum sco_status choose(enum sco_workload workload, const char *path, const struct sco_source_type **type)
{
    if ((unsigned)workload >= SCO_WORKLOADS)
        return sco_fail(SCO_INVALID, "workload %d does not exist", (int)workload);
    if (path == NULL || path[0] == '\0')
        return sco_fail(SCO_INVALID, "no path: a folder of data is needed, or \"synthetic\"");
    *type = strcmp(path, "synthetic") == 0 ? formats[workload].synthetic : formats[workload].type;
    if (*type == NULL)
        return sco_fail(SCO_UNSUPPORTED,
                        "%s: this build cannot read the files of %s, which takes %s; \"synthetic\" needs nothing", path,
                        sco_workload_name(workload), formats[workload].needs);
    return SCO_OK;
}

/* Bounds keep every product of sizes within 64 bits: 2^31 images of 4096 x 4096 x 3 floats. */
enum { LEAST_SIDE = 16, MOST_SIDE = 4096, MOST_WORKERS = 256, MOST_AHEAD = 1024 };

static enum sco_status complete(struct sco_dataset_options *o)
{
    if ((unsigned)o->split > SCO_TEST)
        return sco_fail(SCO_INVALID, "split %d does not exist", (int)o->split);
    if (o->bad_sample != SCO_BAD_STOP && o->bad_sample != SCO_BAD_SKIP)
        return sco_fail(SCO_INVALID, "bad_sample %d does not exist", (int)o->bad_sample);
    if (o->batch == 0 || o->batch > INT32_MAX)
        return sco_fail(SCO_INVALID, "batch is %zu; possible: 1 to %d", o->batch, INT32_MAX);
    if (o->side != 0 && (o->side < LEAST_SIDE || o->side > MOST_SIDE))
        return sco_fail(SCO_INVALID, "side is %zu pixels; possible: %d to %d", o->side, LEAST_SIDE, MOST_SIDE);
    if (o->table_rows > INT32_MAX)
        return sco_fail(SCO_INVALID, "table_rows is %zu; possible: 1 to %d", o->table_rows, INT32_MAX);
    if (o->workers > MOST_WORKERS)
        return sco_fail(SCO_INVALID, "workers is %zu; possible: 1 to %d", o->workers, MOST_WORKERS);
    if (o->ahead > MOST_AHEAD)
        return sco_fail(SCO_INVALID, "ahead is %zu; possible: 1 to %d", o->ahead, MOST_AHEAD);
    if (o->side == 0 && o->workload == SCO_RESNET50)
        o->side = 224;
    if (o->table_rows == 0)
        o->table_rows = 4194304;
    if (o->workers == 0)
        o->workers = 1;
    if (o->ahead == 0)
        o->ahead = 2;
    return SCO_OK;
}

static enum sco_status create_slots(struct sco_dataset *d)
{
    const size_t count = d->options.ahead + d->options.workers;
    d->slots = calloc(count, sizeof *d->slots);
    d->threads = calloc(d->options.workers, sizeof(pthread_t));
    if (d->slots == NULL || d->threads == NULL)
        return sco_fail(SCO_NOMEM, "no memory for %zu slots", count);
    for (; d->slot_count < count; d->slot_count++) {
        size_t bytes = 0, all;
        enum sco_status status = d->type->slot_create(d->source, &d->slots[d->slot_count].own, &bytes);
        if (status != SCO_OK)
            return status;
        d->facts.memory_bytes += bytes;
        /* Memory is granted before it exists: the first slot tells what all of them will take. */
        const size_t available = d->slot_count == 0 ? sco_memory_available() : 0;
        if (available != 0 && (__builtin_mul_overflow(bytes, count, &all) || all > available)) {
            d->slot_count++;
            return sco_fail(SCO_NOMEM,
                            "%zu batches of %zu bytes are prepared at a time and %zu bytes are available; lower batch, "
                            "workers or ahead",
                            count, bytes, available);
        }
    }
    return SCO_OK;
}

static enum sco_status create_locks(struct sco_dataset *d)
{
    if (pthread_mutex_init(&d->lock, NULL) != 0)
        return sco_fail(SCO_NOMEM, "no memory for a lock");
    if (pthread_cond_init(&d->work, NULL) != 0) {
        pthread_mutex_destroy(&d->lock);
        return sco_fail(SCO_NOMEM, "no memory for a lock");
    }
    if (pthread_cond_init(&d->done, NULL) != 0) {
        pthread_cond_destroy(&d->work);
        pthread_mutex_destroy(&d->lock);
        return sco_fail(SCO_NOMEM, "no memory for a lock");
    }
    d->locks = true;
    return SCO_OK;
}

enum sco_status sco_dataset_open_source(struct sco_dataset **dataset, const struct sco_dataset_options *options,
                                        const struct sco_source_type *type)
{
    *dataset = NULL;
    struct sco_dataset *d = calloc(1, sizeof *d);
    if (d == NULL)
        return sco_fail(SCO_NOMEM, "no memory for a stream of batches");
    d->type = type;
    d->options = *options;
    d->path = strdup(options->path);
    d->options.path = d->path;
    enum sco_status status = d->path != NULL ? complete(&d->options) : sco_fail(SCO_NOMEM, "no memory for a path");
    if (status == SCO_OK)
        status = type->open(&d->source, &d->options, &d->facts);
    d->facts.synthetic = strcmp(options->path, "synthetic") == 0;
    if (status == SCO_OK)
        status = create_slots(d);
    if (status == SCO_OK)
        status = create_locks(d);
    if (status == SCO_OK)
        status = type->seek(d->source, 0);
    if (status == SCO_OK)
        status = start_workers(d);
    if (status == SCO_OK)
        *dataset = d;
    else
        sco_dataset_close(d);
    return status;
}

enum sco_status sco_dataset_open(struct sco_dataset **dataset, const struct sco_dataset_options *options)
{
    const struct sco_source_type *type;
    *dataset = NULL;
    const enum sco_status status = choose(options->workload, options->path, &type);
    return status == SCO_OK ? sco_dataset_open_source(dataset, options, type) : status;
}

void sco_dataset_close(struct sco_dataset *d)
{
    if (d == NULL)
        return;
    if (d->locks) {
        pthread_mutex_lock(&d->lock);
        d->stop = d->draining = true;
        pthread_cond_broadcast(&d->work);
        pthread_mutex_unlock(&d->lock);
        for (size_t i = 0; i < d->thread_count; i++)
            pthread_join(d->threads[i], NULL);
        pthread_cond_destroy(&d->done);
        pthread_cond_destroy(&d->work);
        pthread_mutex_destroy(&d->lock);
    }
    for (size_t i = 0; i < d->slot_count; i++)
        d->type->slot_destroy(d->source, d->slots[i].own);
    d->type->close(d->source);
    free(d->slots);
    free(d->threads);
    free(d->path);
    free(d);
}

enum sco_status sco_dataset_verify(enum sco_workload workload, const char *path, sco_finding_fn *found, void *argument,
                                   struct sco_verify_result *result)
{
    const struct sco_source_type *type;
    *result = (struct sco_verify_result){0};
    const enum sco_status status = choose(workload, path, &type);
    if (status != SCO_OK || type->verify == NULL)
        return status;
    return type->verify(path, found, argument, result);
}

/* SPDX-License-Identifier: Apache-2.0
 * Fork and join by two words per rank. The caller publishes a job by advancing one shared epoch; each worker answers by
 * copying the epoch into a word of its own, so that no line is written by two ranks while the caller gathers. Waiting is
 * spinning for a bounded time and then a futex: a step of a small optimizer takes 2 us, less than one wake-up, but an idle
 * team must not hold the CPU from what runs between two steps. */
#include "stepcost/team.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/affinity.h"
#include "arch/fail.h"
#include "arch/topology.h"
#include "stepcost/clock.h"

/* Two lines: adjacent-line prefetch pulls pairs. */
enum { PAD = 128 };

/* 50 us is about the cost of a sleep and a wake-up: spinning longer than that cannot win against sleeping by more than
 * a factor of two (the ski-rental bound). The clock is read once per batch of pauses. */
enum { SPIN_NS = 50000, SPIN_BATCH = 256 };

/* A word that one or more ranks wait on. sleepers is nonzero only while some rank is in, or about to enter, the futex. */
struct gate {
    _Alignas(PAD) atomic_uint word;
    atomic_uint sleepers;
};

struct seat {
    struct gate done; /* the last epoch that this rank has finished */
    unsigned sense;   /* of the next barrier; private to the rank */
    struct sco_team *team;
    size_t rank;
    pthread_t thread;
    enum sco_status status; /* of binding */
    char message[256];
};

struct sco_team {
    struct gate epoch;
    sco_team_fn *body; /* NULL asks the workers to end; written before the epoch advances */
    void *argument;
    struct gate sense; /* of the barrier in progress */
    _Alignas(PAD) atomic_size_t arrived;
    _Alignas(PAD) size_t size;
    int spin;
    int bound;
    hwloc_topology_t hwloc;
    const struct sco_topology *topology;
    struct seat seats[];
};

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* yield is a no-op on most cores; isb waits about as long as x86's pause */
#endif
}

/* Neither side may miss the other: the waiter announces itself and then looks at the word, the waker changes the word
 * and then looks for waiters, all in the single order of sequentially consistent operations. */
static void gate_wait(struct gate *gate, unsigned old, int spin)
{
    if (spin) {
        uint64_t first = 0, now = 0;
        do {
            for (int i = 0; i < SPIN_BATCH; i++) {
                if (atomic_load_explicit(&gate->word, memory_order_acquire) != old)
                    return;
                pause_cpu();
            }
            now = sco_clock_ns();
            first = first ? first : now;
        } while (now - first < SPIN_NS);
    }
    atomic_fetch_add(&gate->sleepers, 1);
    while (atomic_load(&gate->word) == old)
        syscall(SYS_futex, &gate->word, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&gate->sleepers, 1);
}

static void gate_open(struct gate *gate, unsigned word)
{
    atomic_store(&gate->word, word);
    if (atomic_load(&gate->sleepers) != 0)
        syscall(SYS_futex, &gate->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void *work(void *argument)
{
    struct seat *seat = argument;
    struct sco_team *team = seat->team;
    if (team->bound) {
        seat->status = sco_affinity_bind(team->hwloc, sco_topology_pu(team->topology, seat->rank));
        if (seat->status != SCO_OK)
            strncpy(seat->message, sco_error_message(), sizeof seat->message - 1);
    }
    for (unsigned epoch = 1;; epoch++) {
        gate_open(&seat->done, epoch);
        gate_wait(&team->epoch, epoch, team->spin);
        if (team->body == NULL)
            return NULL;
        team->body(seat->rank, team->size, team->argument);
    }
}

static void start(struct sco_team *team, sco_team_fn *body, void *argument)
{
    team->body = body;
    team->argument = argument;
    const unsigned epoch = atomic_load_explicit(&team->epoch.word, memory_order_relaxed);
    gate_open(&team->epoch, epoch + 1);
}

static void join(struct sco_team *team)
{
    const unsigned epoch = atomic_load_explicit(&team->epoch.word, memory_order_relaxed);
    for (size_t r = 1; r < team->size; r++)
        gate_wait(&team->seats[r].done, epoch - 1, team->spin);
}

/* Ends the workers 1 .. started and gives the caller its affinity back. */
static void stop(struct sco_team *team, size_t started)
{
    start(team, NULL, NULL);
    for (size_t r = 1; r <= started; r++)
        pthread_join(team->seats[r].thread, NULL);
    if (team->bound)
        sco_affinity_release(team->hwloc);
    free(team);
}

static enum sco_status check_size(const struct sco_topology *topology, size_t size, unsigned flags)
{
    const int bind = sco_topology_is_this_machine(topology);
    if (size == 0)
        return sco_fail(SCO_INVALID, "team: 0 threads; at least 1 is needed");
    if (!bind && !(flags & SCO_TEAM_UNBOUND))
        return sco_fail(SCO_UNSUPPORTED,
                        "team: the topology (%s) does not describe this machine, so binding threads to it would do "
                        "nothing; unset the variable, or ask for unbound threads (STEPCOST_UNBOUND=1)",
                        sco_topology_origin(topology));
    const size_t allowed = bind ? sco_topology_counts(topology).pus : sco_affinity_count();
    if (size > allowed && !(flags & SCO_TEAM_OVERSUBSCRIBE))
        return sco_fail(SCO_INVALID,
                        "team: %zu threads, but only %zu CPU%s allowed here; use 1 to %zu, or set "
                        "STEPCOST_OVERSUBSCRIBE=1 to let threads share a CPU",
                        size, allowed, allowed == 1 ? " is" : "s are", allowed);
    return SCO_OK;
}

enum sco_status sco_team_create(struct sco_team **team, const struct sco_topology *topology, size_t size,
                                unsigned flags)
{
    enum sco_status status = check_size(topology, size, flags);
    if (status != SCO_OK)
        return status;
    if (size > (SIZE_MAX / 2 - sizeof(struct sco_team)) / sizeof(struct seat))
        return sco_fail(SCO_NOMEM, "team: no memory for %zu threads", size);
    const size_t bytes = sizeof(struct sco_team) + size * sizeof(struct seat);
    struct sco_team *made = aligned_alloc(PAD, bytes);
    if (made == NULL)
        return sco_fail(SCO_NOMEM, "team: no memory for %zu threads", size);
    memset(made, 0, bytes);
    made->size = size;
    made->topology = topology;
    made->hwloc = sco_topology_hwloc(topology);
    /* A spinning rank would keep the one it waits for off the CPU that they share. */
    made->spin =
        size <= sco_affinity_count() && ((flags & SCO_TEAM_UNBOUND) || size <= sco_topology_counts(topology).pus);
    atomic_init(&made->epoch.word, 1);

    if (!(flags & SCO_TEAM_UNBOUND)) {
        status = sco_affinity_hold(made->hwloc);
        if (status != SCO_OK) {
            free(made);
            return status;
        }
        made->bound = 1;
    }
    /* Workers take no signals: an application's handlers run on its own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    size_t started = 0;
    for (size_t r = 1; r < size && status == SCO_OK; r++) {
        struct seat *seat = &made->seats[r];
        seat->team = made;
        seat->rank = r;
        const int error = pthread_create(&seat->thread, NULL, work, seat);
        if (error != 0)
            status = sco_fail(SCO_NOMEM, "team: cannot start thread %zu of %zu: %s", r + 1, size, strerror(error));
        else
            started = r;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    /* Every worker has answered epoch 1 once it has tried to bind itself. */
    if (status == SCO_OK)
        join(made);
    if (status == SCO_OK && made->bound)
        status = sco_affinity_bind(made->hwloc, sco_topology_pu(topology, 0));
    for (size_t r = 1; r < size && status == SCO_OK; r++)
        if (made->seats[r].status != SCO_OK)
            status = sco_fail(made->seats[r].status, "%s", made->seats[r].message);
    if (status != SCO_OK) {
        stop(made, started);
        return status;
    }
    *team = made;
    return SCO_OK;
}

void sco_team_destroy(struct sco_team *team)
{
    if (team != NULL)
        stop(team, team->size - 1);
}

size_t sco_team_size(const struct sco_team *team)
{
    return team->size;
}

int sco_team_is_bound(const struct sco_team *team)
{
    return team->bound;
}

void sco_team_run(struct sco_team *team, sco_team_fn *body, void *argument)
{
    if (team->size > 1)
        start(team, body, argument);
    body(0, team->size, argument);
    if (team->size > 1)
        join(team);
}

void sco_team_barrier(struct sco_team *team, size_t rank)
{
    const unsigned old = team->seats[rank].sense;
    team->seats[rank].sense = !old;
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 < team->size) {
        gate_wait(&team->sense, old, team->spin);
        return;
    }
    /* The last to arrive: nobody can enter the next barrier before the sense turns. */
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    gate_open(&team->sense, !old);
}

void sco_team_block(size_t n, size_t rank, size_t size, size_t *begin, size_t *end)
{
    const size_t each = n / size, longer = n % size;
    *begin = rank * each + (rank < longer ? rank : longer);
    *end = *begin + each + (rank < longer);
}

struct zero_job {
    char *memory;
    size_t n, item_bytes;
};

static void zero_block(size_t rank, size_t size, void *argument)
{
    const struct zero_job *job = argument;
    size_t begin, end;
    sco_team_block(job->n, rank, size, &begin, &end);
    if (begin < end)
        memset(job->memory + begin * job->item_bytes, 0, (end - begin) * job->item_bytes);
}

void sco_team_zero(struct sco_team *team, void *memory, size_t n, size_t item_bytes)
{
    struct zero_job job = {memory, n, item_bytes};
    sco_team_run(team, zero_block, &job);
}

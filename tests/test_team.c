/* SPDX-License-Identifier: Apache-2.0
 * The thread team: partition, fork and join, barrier, sleep and wake-up, the same bits for any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stepcost/memory.h"
#include "stepcost/team.h"
#include "stepcost/topology.h"

static const size_t sizes[] = {1, 2, 3, 7};
enum { SIZES = 4, MOST = 7 };

static int open_machine(void **state)
{
    return sco_topology_create((struct sco_topology **)state, SCO_TOPOLOGY_MACHINE, NULL, NULL) != SCO_OK;
}

static int close_machine(void **state)
{
    sco_topology_destroy(*state);
    return 0;
}

static struct sco_team *team_of(void **state, size_t size)
{
    struct sco_team *team = NULL;
    if (sco_team_create(&team, *state, size, SCO_TEAM_OVERSUBSCRIBE) != SCO_OK)
        fail_msg("%s", sco_error_message());
    return team;
}

static void test_block(void **state)
{
    (void)state;
    const size_t counts[] = {0, 1, 2, 6, 7, 8, 100, 1001, SIZE_MAX};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        for (size_t size = 1; size <= 9; size++) {
            size_t next = 0, least = SIZE_MAX, most = 0;
            for (size_t rank = 0; rank < size; rank++) {
                size_t begin, end;
                sco_team_block(counts[c], rank, size, &begin, &end);
                assert_true(begin == next && end >= begin);
                next = end;
                least = end - begin < least ? end - begin : least;
                most = end - begin > most ? end - begin : most;
            }
            assert_true(next == counts[c]);
            assert_true(most - least <= 1);
        }
}

struct tally {
    size_t size;
    unsigned runs[MOST];
};

static void count_run(size_t rank, size_t size, void *argument)
{
    struct tally *tally = argument;
    if (rank == 0)
        tally->size = size;
    tally->runs[rank]++; /* no atomics: the team must order these against the caller */
}

static void test_every_rank_runs_once(void **state)
{
    for (size_t s = 0; s < SIZES; s++) {
        struct sco_team *team = team_of(state, sizes[s]);
        struct tally tally = {0};
        for (unsigned i = 1; i <= 300; i++) {
            sco_team_run(team, count_run, &tally);
            for (size_t rank = 0; rank < MOST; rank++)
                assert_int_equal(tally.runs[rank], rank < sizes[s] ? i : 0);
        }
        assert_int_equal(tally.size, sizes[s]);
        assert_int_equal(sco_team_size(team), sizes[s]);
        sco_team_destroy(team);
    }
    sco_team_destroy(NULL);
}

/* Ranks that have gone to sleep between two calls wake up again. */
static void test_wake_up(void **state)
{
    struct sco_team *team = team_of(state, 2);
    struct tally tally = {0};
    for (unsigned i = 1; i <= 20; i++) {
        sco_team_run(team, count_run, &tally);
        nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
        assert_int_equal(tally.runs[1], i);
    }
    sco_team_destroy(team);
}

/* Each round every rank writes its own cell and, past the barrier, reads all: a rank that runs ahead or behind by one
 * round sees a wrong number. */
struct rounds {
    struct sco_team *team;
    unsigned cell[MOST];
    unsigned wrong[MOST];
};

static void do_rounds(size_t rank, size_t size, void *argument)
{
    struct rounds *rounds = argument;
    for (unsigned i = 1; i <= 500; i++) {
        rounds->cell[rank] = i;
        sco_team_barrier(rounds->team, rank);
        for (size_t r = 0; r < size; r++)
            rounds->wrong[rank] += rounds->cell[r] != i;
        sco_team_barrier(rounds->team, rank);
    }
}

static void test_barrier(void **state)
{
    for (size_t s = 0; s < SIZES; s++) {
        struct rounds rounds = {.team = team_of(state, sizes[s])};
        sco_team_run(rounds.team, do_rounds, &rounds);
        sco_team_run(rounds.team, do_rounds, &rounds);
        for (size_t rank = 0; rank < sizes[s]; rank++)
            assert_int_equal(rounds.wrong[rank], 0);
        sco_team_destroy(rounds.team);
    }
}

/* Sums of fixed chunks, chunks dealt out by the static partition, added up in chunk order by rank 0 after the barrier:
 * how a reduction keeps its bits whatever the number of threads. */
enum { VALUES = 10007, CHUNK = 64, CHUNKS = (VALUES + CHUNK - 1) / CHUNK };
struct sum_job {
    struct sco_team *team;
    const float *values;
    float partial[CHUNKS], sum;
};

static void sum_chunks(size_t rank, size_t size, void *argument)
{
    struct sum_job *job = argument;
    size_t begin, end;
    sco_team_block(CHUNKS, rank, size, &begin, &end);
    for (size_t c = begin; c < end; c++) {
        const size_t last = (c + 1) * CHUNK < VALUES ? (c + 1) * CHUNK : VALUES;
        job->partial[c] = 0;
        for (size_t i = c * CHUNK; i < last; i++)
            job->partial[c] += job->values[i];
    }
    sco_team_barrier(job->team, rank);
    if (rank == 0)
        for (size_t c = 0; c < CHUNKS; c++)
            job->sum += job->partial[c];
}

static void test_same_bits(void **state)
{
    float *values = sco_alloc(VALUES * sizeof *values), first = 0;
    assert_non_null(values);
    for (size_t i = 0; i < VALUES; i++)
        values[i] = (float)((int)(i * 2654435761u >> 7) % 2001 - 1000) * 1e-3f;
    for (size_t s = 0; s < SIZES; s++) {
        struct sum_job job = {.team = team_of(state, sizes[s]), .values = values};
        sco_team_run(job.team, sum_chunks, &job);
        first = s == 0 ? job.sum : first;
        assert_memory_equal(&job.sum, &first, sizeof first);
        sco_team_destroy(job.team);
    }
    sco_free(values);
}

static void test_zero(void **state)
{
    for (size_t s = 0; s < SIZES; s++) {
        struct sco_team *team = team_of(state, sizes[s]);
        unsigned char bytes[MOST * 12 + 5];
        for (size_t n = 0; n * 12 <= MOST * 12; n++) {
            memset(bytes, 0xff, sizeof bytes);
            sco_team_zero(team, bytes, n, 12);
            for (size_t i = 0; i < sizeof bytes; i++)
                assert_int_equal(bytes[i], i < n * 12 ? 0 : 0xff);
        }
        sco_team_destroy(team);
    }
}

static void note_cpu(size_t rank, size_t size, void *argument)
{
    (void)size;
    cpu_set_t set;
    CPU_ZERO(&set);
    ((int *)argument)[rank] = -1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1)
        for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &set))
                ((int *)argument)[rank] = (int)cpu;
}

static void test_binding(void **state)
{
    const size_t pus = sco_topology_counts(*state).pus;
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    struct sco_team *team = team_of(state, pus + 1);
    int *cpu = calloc(pus + 1, sizeof *cpu);
    assert_non_null(cpu);
    sco_team_run(team, note_cpu, cpu);
    for (size_t rank = 0; rank <= pus; rank++)
        assert_int_equal(cpu[rank], sco_topology_pu(*state, rank));
    assert_true(sco_team_is_bound(team));
    sco_team_destroy(team);
    free(cpu);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
}

static void test_refused(void **state)
{
    struct sco_team *team = NULL;
    struct sco_topology *other;
    const size_t pus = sco_topology_counts(*state).pus;
    assert_int_equal(sco_team_create(&team, *state, 0, 0), SCO_INVALID);
    assert_int_equal(sco_team_create(&team, *state, pus + 1, 0), SCO_INVALID);
    assert_non_null(strstr(sco_error_message(), "allowed"));
    assert_int_equal(sco_team_create(&team, *state, SIZE_MAX, SCO_TEAM_OVERSUBSCRIBE), SCO_NOMEM);

    assert_int_equal(sco_topology_create(&other, SCO_TOPOLOGY_SYNTHETIC, "core:64 pu:1", NULL), SCO_OK);
    assert_int_equal(sco_team_create(&team, other, 1, 0), SCO_UNSUPPORTED);
    assert_int_equal(sco_team_create(&team, other, pus + 1, SCO_TEAM_UNBOUND), SCO_INVALID);
    assert_null(team);
    assert_int_equal(sco_team_create(&team, other, 2, SCO_TEAM_UNBOUND | SCO_TEAM_OVERSUBSCRIBE), SCO_OK);
    assert_false(sco_team_is_bound(team));
    sco_team_destroy(team);
    sco_topology_destroy(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block),     cmocka_unit_test(test_every_rank_runs_once),
        cmocka_unit_test(test_wake_up),   cmocka_unit_test(test_barrier),
        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_zero),
        cmocka_unit_test(test_binding),   cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, open_machine, close_machine);
}

/* SPDX-License-Identifier: Apache-2.0
 * Topologies: counts, placement of ranks, cache shares, on machines that are described rather than owned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/cache.h"
#include "stepcost/topology.h"

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)

enum { MOST_PUS = 16 };

/* share[level] of rank 0, and of every rank when all allowed PUs are taken. */
struct expectation {
    const char *name, *text, *allowed;
    struct sco_topology_counts counts;
    unsigned placement[MOST_PUS];
    size_t alone[SCO_CACHE_LEVELS], full[SCO_CACHE_LEVELS];
};

static const struct expectation machines[] = {
    {"one core, caches unknown", "core:1 pu:1", NULL, {1, 1, 1, 1, 1}, {0}, {0, 0, 0}, {0, 0, 0}},
    {"desktop",
     "package:1 l3:1(size=32MiB) l2:4(size=1MiB) l1d:1(size=48KiB) core:1 pu:2",
     NULL,
     {1, 1, 4, 8, 1},
     {0, 2, 4, 6, 1, 3, 5, 7},
     {KIB(48), MIB(1), MIB(32)},
     {KIB(24), KIB(512), MIB(4)}},
    {"two packages, siblings numbered last",
     "package:2 numa:1 l3:1(size=16MiB) l2:2(size=512KiB) l1d:1(size=32KiB) core:1 pu:2(indexes=0,4,1,5,2,6,3,7)",
     NULL,
     {2, 2, 4, 8, 1},
     {0, 1, 2, 3, 4, 5, 6, 7},
     {KIB(32), KIB(512), MIB(16)},
     {KIB(16), KIB(256), MIB(4)}},
    {"two packages of two memory nodes",
     "package:2 numa:2 l3:1(size=8MiB) l2:2(size=1MiB) l1d:1(size=32KiB) core:1 pu:1",
     NULL,
     {2, 4, 8, 8, 1},
     {0, 1, 2, 3, 4, 5, 6, 7},
     {KIB(32), MIB(1), MIB(8)},
     {KIB(32), MIB(1), MIB(4)}},
    {"core complexes with an L3 each",
     "package:1 l3:3(size=12MiB) l2:2(size=512KiB) l1d:1(size=32KiB) core:1 pu:2",
     NULL,
     {1, 1, 6, 12, 1},
     {0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11},
     {KIB(32), KIB(512), MIB(12)},
     {KIB(16), KIB(256), MIB(3)}},
    {"L2 shared by a cluster, no L3",
     "package:1 l2:2(size=2MiB) l1d:4(size=64KiB) core:1 pu:1",
     NULL,
     {1, 1, 8, 8, 1},
     {0, 1, 2, 3, 4, 5, 6, 7},
     {KIB(64), MIB(2), 0},
     {KIB(64), KIB(512), 0}},
    {"restricted to part of each package",
     "package:2 numa:1 l3:1(size=16MiB) l2:2(size=512KiB) l1d:1(size=32KiB) core:1 pu:2",
     "1,4-5,9-10",
     {2, 2, 2, 3, 1},
     {1, 4, 5},
     {KIB(32), KIB(512), MIB(16)},
     {0, 0, 0}},
    {"restricted to siblings",
     "package:1 l3:1(size=16MiB) l2:2(size=512KiB) l1d:1(size=32KiB) core:1 pu:2",
     "2-3",
     {1, 1, 1, 2, 1},
     {2, 3},
     {KIB(32), KIB(512), MIB(16)},
     {KIB(16), KIB(256), MIB(8)}},
};

static void check(const struct expectation *expect, enum sco_topology_source source)
{
    struct sco_topology *topology;
    if (sco_topology_create(&topology, source, expect->text, expect->allowed) != SCO_OK)
        fail_msg("%s: %s", expect->name, sco_error_message());
    print_message("%s\n", expect->name);
    assert_false(sco_topology_is_this_machine(topology));
    const struct sco_topology_counts counts = sco_topology_counts(topology);
    assert_int_equal(counts.packages, expect->counts.packages);
    assert_int_equal(counts.numa_nodes, expect->counts.numa_nodes);
    assert_int_equal(counts.cores, expect->counts.cores);
    assert_int_equal(counts.pus, expect->counts.pus);
    assert_int_equal(counts.kinds, expect->counts.kinds);
    for (size_t rank = 0; rank < counts.pus; rank++) {
        assert_int_equal(sco_topology_pu(topology, rank), expect->placement[rank]);
        assert_int_equal(sco_topology_pu(topology, rank + counts.pus), expect->placement[rank]);
    }
    for (unsigned level = 1; level <= SCO_CACHE_LEVELS; level++) {
        assert_int_equal(sco_topology_cache_share(topology, 0, 1, level), expect->alone[level - 1]);
        for (size_t rank = 0; rank < counts.pus && expect->full[0] != 0; rank++)
            assert_int_equal(sco_topology_cache_share(topology, rank, counts.pus, level), expect->full[level - 1]);
    }
    assert_int_equal(sco_topology_cache_share(topology, 0, 1, 0), 0);
    assert_int_equal(sco_topology_cache_share(topology, 0, 1, 4), 0);
    sco_topology_destroy(topology);
}

static void test_synthetic(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++)
        check(&machines[i], SCO_TOPOLOGY_SYNTHETIC);
}

/* Two ranks on different cores share L3 only; a third on a core of the same complex divides it further. */
static void test_share_follows_placement(void **state)
{
    (void)state;
    struct sco_topology *topology;
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_SYNTHETIC,
                                         "l3:2(size=12MiB) l2:2(size=512KiB) l1d:1(size=32KiB) core:1 pu:1", NULL),
                     SCO_OK);
    assert_int_equal(sco_topology_cache_share(topology, 0, 2, 3), MIB(6));
    assert_int_equal(sco_topology_cache_share(topology, 0, 3, 3), MIB(6));
    assert_int_equal(sco_topology_cache_share(topology, 2, 3, 3), MIB(12));
    assert_int_equal(sco_topology_cache_share(topology, 0, 8, 1), KIB(16)); /* oversubscribed twice */
    struct sco_cache_budget budget = sco_cache_budget_team(topology, 3);
    assert_int_equal(budget.l1, KIB(32));
    assert_int_equal(budget.l2, KIB(512));
    assert_int_equal(budget.l3, MIB(6));
    budget = sco_cache_budget_rank(topology, 2, 3);
    assert_int_equal(budget.l3, MIB(12));
    sco_topology_destroy(topology);

    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_SYNTHETIC, "core:2 pu:1", NULL), SCO_OK);
    budget = sco_cache_budget_team(topology, 2);
    assert_int_equal(budget.l1, KIB(32));
    assert_int_equal(budget.l2, KIB(256));
    assert_int_equal(budget.l3, 0);
    sco_topology_destroy(topology);
}

/* hybrid.xml: two fast cores of two threads, four frugal cores that share one L2. Ranks go to fast cores, then to frugal
 * ones, then to second hardware threads; each kind has its own caches. */
static void test_hybrid(void **state)
{
    (void)state;
    static const unsigned placement[] = {0, 2, 4, 5, 6, 7, 1, 3};
    struct sco_topology *topology;
    setenv("HWLOC_XMLFILE", SCO_TEST_DIR "/topology/hybrid.xml", 1);
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_MACHINE, NULL, NULL), SCO_OK);
    unsetenv("HWLOC_XMLFILE");
    assert_false(sco_topology_is_this_machine(topology));
    assert_int_equal(sco_topology_counts(topology).kinds, 2);
    for (size_t rank = 0; rank < 8; rank++) {
        assert_int_equal(sco_topology_pu(topology, rank), placement[rank]);
        assert_int_equal(sco_topology_rank_kind(topology, rank), rank >= 2 && rank < 6);
    }
    const struct sco_cpu_kind fast = sco_topology_kind(topology, 0), frugal = sco_topology_kind(topology, 1);
    assert_int_equal(fast.cores, 2);
    assert_int_equal(fast.pus, 4);
    assert_int_equal(fast.cache[0].bytes, KIB(48));
    assert_int_equal(fast.cache[1].bytes, KIB(1280));
    assert_int_equal(fast.cache[1].pus, 2);
    assert_int_equal(frugal.cores, 4);
    assert_int_equal(frugal.pus, 4);
    assert_int_equal(frugal.cache[0].bytes, KIB(32));
    assert_int_equal(frugal.cache[1].bytes, MIB(2));
    assert_int_equal(frugal.cache[1].pus, 4);
    assert_int_equal(frugal.cache[2].pus, 8);
    assert_int_equal(sco_cache_budget_rank(topology, 0, 6).l2, KIB(1280));
    assert_int_equal(sco_cache_budget_rank(topology, 2, 6).l2, KIB(512));

    char text[1024], small[16];
    const size_t need = sco_topology_describe(topology, text, sizeof text);
    assert_int_equal(need, strlen(text) + 1);
    assert_non_null(strstr(text, "not this machine"));
    assert_non_null(strstr(text, "6 cores, 8 allowed CPUs"));
    assert_non_null(
        strstr(text, "kind 1: 4 cores, 4 CPUs: L1 32 KiB, L2 2 MiB shared by 4 CPUs, L3 12 MiB shared by 8"));
    assert_int_equal(sco_topology_describe(topology, small, sizeof small), need);
    assert_int_equal(strlen(small), sizeof small - 1);
    sco_topology_destroy(topology);

    /* Without its fast cores it is a machine of one kind, numbered 0. */
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_XML, SCO_TEST_DIR "/topology/hybrid.xml", "5-6"),
                     SCO_OK);
    assert_int_equal(sco_topology_counts(topology).kinds, 1);
    assert_int_equal(sco_topology_rank_kind(topology, 1), 0);
    assert_int_equal(sco_topology_kind(topology, 0).cache[1].pus, 2);
    sco_topology_destroy(topology);
}

static void test_refused(void **state)
{
    (void)state;
    struct sco_topology *topology = NULL;
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_SYNTHETIC, NULL, NULL), SCO_INVALID);
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_SYNTHETIC, "toaster:2", NULL), SCO_INVALID);
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_SYNTHETIC, "core:4 pu:1", "7-9"), SCO_INVALID);
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_SYNTHETIC, "core:4 pu:1", "first"), SCO_INVALID);
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_XML, "/nonexistent.xml", NULL), SCO_IO);
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_XML, SCO_TEST_DIR "/test_topology.c", NULL),
                     SCO_INVALID);
    assert_null(topology);
}

static void test_this_machine(void **state)
{
    (void)state;
    struct sco_topology *topology;
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_MACHINE, NULL, NULL), SCO_OK);
    assert_true(sco_topology_is_this_machine(topology));
    char text[1024];
    sco_topology_describe(topology, text, sizeof text);
    print_message("%s", text);
    sco_topology_destroy(topology);
}

int main(void)
{
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_XMLFILE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_synthetic),    cmocka_unit_test(test_share_follows_placement),
        cmocka_unit_test(test_hybrid),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

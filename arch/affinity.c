/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/affinity.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "arch/fail.h"

static _Thread_local struct {
    size_t holds;
    hwloc_bitmap_t set;
} held;

int sco_affinity_get(hwloc_topology_t topology, hwloc_bitmap_t set)
{
    if (held.holds > 0)
        return hwloc_bitmap_copy(set, held.set);
    return hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_THREAD);
}

size_t sco_affinity_count(void)
{
    if (held.holds > 0)
        return (size_t)hwloc_bitmap_weight(held.set);
    /* The kernel refuses a set smaller than its own, whose size it does not tell. */
    for (size_t cpus = 1024; cpus <= (size_t)1 << 20; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (set == NULL)
            return 1;
        const size_t bytes = CPU_ALLOC_SIZE(cpus);
        const int failed = sched_getaffinity(0, bytes, set);
        const int count = failed ? 0 : CPU_COUNT_S(bytes, set);
        CPU_FREE(set);
        if (count > 0)
            return (size_t)count;
    }
    return 1;
}

enum sco_status sco_affinity_bind(hwloc_topology_t topology, unsigned pu)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc(), got = hwloc_bitmap_alloc();
    enum sco_status status = SCO_OK;
    if (set == NULL || got == NULL) {
        status = sco_fail(SCO_NOMEM, "team: no memory for an affinity set");
        goto done;
    }
    hwloc_bitmap_only(set, pu);
    if (hwloc_set_cpubind(topology, set, HWLOC_CPUBIND_THREAD | HWLOC_CPUBIND_STRICT) != 0)
        status = sco_fail(SCO_UNSUPPORTED, "team: cannot bind a thread to CPU %u: %s", pu, strerror(errno));
    else if (hwloc_get_cpubind(topology, got, HWLOC_CPUBIND_THREAD) != 0 || !hwloc_bitmap_isequal(set, got))
        status = sco_fail(SCO_UNSUPPORTED, "team: binding a thread to CPU %u had no effect", pu);
done:
    hwloc_bitmap_free(got);
    hwloc_bitmap_free(set);
    return status;
}

enum sco_status sco_affinity_hold(hwloc_topology_t topology)
{
    if (held.holds == 0) {
        held.set = hwloc_bitmap_alloc();
        if (held.set == NULL)
            return sco_fail(SCO_NOMEM, "team: no memory for an affinity set");
        if (hwloc_get_cpubind(topology, held.set, HWLOC_CPUBIND_THREAD) != 0) {
            hwloc_bitmap_free(held.set);
            return sco_fail(SCO_UNSUPPORTED, "team: cannot read the thread's affinity: %s", strerror(errno));
        }
    }
    held.holds++;
    return SCO_OK;
}

void sco_affinity_release(hwloc_topology_t topology)
{
    if (--held.holds > 0)
        return;
    hwloc_set_cpubind(topology, held.set, HWLOC_CPUBIND_THREAD);
    hwloc_bitmap_free(held.set);
}

void sco_affinity_pass(pthread_t thread)
{
    if (held.holds == 0)
        return;
    const int last = hwloc_bitmap_last(held.set);
    cpu_set_t *set = last < 0 ? NULL : CPU_ALLOC((size_t)last + 1);
    if (set == NULL)
        return;
    const size_t bytes = CPU_ALLOC_SIZE((size_t)last + 1);
    CPU_ZERO_S(bytes, set);
    for (int cpu = hwloc_bitmap_first(held.set); cpu >= 0; cpu = hwloc_bitmap_next(held.set, cpu))
        CPU_SET_S((size_t)cpu, bytes, set);
    pthread_setaffinity_np(thread, bytes, set);
    CPU_FREE(set);
}

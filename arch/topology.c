/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/topology.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/affinity.h"
#include "arch/fail.h"
#include "arch/text.h"

/* An allowed PU. cache[i] is its level i + 1 and instance[i] tells that cache from its peers of the same level. */
struct place {
    unsigned os_index, logical_index;
    size_t sibling; /* number among the allowed PUs of its core */
    size_t kind;
    struct sco_cache cache[SCO_CACHE_LEVELS];
    unsigned instance[SCO_CACHE_LEVELS];
};

struct sco_topology {
    hwloc_topology_t hwloc;
    struct sco_topology_counts counts;
    struct place *places; /* in order of rank */
    char origin[256];
};

static enum sco_status load(struct sco_topology *topology, enum sco_topology_source source, const char *text)
{
    const char *variable = "";
    if (source == SCO_TOPOLOGY_MACHINE) {
        /* hwloc would read its variables itself, and on a description that it cannot use fall back to this machine
         * without a word. */
        const char *xml = getenv("HWLOC_XMLFILE"), *synthetic = getenv("HWLOC_SYNTHETIC");
        if (xml != NULL && xml[0] != '\0') {
            source = SCO_TOPOLOGY_XML, text = xml, variable = "HWLOC_XMLFILE=";
        } else if (synthetic != NULL && synthetic[0] != '\0') {
            source = SCO_TOPOLOGY_SYNTHETIC, text = synthetic, variable = "HWLOC_SYNTHETIC=";
        }
    }
    if (hwloc_topology_init(&topology->hwloc) != 0)
        return sco_fail(SCO_NOMEM, "topology: no memory");

    snprintf(topology->origin, sizeof topology->origin, "this machine");
    if (source != SCO_TOPOLOGY_MACHINE)
        snprintf(topology->origin, sizeof topology->origin, "%s%s", variable, text);
    if (source == SCO_TOPOLOGY_XML) {
        if (access(text, R_OK) != 0)
            return sco_fail(SCO_IO, "topology: %s: %s", topology->origin, strerror(errno));
        if (hwloc_topology_set_xml(topology->hwloc, text) != 0)
            return sco_fail(SCO_INVALID, "topology: %s: not hwloc XML (write one with lstopo FILE.xml)",
                            topology->origin);
    } else if (source == SCO_TOPOLOGY_SYNTHETIC && hwloc_topology_set_synthetic(topology->hwloc, text) != 0) {
        return sco_fail(SCO_INVALID,
                        "topology: \"%s\": not a synthetic description (such as \"package:2 l3:1 core:4 pu:2\")",
                        topology->origin);
    }
    if (hwloc_topology_load(topology->hwloc) != 0)
        return sco_fail(SCO_INVALID, "topology: hwloc cannot load %s: %s", topology->origin, strerror(errno));
    return SCO_OK;
}

static enum sco_status allowed_set(const struct sco_topology *topology, const char *allowed, hwloc_bitmap_t set)
{
    hwloc_bitmap_copy(set, hwloc_topology_get_allowed_cpuset(topology->hwloc));
    hwloc_bitmap_t limit = hwloc_bitmap_alloc();
    if (limit == NULL)
        return sco_fail(SCO_NOMEM, "topology: no memory");
    if (hwloc_topology_is_thissystem(topology->hwloc) && sco_affinity_get(topology->hwloc, limit) == 0)
        hwloc_bitmap_and(set, set, limit);
    enum sco_status status = SCO_OK;
    if (allowed != NULL) {
        if (hwloc_bitmap_list_sscanf(limit, allowed) != 0)
            status = sco_fail(SCO_INVALID, "topology: \"%s\" is not a list of CPUs such as \"0-3,8\"", allowed);
        else
            hwloc_bitmap_and(set, set, limit);
    }
    if (status == SCO_OK && hwloc_bitmap_iszero(set))
        status = sco_fail(SCO_INVALID, "topology: no CPU of %s is allowed%s%s", topology->origin,
                          allowed != NULL ? " by " : "", allowed != NULL ? allowed : "");
    hwloc_bitmap_free(limit);
    return status;
}

static size_t count_in(hwloc_topology_t hwloc, hwloc_obj_type_t type, hwloc_const_bitmap_t set)
{
    size_t count = 0;
    for (hwloc_obj_t object = NULL; (object = hwloc_get_next_obj_by_type(hwloc, type, object)) != NULL;)
        count += (size_t)hwloc_bitmap_intersects(object->cpuset, set);
    return count;
}

static void describe_place(hwloc_topology_t hwloc, hwloc_obj_t pu, hwloc_const_bitmap_t set, struct place *place)
{
    static const hwloc_obj_type_t level[SCO_CACHE_LEVELS] = {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE};
    hwloc_bitmap_t shared = hwloc_bitmap_alloc();
    place->os_index = pu->os_index;
    place->logical_index = pu->logical_index;
    const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(hwloc, HWLOC_OBJ_CORE, pu);
    for (hwloc_obj_t peer = NULL; core != NULL && (peer = hwloc_get_next_obj_inside_cpuset_by_type(
                                                       hwloc, core->cpuset, HWLOC_OBJ_PU, peer)) != pu;)
        place->sibling += (size_t)hwloc_bitmap_isset(set, peer->os_index);

    /* hwloc ranks kinds from the most frugal to the fastest. A PU of no kind, or a machine without kinds, is kind 0. */
    const int kinds = hwloc_cpukinds_get_nr(hwloc, 0), kind = hwloc_cpukinds_get_by_cpuset(hwloc, pu->cpuset, 0);
    place->kind = kinds > 0 && kind >= 0 ? (size_t)(kinds - 1 - kind) : 0;

    for (size_t i = 0; i < SCO_CACHE_LEVELS; i++) {
        const hwloc_obj_t cache = hwloc_get_ancestor_obj_by_type(hwloc, level[i], pu);
        if (cache == NULL)
            continue;
        hwloc_bitmap_and(shared, cache->cpuset, set);
        place->cache[i].bytes = (size_t)cache->attr->cache.size;
        place->cache[i].line_bytes = cache->attr->cache.linesize;
        place->cache[i].pus = (size_t)hwloc_bitmap_weight(shared);
        place->instance[i] = cache->logical_index;
    }
    hwloc_bitmap_free(shared);
}

static int by_rank(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->sibling != y->sibling)
        return x->sibling < y->sibling ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return (x->logical_index > y->logical_index) - (x->logical_index < y->logical_index);
}

/* Numbers the kinds that are left from 0, keeping their order: a restriction may have taken some away. */
static size_t renumber_kinds(struct place *places, size_t count)
{
    size_t kinds = 0;
    for (size_t done = 0; done < count; kinds++) {
        size_t lowest = SIZE_MAX;
        for (size_t i = 0; i < count; i++)
            if (places[i].kind >= kinds && places[i].kind < lowest)
                lowest = places[i].kind;
        for (size_t i = 0; i < count; i++)
            if (places[i].kind == lowest)
                places[i].kind = kinds, done++;
    }
    return kinds;
}

static enum sco_status place_ranks(struct sco_topology *topology, const char *allowed)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set == NULL)
        return sco_fail(SCO_NOMEM, "topology: no memory");
    enum sco_status status = allowed_set(topology, allowed, set);
    if (status != SCO_OK)
        goto done;
    struct sco_topology_counts *counts = &topology->counts;
    counts->pus = count_in(topology->hwloc, HWLOC_OBJ_PU, set);
    topology->places = calloc(counts->pus, sizeof *topology->places);
    if (topology->places == NULL) {
        status = sco_fail(SCO_NOMEM, "topology: no memory for %zu CPUs", counts->pus);
        goto done;
    }
    size_t i = 0;
    for (hwloc_obj_t pu = NULL;
         (pu = hwloc_get_next_obj_inside_cpuset_by_type(topology->hwloc, set, HWLOC_OBJ_PU, pu)) != NULL; i++) {
        describe_place(topology->hwloc, pu, set, &topology->places[i]);
        counts->cores += topology->places[i].sibling == 0;
    }
    counts->kinds = renumber_kinds(topology->places, counts->pus);
    qsort(topology->places, counts->pus, sizeof *topology->places, by_rank);
    counts->packages = count_in(topology->hwloc, HWLOC_OBJ_PACKAGE, set);
    if (counts->packages == 0) /* virtual machines may show cores and no package */
        counts->packages = 1;
    counts->numa_nodes = count_in(topology->hwloc, HWLOC_OBJ_NUMANODE, set);
done:
    hwloc_bitmap_free(set);
    return status;
}

enum sco_status sco_topology_create(struct sco_topology **topology, enum sco_topology_source source, const char *text,
                                    const char *allowed)
{
    if (source != SCO_TOPOLOGY_MACHINE && text == NULL)
        return sco_fail(SCO_INVALID, "topology: this source needs a text");
    struct sco_topology *made = calloc(1, sizeof *made);
    if (made == NULL)
        return sco_fail(SCO_NOMEM, "topology: no memory");
    enum sco_status status = load(made, source, text);
    if (status == SCO_OK)
        status = place_ranks(made, allowed);
    if (status == SCO_OK)
        *topology = made;
    else
        sco_topology_destroy(made);
    return status;
}

void sco_topology_destroy(struct sco_topology *topology)
{
    if (topology == NULL)
        return;
    if (topology->hwloc != NULL)
        hwloc_topology_destroy(topology->hwloc);
    free(topology->places);
    free(topology);
}

hwloc_topology_t sco_topology_hwloc(const struct sco_topology *topology)
{
    return topology->hwloc;
}

const char *sco_topology_origin(const struct sco_topology *topology)
{
    return topology->origin;
}

int sco_topology_is_this_machine(const struct sco_topology *topology)
{
    return hwloc_topology_is_thissystem(topology->hwloc);
}

struct sco_topology_counts sco_topology_counts(const struct sco_topology *topology)
{
    return topology->counts;
}

struct sco_cpu_kind sco_topology_kind(const struct sco_topology *topology, size_t kind)
{
    struct sco_cpu_kind result = {0};
    for (size_t i = 0; i < topology->counts.pus; i++) {
        const struct place *place = &topology->places[i];
        if (place->kind != kind)
            continue;
        for (size_t j = 0; j < SCO_CACHE_LEVELS; j++)
            if (result.pus == 0 || place->cache[j].bytes < result.cache[j].bytes)
                result.cache[j] = place->cache[j];
        result.pus++;
        result.cores += place->sibling == 0;
    }
    return result;
}

unsigned sco_topology_pu(const struct sco_topology *topology, size_t rank)
{
    return topology->places[rank % topology->counts.pus].os_index;
}

size_t sco_topology_rank_kind(const struct sco_topology *topology, size_t rank)
{
    return topology->places[rank % topology->counts.pus].kind;
}

size_t sco_topology_cache_share(const struct sco_topology *topology, size_t rank, size_t size, unsigned level)
{
    if (level < 1 || level > SCO_CACHE_LEVELS)
        return 0;
    const size_t i = level - 1, pus = topology->counts.pus;
    const struct place *mine = &topology->places[rank % pus];
    if (mine->cache[i].bytes == 0)
        return 0;
    size_t sharers = 0;
    for (size_t r = 0; r < size; r++) {
        const struct place *other = &topology->places[r % pus];
        sharers += other->cache[i].bytes != 0 && other->instance[i] == mine->instance[i];
    }
    return mine->cache[i].bytes / (sharers > 0 ? sharers : 1);
}

static void add_bytes(struct sco_text *text, size_t bytes)
{
    if (bytes >= (size_t)1 << 20)
        sco_text_add(text, "%.4g MiB", (double)bytes / (1 << 20));
    else
        sco_text_add(text, "%.4g KiB", (double)bytes / (1 << 10));
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

size_t sco_topology_describe(const struct sco_topology *topology, char *buffer, size_t bytes)
{
    struct sco_text text = {buffer, bytes, 0};
    const struct sco_topology_counts n = topology->counts;
    sco_text_add(&text, "%s%s: %zu package%s, %zu NUMA node%s, %zu core%s, %zu allowed CPU%s\n", topology->origin,
                 sco_topology_is_this_machine(topology) ? "" : " (not this machine: threads cannot be bound)",
                 n.packages, plural(n.packages), n.numa_nodes, plural(n.numa_nodes), n.cores, plural(n.cores), n.pus,
                 plural(n.pus));
    for (size_t k = 0; k < n.kinds; k++) {
        const struct sco_cpu_kind kind = sco_topology_kind(topology, k);
        if (n.kinds > 1)
            sco_text_add(&text, "kind %zu: %zu core%s, %zu CPU%s: ", k, kind.cores, plural(kind.cores), kind.pus,
                         plural(kind.pus));
        for (size_t i = 0; i < SCO_CACHE_LEVELS; i++) {
            sco_text_add(&text, "%sL%zu ", i ? ", " : "", i + 1);
            if (kind.cache[i].bytes == 0)
                sco_text_add(&text, "none or unknown");
            else
                add_bytes(&text, kind.cache[i].bytes);
            if (kind.cache[i].pus > 1)
                sco_text_add(&text, " shared by %zu CPUs", kind.cache[i].pus);
        }
        sco_text_add(&text, "\n");
    }
    return text.used + 1;
}

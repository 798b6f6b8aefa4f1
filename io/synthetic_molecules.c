/* SPDX-License-Identifier: Apache-2.0
 * Molecules: random trees of atoms with a few rings, in OGB's features (of its 9 and 3, those that a drawing of the
 * molecule shows: element, degree, hydrogens, hybridisation, ring; kind of bond). A task is a weighing of the
 * composition above a threshold, known for three in five molecules. */
#include <math.h>
#include <stdlib.h>

#include "arch/fail.h"
#include "io/molecule_pack.h"
#include "io/synthetic.h"

enum {
    TASKS = 128,
    LEAST_NODES = 6,
    SPREAD = 11, /* four times 0 .. 10 on top: 26 on average */
    MOST_NODES = LEAST_NODES + 4 * (SPREAD - 1),
    MOST_RINGS = 6,
    MOST_BONDS = MOST_NODES - 1 + MOST_RINGS,
    MOST_DEGREE = 4,
    TRAITS = 8,
    PROBES = 1024
};

struct molecule {
    size_t nodes, bonds;
    uint8_t parent[MOST_NODES], degree[MOST_NODES], ring[MOST_NODES], element[MOST_NODES];
    uint8_t begin[MOST_BONDS], end[MOST_BONDS], aromatic[MOST_BONDS];
    uint64_t random;
};

struct molecules {
    struct sco_synthetic made;
    struct sco_molecule_counts bounds;
    float weight[TASKS][TRAITS], threshold[TASKS];
    uint64_t next; /* place in the stream of the first molecule of the next batch */
};

/* A batch: where it starts, and its molecules. */
struct packing {
    uint64_t first;
    size_t graphs;
    struct sco_molecule_pack pack;
};

/* ---- Molecules --------------------------------------------------------------------------------------------------- */

static void grow_tree(struct molecule *m)
{
    m->nodes = LEAST_NODES;
    for (uint64_t i = 0; i < 4; i++)
        m->nodes += sco_random_below(m->random, i, SPREAD);
    const uint64_t parents = sco_random_stream(m->random, 1);
    for (size_t i = 1; i < m->nodes; i++) {
        /* One of the last three, so that chains branch, or the next with room: node i - 1 is a leaf and has. */
        size_t parent = i - 1 - sco_random_below(parents, i, i < 3 ? i : 3);
        while (m->degree[parent] >= MOST_DEGREE - 1)
            parent++;
        m->parent[i] = (uint8_t)parent;
        m->begin[m->bonds] = (uint8_t)parent;
        m->end[m->bonds++] = (uint8_t)i;
        m->degree[parent]++;
        m->degree[i]++;
    }
}

/* Rings of five or six: a bond to an ancestor that far up, where neither is full. */
static void close_rings(struct molecule *m)
{
    const uint64_t places = sco_random_stream(m->random, 2);
    for (uint64_t ring = 0; ring < MOST_RINGS; ring++) {
        const size_t low = sco_random_below(places, 2 * ring, m->nodes);
        const uint64_t size = 5 + (sco_random_uniform(places, 2 * ring + 1) < 0.75);
        size_t high = low, taken = m->ring[low];
        for (uint64_t up = 1; up < size; up++) {
            high = m->parent[high]; /* of the root: itself */
            taken |= m->ring[high];
        }
        if (high == 0 || taken || m->degree[low] >= MOST_DEGREE || m->degree[high] >= MOST_DEGREE)
            continue;
        for (size_t i = low; i != high; i = m->parent[i]) {
            m->ring[i] = 1;
            m->aromatic[i - 1] = 1; /* bond i - 1 leads up from node i */
        }
        m->ring[high] = 1;
        m->begin[m->bonds] = (uint8_t)high;
        m->end[m->bonds] = (uint8_t)low;
        m->aromatic[m->bonds++] = 1;
        m->degree[low]++;
        m->degree[high]++;
    }
}

/* OGB counts elements from hydrogen = 0. */
enum { CARBON = 5, NITROGEN = 6, OXYGEN = 7, FLUORINE = 8, SULFUR = 15, CHLORINE = 16 };

static void choose_elements(struct molecule *m)
{
    const uint64_t elements = sco_random_stream(m->random, 3);
    /* Molecules differ in how much of the others they hold. */
    const double others = 0.1 + 0.5 * sco_random_uniform(m->random, 4);
    for (size_t i = 0; i < m->nodes; i++) {
        const double u = sco_random_uniform(elements, i) / others;
        m->element[i] = CARBON;
        if (m->degree[i] == 1)
            m->element[i] = u < 0.5 ? OXYGEN : u < 0.7 ? NITROGEN : u < 0.85 ? FLUORINE : u < 1.0 ? CHLORINE : CARBON;
        else if (m->degree[i] == 2)
            m->element[i] = u < 0.4 ? NITROGEN : u < 0.7 ? OXYGEN : u < 0.8 ? SULFUR : CARBON;
        else if (m->degree[i] == 3)
            m->element[i] = u < 0.3 ? NITROGEN : CARBON;
    }
}

static void make(struct molecule *m, uint64_t sample)
{
    *m = (struct molecule){.random = sample};
    grow_tree(m);
    close_rings(m);
    choose_elements(m);
}

/* What tasks weigh: how common elements, rings and forks are, and the size. */
static void count_traits(const struct molecule *m, float traits[TRAITS])
{
    size_t counts[TRAITS - 1] = {0};
    for (size_t i = 0; i < m->nodes; i++) {
        counts[0] += m->element[i] == NITROGEN;
        counts[1] += m->element[i] == OXYGEN;
        counts[2] += m->element[i] == FLUORINE;
        counts[3] += m->element[i] == CHLORINE;
        counts[4] += m->element[i] == SULFUR;
        counts[5] += m->ring[i];
        counts[6] += m->degree[i] > 2;
    }
    for (size_t k = 0; k < TRAITS - 1; k++)
        traits[k] = 4.0f * (float)counts[k] / (float)m->nodes;
    traits[TRAITS - 1] = (float)m->nodes / (float)MOST_NODES;
}

static float score(const struct molecules *molecules, const struct molecule *m, const float traits[TRAITS], size_t task)
{
    float sum = 0.15f * sco_synthetic_bell(sco_random_stream(m->random, 5), task);
    for (size_t k = 0; k < TRAITS; k++)
        sum += molecules->weight[task][k] * traits[k];
    return sum;
}

static void write_molecule(const struct molecules *molecules, const struct molecule *m, struct sco_molecule_room room)
{
    static const uint8_t valence[] = {
        [CARBON] = 4, [NITROGEN] = 3, [OXYGEN] = 2, [FLUORINE] = 1, [SULFUR] = 2, [CHLORINE] = 1};
    enum { NEUTRAL = 5, SP2 = 1, SP3 = 2, SINGLE = 0, AROMATIC = 3 };
    for (size_t i = 0; i < m->nodes; i++) {
        const unsigned used = m->degree[i] + m->ring[i], most = valence[m->element[i]];
        const float features[SCO_ATOM_FEATURES] = {
            m->element[i],          0,          m->degree[i], NEUTRAL, (float)(most > used ? most - used : 0), 0,
            m->ring[i] ? SP2 : SP3, m->ring[i], m->ring[i]};
        for (size_t k = 0; k < SCO_ATOM_FEATURES; k++)
            room.node[SCO_ATOM_FEATURES * i + k] = features[k];
    }
    for (size_t i = 0; i < m->bonds; i++) {
        room.begin[i] = m->begin[i];
        room.end[i] = m->end[i];
        room.edge[SCO_BOND_FEATURES * i] = m->aromatic[i] ? AROMATIC : SINGLE;
        room.edge[SCO_BOND_FEATURES * i + 1] = 0;
        room.edge[SCO_BOND_FEATURES * i + 2] = m->aromatic[i];
    }
    const uint64_t known = sco_random_stream(m->random, 6);
    float traits[TRAITS];
    count_traits(m, traits);
    for (size_t task = 0; task < TASKS; task++)
        room.label[task] = sco_random_uniform(known, task) < 0.4
                               ? NAN
                               : (float)(score(molecules, m, traits, task) > molecules->threshold[task]);
}

/* ---- The source -------------------------------------------------------------------------------------------------- */

/* Weights, and thresholds that make one to six in a hundred molecules positive. */
static enum sco_status choose_tasks(struct molecules *molecules)
{
    const uint64_t world = molecules->made.world, probes = sco_random_stream(world, 1000);
    struct molecule *probe = calloc(PROBES, sizeof *probe);
    float *scores = calloc(PROBES, sizeof *scores), (*traits)[TRAITS] = calloc(PROBES, sizeof *traits);
    enum sco_status status = SCO_OK;
    if (probe == NULL || scores == NULL || traits == NULL) {
        status = sco_fail(SCO_NOMEM, "no memory for made-up molecules");
        goto out;
    }
    for (size_t i = 0; i < PROBES; i++) {
        make(&probe[i], sco_random_stream(probes, i));
        count_traits(&probe[i], traits[i]);
    }
    for (size_t task = 0; task < TASKS; task++) {
        for (size_t k = 0; k < TRAITS; k++)
            molecules->weight[task][k] = sco_synthetic_even(sco_random_stream(world, 1001), TRAITS * task + k);
        for (size_t i = 0; i < PROBES; i++)
            scores[i] = score(molecules, &probe[i], traits[i], task);
        const double share = 0.01 + 0.05 * sco_random_uniform(sco_random_stream(world, 1002), task);
        molecules->threshold[task] = sco_synthetic_threshold(scores, PROBES, share);
    }
out:
    free(probe);
    free(scores);
    free(traits);
    return status;
}

static enum sco_status open_molecules(void **source, const struct sco_dataset_options *options,
                                      struct sco_dataset_facts *facts)
{
    struct molecules *molecules = calloc(1, sizeof *molecules);
    if (molecules == NULL)
        return sco_fail(SCO_NOMEM, "no memory for made-up molecules");
    sco_synthetic_begin(&molecules->made, options, 65536, 4096, facts);
    enum sco_status status = sco_molecule_bounds(options->batch, MOST_NODES, MOST_BONDS, &molecules->bounds);
    if (status == SCO_OK)
        status = choose_tasks(molecules);
    if (status != SCO_OK) {
        free(molecules);
        return status;
    }
    facts->max_nodes = molecules->bounds.nodes;
    facts->max_edges = molecules->bounds.edges;
    facts->classes = TASKS;
    facts->memory_bytes = sizeof *molecules;
    *source = molecules;
    return SCO_OK;
}

static void slot_destroy(void *source, void *slot)
{
    struct packing *packing = slot;
    (void)source;
    if (packing == NULL)
        return;
    sco_molecule_pack_destroy(&packing->pack);
    free(packing);
}

static enum sco_status slot_create(void *source, void **slot, size_t *bytes)
{
    const struct molecules *molecules = source;
    struct packing *packing = calloc(1, sizeof *packing);
    if (packing == NULL)
        return sco_fail(SCO_NOMEM, "no memory for a batch of molecules");
    const enum sco_status status = sco_molecule_pack_create(&packing->pack, &molecules->bounds, TASKS, bytes);
    if (status != SCO_OK) {
        free(packing);
        return status;
    }
    *slot = packing;
    return SCO_OK;
}

/* Molecules that go into the batch whose first one is at place i of the stream. */
static size_t count_graphs(const struct molecules *molecules, uint64_t i)
{
    struct sco_molecule_counts counts = {0};
    struct molecule m;
    for (; molecules->made.endless || i < molecules->made.samples; i++) {
        make(&m, sco_synthetic_sample(&molecules->made, i));
        if (!sco_molecule_fits(&molecules->bounds, &counts, m.nodes, m.bonds))
            break;
    }
    return counts.graphs;
}

static enum sco_status seek(void *source, uint64_t position)
{
    struct molecules *molecules = source;
    molecules->next = 0;
    for (uint64_t p = 0; p < position; p++) {
        const size_t graphs = count_graphs(molecules, molecules->next);
        if (graphs == 0)
            break;
        molecules->next += graphs;
    }
    return SCO_OK;
}

static enum sco_status fetch(void *source, uint64_t position, void *slot, struct sco_skips *skips, bool *end)
{
    struct molecules *molecules = source;
    struct packing *packing = slot;
    (void)position;
    (void)skips;
    packing->first = molecules->next;
    packing->graphs = count_graphs(molecules, molecules->next);
    molecules->next += packing->graphs;
    *end = packing->graphs == 0;
    return SCO_OK;
}

static enum sco_status fill(void *source, uint64_t position, void *slot, struct sco_skips *skips,
                            struct sco_batch *batch)
{
    const struct molecules *molecules = source;
    struct packing *packing = slot;
    struct molecule m;
    (void)position;
    (void)skips;
    sco_molecule_pack_clear(&packing->pack);
    for (size_t g = 0; g < packing->graphs; g++) {
        make(&m, sco_synthetic_sample(&molecules->made, packing->first + g));
        write_molecule(molecules, &m, sco_molecule_open(&packing->pack, m.nodes, m.bonds));
        const enum sco_status status = sco_molecule_seal(&packing->pack);
        if (status != SCO_OK)
            return status;
    }
    sco_molecule_pack_batch(&packing->pack, batch);
    return SCO_OK;
}

const struct sco_source_type sco_synthetic_molecules = {
    .open = open_molecules,
    .close = free,
    .slot_create = slot_create,
    .slot_destroy = slot_destroy,
    .seek = seek,
    .fetch = fetch,
    .fill = fill,
};

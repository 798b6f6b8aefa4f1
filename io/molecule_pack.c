/* SPDX-License-Identifier: Apache-2.0 */
#include "io/molecule_pack.h"

#include <assert.h>
#include <string.h>

#include "arch/fail.h"
#include "stepcost/memory.h"

enum { AVERAGE_NODES = 26, AVERAGE_EDGES = 56 };

enum sco_status sco_molecule_bounds(size_t batch, size_t most_nodes, size_t most_bonds,
                                    struct sco_molecule_counts *bounds)
{
    const size_t limit = (size_t)INT32_MAX / SCO_ATOM_FEATURES;
    if (batch > limit / AVERAGE_EDGES)
        return sco_fail(SCO_INVALID, "a batch of %zu molecules is too large; possible: 1 to %zu", batch,
                        limit / AVERAGE_EDGES);
    if (most_nodes > limit || most_bonds > limit / 2)
        return sco_fail(SCO_INVALID, "a molecule of %zu atoms and %zu bonds is too large; possible: %zu and %zu",
                        most_nodes, most_bonds, limit, limit / 2);
    *bounds = (struct sco_molecule_counts){AVERAGE_NODES * batch, AVERAGE_EDGES * batch, batch};
    if (bounds->nodes < most_nodes)
        bounds->nodes = most_nodes;
    if (bounds->edges < 2 * most_bonds)
        bounds->edges = 2 * most_bonds;
    return SCO_OK;
}

bool sco_molecule_fits(const struct sco_molecule_counts *bounds, struct sco_molecule_counts *counts, size_t nodes,
                       size_t bonds)
{
    if (counts->graphs == bounds->graphs || nodes > bounds->nodes - counts->nodes ||
        bonds > (bounds->edges - counts->edges) / 2)
        return false;
    counts->nodes += nodes;
    counts->edges += 2 * bonds;
    counts->graphs++;
    return true;
}

enum sco_status sco_molecule_pack_create(struct sco_molecule_pack *pack, const struct sco_molecule_counts *bounds,
                                         size_t tasks, size_t *bytes)
{
    *pack = (struct sco_molecule_pack){.bounds = *bounds, .tasks = tasks};
    const size_t nodes = bounds->nodes, edges = bounds->edges, graphs = bounds->graphs;
    /* Bounds come from sco_molecule_bounds(): these sums cannot overflow, the product of labels could. */
    size_t words = SCO_ATOM_FEATURES * nodes + (SCO_BOND_FEATURES + 2) * edges + 2 * graphs, labels, size;
    if (__builtin_mul_overflow(graphs, tasks, &labels) || __builtin_add_overflow(words, labels, &words) ||
        __builtin_mul_overflow(words, sizeof(float), &size))
        return sco_fail(SCO_NOMEM, "%zu labels of %zu tasks cannot be addressed", graphs, tasks);
    float *at = sco_alloc(size);
    if (at == NULL)
        return sco_fail(SCO_NOMEM, "memory for a batch of molecules was refused: %zu bytes", size);
    pack->memory = at;
    pack->node = at, at += SCO_ATOM_FEATURES * nodes;
    pack->edge = at, at += SCO_BOND_FEATURES * edges;
    pack->label = at, at += labels;
    int32_t *index = (int32_t *)(void *)at;
    pack->senders = index, index += edges;
    pack->receivers = index, index += edges;
    pack->n_node = index, index += graphs;
    pack->n_edge = index;
    *bytes += size;
    return SCO_OK;
}

void sco_molecule_pack_destroy(struct sco_molecule_pack *pack)
{
    sco_free(pack->memory);
    *pack = (struct sco_molecule_pack){0};
}

void sco_molecule_pack_clear(struct sco_molecule_pack *pack)
{
    pack->counts = (struct sco_molecule_counts){0};
    pack->open_nodes = pack->open_bonds = 0;
}

struct sco_molecule_room sco_molecule_open(struct sco_molecule_pack *pack, size_t nodes, size_t bonds)
{
    const struct sco_molecule_counts *counts = &pack->counts;
    assert(counts->graphs < pack->bounds.graphs && nodes <= pack->bounds.nodes - counts->nodes &&
           bonds <= (pack->bounds.edges - counts->edges) / 2);
    pack->open_nodes = nodes;
    pack->open_bonds = bonds;
    return (struct sco_molecule_room){
        .node = pack->node + SCO_ATOM_FEATURES * counts->nodes,
        .edge = pack->edge + SCO_BOND_FEATURES * counts->edges,
        .begin = pack->senders + counts->edges,
        .end = pack->receivers + counts->edges,
        .label = pack->label + pack->tasks * counts->graphs,
    };
}

enum sco_status sco_molecule_seal(struct sco_molecule_pack *pack)
{
    struct sco_molecule_counts *counts = &pack->counts;
    const size_t nodes = pack->open_nodes, bonds = pack->open_bonds;
    int32_t *senders = pack->senders + counts->edges, *receivers = pack->receivers + counts->edges;
    float *edge = pack->edge + SCO_BOND_FEATURES * counts->edges;
    const int32_t first = (int32_t)counts->nodes;

    for (size_t i = 0; i < bonds; i++)
        if (senders[i] < 0 || (size_t)senders[i] >= nodes || receivers[i] < 0 || (size_t)receivers[i] >= nodes)
            return sco_fail(SCO_FORMAT, "bond %zu: joins nodes %d and %d of a molecule of %zu nodes (from 0)", i,
                            (int)senders[i], (int)receivers[i], nodes);
    for (size_t i = 0; i < bonds; i++) {
        senders[i] += first;
        receivers[i] += first;
        senders[bonds + i] = receivers[i];
        receivers[bonds + i] = senders[i];
    }
    if (bonds > 0)
        memcpy(edge + SCO_BOND_FEATURES * bonds, edge, SCO_BOND_FEATURES * bonds * sizeof *edge);
    pack->n_node[counts->graphs] = (int32_t)nodes;
    pack->n_edge[counts->graphs] = (int32_t)(2 * bonds);
    counts->nodes += nodes;
    counts->edges += 2 * bonds;
    counts->graphs++;
    pack->open_nodes = pack->open_bonds = 0;
    return SCO_OK;
}

void sco_molecule_pack_batch(const struct sco_molecule_pack *pack, struct sco_batch *batch)
{
    batch->samples = pack->counts.graphs;
    batch->molecules = (struct sco_molecules){
        .nodes = pack->counts.nodes,
        .edges = pack->counts.edges,
        .graphs = pack->counts.graphs,
        .tasks = pack->tasks,
        .node = pack->node,
        .edge = pack->edge,
        .senders = pack->senders,
        .receivers = pack->receivers,
        .n_node = pack->n_node,
        .n_edge = pack->n_edge,
        .label = pack->label,
    };
}

/* SPDX-License-Identifier: Apache-2.0
 * Molecules packed into one graph by AlgoPerf's dynamic batching: the next molecule goes into the batch while nodes,
 * edges and graphs stay within bounds, and opens the following batch otherwise. */
#ifndef SCO_IO_MOLECULE_PACK_H
#define SCO_IO_MOLECULE_PACK_H

#include <stdbool.h>

#include "stepcost/dataset.h"

enum { SCO_ATOM_FEATURES = 9, SCO_BOND_FEATURES = 3 };

/* Counts of a batch, or the most of each. edges are directed: two a bond. */
struct sco_molecule_counts {
    size_t nodes, edges, graphs;
};

/* Bounds of a batch of average molecules: 26 nodes and 56 edges each. Where a molecule of most_nodes and
 * most_bonds would be above them, as in batches of a few, they are raised to hold it; 0 leaves them.
 * Errors    SCO_INVALID: indices of such a batch would not fit 32 bits. */
enum sco_status sco_molecule_bounds(size_t batch, size_t most_nodes, size_t most_bonds,
                                    struct sco_molecule_counts *bounds);

/* Adds a molecule to counts, or says that it belongs to the next batch. The first molecule within bounds always
 * fits. */
bool sco_molecule_fits(const struct sco_molecule_counts *bounds, struct sco_molecule_counts *counts, size_t nodes,
                       size_t bonds);

/* A batch being packed. */
struct sco_molecule_pack {
    struct sco_molecule_counts bounds, counts;
    size_t tasks, open_nodes, open_bonds;
    float *node, *edge, *label;
    int32_t *senders, *receivers, *n_node, *n_edge;
    void *memory;
};

/* Adds the memory it takes to *bytes. Errors SCO_NOMEM. */
enum sco_status sco_molecule_pack_create(struct sco_molecule_pack *pack, const struct sco_molecule_counts *bounds,
                                         size_t tasks, size_t *bytes);
void sco_molecule_pack_destroy(struct sco_molecule_pack *pack); /* of zeros: a no-op */
void sco_molecule_pack_clear(struct sco_molecule_pack *pack);

/* Where the next molecule goes: the caller writes all of it. */
struct sco_molecule_room {
    float *node;          /* [nodes][9] */
    float *edge;          /* [bonds][3] */
    int32_t *begin, *end; /* [bonds]: nodes of the molecule, from 0 */
    float *label;         /* [tasks] */
};

/* Opens a molecule, which must be within what sco_molecule_fits() granted; one that was opened and not sealed is
 * dropped. */
struct sco_molecule_room sco_molecule_open(struct sco_molecule_pack *pack, size_t nodes, size_t bonds);

/* Adds the opened molecule: its reversed edges follow all of its own, with the same features, and nodes are counted
 * from the start of the batch.
 * Errors    SCO_FORMAT: "bond I: ..." an index that is no node of the molecule, which is dropped then. */
enum sco_status sco_molecule_seal(struct sco_molecule_pack *pack);

/* Everything of batch but workload and position. */
void sco_molecule_pack_batch(const struct sco_molecule_pack *pack, struct sco_batch *batch);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A batch of graphs as its operators see it. */
#ifndef SCO_MODELS_OP_GRAPH_H
#define SCO_MODELS_OP_GRAPH_H

#include "kernels/graph/graph.h"
#include "stepcost/graph.h"

/* Edges in the order of one endpoint, ascending within a row: the argument lists of kernels/graph/graph.h. */
struct graph_list {
    uint32_t *row_ptr; /* nodes + 1 */
    uint32_t *edge;
    uint32_t *node; /* the other endpoint */
};

struct sco_graph {
    struct sco_ctx *ctx;
    const struct sco_graph_ops *ops;
    size_t max_nodes, max_edges, max_graphs;
    size_t nodes, edges, graphs;
    size_t last_level_bytes; /* of cache, of the whole team: larger outputs are streamed */
    struct graph_list end[2];
    uint32_t *endpoint[2];         /* senders and receivers, by edge */
    uint32_t *node_ptr, *edge_ptr; /* graphs + 1: nodes and edges of a graph are contiguous */
    uint32_t *graph_of_node, *graph_of_edge;
    void *memory;
};

/* First row of a list whose row_ptr[r] + r is at least cost: cuts a list where rows and entries together are cost, so that
 * isolated nodes and hubs are shared out evenly. */
size_t sco_graph_row_at(const uint32_t *row_ptr, size_t rows, size_t cost);

/* Refuses a matrix that is NULL without being empty, or too large to address. */
enum sco_status sco_graph_check(const char *name, const float *matrix, size_t rows, size_t columns);
#define SCO_GRAPH_CHECK(matrix, rows, columns)                                                                         \
    do {                                                                                                               \
        const enum sco_status checked = sco_graph_check(#matrix, matrix, rows, columns);                               \
        if (checked != SCO_OK)                                                                                         \
            return checked;                                                                                            \
    } while (0)

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Message passing over batches of graphs. */
#ifndef STEPCOST_GRAPH_H
#define STEPCOST_GRAPH_H

#include <stddef.h>

#include "stepcost/ctx.h"
#include "stepcost/dropout.h"

SCO_BEGIN_DECLS

/* Many graphs as one: edge e goes from node senders[e] to node receivers[e]. Nodes and edges of graph g follow those of
 * graph g - 1. Repeated edges, self loops, isolated nodes, graphs without nodes or edges and edges between graphs are
 * allowed; a batch padded to a fixed size has its padding in graphs of their own, like any other. */
struct sco_graph_batch {
    size_t nodes, edges, graphs;
    size_t index_bytes;          /* of all four arrays: 4 (int32_t) or 8 (int64_t) */
    const void *senders;         /* [edges] */
    const void *receivers;       /* [edges] */
    const void *n_node, *n_edge; /* [graphs]; both NULL: one graph of everything, graphs = 1 */
};

/* A batch, validated and sorted by either endpoint. Built once per batch, used by every layer and its gradient. */
struct sco_graph;

/* Reserves a graph for batches of at most so many nodes, edges and graphs; it starts empty. ctx must outlive it.
 *
 * Memory    sco_graph_bytes(), allocated here and nowhere else: 12 bytes per node, 28 per edge, 8 per graph, about.
 * Errors    SCO_SHAPE: more than 2^32 - 2 nodes, edges or graphs; SCO_NOMEM. */
SCO_API enum sco_status sco_graph_create(struct sco_graph **graph, struct sco_ctx *ctx, size_t max_nodes,
                                         size_t max_edges, size_t max_graphs);
SCO_API void sco_graph_destroy(struct sco_graph *graph); /* NULL is a no-op */

/* Bytes that sco_graph_create() allocates; SIZE_MAX when they cannot be counted. */
SCO_API size_t sco_graph_bytes(size_t max_nodes, size_t max_edges, size_t max_graphs);

/* Takes a batch: copies its indices and sorts its edges by sender and by receiver, each by a counting sort that keeps the
 * order of edges with the same endpoint. That order is the order of every sum.
 *
 * Cost      linear in nodes + edges + graphs; two threads at most.
 * Memory    none allocated; the batch's arrays may go afterwards.
 * Errors    SCO_INVALID: a NULL array, an index_bytes other than 4 and 8, an endpoint that is no node (the message names
 *           the first such edge and its value), a negative n_node or n_edge; SCO_SHAPE: larger than what the graph was
 *           created for, or n_node or n_edge do not add up to nodes or edges. The graph is empty after an error. */
SCO_API enum sco_status sco_graph_build(struct sco_graph *graph, const struct sco_graph_batch *batch);

SCO_API size_t sco_graph_nodes(const struct sco_graph *graph);
SCO_API size_t sco_graph_edges(const struct sco_graph *graph);
SCO_API size_t sco_graph_graphs(const struct sco_graph *graph);

enum sco_graph_end { SCO_GRAPH_SENDER, SCO_GRAPH_RECEIVER };

/* What the operations below share. Matrices have one row of H floats per node, edge or graph.
 *
 * Shapes    as the comments say; H from 0; sizes of 0 are no-ops (outputs without entries are zeroed).
 * Layout    row major, contiguous; 4-byte alignment required, 64 preferred. Outputs overlap nothing.
 * Numerics  f32; a sum starts at +0 and adds its edges, or nodes, in ascending order: the same bits from every row of
 *           kernels and for any team. relu(v) = v < 0 ? 0 : v, derivative 1 where v > 0 and 0 elsewhere.
 * Cost      the rows moved, each read or written once; no temporary of edges x H, no atomics. A node's sum is one thread's
 *           work, whatever its degree.
 * Threads   the context's team, cut by nodes and edges together; one call at a time.
 * Memory    none allocated.
 * Errors    SCO_INVALID: a NULL matrix that is not empty; SCO_SHAPE: H so large that a matrix cannot be addressed. */

/* y[e] = x[endpoint of e]: nodes x H to edges x H. */
SCO_API enum sco_status sco_graph_gather(const struct sco_graph *graph, enum sco_graph_end end, size_t H,
                                         const float *SCO_RESTRICT x, float *SCO_RESTRICT y);

/* y[n] = sum of x[e] over the edges with this endpoint: edges x H to nodes x H. The gradient of sco_graph_gather(). */
SCO_API enum sco_status sco_graph_sum(const struct sco_graph *graph, enum sco_graph_end end, size_t H,
                                      const float *SCO_RESTRICT x, float *SCO_RESTRICT y);

/* y[g] = sum of x over the nodes, or edges, of graph g. */
SCO_API enum sco_status sco_graph_sum_nodes(const struct sco_graph *graph, size_t H, const float *SCO_RESTRICT x,
                                            float *SCO_RESTRICT y);
SCO_API enum sco_status sco_graph_sum_edges(const struct sco_graph *graph, size_t H, const float *SCO_RESTRICT x,
                                            float *SCO_RESTRICT y);

/* Gather, message and sum in one pass: y[n] = sum over the edges e that n receives of relu(x[sender of e] + e[e]).
 *
 * Shapes    x: nodes x H; e: edges x H; y: nodes x H.
 * Source    Hu et al., "Open Graph Benchmark", NeurIPS 2020 (the message of its GIN with edge features). */
SCO_API enum sco_status sco_graph_relu_sum(const struct sco_graph *graph, size_t H, const float *SCO_RESTRICT x,
                                           const float *SCO_RESTRICT e, float *SCO_RESTRICT y);

/* Its gradient in one pass by senders, from dy: de[e] = dy[receiver of e] where the message was positive, else 0; dx[n] =
 * sum of de over the edges that n sends.
 *
 * Shapes    x, dy, dx: nodes x H; e, de: edges x H. */
SCO_API enum sco_status sco_graph_relu_sum_bwd(const struct sco_graph *graph, size_t H, const float *SCO_RESTRICT x,
                                               const float *SCO_RESTRICT e, const float *SCO_RESTRICT dy,
                                               float *SCO_RESTRICT dx, float *SCO_RESTRICT de);

/* Sparse times dense: y[n] = sum over the edges with endpoint n of weight[e] x[other endpoint], by fused multiply-adds.
 * SCO_GRAPH_RECEIVER multiplies by the weighted adjacency matrix, SCO_GRAPH_SENDER by its transpose, which is the gradient
 * with respect to x.
 *
 * Shapes    weight: edges; x, y: nodes x H. */
SCO_API enum sco_status sco_graph_spmm(const struct sco_graph *graph, enum sco_graph_end end, size_t H,
                                       const float *SCO_RESTRICT weight, const float *SCO_RESTRICT x,
                                       float *SCO_RESTRICT y);

/* Dense times dense at the edges: out[e] = a[receiver of e] . b[sender of e]. With a = dy, b = x the gradient of
 * sco_graph_spmm(..., SCO_GRAPH_RECEIVER, ...) with respect to its weights.
 *
 * Shapes    a, b: nodes x H; out: edges.
 * Numerics  sixteen partial sums by fused multiply-adds, element i in the (i mod 16)-th, folded in halves. */
SCO_API enum sco_status sco_graph_sddmm(const struct sco_graph *graph, size_t H, const float *SCO_RESTRICT a,
                                        const float *SCO_RESTRICT b, float *SCO_RESTRICT out);

/* ---- A message by a network of two layers ----------------------------------------------------------------------- */

/* y[n] = sum over the edges e that n receives of relu([x[sender], x[receiver], e] W1 + b1) W2 + b2
 *
 * [...] is a concatenation that is never made: W1 falls into three blocks of rows, nodes are multiplied by theirs before
 * they are gathered, and the second layer, being linear, multiplies sums of edges. */
struct sco_graph_mlp_shape {
    size_t node_in, edge_in, hidden, out;
};
struct sco_graph_mlp;

/* Reserves the workspace for graphs of at most max_nodes nodes. ctx must outlive it.
 *
 * Memory    sco_graph_mlp_bytes(), allocated here and nowhere else: max_nodes x hidden floats, packed weights, and about
 *           four matrices of 96 rows per thread.
 * Errors    SCO_SHAPE: sizes that cannot be addressed; SCO_NOMEM. */
SCO_API enum sco_status sco_graph_mlp_create(struct sco_graph_mlp **mlp, struct sco_ctx *ctx,
                                             const struct sco_graph_mlp_shape *shape, size_t max_nodes);
SCO_API void sco_graph_mlp_destroy(struct sco_graph_mlp *mlp); /* NULL is a no-op */
SCO_API size_t sco_graph_mlp_bytes(struct sco_ctx *ctx, const struct sco_graph_mlp_shape *shape, size_t max_nodes);

/* One message step.
 *
 * Shapes    x: nodes x node_in; e: edges x edge_in; W1: (2 node_in + edge_in) x hidden; b1: hidden; W2: hidden x out; b2:
 *           out; y: nodes x out. b1 and b2 may be NULL (zero).
 * Layout    row major, contiguous; weights are [in, out] as in Flax. Outputs overlap nothing.
 * Numerics  f32, fused multiply-adds in the order of kernels/gemm; a node's messages are added in ascending order of their
 *           edges. The same bits from every row of kernels and for any team.
 * Cost      2 nodes hidden (2 node_in + out) + 2 edges edge_in hidden flops; weights are packed in every call.
 * Threads   the context's team; one call at a time.
 * Memory    none allocated.
 * Errors    SCO_INVALID: a NULL matrix that is not empty; SCO_SHAPE: more nodes than max_nodes. */
SCO_API enum sco_status sco_graph_mlp_fwd(struct sco_graph_mlp *mlp, const struct sco_graph *graph,
                                          const float *SCO_RESTRICT x, const float *SCO_RESTRICT e, const float *W1,
                                          const float *b1, const float *W2, const float *b2, float *SCO_RESTRICT y);

/* ---- The block of a graph network ------------------------------------------------------------------------------- */

/* One step of message passing on edges E, nodes X and globals U, as the GNN of AlgoPerf has it:
 *
 *   edge e      E'[e] = MLP_edge([E[e], X[sender], X[receiver], U[graph of e]])
 *   node n      X'[n] = MLP_node([X[n], sum of E' that n sends, sum of E' that n receives, U[graph of n]])
 *   graph g     U'[g] = MLP_global([sum of X' of g, sum of E' of g, U[g]])
 *
 *   MLP(v) = relu(LayerNorm(v kernel + bias)),  LayerNorm(z) = scale (z - mean) / sqrt(variance + eps) + shift
 *
 * No concatenation is made: each kernel falls into blocks of rows, one per input, and nodes and globals are multiplied by
 * theirs before they are gathered. */
struct sco_graph_block_shape {
    size_t edge_in, node_in, global_in; /* columns of E, X, U */
    size_t hidden;                      /* of E', X', U' */
    float eps;                          /* 1e-6 in Flax */
};

/* kernel: in x hidden, row major, its rows in the order of the concatenation: edge_in + 2 node_in + global_in of them for
 * edges, node_in + 2 hidden + global_in for nodes, 2 hidden + global_in for globals. bias, scale, shift: hidden. */
struct sco_graph_layer {
    const float *kernel, *bias, *scale, *shift;
};
struct sco_graph_layer_gradient {
    float *kernel, *bias, *scale, *shift;
};
struct sco_graph_block_params {
    struct sco_graph_layer edge, node, global;
};
struct sco_graph_block_gradients {
    struct sco_graph_layer_gradient edge, node, global;
};

/* Rows per edge, node and graph. */
struct sco_graph_features {
    const float *edges, *nodes, *globals;
};
struct sco_graph_features_out {
    float *edges, *nodes, *globals;
};

struct sco_graph_block;

/* Reserves workspace for graphs of at most so many nodes, edges and graphs. ctx must outlive it.
 *
 * Memory    sco_graph_block_bytes(), allocated here and nowhere else: about 2 edges, 9 nodes and 9 graphs x hidden floats.
 * Errors    SCO_INVALID: hidden = 0, or an eps that is negative or no number; SCO_SHAPE: sizes that cannot be addressed;
 *           SCO_NOMEM. */
SCO_API enum sco_status sco_graph_block_create(struct sco_graph_block **block, struct sco_ctx *ctx,
                                               const struct sco_graph_block_shape *shape, size_t max_nodes,
                                               size_t max_edges, size_t max_graphs);
SCO_API void sco_graph_block_destroy(struct sco_graph_block *block); /* NULL is a no-op */
/* Bytes that sco_graph_block_create() allocates; SIZE_MAX when they cannot be counted. */
SCO_API size_t sco_graph_block_bytes(struct sco_ctx *ctx, const struct sco_graph_block_shape *shape, size_t max_nodes,
                                     size_t max_edges, size_t max_graphs);

/* The step. dropout follows each MLP, with the masks of layer, layer + 1 and layer + 2 for edges, nodes and globals; NULL:
 * none (evaluation). Keeps in the block what sco_graph_block_bwd() needs, until the next call.
 *
 * Layout    row major, contiguous; 4-byte alignment required, 64 preferred. Outputs overlap nothing.
 * Numerics  f32; products are fused multiply-adds in the order of kernels/gemm, onto a sum that starts with the projections
 *           of sender, receiver and global; sums over edges and nodes ascend. The same bits from every row of kernels and
 *           for any team.
 * Cost      2 hidden (edges edge_in + nodes (3 node_in + 2 hidden) + graphs (3 global_in + 2 hidden)) flops; weights are
 *           packed in every call.
 * Threads   the context's team; one call at a time.
 * Memory    none allocated.
 * Errors    SCO_INVALID: a NULL array that is not empty, a dropout probability outside [0, 1); SCO_SHAPE: a graph larger than the
 *           block was created for. */
SCO_API enum sco_status sco_graph_block_fwd(struct sco_graph_block *block, const struct sco_graph *graph,
                                            const struct sco_graph_block_params *params,
                                            const struct sco_dropout *dropout, const struct sco_graph_features *in,
                                            const struct sco_graph_features_out *out);

/* Gradients of the step that sco_graph_block_fwd() did last, from those of its outputs (d_out; NULL where there are none).
 * graph, params and in are those of that call. Overwrites gradients and d_in, except members
 * of d_in that are NULL.
 *
 * Numerics  gradients of weights add rows in ascending order; those of bias, scale and shift add blocks of 96 rows.
 * Cost      twice the forward flops; less where members of d_in are NULL.
 * Errors    as above. */
SCO_API enum sco_status sco_graph_block_bwd(struct sco_graph_block *block, const struct sco_graph *graph,
                                            const struct sco_graph_block_params *params,
                                            const struct sco_graph_features *in, const struct sco_graph_features *d_out,
                                            const struct sco_graph_features_out *d_in,
                                            const struct sco_graph_block_gradients *gradients);

SCO_END_DECLS
#endif

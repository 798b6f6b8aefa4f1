/* SPDX-License-Identifier: Apache-2.0
 * Message passing: sums and products against plain code in double, gradients against central differences in double, the
 * same bits from any team, hostile graphs, and what is refused with which words. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/dropout/dropout.h"
#include "stepcost/graph.h"

static void ok(enum sco_status status)
{
    if (status != SCO_OK)
        fail_msg("%s", sco_error_message());
}

static void refused(enum sco_status got, enum sco_status want, const char *message)
{
    assert_int_equal(got, want);
    if (strstr(sco_error_message(), message) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", sco_error_message(), message);
}

static const size_t teams[] = {1, 2, 3, 7};
enum { TEAMS = sizeof teams / sizeof *teams };

static struct sco_ctx *context(size_t threads)
{
    struct sco_ctx *ctx;
    const struct sco_ctx_options options = {.threads = threads, .oversubscribe = 1};
    ok(sco_ctx_create(&ctx, &options));
    return ctx;
}

/* ---- Batches ---- */

enum { MOST_NODES = 400, MOST_EDGES = 900, MOST_GRAPHS = 8 };

struct batch {
    size_t nodes, edges, graphs;
    int64_t senders[MOST_EDGES], receivers[MOST_EDGES], n_node[MOST_GRAPHS], n_edge[MOST_GRAPHS];
};

static uint64_t random_state;

static uint64_t draw(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static float uniform(void)
{
    return (float)(draw() >> 40) * 0x1p-23f - 1.0f;
}

static void fill(float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = scale * uniform();
}

/* Graph g of nodes[g] nodes and edges[g] edges among them. Half of the edges arrive at the first node, the last quarter of
 * the nodes is isolated, every fourth edge repeats the one before and every seventh is a loop. */
static void make_batch(struct batch *b, size_t graphs, const size_t nodes[], const size_t edges[])
{
    *b = (struct batch){.graphs = graphs};
    random_state = graphs + nodes[0];
    for (size_t g = 0; g < graphs; g++) {
        const size_t linked = nodes[g] - nodes[g] / 4;
        for (size_t i = 0; i < edges[g]; i++) {
            const size_t e = b->edges + i;
            b->senders[e] = (int64_t)(b->nodes + draw() % linked);
            b->receivers[e] = (int64_t)(b->nodes + (draw() % 2 ? 0 : draw() % linked));
            if (i % 7 == 6)
                b->receivers[e] = b->senders[e];
            if (i % 4 == 3) {
                b->senders[e] = b->senders[e - 1];
                b->receivers[e] = b->receivers[e - 1];
            }
        }
        b->n_node[g] = (int64_t)nodes[g];
        b->n_edge[g] = (int64_t)edges[g];
        b->nodes += nodes[g];
        b->edges += edges[g];
    }
}

enum { BATCHES = 6 };

/* One node; no edges; empty graphs and a padding graph; one graph of a single hub; several blocks of rows. */
static void nth_batch(struct batch *b, size_t index)
{
    static const size_t nodes[BATCHES][MOST_GRAPHS] = {{1}, {7, 2}, {0, 5, 0, 3, 6}, {1}, {9, 13, 4}, {150, 0, 197, 3}},
                        edges[BATCHES][MOST_GRAPHS] = {{0},  {0, 0},      {0, 11, 0, 0, 9},
                                                       {23}, {17, 20, 0}, {400, 0, 301, 97}},
                        graphs[BATCHES] = {1, 2, 5, 1, 3, 4};
    make_batch(b, graphs[index], nodes[index], edges[index]);
}

static struct sco_graph *built(struct sco_ctx *ctx, const struct batch *b, size_t index_bytes)
{
    int32_t narrow[4][MOST_EDGES];
    const int64_t *wide[4] = {b->senders, b->receivers, b->n_node, b->n_edge};
    const size_t count[4] = {b->edges, b->edges, b->graphs, b->graphs};
    const void *array[4];
    for (size_t a = 0; a < 4; a++) {
        for (size_t i = 0; i < count[a]; i++)
            narrow[a][i] = (int32_t)wide[a][i];
        array[a] = index_bytes == 4 ? (const void *)narrow[a] : wide[a];
    }
    struct sco_graph *graph;
    ok(sco_graph_create(&graph, ctx, MOST_NODES, MOST_EDGES, MOST_GRAPHS));
    const struct sco_graph_batch batch = {b->nodes, b->edges, b->graphs, index_bytes,
                                          array[0], array[1], array[2],  array[3]};
    ok(sco_graph_build(graph, &batch));
    assert_int_equal(sco_graph_nodes(graph), b->nodes);
    assert_int_equal(sco_graph_edges(graph), b->edges);
    assert_int_equal(sco_graph_graphs(graph), b->graphs);
    return graph;
}

static size_t graph_of(const int64_t counts[], size_t i)
{
    size_t g = 0;
    for (size_t end = (size_t)counts[0]; i >= end; end += (size_t)counts[g])
        g++;
    return g;
}

static void near_to(const char *what, size_t i, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s[%zu] is %.9g, not %.9g", what, i, got, want);
}

/* ---- Sums and messages ---- */

enum { OUTPUTS = 11, WIDEST = 37 };

/* y: a piece of MOST_EDGES x WIDEST floats for each operation. */
static void run_all(const struct sco_graph *graph, size_t H, const float *x, const float *e, const float *dy, float *y)
{
    const size_t piece = (size_t)MOST_EDGES * WIDEST;
    memset(y, 0x5a, OUTPUTS * piece * sizeof *y);
    ok(sco_graph_gather(graph, SCO_GRAPH_SENDER, H, x, y));
    ok(sco_graph_gather(graph, SCO_GRAPH_RECEIVER, H, x, y + piece));
    ok(sco_graph_sum(graph, SCO_GRAPH_SENDER, H, e, y + 2 * piece));
    ok(sco_graph_sum(graph, SCO_GRAPH_RECEIVER, H, e, y + 3 * piece));
    ok(sco_graph_sum_nodes(graph, H, x, y + 4 * piece));
    ok(sco_graph_sum_edges(graph, H, e, y + 5 * piece));
    ok(sco_graph_relu_sum(graph, H, x, e, y + 6 * piece));
    ok(sco_graph_relu_sum_bwd(graph, H, x, e, dy, y + 7 * piece, y + 8 * piece));
    ok(sco_graph_spmm(graph, SCO_GRAPH_RECEIVER, H, e, x, y + 9 * piece));
    ok(sco_graph_sddmm(graph, H, dy, x, y + 10 * piece));
}

static void expect_all(const struct batch *b, size_t H, const float *x, const float *e, const float *dy, const float *y)
{
    const size_t piece = (size_t)MOST_EDGES * WIDEST;
    double *want = calloc(OUTPUTS * piece, sizeof *want);
    assert_non_null(want);
    for (size_t i = 0; i < b->edges; i++) {
        const size_t s = (size_t)b->senders[i], r = (size_t)b->receivers[i], g = graph_of(b->n_edge, i);
        for (size_t j = 0; j < H; j++) {
            const double xs = (double)x[s * H + j], ei = (double)e[i * H + j], d = (double)dy[r * H + j];
            want[i * H + j] = xs;
            want[piece + i * H + j] = (double)x[r * H + j];
            want[2 * piece + s * H + j] += ei;
            want[3 * piece + r * H + j] += ei;
            want[5 * piece + g * H + j] += ei;
            want[6 * piece + r * H + j] += fmax(xs + ei, 0.0);
            want[7 * piece + s * H + j] += xs + ei > 0.0 ? d : 0.0;
            want[8 * piece + i * H + j] = xs + ei > 0.0 ? d : 0.0;
            want[9 * piece + r * H + j] += (double)e[i] * xs;
            want[10 * piece + i] += d * xs;
        }
    }
    for (size_t n = 0; n < b->nodes; n++)
        for (size_t j = 0; j < H; j++)
            want[4 * piece + graph_of(b->n_node, n) * H + j] += (double)x[n * H + j];

    const size_t rows[OUTPUTS] = {b->edges, b->edges, b->nodes, b->nodes, b->graphs, b->graphs,
                                  b->nodes, b->nodes, b->edges, b->nodes, b->edges};
    for (size_t o = 0; o < OUTPUTS; o++)
        for (size_t i = 0; i < rows[o] * (o == 10 ? 1 : H); i++)
            near_to("output", o * piece + i, (double)y[o * piece + i], want[o * piece + i], 1e-4);
    free(want);
}

static void test_sums(void **state)
{
    (void)state;
    const size_t piece = (size_t)MOST_EDGES * WIDEST, bytes = OUTPUTS * piece * sizeof(float);
    float *x = calloc(piece, sizeof *x), *e = calloc(piece, sizeof *e), *dy = calloc(piece, sizeof *dy);
    float *first = malloc(bytes), *y = malloc(bytes);
    struct batch b;
    for (size_t t = 0; t < TEAMS; t++) {
        struct sco_ctx *ctx = context(teams[t]);
        for (size_t i = 0; i < BATCHES; i++) {
            nth_batch(&b, i);
            fill(x, piece, 1.0f);
            fill(e, piece, 1.0f);
            fill(dy, piece, 1.0f);
            for (size_t H = 1; H <= WIDEST; H += 18) {
                struct sco_graph *wide = built(ctx, &b, 8), *narrow = built(ctx, &b, 4);
                run_all(wide, H, x, e, dy, first);
                run_all(narrow, H, x, e, dy, y);
                assert_memory_equal(first, y, bytes);
                expect_all(&b, H, x, e, dy, y);
                sco_graph_destroy(wide);
                sco_graph_destroy(narrow);
            }
        }
        sco_ctx_destroy(ctx);
    }
    free(x);
    free(e);
    free(dy);
    free(first);
    free(y);
}

static void test_same_bits(void **state)
{
    (void)state;
    const size_t piece = (size_t)MOST_EDGES * WIDEST, bytes = OUTPUTS * piece * sizeof(float), H = 21;
    float *x = calloc(piece, sizeof *x), *e = calloc(piece, sizeof *e), *dy = calloc(piece, sizeof *dy);
    float *first = malloc(bytes), *y = malloc(bytes);
    struct batch b;
    nth_batch(&b, BATCHES - 1);
    fill(x, piece, 1.0f);
    fill(e, piece, 1.0f);
    fill(dy, piece, 1.0f);
    for (size_t t = 0; t < TEAMS; t++) {
        struct sco_ctx *ctx = context(teams[t]);
        struct sco_graph *graph = built(ctx, &b, 8);
        run_all(graph, H, x, e, dy, t == 0 ? first : y);
        if (t > 0)
            assert_memory_equal(first, y, bytes);
        sco_graph_destroy(graph);
        sco_ctx_destroy(ctx);
    }
    free(x);
    free(e);
    free(dy);
    free(first);
    free(y);
}

/* ---- A message of two layers ---- */

static void expect_mlp(const struct batch *b, const struct sco_graph_mlp_shape *s, const float *x, const float *e,
                       const float *W1, const float *b1, const float *W2, const float *b2, const float *y)
{
    double *want = calloc(b->nodes * s->out + 1, sizeof *want);
    assert_non_null(want);
    for (size_t i = 0; i < b->edges; i++) {
        const float *part[3] = {x + (size_t)b->senders[i] * s->node_in, x + (size_t)b->receivers[i] * s->node_in,
                                e + i * s->edge_in};
        const size_t in[3] = {s->node_in, s->node_in, s->edge_in};
        double *sum = want + (size_t)b->receivers[i] * s->out;
        for (size_t h = 0; h < s->hidden; h++) {
            double v = b1 != NULL ? (double)b1[h] : 0.0;
            for (size_t p = 0, k = 0; p < 3; p++)
                for (size_t j = 0; j < in[p]; j++, k++)
                    v += (double)part[p][j] * (double)W1[k * s->hidden + h];
            for (size_t o = 0; o < s->out; o++)
                sum[o] += fmax(v, 0.0) * (double)W2[h * s->out + o];
        }
        for (size_t o = 0; o < s->out && b2 != NULL; o++)
            sum[o] += (double)b2[o];
    }
    for (size_t i = 0; i < b->nodes * s->out; i++)
        near_to("y", i, (double)y[i], want[i], 1e-4 * (1.0 + fabs(want[i])));
    free(want);
}

static void test_mlp(void **state)
{
    (void)state;
    static const struct sco_graph_mlp_shape shapes[] = {{5, 3, 7, 4}, {16, 70, 33, 65}, {3, 0, 2, 1}, {0, 4, 5, 3}};
    float *x = calloc(MOST_NODES * 16, sizeof *x), *e = calloc(MOST_EDGES * 70, sizeof *e);
    float *W1 = calloc(128 * 33, sizeof *W1), *W2 = calloc(33 * 65, sizeof *W2), b1[33], b2[65];
    float *first = malloc(MOST_NODES * 65 * sizeof *first), *y = malloc(MOST_NODES * 65 * sizeof *y);
    struct batch b;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (size_t i = 0; i < BATCHES; i++) {
            const struct sco_graph_mlp_shape *s = &shapes[k];
            nth_batch(&b, i);
            fill(x, MOST_NODES * 16, 1.0f);
            fill(e, MOST_EDGES * 70, 1.0f);
            fill(W1, 128 * 33, 0.5f);
            fill(W2, 33 * 65, 0.5f);
            fill(b1, 33, 0.5f);
            fill(b2, 65, 0.5f);
            for (size_t t = 0; t < TEAMS; t++) {
                struct sco_ctx *ctx = context(teams[t]);
                struct sco_graph *graph = built(ctx, &b, 4);
                struct sco_graph_mlp *mlp;
                ok(sco_graph_mlp_create(&mlp, ctx, s, b.nodes));
                memset(y, 0x5a, MOST_NODES * 65 * sizeof *y);
                ok(sco_graph_mlp_fwd(mlp, graph, x, e, W1, i == 2 ? NULL : b1, W2, i == 4 ? NULL : b2, y));
                if (t == 0) {
                    expect_mlp(&b, s, x, e, W1, i == 2 ? NULL : b1, W2, i == 4 ? NULL : b2, y);
                    memcpy(first, y, MOST_NODES * 65 * sizeof *y);
                } else
                    assert_memory_equal(first, y, MOST_NODES * 65 * sizeof *y);
                sco_graph_mlp_destroy(mlp);
                sco_graph_destroy(graph);
                sco_ctx_destroy(ctx);
            }
        }
    free(x);
    free(e);
    free(W1);
    free(W2);
    free(first);
    free(y);
}

/* ---- The block of a graph network ---- */

enum { EDGE, NODE, GLOBAL, LAYERS };

/* One block with all its operands: every array in one vector of floats, inputs first. */
enum { KERNEL, BIAS, SCALE, SHIFT, MEMBERS };
struct trial {
    const struct batch *batch;
    struct sco_graph_block_shape shape;
    size_t rows[LAYERS], in[LAYERS], kernel_rows[LAYERS];
    size_t at_feature[LAYERS], at_param[LAYERS][MEMBERS], inputs; /* floats of inputs */
    size_t at_out[LAYERS], outputs;
    struct sco_dropout dropout;
    const float *factor; /* of dropout, on each output; NULL: 1 */
};

static void trial_init(struct trial *t, const struct batch *b, const struct sco_graph_block_shape *shape)
{
    const size_t H = shape->hidden;
    *t = (struct trial){.batch = b,
                        .shape = *shape,
                        .rows = {b->edges, b->nodes, b->graphs},
                        .in = {shape->edge_in, shape->node_in, shape->global_in},
                        .kernel_rows = {shape->edge_in + 2 * shape->node_in + shape->global_in,
                                        shape->node_in + 2 * H + shape->global_in, 2 * H + shape->global_in}};
    for (size_t l = 0; l < LAYERS; l++) {
        t->at_feature[l] = t->inputs;
        t->inputs += t->rows[l] * t->in[l];
        t->at_out[l] = t->outputs;
        t->outputs += t->rows[l] * H;
        for (size_t m = 0; m < MEMBERS; m++) {
            t->at_param[l][m] = t->inputs;
            t->inputs += m == KERNEL ? t->kernel_rows[l] * H : H;
        }
    }
}

/* A row of a layer in double: concatenated inputs to normalised, activated, partly dropped outputs. */
static void layer_row(const struct trial *t, const double *input, size_t l, const double *v, size_t row, double *out)
{
    const size_t H = t->shape.hidden;
    const double *W = input + t->at_param[l][KERNEL];
    double z[64], mean = 0.0, variance = 0.0;
    for (size_t h = 0; h < H; h++) {
        z[h] = input[t->at_param[l][BIAS] + h];
        for (size_t k = 0; k < t->kernel_rows[l]; k++)
            z[h] += v[k] * W[k * H + h];
        mean += z[h] / (double)H;
    }
    for (size_t h = 0; h < H; h++)
        variance += (z[h] - mean) * (z[h] - mean) / (double)H;
    for (size_t h = 0; h < H; h++) {
        const double n = (z[h] - mean) / sqrt(variance + (double)t->shape.eps);
        out[h] = fmax(input[t->at_param[l][SCALE] + h] * n + input[t->at_param[l][SHIFT] + h], 0.0);
        if (t->factor != NULL)
            out[h] *= (double)t->factor[t->at_out[l] + row * H + h];
    }
}

static double *append(double *to, const double *from, size_t count)
{
    memcpy(to, from, count * sizeof *to);
    return to + count;
}

static void reference(const struct trial *t, const double *input, double *out)
{
    const struct batch *b = t->batch;
    const size_t H = t->shape.hidden;
    const double *E = input + t->at_feature[EDGE], *X = input + t->at_feature[NODE], *U = input + t->at_feature[GLOBAL];
    double *Eo = out + t->at_out[EDGE], *Xo = out + t->at_out[NODE], *Uo = out + t->at_out[GLOBAL];
    double v[256];
    double *sent = calloc(b->nodes * H + 1, sizeof *sent), *received = calloc(b->nodes * H + 1, sizeof *received);
    double *nodes = calloc(b->graphs * H + 1, sizeof *nodes), *edges = calloc(b->graphs * H + 1, sizeof *edges);
    for (size_t e = 0; e < b->edges; e++) {
        const size_t s = (size_t)b->senders[e], r = (size_t)b->receivers[e], g = graph_of(b->n_edge, e);
        double *to = append(v, E + e * t->in[EDGE], t->in[EDGE]);
        to = append(to, X + s * t->in[NODE], t->in[NODE]);
        to = append(to, X + r * t->in[NODE], t->in[NODE]);
        append(to, U + g * t->in[GLOBAL], t->in[GLOBAL]);
        layer_row(t, input, EDGE, v, e, Eo + e * H);
        for (size_t h = 0; h < H; h++) {
            sent[s * H + h] += Eo[e * H + h];
            received[r * H + h] += Eo[e * H + h];
            edges[g * H + h] += Eo[e * H + h];
        }
    }
    for (size_t n = 0; n < b->nodes; n++) {
        const size_t g = graph_of(b->n_node, n);
        double *to = append(v, X + n * t->in[NODE], t->in[NODE]);
        to = append(to, sent + n * H, H);
        to = append(to, received + n * H, H);
        append(to, U + g * t->in[GLOBAL], t->in[GLOBAL]);
        layer_row(t, input, NODE, v, n, Xo + n * H);
        for (size_t h = 0; h < H; h++)
            nodes[g * H + h] += Xo[n * H + h];
    }
    for (size_t g = 0; g < b->graphs; g++) {
        double *to = append(v, nodes + g * H, H);
        to = append(to, edges + g * H, H);
        append(to, U + g * t->in[GLOBAL], t->in[GLOBAL]);
        layer_row(t, input, GLOBAL, v, g, Uo + g * H);
    }
    free(sent);
    free(received);
    free(nodes);
    free(edges);
}

static struct sco_graph_layer layer_of(const struct trial *t, const float *input, size_t l)
{
    return (struct sco_graph_layer){input + t->at_param[l][KERNEL], input + t->at_param[l][BIAS],
                                    input + t->at_param[l][SCALE], input + t->at_param[l][SHIFT]};
}

static struct sco_graph_layer_gradient gradient_of(const struct trial *t, float *input, size_t l)
{
    return (struct sco_graph_layer_gradient){input + t->at_param[l][KERNEL], input + t->at_param[l][BIAS],
                                             input + t->at_param[l][SCALE], input + t->at_param[l][SHIFT]};
}

/* out and gradient (of all inputs, from d_out) on a team. without: leave out gradients of features that are not asked for
 * and outputs that have none. */
static void run_block(const struct trial *t, size_t threads, const float *input, const float *d_out, float *out,
                      float *gradient, int without)
{
    struct sco_ctx *ctx = context(threads);
    struct sco_graph *graph = built(ctx, t->batch, 8);
    struct sco_graph_block *block;
    ok(sco_graph_block_create(&block, ctx, &t->shape, t->rows[NODE], t->rows[EDGE], t->rows[GLOBAL]));
    const struct sco_graph_block_params params = {layer_of(t, input, EDGE), layer_of(t, input, NODE),
                                                  layer_of(t, input, GLOBAL)};
    const struct sco_graph_features in = {input + t->at_feature[EDGE], input + t->at_feature[NODE],
                                          input + t->at_feature[GLOBAL]};
    const struct sco_graph_features_out made = {out + t->at_out[EDGE], out + t->at_out[NODE], out + t->at_out[GLOBAL]};
    ok(sco_graph_block_fwd(block, graph, &params, t->dropout.p > 0.0f ? &t->dropout : NULL, &in, &made));

    struct sco_graph_features d_made = {d_out + t->at_out[EDGE], d_out + t->at_out[NODE], d_out + t->at_out[GLOBAL]};
    struct sco_graph_features_out d_in = {gradient + t->at_feature[EDGE], gradient + t->at_feature[NODE],
                                          gradient + t->at_feature[GLOBAL]};
    const struct sco_graph_block_gradients gradients = {gradient_of(t, gradient, EDGE), gradient_of(t, gradient, NODE),
                                                        gradient_of(t, gradient, GLOBAL)};
    if (without) {
        d_made.edges = d_made.nodes = d_made.globals = NULL;
        d_in = (struct sco_graph_features_out){NULL, NULL, NULL};
    }
    memset(gradient, 0x5a, t->inputs * sizeof *gradient);
    ok(sco_graph_block_bwd(block, graph, &params, &in, &d_made, &d_in, &gradients));
    sco_graph_block_destroy(block);
    sco_graph_destroy(graph);
    sco_ctx_destroy(ctx);
}

static double loss(const struct trial *t, const double *input, const float *d_out, double *out)
{
    double sum = 0.0;
    reference(t, input, out);
    for (size_t i = 0; i < t->outputs; i++)
        sum += (double)d_out[i] * out[i];
    return sum;
}

/* 0 or 1 / (1 - rate) for every output, from the generator itself. */
static float *factors(const struct trial *t)
{
    struct sco_dropout_ops ops;
    const size_t H = t->shape.hidden, step = (H + SCO_DROPOUT_BLOCK - 1) / SCO_DROPOUT_BLOCK * SCO_DROPOUT_BLOCK;
    float *factor = malloc((t->outputs + 1) * sizeof *factor);
    sco_family_pin(&sco_dropout_family, 0, 0, &ops);
    for (size_t i = 0; i < t->outputs; i++)
        factor[i] = 1.0f;
    for (uint32_t l = 0; l < LAYERS; l++) {
        const struct sco_dropout_mask mask = {t->dropout.seed, t->dropout.layer + l, t->dropout.step, 49152,
                                              65536.0f / 49152.0f};
        for (size_t r = 0; r < t->rows[l]; r++) {
            float *row = factor + t->at_out[l] + r * H;
            ops.dropout(r * step, H, row, row, &mask);
        }
    }
    return factor;
}

static void try_block(size_t index, const struct sco_graph_block_shape *shape, float rate, int differences)
{
    struct batch b;
    struct trial t;
    nth_batch(&b, index);
    trial_init(&t, &b, shape);
    t.dropout = (struct sco_dropout){rate, 12345, 7, 3};
    float *factor = factors(&t);
    t.factor = rate > 0.0f ? factor : NULL;
    float *input = malloc(t.inputs * sizeof *input), *d_out = malloc((t.outputs + 1) * sizeof *d_out);
    float *out = malloc((t.outputs + 1) * sizeof *out), *gradient = malloc(t.inputs * sizeof *gradient);
    float *first_out = malloc((t.outputs + 1) * sizeof *out), *first = malloc(t.inputs * sizeof *first);
    double *exact = malloc(t.inputs * sizeof *exact), *exact_out = malloc((t.outputs + 1) * sizeof *exact_out);
    fill(input, t.inputs, 0.5f);
    fill(d_out, t.outputs, 1.0f);
    for (size_t l = 0; l < LAYERS; l++)
        for (size_t h = 0; h < shape->hidden; h++)
            input[t.at_param[l][SCALE] + h] += 1.0f;
    for (size_t i = 0; i < t.inputs; i++)
        exact[i] = (double)input[i];

    run_block(&t, 1, input, d_out, first_out, first, 0);
    reference(&t, exact, exact_out);
    for (size_t i = 0; i < t.outputs; i++)
        near_to("out", i, (double)first_out[i], exact_out[i], 1e-4);
    const double step = 1e-6;
    for (size_t i = 0; i < t.inputs && differences; i++) {
        const double at = exact[i];
        exact[i] = at + step;
        const double above = loss(&t, exact, d_out, exact_out);
        exact[i] = at - step;
        const double below = loss(&t, exact, d_out, exact_out);
        exact[i] = at;
        const double want = (above - below) / (2.0 * step);
        near_to("gradient", i, (double)first[i], want, 2e-4 * (1.0 + fabs(want)));
    }
    for (size_t n = 1; n < TEAMS; n++) {
        run_block(&t, teams[n], input, d_out, out, gradient, 0);
        assert_memory_equal(out, first_out, t.outputs * sizeof *out);
        assert_memory_equal(gradient, first, t.inputs * sizeof *gradient);
    }
    run_block(&t, 2, input, d_out, out, gradient, 1);
    for (size_t l = 0; l < LAYERS; l++)
        for (size_t i = 0; i < t.kernel_rows[l] * shape->hidden; i++)
            near_to("gradient without", i, (double)gradient[t.at_param[l][KERNEL] + i], 0.0, 0.0);
    free(factor);
    free(input);
    free(d_out);
    free(out);
    free(gradient);
    free(first_out);
    free(first);
    free(exact);
    free(exact_out);
}

static void test_block(void **state)
{
    (void)state;
    static const struct sco_graph_block_shape narrow = {3, 4, 2, 6, 1e-6f}, uneven = {5, 1, 3, 17, 1e-3f},
                                              whole = {5, 1, 3, 64, 1e-3f}, without_globals = {2, 3, 0, 5, 1e-6f};
    for (size_t i = 0; i < BATCHES - 1; i++) {
        try_block(i, &narrow, 0.0f, 1);
        try_block(i, &narrow, 0.25f, 1);
        try_block(i, &without_globals, 0.0f, 1);
    }
    try_block(2, &uneven, 0.0f, 1);
    try_block(BATCHES - 1, &narrow, 0.25f, 0);
    try_block(BATCHES - 1, &whole, 0.25f, 0);
}

/* Blocks of 96 rows and of 256: gradients of a large batch against the sum over its parts. */
static void test_block_additive(void **state)
{
    (void)state;
    static const struct sco_graph_block_shape shape = {3, 4, 2, 6, 1e-6f};
    const size_t copies = 8, nodes = 40, edges = 100;
    struct batch one, all;
    make_batch(&one, 1, &nodes, &edges);
    all = (struct batch){.graphs = copies, .nodes = copies * nodes, .edges = copies * edges};
    for (size_t c = 0; c < copies; c++) {
        all.n_node[c] = (int64_t)nodes;
        all.n_edge[c] = (int64_t)edges;
        for (size_t e = 0; e < edges; e++) {
            all.senders[c * edges + e] = one.senders[e] + (int64_t)(c * nodes);
            all.receivers[c * edges + e] = one.receivers[e] + (int64_t)(c * nodes);
        }
    }
    struct trial t, whole;
    trial_init(&t, &one, &shape);
    trial_init(&whole, &all, &shape);
    float *input = malloc(t.inputs * sizeof *input), *d_out = malloc(t.outputs * sizeof *d_out);
    float *out = malloc(t.outputs * sizeof *out), *gradient = malloc(t.inputs * sizeof *gradient);
    float *all_input = malloc(whole.inputs * sizeof *input), *all_d_out = malloc(whole.outputs * sizeof *d_out);
    float *all_out = malloc(whole.outputs * sizeof *out), *all_gradient = malloc(whole.inputs * sizeof *gradient);
    fill(input, t.inputs, 0.5f);
    fill(d_out, t.outputs, 1.0f);
    for (size_t l = 0; l < LAYERS; l++) {
        const size_t in = t.rows[l] * t.in[l], made = t.rows[l] * shape.hidden;
        for (size_t c = 0; c < copies; c++) {
            memcpy(all_input + whole.at_feature[l] + c * in, input + t.at_feature[l], in * sizeof *input);
            memcpy(all_d_out + whole.at_out[l] + c * made, d_out + t.at_out[l], made * sizeof *d_out);
        }
        memcpy(all_input + whole.at_param[l][KERNEL], input + t.at_param[l][KERNEL],
               (t.kernel_rows[l] + 3) * shape.hidden * sizeof *input);
    }
    run_block(&t, 1, input, d_out, out, gradient, 0);
    run_block(&whole, 3, all_input, all_d_out, all_out, all_gradient, 0);
    for (size_t l = 0; l < LAYERS; l++) {
        const size_t in = t.rows[l] * t.in[l], made = t.rows[l] * shape.hidden;
        for (size_t c = 0; c < copies; c++) {
            assert_memory_equal(all_out + whole.at_out[l] + c * made, out + t.at_out[l], made * sizeof *out);
            assert_memory_equal(all_gradient + whole.at_feature[l] + c * in, gradient + t.at_feature[l],
                                in * sizeof *gradient);
        }
        for (size_t i = 0; i < (t.kernel_rows[l] + 3) * shape.hidden; i++) {
            const double want = (double)copies * (double)gradient[t.at_param[l][KERNEL] + i];
            near_to("gradient", i, (double)all_gradient[whole.at_param[l][KERNEL] + i], want,
                    1e-3 * (1.0 + fabs(want)));
        }
    }
    free(input);
    free(d_out);
    free(out);
    free(gradient);
    free(all_input);
    free(all_d_out);
    free(all_out);
    free(all_gradient);
}

/* ---- Refusals ---- */

static void test_refusals(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_graph *graph;
    ok(sco_graph_create(&graph, ctx, 4, 3, 2));
    refused(sco_graph_create(&(struct sco_graph *){NULL}, ctx, (size_t)1 << 33, 1, 1), SCO_SHAPE, "8589934592 nodes");
    assert_true(sco_graph_bytes((size_t)1 << 33, 1, 1) == SIZE_MAX);

    const int32_t senders[] = {0, 3, 1}, receivers[] = {2, 1, 0}, n_node[] = {1, 3}, n_edge[] = {0, 3};
    const int32_t bad[] = {0, 1, 4}, negative[] = {0, -7, 4};
    const struct sco_graph_batch good = {4, 3, 2, 4, senders, receivers, n_node, n_edge};
    struct sco_graph_batch batch = good;
    ok(sco_graph_build(graph, &batch));

    batch.senders = bad;
    refused(sco_graph_build(graph, &batch), SCO_INVALID, "the sender of edge 2 is 4, but nodes are 0 to 3");
    assert_int_equal(sco_graph_nodes(graph), 0);
    float one = 0.0f;
    ok(sco_graph_sum(graph, SCO_GRAPH_SENDER, 1, NULL, &one));
    batch = good;
    batch.receivers = negative;
    refused(sco_graph_build(graph, &batch), SCO_INVALID, "the receiver of edge 1 is -7");
    const int64_t far[] = {0, (int64_t)1 << 40, 1}, wide_n_node[] = {4}, wide_n_edge[] = {3};
    batch = (struct sco_graph_batch){4, 3, 1, 8, far, far, wide_n_node, wide_n_edge};
    refused(sco_graph_build(graph, &batch), SCO_INVALID, "the sender of edge 1 is 1099511627776");
    batch = good;
    batch.index_bytes = 2;
    refused(sco_graph_build(graph, &batch), SCO_INVALID, "index_bytes is 2");
    batch = good;
    batch.nodes = 5;
    refused(sco_graph_build(graph, &batch), SCO_SHAPE, "5 nodes");
    batch = good;
    batch.n_edge = n_node;
    refused(sco_graph_build(graph, &batch), SCO_SHAPE, "n_edge of graphs 0 to 1 add up to more than the 3 edges");
    batch = good;
    batch.nodes = 3;
    refused(sco_graph_build(graph, &batch), SCO_SHAPE, "more than the 3 nodes");
    const int32_t few[] = {1, 2}, less[] = {-1, 5};
    batch = good;
    batch.n_node = few;
    refused(sco_graph_build(graph, &batch), SCO_SHAPE, "n_node of all 2 graphs add up to 3, but the batch has 4 nodes");
    batch.n_node = less;
    refused(sco_graph_build(graph, &batch), SCO_INVALID, "n_node of graph 0 is -1");
    batch.n_node = NULL;
    refused(sco_graph_build(graph, &batch), SCO_INVALID, "n_node is NULL");
    batch.n_edge = NULL;
    refused(sco_graph_build(graph, &batch), SCO_INVALID, "the batch has 2 graphs");
    batch = good;
    batch.senders = NULL;
    refused(sco_graph_build(graph, &batch), SCO_INVALID, "senders is NULL");

    batch = (struct sco_graph_batch){4, 3, 1, 4, senders, receivers, NULL, NULL};
    ok(sco_graph_build(graph, &batch));
    float y[64] = {0}, to[64];
    refused(sco_graph_sum(graph, SCO_GRAPH_SENDER, 2, NULL, to), SCO_INVALID, "x is NULL, but has 3 rows of 2 floats");
    refused(sco_graph_gather(graph, SCO_GRAPH_SENDER, SIZE_MAX / 4, y, to), SCO_SHAPE, "cannot be addressed");

    struct sco_graph_mlp *mlp;
    const struct sco_graph_mlp_shape endless = {SIZE_MAX / 2, 1, SIZE_MAX / 2, 1}, small = {1, 1, 1, 1};
    refused(sco_graph_mlp_create(&mlp, ctx, &endless, 4), SCO_SHAPE, "cannot be addressed");
    ok(sco_graph_mlp_create(&mlp, ctx, &small, 3));
    refused(sco_graph_mlp_fwd(mlp, graph, y, y, y, NULL, y, NULL, to), SCO_SHAPE, "the graph has 4 nodes");
    sco_graph_mlp_destroy(mlp);

    struct sco_graph_block *block;
    struct sco_graph_block_shape shape = {1, 1, 1, 0, 1e-6f};
    refused(sco_graph_block_create(&block, ctx, &shape, 4, 3, 1), SCO_INVALID, "hidden is 0");
    shape.hidden = 2;
    shape.eps = NAN;
    refused(sco_graph_block_create(&block, ctx, &shape, 4, 3, 1), SCO_INVALID, "eps is nan");
    shape.eps = 1e-6f;
    shape.edge_in = SIZE_MAX / 2;
    refused(sco_graph_block_create(&block, ctx, &shape, 4, 3, 1), SCO_SHAPE, "cannot be addressed");
    shape.edge_in = 1;
    ok(sco_graph_block_create(&block, ctx, &shape, 4, 2, 1));
    const struct sco_graph_layer layer = {y, y, y, y};
    struct sco_graph_block_params params = {layer, layer, layer};
    const struct sco_graph_features in = {y, y, y};
    struct sco_graph_features_out out = {to, to, to};
    refused(sco_graph_block_fwd(block, graph, &params, NULL, &in, &out), SCO_SHAPE,
            "3 edges, the block was created for 2");
    sco_graph_block_destroy(block);
    ok(sco_graph_block_create(&block, ctx, &shape, 4, 3, 1));
    params.node.scale = NULL;
    refused(sco_graph_block_fwd(block, graph, &params, NULL, &in, &out), SCO_INVALID, "params.node.scale is NULL");
    params.node.scale = y;
    const struct sco_dropout all = {1.0f, 0, 0, 0}, none = {NAN, 0, 0, 0};
    refused(sco_graph_block_fwd(block, graph, &params, &all, &in, &out), SCO_INVALID, "p = 1");
    refused(sco_graph_block_fwd(block, graph, &params, &none, &in, &out), SCO_INVALID, "p = nan");
    out.globals = NULL;
    refused(sco_graph_block_fwd(block, graph, &params, NULL, &in, &out), SCO_INVALID, "out.globals is NULL");
    sco_graph_block_destroy(block);
    sco_graph_destroy(graph);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),  cmocka_unit_test(test_same_bits),      cmocka_unit_test(test_mlp),
        cmocka_unit_test(test_block), cmocka_unit_test(test_block_additive), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

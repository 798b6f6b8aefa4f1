/* SPDX-License-Identifier: Apache-2.0
 * The graph network: against a recorded run in double, differences of its own loss, and itself: other teams, shared gradients,
 * batches of other sizes, molecules alone; and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "golden_model.h"
#include "model_runs.h"

enum { MOST_NODES = 64, MOST_EDGES = 128, MOST_GRAPHS = 8, MOST_TASKS = 128 };

struct molecules {
    float node[MOST_NODES * 9], edge[MOST_EDGES * 3], label[MOST_GRAPHS * MOST_TASKS];
    int32_t senders[MOST_EDGES], receivers[MOST_EDGES], n_node[MOST_GRAPHS], n_edge[MOST_GRAPHS];
    struct sco_batch batch;
};

static void finish(struct molecules *m, size_t graphs, size_t tasks)
{
    struct sco_molecules *b = &m->batch.molecules;
    m->batch.workload = SCO_OGBG;
    m->batch.samples = graphs;
    *b = (struct sco_molecules){0,         0,         graphs,  tasks, m->node, m->edge, m->senders, m->receivers,
                                m->n_node, m->n_edge, m->label};
    for (size_t g = 0; g < graphs; g++) {
        b->nodes += (size_t)m->n_node[g];
        b->edges += (size_t)m->n_edge[g];
    }
    assert_true(b->nodes <= MOST_NODES && b->edges <= MOST_EDGES && graphs <= MOST_GRAPHS && tasks <= MOST_TASKS);
}

/* Molecules of these sizes: edges between any two nodes of one molecule, labels 0, 1 and missing. */
static void draw(struct molecules *m, uint64_t seed, size_t graphs, const int32_t n_node[], const int32_t n_edge[],
                 size_t tasks)
{
    size_t node = 0, edge = 0;
    for (size_t g = 0; g < graphs; g++) {
        m->n_node[g] = n_node[g];
        m->n_edge[g] = n_edge[g];
        for (int32_t i = 0; i < n_edge[g]; i++, edge++) {
            m->senders[edge] = (int32_t)(node + sco_random_below(seed, 2 * edge, (uint64_t)n_node[g]));
            m->receivers[edge] = (int32_t)(node + sco_random_below(seed, 2 * edge + 1, (uint64_t)n_node[g]));
        }
        node += (size_t)n_node[g];
    }
    for (size_t i = 0; i < node * 9; i++)
        m->node[i] = (float)sco_random_below(seed + 1, i, 8);
    for (size_t i = 0; i < edge * 3; i++)
        m->edge[i] = (float)sco_random_below(seed + 2, i, 4);
    for (size_t i = 0; i < graphs * tasks; i++)
        m->label[i] = (float[]){0.0f, 1.0f, NAN}[sco_random_below(seed + 3, i, 3)];
    finish(m, graphs, tasks);
}

static void draw_usual(struct molecules *m, uint64_t seed)
{
    draw(m, seed, 5, (const int32_t[]){5, 3, 7, 1, 11}, (const int32_t[]){8, 4, 14, 0, 22}, 4);
}

/* 24 hidden units, 3 steps. */
static const struct sco_model_config small = {.workload = SCO_OGBG,
                                              .batch = MOST_GRAPHS,
                                              .width = 24.0 / 256.0,
                                              .depth = 3,
                                              .classes = 4,
                                              .max_nodes = MOST_NODES,
                                              .max_edges = MOST_EDGES,
                                              .seed = 3};

static struct sco_model_config without_dropout(void)
{
    struct sco_model_config config = small;
    config.has_dropout = 1;
    return config;
}

/* ---- The model of the benchmark ---- */

static const struct sco_model_config full = {
    .workload = SCO_OGBG, .batch = MOST_GRAPHS, .has_dropout = 1, .max_nodes = MOST_NODES, .max_edges = MOST_EDGES};

static void test_names(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &full);
    check_names(model, "ogbg", "");
    assert_int_equal(sco_model_get_plan(model)->parameters, 3554176);
    assert_int_equal(sco_model_get_config(model)->depth, 5);
    assert_int_equal(sco_model_get_config(model)->classes, 128);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

static void read_indices(const json_t *root, const char *key, int32_t *to)
{
    const json_t *array = golden_member(root, key);
    for (size_t i = 0; i < json_array_size(array); i++)
        to[i] = (int32_t)json_integer_value(json_array_get(array, i));
}

static void recorded_molecules(const json_t *root, struct molecules *m)
{
    const uint64_t seed = (uint64_t)golden_value(root, "seed");
    read_indices(root, "n_node", m->n_node);
    read_indices(root, "n_edge", m->n_edge);
    read_indices(root, "senders", m->senders);
    read_indices(root, "receivers", m->receivers);
    finish(m, json_array_size(golden_member(root, "n_node")), 128);
    const size_t nodes = m->batch.molecules.nodes, edges = m->batch.molecules.edges, graphs = m->batch.molecules.graphs;
    golden_input(seed, 0, 1.0, nodes * 9, m->node);
    for (size_t i = 0; i < nodes * 9; i++)
        m->node[i] = (float)floor(((double)m->node[i] + 1.0) * 4.0);
    golden_input(seed, 1, 1.0, edges * 3, m->edge);
    for (size_t i = 0; i < edges * 3; i++)
        m->edge[i] = (float)floor(((double)m->edge[i] + 1.0) * 2.0);
    golden_input(seed, 3, 1.0, graphs * 128, m->label);
    for (size_t i = 0; i < graphs * 128; i++)
        m->label[i] = m->label[i] < -0.4f ? NAN : m->label[i] > 0.4f ? 1.0f : 0.0f;
}

/* Float rounds by u = 2^-24 = 6e-8. A layer's products are sums of up to 1024 terms, whose errors grow like their square root:
 * some 10 u a layer, of which eleven follow each other forward and as many backward. Layer normalisation between them keeps
 * errors from growing. Gradients, which cancel between molecules and tasks, are a few times worse: */
#define OUTPUT_BOUND   5e-6
#define GRADIENT_BOUND 1e-5

static void test_golden(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &full);
    json_t *root = golden_read("gnn_4graphs.json");
    const json_t *outputs = golden_member(root, "outputs"), *records = golden_member(root, "grads");
    static struct molecules m;
    recorded_molecules(root, &m);
    golden_parameters(model, (uint64_t)golden_value(root, "seed"));
    golden_check_parameters(model, root);
    struct gradients g = gradients_of(model);
    const struct sco_model_result result = run_step(model, &m.batch, 0, &g);
    assert_true(fabs(result.loss - golden_value(root, "loss")) < OUTPUT_BOUND);
    const double summed = golden_value(golden_member(outputs, "summed"), "sum");
    assert_true(fabs(result.loss_sum - summed) < OUTPUT_BOUND * summed);
    assert_true(result.loss_count == 4.0 * 128.0);
    assert_true(fabs(result.loss_sum / result.loss - golden_value(golden_member(outputs, "n_valid"), "sum")) < 1e-9);
    size_t rows, columns;
    const float *logits = sco_model_outputs(model, &rows, &columns);
    assert_int_equal(rows, 4);
    assert_int_equal(columns, 128);
    golden_assert(golden_member(outputs, "logits"), "logits", logits, rows * columns, OUTPUT_BOUND);
    assert_int_equal(json_object_size(records), sco_model_tensors(model)->count);
    for (size_t t = 0; t < sco_model_tensors(model)->count; t++) {
        const char *name = sco_model_tensors(model)->tensors[t].name;
        golden_assert(golden_member(records, name), name, g.values + g.first[t], elements_of(model, t), GRADIENT_BOUND);
    }
    gradients_free(&g);
    json_decref(root);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

/* ---- Gradients ---- */

static void test_differences(void **state)
{
    (void)state;
    const struct sco_model_config config = without_dropout();
    struct sco_ctx *ctx = context(1);
    struct sco_model *model = model_of(ctx, &config), *dropping = model_of(ctx, &small);
    static struct molecules m;
    draw_usual(&m, 1);
    check_differences(model, &m.batch);
    check_differences(dropping, &m.batch);
    sco_model_destroy(dropping);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

static void test_shared_gradients(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    static struct molecules m;
    draw_usual(&m, 1);
    check_shared(ctx, &small, &m.batch);
    sco_ctx_destroy(ctx);
}

/* ---- Itself ---- */

static void test_teams(void **state)
{
    (void)state;
    static struct molecules a, b, c;
    draw_usual(&a, 1);
    draw(&b, 2, 2, (const int32_t[]){2, 1}, (const int32_t[]){2, 0}, 4);
    draw(&c, 3, 8, (const int32_t[]){4, 9, 20, 3, 1, 12, 5, 10}, (const int32_t[]){6, 30, 42, 4, 1, 25, 0, 20}, 4);
    check_teams(&small, (const struct sco_batch *const[]){&a.batch, &b.batch, &c.batch, &a.batch}, 4);
}

/* What earlier batches were does not show. */
static void test_sizes_change(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_model *used = model_of(ctx, &small);
    struct gradients x = gradients_of(used);
    static struct molecules m[3];
    draw_usual(&m[0], 1);
    draw(&m[1], 2, 1, (const int32_t[]){1}, (const int32_t[]){0}, 4);
    draw(&m[2], 3, 8, (const int32_t[]){4, 9, 20, 3, 1, 12, 5, 10}, (const int32_t[]){6, 30, 42, 4, 1, 25, 0, 20}, 4);
    for (size_t i = 0; i < 9; i++) {
        struct sco_model *fresh = model_of(ctx, &small);
        struct gradients y = gradients_of(fresh);
        const double a = run_step(used, &m[i * i % 3].batch, i, &x).loss;
        const double b = run_step(fresh, &m[i * i % 3].batch, i, &y).loss;
        assert_true(a == b);
        assert_memory_equal(x.values, y.values, gradients_bytes(&x));
        gradients_free(&y);
        sco_model_destroy(fresh);
    }
    gradients_free(&x);
    sco_model_destroy(used);
    sco_ctx_destroy(ctx);
}

static void test_dropout(void **state)
{
    (void)state;
    const struct sco_model_config none = without_dropout();
    struct sco_model_config other = small;
    other.seed = 4;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &small), *plain = model_of(ctx, &none), *seeded = model_of(ctx, &other);
    static struct molecules m;
    struct sco_model_result first, again, next, evaluated, without, elsewhere;
    draw_usual(&m, 1);
    ok(sco_model_forward(model, &m.batch, SCO_MODEL_TRAIN, 7, &first));
    ok(sco_model_forward(model, &m.batch, SCO_MODEL_TRAIN, 8, &next));
    ok(sco_model_forward(model, &m.batch, SCO_MODEL_EVALUATE, 7, &evaluated));
    ok(sco_model_forward(model, &m.batch, SCO_MODEL_TRAIN, 7, &again));
    ok(sco_model_forward(plain, &m.batch, SCO_MODEL_TRAIN, 7, &without));
    ok(sco_model_forward(seeded, &m.batch, SCO_MODEL_TRAIN, 7, &elsewhere));
    assert_true(first.loss == again.loss);
    assert_true(first.loss != next.loss && first.loss != elsewhere.loss && first.loss != without.loss);
    assert_true(evaluated.loss == without.loss);
    assert_true(fabs((double)sco_model_get_config(model)->dropout - 0.1) < 1e-7);
    ok(sco_model_forward(model, &m.batch, SCO_MODEL_TRAIN, 7 + (UINT64_C(1) << 32), &next));
    assert_true(first.loss != next.loss);
    sco_model_destroy(seeded);
    sco_model_destroy(plain);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

/* A molecule has the same logits alone and among others, be it without edges, a single node, or nothing at all. */
static void test_molecules_alone(void **state)
{
    (void)state;
    enum { GRAPHS = 6, TASKS = 4 };
    static const int32_t n_node[GRAPHS] = {5, 1, 4, 0, 1, 9}, n_edge[GRAPHS] = {7, 0, 0, 0, 3, 20};
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &small);
    static struct molecules m;
    struct sco_model_result all, one;
    float together[GRAPHS * TASKS];
    double sum = 0.0;
    size_t rows, columns, node = 0, edge = 0;
    draw(&m, 4, GRAPHS, n_node, n_edge, TASKS);
    ok(sco_model_forward(model, &m.batch, SCO_MODEL_EVALUATE, 0, &all));
    memcpy(together, sco_model_outputs(model, &rows, &columns), sizeof together);
    assert_true(rows == GRAPHS && columns == TASKS && all.loss_count == GRAPHS * TASKS);
    for (size_t g = 0; g < GRAPHS; g++) {
        int32_t senders[MOST_EDGES], receivers[MOST_EDGES];
        for (int32_t i = 0; i < n_edge[g]; i++) {
            senders[i] = m.senders[edge + (size_t)i] - (int32_t)node;
            receivers[i] = m.receivers[edge + (size_t)i] - (int32_t)node;
        }
        const struct sco_batch alone = {.workload = SCO_OGBG,
                                        .samples = 1,
                                        .molecules = {(size_t)n_node[g], (size_t)n_edge[g], 1, TASKS, m.node + node * 9,
                                                      m.edge + edge * 3, senders, receivers, &n_node[g], &n_edge[g],
                                                      m.label + g * TASKS}};
        ok(sco_model_forward(model, &alone, SCO_MODEL_EVALUATE, 0, &one));
        assert_memory_equal(sco_model_outputs(model, &rows, &columns), together + g * TASKS, TASKS * sizeof(float));
        sum += one.loss_sum;
        node += (size_t)n_node[g];
        edge += (size_t)n_edge[g];
    }
    assert_true(fabs(sum - all.loss_sum) < 1e-12 * sum);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

static void assert_zeros(const struct gradients *g, const char *name, int want)
{
    const size_t t = tensor_named(g->model, name);
    int all = 1;
    for (size_t i = g->first[t]; i < g->first[t + 1]; i++)
        all &= g->values[i] == 0.0f;
    if (all != want)
        fail_msg("%s: %s", name, all ? "all zeros" : "not all zeros");
}

/* Without edges there is no array of them either. */
static void test_no_edges(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &small);
    struct gradients g = gradients_of(model);
    static struct molecules m;
    draw(&m, 5, 3, (const int32_t[]){2, 1, 3}, (const int32_t[]){0, 0, 0}, 4);
    m.batch.molecules.edge = NULL;
    memset(g.values, 0x5a, gradients_bytes(&g));
    assert_true(isfinite(run_step(model, &m.batch, 0, &g).loss));
    assert_zeros(&g, "Dense_1/kernel", 1);
    assert_zeros(&g, "Dense_1/bias", 1);
    assert_zeros(&g, "Dense_2/kernel", 1);
    assert_zeros(&g, "Dense_2/bias", 1);
    assert_zeros(&g, "LayerNorm_0/scale", 1);
    assert_zeros(&g, "Dense_0/kernel", 0);
    assert_zeros(&g, "Dense_3/kernel", 0);
    gradients_free(&g);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

static void test_missing_labels(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &small);
    struct gradients g = gradients_of(model);
    static struct molecules m;
    draw_usual(&m, 6);
    for (size_t i = 0; i < 5 * 4; i++)
        m.label[i] = NAN;
    struct sco_model_result result = run_step(model, &m.batch, 0, &g);
    assert_true(result.loss == 0.0 && result.loss_sum == 0.0 && result.loss_count == 20.0);
    for (size_t t = 0; t < sco_model_tensors(model)->count; t++)
        assert_zeros(&g, sco_model_tensors(model)->tensors[t].name, 1);
    m.label[7] = 1.0f;
    result = run_step(model, &m.batch, 0, &g);
    size_t rows, columns;
    const double x = (double)sco_model_outputs(model, &rows, &columns)[7];
    assert_true(result.loss == result.loss_sum && fabs(result.loss - log1p(exp(-x))) < 1e-6);
    gradients_free(&g);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
}

/* ---- Refusals ---- */

static void refused_batch(struct sco_model *model, const struct molecules *m, enum sco_status want, const char *message)
{
    struct sco_model_result result;
    size_t rows, columns;
    float before[MOST_GRAPHS * 4];
    const float *outputs = sco_model_outputs(model, &rows, &columns);
    memcpy(before, outputs, rows * columns * sizeof *outputs);
    refused(sco_model_forward(model, &m->batch, SCO_MODEL_TRAIN, 0, &result), want, message);
    assert_memory_equal(before, outputs, rows * columns * sizeof *outputs);
    refused(sco_model_backward(model, NULL, NULL), SCO_INVALID, "forward in training");
}

static void test_refusals(void **state)
{
    (void)state;
    struct sco_ctx *ctx = context(2);
    struct sco_model *model = model_of(ctx, &small);
    struct sco_model_result result;
    static struct molecules good, bad;
    draw_usual(&good, 1);
    ok(sco_model_forward(model, &good.batch, SCO_MODEL_TRAIN, 0, &result));
#define BAD(change, status, message)                                                                                   \
    do {                                                                                                               \
        draw_usual(&bad, 2);                                                                                           \
        change;                                                                                                        \
        refused_batch(model, &bad, status, message);                                                                   \
    } while (0)
    BAD(bad.senders[9] = 27, SCO_FORMAT, "sender of edge 9 is node 27; the batch has 27 nodes");
    BAD(bad.receivers[0] = -1, SCO_FORMAT, "receiver of edge 0 is node -1");
    BAD(bad.n_node[1] = -3, SCO_FORMAT, "n_node of molecule 1 is -3");
    BAD(bad.n_edge[4] = 21, SCO_FORMAT, "n_edge adds up to 47; the batch has 48");
    BAD(bad.label[6] = 0.5f, SCO_FORMAT, "label of molecule 1, task 2 is 0.5");
    BAD(bad.batch.molecules.tasks = 3, SCO_SHAPE, "3 tasks, the model 4");
    BAD(bad.batch.molecules.nodes = 65, SCO_SHAPE, "65 nodes");
    BAD(bad.batch.molecules.edges = 129, SCO_SHAPE, "129 edges");
    BAD(bad.batch.molecules.graphs = 9, SCO_SHAPE, "9 molecules");
#undef BAD
    sco_model_destroy(model);

    struct sco_model_config config = small;
    struct sco_model_plan plan;
    config.max_nodes = 0;
    refused(sco_model_plan_of(ctx, &config, &plan), SCO_INVALID, "max_nodes is 0");
    config = small;
    config.depth = 65;
    refused(sco_model_plan_of(ctx, &config, &plan), SCO_INVALID, "depth is 65");
    config = small;
    config.max_edges = SIZE_MAX;
    refused(sco_model_plan_of(ctx, &config, &plan), SCO_SHAPE, "each may be at most");
    config = small;
    config.max_edges = INT32_MAX;
    config.width = 64.0;
    config.depth = 64;
    model = NULL;
    assert_int_equal(sco_model_create(&model, ctx, &config), SCO_NOMEM);
    assert_null(model);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_golden),
        cmocka_unit_test(test_differences), cmocka_unit_test(test_shared_gradients),
        cmocka_unit_test(test_teams),       cmocka_unit_test(test_sizes_change),
        cmocka_unit_test(test_dropout),     cmocka_unit_test(test_molecules_alone),
        cmocka_unit_test(test_no_edges),    cmocka_unit_test(test_missing_labels),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

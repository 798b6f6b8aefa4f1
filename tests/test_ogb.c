/* SPDX-License-Identifier: Apache-2.0
 * Molecules from OGB's files: every number of a batch, packing, epochs, seeking, and what damaged files are said to have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "data_files.h"

static const char *const sample = SCO_TEST_DIR "/data/ogbg_molmuv";

/* Six small molecules: a path, a node alone, a pair, a ring, a pair, a triangle. */
static const struct {
    const char *name, *text;
} files[] = {
    {"raw/num-node-list.csv", "3\n1\n2\n4\n2\n3\n"},
    {"raw/num-edge-list.csv", "2\n0\n1\n4\n1\n3\n"},
    {"raw/node-feat.csv", "0,4,0,5,3,0,2,0,0\n1,4,0,5,3,0,2,0,0\n2,4,0,5,3,0,2,0,0\n3,4,0,5,3,0,2,0,0\n"
                          "4,4,0,5,3,0,2,0,0\n5,4,0,5,3,0,2,0,0\n6,4,0,5,3,0,2,0,0\n7,4,0,5,3,0,2,0,0\n"
                          "8,4,0,5,3,0,2,0,0\n9,4,0,5,3,0,2,0,0\n10,4,0,5,3,0,2,0,0\n11,4,0,5,3,0,2,0,0\n"
                          "12,4,0,5,3,0,2,0,0\n13,4,0,5,3,0,2,0,0\n118,1,2,3,4,5,6,7,8\n"},
    {"raw/edge.csv", "0,1\n1,2\n0,1\n0,1\n1,2\n2,3\n3,0\n1,0\n0,1\n1,2\n0,2\n"},
    {"raw/edge-feat.csv", "0,0,1\n1,0,1\n2,0,1\n3,0,0\n3,1,0\n3,2,0\n3,3,0\n4,0,1\n0,5,0\n0,5,1\n0,5,2\n"},
    {"raw/graph-label.csv", "0,1\nnan,0\n1.0,\n,1\n0.0,1.0\nNaN,0\n"},
    {"split/scaffold/train.csv", "5\n0\n3\n2\n"},
    {"split/scaffold/valid.csv", "1\n"},
    {"split/scaffold/test.csv", "4\n"},
};
enum { FILES = sizeof files / sizeof *files };

static void write_base(const char *suffix)
{
    char name[128];
    fresh_folder("test_ogb");
    for (size_t i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%s%s", files[i].name, suffix);
        write_text(name, files[i].text);
    }
}

static struct sco_dataset_options options_of(const char *path, enum sco_split split, size_t batch)
{
    return (struct sco_dataset_options){
        .workload = SCO_OGBG, .path = path, .split = split, .batch = batch, .seed = 7, .workers = 1};
}

static struct sco_dataset *opened(const struct sco_dataset_options *options)
{
    struct sco_dataset *dataset = NULL;
    succeeds(sco_dataset_open(&dataset, options));
    return dataset;
}

static const struct sco_batch *next(struct sco_dataset *dataset)
{
    const struct sco_batch *batch;
    succeeds(sco_dataset_next(dataset, &batch));
    return batch;
}

static uint64_t hash_of(const struct sco_batch *batch)
{
    const struct sco_molecules *m = &batch->molecules;
    uint64_t h = mix_bytes(batch->position, m->node, m->nodes * 9 * sizeof(float));
    h = mix_bytes(h, m->edge, m->edges * 3 * sizeof(float));
    h = mix_bytes(h, m->senders, m->edges * sizeof(int32_t));
    h = mix_bytes(h, m->receivers, m->edges * sizeof(int32_t));
    h = mix_bytes(h, m->n_node, m->graphs * sizeof(int32_t));
    h = mix_bytes(h, m->n_edge, m->graphs * sizeof(int32_t));
    return mix_bytes(h, m->label, m->graphs * m->tasks * sizeof(float));
}

static void check_ints(const int32_t *got, const int32_t *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (got[i] != want[i])
            fail_msg("entry %zu: %d, expected %d", i, (int)got[i], (int)want[i]);
}

/* The training split holds molecules 0, 2, 3 and 5, whatever the order of its file. */
static void check_base(struct sco_dataset *dataset)
{
    const struct sco_dataset_facts *facts = sco_dataset_get_facts(dataset);
    assert_int_equal(facts->samples, 4);
    assert_int_equal(facts->max_samples, 8);
    assert_int_equal(facts->max_nodes, 26 * 8);
    assert_int_equal(facts->max_edges, 56 * 8);
    assert_int_equal(facts->classes, 2);
    assert_int_equal(facts->synthetic, 0);
    const struct sco_batch *batch = next(dataset);
    assert_non_null(batch);
    const struct sco_molecules *m = &batch->molecules;
    assert_int_equal(batch->samples, 4);
    assert_int_equal(m->graphs, 4);
    assert_int_equal(m->nodes, 12);
    assert_int_equal(m->edges, 20);
    assert_int_equal(m->tasks, 2);
    check_ints(m->n_node, (int32_t[]){3, 2, 4, 3}, 4);
    check_ints(m->n_edge, (int32_t[]){4, 2, 8, 6}, 4);
    check_ints(m->senders, (int32_t[]){0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8, 5, 9, 10, 9, 10, 11, 11}, 20);
    check_ints(m->receivers, (int32_t[]){1, 2, 0, 1, 4, 3, 6, 7, 8, 5, 5, 6, 7, 8, 10, 11, 11, 9, 10, 9}, 20);
    static const float elements[] = {0, 1, 2, 4, 5, 6, 7, 8, 9, 12, 13, 118};
    for (size_t i = 0; i < 12; i++)
        assert_true(m->node[9 * i] == elements[i]);
    for (size_t c = 1; c < 9; c++)
        assert_true(m->node[9 * 11 + c] == (float)c);
    /* The ring's bonds, then the same again for the way back. */
    for (size_t i = 0; i < 8; i++)
        assert_true(m->edge[3 * (6 + i)] == 3 && m->edge[3 * (6 + i) + 1] == (float)(i % 4));
    static const float labels[] = {0, 1, 1, NAN, NAN, 1, NAN, 0};
    for (size_t i = 0; i < 8; i++)
        assert_true(isnan(labels[i]) ? isnan(m->label[i]) : m->label[i] == labels[i]);
    assert_null(next(dataset));
    assert_null(next(dataset));
    sco_dataset_close(dataset);
}

static void every_number(void **state)
{
    (void)state;
    struct sco_dataset_options options = options_of(data_folder, SCO_TRAIN_SUBSET, 8);
    write_base("");
    check_base(opened(&options));
    write_base(".gz");
    check_base(opened(&options));
    /* The folder above pcba/. */
    char inner[128], moved[160];
    snprintf(inner, sizeof inner, "%s.inner", data_folder);
    assert_int_equal(rename(data_folder, inner), 0);
    assert_int_equal(mkdir(data_folder, 0777), 0);
    snprintf(moved, sizeof moved, "%s/pcba", data_folder);
    assert_int_equal(rename(inner, moved), 0);
    check_base(opened(&options));
}

static void splits(void **state)
{
    (void)state;
    write_base("");
    struct sco_dataset_options options = options_of(data_folder, SCO_VALIDATION, 4);
    struct sco_dataset *dataset = opened(&options);
    const struct sco_batch *batch = next(dataset);
    assert_int_equal(batch->molecules.nodes, 1);
    assert_int_equal(batch->molecules.edges, 0);
    assert_true(batch->molecules.node[0] == 3 && isnan(batch->molecules.label[0]) && batch->molecules.label[1] == 0);
    sco_dataset_close(dataset);
    options.split = SCO_TEST;
    dataset = opened(&options);
    assert_true(next(dataset)->molecules.node[0] == 10);
    sco_dataset_close(dataset);
    options.split = SCO_TRAIN_SUBSET;
    options.samples = 3;
    dataset = opened(&options);
    assert_int_equal(sco_dataset_get_facts(dataset)->samples, 3);
    batch = next(dataset);
    check_ints(batch->molecules.n_node, (int32_t[]){3, 2, 4}, 3);
    assert_null(next(dataset));
    sco_dataset_close(dataset);
}

/* Thirty molecules larger than the average of a batch, half of them with many bonds. */
static void write_large(void)
{
    static char nodes[1 << 16], bonds[1 << 16], features[1 << 16], kinds[1 << 16], labels[1 << 10], train[1 << 10];
    size_t n = 0, b = 0, f = 0, k = 0, l = 0, t = 0;
    static char ends[1 << 17];
    size_t e = 0;
    for (unsigned g = 0; g < 30; g++) {
        const unsigned size = 20 + g * 17 % 31, count = g % 10 < 5 ? 3 * size : size;
        n += (size_t)sprintf(nodes + n, "%u\n", size);
        b += (size_t)sprintf(bonds + b, "%u\n", count);
        l += (size_t)sprintf(labels + l, "%u\n", g % 2);
        t += (size_t)sprintf(train + t, "%u\n", g);
        for (unsigned i = 0; i < size; i++)
            f += (size_t)sprintf(features + f, "%u,0,0,0,0,0,0,0,%u\n", g, i);
        for (unsigned i = 0; i < count; i++) {
            e += (size_t)sprintf(ends + e, "%u,%u\n", i % size, (i + 1 + i / size) % size);
            k += (size_t)sprintf(kinds + k, "%u,0,0\n", i);
        }
    }
    fresh_folder("test_ogb");
    write_data("raw/num-node-list.csv", nodes, n);
    write_data("raw/num-edge-list.csv", bonds, b);
    write_data("raw/node-feat.csv", features, f);
    write_data("raw/edge.csv", ends, e);
    write_data("raw/edge-feat.csv", kinds, k);
    write_data("raw/graph-label.csv", labels, l);
    write_data("split/scaffold/train.csv", train, t);
}

/* A batch ends at the first molecule that would break a bound, and that one opens the next. */
static void packing(void **state)
{
    (void)state;
    write_large();
    const char *const folders[] = {sample, data_folder};
    size_t by_graphs = 0, by_nodes = 0, by_edges = 0;
    for (size_t f = 0; f < 2; f++) {
        struct sco_dataset_options options = options_of(folders[f], SCO_TRAIN_SUBSET, 128);
        struct sco_dataset *whole = opened(&options);
        const struct sco_molecules *all = &next(whole)->molecules;
        assert_int_equal(all->graphs, f == 0 ? 40 : 30);
        for (size_t b = 6; b < 12; b++) {
            options.batch = b;
            struct sco_dataset *dataset = opened(&options);
            size_t graph = 0, node = 0;
            for (const struct sco_batch *batch = next(dataset); batch != NULL; batch = next(dataset)) {
                const struct sco_molecules *m = &batch->molecules;
                assert_true(m->nodes <= 26 * b && m->edges <= 56 * b && m->graphs <= b);
                check_ints(m->n_node, all->n_node + graph, m->graphs);
                check_ints(m->n_edge, all->n_edge + graph, m->graphs);
                assert_memory_equal(m->node, all->node + 9 * node, m->nodes * 9 * sizeof(float));
                graph += m->graphs;
                node += m->nodes;
                if (graph == all->graphs)
                    continue;
                const size_t nodes = m->nodes + (size_t)all->n_node[graph],
                             edges = m->edges + (size_t)all->n_edge[graph];
                assert_true(m->graphs == b || nodes > 26 * b || edges > 56 * b);
                by_graphs += m->graphs == b;
                by_nodes += m->graphs < b && edges <= 56 * b;
                by_edges += m->graphs < b && nodes <= 26 * b;
            }
            assert_int_equal(graph, all->graphs);
            sco_dataset_close(dataset);
        }
        sco_dataset_close(whole);
    }
    assert_in_range(by_graphs, 1, 100);
    assert_in_range(by_nodes, 1, 100);
    assert_in_range(by_edges, 1, 100);
}

/* Sizes of the molecules of a stretch of the stream identify them well enough: sums over an epoch are the split's. */
static void epochs(void **state)
{
    (void)state;
    struct sco_dataset_options options = options_of(sample, SCO_TRAIN_SUBSET, 64);
    struct sco_dataset *dataset = opened(&options);
    const size_t nodes = next(dataset)->molecules.nodes;
    sco_dataset_close(dataset);
    options.split = SCO_TRAIN;
    options.batch = 4;
    dataset = opened(&options);
    size_t seen = 0, sum = 0, across = 0;
    int32_t first[3][40];
    while (seen < 120) {
        const struct sco_molecules *m = &next(dataset)->molecules;
        for (size_t g = 0; g < m->graphs && seen < 120; g++, seen++) {
            first[seen / 40][seen % 40] = m->n_node[g];
            sum += (size_t)m->n_node[g];
            if (seen % 40 == 39)
                assert_int_equal(sum, nodes * (seen / 40 + 1));
            across += seen % 40 == 0 && g > 0;
        }
    }
    assert_true(across > 0);
    assert_memory_not_equal(first[0], first[1], sizeof first[0]);
    assert_memory_not_equal(first[1], first[2], sizeof first[0]);
    sco_dataset_close(dataset);
}

static void bits_by_position(void **state)
{
    (void)state;
    enum { LENGTH = 40 };
    uint64_t want[LENGTH];
    struct sco_dataset_options options = options_of(sample, SCO_TRAIN, 3);
    struct sco_dataset *dataset = opened(&options);
    for (size_t i = 0; i < LENGTH; i++)
        want[i] = hash_of(next(dataset));
    static const uint64_t jumps[] = {0, 39, 13, 14, 1, 27, 5};
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        succeeds(sco_dataset_seek(dataset, jumps[i]));
        const struct sco_batch *batch = next(dataset);
        assert_true(batch->position == jumps[i] && hash_of(batch) == want[jumps[i]]);
    }
    sco_dataset_close(dataset);
    for (options.workers = 1; options.workers < 4; options.workers++) {
        options.ahead = 2 * options.workers;
        dataset = opened(&options);
        for (size_t i = 0; i < LENGTH; i++)
            assert_true(hash_of(next(dataset)) == want[i]);
        sco_dataset_close(dataset);
    }
    options.seed++;
    dataset = opened(&options);
    assert_true(hash_of(next(dataset)) != want[0]);
    sco_dataset_close(dataset);
    /* An evaluation ends where it ends, also for who seeks there. */
    options.split = SCO_VALIDATION;
    dataset = opened(&options);
    size_t batches = 0;
    while (next(dataset) != NULL)
        batches++;
    succeeds(sco_dataset_seek(dataset, batches));
    assert_null(next(dataset));
    succeeds(sco_dataset_seek(dataset, 1000));
    assert_null(next(dataset));
    succeeds(sco_dataset_seek(dataset, batches - 1));
    assert_non_null(next(dataset));
    sco_dataset_close(dataset);
}

/* Files that leave in doubt what belongs to which molecule. */
static void refused_at_open(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *said;
    } cases[] = {
        {"raw/num-node-list.csv", "3\n1\n2\n4\n2\n", "num-node-list.csv: 5 lines, but num-edge-list has 6"},
        {"raw/num-node-list.csv", "3\n1\nx\n4\n2\n3\n", "num-node-list.csv: line 3: column 1: 'x', expected a number"},
        {"raw/num-node-list.csv", "3\n1\n-2\n4\n2\n3\n",
         "num-node-list.csv: line 3: column 1: '-2', expected a number"},
        {"raw/num-node-list.csv", "3\n1\n70000\n4\n2\n3\n",
         "line 3: column 1: '70000', expected a number from 0 to 65535"},
        {"raw/num-node-list.csv", "3,1\n1\n2\n4\n2\n3\n", "num-node-list.csv: line 1: 2 columns, expected 1"},
        {"raw/num-node-list.csv", "3\n1\n2\n4\n2\n4\n", "node-feat.csv: 15 lines, expected 16 by num-node-list"},
        {"raw/num-node-list.csv", "3\n1\n2\n4\n2\n2\n", "node-feat.csv: line 15: num-node-list counts 14 lines"},
        {"raw/num-edge-list.csv", "", "num-edge-list.csv: no line"},
        {"raw/num-edge-list.csv", "2\n0\n1\n4\n1\n4\n", "edge.csv: 11 lines, expected 12 by num-edge-list"},
        {"raw/edge-feat.csv", "0,0,1\n", "edge-feat.csv: 1 lines, expected 11 by num-edge-list"},
        {"raw/graph-label.csv", "0,1\nnan,0\n", "graph-label.csv: 2 lines, expected 6"},
        {"split/scaffold/train.csv", "0\n6\n", "train.csv: line 2: molecule 6, but there are 6 (from 0)"},
        {"split/scaffold/train.csv", "0\n3\n0\n", "train.csv: line 3: molecule 0 is in a split already"},
        {"split/scaffold/train.csv", "0\n\n", "train.csv: line 2: column 1: ''"},
        {"split/scaffold/train.csv", "", "train.csv: no molecule"},
    };
    struct sco_dataset_options options = options_of(data_folder, SCO_TRAIN, 8);
    struct sco_dataset *dataset = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int skip = 0; skip < 2; skip++) {
            write_base("");
            write_text(cases[i].name, cases[i].text);
            options.bad_sample = skip ? SCO_BAD_SKIP : SCO_BAD_STOP;
            says(sco_dataset_open(&dataset, &options), SCO_FORMAT, cases[i].said);
            verified(SCO_OGBG, data_folder);
            if (strstr(findings, cases[i].said) == NULL)
                fail_msg("\"%s\" does not say \"%s\"", findings, cases[i].said);
        }
    write_base("");
    unlink(data_path("raw/edge.csv"));
    says(sco_dataset_open(&dataset, &options), SCO_IO, "edge.csv.gz: cannot be opened: No such file");
    options.path = data_path("split");
    says(sco_dataset_open(&dataset, &options), SCO_IO, "holds neither raw/ nor pcba/raw/");
}

static void damaged_gzip(void **state)
{
    (void)state;
    struct sco_dataset_options options = options_of(data_folder, SCO_TRAIN, 8);
    struct sco_dataset *dataset = NULL;
    const char *name = "raw/node-feat.csv.gz";
    write_base(".gz");
    cut_file(name, size_of_file(name) - 9);
    says(sco_dataset_open(&dataset, &options), SCO_FORMAT, "node-feat.csv.gz: line ");
    says(sco_dataset_open(&dataset, &options), SCO_FORMAT, "the gzip data is cut short here");
    cut_file(name, 5);
    says(sco_dataset_open(&dataset, &options), SCO_FORMAT, "node-feat.csv.gz: line 1: the gzip data is cut short here");
    cut_file(name, 0);
    says(sco_dataset_open(&dataset, &options), SCO_FORMAT, "node-feat.csv.gz: an empty file is no gzip data");
    write_base(".gz");
    flip_byte(name, size_of_file(name) - 6);
    says(sco_dataset_open(&dataset, &options), SCO_FORMAT, "the gzip data is damaged (incorrect data check)");
    flip_byte(name, 0);
    says(sco_dataset_open(&dataset, &options), SCO_FORMAT, "node-feat.csv.gz: byte 0: not gzip data");
    const struct sco_verify_result result = verified(SCO_OGBG, data_folder);
    assert_int_equal(result.findings, 1);
    assert_non_null(strstr(findings, "node-feat.csv.gz: byte 0: not gzip data"));
}

/* One line is damaged: the molecule it belongs to cannot be used, others can. */
static void damaged_lines(void **state)
{
    (void)state;
    static const struct {
        const char *name, *from, *to, *said;
    } cases[] = {
        {"raw/node-feat.csv", "6,4,0,5", "6,4,x,5",
         "node-feat.csv: line 7: column 3: 'x', expected a number from 0 to 255"},
        {"raw/node-feat.csv", "6,4,0,5", "6,4,,5", "node-feat.csv: line 7: column 3: '', expected a number"},
        {"raw/node-feat.csv", "6,4,0,5", "256,4,0,5", "node-feat.csv: line 7: column 1: '256', expected a number"},
        {"raw/node-feat.csv", "6,4,0,5", "6,4,5", "node-feat.csv: line 7: 8 columns, expected 9"},
        {"raw/node-feat.csv", "6,4,0,5", "6,4,0,0,5", "node-feat.csv: line 7: 10 columns, expected 9"},
        {"raw/edge.csv", "2,3", "2,4", "edge.csv: line 6: column 2: node 4 of molecule 3, which has 4 (from 0)"},
        {"raw/edge.csv", "2,3", "2", "edge.csv: line 6: 1 columns, expected 2"},
        {"raw/edge-feat.csv", "3,2,0", "3,2,-1", "edge-feat.csv: line 6: column 3: '-1', expected a number"},
        {"raw/graph-label.csv", "\n,1\n", "\n,2\n", "graph-label.csv: line 4: column 2: label '2', expected 0, 1"},
        {"raw/graph-label.csv", "\n,1\n", "\n1\n", "graph-label.csv: line 4: 1 columns, expected 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = NULL;
        char damaged[2048];
        for (size_t f = 0; f < FILES; f++)
            text = strcmp(files[f].name, cases[i].name) == 0 ? files[f].text : text;
        const char *at = strstr(text, cases[i].from);
        assert_non_null(at);
        snprintf(damaged, sizeof damaged, "%.*s%s%s", (int)(at - text), text, cases[i].to, at + strlen(cases[i].from));
        write_base("");
        write_text(cases[i].name, damaged);

        struct sco_dataset_options options = options_of(data_folder, SCO_TRAIN_SUBSET, 8);
        const struct sco_batch *batch;
        struct sco_dataset *dataset = opened(&options);
        for (int again = 0; again < 2; again++)
            says(sco_dataset_next(dataset, &batch), SCO_FORMAT, cases[i].said);
        sco_dataset_close(dataset);

        options.bad_sample = SCO_BAD_SKIP;
        dataset = opened(&options);
        batch = next(dataset);
        assert_int_equal(batch->samples, 3);
        check_ints(batch->molecules.n_node, (int32_t[]){3, 2, 3}, 3);
        assert_int_equal(sco_dataset_skipped(dataset), 1);
        assert_non_null(strstr(sco_dataset_last_skipped(dataset), cases[i].said));
        assert_null(next(dataset));
        sco_dataset_close(dataset);

        /* In other splits the line is not even looked at. */
        options.bad_sample = SCO_BAD_STOP;
        options.split = SCO_TEST;
        dataset = opened(&options);
        assert_non_null(next(dataset));
        sco_dataset_close(dataset);

        const struct sco_verify_result result = verified(SCO_OGBG, data_folder);
        assert_int_equal(result.findings, 1);
        assert_int_equal(result.samples, 6);
        assert_int_equal(result.files, FILES);
        assert_non_null(strstr(findings, cases[i].said));
    }
}

/* Batches and counts with a molecule left out do not depend on workers or on where the reader began. */
static void skipping(void **state)
{
    (void)state;
    enum { LENGTH = 12 };
    uint64_t want[LENGTH], skipped[LENGTH];
    write_base("");
    write_text("raw/edge.csv", "0,1\n1,2\n0,1\n0,1\n1,2\n2,3\n9,0\n1,0\n0,1\n1,2\n0,2\n");
    struct sco_dataset_options options = options_of(data_folder, SCO_TRAIN, 2);
    options.bad_sample = SCO_BAD_SKIP;
    struct sco_dataset *dataset = opened(&options);
    for (size_t i = 0; i < LENGTH; i++) {
        const struct sco_batch *batch = next(dataset);
        assert_int_equal(batch->samples, 2);
        want[i] = hash_of(batch);
        skipped[i] = sco_dataset_skipped(dataset);
    }
    assert_in_range(skipped[LENGTH - 1], 2 * LENGTH / 3 - 1, 2 * LENGTH / 3 + 1);
    succeeds(sco_dataset_seek(dataset, 5));
    assert_true(hash_of(next(dataset)) == want[5]);
    sco_dataset_close(dataset);
    options.workers = 3;
    options.ahead = 5;
    dataset = opened(&options);
    for (size_t i = 0; i < LENGTH; i++) {
        assert_true(hash_of(next(dataset)) == want[i]);
        assert_int_equal(sco_dataset_skipped(dataset), skipped[i]);
    }
    sco_dataset_close(dataset);

    /* Nothing is left: that is an error, not a wait without end. */
    write_base("");
    write_text("split/scaffold/train.csv", "3\n5\n");
    write_text("raw/edge.csv", "0,1\n1,2\n0,1\n0,1\n1,2\n2,3\n9,0\n1,0\n0,1\n1,2\n0,9\n");
    const struct sco_batch *batch;
    dataset = opened(&options);
    says(sco_dataset_next(dataset, &batch), SCO_FORMAT, "no molecule of the split can be used; the last: ");
    sco_dataset_close(dataset);
}

static void larger_than_a_batch(void **state)
{
    (void)state;
    struct sco_dataset_options options = options_of(sample, SCO_TRAIN, 1);
    const struct sco_batch *batch;
    enum sco_status status = SCO_OK;
    struct sco_dataset *dataset = opened(&options);
    for (int i = 0; i < 40 && status == SCO_OK; i++)
        status = sco_dataset_next(dataset, &batch);
    says(status, SCO_FORMAT, "num-node-list.csv.gz: line ");
    says(status, SCO_FORMAT, "but a batch of 1 holds 26 and 56; take a larger batch");
    sco_dataset_close(dataset);
    options.bad_sample = SCO_BAD_SKIP;
    dataset = opened(&options);
    for (int i = 0; i < 60; i++)
        assert_true(next(dataset)->molecules.nodes <= 26);
    assert_true(sco_dataset_skipped(dataset) > 0);
    sco_dataset_close(dataset);
}

static void verification(void **state)
{
    (void)state;
    const struct sco_verify_result result = verified(SCO_OGBG, sample);
    assert_int_equal(result.samples, 60);
    assert_int_equal(result.files, FILES);
    assert_int_equal(result.findings, 0);
    write_base("");
    write_text("raw/edge.csv", "0,1\n1,2\n0,1\n0,1\n1,2\nx,3\n9,0\n1,0\n0,1\n1,2\n0,3\n");
    write_text("split/scaffold/test.csv", "4\n5\n77\n");
    assert_int_equal(verified(SCO_OGBG, data_folder).findings, 5);
    assert_non_null(strstr(findings, "test.csv: line 2: molecule 5 is in a split already"));
    assert_non_null(strstr(findings, "test.csv: line 3: molecule 77, but there are 6"));
    assert_non_null(strstr(findings, "edge.csv: line 6: column 1: 'x'"));
    assert_non_null(strstr(findings, "edge.csv: line 7: column 1: node 9 of molecule 3, which has 4"));
    assert_non_null(strstr(findings, "edge.csv: line 11: column 2: node 3 of molecule 5, which has 3"));
}

static int tear_down(void **state)
{
    (void)state;
    remove_data();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_number),     cmocka_unit_test(splits),
                                       cmocka_unit_test(packing),          cmocka_unit_test(epochs),
                                       cmocka_unit_test(bits_by_position), cmocka_unit_test(refused_at_open),
                                       cmocka_unit_test(damaged_gzip),     cmocka_unit_test(damaged_lines),
                                       cmocka_unit_test(skipping),         cmocka_unit_test(larger_than_a_batch),
                                       cmocka_unit_test(verification)};
    return cmocka_run_group_tests(tests, NULL, tear_down);
}

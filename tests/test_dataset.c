/* SPDX-License-Identifier: Apache-2.0
 * Streams of batches: the same bits whoever prepares them and wherever the reader starts, made-up data that keeps the
 * promises of dataset.h, errors, skips and ends through a source that the test scripts. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/affinity.h"
#include "arch/fail.h"
#include "io/dataset_core.h"
#include "io/molecule_pack.h"
#include "stepcost/ctx.h"

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

static struct sco_dataset *opened(struct sco_dataset_options options)
{
    struct sco_dataset *dataset;
    options.path = "synthetic";
    ok(sco_dataset_open(&dataset, &options));
    return dataset;
}

/* ---- Bits of a batch --------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_of(const struct sco_batch *batch)
{
    uint64_t h = mix(0xcbf29ce484222325u, &batch->samples, sizeof batch->samples);
    h = mix(h, &batch->position, sizeof batch->position);
    switch (batch->workload) {
    case SCO_RESNET50: {
        const struct sco_images *b = &batch->images;
        h = mix(h, b->x, b->N * b->H * b->W * 3 * sizeof *b->x);
        return mix(h, b->label, b->N * sizeof *b->label);
    }
    case SCO_OGBG: {
        const struct sco_molecules *b = &batch->molecules;
        h = mix(h, b->node, b->nodes * SCO_ATOM_FEATURES * sizeof *b->node);
        h = mix(h, b->edge, b->edges * SCO_BOND_FEATURES * sizeof *b->edge);
        h = mix(h, b->senders, b->edges * sizeof *b->senders);
        h = mix(h, b->receivers, b->edges * sizeof *b->receivers);
        h = mix(h, b->n_node, b->graphs * sizeof *b->n_node);
        h = mix(h, b->n_edge, b->graphs * sizeof *b->n_edge);
        return mix(h, b->label, b->graphs * b->tasks * sizeof *b->label);
    }
    case SCO_DLRM: {
        const struct sco_clicks *b = &batch->clicks;
        h = mix(h, b->dense, b->rows * SCO_CLICK_DENSE * sizeof *b->dense);
        h = mix(h, b->index, b->rows * SCO_CLICK_CATEGORIES * sizeof *b->index);
        return mix(h, b->label, b->rows * sizeof *b->label);
    }
    case SCO_UNET: {
        const struct sco_slices *b = &batch->slices;
        h = mix(h, b->x, b->N * b->H * b->W * sizeof *b->x);
        h = mix(h, b->target, b->N * b->H * b->W * sizeof *b->target);
        h = mix(h, b->mean, b->N * sizeof *b->mean);
        h = mix(h, b->deviation, b->N * sizeof *b->deviation);
        return mix(h, b->volume_max, b->N * sizeof *b->volume_max);
    }
    case SCO_WORKLOADS: break;
    }
    fail();
    return 0;
}

/* Small streams, with several epochs within the batches that are looked at. */
enum { BATCHES = 9 };
static struct sco_dataset_options small(enum sco_workload workload)
{
    return (struct sco_dataset_options){
        .workload = workload, .batch = 4, .samples = 10, .side = 20, .table_rows = 5000, .seed = 7};
}

static void read_hashes(struct sco_dataset *dataset, uint64_t hashes[BATCHES])
{
    for (size_t p = 0; p < BATCHES; p++) {
        const struct sco_batch *batch;
        ok(sco_dataset_next(dataset, &batch));
        assert_non_null(batch);
        assert_int_equal(batch->position, p);
        hashes[p] = hash_of(batch);
    }
}

static void test_bits_of_any_workers(void **state)
{
    (void)state;
    static const size_t workers[] = {1, 2, 5};
    for (int w = 0; w < SCO_WORKLOADS; w++) {
        struct sco_dataset_options options = small((enum sco_workload)w);
        uint64_t want[BATCHES], got[BATCHES];
        struct sco_dataset *dataset = opened(options);
        read_hashes(dataset, want);
        sco_dataset_close(dataset);
        for (size_t p = 1; p < BATCHES; p++)
            assert_true(want[p] != want[p - 1]);
        for (size_t i = 0; i < sizeof workers / sizeof *workers; i++)
            for (options.ahead = 1; options.ahead <= 4; options.ahead++) {
                options.workers = workers[i];
                dataset = opened(options);
                read_hashes(dataset, got);
                sco_dataset_close(dataset);
                assert_memory_equal(got, want, sizeof want);
            }
        options.seed++;
        dataset = opened(options);
        read_hashes(dataset, got);
        sco_dataset_close(dataset);
        assert_true(got[0] != want[0]);
    }
}

static void test_bits_after_seek(void **state)
{
    (void)state;
    static const size_t places[] = {5, 0, 8, 8, 3, 2, 7, 1};
    for (int w = 0; w < SCO_WORKLOADS; w++) {
        struct sco_dataset_options options = small((enum sco_workload)w);
        options.workers = 2;
        uint64_t want[BATCHES];
        const struct sco_batch *batch;
        struct sco_dataset *dataset = opened(options);
        read_hashes(dataset, want);
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            ok(sco_dataset_seek(dataset, places[i]));
            for (size_t p = places[i]; p < BATCHES && p < places[i] + 2; p++) {
                ok(sco_dataset_next(dataset, &batch));
                assert_int_equal(hash_of(batch), want[p]);
            }
        }
        refused(sco_dataset_seek(dataset, UINT64_MAX), SCO_INVALID, "too large");
        ok(sco_dataset_seek(dataset, 1));
        ok(sco_dataset_next(dataset, &batch));
        assert_int_equal(hash_of(batch), want[1]);
        sco_dataset_close(dataset);
    }
}

/* One sample of each batch, as a number to know it by; molecules would share batches. */
static uint64_t sample_hash(const struct sco_batch *batch)
{
    struct sco_batch copy = *batch;
    copy.position = 0;
    return hash_of(&copy);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_epochs(void **state)
{
    (void)state;
    enum { SAMPLES = 30 };
    for (int w = 0; w < SCO_WORKLOADS; w++) {
        struct sco_dataset_options options = small((enum sco_workload)w);
        options.batch = 1;
        options.samples = SAMPLES;
        struct sco_dataset *dataset = opened(options);
        assert_int_equal(sco_dataset_get_facts(dataset)->samples, SAMPLES);
        uint64_t epochs[2][SAMPLES], subset[SAMPLES];
        for (size_t i = 0; i < 2 * SAMPLES; i++) {
            const struct sco_batch *batch;
            ok(sco_dataset_next(dataset, &batch));
            assert_int_equal(batch->samples, 1);
            epochs[i / SAMPLES][i % SAMPLES] = sample_hash(batch);
        }
        sco_dataset_close(dataset);
        assert_memory_not_equal(epochs[0], epochs[1], sizeof epochs[0]);

        /* The subset holds the same samples, once and in their own order. */
        options.split = SCO_TRAIN_SUBSET;
        dataset = opened(options);
        const struct sco_batch *batch;
        for (size_t i = 0; i < SAMPLES; i++) {
            ok(sco_dataset_next(dataset, &batch));
            assert_non_null(batch);
            subset[i] = sample_hash(batch);
        }
        ok(sco_dataset_next(dataset, &batch));
        assert_null(batch);
        sco_dataset_close(dataset);
        assert_memory_not_equal(epochs[0], subset, sizeof subset);

        qsort(epochs[0], SAMPLES, sizeof **epochs, by_value);
        qsort(epochs[1], SAMPLES, sizeof **epochs, by_value);
        qsort(subset, SAMPLES, sizeof *subset, by_value);
        assert_memory_equal(epochs[0], epochs[1], sizeof epochs[0]);
        assert_memory_equal(epochs[0], subset, sizeof subset);

        /* What is held back shares no sample with it. */
        options.split = SCO_VALIDATION;
        dataset = opened(options);
        for (size_t i = 0; i < SAMPLES; i++) {
            ok(sco_dataset_next(dataset, &batch));
            const uint64_t key = sample_hash(batch);
            assert_null(bsearch(&key, subset, SAMPLES, sizeof *subset, by_value));
        }
        sco_dataset_close(dataset);
    }
}

static void test_end_of_evaluation(void **state)
{
    (void)state;
    for (int w = 0; w < SCO_WORKLOADS; w++) {
        struct sco_dataset_options options = small((enum sco_workload)w);
        options.split = SCO_TEST;
        options.samples = 11;
        options.batch = 3;
        options.workers = 3;
        struct sco_dataset *dataset = opened(options);
        const struct sco_batch *batch;
        for (size_t pass = 0; pass < 2; pass++) {
            size_t samples = 0;
            for (;;) {
                ok(sco_dataset_next(dataset, &batch));
                if (batch == NULL)
                    break;
                assert_in_range(batch->samples, 1, 3);
                samples += batch->samples;
            }
            assert_int_equal(samples, 11);
            ok(sco_dataset_next(dataset, &batch));
            assert_null(batch);
            ok(sco_dataset_seek(dataset, 1000));
            ok(sco_dataset_next(dataset, &batch));
            assert_null(batch);
            ok(sco_dataset_seek(dataset, 0));
        }
        sco_dataset_close(dataset);
    }
}

/* ---- Made-up data ------------------------------------------------------------------------------------------------ */

static void test_images(void **state)
{
    (void)state;
    struct sco_dataset *dataset =
        opened((struct sco_dataset_options){.workload = SCO_RESNET50, .batch = 64, .side = 24});
    const struct sco_dataset_facts *facts = sco_dataset_get_facts(dataset);
    assert_int_equal(facts->classes, 1000);
    assert_int_equal(facts->H, 24);
    assert_int_equal(facts->W, 24);
    assert_int_equal(facts->max_samples, 64);
    assert_true(facts->synthetic);
    assert_true(facts->memory_bytes >= 64 * 24 * 24 * 3 * sizeof(float));
    const struct sco_batch *batch;
    ok(sco_dataset_next(dataset, &batch));
    double sum = 0.0, squares = 0.0;
    const size_t n = batch->images.N * 24 * 24 * 3;
    for (size_t i = 0; i < n; i++) {
        assert_true(batch->images.x[i] > -2.2f && batch->images.x[i] < 2.7f);
        sum += (double)batch->images.x[i];
        squares += (double)batch->images.x[i] * (double)batch->images.x[i];
    }
    assert_true(fabs(sum / (double)n) < 0.5 && squares / (double)n > 0.2 && squares / (double)n < 2.0);
    size_t different = 0;
    for (size_t i = 0; i < batch->images.N; i++) {
        assert_in_range(batch->images.label[i], 0, 999);
        different += batch->images.label[i] != batch->images.label[0];
    }
    assert_true(different > 32);
    sco_dataset_close(dataset);
}

static void test_molecules(void **state)
{
    (void)state;
    static const int atom[] = {119, 5, 12, 12, 10, 6, 6, 2, 2}, bond[] = {5, 6, 2};
    struct sco_dataset *dataset = opened((struct sco_dataset_options){.workload = SCO_OGBG, .batch = 64});
    const struct sco_dataset_facts *facts = sco_dataset_get_facts(dataset);
    assert_int_equal(facts->classes, 128);
    assert_int_equal(facts->max_nodes, 26 * 64);
    assert_int_equal(facts->max_edges, 56 * 64);
    size_t nodes = 0, edges = 0, graphs = 0, missing = 0, positive = 0;
    for (size_t p = 0; p < 8; p++) {
        const struct sco_batch *batch;
        ok(sco_dataset_next(dataset, &batch));
        const struct sco_molecules *m = &batch->molecules;
        assert_true(m->nodes <= facts->max_nodes && m->edges <= facts->max_edges && m->graphs <= 64 && m->graphs > 32);
        assert_int_equal(m->tasks, 128);
        assert_int_equal(batch->samples, m->graphs);
        for (size_t i = 0; i < m->nodes; i++)
            for (size_t k = 0; k < SCO_ATOM_FEATURES; k++)
                assert_in_range((int)m->node[SCO_ATOM_FEATURES * i + k], 0, atom[k] - 1);
        for (size_t i = 0; i < m->edges; i++)
            for (size_t k = 0; k < SCO_BOND_FEATURES; k++)
                assert_in_range((int)m->edge[SCO_BOND_FEATURES * i + k], 0, bond[k] - 1);
        size_t node = 0, edge = 0;
        for (size_t g = 0; g < m->graphs; g++) {
            const size_t bonds = (size_t)m->n_edge[g] / 2;
            size_t degree[64] = {0};
            assert_in_range(m->n_node[g], 1, 63);
            assert_true(bonds + 1 >= (size_t)m->n_node[g]);
            for (size_t e = edge; e < edge + bonds; e++) {
                assert_in_range(m->senders[e], node, node + (size_t)m->n_node[g] - 1);
                assert_in_range(m->receivers[e], node, node + (size_t)m->n_node[g] - 1);
                assert_int_equal(m->senders[e], m->receivers[e + bonds]);
                assert_int_equal(m->receivers[e], m->senders[e + bonds]);
                assert_memory_equal(m->edge + 3 * e, m->edge + 3 * (e + bonds), 3 * sizeof(float));
                for (size_t f = edge; f < e; f++)
                    assert_false((m->senders[e] == m->senders[f] && m->receivers[e] == m->receivers[f]) ||
                                 (m->senders[e] == m->receivers[f] && m->receivers[e] == m->senders[f]));
                degree[(size_t)m->senders[e] - node]++;
                degree[(size_t)m->receivers[e] - node]++;
            }
            for (size_t i = 0; i < (size_t)m->n_node[g]; i++) {
                assert_in_range(degree[i], 1, 4);
                assert_int_equal(degree[i], (int)m->node[SCO_ATOM_FEATURES * (node + i) + 2]);
            }
            for (size_t t = 0; t < 128; t++) {
                const float label = m->label[128 * g + t];
                assert_true(isnan(label) || label == 0.0f || label == 1.0f);
                missing += isnan(label) != 0;
                positive += label == 1.0f;
            }
            node += (size_t)m->n_node[g];
            edge += (size_t)m->n_edge[g];
        }
        assert_int_equal(node, m->nodes);
        assert_int_equal(edge, m->edges);
        nodes += node;
        edges += edge;
        graphs += m->graphs;
    }
    sco_dataset_close(dataset);
    const double labels = 128.0 * (double)graphs;
    assert_true(fabs((double)nodes / (double)graphs - 26.0) < 2.0);
    assert_true(fabs((double)edges / (double)graphs - 56.0) < 4.0);
    assert_true(fabs((double)missing / labels - 0.4) < 0.02);
    assert_true((double)positive / labels > 0.01 && (double)positive / labels < 0.04);
}

static void test_clicks(void **state)
{
    (void)state;
    enum { ROWS = 8192, TABLE = 10000 };
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct sco_dataset *dataset = opened(
            (struct sco_dataset_options){.workload = SCO_DLRM, .batch = ROWS, .table_rows = TABLE, .seed = seed});
        const struct sco_batch *batch;
        ok(sco_dataset_next(dataset, &batch));
        assert_int_equal(batch->clicks.rows, ROWS);
        size_t clicks = 0, *seen = calloc(TABLE, sizeof *seen);
        assert_non_null(seen);
        for (size_t i = 0; i < ROWS; i++) {
            for (size_t c = 0; c < SCO_CLICK_DENSE; c++)
                assert_true(batch->clicks.dense[SCO_CLICK_DENSE * i + c] >= 0.0f &&
                            batch->clicks.dense[SCO_CLICK_DENSE * i + c] < 12.0f);
            for (size_t c = 0; c < SCO_CLICK_CATEGORIES; c++)
                assert_in_range(batch->clicks.index[SCO_CLICK_CATEGORIES * i + c], 0, TABLE - 1);
            assert_in_range(batch->clicks.index[SCO_CLICK_CATEGORIES * i + 5], 0, 2); /* a column of three */
            seen[batch->clicks.index[SCO_CLICK_CATEGORIES * i]]++;
            assert_true(batch->clicks.label[i] == 0.0f || batch->clicks.label[i] == 1.0f);
            clicks += batch->clicks.label[i] == 1.0f;
        }
        assert_true(clicks > ROWS * 2 / 100 && clicks < ROWS * 5 / 100);
        /* 40 million categories, and yet one that every hundredth row has. */
        size_t most = 0;
        for (size_t i = 0; i < TABLE; i++)
            most = seen[i] > most ? seen[i] : most;
        assert_true(most > ROWS / 100);
        free(seen);
        sco_dataset_close(dataset);
    }
}

static void test_slices(void **state)
{
    (void)state;
    enum { SLICES = 32, SIDE = 36 };
    struct sco_dataset *dataset = opened(
        (struct sco_dataset_options){.workload = SCO_UNET, .batch = SLICES, .side = SIDE, .split = SCO_VALIDATION});
    const struct sco_batch *batch;
    ok(sco_dataset_next(dataset, &batch));
    const struct sco_slices *s = &batch->slices;
    assert_int_equal(s->N, SLICES);
    float largest = 0.0f;
    for (size_t n = 0; n < SLICES; n++) {
        double sum = 0.0, squares = 0.0, far = 0.0, constant = 0.0, mean = 0.0;
        const float *x = s->x + n * SIDE * SIDE, *target = s->target + n * SIDE * SIDE;
        for (size_t i = 0; i < SIDE * SIDE; i++) {
            assert_true(fabsf(x[i]) <= 6.0f && fabsf(target[i]) <= 6.0f);
            sum += (double)x[i];
            squares += (double)x[i] * (double)x[i];
            mean += (double)target[i] / (SIDE * SIDE);
        }
        for (size_t i = 0; i < SIDE * SIDE; i++) {
            far += fabs((double)x[i] - (double)target[i]);
            constant += fabs((double)target[i] - mean);
            const float brightness = target[i] * s->deviation[n] + s->mean[n];
            assert_true(brightness <= s->volume_max[n] * 1.0001f);
            largest = brightness > largest ? brightness : largest;
        }
        assert_true(fabs(sum / (SIDE * SIDE)) < 0.05 && fabs(squares / (SIDE * SIDE) - 1.0) < 0.1);
        /* The input tells of the target, and not all. */
        assert_true(far > 0.0 && far < constant);
        if (n % 16 != 0)
            assert_true(s->volume_max[n] == s->volume_max[n - 1]);
        if (n % 16 == 15) {
            assert_true(largest > 0.999f * s->volume_max[n]);
            largest = 0.0f;
        }
    }
    assert_true(s->volume_max[0] != s->volume_max[16]);
    sco_dataset_close(dataset);
}

/* ---- Order ------------------------------------------------------------------------------------------------------- */

static void test_shuffled(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 300; n++) {
        unsigned char seen[300] = {0};
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t at = sco_shuffled(n, 3, n % 5, i);
            assert_true(at < n);
            assert_false(seen[at]);
            seen[at] = 1;
        }
    }
    /* Of large ones, places that are taken twice would show as an equal pair. */
    static const uint64_t large[] = {(uint64_t)1 << 32, 4195197692u, ((uint64_t)1 << 32) + 1, UINT64_MAX};
    enum { PLACES = 4096 };
    static uint64_t places[PLACES];
    for (size_t k = 0; k < sizeof large / sizeof *large; k++) {
        size_t upper = 0;
        for (uint64_t i = 0; i < PLACES; i++) {
            places[i] = sco_shuffled(large[k], 1, 1, i < PLACES / 2 ? i : large[k] - 1 - i);
            assert_true(places[i] < large[k]);
            upper += places[i] >= large[k] / 2;
        }
        assert_in_range(upper, PLACES * 2 / 5, PLACES * 3 / 5);
        qsort(places, PLACES, sizeof *places, by_value);
        for (size_t i = 1; i < PLACES; i++)
            assert_true(places[i] != places[i - 1]);
    }
    /* Seed and epoch matter, and nothing stays in place by rule. */
    size_t same_seed = 0, same_epoch = 0, fixed = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        const uint64_t at = sco_shuffled(1000, 5, 0, i);
        same_seed += at == sco_shuffled(1000, 6, 0, i);
        same_epoch += at == sco_shuffled(1000, 5, 1, i);
        fixed += at == i;
    }
    assert_true(same_seed < 10 && same_epoch < 10 && fixed < 10);
}

/* ---- Packing ----------------------------------------------------------------------------------------------------- */

static void test_packing(void **state)
{
    (void)state;
    struct sco_molecule_counts bounds, counts = {0};
    ok(sco_molecule_bounds(2, 10, 9, &bounds));
    assert_int_equal(bounds.nodes, 52);
    assert_int_equal(bounds.edges, 112);
    ok(sco_molecule_bounds(2, 332, 182, &bounds));
    assert_int_equal(bounds.nodes, 332);
    assert_int_equal(bounds.edges, 364);
    refused(sco_molecule_bounds(SIZE_MAX, 1, 1, &bounds), SCO_INVALID, "too large");
    refused(sco_molecule_bounds(1, SIZE_MAX, 1, &bounds), SCO_INVALID, "too large");
    ok(sco_molecule_bounds(3, 1, 0, &bounds));

    /* Up to each bound, and not beyond. */
    assert_true(sco_molecule_fits(&bounds, &counts, 40, 50));
    assert_false(sco_molecule_fits(&bounds, &counts, 39, 1));
    assert_false(sco_molecule_fits(&bounds, &counts, 1, 35));
    assert_true(sco_molecule_fits(&bounds, &counts, 38, 34));
    assert_int_equal(counts.nodes, bounds.nodes);
    assert_int_equal(counts.edges, bounds.edges);
    assert_true(sco_molecule_fits(&bounds, &counts, 0, 0));
    assert_false(sco_molecule_fits(&bounds, &counts, 0, 0));

    struct sco_molecule_pack pack;
    size_t bytes = 0;
    ok(sco_molecule_pack_create(&pack, &bounds, 2, &bytes));
    assert_true(bytes > 0);
    for (size_t g = 0; g < 2; g++) {
        struct sco_molecule_room room = sco_molecule_open(&pack, 3, 2);
        for (size_t i = 0; i < 27; i++)
            room.node[i] = (float)(100 * g + i);
        for (size_t i = 0; i < 6; i++)
            room.edge[i] = (float)(10 * g + i);
        room.begin[0] = 0, room.end[0] = 2, room.begin[1] = 2, room.end[1] = 1;
        room.label[0] = room.label[1] = (float)g;
        ok(sco_molecule_seal(&pack));

        room = sco_molecule_open(&pack, 2, 1);
        room.begin[0] = 1, room.end[0] = g == 0 ? 2 : -1;
        refused(sco_molecule_seal(&pack), SCO_FORMAT, "bond 0");
    }
    struct sco_batch batch;
    sco_molecule_pack_batch(&pack, &batch);
    static const int32_t senders[] = {0, 2, 2, 1, 3, 5, 5, 4}, receivers[] = {2, 1, 0, 2, 5, 4, 3, 5};
    static const float edge[] = {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 10, 11, 12, 13, 14, 15};
    assert_int_equal(batch.samples, 2);
    assert_int_equal(batch.molecules.nodes, 6);
    assert_int_equal(batch.molecules.edges, 8);
    assert_memory_equal(batch.molecules.senders, senders, sizeof senders);
    assert_memory_equal(batch.molecules.receivers, receivers, sizeof receivers);
    assert_memory_equal(batch.molecules.edge, edge, sizeof edge);
    assert_true(batch.molecules.node[27] == 100.0f && batch.molecules.label[3] == 1.0f);
    sco_molecule_pack_destroy(&pack);
}

/* ---- A scripted source ------------------------------------------------------------------------------------------- */

enum { LENGTH = 12 };

/* What happens at each position; the test reads it back after the stream is closed, or sets it while workers rest. */
static struct script {
    pthread_mutex_t lock;
    int fetch_fails[LENGTH], fill_fails[LENGTH]; /* until mended */
    int skips[LENGTH];
    int seek_errors;
    int fails_open, fails_slot; /* fails_slot: the slot of this number, from 1 */
    int fills_wait;             /* fills do not return until it is 0 */
    pthread_cond_t changed;
    int slots, fetches, fills, filling, closed, overlapping;
    int inside_fetch;
    uint64_t expected; /* position of the next fetch */
    size_t cpus;       /* that the last fill could run on */
} script;

static void reset(void)
{
    script = (struct script){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
}

static enum sco_status fake_open(void **source, const struct sco_dataset_options *options,
                                 struct sco_dataset_facts *facts)
{
    if (script.fails_open)
        return sco_fail(SCO_IO, "%s: cannot be opened", options->path);
    *source = &script;
    facts->samples = LENGTH;
    facts->memory_bytes = 1000;
    return SCO_OK;
}

static void fake_close(void *source)
{
    script.closed += source != NULL;
}

struct fake_slot {
    size_t position;
    float value;
};

static enum sco_status fake_slot_create(void *source, void **slot, size_t *bytes)
{
    (void)source;
    if (script.fails_slot == script.slots + 1)
        return sco_fail(SCO_NOMEM, "slot %d was refused", script.fails_slot);
    *slot = calloc(1, sizeof(struct fake_slot));
    script.slots++;
    *bytes += 7;
    return SCO_OK;
}

static void fake_slot_destroy(void *source, void *slot)
{
    (void)source;
    script.slots -= slot != NULL;
    free(slot);
}

static enum sco_status fake_seek(void *source, uint64_t position)
{
    (void)source;
    if (script.seek_errors > 0) {
        script.seek_errors--;
        return sco_fail(SCO_IO, "cannot seek to %d", (int)position);
    }
    script.expected = position;
    return SCO_OK;
}

static enum sco_status fake_fetch(void *source, uint64_t position, void *slot, struct sco_skips *skips, bool *end)
{
    (void)source;
    enum sco_status status = SCO_OK;
    pthread_mutex_lock(&script.lock);
    script.fetches++;
    script.overlapping += script.inside_fetch++ || position != script.expected;
    const int fails = position < LENGTH && script.fetch_fails[position];
    pthread_mutex_unlock(&script.lock);
    ((struct fake_slot *)slot)->position = position;
    *end = position >= LENGTH;
    if (fails)
        status = sco_fail(SCO_FORMAT, "file: row %d: does not parse", (int)position);
    for (int i = 0; !*end && i < script.skips[position]; i++) {
        sco_fail(SCO_FORMAT, "file: row %d.%d: left out", (int)position, i);
        sco_skips_note(skips);
    }
    pthread_mutex_lock(&script.lock);
    script.expected = position + (status == SCO_OK && !*end);
    script.inside_fetch--;
    pthread_mutex_unlock(&script.lock);
    return status;
}

static enum sco_status fake_fill(void *source, uint64_t position, void *slot, struct sco_skips *skips,
                                 struct sco_batch *batch)
{
    (void)source;
    (void)skips;
    struct fake_slot *own = slot;
    enum sco_status status = SCO_OK;
    pthread_mutex_lock(&script.lock);
    script.fills++;
    script.filling++;
    script.overlapping += own->position != position;
    script.cpus = sco_affinity_count();
    pthread_cond_broadcast(&script.changed);
    while (script.fills_wait)
        pthread_cond_wait(&script.changed, &script.lock);
    script.filling--;
    if (script.fill_fails[position])
        status = sco_fail(SCO_FORMAT, "file: image %d: does not decode", (int)position);
    pthread_mutex_unlock(&script.lock);
    own->value = (float)position;
    batch->samples = 1;
    batch->clicks = (struct sco_clicks){.rows = 1, .label = &own->value};
    return status;
}

static enum sco_status fake_verify(const char *path, sco_finding_fn *found, void *argument,
                                   struct sco_verify_result *result)
{
    (void)path;
    (void)found;
    (void)argument;
    result->files = 1;
    return SCO_OK;
}

static const struct sco_source_type fake = {
    .open = fake_open,
    .close = fake_close,
    .slot_create = fake_slot_create,
    .slot_destroy = fake_slot_destroy,
    .seek = fake_seek,
    .fetch = fake_fetch,
    .fill = fake_fill,
    .verify = fake_verify,
};

static struct sco_dataset_options fake_options(size_t workers, size_t ahead)
{
    return (struct sco_dataset_options){
        .workload = SCO_DLRM, .path = "fake", .batch = 1, .workers = workers, .ahead = ahead};
}

static struct sco_dataset *opened_fake(size_t workers, size_t ahead)
{
    struct sco_dataset *dataset;
    const struct sco_dataset_options options = fake_options(workers, ahead);
    ok(sco_dataset_open_source(&dataset, &options, &fake));
    return dataset;
}

static void closed_fake(struct sco_dataset *dataset)
{
    sco_dataset_close(dataset);
    assert_int_equal(script.closed, 1);
    assert_int_equal(script.slots, 0);
    assert_int_equal(script.overlapping, 0);
}

static void expect(struct sco_dataset *dataset, uint64_t position)
{
    const struct sco_batch *batch;
    ok(sco_dataset_next(dataset, &batch));
    assert_non_null(batch);
    assert_int_equal(batch->workload, SCO_DLRM);
    assert_int_equal(batch->position, position);
    assert_true(batch->clicks.label[0] == (float)position);
}

static void expect_error(struct sco_dataset *dataset, const char *message)
{
    const struct sco_batch *batch;
    sco_fail(SCO_OK, "another message");
    refused(sco_dataset_next(dataset, &batch), SCO_FORMAT, message);
    assert_null(batch);
}

static void mend(int *fails)
{
    pthread_mutex_lock(&script.lock);
    *fails = 0;
    pthread_mutex_unlock(&script.lock);
}

static void expect_end(struct sco_dataset *dataset)
{
    const struct sco_batch *batch;
    ok(sco_dataset_next(dataset, &batch));
    assert_null(batch);
}

static void test_errors(void **state)
{
    (void)state;
    for (size_t workers = 1; workers <= 4; workers++)
        for (size_t ahead = 1; ahead <= 4; ahead++) {
            reset();
            script.fetch_fails[3] = script.fetch_fails[6] = script.fetch_fails[LENGTH - 1] = 1;
            script.fill_fails[4] = script.fill_fails[5] = 1;
            struct sco_dataset *dataset = opened_fake(workers, ahead);
            for (uint64_t p = 0; p < 3; p++)
                expect(dataset, p);
            for (size_t i = 0; i < 3; i++)
                expect_error(dataset, "row 3");
            mend(&script.fetch_fails[3]);
            expect(dataset, 3);
            for (size_t i = 0; i < 3; i++)
                expect_error(dataset, "image 4");
            mend(&script.fill_fails[4]);
            expect(dataset, 4);
            expect_error(dataset, "image 5");
            mend(&script.fill_fails[5]);
            expect(dataset, 5);
            expect_error(dataset, "row 6");
            mend(&script.fetch_fails[6]);
            for (uint64_t p = 6; p < LENGTH - 1; p++)
                expect(dataset, p);
            expect_error(dataset, "row 11");
            mend(&script.fetch_fails[LENGTH - 1]);
            expect(dataset, LENGTH - 1);
            expect_end(dataset);
            expect_end(dataset);
            closed_fake(dataset);
        }
}

static void test_seek_leaves_errors_behind(void **state)
{
    (void)state;
    reset();
    script.fill_fails[2] = script.fetch_fails[8] = 1;
    struct sco_dataset *dataset = opened_fake(2, 2);
    expect(dataset, 0);
    expect(dataset, 1);
    expect_error(dataset, "image 2");
    ok(sco_dataset_seek(dataset, 7));
    expect(dataset, 7);
    expect_error(dataset, "row 8");
    ok(sco_dataset_seek(dataset, 3));
    expect(dataset, 3);

    /* A seek that fails is tried again by what follows. */
    ok(sco_dataset_seek(dataset, 9));
    expect(dataset, 9);
    script.seek_errors = 2;
    refused(sco_dataset_seek(dataset, 5), SCO_IO, "cannot seek to 5");
    const struct sco_batch *batch;
    refused(sco_dataset_next(dataset, &batch), SCO_IO, "cannot seek to 5");
    expect(dataset, 5);
    closed_fake(dataset);
}

static void test_skips(void **state)
{
    (void)state;
    for (size_t workers = 1; workers <= 3; workers++) {
        reset();
        script.skips[0] = 1;
        script.skips[2] = 3;
        script.skips[3] = 1;
        struct sco_dataset *dataset = opened_fake(workers, 4);
        assert_int_equal(sco_dataset_skipped(dataset), 0);
        assert_string_equal(sco_dataset_last_skipped(dataset), "");
        expect(dataset, 0);
        assert_int_equal(sco_dataset_skipped(dataset), 1);
        assert_string_equal(sco_dataset_last_skipped(dataset), "file: row 0.0: left out");
        expect(dataset, 1);
        assert_int_equal(sco_dataset_skipped(dataset), 1);
        expect(dataset, 2);
        assert_int_equal(sco_dataset_skipped(dataset), 4);
        assert_string_equal(sco_dataset_last_skipped(dataset), "file: row 2.2: left out");
        closed_fake(dataset);
    }
}

static void test_bounds_of_work_ahead(void **state)
{
    (void)state;
    reset();
    struct sco_dataset *dataset = opened_fake(2, 3);
    assert_int_equal(sco_dataset_get_facts(dataset)->memory_bytes, 1000 + 5 * 7);
    expect(dataset, 0);
    ok(sco_dataset_seek(dataset, 4));
    pthread_mutex_lock(&script.lock);
    /* Slots less the one that the reader holds, before and after the seek, and one that it may take over. */
    assert_in_range(script.fetches, 1, 2 * 4 + 1);
    pthread_mutex_unlock(&script.lock);
    expect(dataset, 4);
    closed_fake(dataset);
}

/* Lets go of the fills that close() waits for. */
static void *let_go(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&script.lock);
    script.fills_wait = 0;
    pthread_cond_broadcast(&script.changed);
    pthread_mutex_unlock(&script.lock);
    return NULL;
}

static void test_close_with_work_in_flight(void **state)
{
    (void)state;
    for (int seeks = 0; seeks < 2; seeks++) {
        reset();
        script.fills_wait = 1;
        struct sco_dataset *dataset = opened_fake(3, 2);
        pthread_mutex_lock(&script.lock);
        while (script.filling < 3)
            pthread_cond_wait(&script.changed, &script.lock);
        pthread_mutex_unlock(&script.lock);
        pthread_t other;
        assert_int_equal(pthread_create(&other, NULL, let_go, NULL), 0);
        if (seeks) {
            ok(sco_dataset_seek(dataset, 6));
            expect(dataset, 6);
        }
        closed_fake(dataset);
        pthread_join(other, NULL);
    }
    sco_dataset_close(NULL);
}

static void test_workers_are_not_bound(void **state)
{
    (void)state;
    reset();
    const size_t cpus = sco_affinity_count();
    struct sco_ctx *ctx;
    ok(sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = 1}));
    struct sco_dataset *dataset = opened_fake(1, 1);
    /* The first batches may be older than what open() does to threads that it has started. */
    for (uint64_t p = 0; p < LENGTH; p++)
        expect(dataset, p);
    closed_fake(dataset);
    assert_int_equal(script.cpus, cpus);
    sco_ctx_destroy(ctx);
}

static void test_refused_open(void **state)
{
    (void)state;
    const struct sco_dataset_options options = fake_options(2, 3);
    struct sco_dataset *dataset = (void *)&script;
    reset();
    script.fails_open = 1;
    refused(sco_dataset_open_source(&dataset, &options, &fake), SCO_IO, "fake: cannot be opened");
    assert_null(dataset);
    assert_int_equal(script.closed, 0);
    for (int slot = 1; slot <= 5; slot++) {
        reset();
        script.fails_slot = slot;
        refused(sco_dataset_open_source(&dataset, &options, &fake), SCO_NOMEM, "was refused");
        assert_null(dataset);
        assert_int_equal(script.closed, 1);
        assert_int_equal(script.slots, 0);
    }
    reset();
    script.seek_errors = 1;
    refused(sco_dataset_open_source(&dataset, &options, &fake), SCO_IO, "cannot seek");
    assert_int_equal(script.slots, 0);
}

static void test_options(void **state)
{
    (void)state;
    const struct sco_dataset_options good = {.workload = SCO_RESNET50, .path = "synthetic", .batch = 2, .side = 16};
    struct sco_dataset *dataset;
    struct sco_dataset_options options = good;
    options.batch = 0;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "batch is 0");
    assert_null(dataset);
    options = good, options.path = NULL;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "no path");
    options = good, options.workload = SCO_WORKLOADS;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "workload 4");
    options = good, options.split = (enum sco_split)9;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "split 9");
    options = good, options.bad_sample = (enum sco_bad_sample)2;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "bad_sample 2");
    options = good, options.side = 5;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "side is 5");
    options = good, options.side = 100000;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "side is 100000");
    options = good, options.table_rows = (size_t)1 << 40;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "table_rows");
    options = good, options.workers = 1000000;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "workers");
    options = good, options.ahead = 1000000;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "ahead");
    options = good, options.batch = INT32_MAX, options.side = 4096;
    refused(sco_dataset_open(&dataset, &options), SCO_NOMEM, "bytes");
    options = good, options.workload = SCO_OGBG, options.batch = INT32_MAX;
    refused(sco_dataset_open(&dataset, &options), SCO_INVALID, "too large");
    options = good, options.path = "/no/such/folder";
    for (int w = 0; w < SCO_WORKLOADS; w++) {
        options.workload = (enum sco_workload)w;
        const enum sco_status status = sco_dataset_open(&dataset, &options);
        assert_true(status == SCO_IO || status == SCO_UNSUPPORTED);
        refused(status, status, "/no/such/folder");
        assert_null(dataset);
    }
    struct sco_verify_result result = {1, 2, 3};
    ok(sco_dataset_verify(SCO_UNET, "synthetic", NULL, NULL, &result));
    assert_int_equal(result.files + result.samples + result.findings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_of_any_workers),
        cmocka_unit_test(test_bits_after_seek),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_end_of_evaluation),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_molecules),
        cmocka_unit_test(test_clicks),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_shuffled),
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_seek_leaves_errors_behind),
        cmocka_unit_test(test_skips),
        cmocka_unit_test(test_bounds_of_work_ahead),
        cmocka_unit_test(test_close_with_work_in_flight),
        cmocka_unit_test(test_workers_are_not_bound),
        cmocka_unit_test(test_refused_open),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

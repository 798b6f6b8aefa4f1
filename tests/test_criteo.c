/* SPDX-License-Identifier: Apache-2.0
 * Rows of click logs: recorded features and buckets, files and epochs, seeking, and what damaged rows are said to have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "data_files.h"

static struct sco_dataset_options options_of(enum sco_split split, size_t batch)
{
    return (struct sco_dataset_options){
        .workload = SCO_DLRM, .path = data_folder, .split = split, .batch = batch, .seed = 3, .workers = 1};
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
    const struct sco_clicks *c = &batch->clicks;
    uint64_t h = mix_bytes(batch->position, c->dense, c->rows * SCO_CLICK_DENSE * sizeof(float));
    h = mix_bytes(h, c->index, c->rows * SCO_CLICK_CATEGORIES * sizeof(int32_t));
    return mix_bytes(h, c->label, c->rows * sizeof(float));
}

/* A row that is known by its first integer. */
static size_t print_row(char *at, unsigned id)
{
    size_t n = (size_t)sprintf(at, "%u\t%u", id & 1, id);
    for (unsigned c = 1; c < SCO_CLICK_DENSE; c++)
        n += (size_t)(c % 4 == 0 ? sprintf(at + n, "\t") : sprintf(at + n, "\t%d", (int)(id * c % 50) - 1));
    for (unsigned c = 0; c < SCO_CLICK_CATEGORIES; c++)
        n += (size_t)(c % 7 == 3 ? sprintf(at + n, "\t") : sprintf(at + n, "\t%08x", id * 2654435761u + c));
    return n + (size_t)sprintf(at + n, "\n");
}

static char text[1 << 21];

static void write_rows(const char *name, unsigned first, unsigned count)
{
    size_t n = 0;
    for (unsigned i = 0; i < count; i++)
        n += print_row(text + n, first + i);
    write_data(name, text, n);
}

static unsigned id_of(const struct sco_batch *batch, size_t row)
{
    return (unsigned)lrint(exp((double)batch->clicks.dense[SCO_CLICK_DENSE * row]) - 1);
}

/* Expects the rows first .. first + count - 1 in a row, behind those seen so far of a batch. */
static void expect_rows(struct sco_dataset *dataset, const unsigned *ids, size_t count, size_t batch_rows)
{
    for (size_t i = 0; i < count;) {
        const struct sco_batch *batch = next(dataset);
        assert_non_null(batch);
        const size_t rows = count - i < batch_rows ? count - i : batch_rows;
        assert_int_equal(batch->clicks.rows, rows);
        assert_int_equal(batch->samples, rows);
        for (size_t k = 0; k < rows; k++, i++) {
            assert_int_equal(id_of(batch, k), ids[i]);
            assert_true(batch->clicks.label[k] == (float)(ids[i] & 1));
        }
    }
    assert_null(next(dataset));
    sco_dataset_close(dataset);
}

static void expect_range(const struct sco_dataset_options *options, unsigned first, unsigned count)
{
    unsigned ids[512];
    for (unsigned i = 0; i < count; i++)
        ids[i] = first + i;
    expect_rows(opened(options), ids, count, options->batch);
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

static void recorded_rows(void **state)
{
    (void)state;
    json_error_t error;
    json_t *document = json_load_file(SCO_TEST_DIR "/golden/algoperf/criteo_hash_vectors.json", 0, &error);
    assert_non_null(document);
    const json_t *rows = json_object_get(document, "criteo_rows"), *row;
    size_t at, c, n = 0;
    const json_t *field;
    json_array_foreach(rows, at, row)
    {
        n += (size_t)sprintf(text + n, "%zu", at % 2);
        json_array_foreach(json_object_get(row, "raw_ints"), c, field) n +=
            (size_t)sprintf(text + n, "\t%s", json_string_value(field));
        json_array_foreach(json_object_get(row, "raw"), c, field) n +=
            (size_t)sprintf(text + n, "\t%s", json_string_value(field));
        n += (size_t)sprintf(text + n, at % 3 == 0 ? "\r\n" : "\n");
    }
    fresh_folder("test_criteo");
    write_data("day_0", text, n - 1);
    struct sco_dataset_options options = options_of(SCO_TEST, 64);
    struct sco_dataset *dataset = opened(&options);
    const struct sco_clicks *clicks = &next(dataset)->clicks;
    assert_int_equal(clicks->rows, json_array_size(rows));
    assert_true(clicks->rows >= 20);
    /* The recorded logarithms are float32 themselves, of other rounding. */
    size_t unequal = 0;
    json_array_foreach(rows, at, row)
    {
        assert_true(clicks->label[at] == (float)(at % 2));
        json_array_foreach(json_object_get(row, "dense"), c, field)
        {
            const float got = clicks->dense[SCO_CLICK_DENSE * at + c], want = (float)json_number_value(field);
            assert_true(got >= nextafterf(want, -1) && got <= nextafterf(want, INFINITY));
            unequal += got != want;
        }
        json_array_foreach(json_object_get(row, "model_index"), c, field)
            assert_int_equal(clicks->index[SCO_CLICK_CATEGORIES * at + c], json_integer_value(field));
    }
    assert_in_range(unequal, 0, 26);
    sco_dataset_close(dataset);
    /* Another table is another remainder of the bucket, which went through a float32. */
    options.table_rows = 1000;
    dataset = opened(&options);
    clicks = &next(dataset)->clicks;
    json_array_foreach(rows, at, row) json_array_foreach(json_object_get(row, "bucket"), c, field) assert_int_equal(
        clicks->index[SCO_CLICK_CATEGORIES * at + c], (int64_t)(float)json_integer_value(field) % 1000);
    sco_dataset_close(dataset);
    json_decref(document);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static void which_files(void **state)
{
    (void)state;
    struct sco_dataset_options options = options_of(SCO_TRAIN_SUBSET, 7);
    /* Numbers in names count as numbers; the last file is for evaluation. */
    fresh_folder("test_criteo");
    write_rows("day_10", 30, 10);
    write_rows("day_2.gz", 20, 10);
    write_rows("day_1", 10, 10);
    write_text("notes.md", "nothing of ours");
    expect_range(&options, 10, 20);
    options.split = SCO_VALIDATION;
    expect_range(&options, 30, 10);
    options.split = SCO_TEST;
    expect_range(&options, 30, 10);
    options.samples = 8;
    expect_range(&options, 30, 8);
    options.samples = 0;

    /* A single file, and the path of a file, serve all. */
    fresh_folder("test_criteo");
    write_rows("sample.tsv.gz", 5, 9);
    for (options.split = SCO_TRAIN_SUBSET; options.split <= SCO_TEST; options.split++)
        expect_range(&options, 5, 9);
    options.split = SCO_TRAIN_SUBSET;
    options.path = data_path("sample.tsv.gz");
    expect_range(&options, 5, 9);

    /* Folders of splits. */
    fresh_folder("test_criteo");
    options.path = data_folder;
    write_rows("train/b.csv", 5, 9);
    write_rows("train/a.csv", 0, 5);
    write_rows("val/a.csv", 20, 9);
    options.split = SCO_TRAIN_SUBSET;
    expect_range(&options, 0, 14);
    options.split = SCO_VALIDATION;
    expect_range(&options, 20, 9);
    options.split = SCO_TEST;
    struct sco_dataset *dataset = NULL;
    says(sco_dataset_open(&dataset, &options), SCO_IO, "has train/, but no test/");
    write_rows("test/a.csv", 40, 9);
    expect_range(&options, 40, 9);

    /* AlgoPerf's split of 24 days: validation begins behind 95 million rows of the last. */
    fresh_folder("test_criteo");
    for (unsigned day = 0; day < 24; day++) {
        char name[16];
        snprintf(name, sizeof name, "day_%u", day);
        write_rows(name, 10 * day, 10);
    }
    options.split = SCO_TRAIN_SUBSET;
    expect_range(&options, 0, 230);
    options.split = SCO_TEST;
    expect_range(&options, 230, 10);
    options.split = SCO_VALIDATION;
    expect_range(&options, 0, 0);

    fresh_folder("test_criteo");
    says(sco_dataset_open(&dataset, &options), SCO_FORMAT, "holds no file day_N, *.tsv or *.csv");
    write_rows("day_0", 0, 1);
    write_rows("day_0.gz", 0, 1);
    says(sco_dataset_open(&dataset, &options), SCO_FORMAT, "day_0.gz: the same rows as ");
    options.path = data_path("day_7");
    says(sco_dataset_open(&dataset, &options), SCO_IO, "day_7: cannot be opened: No such file");
}

/* ---- Order ------------------------------------------------------------------------------------------------------- */

enum { FOLDER_FILES = 5, FOLDER_ROWS = 11 + 23 + 1 + 40 };

/* Four files of training with 75 rows in all, plain and gzip, and one of evaluation. */
static void write_folder(void)
{
    fresh_folder("test_criteo");
    write_rows("day_0", 0, 11);
    write_rows("day_1.gz", 11, 23);
    write_rows("day_2", 34, 1);
    write_rows("day_3.gz", 35, 40);
    write_rows("day_4", 75, 20);
}

static void epochs(void **state)
{
    (void)state;
    write_folder();
    struct sco_dataset_options options = options_of(SCO_TRAIN, 8);
    struct sco_dataset *dataset = opened(&options);
    assert_int_equal(sco_dataset_get_facts(dataset)->samples, 0);
    static const unsigned first_of[] = {0, 11, 34, 35};
    unsigned ids[8 * FOLDER_ROWS], orders[8];
    for (size_t i = 0; i < 8 * FOLDER_ROWS;) {
        const struct sco_batch *batch = next(dataset);
        assert_int_equal(batch->clicks.rows, 8);
        for (size_t k = 0; k < 8; k++)
            ids[i++] = id_of(batch, k);
    }
    unsigned distinct = 0;
    for (size_t epoch = 0; epoch < 8; epoch++) {
        const unsigned *rows = ids + epoch * FOLDER_ROWS;
        unsigned seen[FOLDER_ROWS] = {0}, order = 0;
        for (size_t i = 0; i < FOLDER_ROWS; i++) {
            assert_true(rows[i] < FOLDER_ROWS);
            seen[rows[i]]++;
            unsigned file = 4;
            for (unsigned f = 0; f < 4; f++)
                file = rows[i] == first_of[f] ? f : file;
            if (file < 4)
                order = 4 * order + file;
            else
                assert_int_equal(rows[i], rows[i - 1] + 1);
        }
        for (size_t i = 0; i < FOLDER_ROWS; i++)
            assert_int_equal(seen[i], 1);
        orders[epoch] = order;
        distinct += epoch > 0 && order != orders[0];
    }
    assert_true(distinct > 0);
    sco_dataset_close(dataset);

    /* The first 20 rows of the files in order, each once an epoch. */
    options.samples = 20;
    options.batch = 20;
    dataset = opened(&options);
    assert_int_equal(sco_dataset_get_facts(dataset)->samples, 20);
    for (size_t epoch = 0; epoch < 3; epoch++) {
        const struct sco_batch *batch = next(dataset);
        unsigned seen = 0;
        for (size_t k = 0; k < 20; k++)
            seen |= 1u << id_of(batch, k);
        assert_int_equal(seen, (1u << 20) - 1);
    }
    sco_dataset_close(dataset);
}

static void check_bits(struct sco_dataset_options options)
{
    enum { LENGTH = 60 };
    uint64_t want[LENGTH];
    static const uint64_t jumps[] = {59, 0, 9, 10, 31, 1, 58, 10, 20};
    struct sco_dataset *dataset = opened(&options);
    for (size_t i = 0; i < LENGTH; i++)
        want[i] = hash_of(next(dataset));
    /* With all files counted, and by a reader that knows nothing of them. */
    for (size_t fresh = 0; fresh < 2; fresh++)
        for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
            if (fresh) {
                sco_dataset_close(dataset);
                dataset = opened(&options);
            }
            succeeds(sco_dataset_seek(dataset, jumps[i]));
            for (uint64_t p = jumps[i]; p < LENGTH && p < jumps[i] + 3; p++)
                assert_true(hash_of(next(dataset)) == want[p]);
        }
    sco_dataset_close(dataset);
    for (options.workers = 1; options.workers < 4; options.workers++) {
        options.ahead = 3 * options.workers - 2;
        dataset = opened(&options);
        for (size_t i = 0; i < LENGTH; i++)
            assert_true(hash_of(next(dataset)) == want[i]);
        sco_dataset_close(dataset);
    }
    options.seed++;
    dataset = opened(&options);
    size_t same = 0;
    for (size_t i = 0; i < LENGTH; i++)
        same += hash_of(next(dataset)) == want[i];
    assert_true(same < LENGTH);
    sco_dataset_close(dataset);
}

static void bits_by_position(void **state)
{
    (void)state;
    write_folder();
    struct sco_dataset_options options = options_of(SCO_TRAIN, 8);
    check_bits(options);
    options.batch = 100;
    check_bits(options);
    options.batch = 3;
    options.samples = 30;
    check_bits(options);
    options = options_of(SCO_VALIDATION, 8);
    struct sco_dataset *dataset = opened(&options);
    for (uint64_t p = 3; p < 6; p++) {
        succeeds(sco_dataset_seek(dataset, p));
        assert_null(next(dataset));
    }
    succeeds(sco_dataset_seek(dataset, 2));
    const struct sco_batch *batch = next(dataset);
    assert_int_equal(batch->clicks.rows, 4);
    assert_int_equal(id_of(batch, 0), 75 + 16);
    sco_dataset_close(dataset);
}

/* Long enough for places inside a file that a reader can return to. */
static void seeking_in_a_long_file(void **state)
{
    (void)state;
    enum { BLOCK = 1 << 13, BLOCKS = 18, BATCH = 6000 };
    fresh_folder("test_criteo");
    /* Columns of a row may be empty: a short one makes a small file. */
    static const char row[] = "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\n";
    FILE *file = fopen(data_path("day_0"), "wb");
    assert_non_null(file);
    for (unsigned i = 0; i < BLOCK * BLOCKS; i++)
        assert_true(fprintf(file, "0\t%u%s", i, row) > 0);
    assert_int_equal(fclose(file), 0);
    struct sco_dataset_options options = options_of(SCO_TEST, BATCH);
    struct sco_dataset *dataset = opened(&options);
    static const uint64_t positions[] = {24, 11, 0, 10, 23, 22, 12};
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        succeeds(sco_dataset_seek(dataset, positions[i]));
        const struct sco_batch *batch = next(dataset);
        assert_int_equal(id_of(batch, 0), BATCH * positions[i]);
        const size_t last = batch->clicks.rows - 1;
        assert_int_equal(id_of(batch, last), BATCH * positions[i] + last);
    }
    sco_dataset_close(dataset);
}

/* ---- Damage ------------------------------------------------------------------------------------------------------ */

/* Replaces what is between tabs of the row of id, counted from 1. */
static void write_damaged(const char *name, unsigned rows, unsigned id, size_t column, const char *field)
{
    char row[1024];
    size_t n = 0;
    for (unsigned i = 0; i < rows; i++) {
        if (i != id) {
            n += print_row(text + n, i);
            continue;
        }
        print_row(row, i);
        const char *at = row;
        for (size_t c = 1; c < column; c++)
            at = strchr(at, '\t') + 1;
        n += (size_t)sprintf(text + n, "%.*s%s%s", (int)(at - row), row, field, at + strcspn(at, "\t\n"));
    }
    write_data(name, text, n);
}

static void damaged_rows(void **state)
{
    (void)state;
    static const struct {
        size_t column;
        const char *field, *said;
    } cases[] = {
        {1, "2", "line 6: column 1: '2', expected a label, 0 or 1"},
        {1, "", "line 6: column 1: '', expected a label"},
        {1, "01", "line 6: column 1: '01', expected a label"},
        {3, "x", "line 6: column 3: 'x', expected an integer of 32 bits, or nothing"},
        {3, "-", "line 6: column 3: '-', expected an integer"},
        {3, "1.5", "line 6: column 3: '1.5', expected an integer"},
        {14, "2147483648", "line 6: column 14: '2147483648', expected an integer of 32 bits"},
        {14, "-2147483649", "line 6: column 14: '-2147483649', expected an integer of 32 bits"},
        {14, "99999999999", "line 6: column 14: '99999999999', expected an integer of 32 bits"},
        {15, "0123456g", "line 6: column 15: '0123456g', expected 8 digits of 0 - 9 and a - f, or nothing"},
        {15, "0123456F", "line 6: column 15: '0123456F', expected 8 digits"},
        {15, "0123456", "line 6: column 15: '0123456', expected 8 digits"},
        {16, "012345678", "line 6: column 16: '012345678', expected 8 digits"},
        {16, "-2", "line 6: column 16: '-2', expected 8 digits"},
        {17,
         "0123\x80"
         "567",
         "line 6: column 17: "},
        {40, "0123456:", "line 6: column 40: '0123456:', expected 8 digits"},
        {40, "0123/567", "line 6: column 40: '0123/567', expected 8 digits"},
        {40, "0123`567", "line 6: column 40: '0123`567', expected 8 digits"},
        {40, "01", "line 6: column 40: '01', expected 8 digits"},
        {40, "01234567\t", "line 6: 41 columns, expected 40 separated by tabs"},
        {40, "01234567\n0", "line 7: 1 columns, expected 40"},
        {40, "01234567\n", "line 7: 1 columns, expected 40"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh_folder("test_criteo");
        write_damaged("day_0", 12, 5, cases[i].column, cases[i].field);
        struct sco_dataset_options options = options_of(SCO_TEST, 4);
        const struct sco_batch *batch;
        struct sco_dataset *dataset = opened(&options);
        assert_int_equal(id_of(next(dataset), 0), 0);
        for (int again = 0; again < 2; again++)
            says(sco_dataset_next(dataset, &batch), SCO_FORMAT, cases[i].said);
        says(SCO_FORMAT, SCO_FORMAT, "day_0: line");
        succeeds(sco_dataset_seek(dataset, 2));
        assert_int_equal(next(dataset)->position, 2);
        sco_dataset_close(dataset);

        /* Left out: the next row takes its place. Two cases have a good row in front of the bad one. */
        const bool extra = strchr(cases[i].field, '\n') != NULL;
        const unsigned all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, fewer[] = {0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11};
        options.bad_sample = SCO_BAD_SKIP;
        expect_rows(opened(&options), extra ? all : fewer, extra ? 12 : 11, 4);
        dataset = opened(&options);
        assert_int_equal(next(dataset)->samples, 4);
        assert_int_equal(sco_dataset_skipped(dataset), 0);
        assert_int_equal(next(dataset)->samples, 4);
        assert_int_equal(sco_dataset_skipped(dataset), 1);
        assert_non_null(strstr(sco_dataset_last_skipped(dataset), cases[i].said));
        sco_dataset_close(dataset);

        const struct sco_verify_result result = verified(SCO_DLRM, data_folder);
        assert_int_equal(result.files, 1);
        assert_int_equal(result.findings, 1);
        assert_int_equal(result.samples, extra ? 13 : 12);
        assert_non_null(strstr(findings, cases[i].said));
    }
}

static void long_lines(void **state)
{
    (void)state;
    fresh_folder("test_criteo");
    const size_t sizes[] = {400, 5000, 700000};
    for (size_t i = 0; i < 3; i++) {
        size_t n = print_row(text, 1);
        memset(text + n, 'a', sizes[i]);
        n += sizes[i];
        text[n++] = '\n';
        n += print_row(text + n, 2);
        write_data("day_0", text, n);
        struct sco_dataset_options options = options_of(SCO_TEST, 4);
        const struct sco_batch *batch;
        struct sco_dataset *dataset = opened(&options);
        says(sco_dataset_next(dataset, &batch), SCO_FORMAT,
             sizes[i] < 4096 ? "day_0: line 2: 1 columns" : "day_0: line 2: longer than 4096 bytes");
        sco_dataset_close(dataset);
        options.bad_sample = SCO_BAD_SKIP;
        expect_rows(opened(&options), (unsigned[]){1, 2}, 2, 4);
    }
}

static void damaged_gzip(void **state)
{
    (void)state;
    for (int skip = 0; skip < 2; skip++) {
        struct sco_dataset_options options = options_of(SCO_TEST, 64);
        options.bad_sample = skip ? SCO_BAD_SKIP : SCO_BAD_STOP;
        const struct sco_batch *batch;
        struct sco_dataset *dataset = NULL;
        fresh_folder("test_criteo");
        write_rows("day_0.gz", 0, 100);
        cut_file("day_0.gz", size_of_file("day_0.gz") - 4);
        dataset = opened(&options);
        assert_int_equal(next(dataset)->clicks.rows, 64);
        for (int again = 0; again < 2; again++)
            says(sco_dataset_next(dataset, &batch), SCO_FORMAT,
                 "day_0.gz: line 101: the gzip data is cut short here; copy the file again");
        sco_dataset_close(dataset);

        cut_file("day_0.gz", size_of_file("day_0.gz") / 2);
        dataset = opened(&options);
        enum sco_status status;
        do
            status = sco_dataset_next(dataset, &batch);
        while (status == SCO_OK && batch != NULL);
        says(status, SCO_FORMAT, "day_0.gz: line ");
        says(status, SCO_FORMAT, "the gzip data is cut short here");
        sco_dataset_close(dataset);

        write_rows("day_0.gz", 0, 100);
        flip_byte("day_0.gz", size_of_file("day_0.gz") - 8);
        dataset = opened(&options);
        do
            status = sco_dataset_next(dataset, &batch);
        while (status == SCO_OK && batch != NULL);
        says(status, SCO_FORMAT, "day_0.gz: at or after line ");
        says(status, SCO_FORMAT, "the gzip data is damaged (incorrect data check)");
        sco_dataset_close(dataset);
        const struct sco_verify_result result = verified(SCO_DLRM, data_folder);
        assert_int_equal(result.findings, 1);
        assert_non_null(strstr(findings, "incorrect data check"));
    }
}

/* Counts and bits with rows left out do not depend on workers or on where the reader began. */
static void skipping(void **state)
{
    (void)state;
    enum { LENGTH = 30 };
    uint64_t want[LENGTH], skipped[LENGTH];
    fresh_folder("test_criteo");
    write_damaged("day_0", 10, 9, 1, "3");
    write_damaged("day_1.gz", 17, 4, 20, "bad");
    write_damaged("day_2", 13, 0, 5, "bad");
    write_rows("day_3", 0, 1);
    struct sco_dataset_options options = options_of(SCO_TRAIN, 5);
    options.bad_sample = SCO_BAD_SKIP;
    struct sco_dataset *dataset = opened(&options);
    for (size_t i = 0; i < LENGTH; i++) {
        want[i] = hash_of(next(dataset));
        skipped[i] = sco_dataset_skipped(dataset);
    }
    /* Three in an epoch of 37 good rows. */
    assert_in_range(skipped[LENGTH - 1], 11, 13);
    for (uint64_t p = 0; p < LENGTH; p += 7) {
        succeeds(sco_dataset_seek(dataset, p));
        assert_true(hash_of(next(dataset)) == want[p]);
    }
    sco_dataset_close(dataset);
    options.workers = 3;
    options.ahead = 6;
    dataset = opened(&options);
    for (size_t i = 0; i < LENGTH; i++) {
        assert_true(hash_of(next(dataset)) == want[i]);
        assert_int_equal(sco_dataset_skipped(dataset), skipped[i]);
    }
    sco_dataset_close(dataset);

    /* No good row at all is an error, not a wait without end. */
    fresh_folder("test_criteo");
    write_damaged("day_0", 1, 0, 1, "3");
    write_text("day_1", "");
    write_rows("day_2", 0, 3);
    dataset = opened(&options);
    const struct sco_batch *batch;
    says(sco_dataset_next(dataset, &batch), SCO_FORMAT, "day_0: no row that can be used, nor in other files");
    says(sco_dataset_seek(dataset, 4), SCO_FORMAT, "day_0: no row that can be used");
    sco_dataset_close(dataset);
}

static void verification(void **state)
{
    (void)state;
    fresh_folder("test_criteo");
    write_damaged("train/a.tsv", 5, 3, 2, "a");
    write_damaged("train/b.tsv.gz", 5, 4, 39, "b");
    write_rows("valid/a.tsv", 0, 4);
    const struct sco_verify_result result = verified(SCO_DLRM, data_folder);
    assert_int_equal(result.files, 3);
    assert_int_equal(result.samples, 14);
    assert_int_equal(result.findings, 3);
    assert_non_null(strstr(findings, "train/a.tsv: line 4: column 2: 'a'"));
    assert_non_null(strstr(findings, "train/b.tsv.gz: line 5: column 39: 'b'"));
    assert_non_null(strstr(findings, "has train/, but no test/"));
    struct sco_verify_result none = {0};
    says(sco_dataset_verify(SCO_DLRM, "no-such-folder", keep_finding, NULL, &none), SCO_IO, "no-such-folder: ");
}

static int tear_down(void **state)
{
    (void)state;
    remove_data();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded_rows),
                                       cmocka_unit_test(which_files),
                                       cmocka_unit_test(epochs),
                                       cmocka_unit_test(bits_by_position),
                                       cmocka_unit_test(seeking_in_a_long_file),
                                       cmocka_unit_test(damaged_rows),
                                       cmocka_unit_test(long_lines),
                                       cmocka_unit_test(damaged_gzip),
                                       cmocka_unit_test(skipping),
                                       cmocka_unit_test(verification)};
    return cmocka_run_group_tests(tests, NULL, tear_down);
}

/* SPDX-License-Identifier: Apache-2.0
 * Replays of recorded models: what a wrong number in a record does, and which records are refused. The replays
 * themselves are tests of the command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "stepcost/model_replay.h"
#include "tests/layer_data.h"

#define RECORDS SCO_TEST_DIR "/golden/algoperf/models"

static char folder[] = "model_replay_XXXXXX";
static struct sco_ctx *ctx;

static int begin(void **state)
{
    (void)state;
    ctx = context(2);
    return mkdtemp(folder) == NULL;
}

static int end(void **state)
{
    (void)state;
    sco_ctx_destroy(ctx);
    return rmdir(folder);
}

static json_t *read_record(const char *name)
{
    char path[4096];
    assert_true(snprintf(path, sizeof path, "%s/%s.json", RECORDS, name) < (int)sizeof path);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    return root;
}

/* Replays text, or root where text is NULL; takes root. */
static enum sco_status replay(struct sco_model_replay **replay, json_t *root, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "%s/case.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    if (text != NULL)
        assert_true(fputs(text, file) >= 0);
    else
        assert_int_equal(json_dumpf(root, file, JSON_REAL_PRECISION(17)), 0);
    assert_int_equal(fclose(file), 0);
    const enum sco_status status = sco_model_replay_create(replay, ctx, folder, "case", NULL);
    unlink(path);
    json_decref(root);
    return status;
}

/* ---- What is met, and what is not ---- */

static void a_wrong_number_is_seen_where_it_is(void **state)
{
    (void)state;
    json_t *root = read_record("unet_1x34x38");
    json_t *record = json_object_get(json_object_get(root, "grads"), "ConvBlock_5/Conv_0/kernel");
    json_t *val = json_object_get(record, "val");
    const double norm = json_number_value(json_object_get(record, "l2"));
    const size_t count = (size_t)json_integer_value(json_object_get(record, "n"));
    /* A fifth of what an entry is on average, in one of seven entries. */
    json_array_set_new(val, 3, json_real(json_number_value(json_array_get(val, 3)) + 0.2 * norm / sqrt((double)count)));
    struct sco_model_replay *replayed = NULL;
    assert_int_equal(replay(&replayed, root, NULL), SCO_OK);
    assert_int_equal(sco_model_replay_workload(replayed), SCO_UNET);
    const struct sco_model_replay_entry *entry;
    size_t count_of[SCO_MODEL_REPLAY_KINDS] = {0}, failed = 0;
    for (size_t i = 0; (entry = sco_model_replay_at(replayed, i)) != NULL; i++) {
        count_of[entry->kind]++;
        failed += !entry->passed;
        if (strcmp(entry->name, "ConvBlock_5/Conv_0/kernel") == 0 && entry->kind == SCO_MODEL_REPLAY_GRADIENT) {
            assert_false(entry->passed);
            assert_close(entry->error, 0.2 / sqrt(7.0), 1e-3);
        }
    }
    assert_int_equal(failed, 1);
    assert_int_equal(count_of[SCO_MODEL_REPLAY_PARAMETER], 6);
    assert_int_equal(count_of[SCO_MODEL_REPLAY_LOSS], 1);
    assert_int_equal(count_of[SCO_MODEL_REPLAY_OUTPUT], 1);
    assert_int_equal(count_of[SCO_MODEL_REPLAY_GRADIENT], 24);
    sco_model_replay_destroy(replayed);
}

/* Everything that the formula draws depends on the seed. */
static void another_seed_meets_nothing(void **state)
{
    (void)state;
    json_t *root = read_record("dlrm_V1000_b16");
    json_object_set_new(root, "seed", json_integer(12));
    struct sco_model_replay *replayed = NULL;
    assert_int_equal(replay(&replayed, root, NULL), SCO_OK);
    const struct sco_model_replay_entry *entry;
    for (size_t i = 0; (entry = sco_model_replay_at(replayed, i)) != NULL; i++)
        assert_false(entry->passed);
    sco_model_replay_destroy(replayed);
}

/* ---- What is refused ---- */

static void refused(json_t *root, const char *text, const char *message)
{
    struct sco_model_replay *replayed = NULL;
    assert_refused(replay(&replayed, root, text), SCO_FORMAT, message);
    assert_null(replayed);
    assert_non_null(strstr(sco_error_message(), "case.json"));
}

static json_t *with(const char *name, const char *key, json_t *value)
{
    json_t *root = read_record(name);
    assert_int_equal(json_object_set_new(root, key, value), 0);
    return root;
}

static void what_is_no_record_is_refused(void **state)
{
    (void)state;
    refused(NULL, "", "1:0");
    refused(NULL, "{\"seed\": 1", "1:10");
    refused(NULL, "{\"seed\": 1, \"seed\": 2}", "duplicate");
    refused(NULL, "[]", "seed");
    refused(NULL, "{\"seed\": 1}", "known model");
    refused(NULL, "{\"seed\": -1, \"hw\": [32, 32], \"batch\": 1}", "seed");
    struct sco_model_replay *replayed;
    assert_refused(sco_model_replay_create(&replayed, ctx, folder, "none", NULL), SCO_IO, "none.json");
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    refused(with("unet_1x34x38", "batch", json_integer(1 << 30)), NULL, "batch is not a whole number from 1 to 64");
    refused(with("unet_1x34x38", "hw", json_pack("[i, i]", 34, 100000)), NULL, "hw");
    refused(with("unet_1x34x38", "hw", json_integer(34)), NULL, "[height, width]");
    refused(with("resnet50_4x64", "labels", json_pack("[i, i, i]", 1, 2, 3)), NULL, "3 labels of 4 images");
    refused(with("resnet50_4x64", "labels", json_pack("[i, i, i, i]", 1, 2, 3, 1000)), NULL, "labels");
    refused(with("dlrm_V1000_b16", "vocab_size", json_real(1e9)), NULL, "vocab_size");
    refused(with("gnn_4graphs", "n_edge", json_pack("[i, i, i, i]", 8, 4, 14, 1)), NULL, "do not describe");
    refused(with("gnn_4graphs", "n_node", json_pack("[i, i, i, i]", 5, 3, 7, -1)), NULL, "n_node");
}

/* The model is built before these are found; the smallest serves. */
static void records_are_complete(void **state)
{
    (void)state;
    json_t *root = read_record("gnn_4graphs");
    json_t *senders = json_object_get(root, "senders");
    json_array_set_new(senders, 0, json_integer(16));
    struct sco_model_replay *replayed = NULL;
    assert_refused(replay(&replayed, root, NULL), SCO_FORMAT, "node 16");
    root = read_record("gnn_4graphs");
    json_object_set_new(json_object_get(json_object_get(root, "outputs"), "logits"), "n", json_integer(511));
    refused(root, NULL, "outputs.logits has 511 elements");
    root = read_record("gnn_4graphs");
    json_array_set_new(json_object_get(json_object_get(json_object_get(root, "outputs"), "logits"), "idx"), 0,
                       json_integer(512));
    refused(root, NULL, "outputs.logits");
    root = read_record("gnn_4graphs");
    json_object_del(json_object_get(root, "grads"), "Dense_3/bias");
    refused(root, NULL, "grads of 65 tensors");
    refused(with("gnn_4graphs", "loss", json_null()), NULL, "loss");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_number_is_seen_where_it_is),
        cmocka_unit_test(another_seed_meets_nothing),
        cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(records_are_complete),
    };
    return cmocka_run_group_tests(tests, begin, end);
}

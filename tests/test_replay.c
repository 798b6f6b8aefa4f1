/* SPDX-License-Identifier: Apache-2.0
 * The replay itself: recorded runs pass, and each kind of planted deviation is found where it was planted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "stepcost/memory.h"
#include "stepcost/replay.h"
#include "stepcost/trace.h"

static struct sco_ctx *ctx;
static char dir[64];
static const char *const parts[] = {".bin", ".idx", ".json", ".params"};
enum { PARTS = sizeof parts / sizeof *parts };

static void part_path(char path[512], const char *folder, const char *part)
{
    snprintf(path, 512, "%s/tiny%s", folder, part);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "test_replay.XXXXXX");
    const struct sco_ctx_options options = {.threads = 1};
    return mkdtemp(dir) != NULL && sco_ctx_create(&ctx, &options) == SCO_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char path[512];
    for (size_t i = 0; i < PARTS; i++) {
        part_path(path, dir, parts[i]);
        unlink(path);
    }
    sco_ctx_destroy(ctx);
    return rmdir(dir);
}

/* A fresh copy of the trace tiny. */
static void copy_trace(void)
{
    char path[512];
    for (size_t i = 0; i < PARTS; i++) {
        unsigned char *bytes;
        size_t size;
        part_path(path, SCO_GOLDEN, parts[i]);
        assert_int_equal(sco_file_read(path, (size_t)64 << 20, &bytes, &size), SCO_OK);
        part_path(path, dir, parts[i]);
        assert_int_equal(sco_file_write(path, bytes, size), SCO_OK);
        sco_free(bytes);
    }
}

/* Adds delta to one element of one array of the copy. */
static void plant(const char *key, size_t index, float delta)
{
    char path[512];
    struct sco_trace *trace;
    assert_int_equal(sco_trace_open(&trace, dir, "tiny"), SCO_OK);
    const struct sco_trace_array *array = sco_trace_find(trace, "%s", key), *first = sco_trace_find(trace, "losses");
    assert_non_null(array);
    assert_true(index < array->elements);
    /* losses is the first array of the file. */
    const long offset = (const char *)array->data - (const char *)first->data + (long)(index * sizeof(float));
    const float value = ((const float *)array->data)[index] + delta;
    sco_trace_close(trace);
    part_path(path, dir, ".bin");
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(&value, sizeof value, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static struct sco_replay *replay(const char *folder)
{
    struct sco_replay *made;
    if (sco_replay_create(&made, ctx, folder, "tiny") != SCO_OK)
        fail_msg("%s", sco_error_message());
    return made;
}

static size_t failures(const struct sco_replay *made)
{
    size_t count = 0;
    const struct sco_replay_entry *entry;
    for (size_t i = 0; (entry = sco_replay_at(made, i)) != NULL; i++)
        count += !entry->passed;
    return count;
}

static const struct sco_replay_entry *entry_of(const struct sco_replay *made, enum sco_replay_mode mode,
                                               const char *stage, size_t tensor)
{
    const struct sco_replay_entry *entry;
    for (size_t i = 0; (entry = sco_replay_at(made, i)) != NULL; i++)
        if (entry->mode == mode && entry->tensor == tensor && strcmp(entry->stage, stage) == 0)
            return entry;
    fail_msg("no entry for %s of tensor %zu", stage, tensor);
    return NULL;
}

static void recorded_run_passes(void **state)
{
    (void)state;
    struct sco_replay *made = replay(SCO_GOLDEN);
    assert_int_equal(failures(made), 0);
    assert_non_null(strstr(sco_replay_weights(made), "tiny.params"));
    /* 14 steps, all states kept: every comparison was made as often as it can be. */
    assert_int_equal(entry_of(made, SCO_REPLAY_STEP, "update", 8)->steps, 14);
    assert_int_equal(entry_of(made, SCO_REPLAY_RUN, "p", 0)->steps, 14);
    assert_int_equal(entry_of(made, SCO_REPLAY_STEP, "fac_row", 11)->steps, 14);
    assert_int_equal(entry_of(made, SCO_REPLAY_RUN, "fac_diag", 2)->steps, 14);
    assert_int_equal(entry_of(made, SCO_REPLAY_STEP, "lstm_h", SIZE_MAX)->steps, 14);
    assert_int_equal(entry_of(made, SCO_REPLAY_TRACE, "normaliser", 12)->steps, 1);
    assert_int_equal(entry_of(made, SCO_REPLAY_TRACE, "controls", SIZE_MAX)->steps, 1);
    sco_replay_destroy(made);
}

static void same_run_same_hash(void **state)
{
    (void)state;
    struct sco_replay *a = replay(SCO_GOLDEN), *b = replay(SCO_GOLDEN);
    assert_true(sco_replay_hash(a) == sco_replay_hash(b));
    sco_replay_destroy(b);
    copy_trace();
    plant("s007/g/4", 3, 1e-6f); /* in bounds everywhere, but other bits */
    b = replay(dir);
    assert_true(sco_replay_hash(a) != sco_replay_hash(b));
    sco_replay_destroy(a);
    sco_replay_destroy(b);
}

static void planted_deviations_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        size_t index;
        float delta;
        enum sco_replay_mode mode;
        const char *stage;
        size_t tensor, step;
    } cases[] = {
        {"s005/upd64/8", 17, 1.0f, SCO_REPLAY_STEP, "update", 8, 5},
        {"s014/p/3", 2, 0.1f, SCO_REPLAY_STEP, "p", 3, 14},
        {"s014/p/3", 2, 0.1f, SCO_REPLAY_RUN, "p", 3, 14},
        {"s014/m/11", 95, 0.01f, SCO_REPLAY_RUN, "m", 11, 14},
        {"s014/rms/6", 23, 0.01f, SCO_REPLAY_STEP, "rms", 6, 14},
        {"s014/fac_col/12", 17, NAN, SCO_REPLAY_RUN, "fac_col", 12, 14},
        {"s014/lstm_c", 207, 0.01f, SCO_REPLAY_STEP, "lstm_c", SIZE_MAX, 14},
        {"s014/loss_running_min", 9, 0.5f, SCO_REPLAY_RUN, "loss_running_min", SIZE_MAX, 14},
        {"s005/trace/lr_mult", 4, 0.01f, SCO_REPLAY_TRACE, "lr_mult", SIZE_MAX, 5},
        {"s005/trace64/w1/9", 15, 0.01f, SCO_REPLAY_TRACE, "w1", 9, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        copy_trace();
        plant(cases[i].key, cases[i].index, cases[i].delta);
        struct sco_replay *made = replay(dir);
        const struct sco_replay_entry *entry = entry_of(made, cases[i].mode, cases[i].stage, cases[i].tensor);
        if (entry->passed || entry->step != cases[i].step || entry->index != cases[i].index)
            fail_msg("%s[%zu]: passed %d, worst at step %zu, index %zu", cases[i].key, cases[i].index, entry->passed,
                     entry->step, entry->index);
        assert_true(isinf(entry->absolute) == isnan(cases[i].delta));
        sco_replay_destroy(made);
    }
}

/* A feature that is off shows in its normaliser alone. */
static void planted_feature(void **state)
{
    (void)state;
    copy_trace();
    plant("s005/trace/feat/8", 30 * 215 + 29, 10);
    struct sco_replay *made = replay(dir);
    const struct sco_replay_entry *entry = entry_of(made, SCO_REPLAY_TRACE, "normaliser", 8);
    assert_false(entry->passed);
    assert_int_equal(entry->index, 29);
    assert_int_equal(failures(made), 1);
    sco_replay_destroy(made);
}

static void expect_error(enum sco_status status, const char *said)
{
    struct sco_replay *made = NULL;
    const enum sco_status got = sco_replay_create(&made, ctx, dir, "tiny");
    assert_null(made);
    if (got != status || strstr(sco_error_message(), said) == NULL)
        fail_msg("status %d (%s), expected %d with '%s'", got, sco_error_message(), status, said);
}

/* Replaces the first place where text stands in a part of the copy; same length. */
static void replace(const char *part, const char *text, const char *by)
{
    char path[512];
    unsigned char *bytes;
    size_t size;
    part_path(path, dir, part);
    assert_int_equal(sco_file_read(path, (size_t)64 << 20, &bytes, &size), SCO_OK);
    char *at = memmem(bytes, size, text, strlen(text));
    assert_non_null(at);
    assert_int_equal(strlen(text), strlen(by));
    memcpy(at, by, strlen(by));
    assert_int_equal(sco_file_write(path, bytes, size), SCO_OK);
    sco_free(bytes);
}

static void damaged_traces(void **state)
{
    (void)state;
    char path[512];
    copy_trace();
    replace(".idx", "s003/g/7 ", "s003/x/7 ");
    expect_error(SCO_FORMAT, "g of velo, step 3, tensor 7, is missing");
    copy_trace();
    replace(".idx", "s004/fac_row/6 ", "s004/fac_raw/6 ");
    expect_error(SCO_FORMAT, "fac_row of velo, step 4, tensor 6, is missing");
    copy_trace();
    replace(".json", "\"wrapper\": \"none\"", "\"wrapper\": \"nine\"");
    expect_error(SCO_FORMAT, "unknown wrapper 'nine'");
    copy_trace();
    replace(".json", "\"kind\": \"velo\"", "\"kind\": \"vela\"");
    expect_error(SCO_FORMAT, "unknown kind 'vela'");
    copy_trace();
    replace(".json", "\"steps\": 14", "\"steps\": 15");
    expect_error(SCO_FORMAT, "losses are missing or not one per step");
    copy_trace();
    part_path(path, dir, ".params");
    assert_int_equal(truncate(path, 1000), 0);
    expect_error(SCO_FORMAT, "tiny.params: array 'ff_mod_stack/~/w0__10'");
    copy_trace();
    unlink(path);
    expect_error(SCO_IO, "tiny.params: cannot be opened");
    copy_trace();
    part_path(path, dir, ".bin");
    assert_int_equal(truncate(path, 300000), 0);
    expect_error(SCO_FORMAT, "are outside the 300000 of");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_run_passes),
        cmocka_unit_test(same_run_same_hash),
        cmocka_unit_test(planted_deviations_are_found),
        cmocka_unit_test(planted_feature),
        cmocka_unit_test(damaged_traces),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

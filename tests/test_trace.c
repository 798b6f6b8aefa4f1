/* SPDX-License-Identifier: Apache-2.0
 * Recorded traces: every array of the kept ones is reachable, and an index that lies is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stepcost/trace.h"

static void recorded(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t arrays;
    } cases[] = {{"tiny", 1423}, {"edge", 524}, {"medium", 351}, {"long", 2514},
                 {"full", 305},  {"wd", 123},   {"accum", 117},  {"baselines", 1402}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sco_trace *trace;
        if (sco_trace_open(&trace, SCO_GOLDEN, cases[i].name) != SCO_OK)
            fail_msg("%s", sco_error_message());
        assert_string_equal(sco_trace_name(trace), cases[i].name);
        size_t count = 0;
        double sum = 0;
        const struct sco_trace_array *array;
        for (; (array = sco_trace_at(trace, count)) != NULL; count++) {
            assert_ptr_equal(sco_trace_find(trace, "%s", array->key), array);
            for (size_t k = 0; k < array->elements; k++)
                sum += array->type == SCO_TRACE_F32   ? (double)((const float *)array->data)[k]
                       : array->type == SCO_TRACE_I32 ? (double)((const int32_t *)array->data)[k]
                                                      : (double)((const int8_t *)array->data)[k];
        }
        assert_true(sum == sum);
        if (count != cases[i].arrays)
            fail_msg("%s has %zu arrays, expected %zu", cases[i].name, count, cases[i].arrays);
        sco_trace_close(trace);
    }
}

static void facts(void **state)
{
    (void)state;
    struct sco_trace *trace;
    double number = 0;
    const char *text = NULL;
    assert_int_equal(sco_trace_open(&trace, SCO_GOLDEN, "tiny"), SCO_OK);
    assert_int_equal(sco_trace_number(trace, "num_steps", &number), SCO_OK);
    assert_true(number == 20);
    assert_int_equal(sco_trace_text(trace, "checkpoint/file", &text), SCO_OK);
    assert_string_equal(text, "tiny.params");
    assert_int_equal(sco_trace_number(trace, "checkpoint/file", &number), SCO_FORMAT);
    assert_int_equal(sco_trace_number(trace, "nothing", &number), SCO_FORMAT);
    assert_int_equal(sco_trace_text(trace, "steps/nothing", &text), SCO_FORMAT);

    const struct sco_trace_array *m = sco_trace_find(trace, "s%03zu/m/%zu", (size_t)5, (size_t)8);
    assert_non_null(m);
    assert_int_equal(m->rank, 5);
    assert_int_equal(m->shape[4], 3);
    assert_int_equal(m->elements, 3 * 3 * 4 * 6 * 3);
    assert_non_null(sco_trace_find(trace, "losses"));
    assert_null(sco_trace_find(trace, "s%03d/p/0", 15));
    char key[400];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    assert_null(sco_trace_find(trace, "%s", key));
    sco_trace_close(trace);
}

static void write_file(const char *suffix, const char *text, size_t bytes)
{
    char path[64];
    snprintf(path, sizeof path, "test_trace_%ld%s", (long)getpid(), suffix);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static void indices_that_lie(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "test_trace_%ld", (long)getpid());
    char bin[128] = {0};
    write_file(".bin", bin, sizeof bin);
    write_file(".json", "{\"steps\": 1}", 12);
    static const struct {
        const char *idx;
        enum sco_status status;
        const char *said;
    } cases[] = {
        {"a f32 1 32 0 128\nb i8 0 127 1\n", SCO_OK, ""},
        {"", SCO_OK, ""},
        {"a f32 1 32 0 128", SCO_OK, ""},
        {"a f32 1 33 0 132\n", SCO_FORMAT, "line 1: array 'a': bytes 0 to 0 + 132 are outside"},
        {"a f32 1 1 0 4\nb f32 1 32 4 128\n", SCO_FORMAT, "line 2: array 'b': bytes 4 to"},
        {"a f32 1 1 128 4\n", SCO_FORMAT, "outside"},
        {"a f32 1 1 18446744073709551612 4\n", SCO_FORMAT, "outside"},
        {"a f32 1 1 18446744073709551616 4\n", SCO_FORMAT, "expected offset and bytes"},
        {"a f32 1 1 2 4\n", SCO_FORMAT, "not aligned"},
        {"a f32 1 2 0 4\n", SCO_FORMAT, "4 bytes for 2 elements of f32"},
        {"a f32 1 1 0 5\n", SCO_FORMAT, "5 bytes for 1 elements"},
        {"a f32 2 4294967296 4294967296 0 0\n", SCO_FORMAT, "its shape overflows"},
        {"a f32 1 4611686018427387904 0 0\n", SCO_FORMAT, "0 bytes for"},
        {"a f64 1 1 0 8\n", SCO_FORMAT, "unknown type 'f64'"},
        {"a f32 1 -1 0 4\n", SCO_FORMAT, "size 0 is no number"},
        {"a f32 10 1 1 1 1 1 1 1 1 1 1 0 4\n", SCO_SHAPE, "rank 10 is above 9"},
        {"a f32 1 1 0\n", SCO_FORMAT, "expected offset and bytes"},
        {"a f32 1 1 0 4 9\n", SCO_FORMAT, "expected offset and bytes"},
        {"a f32\n", SCO_FORMAT, "expected key, type, rank"},
        {"a f32 0 0 4\na f32 0 4 4\n", SCO_FORMAT, "key 'a' appears twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sco_trace *trace = NULL;
        write_file(".idx", cases[i].idx, strlen(cases[i].idx));
        const enum sco_status status = sco_trace_open(&trace, ".", name);
        if (status != cases[i].status || (status != SCO_OK && strstr(sco_error_message(), cases[i].said) == NULL))
            fail_msg("%s: status %d (%s), expected %d with '%s'", cases[i].idx, status, sco_error_message(),
                     cases[i].status, cases[i].said);
        sco_trace_close(trace);
    }
    struct sco_trace *trace = NULL;
    write_file(".idx", "a f32\0", 6);
    assert_int_equal(sco_trace_open(&trace, ".", name), SCO_FORMAT);
    write_file(".idx", "", 0);
    write_file(".json", "[]", 2);
    assert_int_equal(sco_trace_open(&trace, ".", name), SCO_FORMAT);
    write_file(".json", "{", 1);
    assert_int_equal(sco_trace_open(&trace, ".", name), SCO_FORMAT);
    assert_int_equal(sco_trace_open(&trace, ".", "no such trace"), SCO_IO);
    assert_null(trace);
    static const char *const suffixes[] = {".bin", ".idx", ".json"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "test_trace_%ld%s", (long)getpid(), suffixes[i]);
        unlink(name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded),
        cmocka_unit_test(facts),
        cmocka_unit_test(indices_that_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

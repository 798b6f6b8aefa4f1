/* SPDX-License-Identifier: Apache-2.0
 * Tensor lists: the built-in ones by their sums, files by what they must refuse and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stepcost/shapes.h"

static struct sco_shapes *decode(const char *text)
{
    struct sco_shapes *shapes;
    if (sco_shapes_decode(&shapes, text, strlen(text), "test.json") != SCO_OK)
        fail_msg("%s: %s", text, sco_error_message());
    return shapes;
}

static void expect_refused(const char *text, size_t bytes, enum sco_status status, const char *said)
{
    struct sco_shapes *shapes = NULL;
    const enum sco_status got = sco_shapes_decode(&shapes, text, bytes, "test.json");
    assert_null(shapes);
    if (got != status || strstr(sco_error_message(), said) == NULL ||
        strncmp(sco_error_message(), "test.json: ", 11) != 0)
        fail_msg("%s: status %d (%s), expected %d with '%s'", text, got,
                 got == SCO_OK ? "accepted" : sco_error_message(), status, said);
}

static void built_in(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t tensors, elements;
    } expected[] = {{"resnet50", 161, 25557032}, {"ogbg", 66, 3554176}, {"dlrm", 17, 539267457},
                    {"unet", 24, 7756097},       {"10k", 4, 9997},      {"1M", 4, 1048576},
                    {"100M", 24, 100663296}};
    const size_t count = sizeof expected / sizeof *expected;
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(sco_shapes_builtin(i), expected[i].name);
        struct sco_shapes *shapes;
        size_t elements;
        assert_int_equal(sco_shapes_open(&shapes, expected[i].name), SCO_OK);
        assert_string_equal(sco_shapes_name(shapes), expected[i].name);
        assert_int_equal(sco_shapes_list(shapes)->count, expected[i].tensors);
        assert_int_equal(sco_tensor_list_elements(sco_shapes_list(shapes), &elements), SCO_OK);
        assert_int_equal(elements, expected[i].elements);
        sco_shapes_destroy(shapes);
    }
    assert_null(sco_shapes_builtin(count));
}

/* JAX's layout: dense [in, out], convolution HWIO. */
static void layout(void **state)
{
    (void)state;
    struct sco_shapes *shapes;
    assert_int_equal(sco_shapes_open(&shapes, "resnet50"), SCO_OK);
    const struct sco_tensor_list *list = sco_shapes_list(shapes);
    size_t seen = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct sco_tensor *t = &list->tensors[i];
        if (strcmp(t->name, "BottleneckResNetBlock_0/Conv_1/kernel") == 0)
            seen += t->rank == 4 && t->shape[0] == 3 && t->shape[1] == 3 && t->shape[2] == 64 && t->shape[3] == 64;
        if (strcmp(t->name, "Dense_0/kernel") == 0)
            seen += t->rank == 2 && t->shape[0] == 2048 && t->shape[1] == 1000;
    }
    assert_int_equal(seen, 2);
    sco_shapes_destroy(shapes);
}

static void a_list(void **state)
{
    (void)state;
    struct sco_shapes *shapes =
        decode("[{\"name\": \"w\", \"shape\": [3, 0, 5]}, {\"shape\": [], \"name\": \"s\"},"
               " {\"name\": \"r8\", \"shape\": [1,1,1,1,1,1,1,2]}, {\"name\": \"e\", \"shape\": [1e3]}]");
    const struct sco_tensor_list *list = sco_shapes_list(shapes);
    assert_int_equal(list->count, 4);
    assert_string_equal(list->tensors[0].name, "w");
    assert_int_equal(list->tensors[0].rank, 3);
    assert_int_equal(list->tensors[0].shape[2], 5);
    assert_int_equal(list->tensors[1].rank, 0);
    assert_int_equal(list->tensors[2].rank, 8);
    assert_int_equal(list->tensors[3].shape[0], 1000);
    assert_string_equal(sco_shapes_name(shapes), "test.json");
    sco_shapes_destroy(shapes);
}

#define ONE(shape) "[{\"name\": \"a\", \"shape\": [1]}, {\"name\": \"b\", \"shape\": " shape "}]"

static void what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sco_status status;
        const char *said;
    } cases[] = {
        {ONE("[2, -3]"), SCO_SHAPE, "tensor 1 'b': size 1 is negative: -3"},
        {ONE("[-9223372036854775809]"), SCO_SHAPE, "tensor 1 'b': size 0 is negative"},
        {ONE("[9007199254740993]"), SCO_SHAPE, "tensor 1 'b': size 0 is too large"},
        {ONE("[18446744073709551617]"), SCO_SHAPE, "tensor 1 'b': size 0 is too large"},
        {ONE("[1e300]"), SCO_SHAPE, "tensor 1 'b': size 0 is too large"},
        {ONE("[1e999]"), SCO_FORMAT, "line 1, column"},
        {ONE("[4294967296, 4294967296]"), SCO_SHAPE, "tensor 1 'b': tensor b [4294967296, 4294967296] has more than"},
        {ONE("[4294967296, 536870912]"), SCO_SHAPE, "more than"},
        {ONE("[1.5]"), SCO_SHAPE, "tensor 1 'b': size 0 is not a whole number: 1.5"},
        {ONE("[1e-9]"), SCO_SHAPE, "tensor 1 'b': size 0 is not a whole number"},
        {ONE("[3, \"4\"]"), SCO_FORMAT, "tensor 1 'b': size 1 is a string, expected a number"},
        {ONE("[null]"), SCO_FORMAT, "tensor 1 'b': size 0 is null"},
        {ONE("[true]"), SCO_FORMAT, "tensor 1 'b': size 0 is a boolean"},
        {ONE("[[1]]"), SCO_FORMAT, "tensor 1 'b': size 0 is an array"},
        {ONE("[NaN]"), SCO_FORMAT, "line 1, column"},
        {ONE("5"), SCO_FORMAT, "tensor 1 'b': shape is a number, expected an array"},
        {ONE("{}"), SCO_FORMAT, "tensor 1 'b': shape is an object"},
        {ONE("[1,1,1,1,1,1,1,1,1]"), SCO_SHAPE, "tensor 1 'b': rank 9 is above 8"},
        {"[{\"name\": \"a\", \"shape\": []}, {\"name\": \"b\", \"shape\": []}, {\"name\": \"a\", \"shape\": [2]}]",
         SCO_FORMAT, "tensors 0 and 2 have the same name 'a'"},
        {"[{\"name\": \"\", \"shape\": []}]", SCO_FORMAT, "tensor 0 '': name is empty"},
        {"[{\"name\": 3, \"shape\": []}]", SCO_FORMAT, "tensor 0 '(no name)': name is a number"},
        {"[{\"shape\": []}]", SCO_FORMAT, "tensor 0 '(no name)': key 'name' is missing"},
        {"[{\"name\": \"a\"}]", SCO_FORMAT, "tensor 0 'a': key 'shape' is missing"},
        {"[{\"name\": \"a\", \"shape\": [], \"dtype\": \"f32\"}]", SCO_FORMAT, "tensor 0 'a': unknown key 'dtype'"},
        {"[{\"name\": \"a\", \"name\": \"b\", \"shape\": []}]", SCO_FORMAT, "line 1, column"},
        {"[[\"a\", [1]]]", SCO_FORMAT, "tensor 0 '(no name)': it is an array"},
        {"{\"name\": \"a\", \"shape\": []}", SCO_FORMAT, "the document is an object"},
        {"[]", SCO_FORMAT, "0 tensors"},
        {"", SCO_FORMAT, "line 1"},
        {"[{\"name\": \"a\", \"shape\": [1]}", SCO_FORMAT, "line 1, column"},
        {"[{\"name\": \"a\", \"shape\": [1]}] []", SCO_FORMAT, "line 1, column"},
        {"[{\"name\": \"a\\u0000b\", \"shape\": [1]}]", SCO_FORMAT, "line 1, column"},
        {"[{\"name\": \"\xff\", \"shape\": [1]}]", SCO_FORMAT, "line 1, column"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i].text, strlen(cases[i].text), cases[i].status, cases[i].said);
}

/* Each tensor fits, their sum does not. */
static void sum_that_overflows(void **state)
{
    (void)state;
    char text[2048] = "[";
    for (int i = 0; i < 3; i++) {
        const size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s{\"name\": \"t%d\", \"shape\": [1073741824, 1073741824]}", i ? ", " : "",
                 i);
    }
    strcat(text, "]");
    expect_refused(text, strlen(text), SCO_SHAPE, "more than");
}

static void too_many(void **state)
{
    (void)state;
    static char deep[100000];
    memset(deep, '[', sizeof deep);
    expect_refused(deep, sizeof deep, SCO_FORMAT, "line 1");

    const size_t room = (size_t)17 << 20;
    char *text = malloc(room);
    assert_non_null(text);
    memset(text, ' ', room);
    expect_refused(text, room, SCO_FORMAT, "more than the limit");
    size_t n = (size_t)snprintf(text, room, "[{}");
    for (size_t i = 0; i < 100000; i++)
        n += (size_t)snprintf(text + n, room - n, ",{}");
    n += (size_t)snprintf(text + n, room - n, "]");
    expect_refused(text, n, SCO_FORMAT, "100001 tensors, expected 1 .. 100000");
    free(text);
}

static void files(void **state)
{
    (void)state;
    struct sco_shapes *shapes = NULL;
    assert_int_equal(sco_shapes_open(&shapes, "resnet51"), SCO_INVALID);
    assert_non_null(strstr(sco_error_message(), "resnet50, ogbg, dlrm, unet, 10k, 1M, 100M"));
    assert_int_equal(sco_shapes_read(&shapes, "no such file"), SCO_IO);
    assert_int_equal(sco_shapes_open(&shapes, "."), SCO_IO);
    assert_null(shapes);

    char path[64];
    snprintf(path, sizeof path, "test_shapes.%ld.json", (long)getpid());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("[{\"name\": \"w\", \"shape\": [4, 2]}]\n", file);
    fclose(file);
    assert_int_equal(sco_shapes_open(&shapes, path), SCO_OK);
    assert_string_equal(sco_shapes_name(shapes), path);
    assert_int_equal(sco_shapes_list(shapes)->tensors[0].shape[0], 4);
    sco_shapes_destroy(shapes);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in),           cmocka_unit_test(layout),   cmocka_unit_test(a_list),
        cmocka_unit_test(what_is_refused),    cmocka_unit_test(too_many), cmocka_unit_test(files),
        cmocka_unit_test(sum_that_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

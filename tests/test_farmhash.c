/* SPDX-License-Identifier: Apache-2.0
 * Fingerprint64 against recorded values, of every class of lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "io/farmhash.h"

static void recorded_values(void **state)
{
    (void)state;
    json_error_t error;
    json_t *document = json_load_file(SCO_TEST_DIR "/golden/algoperf/criteo_hash_vectors.json", 0, &error);
    assert_non_null(document);
    const json_t *vectors = json_object_get(document, "fingerprint64"), *vector;
    size_t at, classes[6] = {0};
    assert_int_equal(json_array_size(vectors), 147);
    json_array_foreach(vectors, at, vector)
    {
        const json_t *text = json_array_get(vector, 0);
        const size_t size = json_string_length(text);
        const uint64_t want = strtoull(json_string_value(json_array_get(vector, 1)), NULL, 10);
        /* At every alignment: loads must not depend on it. */
        char *copy = malloc(size + 8);
        assert_non_null(copy);
        for (size_t offset = 0; offset < 8; offset++) {
            memcpy(copy + offset, json_string_value(text), size);
            assert_true(sco_fingerprint64(copy + offset, size) == want);
        }
        free(copy);
        classes[size == 0 ? 0 : size < 4 ? 1 : size < 8 ? 2 : size <= 16 ? 3 : size <= 64 ? 4 : 5]++;
    }
    for (size_t i = 0; i < 6; i++)
        assert_true(classes[i] > 0);
    json_decref(document);
}

/* The shortcut for 8 to 16 bytes is what the whole function is there. */
static void shortcut(void **state)
{
    (void)state;
    static const char text[] = "0123456789abcdef";
    for (size_t size = 8; size <= 16; size++) {
        uint64_t first = 0, last = 0;
        for (size_t i = 0; i < 8; i++) {
            first |= (uint64_t)(unsigned char)text[i] << (8 * i);
            last |= (uint64_t)(unsigned char)text[size - 8 + i] << (8 * i);
        }
        assert_true(sco_fingerprint64_8to16(first, last, size) == sco_fingerprint64(text, size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded_values), cmocka_unit_test(shortcut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

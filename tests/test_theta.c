/* SPDX-License-Identifier: Apache-2.0
 * Learned weights: the generator against recorded files, the reader on the three forms, and on files made to mislead. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/file.h"
#include "stepcost/memory.h"
#include "stepcost/velo.h"

struct blob {
    unsigned char *bytes;
    size_t size;
};

static struct blob load(const char *path)
{
    struct blob blob;
    if (sco_file_read(path, (size_t)64 << 20, &blob.bytes, &blob.size) != SCO_OK)
        fail_msg("%s", sco_error_message());
    return blob;
}

static struct blob golden(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", SCO_GOLDEN, name);
    return load(path);
}

/* A blob of head, the bytes [from, to) of body, and tail. */
static struct blob join(const char *head, size_t head_size, const unsigned char *from, const unsigned char *to,
                        const char *tail, size_t tail_size)
{
    const size_t body = (size_t)(to - from);
    struct blob blob = {sco_alloc(head_size + body + tail_size), head_size + body + tail_size};
    assert_non_null(blob.bytes);
    memcpy(blob.bytes, head, head_size);
    memcpy(blob.bytes + head_size, from, body);
    memcpy(blob.bytes + head_size + body, tail, tail_size);
    return blob;
}

/* Offset of the only occurrence of text in the blob. */
static size_t find(const struct blob *blob, const char *text, size_t size)
{
    const unsigned char *at = memmem(blob->bytes, blob->size, text, size);
    assert_non_null(at);
    const size_t offset = (size_t)(at - blob->bytes);
    assert_null(memmem(at + 1, blob->size - offset - 1, text, size));
    return offset;
}

static void expect_refused(const struct blob *blob, enum sco_status status, const char *said)
{
    struct sco_velo_theta *theta = NULL;
    const enum sco_status got = sco_velo_theta_decode(&theta, blob->bytes, blob->size, "test");
    if (got != status || strstr(sco_error_message(), said) == NULL)
        fail_msg("status %d (%s), expected %d with '%s'", got, got == SCO_OK ? "accepted" : sco_error_message(), status,
                 said);
    assert_null(theta);
}

static struct sco_velo_theta *expect_read(const struct blob *blob)
{
    struct sco_velo_theta *theta;
    if (sco_velo_theta_decode(&theta, blob->bytes, blob->size, "test") != SCO_OK)
        fail_msg("%s", sco_error_message());
    return theta;
}

static size_t elements(const struct sco_velo_theta *theta, size_t index)
{
    size_t shape[3], rank, n = 1;
    assert_non_null(sco_velo_theta_array(theta, sco_velo_theta_path(index), shape, &rank));
    for (size_t axis = 0; axis < rank; axis++)
        n *= shape[axis];
    return n;
}

static void expect_same(const struct sco_velo_theta *a, const struct sco_velo_theta *b)
{
    assert_int_equal(sco_velo_theta_hidden(a), sco_velo_theta_hidden(b));
    assert_int_equal(sco_velo_theta_experts(a), sco_velo_theta_experts(b));
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++) {
        const char *path = sco_velo_theta_path(i);
        assert_memory_equal(sco_velo_theta_array(a, path, NULL, NULL), sco_velo_theta_array(b, path, NULL, NULL),
                            elements(a, i) * sizeof(float));
    }
}

static struct sco_velo_theta *generate(size_t hidden, size_t experts, uint64_t seed, float magnitude, float direction)
{
    const struct sco_velo_generator generator = {hidden, experts, seed, magnitude, direction};
    struct sco_velo_theta *theta;
    if (sco_velo_theta_generate(&theta, &generator) != SCO_OK)
        fail_msg("%s", sco_error_message());
    return theta;
}

static void scratch_path(char path[64])
{
    snprintf(path, 64, "test_theta.%ld.params", (long)getpid());
}

/* Generator and writer together give the recorded files, byte for byte. */
static void recorded_files_are_generated(void **state)
{
    (void)state;
    static const struct {
        const char *file, *gen_id;
        size_t hidden, experts;
        uint64_t seed;
        float magnitude, direction;
    } cases[] = {{"tiny.params", "d60cadf1a41c651e1f0ade50136bad43", 16, 8, 11, 50, 1},
                 {"edge.params", "09039bd1628a3c1b25fda3134a4fe050", 16, 8, 12, 10, 1},
                 {"medium.params", "075a3e36a0a52dcbc568c05788e8a713", 64, 32, 13, 50, 1},
                 {"long.params", "0f5264038205edfb1ac05fbb0e8c5e94", 16, 8, 14, 20, 0.1f}};
    char path[64];
    scratch_path(path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sco_velo_theta *made =
            generate(cases[i].hidden, cases[i].experts, cases[i].seed, cases[i].magnitude, cases[i].direction);
        assert_int_equal(sco_velo_theta_write(made, path, cases[i].gen_id, 5620), SCO_OK);
        struct blob ours = load(path), theirs = golden(cases[i].file);
        assert_int_equal(ours.size, theirs.size);
        assert_memory_equal(ours.bytes, theirs.bytes, ours.size);
        struct sco_velo_theta *back;
        assert_int_equal(sco_velo_theta_read(&back, path), SCO_OK);
        expect_same(made, back);
        sco_velo_theta_destroy(made);
        sco_velo_theta_destroy(back);
        sco_free(ours.bytes);
        sco_free(theirs.bytes);
    }
    unlink(path);
}

static void released_size(void **state)
{
    (void)state;
    char path[64];
    scratch_path(path);
    struct sco_velo_theta *theta = generate(512, 256, 15, 30, 1);
    size_t total = 0;
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++)
        total += elements(theta, i);
    assert_int_equal(total, 2320385);
    assert_int_equal(sco_velo_theta_write(theta, path, "0123456789abcdef0123456789abcdef", 5620), SCO_OK);
    struct blob blob = load(path);
    assert_int_equal(blob.size, 9282564);
    struct sco_velo_theta *back = expect_read(&blob);
    expect_same(theta, back);
    assert_string_equal(sco_velo_theta_origin(theta), "generated (cost only), H = 512, P = 256, seed 15");
    assert_string_equal(sco_velo_theta_origin(back), "test (gen_id 0123456789abcdef0123456789abcdef, step 5620)");
    sco_velo_theta_destroy(theta);
    sco_velo_theta_destroy(back);
    sco_free(blob.bytes);
    unlink(path);
}

static void arrays_by_path(void **state)
{
    (void)state;
    struct sco_velo_theta *theta = generate(16, 8, 1, 1, 1);
    size_t shape[3] = {0}, rank = 0;
    const float *w = sco_velo_theta_array(theta, "rnn_params/rnn/linear/w", shape, &rank);
    assert_non_null(w);
    assert_int_equal((uintptr_t)w % SCO_ALIGN, 0);
    assert_int_equal(rank, 2);
    assert_int_equal(shape[0], 32);
    assert_int_equal(shape[1], 64);
    assert_null(sco_velo_theta_array(theta, "rnn_params/rnn/linear", NULL, NULL));
    assert_null(sco_velo_theta_array(theta, "params/rnn_params/rnn/linear/w", NULL, NULL));
    assert_null(sco_velo_theta_path(SCO_VELO_ARRAYS));
    sco_velo_theta_destroy(theta);
}

static void generator_limits(void **state)
{
    (void)state;
    static const struct sco_velo_generator bad[] = {
        {0, 8, 1, 1, 1},        {16, 0, 1, 1, 1},        {4097, 8, 1, 1, 1}, {16, 65537, 1, 1, 1},
        {SIZE_MAX, 8, 1, 1, 1}, {16, 8, 1, INFINITY, 1}, {16, 8, 1, 1, NAN}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sco_velo_theta *theta;
        assert_int_equal(sco_velo_theta_generate(&theta, &bad[i]), SCO_INVALID);
    }
    struct sco_velo_theta *smallest = generate(1, 1, 1, 1, 1);
    sco_velo_theta_destroy(smallest);
}

/* "\x83\xa6params" in front of theta, gen_id and step behind it. */
enum { HEAD = 8, TAIL = 49 };

static void the_other_forms(void **state)
{
    (void)state;
    struct blob full = golden("tiny.params");
    struct sco_velo_theta *expected = expect_read(&full);
    const unsigned char *from = full.bytes + HEAD, *to = full.bytes + full.size - TAIL;
    struct blob forms[] = {
        join("", 0, from, to, "", 0),
        join("\x83\xa1"
             "0",
             3, from, to,
             "\xa1"
             "1\xa0\xa1"
             "2\x00",
             6),
        /* keys as binary data, as written before msgpack told strings apart; step first; step in a signed form */
        join("\x83\xc4\x04step\xd1\x15\xf8\xc4\x06params", 18, from, to, "\xc4\x06gen_id\xc4\x00", 10),
    };
    static const char *const origins[] = {"test", "test (gen_id , step 0)", "test (gen_id , step 5624)"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct sco_velo_theta *theta = expect_read(&forms[i]);
        expect_same(theta, expected);
        assert_string_equal(sco_velo_theta_origin(theta), origins[i]);
        sco_velo_theta_destroy(theta);
        sco_free(forms[i].bytes);
    }
    sco_velo_theta_destroy(expected);
    sco_free(full.bytes);
}

static void files_that_cannot_be_read(void **state)
{
    (void)state;
    struct sco_velo_theta *theta = NULL;
    char path[64];
    scratch_path(path);
    assert_int_equal(sco_velo_theta_read(&theta, path), SCO_IO);
    assert_non_null(strstr(sco_error_message(), path));
    assert_int_equal(sco_velo_theta_read(&theta, "."), SCO_IO);
    assert_non_null(strstr(sco_error_message(), "not a regular file"));

    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(sco_velo_theta_read(&theta, path), SCO_FORMAT);
    assert_non_null(strstr(sco_error_message(), "byte 0"));
    /* A sparse file, one byte above the limit. */
    assert_int_equal(truncate(path, ((off_t)256 << 20) + 1), 0);
    assert_int_equal(sco_velo_theta_read(&theta, path), SCO_FORMAT);
    assert_non_null(strstr(sco_error_message(), "more than the limit"));
    unlink(path);
    assert_null(theta);

    theta = generate(1, 1, 1, 1, 1);
    assert_int_equal(sco_velo_theta_write(theta, "no such folder/file", "", 0), SCO_IO);
    char long_id[300];
    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    assert_int_equal(sco_velo_theta_write(theta, path, long_id, 0), SCO_INVALID);
    assert_int_not_equal(access(path, F_OK), 0);
    sco_velo_theta_destroy(theta);
}

static void every_truncation(void **state)
{
    (void)state;
    struct blob whole = golden("tiny.params");
    for (size_t size = 0; size < whole.size; size++) {
        /* In a buffer of its own, so that a sanitizer sees a read past the cut. */
        struct blob cut = {malloc(size + 1), size};
        assert_non_null(cut.bytes);
        memcpy(cut.bytes, whole.bytes, size);
        cut.bytes = realloc(cut.bytes, size > 0 ? size : 1);
        expect_refused(&cut, SCO_FORMAT, "byte");
        free(cut.bytes);
    }
    struct blob longer = join("", 0, whole.bytes, whole.bytes + whole.size, "\xc0", 1);
    expect_refused(&longer, SCO_FORMAT, "1 bytes too many");
    sco_free(longer.bytes);
    sco_free(whole.bytes);
}

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Headers that claim up to 96 GB. With 1 GiB of address space, a reader that believed one would report SCO_NOMEM. */
static void claims_beyond_the_file(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
#ifndef SANITIZED
    const struct rlimit small = {(rlim_t)1 << 30, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &small), 0);
#endif
    static const struct {
        const char *bytes;
        size_t size;
        const char *said;
    } cases[] = {
        {"\xdf\xff\xff\xff\xff", 5, "byte 0: a map of 4294967295 entries"},
        {"\xdd\xff\xff\xff\xff", 5, "byte 0: an array of 4294967295 entries"},
        {"\xc6\xff\xff\xff\xff", 5, "byte 0: binary data of 4294967295 bytes"},
        {"\xdb\xff\xff\xff\xff", 5, "byte 0: a string of 4294967295 bytes"},
        {"\xc9\xff\xff\xff\xff\x01", 6, "byte 0: an extension of 4294967295 bytes"},
        {"\x83\xa6params\xdf\xff\xff\xff\xff", 13, "byte 8: a map of 4294967295 entries"},
        {"\x81\xdb\xff\xff\xff\xff", 6, "byte 1: a string of 4294967295 bytes"},
        {"\x81\xac"
         "ff_mod_stack\x81\xa1~\x81\xa2"
         "b0\xc9\xff\xff\xff\xff\x01",
         27, "an extension of 4294967295 bytes"},
        {"\x81\xac"
         "ff_mod_stack\x81\xa1~\x81\xa2"
         "b0\xc7\x05\x01\xdd\xff\xff\xff\xff",
         29, "an array of 4294967295 entries"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct blob blob = {malloc(cases[i].size), cases[i].size};
        assert_non_null(blob.bytes);
        memcpy(blob.bytes, cases[i].bytes, cases[i].size);
        expect_refused(&blob, SCO_FORMAT, cases[i].said);
        free(blob.bytes);
    }
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
}

/* A shape whose product overflows to the number of bytes there are must not pass. */
static void shape_that_overflows(void **state)
{
    (void)state;
    struct blob blob = golden("tiny.params");
    /* lstm_init_state/hidden: [1, 16] in 2 bytes; as [2^32, 2^32 ...] it needs more, so rebuild the extension. */
    const size_t key = find(&blob, "\xa6hidden", 7);
    const size_t old = key + 7, body = old + 3; /* c7 LEN 01 */
    assert_int_equal(blob.bytes[old], 0xc7);
    const size_t length = blob.bytes[old + 1];
    static const char shape[] =
        "\xc7\x00\x01\x93\x92\xcf\x80\x00\x00\x00\x00\x00\x00\x01\xcf\x00\x00\x00\x00\x00\x00\x00\x10";
    struct blob front = join("", 0, blob.bytes, blob.bytes + old, shape, sizeof shape - 1);
    front.bytes[old + 1] = (unsigned char)(length - 4 + sizeof shape - 1 - 3);
    struct blob bad = join((const char *)front.bytes, front.size, blob.bytes + body + 4, blob.bytes + blob.size, "", 0);
    expect_refused(&bad, SCO_SHAPE, "array 'lstm_init_state/hidden'");
    sco_free(front.bytes);
    sco_free(bad.bytes);
    sco_free(blob.bytes);
}

/* One edit of tiny.params each: at the only place where at stands (plus offset), put. */
static void single_faults(void **state)
{
    (void)state;
#define TEXT(s) s, sizeof(s) - 1
    static const struct {
        const char *at;
        size_t at_size, offset;
        const char *put;
        size_t put_size;
        enum sco_status status;
        const char *said;
    } cases[] = {
        {TEXT("\xa6hidden"), 15, TEXT("float16"), SCO_FORMAT, "dtype 'float16', expected 'float32'"},
        {TEXT("\xa6hidden"), 15, TEXT("uint\n\xff!"), SCO_FORMAT, "dtype 'uint?"},
        {TEXT("\xa6hidden"), 9, TEXT("\x03"), SCO_FORMAT, "array 'lstm_init_state/hidden': byte 5602: extension 3"},
        {TEXT("\xa6hidden"), 7, TEXT("\x80"), SCO_FORMAT, "expected an extension, found a map"},
        {TEXT("\xa6hidden"), 7, TEXT("\xc0"), SCO_FORMAT, "expected an extension, found nil"},
        {TEXT("\xa6hidden"), 7, TEXT("\xc1"), SCO_FORMAT, "this is not msgpack"},
        {TEXT("\xa6hidden"), 7, TEXT("\x2a"), SCO_FORMAT, "expected an extension, found an unsigned integer"},
        {TEXT("\xa6hidden"), 10, TEXT("\x92"), SCO_FORMAT, "2 entries, expected shape, dtype, data"},
        {TEXT("\xa6hidden"), 11, TEXT("\x91"), SCO_SHAPE, "rank 1, expected 2"},
        {TEXT("\xa6hidden"), 11, TEXT("\x9f"), SCO_SHAPE, "rank 15, expected 2"},
        {TEXT("\xa6hidden"), 12, TEXT("\xff"), SCO_FORMAT, "expected an unsigned integer, found a negative integer"},
        {TEXT("\xa6hidden"), 12, TEXT("\x00"), SCO_SHAPE, "64 bytes of data do not fill the shape [0, 16]"},
        {TEXT("\xa6hidden"), 12, TEXT("\x02"), SCO_SHAPE, "64 bytes of data do not fill the shape [2, 16]"},
        {TEXT("\xa6hidden"), 12, TEXT("\x10\x01"), SCO_SHAPE,
         "'lstm_init_state/hidden' has shape [16, 1], expected [1, 1]"},
        {TEXT("\xa6hidden"), 23, TEXT("\x3f"), SCO_SHAPE, "63 bytes of data do not fill the shape [1, 16]"},
        {TEXT("\xa4"
              "cell"),
         10, TEXT("\x10\x01"), SCO_SHAPE, "'lstm_init_state/cell' has shape [16, 1], expected [1, 16]"},
        {TEXT("\xa2"
              "b0"),
         8, TEXT("\x04\x08"), SCO_SHAPE, "'ff_mod_stack/~/b0' has shape [4, 8], expected [4, 4]"},
        {TEXT("\xa6w0__13"), 0, TEXT("\xa6w0__99"), SCO_FORMAT, "unknown key 'ff_mod_stack/~/w0__99'"},
        {TEXT("\xa6w0__13"), 0, TEXT("\xa6w0__12"), SCO_FORMAT, "key 'ff_mod_stack/~/w0__12' appears twice"},
        {TEXT("\xa6w0__13"), 0, TEXT("\xa6w0\x00\x01%n"), SCO_FORMAT, "unknown key 'ff_mod_stack/~/w0??%n'"},
        {TEXT("\xa6w0__13"), 0, TEXT("\x06"), SCO_FORMAT, "expected a string, found an unsigned integer"},
        {TEXT("\xaarnn/linear"), 0, TEXT("\xaarnn_linear"), SCO_FORMAT, "unknown key 'rnn_params/rnn_linear'"},
        {TEXT("\xa8linear_2"), 0, TEXT("\xa8linear_1"), SCO_FORMAT, "key 'rnn_params/linear_1' appears twice"},
        {TEXT("\xa6gen_id"), 0, TEXT("\xa6params"), SCO_FORMAT, "key 'params' appears twice"},
        {TEXT("\xa6gen_id"), 0, TEXT("\xa6gen_ix"), SCO_FORMAT,
         "unknown key 'gen_ix', expected 'params', 'gen_id' and 'step'"},
        {TEXT("\xa4step"), 5, TEXT("\xd1\x95"), SCO_FORMAT, "'step': byte 21141: expected an unsigned integer"},
        {TEXT("\xa6params"), 7, TEXT("\x93"), SCO_FORMAT, "expected a map, found an array"},
        {TEXT("\xa6params"), 7, TEXT("\x82"), SCO_FORMAT, "unknown key 'rnn_params', expected 'params'"},
        {TEXT("\xa6hidden"), 24, TEXT("\x00\x00\xc0\x7f"), SCO_NONFINITE,
         "array 'lstm_init_state/hidden' has nan at index 0"},
        {TEXT("\xa6hidden"), 28, TEXT("\x00\x00\x80\xff"), SCO_NONFINITE, "has -inf at index 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct blob blob = golden("tiny.params");
        const size_t at = find(&blob, cases[i].at, cases[i].at_size) + cases[i].offset;
        memcpy(blob.bytes + at, cases[i].put, cases[i].put_size);
        expect_refused(&blob, cases[i].status, cases[i].said);
        sco_free(blob.bytes);
    }
}

/* An array cut out, its map's count corrected. */
static void missing_array(void **state)
{
    (void)state;
    struct blob blob = golden("tiny.params");
    const size_t cell = find(&blob,
                             "\xa4"
                             "cell",
                             5);
    const size_t next = find(&blob, "\xaarnn_params", 11);
    const size_t group = find(&blob, "\xaflstm_init_state", 16);
    blob.bytes[group + 16] = 0x81;
    struct blob front = join("", 0, blob.bytes, blob.bytes + cell, "", 0);
    struct blob cut = join((const char *)front.bytes, front.size, blob.bytes + next, blob.bytes + blob.size, "", 0);
    expect_refused(&cut, SCO_FORMAT, "array 'lstm_init_state/cell' is missing");
    sco_free(front.bytes);
    sco_free(cut.bytes);

    struct blob step = join("\x82", 1, blob.bytes + 1, blob.bytes + blob.size - 8, "", 0);
    step.bytes[group + 16] = 0x82;
    expect_refused(&step, SCO_FORMAT, "key 'step' is missing");
    sco_free(step.bytes);
    const struct blob nothing = {(unsigned char *)"\x80", 1};
    expect_refused(&nothing, SCO_FORMAT, "is missing");
    sco_free(blob.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_files_are_generated),
        cmocka_unit_test(released_size),
        cmocka_unit_test(arrays_by_path),
        cmocka_unit_test(generator_limits),
        cmocka_unit_test(the_other_forms),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(claims_beyond_the_file),
        cmocka_unit_test(shape_that_overflows),
        cmocka_unit_test(single_faults),
        cmocka_unit_test(missing_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

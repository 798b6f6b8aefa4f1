/* SPDX-License-Identifier: Apache-2.0
 * Hostile checkpoints. As a libFuzzer target:
 *   cmake -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DSTEPCOST_FUZZ=ON
 *         -DCMAKE_C_FLAGS=-fsanitize=fuzzer-no-link,address,undefined   (then fuzz_theta CORPUS)
 * Otherwise main() below makes a fixed number of mutants of a seed, by edits that respect the format more often than not:
 *   fuzz_theta [MUTANTS [SEED]]
 * Whatever is accepted must be whole: finite, readable to the last element, and the same after being written and read. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stepcost/memory.h"
#include "stepcost/velo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_theta: %s\n", what);
    abort();
}

static size_t array_bytes(const struct sco_velo_theta *theta, size_t index, const float **array)
{
    size_t shape[3], rank, n = 1;
    *array = sco_velo_theta_array(theta, sco_velo_theta_path(index), shape, &rank);
    for (size_t axis = 0; axis < rank; axis++)
        n *= shape[axis];
    return n * sizeof(float);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sco_velo_theta *theta = NULL, *again = NULL;
    const enum sco_status status = sco_velo_theta_decode(&theta, data, size, "fuzz");
    if (status != SCO_OK) {
        require(theta == NULL, "a refused file left a theta behind");
        require(strncmp(sco_error_message(), "fuzz: ", 6) == 0, "the message does not start with the file");
        return 0;
    }
    unsigned char *bytes;
    size_t bytes_size;
    require(sco_velo_theta_encode(theta, "", 0, &bytes, &bytes_size) == SCO_OK, "what was read cannot be written");
    require(sco_velo_theta_decode(&again, bytes, bytes_size, "again") == SCO_OK, "what was written cannot be read");
    sco_free(bytes);
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++) {
        const float *a, *b;
        const size_t n = array_bytes(theta, i, &a);
        require(n == array_bytes(again, i, &b) && memcmp(a, b, n) == 0, "an array changed on the way");
        for (size_t k = 0; k < n / sizeof *a; k++)
            require(isfinite(a[k]), "a weight that is not finite was accepted");
    }
    sco_velo_theta_destroy(theta);
    sco_velo_theta_destroy(again);
    return 0;
}

#ifndef SCO_LIBFUZZER
static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % n;
}

/* First bytes of every kind of value, and the ones next to a change of kind. */
static const unsigned char heads[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x93, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xc4,
                                      0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1,
                                      0xd2, 0xd3, 0xd4, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff};

/* Offset of a byte that is no weight, most of the time: the bodies of arrays are long and all alike. */
static size_t pick(const unsigned char *bytes, size_t size)
{
    size_t at = (size_t)random_below(size);
    if (random_below(4) == 0)
        return at;
    static const char *const marks[] = {"float32", "w0__", "linear", "params", "cell", "hidden", "step", "~", "gen_id"};
    const char *mark = marks[random_below(sizeof marks / sizeof *marks)];
    const unsigned char *found = memmem(bytes + at, size - at, mark, strlen(mark));
    if (found == NULL)
        return at;
    at = (size_t)(found - bytes) + (size_t)random_below(24);
    return at >= 12 && at - 12 < size ? at - 12 : 0;
}

/* One edit in place; bytes has room for twice the seed. Returns the new size, at least 1. */
static size_t mutate(unsigned char *bytes, size_t size, size_t room)
{
    const size_t at = pick(bytes, size), other = pick(bytes, size);
    size_t n = 1 + (size_t)random_below(16);
    n = n < size - at ? n : size - at;
    n = n < size - other ? n : size - other;
    switch (random_below(8)) {
    case 0: bytes[at] = heads[random_below(sizeof heads)]; break;
    case 1: bytes[at] = (unsigned char)(bytes[at] + (random_below(2) ? 1 : -1)); break;
    case 2: bytes[at] ^= (unsigned char)(1u << random_below(8)); break;
    case 3: memset(bytes + at, 0xff, n); break;
    case 4: memmove(bytes + at, bytes + other, n); break; /* a piece from elsewhere: keys twice, wrong bodies */
    case 5: /* cut out */ memmove(bytes + at, bytes + at + n, size - at - n); return size > n ? size - n : 1;
    case 6: /* put in once more */
        if (size + n > room)
            break;
        memmove(bytes + at + n, bytes + at, size - at);
        return size + n;
    default: return random_below(8) == 0 ? at + 1 : size; /* cut off */
    }
    return size;
}

int main(int argc, char **argv)
{
    const long mutants = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    const struct sco_velo_generator generator = {2, 3, 1, 1, 1};
    struct sco_velo_theta *theta;
    unsigned char *whole;
    size_t whole_size;
    require(sco_velo_theta_generate(&theta, &generator) == SCO_OK &&
                sco_velo_theta_encode(theta, "0123456789abcdef0123456789abcdef", 5620, &whole, &whole_size) == SCO_OK,
            sco_error_message());
    sco_velo_theta_destroy(theta);

    long accepted = 0;
    for (long i = 0; i < mutants; i++) {
        random_state = seed * 1000003 + (uint64_t)i;
        const size_t room = 2 * whole_size;
        unsigned char *bytes = malloc(room);
        require(bytes != NULL, "no memory");
        memcpy(bytes, whole, whole_size);
        size_t size = whole_size;
        for (uint64_t edits = 1 + random_below(3); edits > 0; edits--)
            size = mutate(bytes, size, room);
        /* Exactly as long as the mutant, for the sanitizer to see the first byte past it. */
        unsigned char *exact = malloc(size);
        require(exact != NULL, "no memory");
        memcpy(exact, bytes, size);
        free(bytes);
        struct sco_velo_theta *probe = NULL;
        accepted += sco_velo_theta_decode(&probe, exact, size, "fuzz") == SCO_OK;
        sco_velo_theta_destroy(probe);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    sco_free(whole);
    printf("%ld mutants of seed %llu: %ld refused, %ld accepted and whole\n", mutants, (unsigned long long)seed,
           mutants - accepted, accepted);
    /* Both ends of the decision must have been seen, or the edits are too harsh or too tame to test anything. */
    return accepted > 0 && accepted < mutants ? 0 : 1;
}
#endif

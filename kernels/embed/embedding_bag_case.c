/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels/case.h"
#include "kernels/embed/embedding_bag.h"

enum { FORWARD_I32, FORWARD_I64, KEYS_I32, KEYS_I64, COUNT, PLACE, SUM, SGD, HEAVY_BALL, ADAM, ADAGRAD };

/* First lookup of a batch: a kernel may be given the middle of one. */
enum { ORIGIN = 3 };

/* dim: bags, rows, dim, bad; bad - 1 is the lookup whose index is out of range, 0: none. */
enum { BAGS, ROWS, DIM, BAD };

/* Every fifth bag is empty. */
static size_t lookups_of(size_t bag)
{
    return bag * 7 % 5;
}

static size_t lookups(size_t bags)
{
    size_t n = 0;
    for (size_t b = 0; b < bags; b++)
        n += lookups_of(b);
    return n;
}

/* Unsorted and repeated; the first and the last row among them. */
static size_t row_of(size_t lookup, size_t rows)
{
    const size_t scrambled = (lookup * 2654435761u + 7) % 4093 % rows;
    return lookup % 11 == 4 ? rows - 1 : lookup % 11 == 7 ? 0 : scrambled;
}

static size_t add(struct sco_operand *operand, size_t at, const char *name, size_t count, size_t bytes,
                  enum sco_role role)
{
    operand[at] = (struct sco_operand){name, count, bytes, role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return at + 1;
}

/* A result that is no float: eight bytes, compared bit for bit. */
static void put(void *to, size_t done)
{
    const uint64_t word = done;
    memcpy(to, &word, sizeof word);
}

static void prepare_bags(const size_t dim[], void *offset, void *index, size_t bytes)
{
    const size_t n = ORIGIN + lookups(dim[BAGS]);
    size_t end = ORIGIN;
    for (size_t b = 0; b <= dim[BAGS]; b++) {
        const int64_t wide = (int64_t)end;
        const int32_t narrow = (int32_t)end;
        memcpy((char *)offset + b * bytes, bytes == 8 ? (const void *)&wide : &narrow, bytes);
        end += lookups_of(b);
    }
    for (size_t l = 0; l < n; l++) {
        int64_t wide = (int64_t)row_of(l, dim[ROWS]);
        if (l + 1 == dim[BAD] + ORIGIN && dim[BAD] > 0)
            wide = l % 2 == 0 ? -1 : (int64_t)dim[ROWS];
        const int32_t narrow = (int32_t)wide;
        memcpy((char *)index + l * bytes, bytes == 8 ? (const void *)&wide : &narrow, bytes);
    }
}

/* ---- Forward ---------------------------------------------------------------------------------------------------- */

static size_t forward_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS], size_t bytes)
{
    const size_t n = ORIGIN + lookups(dim[BAGS]);
    size_t count = add(operand, 0, "offset", dim[BAGS] + 1, bytes, SCO_IN);
    count = add(operand, count, "index", n, bytes, SCO_IN);
    count = add(operand, count, "weight", n, sizeof(float), SCO_IN);
    count = add(operand, count, "table", dim[ROWS] * dim[DIM], sizeof(float), SCO_IN);
    count = add(operand, count, "y", dim[BAGS] * dim[DIM], sizeof(float), SCO_INOUT); /* some bags may stay */
    return add(operand, count, "done", 1, sizeof(uint64_t), SCO_OUT);
}

static double forward_flops(const size_t dim[])
{
    return 2.0 * (double)(lookups(dim[BAGS]) * dim[DIM]);
}

static double forward_bytes(const size_t dim[])
{
    return (double)((lookups(dim[BAGS]) + dim[BAGS]) * dim[DIM] * sizeof(float));
}

static double forward_items(const size_t dim[])
{
    return (double)lookups(dim[BAGS]);
}

static void forward_size(size_t total, size_t dim[])
{
    dim[DIM] = 128;
    dim[ROWS] = dim[BAGS] = total / (2 * 128 * sizeof(float)) + 1;
    dim[BAD] = 0;
}

#define FORWARD(name, bits, weighted, mean, stream)                                                                    \
    static void run_##name(const void *ops, const size_t dim[], void *const buffer[])                                  \
    {                                                                                                                  \
        const struct sco_embedding_bag_ops *table = ops;                                                               \
        put(buffer[5], table->forward_i##bits(dim[BAGS], buffer[0], buffer[1], (weighted) ? buffer[2] : NULL, mean,    \
                                              dim[ROWS], dim[DIM], buffer[3], stream, buffer[4]));                     \
    }
FORWARD(sum_i32, 32, 0, 0, 0)
FORWARD(sum_i64, 64, 0, 0, 1)
FORWARD(weighted_i32, 32, 1, 0, 1)
FORWARD(mean_i64, 64, 1, 1, 0)

#define WIDTH(bits)                                                                                                    \
    static size_t forward_operands_i##bits(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])          \
    {                                                                                                                  \
        return forward_operands(dim, operand, (bits) / 8);                                                             \
    }                                                                                                                  \
    static void prepare_i##bits(const size_t dim[], void *const buffer[])                                              \
    {                                                                                                                  \
        prepare_bags(dim, buffer[0], buffer[1], (bits) / 8);                                                           \
    }
WIDTH(32)
WIDTH(64)

static const size_t forward_shapes[][SCO_CASE_DIMS] = {
    {0, 1, 16, 0},   {1, 1, 16, 0},    {2, 1, 1, 0},     {9, 7, 0, 0},      {13, 1, 5, 0},
    {17, 5, 7, 0},   {23, 50, 31, 0},  {20, 9, 33, 0},   {11, 64, 64, 0},   {40, 3, 67, 0},
    {19, 90, 96, 0}, {37, 11, 100, 0}, {45, 70, 128, 0}, {6, 5, 131, 0},    {7, 6, 300, 0},
    {2, 2, 2063, 0}, {12, 8, 16, 1},   {12, 8, 16, 12},  {33, 40, 128, 61}, {9, 8, 33, 8},
};

/* ---- Keys and their sort ----------------------------------------------------------------------------------------- */

static size_t keys_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS], size_t bytes)
{
    const size_t n = ORIGIN + lookups(dim[BAGS]);
    size_t count = add(operand, 0, "offset", dim[BAGS] + 1, bytes, SCO_IN);
    count = add(operand, count, "index", n, bytes, SCO_IN);
    count = add(operand, count, "weight", n, sizeof(float), SCO_IN);
    count = add(operand, count, "key", n, sizeof(struct sco_embedding_key), SCO_INOUT);
    count = add(operand, count, "bag", n, sizeof(uint32_t), SCO_INOUT);
    count = add(operand, count, "factor", n, sizeof(float), SCO_INOUT);
    return add(operand, count, "done", 1, sizeof(uint64_t), SCO_OUT);
}

static size_t keys_operands_i32(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return keys_operands(dim, operand, sizeof(int32_t));
}

static size_t keys_operands_i64(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return keys_operands(dim, operand, sizeof(int64_t));
}

static void run_keys_i32(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_embedding_bag_ops *table = ops;
    put(buffer[6], table->keys_i32(dim[BAGS], buffer[0], buffer[1], NULL, 0, dim[ROWS], 5, buffer[3], NULL, NULL));
}

static void run_keys_i64(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_embedding_bag_ops *table = ops;
    put(buffer[6],
        table->keys_i64(dim[BAGS], buffer[0], buffer[1], buffer[2], 1, dim[ROWS], 5, buffer[3], buffer[4], buffer[5]));
}

static double no_flops(const size_t dim[])
{
    (void)dim;
    return 0.0;
}

static double keys_bytes(const size_t dim[])
{
    return 16.0 * (double)lookups(dim[BAGS]);
}

/* dim: n, bits, shift */
static size_t count_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t count = add(operand, 0, "key", dim[0], sizeof(struct sco_embedding_key), SCO_IN);
    return add(operand, count, "count", (size_t)1 << dim[1], sizeof(uint32_t), SCO_OUT);
}

static size_t place_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "key", dim[0], sizeof(struct sco_embedding_key), SCO_IN);
    count = add(operand, count, "cursor", (size_t)1 << dim[1], sizeof(uint32_t), SCO_INOUT);
    return add(operand, count, "to", dim[0], sizeof(struct sco_embedding_key), SCO_OUT);
}

static uint32_t digit_of(const size_t dim[], size_t key)
{
    return (uint32_t)row_of(key, 4001) >> dim[2] & ((1u << dim[1]) - 1);
}

static void prepare_keys(const size_t dim[], void *const buffer[])
{
    for (size_t i = 0; i < dim[0]; i++) {
        const struct sco_embedding_key key = {(uint32_t)row_of(i, 4001), (uint32_t)i};
        memcpy((char *)buffer[0] + i * sizeof key, &key, sizeof key);
    }
}

static void prepare_place(const size_t dim[], void *const buffer[])
{
    prepare_keys(dim, buffer);
    uint32_t before = 0;
    for (uint32_t d = 0; d < 1u << dim[1]; d++) {
        memcpy((char *)buffer[1] + d * sizeof before, &before, sizeof before);
        for (size_t i = 0; i < dim[0]; i++)
            before += digit_of(dim, i) == d;
    }
}

static void run_count(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_embedding_bag_ops *)ops)
        ->count(dim[0], buffer[0], (unsigned)dim[2], (unsigned)dim[1], buffer[1]);
}

static void run_place(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_embedding_bag_ops *)ops)
        ->place(dim[0], buffer[0], (unsigned)dim[2], (unsigned)dim[1], buffer[1], buffer[2]);
}

static double sort_bytes(const size_t dim[])
{
    return 16.0 * (double)dim[0];
}

static double sort_items(const size_t dim[])
{
    return (double)dim[0];
}

static void sort_size(size_t total, size_t dim[])
{
    dim[0] = total / 16;
    dim[1] = 11;
    dim[2] = 0;
}

static const size_t sort_shapes[][SCO_CASE_DIMS] = {{0, 3, 0}, {1, 1, 11}, {77, 5, 3}, {300, 11, 0}, {129, 6, 6}};

/* ---- Sums and steps ---------------------------------------------------------------------------------------------- */

/* dim: runs, bags, dim. A run in seven is as long as twenty keys. */
enum { RUNS, RUN_BAGS, RUN_DIM };

static size_t keys_in(size_t run)
{
    return run % 7 == 3 ? 20 : 1 + run % 3;
}

static size_t keys_of_runs(size_t runs)
{
    size_t n = 0;
    for (size_t r = 0; r < runs; r++)
        n += keys_in(r);
    return n;
}

/* Rows that no run touches lie between those of two runs. */
static size_t row_of_run(size_t run)
{
    return run + run / 3;
}

static size_t step_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t n = keys_of_runs(dim[RUNS]), rows = row_of_run(dim[RUNS]);
    size_t count = add(operand, 0, "begin", dim[RUNS] + 1, sizeof(uint32_t), SCO_IN);
    count = add(operand, count, "key", n, sizeof(struct sco_embedding_key), SCO_IN);
    count = add(operand, count, "bag", n, sizeof(uint32_t), SCO_IN);
    count = add(operand, count, "factor", n, sizeof(float), SCO_IN);
    count = add(operand, count, "g", dim[RUN_BAGS] * dim[RUN_DIM], sizeof(float), SCO_IN);
    count = add(operand, count, "p", rows * dim[RUN_DIM], sizeof(float), SCO_INOUT);
    count = add(operand, count, "m", rows * dim[RUN_DIM], sizeof(float), SCO_INOUT);
    count = add(operand, count, "v", rows * dim[RUN_DIM], sizeof(float), SCO_INOUT);
    operand[count - 1].fill = SCO_FILL_POSITIVE;
    return count;
}

static void prepare_runs(const size_t dim[], void *const buffer[])
{
    uint32_t at = 0;
    for (size_t r = 0; r <= dim[RUNS]; r++) {
        memcpy((char *)buffer[0] + r * sizeof at, &at, sizeof at);
        for (size_t i = 0; r < dim[RUNS] && i < keys_in(r); i++, at++) {
            const struct sco_embedding_key key = {(uint32_t)row_of_run(r), at};
            const uint32_t bag = (uint32_t)row_of(at, dim[RUN_BAGS]);
            memcpy((char *)buffer[1] + at * sizeof key, &key, sizeof key);
            memcpy((char *)buffer[2] + at * sizeof bag, &bag, sizeof bag);
        }
    }
}

/* Without an indirection the source is the bag. */
static void prepare_direct(const size_t dim[], void *const buffer[])
{
    prepare_runs(dim, buffer);
    for (size_t i = 0; i < keys_of_runs(dim[RUNS]); i++)
        memcpy((char *)buffer[1] + i * sizeof(struct sco_embedding_key) + offsetof(struct sco_embedding_key, source),
               (char *)buffer[2] + i * sizeof(uint32_t), sizeof(uint32_t));
}

static const struct sco_embedding_coef coef = {.gscale = 0.75f,
                                               .lr = 1e-3f,
                                               .b1 = 0.9f,
                                               .one_minus_b1 = 0.1f,
                                               .b2 = 0.999f,
                                               .one_minus_b2 = 0.001f,
                                               .cm = 1.5353f,
                                               .c2 = 100.45f,
                                               .eps = 1e-8f};

#define RUNS_OF(buffer, dim, indirect)                                                                                 \
    {                                                                                                                  \
        .count = (dim)[RUNS], .begin = (buffer)[0], .key = (buffer)[1], .bag = (indirect) ? (buffer)[2] : NULL,        \
        .factor = (indirect) ? (buffer)[3] : NULL                                                                      \
    }

#define STEP(name, indirect)                                                                                           \
    static void run_##name(const void *ops, const size_t dim[], void *const buffer[])                                  \
    {                                                                                                                  \
        const struct sco_embedding_runs runs = RUNS_OF(buffer, dim, indirect);                                         \
        ((const struct sco_embedding_bag_ops *)ops)                                                                    \
            ->name(&runs, dim[RUNS] / 4, dim[RUNS], dim[RUN_DIM], buffer[4], buffer[5], buffer[6], buffer[7], &coef);  \
    }
STEP(sgd, 0)
STEP(heavy_ball, 1)
STEP(adam, 1)
STEP(adagrad, 0)

/* p is large enough for the sums of three quarters of the runs. */
static void run_sum(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_embedding_runs runs = RUNS_OF(buffer, dim, 1);
    ((const struct sco_embedding_bag_ops *)ops)
        ->sum(&runs, dim[RUNS] / 4, dim[RUNS], dim[RUN_DIM], buffer[4], buffer[5]);
}

static double step_flops(const size_t dim[])
{
    return (double)(keys_of_runs(dim[RUNS]) * dim[RUN_DIM]) * 2.0;
}

static double sum_bytes(const size_t dim[])
{
    return (double)((keys_of_runs(dim[RUNS]) + dim[RUNS]) * dim[RUN_DIM] * sizeof(float));
}

static double sgd_bytes(const size_t dim[])
{
    return (double)((keys_of_runs(dim[RUNS]) + 2 * dim[RUNS]) * dim[RUN_DIM] * sizeof(float));
}

static double two_bytes(const size_t dim[])
{
    return (double)((keys_of_runs(dim[RUNS]) + 4 * dim[RUNS]) * dim[RUN_DIM] * sizeof(float));
}

static double three_bytes(const size_t dim[])
{
    return (double)((keys_of_runs(dim[RUNS]) + 6 * dim[RUNS]) * dim[RUN_DIM] * sizeof(float));
}

static double step_items(const size_t dim[])
{
    return (double)keys_of_runs(dim[RUNS]);
}

static void step_size(size_t total, size_t dim[])
{
    dim[RUN_DIM] = 128;
    dim[RUNS] = total / (6 * 128 * sizeof(float)) + 1;
    dim[RUN_BAGS] = 1 + dim[RUNS];
}

static const size_t step_shapes[][SCO_CASE_DIMS] = {
    {0, 1, 16},  {1, 1, 1},     {5, 2, 0},     {9, 3, 7},   {4, 9, 31},  {13, 40, 33}, {8, 5, 64},
    {12, 7, 67}, {23, 30, 100}, {41, 60, 128}, {6, 5, 131}, {2, 3, 300}, {1, 2, 2063},
};

#define FORWARD_CASE(case_name, bits, run_function)                                                                    \
    {                                                                                                                  \
        .name = case_name, .family = &sco_embedding_bag_family, .slot = FORWARD_I##bits, .dim_count = 4,               \
        .dim_names = {"bags", "rows", "dim", "bad"}, .operands = forward_operands_i##bits, .prepare = prepare_i##bits, \
        .run = run_function, .flops = forward_flops, .bytes = forward_bytes, .items = forward_items,                   \
        .size = forward_size, .shapes = forward_shapes, .shape_count = SCO_LEN(forward_shapes)                         \
    }
#define KEYS_CASE(case_name, bits, run_function)                                                                       \
    {                                                                                                                  \
        .name = case_name, .family = &sco_embedding_bag_family, .slot = KEYS_I##bits, .dim_count = 4,                  \
        .dim_names = {"bags", "rows", "dim", "bad"}, .operands = keys_operands_i##bits, .prepare = prepare_i##bits,    \
        .run = run_function, .flops = no_flops, .bytes = keys_bytes, .items = forward_items, .size = forward_size,     \
        .shapes = forward_shapes, .shape_count = SCO_LEN(forward_shapes)                                               \
    }
#define SORT_CASE(case_name, slot_number, operands_function, prepare_function, run_function)                           \
    {                                                                                                                  \
        .name = case_name, .family = &sco_embedding_bag_family, .slot = slot_number, .dim_count = 3,                   \
        .dim_names = {"n", "bits", "shift"}, .operands = operands_function, .prepare = prepare_function,               \
        .run = run_function, .flops = no_flops, .bytes = sort_bytes, .items = sort_items, .size = sort_size,           \
        .shapes = sort_shapes, .shape_count = SCO_LEN(sort_shapes)                                                     \
    }
#define STEP_CASE(case_name, slot_number, operands_function, prepare_function, run_function, bytes_function)           \
    {                                                                                                                  \
        .name = case_name, .family = &sco_embedding_bag_family, .slot = slot_number, .dim_count = 3,                   \
        .dim_names = {"runs", "bags", "dim"}, .operands = operands_function, .prepare = prepare_function,              \
        .run = run_function, .flops = step_flops, .bytes = bytes_function, .items = step_items, .size = step_size,     \
        .shapes = step_shapes, .shape_count = SCO_LEN(step_shapes)                                                     \
    }
static const struct sco_case cases[] = {
    FORWARD_CASE("embedding_bag.forward_i32", 32, run_sum_i32),
    FORWARD_CASE("embedding_bag.forward_i64", 64, run_sum_i64),
    FORWARD_CASE("embedding_bag.forward_i32/weighted", 32, run_weighted_i32),
    FORWARD_CASE("embedding_bag.forward_i64/mean", 64, run_mean_i64),
    KEYS_CASE("embedding_bag.keys_i32", 32, run_keys_i32),
    KEYS_CASE("embedding_bag.keys_i64", 64, run_keys_i64),
    SORT_CASE("embedding_bag.count", COUNT, count_operands, prepare_keys, run_count),
    SORT_CASE("embedding_bag.place", PLACE, place_operands, prepare_place, run_place),
    STEP_CASE("embedding_bag.sum", SUM, step_operands, prepare_runs, run_sum, sum_bytes),
    STEP_CASE("embedding_bag.sgd", SGD, step_operands, prepare_direct, run_sgd, sgd_bytes),
    STEP_CASE("embedding_bag.heavy_ball", HEAVY_BALL, step_operands, prepare_runs, run_heavy_ball, two_bytes),
    STEP_CASE("embedding_bag.adam", ADAM, step_operands, prepare_runs, run_adam, three_bytes),
    STEP_CASE("embedding_bag.adagrad", ADAGRAD, step_operands, prepare_direct, run_adagrad, two_bytes),
};

const struct sco_case_list sco_embedding_bag_cases = {cases, SCO_LEN(cases)};

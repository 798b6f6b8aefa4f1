/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/case.h"
#include "kernels/graph/graph.h"

enum {
    GATHER_I32,
    GATHER_I64,
    GATHER_ADD,
    SEGMENT_SUM,
    RELU_WINDOW_SUM,
    RELU_SUM,
    RELU_SUM_BWD,
    SPMM,
    SDDMM,
    WEIGHT_GRAD
};

static size_t add(struct sco_operand *operand, size_t at, const char *name, size_t count, enum sco_role role)
{
    operand[at] = (struct sco_operand){name, count, sizeof(float), role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return at + 1;
}

static uint32_t hash(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

/* A third of the rows are isolated, a quarter of the edges go to row 0, every fifth repeats the one before. */
static uint32_t row_of(size_t e, size_t rows)
{
    const uint32_t h = hash((uint32_t)(e - (e % 5 == 4)));
    const size_t row = h % 4 == 0 ? 0 : h / 4 % rows;
    return (uint32_t)(row % 3 == 2 ? row - 1 : row);
}

static uint32_t node_of(size_t e, size_t nodes)
{
    return (uint32_t)(hash((uint32_t)(e - (e % 5 == 4)) + 77777u) % nodes);
}

/* The edges in the order of their rows, by a counting sort. */
static void make_list(size_t rows, size_t nodes, size_t E, uint32_t *row_ptr, uint32_t *node, uint32_t *edge)
{
    for (size_t r = 0; r <= rows; r++)
        row_ptr[r] = 0;
    for (size_t e = 0; e < E; e++)
        row_ptr[row_of(e, rows) + 1]++;
    for (size_t r = 0; r < rows; r++)
        row_ptr[r + 1] += row_ptr[r];
    for (size_t e = 0; e < E; e++) {
        const uint32_t k = row_ptr[row_of(e, rows)]++;
        if (node != NULL)
            node[k] = node_of(e, nodes);
        if (edge != NULL)
            edge[k] = (uint32_t)e;
    }
    for (size_t r = rows; r > 0; r--)
        row_ptr[r] = row_ptr[r - 1];
    row_ptr[0] = 0;
}

/* ---- Gather: count, rows, H, fault ---- */

enum { NO_FAULT, NEGATIVE, TOO_LARGE, PAST_32_BITS };

static size_t gather_operands(const size_t dim[], struct sco_operand operand[], size_t index_bytes)
{
    size_t count = add(operand, 0, "index", dim[0], SCO_IN);
    operand[0].element_bytes = index_bytes;
    count = add(operand, count, "x", dim[1] * dim[2], SCO_IN);
    count = add(operand, count, "y", dim[0] * dim[2], SCO_INOUT);
    return add(operand, count, "done", 1, SCO_OUT);
}

static size_t gather_i32_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return gather_operands(dim, operand, sizeof(int32_t));
}

static size_t gather_i64_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return gather_operands(dim, operand, sizeof(int64_t));
}

static int64_t index_at(const size_t dim[], size_t i)
{
    if (dim[3] == NO_FAULT || i != dim[0] / 2)
        return (int64_t)node_of(i, dim[1]);
    return dim[3] == NEGATIVE ? -1 : dim[3] == TOO_LARGE ? (int64_t)dim[1] : (int64_t)1 << 32;
}

static void gather_i32_prepare(const size_t dim[], void *const buffer[])
{
    int32_t *index = buffer[0];
    for (size_t i = 0; i < dim[0]; i++)
        index[i] = (int32_t)index_at(dim, i);
}

static void gather_i64_prepare(const size_t dim[], void *const buffer[])
{
    int64_t *index = buffer[0];
    for (size_t i = 0; i < dim[0]; i++)
        index[i] = index_at(dim, i);
}

static void gather_i32_run(const void *ops, const size_t dim[], void *const buffer[])
{
    *(float *)buffer[3] =
        (float)((const struct sco_graph_ops *)ops)->gather_i32(dim[0], dim[2], buffer[0], dim[1], buffer[1], buffer[2]);
}

static void gather_i64_run(const void *ops, const size_t dim[], void *const buffer[])
{
    *(float *)buffer[3] =
        (float)((const struct sco_graph_ops *)ops)->gather_i64(dim[0], dim[2], buffer[0], dim[1], buffer[1], buffer[2]);
}

/* ---- Gather and add: count, rows, H, terms ---- */

static size_t gather_add_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "ia", dim[0], SCO_IN);
    count = add(operand, count, "ib", dim[0], SCO_IN);
    count = add(operand, count, "ic", dim[0], SCO_IN);
    count = add(operand, count, "a", dim[1] * dim[2], SCO_IN);
    count = add(operand, count, "b", dim[1] * dim[2], SCO_IN);
    count = add(operand, count, "c", dim[1] * dim[2], SCO_IN);
    return add(operand, count, "y", dim[0] * dim[2], SCO_OUT);
}

static void gather_add_prepare(const size_t dim[], void *const buffer[])
{
    for (size_t term = 0; term < 3; term++)
        for (size_t i = 0; i < dim[0]; i++)
            ((uint32_t *)buffer[term])[i] = node_of(i + 1000 * term, dim[1]);
}

static void gather_add_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_graph_ops *)ops)
        ->gather_add(dim[0], dim[2], buffer[0], buffer[3], buffer[1], dim[3] > 1 ? buffer[4] : NULL, buffer[2],
                     dim[3] > 2 ? buffer[5] : NULL, buffer[6]);
}

/* ---- Sums: rows, nodes, E, H. Each runs in two calls, so that rows do not start at 0 in one of them. ---- */

static size_t list_operands(const size_t dim[], struct sco_operand operand[])
{
    size_t count = add(operand, 0, "row_ptr", dim[0] + 1, SCO_IN);
    count = add(operand, count, "node", dim[2], SCO_IN);
    return add(operand, count, "edge", dim[2], SCO_IN);
}

static void list_prepare(const size_t dim[], void *const buffer[])
{
    make_list(dim[0], dim[1], dim[2], buffer[0], buffer[1], buffer[2]);
}

static size_t segment_sum_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = list_operands(dim, operand);
    count = add(operand, count, "x", dim[2] * dim[3], SCO_IN);
    return add(operand, count, "y", dim[0] * dim[3], SCO_OUT);
}

static void segment_sum_by(const void *ops, const size_t dim[], const uint32_t *edge, void *const buffer[])
{
    const struct sco_graph_ops *graph = ops;
    graph->segment_sum(0, dim[0] / 2, dim[3], buffer[0], edge, buffer[3], buffer[4]);
    graph->segment_sum(dim[0] / 2, dim[0], dim[3], buffer[0], edge, buffer[3], buffer[4]);
}

static void segment_sum_run(const void *ops, const size_t dim[], void *const buffer[])
{
    segment_sum_by(ops, dim, buffer[2], buffer);
}

static void segment_sum_sorted_run(const void *ops, const size_t dim[], void *const buffer[])
{
    segment_sum_by(ops, dim, NULL, buffer);
}

enum { WINDOW = 5 };

static void relu_window_sum_run(const void *ops, const size_t dim[], void *const buffer[])
{
    size_t from = 0;
    do {
        const size_t to = dim[2] - from < WINDOW ? dim[2] : from + WINDOW;
        ((const struct sco_graph_ops *)ops)
            ->relu_window_sum(0, dim[0], dim[3], buffer[0], from, to, (const float *)buffer[3] + from * dim[3],
                              buffer[4]);
        from = to;
    } while (from < dim[2]);
}

static size_t relu_sum_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = list_operands(dim, operand);
    count = add(operand, count, "x", dim[1] * dim[3], SCO_IN);
    count = add(operand, count, "e", dim[2] * dim[3], SCO_IN);
    return add(operand, count, "y", dim[0] * dim[3], SCO_OUT);
}

static void relu_sum_twice(const void *ops, const size_t dim[], void *const buffer[], int stream)
{
    const struct sco_graph_ops *graph = ops;
    const size_t half = dim[0] / 2;
    graph->relu_sum(0, half, dim[3], buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5], stream);
    graph->relu_sum(half, dim[0], dim[3], buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5], stream);
}

static void relu_sum_run(const void *ops, const size_t dim[], void *const buffer[])
{
    relu_sum_twice(ops, dim, buffer, 0);
}

static void relu_sum_stream_run(const void *ops, const size_t dim[], void *const buffer[])
{
    relu_sum_twice(ops, dim, buffer, 1);
}

static size_t relu_sum_bwd_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = list_operands(dim, operand);
    count = add(operand, count, "x", dim[0] * dim[3], SCO_IN);
    count = add(operand, count, "e", dim[2] * dim[3], SCO_IN);
    count = add(operand, count, "dy", dim[1] * dim[3], SCO_IN);
    count = add(operand, count, "dx", dim[0] * dim[3], SCO_OUT);
    return add(operand, count, "de", dim[2] * dim[3], SCO_OUT);
}

static void relu_sum_bwd_twice(const void *ops, const size_t dim[], void *const buffer[], int stream)
{
    const struct sco_graph_ops *graph = ops;
    const size_t half = dim[0] / 2;
    graph->relu_sum_bwd(0, half, dim[3], buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5], buffer[6],
                        buffer[7], stream);
    graph->relu_sum_bwd(half, dim[0], dim[3], buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5],
                        buffer[6], buffer[7], stream);
}

static void relu_sum_bwd_run(const void *ops, const size_t dim[], void *const buffer[])
{
    relu_sum_bwd_twice(ops, dim, buffer, 0);
}

static void relu_sum_bwd_stream_run(const void *ops, const size_t dim[], void *const buffer[])
{
    relu_sum_bwd_twice(ops, dim, buffer, 1);
}

static size_t spmm_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = list_operands(dim, operand);
    count = add(operand, count, "weight", dim[2], SCO_IN);
    count = add(operand, count, "x", dim[1] * dim[3], SCO_IN);
    return add(operand, count, "y", dim[0] * dim[3], SCO_OUT);
}

static void spmm_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_graph_ops *graph = ops;
    const size_t half = dim[0] / 2;
    graph->spmm(0, half, dim[3], buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5]);
    graph->spmm(half, dim[0], dim[3], buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5]);
}

static size_t sddmm_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = list_operands(dim, operand);
    count = add(operand, count, "a", dim[0] * dim[3], SCO_IN);
    count = add(operand, count, "b", dim[1] * dim[3], SCO_IN);
    return add(operand, count, "out", dim[2], SCO_OUT);
}

static void sddmm_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_graph_ops *graph = ops;
    const size_t half = dim[0] / 2;
    graph->sddmm(0, half, dim[3], buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5]);
    graph->sddmm(half, dim[0], dim[3], buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5]);
}

/* ---- Gradients of weights: M, N, K ---- */

enum { A_GAP = 3, B_GAP = 2, C_GAP = 5 };

static size_t strided(size_t rows, size_t width, size_t gap)
{
    return rows == 0 ? 0 : (rows - 1) * (width + gap) + width;
}

static size_t weight_grad_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "A", strided(dim[2], dim[0], A_GAP), SCO_IN);
    count = add(operand, count, "B", strided(dim[2], dim[1], B_GAP), SCO_IN);
    return add(operand, count, "C", strided(dim[0], dim[1], C_GAP), SCO_INOUT);
}

static void weight_grad_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_graph_ops *)ops)
        ->weight_grad(dim[0], dim[1], dim[2], buffer[0], dim[0] + A_GAP, buffer[1], dim[1] + B_GAP, 0, buffer[2],
                      dim[1] + C_GAP);
}

static void weight_grad_beta_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_graph_ops *)ops)
        ->weight_grad(dim[0], dim[1], dim[2], buffer[0], dim[0] + A_GAP, buffer[1], dim[1] + B_GAP, 1, buffer[2],
                      dim[1] + C_GAP);
}

/* ---- Costs ---- */

static double product_flops(const size_t dim[])
{
    return 2.0 * (double)dim[0] * (double)dim[1] * (double)dim[2];
}

static double weight_grad_bytes(const size_t dim[])
{
    return 4.0 * (double)(dim[2] * (dim[0] + dim[1]) + dim[0] * dim[1]);
}

static double weight_grad_items(const size_t dim[])
{
    return (double)(dim[0] * dim[1]);
}

static double no_flops(const size_t dim[])
{
    (void)dim;
    return 0.0;
}

static double gather_bytes(const size_t dim[])
{
    return 8.0 * (double)(dim[0] * dim[2]);
}

static double gather_items(const size_t dim[])
{
    return (double)(dim[0] * dim[2]);
}

static double gather_add_flops(const size_t dim[])
{
    return (double)((dim[3] - 1) * dim[0] * dim[2]);
}

static double gather_add_bytes(const size_t dim[])
{
    return 4.0 * (double)((dim[3] + 1) * dim[0] * dim[2]);
}

static double entry_items(const size_t dim[])
{
    return (double)(dim[2] * dim[3]);
}

static double one_flop(const size_t dim[])
{
    return entry_items(dim);
}

static double two_flops(const size_t dim[])
{
    return 2.0 * entry_items(dim);
}

static double three_flops(const size_t dim[])
{
    return 3.0 * entry_items(dim);
}

static double sum_bytes(const size_t dim[])
{
    return 4.0 * (double)((dim[0] + dim[2]) * dim[3]);
}

static double relu_sum_bytes(const size_t dim[])
{
    return 4.0 * (double)((dim[0] + dim[1] + dim[2]) * dim[3]);
}

static double relu_sum_bwd_bytes(const size_t dim[])
{
    return 4.0 * (double)((2 * dim[0] + dim[1] + 2 * dim[2]) * dim[3]);
}

static double product_bytes(const size_t dim[])
{
    return 4.0 * (double)((dim[0] + dim[1]) * dim[3] + dim[2]);
}

/* Rows of the GNN of AlgoPerf, two edges and a bit per node as in molecules. */
enum { HIDDEN = 256 };

static void gather_size(size_t bytes, size_t dim[])
{
    const size_t rows = bytes / (sizeof(float) * HIDDEN) / 3;
    dim[0] = 2 * rows + 1;
    dim[1] = rows + 1;
    dim[2] = HIDDEN;
    dim[3] = NO_FAULT;
}

static void gather_add_size(size_t bytes, size_t dim[])
{
    const size_t rows = bytes / (sizeof(float) * HIDDEN) / 5;
    dim[0] = 2 * rows + 1;
    dim[1] = rows + 1;
    dim[2] = HIDDEN;
    dim[3] = 3;
}

static void sum_size(size_t bytes, size_t dim[])
{
    const size_t rows = bytes / (sizeof(float) * HIDDEN) / 4;
    dim[0] = dim[1] = rows + 1;
    dim[2] = 2 * rows + 1;
    dim[3] = HIDDEN;
}

static void weight_grad_size(size_t bytes, size_t dim[])
{
    dim[0] = dim[1] = HIDDEN;
    dim[2] = bytes / (2 * sizeof(float) * HIDDEN) + 1;
}

/* count, rows, H and a fault at count / 2: around vectors, panels of four, eight and sixteen vectors. */
static const size_t gather_shapes[][SCO_CASE_DIMS] = {
    {0, 0, 4, 0},  {0, 5, 4, 0},  {5, 5, 0, 0},   {1, 1, 1, 0},   {3, 2, 3, 0},   {7, 5, 4, 0},   {4, 4, 7, 0},
    {9, 7, 8, 0},  {5, 3, 15, 0}, {5, 3, 16, 0},  {5, 3, 17, 0},  {4, 9, 31, 0},  {3, 9, 33, 0},  {6, 4, 63, 0},
    {6, 4, 64, 0}, {3, 4, 65, 0}, {3, 5, 100, 0}, {3, 5, 128, 0}, {4, 5, 256, 0}, {3, 5, 259, 0}, {8, 5, 16, 1},
    {1, 5, 16, 1}, {7, 1, 20, 2}, {4, 5, 3, 2},   {9, 4, 32, 1},
};
static const size_t gather_i64_shapes[][SCO_CASE_DIMS] = {
    {0, 0, 4, 0},  {0, 5, 4, 0},  {5, 5, 0, 0},  {1, 1, 1, 0},  {3, 2, 3, 0},  {7, 5, 4, 0},   {4, 4, 7, 0},
    {9, 7, 8, 0},  {5, 3, 17, 0}, {4, 9, 31, 0}, {6, 4, 64, 0}, {3, 4, 65, 0}, {3, 5, 128, 0}, {4, 5, 256, 0},
    {8, 5, 16, 1}, {1, 5, 16, 1}, {7, 1, 20, 2}, {4, 5, 3, 2},  {6, 5, 16, 3},
};
static const size_t gather_add_shapes[][SCO_CASE_DIMS] = {
    {0, 0, 4, 3},  {0, 5, 4, 2},  {5, 5, 0, 1},   {1, 1, 1, 3},   {3, 2, 3, 2},  {7, 5, 4, 1},
    {4, 4, 7, 3},  {9, 7, 8, 2},  {5, 3, 15, 3},  {5, 3, 16, 2},  {5, 3, 17, 1}, {4, 9, 31, 3},
    {6, 4, 64, 3}, {3, 4, 65, 2}, {3, 5, 128, 3}, {4, 5, 259, 3},
};
/* rows, nodes, E, H */
static const size_t sum_shapes[][SCO_CASE_DIMS] = {
    {0, 0, 0, 4},   {5, 3, 0, 9},    {1, 1, 1, 1},    {1, 1, 7, 3},     {4, 4, 9, 0},   {2, 3, 5, 4},   {3, 3, 9, 7},
    {7, 5, 11, 8},  {11, 9, 23, 12}, {6, 6, 13, 15},  {6, 6, 13, 16},   {5, 4, 11, 17}, {9, 4, 14, 24}, {4, 9, 12, 31},
    {7, 7, 12, 32}, {5, 7, 12, 33},  {6, 5, 10, 48},  {5, 5, 9, 63},    {5, 6, 11, 64}, {4, 5, 10, 65}, {4, 3, 8, 79},
    {3, 3, 7, 100}, {3, 4, 7, 127},  {4, 3, 8, 128},  {3, 3, 8, 130},   {3, 3, 7, 192}, {3, 4, 7, 256}, {2, 3, 5, 320},
    {3, 2, 5, 337}, {40, 40, 90, 5}, {61, 53, 7, 16}, {10, 200, 60, 6},
};

/* M, N, K */
static const size_t weight_grad_shapes[][SCO_CASE_DIMS] = {
    {0, 5, 5},   {5, 0, 5},  {5, 5, 0},   {1, 1, 1},   {2, 3, 4},   {3, 7, 5},   {6, 8, 3},
    {7, 16, 4},  {5, 17, 6}, {8, 31, 3},  {9, 32, 2},  {13, 33, 5}, {6, 48, 7},  {12, 64, 9},
    {11, 65, 3}, {4, 79, 6}, {6, 130, 4}, {17, 12, 9}, {25, 5, 11}, {1, 64, 40},
};

#define COMMON(case_name, slot_number, dims_count, dims, operands_function, prepare_function, run_function)            \
    .name = case_name, .family = &sco_graph_family, .slot = slot_number, .dim_count = dims_count, .dim_names = dims,   \
    .operands = operands_function, .prepare = prepare_function, .run = run_function
#define GATHER_DIMS                                                                                                    \
    {                                                                                                                  \
        "count", "rows", "H", "fault"                                                                                  \
    }
#define PRODUCT_DIMS                                                                                                   \
    {                                                                                                                  \
        "M", "N", "K"                                                                                                  \
    }
#define ADD_DIMS                                                                                                       \
    {                                                                                                                  \
        "count", "rows", "H", "terms"                                                                                  \
    }
#define LIST_DIMS                                                                                                      \
    {                                                                                                                  \
        "rows", "nodes", "E", "H"                                                                                      \
    }
#define SUM_CASE(case_name, slot_number, operands_function, run_function, flops_function, bytes_function)              \
    {                                                                                                                  \
        COMMON(case_name, slot_number, 4, LIST_DIMS, operands_function, list_prepare, run_function),                   \
            .flops = flops_function, .bytes = bytes_function, .items = entry_items, .size = sum_size,                  \
            .shapes = sum_shapes, .shape_count = SCO_LEN(sum_shapes)                                                   \
    }

static const struct sco_case cases[] = {
    {COMMON("graph.gather_i32", GATHER_I32, 4, GATHER_DIMS, gather_i32_operands, gather_i32_prepare, gather_i32_run),
     .flops = no_flops, .bytes = gather_bytes, .items = gather_items, .size = gather_size, .shapes = gather_shapes,
     .shape_count = SCO_LEN(gather_shapes)},
    {COMMON("graph.gather_i64", GATHER_I64, 4, GATHER_DIMS, gather_i64_operands, gather_i64_prepare, gather_i64_run),
     .flops = no_flops, .bytes = gather_bytes, .items = gather_items, .size = gather_size, .shapes = gather_i64_shapes,
     .shape_count = SCO_LEN(gather_i64_shapes)},
    {COMMON("graph.gather_add", GATHER_ADD, 4, ADD_DIMS, gather_add_operands, gather_add_prepare, gather_add_run),
     .flops = gather_add_flops, .bytes = gather_add_bytes, .items = gather_items, .size = gather_add_size,
     .shapes = gather_add_shapes, .shape_count = SCO_LEN(gather_add_shapes)},
    SUM_CASE("graph.segment_sum", SEGMENT_SUM, segment_sum_operands, segment_sum_run, one_flop, sum_bytes),
    SUM_CASE("graph.segment_sum/sorted", SEGMENT_SUM, segment_sum_operands, segment_sum_sorted_run, one_flop,
             sum_bytes),
    SUM_CASE("graph.relu_window_sum", RELU_WINDOW_SUM, segment_sum_operands, relu_window_sum_run, two_flops, sum_bytes),
    SUM_CASE("graph.relu_sum", RELU_SUM, relu_sum_operands, relu_sum_run, three_flops, relu_sum_bytes),
    SUM_CASE("graph.relu_sum/stream", RELU_SUM, relu_sum_operands, relu_sum_stream_run, three_flops, relu_sum_bytes),
    SUM_CASE("graph.relu_sum_bwd", RELU_SUM_BWD, relu_sum_bwd_operands, relu_sum_bwd_run, three_flops,
             relu_sum_bwd_bytes),
    SUM_CASE("graph.relu_sum_bwd/stream", RELU_SUM_BWD, relu_sum_bwd_operands, relu_sum_bwd_stream_run, three_flops,
             relu_sum_bwd_bytes),
    SUM_CASE("graph.spmm", SPMM, spmm_operands, spmm_run, two_flops, product_bytes),
    SUM_CASE("graph.sddmm", SDDMM, sddmm_operands, sddmm_run, two_flops, product_bytes),
    {COMMON("graph.weight_grad", WEIGHT_GRAD, 3, PRODUCT_DIMS, weight_grad_operands, NULL, weight_grad_run),
     .flops = product_flops, .bytes = weight_grad_bytes, .items = weight_grad_items, .size = weight_grad_size,
     .shapes = weight_grad_shapes, .shape_count = SCO_LEN(weight_grad_shapes)},
    {COMMON("graph.weight_grad/beta", WEIGHT_GRAD, 3, PRODUCT_DIMS, weight_grad_operands, NULL, weight_grad_beta_run),
     .flops = product_flops, .bytes = weight_grad_bytes, .items = weight_grad_items, .size = weight_grad_size,
     .shapes = weight_grad_shapes, .shape_count = SCO_LEN(weight_grad_shapes)},
};

const struct sco_case_list sco_graph_cases = {cases, SCO_LEN(cases)};

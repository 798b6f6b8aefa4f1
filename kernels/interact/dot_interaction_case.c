/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/case.h"
#include "kernels/interact/dot_interaction.h"

enum { FORWARD, BACKWARD };

/* dim: samples, F, dim */
static size_t add(struct sco_operand *operand, size_t at, const char *name, size_t count, enum sco_role role)
{
    operand[at] = (struct sco_operand){name, count, sizeof(float), role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return at + 1;
}

static size_t outputs(const size_t dim[])
{
    return dim[0] * (dim[2] + sco_interaction_pairs(dim[1]));
}

static size_t forward_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t count = add(operand, 0, "x", dim[0] * dim[1] * dim[2], SCO_IN);
    return add(operand, count, "y", outputs(dim), SCO_OUT);
}

static size_t backward_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "x", dim[0] * dim[1] * dim[2], SCO_IN);
    count = add(operand, count, "gy", outputs(dim), SCO_IN);
    count = add(operand, count, "scratch", dim[1] * dim[1], SCO_SCRATCH);
    return add(operand, count, "dx", dim[0] * dim[1] * dim[2], SCO_OUT);
}

static void run_forward(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_dot_interaction_ops *)ops)->forward(dim[0], dim[1], dim[2], buffer[0], buffer[1]);
}

static void run_backward(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_dot_interaction_ops *)ops)
        ->backward(dim[0], dim[1], dim[2], buffer[0], buffer[1], buffer[2], buffer[3]);
}

static double forward_flops(const size_t dim[])
{
    return 2.0 * (double)(dim[0] * sco_interaction_pairs(dim[1]) * dim[2]);
}

static double backward_flops(const size_t dim[])
{
    return 2.0 * (double)(dim[0] * dim[1] * dim[1] * dim[2]);
}

static double forward_bytes(const size_t dim[])
{
    return 4.0 * (double)(dim[0] * dim[1] * dim[2] + outputs(dim));
}

static double backward_bytes(const size_t dim[])
{
    return 4.0 * (double)(2 * dim[0] * dim[1] * dim[2] + outputs(dim));
}

static double samples(const size_t dim[])
{
    return (double)dim[0];
}

static void size(size_t total, size_t dim[])
{
    dim[1] = 27;
    dim[2] = 128;
    dim[0] = total / (2 * 27 * 128 * sizeof(float)) + 1;
}

static const size_t shapes[][SCO_CASE_DIMS] = {{0, 3, 16},   {1, 1, 1},    {2, 2, 7},  {3, 1, 33}, {2, 3, 0},
                                               {1, 4, 31},   {2, 5, 15},   {3, 6, 16}, {1, 7, 67}, {2, 9, 48},
                                               {1, 13, 100}, {2, 27, 128}, {1, 31, 9}};

#define INTERACTION_CASE(case_name, slot_number, kind)                                                                 \
    {                                                                                                                  \
        .name = case_name, .family = &sco_dot_interaction_family, .slot = slot_number, .dim_count = 3,                 \
        .dim_names = {"samples", "F", "dim"}, .operands = kind##_operands, .run = run_##kind, .flops = kind##_flops,   \
        .bytes = kind##_bytes, .items = samples, .size = size, .shapes = shapes, .shape_count = SCO_LEN(shapes)        \
    }
static const struct sco_case cases[] = {
    INTERACTION_CASE("dot_interaction.forward", FORWARD, forward),
    INTERACTION_CASE("dot_interaction.backward", BACKWARD, backward),
};

const struct sco_case_list sco_dot_interaction_cases = {cases, SCO_LEN(cases)};

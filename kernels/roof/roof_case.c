/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "kernels/case.h"
#include "kernels/roof/roof.h"

enum { SLOT_READ, SLOT_RW32, SLOT_RW43, SLOT_RW65, SLOT_FMA };

static size_t add(struct sco_operand *operand, size_t at, const char *name, size_t n, enum sco_role role)
{
    operand[at] = (struct sco_operand){name, n, sizeof(float), role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return at + 1;
}

static size_t read_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "a", dim[0], SCO_IN);
    /* A sum of n terms in any order is off by at most (n - 1) 2^-24 times the sum of magnitudes. */
    operand[count] = (struct sco_operand){"sum", 1, sizeof(float), SCO_OUT, SCO_FILL_SIGNED, SCO_GAMMA, (double)dim[0]};
    return count + 1;
}

static size_t rw32_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "p", dim[0], SCO_INOUT);
    count = add(operand, count, "m", dim[0], SCO_INOUT);
    return add(operand, count, "g", dim[0], SCO_IN);
}

static size_t rw43_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "p", dim[0], SCO_INOUT);
    count = add(operand, count, "m", dim[0], SCO_INOUT);
    count = add(operand, count, "v", dim[0], SCO_INOUT);
    return add(operand, count, "g", dim[0], SCO_IN);
}

static size_t rw65_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "p", dim[0], SCO_INOUT);
    count = add(operand, count, "m0", dim[0], SCO_INOUT);
    count = add(operand, count, "m1", dim[0], SCO_INOUT);
    count = add(operand, count, "m2", dim[0], SCO_INOUT);
    count = add(operand, count, "v", dim[0], SCO_INOUT);
    return add(operand, count, "g", dim[0], SCO_IN);
}

static size_t fma_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    (void)dim;
    return add(operand, 0, "x", SCO_ROOF_CHAINS, SCO_INOUT);
}

static void read_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_roof_ops *)ops)->read(dim[0], buffer[0], buffer[1]);
}

static void rw32_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_roof_ops *)ops)->rw32(dim[0], buffer[0], buffer[1], buffer[2]);
}

static void rw43_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_roof_ops *)ops)->rw43(dim[0], buffer[0], buffer[1], buffer[2], buffer[3]);
}

static void rw65_run(const void *ops, const size_t dim[], void *const buffer[])
{
    float *const m[3] = {buffer[1], buffer[2], buffer[3]};
    ((const struct sco_roof_ops *)ops)->rw65(dim[0], buffer[0], m, buffer[4], buffer[5]);
}

static void fma_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_roof_ops *)ops)->fma(dim[0], buffer[0]);
}

static void read_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const float *a = before[0];
    (void)operand;
    *value = *scale = 0.0;
    for (size_t i = 0; i < dim[0]; i++) {
        *value += (double)a[i];
        *scale += fabs((double)a[i]);
    }
}

static double read_flops(const size_t dim[])
{
    return (double)dim[0];
}

static double rw32_flops(const size_t dim[])
{
    return 4.0 * (double)dim[0];
}

static double rw43_flops(const size_t dim[])
{
    return 8.0 * (double)dim[0];
}

static double rw65_flops(const size_t dim[])
{
    return 12.0 * (double)dim[0];
}

static double fma_flops(const size_t dim[])
{
    return 2.0 * SCO_ROOF_CHAINS * (double)dim[0];
}

static double read_bytes(const size_t dim[])
{
    return 4.0 * (double)dim[0];
}

static double rw32_bytes(const size_t dim[])
{
    return 20.0 * (double)dim[0];
}

static double rw43_bytes(const size_t dim[])
{
    return 28.0 * (double)dim[0];
}

static double rw65_bytes(const size_t dim[])
{
    return 44.0 * (double)dim[0];
}

static double fma_bytes(const size_t dim[])
{
    (void)dim;
    return 0.0;
}

static double items(const size_t dim[])
{
    return (double)dim[0];
}

static double fma_items(const size_t dim[])
{
    return (double)SCO_ROOF_CHAINS * (double)dim[0];
}

static void read_size(size_t bytes, size_t dim[])
{
    dim[0] = bytes / 4;
}

static void rw32_size(size_t bytes, size_t dim[])
{
    dim[0] = bytes / 12;
}

static void rw43_size(size_t bytes, size_t dim[])
{
    dim[0] = bytes / 16;
}

static void rw65_size(size_t bytes, size_t dim[])
{
    dim[0] = bytes / 24;
}

/* Registers hold all of it; long enough to forget the loads and stores around the loop. */
static void fma_size(size_t bytes, size_t dim[])
{
    (void)bytes;
    dim[0] = 4096;
}

#define ROOF_CASE(pattern, slot_number, dim_name, oracle_function, items_function)                                     \
    {                                                                                                                  \
        .name = "roof." #pattern, .family = &sco_roof_family, .slot = slot_number, .dim_count = 1,                     \
        .dim_names = {dim_name}, .operands = pattern##_operands, .run = pattern##_run, .oracle = oracle_function,      \
        .flops = pattern##_flops, .bytes = pattern##_bytes, .items = items_function, .size = pattern##_size            \
    }
static const struct sco_case cases[] = {
    ROOF_CASE(read, SLOT_READ, "n", read_oracle, items),
    ROOF_CASE(rw32, SLOT_RW32, "n", NULL, items),
    ROOF_CASE(rw43, SLOT_RW43, "n", NULL, items),
    ROOF_CASE(rw65, SLOT_RW65, "n", NULL, items),
    ROOF_CASE(fma, SLOT_FMA, "iterations", NULL, fma_items),
};

const struct sco_case_list sco_roof_cases = {cases, SCO_LEN(cases)};

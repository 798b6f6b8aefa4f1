/* SPDX-License-Identifier: Apache-2.0 */
#include "microbench/case_check.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "stepcost/memory.h"
#include "stepcost/microbench.h"

/* Operands lie 17 cache lines further apart than whole pages; see roofs.c. */
enum { PAGE = 4096, SKEW = 17 * SCO_ALIGN, MAX_SLOTS = 32 };

static size_t operand_bytes(const struct sco_operand *operand)
{
    return (operand->count * operand->element_bytes + PAGE - 1) / PAGE * PAGE + SKEW;
}

size_t sco_case_bytes(const struct sco_case *c, const size_t dim[])
{
    struct sco_operand operand[SCO_CASE_OPERANDS];
    const size_t count = c->operands(dim, operand);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += operand_bytes(&operand[i]);
    return bytes;
}

enum sco_status sco_case_buffers_init(struct sco_case_buffers *buffers, const struct sco_case *c, const size_t dim[])
{
    buffers->c = c;
    memcpy(buffers->dim, dim, c->dim_count * sizeof *dim);
    buffers->count = c->operands(dim, buffers->operand);
    buffers->memory = sco_alloc(sco_case_bytes(c, dim));
    if (buffers->memory == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for operands of %zu bytes", c->name, sco_case_bytes(c, dim));
    unsigned char *at = buffers->memory;
    for (size_t i = 0; i < buffers->count; i++) {
        buffers->buffer[i] = at;
        at += operand_bytes(&buffers->operand[i]);
    }
    return SCO_OK;
}

void sco_case_buffers_free(struct sco_case_buffers *buffers)
{
    sco_free(buffers->memory);
    buffers->memory = NULL;
}

/* One step of xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016). */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

void sco_case_fill(const struct sco_case_buffers *buffers, float deviation)
{
    for (size_t i = 0; i < buffers->count; i++) {
        const struct sco_operand *operand = &buffers->operand[i];
        if (operand->role == SCO_OUT || operand->role == SCO_SCRATCH) {
            memset(buffers->buffer[i], 0, operand->count * operand->element_bytes);
            continue;
        }
        uint64_t state = i + 1;
        for (size_t j = 0; j < operand->count; j++) {
            const uint64_t z = next(&state);
            /* Uniform in 0.25 .. 2 deviations; the top bit is the sign. */
            float x = deviation * (0.25f + 1.75f * (float)(z >> 16 & 0xffff) / 65535.0f);
            if (operand->fill == SCO_FILL_SIGNED && z >> 63 != 0)
                x = -x;
            switch (operand->element_bytes) {
            case sizeof(double): ((double *)buffers->buffer[i])[j] = (double)x; break;
            case sizeof(float): ((float *)buffers->buffer[i])[j] = x; break;
            default: ((int8_t *)buffers->buffer[i])[j] = (int8_t)((int)((z >> 8) % 255) - 127); break;
            }
        }
    }
    if (buffers->c->prepare != NULL)
        buffers->c->prepare(buffers->dim, buffers->buffer);
}

typedef void slot_fn(void);

bool sco_case_has_row(const struct sco_case *c, size_t row, sco_isa isa)
{
    slot_fn *ops[MAX_SLOTS] = {NULL};
    assert(c->family->slot_count <= MAX_SLOTS);
    if ((c->family->rows[row].need & ~isa) != 0)
        return false;
    c->family->rows[row].fill(ops, isa);
    return ops[c->slot] != NULL;
}

static double element(const struct sco_case_buffers *buffers, size_t operand, size_t i)
{
    const void *buffer = buffers->buffer[operand];
    switch (buffers->operand[operand].element_bytes) {
    case sizeof(double): return ((const double *)buffer)[i];
    case sizeof(float): return (double)((const float *)buffer)[i];
    default: return (double)((const int8_t *)buffer)[i];
    }
}

static double unit_in_last_place(double magnitude)
{
    int exponent;
    frexp(magnitude, &exponent);
    return ldexp(1.0, exponent - 24);
}

struct comparison {
    const struct sco_case *c;
    const char *row;
    const struct sco_case_buffers *before, *scalar, *fast;
    const size_t *dim;
};

static enum sco_status compare_exact(const struct comparison *x, size_t operand)
{
    const struct sco_operand *o = &x->fast->operand[operand];
    const unsigned char *a = x->scalar->buffer[operand], *b = x->fast->buffer[operand];
    for (size_t i = 0; i < o->count; i++) {
        const double expected = element(x->scalar, operand, i), got = element(x->fast, operand, i);
        if (memcmp(a + i * o->element_bytes, b + i * o->element_bytes, o->element_bytes) == 0 ||
            (isnan(expected) && isnan(got)))
            continue;
        return sco_fail(SCO_INVALID, "%s row %s: %s[%zu] is %.9g, the scalar row has %.9g: a wrong row is not timed",
                        x->c->name, x->row, o->name, i, got, expected);
    }
    return SCO_OK;
}

static enum sco_status compare_oracle(const struct comparison *x, size_t operand)
{
    const struct sco_operand *o = &x->fast->operand[operand];
    double *value = malloc(o->count * sizeof *value), *scale = malloc(o->count * sizeof *scale);
    enum sco_status status = SCO_OK;
    if (value == NULL || scale == NULL)
        status = sco_fail(SCO_NOMEM, "%s: no memory to check %zu elements", x->c->name, o->count);
    else
        x->c->oracle(x->dim, x->before->buffer, operand, value, scale);
    for (size_t i = 0; i < o->count && status == SCO_OK; i++) {
        const double got = element(x->fast, operand, i), magnitude = fmax(fabs(value[i]), scale[i]);
        const double bound = o->bound == SCO_ULP ? o->k * unit_in_last_place(magnitude) : o->k * 0x1p-24 * scale[i];
        if (!(fabs(got - value[i]) <= bound))
            status = sco_fail(SCO_INVALID,
                              "%s row %s: %s[%zu] is %.9g, exact is %.9g (bound %.3g): a wrong row is not timed",
                              x->c->name, x->row, o->name, i, got, value[i], bound);
    }
    free(value);
    free(scale);
    return status;
}

static void run_row(const struct sco_case *c, size_t row, sco_isa isa, const size_t dim[],
                    const struct sco_case_buffers *buffers)
{
    slot_fn *ops[MAX_SLOTS] = {NULL};
    sco_family_pin(c->family, row, isa, ops);
    sco_case_fill(buffers, 1.0f);
    c->run(ops, dim, buffers->buffer);
}

static enum sco_status check_size(const struct sco_case *c, size_t row, sco_isa isa, size_t bytes)
{
    size_t dim[SCO_CASE_DIMS] = {0};
    struct sco_case_buffers buffers[3] = {{.count = 0}, {.count = 0}, {.count = 0}}; /* before, scalar, fast */
    enum sco_status status = SCO_OK;
    c->size(bytes, dim);
    for (size_t i = 0; i < 3 && status == SCO_OK; i++)
        status = sco_case_buffers_init(&buffers[i], c, dim);
    if (status == SCO_OK) {
        sco_case_fill(&buffers[0], 1.0f);
        run_row(c, 0, isa, dim, &buffers[1]);
        run_row(c, row, isa, dim, &buffers[2]);
    }
    const struct comparison x = {c, c->family->rows[row].name, &buffers[0], &buffers[1], &buffers[2], dim};
    for (size_t i = 0; i < buffers[2].count && status == SCO_OK; i++)
        if (buffers[2].operand[i].role == SCO_OUT || buffers[2].operand[i].role == SCO_INOUT)
            status = buffers[2].operand[i].bound == SCO_EXACT ? compare_exact(&x, i) : compare_oracle(&x, i);
    for (size_t i = 0; i < 3; i++)
        sco_case_buffers_free(&buffers[i]);
    return status;
}

enum sco_status sco_case_check(const struct sco_case *c, size_t row, sco_isa isa)
{
    /* A few vectors with a tail, and enough for every unrolled loop. */
    static const size_t sizes[] = {1500, 40000};
    enum sco_status status = SCO_OK;
    for (size_t i = 0; i < SCO_LEN(sizes) && status == SCO_OK; i++)
        status = check_size(c, row, isa, sizes[i]);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * Is the kernel checker itself any good? A family of three slots, y' = a x y + 1, a sum, and a gather by index through a
 * workspace, has one row that is right in a different way from the scalar row, and one row for each mistake that vector code
 * makes. The right one must pass, every other
 * must be caught. Rows are plain C, "vectors" of 8 floats, so that this runs on every architecture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check_kernels.h"

enum { VECTOR = 8, SLOT_MAP = 0, SLOT_SUM = 1, SLOT_GATHER = 2 };

typedef void map_fn(size_t n, float *y, const float *x, const float *a);
typedef float sum_fn(size_t n, const float *x);

/* y[i] = x[index[i]], index within 0 .. n - 1; workspace: n floats. */
typedef void gather_fn(size_t n, float *y, const float *x, const int32_t *index, float *workspace);

struct ops {
    map_fn *map;
    sum_fn *sum;
    gather_fn *gather;
};

static float one(float y, float x, float a)
{
    return fmaf(a * x, y, 1.0f);
}

static void map_scalar(size_t n, float *y, const float *x, const float *a)
{
    for (size_t i = 0; i < n; i++)
        y[i] = one(y[i], x[i], a[i]);
}

static float sum_scalar(size_t n, const float *x)
{
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

/* Right: whole vectors, then a masked tail; two accumulators. */
static void map_right(size_t n, float *y, const float *x, const float *a)
{
    const size_t whole = n / VECTOR * VECTOR;
    map_scalar(whole, y, x, a);
    map_scalar(n - whole, y + whole, x + whole, a + whole);
}

static float sum_right(size_t n, const float *x)
{
    float even = 0.0f, odd = 0.0f;
    for (size_t i = 0; i < n; i++)
        *(i % 2 == 0 ? &even : &odd) += x[i];
    return even + odd;
}

static void map_unmasked_tail(size_t n, float *y, const float *x, const float *a)
{
    map_right(n, y, x, a);
    volatile float *past = y;
    for (size_t i = n; i % VECTOR != 0; i++)
        past[i] = 1.0f;
}

/* Reads are harmless to values: only an unmapped page tells. */
static void map_over_read(size_t n, float *y, const float *x, const float *a)
{
    map_right(n, y, x, a);
    const volatile float *past = x;
    for (size_t i = n; i < n + VECTOR; i++)
        (void)past[i];
}

static void map_under_read(size_t n, float *y, const float *x, const float *a)
{
    map_right(n, y, x, a);
    const volatile float *before = a;
    (void)before[-1];
}

static void map_wide_mask(size_t n, float *y, const float *x, const float *a)
{
    map_right(n, y, x, a);
    volatile float *past = y;
    if (n % VECTOR != 0)
        past[n] = 2.0f;
}

static void map_narrow_mask(size_t n, float *y, const float *x, const float *a)
{
    map_right(n % VECTOR != 0 ? n - 1 : n, y, x, a);
}

static void map_overlapped_tail(size_t n, float *y, const float *x, const float *a)
{
    const size_t whole = n / VECTOR * VECTOR;
    map_right(whole, y, x, a);
    if (whole == n)
        return;
    const size_t back = n < VECTOR ? n : VECTOR; /* the update applied twice */
    map_right(back, y + n - back, x + n - back, a + n - back);
}

static void map_swapped(size_t n, float *y, const float *x, const float *a)
{
    for (size_t i = 0; i < n; i++)
        y[i] = fmaf(a[i] * y[i], x[i], 1.0f);
}

static void map_unfused(size_t n, float *y, const float *x, const float *a)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * x[i] * y[i] + 1.0f;
}

static void map_lost_nan(size_t n, float *y, const float *x, const float *a)
{
    for (size_t i = 0; i < n; i++)
        y[i] = fmaxf(one(y[i], x[i], a[i]), -INFINITY);
}

static void map_spread_nan(size_t n, float *y, const float *x, const float *a)
{
    float last = 0.0f;
    for (size_t i = 0; i < n; i++) {
        y[i] = one(y[i], x[i], a[i]) + (isnan(last) && i % VECTOR != 0 ? last : 0.0f);
        last = x[i];
    }
}

static void map_flushed_denormals(size_t n, float *y, const float *x, const float *a)
{
    for (size_t i = 0; i < n; i++) {
        const float ax = a[i] * x[i];
        y[i] = fmaf(fabsf(ax) < 0x1p-126f ? 0.0f : ax, y[i], 1.0f);
    }
}

static void map_writes_input(size_t n, float *y, const float *x, const float *a)
{
    map_right(n, y, x, a);
    if (n > 0)
        *(float *)(uintptr_t)x = -x[0];
}

static void map_aligned_only(size_t n, float *y, const float *x, const float *a)
{
    if (((uintptr_t)y | (uintptr_t)x | (uintptr_t)a) % sizeof(float[VECTOR]) != 0)
        abort();
    map_right(n, y, x, a);
}

static void map_long_only(size_t n, float *y, const float *x, const float *a)
{
    map_right(n < 65536 ? n : 65536, y, x, a); /* a count kept in 16 bits */
}

static void map_clobbered_control(size_t n, float *y, const float *x, const float *a)
{
    map_right(n, y, x, a);
#if defined(__x86_64__)
    uint32_t mxcsr;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    mxcsr |= 0x8000; /* flush to zero */
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    fpcr |= (uint64_t)1 << 24; /* flush to zero */
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
#endif
}

static float sum_lost_tail(size_t n, const float *x)
{
    return sum_scalar(n / VECTOR * VECTOR, x);
}

static float sum_counted_twice(size_t n, const float *x)
{
    return sum_scalar(n, x) + (n > VECTOR ? x[n - 1] : 0.0f);
}

static float sum_lost_nan(size_t n, const float *x)
{
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++)
        sum += isnan(x[i]) ? 0.0f : x[i];
    return sum;
}

static void gather_scalar(size_t n, float *y, const float *x, const int32_t *index, float *workspace)
{
    (void)workspace;
    for (size_t i = 0; i < n; i++)
        y[i] = x[index[i]];
}

/* Right: reads everything before it writes anything. */
static void gather_right(size_t n, float *y, const float *x, const int32_t *index, float *workspace)
{
    for (size_t i = 0; i < n; i++)
        workspace[i] = x[index[i]];
    for (size_t i = 0; i < n; i++)
        y[i] = workspace[i];
}

static void gather_past_workspace(size_t n, float *y, const float *x, const int32_t *index, float *workspace)
{
    gather_right(n, y, x, index, workspace);
    volatile float *past = workspace;
    past[n] = 0.0f;
}

static void gather_over_read_index(size_t n, float *y, const float *x, const int32_t *index, float *workspace)
{
    gather_right(n, y, x, index, workspace);
    const volatile int32_t *past = index;
    for (size_t i = n; i < n + VECTOR; i++)
        (void)past[i];
}

/* An order that repeated indices betray: what was gathered for the element before. */
static void gather_stale(size_t n, float *y, const float *x, const int32_t *index, float *workspace)
{
    gather_right(n, y, x, index, workspace);
    for (size_t i = 1; i < n; i++)
        if (index[i] == index[i - 1] + 1)
            y[i] = y[i - 1];
}

static void gather_narrow_index(size_t n, float *y, const float *x, const int32_t *index, float *workspace)
{
    (void)workspace;
    for (size_t i = 0; i < n; i++)
        y[i] = x[(uint8_t)index[i]];
}

/* Trusts that a workspace starts with zeros. */
static void gather_dirty_workspace(size_t n, float *y, const float *x, const int32_t *index, float *workspace)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[index[i]] + 0.0f * workspace[i] + (workspace[i] != 0.0f ? 1.0f : 0.0f);
}

static void gather_writes_index(size_t n, float *y, const float *x, const int32_t *index, float *workspace)
{
    gather_right(n, y, x, index, workspace);
    if (n > 0)
        *(int32_t *)(uintptr_t)index ^= 1;
}

/* Each of the rows: its name, and one line to fill it. */
#define MAP_FAULTS(F)                                                                                                  \
    F(unmasked_tail)                                                                                                   \
    F(over_read)                                                                                                       \
    F(under_read) F(wide_mask) F(narrow_mask) F(overlapped_tail) F(swapped) F(unfused) F(lost_nan) F(spread_nan)       \
        F(flushed_denormals) F(writes_input) F(aligned_only) F(long_only) F(clobbered_control)
#define SUM_FAULTS(F) F(lost_tail) F(counted_twice) F(lost_nan)
#define GATHER_FAULTS(F)                                                                                               \
    F(past_workspace) F(over_read_index) F(stale) F(narrow_index) F(dirty_workspace) F(writes_index)

static void fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct ops *)ops = (struct ops){map_scalar, sum_scalar, gather_scalar};
}

static void fill_right(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct ops *)ops = (struct ops){map_right, sum_right, gather_right};
}

#define FILL(slot, fault)                                                                                              \
    static void fill_##slot##_##fault(void *ops, sco_isa isa)                                                          \
    {                                                                                                                  \
        (void)isa;                                                                                                     \
        ((struct ops *)ops)->slot = slot##_##fault;                                                                    \
    }
#define FILL_MAP(fault)    FILL(map, fault)
#define FILL_SUM(fault)    FILL(sum, fault)
#define FILL_GATHER(fault) FILL(gather, fault)
MAP_FAULTS(FILL_MAP)
SUM_FAULTS(FILL_SUM)
GATHER_FAULTS(FILL_GATHER)

#define ROW_MAP(fault)    {"map_" #fault, 0, fill_map_##fault},
#define ROW_SUM(fault)    {"sum_" #fault, 0, fill_sum_##fault},
#define ROW_GATHER(fault) {"gather_" #fault, 0, fill_gather_##fault},
enum { RIGHT_ROWS = 2 };
static const struct sco_row rows[] = {{"scalar", 0, fill_scalar},
                                      {"right", 0, fill_right},
                                      MAP_FAULTS(ROW_MAP) SUM_FAULTS(ROW_SUM) GATHER_FAULTS(ROW_GATHER)};
static const char *const slots[] = {"map", "sum", "gather"};
static const struct sco_family family = {"fault", rows, SCO_LEN(rows), slots, SCO_LEN(slots)};

static size_t map_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"y", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[1] = (struct sco_operand){"x", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[2] = (struct sco_operand){"a", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return 3;
}

static size_t sum_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"x", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[1] = (struct sco_operand){"sum", 1, sizeof(float), SCO_OUT, SCO_FILL_SIGNED, SCO_GAMMA, (double)dim[0]};
    return 2;
}

static size_t gather_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"y", dim[0], sizeof(float), SCO_OUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[1] = (struct sco_operand){"x", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[2] = (struct sco_operand){"index", dim[0], sizeof(int32_t), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[3] = (struct sco_operand){"workspace", dim[0], sizeof(float), SCO_SCRATCH, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return 4;
}

/* Repeated, unsorted, with runs. */
static void gather_prepare(const size_t dim[], void *const buffer[])
{
    int32_t *index = buffer[2];
    for (size_t i = 0; i < dim[0]; i++)
        index[i] = (int32_t)(i % 3 == 0 ? dim[0] - 1 - i : (i * 5 + i / 7) % dim[0]);
    for (size_t i = 4; i + 1 < dim[0]; i += 9)
        index[i + 1] = index[i] + 1 < (int32_t)dim[0] ? index[i] + 1 : index[i];
}

static void gather_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct ops *)ops)->gather(dim[0], buffer[0], buffer[1], buffer[2], buffer[3]);
}

static void map_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct ops *)ops)->map(dim[0], buffer[0], buffer[1], buffer[2]);
}

static void sum_run(const void *ops, const size_t dim[], void *const buffer[])
{
    *(float *)buffer[1] = ((const struct ops *)ops)->sum(dim[0], buffer[0]);
}

static void sum_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    (void)operand;
    *value = *scale = 0.0;
    for (size_t i = 0; i < dim[0]; i++) {
        const double x = (double)((const float *)before[0])[i];
        *value += x;
        *scale += fabs(x);
    }
}

static const struct sco_case cases[] = {
    {.name = "fault.map",
     .family = &family,
     .slot = SLOT_MAP,
     .dim_count = 1,
     .dim_names = {"n"},
     .operands = map_operands,
     .run = map_run},
    {.name = "fault.sum",
     .family = &family,
     .slot = SLOT_SUM,
     .dim_count = 1,
     .dim_names = {"n"},
     .operands = sum_operands,
     .run = sum_run,
     .oracle = sum_oracle},
    {.name = "fault.gather",
     .family = &family,
     .slot = SLOT_GATHER,
     .dim_count = 1,
     .dim_names = {"n"},
     .operands = gather_operands,
     .prepare = gather_prepare,
     .run = gather_run},
};

int main(int argc, char **argv)
{
    const bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    struct sco_check check = {.seed = 1, .quick = quick};
    size_t passed = 0, failed = 0;
    for (size_t row = 0; row < SCO_LEN(rows); row++)
        for (size_t i = 0; i < SCO_LEN(cases); i++) {
            if (!sco_check_applies(&check, &cases[i], row, 0))
                continue;
            const bool caught = sco_check_row(&check, &cases[i], row, 0) != 0;
            const bool good = caught == (row >= RIGHT_ROWS);
            printf("%s %s row %s %s\n", good ? "ok  " : "FAIL", cases[i].name, rows[row].name,
                   caught ? "caught" : "passed");
            *(good ? &passed : &failed) += 1;
        }
    printf("%zu passed, %zu failed, 0 skipped\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: Apache-2.0
 * Every operand has an arena of its own: whole pages between two that cannot be touched. What the operand does not
 * occupy holds a pattern. A kernel that reads or writes outside its operands either faults or leaves a trace. */
#include "tests/check_kernels.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    CANARY = 0xC5,        /* around operands */
    UNWRITTEN = 0x5A,     /* in outputs before the row under test runs */
    UNWRITTEN_REF = 0xA5, /* and before the reference runs: an element that neither writes differs */
    MAX_LENGTH = 67,      /* 2 * 32 + 3: two unrolled iterations of the widest row, and a tail */
    REPORTS = 3,          /* per case and row */
    SLACK = 64,           /* room to shift an operand within a cache line */
    CACHE_LINE = 64,
    PAST_16_BITS = 65537
};

/* Sizes around tiles and caches: two or three vectors of unrolled code, 4 KiB pages, L1 and L2. */
static const size_t large_lengths[] = {95,   96,   97,   127,  128,  129,   255,   256,   257,          511,
                                       512,  513,  1023, 1024, 1025, 1039,  2047,  2048,  2049,         4095,
                                       4096, 4097, 5000, 8191, 8193, 12287, 12289, 65535, PAST_16_BITS, 262147};
enum { LARGE_BYTES = 24 << 20 }; /* longer lengths are left out where all operands together take more */

enum fill { UNIFORM, NORMAL, DENORMAL, SIGNED_ZERO, INFINITE, NOT_A_NUMBER, HUGE_TINY, ALL_EQUAL, FILLS };
static const char *const fill_names[FILLS] = {"uniform",  "normal", "denormal",   "signed zero",
                                              "infinity", "NaN",    "huge, tiny", "all equal"};

/* Start of an operand: offset elements after a line boundary, at the start of its arena (offset 0 is flush against the
 * page before), the k-th operand spread elements further; or flush against the page behind. */
struct placement {
    bool flush_end;
    size_t offset, spread;
};

struct arena {
    unsigned char *map;
    size_t map_bytes, page;
    unsigned char *start; /* of what may be touched */
    size_t bytes;
};

struct buffers {
    size_t count;
    struct sco_operand operand[SCO_CASE_OPERANDS];
    struct arena arena[SCO_CASE_OPERANDS];
    unsigned char *before[SCO_CASE_OPERANDS];    /* inputs as generated */
    unsigned char *reference[SCO_CASE_OPERANDS]; /* after the scalar row ran */
    unsigned char *at[SCO_CASE_OPERANDS];        /* where the row under test finds the operand */
};

struct situation {
    const struct sco_check *check;
    const struct sco_case *c;
    size_t row;
    const size_t *dim;
    enum fill fill;
    struct placement place;
};

/* ---- Faults --------------------------------------------------------------------------------------------------- */

static sigjmp_buf fault_return;
static volatile sig_atomic_t fault_armed, fault_signal;
static void *volatile fault_address;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!fault_armed) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    fault_signal = number;
    fault_address = info->si_addr;
    siglongjmp(fault_return, 1);
}

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

static void catch_faults(struct sigaction old[])
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < SCO_LEN(fault_signals); i++)
        sigaction(fault_signals[i], &action, &old[i]);
}

static void release_faults(const struct sigaction old[])
{
    for (size_t i = 0; i < SCO_LEN(fault_signals); i++)
        sigaction(fault_signals[i], &old[i], NULL);
}

/* The floating-point control bits a kernel must leave alone: rounding, masks, flush to zero. Sticky flags are free. */
static uint64_t get_control(void)
{
#if defined(__x86_64__)
    uint32_t mxcsr;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    return mxcsr & 0xffc0u;
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
#else
#error "state the floating-point control register of this architecture"
#endif
}

static void set_control(uint64_t control)
{
#if defined(__x86_64__)
    const uint32_t mxcsr = (uint32_t)control;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
#endif
}

/* ---- Memory --------------------------------------------------------------------------------------------------- */

static void *need(void *memory)
{
    if (memory == NULL || memory == MAP_FAILED) {
        fputs("check_kernels: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

static size_t bytes_of(const struct sco_operand *operand)
{
    return operand->count * operand->element_bytes;
}

static void arena_reserve(struct arena *arena, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    bytes = (bytes + page - 1) / page * page;
    if (arena->bytes == bytes)
        return;
    if (arena->map != NULL)
        munmap(arena->map, arena->map_bytes);
    arena->map_bytes = bytes + 2 * page;
    arena->map = need(mmap(NULL, arena->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    arena->start = arena->map + page;
    arena->bytes = bytes;
    if (mprotect(arena->start, bytes, PROT_READ | PROT_WRITE) != 0)
        need(NULL);
}

static void buffers_reserve(struct buffers *b, const struct sco_case *c, const size_t dim[])
{
    b->count = c->operands(dim, b->operand);
    for (size_t i = 0; i < b->count; i++) {
        const size_t bytes = bytes_of(&b->operand[i]);
        arena_reserve(&b->arena[i], bytes + SLACK + SLACK);
        b->before[i] = need(realloc(b->before[i], bytes + 1));
        b->reference[i] = need(realloc(b->reference[i], bytes + 1));
    }
}

static void buffers_free(struct buffers *b)
{
    for (size_t i = 0; i < SCO_CASE_OPERANDS; i++) {
        if (b->arena[i].map != NULL)
            munmap(b->arena[i].map, b->arena[i].map_bytes);
        free(b->before[i]);
        free(b->reference[i]);
    }
}

/* ---- Inputs --------------------------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Depends on what is tested and not on what ran before, so that --family and --row repeat a failure. */
static uint64_t stream_of(const struct sco_check *check, const struct sco_case *c, const size_t dim[], enum fill fill)
{
    uint64_t state = check->seed;
    for (const char *s = c->name; *s != '\0'; s++)
        state = state * 31 + (unsigned char)*s, next_random(&state);
    for (size_t i = 0; i < c->dim_count; i++)
        state ^= next_random(&state) + dim[i];
    return state ^ (uint64_t)fill << 56;
}

static double uniform(uint64_t *state)
{
    return ldexp((double)(next_random(state) >> 11), -53);
}

static double normal(uint64_t *state)
{
    return sqrt(-2.0 * log(1.0 - uniform(state))) * cos(6.283185307179586 * uniform(state));
}

static double make_value(enum fill fill, uint64_t *state, double equal)
{
    const double sign = next_random(state) & 1 ? 1.0 : -1.0;
    switch (fill) {
    case UNIFORM: return 2.0 * uniform(state) - 1.0;
    case NORMAL: return normal(state);
    case DENORMAL: return sign * ldexp(floor(uniform(state) * 0x1p23), -149);
    case SIGNED_ZERO: return next_random(state) % 4 == 0 ? normal(state) : sign * 0.0;
    case INFINITE: return next_random(state) % 8 == 0 ? sign * (double)INFINITY : normal(state);
    case NOT_A_NUMBER: return next_random(state) % 8 == 0 ? sign * (double)NAN : normal(state);
    case HUGE_TINY: return sign * ldexp(1.0 + uniform(state), (int)(next_random(state) % 277) - 149);
    case ALL_EQUAL: return equal;
    case FILLS: break;
    }
    return 0.0;
}

static void make_operand(const struct sco_operand *operand, enum fill fill, uint64_t *state, unsigned char *to)
{
    const double equal = normal(state);
    for (size_t i = 0; i < operand->count; i++) {
        if (operand->element_bytes == 1) { /* quantised: -127 .. 127 */
            const int8_t x =
                fill == ALL_EQUAL ? (int8_t)(equal * 30.0) : (int8_t)((int)(next_random(state) % 255) - 127);
            memcpy(to + i, &x, sizeof x);
            continue;
        }
        double x = make_value(fill, state, equal);
        if (operand->fill == SCO_FILL_POSITIVE)
            x = fabs(x);
        const float f = (float)x;
        if (operand->element_bytes == sizeof f)
            memcpy(to + i * sizeof f, &f, sizeof f);
        else
            memcpy(to + i * sizeof x, &x, sizeof x);
    }
}

static bool is_input(const struct sco_operand *operand)
{
    return operand->role == SCO_IN || operand->role == SCO_INOUT;
}

static void make_inputs(struct buffers *b, const struct situation *at)
{
    uint64_t state = stream_of(at->check, at->c, at->dim, at->fill);
    for (size_t i = 0; i < b->count; i++) {
        if (is_input(&b->operand[i]))
            make_operand(&b->operand[i], at->fill, &state, b->before[i]);
        else
            memset(b->before[i], UNWRITTEN_REF, bytes_of(&b->operand[i]));
    }
    if (at->c->prepare != NULL) {
        void *buffer[SCO_CASE_OPERANDS];
        for (size_t i = 0; i < b->count; i++)
            buffer[i] = b->before[i];
        at->c->prepare(at->dim, buffer);
    }
    for (size_t i = 0; i < b->count; i++)
        memcpy(b->reference[i], b->before[i], bytes_of(&b->operand[i]));
}

static void place(struct buffers *b, const struct placement *place)
{
    for (size_t i = 0; i < b->count; i++) {
        struct arena *arena = &b->arena[i];
        const size_t bytes = bytes_of(&b->operand[i]), size = b->operand[i].element_bytes;
        memset(arena->start, CANARY, arena->bytes);
        const size_t shift = (place->offset + i * place->spread) * size % CACHE_LINE;
        b->at[i] = place->flush_end ? arena->start + arena->bytes - bytes : arena->start + shift;
        if (is_input(&b->operand[i]))
            memcpy(b->at[i], b->before[i], bytes);
        else
            memset(b->at[i], UNWRITTEN, bytes);
    }
}

/* ---- Verdicts ------------------------------------------------------------------------------------------------- */

static void report_header(const struct situation *at, const char *operand)
{
    FILE *out = at->check->report;
    fprintf(out, "FAIL %s row %s seed %" PRIu64 " fill '%s'", at->c->name, at->c->family->rows[at->row].name,
            at->check->seed, fill_names[at->fill]);
    for (size_t i = 0; i < at->c->dim_count; i++)
        fprintf(out, " %s=%zu", at->c->dim_names[i], at->dim[i]);
    if (at->place.flush_end)
        fputs(" flush with the end", out);
    else
        fprintf(out, " offset %zu+%zuk", at->place.offset, at->place.spread);
    if (operand != NULL)
        fprintf(out, " operand %s", operand);
    fputs(": ", out);
}

static double value_of(const struct sco_operand *operand, const unsigned char *data, size_t i)
{
    if (operand->element_bytes == sizeof(float)) {
        float f;
        memcpy(&f, data + i * sizeof f, sizeof f);
        return (double)f;
    }
    if (operand->element_bytes == sizeof(double)) {
        double d;
        memcpy(&d, data + i * sizeof d, sizeof d);
        return d;
    }
    return (double)(int8_t)data[i];
}

static void report_element(const struct situation *at, const struct sco_operand *operand, size_t i,
                           const unsigned char *got, const unsigned char *want)
{
    report_header(at, operand->name);
    FILE *out = at->check->report;
    fprintf(out, "index %zu is 0x", i);
    for (size_t k = operand->element_bytes; k-- > 0;)
        fprintf(out, "%02x", got[i * operand->element_bytes + k]);
    fprintf(out, " (%.9g), not 0x", value_of(operand, got, i));
    for (size_t k = operand->element_bytes; k-- > 0;)
        fprintf(out, "%02x", want[i * operand->element_bytes + k]);
    fprintf(out, " (%.9g)\n", value_of(operand, want, i));
}

static bool exact(const struct situation *at, const struct sco_operand *operand, const unsigned char *got,
                  const unsigned char *want)
{
    if (memcmp(got, want, bytes_of(operand)) == 0)
        return true;
    for (size_t i = 0; i < operand->count; i++) {
        const size_t offset = i * operand->element_bytes;
        if (memcmp(got + offset, want + offset, operand->element_bytes) == 0 ||
            (isnan(value_of(operand, got, i)) && isnan(value_of(operand, want, i))))
            continue;
        if (at->check->report != NULL)
            report_element(at, operand, i, got, want);
        return false;
    }
    return true;
}

/* Error of x in units of the operand's bound: more than 1 fails. */
static double excess(const struct sco_operand *operand, double x, double oracle, double scale)
{
    const double top = operand->element_bytes == sizeof(float) ? (double)FLT_MAX : DBL_MAX;
    if (isnan(oracle))
        return isnan(x) ? 0.0 : (double)INFINITY;
    /* Where magnitudes leave the format, some order of adding overflows. */
    if (!isfinite(oracle) || scale > top || fabs(oracle) > top)
        return !isfinite(x) || fabs(x - oracle) <= operand->k * 0x1p-23 * scale ? 0.0 : (double)INFINITY;
    if (!isfinite(x))
        return (double)INFINITY;

    double allowed;
    if (operand->bound == SCO_ULP) {
        const bool single = operand->element_bytes == sizeof(float);
        const double magnitude = fmax(fabs(oracle), fabs(scale));
        const int exponent = magnitude > 0.0 ? ilogb(magnitude) : -1074;
        allowed = operand->k * (single ? ldexp(1.0, (exponent < -126 ? -126 : exponent) - 23)
                                       : ldexp(1.0, (exponent < -1022 ? -1022 : exponent) - 52));
    } else {
        /* A product that falls among the denormals is off by an absolute amount. */
        allowed = operand->k * (0x1p-24 * fabs(scale) + 0x1p-149);
    }
    const double error = fabs(x - oracle);
    return error == 0.0 ? 0.0 : error / allowed;
}

static bool bounded(const struct situation *at, const struct buffers *b, size_t which, double *value, double *scale)
{
    const struct sco_operand *operand = &b->operand[which];
    void *before[SCO_CASE_OPERANDS];
    for (size_t i = 0; i < b->count; i++)
        before[i] = b->before[i];
    at->c->oracle(at->dim, before, which, value, scale);

    size_t worst = 0;
    double most = 0.0;
    for (size_t i = 0; i < operand->count; i++) {
        const double e = excess(operand, value_of(operand, b->at[which], i), value[i], scale[i]);
        if (e > most)
            most = e, worst = i;
    }
    if (most <= 1.0)
        return true;
    if (at->check->report != NULL) {
        report_header(at, operand->name);
        fprintf(at->check->report, "index %zu is %a (%.9g), not %a (%.9g), scale %.9g: %.3g times the bound\n", worst,
                value_of(operand, b->at[which], worst), value_of(operand, b->at[which], worst), value[worst],
                value[worst], scale[worst], most);
    }
    return false;
}

/* First byte of [from, to) that is no canary, or to. Comparing the range with itself one byte on is fast where all is well. */
static const unsigned char *first_touched(const unsigned char *from, const unsigned char *to)
{
    if (from == to || (*from == CANARY && memcmp(from, from + 1, (size_t)(to - from) - 1) == 0))
        return to;
    while (*from == CANARY)
        from++;
    return from;
}

static bool untouched(const struct situation *at, const struct buffers *b, size_t which)
{
    const struct arena *arena = &b->arena[which];
    const unsigned char *begin = b->at[which], *end = begin + bytes_of(&b->operand[which]);
    const unsigned char *before = first_touched(arena->start, begin);
    const unsigned char *past = first_touched(end, arena->start + arena->bytes);
    const bool early = before != begin, late = past != arena->start + arena->bytes;
    if ((early || late) && at->check->report != NULL) {
        report_header(at, b->operand[which].name);
        fprintf(at->check->report, "wrote 0x%02x %td bytes %s the operand\n", early ? *before : *past,
                early ? begin - before : past - end, early ? "before" : "past");
    }
    return !early && !late;
}

/* ---- One call, one case ---------------------------------------------------------------------------------------- */

enum { MAX_SLOTS = 64 };
typedef void slot_fn(void);

static void locate(const struct sco_case *c, uint32_t *list, uint32_t *index)
{
    const struct sco_case_list *const *lists;
    const size_t count = sco_case_lists(&lists);
    for (*list = 0; *list < count; (*list)++)
        if (c >= lists[*list]->cases && c < lists[*list]->cases + lists[*list]->count) {
            *index = (uint32_t)(c - lists[*list]->cases);
            return;
        }
}

static void exchange(bool good)
{
    if (good)
        return;
    fputs("check_kernels: the emulator ended\n", stderr);
    exit(EXIT_FAILURE);
}

/* The same on the emulated CPU, which gets copies of the arenas and returns what the call made of them. */
static bool call_emulated(const struct situation *at, struct buffers *b, uint64_t *address)
{
    FILE *in = at->check->emulator_in, *out = at->check->emulator_out;
    uint32_t head[4] = {0, 0, (uint32_t)at->row, (uint32_t)b->count};
    uint64_t dim[SCO_CASE_DIMS] = {0};
    locate(at->c, &head[0], &head[1]);
    for (size_t i = 0; i < at->c->dim_count; i++)
        dim[i] = at->dim[i];
    exchange(fwrite(head, sizeof head, 1, in) == 1 && fwrite(dim, sizeof dim, 1, in) == 1);
    for (size_t i = 0; i < b->count; i++) {
        const uint64_t span[2] = {b->arena[i].bytes, (uint64_t)(b->at[i] - b->arena[i].start)};
        exchange(fwrite(span, sizeof span, 1, in) == 1);
    }
    for (size_t i = 0; i < b->count; i++)
        exchange(fwrite(b->arena[i].start, b->arena[i].bytes, 1, in) == 1);
    exchange(fflush(in) == 0);

    uint32_t status[2];
    exchange(fread(status, sizeof status, 1, out) == 1 && fread(address, sizeof *address, 1, out) == 1);
    for (size_t i = 0; i < b->count; i++)
        exchange(fread(b->arena[i].start, b->arena[i].bytes, 1, out) == 1);
    const bool control = (status[1] & 0xffc0u) == 0x1f80u;
    if (status[0] == 0 && control)
        return true;
    if (at->check->report != NULL) {
        report_header(at, NULL);
        if (status[0] != 0)
            fprintf(at->check->report, "exception %u, last page fault at 0x%" PRIx64 "\n", status[0] - 1, *address);
        else
            fprintf(at->check->report, "MXCSR is 0x%x\n", status[1]);
    }
    return false;
}

/* Runs the row on placed buffers. False if it faulted or left the control register changed. */
static bool call(const struct situation *at, struct buffers *b, slot_fn *const ops[])
{
    uint64_t address;
    if (at->check->emulator_in != NULL)
        return call_emulated(at, b, &address);
    void *buffer[SCO_CASE_OPERANDS];
    for (size_t i = 0; i < b->count; i++)
        buffer[i] = b->at[i];

    const uint64_t control = get_control();
    if (sigsetjmp(fault_return, 1) != 0) {
        fault_armed = 0;
        set_control(control);
        if (at->check->report == NULL)
            return false;
        const char *operand = NULL;
        const unsigned char *where = fault_address;
        for (size_t i = 0; i < b->count; i++)
            if (where >= b->arena[i].map && where < b->arena[i].map + b->arena[i].map_bytes)
                operand = b->operand[i].name;
        report_header(at, operand);
        fprintf(at->check->report, "signal %d (%s) at %p\n", fault_signal, strsignal(fault_signal), fault_address);
        return false;
    }
    fault_armed = 1;
    at->c->run(ops, at->dim, buffer);
    fault_armed = 0;

    const uint64_t after = get_control();
    if (after == control)
        return true;
    set_control(control);
    if (at->check->report != NULL) {
        report_header(at, NULL);
        fprintf(at->check->report, "floating-point control is 0x%" PRIx64 ", was 0x%" PRIx64 "\n", after, control);
    }
    return false;
}

static bool judge(const struct situation *at, const struct buffers *b, double *value, double *scale)
{
    bool good = true;
    for (size_t i = 0; i < b->count && good; i++) {
        const struct sco_operand *operand = &b->operand[i];
        if (operand->role == SCO_IN)
            good = exact(at, operand, b->at[i], b->before[i]);
        else if (operand->role == SCO_SCRATCH)
            good = true;
        else if (operand->bound == SCO_EXACT)
            good = exact(at, operand, b->at[i], b->reference[i]);
        else
            good = bounded(at, b, i, value, scale);
        good = good && untouched(at, b, i);
    }
    return good;
}

struct run {
    struct sco_check *check;
    const struct sco_case *c;
    size_t row;
    slot_fn *scalar[MAX_SLOTS], *ops[MAX_SLOTS];
    struct buffers buffers;
    double *value, *scale; /* of the oracle */
    size_t failed;
};

static void run_placements(struct run *r, const size_t dim[], enum fill fill, const struct placement *places,
                           size_t place_count)
{
    struct sco_check silent = *r->check;
    struct situation at = {r->check, r->c, r->row, dim, fill, places[0]};
    struct buffers *b = &r->buffers;
    make_inputs(b, &at);
    void *reference[SCO_CASE_OPERANDS];
    size_t longest = 1;
    for (size_t i = 0; i < b->count; i++) {
        reference[i] = b->reference[i];
        longest = longest > b->operand[i].count ? longest : b->operand[i].count;
    }
    r->c->run(r->scalar, dim, reference);
    if (r->c->oracle != NULL) {
        r->value = need(realloc(r->value, longest * sizeof(double)));
        r->scale = need(realloc(r->scale, longest * sizeof(double)));
    }

    for (size_t i = 0; i < place_count; i++) {
        at.place = places[i];
        if (r->failed >= REPORTS) {
            silent.report = NULL;
            at.check = &silent;
        }
        place(b, &at.place);
        r->check->calls++;
        if (!call(&at, b, r->ops) || !judge(&at, b, r->value, r->scale))
            r->failed++;
    }
}

/* Every offset in a line with all operands shifted alike, operands shifted apart, and flush with the end. */
static size_t all_placements(bool quick, struct placement places[])
{
    size_t count = 0;
    places[count++] = (struct placement){true, 0, 0};
    places[count++] = (struct placement){false, 3, 5};
    for (size_t offset = 0; offset < CACHE_LINE / sizeof(float); offset += quick ? 5 : 1)
        places[count++] = (struct placement){false, offset, 0};
    return count;
}

static bool is_moderate(enum fill fill)
{
    return fill == UNIFORM || fill == NORMAL || fill == SIGNED_ZERO || fill == ALL_EQUAL;
}

static void run_dims(struct run *r, const size_t dim[], bool thorough)
{
    struct placement places[2 + CACHE_LINE / sizeof(float)];
    const size_t place_count = thorough ? all_placements(r->check->quick, places) : all_placements(true, places) - 3;
    buffers_reserve(&r->buffers, r->c, dim);
    if (thorough) {
        for (int fill = 0; fill < FILLS; fill++)
            if (!r->c->finite || is_moderate((enum fill)fill))
                run_placements(r, dim, (enum fill)fill, places, place_count);
    } else {
        run_placements(r, dim, NORMAL, places, place_count);
        if (!r->c->finite)
            run_placements(r, dim, HUGE_TINY, places, 1);
    }
}

static size_t operand_bytes(const struct sco_case *c, const size_t dim[])
{
    struct sco_operand operand[SCO_CASE_OPERANDS];
    const size_t count = c->operands(dim, operand);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += bytes_of(&operand[i]);
    return bytes;
}

bool sco_check_applies(const struct sco_check *check, const struct sco_case *c, size_t row, sco_isa isa)
{
    if (check->emulator_in != NULL) { /* even fill() may hold instructions that this CPU lacks */
        const size_t dim[SCO_CASE_DIMS] = {0};
        struct buffers none = {.count = 0};
        struct situation at = {check, c, row, dim, UNIFORM, {false, 0, 0}};
        uint64_t filled = 0;
        return call_emulated(&at, &none, &filled) && filled == 1;
    }
    slot_fn *ops[MAX_SLOTS] = {NULL};
    c->family->rows[row].fill(ops, isa);
    return ops[c->slot] != NULL;
}

size_t sco_check_row(struct sco_check *check, const struct sco_case *c, size_t row, sco_isa isa)
{
    struct run r = {.check = check, .c = c, .row = row};
    struct sigaction old[SCO_LEN(fault_signals)];
    sco_family_pin(c->family, 0, isa, r.scalar);
    if (check->emulator_in == NULL)
        sco_family_pin(c->family, row, isa, r.ops);
    catch_faults(old);

    if (c->dim_count == 1) {
        for (size_t n = 0; n <= MAX_LENGTH; n += check->quick && n >= 20 ? 7 : 1)
            run_dims(&r, &n, true);
        for (size_t i = 0; i < SCO_LEN(large_lengths); i++) {
            const size_t n = large_lengths[i];
            if (operand_bytes(c, &n) <= LARGE_BYTES && (!check->quick || n <= 1025 || n == PAST_16_BITS))
                run_dims(&r, &n, false);
        }
    }
    for (size_t i = 0; i < c->shape_count; i++)
        run_dims(&r, c->shapes[i], operand_bytes(c, c->shapes[i]) <= 1 << 16);

    release_faults(old);
    buffers_free(&r.buffers);
    free(r.value);
    free(r.scale);
    return r.failed;
}

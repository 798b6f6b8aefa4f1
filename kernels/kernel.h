/* SPDX-License-Identifier: Apache-2.0
 * What every kernel family shares: the row list and the table built from it.
 *
 * A family is a struct of function pointers (its slots) and one list of rows,
 *
 *     #define SCO_ADAM_ROWS(ROW) ROW(adam, scalar, 0) SCO_HWY(ROW(adam, hwy, SCO_USE_HWY)) ...
 *
 * from which SCO_FAMILY_DECLARE makes the prototypes and SCO_FAMILY_DEFINE the table. Dispatch, checks and
 * benchmarks walk that table, so a listed row cannot escape any of them. */
#ifndef SCO_KERNEL_H
#define SCO_KERNEL_H

#include <stddef.h>

#include "stepcost/cpu.h"

#if defined(__x86_64__)
#define SCO_X86(...) __VA_ARGS__
#else
#define SCO_X86(...)
#endif
#if defined(__aarch64__)
#define SCO_ARM64(...) __VA_ARGS__
#else
#define SCO_ARM64(...)
#endif
#if defined(SCO_HAVE_HWY)
#define SCO_HWY(...) __VA_ARGS__
#else
#define SCO_HWY(...)
#endif
#if defined(SCO_HAVE_ONEDNN)
#define SCO_ONEDNN(...) __VA_ARGS__
#else
#define SCO_ONEDNN(...)
#endif

#define SCO_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Before a loop of constant trip count: unrolls it fully, and early enough for an array of vectors to live in
 * registers. Clang takes the GCC spelling too, but unrolls too late for that. */
#if defined(__clang__)
#define SCO_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SCO_UNROLL _Pragma("GCC unroll 32")
#endif

/* A function whose constant arguments select what a kernel does: always inlined, so that they cost nothing. */
#define SCO_INLINE static inline __attribute__((always_inline))

/* A row: an implementation of some slots of a family. fill() writes the slots it improves and leaves the rest;
 * it lives in a file with ISA flags, so it may be called only where need is available. isa is the mask in
 * force, for rows that choose among several targets themselves (Highway). */
struct sco_row {
    const char *name;
    sco_isa need;
    void (*fill)(void *ops, sco_isa isa);
};

struct sco_family {
    const char *name;
    const struct sco_row *rows; /* rows[0] is scalar and fills every slot; later rows win where both apply */
    size_t row_count;
    const char *const *slots; /* names of the function pointers in the table, in order */
    size_t slot_count;
};

#define SCO_ROW_PROTOTYPE(family, row, need) void sco_##family##_fill_##row(void *ops, sco_isa isa);
#define SCO_ROW_ENTRY(family, row, need)     {#row, need, sco_##family##_fill_##row},

/* In the family's header, and in its scalar file. ops_type holds nothing but function pointers. */
#define SCO_FAMILY_DECLARE(family, ROWS)                                                                               \
    ROWS(SCO_ROW_PROTOTYPE)                                                                                            \
    extern const struct sco_family sco_##family##_family;
#define SCO_FAMILY_DEFINE(family, ROWS, ops_type, ...)                                                                 \
    static const struct sco_row family##_rows[] = {ROWS(SCO_ROW_ENTRY)};                                               \
    static const char *const family##_slots[] = {__VA_ARGS__};                                                         \
    _Static_assert(sizeof(ops_type) == SCO_LEN(family##_slots) * sizeof(void (*)(void)), "one name per slot");         \
    const struct sco_family sco_##family##_family = {#family, family##_rows, SCO_LEN(family##_rows), family##_slots,   \
                                                     SCO_LEN(family##_slots)};

/* Fills ops from every row whose need is within isa, in order. Pure: no globals. ops is overwritten. */
void sco_family_resolve(const struct sco_family *family, sco_isa isa, void *ops);

/* Fills ops from rows[0] and then from rows[row] alone, for STEPCOST_ROW, checks and timing. */
void sco_family_pin(const struct sco_family *family, size_t row, sco_isa isa, void *ops);

/* Index of the row that a resolved table took slot from: the last one that fills it within isa. */
size_t sco_family_source(const struct sco_family *family, sco_isa isa, size_t slot);

#endif

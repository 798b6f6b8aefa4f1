/* SPDX-License-Identifier: Apache-2.0
 * What an emulated CPU is given: the kernels and their cases as one static image without a C library, and one function
 * to call. The image is linked with unresolved symbols allowed, since what only scalar rows and oracles need (libm) is
 * never reached; a call to one of them would fetch from address 0, which is not mapped, and fail the check. */
#include <stdint.h>

#include "kernels/case.h"

typedef void slot_fn(void);
enum { MAX_SLOTS = 64 };

uint64_t sco_emulated_call(size_t list, size_t index, size_t row, const size_t dim[], void *const buffer[]);
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);

/* Whether the row fills the case's slot; runs it unless buffer is NULL. */
uint64_t sco_emulated_call(size_t list, size_t index, size_t row, const size_t dim[], void *const buffer[])
{
    slot_fn *ops[MAX_SLOTS] = {NULL};
    const struct sco_case_list *const *lists;
    sco_case_lists(&lists);
    const struct sco_case *c = &lists[list]->cases[index];
    c->family->rows[row].fill(ops, SCO_ISA_AVX512 | SCO_ISA_AVX2);
    if (buffer != NULL)
        c->run(ops, dim, buffer);
    return ops[c->slot] != NULL;
}

/* Compilers call these for copies and initialisers; written so that they are not turned into calls of themselves. */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    return memmove(to, from, bytes);
}

void *memmove(void *to, const void *from, size_t bytes)
{
    volatile unsigned char *t = to;
    const unsigned char *f = from;
    if (t <= f)
        for (size_t i = 0; i < bytes; i++)
            t[i] = f[i];
    else
        for (size_t i = bytes; i-- > 0;)
            t[i] = f[i];
    return to;
}

void *memset(void *to, int byte, size_t bytes)
{
    volatile unsigned char *t = to;
    for (size_t i = 0; i < bytes; i++)
        t[i] = (unsigned char)byte;
    return to;
}

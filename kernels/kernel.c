/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernel.h"

#include <assert.h>
#include <string.h>

enum { MAX_SLOTS = 32 };

void sco_family_resolve(const struct sco_family *family, sco_isa isa, void *ops)
{
    for (size_t i = 0; i < family->row_count; i++)
        if ((family->rows[i].need & ~isa) == 0)
            family->rows[i].fill(ops, isa);
}

void sco_family_pin(const struct sco_family *family, size_t row, sco_isa isa, void *ops)
{
    assert(row < family->row_count && (family->rows[row].need & ~isa) == 0);
    family->rows[0].fill(ops, isa);
    if (row != 0)
        family->rows[row].fill(ops, isa);
}

size_t sco_family_source(const struct sco_family *family, sco_isa isa, size_t slot)
{
    typedef void fn(void);
    assert(slot < family->slot_count && family->slot_count <= MAX_SLOTS);
    size_t source = 0;
    for (size_t i = 0; i < family->row_count; i++) {
        if ((family->rows[i].need & ~isa) != 0)
            continue;
        fn *ops[MAX_SLOTS];
        memset(ops, 0, sizeof ops);
        family->rows[i].fill(ops, isa);
        if (ops[slot] != NULL)
            source = i;
    }
    return source;
}

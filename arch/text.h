/* SPDX-License-Identifier: Apache-2.0
 * Text built piece by piece in a buffer of the caller. */
#ifndef SCO_ARCH_TEXT_H
#define SCO_ARCH_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "stepcost/export.h"

/* used counts what the whole text needs, as snprintf does: used >= bytes means that it was cut. */
struct sco_text {
    char *buffer;
    size_t bytes, used;
};

void sco_text_add(struct sco_text *text, const char *format, ...) SCO_PRINTF(2, 3);

/* Whether word is one of the words of list, which commas separate. */
bool sco_text_listed(const char *list, const char *word);

#endif

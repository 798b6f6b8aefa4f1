/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sco_text_add(struct sco_text *text, const char *format, ...)
{
    const size_t left = text->used < text->bytes ? text->bytes - text->used : 0;
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(left ? text->buffer + text->used : NULL, left, format, args);
    va_end(args);
    if (n > 0)
        text->used += (size_t)n;
}

bool sco_text_listed(const char *list, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = list;; at++) {
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
        at = strchr(at, ',');
        if (at == NULL)
            return false;
    }
}

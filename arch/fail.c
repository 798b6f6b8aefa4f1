/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[SCO_MESSAGE_BYTES];

enum sco_status sco_fail(enum sco_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return status;
}

enum sco_status sco_fail_context(enum sco_status status, const char *format, ...)
{
    char inner[SCO_MESSAGE_BYTES];
    memcpy(inner, message, sizeof inner);

    va_list args;
    va_start(args, format);
    const int n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof message)
        snprintf(message + n, sizeof message - (size_t)n, ": %s", inner);
    return status;
}

const char *sco_error_message(void)
{
    return message;
}

const char *sco_status_name(enum sco_status status)
{
    switch (status) {
    case SCO_OK: return "ok";
    case SCO_INVALID: return "invalid";
    case SCO_SHAPE: return "shape";
    case SCO_UNSUPPORTED: return "unsupported";
    case SCO_NOMEM: return "nomem";
    case SCO_IO: return "io";
    case SCO_FORMAT: return "format";
    case SCO_NONFINITE: return "nonfinite";
    }
    return "unknown";
}

/* SPDX-License-Identifier: Apache-2.0
 * How the library fails: one formatted message per thread, one status to return. */
#ifndef SCO_ARCH_FAIL_H
#define SCO_ARCH_FAIL_H

#include "stepcost/status.h"

/* Stores the formatted message (cut at SCO_MESSAGE_BYTES - 1) and returns status, so that a check
 * reads as one line: return sco_fail(SCO_SHAPE, "tensor %s: ...", name). */
enum { SCO_MESSAGE_BYTES = 1024 };
enum sco_status sco_fail(enum sco_status status, const char *format, ...) SCO_PRINTF(2, 3);

/* Puts text in front of the stored message: a caller adds the file or tensor it was working on. */
enum sco_status sco_fail_context(enum sco_status status, const char *format, ...) SCO_PRINTF(2, 3);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Status codes of every fallible call, and the text of the last failure. */
#ifndef STEPCOST_STATUS_H
#define STEPCOST_STATUS_H

#include "stepcost/export.h"

SCO_BEGIN_DECLS

/* The numbers are part of the ABI and of the documented exit codes; they never change. */
enum sco_status {
    SCO_OK = 0,
    SCO_INVALID = 10,     /* an argument, flag or environment variable has an impossible value */
    SCO_SHAPE = 11,       /* a shape is impossible or two shapes disagree */
    SCO_UNSUPPORTED = 20, /* valid, but not on this CPU, build or machine */
    SCO_NOMEM = 30,       /* memory was refused, or would not fit */
    SCO_IO = 40,          /* the operating system refused a file operation */
    SCO_FORMAT = 41,      /* a file is not what it should be */
    SCO_NONFINITE = 50    /* NaN or Inf in a gradient, a loss or a state */
};

/* The thread's last failure: what was wrong, where, and how to fix it, with the offending values.
 *
 * Returns   a string that stays valid until the next failure in the same thread; "" before any.
 * Threads   one message per thread. */
SCO_API const char *sco_error_message(void);

/* A short name of a status ("invalid", "format", ...), never NULL. */
SCO_API const char *sco_status_name(enum sco_status status);

SCO_END_DECLS
#endif

/* SPDX-License-Identifier: Apache-2.0
 * Recorded optimizer runs: arrays by key, and facts about the run. */
#ifndef STEPCOST_TRACE_H
#define STEPCOST_TRACE_H

#include <stddef.h>

#include "stepcost/tensor.h"

SCO_BEGIN_DECLS

struct sco_trace;

enum sco_trace_type { SCO_TRACE_F32, SCO_TRACE_I32, SCO_TRACE_I8 };

enum { SCO_TRACE_MAX_RANK = SCO_MAX_RANK + 1 }; /* a state array has one axis more than its tensor */

struct sco_trace_array {
    const char *key;
    enum sco_trace_type type;
    size_t rank;
    size_t shape[SCO_TRACE_MAX_RANK];
    size_t elements;
    const void *data; /* row major, aligned to its element */
};

/* Reads dir/name.idx, dir/name.bin and dir/name.json (format: tests/golden/velo/README.md).
 *
 * Memory    file limits 1 GiB (bin) and 64 MiB (idx, json).
 * Errors    SCO_IO: a file cannot be read; SCO_FORMAT: an index line that does not parse, a repeated key, a size that
 * disagrees with its shape, an array outside the bin file or at a misaligned offset, a json that is not an object;
 *           SCO_SHAPE: rank above SCO_TRACE_MAX_RANK; SCO_NOMEM. Messages name the file and the line. */
SCO_API enum sco_status sco_trace_open(struct sco_trace **trace, const char *dir, const char *name);
SCO_API void sco_trace_close(struct sco_trace *trace); /* NULL is a no-op */

/* The array of that key, formatted as by printf ("s%03zu/p/%zu"); NULL when there is none. */
SCO_API const struct sco_trace_array *sco_trace_find(const struct sco_trace *trace, const char *format, ...)
    SCO_PRINTF(2, 3);

/* Arrays in key order (strcmp); NULL past the end. */
SCO_API const struct sco_trace_array *sco_trace_at(const struct sco_trace *trace, size_t index);

/* A fact from the json file: key, or outer/key ("num_steps", "hparams/lr").
 * Errors    SCO_FORMAT: absent or of another type; the message names file and key. */
SCO_API enum sco_status sco_trace_number(const struct sco_trace *trace, const char *key, double *value);
SCO_API enum sco_status sco_trace_text(const struct sco_trace *trace, const char *key, const char **value);

SCO_API const char *sco_trace_name(const struct sco_trace *trace);

SCO_END_DECLS
#endif

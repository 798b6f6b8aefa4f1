/* SPDX-License-Identifier: Apache-2.0
 * Whole files, bounded on the way in and atomic on the way out. */
#ifndef SCO_IO_FILE_H
#define SCO_IO_FILE_H

#include <stddef.h>

#include "stepcost/status.h"

/* Reads a regular file into memory from sco_alloc, which the caller frees; a zero byte follows the size bytes. A file
 * above limit bytes is refused before it is read, and so is one that shrinks or grows meanwhile.
 * Errors    SCO_IO, SCO_FORMAT (above limit), SCO_NOMEM; the message starts with path. */
enum sco_status sco_file_read(const char *path, size_t limit, unsigned char **bytes, size_t *size);

/* Replaces path by count parts in a row: written to a temporary file in the same folder, synced, renamed. On error path
 * is what it was before and the temporary file is gone.
 * Errors    SCO_IO; the message starts with path. */
struct sco_file_part {
    const void *bytes;
    size_t size;
};
enum sco_status sco_file_write_parts(const char *path, const struct sco_file_part *parts, size_t count);

/* The same of one part. */
enum sco_status sco_file_write(const char *path, const void *bytes, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Lines of a text file, plain or gzip, that knows where it is. */
#ifndef SCO_IO_GZIP_LINES_H
#define SCO_IO_GZIP_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stepcost/status.h"

struct sco_lines;

/* Opens a regular file; lines may have limit bytes. What ends in ".gz" must be gzip, anything else may be.
 * Memory    about 512 KiB and limit.
 * Errors    SCO_IO, SCO_FORMAT, SCO_NOMEM; every message here starts with path. */
enum sco_status sco_lines_open(struct sco_lines **lines, const char *path, size_t limit);
void sco_lines_close(struct sco_lines *lines); /* NULL is a no-op */

/* The next line without its end (LF or CR LF), valid until the following call; not terminated. The last line may lack its
 * end. *text is NULL past the last one.
 * Errors    SCO_FORMAT: a line above the limit, which is passed over, so that the call after it reads on; gzip data that is
 *           cut short or damaged, SCO_IO: both for good. */
enum sco_status sco_lines_next(struct sco_lines *lines, const char **text, size_t *bytes);

/* Nothing can be read any more: every next call fails as the last one did. */
bool sco_lines_broken(const struct sco_lines *lines);

/* Fails for the last line: "path: line N: ...". */
enum sco_status sco_lines_fail(const struct sco_lines *lines, const char *format, ...) SCO_PRINTF(2, 3);

const char *sco_lines_path(const struct sco_lines *lines);
uint64_t sco_lines_number(const struct sco_lines *lines); /* of the last line, from 1 */

/* Where the next line starts in the text, and a jump to such a place, after line number. */
uint64_t sco_lines_offset(const struct sco_lines *lines);
bool sco_lines_plain(const struct sco_lines *lines); /* a jump costs nothing; in gzip it reads up to there */
enum sco_status sco_lines_jump(struct sco_lines *lines, uint64_t offset, uint64_t number);

#endif

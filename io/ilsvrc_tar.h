/* SPDX-License-Identifier: Apache-2.0
 * Members of an uncompressed tar file, by where their bytes lie. */
#ifndef SCO_IO_ILSVRC_TAR_H
#define SCO_IO_ILSVRC_TAR_H

#include <stdint.h>

#include "stepcost/status.h"

/* name is valid during the call. */
typedef enum sco_status sco_tar_member_fn(void *argument, const char *name, uint64_t offset, uint64_t size);

/* Calls member for every regular file of the tar at bytes from .. to - 1 of fd, in their order, and stops at the first
 * error. Headers alone are read. Offsets count from the start of fd; offset + size <= to.
 * Errors    SCO_IO, SCO_FORMAT: begins with path and the byte; SCO_UNSUPPORTED: built without libarchive; what member
 * says. */
enum sco_status sco_tar_walk(int fd, const char *path, uint64_t from, uint64_t to, sco_tar_member_fn *member,
                             void *argument);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Aligned memory and huge pages. */
#ifndef STEPCOST_MEMORY_H
#define STEPCOST_MEMORY_H

#include <stddef.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

enum { SCO_ALIGN = 64 }; /* bytes: a cache line, and the widest vector */

/* bytes of memory at a 64-byte boundary, contents undefined; NULL when refused or when bytes overflows.
 * bytes = 0 gives a unique pointer that may be freed. Allocations of 4 MiB and more are page-aligned,
 * ask for transparent huge pages, and are not touched: the first thread that writes a page places it. */
SCO_API void *sco_alloc(size_t bytes);
SCO_API void *sco_alloc_zero(size_t bytes); /* the same, zeroed; large ones by the kernel, untouched */
SCO_API void sco_free(void *memory);        /* NULL is a no-op */

/* Bytes of memory that can be allocated now without swapping (MemAvailable, cut by a cgroup limit);
 * 0 when it cannot be told. */
SCO_API size_t sco_memory_available(void);

SCO_END_DECLS
#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCO_ARCH_MEMORY_H
#define SCO_ARCH_MEMORY_H

#include "stepcost/memory.h"

/* sco_memory_available as seen by the /proc and /sys under root, so that a test can lay out a machine. */
size_t sco_memory_available_under(const char *root);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/memory.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* 4 MiB: two x86-64 huge pages, so that at least one whole aligned one fits wherever the mapping starts. Smaller blocks
 * gain nothing from their own mapping and would pay its page faults at every allocation. */
static const size_t map_bytes_min = (size_t)4 << 20;
static const size_t huge_page = (size_t)2 << 20;

/* Every block is preceded by one line that tells sco_free where it came from. */
struct block {
    void *start;
    size_t mapped_bytes; /* 0: from aligned_alloc */
};
_Static_assert(sizeof(struct block) <= SCO_ALIGN, "the header is one line");

static void *finish(void *start, size_t mapped_bytes, size_t offset)
{
    char *memory = (char *)start + offset;
    *(struct block *)(void *)(memory - SCO_ALIGN) = (struct block){start, mapped_bytes};
    return memory;
}

static void *allocate(size_t bytes, int zero)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (bytes > SIZE_MAX / 2)
        return NULL;
    if (bytes < map_bytes_min) {
        const size_t total = (bytes + 2 * SCO_ALIGN - 1) / SCO_ALIGN * SCO_ALIGN;
        void *start = aligned_alloc(SCO_ALIGN, total);
        if (start == NULL)
            return NULL;
        if (zero)
            memset(start, 0, total);
        return finish(start, 0, SCO_ALIGN);
    }
    /* One page in front holds the header, so that writing it does not place the block's first page. The data starts at a
     * huge-page boundary: whole huge pages only then. */
    const size_t total = bytes + page + huge_page;
    char *start = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    const uintptr_t data = ((uintptr_t)start + page + huge_page - 1) / huge_page * huge_page;
    const size_t offset = data - (uintptr_t)start;
    /* Advice: where transparent huge pages are off the block has small ones, which is slower and still right. */
    madvise(start + offset, bytes, MADV_HUGEPAGE);
    return finish(start, total, offset);
}

void *sco_alloc(size_t bytes)
{
    return allocate(bytes, 0);
}

void *sco_alloc_zero(size_t bytes)
{
    return allocate(bytes, 1);
}

void sco_free(void *memory)
{
    if (memory == NULL)
        return;
    const struct block block = *(const struct block *)(const void *)((const char *)memory - SCO_ALIGN);
    if (block.mapped_bytes != 0)
        munmap(block.start, block.mapped_bytes);
    else
        free(block.start);
}

enum { PATH_BYTES = 512, LINE_BYTES = 512 };

/* The number after key at the start of a line of root/path, or missing. */
static uint64_t read_field(const char *path, const char *key, uint64_t missing)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return missing;
    char line[LINE_BYTES];
    uint64_t value = missing;
    const size_t n = strlen(key);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, n) == 0 && sscanf(line + n, "%" SCNu64, &value) == 1)
            break;
    fclose(file);
    return value;
}

/* What a group may still take: its limit less its use, where clean file pages count as free because the kernel drops
 * them before it refuses memory. UINT64_MAX without a limit ("max" does not parse as a number). */
static uint64_t group_left(const char *group, const char *limit_file, const char *usage_file, const char *inactive)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", group, limit_file);
    const uint64_t limit = read_field(path, "", UINT64_MAX);
    snprintf(path, sizeof path, "%s/%s", group, usage_file);
    uint64_t usage = read_field(path, "", 0);
    snprintf(path, sizeof path, "%s/memory.stat", group);
    const uint64_t clean = read_field(path, inactive, 0);
    usage = usage > clean ? usage - clean : 0;
    if (limit == UINT64_MAX)
        return UINT64_MAX;
    return limit > usage ? limit - usage : 0;
}

/* The tightest limit on the way from the process's group up to the mount: a parent binds all that is below it. A path
 * that is not visible from here (a container that sees the host's name of its group) is skipped level by level. */
static uint64_t groups_left(const char *mount, const char *name, int v1)
{
    char group[PATH_BYTES];
    const int n = snprintf(group, sizeof group, "%s%s", mount, name);
    if (n < 0 || (size_t)n >= sizeof group)
        return UINT64_MAX;
    uint64_t left = UINT64_MAX;
    for (;;) {
        const uint64_t here =
            v1 ? group_left(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
               : group_left(group, "memory.max", "memory.current", "inactive_file ");
        left = here < left ? here : left;
        char *slash = strrchr(group, '/');
        if (slash == NULL || slash < group + strlen(mount))
            return left;
        *slash = '\0';
    }
}

size_t sco_memory_available_under(const char *root)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    const uint64_t kib = read_field(path, "MemAvailable:", UINT64_MAX);
    uint64_t left = kib == UINT64_MAX ? UINT64_MAX : kib * 1024;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    char line[LINE_BYTES];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        /* "0::/name" is version 2, "ID:memory:/name" version 1. */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *name = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (name == NULL)
            continue;
        *name++ = '\0';
        const int v2 = strcmp(line, "0:") == 0, v1 = strcmp(controllers, ":memory") == 0;
        if (!v1 && !v2)
            continue;
        snprintf(path, sizeof path, "%s/sys/fs/cgroup%s", root, v1 ? "/memory" : "");
        const uint64_t here = groups_left(path, strcmp(name, "/") == 0 ? "" : name, v1);
        left = here < left ? here : left;
    }
    if (file != NULL)
        fclose(file);
    if (left == UINT64_MAX)
        return 0;
    return left < SIZE_MAX ? (size_t)left : SIZE_MAX;
}

size_t sco_memory_available(void)
{
    return sco_memory_available_under("");
}

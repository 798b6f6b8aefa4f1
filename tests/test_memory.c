/* SPDX-License-Identifier: Apache-2.0
 * Aligned memory, and what is left of it under the limits of a control group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/memory.h"

static const size_t mib = (size_t)1 << 20;

static void test_alignment(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 4 * mib - 1, 4 * mib, 4 * mib + 1, 37 * mib + 5};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *a = sco_alloc(sizes[i]), *z = sco_alloc_zero(sizes[i]);
        assert_non_null(a);
        assert_non_null(z);
        assert_ptr_not_equal(a, z);
        const uintptr_t align = sizes[i] < 4 * mib ? SCO_ALIGN : (uintptr_t)sysconf(_SC_PAGESIZE);
        assert_int_equal((uintptr_t)a % align, 0);
        assert_int_equal((uintptr_t)z % align, 0);
        for (size_t j = 0; j < sizes[i]; j++)
            if (z[j] != 0)
                fail_msg("byte %zu of %zu is not zero", j, sizes[i]);
        memset(a, 0xa5, sizes[i]);
        memset(z, 0x5a, sizes[i]);
        sco_free(a);
        sco_free(z);
    }
    sco_free(NULL);
}

static void test_refused(void **state)
{
    (void)state;
    assert_null(sco_alloc(SIZE_MAX));
    assert_null(sco_alloc(SIZE_MAX - 63));
    assert_null(sco_alloc_zero(SIZE_MAX / 2));
}

/* A large block has no page behind it until somebody writes, else its place would be the allocating thread's node. */
static void test_untouched(void **state)
{
    (void)state;
    enum { PAGES = 4096 };
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = 16 * mib;
    unsigned char resident[PAGES];
    assert_true(bytes / page <= PAGES);
    char *memory = sco_alloc_zero(bytes);
    assert_non_null(memory);
    assert_int_equal(mincore(memory, bytes, resident), 0);
    for (size_t i = 0; i < bytes / page; i++)
        assert_int_equal(resident[i] & 1, 0);
    sco_free(memory);
}

static void write_file(const char *root, const char *path, const char *text)
{
    char name[512];
    snprintf(name, sizeof name, "%s/%s", root, path);
    for (char *slash = name + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        mkdir(name, 0700);
    }
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

struct fake_file {
    const char *path, *text;
};

static size_t available_in(const struct fake_file *files, size_t count)
{
    char root[] = "stepcost-memory-XXXXXX", command[64];
    assert_non_null(mkdtemp(root));
    for (size_t i = 0; i < count; i++)
        write_file(root, files[i].path, files[i].text);
    const size_t bytes = sco_memory_available_under(root);
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
    return bytes;
}
#define AVAILABLE(...)                                                                                                 \
    available_in((const struct fake_file[]){__VA_ARGS__},                                                              \
                 sizeof(const struct fake_file[]){__VA_ARGS__} / sizeof(struct fake_file))

#define MEMINFO                                                                                                        \
    {                                                                                                                  \
        "proc/meminfo", "MemTotal:  9000000 kB\nMemFree: 1 kB\nMemAvailable:    4000000 kB\n"                          \
    }

static void test_available(void **state)
{
    (void)state;
    const size_t machine = (size_t)4000000 * 1024;
    assert_int_equal(AVAILABLE({"proc/none", ""}), 0);
    assert_int_equal(AVAILABLE(MEMINFO), machine);

    /* Version 2: a parent may be tighter than the group itself; clean file pages are not lost. */
    assert_int_equal(AVAILABLE(MEMINFO, {"proc/self/cgroup", "0::/a/b\n"}, {"sys/fs/cgroup/a/b/memory.max", "max\n"},
                               {"sys/fs/cgroup/a/b/memory.current", "5000\n"}),
                     machine);
    assert_int_equal(AVAILABLE(MEMINFO, {"proc/self/cgroup", "0::/a/b\n"}, {"sys/fs/cgroup/a/b/memory.max", "900000\n"},
                               {"sys/fs/cgroup/a/b/memory.current", "100000\n"},
                               {"sys/fs/cgroup/a/memory.max", "500000\n"},
                               {"sys/fs/cgroup/a/memory.current", "200000\n"},
                               {"sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 50000\n"}),
                     350000);
    /* In a container the group is the mount itself. */
    assert_int_equal(AVAILABLE(MEMINFO, {"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/memory.max", "300000\n"},
                               {"sys/fs/cgroup/memory.current", "400000\n"}),
                     0);
    /* Version 1, with a name that is visible only on the host. */
    assert_int_equal(AVAILABLE(MEMINFO, {"proc/self/cgroup", "9:cpu,cpuacct:/x\n4:memory:/docker/f00\n0::/\n"},
                               {"sys/fs/cgroup/memory/memory.limit_in_bytes", "700000\n"},
                               {"sys/fs/cgroup/memory/memory.usage_in_bytes", "300000\n"},
                               {"sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 100000\n"}),
                     500000);
    assert_true(sco_memory_available() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_untouched),
        cmocka_unit_test(test_available),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

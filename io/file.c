/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/fail.h"
#include "stepcost/memory.h"

/* Reads until size bytes or the end of the file; returns what was read, -1 on error. */
static ssize_t read_all(int fd, unsigned char *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        const ssize_t n = read(fd, bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

enum sco_status sco_file_read(const char *path, size_t limit, unsigned char **bytes, size_t *size)
{
    enum sco_status status = SCO_OK;
    unsigned char *memory = NULL;
    size_t expected = 0;
    struct stat info;
    /* O_NONBLOCK: a FIFO without a writer must not hang the open; it has no effect on a regular file. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return sco_fail(SCO_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0) {
        status = sco_fail(SCO_IO, "%s: cannot be examined: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        status = sco_fail(SCO_IO, "%s: not a regular file", path);
        goto out;
    }
    if ((uintmax_t)info.st_size > limit) {
        status = sco_fail(SCO_FORMAT, "%s: %jd bytes, more than the limit of %zu", path, (intmax_t)info.st_size, limit);
        goto out;
    }
    expected = (size_t)info.st_size;
    memory = sco_alloc(expected + 1); /* the spare byte tells a file that grows from one that ends here */
    if (memory == NULL) {
        status = sco_fail(SCO_NOMEM, "%s: no memory for its %zu bytes", path, expected);
        goto out;
    }
    const ssize_t got = read_all(fd, memory, expected + 1);
    if (got < 0)
        status = sco_fail(SCO_IO, "%s: cannot be read: %s", path, strerror(errno));
    else if ((size_t)got != expected)
        status = sco_fail(SCO_IO, "%s: changed from %zu bytes while it was read; try again", path, expected);
    else
        memory[expected] = '\0';
out:
    close(fd);
    if (status != SCO_OK) {
        sco_free(memory);
        return status;
    }
    *bytes = memory;
    *size = expected;
    return SCO_OK;
}

static int write_all(int fd, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Makes the rename itself durable. A file system that cannot sync a folder says EINVAL; that is its choice. */
static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (folder == NULL)
        return -1;
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0)
        return -1;
    const int failed = fsync(fd) != 0 && errno != EINVAL;
    const int error = errno;
    close(fd);
    errno = error;
    return failed ? -1 : 0;
}

/* Opens a new file beside path; *temporary receives its name. mkstemp would grant the owner alone, and the umask that
 * other programs honour cannot be read without changing it for all threads: open applies it. */
static int open_beside(const char *path, char **temporary)
{
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        if (asprintf(temporary, "%s.%ld-%u.tmp", path, (long)getpid(), attempt) < 0) {
            *temporary = NULL;
            errno = ENOMEM;
            return -1;
        }
        const int fd = open(*temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0)
            return fd;
        free(*temporary);
        *temporary = NULL;
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

enum sco_status sco_file_write(const char *path, const void *bytes, size_t size)
{
    const struct sco_file_part part = {bytes, size};
    return sco_file_write_parts(path, &part, 1);
}

enum sco_status sco_file_write_parts(const char *path, const struct sco_file_part *parts, size_t count)
{
    enum sco_status status = SCO_OK;
    char *temporary;
    const int fd = open_beside(path, &temporary);
    if (fd < 0)
        return sco_fail(SCO_IO, "%s: no temporary file can be made beside it: %s", path, strerror(errno));
    size_t size = 0;
    int failed = 0;
    for (size_t i = 0; i < count && !failed; i++) {
        failed = write_all(fd, parts[i].bytes, parts[i].size) != 0;
        size += parts[i].size;
    }
    if (failed || fsync(fd) != 0)
        status = sco_fail(SCO_IO, "%s: cannot be written (%zu bytes): %s", path, size, strerror(errno));
    if (close(fd) != 0 && status == SCO_OK)
        status = sco_fail(SCO_IO, "%s: cannot be written (%zu bytes): %s", path, size, strerror(errno));
    if (status == SCO_OK && rename(temporary, path) != 0)
        status = sco_fail(SCO_IO, "%s: cannot be replaced: %s", path, strerror(errno));
    if (status != SCO_OK)
        unlink(temporary);
    else if (sync_folder(path) != 0)
        status = sco_fail(SCO_IO, "%s: written, but its folder cannot be synced: %s", path, strerror(errno));
    free(temporary);
    return status;
}

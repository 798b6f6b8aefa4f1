/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/fail.h"
#include "evaluation/run.h"

enum sco_status sco_record_open(struct sco_record *record, const char *folder, const char *name)
{
    struct stat info;
    record->fd = -1;
    if (asprintf(&record->path, "%s/%s", folder, name) < 0) {
        record->path = NULL;
        return sco_fail(SCO_NOMEM, "%s: no memory for a name", folder);
    }
    record->fd = open(record->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (record->fd < 0 || fstat(record->fd, &info) != 0)
        return sco_fail(SCO_IO, "%s: cannot be opened for writing: %s", record->path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return sco_fail(SCO_IO, "%s: not a regular file", record->path);
    if (flock(record->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return sco_fail(SCO_INVALID, "%s: another run writes to it; wait for it, or choose another folder",
                        record->path);
    record->bytes = (uint64_t)info.st_size;
    return SCO_OK;
}

void sco_record_close(struct sco_record *record)
{
    if (record->path == NULL)
        return;
    if (record->fd >= 0)
        close(record->fd);
    free(record->path);
    record->path = NULL;
    record->fd = -1;
}

enum sco_status sco_record_cut(struct sco_record *record, uint64_t bytes)
{
    if (record->bytes < bytes)
        return sco_fail(SCO_FORMAT, "%s: has %" PRIu64 " bytes, the checkpoint was saved with %" PRIu64, record->path,
                        record->bytes, bytes);
    if (ftruncate(record->fd, (off_t)bytes) != 0)
        return sco_fail(SCO_IO, "%s: cannot be cut to %" PRIu64 " bytes: %s", record->path, bytes, strerror(errno));
    record->bytes = bytes;
    return SCO_OK;
}

enum sco_status sco_record_line(struct sco_record *record, const char *text, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        const ssize_t n = write(record->fd, text + done, bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            const int error = n < 0 ? errno : ENOSPC;
            /* The line goes whole or not at all; if this fails too, the next sitting cuts it. */
            const int cut = ftruncate(record->fd, (off_t)record->bytes);
            return sco_fail(SCO_IO, "%s: %zu bytes could not be written at byte %" PRIu64 "%s: %s", record->path,
                            bytes - done, record->bytes + done, cut == 0 ? "" : ", a part stays", strerror(error));
        }
        done += (size_t)n;
    }
    record->bytes += bytes;
    return SCO_OK;
}

enum sco_status sco_record_object(struct sco_record *record, json_t *object)
{
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL, *line = NULL;
    const int bytes = text != NULL ? asprintf(&line, "%s\n", text) : -1;
    enum sco_status status = bytes < 0 ? sco_fail(SCO_NOMEM, "%s: no memory for an event", record->path)
                                       : sco_record_line(record, line, (size_t)bytes);
    if (bytes >= 0)
        free(line);
    free(text);
    json_decref(object);
    return status;
}

enum sco_status sco_record_sync(const struct sco_record *record)
{
    if (fdatasync(record->fd) != 0)
        return sco_fail(SCO_IO, "%s: %" PRIu64 " bytes could not be synced: %s", record->path, record->bytes,
                        strerror(errno));
    return SCO_OK;
}

enum sco_status sco_record_first(const struct sco_record *record, json_t **object)
{
    enum { MOST = 1 << 20 };
    json_error_t error;
    *object = NULL;
    char *text = malloc(MOST);
    if (text == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory", record->path);
    const ssize_t bytes = pread(record->fd, text, MOST, 0);
    const char *end = bytes > 0 ? memchr(text, '\n', (size_t)bytes) : NULL;
    enum sco_status status = SCO_OK;
    if (bytes < 0)
        status = sco_fail(SCO_IO, "%s: cannot be read: %s", record->path, strerror(errno));
    else if (end != NULL || bytes == MOST) {
        *object = end != NULL ? json_loadb(text, (size_t)(end - text), 0, &error) : NULL;
        if (!json_is_object(*object)) {
            json_decref(*object);
            *object = NULL;
            status = sco_fail(SCO_FORMAT, "%s: line 1: not an event of a run; choose another folder", record->path);
        }
    }
    free(text);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "io/gzip_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "arch/fail.h"

enum { BLOCK = 1 << 18, INPUT = 1 << 17 };

struct sco_lines {
    char *path;
    gzFile file;
    size_t limit;
    uint64_t number;        /* of the last line */
    uint64_t offset;        /* of buffer[begin] in the text */
    size_t begin, end;      /* what is left of the buffer */
    bool ended;             /* nothing follows the buffer */
    enum sco_status broken; /* nothing more can be read */
    char said[SCO_MESSAGE_BYTES];
    char buffer[]; /* BLOCK, and a line with its end */
};

void sco_lines_close(struct sco_lines *lines)
{
    if (lines == NULL)
        return;
    if (lines->file != NULL)
        gzclose_r(lines->file);
    free(lines->path);
    free(lines);
}

static bool named_gzip(const char *path)
{
    const size_t bytes = strlen(path);
    return bytes > 3 && strcmp(path + bytes - 3, ".gz") == 0;
}

enum sco_status sco_lines_open(struct sco_lines **out, const char *path, size_t limit)
{
    enum sco_status status = SCO_OK;
    struct stat info;
    struct sco_lines *lines = NULL;
    /* O_NONBLOCK: a FIFO without a writer must not hang the open; it has no effect on a regular file. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
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
    lines = malloc(sizeof *lines + BLOCK + limit + 2);
    if (lines != NULL) {
        *lines = (struct sco_lines){.limit = limit};
        lines->path = strdup(path);
    }
    if (lines == NULL || lines->path == NULL) {
        status = sco_fail(SCO_NOMEM, "%s: no memory to read it", path);
        goto out;
    }
    lines->file = gzdopen(fd, "rb");
    if (lines->file == NULL || gzbuffer(lines->file, INPUT) != 0) {
        status = sco_fail(SCO_NOMEM, "%s: no memory to read it", path);
        fd = lines->file == NULL ? fd : -1;
        goto out;
    }
    fd = -1;
    if (named_gzip(path) && gzdirect(lines->file))
        status = sco_fail(SCO_FORMAT, "%s: %s; copy it again, or take .gz off the name if it is plain text", path,
                          info.st_size == 0 ? "an empty file is no gzip data" : "byte 0: not gzip data");
out:
    if (fd >= 0)
        close(fd);
    if (status != SCO_OK) {
        sco_lines_close(lines);
        return status;
    }
    *out = lines;
    return SCO_OK;
}

/* Reads as much as the buffer has room for behind what is left. */
static enum sco_status refill(struct sco_lines *lines)
{
    memmove(lines->buffer, lines->buffer + lines->begin, lines->end - lines->begin);
    lines->end -= lines->begin;
    lines->begin = 0;
    const int got = gzread(lines->file, lines->buffer + lines->end, BLOCK);
    int error = Z_OK;
    const char *reason = gzerror(lines->file, &error);
    if (got > 0) {
        lines->end += (size_t)got;
        return SCO_OK;
    }
    lines->ended = true;
    if (error == Z_OK || error == Z_STREAM_END)
        return SCO_OK;
    const char *path = lines->path;
    const unsigned long long line = lines->number + 1;
    if (error == Z_ERRNO)
        lines->broken = sco_fail(SCO_IO, "%s: line %llu: cannot be read: %s", path, line, strerror(errno));
    else if (error == Z_BUF_ERROR)
        lines->broken =
            sco_fail(SCO_FORMAT, "%s: line %llu: the gzip data is cut short here; copy the file again", path, line);
    else if (error == Z_MEM_ERROR)
        lines->broken = sco_fail(SCO_NOMEM, "%s: line %llu: no memory to unpack it", path, line);
    else {
        /* zlib puts a name of its own in front. */
        const char *colon = strrchr(reason, ':');
        lines->broken =
            sco_fail(SCO_FORMAT, "%s: at or after line %llu: the gzip data is damaged (%s); copy the file again", path,
                     line, colon != NULL ? colon + 2 : reason);
    }
    snprintf(lines->said, sizeof lines->said, "%s", sco_error_message());
    return lines->broken;
}

enum sco_status sco_lines_next(struct sco_lines *lines, const char **text, size_t *bytes)
{
    size_t seen = 0;
    bool dropped = false; /* the line is above the limit and its start is gone */
    if (lines->broken != SCO_OK)
        return sco_fail(lines->broken, "%s", lines->said);
    for (;;) {
        const char *start = lines->buffer + lines->begin;
        const size_t left = lines->end - lines->begin;
        const char *end = left > seen ? memchr(start + seen, '\n', left - seen) : NULL;
        if (end == NULL && !lines->ended) {
            seen = left;
            if (left > lines->limit + 1) {
                dropped = true;
                lines->offset += left;
                lines->begin = lines->end;
                seen = 0;
            }
            const enum sco_status status = refill(lines);
            if (status != SCO_OK)
                return status;
            continue;
        }
        if (end == NULL && left == 0 && !dropped) {
            *text = NULL;
            *bytes = 0;
            return SCO_OK;
        }
        size_t length = end != NULL ? (size_t)(end - start) : left;
        const size_t whole = length + (end != NULL);
        lines->begin += whole;
        lines->offset += whole;
        lines->number++;
        if (length > 0 && start[length - 1] == '\r')
            length--;
        if (dropped || length > lines->limit)
            return sco_lines_fail(lines, "longer than %zu bytes", lines->limit);
        *text = start;
        *bytes = length;
        return SCO_OK;
    }
}

enum sco_status sco_lines_fail(const struct sco_lines *lines, const char *format, ...)
{
    char text[SCO_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return sco_fail(SCO_FORMAT, "%s: line %llu: %s", lines->path, (unsigned long long)lines->number, text);
}

bool sco_lines_broken(const struct sco_lines *lines)
{
    return lines->broken != SCO_OK;
}

const char *sco_lines_path(const struct sco_lines *lines)
{
    return lines->path;
}

uint64_t sco_lines_number(const struct sco_lines *lines)
{
    return lines->number;
}

uint64_t sco_lines_offset(const struct sco_lines *lines)
{
    return lines->offset;
}

bool sco_lines_plain(const struct sco_lines *lines)
{
    return gzdirect(lines->file) != 0;
}

enum sco_status sco_lines_jump(struct sco_lines *lines, uint64_t offset, uint64_t number)
{
    if (offset > (uint64_t)INT64_MAX || gzseek(lines->file, (z_off_t)offset, SEEK_SET) < 0)
        return sco_fail(SCO_IO, "%s: cannot be read from byte %llu on", lines->path, (unsigned long long)offset);
    lines->begin = lines->end = 0;
    lines->ended = false;
    lines->broken = SCO_OK;
    lines->offset = offset;
    lines->number = number;
    return SCO_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "io/ilsvrc_tar.h"

#include "arch/fail.h"

#ifdef SCO_HAVE_ARCHIVE

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The part of a file that libarchive sees. A block holds one header and little of the data, which is skipped. */
struct window {
    int fd;
    uint64_t at, to;
    unsigned char block[4096];
};

static la_ssize_t read_block(struct archive *archive, void *argument, const void **bytes)
{
    struct window *w = argument;
    const uint64_t left = w->to - w->at;
    ssize_t n;
    do {
        n = pread(w->fd, w->block, left < sizeof w->block ? (size_t)left : sizeof w->block, (off_t)w->at);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        archive_set_error(archive, errno, "%s", strerror(errno));
    else
        w->at += (uint64_t)n;
    *bytes = w->block;
    return n;
}

static la_int64_t skip_block(struct archive *archive, void *argument, la_int64_t count)
{
    (void)archive;
    struct window *w = argument;
    const uint64_t left = w->to - w->at;
    const uint64_t step = (uint64_t)count < left ? (uint64_t)count : left;
    w->at += step;
    return (la_int64_t)step;
}

enum sco_status sco_tar_walk(int fd, const char *path, uint64_t from, uint64_t to, sco_tar_member_fn *member,
                             void *argument)
{
    enum sco_status status = SCO_OK;
    struct window window = {.fd = fd, .at = from, .to = to};
    struct archive *archive = archive_read_new();
    if (archive == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory to read a tar file", path);
    archive_read_support_format_tar(archive);
    archive_read_set_read_callback(archive, read_block);
    archive_read_set_skip_callback(archive, skip_block);
    archive_read_set_callback_data(archive, &window);
    int got = archive_read_open1(archive);
    while (status == SCO_OK) {
        struct archive_entry *entry = NULL;
        if (got == ARCHIVE_OK)
            got = archive_read_next_header(archive, &entry);
        if (got == ARCHIVE_EOF)
            break;
        const la_int64_t position = archive_read_header_position(archive); /* negative before the first */
        const uint64_t header = from + (position > 0 ? (uint64_t)position : 0);
        if (got != ARCHIVE_OK) {
            const char *text = archive_error_string(archive);
            status = sco_fail(SCO_FORMAT, "%s: byte %ju: %s; fetch the tar file again", path, (uintmax_t)header,
                              text == NULL ? "not a tar file" : text);
            break;
        }
        if (archive_entry_filetype(entry) != S_IFREG || archive_entry_hardlink(entry) != NULL)
            continue;
        const char *name = archive_entry_pathname(entry);
        const la_int64_t size = archive_entry_size(entry);
        /* What the client has delivered and the format has taken: the headers up to here. */
        const uint64_t offset = from + (uint64_t)archive_filter_bytes(archive, 0);
        if (name == NULL)
            status = sco_fail(SCO_FORMAT, "%s: byte %ju: a member without a readable name", path, (uintmax_t)header);
        else if (size < 0 || offset > to || (uint64_t)size > to - offset)
            status = sco_fail(SCO_FORMAT,
                              "%s: byte %ju: member %s of %jd bytes goes beyond the end at %ju; fetch the "
                              "tar file again",
                              path, (uintmax_t)header, name, (intmax_t)size, (uintmax_t)to);
        else
            status = member(argument, name, offset, (uint64_t)size);
    }
    archive_read_free(archive);
    return status;
}

#else

enum sco_status sco_tar_walk(int fd, const char *path, uint64_t from, uint64_t to, sco_tar_member_fn *member,
                             void *argument)
{
    (void)fd, (void)from, (void)to, (void)member, (void)argument;
    return sco_fail(SCO_UNSUPPORTED, "%s: built without libarchive, which reads tar files: unpack it", path);
}

#endif

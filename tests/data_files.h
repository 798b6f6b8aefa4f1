/* SPDX-License-Identifier: Apache-2.0
 * Folders of training data that a test writes, and damages. */
#ifndef SCO_TEST_DATA_FILES_H
#define SCO_TEST_DATA_FILES_H

#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "stepcost/dataset.h"

static char data_folder[64];

static inline int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info, (void)kind, (void)at;
    return remove(path);
}

static inline void remove_data(void)
{
    if (data_folder[0] != '\0')
        nftw(data_folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    data_folder[0] = '\0';
}

/* A fresh folder in the place of the last one. */
static inline void fresh_folder(const char *name)
{
    remove_data();
    snprintf(data_folder, sizeof data_folder, "%s.XXXXXX", name);
    assert_non_null(mkdtemp(data_folder));
}

static inline const char *data_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", data_folder, name);
    return path;
}

/* Writes text, as gzip where the name says so, making folders on the way. */
static inline void write_data(const char *name, const char *text, size_t bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s", data_path(name));
    for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    const size_t length = strlen(path);
    if (length > 3 && strcmp(path + length - 3, ".gz") == 0) {
        gzFile file = gzopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(gzwrite(file, text, (unsigned)bytes), (int)bytes);
        assert_int_equal(gzclose(file), Z_OK);
        return;
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text)
{
    write_data(name, text, strlen(text));
}

static inline long size_of_file(const char *name)
{
    struct stat info;
    assert_int_equal(stat(data_path(name), &info), 0);
    return (long)info.st_size;
}

static inline void cut_file(const char *name, long bytes)
{
    assert_int_equal(truncate(data_path(name), bytes), 0);
}

static inline void flip_byte(const char *name, long at)
{
    FILE *file = fopen(data_path(name), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 0x55, file), byte ^ 0x55);
    assert_int_equal(fclose(file), 0);
}

static inline void succeeds(enum sco_status status)
{
    if (status != SCO_OK)
        fail_msg("%s", sco_error_message());
}

static inline void says(enum sco_status got, enum sco_status want, const char *text)
{
    if (got != want || strstr(sco_error_message(), text) == NULL)
        fail_msg("status %d, \"%s\"; expected %d and \"%s\"", got, got == SCO_OK ? "" : sco_error_message(), want,
                 text);
}

/* What sco_dataset_verify() found, one finding a line. */
static char findings[16384];

static inline void keep_finding(void *argument, enum sco_status status, const char *text)
{
    (void)argument;
    assert_int_not_equal(status, SCO_OK);
    const size_t used = strlen(findings);
    snprintf(findings + used, sizeof findings - used, "%s\n", text);
}

static inline struct sco_verify_result verified(enum sco_workload workload, const char *path)
{
    struct sco_verify_result result = {0};
    findings[0] = '\0';
    succeeds(sco_dataset_verify(workload, path, keep_finding, NULL, &result));
    return result;
}

static inline uint64_t mix_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

#endif

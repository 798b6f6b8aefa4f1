/* SPDX-License-Identifier: Apache-2.0
 * Named arrays in a file, in safetensors format, with a format name, a version and a checksum of our own.
 *
 *   bytes 0-7   header length L, little-endian
 *   8 .. 8+L    JSON, padded with blanks to a multiple of 8 bytes. It starts with __metadata__, all strings: format, version "1",
 *               crc32 (8 hexadecimal digits: the CRC-32 of the file with these digits taken as zeros), and what the format
 *               adds. Then one entry per array, in the order of the data: dtype, shape, data_offsets.
 *   8+L ..      the arrays, little-endian, without gaps
 *
 * Format: https://github.com/huggingface/safetensors. */
#ifndef SCO_IO_SAFETENSORS_H
#define SCO_IO_SAFETENSORS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "stepcost/status.h"

struct sco_array {
    const char *key, *dtype; /* "F32", "F64", "I8", "U8" */
    size_t rank;
    const size_t *shape;
    void *bytes;
    size_t size; /* in bytes */
};

/* Replaces path (sco_file_write_parts). meta: an object of strings, or NULL; its reference is taken. crc, unless NULL, is the
 * file's checksum.
 * Errors    SCO_IO, SCO_NOMEM. */
enum sco_status sco_safetensors_write(const char *path, const char *format, json_t *meta,
                                      const struct sco_array *arrays, size_t count, uint32_t *crc);

/* A file that is being read, from the front to the back. */
struct sco_safetensors {
    const char *path;
    int fd;
    uint64_t size, done, data; /* data: where the arrays begin */
    json_t *root;
    char stated[9];    /* the checksum in its header, digit by digit: any other bit is damage */
    uint32_t computed; /* of what was read so far */
};

/* Opens path, checks that it is of this format and reads its header. The caller closes the file after an error too.
 * Errors    SCO_IO; SCO_FORMAT: not such a file, another version, truncated or damaged (with the byte); SCO_NOMEM. */
enum sco_status sco_safetensors_open(struct sco_safetensors *file, const char *path, const char *format);
void sco_safetensors_close(struct sco_safetensors *file);

/* A string of __metadata__, or "(absent)". */
const char *sco_safetensors_meta(const struct sco_safetensors *file, const char *key);

/* Every array is there with its type, size and place, and nothing else is. */
enum sco_status sco_safetensors_check(const struct sco_safetensors *file, const struct sco_array *arrays, size_t count);

/* Reads the arrays, which have been checked, into their bytes and compares the checksum; on error they are undefined. */
enum sco_status sco_safetensors_read(struct sco_safetensors *file, const struct sco_array *arrays, size_t count);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * MessagePack, as far as a checkpoint needs it: a cursor over bytes in memory, and a writer.
 *
 * Ours rather than a library, because a checkpoint is hostile input. libmsgpack-c unpacks into objects it allocates
 * from the header's count before it has seen one item (a 5-byte file makes it ask for 96 GB); libmpack, a streaming
 * tokenizer for RPC, is bounded but cuts bodies into chunks and keeps no offset, while the whole file is in memory here
 * and messages name the byte. The cursor allocates nothing, copies nothing, and refuses a header that claims more than
 * the bytes that are left; it does not recurse, so nesting costs no stack. The caller expects a type by calling for it;
 * whatever else stands there is refused, with its type and offset.
 *
 * Source    https://github.com/msgpack/msgpack/blob/master/spec.md */
#ifndef SCO_IO_MSGPACK_H
#define SCO_IO_MSGPACK_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/status.h"

struct sco_msgpack {
    const unsigned char *bytes; /* of the whole file, so that offsets are the file's */
    size_t offset;
    size_t end; /* the cursor reads [offset, end): the file, or the payload of an extension */
};

/* Each reads one value and moves past it. Errors: SCO_FORMAT, "byte N: expected an array, found ..."; the cursor and
 * the outputs are untouched. A map or array moves past its header only: its items follow. */
enum sco_status sco_msgpack_map(struct sco_msgpack *cursor, size_t *pairs);
enum sco_status sco_msgpack_array(struct sco_msgpack *cursor, size_t *items);
enum sco_status sco_msgpack_uint(struct sco_msgpack *cursor, uint64_t *value);
/* A str or a bin, since writers before the 2013 revision of the format knew no difference. Not terminated. */
enum sco_status sco_msgpack_text(struct sco_msgpack *cursor, const char **text, size_t *bytes);
/* An extension; payload is a cursor over its body. */
enum sco_status sco_msgpack_ext(struct sco_msgpack *cursor, int *type, struct sco_msgpack *payload);
/* Refuses bytes that are left over. */
enum sco_status sco_msgpack_finish(const struct sco_msgpack *cursor);

/* Appends in the shortest form, as Python's packer does. With bytes = NULL nothing is stored and size counts. */
struct sco_msgpack_writer {
    unsigned char *bytes;
    size_t size;
};
void sco_msgpack_put_map(struct sco_msgpack_writer *writer, size_t pairs);
void sco_msgpack_put_array(struct sco_msgpack_writer *writer, size_t items);
void sco_msgpack_put_uint(struct sco_msgpack_writer *writer, uint64_t value);
void sco_msgpack_put_str(struct sco_msgpack_writer *writer, const char *text, size_t bytes);
/* Returns where the bytes are to be stored; NULL while counting. */
unsigned char *sco_msgpack_put_bin(struct sco_msgpack_writer *writer, size_t bytes);
/* The header of an extension; its payload follows. bytes must not be 1, 2, 4, 8 or 16, which have headers of their own.
 */
void sco_msgpack_put_ext(struct sco_msgpack_writer *writer, int type, size_t bytes);

#endif

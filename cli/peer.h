/* SPDX-License-Identifier: Apache-2.0
 * stepcost as a peer in the rounds of another benchmark program (docs/benchmarking.md). */
#ifndef SCO_CLI_PEER_H
#define SCO_CLI_PEER_H

#include <stddef.h>

struct cli_peer_request {
    const char *suite, *op, *name;
    size_t threads, min_reps, max_reps, cold_bytes, batch;
    double seconds;
};

/* Times request and prints a JSON line {"peer", "op", "case", "times_ns"}, for operators one for each variant. Exit code 3: the op or case is not supported. */
int cli_peer_once(const struct cli_peer_request *request);

/* One JSON request per line on stdin, one reply per line on stdout, until {"do": "quit"} or the end of input. */
int cli_peer_serve(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/case.h"

/* One line per family, or per file of cases where a family has several. */
#define SCO_CASE_FAMILIES(FAMILY)                                                                                      \
    FAMILY(activation)                                                                                                 \
    FAMILY(adafactor)                                                                                                  \
    FAMILY(adam)                                                                                                       \
    FAMILY(conv2d)                                                                                                     \
    FAMILY(conv2d_winograd)                                                                                            \
    FAMILY(dot_interaction)                                                                                            \
    FAMILY(dropout)                                                                                                    \
    FAMILY(embedding_bag)                                                                                              \
    FAMILY(finite)                                                                                                     \
    FAMILY(gemm)                                                                                                       \
    FAMILY(graph)                                                                                                  \
    FAMILY(lamb)                                                                                                       \
    FAMILY(lion)                                                                                                       \
    FAMILY(loss)                                                                                                       \
    FAMILY(momentum)                                                                                                   \
    FAMILY(norm)                                                                                                       \
    FAMILY(pool)                                                                                                       \
    FAMILY(roof)                                                                                                       \
    FAMILY(sgemm)                                                                                                      \
    FAMILY(velo)

#define DECLARE(family) extern const struct sco_case_list sco_##family##_cases;
#define ENTRY(family)   &sco_##family##_cases,

SCO_CASE_FAMILIES(DECLARE)

size_t sco_case_lists(const struct sco_case_list *const **lists)
{
    static const struct sco_case_list *const all[] = {SCO_CASE_FAMILIES(ENTRY)};
    *lists = all;
    return SCO_LEN(all);
}

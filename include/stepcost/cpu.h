/* SPDX-License-Identifier: Apache-2.0
 * What the CPU and the operating system let a kernel use. */
#ifndef STEPCOST_CPU_H
#define STEPCOST_CPU_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

/* A set of levels, quirks and backends. A level is a whole bundle of features, the wide registers
 * enabled by the operating system included (CPUID and XGETBV on x86, hwcap on Arm). */
typedef uint64_t sco_isa;

#define SCO_ISA_AVX2 ((sco_isa)1 << 0)   /* AVX2, FMA, F16C, BMI1, BMI2; ymm state enabled */
#define SCO_ISA_AVX512 ((sco_isa)1 << 1) /* adds AVX-512 F, BW, DQ, VL; opmask and zmm state enabled */
#define SCO_ISA_NEON ((sco_isa)1 << 8)   /* AArch64 Advanced SIMD */
#define SCO_USE_HWY ((sco_isa)1 << 32)   /* Highway rows are compiled in and have a usable target */
#define SCO_USE_ONEDNN ((sco_isa)1 << 33)

/* Everything this CPU, operating system and build offer. Detected once; thread-safe. */
SCO_API sco_isa sco_isa_detected(void);

/* Intersects available with the levels named in words ("avx2", "avx512,hwy", "scalar" for the empty set).
 * Levels imply their base (avx512 implies avx2). Words are separated by commas, case matters.
 *
 * Returns   SCO_OK and *isa, a subset of available.
 * Errors    SCO_INVALID: unknown word; SCO_UNSUPPORTED: known, but absent from this CPU or build.
 *           Both messages list what is possible. *isa is untouched on error. */
SCO_API enum sco_status sco_isa_parse(const char *words, sco_isa available, sco_isa *isa);

/* Writes the levels of isa as words ("avx2,avx512"; "scalar" for the empty set), cut to bytes. Returns buffer. */
SCO_API char *sco_isa_format(sco_isa isa, char *buffer, size_t bytes);

/* The CPU's own name, or "unknown". Valid for the life of the process. */
SCO_API const char *sco_cpu_name(void);

SCO_END_DECLS
#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "arch/fail.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

enum { NAME_BYTES = 64 };

static struct {
    pthread_once_t once;
    sco_isa isa;
    char name[NAME_BYTES];
} cpu = {.once = PTHREAD_ONCE_INIT};

/* What a word stands for: the level's own bit and the base that it implies. */
static const struct {
    const char *word;
    sco_isa bit, levels;
} words_known[] = {
    {"avx2", SCO_ISA_AVX2, SCO_ISA_AVX2},       {"avx512", SCO_ISA_AVX512, SCO_ISA_AVX512 | SCO_ISA_AVX2},
    {"neon", SCO_ISA_NEON, SCO_ISA_NEON},       {"hwy", SCO_USE_HWY, SCO_USE_HWY},
    {"onednn", SCO_USE_ONEDNN, SCO_USE_ONEDNN},
};
enum { WORDS = sizeof words_known / sizeof words_known[0] };

#if defined(__x86_64__)
/* XCR0: which register states the operating system saves on a context switch (Intel SDM vol. 1, 13.3). A CPU may
 * have the instructions while the system has not enabled the registers, and then they fault. */
static const uint64_t xcr0_ymm = 0x06, xcr0_zmm = 0xe0; /* xmm and ymm; opmask, zmm 0-15 high halves, zmm 16-31 */

/* The instruction itself, since the intrinsic would need -mxsave for this file. */
static uint64_t xgetbv(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static void detect(void)
{
    unsigned a, b, c, d;
    const unsigned max = (unsigned)__get_cpuid_max(0, NULL); /* clang's returns int */
    if (max < 1)
        return;
    __cpuid(1, a, b, c, d);
    const unsigned c1 = c;
#if defined(SCO_HAVE_HWY)
    /* SSSE3 is the lowest target that Highway compiles for x86. */
    if (c1 & bit_SSSE3)
        cpu.isa |= SCO_USE_HWY;
#endif
    const uint64_t xcr0 = (c1 & bit_OSXSAVE) ? xgetbv() : 0;
    if (max >= 7) {
        __cpuid_count(7, 0, a, b, c, d);
        const unsigned avx2_1 = bit_AVX | bit_FMA | bit_F16C, avx2_7 = bit_AVX2 | bit_BMI | bit_BMI2;
        const unsigned avx512_7 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
        if ((c1 & avx2_1) == avx2_1 && (b & avx2_7) == avx2_7 && (xcr0 & xcr0_ymm) == xcr0_ymm) {
            cpu.isa |= SCO_ISA_AVX2;
            if ((b & avx512_7) == avx512_7 && (xcr0 & xcr0_zmm) == xcr0_zmm)
                cpu.isa |= SCO_ISA_AVX512;
        }
    }

    unsigned brand[12];
    if ((unsigned)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u)
        return;
    for (unsigned i = 0; i < 3; i++)
        __cpuid(0x80000002u + i, brand[4 * i], brand[4 * i + 1], brand[4 * i + 2], brand[4 * i + 3]);
    memcpy(cpu.name, brand, sizeof brand);
}
#elif defined(__aarch64__)
/* MIDR_EL1: implementer in bits 31-24, part number in 15-4 (Arm ARM, D19.2). Linux traps and emulates the read when
 * HWCAP_CPUID is set. /proc/cpuinfo would do as well but shows the host's text under user-mode emulation. */
static void name_from_midr(uint64_t midr)
{
    static const struct {
        unsigned implementer, part;
        const char *name;
    } parts[] = {
        {0x41, 0xd03, "Arm Cortex-A53"},  {0x41, 0xd07, "Arm Cortex-A57"},  {0x41, 0xd08, "Arm Cortex-A72"},
        {0x41, 0xd0b, "Arm Cortex-A76"},  {0x41, 0xd0c, "Arm Neoverse N1"}, {0x41, 0xd40, "Arm Neoverse V1"},
        {0x41, 0xd49, "Arm Neoverse N2"}, {0x41, 0xd4f, "Arm Neoverse V2"}, {0x41, 0xd84, "Arm Neoverse V3"},
        {0x41, 0xd8e, "Arm Neoverse N3"}, {0x46, 0x001, "Fujitsu A64FX"},   {0xc0, 0xac3, "Ampere-1"},
        {0xc0, 0xac4, "Ampere-1a"},
    };
    const unsigned implementer = (unsigned)(midr >> 24 & 0xff), part = (unsigned)(midr >> 4 & 0xfff);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].implementer == implementer && parts[i].part == part) {
            snprintf(cpu.name, sizeof cpu.name, "%s", parts[i].name);
            return;
        }
    snprintf(cpu.name, sizeof cpu.name, "AArch64, implementer 0x%02x, part 0x%03x", implementer, part);
}

static void detect(void)
{
    const unsigned long hwcap = getauxval(AT_HWCAP);
    if (hwcap & HWCAP_ASIMD) {
        cpu.isa |= SCO_ISA_NEON;
#if defined(SCO_HAVE_HWY)
        cpu.isa |= SCO_USE_HWY;
#endif
    }
    if (hwcap & HWCAP_CPUID) {
        uint64_t midr;
        __asm__("mrs %0, MIDR_EL1" : "=r"(midr));
        name_from_midr(midr);
    }
}
#else
static void detect(void)
{
}
#endif

static void detect_once(void)
{
    detect();
#if defined(SCO_HAVE_ONEDNN)
    cpu.isa |= SCO_USE_ONEDNN;
#endif
    /* The brand string is padded with blanks on either side. */
    const size_t lead = strspn(cpu.name, " ");
    memmove(cpu.name, cpu.name + lead, sizeof cpu.name - lead);
    size_t n = strlen(cpu.name);
    while (n > 0 && cpu.name[n - 1] == ' ')
        cpu.name[--n] = '\0';
    if (n == 0)
        memcpy(cpu.name, "unknown", sizeof "unknown");
}

sco_isa sco_isa_detected(void)
{
    pthread_once(&cpu.once, detect_once);
    return cpu.isa;
}

const char *sco_cpu_name(void)
{
    pthread_once(&cpu.once, detect_once);
    return cpu.name;
}

char *sco_isa_format(sco_isa isa, char *buffer, size_t bytes)
{
    size_t used = 0;
    if (bytes > 0)
        buffer[0] = '\0';
    for (size_t i = 0; i < WORDS && used < bytes; i++)
        if (isa & words_known[i].bit)
            used += (size_t)snprintf(buffer + used, bytes - used, "%s%s", used ? "," : "", words_known[i].word);
    if (used == 0)
        snprintf(buffer, bytes, "scalar");
    return buffer;
}

enum sco_status sco_isa_parse(const char *words, sco_isa available, sco_isa *isa)
{
    char possible[NAME_BYTES] = "scalar";
    if (available != 0)
        sco_isa_format(available, possible + sprintf(possible, "scalar or any of "), sizeof possible - 17);
    if (strcmp(words, "scalar") == 0) {
        *isa = 0;
        return SCO_OK;
    }

    sco_isa named = 0;
    for (const char *word = words;; word++) {
        const size_t n = strcspn(word, ",");
        size_t i = 0;
        while (i < WORDS && !(strlen(words_known[i].word) == n && memcmp(words_known[i].word, word, n) == 0))
            i++;
        if (i == WORDS) {
            const int alone = n == 6 && memcmp(word, "scalar", 6) == 0;
            return sco_fail(SCO_INVALID, "ISA \"%s\": %s \"%.*s\"; possible here: %s", words,
                            alone ? "nothing may stand beside" : "unknown level", (int)n, word, possible);
        }
        if ((words_known[i].bit & available) == 0)
            return sco_fail(SCO_UNSUPPORTED, "ISA \"%s\": this CPU or build has no \"%s\"; possible here: %s", words,
                            words_known[i].word, possible);
        named |= words_known[i].levels;
        word += n;
        if (*word == '\0')
            break;
    }
    *isa = named & available;
    return SCO_OK;
}

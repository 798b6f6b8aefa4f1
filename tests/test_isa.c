/* SPDX-License-Identifier: Apache-2.0
 * Level words: parsing, implication, refusal, formatting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "stepcost/cpu.h"

static const sco_isa server = SCO_ISA_AVX2 | SCO_ISA_AVX512 | SCO_USE_HWY;

static void parses(const char *words, sco_isa available, sco_isa expected)
{
    sco_isa isa = ~(sco_isa)0;
    if (sco_isa_parse(words, available, &isa) != SCO_OK)
        fail_msg("\"%s\": %s", words, sco_error_message());
    assert_true(isa == expected);
}

static void refuses(const char *words, sco_isa available, enum sco_status status, const char *said,
                    const char *possible)
{
    sco_isa isa = 0x5a5a;
    assert_int_equal(sco_isa_parse(words, available, &isa), status);
    assert_true(isa == 0x5a5a);
    if (strstr(sco_error_message(), said) == NULL || strstr(sco_error_message(), possible) == NULL)
        fail_msg("\"%s\": message \"%s\" lacks \"%s\" or \"%s\"", words, sco_error_message(), said, possible);
}

static void test_parse(void **state)
{
    (void)state;
    parses("scalar", server, 0);
    parses("scalar", 0, 0);
    parses("avx2", server, SCO_ISA_AVX2);
    parses("avx512", server, SCO_ISA_AVX2 | SCO_ISA_AVX512);
    parses("hwy", server, SCO_USE_HWY);
    parses("hwy,avx2", server, SCO_ISA_AVX2 | SCO_USE_HWY);
    parses("avx2,avx2", server, SCO_ISA_AVX2);
    parses("neon", SCO_ISA_NEON, SCO_ISA_NEON);
}

static void test_refuse(void **state)
{
    (void)state;
    const char *all = "scalar or any of avx2,avx512,hwy";
    refuses("", server, SCO_INVALID, "unknown level \"\"", all);
    refuses("avx", server, SCO_INVALID, "unknown level \"avx\"", all);
    refuses("avx5122", server, SCO_INVALID, "unknown level \"avx5122\"", all);
    refuses("AVX2", server, SCO_INVALID, "unknown level \"AVX2\"", all);
    refuses("avx2,", server, SCO_INVALID, "unknown level \"\"", all);
    refuses(",avx2", server, SCO_INVALID, "unknown level \"\"", all);
    refuses("avx2 ,hwy", server, SCO_INVALID, "unknown level \"avx2 \"", all);
    refuses("scalar,avx2", server, SCO_INVALID, "beside \"scalar\"", all);
    refuses("avx512", SCO_ISA_AVX2, SCO_UNSUPPORTED, "no \"avx512\"", "scalar or any of avx2");
    refuses("neon", server, SCO_UNSUPPORTED, "no \"neon\"", all);
    refuses("avx2", 0, SCO_UNSUPPORTED, "no \"avx2\"", "possible here: scalar");
}

static void test_format(void **state)
{
    (void)state;
    char buffer[64], small[5];
    assert_string_equal(sco_isa_format(0, buffer, sizeof buffer), "scalar");
    assert_string_equal(sco_isa_format(server, buffer, sizeof buffer), "avx2,avx512,hwy");
    assert_string_equal(sco_isa_format(SCO_ISA_NEON | SCO_USE_ONEDNN, buffer, sizeof buffer), "neon,onednn");
    assert_string_equal(sco_isa_format(SCO_ISA_AVX512, small, sizeof small), "avx5");
    assert_string_equal(sco_isa_format(0, small, sizeof small), "scal");
}

/* Whatever this machine has must survive the round trip, and obey the implications. */
static void test_detected(void **state)
{
    (void)state;
    const sco_isa isa = sco_isa_detected();
    char words[64];
    sco_isa again;
    assert_true(isa == sco_isa_detected());
    assert_int_equal(sco_isa_parse(sco_isa_format(isa, words, sizeof words), isa, &again), SCO_OK);
    assert_true(again == isa);
    assert_true(!(isa & SCO_ISA_AVX512) || (isa & SCO_ISA_AVX2));
    assert_true(strlen(sco_cpu_name()) > 0);
#if defined(__x86_64__)
    assert_false(isa & SCO_ISA_NEON);
    /* The compiler's run-time library reads CPUID and XCR0 independently. */
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                     __builtin_cpu_supports("bmi2");
    const int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    assert_int_equal(!!(isa & SCO_ISA_AVX2), avx2);
    assert_int_equal(!!(isa & SCO_ISA_AVX512), avx512);
#elif defined(__aarch64__)
    assert_true(isa & SCO_ISA_NEON);
    assert_false(isa & (SCO_ISA_AVX2 | SCO_ISA_AVX512));
#endif
    print_message("%s: %s\n", sco_cpu_name(), words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_detected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

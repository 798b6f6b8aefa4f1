/* SPDX-License-Identifier: Apache-2.0
 * Contexts: what each variable refuses, and that the message says what is possible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/registry.h"
#include "optim/ctx.h"
#include "stepcost/topology.h"

static const char *const variables[] = {"STEPCOST_ISA",           "STEPCOST_ROW",     "STEPCOST_THREADS",
                                        "STEPCOST_OVERSUBSCRIBE", "STEPCOST_UNBOUND", "HWLOC_SYNTHETIC",
                                        "HWLOC_XMLFILE"};

static int clear(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCO_LEN(variables); i++)
        unsetenv(variables[i]);
    return 0;
}

static void refuse(const char *variable, const char *value, enum sco_status status, const char *said)
{
    struct sco_ctx *ctx = NULL;
    setenv(variable, value, 1);
    assert_int_equal(sco_ctx_create(&ctx, NULL), status);
    assert_null(ctx);
    if (strstr(sco_error_message(), said) == NULL || strstr(sco_error_message(), variable) == NULL)
        fail_msg("%s=%s: \"%s\" names neither \"%s\" nor the variable", variable, value, sco_error_message(), said);
    unsetenv(variable);
}

static size_t allowed(void)
{
    struct sco_topology *topology;
    assert_int_equal(sco_topology_create(&topology, SCO_TOPOLOGY_MACHINE, NULL, NULL), SCO_OK);
    const size_t pus = sco_topology_counts(topology).pus;
    sco_topology_destroy(topology);
    return pus;
}

static void test_defaults(void **state)
{
    (void)state;
    struct sco_ctx *ctx;
    assert_int_equal(sco_ctx_create(&ctx, NULL), SCO_OK);
    assert_int_equal(sco_ctx_isa(ctx), sco_isa_detected());
    const struct sco_topology_counts counts = sco_topology_counts(sco_ctx_topology(ctx));
    assert_int_equal(sco_team_size(sco_ctx_team(ctx)), counts.cores);
    assert_true(sco_team_is_bound(sco_ctx_team(ctx)));
    sco_ctx_destroy(ctx);
    sco_ctx_destroy(NULL);
}

static void test_isa(void **state)
{
    (void)state;
    refuse("STEPCOST_ISA", "sse9", SCO_INVALID, "scalar");
    refuse("STEPCOST_ISA", "scalar,", SCO_INVALID, "scalar");
    struct sco_ctx *ctx;
    setenv("STEPCOST_ISA", "scalar", 1);
    assert_int_equal(sco_ctx_create(&ctx, NULL), SCO_OK);
    assert_int_equal(sco_ctx_isa(ctx), 0);
    sco_ctx_destroy(ctx);
    /* The option wins over the variable. */
    setenv("STEPCOST_ISA", "nonsense", 1);
    assert_int_equal(sco_ctx_create(&ctx, &(struct sco_ctx_options){.isa = "scalar"}), SCO_OK);
    sco_ctx_destroy(ctx);
}

static void test_row(void **state)
{
    (void)state;
    size_t count;
    const struct sco_family *const *families = sco_families(&count);
    refuse("STEPCOST_ROW", "nofamily:scalar", SCO_INVALID, "unknown family \"nofamily\"");
    refuse("STEPCOST_ROW", "nofamily", SCO_INVALID, "is not FAMILY:ROW");
    for (size_t f = 0; f < count; f++) {
        char words[64];
        snprintf(words, sizeof words, "%s:norow", families[f]->name);
        refuse("STEPCOST_ROW", words, SCO_INVALID, "possible here: scalar");
        snprintf(words, sizeof words, "%s:scalar", families[f]->name);
        setenv("STEPCOST_ROW", words, 1);
        struct sco_ctx *ctx;
        assert_int_equal(sco_ctx_create(&ctx, NULL), SCO_OK);
        assert_non_null(sco_ctx_ops(ctx, families[f]));
        for (size_t slot = 0; slot < families[f]->slot_count; slot++)
            assert_string_equal(sco_ctx_row(ctx, f, slot), "scalar");
        sco_ctx_destroy(ctx);
        unsetenv("STEPCOST_ROW");
        /* A row that this CPU lacks under the levels in force is known and refused. */
        for (size_t r = 1; r < families[f]->row_count; r++) {
            snprintf(words, sizeof words, "%s:%s", families[f]->name, families[f]->rows[r].name);
            setenv("STEPCOST_ISA", "scalar", 1);
            refuse("STEPCOST_ROW", words, SCO_UNSUPPORTED, "possible here: scalar");
            unsetenv("STEPCOST_ISA");
        }
    }
}

static void test_reports(void **state)
{
    (void)state;
    size_t count;
    const struct sco_family *const *families = sco_families(&count);
    struct sco_ctx *ctx;
    assert_int_equal(sco_ctx_create(&ctx, NULL), SCO_OK);
    for (size_t f = 0; f < count; f++) {
        assert_string_equal(sco_ctx_family(ctx, f), families[f]->name);
        for (size_t slot = 0; slot < families[f]->slot_count; slot++) {
            assert_string_equal(sco_ctx_slot(ctx, f, slot), families[f]->slots[slot]);
            const size_t source = sco_family_source(families[f], sco_ctx_isa(ctx), slot);
            assert_string_equal(sco_ctx_row(ctx, f, slot), families[f]->rows[source].name);
        }
        assert_null(sco_ctx_slot(ctx, f, families[f]->slot_count));
        assert_null(sco_ctx_row(ctx, f, families[f]->slot_count));
    }
    assert_null(sco_ctx_family(ctx, count));
    assert_null(sco_ctx_row(ctx, count, 0));
    sco_ctx_destroy(ctx);
}

static void test_threads(void **state)
{
    (void)state;
    char number[32];
    const size_t most = allowed();
    refuse("STEPCOST_THREADS", "0", SCO_INVALID, "possible here: 1 to");
    refuse("STEPCOST_THREADS", "-1", SCO_INVALID, "possible here: 1 to");
    refuse("STEPCOST_THREADS", "two", SCO_INVALID, "possible here: 1 to");
    refuse("STEPCOST_THREADS", "2x", SCO_INVALID, "possible here: 1 to");
    refuse("STEPCOST_THREADS", "99999999999999999999999", SCO_INVALID, "possible here: 1 to");
    refuse("STEPCOST_OVERSUBSCRIBE", "yes", SCO_INVALID, "0 or 1");
    refuse("STEPCOST_UNBOUND", "2", SCO_INVALID, "0 or 1");

    struct sco_ctx *ctx = NULL;
    snprintf(number, sizeof number, "%zu", most + 1);
    setenv("STEPCOST_THREADS", number, 1);
    assert_int_equal(sco_ctx_create(&ctx, NULL), SCO_INVALID);
    snprintf(number, sizeof number, "use 1 to %zu", most);
    assert_non_null(strstr(sco_error_message(), number));
    setenv("STEPCOST_OVERSUBSCRIBE", "1", 1);
    assert_int_equal(sco_ctx_create(&ctx, NULL), SCO_OK);
    assert_int_equal(sco_team_size(sco_ctx_team(ctx)), most + 1);
    sco_ctx_destroy(ctx);
}

/* Several contexts of one thread, alive together and destroyed in either order, see all CPUs and give them back. */
static void test_affinity_is_restored(void **state)
{
    (void)state;
    const size_t before = allowed();
    struct sco_ctx *a, *b;
    assert_int_equal(sco_ctx_create(&a, &(struct sco_ctx_options){.threads = 1}), SCO_OK);
    assert_int_equal(allowed(), before);
    assert_int_equal(sco_ctx_create(&b, &(struct sco_ctx_options){.threads = before}), SCO_OK);
    sco_ctx_destroy(a);
    assert_int_equal(allowed(), before);
    sco_ctx_destroy(b);
    assert_int_equal(allowed(), before);
}

/* A description of another machine must not lead to a bind that does nothing. */
static void test_foreign_topology(void **state)
{
    (void)state;
    struct sco_ctx *ctx;
    refuse("HWLOC_SYNTHETIC", "package:2 core:4 pu:2", SCO_UNSUPPORTED, "STEPCOST_UNBOUND=1");
    refuse("HWLOC_SYNTHETIC", "not a machine", SCO_INVALID, "not a synthetic description");
    refuse("HWLOC_XMLFILE", "/nonexistent/machine.xml", SCO_IO, "/nonexistent/machine.xml");
    setenv("HWLOC_SYNTHETIC", "package:2 core:4 pu:2", 1);
    setenv("STEPCOST_UNBOUND", "1", 1);
    setenv("STEPCOST_THREADS", "1", 1);
    assert_int_equal(sco_ctx_create(&ctx, NULL), SCO_OK);
    assert_false(sco_team_is_bound(sco_ctx_team(ctx)));
    assert_int_equal(sco_topology_counts(sco_ctx_topology(ctx)).pus, 16);
    sco_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, clear),
        cmocka_unit_test_setup(test_isa, clear),
        cmocka_unit_test_setup(test_row, clear),
        cmocka_unit_test_setup(test_reports, clear),
        cmocka_unit_test_setup(test_threads, clear),
        cmocka_unit_test_setup(test_affinity_is_restored, clear),
        cmocka_unit_test_setup(test_foreign_topology, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

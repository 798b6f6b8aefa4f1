/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints: what is saved comes back, and whatever becomes of a save, a checkpoint that can be read is left. Calls of the
 * system that a save makes are wrapped by the linker (see CMakeLists.txt), so that each of them can be made to fail, to write
 * less than it was given, or to be the last. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/kernel.h"
#include "stepcost/checkpoint.h"
#include "stepcost/memory.h"

/* ---- Calls that fail --------------------------------------------------------------------------------------------- */

enum harm { NONE, REFUSE, FULL, SHORT, KILL };
static enum harm harm;
static long calls, harm_at; /* the call of this number is harmed; from there on the disk is full under FULL and SHORT */

static int harmed(void)
{
    calls++;
    if (harm == KILL && calls == harm_at)
        raise(SIGKILL);
    if (harm == REFUSE && calls == harm_at) {
        errno = EIO;
        return 1;
    }
    if ((harm == FULL && calls >= harm_at) || (harm == SHORT && calls > harm_at)) {
        errno = ENOSPC;
        return 1;
    }
    return 0;
}

int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *bytes, size_t size);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __real_unlinkat(int folder, const char *path, int flags);

int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_unlink(const char *path);
int __wrap_unlinkat(int folder, const char *path, int flags);

/* A full disk refuses new files and bytes; names can still be changed and removed. */
int __wrap_open(const char *path, int flags, ...)
{
    if ((flags & O_CREAT) == 0 && harm != KILL && harm != REFUSE)
        return __real_open(path, flags);
    return harmed() ? -1 : __real_open(path, flags, 0666);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    if (harmed())
        return -1;
    return __real_write(fd, bytes, harm == SHORT && calls == harm_at ? size / 2 : size);
}

int __wrap_fsync(int fd)
{
    return harmed() ? -1 : __real_fsync(fd);
}

int __wrap_close(int fd)
{
    const int result = __real_close(fd);
    if (harm == KILL)
        harmed();
    return result;
}

int __wrap_rename(const char *from, const char *to)
{
    if ((harm == KILL || harm == REFUSE) && harmed())
        return -1;
    return __real_rename(from, to);
}

int __wrap_unlink(const char *path)
{
    if (harm == KILL)
        harmed();
    return __real_unlink(path);
}

int __wrap_unlinkat(int folder, const char *path, int flags)
{
    if (harm == KILL)
        harmed();
    return __real_unlinkat(folder, path, flags);
}

/* ---- A run in a folder of its own -------------------------------------------------------------------------------- */

static char folder[32];
static struct sco_ctx *ctx;
static struct sco_model *model;
static struct sco_optim *optim;
static float **gradient;

/* Parameters, state and the optimizer's moments as one number (FNV-1a over their bytes). */
static uint64_t fingerprint(void)
{
    uint64_t hash = 0xcbf29ce484222325u;
    const struct sco_tensor_list *list = sco_model_tensors(model);
    for (size_t i = 0; i < list->count; i++) {
        size_t n, count;
        sco_tensor_elements(&list->tensors[i], &n);
        const unsigned char *bytes = (const unsigned char *)sco_model_params(model)[i];
        for (size_t k = 0; k < n * sizeof(float); k++)
            hash = (hash ^ bytes[k]) * 0x100000001b3u;
        for (size_t a = 0; sco_optim_state_array(optim, i, a, &count) != NULL; a++) {
            float *values = malloc(count * sizeof *values + 1);
            sco_optim_state_get(optim, i, sco_optim_state_array(optim, i, a, &count), values, count);
            for (size_t k = 0; k < count * sizeof(float); k++)
                hash = (hash ^ ((unsigned char *)values)[k]) * 0x100000001b3u;
            free(values);
        }
    }
    return hash ^ sco_optim_steps(optim);
}

static void take_step(void)
{
    assert_int_equal(sco_optim_step(optim, 1.0f, sco_model_params(model), (const float *const *)gradient), SCO_OK);
}

static void start(void)
{
    assert_int_equal(sco_model_init(model, 3), SCO_OK);
    assert_int_equal(sco_optim_init(optim, (const float *const *)sco_model_params(model)), SCO_OK);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "stepcost-test-XXXXXX");
    const struct sco_model_config config = {.workload = SCO_DLRM, .batch = 2, .width = 1.0 / 64, .table_rows = 50};
    struct sco_optim_config adam;
    sco_optim_defaults(SCO_OPTIM_ADAM, &adam);
    adam.schedule.lr = 1e-2;
    if (mkdtemp(folder) == NULL || sco_ctx_create(&ctx, &(struct sco_ctx_options){.threads = 1}) != SCO_OK ||
        sco_model_create(&model, ctx, &config) != SCO_OK ||
        sco_optim_create(&optim, ctx, &adam, sco_model_tensors(model)) != SCO_OK)
        return -1;
    const struct sco_tensor_list *list = sco_model_tensors(model);
    gradient = calloc(list->count, sizeof *gradient);
    for (size_t i = 0; i < list->count; i++) {
        size_t n;
        sco_tensor_elements(&list->tensors[i], &n);
        gradient[i] = malloc(n * sizeof(float) + 1);
        for (size_t k = 0; k < n; k++)
            gradient[i][k] = (float)((k * 7 + i) % 13) - 6.0f;
    }
    return 0;
}

static void empty_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/*", folder);
    assert_int_equal(system(command), 0);
}

static int tear_down(void **state)
{
    (void)state;
    harm = NONE;
    empty_folder();
    rmdir(folder);
    for (size_t i = 0; i < sco_model_tensors(model)->count; i++)
        free(gradient[i]);
    free(gradient);
    sco_optim_destroy(optim);
    sco_model_destroy(model);
    sco_ctx_destroy(ctx);
    return 0;
}

static size_t count_files(void)
{
    char command[160];
    size_t count = 0;
    snprintf(command, sizeof command, "ls %s | wc -l", folder);
    FILE *list = popen(command, "r");
    assert_int_equal(fscanf(list, "%zu", &count), 1);
    pclose(list);
    return count;
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    (void)state;
    int found;
    uint64_t step;
    char *meta;
    empty_folder();
    start();
    assert_int_equal(sco_checkpoint_latest(folder, &found, &step), SCO_OK);
    assert_false(found);
    take_step();
    const uint64_t saved = fingerprint();
    assert_int_equal(sco_checkpoint_save(folder, 1, "{\"position\": \"\\\"1\"}", model, optim), SCO_OK);
    take_step();
    const uint64_t second = fingerprint();
    assert_true(second != saved);
    assert_int_equal(sco_checkpoint_latest(folder, &found, &step), SCO_OK);
    assert_true(found && step == 1);
    assert_int_equal(sco_checkpoint_meta(folder, 1, &meta), SCO_OK);
    assert_string_equal(meta, "{\"position\": \"\\\"1\"}");
    sco_free(meta);
    assert_int_equal(sco_checkpoint_load(folder, 1, model, optim), SCO_OK);
    assert_true(fingerprint() == saved);
    take_step();
    assert_true(fingerprint() == second);
    /* The older one goes, and only then; the same step may be saved again. */
    for (int again = 0; again < 2; again++) {
        assert_int_equal(sco_checkpoint_save(folder, 2, "", model, optim), SCO_OK);
        assert_int_equal(count_files(), 2);
        assert_int_equal(sco_checkpoint_load(folder, 2, model, optim), SCO_OK);
        assert_true(fingerprint() == second);
    }
}

static void test_damage(void **state)
{
    (void)state;
    empty_folder();
    start();
    take_step();
    assert_int_equal(sco_checkpoint_save(folder, 1, "x", model, optim), SCO_OK);
    take_step();
    const uint64_t before = fingerprint();
    static const char *const suffix[] = {"model", "optimizer"};
    for (size_t f = 0; f < SCO_LEN(suffix); f++) {
        char path[96];
        snprintf(path, sizeof path, "%s/checkpoint-0000000001.%s", folder, suffix[f]);
        struct stat info;
        assert_int_equal(stat(path, &info), 0);
        for (off_t at = 0; at < info.st_size; at += at < 200 ? 1 : 4093) {
            const int fd = open(path, O_RDWR);
            unsigned char byte;
            assert_int_equal(pread(fd, &byte, 1, at), 1);
            byte ^= (unsigned char)(1u << at % 8);
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
            const enum sco_status status = sco_checkpoint_load(folder, 1, model, optim);
            if (status != SCO_FORMAT && status != SCO_SHAPE)
                fail_msg("byte %jd of %s: %s", (intmax_t)at, path, sco_status_name(status));
            assert_non_null(strstr(sco_error_message(), "checkpoint-0000000001"));
            assert_true(fingerprint() == before);
            byte ^= (unsigned char)(1u << at % 8);
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
            close(fd);
        }
        const int fd = open(path, O_RDWR);
        unsigned char last;
        assert_int_equal(pread(fd, &last, 1, info.st_size - 1), 1);
        assert_int_equal(ftruncate(fd, info.st_size - 1), 0);
        assert_int_equal(sco_checkpoint_load(folder, 1, model, optim), SCO_FORMAT);
        assert_non_null(strstr(sco_error_message(), "truncated"));
        assert_true(fingerprint() == before);
        assert_int_equal(pwrite(fd, &last, 1, info.st_size - 1), 1);
        close(fd);
    }
}

/* The folder holds one checkpoint that can be read, of step 1 or 2. */
static uint64_t readable_step(const uint64_t prints[3])
{
    int found;
    uint64_t step = 0;
    assert_int_equal(sco_checkpoint_latest(folder, &found, &step), SCO_OK);
    assert_true(found && (step == 1 || step == 2));
    if (sco_checkpoint_load(folder, step, model, optim) != SCO_OK)
        fail_msg("call %ld, harm %d: %s", harm_at, harm, sco_error_message());
    assert_true(fingerprint() == prints[step]);
    return step;
}

/* Saves step 1, then step 2 while the calls are harmed one after another, until a save is over before its turn comes. */
static void test_every_call(void **state)
{
    (void)state;
    uint64_t prints[3];
    empty_folder();
    for (enum harm kind = REFUSE; kind <= KILL; kind++) {
        size_t old = 0, complete = 0;
        int over = 0;
        for (harm_at = 1; !over; harm_at++) {
            harm = NONE;
            empty_folder();
            start();
            take_step();
            prints[1] = fingerprint();
            assert_int_equal(sco_checkpoint_save(folder, 1, "", model, optim), SCO_OK);
            take_step();
            prints[2] = fingerprint();
            const pid_t child = fork();
            if (child == 0) {
                calls = 0;
                harm = kind;
                const enum sco_status status = sco_checkpoint_save(folder, 2, "", model, optim);
                const int fired = calls >= harm_at && (kind != SHORT || calls > harm_at);
                harm = NONE;
                const int told = strstr(sco_error_message(), folder) != NULL;
                _exit(status == SCO_OK ? fired ? 3 : 0 : status != SCO_IO ? 4 : !told ? 5 : 1);
            }
            int result;
            assert_int_equal(waitpid(child, &result, 0), child);
            if (WIFSIGNALED(result))
                assert_int_equal(WTERMSIG(result), SIGKILL);
            else if (WEXITSTATUS(result) > 1 && !(kind == REFUSE && WEXITSTATUS(result) == 3))
                fail_msg("harm %d at call %ld: exit %d", kind, harm_at, WEXITSTATUS(result));
            const uint64_t step = readable_step(prints);
            old += step == 1;
            complete += step == 2;
            over = WIFEXITED(result) && WEXITSTATUS(result) == 0;
            /* After the disk is well again, the next save succeeds and leaves nothing behind. */
            if (step == 1)
                take_step();
            assert_int_equal(sco_checkpoint_save(folder, 2, "", model, optim), SCO_OK);
            assert_int_equal(count_files(), 2);
            assert_int_equal(readable_step(prints), 2);
        }
        assert_true(old > 2 && complete > 0);
    }
}

static void test_full_disk_message(void **state)
{
    (void)state;
    empty_folder();
    start();
    harm = FULL;
    calls = 0;
    harm_at = 2; /* the first write */
    const enum sco_status status = sco_checkpoint_save(folder, 1, "", model, optim);
    harm = NONE;
    assert_int_equal(status, SCO_IO);
    assert_non_null(strstr(sco_error_message(), "checkpoint-0000000001.optimizer"));
    assert_non_null(strstr(sco_error_message(), " bytes"));
    assert_non_null(strstr(sco_error_message(), strerror(ENOSPC)));
    assert_int_equal(count_files(), 0);
    char nowhere[96];
    snprintf(nowhere, sizeof nowhere, "%s/none", folder);
    assert_int_equal(sco_checkpoint_save(nowhere, 1, "", model, optim), SCO_IO);
}

static void test_read_only_folder(void **state)
{
    (void)state;
    empty_folder();
    start();
    assert_int_equal(sco_checkpoint_save(folder, 1, "", model, optim), SCO_OK);
    const uint64_t saved = fingerprint();
    take_step();
    assert_int_equal(chmod(folder, 0555), 0);
    const pid_t child = fork();
    if (child == 0) {
        /* To root no folder is read-only. */
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(9);
        const enum sco_status status = sco_checkpoint_save(folder, 2, "", model, optim);
        _exit(status == SCO_IO && strstr(sco_error_message(), folder) != NULL ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    assert_int_equal(sco_checkpoint_load(folder, 1, model, optim), SCO_OK);
    assert_true(fingerprint() == saved);
}

static void test_other_model(void **state)
{
    (void)state;
    empty_folder();
    start();
    assert_int_equal(sco_checkpoint_save(folder, 1, "", model, optim), SCO_OK);
    const struct sco_model_config config = {.workload = SCO_DLRM, .batch = 2, .width = 1.0 / 64, .table_rows = 51};
    struct sco_model *other;
    struct sco_optim *other_optim;
    assert_int_equal(sco_model_create(&other, ctx, &config), SCO_OK);
    assert_int_equal(sco_optim_create(&other_optim, ctx, sco_optim_get_config(optim), sco_model_tensors(other)),
                     SCO_OK);
    assert_int_equal(sco_checkpoint_load(folder, 1, other, other_optim), SCO_SHAPE);
    assert_non_null(strstr(sco_error_message(), "embedding_table"));
    sco_optim_destroy(other_optim);
    sco_model_destroy(other);
    assert_int_equal(sco_checkpoint_load(folder, 7, model, optim), SCO_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_damage),
        cmocka_unit_test(test_every_call),       cmocka_unit_test(test_full_disk_message),
        cmocka_unit_test(test_read_only_folder), cmocka_unit_test(test_other_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

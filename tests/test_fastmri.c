/* SPDX-License-Identifier: Apache-2.0
 * fastMRI volumes made here, through the stream of batches: values against a plain transform in double, masks, orders, what
 * damaged files are told, and the real slices where they are at hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <complex.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/random.h"
#include "io/fastmri.h"
#include "stepcost/dataset.h"

enum { FILES = 2, SLICES = 3, H = 24, W = 20, SIDE = 16, MOST = 64 * 64 };

/* ---- Fixtures ---------------------------------------------------------------------------------------------------- */

enum layout { CONTIGUOUS, CHUNKED, GZIP, COMPACT };

/* What a file is made of; zeros are an ordinary one. */
struct recipe {
    size_t slices, H, W, target_H, target_W, target_slices;
    uint64_t seed;
    enum layout layout;
    const char *kspace, *target, *real; /* names of datasets, and of the real part */
    int rank, is_double, no_max, big_endian;
    float max;
    float at[2];               /* the middle value of slice 1 of kspace, one of the reconstruction's; 0: as it comes */
    size_t zero_from, zero_to; /* slices of kspace that are all zero */
    int same_kspace;           /* every slice holds the same values */
    int unwritten;             /* kspace has a header and no values */
};

static char folder[32];

static const char *path_of(const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static struct recipe complete(struct recipe r)
{
    r.slices = r.slices ? r.slices : SLICES;
    r.H = r.H ? r.H : H;
    r.W = r.W ? r.W : W;
    r.target_H = r.target_H ? r.target_H : SIDE;
    r.target_W = r.target_W ? r.target_W : SIDE;
    r.target_slices = r.target_slices ? r.target_slices : r.slices;
    r.kspace = r.kspace ? r.kspace : "kspace";
    r.target = r.target ? r.target : "reconstruction_esc";
    r.real = r.real ? r.real : "r";
    r.rank = r.rank ? r.rank : 3;
    r.max = r.max != 0.0f ? r.max : 1.5f;
    return r;
}

/* Values as a scanner writes them: large in the middle of k-space, and small all over. */
static float *kspace_of(const struct recipe *r)
{
    float *k = malloc(2 * r->slices * r->H * r->W * sizeof *k);
    assert_non_null(k);
    for (size_t s = 0, i = 0; s < r->slices; s++)
        for (size_t h = 0; h < r->H; h++)
            for (size_t w = 0; w < r->W; w++)
                for (size_t part = 0; part < 2; part++, i++) {
                    const double y = (double)h - (double)(r->H / 2), x = (double)w - (double)(r->W / 2);
                    const size_t index = r->same_kspace ? i % (2 * r->H * r->W) : i;
                    k[i] = (float)(1e-4 * (sco_random_uniform(r->seed, index) - 0.5) / (1.0 + 0.2 * (x * x + y * y)));
                }
    const size_t middle = (r->H * r->W + r->H / 2 * r->W + r->W / 2) * 2;
    memset(k + 2 * r->zero_from * r->H * r->W, 0, 2 * (r->zero_to - r->zero_from) * r->H * r->W * sizeof *k);
    if (r->at[0] != 0.0f)
        k[middle] = r->at[0];
    return k;
}

static float *target_of(const struct recipe *r)
{
    float *t = malloc(r->target_slices * r->target_H * r->target_W * sizeof *t);
    assert_non_null(t);
    for (size_t i = 0; i < r->target_slices * r->target_H * r->target_W; i++)
        t[i] = (float)(3e-6 * sco_random_uniform(r->seed + 1, i));
    if (r->at[1] != 0.0f)
        t[r->target_H * r->target_W + 3 * r->target_W + 5] = r->at[1];
    return t;
}

static void write_dataset(hid_t file, const struct recipe *r, const char *name, hid_t stored, hid_t type,
                          const hsize_t dims[3], const void *values)
{
    const hid_t space = H5Screate_simple(r->rank, r->rank == 3 ? dims : dims + 1, NULL);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    if (r->layout == CHUNKED || r->layout == GZIP)
        assert_true(H5Pset_chunk(creation, 3, (const hsize_t[]){1, 7, 9}) >= 0);
    if (r->layout == GZIP)
        assert_true(H5Pset_shuffle(creation) >= 0 && H5Pset_deflate(creation, 4) >= 0);
    if (r->layout == COMPACT)
        assert_true(H5Pset_layout(creation, H5D_COMPACT) >= 0);
    const hid_t dataset = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    assert_true(dataset >= 0);
    if (values != NULL)
        assert_true(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Pclose(creation);
    H5Sclose(space);
}

static void write_volume(const char *name, struct recipe recipe)
{
    const struct recipe r = complete(recipe);
    float *kspace = kspace_of(&r), *target = target_of(&r);
    const hid_t file = H5Fcreate(path_of(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    const hid_t number = r.is_double ? H5T_IEEE_F64LE : r.big_endian ? H5T_IEEE_F32BE : H5T_IEEE_F32LE;
    const size_t width = H5Tget_size(number);
    const hid_t stored = H5Tcreate(H5T_COMPOUND, 2 * width), type = H5Tcreate(H5T_COMPOUND, 2 * sizeof(float));
    H5Tinsert(stored, r.real, 0, number);
    H5Tinsert(stored, "i", width, number);
    H5Tinsert(type, r.real, 0, H5T_NATIVE_FLOAT);
    H5Tinsert(type, "i", sizeof(float), H5T_NATIVE_FLOAT);
    write_dataset(file, &r, r.kspace, stored, type, (const hsize_t[]){r.slices, r.H, r.W}, r.unwritten ? NULL : kspace);
    write_dataset(file, &r, r.target, number, H5T_NATIVE_FLOAT,
                  (const hsize_t[]){r.target_slices, r.target_H, r.target_W}, target);
    if (!r.no_max) {
        const hid_t scalar = H5Screate(H5S_SCALAR);
        const hid_t attribute = H5Acreate2(file, "max", H5T_IEEE_F64LE, scalar, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(H5Awrite(attribute, H5T_NATIVE_FLOAT, &r.max) >= 0);
        H5Aclose(attribute);
        H5Sclose(scalar);
    }
    H5Tclose(type);
    H5Tclose(stored);
    assert_true(H5Fclose(file) >= 0);
    free(target);
    free(kspace);
}

static const char *const names[FILES] = {"singlecoil_train/a.h5", "singlecoil_train/b.h5"};
static const char *const validation_name = "knee_singlecoil_val/v.h5";

/* The ordinary files of every test, which damages them as it likes. */
static int make_files(void **state)
{
    (void)state;
    strcpy(folder, "stepcost-test-XXXXXX");
    if (mkdtemp(folder) == NULL || mkdir(path_of("singlecoil_train"), 0777) != 0 ||
        mkdir(path_of("knee_singlecoil_val"), 0777) != 0)
        return -1;
    write_volume(names[0], (struct recipe){.seed = 1});
    write_volume(names[1], (struct recipe){.seed = 2, .W = 22, .layout = GZIP, .max = 2.5f});
    write_volume(validation_name, (struct recipe){.seed = 3, .H = 23, .W = 21});
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(path_of(names[0]));
    unlink(path_of(names[1]));
    unlink(path_of(validation_name));
    rmdir(path_of("singlecoil_train"));
    rmdir(path_of("knee_singlecoil_val"));
    return rmdir(folder);
}

static struct sco_dataset_options options(struct sco_dataset_options o)
{
    o.workload = SCO_UNET;
    o.path = folder;
    return o;
}

static struct sco_dataset *open_stream(struct sco_dataset_options o)
{
    struct sco_dataset *dataset = NULL;
    o = options(o);
    if (sco_dataset_open(&dataset, &o) != SCO_OK)
        fail_msg("%s", sco_error_message());
    return dataset;
}

static const struct sco_slices *next(struct sco_dataset *dataset)
{
    const struct sco_batch *batch;
    if (sco_dataset_next(dataset, &batch) != SCO_OK)
        fail_msg("%s", sco_error_message());
    return batch == NULL ? NULL : &batch->slices;
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* The definition, term by term: every value of the image is a sum over k-space, frequencies counted from the middle. */
static void expect_slice(const struct recipe *r, size_t slice, size_t side, const bool *kept,
                         const struct sco_slices *batch, size_t n)
{
    float *kspace = kspace_of(r), *target = target_of(r);
    static double complex rows[64][64];
    static double image[MOST];
    const size_t pixels = side * side;
    const double turn = 2.0 * acos(-1.0);
    const double middle_h = (double)(r->H / 2), middle_w = (double)(r->W / 2);
    const size_t top = (r->H - r->target_H) / 2 + (r->target_H - side) / 2;
    const size_t left = (r->W - r->target_W) / 2 + (r->target_W - side) / 2;
    for (size_t h = 0; h < r->H; h++)
        for (size_t x = 0; x < r->W; x++) {
            rows[h][x] = 0.0;
            for (size_t w = 0; w < r->W; w++) {
                const float *k = kspace + 2 * ((slice * r->H + h) * r->W + w);
                const double angle = turn * ((double)w - middle_w) * ((double)x - middle_w) / (double)r->W;
                if (kept[w])
                    rows[h][x] += ((double)k[0] + I * (double)k[1]) * cexp(I * angle);
            }
        }
    double mean = 0.0, variance = 0.0;
    for (size_t i = 0; i < pixels; i++) {
        const size_t y = top + i / side, x = left + i % side;
        double complex sum = 0.0;
        for (size_t h = 0; h < r->H; h++)
            sum += rows[h][x] * cexp(I * (turn * ((double)h - middle_h) * ((double)y - middle_h) / (double)r->H));
        image[i] = cabs(sum) / sqrt((double)(r->H * r->W));
        mean += image[i] / (double)pixels;
    }
    for (size_t i = 0; i < pixels; i++)
        variance += (image[i] - mean) * (image[i] - mean) / (double)pixels;

    assert_true(fabs((double)batch->mean[n] / mean - 1.0) < 1e-6);
    assert_true(fabs((double)batch->deviation[n] / sqrt(variance) - 1.0) < 1e-5);
    assert_true(batch->volume_max[n] == (r->no_max ? 0.0f : r->max));
    for (size_t i = 0; i < pixels; i++) {
        const size_t y = (r->target_H - side) / 2 + i / side, x = (r->target_W - side) / 2 + i % side;
        const double t = (double)target[(slice * r->target_H + y) * r->target_W + x];
        const double expected[2] = {fmin(6.0, fmax(-6.0, (image[i] - mean) / sqrt(variance))),
                                    fmin(6.0, fmax(-6.0, (t - mean) / sqrt(variance)))};
        assert_true(fabs((double)batch->x[n * pixels + i] - expected[0]) < 1e-4);
        assert_true(fabs((double)batch->target[n * pixels + i] - expected[1]) < 1e-4);
    }
    free(target);
    free(kspace);
}

/* The mask that every slice of a width has in every evaluation. */
static void evaluation_mask(size_t width, bool *kept)
{
    sco_fastmri_mask(width, 0x666173744d5249, kept);
}

static void evaluated_slices_follow_the_definition(void **state)
{
    (void)state;
    static const struct {
        struct recipe recipe;
        size_t side;
    } cases[] = {
        {{.seed = 3, .H = 23, .W = 21}, 0},
        {{.seed = 4, .layout = CHUNKED, .target = "reconstruction_rss", .no_max = 1}, 0},
        {{.seed = 5, .H = 32, .W = 27, .target_H = 19, .target_W = 20, .layout = GZIP}, 16},
        {{.seed = 6, .big_endian = 1, .H = 16, .W = 16, .max = 1e-3f}, 0},
        {{.seed = 7, .slices = 2, .layout = COMPACT, .W = 41, .target_H = 23, .target_W = 23}, 0},
        {{.seed = 8, .at = {0.0f, 1e4f}}, 0}, /* a target far outside [-6, 6] */
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const struct recipe r = complete(cases[c].recipe);
        const size_t side = cases[c].side != 0 ? cases[c].side : r.target_H;
        bool kept[64];
        write_volume(validation_name, r);
        struct sco_dataset *stream = open_stream(
            (struct sco_dataset_options){.split = SCO_VALIDATION, .batch = 2, .side = cases[c].side, .seed = c});
        const struct sco_dataset_facts *facts = sco_dataset_get_facts(stream);
        assert_int_equal(facts->samples, r.slices);
        assert_int_equal(facts->H, side);
        assert_int_equal(facts->W, side);
        assert_false(facts->synthetic);
        evaluation_mask(r.W, kept);
        size_t slice = 0;
        for (const struct sco_slices *batch; (batch = next(stream)) != NULL;)
            for (size_t n = 0; n < batch->N; n++, slice++) {
                assert_int_equal(batch->H, side);
                expect_slice(&r, slice, side, kept, batch, n);
            }
        assert_int_equal(slice, r.slices);
        sco_dataset_close(stream);
    }
}

static void masks_keep_the_centre_and_a_quarter_in_all(void **state)
{
    (void)state;
    static const struct {
        size_t W, centre, first;
    } cases[] = {{368, 29, 170}, {372, 29, 172}, {320, 25, 148}, {100, 8, 46}, {21, 1, 10}, {12, 0, 6}, {1, 0, 1}};
    enum { SEEDS = 2000 };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const size_t width = cases[c].W, centre = cases[c].centre, others = width - centre;
        size_t counts[372] = {0}, kept_sum = 0, same = 0;
        bool kept[372], again[372];
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            sco_fastmri_mask(width, seed, kept);
            sco_fastmri_mask(width, seed, again);
            assert_memory_equal(kept, again, width);
            sco_fastmri_mask(width, seed + 1, again);
            same += memcmp(kept, again, width) == 0;
            for (size_t w = 0; w < width; w++) {
                counts[w] += kept[w];
                kept_sum += kept[w];
            }
        }
        const double p = ((double)width / 4.0 - (double)centre) / (double)others;
        const double expected = p * (double)others * SEEDS, deviation = sqrt(SEEDS * (double)others * p * (1.0 - p));
        assert_true(fabs((double)(kept_sum - centre * SEEDS) - expected) < 5.0 * deviation);
        assert_true(width < 100 || same == 0);
        for (size_t w = 0; w < width; w++) {
            if (w >= cases[c].first && w < cases[c].first + centre)
                assert_int_equal(counts[w], SEEDS);
            else
                assert_true(fabs((double)counts[w] - p * SEEDS) < 6.0 * sqrt(SEEDS * p * (1.0 - p)));
        }
    }
}

/* ---- Order ------------------------------------------------------------------------------------------------------- */

/* Files can be told apart by max, and slices by their target once normalisation is undone. */
static size_t identify(const struct sco_slices *batch, size_t n)
{
    for (size_t f = 0; f < FILES; f++) {
        const struct recipe r = complete((struct recipe){.seed = f + 1});
        float *target = target_of(&r);
        for (size_t s = 0; s < SLICES; s++) {
            double most = 0.0;
            for (size_t i = 0; i < SIDE * SIDE; i++) {
                const double back =
                    (double)batch->target[n * SIDE * SIDE + i] * (double)batch->deviation[n] + (double)batch->mean[n];
                const double off = fabs(back - (double)target[s * SIDE * SIDE + i]);
                if (off > most)
                    most = off;
            }
            if (most < 1e-9) {
                free(target);
                return f * SLICES + s;
            }
        }
        free(target);
    }
    fail_msg("a slice of no file");
    return 0;
}

static void epochs_hold_every_slice_once_in_other_orders(void **state)
{
    (void)state;
    enum { EPOCHS = 6, ALL = FILES * SLICES, BATCH = 4 };
    size_t order[EPOCHS * ALL], at = 0, moved = 0;
    struct sco_dataset *stream = open_stream((struct sco_dataset_options){.batch = BATCH, .seed = 5});
    while (at < EPOCHS * ALL) {
        const struct sco_slices *batch = next(stream);
        assert_int_equal(batch->N, BATCH);
        for (size_t n = 0; n < BATCH; n++, at++) {
            order[at] = identify(batch, n);
            assert_true(batch->volume_max[n] == (order[at] < SLICES ? 1.5f : 2.5f));
        }
    }
    for (size_t e = 0; e < EPOCHS; e++) {
        unsigned seen = 0;
        for (size_t i = 0; i < ALL; i++) {
            seen |= 1u << order[e * ALL + i];
            moved += order[e * ALL + i] != order[i];
        }
        assert_int_equal(seen, (1u << ALL) - 1);
    }
    assert_true(moved > EPOCHS);
    sco_dataset_close(stream);
}

static void a_subset_of_training_is_evaluated_in_order(void **state)
{
    (void)state;
    struct sco_dataset *stream =
        open_stream((struct sco_dataset_options){.split = SCO_TRAIN_SUBSET, .batch = 3, .samples = 5});
    assert_int_equal(sco_dataset_get_facts(stream)->samples, 5);
    size_t at = 0;
    for (const struct sco_slices *batch; (batch = next(stream)) != NULL;)
        for (size_t n = 0; n < batch->N; n++)
            assert_int_equal(identify(batch, n), at++);
    assert_int_equal(at, 5);
    sco_dataset_close(stream);
}

/* With the same k-space everywhere, the mask is all that can make inputs differ. */
static void masks_are_one_in_evaluation_and_each_its_own_in_training(void **state)
{
    (void)state;
    static float first[SIDE * SIDE];
    write_volume(names[0], (struct recipe){.seed = 1, .same_kspace = 1, .W = 60});
    write_volume(names[1], (struct recipe){.seed = 1, .same_kspace = 1, .W = 60});
    for (int train = 0; train < 2; train++) {
        struct sco_dataset *stream =
            open_stream((struct sco_dataset_options){.split = train ? SCO_TRAIN : SCO_TRAIN_SUBSET, .batch = 1});
        memcpy(first, next(stream)->x, sizeof first);
        for (size_t i = 1; i < FILES * SLICES * (train ? 2u : 1u); i++)
            assert_int_equal(memcmp(first, next(stream)->x, sizeof first) != 0, train);
        sco_dataset_close(stream);
    }
}

static void bits_depend_on_the_position_alone(void **state)
{
    (void)state;
    enum { BATCH = 4, POSITIONS = 7 };
    static float x[POSITIONS][BATCH * SIDE * SIDE], target[POSITIONS][BATCH * SIDE * SIDE];
    struct sco_dataset *stream = open_stream((struct sco_dataset_options){.batch = BATCH, .seed = 9});
    for (size_t p = 0; p < POSITIONS; p++) {
        const struct sco_slices *batch = next(stream);
        memcpy(x[p], batch->x, sizeof x[p]);
        memcpy(target[p], batch->target, sizeof target[p]);
    }
    sco_dataset_close(stream);
    stream = open_stream((struct sco_dataset_options){.batch = BATCH, .seed = 9, .workers = 3, .ahead = 5});
    for (size_t p = POSITIONS; p-- > 0;) {
        assert_int_equal(sco_dataset_seek(stream, p), SCO_OK);
        const struct sco_slices *batch = next(stream);
        assert_memory_equal(batch->x, x[p], sizeof x[p]);
        assert_memory_equal(batch->target, target[p], sizeof target[p]);
    }
    sco_dataset_close(stream);
    stream = open_stream((struct sco_dataset_options){.batch = BATCH, .seed = 10});
    assert_int_not_equal(memcmp(next(stream)->x, x[0], sizeof x[0]), 0);
    sco_dataset_close(stream);
}

static void the_first_hundred_files_validate_and_the_others_test(void **state)
{
    (void)state;
    enum { TEST = 3, ALL = 100 + TEST };
    char name[64];
    for (size_t i = 0; i < ALL; i++) {
        /* Written in another order than that of names. */
        const size_t k = i * 37 % ALL;
        snprintf(name, sizeof name, "knee_singlecoil_val/w%03zu.h5", k);
        write_volume(name, (struct recipe){.slices = 1, .seed = k, .max = (float)(k + 1), .H = 16, .W = 16});
    }
    unlink(path_of(validation_name));
    for (int test = 0; test < 2; test++) {
        struct sco_dataset *stream =
            open_stream((struct sco_dataset_options){.split = test ? SCO_TEST : SCO_VALIDATION, .batch = 200});
        assert_int_equal(sco_dataset_get_facts(stream)->samples, test ? TEST : 100);
        const struct sco_slices *batch = next(stream);
        assert_int_equal(batch->N, test ? TEST : 100);
        for (size_t n = 0; n < batch->N; n++)
            assert_true(batch->volume_max[n] == (float)(n + (test ? 101 : 1)));
        assert_null(next(stream));
        sco_dataset_close(stream);
    }
    for (size_t i = 0; i < ALL; i++) {
        snprintf(name, sizeof name, "knee_singlecoil_val/w%03zu.h5", i);
        unlink(path_of(name));
    }
    /* Few files are both. */
    write_volume(validation_name, (struct recipe){.seed = 3});
    for (enum sco_split split = SCO_VALIDATION; split <= SCO_TEST; split++) {
        struct sco_dataset *stream = open_stream((struct sco_dataset_options){.split = split, .batch = 1});
        assert_int_equal(sco_dataset_get_facts(stream)->samples, SLICES);
        sco_dataset_close(stream);
    }
}

/* ---- Damage ------------------------------------------------------------------------------------------------------ */

static void cut_file(const char *name, double part)
{
    struct stat info;
    assert_int_equal(stat(path_of(name), &info), 0);
    assert_int_equal(truncate(path_of(name), (off_t)(part * (double)info.st_size)), 0);
}

static const struct damage {
    struct recipe recipe;
    double part;         /* of the file that is left; 0: all */
    const char *message; /* must hold this, and the file's name */
    bool at_open;        /* its headers show it */
} damages[] = {
    {{.kspace = "k_space"}, 0, "no dataset kspace", true},
    {{.target = "target"}, 0, "no dataset reconstruction_esc", true},
    {{.rank = 2}, 0, "kspace: 2 axes", true},
    {{.real = "real"}, 0, "kspace: not of complex values", true},
    {{.is_double = 1}, 0, "kspace: not of complex values", true},
    {{.target_slices = 2}, 0, "3 slices in kspace and 2 in reconstruction_esc", true},
    {{.target_W = 21}, 0, "reconstruction_esc is of 16 x 21, larger than the 24 x 20 of kspace", true},
    {{.target_W = 17}, 0, "its reconstruction is of 16 x 17, that of the files before of 16 x 16", true},
    {{.max = -1.0f}, 0, "attribute max is -1", true},
    {{.max = NAN}, 0, "attribute max is nan", true},
    {{.unwritten = 1}, 0, "kspace: holds no values", true},
    {{.slices = 1, .W = 4097, .H = 16, .unwritten = 1}, 0, "kspace: 4097 columns; possible: 1 to 4096", true},
    {{.seed = 2}, 0.7, "HDF5 cannot open it (truncated file", true},
    {{.seed = 2}, 1e-9, "HDF5 cannot open it (", true},
    {{.at = {NAN, 0.0f}}, 0, "kspace: slice 1, row 12, column 10 is not finite", false},
    {{.at = {INFINITY, 0.0f}, .layout = GZIP}, 0, "kspace: slice 1, row 12, column 10 is not finite", false},
    {{.at = {0.0f, NAN}}, 0, "reconstruction_esc: slice 1, row 3, column 5 is not finite", false},
    {{.zero_from = 1, .zero_to = 2}, 0, "kspace: slice 1 is all zero", false},
    {{.zero_from = 1, .zero_to = 2, .at = {1.0f, 0.0f}},
     0,
     "slice 1: its image cannot be normalised: mean 0.0456435, deviation 0",
     false},
};
enum { DAMAGES = sizeof damages / sizeof damages[0] };

static void damage(size_t d)
{
    write_volume(names[1], damages[d].recipe);
    if (damages[d].part != 0.0)
        cut_file(names[1], damages[d].part);
}

static void expect_message(const struct damage *d, const char *message)
{
    if (strstr(message, d->message) == NULL || strstr(message, "singlecoil_train/b.h5") == NULL)
        fail_msg("\"%s\" is not in \"%s\"", d->message, message);
}

static herr_t count_print(hid_t stack, void *count)
{
    (void)stack;
    ++*(int *)count;
    return 0;
}

static void damaged_files_are_named_with_what_is_wrong(void **state)
{
    (void)state;
    int printed = 0;
    H5Eset_auto2(H5E_DEFAULT, count_print, &printed);
    for (size_t d = 0; d < DAMAGES; d++) {
        damage(d);
        struct sco_dataset *stream = NULL;
        const struct sco_batch *batch;
        const struct sco_dataset_options o =
            options((struct sco_dataset_options){.split = SCO_TRAIN_SUBSET, .batch = 2});
        enum sco_status status = sco_dataset_open(&stream, &o);
        assert_int_equal(status != SCO_OK, damages[d].at_open);
        /* Slices 3 to 5 of the order are those of the damaged file: the third batch holds its slice 1. */
        for (size_t p = 0; status == SCO_OK && p < 2; p++)
            assert_int_equal(sco_dataset_next(stream, &batch), SCO_OK);
        for (int repeat = 0; status == SCO_OK && repeat < 2; repeat++) {
            assert_int_equal(sco_dataset_next(stream, &batch), SCO_FORMAT);
            assert_null(batch);
            expect_message(&damages[d], sco_error_message());
        }
        if (damages[d].at_open) {
            assert_int_equal(status, SCO_FORMAT);
            assert_null(stream);
            expect_message(&damages[d], sco_error_message());
        }
        sco_dataset_close(stream);
    }
    /* HDF5 said nothing of its own, and prints for the program as before. */
    H5E_auto2_t print;
    void *data;
    assert_int_equal(printed, 0);
    H5Eget_auto2(H5E_DEFAULT, &print, &data);
    assert_true(print == count_print && data == &printed);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static void skipped_slices_are_counted_and_replaced(void **state)
{
    (void)state;
    for (size_t d = 0; d < DAMAGES; d++) {
        damage(d);
        /* A file whose headers are wrong stands for one slice. */
        const size_t all = SLICES + (damages[d].at_open ? 1 : SLICES), bad = damages[d].at_open ? 3 : 4;
        struct sco_dataset *stream = open_stream(
            (struct sco_dataset_options){.split = SCO_TRAIN_SUBSET, .batch = all, .bad_sample = SCO_BAD_SKIP});
        assert_int_equal(sco_dataset_get_facts(stream)->samples, all);
        const struct sco_slices *batch = next(stream);
        assert_int_equal(batch->N, all);
        const size_t instead = (bad + 1) % all;
        assert_memory_equal(batch->x + bad * SIDE * SIDE, batch->x + instead * SIDE * SIDE,
                            SIDE * SIDE * sizeof(float));
        for (size_t n = 0; n < SLICES; n++)
            assert_int_equal(identify(batch, n), n);
        assert_int_equal(sco_dataset_skipped(stream), 1);
        expect_message(&damages[d], sco_dataset_last_skipped(stream));
        assert_null(next(stream));
        sco_dataset_close(stream);

        stream = open_stream((struct sco_dataset_options){.batch = all, .bad_sample = SCO_BAD_SKIP});
        for (uint64_t epoch = 1; epoch <= 3; epoch++) {
            assert_int_equal(next(stream)->N, all);
            assert_int_equal(sco_dataset_skipped(stream), epoch);
        }
        sco_dataset_close(stream);
    }
    /* Where nothing can be used, there is nothing to skip to. */
    struct sco_dataset *stream = NULL;
    const struct sco_batch *batch;
    const struct sco_dataset_options o =
        options((struct sco_dataset_options){.batch = 1, .bad_sample = SCO_BAD_SKIP, .split = SCO_TRAIN_SUBSET});
    unlink(path_of(names[0]));
    damage(0);
    assert_int_equal(sco_dataset_open(&stream, &o), SCO_FORMAT);
    expect_message(&damages[0], sco_error_message());
    write_volume(names[1], (struct recipe){.zero_to = SLICES});
    assert_int_equal(sco_dataset_open(&stream, &o), SCO_OK);
    assert_int_equal(sco_dataset_next(stream, &batch), SCO_FORMAT);
    assert_non_null(strstr(sco_error_message(), "no slice is left that can be used"));
    sco_dataset_close(stream);
}

static void missing_folders_and_files_are_named(void **state)
{
    (void)state;
    struct sco_dataset *stream;
    struct sco_dataset_options o = options((struct sco_dataset_options){.batch = 1});
    o.path = path_of("singlecoil_train");
    assert_int_equal(sco_dataset_open(&stream, &o), SCO_IO);
    assert_non_null(strstr(sco_error_message(), "no folder singlecoil_train or knee_singlecoil_train"));
    o.path = folder;
    unlink(path_of(names[0]));
    unlink(path_of(names[1]));
    assert_int_equal(sco_dataset_open(&stream, &o), SCO_IO);
    assert_non_null(strstr(sco_error_message(), "no file *.h5"));
    /* Neither a folder nor a pipe in the place of a file. */
    assert_int_equal(mkfifo(path_of(names[0]), 0600), 0);
    assert_int_equal(sco_dataset_open(&stream, &o), SCO_IO);
    assert_non_null(strstr(sco_error_message(), "a.h5: not a regular file"));
    o.split = SCO_VALIDATION;
    o.side = 17;
    assert_int_equal(sco_dataset_open(&stream, &o), SCO_FORMAT);
    assert_non_null(strstr(sco_error_message(), "v.h5: its reconstruction of 16 x 16 cannot be cut to side 17"));
}

/* ---- Verification ------------------------------------------------------------------------------------------------ */

struct findings {
    size_t count;
    char text[8][256];
};

static void keep_finding(void *argument, enum sco_status status, const char *text)
{
    struct findings *findings = argument;
    assert_int_not_equal(status, SCO_OK);
    assert_true(findings->count < 8);
    snprintf(findings->text[findings->count++], sizeof findings->text[0], "%s", text);
}

static void verification_finds_each_fault_and_nothing_else(void **state)
{
    (void)state;
    struct findings findings = {0};
    struct sco_verify_result result;
    assert_int_equal(sco_dataset_verify(SCO_UNET, folder, keep_finding, &findings, &result), SCO_OK);
    assert_int_equal(result.files, 3);
    assert_int_equal(result.samples, 3 * SLICES);
    assert_int_equal(result.findings, 0);
    assert_int_equal(findings.count, 0);
    for (size_t d = 0; d + 1 < DAMAGES; d++) { /* the last one shows in the image alone */
        findings.count = 0;
        damage(d);
        assert_int_equal(sco_dataset_verify(SCO_UNET, folder, keep_finding, &findings, &result), SCO_OK);
        assert_int_equal(result.files, 3);
        assert_int_equal(result.samples, damages[d].at_open ? 2 * SLICES : 3 * SLICES);
        assert_int_equal(result.findings, 1);
        assert_int_equal(findings.count, 1);
        expect_message(&damages[d], findings.text[0]);
    }
    findings.count = 0;
    write_volume(names[0], (struct recipe){.zero_from = 1, .zero_to = 2});
    unlink(path_of(validation_name));
    rmdir(path_of("knee_singlecoil_val"));
    write_volume(names[1], (struct recipe){.kspace = "k"});
    assert_int_equal(sco_dataset_verify(SCO_UNET, folder, keep_finding, &findings, &result), SCO_OK);
    assert_int_equal(findings.count, 3);
    assert_non_null(strstr(findings.text[0], "a.h5: kspace: slice 1 is all zero"));
    assert_non_null(strstr(findings.text[1], "b.h5: no dataset kspace"));
    assert_non_null(strstr(findings.text[2], "no folder singlecoil_val or knee_singlecoil_val"));
    assert_int_equal(sco_dataset_verify(SCO_UNET, "nowhere", keep_finding, &findings, &result), SCO_IO);
}

/* ---- Real slices ------------------------------------------------------------------------------------------------- */

static void real_slices_are_read(void **state)
{
    (void)state;
    char path[512];
    const char *shared = getenv("STEPCOST_SHARED");
    snprintf(path, sizeof path, "%s/data/fastmri", shared != NULL ? shared : SCO_TEST_DIR "/../../shared");
    if (access(path, R_OK) != 0) {
        print_message("SKIP real_slices_are_read: no folder %s\n", path);
        skip();
    }
    struct sco_verify_result result;
    struct findings findings = {0};
    assert_int_equal(sco_dataset_verify(SCO_UNET, path, keep_finding, &findings, &result), SCO_OK);
    assert_int_equal(result.findings, 0);
    assert_int_equal(result.samples, 8);
    for (enum sco_split split = SCO_TRAIN_SUBSET; split <= SCO_TEST; split++) {
        struct sco_dataset_options o = options((struct sco_dataset_options){.split = split, .batch = 8});
        struct sco_dataset *stream;
        o.path = path;
        assert_int_equal(sco_dataset_open(&stream, &o), SCO_OK);
        const struct sco_slices *batch = next(stream);
        const size_t pixels = batch->H * batch->W;
        assert_true(batch->H == 160 && batch->W == 160);
        for (size_t n = 0; n < batch->N; n++) {
            double sums[5] = {0.0}; /* x, target, and their products */
            for (size_t i = 0; i < pixels; i++) {
                const double x = (double)batch->x[n * pixels + i], t = (double)batch->target[n * pixels + i];
                const double terms[5] = {x, t, x * x, t * t, x * t};
                assert_true(fabs(x) <= 6.0 && fabs(t) <= 6.0);
                for (size_t k = 0; k < 5; k++)
                    sums[k] += terms[k] / (double)pixels;
            }
            assert_true(fabs(sums[0]) < 0.05 && fabs(sums[2] - 1.0) < 0.1);
            /* A quarter of k-space shows what the whole does: an image that is turned, moved or cut elsewhere would not. */
            const double correlation =
                (sums[4] - sums[0] * sums[1]) / sqrt((sums[2] - sums[0] * sums[0]) * (sums[3] - sums[1] * sums[1]));
            assert_true(correlation > 0.8);
            assert_true(batch->volume_max[n] > 0.0f);
        }
        sco_dataset_close(stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(evaluated_slices_follow_the_definition, make_files, remove_files),
        cmocka_unit_test(masks_keep_the_centre_and_a_quarter_in_all),
        cmocka_unit_test_setup_teardown(epochs_hold_every_slice_once_in_other_orders, make_files, remove_files),
        cmocka_unit_test_setup_teardown(a_subset_of_training_is_evaluated_in_order, make_files, remove_files),
        cmocka_unit_test_setup_teardown(masks_are_one_in_evaluation_and_each_its_own_in_training, make_files,
                                        remove_files),
        cmocka_unit_test_setup_teardown(bits_depend_on_the_position_alone, make_files, remove_files),
        cmocka_unit_test_setup_teardown(the_first_hundred_files_validate_and_the_others_test, make_files, remove_files),
        cmocka_unit_test_setup_teardown(damaged_files_are_named_with_what_is_wrong, make_files, remove_files),
        cmocka_unit_test_setup_teardown(skipped_slices_are_counted_and_replaced, make_files, remove_files),
        cmocka_unit_test_setup_teardown(missing_folders_and_files_are_named, make_files, remove_files),
        cmocka_unit_test_setup_teardown(verification_finds_each_fault_and_nothing_else, make_files, remove_files),
        cmocka_unit_test(real_slices_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

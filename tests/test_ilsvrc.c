/* SPDX-License-Identifier: Apache-2.0
 * ImageNet's layouts, made here from small images: crops, resize and labels by plain arithmetic, damaged files by
 * message. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <jpeglib.h>

#include "arch/random.h"
#include "io/dataset_core.h"
#include "io/image_jpeg.h"
#include "io/image_resize.h"
#include "stepcost/memory.h"

/* ---- Fixtures ---------------------------------------------------------------------------------------------------- */

static char folder[] = "stepcost-test-XXXXXX";

static const char *in_folder(const char *format, ...)
{
    static char text[4][512];
    static unsigned next;
    char *path = text[next++ % 4];
    const int n = snprintf(path, sizeof text[0], "%s/", folder);
    va_list args;
    va_start(args, format);
    vsnprintf(path + n, sizeof text[0] - (size_t)n, format, args);
    va_end(args);
    return path;
}

struct bytes {
    unsigned char *at;
    unsigned long size;
};

enum look { RGB, GRAY, CMYK, YCCK };
enum coding { BASELINE, PROGRESSIVE, SCANS /* one a channel */ };

/* A smooth image whose colours depend on seed. */
static struct bytes encode(size_t H, size_t W, enum look look, unsigned seed, enum coding coding)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    struct bytes out = {NULL, 0};
    const size_t channels = look == GRAY ? 1 : look == RGB ? 3 : 4;
    unsigned char *row = malloc(W * channels);
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &out.at, &out.size);
    c.image_width = (JDIMENSION)W;
    c.image_height = (JDIMENSION)H;
    c.input_components = (int)channels;
    c.in_color_space = look == GRAY ? JCS_GRAYSCALE : look == RGB ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    if (look == YCCK)
        jpeg_set_colorspace(&c, JCS_YCCK);
    jpeg_set_quality(&c, 95, TRUE);
    static const jpeg_scan_info scans[] = {{1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
    if (coding == PROGRESSIVE)
        jpeg_simple_progression(&c);
    if (coding == SCANS) {
        c.scan_info = scans;
        c.num_scans = 3;
    }
    jpeg_start_compress(&c, TRUE);
    for (size_t y = 0; y < H; y++) {
        for (size_t x = 0; x < W; x++)
            for (size_t k = 0; k < channels; k++)
                row[x * channels + k] = (unsigned char)(128 + 100 * sin(0.11 * (double)(x * (k + 1)) +
                                                                        0.07 * (double)y + (double)(seed * (k + 2))));
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    free(row);
    return out;
}

static void put(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        fail_msg("%s cannot be written", path);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

static void put_image(const char *path, size_t H, size_t W, enum look look, unsigned seed)
{
    const struct bytes image = encode(H, W, look, seed, seed % 2 ? PROGRESSIVE : BASELINE);
    put(path, image.at, image.size);
    free(image.at);
}

static void make_folder(const char *path)
{
    if (mkdir(path, 0777) != 0)
        fail_msg("%s cannot be made", path);
}

static void add_member(struct archive *a, const char *name, const void *bytes, size_t size)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_size(e, (la_int64_t)size);
    archive_entry_set_filetype(e, S_IFREG);
    archive_entry_set_perm(e, 0644);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, bytes, size), size);
    archive_entry_free(e);
}

static struct archive *new_tar(void)
{
    struct archive *a = archive_write_new();
    archive_write_set_format_pax_restricted(a);
    archive_write_add_filter_none(a);
    return a;
}

/* Three classes of 3, 2 and 3 images, in an order that is not the one of names. */
static const struct {
    const char *synset, *name;
    size_t H, W;
    enum look look;
} sample[] = {
    {"n02", "n02_9.JPEG", 40, 52, RGB},  {"n01", "n01_5.jpg", 1, 1, RGB},     {"n01", "n01_10.JPEG", 33, 41, GRAY},
    {"n03", "n03_1.jpeg", 64, 48, CMYK}, {"n03", "n03_2.JPEG", 3, 500, RGB},  {"n02", "n02_7.JPEG", 50, 50, YCCK},
    {"n03", "n03_0.Jpeg", 47, 90, RGB},  {"n01", "n01_2.JPEG", 120, 61, RGB},
};
enum { SAMPLES = sizeof sample / sizeof *sample, SIDE = 24 };

static struct bytes sample_bytes(size_t i)
{
    return encode(sample[i].H, sample[i].W, sample[i].look, (unsigned)i, i % 2 ? PROGRESSIVE : BASELINE);
}

/* The dataset as folders below "a", as tar files below "b". */
static int build(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    static const char *const parts[] = {"a", "a/train", "a/val", "b"};
    for (size_t i = 0; i < 4; i++)
        make_folder(in_folder("%s", parts[i]));
    struct archive *train = new_tar(), *val = new_tar();
    archive_write_open_filename(train, in_folder("b/ILSVRC2012_img_train.tar"));
    archive_write_open_filename(val, in_folder("b/ILSVRC2012_img_val.tar"));
    static const char *const synsets[] = {"n02", "n03", "n01"};
    for (size_t c = 0; c < 3; c++) {
        make_folder(in_folder("a/train/%s", synsets[c]));
        make_folder(in_folder("a/val/%s", synsets[c]));
        static unsigned char inner[1 << 20];
        size_t used = 0;
        struct archive *tar = new_tar();
        archive_write_open_memory(tar, inner, sizeof inner, &used);
        for (size_t i = SAMPLES; i-- > 0;) {
            if (strcmp(sample[i].synset, synsets[c]) != 0)
                continue;
            const struct bytes image = sample_bytes(i);
            char long_name[200];
            put(in_folder("a/train/%s/%s", sample[i].synset, sample[i].name), image.at, image.size);
            put(in_folder("a/val/%s/v%zu.JPEG", sample[i].synset, i), image.at, image.size);
            /* A header of several blocks before some of them. */
            snprintf(long_name, sizeof long_name, "%0120d/%s", 0, sample[i].name);
            add_member(tar, i % 3 == 0 ? long_name : sample[i].name, image.at, image.size);
            free(image.at);
        }
        archive_write_free(tar);
        add_member(train, c == 1 ? "./n03.tar" : c == 0 ? "n02.tar" : "n01.tar", inner, used);
    }
    FILE *labels = fopen(in_folder("b/ILSVRC2012_val_labels.txt"), "w");
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct bytes image = sample_bytes(i);
        char name[32];
        snprintf(name, sizeof name, "v%zu.JPEG", i);
        add_member(val, name, image.at, image.size);
        if (i % 2)
            fprintf(labels, "%s\r\n", sample[i].synset);
        else
            fprintf(labels, "%d\n", sample[i].synset[2] - '1');
        free(image.at);
    }
    fclose(labels);
    archive_write_free(train);
    archive_write_free(val);
    return 0;
}

static int discard(void **state)
{
    (void)state;
    char command[600];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static struct sco_dataset_options options(const char *path, enum sco_split split, size_t batch)
{
    return (struct sco_dataset_options){
        .workload = SCO_RESNET50, .path = path, .split = split, .batch = batch, .side = SIDE, .seed = 7};
}

static struct sco_dataset *stream(const struct sco_dataset_options *o)
{
    struct sco_dataset *d;
    if (sco_dataset_open_source(&d, o, &sco_ilsvrc_source) != SCO_OK)
        fail_msg("%s: %s", o->path, sco_error_message());
    return d;
}

static const struct sco_batch *next(struct sco_dataset *d)
{
    const struct sco_batch *batch;
    if (sco_dataset_next(d, &batch) != SCO_OK)
        fail_msg("%s", sco_error_message());
    return batch;
}

static void expect_message(const char *said)
{
    if (strstr(sco_error_message(), said) == NULL)
        fail_msg("'%s' is not in: %s", said, sco_error_message());
}

/* ---- Arithmetic -------------------------------------------------------------------------------------------------- */

static double keys(double x)
{
    x = fabs(x);
    return x <= 1 ? 1.5 * x * x * x - 2.5 * x * x + 1 : x < 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2 : 0;
}

/* One pixel of a resize by the definition: all taps of both axes, in double. */
static double resized(const unsigned char *rgb, size_t row, size_t H, size_t W, size_t y, size_t x, size_t c)
{
    const double at[2] = {((double)y + 0.5) * (double)H / SIDE - 0.5, ((double)x + 0.5) * (double)W / SIDE - 0.5};
    double sum = 0, weights = 0, snapped[2];
    for (int k = 0; k < 2; k++)
        snapped[k] = floor(at[k]) + rint((at[k] - floor(at[k])) * 1024) / 1024;
    for (size_t i = 0; i < H; i++)
        for (size_t j = 0; j < W; j++) {
            const double w = keys((double)i - snapped[0]) * keys((double)j - snapped[1]);
            sum += w * rgb[i * row + 3 * j + c];
            weights += w;
        }
    return sum / weights;
}

static const double mean[3] = {123.675, 116.28, 103.53}, deviation[3] = {58.395, 57.12, 57.375};

/* The whole image through libjpeg and no code of ours but the inks. */
static unsigned char *decode(const struct bytes *image, size_t *H, size_t *W)
{
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    c.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&c);
    jpeg_mem_src(&c, image->at, image->size);
    jpeg_read_header(&c, TRUE);
    const bool inks = c.num_components == 4;
    c.out_color_space = inks ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&c);
    *H = c.output_height;
    *W = c.output_width;
    unsigned char *rgb = malloc(*H * *W * 3), *row = malloc(*W * 4);
    for (size_t y = 0; y < *H; y++) {
        jpeg_read_scanlines(&c, &row, 1);
        for (size_t x = 0; x < *W; x++)
            for (size_t k = 0; k < 3; k++)
                rgb[(y * *W + x) * 3 + k] =
                    inks ? (unsigned char)(row[4 * x + k] * row[4 * x + 3] / 255) : row[3 * x + k];
    }
    jpeg_finish_decompress(&c);
    jpeg_destroy_decompress(&c);
    free(row);
    return rgb;
}

/* Every batch value against crop, resize and normalisation in double. Weights and sums round seven times in float32:
 * the bound is 16 roundings of the largest sum of magnitudes, 255 * 1.6^2, over the smallest deviation. */
static void check_image(const float *x, const struct bytes *image, const struct sco_crop *given, bool mirror)
{
    size_t H, W;
    unsigned char *rgb = decode(image, &H, &W);
    const size_t shorter = H < W ? H : W, part = SIDE * shorter / (SIDE + 32), s = part == 0 ? 1 : part;
    const struct sco_crop crop = given ? *given : (struct sco_crop){(H - s + 1) / 2, (W - s + 1) / 2, s, s};
    assert_true(crop.top + crop.H <= H && crop.left + crop.W <= W);
    const double bound = 16 * 0x1p-24 * 255 * 2.56 / 57;
    for (size_t i = 0; i < SIDE; i++)
        for (size_t j = 0; j < SIDE; j++)
            for (size_t c = 0; c < 3; c++) {
                const double pixel = resized(rgb + crop.top * W * 3 + crop.left * 3, 3 * W, crop.H, crop.W, i, j, c);
                const float got = x[(i * SIDE + (mirror ? SIDE - 1 - j : j)) * 3 + c];
                if (!(fabs(got - (pixel - mean[c]) / deviation[c]) <= bound))
                    fail_msg("pixel %zu, %zu, %zu of %zu x %zu: %.9g, expected %.9g", i, j, c, crop.H, crop.W, got,
                             (pixel - mean[c]) / deviation[c]);
            }
    free(rgb);
}

static void evaluation_by_definition(void **state)
{
    (void)state;
    const struct sco_dataset_options o = options(in_folder("a"), SCO_VALIDATION, 5);
    struct sco_dataset *d = stream(&o);
    const struct sco_dataset_facts *facts = sco_dataset_get_facts(d);
    assert_int_equal(facts->samples, SAMPLES);
    assert_int_equal(facts->classes, 3);
    assert_true(facts->H == SIDE && facts->W == SIDE && !facts->synthetic);
    for (size_t i = 0; i < SAMPLES;) {
        const struct sco_images *batch = &next(d)->images;
        assert_int_equal(batch->N, i == 0 ? 5 : SAMPLES - 5);
        for (size_t k = 0; k < batch->N; k++, i++) {
            const struct bytes image = sample_bytes(i);
            check_image(batch->x + k * SIDE * SIDE * 3, &image, NULL, false);
            assert_int_equal(batch->label[k], sample[i].synset[2] - '1');
            free(image.at);
        }
    }
    assert_null(next(d));
    sco_dataset_close(d);
}

/* Sorted by name within a class, the first of each class first. */
static const size_t train_order[SAMPLES] = {2, 5, 6, 7, 0, 3, 1, 4};

static void training_by_definition(void **state)
{
    (void)state;
    const struct sco_dataset_options o = options(in_folder("a"), SCO_TRAIN, 3);
    struct sco_dataset *d = stream(&o);
    size_t mirrored = 0, cropped = 0;
    for (uint64_t p = 0; p < 16; p++) {
        const struct sco_images *batch = &next(d)->images;
        assert_int_equal(batch->N, 3);
        for (size_t k = 0; k < 3; k++) {
            const uint64_t place = 3 * p + k, epoch = place / SAMPLES;
            const uint64_t index = sco_shuffled(SAMPLES, 7, epoch, place % SAMPLES);
            const uint64_t seed = sco_random_stream(sco_random_stream(sco_random_stream(7, 0x1a6e), epoch), index);
            const size_t i = train_order[index];
            const struct bytes image = sample_bytes(i);
            const struct sco_crop crop = sco_crop_random(seed, sample[i].H, sample[i].W, SIDE);
            const bool mirror = sco_random_uniform(seed, 40) < 0.5;
            mirrored += mirror;
            cropped += crop.H != crop.W;
            check_image(batch->x + k * SIDE * SIDE * 3, &image, &crop, mirror);
            assert_int_equal(batch->label[k], sample[i].synset[2] - '1');
            free(image.at);
        }
    }
    assert_true(mirrored > 10 && mirrored < 38 && cropped > 10);
    sco_dataset_close(d);
}

/* Bounds of area and shape with a line of rounding, offsets within the image, and a spread over what is allowed. */
static void random_crops(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{375, 500}, {500, 333}, {64, 64}, {20, 300}, {2, 2}, {1, 1}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t H = sizes[k][0], W = sizes[k][1];
        const struct sco_crop centre = sco_crop_centre(H, W, 224);
        double smallest = 1, largest = 0;
        size_t fallbacks = 0;
        for (uint64_t seed = 0; seed < 2000; seed++) {
            const struct sco_crop c = sco_crop_random(seed, H, W, 224);
            assert_true(c.H > 0 && c.W > 0 && c.top + c.H <= H && c.left + c.W <= W);
            if (memcmp(&c, &centre, sizeof c) == 0) {
                fallbacks++;
                continue;
            }
            const double area = (double)(c.H * c.W) / (double)(H * W);
            assert_true(area >= 0.1 - 1e-6 && area <= 1);
            assert_true((double)c.W >= 0.75 * (double)c.H - 1 && (double)c.W <= 4.0 / 3 * (double)c.H + 1);
            smallest = area < smallest ? area : smallest;
            largest = area > largest ? area : largest;
        }
        /* At 3/4 the second image is narrower than any crop: 89 % is what fits. */
        if (k < 3)
            assert_true(fallbacks < 200 && smallest < 0.12 && largest > (k == 1 ? 0.85 : 0.95));
        if (H == 1)
            assert_int_equal(fallbacks, 2000);
    }
    /* AlgoPerf's example: 224 of 256 parts of the shorter edge. */
    const struct sco_crop c = sco_crop_centre(375, 500, 224);
    assert_true(c.H == 328 && c.W == 328 && c.top == 24 && c.left == 86);
}

/* Rows that are not needed are skipped: what is read has the bits of the whole image. */
static void crops_have_the_bits_of_the_whole(void **state)
{
    (void)state;
    struct sco_jpeg *jpeg;
    size_t bytes = 0, H, W;
    assert_int_equal(sco_jpeg_create(&jpeg, &bytes), SCO_OK);
    assert_true(bytes > 0);
    for (unsigned look = RGB; look <= YCCK; look++)
        for (unsigned coding = BASELINE; coding <= PROGRESSIVE; coding++) {
            const struct bytes image = encode(61, 45, look, 3, coding);
            unsigned char *rgb = decode(&image, &H, &W);
            for (size_t top = 0; top < H; top += 5) {
                const struct sco_crop crop = {.top = top, .left = top / 2, .H = (H - top + 1) / 2, .W = 10};
                assert_int_equal(sco_jpeg_start(jpeg, image.at, image.size, &H, &W), SCO_OK);
                assert_int_equal(sco_jpeg_crop(jpeg, &crop), SCO_OK);
                for (size_t y = 0; y < crop.H; y++) {
                    const unsigned char *row;
                    assert_int_equal(sco_jpeg_row(jpeg, &row), SCO_OK);
                    assert_memory_equal(row, rgb + ((top + y) * W + crop.left) * 3, 3 * crop.W);
                }
                assert_int_equal(sco_jpeg_finish(jpeg), SCO_OK);
            }
            free(rgb);
            free(image.at);
        }
    sco_jpeg_destroy(jpeg);
}

/* ---- Layouts ----------------------------------------------------------------------------------------------------- */

static void expect_equal_streams(const struct sco_dataset_options *one, const struct sco_dataset_options *other,
                                 size_t batches)
{
    struct sco_dataset *a = stream(one), *b = stream(other);
    assert_int_equal(sco_dataset_get_facts(a)->classes, sco_dataset_get_facts(b)->classes);
    for (size_t p = 0; p < batches; p++) {
        const struct sco_batch *x = next(a), *y = next(b);
        if (x == NULL || y == NULL) {
            assert_true(x == y && p > 0);
            break;
        }
        assert_int_equal(x->samples, y->samples);
        assert_memory_equal(x->images.label, y->images.label, x->samples * sizeof(int32_t));
        assert_memory_equal(x->images.x, y->images.x, x->samples * SIDE * SIDE * 3 * sizeof(float));
    }
    sco_dataset_close(a);
    sco_dataset_close(b);
}

static void tar_files_are_folders(void **state)
{
    (void)state;
    static const enum sco_split splits[] = {SCO_TRAIN, SCO_TRAIN_SUBSET, SCO_VALIDATION};
    for (size_t k = 0; k < 3; k++) {
        const struct sco_dataset_options a = options(in_folder("a"), splits[k], 3);
        struct sco_dataset_options b = options(in_folder("b"), splits[k], 3);
        expect_equal_streams(&a, &b, 7);
        b.path = in_folder("b/ILSVRC2012_img_%s.tar", splits[k] == SCO_VALIDATION ? "val" : "train");
        b.workers = 3;
        expect_equal_streams(&a, &b, 7);
    }
}

static void order_and_seed(void **state)
{
    (void)state;
    struct sco_dataset_options o = options(in_folder("a"), SCO_TRAIN, 4);
    o.workers = 3;
    struct sco_dataset *d = stream(&o);
    enum { BATCHES = 6, FLOATS = 4 * SIDE * SIDE * 3 };
    float *x = malloc(BATCHES * FLOATS * sizeof *x);
    for (size_t p = 0; p < BATCHES; p++)
        memcpy(x + p * FLOATS, next(d)->images.x, FLOATS * sizeof *x);
    /* Two batches are an epoch: its images come again, cropped anew. */
    for (size_t p = 1; p < BATCHES; p++)
        assert_memory_not_equal(x, x + p * FLOATS, FLOATS * sizeof *x);
    for (uint64_t p = BATCHES; p-- > 0;) {
        assert_int_equal(sco_dataset_seek(d, p), SCO_OK);
        assert_memory_equal(next(d)->images.x, x + p * FLOATS, FLOATS * sizeof *x);
    }
    sco_dataset_close(d);
    o.seed = 8;
    d = stream(&o);
    assert_memory_not_equal(next(d)->images.x, x, FLOATS * sizeof *x);
    sco_dataset_close(d);
    free(x);

    /* The first samples: one of each class. */
    o = options(in_folder("a"), SCO_TRAIN_SUBSET, 8);
    o.samples = 3;
    d = stream(&o);
    assert_int_equal(sco_dataset_get_facts(d)->samples, 3);
    const struct sco_batch *batch = next(d);
    assert_int_equal(batch->samples, 3);
    for (int32_t i = 0; i < 3; i++)
        assert_int_equal(batch->images.label[i], i);
    assert_null(next(d));
    sco_dataset_close(d);
}

static void imagenet_v2(void **state)
{
    (void)state;
    make_folder(in_folder("v2"));
    make_folder(in_folder("v2/test"));
    static const int classes[] = {0, 2, 10};
    for (size_t i = 0; i < 3; i++) {
        make_folder(in_folder("v2/test/%d", classes[i]));
        put_image(in_folder("v2/test/%d/x.jpeg", classes[i]), 30, 30, RGB, (unsigned)i);
    }
    const struct sco_dataset_options o = options(in_folder("v2"), SCO_TEST, 4);
    struct sco_dataset *d = stream(&o);
    assert_int_equal(sco_dataset_get_facts(d)->classes, 11);
    const struct sco_batch *batch = next(d);
    assert_int_equal(batch->samples, 3);
    assert_true(batch->images.label[0] == 0 && batch->images.label[1] == 10 && batch->images.label[2] == 2);
    sco_dataset_close(d);
}

/* ---- What is wrong with files ------------------------------------------------------------------------------------ */

struct findings {
    size_t count;
    char text[32][600];
};

static void note(void *argument, enum sco_status status, const char *text)
{
    struct findings *f = argument;
    assert_int_not_equal(status, SCO_OK);
    assert_true(f->count < 32);
    snprintf(f->text[f->count++], sizeof f->text[0], "%s", text);
}

static void damaged_images(void **state)
{
    (void)state;
    static const char png[] = "\x89PNG\r\n\x1a\n and more";
    static const unsigned char zeros[300];
    const struct bytes good = encode(40, 60, RGB, 1, BASELINE);
    make_folder(in_folder("bad"));
    make_folder(in_folder("bad/train"));
    make_folder(in_folder("bad/train/n01"));
    make_folder(in_folder("bad/train/n02"));
    put(in_folder("bad/train/n01/cut.JPEG"), good.at, good.size / 2);
    put(in_folder("bad/train/n01/header.JPEG"), good.at, 60);
    put(in_folder("bad/train/n01/png.JPEG"), png, sizeof png);
    put(in_folder("bad/train/n01/zeros.JPEG"), zeros, sizeof zeros);
    put(in_folder("bad/train/n01/empty.JPEG"), zeros, 0);
    put(in_folder("bad/train/n01/readme.txt"), png, 4);
    /* A marker where coded data should be. */
    good.at[good.size - 40] = 0xff;
    good.at[good.size - 39] = 0xd9;
    put(in_folder("bad/train/n01/marker.JPEG"), good.at, good.size);
    free(good.at);
    put_image(in_folder("bad/train/n02/good.JPEG"), 40, 60, RGB, 2);
    static const struct {
        const char *name, *said;
    } expected[] = {{"cut", "Premature end"}, {"empty", "byte 0: empty"},      {"header", "byte 60: "},
                    {"marker", "scan line "}, {"png", "is a PNG, not a JPEG"}, {"zeros", "is zeros, not a JPEG"}};
    struct findings *f = calloc(1, sizeof *f);
    struct sco_verify_result result;
    assert_int_equal(sco_ilsvrc_source.verify(in_folder("bad"), note, f, &result), SCO_OK);
    assert_true(result.findings == 6 && f->count == 6 && result.samples == 1 && result.files == 7);
    for (size_t i = 0; i < 6; i++) {
        size_t at = 0;
        const char *path = in_folder("bad/train/n01/%s.JPEG: byte ", expected[i].name);
        while (at < 6 && strncmp(f->text[at], path, strlen(path)) != 0)
            at++;
        if (at == 6 || strstr(f->text[at], expected[i].said) == NULL)
            fail_msg("%s is not reported by '%s': %s", path, expected[i].said, at == 6 ? "" : f->text[at]);
    }
    free(f);

    /* Stop names the file, and stays where it is. */
    struct sco_dataset_options o = options(in_folder("bad"), SCO_TRAIN_SUBSET, 2);
    const struct sco_batch *batch;
    struct sco_dataset *d = stream(&o);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(sco_dataset_next(d, &batch), SCO_FORMAT);
        expect_message("bad/train/n01/cut.JPEG: byte ");
    }
    sco_dataset_close(d);

    /* Skip puts the one good image in every place, and counts. */
    o.bad_sample = SCO_BAD_SKIP;
    d = stream(&o);
    uint64_t skipped = 0;
    for (size_t seen = 0; (batch = next(d)) != NULL; seen += batch->samples) {
        for (size_t i = 0; i < batch->samples; i++)
            assert_int_equal(batch->images.label[i], 1);
        assert_memory_equal(batch->images.x, batch->images.x + (batch->samples - 1) * SIDE * SIDE * 3,
                            SIDE * SIDE * 3 * sizeof(float));
        skipped = sco_dataset_skipped(d);
        assert_true(skipped >= seen);
    }
    assert_int_equal(skipped, 6);
    assert_non_null(strstr(sco_dataset_last_skipped(d), "bad/train/n01/"));
    sco_dataset_close(d);

    assert_int_equal(unlink(in_folder("bad/train/n02/good.JPEG")), 0);
    d = stream(&o);
    assert_int_equal(sco_dataset_next(d, &batch), SCO_FORMAT);
    expect_message("none of the 6 images can be used");
    sco_dataset_close(d);
}

static void refused(const char *path, enum sco_split split, enum sco_status status, const char *said)
{
    const struct sco_dataset_options o = options(path, split, 2);
    struct sco_dataset *d;
    assert_int_equal(sco_dataset_open_source(&d, &o, &sco_ilsvrc_source), status);
    assert_null(d);
    expect_message(said);
}

static void damaged_layouts(void **state)
{
    (void)state;
    refused(in_folder("nowhere"), SCO_TRAIN, SCO_IO, "nowhere: cannot be opened");
    refused(in_folder("a"), SCO_TEST, SCO_IO, "a/test: cannot be opened");
    make_folder(in_folder("c"));
    refused(in_folder("c"), SCO_TRAIN, SCO_IO, "c/train: cannot be opened");
    make_folder(in_folder("c/train"));
    refused(in_folder("c"), SCO_TRAIN, SCO_FORMAT, "c/train: no images");

    /* Classes that only one of the splits has, and one without images. */
    static const char *const parts[] = {"c/train/n01", "c/train/n03", "c/train/n09", "c/val", "c/val/n02"};
    for (size_t i = 0; i < 5; i++)
        make_folder(in_folder("%s", parts[i]));
    put_image(in_folder("c/train/n01/1.JPEG"), 8, 8, RGB, 0);
    put_image(in_folder("c/train/n03/1.JPEG"), 8, 8, RGB, 0);
    put_image(in_folder("c/val/n02/1.JPEG"), 8, 8, RGB, 0);
    struct findings *f = calloc(1, sizeof *f);
    struct sco_verify_result result;
    assert_int_equal(sco_ilsvrc_source.verify(in_folder("c"), note, f, &result), SCO_OK);
    assert_true(result.findings == 2 && result.samples == 3 && result.files == 3);
    assert_non_null(strstr(f->text[0], "c/train/n09: a class without images"));
    assert_non_null(strstr(f->text[1], "c/val/n02: the class is missing in "));
    const struct sco_dataset_options o = options(in_folder("c"), SCO_TRAIN_SUBSET, 2);
    struct sco_dataset *d = stream(&o);
    assert_int_equal(sco_dataset_get_facts(d)->classes, 4);
    assert_int_equal(next(d)->images.label[1], 2);
    sco_dataset_close(d);

    /* Tar files: cut short, none at all, labels that do not fit. */
    make_folder(in_folder("t"));
    char command[1200];
    snprintf(command, sizeof command,
             "cd '%s' && head -c 3000 b/ILSVRC2012_img_train.tar >t/cut.tar && "
             "cp b/ILSVRC2012_img_val.tar t && echo not a tar >t/not.tar",
             folder);
    assert_int_equal(system(command), 0);
    refused(in_folder("t/cut.tar"), SCO_TRAIN, SCO_FORMAT, "t/cut.tar: byte 0: member n02.tar of ");
    refused(in_folder("t/not.tar"), SCO_TRAIN, SCO_FORMAT, "t/not.tar: byte 0: ");
    refused(in_folder("t"), SCO_VALIDATION, SCO_IO, "t/ILSVRC2012_val_labels.txt: cannot be opened");
    static const struct {
        const char *lines, *said;
    } labels[] = {{"0\n1\n2\n", "3 lines for the 8 images"},
                  {"0\n1\nx1\n", "line 3: 'x1' is neither a class nor a synset"},
                  {"0\n1\nn01\n", "line 3: 'n01' is neither"},
                  {"0\n0\n0\n0\n0\n0\n0\n0\n0\n", "line 9: more lines than the 8 images"}};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        put(in_folder("t/ILSVRC2012_val_labels.txt"), labels[i].lines, strlen(labels[i].lines));
        refused(in_folder("t/ILSVRC2012_img_val.tar"), SCO_VALIDATION, SCO_FORMAT, labels[i].said);
    }
    put(in_folder("b/ILSVRC2012_val_labels.txt"), "3\n", 2);
    refused(in_folder("b"), SCO_VALIDATION, SCO_FORMAT, "line 1: class 3 of 3, which count from 0");

    /* A member that is damaged is named with its tar files. */
    struct archive *tar = new_tar(), *outer = new_tar();
    static unsigned char inner[1 << 16];
    size_t used = 0;
    archive_write_open_memory(tar, inner, sizeof inner, &used);
    add_member(tar, "n01_1.JPEG", "\x89PNG", 4);
    archive_write_free(tar);
    archive_write_open_filename(outer, in_folder("t/outer.tar"));
    add_member(outer, "n01.tar", inner, used);
    add_member(outer, "n02.tar", inner, 700);
    archive_write_free(outer);
    memset(f, 0, sizeof *f);
    assert_int_equal(unlink(in_folder("t/ILSVRC2012_img_val.tar")), 0);
    assert_int_equal(sco_ilsvrc_source.verify(in_folder("t/outer.tar"), note, f, &result), SCO_OK);
    assert_non_null(strstr(f->text[f->count - 1], "t/outer.tar: n02.tar: n01_1.JPEG: byte 0: is a PNG"));
    assert_non_null(strstr(f->text[f->count - 2], "t/outer.tar: n01.tar: n01_1.JPEG: byte 0: is a PNG"));
    assert_int_equal(result.findings, f->count);
    free(f);
}

/* Every byte of an image and of a tar's headers once replaced: refused or read, never worse. */
static void any_byte(void **state)
{
    (void)state;
    struct sco_jpeg *jpeg;
    size_t bytes = 0, H, W, refusals = 0;
    const struct bytes image = encode(9, 17, RGB, 1, PROGRESSIVE);
    assert_int_equal(sco_jpeg_create(&jpeg, &bytes), SCO_OK);
    for (size_t i = 0; i < image.size; i++) {
        const unsigned char was = image.at[i];
        image.at[i] = (unsigned char)sco_splitmix64(5, i);
        enum sco_status status = sco_jpeg_start(jpeg, image.at, image.size, &H, &W);
        if (status == SCO_OK && H * W < 10000) {
            const unsigned char *row;
            status = sco_jpeg_crop(jpeg, &(struct sco_crop){.H = H, .W = W});
            for (size_t y = 0; y < H && status == SCO_OK; y++)
                status = sco_jpeg_row(jpeg, &row);
            if (status == SCO_OK)
                status = sco_jpeg_finish(jpeg);
        } else if (status == SCO_OK) {
            sco_jpeg_destroy(jpeg);
            assert_int_equal(sco_jpeg_create(&jpeg, &bytes), SCO_OK);
        }
        refusals += status != SCO_OK;
        image.at[i] = was;
    }
    assert_true(refusals > 50);
    sco_jpeg_destroy(jpeg);
    free(image.at);
}

/* A few bytes may claim any size, and any number of scans. */
static void greedy_headers(void **state)
{
    (void)state;
    struct sco_jpeg *jpeg;
    size_t bytes = 0, H, W, at = 0;
    const struct bytes image = encode(16, 16, RGB, 1, BASELINE);
    assert_int_equal(sco_jpeg_create(&jpeg, &bytes), SCO_OK);
    while (image.at[at] != 0xff || image.at[at + 1] != 0xc0)
        at++;
    memset(image.at + at + 5, 0xea, 4); /* height and width of the frame: 60138 */
    assert_int_equal(sco_jpeg_start(jpeg, image.at, image.size, &H, &W), SCO_FORMAT);
    expect_message("60138 x 60138 pixels, more than 100000000 in all");
    memset(image.at + at + 5, 0xff, 4);
    assert_int_equal(sco_jpeg_start(jpeg, image.at, image.size, &H, &W), SCO_FORMAT);
    expect_message("65500");
    free(image.at);

    /* The last scan of an image, over and over. */
    const struct bytes once = encode(16, 16, RGB, 1, SCANS);
    size_t scan = once.size - 2;
    while (once.at[scan] != 0xff || once.at[scan + 1] != 0xda)
        scan--;
    const size_t length = once.size - 2 - scan;
    unsigned char *many = malloc(once.size + 600 * length);
    memcpy(many, once.at, once.size - 2);
    for (size_t i = 0; i < 600; i++)
        memcpy(many + once.size - 2 + i * length, once.at + scan, length);
    memcpy(many + once.size - 2 + 600 * length, "\xff\xd9", 2);
    assert_int_equal(sco_jpeg_start(jpeg, many, once.size + 600 * length, &H, &W), SCO_OK);
    assert_int_equal(sco_jpeg_crop(jpeg, &(struct sco_crop){.H = H, .W = W}), SCO_FORMAT);
    expect_message("more than 500 scans");
    free(many);
    free(once.at);
    sco_jpeg_destroy(jpeg);
}

/* ---- Real images ------------------------------------------------------------------------------------------------- */

static const char *shared(void)
{
    static char path[4096];
    const char *set = getenv("STEPCOST_SHARED");
    snprintf(path, sizeof path, "%s/data/imagenet", set != NULL ? set : SCO_TEST_DIR "/../../shared");
    return access(path, R_OK) == 0 ? path : NULL;
}

static void real_images(void **state)
{
    (void)state;
    const char *path = shared();
    if (path == NULL) {
        print_message("SKIP real_images: no data/imagenet in STEPCOST_SHARED\n");
        skip();
    }
    size_t decoded = 0;
    double sum[3] = {0}, squares[3] = {0};
    static const enum sco_split splits[] = {SCO_TRAIN_SUBSET, SCO_VALIDATION};
    for (size_t k = 0; k < 2; k++) {
        struct sco_dataset_options o = options(path, splits[k], 24);
        o.side = 64;
        struct sco_dataset *d = stream(&o);
        assert_int_equal(sco_dataset_get_facts(d)->classes, 120);
        for (const struct sco_batch *batch; (batch = next(d)) != NULL; decoded += batch->samples)
            for (size_t i = 0; i < batch->samples * 64 * 64 * 3; i++) {
                sum[i % 3] += batch->images.x[i];
                squares[i % 3] += (double)batch->images.x[i] * batch->images.x[i];
            }
        sco_dataset_close(d);
    }
    assert_int_equal(decoded, 120);
    /* Normalised by the statistics of all of ImageNet: near 0 and 1. */
    for (size_t c = 0; c < 3; c++) {
        const double n = 120.0 * 64 * 64, average = sum[c] / n, variance = squares[c] / n - average * average;
        assert_true(fabs(average) < 0.4 && variance > 0.7 && variance < 2.2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_crops),
        cmocka_unit_test(crops_have_the_bits_of_the_whole),
        cmocka_unit_test(evaluation_by_definition),
        cmocka_unit_test(training_by_definition),
        cmocka_unit_test(tar_files_are_folders),
        cmocka_unit_test(order_and_seed),
        cmocka_unit_test(imagenet_v2),
        cmocka_unit_test(damaged_images),
        cmocka_unit_test(damaged_layouts),
        cmocka_unit_test(any_byte),
        cmocka_unit_test(greedy_headers),
        cmocka_unit_test(real_images),
    };
    return cmocka_run_group_tests(tests, build, discard);
}

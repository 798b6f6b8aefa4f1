/* SPDX-License-Identifier: Apache-2.0 */
#include "io/image_jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "arch/fail.h"
#include "stepcost/memory.h"

enum { ROWS = 4, ROW_BYTES = 3 * SCO_JPEG_SIDE + SCO_RESIZE_BLOCK };

struct sco_jpeg {
    struct jpeg_decompress_struct library;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    enum sco_status status;
    size_t size;
    bool in_lines; /* the header is behind */
    struct sco_crop crop;
    size_t next;         /* row of the crop */
    unsigned char *rows; /* [ROWS][ROW_BYTES]: the last ones that were handed out */
    unsigned char *cmyk; /* a row of four channels */
};

/* libjpeg has no way back from an error but a jump; every entry below sets where to. */
static _Noreturn void leave(j_common_ptr library, enum sco_status status)
{
    struct sco_jpeg *jpeg = library->client_data;
    jpeg->status = status;
    longjmp(jpeg->failed, 1);
}

static _Noreturn void give_up(j_common_ptr library, const char *advice)
{
    struct sco_jpeg *jpeg = library->client_data;
    const struct jpeg_decompress_struct *cinfo = &jpeg->library;
    char text[JMSG_LENGTH_MAX];
    library->err->format_message(library, text);
    const size_t left = cinfo->src == NULL ? 0 : cinfo->src->bytes_in_buffer;
    const size_t at = library->err->msg_code == JWRN_JPEG_EOF || left > jpeg->size ? jpeg->size : jpeg->size - left;
    if (library->err->msg_code == JERR_OUT_OF_MEMORY)
        leave(library, sco_fail(SCO_NOMEM, "byte %zu: no memory to decode %u x %u pixels", at, cinfo->image_width,
                                cinfo->image_height));
    if (jpeg->in_lines)
        leave(library, sco_fail(SCO_FORMAT, "byte %zu, scan line %u of %u: %s; %s", at, cinfo->output_scanline,
                                cinfo->output_height, text, advice));
    leave(library, sco_fail(SCO_FORMAT, "byte %zu: %s; %s", at, text, advice));
}

static _Noreturn void on_error(j_common_ptr library)
{
    give_up(library, "not a JPEG that can be decoded");
}

/* libjpeg paints gray over what is missing and goes on with a warning: that is not the image that was published. */
static void on_message(j_common_ptr library, int level)
{
    const int code = library->err->msg_code;
    if (level < 0 && code != JWRN_JFIF_MAJOR && code != JWRN_ADOBE_XFORM)
        give_up(library, "the file is damaged: fetch it again");
}

static void on_output(j_common_ptr library)
{
    (void)library;
}

/* A small file may hold any number of scans over a large image. */
static void on_progress(j_common_ptr library)
{
    const struct sco_jpeg *jpeg = library->client_data;
    if (jpeg->library.input_scan_number > SCO_JPEG_SCANS)
        leave(library, sco_fail(SCO_FORMAT, "byte %zu: more than %d scans",
                                jpeg->size - jpeg->library.src->bytes_in_buffer, SCO_JPEG_SCANS));
}

static enum sco_status after_failure(struct sco_jpeg *jpeg)
{
    jpeg_abort_decompress(&jpeg->library);
    return jpeg->status;
}

enum sco_status sco_jpeg_create(struct sco_jpeg **jpeg, size_t *bytes)
{
    struct sco_jpeg *j = calloc(1, sizeof *j);
    if (j == NULL)
        return sco_fail(SCO_NOMEM, "no memory for a JPEG decoder");
    j->library.err = jpeg_std_error(&j->errors);
    j->library.client_data = j;
    j->errors.error_exit = on_error;
    j->errors.emit_message = on_message;
    j->errors.output_message = on_output;
    j->progress.progress_monitor = on_progress;
    j->rows = sco_alloc((size_t)ROWS * ROW_BYTES);
    j->cmyk = sco_alloc((size_t)4 * SCO_JPEG_SIDE);
    if (j->rows == NULL || j->cmyk == NULL) {
        sco_jpeg_destroy(j);
        return sco_fail(SCO_NOMEM, "no memory for rows of a JPEG image");
    }
    if (setjmp(j->failed) != 0) {
        const enum sco_status status = j->status;
        sco_jpeg_destroy(j);
        return status;
    }
    jpeg_create_decompress(&j->library);
    j->library.progress = &j->progress;
    *bytes += sizeof *j + (size_t)ROWS * ROW_BYTES + (size_t)4 * SCO_JPEG_SIDE;
    *jpeg = j;
    return SCO_OK;
}

void sco_jpeg_destroy(struct sco_jpeg *jpeg)
{
    if (jpeg == NULL)
        return;
    jpeg_destroy_decompress(&jpeg->library);
    sco_free(jpeg->rows);
    sco_free(jpeg->cmyk);
    free(jpeg);
}

/* Names a file by its first bytes, NULL where they say nothing. */
static const char *kind(const unsigned char *bytes, size_t size)
{
    static const struct {
        const char *name, *start;
        size_t length;
    } kinds[] = {{"a PNG", "\x89PNG", 4},      {"a GIF", "GIF8", 4},           {"a BMP", "BM", 2},
                 {"a WebP", "RIFF", 4},        {"a TIFF", "II*\0", 4},         {"a TIFF", "MM\0*", 4},
                 {"gzip data", "\x1f\x8b", 2}, {"a web page", "<!DOCTYPE", 9}, {"a web page", "<html", 5},
                 {"zeros", "\0\0\0\0", 4}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size >= kinds[i].length && memcmp(bytes, kinds[i].start, kinds[i].length) == 0)
            return kinds[i].name;
    return NULL;
}

enum sco_status sco_jpeg_start(struct sco_jpeg *jpeg, const unsigned char *bytes, size_t size, size_t *H, size_t *W)
{
    struct jpeg_decompress_struct *cinfo = &jpeg->library;
    if (size == 0)
        return sco_fail(SCO_FORMAT, "byte 0: empty; fetch the file again");
    if (size < 3 || memcmp(bytes, "\xff\xd8\xff", 3) != 0) {
        const char *name = kind(bytes, size);
        return sco_fail(SCO_FORMAT, "byte 0: is %s, not a JPEG; convert it, or leave bad samples out",
                        name == NULL ? "something else" : name);
    }
    jpeg->size = size;
    jpeg->in_lines = false;
    if (setjmp(jpeg->failed) != 0)
        return after_failure(jpeg);
    jpeg_mem_src(cinfo, bytes, size);
    jpeg_read_header(cinfo, TRUE);
    if ((uint64_t)cinfo->image_width * cinfo->image_height > SCO_JPEG_PIXELS)
        leave((j_common_ptr)cinfo,
              sco_fail(SCO_FORMAT, "byte %zu: %u x %u pixels, more than %d in all", size - cinfo->src->bytes_in_buffer,
                       cinfo->image_width, cinfo->image_height, SCO_JPEG_PIXELS));
    const J_COLOR_SPACE space = cinfo->jpeg_color_space;
    cinfo->out_color_space = space == JCS_CMYK || space == JCS_YCCK ? JCS_CMYK : JCS_RGB;
    cinfo->dct_method = JDCT_ISLOW;
    *H = cinfo->image_height;
    *W = cinfo->image_width;
    return SCO_OK;
}

/* Inks are stored inverted behind Adobe's marker: 255 is no ink. */
static void to_rgb(const unsigned char *cmyk, size_t W, bool inverted, unsigned char *rgb)
{
    const unsigned flip = inverted ? 0 : 255;
    for (size_t i = 0; i < W; i++) {
        const unsigned k = cmyk[4 * i + 3] ^ flip;
        for (size_t c = 0; c < 3; c++)
            rgb[3 * i + c] = (unsigned char)((cmyk[4 * i + c] ^ flip) * k / 255);
    }
}

static unsigned char *row_of(struct sco_jpeg *jpeg)
{
    return jpeg->rows + jpeg->next % ROWS * ROW_BYTES;
}

static void read_line(struct sco_jpeg *jpeg, unsigned char *row)
{
    const bool cmyk = jpeg->library.out_color_space == JCS_CMYK;
    JSAMPROW line = cmyk ? jpeg->cmyk : row;
    jpeg_read_scanlines(&jpeg->library, &line, 1);
    if (cmyk)
        to_rgb(jpeg->cmyk, jpeg->library.output_width, jpeg->library.saw_Adobe_marker, row);
}

/* Where libjpeg can, lines are entropy-decoded without being transformed. */
static void skip_lines(struct sco_jpeg *jpeg, size_t count)
{
#ifdef LIBJPEG_TURBO_VERSION
    if (count > 0)
        jpeg_skip_scanlines(&jpeg->library, (JDIMENSION)count);
#else
    for (size_t i = 0; i < count; i++)
        read_line(jpeg, row_of(jpeg));
#endif
}

enum sco_status sco_jpeg_crop(struct sco_jpeg *jpeg, const struct sco_crop *crop)
{
    if (setjmp(jpeg->failed) != 0)
        return after_failure(jpeg);
    jpeg->crop = *crop;
    jpeg->next = 0;
    jpeg_start_decompress(&jpeg->library);
    jpeg->in_lines = true;
    skip_lines(jpeg, crop->top);
    return SCO_OK;
}

enum sco_status sco_jpeg_row(struct sco_jpeg *jpeg, const unsigned char **row)
{
    if (setjmp(jpeg->failed) != 0)
        return after_failure(jpeg);
    unsigned char *to = row_of(jpeg);
    read_line(jpeg, to);
    jpeg->next++;
    *row = to + 3 * jpeg->crop.left;
    return SCO_OK;
}

enum sco_status sco_jpeg_finish(struct sco_jpeg *jpeg)
{
    if (setjmp(jpeg->failed) != 0)
        return after_failure(jpeg);
    const size_t left = jpeg->library.output_height - jpeg->library.output_scanline;
    if (left > 0) { /* libjpeg-turbo does not look at lines that are skipped up to the last */
        skip_lines(jpeg, left - 1);
        read_line(jpeg, row_of(jpeg));
    }
    jpeg_finish_decompress(&jpeg->library);
    return SCO_OK;
}

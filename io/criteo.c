/* SPDX-License-Identifier: Apache-2.0
 * Rows of a click log in the layout of Criteo 1TB: a label, 13 integers, 26 categories of 8 hexadecimal digits, separated by
 * tabs, any of the features possibly empty; plain or gzip. Files are read as a stream: memory is that of the batches.
 *
 * path is a file, which serves every split, or a folder of files day_N, day_N.gz, *.tsv, *.csv, *.tsv.gz, *.csv.gz, which
 * are taken in the order of the numbers in their names:
 *   - with folders train/, valid/ (or val/, validation/) and test/, each split has its own;
 *   - day_0 to day_23 are split as AlgoPerf does: training has days 0 to 22, test the first 95,000,000 rows of day 23,
 *     validation the rest of it;
 *   - of any other files the last one is both validation and test, the others are training; a single one serves every split.
 *
 * Training goes through the files in an order of each epoch, through their lines in order, and batches run across both.
 *
 * Numerics  x = log(max(integer, 0) + 1) in double, rounded once; an empty integer or "-1" is 0. The bucket of category c is
 *           Fingerprint64(digits, then c in decimal) mod V_c, empty or "-1" being 00000000; it passes through a float32, as in
 *           AlgoPerf's files, where those above 2^24 are rounded, and is reduced mod table_rows.
 * Source    AlgoPerf 0.5, criteo1tb input pipeline. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "arch/fail.h"
#include "io/farmhash.h"
#include "io/gzip_lines.h"
#include "io/source.h"
#include "stepcost/memory.h"

enum {
    COLUMNS = 1 + SCO_CLICK_DENSE + SCO_CLICK_CATEGORIES,
    ROW_BYTES = 1 + SCO_CLICK_DENSE * 12 + SCO_CLICK_CATEGORIES * 9, /* of the longest row, integers having 32 bits */
    LINE_LIMIT = 4096,
    MARK_ROWS = 1 << 16, /* between places of a plain file that can be returned to */
    LOG_TABLE = 4096,
    DAYS = 24
};
static const uint64_t test_rows =
    19 * (uint64_t)5000000; /* AlgoPerf cuts days into files of 5,000,000 rows, the first 19 */

static const uint32_t vocabulary[SCO_CLICK_CATEGORIES] = {
    39884406, 39043, 17289, 7420, 20263, 3,  7120,     1543,     63,       38532951, 2953546, 403346, 10,
    2208,     11938, 155,   4,    976,   14, 39979771, 25641295, 39664984, 585935,   12972,   108,    36};

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

struct row {
    bool label;
    uint32_t integer[SCO_CLICK_DENSE];
    uint64_t digits[SCO_CLICK_CATEGORIES]; /* the first in the low byte */
};

static uint64_t load_digits(const char *text)
{
    uint64_t digits = 0;
    memcpy(&digits, text, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    digits = __builtin_bswap64(digits);
#endif
    return digits;
}

/* 0 - 9 and a - f only, eight bytes at once: bit 7 of a byte says "at least" once the bound's complement is added. */
static bool all_hex(uint64_t x)
{
    const uint64_t ones = 0x0101010101010101u, top = 0x80 * ones;
    if ((x & top) != 0)
        return false;
    const uint64_t digit = (x + (0x80 - '0') * ones) & ~(x + (0x80 - '9' - 1) * ones);
    const uint64_t letter = (x + (0x80 - 'a') * ones) & ~(x + (0x80 - 'f' - 1) * ones);
    return ((digit | letter) & top) == top;
}

/* An integer up to its tab, negative ones being 0; NULL: it is none. */
static const char *parse_integer(const char *at, const char *end, uint32_t *integer)
{
    const bool negative = at < end && *at == '-';
    const char *start = at += negative;
    uint64_t value = 0;
    for (; at < end && at - start < 10; at++) {
        const unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit > 9)
            break;
        value = 10 * value + digit;
    }
    if (at == end || *at != '\t' || (negative && at == start) || value > (uint64_t)INT32_MAX + negative)
        return NULL;
    *integer = negative ? 0 : (uint32_t)value;
    return at + 1;
}

/* A category up to its end, which is that of the row for the last; NULL: it is none. */
static const char *parse_category(const char *at, const char *end, bool last, uint64_t *digits)
{
    const size_t left = (size_t)(end - at);
    size_t size = 0;
    *digits = 0x3030303030303030u;
    if (left >= 8 && at[0] != '\t' && at[0] != '-') {
        *digits = load_digits(at);
        if (!all_hex(*digits))
            return NULL;
        size = 8;
    } else if (left >= 2 && at[0] == '-' && at[1] == '1')
        size = 2;
    if (last)
        return size == left ? end : NULL;
    return size < left && at[size] == '\t' ? at + size + 1 : NULL;
}

static bool parse_row(const char *at, const char *end, struct row *row)
{
    if (end - at < 2 || (at[0] != '0' && at[0] != '1') || at[1] != '\t')
        return false;
    row->label = at[0] == '1';
    at += 2;
    for (size_t c = 0; c < SCO_CLICK_DENSE; c++)
        if ((at = parse_integer(at, end, &row->integer[c])) == NULL)
            return false;
    for (size_t c = 0; c < SCO_CLICK_CATEGORIES; c++)
        if ((at = parse_category(at, end, c + 1 == SCO_CLICK_CATEGORIES, &row->digits[c])) == NULL)
            return false;
    return true;
}

/* Why a row was refused. */
static enum sco_status refuse_row(const char *path, uint64_t number, const char *text, size_t bytes)
{
    const unsigned long long line = number;
    size_t columns = 1;
    for (size_t i = 0; i < bytes; i++)
        columns += text[i] == '\t';
    if (columns != COLUMNS)
        return sco_fail(SCO_FORMAT, "%s: line %llu: %zu columns, expected %d separated by tabs", path, line, columns,
                        COLUMNS);
    const char *at = text, *end = text + bytes;
    for (size_t c = 0; c < COLUMNS; c++) {
        const char *tab = memchr(at, '\t', (size_t)(end - at)), *field_end = tab != NULL ? tab + 1 : end;
        const size_t size = (size_t)((tab != NULL ? tab : end) - at);
        uint32_t integer;
        uint64_t digits;
        const char *expected = NULL;
        if (c == 0)
            expected = size == 1 && (*at == '0' || *at == '1') ? NULL : "a label, 0 or 1";
        else if (c <= SCO_CLICK_DENSE)
            expected = parse_integer(at, field_end, &integer) != NULL ? NULL : "an integer of 32 bits, or nothing";
        else if (parse_category(at, field_end, tab == NULL, &digits) == NULL)
            expected = "8 digits of 0 - 9 and a - f, or nothing";
        if (expected != NULL)
            return sco_fail(SCO_FORMAT, "%s: line %llu: column %zu: '%.*s', expected %s", path, line, c + 1,
                            (int)(size < 40 ? size : 40), at, expected);
        at = field_end;
    }
    return sco_fail(SCO_FORMAT, "%s: line %llu: not a row", path, line);
}

static int32_t table_row(uint64_t digits, size_t c, uint32_t table_rows)
{
    /* Digits and column make 9 or 10 bytes: the first 8 are the digits, the last 8 overlap them. */
    const uint64_t last = c < 10 ? digits >> 8 | (uint64_t)('0' + c) << 56
                                 : digits >> 16 | (uint64_t)('0' + c / 10) << 48 | (uint64_t)('0' + c % 10) << 56;
    const uint64_t bucket = sco_fingerprint64_8to16(digits, last, c < 10 ? 9 : 10) % vocabulary[c];
    return (int32_t)((uint32_t)(float)bucket % table_rows);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

struct mark {
    uint64_t row, offset, line;
};

/* A file, or the rows of it that belong to the split. Rows are counted without those left out. */
struct part {
    char *path;
    uint64_t first, limit; /* the rows [first, limit) */
    uint64_t rows;         /* in [first, limit), once it was read to its end */
    bool counted;
    struct mark *marks; /* ascending; plain files only */
    size_t mark_count, mark_capacity;
};

struct parts {
    struct part *at;
    size_t count, capacity;
};

static void parts_free(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        free(parts->at[i].path);
        free(parts->at[i].marks);
    }
    free(parts->at);
    *parts = (struct parts){0};
}

static enum sco_status parts_add(struct parts *parts, const char *path)
{
    if (parts->count == parts->capacity) {
        const size_t capacity = 2 * parts->capacity + 32;
        struct part *grown = realloc(parts->at, capacity * sizeof *grown);
        if (grown == NULL)
            return sco_fail(SCO_NOMEM, "no memory for names of %zu files", capacity);
        parts->at = grown;
        parts->capacity = capacity;
    }
    char *copy = strdup(path);
    if (copy == NULL)
        return sco_fail(SCO_NOMEM, "no memory for the name of a file");
    parts->at[parts->count++] = (struct part){.path = copy, .limit = UINT64_MAX};
    return SCO_OK;
}

static void parts_keep(struct parts *parts, size_t first, size_t count)
{
    for (size_t i = 0; i < parts->count; i++)
        if (i < first || i >= first + count)
            free(parts->at[i].path);
    memmove(parts->at, parts->at + first, count * sizeof *parts->at);
    parts->count = count;
}

/* Bytes of a name without ".gz". */
static size_t stem(const char *name)
{
    const size_t bytes = strlen(name);
    return bytes > 3 && strcmp(name + bytes - 3, ".gz") == 0 ? bytes - 3 : bytes;
}

static bool is_log(const char *name)
{
    const size_t bytes = stem(name);
    if (name[0] == '.')
        return false;
    if (strncmp(name, "day_", 4) == 0 && isdigit((unsigned char)name[4]))
        return true;
    return bytes > 4 && (strncmp(name + bytes - 4, ".tsv", 4) == 0 || strncmp(name + bytes - 4, ".csv", 4) == 0);
}

static int by_path(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return strverscmp(x->path, y->path);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static enum sco_status list_folder(struct parts *parts, const char *folder)
{
    char path[PATH_MAX];
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    enum sco_status status = SCO_OK;
    if (directory == NULL)
        return sco_fail(SCO_IO, "%s: cannot be opened: %s", folder, strerror(errno));
    while (status == SCO_OK && (entry = readdir(directory)) != NULL) {
        if (!is_log(entry->d_name))
            continue;
        const int n = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (n < 0 || (size_t)n >= sizeof path)
            status = sco_fail(SCO_IO, "%.100s...: the path is too long", folder);
        else if (!is_folder(path))
            status = parts_add(parts, path);
    }
    closedir(directory);
    if (status == SCO_OK && parts->count == 0)
        status = sco_fail(SCO_FORMAT, "%s: holds no file day_N, *.tsv or *.csv, plain or .gz", folder);
    if (status != SCO_OK)
        return status;
    qsort(parts->at, parts->count, sizeof *parts->at, by_path);
    for (size_t i = 1; i < parts->count; i++) {
        const char *a = parts->at[i - 1].path, *b = parts->at[i].path;
        if (stem(a) == stem(b) && strncmp(a, b, stem(a)) == 0)
            return sco_fail(SCO_FORMAT, "%s: the same rows as %s? keep one of both", b, a);
    }
    return SCO_OK;
}

/* day_0 to day_23, and nothing else. */
static bool are_days(const struct parts *parts)
{
    char name[32];
    for (size_t day = 0; day < parts->count; day++) {
        const char *slash = strrchr(parts->at[day].path, '/'), *file = slash != NULL ? slash + 1 : parts->at[day].path;
        snprintf(name, sizeof name, "day_%zu", day);
        if (strlen(name) != stem(file) || strncmp(name, file, stem(file)) != 0)
            return false;
    }
    return parts->count == DAYS;
}

/* The folder of a split below path, where there is one: "" otherwise. */
static enum sco_status find_folder(const char *path, enum sco_split split, char folder[PATH_MAX])
{
    static const char *const names[][4] = {
        [SCO_TRAIN] = {"train"},
        [SCO_TRAIN_SUBSET] = {"train"},
        [SCO_VALIDATION] = {"valid", "val", "validation"},
        [SCO_TEST] = {"test"},
    };
    snprintf(folder, PATH_MAX, "%s/train", path);
    if (!is_folder(folder)) {
        folder[0] = '\0';
        return SCO_OK;
    }
    for (size_t i = 0; names[split][i] != NULL; i++) {
        snprintf(folder, PATH_MAX, "%s/%s", path, names[split][i]);
        if (is_folder(folder))
            return SCO_OK;
    }
    return sco_fail(SCO_IO, "%s: has train/, but no %s/", path, names[split][0]);
}

static enum sco_status find_parts(struct parts *parts, const char *path, enum sco_split split)
{
    char folder[PATH_MAX];
    const bool training = split == SCO_TRAIN || split == SCO_TRAIN_SUBSET;
    if (strlen(path) > PATH_MAX - 300)
        return sco_fail(SCO_IO, "%.100s...: the path is too long", path);
    if (!is_folder(path))
        return parts_add(parts, path);
    enum sco_status status = find_folder(path, split, folder);
    if (status == SCO_OK && folder[0] != '\0')
        return list_folder(parts, folder);
    if (status == SCO_OK)
        status = list_folder(parts, path);
    if (status != SCO_OK || parts->count == 1)
        return status;
    const bool days = are_days(parts);
    if (training)
        parts_keep(parts, 0, parts->count - 1);
    else
        parts_keep(parts, parts->count - 1, 1);
    if (days && split == SCO_TEST)
        parts->at[0].limit = test_rows;
    if (days && split == SCO_VALIDATION)
        parts->at[0].first = test_rows;
    return SCO_OK;
}

/* ---- The stream -------------------------------------------------------------------------------------------------- */

struct criteo {
    struct parts parts;
    size_t batch;
    uint32_t table_rows;
    uint64_t seed, samples; /* samples: of an evaluation, 0: all */
    bool endless, skip;
    float log_table[LOG_TABLE];

    /* Where the stream is: row of the file that comes at place turn of epoch. An evaluation has ended at turn parts.count. */
    uint64_t epoch, row;
    size_t turn;
    struct sco_lines *lines; /* NULL: to be opened */
    bool lost;               /* an error left it in the middle of a batch */
};

static void criteo_close(void *source)
{
    struct criteo *criteo = source;
    if (criteo == NULL)
        return;
    sco_lines_close(criteo->lines);
    parts_free(&criteo->parts);
    free(criteo);
}

static struct part *current(const struct criteo *criteo)
{
    const size_t n = criteo->parts.count;
    return &criteo->parts
                .at[criteo->endless ? sco_shuffled(n, criteo->seed, criteo->epoch, criteo->turn) : criteo->turn];
}

/* Rows of an epoch, 0 as long as a file has not been counted. */
static uint64_t epoch_rows(const struct criteo *criteo)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < criteo->parts.count; i++) {
        if (!criteo->parts.at[i].counted)
            return 0;
        sum += criteo->parts.at[i].rows;
    }
    return sum;
}

static enum sco_status leave_part(struct criteo *criteo)
{
    sco_lines_close(criteo->lines);
    criteo->lines = NULL;
    criteo->row = 0;
    criteo->turn++;
    if (!criteo->endless || criteo->turn < criteo->parts.count)
        return SCO_OK;
    criteo->epoch++;
    criteo->turn = 0;
    if (epoch_rows(criteo) > 0)
        return SCO_OK;
    return sco_fail(SCO_FORMAT, "%s: no row that can be used, nor in other files of the split",
                    criteo->parts.at[0].path);
}

/* Notes how many rows of the current file belong to the split: it has been read to its end. */
static void count_part(const struct criteo *criteo, struct part *part)
{
    part->rows = criteo->row > part->first ? criteo->row - part->first : 0;
    part->counted = true;
}

static enum sco_status add_mark(struct criteo *criteo, struct part *part)
{
    if (part->mark_count > 0 && part->marks[part->mark_count - 1].row >= criteo->row)
        return SCO_OK;
    if (part->mark_count == part->mark_capacity) {
        const size_t capacity = 2 * part->mark_capacity + 64;
        struct mark *grown = realloc(part->marks, capacity * sizeof *grown);
        if (grown == NULL)
            return sco_fail(SCO_NOMEM, "%s: no memory for its index", part->path);
        part->marks = grown;
        part->mark_capacity = capacity;
    }
    part->marks[part->mark_count++] =
        (struct mark){criteo->row, sco_lines_offset(criteo->lines), sco_lines_number(criteo->lines)};
    return SCO_OK;
}

/* The next row of the current file, whatever its limits; *text is NULL past its end. */
static enum sco_status read_row(struct criteo *criteo, struct part *part, struct sco_skips *skips, const char **text,
                                size_t *bytes)
{
    struct row row;
    for (;;) {
        enum sco_status status = sco_lines_next(criteo->lines, text, bytes);
        const uint64_t line = sco_lines_number(criteo->lines);
        /* A row too long for a batch is none; others are judged where batches are filled, unless one must be replaced. */
        if (status == SCO_OK && *text != NULL &&
            (*bytes > ROW_BYTES || (criteo->skip && !parse_row(*text, *text + *bytes, &row))))
            status = refuse_row(part->path, line, *text, *bytes);
        else if (status == SCO_OK)
            break;
        /* Behind a line there may be another one; behind the end of damaged data there is none. */
        if (status != SCO_FORMAT || !criteo->skip || sco_lines_broken(criteo->lines))
            return status;
        if (skips != NULL)
            sco_skips_note(skips);
    }
    if (*text == NULL)
        return SCO_OK;
    criteo->row++;
    return criteo->row % MARK_ROWS == 0 && sco_lines_plain(criteo->lines) ? add_mark(criteo, part) : SCO_OK;
}

/* Opens the current file before a row, or at its end, if that comes first. */
static enum sco_status enter_part(struct criteo *criteo, uint64_t row)
{
    struct part *part = current(criteo);
    enum sco_status status = sco_lines_open(&criteo->lines, part->path, LINE_LIMIT);
    if (status != SCO_OK)
        return status;
    criteo->row = 0;
    size_t low = 0, high = part->mark_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (part->marks[middle].row <= row)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0) {
        const struct mark *mark = &part->marks[low - 1];
        status = sco_lines_jump(criteo->lines, mark->offset, mark->line);
        criteo->row = mark->row;
    }
    while (status == SCO_OK && criteo->row < row) {
        const char *text;
        size_t bytes;
        status = read_row(criteo, part, NULL, &text, &bytes);
        if (text == NULL)
            break;
    }
    return status;
}

/* The next row of the stream; *text is NULL past the end of an evaluation. */
static enum sco_status next_row(struct criteo *criteo, struct sco_skips *skips, struct part **from, const char **text,
                                size_t *bytes)
{
    for (*text = NULL; criteo->turn < criteo->parts.count;) {
        struct part *part = current(criteo);
        enum sco_status status = criteo->lines == NULL ? enter_part(criteo, part->first) : SCO_OK;
        if (status == SCO_OK && criteo->row < part->limit)
            status = read_row(criteo, part, skips, text, bytes);
        *from = part;
        if (status != SCO_OK || *text != NULL)
            return status;
        count_part(criteo, part);
        status = leave_part(criteo);
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

/* Goes to a row of the stream. Files that were counted are passed over, others read. */
static enum sco_status locate(struct criteo *criteo, uint64_t place)
{
    sco_lines_close(criteo->lines);
    criteo->lines = NULL;
    criteo->epoch = criteo->turn = 0;
    criteo->row = 0;
    while (criteo->turn < criteo->parts.count) {
        const uint64_t whole = criteo->endless && criteo->turn == 0 ? epoch_rows(criteo) : 0;
        if (whole > 0) {
            criteo->epoch += place / whole;
            place %= whole;
        }
        if (place == 0)
            return SCO_OK;
        struct part *part = current(criteo);
        if (!part->counted || place < part->rows) {
            const uint64_t most = part->limit - part->first, skipped = place < most ? place : most;
            const enum sco_status status = enter_part(criteo, part->first + skipped);
            if (status != SCO_OK)
                return status;
            if (criteo->row == part->first + place)
                return SCO_OK;
            count_part(criteo, part);
        }
        place -= part->rows;
        const enum sco_status status = leave_part(criteo);
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

/* Ends the training data after so many rows of its files in order. */
static enum sco_status limit_samples(struct criteo *criteo, uint64_t samples, uint64_t *found)
{
    *found = 0;
    for (size_t i = 0; i < criteo->parts.count; i++) {
        if (*found == samples) {
            for (size_t k = i; k < criteo->parts.count; k++) {
                free(criteo->parts.at[k].path);
                free(criteo->parts.at[k].marks);
            }
            criteo->parts.count = i;
            break;
        }
        const char *text = "";
        size_t bytes;
        struct part *part = &criteo->parts.at[i];
        enum sco_status status = sco_lines_open(&criteo->lines, part->path, LINE_LIMIT);
        criteo->row = 0;
        while (status == SCO_OK && *found < samples) {
            status = read_row(criteo, part, NULL, &text, &bytes);
            if (status != SCO_OK || text == NULL)
                break;
            ++*found;
        }
        part->limit = part->rows = criteo->row;
        part->counted = true;
        sco_lines_close(criteo->lines);
        criteo->lines = NULL;
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

static enum sco_status criteo_open(void **source, const struct sco_dataset_options *options,
                                   struct sco_dataset_facts *facts)
{
    struct criteo *criteo = calloc(1, sizeof *criteo);
    if (criteo == NULL)
        return sco_fail(SCO_NOMEM, "no memory for click logs");
    enum sco_status status = SCO_OK;
    if (options->table_rows == 0 || options->table_rows > INT32_MAX)
        status = sco_fail(SCO_INVALID, "a table of %zu rows; possible: 1 to %d", options->table_rows, INT32_MAX);
    criteo->batch = options->batch;
    criteo->table_rows = (uint32_t)options->table_rows;
    criteo->seed = options->seed;
    criteo->endless = options->split == SCO_TRAIN;
    criteo->skip = options->bad_sample == SCO_BAD_SKIP;
    for (size_t i = 0; i < LOG_TABLE; i++)
        criteo->log_table[i] = (float)log((double)i + 1);
    if (status == SCO_OK)
        status = find_parts(&criteo->parts, options->path, options->split);
    if (status == SCO_OK && options->samples > 0 && criteo->endless)
        status = limit_samples(criteo, options->samples, &facts->samples);
    else
        criteo->samples = options->samples;
    /* That files can be opened is better known now than at the end of an epoch. */
    for (size_t i = 0; i < criteo->parts.count && status == SCO_OK; i++) {
        struct sco_lines *lines = NULL;
        status = sco_lines_open(&lines, criteo->parts.at[i].path, LINE_LIMIT);
        sco_lines_close(lines);
    }
    if (status == SCO_OK)
        status = locate(criteo, 0);
    if (status != SCO_OK) {
        criteo_close(criteo);
        return status;
    }
    facts->max_samples = criteo->batch;
    facts->memory_bytes = sizeof *criteo + criteo->parts.capacity * sizeof(struct part);
    *source = criteo;
    return SCO_OK;
}

/* ---- Batches ----------------------------------------------------------------------------------------------------- */

/* Rows from one file in a row. */
struct run {
    const struct part *part;
    uint64_t line; /* of the first */
    size_t rows;
};

struct slot {
    size_t rows, runs;
    struct run *run;
    char *text; /* rows, each with LF */
    float *dense, *label;
    int32_t *index;
};

static void criteo_slot_destroy(void *source, void *memory)
{
    struct slot *slot = memory;
    (void)source;
    if (slot == NULL)
        return;
    sco_free(slot->run);
    sco_free(slot->text);
    sco_free(slot->dense);
    free(slot);
}

static enum sco_status criteo_slot_create(void *source, void **out, size_t *bytes)
{
    const struct criteo *criteo = source;
    const size_t n = criteo->batch, row_words = SCO_CLICK_DENSE + SCO_CLICK_CATEGORIES + 1;
    struct slot *slot = NULL;
    if (n <= SIZE_MAX / 1024)
        slot = calloc(1, sizeof *slot);
    if (slot != NULL) {
        slot->run = sco_alloc(n * sizeof *slot->run);
        slot->text = sco_alloc(n * (ROW_BYTES + 1));
        slot->dense = sco_alloc(n * row_words * sizeof(float));
    }
    if (slot == NULL || slot->run == NULL || slot->text == NULL || slot->dense == NULL) {
        criteo_slot_destroy(source, slot);
        return sco_fail(SCO_NOMEM, "memory for a batch of %zu rows was refused", n);
    }
    slot->index = (int32_t *)(void *)(slot->dense + SCO_CLICK_DENSE * n);
    slot->label = slot->dense + (SCO_CLICK_DENSE + SCO_CLICK_CATEGORIES) * n;
    *bytes += sizeof *slot + n * (sizeof *slot->run + ROW_BYTES + 1 + row_words * sizeof(float));
    *out = slot;
    return SCO_OK;
}

static enum sco_status criteo_seek(void *source, uint64_t position)
{
    struct criteo *criteo = source;
    if (position > UINT64_MAX / criteo->batch)
        return sco_fail(SCO_INVALID, "batch %llu is beyond every stream", (unsigned long long)position);
    const enum sco_status status = locate(criteo, position * criteo->batch);
    criteo->lost = status != SCO_OK;
    return status;
}

static enum sco_status criteo_fetch(void *source, uint64_t position, void *memory, struct sco_skips *skips, bool *end)
{
    struct criteo *criteo = source;
    struct slot *slot = memory;
    const uint64_t place = position * criteo->batch;
    size_t rows = criteo->batch;
    char *at = slot->text;
    enum sco_status status = SCO_OK;
    slot->rows = slot->runs = 0;
    if (criteo->samples > 0 && (place >= criteo->samples || criteo->samples - place < rows))
        rows = place >= criteo->samples ? 0 : (size_t)(criteo->samples - place);
    if (criteo->lost)
        status = criteo_seek(source, position);
    while (status == SCO_OK && slot->rows < rows) {
        struct part *part = NULL;
        const char *text;
        size_t bytes;
        status = next_row(criteo, skips, &part, &text, &bytes);
        if (status != SCO_OK || text == NULL)
            break;
        memcpy(at, text, bytes);
        at[bytes] = '\n';
        at += bytes + 1;
        const uint64_t line = sco_lines_number(criteo->lines);
        struct run *run = slot->runs > 0 ? &slot->run[slot->runs - 1] : NULL;
        if (run == NULL || run->part != part || run->line + run->rows != line) {
            run = &slot->run[slot->runs++];
            *run = (struct run){part, line, 0};
        }
        run->rows++;
        slot->rows++;
    }
    criteo->lost = status != SCO_OK;
    *end = slot->rows == 0;
    return status;
}

static enum sco_status criteo_fill(void *source, uint64_t position, void *memory, struct sco_skips *skips,
                                   struct sco_batch *batch)
{
    const struct criteo *criteo = source;
    const struct slot *slot = memory;
    const char *at = slot->text;
    struct row row;
    size_t i = 0;
    (void)position;
    (void)skips;
    for (size_t r = 0; r < slot->runs; r++) {
        for (size_t k = 0; k < slot->run[r].rows; k++, i++) {
            const char *end = memchr(at, '\n', ROW_BYTES + 1);
            if (!parse_row(at, end, &row))
                return refuse_row(slot->run[r].part->path, slot->run[r].line + k, at, (size_t)(end - at));
            at = end + 1;
            slot->label[i] = row.label;
            float *dense = slot->dense + SCO_CLICK_DENSE * i;
            for (size_t c = 0; c < SCO_CLICK_DENSE; c++)
                dense[c] = row.integer[c] < LOG_TABLE ? criteo->log_table[row.integer[c]]
                                                      : (float)log((double)row.integer[c] + 1);
            int32_t *index = slot->index + SCO_CLICK_CATEGORIES * i;
            for (size_t c = 0; c < SCO_CLICK_CATEGORIES; c++)
                index[c] = table_row(row.digits[c], c, criteo->table_rows);
        }
    }
    batch->samples = slot->rows;
    batch->clicks =
        (struct sco_clicks){.rows = slot->rows, .dense = slot->dense, .index = slot->index, .label = slot->label};
    return SCO_OK;
}

/* ---- Verification ------------------------------------------------------------------------------------------------ */

static void report(enum sco_status status, sco_finding_fn *found, void *argument, struct sco_verify_result *result)
{
    found(argument, status, sco_error_message());
    result->findings++;
}

static void verify_file(const char *path, sco_finding_fn *found, void *argument, struct sco_verify_result *result)
{
    struct sco_lines *lines;
    struct row row;
    const char *text = "";
    size_t bytes;
    enum sco_status status = sco_lines_open(&lines, path, LINE_LIMIT);
    result->files++;
    if (status != SCO_OK) {
        report(status, found, argument, result);
        return;
    }
    while (text != NULL && !sco_lines_broken(lines)) {
        status = sco_lines_next(lines, &text, &bytes);
        if (status == SCO_OK && text != NULL && !parse_row(text, text + bytes, &row))
            status = refuse_row(path, sco_lines_number(lines), text, bytes);
        result->samples += text != NULL && !sco_lines_broken(lines);
        if (status != SCO_OK)
            report(status, found, argument, result);
    }
    sco_lines_close(lines);
}

static enum sco_status criteo_verify(const char *path, sco_finding_fn *found, void *argument,
                                     struct sco_verify_result *result)
{
    static const enum sco_split splits[] = {SCO_TRAIN, SCO_VALIDATION, SCO_TEST};
    char folder[PATH_MAX];
    struct parts parts = {0};
    struct stat info;
    if (stat(path, &info) != 0)
        return sco_fail(SCO_IO, "%s: cannot be examined: %s", path, strerror(errno));
    if (strlen(path) > PATH_MAX - 300)
        return sco_fail(SCO_IO, "%.100s...: the path is too long", path);
    if (!S_ISDIR(info.st_mode)) {
        verify_file(path, found, argument, result);
        return SCO_OK;
    }
    enum sco_status status = SCO_OK;
    for (size_t s = 0; s < 3 && status == SCO_OK; s++) {
        status = find_folder(path, splits[s], folder);
        const bool whole = status == SCO_OK && folder[0] == '\0';
        if (status == SCO_OK)
            status = list_folder(&parts, whole ? path : folder);
        for (size_t i = 0; status == SCO_OK && i < parts.count; i++)
            verify_file(parts.at[i].path, found, argument, result);
        if (status == SCO_IO || status == SCO_FORMAT) {
            report(status, found, argument, result);
            status = SCO_OK;
        }
        parts_free(&parts);
        if (whole)
            break;
    }
    return status;
}

const struct sco_source_type sco_criteo_source = {
    .open = criteo_open,
    .close = criteo_close,
    .slot_create = criteo_slot_create,
    .slot_destroy = criteo_slot_destroy,
    .seek = criteo_seek,
    .fetch = criteo_fetch,
    .fill = criteo_fill,
    .verify = criteo_verify,
};

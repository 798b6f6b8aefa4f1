/* SPDX-License-Identifier: Apache-2.0
 * Molecules in the layout of the Open Graph Benchmark: a folder with raw/ and split/scaffold/ (or pcba/ with both), files of
 * comma separated numbers without a header, NAME.csv.gz or NAME.csv.
 *
 *   raw/num-node-list, raw/num-edge-list    a graph a line: its nodes, its bonds
 *   raw/node-feat, raw/edge-feat            a node or bond a line, those of graph 0 first: 9 or 3 categories
 *   raw/edge                                a bond a line: two nodes of its graph, from 0
 *   raw/graph-label                         a graph a line, a column a task: 0, 1, or nothing or nan where unknown
 *   split/scaffold/train, valid, test       a graph a line, from 0
 *
 * The graphs of the split are held in memory, in ascending order, at about 9 bytes a node, 7 a bond and 1 a label. A graph
 * with a fault in its lines is kept as the message that says so, until a batch asks for it; what leaves in doubt which line
 * belongs to which graph fails at once. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "arch/fail.h"
#include "io/gzip_lines.h"
#include "io/molecule_pack.h"
#include "io/source.h"

enum {
    MAX_GRAPHS = 1 << 28,
    MAX_ROWS = 1 << 30,        /* nodes or bonds in all: starts are 32 bits */
    MAX_IN_GRAPH = UINT16_MAX, /* nodes or bonds: nodes of a bond are 16 bits */
    MAX_CATEGORY = UINT8_MAX,
    MAX_TASKS = 4096,
    MAX_FAULTS = 10000, /* graphs: what is kept of them is bounded */
    LINE_LIMIT = 1 << 16,
    UNKNOWN = -1
};

/* An array that grows as lines arrive: what a file claims of others allocates nothing. */
struct column {
    void *at;
    size_t bytes, capacity;
};

struct fault {
    size_t graph; /* among those of the split */
    char *said;
};

struct ogb {
    size_t graphs, tasks;
    uint32_t *number;            /* [graphs]: in the files, from 0 */
    uint32_t *node_at, *bond_at; /* [graphs + 1] */
    struct column node, bond;    /* uint8_t [nodes][9], [bonds][3] */
    struct column ends;          /* uint16_t [bonds][2] */
    struct column label;         /* int8_t [graphs][tasks] */
    struct fault *faults;        /* by graph, ascending */
    size_t fault_count, fault_capacity;
    char path[PATH_MAX]; /* of num-node-list, for messages of whole graphs */

    struct sco_molecule_counts bounds;
    uint64_t seed;
    bool shuffled, skip;
    uint64_t next; /* place in the stream of the first graph of the next batch */
};

static void column_free(struct column *column)
{
    free(column->at);
    *column = (struct column){0};
}

static enum sco_status column_add(struct column *column, const void *bytes, size_t size)
{
    if (column->capacity - column->bytes < size) {
        const size_t capacity = 2 * column->capacity + size + 4096;
        void *grown = realloc(column->at, capacity);
        if (grown == NULL)
            return sco_fail(SCO_NOMEM, "no memory for molecules: %zu bytes", capacity);
        column->at = grown;
        column->capacity = capacity;
    }
    memcpy((char *)column->at + column->bytes, bytes, size);
    column->bytes += size;
    return SCO_OK;
}

static void ogb_close(void *source)
{
    struct ogb *ogb = source;
    if (ogb == NULL)
        return;
    for (size_t i = 0; i < ogb->fault_count; i++)
        free(ogb->faults[i].said);
    free(ogb->faults);
    free(ogb->number);
    free(ogb->node_at);
    free(ogb->bond_at);
    column_free(&ogb->node);
    column_free(&ogb->bond);
    column_free(&ogb->ends);
    column_free(&ogb->label);
    free(ogb);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* What reading is about: a folder, and who is told of faults. */
struct reader {
    struct ogb *ogb;
    char root[PATH_MAX - 256];
    uint32_t *nodes, *bonds; /* [total]: of every graph in the files */
    uint8_t *wanted;         /* [total] */
    size_t total, total_nodes, total_bonds;
    sco_finding_fn *found; /* NULL: a fault is kept with its graph, for the batch that asks for it */
    void *argument;
    struct sco_verify_result *result;
};

static enum sco_status find_root(struct reader *reader, const char *path)
{
    char raw[PATH_MAX];
    for (int nested = 0; nested < 2; nested++) {
        const int n = snprintf(reader->root, sizeof reader->root, nested ? "%s/pcba" : "%s", path);
        if (n < 0 || (size_t)n >= sizeof reader->root)
            return sco_fail(SCO_IO, "%.100s...: the path is too long", path);
        snprintf(raw, sizeof raw, "%s/raw", reader->root);
        if (access(raw, F_OK) == 0)
            return SCO_OK;
    }
    return sco_fail(SCO_IO, "%s: holds neither raw/ nor pcba/raw/; give the folder that has raw/ and split/", path);
}

/* Opens NAME.csv.gz, or NAME.csv where there is no other. */
static enum sco_status open_table(struct reader *reader, const char *name, struct sco_lines **lines)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s.csv", reader->root, name);
    if (access(path, F_OK) != 0)
        snprintf(path, sizeof path, "%s/%s.csv.gz", reader->root, name);
    const enum sco_status status = sco_lines_open(lines, path, LINE_LIMIT);
    if (status == SCO_OK && reader->result != NULL)
        reader->result->files++;
    return status;
}

/* Tells of the fault that the last sco_fail() described. graph is one of the split, in ascending order within a file. */
static enum sco_status tell(struct reader *reader, enum sco_status status, size_t graph)
{
    struct ogb *ogb = reader->ogb;
    if (status != SCO_FORMAT)
        return status;
    if (reader->found != NULL) {
        reader->found(reader->argument, status, sco_error_message());
        reader->result->findings++;
        return SCO_OK;
    }
    for (size_t i = 0; i < ogb->fault_count; i++)
        if (ogb->faults[i].graph == graph)
            return SCO_OK;
    if (ogb->fault_count == MAX_FAULTS)
        return sco_fail_context(status, "more than %d molecules of the split cannot be used; the last", MAX_FAULTS);
    if (ogb->fault_count == ogb->fault_capacity) {
        const size_t capacity = 2 * ogb->fault_capacity + 16;
        struct fault *grown = realloc(ogb->faults, capacity * sizeof *grown);
        if (grown == NULL)
            return sco_fail(SCO_NOMEM, "no memory for messages of %zu molecules", capacity);
        ogb->faults = grown;
        ogb->fault_capacity = capacity;
    }
    char *said = strdup(sco_error_message());
    if (said == NULL)
        return sco_fail(SCO_NOMEM, "no memory for a message");
    ogb->faults[ogb->fault_count++] = (struct fault){graph, said};
    return SCO_OK;
}

/* The next field of a line: *at moves past its comma, and is NULL behind the last one. */
static size_t next_field(const char **at, const char *end, const char **field)
{
    *field = *at;
    const char *comma = memchr(*at, ',', (size_t)(end - *at));
    *at = comma != NULL ? comma + 1 : NULL;
    return (size_t)((comma != NULL ? comma : end) - *field);
}

static bool parse_number(const char *text, size_t bytes, uint32_t most, uint32_t *value)
{
    uint64_t number = 0;
    if (bytes == 0 || bytes > 10)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        const unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9)
            return false;
        number = 10 * number + digit;
    }
    if (number > most)
        return false;
    *value = (uint32_t)number;
    return true;
}

static size_t count_fields(const char *text, size_t bytes)
{
    size_t count = 1;
    for (size_t i = 0; i < bytes; i++)
        count += text[i] == ',';
    return count;
}

/* How much of a field a message shows. */
static int shown(size_t bytes)
{
    return bytes < 40 ? (int)bytes : 40;
}

static enum sco_status parse_numbers(const struct sco_lines *lines, const char *text, size_t bytes, size_t columns,
                                     uint32_t most, uint32_t *values)
{
    const char *at = text, *end = text + bytes, *field;
    for (size_t c = 0; c < columns && at != NULL; c++) {
        const size_t size = next_field(&at, end, &field);
        if ((c + 1 == columns) != (at == NULL))
            break;
        if (!parse_number(field, size, most, &values[c]))
            return sco_lines_fail(lines, "column %zu: '%.*s', expected a number from 0 to %u", c + 1, shown(size),
                                  field, (unsigned)most);
        if (at == NULL)
            return SCO_OK;
    }
    return sco_lines_fail(lines, "%zu columns, expected %zu", count_fields(text, bytes), columns);
}

/* A list of one number a graph. *count is that of its lines; expected, unless it is 0, what it must be. */
static enum sco_status read_sizes(struct reader *reader, const char *name, size_t expected, uint32_t **sizes,
                                  size_t *count, size_t *sum)
{
    struct sco_lines *lines = NULL;
    struct column column = {0};
    const char *text;
    size_t bytes;
    *count = *sum = 0;
    enum sco_status status = open_table(reader, name, &lines);
    while (status == SCO_OK && (status = sco_lines_next(lines, &text, &bytes)) == SCO_OK && text != NULL) {
        uint32_t size;
        status = parse_numbers(lines, text, bytes, 1, MAX_IN_GRAPH, &size);
        if (status == SCO_OK && (*count == MAX_GRAPHS || *sum + size > MAX_ROWS))
            status = sco_lines_fail(lines, "more than %d molecules, or %d in all of them", MAX_GRAPHS, MAX_ROWS);
        if (status == SCO_OK)
            status = column_add(&column, &size, sizeof size);
        (*count)++;
        *sum += size;
    }
    if (status == SCO_OK && *count == 0)
        status = sco_fail(SCO_FORMAT, "%s: no line, expected one a molecule", sco_lines_path(lines));
    if (status == SCO_OK && expected != 0 && *count != expected)
        status =
            sco_fail(SCO_FORMAT, "%s: %zu lines, but num-edge-list has %zu", sco_lines_path(lines), *count, expected);
    if (status == SCO_OK)
        snprintf(reader->ogb->path, sizeof reader->ogb->path, "%s", sco_lines_path(lines));
    sco_lines_close(lines);
    if (status != SCO_OK)
        column_free(&column);
    *sizes = column.at;
    return status;
}

/* What a file holds: rows of columns categories or nodes, sizes[graph] of them a graph. */
struct table {
    const char *name, *counted_by;
    const uint32_t *sizes; /* of every graph in the files; NULL: one */
    size_t rows, columns;
    enum { FEATURES, ENDS, LABELS } kind;
    struct column *column;
};

static enum sco_status add_features(const struct sco_lines *lines, const struct table *table, const char *text,
                                    size_t bytes)
{
    uint32_t values[SCO_ATOM_FEATURES];
    uint8_t features[SCO_ATOM_FEATURES] = {0};
    const enum sco_status status = parse_numbers(lines, text, bytes, table->columns, MAX_CATEGORY, values);
    for (size_t c = 0; c < table->columns && status == SCO_OK; c++)
        features[c] = (uint8_t)values[c];
    const enum sco_status added = column_add(table->column, features, table->columns);
    return status != SCO_OK ? status : added;
}

static enum sco_status add_ends(const struct sco_lines *lines, const struct table *table, const char *text,
                                size_t bytes, size_t graph, uint32_t nodes)
{
    uint32_t values[2];
    uint16_t ends[2] = {0};
    enum sco_status status = parse_numbers(lines, text, bytes, 2, INT32_MAX, values);
    for (size_t c = 0; c < 2 && status == SCO_OK; c++) {
        if (values[c] >= nodes)
            status = sco_lines_fail(lines, "column %zu: node %u of molecule %zu, which has %u (from 0)", c + 1,
                                    (unsigned)values[c], graph, (unsigned)nodes);
        ends[c] = (uint16_t)values[c];
    }
    const enum sco_status added = column_add(table->column, ends, sizeof ends);
    return status != SCO_OK ? status : added;
}

static bool parse_label(const char *field, size_t size, int8_t *label)
{
    if (size == 0 || (size == 3 && strncasecmp(field, "nan", 3) == 0))
        *label = UNKNOWN;
    else if ((size == 1 || (size == 3 && field[1] == '.' && field[2] == '0')) && (*field == '0' || *field == '1'))
        *label = (int8_t)(*field - '0');
    else
        return false;
    return true;
}

/* The first line says how many tasks there are. */
static enum sco_status add_labels(const struct sco_lines *lines, const struct table *table, const char *text,
                                  size_t bytes, size_t tasks)
{
    int8_t labels[MAX_TASKS] = {0};
    const char *at = text, *end = text + bytes, *field;
    enum sco_status status = SCO_OK;
    const size_t fields = count_fields(text, bytes);
    if (fields != tasks)
        status = sco_lines_fail(lines, "%zu columns, expected %zu", fields, tasks);
    for (size_t c = 0; c < tasks && status == SCO_OK; c++) {
        const size_t size = next_field(&at, end, &field);
        if (!parse_label(field, size, &labels[c]))
            status = sco_lines_fail(lines, "column %zu: label '%.*s', expected 0, 1, or nothing or nan where unknown",
                                    c + 1, shown(size), field);
    }
    const enum sco_status added = column_add(table->column, labels, tasks);
    return status != SCO_OK ? status : added;
}

/* Reads a table and keeps the rows of wanted graphs. A row with a fault is kept as zeros, and its graph marked. */
static enum sco_status read_table(struct reader *reader, const struct table *table)
{
    struct sco_lines *lines = NULL;
    const char *text = NULL;
    size_t bytes = 0, row = 0, kept = 0;
    enum sco_status status = open_table(reader, table->name, &lines);
    for (size_t graph = 0; status == SCO_OK && graph < reader->total; graph++) {
        const size_t rows = table->sizes != NULL ? table->sizes[graph] : 1;
        for (size_t i = 0; status == SCO_OK && i < rows; i++, row++) {
            status = sco_lines_next(lines, &text, &bytes);
            if (status == SCO_OK && text == NULL)
                status = sco_fail(SCO_FORMAT, "%s: %zu lines, expected %zu by %s", sco_lines_path(lines), row,
                                  table->rows, table->counted_by);
            if (status == SCO_OK && table->kind == LABELS && reader->ogb->tasks == 0) {
                reader->ogb->tasks = count_fields(text, bytes);
                if (reader->ogb->tasks > MAX_TASKS)
                    status = sco_lines_fail(lines, "%zu columns, expected at most %d", reader->ogb->tasks, MAX_TASKS);
            }
            if (status != SCO_OK || !reader->wanted[graph])
                continue;
            if (table->kind == FEATURES)
                status = add_features(lines, table, text, bytes);
            else if (table->kind == ENDS)
                status = add_ends(lines, table, text, bytes, graph, reader->nodes[graph]);
            else
                status = add_labels(lines, table, text, bytes, reader->ogb->tasks);
            if (status != SCO_OK)
                status = tell(reader, status, kept);
        }
        kept += reader->wanted[graph];
    }
    if (status == SCO_OK)
        status = sco_lines_next(lines, &text, &bytes);
    if (status == SCO_OK && text != NULL)
        status = sco_lines_fail(lines, "%s counts %zu lines", table->counted_by, table->rows);
    sco_lines_close(lines);
    return status;
}

/* Marks the graphs of a split. */
static enum sco_status read_split(struct reader *reader, const char *name, size_t *count)
{
    struct sco_lines *lines = NULL;
    const char *text;
    size_t bytes;
    char path[64];
    snprintf(path, sizeof path, "split/scaffold/%s", name);
    *count = 0;
    enum sco_status status = open_table(reader, path, &lines);
    while (status == SCO_OK && (status = sco_lines_next(lines, &text, &bytes)) == SCO_OK && text != NULL) {
        uint32_t graph = 0;
        status = parse_numbers(lines, text, bytes, 1, INT32_MAX, &graph);
        if (status == SCO_OK && graph >= reader->total)
            status = sco_lines_fail(lines, "molecule %u, but there are %zu (from 0)", (unsigned)graph, reader->total);
        else if (status == SCO_OK && reader->wanted[graph])
            status = sco_lines_fail(lines, "molecule %u is in a split already", (unsigned)graph);
        if (status == SCO_OK) {
            reader->wanted[graph] = 1;
            (*count)++;
        } else if (reader->found != NULL)
            status = tell(reader, status, 0);
    }
    if (status == SCO_OK && *count == 0)
        status = sco_fail(SCO_FORMAT, "%s: no molecule", sco_lines_path(lines));
    sco_lines_close(lines);
    return status;
}

/* Starts of the wanted graphs, of which there are count. */
static enum sco_status place_graphs(struct reader *reader, size_t count)
{
    struct ogb *ogb = reader->ogb;
    ogb->number = calloc(count, sizeof *ogb->number);
    ogb->node_at = calloc(count + 1, sizeof *ogb->node_at);
    ogb->bond_at = calloc(count + 1, sizeof *ogb->bond_at);
    if (ogb->number == NULL || ogb->node_at == NULL || ogb->bond_at == NULL)
        return sco_fail(SCO_NOMEM, "no memory for %zu molecules", count);
    for (size_t graph = 0, k = 0; graph < reader->total; graph++) {
        if (!reader->wanted[graph])
            continue;
        if (k == count) {
            reader->wanted[graph] = 0;
            continue;
        }
        ogb->number[k] = (uint32_t)graph;
        ogb->node_at[k + 1] = ogb->node_at[k] + reader->nodes[graph];
        ogb->bond_at[k + 1] = ogb->bond_at[k] + reader->bonds[graph];
        k++;
    }
    ogb->graphs = count;
    return SCO_OK;
}

static enum sco_status read_counts(struct reader *reader)
{
    size_t count;
    enum sco_status status =
        read_sizes(reader, "raw/num-edge-list", 0, &reader->bonds, &reader->total, &reader->total_bonds);
    if (status == SCO_OK)
        status = read_sizes(reader, "raw/num-node-list", reader->total, &reader->nodes, &count, &reader->total_nodes);
    if (status != SCO_OK)
        return status;
    reader->wanted = calloc(reader->total, 1);
    return reader->wanted != NULL ? SCO_OK : sco_fail(SCO_NOMEM, "no memory for %zu molecules", reader->total);
}

enum { TABLES = 4 };
static void list_tables(struct reader *reader, struct table tables[TABLES])
{
    struct ogb *ogb = reader->ogb;
    const char *nodes = "num-node-list", *bonds = "num-edge-list";
    tables[0] = (struct table){"raw/node-feat",   nodes,    reader->nodes, reader->total_nodes,
                               SCO_ATOM_FEATURES, FEATURES, &ogb->node};
    tables[1] = (struct table){"raw/edge", bonds, reader->bonds, reader->total_bonds, 2, ENDS, &ogb->ends};
    tables[2] = (struct table){"raw/edge-feat",   bonds,    reader->bonds, reader->total_bonds,
                               SCO_BOND_FEATURES, FEATURES, &ogb->bond};
    tables[3] = (struct table){"raw/graph-label", nodes, NULL, reader->total, 0, LABELS, &ogb->label};
}

static void release_reader(struct reader *reader)
{
    free(reader->nodes);
    free(reader->bonds);
    free(reader->wanted);
}

/* ---- The source -------------------------------------------------------------------------------------------------- */

static int by_graph(const void *a, const void *b)
{
    const struct fault *x = a, *y = b;
    return (x->graph > y->graph) - (x->graph < y->graph);
}

static size_t held_bytes(const struct ogb *ogb)
{
    return sizeof *ogb + (3 * ogb->graphs + 2) * sizeof(uint32_t) + ogb->node.capacity + ogb->bond.capacity +
           ogb->ends.capacity + ogb->label.capacity;
}

static enum sco_status ogb_open(void **source, const struct sco_dataset_options *options,
                                struct sco_dataset_facts *facts)
{
    static const char *const splits[] = {
        [SCO_TRAIN] = "train", [SCO_TRAIN_SUBSET] = "train", [SCO_VALIDATION] = "valid", [SCO_TEST] = "test"};
    struct reader reader = {.ogb = calloc(1, sizeof *reader.ogb)};
    struct ogb *ogb = reader.ogb;
    struct table tables[TABLES];
    size_t count = 0;
    if (ogb == NULL)
        return sco_fail(SCO_NOMEM, "no memory for molecules");
    ogb->seed = options->seed;
    ogb->shuffled = options->split == SCO_TRAIN;
    ogb->skip = options->bad_sample == SCO_BAD_SKIP;
    enum sco_status status = sco_molecule_bounds(options->batch, 0, 0, &ogb->bounds);
    if (status == SCO_OK)
        status = find_root(&reader, options->path);
    if (status == SCO_OK)
        status = read_counts(&reader);
    if (status == SCO_OK)
        status = read_split(&reader, splits[options->split], &count);
    if (status == SCO_OK)
        status = place_graphs(&reader, options->samples > 0 && options->samples < count ? options->samples : count);
    list_tables(&reader, tables);
    for (size_t i = 0; i < TABLES && status == SCO_OK; i++)
        status = read_table(&reader, &tables[i]);
    release_reader(&reader);
    if (status != SCO_OK) {
        ogb_close(ogb);
        return status;
    }
    if (ogb->fault_count > 0)
        qsort(ogb->faults, ogb->fault_count, sizeof *ogb->faults, by_graph);
    facts->samples = ogb->graphs;
    facts->max_samples = ogb->bounds.graphs;
    facts->max_nodes = ogb->bounds.nodes;
    facts->max_edges = ogb->bounds.edges;
    facts->classes = ogb->tasks;
    facts->memory_bytes = held_bytes(ogb);
    *source = ogb;
    return SCO_OK;
}

/* A batch: its graphs, and the arrays they are packed into. */
struct slot {
    size_t graphs;
    uint32_t *graph;
    struct sco_molecule_pack pack;
};

static void ogb_slot_destroy(void *source, void *memory)
{
    struct slot *slot = memory;
    (void)source;
    if (slot == NULL)
        return;
    sco_molecule_pack_destroy(&slot->pack);
    free(slot->graph);
    free(slot);
}

static enum sco_status ogb_slot_create(void *source, void **out, size_t *bytes)
{
    const struct ogb *ogb = source;
    const size_t graphs = ogb->bounds.graphs;
    struct slot *slot = calloc(1, sizeof *slot);
    if (slot != NULL)
        slot->graph = calloc(graphs, sizeof *slot->graph);
    if (slot == NULL || slot->graph == NULL) {
        ogb_slot_destroy(source, slot);
        return sco_fail(SCO_NOMEM, "no memory for a batch of molecules");
    }
    *bytes += sizeof *slot + graphs * sizeof *slot->graph;
    const enum sco_status status = sco_molecule_pack_create(&slot->pack, &ogb->bounds, ogb->tasks, bytes);
    if (status != SCO_OK) {
        ogb_slot_destroy(source, slot);
        return status;
    }
    *out = slot;
    return SCO_OK;
}

/* The graph at a place of the stream. */
static size_t graph_at(const struct ogb *ogb, uint64_t place)
{
    if (!ogb->shuffled)
        return (size_t)place;
    return (size_t)sco_shuffled(ogb->graphs, ogb->seed, place / ogb->graphs, place % ogb->graphs);
}

/* Whether a graph can be used at all: without a fault, and no larger than a batch. */
static enum sco_status usable(const struct ogb *ogb, size_t graph)
{
    const struct fault key = {.graph = graph};
    const struct fault *fault =
        ogb->fault_count > 0 ? bsearch(&key, ogb->faults, ogb->fault_count, sizeof key, by_graph) : NULL;
    if (fault != NULL)
        return sco_fail(SCO_FORMAT, "%s", fault->said);
    const size_t nodes = ogb->node_at[graph + 1] - ogb->node_at[graph];
    const size_t edges = 2 * (size_t)(ogb->bond_at[graph + 1] - ogb->bond_at[graph]);
    if (nodes <= ogb->bounds.nodes && edges <= ogb->bounds.edges)
        return SCO_OK;
    return sco_fail(
        SCO_FORMAT,
        "%s: line %u: a molecule of %zu nodes and %zu directed edges, but a batch of %zu holds %zu and %zu; "
        "take a larger batch",
        ogb->path, (unsigned)ogb->number[graph] + 1, nodes, edges, ogb->bounds.graphs, ogb->bounds.nodes,
        ogb->bounds.edges);
}

/* Packs from place *next on, which moves to the first graph of the following batch; graph and skips may be NULL. */
static enum sco_status pack_batch(const struct ogb *ogb, uint64_t *next, uint32_t *graph, struct sco_skips *skips,
                                  size_t *graphs)
{
    struct sco_molecule_counts counts = {0};
    size_t refused = 0;
    uint64_t place = *next;
    for (; ogb->shuffled || place < ogb->graphs; place++) {
        if (counts.graphs == ogb->bounds.graphs && !ogb->skip)
            break;
        const size_t k = graph_at(ogb, place);
        const enum sco_status status = usable(ogb, k);
        if (status != SCO_OK) {
            if (!ogb->skip)
                return status;
            if (++refused == ogb->graphs)
                return sco_fail_context(status, "no molecule of the split can be used; the last");
            if (skips != NULL)
                sco_skips_note(skips);
            continue;
        }
        const size_t at = counts.graphs;
        if (!sco_molecule_fits(&ogb->bounds, &counts, ogb->node_at[k + 1] - ogb->node_at[k],
                               ogb->bond_at[k + 1] - ogb->bond_at[k]))
            break;
        refused = 0;
        if (graph != NULL)
            graph[at] = (uint32_t)k;
    }
    *next = place;
    *graphs = counts.graphs;
    return SCO_OK;
}

/* Bounds cut the stream into batches, so a position is found by packing all before it: sizes alone. */
static enum sco_status ogb_seek(void *source, uint64_t position)
{
    struct ogb *ogb = source;
    uint64_t next = 0;
    for (uint64_t i = 0; i < position && (ogb->shuffled || next < ogb->graphs); i++) {
        size_t graphs;
        const enum sco_status status = pack_batch(ogb, &next, NULL, NULL, &graphs);
        if (status != SCO_OK)
            return status;
    }
    ogb->next = next;
    return SCO_OK;
}

static enum sco_status ogb_fetch(void *source, uint64_t position, void *memory, struct sco_skips *skips, bool *end)
{
    struct ogb *ogb = source;
    struct slot *slot = memory;
    uint64_t next = ogb->next;
    (void)position;
    const enum sco_status status = pack_batch(ogb, &next, slot->graph, skips, &slot->graphs);
    if (status != SCO_OK)
        return status;
    ogb->next = next;
    *end = slot->graphs == 0;
    return SCO_OK;
}

static void write_graph(const struct ogb *ogb, size_t k, struct sco_molecule_room room)
{
    const size_t first_node = ogb->node_at[k], nodes = ogb->node_at[k + 1] - first_node;
    const size_t first_bond = ogb->bond_at[k], bonds = ogb->bond_at[k + 1] - first_bond;
    const uint8_t *node = nodes > 0 ? (const uint8_t *)ogb->node.at + SCO_ATOM_FEATURES * first_node : NULL;
    const uint8_t *bond = bonds > 0 ? (const uint8_t *)ogb->bond.at + SCO_BOND_FEATURES * first_bond : NULL;
    const uint16_t *ends = bonds > 0 ? (const uint16_t *)ogb->ends.at + 2 * first_bond : NULL;
    const int8_t *label = (const int8_t *)ogb->label.at + ogb->tasks * k;
    for (size_t i = 0; i < SCO_ATOM_FEATURES * nodes; i++)
        room.node[i] = node[i];
    for (size_t i = 0; i < SCO_BOND_FEATURES * bonds; i++)
        room.edge[i] = bond[i];
    for (size_t i = 0; i < bonds; i++) {
        room.begin[i] = ends[2 * i];
        room.end[i] = ends[2 * i + 1];
    }
    for (size_t i = 0; i < ogb->tasks; i++)
        room.label[i] = label[i] == UNKNOWN ? NAN : label[i];
}

static enum sco_status ogb_fill(void *source, uint64_t position, void *memory, struct sco_skips *skips,
                                struct sco_batch *batch)
{
    const struct ogb *ogb = source;
    struct slot *slot = memory;
    (void)position;
    (void)skips;
    sco_molecule_pack_clear(&slot->pack);
    for (size_t g = 0; g < slot->graphs; g++) {
        const size_t k = slot->graph[g];
        write_graph(ogb, k,
                    sco_molecule_open(&slot->pack, ogb->node_at[k + 1] - ogb->node_at[k],
                                      ogb->bond_at[k + 1] - ogb->bond_at[k]));
        const enum sco_status status = sco_molecule_seal(&slot->pack);
        if (status != SCO_OK)
            return sco_fail_context(status, "%s: line %u", ogb->path, (unsigned)ogb->number[k] + 1);
    }
    sco_molecule_pack_batch(&slot->pack, batch);
    return SCO_OK;
}

/* ---- Verification ------------------------------------------------------------------------------------------------ */

static enum sco_status report(struct reader *reader, enum sco_status status)
{
    if (status != SCO_FORMAT && status != SCO_IO)
        return status;
    reader->found(reader->argument, status, sco_error_message());
    reader->result->findings++;
    return SCO_OK;
}

static enum sco_status ogb_verify(const char *path, sco_finding_fn *found, void *argument,
                                  struct sco_verify_result *result)
{
    static const char *const splits[] = {"train", "valid", "test"};
    struct reader reader = {
        .ogb = calloc(1, sizeof *reader.ogb), .found = found, .argument = argument, .result = result};
    struct table tables[TABLES];
    if (reader.ogb == NULL)
        return sco_fail(SCO_NOMEM, "no memory for molecules");
    enum sco_status status = find_root(&reader, path);
    if (status != SCO_OK)
        goto out;
    status = read_counts(&reader);
    if (status != SCO_OK) {
        status = report(&reader, status);
        goto out;
    }
    result->samples += reader.total;
    for (size_t i = 0; i < 3 && status == SCO_OK; i++) {
        size_t count;
        status = report(&reader, read_split(&reader, splits[i], &count));
    }
    memset(reader.wanted, 1, reader.total);
    list_tables(&reader, tables);
    for (size_t i = 0; i < TABLES && status == SCO_OK; i++) {
        status = report(&reader, read_table(&reader, &tables[i]));
        column_free(tables[i].column);
    }
out:
    release_reader(&reader);
    ogb_close(reader.ogb);
    return status;
}

const struct sco_source_type sco_ogb_source = {
    .open = ogb_open,
    .close = ogb_close,
    .slot_create = ogb_slot_create,
    .slot_destroy = ogb_slot_destroy,
    .seek = ogb_seek,
    .fetch = ogb_fetch,
    .fill = ogb_fill,
    .verify = ogb_verify,
};

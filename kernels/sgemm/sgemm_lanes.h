/* SPDX-License-Identifier: Apache-2.0
 * The blocked product over the lanes of the row that includes this file, which also says what it has:
 *
 *     REGISTERS     16 or 32 vector registers
 *     MASKED        1 where a masked load costs no more than a plain one
 *     PANEL         vectors in a row of a packed panel of B
 *     KC            most of K that a packed panel holds: the panel stays in L2
 *
 * Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", TOMS 34, 2008, and Van Zee and van de Geijn,
 * "BLIS", TOMS 41, 2015, with less packing, since storing a packed line costs as much as the multiply-adds of ten rows:
 * rows of A are contiguous in k, so that a tile of few rows reads them where they are, and B is packed only where its
 * stride would make it miss caches. A panel of B is packed by each task that needs it, while it is needed: that costs
 * a few hundredths of the product and saves a barrier. */
#include "kernels/sgemm/sgemm.h"

/* A tile of v vectors has as many rows as accumulators fit beside the v vectors of B and a broadcast of A; one of a
 * single vector no more than pay. */
#if REGISTERS == 32
#define ROWS_OF(v) ((v) == 1 ? 16 : (v) == 2 ? 14 : (v) == 3 ? 8 : 6)
#else
#define ROWS_OF(v) ((v) == 1 ? 8 : (v) == 2 ? 6 : (v) == 3 ? 4 : 3)
#endif

enum {
    TILE_VECTORS = 4,
    TILE_ROWS = ROWS_OF(1),
    NR = PANEL * LANES,
    MR = ROWS_OF(PANEL),
    AHEAD = 16,      /* rows that packing fetches ahead: strides defeat hardware prefetchers */
    LINE = 16,       /* floats in a cache line */
    STRIP = 3 * LINE /* columns of a packed strip of a transposed A: whole tiles and whole lines */
};

/* What the next block of k reads, fetched a few lines at a time while this one is computed: packing is otherwise as slow
 * as memory. */
struct ahead {
    const float *row[2]; /* of A and of B */
    size_t step[2], lines[2], rows[2];
    size_t line;  /* next of its row */
    size_t count; /* lines between two looks, 0: none */
};

static inline void fetch(struct ahead *next)
{
    for (size_t n = 0; n < next->count; n++) {
        const size_t which = next->rows[0] == 0 ? 1 : 0;
        if (next->rows[which] == 0) {
            next->count = 0;
            return;
        }
        __builtin_prefetch(next->row[which] + next->line * LINE, 0, 2);
        if (++next->line == next->lines[which]) {
            next->line = 0;
            if (--next->rows[which] > 0)
                next->row[which] += next->step[which];
        }
    }
}

/* What happens to a tile's sums. */
struct update {
    float alpha, beta, slope;
    int activation, plain; /* plain: nothing does */
    const float *bias;     /* of the tile's first column, or NULL */
    struct ahead *ahead;   /* or NULL */
};

/* Compilers give each of sixteen rows a pointer of its own, more than there are registers, and keep them in vector
 * registers, whence they come back only after the multiply-adds queued before them. Four rows off a pointer that they
 * cannot see through are addressed by one, two and three times the stride. */
static inline const float *kept(const float *pointer)
{
    __asm__("" : "+r"(pointer));
    return pointer;
}

static inline float *kept_row(float *pointer)
{
    __asm__("" : "+r"(pointer));
    return pointer;
}

SCO_INLINE void finish(const size_t rows, const size_t vectors, lanes sum[TILE_ROWS][TILE_VECTORS], const float *C,
                       size_t ldc, size_t last, const struct update *u)
{
    if (u->alpha != 1.0f) {
        const lanes alpha = lanes_set(u->alpha);
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++) {
            SCO_UNROLL
            for (size_t j = 0; j < vectors; j++)
                sum[i][j] = lanes_mul(alpha, sum[i][j]);
        }
    }
    if (u->beta != 0.0f) {
        const lanes beta = lanes_set(u->beta);
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++) {
            if (i > 0 && i % 4 == 0)
                C = kept(C + 4 * ldc);
            const float *row = C + i % 4 * ldc;
            SCO_UNROLL
            for (size_t j = 0; j < vectors; j++) {
                const float *at = row + j * LANES;
                const lanes c = j + 1 < vectors ? lanes_load(at) : lanes_load_first(at, last);
                sum[i][j] = lanes_fma(beta, c, sum[i][j]);
            }
        }
    }
    if (u->bias != NULL) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++) {
            const float *b = u->bias + j * LANES;
            const lanes bias = j + 1 < vectors ? lanes_load(b) : lanes_load_first(b, last);
            SCO_UNROLL
            for (size_t i = 0; i < rows; i++)
                sum[i][j] = lanes_add(sum[i][j], bias);
        }
    }
    if (u->activation != (int)SCO_GEMM_LINEAR) {
        const lanes slope = lanes_set(u->slope);
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++) {
            SCO_UNROLL
            for (size_t j = 0; j < vectors; j++) {
                const lanes x = sum[i][j];
                const lanes below = u->activation == (int)SCO_GEMM_RELU ? lanes_set(0.0f) : lanes_mul(slope, x);
                sum[i][j] = lanes_if_less(x, lanes_set(0.0f), below, x);
            }
        }
    }
}

/* sum += K columns of A times as many rows of B; quad, A, B and packed move past them. packed, when not NULL, takes a
 * copy of B. */
SCO_INLINE void steps(const size_t rows, const size_t vectors, const int by_rows, size_t K, const float *quad[],
                      size_t a_step, const float **A, const float **B, size_t b_step, size_t last, float **packed,
                      lanes sum[TILE_ROWS][TILE_VECTORS])
{
    const size_t step3 = 3 * a_step;
    for (; K > 0; K--) {
        lanes b[TILE_VECTORS];
        if (by_rows) {
            SCO_UNROLL
            for (size_t q = 0; q < (rows + 3) / 4; q++)
                quad[q] = kept(quad[q]);
        }
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++)
            b[j] = MASKED && j + 1 == vectors ? lanes_load_first(*B + j * LANES, last) : lanes_load(*B + j * LANES);
        if (packed != NULL) {
            SCO_UNROLL
            for (size_t j = 0; j < vectors; j++) {
                if (j * LANES % LINE == 0)
                    __builtin_prefetch((const void *)((uintptr_t)*B + (AHEAD * b_step + j * LANES) * sizeof **B));
                lanes_store(*packed + j * LANES, b[j]);
            }
            *packed += vectors * LANES;
        }
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++) {
            const float *row = quad[i / 4];
            const lanes a = lanes_set(!by_rows ? (*A)[i] : row[i % 4 == 3 ? step3 : i % 4 * a_step]);
            SCO_UNROLL
            for (size_t j = 0; j < vectors; j++)
                sum[i][j] = lanes_fma(a, b[j], sum[i][j]);
        }
        if (by_rows) {
            SCO_UNROLL
            for (size_t q = 0; q < (rows + 3) / 4; q++)
                quad[q]++;
        }
        *A += a_step;
        *B += b_step;
    }
}

/* C[i][j] = update(sum over k of A[i][k] B[k][j]) for rows x columns, columns <= vectors * LANES.
 * by_rows: A[i * a_step + k]; otherwise A[k * a_step + i]. B[k * b_step + j]. packed: NULL, or where a copy of B goes. */
SCO_INLINE void tile(const size_t rows, const size_t vectors, const int by_rows, size_t K, const float *A,
                     size_t a_step, const float *B, size_t b_step, float *C, size_t ldc, size_t columns,
                     const struct update *u, float **packed)
{
    const size_t last = columns - (vectors - 1) * LANES;
    lanes sum[TILE_ROWS][TILE_VECTORS];
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++)
            sum[i][j] = lanes_set(0.0f);
    }
    const float *quad[(TILE_ROWS + 3) / 4]; /* every fourth row of A */
    SCO_UNROLL
    for (size_t q = 0; q < (rows + 3) / 4; q++)
        quad[q] = A + 4 * q * (by_rows ? a_step : 1);
    if (u->beta != 0.0f && vectors == PANEL && K >= LINE) {
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++) {
            SCO_UNROLL
            for (size_t j = 0; j < vectors * LANES; j += LINE)
                __builtin_prefetch(C + i * ldc + j, 1, 3);
        }
    }
    if (vectors == PANEL) {
        for (;; K -= LINE) {
            if (by_rows) { /* the rows of the next tile: their first use is otherwise a miss of L2 */
                SCO_UNROLL
                for (size_t i = 0; i < rows; i++)
                    __builtin_prefetch(quad[i / 4] + (i % 4 + rows) * a_step, 0, 3);
            }
            if (u->ahead != NULL)
                fetch(u->ahead);
            if (K <= LINE)
                break;
            steps(rows, vectors, by_rows, LINE, quad, a_step, &A, &B, b_step, last, packed, sum);
        }
    }
    steps(rows, vectors, by_rows, K, quad, a_step, &A, &B, b_step, last, packed, sum);
    if (!u->plain)
        finish(rows, vectors, sum, C, ldc, last, u);
    const int whole = last == LANES;
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        if (i > 0 && i % 4 == 0)
            C = kept_row(C + 4 * ldc);
        float *row = C + i % 4 * ldc;
        SCO_UNROLL
        for (size_t j = 0; j + 1 < vectors; j++)
            lanes_store(row + j * LANES, sum[i][j]);
        if (MASKED || !whole)
            lanes_store_first(row + (vectors - 1) * LANES, sum[i][vectors - 1], last);
        else
            lanes_store(row + (vectors - 1) * LANES, sum[i][vectors - 1]);
    }
}

typedef void tile_fn(size_t K, const float *A, size_t a_step, const float *B, size_t b_step, float *C, size_t ldc,
                     size_t columns, const struct update *u);
#define TILE(rows, vectors)                                                                                            \
    static void rows_##rows##x##vectors(size_t K, const float *A, size_t a_step, const float *B, size_t b_step,        \
                                        float *C, size_t ldc, size_t columns, const struct update *u)                  \
    {                                                                                                                  \
        tile(rows, vectors, 1, K, A, a_step, B, b_step, C, ldc, columns, u, NULL);                                     \
    }                                                                                                                  \
    static void columns_##rows##x##vectors(size_t K, const float *A, size_t a_step, const float *B, size_t b_step,     \
                                           float *C, size_t ldc, size_t columns, const struct update *u)               \
    {                                                                                                                  \
        tile(rows, vectors, 0, K, A, a_step, B, b_step, C, ldc, columns, u, NULL);                                     \
    }
#define UP_TO_3(X, v)  X(1, v) X(2, v) X(3, v)
#define UP_TO_4(X, v)  UP_TO_3(X, v) X(4, v)
#define UP_TO_6(X, v)  UP_TO_4(X, v) X(5, v) X(6, v)
#define UP_TO_8(X, v)  UP_TO_6(X, v) X(7, v) X(8, v)
#define UP_TO_14(X, v) UP_TO_8(X, v) X(9, v) X(10, v) X(11, v) X(12, v) X(13, v) X(14, v)
#define UP_TO_16(X, v) UP_TO_14(X, v) X(15, v) X(16, v)
#if REGISTERS == 32
#define TILES(X)                                                                                                       \
    {UP_TO_16(X, 1)}, {UP_TO_14(X, 2)}, {UP_TO_8(X, 3)},                                                               \
    {                                                                                                                  \
        UP_TO_6(X, 4)                                                                                                  \
    }
UP_TO_16(TILE, 1)
UP_TO_14(TILE, 2)
UP_TO_8(TILE, 3)
UP_TO_6(TILE, 4)
#else
#define TILES(X)                                                                                                       \
    {UP_TO_8(X, 1)}, {UP_TO_6(X, 2)}, {UP_TO_4(X, 3)},                                                                 \
    {                                                                                                                  \
        UP_TO_3(X, 4)                                                                                                  \
    }
UP_TO_8(TILE, 1)
UP_TO_6(TILE, 2)
UP_TO_4(TILE, 3)
UP_TO_3(TILE, 4)
#endif
#define BY_ROWS(rows, vectors)    rows_##rows##x##vectors,
#define BY_COLUMNS(rows, vectors) columns_##rows##x##vectors,
/* [by_rows][vectors - 1][rows - 1] */
static tile_fn *const tiles[2][TILE_VECTORS][TILE_ROWS] = {{TILES(BY_COLUMNS)}, {TILES(BY_ROWS)}};

/* The first MR rows of a whole panel pack it on the way: their multiply-adds hide most of the copying. */
static void first_rows(size_t K, const float *A, size_t a_step, const float *B, size_t b_step, float *C, size_t ldc,
                       const struct update *u, float *packed)
{
    tile(MR, PANEL, 1, K, A, a_step, B, b_step, C, ldc, NR, u, &packed);
}

static void first_columns(size_t K, const float *A, size_t a_step, const float *B, size_t b_step, float *C, size_t ldc,
                          const struct update *u, float *packed)
{
    tile(MR, PANEL, 0, K, A, a_step, B, b_step, C, ldc, NR, u, &packed);
}

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t parts_of(size_t n, size_t part)
{
    return (n + part - 1) / part;
}

/* Floats in a row of a packed panel. */
static inline size_t width_of(size_t columns)
{
    return parts_of(columns, LANES) * LANES;
}

/* Rows of the next tile when left are left: as even as they get, since a short tile has too few accumulators to hide the
 * latency of the multiply-add. */
static inline size_t even_rows(size_t left, size_t most)
{
    return left <= most ? left : parts_of(left, parts_of(left, most));
}

static const size_t most_rows[TILE_VECTORS] = {ROWS_OF(1), ROWS_OF(2), ROWS_OF(3), ROWS_OF(4)};

/* Where a product finds op(A): rows `row` apart, contiguous in k (by_rows), or columns `step` apart, contiguous in i. A
 * packed A comes in strips of some rows, `strip` floats of A a row. */
struct left {
    const float *A;
    size_t row, step;
    int by_rows;
    size_t strip_rows, strip;
};

/* Floats from one k to the next in the strip of `rows` rows. */
static inline size_t step_of(struct left a, size_t rows)
{
    return a.strip != 0 ? width_of(rows) : a.step;
}

/* Each panel of B passes all rows of A but the first `done` while it is in L1 or L2. u->bias is that of column 0. */
SCO_INLINE void multiply(size_t done, size_t M, size_t N, size_t K, struct left a, const float *B, size_t b_step,
                         float *C, size_t ldc, size_t vectors, const struct update *update)
{
    const struct update *u = update;
    struct update biased;
    for (size_t j = 0; j < N; j += vectors * LANES) {
        const size_t columns = least(N - j, vectors * LANES), v = parts_of(columns, LANES);
        if (update->bias != NULL) {
            biased = *update;
            biased.bias += j;
            u = &biased;
        }
        for (size_t i0 = 0; i0 < M; i0 += a.strip_rows) {
            const size_t end = least(M - i0, a.strip_rows);
            const float *A = a.A + i0 * a.strip;
            const size_t a_step = step_of(a, end);
            size_t rows;
            for (size_t i = i0 == 0 ? done : 0; i < end; i += rows) {
                rows = even_rows(end - i, most_rows[vectors - 1]);
                tiles[a.by_rows][v - 1][rows - 1](K, A + i * a.row, a_step, B + j, b_step, C + (i0 + i) * ldc + j, ldc,
                                                  columns, u);
            }
        }
    }
}

/* ---- Columns that do not fill a vector ------------------------------------------------------------------------- */

/* One column of C along k: with one or two columns past whole vectors, a vector of them would be nearly empty.
 * A by rows, b contiguous; the sum has sixteen interleaved parts. */
SCO_INLINE void dot_rows(const size_t rows, size_t K, const float *A, size_t lda, const float *b, float *C, size_t ldc,
                         const struct update *u)
{
    enum { PARTS = 16 / LANES };
    lanes sum[8][PARTS];
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++)
        for (size_t p = 0; p < PARTS; p++)
            sum[i][p] = lanes_set(0.0f);
    size_t k = 0;
    for (; K - k >= 16; k += 16) {
        SCO_UNROLL
        for (size_t p = 0; p < PARTS; p++) {
            const lanes x = lanes_load(b + k + p * LANES);
            SCO_UNROLL
            for (size_t i = 0; i < rows; i++)
                sum[i][p] = lanes_fma(lanes_load(A + i * lda + k + p * LANES), x, sum[i][p]);
        }
    }
    for (size_t p = 0; k < K; p++, k += LANES) {
        const size_t count = least(K - k, LANES);
        const lanes x = lanes_load_first(b + k, count);
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++)
            sum[i][p] = lanes_fma(lanes_load_first(A + i * lda + k, count), x, sum[i][p]);
    }
    for (size_t i = 0; i < rows; i++, C += ldc) {
        float x = u->alpha * lanes_fold16(sum[i]);
        if (u->beta != 0.0f)
            x += u->beta * *C;
        if (u->bias != NULL)
            x += *u->bias;
        if (u->activation != (int)SCO_GEMM_LINEAR && x < 0.0f)
            x = u->activation == (int)SCO_GEMM_RELU ? 0.0f : u->slope * x;
        *C = x;
    }
}

static void dot_column(size_t M, size_t K, const float *A, size_t lda, const float *b, float *C, size_t ldc,
                       const struct update *u)
{
    enum { ROWS = REGISTERS == 32 && LANES == 16 ? 8 : 4 };
    size_t i = 0;
    for (; M - i >= ROWS; i += ROWS)
        dot_rows(ROWS, K, A + i * lda, lda, b, C + i * ldc, ldc, u);
    for (; i < M; i++)
        dot_rows(1, K, A + i * lda, lda, b, C + i * ldc, ldc, u);
}

/* ---- Packing ------------------------------------------------------------------------------------------------------ */

/* Copies a panel: to[k][width_of(columns)], zeros past the columns. */
static void pack(size_t K, size_t columns, const float *from, size_t ld, float *to)
{
    const size_t whole = columns / LANES * LANES, rest = columns - whole;
    for (size_t k = 0; k < K; k++, from += ld) {
        for (size_t j = 0; j < columns; j += LINE)
            __builtin_prefetch((const void *)((uintptr_t)from + (AHEAD * ld + j) * sizeof *from));
        if (whole == NR) {
            SCO_UNROLL
            for (size_t v = 0; v < PANEL; v++)
                lanes_store(to + v * LANES, lanes_load(from + v * LANES));
        } else {
            for (size_t j = 0; j < whole; j += LANES)
                lanes_store(to + j, lanes_load(from + j));
        }
        to += whole;
        if (rest != 0) {
            lanes_store(to, lanes_load_first(from + whole, rest));
            to += LANES;
        }
    }
}

/* B is stored by columns: row n of it is column n of op(B). */
static void pack_transposed(size_t K, size_t columns, const float *B, size_t ldb, float *to)
{
    const size_t width = width_of(columns);
    for (size_t j = 0; j < columns; j += LANES) {
        const size_t n = least(columns - j, LANES);
        const float *b = B + j * ldb;
        for (size_t k = 0; k < K; k += LANES) {
            const size_t depth = least(K - k, LANES);
            lanes x[LANES];
            if (n == LANES && depth == LANES) {
                SCO_UNROLL
                for (size_t i = 0; i < LANES; i++)
                    x[i] = lanes_load(b + i * ldb + k);
            } else {
                for (size_t i = 0; i < LANES; i++)
                    x[i] = i < n ? lanes_load_first(b + i * ldb + k, depth) : lanes_set(0.0f);
            }
            lanes_transpose(x);
            if (depth == LANES) {
                SCO_UNROLL
                for (size_t i = 0; i < LANES; i++)
                    lanes_store(to + (k + i) * width + j, x[i]);
            } else {
                for (size_t i = 0; i < depth; i++)
                    lanes_store(to + (k + i) * width + j, x[i]);
            }
        }
    }
}

/* ---- Plans -------------------------------------------------------------------------------------------------------- */

#ifndef PFC
#define PFC 1
#endif
enum own {
    M_BLOCKS, /* blocks of rows, of columns, of k */
    N_BLOCKS,
    K_BLOCKS,
    PACK_A,
    PACK_B,
    VECTORS,  /* of a tile */
    SWAPPED,  /* the transpose of the product is computed: op(B)' op(A)' */
    DOTS,     /* last columns that are done one by one */
    SCRATCH_A /* floats from the start of scratch to the packed A */
};

/* Start of the part-th of parts ranges of whole units of n. */
static inline size_t cut(size_t n, size_t unit, size_t part, size_t parts)
{
    return least(n, parts_of(n, unit) * part / parts * unit);
}

static inline struct update update_of(const struct sco_gemm_shape *s, float beta, bool last, const float *bias)
{
    struct update u;
    u.alpha = s->alpha;
    u.beta = beta;
    u.slope = s->slope;
    u.activation = last ? (int)s->activation : (int)SCO_GEMM_LINEAR;
    u.bias = last ? bias : NULL;
    u.ahead = NULL;
    u.plain = u.alpha == 1.0f && u.beta == 0.0f && u.activation == (int)SCO_GEMM_LINEAR && u.bias == NULL;
    return u;
}

static inline struct left left_of(const struct sco_gemm_shape *s, const float *A)
{
    struct left a;
    a.A = A;
    a.by_rows = !s->trans_a;
    a.row = s->trans_a ? 1 : s->lda;
    a.step = s->lda;
    a.strip_rows = s->M;
    a.strip = 0;
    return a;
}

/* Without a word for activation, bias or factors. */
static const struct update nothing = {1.0f, 0.0f, 0.0f, (int)SCO_GEMM_LINEAR, 1, NULL, NULL};

/* Small products follow each other while their multiply-adds still wait: every word stored to the stack would take a
 * place in the store queue behind all of C, so that a plain product keeps what it needs in registers and its plan. */
static void small_tile(const struct sco_sgemm_plan *plan, const float *A, const float *B, float *C, const float *bias)
{
    const struct sco_gemm_shape *s = &plan->shape;
    (void)bias;
    tiles[!s->trans_a][plan->own[VECTORS] - 1][s->M - 1](s->K, A, s->lda, B, s->ldb, C, s->ldc, s->N, &nothing);
}

static void small_plain(const struct sco_sgemm_plan *plan, const float *A, const float *B, float *C, const float *bias)
{
    const struct sco_gemm_shape *s = &plan->shape;
    (void)bias;
    multiply(0, s->M, s->N, s->K, left_of(s, A), B, s->ldb, C, s->ldc, plan->own[VECTORS], &nothing);
}

static void small(const struct sco_sgemm_plan *plan, const float *A, const float *B, float *C, const float *bias)
{
    const struct sco_gemm_shape *s = &plan->shape;
    const struct update u = update_of(s, s->beta, true, bias);
    multiply(0, s->M, s->N, s->K, left_of(s, A), B, s->ldb, C, s->ldc, plan->own[VECTORS], &u);
}

static void small_swapped(const struct sco_sgemm_plan *plan, const float *A, const float *B, float *C,
                          const float *bias)
{
    small(plan, B, A, C, bias);
}

/* One block of k of one tile of C. */
static void block(const struct sco_sgemm_plan *plan, size_t M, size_t N, size_t K, const float *A, const float *B,
                  float *C, const struct update *u, float *scratch, bool last_columns)
{
    const struct sco_gemm_shape *s = &plan->shape;
    const size_t *own = plan->own, dots = last_columns ? own[DOTS] : 0, whole = N - dots;
    struct left a = left_of(s, A);
    if (own[PACK_A]) {
        float *strips = scratch + own[SCRATCH_A];
        a.A = strips;
        a.strip_rows = STRIP;
        a.strip = K;
        for (size_t i = 0; i < M; i += STRIP)
            pack(K, least(M - i, STRIP), A + i, s->lda, strips + i * K);
    }
    if (!own[PACK_B])
        multiply(0, M, whole, K, a, B, s->ldb, C, s->ldc, own[VECTORS], u);
    struct update panel = *u;
    for (size_t j = 0; own[PACK_B] && j < whole; j += NR) {
        const size_t columns = least(whole - j, NR);
        size_t done = 0;
        panel.bias = u->bias ? u->bias + j : NULL;
        if (s->trans_b) {
            pack_transposed(K, columns, B + j * s->ldb, s->ldb, scratch);
        } else if (columns == NR && M >= MR) {
            done = MR;
            (a.by_rows ? first_rows : first_columns)(K, a.A, step_of(a, least(M, a.strip_rows)), B + j, s->ldb, C + j,
                                                     s->ldc, &panel, scratch);
        } else {
            pack(K, columns, B + j, s->ldb, scratch);
        }
        multiply(done, M, columns, K, a, scratch, width_of(columns), C + j, s->ldc, PANEL, &panel);
    }
    for (size_t j = whole; j < N; j++) {
        const float *column = B + j * s->ldb;
        if (!s->trans_b) {
            for (size_t k = 0; k < K; k++)
                scratch[k] = B[k * s->ldb + j];
            column = scratch;
        }
        panel.bias = u->bias ? u->bias + j : NULL;
        dot_column(M, K, A, s->lda, column, C + j, s->ldc, &panel);
    }
}

static void add_ahead(struct ahead *next, size_t which, const float *from, size_t ld, size_t columns, size_t rows)
{
    next->row[which] = from;
    next->step[which] = ld;
    next->lines[which] = parts_of(columns, LINE);
    next->rows[which] = rows;
}

static void run(const struct sco_sgemm_plan *plan, const struct sco_sgemm_args *args, size_t first, size_t last)
{
    const struct sco_gemm_shape *s = &plan->shape;
    const size_t *own = plan->own, cells = own[M_BLOCKS] * own[N_BLOCKS];
    const size_t a_row = s->trans_a ? 1 : s->lda, a_k = s->trans_a ? s->lda : 1;
    const size_t b_column = s->trans_b ? s->ldb : 1, b_k = s->trans_b ? 1 : s->ldb;
    for (size_t task = first; task < last; task++) {
        const size_t product = task / cells, m = task % cells / own[N_BLOCKS], n = task % own[N_BLOCKS];
        const size_t i0 = cut(s->M, MR, m, own[M_BLOCKS]), i1 = cut(s->M, MR, m + 1, own[M_BLOCKS]);
        const size_t j0 = cut(s->N, NR, n, own[N_BLOCKS]), j1 = cut(s->N, NR, n + 1, own[N_BLOCKS]);
        const float *A = (own[SWAPPED] ? args->B : args->A) + product * s->a_step + i0 * a_row;
        const float *B = (own[SWAPPED] ? args->A : args->B) + product * s->b_step + j0 * b_column;
        float *C = args->C + product * s->c_step + i0 * s->ldc + j0;
        for (size_t part = 0; part < own[K_BLOCKS]; part++) {
            const size_t k0 = s->K * part / own[K_BLOCKS], k1 = s->K * (part + 1) / own[K_BLOCKS];
            struct update u = update_of(s, part == 0 ? s->beta : 1.0f, part + 1 == own[K_BLOCKS],
                                        args->bias ? args->bias + j0 : NULL);
            struct ahead next = {{NULL, NULL}, {0, 0}, {0, 0}, {0, 0}, 0, 0};
            if ((own[PACK_A] || own[PACK_B]) && part + 1 < own[K_BLOCKS]) {
                if (own[PACK_A])
                    add_ahead(&next, 0, A + k1 * s->lda, s->lda, i1 - i0, k1 - k0);
                if (own[PACK_B] && !s->trans_b)
                    add_ahead(&next, 1, B + k1 * s->ldb, s->ldb, j1 - j0, k1 - k0);
                const size_t looks = parts_of(i1 - i0, MR) * parts_of(j1 - j0, NR) * parts_of(k1 - k0, LINE);
                next.count = parts_of(next.lines[0] * next.rows[0] + next.lines[1] * next.rows[1], looks);
                u.ahead = &next;
            }
            block(plan, i1 - i0, j1 - j0, k1 - k0, A + k0 * a_k, B + k0 * b_k, C, &u, args->scratch, j1 == s->N);
        }
    }
}

/* Vectors of a tile that reads B in place: few rows, and tiles as wide as the registers allow, so that B passes by in
 * long runs; never wider than C. */
static size_t vectors_in_place(size_t M, size_t N)
{
    size_t vectors = PANEL;
    if (M <= ROWS_OF(4))
        vectors = TILE_VECTORS;
    else if (M <= ROWS_OF(1))
        while (vectors > 1 && M > ROWS_OF(vectors))
            vectors--;
    return least(vectors, parts_of(N, LANES));
}

static char *append(char *to, const char *text)
{
    while (*text != '\0')
        *to++ = *text++;
    *to = '\0';
    return to;
}

static char *append_number(char *to, size_t n)
{
    char digits[20];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    while (count > 0)
        *to++ = digits[--count];
    *to = '\0';
    return to;
}

/* "6x64 packed B, 4x2 tasks", by hand since vector rows are also linked without a C library. */
static void name_plan(struct sco_sgemm_plan *plan)
{
    const size_t *own = plan->own;
    char *to = append_number(plan->name, most_rows[own[VECTORS] - 1]);
    to = append_number(append(to, "x"), own[VECTORS] * LANES);
    to = append(to, own[PACK_A] && own[PACK_B] ? " packed A B"
                    : own[PACK_A]              ? " packed A"
                    : own[PACK_B]              ? " packed B"
                                               : "");
    if (plan->tasks == 1)
        return;
    to = append_number(append(to, ", "), own[M_BLOCKS]);
    append(append_number(append(to, "x"), own[N_BLOCKS]), " tasks");
}

static bool plan_lanes(const struct sco_gemm_shape *shape, struct sco_sgemm_plan *plan)
{
    enum {
        FEW_ROWS = 24,          /* do not pay for packing the other operand */
        SOME_ROWS = 96,         /* pay for it less than for a panel half as deep */
        L2_FLOATS = 64 * 1024,  /* of a stored block that stays in L2 whatever its stride */
        L1_FLOATS = 5 * 1024,   /* of a panel that stays in L1 */
        SMALL = 64 * 64 * 64,   /* multiply-adds that are done sooner than a team has met */
        TASK = 512 * 1024,      /* multiply-adds that are worth a task */
        TASKS = 16,             /* enough of them for a team */
        LEAST_ROWS = 128,       /* of a task that packs B */
        LEAST_PACKED_ROWS = 64, /* of one that packs A, which every column of tasks would pack again */
        MOST_ROWS = 1024,       /* of a task: its A stays in L3 while panels of B pass */
        MOST_PACKED_ROWS = 256  /* its packed A stays in L2 */
    };
    memset(plan, 0, sizeof *plan);
    plan->shape = sco_sgemm_full(shape);
    plan->run = run;
    const struct sco_gemm_shape *s = &plan->shape;
    size_t *own = plan->own;
    if (s->trans_b && s->K == 1 && s->ldb == 1) { /* a column that is a row as well */
        plan->shape.trans_b = 0;
        plan->shape.ldb = s->N;
    }
    if (s->N == 1 && s->trans_a && !s->trans_b && s->ldc == 1 && !s->bias) {
        /* One column of C would leave vectors nearly empty; as a row it fills them. */
        const struct sco_gemm_shape t = plan->shape;
        plan->shape.M = 1;
        plan->shape.N = t.M;
        plan->shape.lda = t.ldb;
        plan->shape.ldb = t.lda;
        plan->shape.ldc = t.M;
        plan->shape.a_step = t.b_step;
        plan->shape.b_step = t.a_step;
        own[SWAPPED] = 1;
    }
    own[M_BLOCKS] = own[N_BLOCKS] = own[K_BLOCKS] = 1;
    if (s->M == 0 || s->N == 0 || s->batch == 0)
        return true;

    const size_t tail = s->N % LANES;
    if (!s->trans_a && tail != 0 && tail <= 2 && s->K >= 64 && (LANES > 4 || s->N == 1))
        own[DOTS] = tail;
    const size_t vectors = vectors_in_place(s->M, s->N);
    const bool ragged = !MASKED && (s->N - own[DOTS]) % LANES != 0;
    size_t depth = KC;
    own[PACK_B] = s->trans_b || ragged;
    if (!own[PACK_B] && s->M > FEW_ROWS && s->K * vectors * LANES > L1_FLOATS &&
        least(s->K, depth) * s->ldb > L2_FLOATS) {
        if (s->M <= SOME_ROWS)
            depth = KC / 2;
        else
            own[PACK_B] = 1;
    }
    own[PACK_A] = s->trans_a && s->N > FEW_ROWS && s->M > ROWS_OF(1) &&
                  (least(s->K, depth) * s->lda > L2_FLOATS || s->K * s->lda > 4 * L2_FLOATS);
    own[K_BLOCKS] = s->K > depth ? parts_of(s->K, depth) : 1;
    depth = parts_of(s->K, own[K_BLOCKS]);
    own[VECTORS] = own[PACK_A] || own[PACK_B] ? (size_t)PANEL : vectors;

    const size_t products = s->M * s->N * s->K;
    if (s->batch == 1 && products <= SMALL && !own[PACK_A] && !own[PACK_B] && own[DOTS] == 0 && own[K_BLOCKS] == 1) {
        const bool plain = !s->bias && update_of(s, s->beta, true, NULL).plain;
        plan->small = own[SWAPPED]                                                ? small_swapped
                      : !plain                                                    ? small
                      : s->M <= most_rows[vectors - 1] && s->N <= vectors * LANES ? small_tile
                                                                                  : small_plain;
        plan->tasks = 1;
    }

    const size_t panels = parts_of(s->N, NR), strip = STRIP, packs_a = LEAST_PACKED_ROWS, packs_b = LEAST_ROWS;
    const size_t least_rows = own[PACK_A] ? packs_a : own[PACK_B] ? packs_b : strip;
    const size_t wanted = own[PACK_A] ? TASKS / 4 : TASKS;
    own[M_BLOCKS] = parts_of(s->M, own[PACK_A] ? MOST_PACKED_ROWS : own[PACK_B] ? MOST_ROWS : LEAST_ROWS);
    while (s->batch * own[M_BLOCKS] * own[N_BLOCKS] < wanted && products / (own[M_BLOCKS] * own[N_BLOCKS]) > 2 * TASK) {
        const bool rows = s->M / (2 * own[M_BLOCKS]) >= least_rows, columns = own[N_BLOCKS] < panels;
        if (columns && !(own[PACK_A] && rows))
            own[N_BLOCKS] = least(panels, 2 * own[N_BLOCKS]);
        else if (rows)
            own[M_BLOCKS] *= 2;
        else
            break;
    }
    plan->tasks = s->batch * own[M_BLOCKS] * own[N_BLOCKS];
    if (plan->tasks % 2 != 0 && products > 2 * TASK) { /* an even number divides among two, four, eight */
        if (own[N_BLOCKS] % 2 != 0 && own[N_BLOCKS] < panels)
            own[N_BLOCKS]++;
        else if (own[M_BLOCKS] < parts_of(s->M, MR))
            own[M_BLOCKS]++;
        plan->tasks = s->batch * own[M_BLOCKS] * own[N_BLOCKS];
    }
    own[SCRATCH_A] = own[PACK_B] ? depth * width_of(least(s->N, NR)) : own[DOTS] != 0 ? depth : 0;
    plan->scratch_bytes = own[SCRATCH_A] * sizeof(float);
    name_plan(plan);
    if (own[PACK_A])
        plan->scratch_bytes += depth * width_of(parts_of(parts_of(s->M, MR), own[M_BLOCKS]) * MR) * sizeof(float);
    return true;
}

static void fill(struct sco_sgemm_ops *ops)
{
    ops->plan = plan_lanes;
}

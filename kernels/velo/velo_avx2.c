/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_avx2.h"

/* b where a or b is NaN, as the instruction has it. */
static inline lanes lanes_max(lanes a, lanes b)
{
    return _mm256_max_ps(a, b);
}

static inline lanes lanes_min(lanes a, lanes b)
{
    return _mm256_min_ps(a, b);
}

static inline float lanes_sum(lanes x)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Adds the integer in the low bits of n to the exponent of x. */
static inline lanes lanes_scale_exp2(lanes x, lanes n)
{
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}

/* to[4 i + j] = x[j][i] for i < count. */
static inline void lanes_store_interleaved(float *to, const lanes x[4], size_t count)
{
    const lanes low01 = _mm256_unpacklo_ps(x[0], x[1]), low23 = _mm256_unpacklo_ps(x[2], x[3]);
    const lanes high01 = _mm256_unpackhi_ps(x[0], x[1]), high23 = _mm256_unpackhi_ps(x[2], x[3]);
    /* t[q]: x[0..3] of lanes q and q + 4, 128 bits each */
    const lanes t[4] = {_mm256_shuffle_ps(low01, low23, 0x44), _mm256_shuffle_ps(low01, low23, 0xee),
                        _mm256_shuffle_ps(high01, high23, 0x44), _mm256_shuffle_ps(high01, high23, 0xee)};
    for (size_t q = 0; q < 4; q++) {
        if (q < count)
            _mm_storeu_ps(to + 4 * q, _mm256_castps256_ps128(t[q]));
        if (q + 4 < count)
            _mm_storeu_ps(to + 4 * (q + 4), _mm256_extractf128_ps(t[q], 1));
    }
}

#include "kernels/velo/velo_x86.h"

/* Squares of a part of a row between its two passes, 11 and 10 sums each: 21 do not fit 16 registers. */
struct tile {
    float square[4][FLUSH], s2[FLUSH];
};

SCO_INLINE void pass1(struct partial *sum, struct tile *tile, size_t slot, const struct sco_velo_panel *panel,
                      ptrdiff_t at, ptrdiff_t ahead, struct active on)
{
    prefetch_moments(panel, at, ahead);
    const struct moments x = advance_panel(panel, at, on);
    lanes square[4];
    const lanes s2 = add_plain(sum, &x, on, square);
    EACH (i, 4)
        lanes_store(tile->square[i] + slot, square[i]);
    lanes_store(tile->s2 + slot, s2);
}

SCO_INLINE void pass2(struct partial *sum, lanes gf[3], lanes mf[3], const struct tile *tile, size_t slot,
                      const struct sco_velo_panel *panel, size_t col, struct active on)
{
    lanes square[4];
    EACH (i, 4)
        square[i] = lanes_load(tile->square[i] + slot);
    add_scaled(sum, square, lanes_load(tile->s2 + slot));
    EACH (k, 3) {
        const lanes f = load(panel->col_factor[k] + col, on), f2 = lanes_mul(f, f);
        gf[k] = lanes_fma(square[0], f2, gf[k]);
        mf[k] = lanes_fma(square[k + 1], f2, mf[k]);
    }
}

SCO_INLINE void add_part(struct partial *sum, lanes gf[3], lanes mf[3], const struct sco_velo_panel *panel, size_t row,
                         size_t from, size_t to, ptrdiff_t ahead)
{
    const ptrdiff_t at = (ptrdiff_t)row * panel->stride;
    struct tile tile;
    size_t j = from;
    for (; j + LANES <= to; j += LANES)
        pass1(sum, &tile, j - from, panel, at + (ptrdiff_t)j, ahead, all);
    if (j < to)
        pass1(sum, &tile, j - from, panel, at + (ptrdiff_t)j, ahead, first(to - j));
    for (j = from; j + LANES <= to; j += LANES)
        pass2(sum, gf, mf, &tile, j - from, panel, j, all);
    if (j < to)
        pass2(sum, gf, mf, &tile, j - from, panel, j, first(to - j));
}

/* Between the stages of the MLP sweep: s, and layer 0 before its ReLU. */
enum { STAGE = 16 * LANES };
struct stages {
    float s[STAGE], h[4][STAGE];
};

SCO_INLINE void mlp_state(const int nv, const struct mlp_row *row, size_t at, size_t slot, struct stages *tile,
                          struct active on)
{
    EACH (u, nv) {
        const size_t i = at + (size_t)u * LANES;
        const struct moments x = advance(row->g + i, row->m[0] + i, row->m[1] + i, row->m[2] + i, row->v + i, on);
        EACH (k, 3)
            store(row->m[k] + i, x.m[k], on);
        store(row->v + i, x.v, on);
        lanes_store(tile->s + slot + u * LANES, inverse_root(lanes_add(x.v, lanes_set(SCO_VELO_EPS_V))));
    }
}

SCO_INLINE void mlp_hidden(const int nv, const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp,
                           const struct mlp_row *row, size_t at, size_t slot, struct stages *tile, ptrdiff_t ahead,
                           struct active on)
{
    struct moments x[PAIR];
    lanes t[4][PAIR], h[4][PAIR], p[PAIR], f[3][PAIR];
    prefetch(row->g + at, ahead);
    prefetch(row->p + at, ahead);
    prefetch(row->v + at, ahead);
    EACH (k, 3)
        prefetch(row->m[k] + at, ahead);
    EACH (u, nv) {
        const size_t i = at + (size_t)u * LANES;
        x[u].g = clip(load(row->g + i, on), SCO_VELO_CLIP_G);
        EACH (k, 3)
            x[u].m[k] = load(row->m[k] + i, on);
        x[u].v = load(row->v + i, on);
        p[u] = load(row->p + i, on);
        EACH (k, 3)
            f[k][u] = load(panel->col_factor[k] + i, on);
    }
    layer0_scaled(nv, mlp, x, t);
    EACH (j, 4)
        EACH (u, nv) {
            const lanes col = load(panel->col_hidden[j] + at + (size_t)u * LANES, on);
            h[j][u] =
                lanes_fma(lanes_load(tile->s + slot + u * LANES), t[j][u], lanes_add(lanes_set(row->hidden[j]), col));
        }
    layer0_direct(nv, mlp, row->wg, row->wm, x, f, f, p, h);
    EACH (j, 4)
        EACH (u, nv)
            lanes_store(tile->h[j] + slot + u * LANES, h[j][u]);
}

SCO_INLINE void mlp_update(const int nv, const struct sco_velo_mlp *mlp, const struct mlp_row *row, size_t at,
                           size_t slot, const struct stages *tile, struct active on, lanes squares[PAIR])
{
    lanes h[4][PAIR], p[PAIR];
    EACH (u, nv) {
        EACH (j, 4)
            h[j][u] = lanes_load(tile->h[j] + slot + u * LANES);
        p[u] = load(row->p + at + (size_t)u * LANES, on);
    }
    update(nv, mlp, h, p);
    EACH (u, nv) {
        store(row->p + at + (size_t)u * LANES, p[u], on);
        p[u] = keep(p[u], on);
        squares[u] = lanes_fma(p[u], p[u], squares[u]);
    }
}

/* In three stages of some vectors each: state and root; layer 0; the rest. Their chains are short enough for the window of
 * the cores that have AVX2 alone (256 entries on Zen 3) to reach into the next vectors; a pair from end to end fills it. */
SCO_INLINE void mlp_part(const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp, const struct mlp_row *row,
                         size_t from, size_t to, ptrdiff_t ahead, lanes squares[PAIR])
{
    for (; from < to; from += STAGE) {
        const size_t end = to - from < STAGE ? to : from + STAGE,
                     pairs = from + (end - from) / (PAIR * LANES) * PAIR * LANES;
        struct stages tile;
        size_t j;
        for (j = from; j < pairs; j += PAIR * LANES)
            mlp_state(PAIR, row, j, j - from, &tile, all);
        for (; j < end; j += LANES)
            mlp_state(1, row, j, j - from, &tile, first(end - j));
        for (j = from; j < pairs; j += PAIR * LANES) {
            KEEP_IN_MEMORY(mlp);
            KEEP_IN_MEMORY(row);
            mlp_hidden(PAIR, panel, mlp, row, j, j - from, &tile, ahead, all);
        }
        for (; j < end; j += LANES)
            mlp_hidden(1, panel, mlp, row, j, j - from, &tile, ahead, first(end - j));
        for (j = from; j < pairs; j += PAIR * LANES) {
            KEEP_IN_MEMORY(mlp);
            mlp_update(PAIR, mlp, row, j, j - from, &tile, all, squares);
        }
        for (; j < end; j += LANES)
            mlp_update(1, mlp, row, j, j - from, &tile, first(end - j), squares);
    }
}

void sco_velo_fill_avx2(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_velo_ops *)ops = velo_x86_ops;
}

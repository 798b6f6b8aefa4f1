/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes_avx512.h"

/* b where a or b is NaN, as the instruction has it. */
static inline lanes lanes_max(lanes a, lanes b)
{
    return _mm512_max_ps(a, b);
}

static inline lanes lanes_min(lanes a, lanes b)
{
    return _mm512_min_ps(a, b);
}

static inline float lanes_sum(lanes x)
{
    return _mm512_reduce_add_ps(x);
}

/* Adds the integer in the low bits of n to the exponent of x. */
static inline lanes lanes_scale_exp2(lanes x, lanes n)
{
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(n), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), exponent));
}

/* to[4 i + j] = x[j][i] for i < count. */
static inline void lanes_store_interleaved(float *to, const lanes x[4], size_t count)
{
    const lanes low01 = _mm512_unpacklo_ps(x[0], x[1]), low23 = _mm512_unpacklo_ps(x[2], x[3]);
    const lanes high01 = _mm512_unpackhi_ps(x[0], x[1]), high23 = _mm512_unpackhi_ps(x[2], x[3]);
    /* t[q]: x[0..3] of lanes q, q + 4, q + 8, q + 12, 128 bits each */
    const lanes t[4] = {_mm512_shuffle_ps(low01, low23, 0x44), _mm512_shuffle_ps(low01, low23, 0xee),
                        _mm512_shuffle_ps(high01, high23, 0x44), _mm512_shuffle_ps(high01, high23, 0xee)};
    const lanes even01 = _mm512_shuffle_f32x4(t[0], t[1], 0x88), even23 = _mm512_shuffle_f32x4(t[2], t[3], 0x88);
    const lanes odd01 = _mm512_shuffle_f32x4(t[0], t[1], 0xdd), odd23 = _mm512_shuffle_f32x4(t[2], t[3], 0xdd);
    const lanes row[4] = {_mm512_shuffle_f32x4(even01, even23, 0x88), _mm512_shuffle_f32x4(odd01, odd23, 0x88),
                          _mm512_shuffle_f32x4(even01, even23, 0xdd), _mm512_shuffle_f32x4(odd01, odd23, 0xdd)};
    for (size_t q = 0; q < 4 && 4 * q < count; q++)
        _mm512_mask_storeu_ps(to + q * LANES, lanes_first(4 * (count - 4 * q) < LANES ? 4 * (count - 4 * q) : LANES),
                              row[q]);
}

#include "kernels/velo/velo_x86.h"

/* 32 registers hold the 21 sums and what is added to them. */
SCO_INLINE void add_panel(struct partial *sum, lanes gf[3], lanes mf[3], const struct sco_velo_panel *panel, size_t col,
                          ptrdiff_t at, ptrdiff_t ahead, struct active on)
{
    prefetch_moments(panel, at, ahead);
    const struct moments x = advance_panel(panel, at, on);
    lanes square[4];
    const lanes s2 = add_plain(sum, &x, on, square);
    add_scaled(sum, square, s2);
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
    size_t j = from;
    for (; j + LANES <= to; j += LANES)
        add_panel(sum, gf, mf, panel, j, at + (ptrdiff_t)j, ahead, all);
    if (j < to)
        add_panel(sum, gf, mf, panel, j, at + (ptrdiff_t)j, ahead, first(to - j));
}

SCO_INLINE void mlp_block(const int nv, const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp,
                          const struct mlp_row *row, size_t at, ptrdiff_t ahead, struct active on, lanes squares[PAIR])
{
    struct moments x[PAIR];
    lanes s[PAIR], t[4][PAIR], h[4][PAIR], p[PAIR], f[3][PAIR];
    EACH (u, nv) {
        const size_t i = at + (size_t)u * LANES;
        prefetch(row->g + i, ahead);
        prefetch(row->p + i, ahead);
        prefetch(row->v + i, ahead);
        EACH (k, 3)
            prefetch(row->m[k] + i, ahead);
        x[u] = advance(row->g + i, row->m[0] + i, row->m[1] + i, row->m[2] + i, row->v + i, on);
        EACH (k, 3)
            store(row->m[k] + i, x[u].m[k], on);
        store(row->v + i, x[u].v, on);
        s[u] = inverse_root(lanes_add(x[u].v, lanes_set(SCO_VELO_EPS_V)));
        p[u] = load(row->p + i, on);
        EACH (k, 3)
            f[k][u] = load(panel->col_factor[k] + i, on);
    }
    layer0_scaled(nv, mlp, x, t);
    EACH (j, 4)
        EACH (u, nv) {
            const lanes col = load(panel->col_hidden[j] + at + (size_t)u * LANES, on);
            h[j][u] = lanes_fma(s[u], t[j][u], lanes_add(lanes_set(row->hidden[j]), col));
        }
    layer0_direct(nv, mlp, row->wg, row->wm, x, f, f, p, h);
    update(nv, mlp, h, p);
    EACH (u, nv) {
        store(row->p + at + (size_t)u * LANES, p[u], on);
        p[u] = keep(p[u], on);
        squares[u] = lanes_fma(p[u], p[u], squares[u]);
    }
}

/* An element goes through the whole MLP at once: the window of a core with registers this wide reaches over the root, the
 * short chains at the end and into the next vectors. */
SCO_INLINE void mlp_part(const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp, const struct mlp_row *row,
                         size_t from, size_t to, ptrdiff_t ahead, lanes squares[PAIR])
{
    size_t j = from;
    for (; j + PAIR * LANES <= to; j += PAIR * LANES) {
        KEEP_IN_MEMORY(mlp);
        KEEP_IN_MEMORY(row);
        mlp_block(PAIR, panel, mlp, row, j, ahead, all, squares);
    }
    for (; j < to; j += LANES)
        mlp_block(1, panel, mlp, row, j, ahead, first(to - j), squares);
}

void sco_velo_fill_avx512(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_velo_ops *)ops = velo_x86_ops;
}

/* SPDX-License-Identifier: Apache-2.0
 * What a step knows before its gradients: the LSTM over all tensors and the hypernetwork that mixes each tensor's MLP.
 *
 * With few tensors the cost is reading 9 MB of weights, so every weight is read once per step, by one thread, in
 * ascending order: a panel of the gates' weights holds all four gates of VELO_UNITS units, and its thread goes on to
 * their cells without waiting for anybody. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "optim/velo_optim.h"
#include "stepcost/memory.h"

static size_t padded(size_t n)
{
    return sco_gemm_packed_count(1, n);
}

void *sco_velo_take(struct velo_arena *arena, size_t count, size_t bytes)
{
    size_t size, used;
    void *piece = arena->base != NULL ? arena->base + arena->used : NULL;
    if (__builtin_mul_overflow(count, bytes, &size) || __builtin_add_overflow(size, SCO_ALIGN - 1, &size) ||
        __builtin_add_overflow(arena->used, size / SCO_ALIGN * SCO_ALIGN, &used))
        arena->overflow = true;
    else
        arena->used = used;
    return piece;
}

static float *take_floats(struct velo_arena *arena, size_t rows, size_t stride)
{
    size_t count;
    if (__builtin_mul_overflow(rows, stride, &count))
        arena->overflow = true;
    return sco_velo_take(arena, arena->overflow ? 0 : count, sizeof(float));
}

void sco_velo_network_carve(struct velo_network *network, struct velo_arena *arena, const struct sco_velo_theta *theta,
                            size_t tensors)
{
    const size_t H = sco_velo_theta_hidden(theta), P = sco_velo_theta_experts(theta);
    network->hidden = H;
    network->experts = P;
    network->tensors = tensors;
    network->blocks = (H + VELO_UNITS - 1) / VELO_UNITS;
    network->control_stride = padded(P + 1);
    const size_t gates = network->blocks * SCO_GEMM_NR;

    network->pool_weights = take_floats(arena, 1, sco_gemm_packed_count(VELO_FEATURES, H));
    network->pool_bias = take_floats(arena, 1, H);
    network->input_weights = take_floats(arena, 1, sco_gemm_packed_count(VELO_FEATURES, gates));
    network->top_weights = take_floats(arena, 1, sco_gemm_packed_count(H, gates));
    network->state_weights = take_floats(arena, 1, sco_gemm_packed_count(H, gates));
    network->gate_bias = take_floats(arena, 1, gates);
    network->control_weights = take_floats(arena, 1, sco_gemm_packed_count(H, P + 1));
    network->control_bias = take_floats(arena, 1, P + 1);
    network->bank = take_floats(arena, 1, sco_gemm_packed_count(P, VELO_BANK));

    network->input = take_floats(arena, tensors, VELO_INPUT_STRIDE);
    network->mixed = take_floats(arena, tensors, padded(H));
    network->pool = take_floats(arena, 1, padded(H));
    network->pool_gates = take_floats(arena, 1, gates);
    network->gates = take_floats(arena, tensors, gates);
    network->next_h = take_floats(arena, tensors, H);
    network->next_c = take_floats(arena, tensors, H);
    network->controls = take_floats(arena, tensors, network->control_stride);
    network->mlp = take_floats(arena, tensors, VELO_BANK_STRIDE);
}

/* ---- Weights ---- */

static const float *weights(const struct sco_velo_theta *theta, const char *path)
{
    return sco_velo_theta_array(theta, path, NULL, NULL);
}

/* Column of gate (0 i, 1 g, 2 f, 3 o) of a unit in the packed order. */
static size_t gate_column(size_t unit, size_t gate)
{
    return unit / VELO_UNITS * SCO_GEMM_NR + gate * VELO_UNITS + unit % VELO_UNITS;
}

/* Packs rows x 4H weights, columns in the reference's order, into the gate order through scratch. */
static void pack_gates(const struct velo_network *network, const struct sco_gemm_ops *gemm, size_t rows,
                       const float *matrix, float *scratch, float *packed)
{
    const size_t H = network->hidden, gates = network->blocks * SCO_GEMM_NR;
    memset(scratch, 0, rows * gates * sizeof *scratch);
    for (size_t i = 0; i < rows; i++)
        for (size_t gate = 0; gate < 4; gate++)
            for (size_t unit = 0; unit < H; unit++)
                scratch[i * gates + gate_column(unit, gate)] = matrix[i * 4 * H + gate * H + unit];
    gemm->pack(rows, gates, scratch, gates, packed);
}

/* product = left (rows x H) top (H x 4H), in double. sum: 4H doubles. */
static void fold(size_t rows, size_t H, const float *left, const float *top, double *sum, float *product)
{
    for (size_t i = 0; i < rows; i++) {
        memset(sum, 0, 4 * H * sizeof *sum);
        for (size_t k = 0; k < H; k++)
            for (size_t j = 0; j < 4 * H; j++)
                sum[j] += (double)left[i * H + k] * (double)top[k * 4 * H + j];
        for (size_t j = 0; j < 4 * H; j++)
            product[i * 4 * H + j] = (float)sum[j];
    }
}

/* Copies one array of the expert bank, [P][rows][width], keeping the first kept of its columns, to columns from column
 * on. scale: the reference multiplies the mean over experts by 100. */
static void put_bank(const struct sco_velo_theta *theta, const char *path, size_t rows, size_t width, size_t kept,
                     size_t column, float *bank)
{
    const size_t P = sco_velo_theta_experts(theta);
    const float *array = weights(theta, path);
    const float scale = 100.0f / (float)P;
    for (size_t e = 0; e < P; e++)
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < kept; j++)
                bank[e * VELO_BANK + column + i * kept + j] = scale * array[(e * rows + i) * width + j];
}

static void load_bank(const struct sco_velo_theta *theta, float *bank)
{
    static const size_t inputs[14] = {1, 1, 1, 3, 1, 3, 1, 3, 1, 3, 3, 3, 3, 3};
    size_t feature = 0;
    for (size_t block = 0; block < SCO_LEN(inputs); block++) {
        char path[] = "ff_mod_stack/~/w0__00";
        path[sizeof path - 3] = (char)('0' + (block < 10 ? block : block / 10));
        path[sizeof path - 2] = (char)(block < 10 ? '\0' : '0' + block % 10);
        put_bank(theta, path, inputs[block], 4, 4, VELO_W0 + feature * 4, bank);
        feature += inputs[block];
    }
    put_bank(theta, "ff_mod_stack/~/b0", 1, 4, 4, VELO_B0, bank);
    put_bank(theta, "ff_mod_stack/~/w1", 4, 4, 4, VELO_W1, bank);
    put_bank(theta, "ff_mod_stack/~/b1", 1, 4, 4, VELO_B1, bank);
    /* the third output has no use */
    put_bank(theta, "ff_mod_stack/~/w2", 4, 3, 2, VELO_W2, bank);
    put_bank(theta, "ff_mod_stack/~/b2", 1, 3, 2, VELO_B2, bank);
}

enum sco_status sco_velo_network_load(struct velo_network *network, const struct sco_gemm_ops *gemm,
                                      const struct sco_velo_theta *theta)
{
    const size_t H = network->hidden, P = network->experts, gates = network->blocks * SCO_GEMM_NR;
    const size_t widest = gates > P + 1 ? gates : P + 1;
    const size_t scratch_rows = H > VELO_FEATURES ? H : VELO_FEATURES;
    const size_t bank_count = P * VELO_BANK, scratch_count = scratch_rows * widest;
    float *scratch = sco_alloc((scratch_count > bank_count ? scratch_count : bank_count) * sizeof *scratch);
    float *product = sco_alloc((VELO_FEATURES + 1) * 4 * H * sizeof *product);
    double *sum = sco_alloc(4 * H * sizeof *sum);
    enum sco_status status = SCO_OK;
    if (scratch == NULL || product == NULL || sum == NULL) {
        status = sco_fail(SCO_NOMEM, "velo: no memory to pack the weights");
        goto end;
    }
    gemm->pack(VELO_FEATURES, H, weights(theta, "rnn_params/linear_1/w"), H, network->pool_weights);
    memcpy(network->pool_bias, weights(theta, "rnn_params/linear_1/b"), H * sizeof(float));

    /* rows 0 .. H - 1 of the LSTM's weights meet its input z, the rest its state */
    const float *lstm = weights(theta, "rnn_params/rnn/linear/w"), *bias = weights(theta, "rnn_params/rnn/linear/b");
    fold(VELO_FEATURES, H, weights(theta, "rnn_params/linear_2/w"), lstm, sum, product);
    fold(1, H, weights(theta, "rnn_params/linear_2/b"), lstm, sum, product + VELO_FEATURES * 4 * H);
    pack_gates(network, gemm, VELO_FEATURES, product, scratch, network->input_weights);
    pack_gates(network, gemm, H, lstm, scratch, network->top_weights);
    pack_gates(network, gemm, H, lstm + H * 4 * H, scratch, network->state_weights);
    memset(network->gate_bias, 0, gates * sizeof(float));
    for (size_t gate = 0; gate < 4; gate++)
        for (size_t unit = 0; unit < H; unit++)
            network->gate_bias[gate_column(unit, gate)] =
                bias[gate * H + unit] + product[VELO_FEATURES * 4 * H + gate * H + unit];

    const float *controls = weights(theta, "rnn_params/rnn_to_controls/w");
    const float *step_size = weights(theta, "rnn_params/step_size/w");
    for (size_t i = 0; i < H; i++) {
        memcpy(scratch + i * (P + 1), controls + i * P, P * sizeof(float));
        scratch[i * (P + 1) + P] = step_size[i];
    }
    gemm->pack(H, P + 1, scratch, P + 1, network->control_weights);
    memcpy(network->control_bias, weights(theta, "rnn_params/rnn_to_controls/b"), P * sizeof(float));
    network->control_bias[P] = weights(theta, "rnn_params/step_size/b")[0];

    load_bank(theta, scratch);
    gemm->pack(P, VELO_BANK, scratch, VELO_BANK, network->bank);
end:
    sco_free(scratch);
    sco_free(product);
    sco_free(sum);
    return status;
}

/* ---- LSTM input ---- */

static float log_abs(double z)
{
    const float x = logf(1e-8f + fabsf((float)(10.0 * z)));
    return 0.5f * (x < -5.0f ? -5.0f : x > 5.0f ? 5.0f : x);
}

/* Mean square about a centre, from the mean and the mean square. */
static double spread(double mean, double mean_square, double centre)
{
    const double variance = mean_square - mean * mean;
    return (variance < 0.0 ? 0.0 : variance) + (mean - centre) * (mean - centre);
}

/* Whether variance = mean_square - mean^2 has too few digits to take the logarithm of: squares are summed in float lanes
 * (1e-7), and a2 times that error must stay below the floor of log_abs. */
static bool cancelled(double mean, double mean_square, double a2)
{
    return mean_square - mean * mean < 1e-3 * mean_square && a2 * mean_square > 1.0;
}

static void input_row(const struct velo *velo, const float progress[9], size_t t, float x[VELO_FEATURES])
{
    const struct velo_tensor *tensor = &velo->tensors[t];
    const double n = tensor->shape.n != 0 ? (double)tensor->shape.n : 1.0;
    const double *sums = velo->moments + t * VELO_MOMENTS;
    const double p2 = sums[VELO_MOMENT_P2] / n, a2 = 1.0 / (p2 < 1e-9 ? 1e-9 : p2), a = sqrt(a2);
    double exact[VELO_MOMENTS];
    bool inexact = cancelled(sums[VELO_MOMENT_V] / n, sums[VELO_MOMENT_V2] / n, a2);
    for (int k = 0; k < 3; k++)
        inexact |= cancelled(sums[VELO_MOMENT_M + k] / n, sums[VELO_MOMENT_M2 + k] / n, a2);
    if (inexact) {
        sco_velo_sweep_moments(tensor, exact);
        sums = exact;
    }
    const double v = sums[VELO_MOMENT_V] / n, v2 = sums[VELO_MOMENT_V2] / n;
    memcpy(x, progress, 9 * sizeof *x);
    memcpy(x + 9, velo->loss_features, sizeof velo->loss_features);
    x[18] = log_abs(a * v);
    for (size_t q = 0; q < 5; q++)
        x[19 + q] = tensor->shape.wide_axes == q ? 1.0f : 0.0f;
    for (int k = 0; k < 3; k++) {
        const double m = sums[VELO_MOMENT_M + k] / n, m2 = sums[VELO_MOMENT_M2 + k] / n;
        x[24 + k] = log_abs(a2 * spread(m, m2, m));
        /* sic: v about the mean of m_k */
        x[27 + k] = log_abs(a2 * spread(v, v2, m));
    }
}

static void input_progress(const struct velo *velo, float progress[9])
{
    static const float stages[9] = {0.03f, 0.1f, 0.2f, 0.4f, 0.6f, 0.8f, 0.9f, 1.0f, 1.1f};
    for (int i = 0; i < 9; i++)
        progress[i] = tanhf(10.0f * (velo->progress - stages[i]));
}

/* ---- Step ---- */

/* pool = max over tensors of relu(mixed), columns begin .. end - 1; a NaN is kept. */
static void pool_columns(const struct velo *velo, size_t begin, size_t end)
{
    const struct velo_network *network = &velo->network;
    const size_t stride = padded(network->hidden);
    memset(network->pool + begin, 0, (end - begin) * sizeof *network->pool);
    for (size_t t = 0; t < network->tensors; t++) {
        if (velo->tensors[t].shape.n == 0)
            continue;
        const float *row = network->mixed + t * stride;
        for (size_t j = begin; j < end; j++)
            network->pool[j] = row[j] > network->pool[j] || row[j] != row[j] ? row[j] : network->pool[j];
    }
}

/* Gates and cells of unit blocks first .. end - 1 for all tensors. */
static void run_cells(const struct velo *velo, size_t first, size_t end)
{
    const struct velo_network *network = &velo->network;
    const size_t H = network->hidden, T = network->tensors, stride = network->blocks * SCO_GEMM_NR;
    const size_t column = first * SCO_GEMM_NR, columns = (end - first) * SCO_GEMM_NR;
    const struct sco_gemm_ops *gemm = velo->gemm;
    if (first == end)
        return;
    gemm->gemm(1, columns, H, network->pool, H, network->top_weights + sco_gemm_packed_count(H, column),
               network->gate_bias + column, 0, network->pool_gates + column, stride);
    gemm->gemm(T, columns, VELO_FEATURES, network->input, VELO_INPUT_STRIDE,
               network->input_weights + sco_gemm_packed_count(VELO_FEATURES, column), network->pool_gates + column, 0,
               network->gates + column, stride);
    gemm->gemm(T, columns, H, velo->lstm_h, H, network->state_weights + sco_gemm_packed_count(H, column), NULL, 1,
               network->gates + column, stride);
    const size_t unit = first * VELO_UNITS, units = (end * VELO_UNITS < H ? end * VELO_UNITS : H) - unit;
    for (size_t t = 0; t < T; t++) {
        float *c = network->next_c + t * H, *h = network->next_h + t * H;
        memcpy(c + unit, velo->lstm_c + t * H + unit, units * sizeof *c);
        for (size_t u = unit; u < unit + units; u += VELO_UNITS) {
            const float *gate = network->gates + t * stride + gate_column(u, 0);
            const size_t n = H - u < VELO_UNITS ? H - u : VELO_UNITS;
            gemm->lstm_cell(n, gate, gate + VELO_UNITS, gate + 2 * VELO_UNITS, gate + 3 * VELO_UNITS, c + u, h + u);
        }
    }
}

/* A rank's panels of N columns as a column range. */
static void panel_range(size_t N, size_t rank, size_t size, size_t *begin, size_t *end)
{
    sco_team_block((N + SCO_GEMM_NR - 1) / SCO_GEMM_NR, rank, size, begin, end);
    *begin = *begin * SCO_GEMM_NR < N ? *begin * SCO_GEMM_NR : N;
    *end = *end * SCO_GEMM_NR < N ? *end * SCO_GEMM_NR : N;
}

static void product(const struct velo *velo, size_t T, size_t N, size_t K, const float *A, size_t lda,
                    const float *packed, const float *bias, float *C, size_t ldc, size_t rank, size_t size)
{
    size_t begin, end;
    panel_range(N, rank, size, &begin, &end);
    velo->gemm->gemm(T, end - begin, K, A, lda, packed + sco_gemm_packed_count(K, begin),
                     bias != NULL ? bias + begin : NULL, 0, C + begin, ldc);
}

void sco_velo_network_run(struct velo *velo, size_t rank, size_t size)
{
    const struct velo_network *network = &velo->network;
    const size_t H = network->hidden, P = network->experts, T = network->tensors;
    size_t begin, end;
    float progress[9];
    input_progress(velo, progress);
    sco_team_block(T, rank, size, &begin, &end);
    for (size_t t = begin; t < end; t++)
        input_row(velo, progress, t, network->input + t * VELO_INPUT_STRIDE);
    sco_optim_barrier(velo->optim, rank, size);

    product(velo, T, H, VELO_FEATURES, network->input, VELO_INPUT_STRIDE, network->pool_weights, network->pool_bias,
            network->mixed, padded(H), rank, size);
    panel_range(H, rank, size, &begin, &end);
    pool_columns(velo, begin, end);
    sco_optim_barrier(velo->optim, rank, size);

    sco_team_block(network->blocks, rank, size, &begin, &end);
    run_cells(velo, begin, end);
    sco_optim_barrier(velo->optim, rank, size);

    product(velo, T, P + 1, H, network->next_h, H, network->control_weights, network->control_bias, network->controls,
            network->control_stride, rank, size);
    if (!velo->optim->config.bugged_lstm_state) {
        sco_team_block(T * H, rank, size, &begin, &end);
        memcpy(velo->lstm_h + begin, network->next_h + begin, (end - begin) * sizeof *velo->lstm_h);
        memcpy(velo->lstm_c + begin, network->next_c + begin, (end - begin) * sizeof *velo->lstm_c);
    }
    sco_optim_barrier(velo->optim, rank, size);
    sco_velo_lap(velo, rank, VELO_LSTM);

    product(velo, T, VELO_BANK, P, network->controls, network->control_stride, network->bank, NULL, network->mlp,
            VELO_BANK_STRIDE, rank, size);
    sco_optim_barrier(velo->optim, rank, size);
    sco_velo_lap(velo, rank, VELO_HYPERNETWORK);
}

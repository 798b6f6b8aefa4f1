/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/peer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "stepcost/clock.h"
#include "stepcost/memory.h"
#include "stepcost/microbench.h"
#include "stepcost/velo.h"

enum { MAX_TENSORS = 4096, LINE = SCO_ALIGN / sizeof(float), SKEW = 272, P_SEED = 11, G_SEED = 12 };

/* An optimizer on the tensors of a case, ready to step. */
struct peer {
    struct sco_ctx *ctx;
    size_t threads;
    struct sco_velo_theta *theta;
    struct sco_tensor tensors[MAX_TENSORS];
    struct sco_tensor_list list;
    float *p_memory, *g_memory, *p[MAX_TENSORS];
    const float *g[MAX_TENSORS];
    struct sco_optim *optim;
    float *flush;
    size_t flush_floats;
};

/* ---- Cases by name; a serving peer is sent the shapes instead ---- */

static void add_tensor(struct peer *peer, size_t rank, const size_t *shape)
{
    struct sco_tensor *tensor = &peer->tensors[peer->list.count++];
    *tensor = (struct sco_tensor){.name = "tensor", .rank = rank};
    memcpy(tensor->shape, shape, rank * sizeof *shape);
}

static void add_vector(struct peer *peer, size_t n)
{
    add_tensor(peer, 1, (size_t[]){n});
}

static void add_matrix(struct peer *peer, size_t rows, size_t cols)
{
    add_tensor(peer, 2, (size_t[]){rows, cols});
}

static void add_convolution(struct peer *peer, size_t out, size_t in, size_t k)
{
    add_tensor(peer, 4, (size_t[]){out, in, k, k});
    add_vector(peer, out); /* scale and bias of the normalisation after it */
    add_vector(peer, out);
}

/* ResNet-50 in PyTorch's layout (OIHW) and order. */
static void add_resnet50(struct peer *peer)
{
    static const struct {
        size_t width, blocks;
    } stages[] = {{64, 3}, {128, 4}, {256, 6}, {512, 3}};
    size_t in = 64;
    add_convolution(peer, 64, 3, 7);
    for (size_t s = 0; s < sizeof stages / sizeof *stages; s++)
        for (size_t b = 0; b < stages[s].blocks; b++) {
            const size_t width = stages[s].width;
            add_convolution(peer, width, in, 1);
            add_convolution(peer, width, width, 3);
            add_convolution(peer, 4 * width, width, 1);
            if (b == 0)
                add_convolution(peer, 4 * width, in, 1);
            in = 4 * width;
        }
    add_matrix(peer, 1000, 2048);
    add_vector(peer, 1000);
}

static bool add_named_case(struct peer *peer, const char *name)
{
    if (strcmp(name, "10k") == 0) {
        add_matrix(peer, 64, 128);
        add_vector(peer, 128);
        add_matrix(peer, 128, 13);
        add_vector(peer, 13);
    } else if (strcmp(name, "1M") == 0) {
        for (int i = 0; i < 4; i++)
            add_matrix(peer, 512, 512);
    } else if (strcmp(name, "1M-flat") == 0) {
        add_vector(peer, 1048576);
    } else if (strcmp(name, "resnet50") == 0) {
        add_resnet50(peer);
    } else if (strcmp(name, "resnet50-flat") == 0) {
        add_vector(peer, 25557032);
    } else if (strcmp(name, "100M") == 0) {
        for (int i = 0; i < 24; i++)
            add_matrix(peer, 2048, 2048);
    } else {
        return false;
    }
    return true;
}

static bool add_json_shapes(struct peer *peer, const json_t *shapes)
{
    size_t i, axis;
    json_t *shape, *size;
    if (json_array_size(shapes) == 0 || json_array_size(shapes) > MAX_TENSORS)
        return false;
    json_array_foreach(shapes, i, shape)
    {
        size_t sizes[SCO_MAX_RANK];
        if (!json_is_array(shape) || json_array_size(shape) > SCO_MAX_RANK)
            return false;
        json_array_foreach(shape, axis, size)
        {
            if (!json_is_integer(size) || json_integer_value(size) < 0)
                return false;
            sizes[axis] = (size_t)json_integer_value(size);
        }
        add_tensor(peer, json_array_size(shape), sizes);
    }
    return true;
}

/* ---- Setting up ---- */

static bool configure(const char *op, struct sco_optim_config *config)
{
    static const struct {
        const char *op;
        enum sco_optim_kind kind;
        double weight_decay;
    } ops[] = {
        {"adam", SCO_OPTIM_ADAM, 0.0},      {"adamw", SCO_OPTIM_ADAMW, 1e-2},    {"nadam", SCO_OPTIM_NADAM, 0.0},
        {"nadamw", SCO_OPTIM_NADAMW, 1e-2}, {"sgdm", SCO_OPTIM_HEAVY_BALL, 0.0}, {"nesterov", SCO_OPTIM_NESTEROV, 0.0},
        {"velo", SCO_OPTIM_VELO, 0.0},
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strcmp(op, ops[i].op) != 0)
            continue;
        sco_optim_defaults(ops[i].kind, config);
        config->weight_decay = ops[i].weight_decay;
        config->nonfinite = SCO_NONFINITE_PASS; /* as the peers, which do not look */
        if (ops[i].kind != SCO_OPTIM_VELO)
            config->schedule = (struct sco_schedule){.kind = SCO_SCHEDULE_CONSTANT, .lr = 1e-4};
        config->num_steps = 10000;
        config->past_end = SCO_VELO_HOLD;
        return true;
    }
    return false;
}

static void drop(struct peer *peer)
{
    sco_optim_destroy(peer->optim);
    sco_free(peer->p_memory);
    sco_free(peer->g_memory);
    peer->optim = NULL;
    peer->p_memory = peer->g_memory = NULL;
    peer->list.count = 0;
}

static enum sco_status start_team(struct peer *peer, size_t threads)
{
    if (peer->ctx != NULL && peer->threads == threads)
        return SCO_OK;
    sco_ctx_destroy(peer->ctx);
    peer->ctx = NULL;
    peer->threads = threads;
    return sco_ctx_create(&peer->ctx, &(struct sco_ctx_options){.threads = threads});
}

static enum sco_status place_tensors(struct peer *peer)
{
    size_t floats = 0, offset[MAX_TENSORS];
    for (size_t i = 0; i < peer->list.count; i++) {
        size_t n = 0;
        const enum sco_status status = sco_tensor_elements(&peer->tensors[i], &n);
        if (status != SCO_OK)
            return status;
        offset[i] = floats;
        floats += (n + LINE - 1) / LINE * LINE;
    }
    peer->p_memory = sco_alloc(floats * sizeof(float));
    peer->g_memory = sco_alloc((floats + SKEW) * sizeof(float));
    if (peer->p_memory == NULL || peer->g_memory == NULL)
        return SCO_NOMEM;
    for (size_t i = 0; i < peer->list.count; i++) {
        peer->p[i] = peer->p_memory + offset[i];
        peer->g[i] = peer->g_memory + SKEW + offset[i];
    }
    sco_draw(sco_ctx_team(peer->ctx), peer->p_memory, floats, P_SEED, 2e-2f);
    sco_draw(sco_ctx_team(peer->ctx), peer->g_memory + SKEW, floats, G_SEED, 1e-3f);
    return SCO_OK;
}

/* The tensors are listed. As in `stepcost cost`, a kind is compared with its scalar rows before it is timed. */
static enum sco_status prepare(struct peer *peer, struct sco_optim_config *config)
{
    static const struct sco_velo_generator generator = {512, 256, 15, 30.0f, 1e-3f};
    peer->list.tensors = peer->tensors;
    enum sco_status status = SCO_OK;
    if (config->kind == SCO_OPTIM_VELO && peer->theta == NULL)
        status = sco_velo_theta_generate(&peer->theta, &generator);
    config->theta = peer->theta;
    if (status == SCO_OK)
        status = sco_cost_verify(peer->ctx, config);
    if (status == SCO_OK)
        status = place_tensors(peer);
    if (status == SCO_OK)
        status = sco_optim_create(&peer->optim, peer->ctx, config, &peer->list);
    if (status == SCO_OK)
        status = sco_optim_init(peer->optim, (const float *const *)peer->p);
    return status;
}

/* ---- Timing ---- */

static enum sco_status sweep_cache(struct peer *peer, size_t bytes)
{
    if (bytes / sizeof(float) != peer->flush_floats) {
        sco_free(peer->flush);
        peer->flush_floats = bytes / sizeof(float);
        peer->flush = sco_alloc_zero(peer->flush_floats * sizeof(float));
        if (peer->flush == NULL) {
            peer->flush_floats = 0;
            return SCO_NOMEM;
        }
    }
    for (size_t i = 0; i < peer->flush_floats; i++)
        peer->flush[i] += 1.0f;
    return SCO_OK;
}

static enum sco_status time_steps(struct peer *peer, const struct cli_peer_request *request, json_t *times)
{
    enum sco_status status = sco_optim_step(peer->optim, 1.0f, peer->p, peer->g); /* code and data come in */
    const uint64_t begin = sco_clock_ns();
    for (size_t rep = 0; status == SCO_OK && rep < request->max_reps; rep++) {
        if (rep >= request->min_reps && (double)(sco_clock_ns() - begin) > request->seconds * 1e9)
            break;
        if (request->cold_bytes != 0 && (status = sweep_cache(peer, request->cold_bytes)) != SCO_OK)
            break;
        const uint64_t start = sco_clock_ns();
        status = sco_optim_step(peer->optim, 1.0f, peer->p, peer->g);
        json_array_append_new(times, json_integer((json_int_t)(sco_clock_ns() - start)));
    }
    return status;
}

static void peer_free(struct peer *peer)
{
    drop(peer);
    sco_free(peer->flush);
    sco_velo_theta_destroy(peer->theta);
    sco_ctx_destroy(peer->ctx);
    free(peer);
}

static struct peer *peer_new(void)
{
    return calloc(1, sizeof(struct peer));
}

static void print_line(json_t *reply)
{
    json_dumpf(reply, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(reply);
}

int cli_peer_once(const struct cli_peer_request *request)
{
    struct sco_optim_config config;
    struct peer *peer = peer_new();
    if (peer == NULL)
        return cli_fail(CLI_ENVIRONMENT, "no memory");
    int code = CLI_OK;
    if ((request->suite != NULL && strcmp(request->suite, "optim") != 0) || !configure(request->op, &config) ||
        !add_named_case(peer, request->name))
        code = cli_fail(CLI_ENVIRONMENT, "unsupported: op %s, case %s of suite %s", request->op, request->name,
                        request->suite != NULL ? request->suite : "optim");
    json_t *times = json_array();
    if (code == CLI_OK) {
        enum sco_status status = start_team(peer, request->threads);
        if (status == SCO_OK)
            status = prepare(peer, &config);
        if (status == SCO_OK)
            status = time_steps(peer, request, times);
        if (status != SCO_OK)
            code = cli_fail_status(status);
    }
    if (code == CLI_OK) {
        char levels[64];
        json_t *line =
            json_pack("{s:s, s:s, s:s, s:O}", "peer", sco_isa_format(sco_ctx_isa(peer->ctx), levels, sizeof levels),
                      "op", request->op, "case", request->name, "times_ns", times);
        if (config.kind == SCO_OPTIM_VELO)
            json_object_set_new(line, "note", json_string(sco_velo_theta_origin(peer->theta)));
        print_line(line);
    }
    json_decref(times);
    peer_free(peer);
    return code;
}

/* ---- Serving ---- */

static json_t *refusal(const char *why)
{
    return json_pack("{s:b, s:s}", "ok", 0, "why", why);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static size_t count_of(const json_t *object, const char *key, size_t otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) && json_integer_value(value) >= 0 ? (size_t)json_integer_value(value) : otherwise;
}

static json_t *answer_prepare(struct peer *peer, const json_t *query)
{
    struct sco_optim_config config;
    drop(peer);
    if (strcmp(text_of(query, "suite"), "optim") != 0 || !configure(text_of(query, "op"), &config))
        return refusal("unsupported");
    const json_t *shapes = json_object_get(json_object_get(query, "spec"), "shapes");
    if (shapes != NULL ? !add_json_shapes(peer, shapes) : !add_named_case(peer, text_of(query, "case")))
        return refusal("unsupported shapes");
    enum sco_status status = start_team(peer, count_of(query, "threads", 1));
    if (status == SCO_OK)
        status = prepare(peer, &config);
    return status == SCO_OK ? json_pack("{s:b, s:[s]}", "ok", 1, "variants", "") : refusal(sco_error_message());
}

static json_t *answer_run(struct peer *peer, const json_t *query)
{
    const struct cli_peer_request request = {
        .min_reps = count_of(query, "min_reps", 2),
        .max_reps = count_of(query, "max_reps", 500),
        .cold_bytes = count_of(query, "cold", 0),
        .seconds =
            json_object_get(query, "seconds") != NULL ? json_number_value(json_object_get(query, "seconds")) : 0.2,
    };
    if (peer->optim == NULL)
        return refusal("nothing is prepared");
    json_t *times = json_array();
    if (time_steps(peer, &request, times) != SCO_OK) {
        json_decref(times);
        return refusal(sco_error_message());
    }
    return json_pack("{s:b, s:o}", "ok", 1, "times_ns", times);
}

int cli_peer_serve(void)
{
    struct peer *peer = peer_new();
    char *line = NULL;
    size_t capacity = 0;
    bool quit = false;
    if (peer == NULL)
        return cli_fail(CLI_ENVIRONMENT, "no memory");
    while (!quit && getline(&line, &capacity, stdin) > 0) {
        json_error_t error;
        json_t *query = json_loads(line, 0, &error);
        const char *verb = query != NULL ? text_of(query, "do") : "";
        if (strcmp(verb, "quit") == 0)
            quit = true;
        else if (strcmp(verb, "prepare") == 0)
            print_line(answer_prepare(peer, query));
        else if (strcmp(verb, "run") == 0)
            print_line(answer_run(peer, query));
        else if (strcmp(verb, "drop") == 0) {
            drop(peer);
            print_line(json_pack("{s:b}", "ok", 1));
        } else
            print_line(refusal(query != NULL ? "unknown request" : error.text));
        json_decref(query);
    }
    free(line);
    peer_free(peer);
    return CLI_OK;
}

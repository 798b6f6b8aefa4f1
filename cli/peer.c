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

enum { MAX_TENSORS = 4096, MAX_VARIANTS = 16, LINE = SCO_ALIGN / sizeof(float), SKEW = 272, P_SEED = 11, G_SEED = 12 };

/* An optimizer on the tensors of a case, or the variants of an operator, ready to step. */
struct peer {
    struct sco_ctx *ctx;
    size_t threads;
    struct sco_velo_theta *theta;
    struct sco_tensor tensors[MAX_TENSORS];
    struct sco_tensor_list list;
    float *p_memory, *g_memory, *p[MAX_TENSORS];
    const float *g[MAX_TENSORS];
    struct sco_optim *optim;
    struct sco_op *op[MAX_VARIANTS];
    const char *variant[MAX_VARIANTS];
    size_t variant_count;
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
    for (size_t i = 0; i < peer->variant_count; i++)
        sco_op_destroy(peer->op[i]);
    peer->variant_count = 0;
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

/* Every variant of an operator that this build and CPU have. */
static enum sco_status prepare_op(struct peer *peer, struct sco_op_request *request)
{
    enum sco_status status = SCO_UNSUPPORTED;
    const char *variant;
    for (size_t v = 0; (variant = sco_op_variant(request->op, v)) != NULL && peer->variant_count < MAX_VARIANTS; v++) {
        request->variant = variant;
        status = sco_op_create(&peer->op[peer->variant_count], peer->ctx, request);
        if (status == SCO_OK)
            peer->variant[peer->variant_count++] = variant;
        else if (status != SCO_UNSUPPORTED)
            return status;
    }
    return peer->variant_count > 0 ? SCO_OK : status;
}

/* ---- Timing ---- */

/* What time_steps() repeats: an optimizer, or one variant of an operator. */
static enum sco_status step(struct peer *peer, struct sco_op *op)
{
    return op != NULL ? sco_op_step(op) : sco_optim_step(peer->optim, 1.0f, peer->p, peer->g);
}

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

static enum sco_status time_steps(struct peer *peer, struct sco_op *op, const struct cli_peer_request *request,
                                  json_t *times)
{
    enum sco_status status = step(peer, op); /* code and data come in */
    const uint64_t begin = sco_clock_ns();
    for (size_t rep = 0; status == SCO_OK && rep < request->max_reps; rep++) {
        if (rep >= request->min_reps && (double)(sco_clock_ns() - begin) > request->seconds * 1e9)
            break;
        if (request->cold_bytes != 0 && (status = sweep_cache(peer, request->cold_bytes)) != SCO_OK)
            break;
        const uint64_t start = sco_clock_ns();
        status = step(peer, op);
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

/* Prints one line of times. */
static void print_times(const char *name, const char *note, const struct cli_peer_request *request, json_t *times)
{
    json_t *line =
        json_pack("{s:s, s:s, s:s, s:O}", "peer", name, "op", request->op, "case", request->name, "times_ns", times);
    if (note != NULL)
        json_object_set_new(line, "note", json_string(note));
    print_line(line);
}

static enum sco_status optim_once(struct peer *peer, const struct cli_peer_request *request,
                                  struct sco_optim_config *config)
{
    char levels[64];
    json_t *times = json_array();
    enum sco_status status = prepare(peer, config);
    if (status == SCO_OK)
        status = time_steps(peer, NULL, request, times);
    if (status == SCO_OK)
        print_times(sco_isa_format(sco_ctx_isa(peer->ctx), levels, sizeof levels),
                    config->kind == SCO_OPTIM_VELO ? sco_velo_theta_origin(peer->theta) : NULL, request, times);
    json_decref(times);
    return status;
}

static enum sco_status ops_once(struct peer *peer, const struct cli_peer_request *request)
{
    struct sco_op_request op = {.op = request->op, .name = request->name, .batch = request->batch};
    enum sco_status status = prepare_op(peer, &op);
    for (size_t i = 0; i < peer->variant_count && status == SCO_OK; i++) {
        json_t *times = json_array();
        status = time_steps(peer, peer->op[i], request, times);
        if (status == SCO_OK)
            print_times(peer->variant[i], sco_op_note(peer->op[i]), request, times);
        json_decref(times);
    }
    return status;
}

int cli_peer_once(const struct cli_peer_request *request)
{
    struct sco_optim_config config;
    struct peer *peer = peer_new();
    if (peer == NULL)
        return cli_fail(CLI_ENVIRONMENT, "no memory");
    const char *suite = request->suite != NULL ? request->suite : "optim";
    const bool ops = strcmp(suite, "ops") == 0;
    int code = CLI_OK;
    if (ops ? sco_op_variant(request->op, 0) == NULL
            : strcmp(suite, "optim") != 0 || !configure(request->op, &config) || !add_named_case(peer, request->name))
        code = cli_fail(CLI_ENVIRONMENT, "unsupported: op %s, case %s of suite %s", request->op, request->name, suite);
    if (code == CLI_OK) {
        enum sco_status status = start_team(peer, request->threads);
        if (status == SCO_OK)
            status = ops ? ops_once(peer, request) : optim_once(peer, request, &config);
        if (status != SCO_OK)
            code = cli_fail_status(status);
    }
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

static json_t *answer_prepare_op(struct peer *peer, const json_t *query)
{
    const json_t *spec = json_object_get(query, "spec");
    struct sco_op_request request = {.op = text_of(query, "op"),
                                     .name = text_of(query, "case"),
                                     .batch = count_of(spec, "batch", 0),
                                     .rows = count_of(spec, "rows", 0)};
    enum sco_status status = start_team(peer, count_of(query, "threads", 1));
    if (status == SCO_OK && sco_op_variant(request.op, 0) == NULL)
        return refusal("unsupported");
    if (status == SCO_OK)
        status = prepare_op(peer, &request);
    if (status != SCO_OK)
        return refusal(status == SCO_UNSUPPORTED ? "unsupported" : sco_error_message());
    json_t *variants = json_array();
    for (size_t i = 0; i < peer->variant_count; i++)
        json_array_append_new(variants, json_string(peer->variant[i]));
    return json_pack("{s:b, s:o}", "ok", 1, "variants", variants);
}

static json_t *answer_prepare(struct peer *peer, const json_t *query)
{
    struct sco_optim_config config;
    drop(peer);
    if (strcmp(text_of(query, "suite"), "ops") == 0)
        return answer_prepare_op(peer, query);
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
    struct sco_op *op = NULL;
    for (size_t i = 0; i < peer->variant_count; i++)
        if (strcmp(text_of(query, "variant"), peer->variant[i]) == 0)
            op = peer->op[i];
    if (peer->optim == NULL && op == NULL)
        return refusal("nothing of that variant is prepared");
    json_t *times = json_array();
    if (time_steps(peer, op, &request, times) != SCO_OK) {
        json_decref(times);
        return refusal(sco_error_message());
    }
    return op != NULL ? json_pack("{s:b, s:o, s:s}", "ok", 1, "times_ns", times, "note", sco_op_note(op))
                      : json_pack("{s:b, s:o}", "ok", 1, "times_ns", times);
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

/* SPDX-License-Identifier: Apache-2.0
 * naive_optim.c - the plain C loop a user would write, left to the compiler: the peer that a kernel
 * library must beat, and a sample of a program for the --with hook of bench_optim.py.
 * Build: gcc -O3 -march=native -ffast-math -fopenmp naive_optim.c -o naive_optim -lm
 * Usage: naive_optim --op adam|adamw|nadam|nadamw|sgdm|nesterov --case 10k|1M|1M-flat|resnet50|
 *        resnet50-flat|100M --threads T --reps K [--cold BYTES] [--seconds S] [--suite optim]
 * One tensor after the other, split over OpenMP threads when it is long enough.
 */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { float lr, b1, b2, eps, wd, mu, c1, c2, cm, cg; } hyp;
/* The serial loop stays in a function of its own with restrict pointers: with the pragma straight on
 * the loop, gcc 12 outlines it, loses restrict, and ran short tensors in a scalar path 7 times slower. */
#define SPLIT(call) do { \
    if (n <= 16384) { long o = 0, n_ = n; call; } \
    else _Pragma("omp parallel") { \
      long id = omp_get_thread_num(), nth = omp_get_num_threads(), q = n / nth / 16 * 16; \
      long o = id * q, n_ = id == nth - 1 ? n - o : q; call; } } while (0)

static void adam(float *restrict p, const float *restrict g, float *restrict m, float *restrict v, long n, hyp h) {
  float decay = 1.f - h.lr * h.wd;
  for (long i = 0; i < n; i++) {
    float gi = g[i], mi = h.b1 * m[i] + (1 - h.b1) * gi, vi = h.b2 * v[i] + (1 - h.b2) * gi * gi;
    m[i] = mi; v[i] = vi;
    p[i] = decay * p[i] - h.lr * (mi * h.c1) / (sqrtf(vi * h.c2) + h.eps);
  }
}
static void nadam(float *restrict p, const float *restrict g, float *restrict m, float *restrict v, long n, hyp h) {
  float decay = 1.f - h.lr * h.wd;
  for (long i = 0; i < n; i++) {
    float gi = g[i], mi = h.b1 * m[i] + (1 - h.b1) * gi, vi = h.b2 * v[i] + (1 - h.b2) * gi * gi;
    m[i] = mi; v[i] = vi;
    p[i] = decay * p[i] - h.lr * (h.cm * mi + h.cg * gi) / (sqrtf(vi * h.c2) + h.eps);
  }
}
static void sgdm(float *restrict p, const float *restrict g, float *restrict m, long n, hyp h) {
  for (long i = 0; i < n; i++) { float mi = h.mu * m[i] + g[i]; m[i] = mi; p[i] -= h.lr * mi; }
}
static void nesterov(float *restrict p, const float *restrict g, float *restrict m, long n, hyp h) {
  for (long i = 0; i < n; i++) { float mi = h.mu * m[i] + g[i]; m[i] = mi; p[i] -= h.lr * (g[i] + h.mu * mi); }
}

static long sz[256]; static int nt;
static void add(long n) { sz[nt++] = n; }
static int shapes(const char *c) {
  if (!strcmp(c, "10k")) { add(64 * 128); add(128); add(128 * 13); add(13); }
  else if (!strcmp(c, "1M")) for (int i = 0; i < 4; i++) add(512 * 512);
  else if (!strcmp(c, "1M-flat")) add(1048576);
  else if (!strcmp(c, "resnet50-flat")) add(25557032);
  else if (!strcmp(c, "100M")) for (int i = 0; i < 24; i++) add(2048L * 2048);
  else if (!strcmp(c, "resnet50")) {
    add(64 * 147); add(64); add(64);
    long in = 64; int w[4] = { 64, 128, 256, 512 }, nb[4] = { 3, 4, 6, 3 };
    for (int s = 0; s < 4; s++) for (int b = 0; b < nb[s]; b++) {
      long x = w[s];
      add(x * in); add(x); add(x); add(x * x * 9); add(x); add(x); add(4 * x * x); add(4 * x); add(4 * x);
      if (!b) { add(4 * x * in); add(4 * x); add(4 * x); }
      in = 4 * x;
    }
    add(2048000); add(1000);
  } else return 0;
  return 1;
}
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e9 + t.tv_nsec; }

int main(int argc, char **argv) {
  const char *op = "adam", *cs = "1M"; int reps = 3, threads = 1; long cold = 0; double seconds = 0.15;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--op")) op = argv[i + 1];
    else if (!strcmp(argv[i], "--case")) cs = argv[i + 1];
    else if (!strcmp(argv[i], "--threads")) threads = atoi(argv[i + 1]);
    else if (!strcmp(argv[i], "--reps")) reps = atoi(argv[i + 1]);
    else if (!strcmp(argv[i], "--cold")) cold = atol(argv[i + 1]);
    else if (!strcmp(argv[i], "--seconds")) seconds = atof(argv[i + 1]);
  }
  const char *ops[] = { "adam", "adamw", "nadam", "nadamw", "sgdm", "nesterov" }; int k = -1;
  for (int i = 0; i < 6; i++) if (!strcmp(op, ops[i])) k = i;
  if (k < 0 || !shapes(cs)) return 3;
  omp_set_num_threads(threads);
  float *x[256][4]; long total = 0;
  for (int t = 0; t < nt; t++) {
    total += sz[t];
    for (int a = 0; a < 4; a++) {
      x[t][a] = aligned_alloc(64, (sz[t] * 4 + 127) / 64 * 64);
      for (long i = 0; i < sz[t]; i++) x[t][a][i] = a == 3 ? 1e-6f : 1e-3f * (float)((i * 7 + a) % 13 - 6);
    }
  }
  char *sweep = cold ? calloc(cold, 1) : NULL;
  hyp h = { 1e-4f, .9f, .999f, 1e-8f, (k & 1) && k < 4 ? 1e-2f : 0.f, .9f, 0, 0, 0, 0 };
  static double tm[100000]; int ns = 0; double end = 0;
  for (int r = -2; r < reps || (now() < end && ns < 500); r++) {
    for (long i = 0; sweep && i < cold; i += 64) sweep[i]++;
    double t0 = now();
    if (r == 0) end = t0 + seconds * 1e9;
    float s = (float)(r + 3);
    h.c1 = 1 / (1 - powf(h.b1, s)); h.c2 = 1 / (1 - powf(h.b2, s));
    h.cm = h.b1 / (1 - powf(h.b1, s + 1)); h.cg = (1 - h.b1) / (1 - powf(h.b1, s));
    for (int t = 0; t < nt; t++) {
      long n = sz[t];
      if (k < 2) SPLIT(adam(x[t][0] + o, x[t][1] + o, x[t][2] + o, x[t][3] + o, n_, h));
      else if (k < 4) SPLIT(nadam(x[t][0] + o, x[t][1] + o, x[t][2] + o, x[t][3] + o, n_, h));
      else if (k == 4) SPLIT(sgdm(x[t][0] + o, x[t][1] + o, x[t][2] + o, n_, h));
      else SPLIT(nesterov(x[t][0] + o, x[t][1] + o, x[t][2] + o, n_, h));
    }
    if (r >= 0) tm[ns++] = now() - t0;
  }
  printf("{\"peer\":\"gcc-O3\",\"op\":\"%s\",\"case\":\"%s\",\"threads\":%d,\"n\":%ld,\"times_ns\":[", op, cs, threads, total);
  for (int i = 0; i < ns; i++) printf("%s%.0f", i ? "," : "", tm[i]);
  printf("]}\n");
  return 0;
}

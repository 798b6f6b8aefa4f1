/* SPDX-License-Identifier: Apache-2.0
 * stream.c - machine limits for CPU kernels: bandwidth by access pattern, and FMA peak.
 *
 * Prints one JSON object per line, with the keys that bench_optim.py
 * uses, so its numbers can stand beside theirs:
 *   {"suite":"limits","peer":"stream","op":KERNEL,"case":SIZE,"threads":T,"n":ELEMENTS,
 *    "unit":"elem","bytes":B,"flops":F,"reps":R,"min_ns":..,"med_ns":..,"gbs":..,"gflops":..}
 * gbs and gflops come from min_ns; *_med from med_ns. "bytes" counts what the program asks for
 * (STREAM convention): a plain store to a line not yet in cache costs the memory bus a read as
 * well (write-allocate), so *_nt kernels can show more than the plain ones for the same traffic.
 *
 * Kernels (all float32):
 *   read      sum of a[]                               4 B/elem
 *   write     a = s                      write_nt      4 B/elem
 *   copy      a = b                      copy_nt       8 B/elem
 *   triad     a = b + s*c                triad_nt     12 B/elem
 *   rw32      3 loads + 2 stores in place (heavy-ball step pattern: p,g,m -> p,m)    20 B/elem
 *   rw43      4 loads + 3 stores in place (Adam step pattern: p,g,m,v -> p,m,v)      28 B/elem
 *   gather    sum 512-byte rows at random indices of a table (embedding-bag forward) 512 B/row
 *   scatter   add to 512-byte rows at random indices (embedding-bag backward)       1024 B/row
 *   fma256, fma512   independent FMA chains in registers (peak arithmetic)
 *
 * Usage: stream [--threads 1,2] [--sizes 24K,384K,256M] [--kernels a,b,..|all] [--reps 15]
 *               [--huge 0|1] [--list]
 *   A size is the bytes of all arrays of a kernel together (so 256M is out of cache for each),
 *   for gather/scatter the table's. Repetitions interleave: kernel 1,2,3,..,1,2,3,..
 * Build: gcc -O2 -pthread stream.c -o stream -lm     (x86-64: AVX2+FMA needed at run time)
 */
#define _GNU_SOURCE
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define A2 __attribute__((target("avx2,fma")))
#define A5 __attribute__((target("avx512f")))
#define ROW 128 /* floats in a row of the gather table */

enum { READ, WRITE, WRITE_NT, COPY, COPY_NT, TRIAD, TRIAD_NT, RW32, RW43, GATHER, SCATTER,
       FMA256, FMA512, NK };
static const char *kname[NK] = { "read", "write", "write_nt", "copy", "copy_nt", "triad",
  "triad_nt", "rw32", "rw43", "gather", "scatter", "fma256", "fma512" };
/* arrays touched, bytes counted per element */
static const int karr[NK] = { 1, 1, 1, 2, 2, 3, 3, 3, 4, 1, 1, 0, 0 };
static const int kbytes[NK] = { 4, 4, 4, 8, 8, 12, 12, 20, 28, 4, 8, 0, 0 };

typedef struct { int k; float *x[4]; size_t n; const uint32_t *idx; size_t nidx; long iters; } job_t;
static volatile float sink;

A2 static void k_read(job_t *j) {
  __m256 s[8];
  _Pragma("GCC unroll 16") for (int u = 0; u < 8; u++) s[u] = _mm256_setzero_ps();
  const float *a = j->x[0];
  for (size_t i = 0; i + 64 <= j->n; i += 64)
    _Pragma("GCC unroll 16") for (int u = 0; u < 8; u++) s[u] = _mm256_add_ps(s[u], _mm256_load_ps(a + i + 8 * u));
  _Pragma("GCC unroll 16") for (int u = 1; u < 8; u++) s[0] = _mm256_add_ps(s[0], s[u]);
  sink = _mm256_cvtss_f32(s[0]);
}
#define ST(nt, p, v) do { if (nt) _mm256_stream_ps(p, v); else _mm256_store_ps(p, v); } while (0)
A2 static inline __attribute__((always_inline)) void k_write(job_t *j, int nt) {
  float *a = j->x[0]; __m256 s = _mm256_set1_ps(1.5f);
  for (size_t i = 0; i + 32 <= j->n; i += 32)
    _Pragma("GCC unroll 16") for (int u = 0; u < 4; u++) ST(nt, a + i + 8 * u, s);
  if (nt) _mm_sfence();
}
A2 static inline __attribute__((always_inline)) void k_copy(job_t *j, int nt) {
  float *a = j->x[0]; const float *b = j->x[1];
  for (size_t i = 0; i + 32 <= j->n; i += 32)
    _Pragma("GCC unroll 16") for (int u = 0; u < 4; u++) ST(nt, a + i + 8 * u, _mm256_load_ps(b + i + 8 * u));
  if (nt) _mm_sfence();
}
A2 static inline __attribute__((always_inline)) void k_triad(job_t *j, int nt) {
  float *a = j->x[0]; const float *b = j->x[1], *c = j->x[2]; __m256 s = _mm256_set1_ps(3.f);
  for (size_t i = 0; i + 32 <= j->n; i += 32)
    _Pragma("GCC unroll 16") for (int u = 0; u < 4; u++)
      ST(nt, a + i + 8 * u, _mm256_fmadd_ps(s, _mm256_load_ps(c + i + 8 * u), _mm256_load_ps(b + i + 8 * u)));
  if (nt) _mm_sfence();
}
A2 static void k_rw32(job_t *j) {
  float *p = j->x[0], *m = j->x[1]; const float *g = j->x[2];
  __m256 mu = _mm256_set1_ps(0.9f), lr = _mm256_set1_ps(-1e-6f);
  for (size_t i = 0; i + 16 <= j->n; i += 16)
    _Pragma("GCC unroll 16") for (int u = 0; u < 2; u++) {
      size_t o = i + 8 * u;
      __m256 mm = _mm256_fmadd_ps(mu, _mm256_load_ps(m + o), _mm256_load_ps(g + o));
      _mm256_store_ps(m + o, mm);
      _mm256_store_ps(p + o, _mm256_fmadd_ps(lr, mm, _mm256_load_ps(p + o)));
    }
}
A2 static void k_rw43(job_t *j) {
  float *p = j->x[0], *m = j->x[1], *v = j->x[2]; const float *g = j->x[3];
  __m256 b1 = _mm256_set1_ps(0.9f), b2 = _mm256_set1_ps(0.999f), lr = _mm256_set1_ps(-1e-6f);
  for (size_t i = 0; i + 16 <= j->n; i += 16)
    _Pragma("GCC unroll 16") for (int u = 0; u < 2; u++) {
      size_t o = i + 8 * u;
      __m256 gg = _mm256_load_ps(g + o);
      __m256 mm = _mm256_fmadd_ps(b1, _mm256_load_ps(m + o), gg);
      __m256 vv = _mm256_fmadd_ps(b2, _mm256_load_ps(v + o), _mm256_mul_ps(gg, gg));
      _mm256_store_ps(m + o, mm);
      _mm256_store_ps(v + o, vv);
      _mm256_store_ps(p + o, _mm256_fmadd_ps(lr, _mm256_mul_ps(mm, vv), _mm256_load_ps(p + o)));
    }
}
A2 static void k_gather(job_t *j) {
  __m256 s[16];
  _Pragma("GCC unroll 16") for (int u = 0; u < 16; u++) s[u] = _mm256_setzero_ps();
  for (size_t r = 0; r < j->nidx; r++) {
    if (r + 8 < j->nidx) {
      const char *f = (const char *)(j->x[0] + (size_t)j->idx[r + 8] * ROW);
      for (int l = 0; l < 8; l++) _mm_prefetch(f + 64 * l, _MM_HINT_T0);
    }
    const float *q = j->x[0] + (size_t)j->idx[r] * ROW;
    _Pragma("GCC unroll 16") for (int u = 0; u < 16; u++) s[u] = _mm256_add_ps(s[u], _mm256_load_ps(q + 8 * u));
  }
  _Pragma("GCC unroll 16") for (int u = 1; u < 16; u++) s[0] = _mm256_add_ps(s[0], s[u]);
  sink = _mm256_cvtss_f32(s[0]);
}
A2 static void k_scatter(job_t *j) {
  __m256 s = _mm256_set1_ps(1e-9f);
  for (size_t r = 0; r < j->nidx; r++) {
    if (r + 8 < j->nidx) {
      const char *f = (const char *)(j->x[0] + (size_t)j->idx[r + 8] * ROW);
      for (int l = 0; l < 8; l++) _mm_prefetch(f + 64 * l, _MM_HINT_T0);
    }
    float *q = j->x[0] + (size_t)j->idx[r] * ROW;
    _Pragma("GCC unroll 16") for (int u = 0; u < 16; u++) _mm256_store_ps(q + 8 * u, _mm256_add_ps(s, _mm256_load_ps(q + 8 * u)));
  }
}
/* 12 chains x 8 (16) lanes: enough for 2 pipes x latency 4-5. The asm keeps the chains in registers. */
#define CH12(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
A2 static void k_fma256(job_t *j) {
  __m256 a = _mm256_set1_ps(0.999999f), b = _mm256_set1_ps(1e-7f);
#define D(i) __m256 r##i = _mm256_set1_ps(1.f + i);
  CH12(D)
#undef D
  for (long t = 0; t < j->iters; t++) {
#define F(i) __asm__ volatile("vfmadd213ps %2, %1, %0" : "+x"(r##i) : "x"(a), "x"(b));
    CH12(F)
#undef F
  }
  __m256 s = r0;
#define S(i) s = _mm256_add_ps(s, r##i);
  CH12(S)
#undef S
  sink = _mm256_cvtss_f32(s);
}
A5 static void k_fma512(job_t *j) {
  __m512 a = _mm512_set1_ps(0.999999f), b = _mm512_set1_ps(1e-7f);
#define D(i) __m512 r##i = _mm512_set1_ps(1.f + i);
  CH12(D)
#undef D
  for (long t = 0; t < j->iters; t++) {
#define F(i) __asm__ volatile("vfmadd213ps %2, %1, %0" : "+v"(r##i) : "v"(a), "v"(b));
    CH12(F)
#undef F
  }
  __m512 s = r0;
#define S(i) s = _mm512_add_ps(s, r##i);
  CH12(S)
#undef S
  sink = _mm512_cvtss_f32(s);
}
A2 static void run_job(job_t *j) {
  switch (j->k) {
  case READ: k_read(j); break;
  case WRITE: k_write(j, 0); break;
  case WRITE_NT: k_write(j, 1); break;
  case COPY: k_copy(j, 0); break;
  case COPY_NT: k_copy(j, 1); break;
  case TRIAD: k_triad(j, 0); break;
  case TRIAD_NT: k_triad(j, 1); break;
  case RW32: k_rw32(j); break;
  case RW43: k_rw43(j); break;
  case GATHER: k_gather(j); break;
  case SCATTER: k_scatter(j); break;
  case FMA256: k_fma256(j); break;
  case FMA512: k_fma512(j); break;
  }
}

static double now_ns(void) {
  struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e9 + t.tv_nsec;
}
static int cmpd(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y);
}
static size_t parse_size(const char *s) {
  char *e; double v = strtod(s, &e);
  if (*e == 'K' || *e == 'k') v *= 1 << 10;
  if (*e == 'M' || *e == 'm') v *= 1 << 20;
  if (*e == 'G' || *e == 'g') v *= 1 << 30;
  return (size_t)v;
}

/* one team of threads, kept for a whole (threads, size) setting */
static pthread_barrier_t bar0, bar1;
static job_t jobs[256]; static int inner; static volatile int quit_flag;
static void *worker(void *arg) {
  int id = (int)(intptr_t)arg;
  cpu_set_t c; CPU_ZERO(&c); CPU_SET(id % sysconf(_SC_NPROCESSORS_ONLN), &c);
  pthread_setaffinity_np(pthread_self(), sizeof c, &c);
  for (;;) {
    pthread_barrier_wait(&bar0);
    if (quit_flag) return NULL;
    for (int i = 0; i < inner; i++) run_job(&jobs[id]);
    pthread_barrier_wait(&bar1);
  }
}

int main(int argc, char **argv) {
  char threads[256] = "1,2", sizes[256] = "32K,512K,8M,512M", kernels[512] = "all";
  int reps = 15, huge = 1;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--list")) { for (int k = 0; k < NK; k++) puts(kname[k]); return 0; }
    if (i + 1 >= argc) { fprintf(stderr, "%s needs a value\n", argv[i]); return 2; }
    if (!strcmp(argv[i], "--threads")) snprintf(threads, sizeof threads, "%s", argv[++i]);
    else if (!strcmp(argv[i], "--sizes")) snprintf(sizes, sizeof sizes, "%s", argv[++i]);
    else if (!strcmp(argv[i], "--kernels")) snprintf(kernels, sizeof kernels, "%s", argv[++i]);
    else if (!strcmp(argv[i], "--reps")) reps = atoi(argv[++i]);
    else if (!strcmp(argv[i], "--huge")) huge = atoi(argv[++i]);
    else { fprintf(stderr, "unknown option %s\n", argv[i]); return 2; }
  }
  __builtin_cpu_init();
  int have2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  int have5 = __builtin_cpu_supports("avx512f");
  if (!have2) { fprintf(stderr, "needs AVX2 and FMA\n"); return 1; }
  if (reps < 1) reps = 1;
  int use[NK];
  for (int k = 0; k < NK; k++) {
    use[k] = !strcmp(kernels, "all");
    char b[512]; snprintf(b, sizeof b, "%s", kernels);
    for (char *s = strtok(b, ","); s; s = strtok(NULL, ",")) if (!strcmp(s, kname[k])) use[k] = 1;
    if (k == FMA512 && !have5) use[k] = 0;
  }
  char tb[256]; snprintf(tb, sizeof tb, "%s", threads);
  char *ts_save;
  for (char *t = strtok_r(tb, ",", &ts_save); t; t = strtok_r(NULL, ",", &ts_save)) {
    int T = atoi(t); if (T < 1 || T > 256) continue;
    char sb[256]; snprintf(sb, sizeof sb, "%s", sizes); char *ss_save; int first = 1;
    for (char *s = strtok_r(sb, ",", &ss_save); s; s = strtok_r(NULL, ",", &ss_save), first = 0) {
      size_t total = parse_size(s) & ~(size_t)4095;
      size_t cap = total + (4096 + 64) * 8;
      float *buf = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (buf == MAP_FAILED) { perror("mmap"); return 1; }
      if (huge) madvise(buf, cap, MADV_HUGEPAGE);
      for (size_t i = 0; i < cap / 4; i++) buf[i] = 1e-3f * (float)(i & 1023);
      size_t rows = total / (ROW * 4), nidx = rows < 1 ? 0 : (rows < 400000 ? rows : 400000);
      uint32_t *idx = malloc(sizeof *idx * (nidx + 1)); uint64_t r = 88172645463325252ull;
      for (size_t i = 0; i < nidx; i++) { r ^= r << 13; r ^= r >> 7; r ^= r << 17; idx[i] = (uint32_t)((r >> 11) % rows); }
      double *tm[NK]; for (int k = 0; k < NK; k++) tm[k] = calloc(reps, sizeof(double));
      pthread_barrier_init(&bar0, NULL, T + 1); pthread_barrier_init(&bar1, NULL, T + 1); quit_flag = 0;
      pthread_t th[256];
      for (int i = 0; i < T; i++) pthread_create(&th[i], NULL, worker, (void *)(intptr_t)i);
      size_t nk[NK]; int inn[NK];
      for (int k = 0; k < NK; k++) {
        inn[k] = 1; nk[k] = 0;
        if (k >= FMA256) { nk[k] = 4000000; continue; }
        if (k >= GATHER) { nk[k] = nidx; if (nidx && nidx < 20000) inn[k] = (int)(20000 / nidx); continue; }
        size_t n = total / 4 / karr[k] / (64 * T) * 64 * T;  nk[k] = n;
        if (n * kbytes[k] < (32u << 20)) inn[k] = n ? (int)((32u << 20) / (n * kbytes[k])) : 1;
      }
      for (int rep = -1; rep < reps; rep++)
        for (int k = 0; k < NK; k++) {
          if (!use[k] || (k >= FMA256 && !first) || (k < FMA256 && !nk[k])) continue;
          for (int i = 0; i < T; i++) {
            job_t *j = &jobs[i]; memset(j, 0, sizeof *j); j->k = k;
            if (k >= FMA256) { j->iters = 4000000; continue; }
            if (k >= GATHER) {
              /* scatter: each thread owns a slice of rows, as a correct backward would */
              j->x[0] = buf; j->idx = idx + nidx / T * i; j->nidx = nidx / T; continue;
            }
            size_t n = nk[k];
            for (int a = 0; a < karr[k]; a++) /* 4096+64 bytes apart: no 4K aliasing of the streams */
              j->x[a] = buf + (size_t)a * (n + 1024 + 16) + n / T * i;
            j->n = n / T;
          }
          inner = inn[k];
          double t0 = now_ns(); pthread_barrier_wait(&bar0); pthread_barrier_wait(&bar1);
          double dt = (now_ns() - t0) / inner;
          if (rep >= 0) tm[k][rep] = dt;
        }
      quit_flag = 1; pthread_barrier_wait(&bar0);
      for (int i = 0; i < T; i++) pthread_join(th[i], NULL);
      for (int k = 0; k < NK; k++) {
        if (!use[k] || (k >= FMA256 && !first) || (k < FMA256 && !nk[k])) continue;
        qsort(tm[k], reps, sizeof(double), cmpd);
        double mn = tm[k][0], md = tm[k][reps / 2], bytes, fl = 0;
        if (k == GATHER || k == SCATTER) bytes = (double)(nidx / T * T) * ROW * kbytes[k];
        else bytes = (double)nk[k] * kbytes[k];
        if (k >= FMA256) { fl = 4e6 * 12 * 2 * (k == FMA256 ? 8 : 16) * T; bytes = 0; }
        printf("{\"suite\":\"limits\",\"peer\":\"stream\",\"op\":\"%s\",\"case\":\"%s\",\"threads\":%d,"
               "\"n\":%zu,\"unit\":\"%s\",\"bytes\":%.0f,\"flops\":%.0f,\"reps\":%d,\"min_ns\":%.0f,\"med_ns\":%.0f,"
               "\"gbs\":%.3f,\"gbs_med\":%.3f,\"gflops\":%.2f,\"gflops_med\":%.2f}\n",
               kname[k], k >= FMA256 ? "regs" : s, T, nk[k], k == GATHER || k == SCATTER ? "row" : "elem",
               bytes, fl, reps, mn, md, bytes / mn, bytes / md, fl / mn, fl / md);
        fflush(stdout);
      }
      for (int k = 0; k < NK; k++) free(tm[k]);
      free(idx); munmap(buf, cap);
      pthread_barrier_destroy(&bar0); pthread_barrier_destroy(&bar1);
    }
  }
  return 0;
}

# SPDX-License-Identifier: Apache-2.0
"""Side-by-side timing of several programs on one machine.

One measurement ("case") is done by several peers.  Each peer is a worker process that is told on
its standard input what to prepare and run and answers in JSON lines, so peers from different
virtual environments, languages and thread runtimes share one run.  The harness walks the rounds:

    for round in rounds:  for peer in peers (order turned by one each round):  a short timed burst

so a slow spell of the machine falls on all peers alike (A/B/C, B/C/A, C/A/B, ...), and reports the
minimum and the median over all bursts.  An outside program joins in by one of two hooks:

--with NAME="cmd"        the command is started anew for each round with these options added:
    --suite S --op OP --case CASE --threads T --reps K [--cold BYTES] [--seconds S]
  and prints JSON lines {"peer":VARIANT, "times_ns":[...]} (or "min_ns"/"med_ns"), for the op and
  case asked for; other keys (bytes, flops, n, note) are kept.  Exit status 3, or no line, says
  "not supported".  What --op and --case mean: see bench_optim.py, which
  prints them with their exact shapes under --describe.

--with-serve NAME="cmd"  the command is started once per thread count with the same protocol as
  the built-in peers: one JSON request per line on stdin, one JSON reply per line on stdout:
    {"do":"prepare","suite":..,"op":..,"case":..,"spec":{..},"threads":T}
                                             -> {"ok":true,"variants":[..]} | {"ok":false,"why":".."}
    {"do":"run","variant":V,"seconds":S,"min_reps":K,"max_reps":M,"cold":BYTES}
                                             -> {"ok":true,"times_ns":[..],"note":".."}
    {"do":"drop"}                            -> {"ok":true}
    {"do":"quit"}                            (no reply)

Result lines have the keys: suite peer op case threads n unit bytes flops rounds samples min_ns
med_ns ns_per_unit ns_per_unit_med gbs gbs_med gflops gflops_med cold note.
bytes and flops are those of the best known algorithm for the op (declared by the case), the same
for all peers; so gbs is "useful" bandwidth and can be set against stream's rw43 for the op.
"""
import json, os, select, shlex, statistics, subprocess, sys, time, traceback

HERE = os.path.dirname(os.path.abspath(__file__))


class Worker:
    def __init__(self, name, argv, threads, env=None):
        e = dict(os.environ)
        for k in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            e[k] = str(threads)
        e.update(env or {})
        cpus = ",".join(str(i) for i in sorted(os.sched_getaffinity(0))[:threads])
        if not e.get("PEERS_NO_PIN"):
            argv = ["taskset", "-c", cpus] + argv
        self.name, self.buf = name, b""
        logs = os.path.join(HERE, "logs"); os.makedirs(logs, exist_ok=True)
        log = open(os.path.join(logs, f"{name}.t{threads}.log"), "ab")
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=e, cwd=HERE)

    def ask(self, req, timeout=900):
        """Send one request; return the reply, or {"ok":False,...} when the worker died or hung."""
        try:
            self.p.stdin.write((json.dumps(req) + "\n").encode()); self.p.stdin.flush()
        except OSError:
            return {"ok": False, "why": f"worker ended with {self.p.poll()}"}
        end = time.time() + timeout
        while True:
            while b"\n" in self.buf:
                line, self.buf = self.buf.split(b"\n", 1)
                try:
                    r = json.loads(line)
                    if isinstance(r, dict) and "ok" in r:
                        return r
                except ValueError:
                    pass
            left = end - time.time()
            if left <= 0 or not select.select([self.p.stdout], [], [], left)[0]:
                self.p.kill(); self.p.wait()
                return {"ok": False, "why": f"no answer in {timeout} s"}
            d = os.read(self.p.stdout.fileno(), 1 << 16)
            if not d:
                return {"ok": False, "why": f"worker ended with {self.p.wait()}"}
            self.buf += d

    def close(self):
        try:
            self.p.stdin.write(b'{"do":"quit"}\n'); self.p.stdin.flush(); self.p.wait(20)
        except Exception:
            self.p.kill(); self.p.wait()


def serve(prepare, threads):
    """Worker main loop. prepare(request) -> {variant: function of no argument that does one step},
    or raises.  Values may be (function, note) or a zero-argument factory wrapped in Lazy."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever the libraries print goes to the log
    current, flush = {}, None
    for line in sys.stdin:
        q = json.loads(line)
        try:
            if q["do"] == "prepare":
                current = {}
                current = prepare(q)
                r = {"ok": True, "variants": list(current)}
            elif q["do"] == "run":
                f = current[q["variant"]]
                if isinstance(f, Lazy):
                    f = current[q["variant"]] = f.make()
                    f(); f()
                cold = q.get("cold", 0)
                if cold and (flush is None or flush.size * 4 != cold):
                    import numpy as np
                    flush = np.ones(cold // 4, np.float32)
                ts, end = [], time.perf_counter() + q.get("seconds", 0.2)
                f()  # warm: bring code and (unless cold) data in
                while len(ts) < q.get("min_reps", 2) or (time.perf_counter() < end and len(ts) < q.get("max_reps", 500)):
                    if cold:
                        flush += 1.0
                    t0 = time.perf_counter_ns(); f(); ts.append(time.perf_counter_ns() - t0)
                r = {"ok": True, "times_ns": ts}
            elif q["do"] == "drop":
                current = {}
                import gc; gc.collect()
                r = {"ok": True}
            else:
                break
        except Exception as ex:
            traceback.print_exc()
            r = {"ok": False, "why": f"{type(ex).__name__}: {ex}"[:300]}
        out.write(json.dumps(r) + "\n"); out.flush()


class Lazy:
    """A variant whose set-up is done on its first run."""
    def __init__(self, make):
        self.make = make


def one_shot(cmd, suite, op, case, threads, reps, cold, seconds):
    argv = shlex.split(cmd) + ["--suite", suite, "--op", op, "--case", case, "--threads", str(threads),
                               "--reps", str(reps), "--seconds", str(seconds)] + (["--cold", str(cold)] if cold else [])
    e = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads), DNNL_NUM_THREADS=str(threads))
    cpus = ",".join(str(i) for i in sorted(os.sched_getaffinity(0))[:threads])
    try:
        p = subprocess.run(["taskset", "-c", cpus] + argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=e, timeout=900, cwd=HERE)
    except subprocess.TimeoutExpired:
        return None, "timeout"
    if p.returncode:
        return None, f"exit {p.returncode}: {p.stderr.decode()[-200:]}"
    got = {}
    for line in p.stdout.decode().splitlines():
        try:
            d = json.loads(line)
        except ValueError:
            continue
        if d.get("op", op) != op or d.get("case", case) != case:
            continue
        ts = d.get("times_ns") or [x for x in (d.get("min_ns"), d.get("med_ns")) if x]
        if ts:
            got[d.get("peer", "?")] = (ts, d)
    return got, ""


def run(suite, cases, families, a):
    """cases: list of dicts op, case, spec, n, unit, bytes, flops. families: {name: argv maker}."""
    os.makedirs(os.path.join(HERE, "logs"), exist_ok=True)
    outf = open(a.out, "a") if a.out else None
    def emit(d):
        s = json.dumps(d)
        print(s, flush=True)
        if outf:
            outf.write(s + "\n"); outf.flush()
    hooks = dict(x.split("=", 1) for x in a.with_cmd)
    shooks = dict(x.split("=", 1) for x in a.with_serve)
    for T in a.threads:
        ws = {}
        def start(name):
            if name in shooks:
                ws[name] = Worker(name, shlex.split(shooks[name]), T)
            else:
                argv, env = families[name](T); ws[name] = Worker(name, argv, T, env)
        for name in list(families) + list(shooks):
            start(name)
        for c in cases:
            base = {"suite": suite, "op": c["op"], "case": c["case"], "threads": T, "n": c["n"], "unit": c["unit"],
                    "bytes": c["bytes"], "flops": c["flops"]}
            lanes = []   # (label, kind, worker, variant)
            for name, w in list(ws.items()):
                if w.p.poll() is not None:   # died in an earlier case: a fresh one
                    start(name); w = ws[name]
                r = w.ask(dict(do="prepare", suite=suite, op=c["op"], case=c["case"], spec=c.get("spec", {}), threads=T))
                if r["ok"]:
                    for v in r["variants"]:
                        if not a.variants or any(s in f"{name}.{v}" for s in a.variants):
                            lanes.append((f"{name}.{v}" if v else name, "serve", w, v))
                elif "unsupported" not in r.get("why", ""):
                    emit(dict(base, peer=name, error=r.get("why")))
            lanes += [(n, "shot", None, cmd) for n, cmd in hooks.items()]
            if a.limits and suite == "optim":
                lanes.append(("limit", "limit", None, None))
            times, notes, dead = {}, {}, set()
            for rnd in range(a.rounds):
                k = rnd % max(1, len(lanes))
                for label, kind, w, v in lanes[k:] + lanes[:k]:
                    if label in dead:
                        continue
                    time.sleep(0.02)   # let the last peer's spinning threads go to sleep
                    if kind == "serve":
                        r = w.ask(dict(do="run", variant=v, seconds=a.seconds, min_reps=a.reps, max_reps=a.max_reps, cold=a.cold))
                        if not r["ok"]:
                            dead.add(label); emit(dict(base, peer=label, error=r.get("why"))); continue
                        times.setdefault(label, []).append(r["times_ns"])
                    elif kind == "shot":
                        got, why = one_shot(v, suite, c["op"], c["case"], T, a.reps, a.cold, a.seconds)
                        if not got:
                            dead.add(label)
                            if why and not why.startswith("exit 3"):
                                emit(dict(base, peer=label, error=why))
                            continue
                        for p, (ts, d) in got.items():
                            times.setdefault(f"{label}.{p}", []).append(ts); notes[f"{label}.{p}"] = d.get("note")
                    else:
                        kern = c.get("limit_kernel", "rw43")
                        p = subprocess.run([os.path.join(HERE, "stream"), "--kernels", kern, "--threads", str(T), "--reps", "5",
                                            "--sizes", str(max(16384, c["limit_bytes"]))], stdout=subprocess.PIPE)
                        for line in p.stdout.decode().splitlines():
                            d = json.loads(line)
                            sc = c["bytes"] / max(d["bytes"], 1)
                            times.setdefault(f"limit.{kern}", []).append([d["min_ns"] * sc, d["med_ns"] * sc])
            lim = None
            if "limit.rw43" in times or "limit.rw32" in times:
                lim = min(min(t) for k, tt in times.items() if k.startswith("limit.") for t in tt)
            for label, tt in times.items():
                flat = [x for t in tt for x in t]
                mn, md = min(flat), statistics.median(flat)
                d = dict(base, peer=label, rounds=len(tt), samples=len(flat), min_ns=round(mn), med_ns=round(md),
                         ns_per_unit=round(mn / c["n"], 5), ns_per_unit_med=round(md / c["n"], 5),
                         gbs=round(c["bytes"] / mn, 3), gbs_med=round(c["bytes"] / md, 3),
                         gflops=round(c["flops"] / mn, 3), gflops_med=round(c["flops"] / md, 3), cold=a.cold)
                if lim:
                    d["frac_of_limit"] = round(lim / mn, 3)
                if notes.get(label):
                    d["note"] = notes[label]
                emit(d)
            for w in ws.values():
                if w.p.poll() is None:
                    w.ask(dict(do="drop"))
        for w in ws.values():
            w.close()


def add_args(ap):
    ap.add_argument("--threads", type=lambda s: [int(x) for x in s.split(",")], default=[1, 2])
    ap.add_argument("--ops", default="", help="comma list; default all")
    ap.add_argument("--cases", "--sizes", dest="cases", default="", help="comma list; default all")
    ap.add_argument("--families", default="", help="comma list of built-in peers; default all; 'none' for none")
    ap.add_argument("--variants", type=lambda s: [x for x in s.split(",") if x], default=[], help="only labels containing one of these")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--reps", type=int, default=2, help="at least so many steps a burst")
    ap.add_argument("--max-reps", type=int, default=200)
    ap.add_argument("--seconds", type=float, default=0.15, help="burst length")
    ap.add_argument("--cold", type=int, default=0, help="bytes to sweep between steps (0: data stays in cache)")
    ap.add_argument("--limits", action="store_true", help="also run ./stream's pattern for the op in each round")
    ap.add_argument("--with", dest="with_cmd", action="append", default=[], metavar='NAME="CMD"')
    ap.add_argument("--with-serve", action="append", default=[], metavar='NAME="CMD"')
    ap.add_argument("--out", default="", help="append the JSON lines to this file too")
    ap.add_argument("--describe", action="store_true", help="print the cases with shapes and stop")
    ap.add_argument("--serve", default="", help="internal: run as a worker of that family")


def pick(cases, a):
    ops = [x for x in a.ops.split(",") if x]; cs = [x for x in a.cases.split(",") if x]
    return [c for c in cases if (not ops or c["op"] in ops) and (not cs or c["case"] in cs)]

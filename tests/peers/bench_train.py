#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training steps of the four workloads beside PyTorch, in alternating rounds.

  python3 bench_train.py --stepcost ./stepcost --threads 2 --rounds 3 --workloads resnet50,unet,ogbg,dlrm \
     --compile --out train.jsonl

Both train the same layers in float32 with AdamW on made-up batches of the same sizes:
  resnet50    16 images of 224 x 224, 1000 classes
  unet        4 slices of 320 x 320
  ogbg        molecules as in 128 average ones: 26 nodes and 56 directed edges each
  dlrm        4096 rows, table of 4,194,304 x 128 (some 9 GB in each program, see --table-rows)
  dlrm_small  the same with 262,144 rows
PyTorch's batches are made before anything is timed; stepcost's come from its data worker meanwhile, so its iterations pay for
them. PyTorch takes the faster of two layouts (nchw, nhwc: channels_last) and of two forms of AdamW (fused, foreach), tried
here first; compile is torch.compile of that.

JSON lines: workload, peer, variant, batch, threads, phase (forward, backward, optimizer, iteration), seconds_min, seconds_med,
samples_per_second (of all steps of the median round), samples_per_second_best (of the best round), rounds, steps.
A ratio line a workload compares rates with the fastest variant of PyTorch: of the median rounds and of the best ones.
"""
import argparse, json, os, shlex, statistics, subprocess, sys, time
import harness

PHASES = ("forward", "backward", "optimizer", "iteration")
CASES = {  # workload of stepcost, batch, options of stepcost
    "resnet50": ("resnet50", 16, ["--side", "224"]),
    "unet": ("unet", 4, ["--side", "320"]),
    "ogbg": ("ogbg", 128, []),
    "dlrm": ("dlrm", 4096, []),
    "dlrm_small": ("dlrm", 4096, ["--table-rows", "262144"]),
}
LARGE = 1 << 28  # parameters from which foreach's temporaries are not affordable


# ---- Models
def resnet50(torch):
    nn = torch.nn

    class Bottleneck(nn.Module):
        def __init__(self, cin, width, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(cin, width, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
            self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
            self.relu, self.project = nn.ReLU(inplace=True), None
            if stride != 1 or cin != 4 * width:
                self.project = nn.Sequential(nn.Conv2d(cin, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            return self.relu(y + (x if self.project is None else self.project(x)))

    blocks, cin = [], 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for b in range(count):
            blocks.append(Bottleneck(cin, width, stride if b == 0 else 1))
            cin = 4 * width
    return nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
                         *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def unet(torch):
    nn = torch.nn

    def block(cin, cout):
        layers = []
        for c in (cin, cout):
            layers += [nn.Conv2d(c, cout, 3, padding=1, bias=False), nn.InstanceNorm2d(cout), nn.LeakyReLU(0.2, inplace=True)]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            widths = (32, 64, 128, 256)
            self.down = nn.ModuleList(block(a, b) for a, b in zip((1,) + widths, widths))
            self.bottom, self.pool = block(256, 512), nn.AvgPool2d(2)
            self.turn = nn.ModuleList(nn.Sequential(nn.ConvTranspose2d(2 * w, w, 2, 2, bias=False), nn.InstanceNorm2d(w),
                                                    nn.LeakyReLU(0.2, inplace=True)) for w in reversed(widths))
            self.up = nn.ModuleList(block(2 * w, w) for w in reversed(widths))
            self.last = nn.Conv2d(32, 1, 1)

        def forward(self, x):
            skips = []
            for down in self.down:
                x = down(x)
                skips.append(x)
                x = self.pool(x)
            x = self.bottom(x)
            for turn, up in zip(self.turn, self.up):
                x = up(torch.cat([turn(x), skips.pop()], 1))
            return self.last(x)

    return UNet()


def graph_network(torch):
    nn = torch.nn

    def mlp(inputs):
        return nn.Sequential(nn.Linear(inputs, 256), nn.LayerNorm(256, eps=1e-6), nn.ReLU(), nn.Dropout(0.1))

    class GraphNetwork(nn.Module):
        def __init__(self):
            super().__init__()
            self.node, self.edge, self.decoder = nn.Linear(9, 256), nn.Linear(3, 256), nn.Linear(256, 128)
            self.edges = nn.ModuleList(mlp(768 + g) for g in (128, 256, 256, 256, 256))
            self.nodes = nn.ModuleList(mlp(768 + g) for g in (128, 256, 256, 256, 256))
            self.globals = nn.ModuleList(mlp(512 + g) for g in (128, 256, 256, 256, 256))

        def forward(self, node, edge, senders, receivers, of_node, of_edge, graphs):
            n, e, g = self.node(node), self.edge(edge), node.new_zeros(graphs, 128)
            for edges, nodes, whole in zip(self.edges, self.nodes, self.globals):
                e = edges(torch.cat([e, n[senders], n[receivers], g[of_edge]], 1))
                sent = n.new_zeros(n.shape[0], 256).index_add(0, senders, e)
                received = n.new_zeros(n.shape[0], 256).index_add(0, receivers, e)
                n = nodes(torch.cat([n, sent, received, g[of_node]], 1))
                of_nodes = n.new_zeros(graphs, 256).index_add(0, of_node, n)
                of_edges = n.new_zeros(graphs, 256).index_add(0, of_edge, e)
                g = whole(torch.cat([of_nodes, of_edges, g], 1))
            return self.decoder(g)

    return GraphNetwork()


def dlrm(torch, rows):
    nn = torch.nn

    def mlp(sizes, last):
        layers = []
        for a, b in zip(sizes, sizes[1:]):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*(layers if last else layers[:-1]))

    class Dlrm(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.empty(rows, 128).uniform_(0, rows ** -0.5))
            self.bottom, self.top = mlp((13, 512, 256, 128), True), mlp((506, 1024, 1024, 512, 256, 1), False)
            self.register_buffer("pairs", torch.triu_indices(27, 27))

        def forward(self, dense, index):
            x = self.bottom(dense)
            t = torch.cat([x[:, None], nn.functional.embedding(index, self.table)], 1)
            gram = torch.bmm(t, t.transpose(1, 2))[:, self.pairs[0], self.pairs[1]]
            return self.top(torch.cat([x, gram], 1))[:, 0]

    return Dlrm()


# ---- Batches and losses: a function from model to loss, and the samples of it
def images(torch, batch, layout):
    x = torch.randn(batch, 3, 224, 224).contiguous(memory_format=layout)
    label = torch.randint(1000, (batch,))
    return [(lambda model: torch.nn.functional.cross_entropy(model(x), label), batch)]


def slices(torch, batch, layout):
    x, target = (torch.randn(batch, 1, 320, 320).contiguous(memory_format=layout) for _ in range(2))
    return [(lambda model: (model(x) - target).abs().mean(), batch)]


def molecules(torch, batch, layout):
    made = []
    for seed in range(4):
        torch.manual_seed(seed)
        sizes = (torch.randn(batch) * 6 + 26).round().clamp(6, 60).long()
        first = torch.cumsum(sizes, 0) - sizes
        senders, receivers, of_edge = [], [], []
        for g in range(batch):
            n = int(sizes[g])
            # A tree, and two bonds that close rings: n + 1 bonds, each in both directions.
            a = torch.cat([torch.arange(1, n), torch.randint(n, (3,))])
            b = torch.cat([(torch.rand(n - 1) * torch.arange(1, n)).long(), torch.randint(n, (3,))])
            senders += [a + first[g], b + first[g]]
            receivers += [b + first[g], a + first[g]]
            of_edge.append(torch.full((2 * len(a),), g))
        senders, receivers, of_edge = map(torch.cat, (senders, receivers, of_edge))
        of_node = torch.repeat_interleave(torch.arange(batch), sizes)
        node, edge = torch.randint(5, (len(of_node), 9)).float(), torch.randint(3, (len(of_edge), 3)).float()
        label = torch.randint(2, (batch, 128)).float()
        valid = torch.rand(batch, 128) < 0.6

        def loss(model, a=(node, edge, senders, receivers, of_node, of_edge, batch), label=label, valid=valid):
            each = torch.nn.functional.binary_cross_entropy_with_logits(model(*a), label, reduction="none")
            return torch.where(valid, each, 0.0).sum() / valid.sum()

        made.append((loss, batch))
    return made


def clicks(torch, batch, layout, rows):
    made = []
    for seed in range(4):
        torch.manual_seed(seed)
        dense, label = torch.randn(batch, 13).clamp(min=0), torch.randint(2, (batch,)).float()
        # Categories of the sizes that click logs have: a few rows that everybody has, and long tails.
        index = (torch.rand(batch, 26) ** 4 * rows).long().clamp(max=rows - 1) * 2654435761 % rows
        made.append((lambda model, d=dense, i=index, l=label:
                     torch.nn.functional.binary_cross_entropy_with_logits(model(d, i), l), batch))
    return made


# ---- PyTorch as a worker: {"do": "prepare"|"run"|"quit"} in JSON lines
class Training:
    """One model with its optimizer; variants of the same layout share it."""

    def __init__(self, torch, case, layout):
        torch.manual_seed(0)
        _, batch, options = CASES[case]
        rows = int(options[1]) if case == "dlrm_small" else 4194304
        make = {"resnet50": resnet50, "unet": unet, "ogbg": graph_network}.get(case, lambda t: dlrm(t, rows))
        data = {"resnet50": images, "unet": slices, "ogbg": molecules}.get(case, lambda t, b, f: clicks(t, b, f, rows))
        self.torch, self.model, self.at = torch, make(torch), 0
        if layout == torch.channels_last:
            self.model = self.model.to(memory_format=layout)
        self.batches = data(torch, batch, layout)
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self.optimizer = self.choose_optimizer()

    def choose_optimizer(self):
        names, best = ("fused",) if self.parameters >= LARGE else ("fused", "foreach"), None
        for name in names:
            optimizer = self.torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=0.004, **{name: True})
            seconds = []
            while len(names) > 1 and len(seconds) < 4:
                for p in self.model.parameters():
                    p.grad = self.torch.zeros_like(p)
                t0 = time.perf_counter()
                optimizer.step()
                seconds.append(time.perf_counter() - t0)
            if best is None or min(seconds) < best:
                best, self.adamw, chosen = min(seconds, default=0.0), name, optimizer
        return chosen

    def step(self, model):
        loss_of, samples = self.batches[self.at % len(self.batches)]
        self.at += 1
        t0 = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        t1 = time.perf_counter()
        loss = loss_of(model)
        t2 = time.perf_counter()
        loss.backward()
        t3 = time.perf_counter()
        self.optimizer.step()
        t4 = time.perf_counter()
        return dict(forward=t2 - t1, backward=t3 - t2, optimizer=t4 - t3, iteration=t4 - t0, samples=samples)


def serve(threads):
    import torch
    torch.set_num_threads(threads)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    variants = {}
    for line in sys.stdin:
        q = json.loads(line)
        try:
            if q["do"] == "prepare":
                case = q["case"]
                layouts = {"eager": torch.contiguous_format}
                if case in ("resnet50", "unet"):
                    layouts = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
                variants, best = {}, None
                for name, layout in layouts.items():
                    training = Training(torch, case, layout)
                    seconds = min(training.step(training.model)["iteration"] for _ in range(2)) if len(layouts) > 1 else 0.0
                    if best is None or seconds < best:
                        best, variants = seconds, {name: (training, training.model)}
                (training, model), = variants.values()
                if q["compile"]:
                    compiled = torch.compile(model, dynamic=True if case == "ogbg" else None)
                    for _ in range(len(training.batches)):
                        training.step(compiled)
                    variants["compile"] = training, compiled
                r = {"ok": True, "variants": {v: t.adamw for v, (t, _) in variants.items()}, "parameters": training.parameters}
            elif q["do"] == "run":
                training, model = variants[q["variant"]]
                training.step(model)
                r = {"ok": True, "steps": [training.step(model) for _ in range(q["steps"])]}
            else:
                break
        except Exception as ex:
            import traceback
            traceback.print_exc()
            r = {"ok": False, "why": f"{type(ex).__name__}: {ex}"[:300]}
        out.write(json.dumps(r) + "\n")


# ---- stepcost
def run_stepcost(a, case, steps):
    workload, batch, options = CASES[case]
    cpus = ",".join(str(i) for i in sorted(os.sched_getaffinity(0))[:a.threads])
    argv = ["taskset", "-c", cpus] + shlex.split(a.stepcost) + [
        "train", "--bench", "--workload", workload, "--data", "synthetic", "--optimizer", "adamw", "--batch", str(batch),
        "--steps", str(steps), "--threads", str(a.threads), "--no-cost", "--json", "-"] + options + shlex.split(a.options)
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=900)
    if p.returncode:
        raise RuntimeError(f"stepcost ends with {p.returncode}: {p.stderr.decode()[-300:]}")
    report = json.loads(p.stdout)
    found = {}
    for variant in ("plain", "fused"):
        part = report.get(variant)
        if part:
            found[variant] = dict(rate=part["samples_per_second"], parameters=report["parameters"],
                                  phases={k: (part["ms"][k]["min"] * 1e-3, part["ms"][k]["median"] * 1e-3) for k in PHASES})
    return found


# ---- Rounds
def measure(a, case, emit):
    batch, rounds = CASES[case][1], {}
    worker = harness.Worker("torch_train", [a.python, os.path.abspath(__file__), "--serve", "--threads", str(a.threads)], a.threads)
    ready = worker.ask({"do": "prepare", "case": case, "compile": a.compile}, timeout=1800)
    base = {"workload": case, "batch": batch, "threads": a.threads}
    lanes = list(ready.get("variants", {}))
    if not ready["ok"]:
        emit(dict(base, peer="torch", error=ready["why"]))
    if a.stepcost:
        lanes.append(None)
    parameters = ready.get("parameters")
    for r in range(a.rounds):
        turn = r % max(1, len(lanes))
        for variant in lanes[turn:] + lanes[:turn]:
            time.sleep(0.05)  # the last peer's threads go to sleep
            if variant is None:
                for name, got in run_stepcost(a, case, a.steps).items():
                    rounds.setdefault(("stepcost", name), []).append((got["rate"], got["phases"]))
                    if parameters not in (None, got["parameters"]):
                        raise RuntimeError(f"{case}: {got['parameters']} parameters in stepcost, {parameters} in PyTorch")
                continue
            got = worker.ask({"do": "run", "variant": variant, "steps": a.steps})
            if not got["ok"]:
                emit(dict(base, peer="torch", variant=variant, error=got["why"]))
                continue
            steps = got["steps"]
            rate = sum(s["samples"] for s in steps) / sum(s["iteration"] for s in steps)
            phases = {k: (min(s[k] for s in steps), statistics.median(s[k] for s in steps)) for k in PHASES}
            label = f"{variant}, {ready['variants'][variant]}"
            rounds.setdefault(("torch", label), []).append((rate, phases))
    worker.close()
    rates = {}
    for (peer, variant), list_ in rounds.items():
        median, best = statistics.median(r for r, _ in list_), max(r for r, _ in list_)
        rates.setdefault(peer, []).append((median, best))
        for phase in PHASES:
            emit(dict(base, peer=peer, variant=variant, phase=phase,
                      seconds_min=round(min(p[phase][0] for _, p in list_), 6),
                      seconds_med=round(statistics.median(p[phase][1] for _, p in list_), 6),
                      samples_per_second=round(median, 3), samples_per_second_best=round(best, 3), rounds=len(list_),
                      steps=a.steps))
    if len(rates) == 2:
        plain = [list_ for (peer, variant), list_ in rounds.items() if (peer, variant) == ("stepcost", "plain")][0]
        ours = statistics.median(r for r, _ in plain), max(r for r, _ in plain)
        theirs = [max(r[i] for r in rates["torch"]) for i in (0, 1)]
        emit(dict(base, ratio_med=round(ours[0] / theirs[0], 3), ratio_best=round(ours[1] / theirs[1], 3)))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--stepcost", default="", metavar='"CMD"', help="the command, such as ./stepcost; without it PyTorch alone")
    ap.add_argument("--options", default="", help="further options of stepcost train, such as --fused-step or --tune FILE")
    ap.add_argument("--python", default=os.path.join(harness.HERE, "venv", "bin", "python"), help="of the environment with PyTorch")
    ap.add_argument("--workloads", default="resnet50,unet,ogbg,dlrm_small,dlrm")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--steps", type=int, default=5, help="timed steps of a variant in a round")
    ap.add_argument("--compile", action="store_true", help="torch.compile as well; minutes of compilation")
    ap.add_argument("--out", default="", help="append the JSON lines to this file too")
    ap.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.serve:
        return serve(a.threads)
    unknown = [w for w in a.workloads.split(",") if w not in CASES]
    if unknown:
        ap.error(f"no workload {unknown[0]}; there are {', '.join(CASES)}")
    os.makedirs(os.path.join(harness.HERE, "logs"), exist_ok=True)

    def emit(d):
        print(json.dumps(d), flush=True)
        if a.out:
            with open(a.out, "a") as f:
                f.write(json.dumps(d) + "\n")

    for case in a.workloads.split(","):
        measure(a, case, emit)


if __name__ == "__main__":
    main()

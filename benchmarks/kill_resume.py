"""Interrupt and resume: kill -9 at random points of a short CPU run, and compare the final weights bit for bit.

    python benchmarks/kill_resume.py --kills 5 --out kill_resume.json

One run is left alone. Another is killed with signal 9 after a random time, continued with `--resume`, killed again, and
so on; both are separate processes of the `medvlp pretrain` command, data loading, validation and writing of checkpoints
included, so that a kill may fall anywhere. Target: all tensors of the best and the last model are equal in every bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from phantom_store import phantom_store
from safetensors.torch import load_file

RECIPE = """
method: devide
findings: phantom15
data: {{store: {store}, batch_size: 16}}
image_encoder: {{name: resnet10t, dim: 64}}
text_encoder: {{layers: 1, width: 64, heads: 2, vocab_size: 1000}}
training: {{max_steps: {steps}, epochs: 1000, warmup_steps: 4, ema: 0.95, accumulate: 2, precision: bf16,
           accelerator: cpu, log_every: 5, validate_every: 10, checkpoint_every: 3}}
"""


def command(recipe: Path, out: Path) -> list[str]:
    medvlp = str(Path(sys.executable).with_name("medvlp"))
    return [medvlp, "pretrain", str(recipe), "--out", str(out), "--resume", "--json"]


def steps_done(out: Path) -> int:
    """The last step in the metrics file: how far a run is, seen from outside."""
    path = out / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def killed_run(recipe: Path, out: Path, moments: list[float], steps: int) -> list[dict[str, object]]:
    """Run to the end with a kill at each moment, given as a share of the steps; returns what each kill met."""
    kills = []
    for moment in sorted(moments):
        process = subprocess.Popen(command(recipe, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and steps_done(out) < moment * steps:
            time.sleep(0.02)
        time.sleep(random.random() * 1.5)
        if process.poll() is not None:
            raise SystemExit("the run ended before it could be killed; raise --steps")
        process.send_signal(signal.SIGKILL)
        process.wait()
        files = sorted(path.name for path in out.rglob(".partial/*"))
        kills.append({"after_logged_step": steps_done(out), "half_written": files})
        print(f"killed after logged step {kills[-1]['after_logged_step']} {files}", flush=True)
    subprocess.run(command(recipe, out), check=True, stdout=subprocess.DEVNULL)
    return kills


def fingerprint(model: Path) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(model / "model.safetensors").items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="folder for store and runs; default a temporary one")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    work = arguments.work or Path(tempfile.mkdtemp(prefix="kill_resume"))
    store = phantom_store(work, patients=30, size=64)
    recipe = work / "recipe.yaml"
    recipe.write_text(RECIPE.format(store=store.path, steps=arguments.steps))
    subprocess.run(command(recipe, work / "whole"), check=True, stdout=subprocess.DEVNULL)
    moments = [random.uniform(0.0, 0.9) for _ in range(arguments.kills)]
    kills = killed_run(recipe, work / "killed", moments, arguments.steps)
    models = {
        name: [fingerprint(work / run / folder) for run in ("whole", "killed")]
        for name, folder in (("best", "."), ("last", "last"))
    }
    equal = all(whole == killed for whole, killed in models.values())
    result = {"equal": equal, "weights": models, "steps": arguments.steps, "kills": kills}
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()

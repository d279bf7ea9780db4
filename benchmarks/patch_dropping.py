"""Training steps of CLIP on a vision transformer, with all patches and with a part of them (FLIP), in one run.

    python benchmarks/patch_dropping.py --threads 2
    python benchmarks/patch_dropping.py --model vit_base_patch16_224 --device cuda --batch 64 --json patch_dropping.json

Target: at 50 % at least 1.5 times as many samples a second. A sample is an image with its report; a step is forward,
backward and update of the whole method (both towers), in bfloat16 autocast on a GPU and float32 on a CPU. The two take
turns, and the best of `--repeat` counts. Input is random: nothing is read from disk.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import nullcontext
from pathlib import Path

import torch

from medvlp.data.batch import Batch
from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Method, build_method
from medvlp.models import ImageEncoder, ReportTokenizer, TextEncoder

FINDINGS = ("pleural_effusion", "pneumothorax")


def clip(model: str, size: int, dropping: float, device: str) -> Method:
    """CLIP on a vision transformer and a BERT of 4 layers."""
    book = KnowledgeBook.load("default")
    texts = [text for row in book.texts(book.findings, ("definition", "radiographic")) for text in row if text]
    tokenizer = ReportTokenizer.train(texts, vocab_size=2000)
    torch.manual_seed(0)
    return (
        build_method(
            "clip",
            image_encoder=ImageEncoder(model, image_size=size, dim=256, patch_dropping=dropping),
            text_encoder=TextEncoder("small", vocab_size=tokenizer.vocab_size, layers=4, width=256),
            tokenizer=tokenizer,
            findings=FINDINGS,
            book=book,
        )
        .to(device)
        .train()
    )


def random_batch(images: int, size: int, device: str) -> Batch:
    """Noise, and reports of 64 tokens."""
    torch.manual_seed(1)
    ids = [str(i) for i in range(images)]
    return Batch(
        images=torch.randn(images, 1, size, size),
        report_tokens=torch.randint(5, 500, (images, 64)),
        report_mask=torch.ones(images, 64, dtype=torch.bool),
        sentence_tokens=torch.zeros(images, 1, 1, dtype=torch.long),
        sentence_mask=torch.zeros(images, 1, 1, dtype=torch.bool),
        findings=torch.zeros(images, len(FINDINGS), dtype=torch.int8),
        sentence_findings=torch.full((images, 1, len(FINDINGS)), -1, dtype=torch.int8),
        text_group=torch.arange(images),
        image_ids=ids,
        study_ids=ids,
        patient_ids=ids,
    ).to(device)


class Steps:
    """Training steps of one method on one batch, timed."""

    def __init__(self, method: Method, batch: Batch) -> None:
        self.method, self.batch = method, batch
        self.optimizer = torch.optim.AdamW(method.parameters(), lr=1e-4)
        self.on_gpu = batch.images.is_cuda

    def seconds(self, count: int) -> float:
        """Seconds that `count` steps take."""
        self._wait()
        start = time.perf_counter()
        for _ in range(count):
            with torch.autocast("cuda", torch.bfloat16) if self.on_gpu else nullcontext():
                loss = torch.stack(list(self.method.losses(self.batch).values())).sum()
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vit_small_patch16_224", help="a vision transformer of timm")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--dropping", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=3, help="steps of one measurement")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    batch = random_batch(arguments.batch, arguments.size, arguments.device)
    rates = (0.0, arguments.dropping)
    runs = [Steps(clip(arguments.model, arguments.size, rate, arguments.device), batch) for rate in rates]
    for run in runs:
        run.seconds(1)
    best = [float("inf")] * len(runs)
    for _ in range(arguments.repeat):
        best = [min(so_far, run.seconds(arguments.steps)) for so_far, run in zip(best, runs, strict=True)]
    whole, some = (arguments.batch * arguments.steps / seconds for seconds in best)
    print(
        f"{arguments.model}, {arguments.size} px, batch {arguments.batch}, {arguments.device}: all patches "
        f"{whole:.1f} samples/s, {arguments.dropping:.0%} dropped {some:.1f} samples/s ({some / whole:.2f} x)"
    )
    if arguments.json:
        settings = {key: value for key, value in vars(arguments).items() if key != "json"}
        row = {**settings, "whole_per_s": whole, "dropped_per_s": some, "faster": some / whole}
        arguments.json.write_text(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()

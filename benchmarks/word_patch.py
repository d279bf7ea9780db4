"""The word-patch local loss and word pooling against loops of the published structure, in one run.

    python benchmarks/word_patch.py --threads 2
    python benchmarks/word_patch.py --threads 2 --batch 8 16 32 --json word_patch.json
    python benchmarks/word_patch.py --peak 64 128 256                                    # memory of a step in bfloat16

Targets (B = 32, 19 x 19 patches, captions of 5 to 39 words, d = 768, float32, CPU, 2 cores): forward and backward at
least 5 times faster than the loop, at most 1/30 of its memory saved for backward, which grows linearly with B; word
pooling at least 5 times faster than the loop over tokens. Timings alternate between the two, and the best of `--repeat`
counts. The loops are ours, written after the published structure: one caption at a time against all images, with the
copies that the transposes cost; one word at a time for pooling.

`--peak` asks whether the loss in bfloat16 fits on a GPU (target: B = 256 in 8 GiB), 39 words in each caption. Where
there is a GPU it reads `torch.cuda.max_memory_allocated`. Elsewhere it adds up the storages that are alive after each
operation of forward and backward, on the `meta` device: tensors with shape and type but without values, which take the
way of an accelerator through the code (padded words, 16 images at a time), so that the tensors are those of a GPU, in
number, shape and type. It does not see what kernels need inside of themselves (cuBLAS: some tens of MiB), the
allocator's rounding to 512 bytes, its reserve and fragmentation, and the CUDA context.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medvlp.models import pool_words
from medvlp.objectives import info_nce, word_patch_similarity


def loop_over_captions(patches: Tensor, words: Tensor, lengths: list[int]) -> Tensor:
    """The published structure: caption by caption, repeated for each image."""
    images, cells, _ = patches.shape
    columns = patches.transpose(1, 2).contiguous()  # [B, D, P], as a feature map lies in memory
    scores = []
    for text, length in zip(words, lengths, strict=True):
        repeated = text[:length].t().unsqueeze(0).contiguous().repeat(images, 1, 1)  # [B, D, L]
        attention = torch.bmm(columns.transpose(1, 2).contiguous(), repeated)  # [B, P, L]
        attention = attention.view(images * cells, length).softmax(-1).view(images, cells, length)
        attention = attention.transpose(1, 2).contiguous().view(images * length, cells) * 4.0
        attention = attention.softmax(-1).view(images, length, cells)
        context = torch.bmm(columns, attention.transpose(1, 2).contiguous())  # [B, D, L]
        word = repeated.transpose(1, 2).contiguous().view(images * length, -1)
        context = context.transpose(1, 2).contiguous().view(images * length, -1)
        cosine = (word * context).sum(1) / (word.norm(2, 1) * context.norm(2, 1)).clamp(min=1e-8)
        scores.append((cosine.view(images, length) * 5.0).exp().sum(1, keepdim=True).log())
    return torch.cat(scores, 1) * 10.0


def loop_over_tokens(tokens: Tensor, ids: Tensor, mask: Tensor, continues: Tensor) -> list[Tensor]:
    """The published structure: token by token, asking for each id."""
    texts = []
    for row, row_ids, row_mask in zip(tokens, ids, mask, strict=True):
        words: list[list[Tensor]] = []
        for token, i, counts in zip(row, row_ids, row_mask, strict=True):
            if not counts.item():
                continue
            if words and continues[i.item()].item():
                words[-1].append(token)
            else:
                words.append([token])
        texts.append(torch.stack([torch.stack(word).mean(0) for word in words]))
    return texts


def saved_for_backward(forward: Callable[[], Tensor]) -> int:
    """Bytes of the distinct storages that autograd keeps."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    del result
    return sum(kept.values())


class LiveStorages(TorchDispatchMode):
    """Most bytes of storages that were alive at once after an operation inside of the block.

    A view adds nothing, and a storage counts until nobody holds it: neither a variable nor autograd.
    """

    def __init__(self, *held: Tensor) -> None:
        super().__init__()
        self.most = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self._count(held)

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        self._count(leaf for leaf in tree_leaves(made) if isinstance(leaf, Tensor))
        return made

    def _count(self, tensors: Iterable[Tensor]) -> None:
        for storage in (tensor.untyped_storage() for tensor in tensors):
            self._alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self._alive = {key: entry for key, entry in self._alive.items() if not entry[0].expired()}
        self.most = max(self.most, sum(size for _, size in self._alive.values()))


def peak_of_step(batch: int, words: int = 39, patches: int = 361, width: int = 768) -> int:
    """Bytes that forward and backward of the local loss hold at most, inputs and gradients included."""
    device = "cuda" if torch.cuda.is_available() else "meta"
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    v = torch.randn(batch, patches, width, device=device, dtype=torch.bfloat16).requires_grad_()
    w = torch.randn(batch, words, width, device=device, dtype=torch.bfloat16).requires_grad_()
    mask, target = torch.ones(w.shape[:2], dtype=torch.bool, device=device), torch.eye(batch, device=device)
    # Training computes losses under autocast, and calls backward outside. The loss itself is float32 inside of it.
    mixed = torch.autocast(device, torch.bfloat16) if device == "cuda" else nullcontext()
    with LiveStorages(v.detach(), w.detach(), mask, target) if device == "meta" else nullcontext() as live:
        with mixed:
            loss = info_nce(word_patch_similarity(v, w, mask), target)
        loss.backward()
    return torch.cuda.max_memory_allocated() if live is None else live.most


def best_times(functions: list[Callable[[], object]], repeat: int) -> list[tuple[float, float]]:
    """Least seconds of wall and of CPU time of each, taken in turn."""
    times = [(float("inf"), float("inf"))] * len(functions)
    for _ in range(repeat):
        for i, function in enumerate(functions):
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            spent = time.perf_counter() - wall, time.process_time() - cpu
            times[i] = min(times[i][0], spent[0]), min(times[i][1], spent[1])
    return times


def compared(loop: tuple[float, float], ours: tuple[float, float], **others: float) -> dict[str, float]:
    """A row of the result: on a machine that does other work, trust the CPU times."""
    return {
        "loop_s": loop[0],
        "ours_s": ours[0],
        "faster": loop[0] / ours[0],
        "loop_cpu_s": loop[1],
        "ours_cpu_s": ours[1],
        "faster_cpu": loop[1] / ours[1],
        **others,
    }


def local_loss(batch: int, repeat: int) -> dict[str, float]:
    """Both versions on the same tensors: time, memory and the difference of their results."""
    torch.manual_seed(0)
    patches = F.normalize(torch.randn(batch, 361, 768), dim=2).requires_grad_()
    words = F.normalize(torch.randn(batch, 39, 768), dim=2).requires_grad_()
    lengths = torch.randint(5, 40, (batch,))
    mask, target = torch.arange(39) < lengths[:, None], torch.eye(batch)
    scores = [
        lambda: loop_over_captions(patches, words, lengths.tolist()),
        lambda: word_patch_similarity(patches, words, mask),
    ]
    gradients = []
    for score in scores:
        patches.grad = words.grad = None
        loss = info_nce(score(), target)
        loss.backward()
        gradients.append((loss.detach(), patches.grad, words.grad))
    difference = max(float((a - b).abs().max()) for a, b in zip(*gradients, strict=True))
    memory = [saved_for_backward(score) / 2**20 for score in scores]
    loop, ours = best_times([lambda s=s: info_nce(s(), target).backward() for s in scores], repeat)
    return compared(loop, ours, batch=batch, loop_mib=memory[0], ours_mib=memory[1], difference=difference)


def word_pooling(repeat: int) -> dict[str, dict[str, float]]:
    """48 reports of 112 pieces, width 768: forward alone, and forward and backward."""
    torch.manual_seed(0)
    ids, mask = torch.randint(0, 1000, (48, 112)), torch.rand(48, 112).cumsum(1) < 40
    tokens, continues = torch.randn(48, 112, 768, requires_grad=True), torch.arange(1000) % 3 == 0

    def loop() -> Tensor:
        return torch.cat(loop_over_tokens(tokens, ids, mask, continues))

    def ours() -> Tensor:
        return pool_words(tokens, ids, mask, continues)[0]

    found = pool_words(tokens, ids, mask, continues)[1]
    upstream = torch.randn(int(found.sum()), 768)
    padded = torch.zeros(*found.shape, 768).masked_scatter(found[..., None], upstream)
    (expected,) = torch.autograd.grad(loop(), tokens, upstream)
    (gradient,) = torch.autograd.grad(ours(), tokens, padded)
    difference = max(float((a - b).detach().abs().max()) for a, b in ((ours()[found], loop()), (gradient, expected)))
    forward = best_times([loop, ours], repeat)
    steps = [
        lambda: torch.autograd.grad(loop(), tokens, upstream),
        lambda: torch.autograd.grad(ours(), tokens, padded),
    ]
    step = best_times(steps, repeat)
    return {
        "forward": compared(*forward, difference=difference),
        "forward and backward": compared(*step, difference=difference),
    }


def in_words(row: dict[str, float]) -> str:
    return (
        f"{row['loop_s']:.3f} -> {row['ours_s']:.3f} s ({row['faster']:.1f} x), CPU {row['loop_cpu_s']:.3f} -> "
        f"{row['ours_cpu_s']:.3f} s ({row['faster_cpu']:.1f} x), largest difference {row['difference']:.0e};"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[32])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--peak", type=int, nargs="+", help="batches whose peak of memory is asked for, and nothing else"
    )
    arguments = parser.parse_args()
    if arguments.peak:
        how = "torch.cuda.max_memory_allocated" if torch.cuda.is_available() else "live storages on the meta device"
        print("bfloat16, 361 patches, 39 words, d = 768; forward and backward:", how)
        for batch in arguments.peak:
            print(f"B = {batch}: {peak_of_step(batch) / 2**20:.0f} MiB", flush=True)
        return
    torch.set_num_threads(arguments.threads)
    pooling = word_pooling(arguments.repeat)
    for part, row in pooling.items():
        print(f"word pooling, {part}:", in_words(row))
    losses = []
    for batch in arguments.batch:
        row = local_loss(batch, arguments.repeat)
        losses.append(row)
        share = row["loop_mib"] / row["ours_mib"]
        print(
            f"B = {batch}:",
            in_words(row),
            f"{row['loop_mib']:.0f} -> {row['ours_mib']:.0f} MiB (1/{share:.0f})",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"pooling": pooling, "local_loss": losses}, indent=1))


if __name__ == "__main__":
    main()

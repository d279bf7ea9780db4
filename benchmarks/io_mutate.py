"""Hostile input: read thousands of damaged files and count crashes, hangs and memory.

    python benchmarks/io_mutate.py --count 10000 --seed 0 --out mutate.json             # decoders in this process
    python benchmarks/io_mutate.py --count 10000 --seed 0 --isolated --out mutate.json  # in a child that may die

Seeds are pydicom's own test files, the files of MEDVLP_REAL_DATA/dicom and MEDVLP_REAL_DATA/ct, and pictures made here.
A mutation is a pure function of (seed, index): bits flipped, bytes overwritten, cut, doubled or dropped, a header
element set to a hostile value (65,535 rows, a length beyond the file, 2^31 frames, ...), or, half of the time, the same
in the compressed pixels alone. Targets: no crash, no read above 20 s, none above 2 GiB, and every refusal a ReadError
whose reason was foreseen.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import random
import re
import struct
import tempfile
import time
from io import BytesIO
from pathlib import Path

SLOW_SECONDS, MAX_RSS = 20.0, 2 << 30
HOSTILE_SHORTS = (0, 1, 2, 7, 8, 12, 16, 255, 32767, 65535)
HOSTILE_ELEMENTS = (
    b"\x28\x00\x10\x00", b"\x28\x00\x11\x00", b"\x28\x00\x00\x01", b"\x28\x00\x01\x01", b"\x28\x00\x02\x01",
    b"\x28\x00\x02\x00", b"\x28\x00\x03\x01", b"\x28\x00\x06\x00", b"\x28\x00\x08\x00", b"\x28\x00\x50\x10",
    b"\x28\x00\x51\x10", b"\x28\x00\x52\x10", b"\x28\x00\x53\x10", b"\x28\x00\x02\x30", b"\x28\x00\x06\x30",
    b"\xe0\x7f\x10\x00", b"\xfe\xff\x00\xe0", b"\x28\x00\x04\x00", b"\x28\x00\x20\x01", b"\x02\x00\x10\x00",
)  # fmt: skip


def seed_files() -> list[Path]:
    """Files to damage, in a fixed order."""
    import pydicom.data

    own = Path(pydicom.data.__file__).parent / "test_files"
    real = Path(os.environ.get("MEDVLP_REAL_DATA", "../shared/data"))
    found = [*own.rglob("*.dcm"), *(real / "dicom").rglob("*"), *(real / "ct").rglob("*.nii.gz")]
    series = sorted((real / "ct").rglob("*.dcm"))[:1]
    return sorted((path for path in [*found, *series] if path.is_file()), key=lambda path: path.name)


def pictures() -> list[tuple[str, bytes]]:
    """A PNG, a 16-bit PNG, a JPEG and a TIFF of a gradient."""
    import numpy as np
    from PIL import Image

    gradient = np.add.outer(np.arange(200), np.arange(300))
    made = []
    for kind, values in (("png", gradient % 256), ("png", gradient * 80), ("jpeg", gradient % 256), ("tiff", gradient)):
        stream = BytesIO()
        Image.fromarray(values.astype("uint16" if values.max() > 255 else "uint8")).save(stream, kind)
        made.append((f"gradient.{kind}", stream.getvalue()))
    return made


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One damaged copy of `data`."""
    copy = bytearray(data)
    pixels = data.rfind(b"\xe0\x7f\x10\x00")
    if pixels > 0 and rng.random() < 0.5:
        return bytes(copy[: pixels + 60]) + _same_size(copy[pixels + 60 :], rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        kind = rng.randrange(8)
        where = rng.randrange(len(copy)) if rng.random() < 0.5 else rng.randrange(min(len(copy), 4096))
        if kind == 0:
            copy[where] ^= 1 << rng.randrange(8)
        elif kind == 1:
            run = rng.choice((1, 2, 4, 16, 256))
            copy[where : where + run] = bytes(rng.randrange(256) for _ in range(min(run, len(copy) - where)))
        elif kind == 2:
            del copy[where + 1 :]
        elif kind == 3:
            run = rng.choice((1, 2, 8, 100, 5000))
            copy[where:where] = copy[where : where + run]
        elif kind == 4:
            del copy[where : where + rng.choice((1, 2, 8, 100, 5000))]
        elif kind == 5:
            copy[where : where + 4] = struct.pack("<I", rng.choice((0, 1, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)))
        else:
            _hostile_element(copy, rng)
        if not copy:
            copy = bytearray(b"\0")
    return bytes(copy)


def _same_size(payload: bytearray, rng: random.Random) -> bytes:
    """Damage that no length gives away: it reaches the decoders."""
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if payload else 0):
        where = rng.randrange(len(payload)) if rng.random() < 0.6 else rng.randrange(min(len(payload), 200))
        run = min(rng.choice((1, 1, 2, 4, 64)), len(payload) - where)
        payload[where : where + run] = bytes(rng.choice((0, 0xFF, rng.randrange(256))) for _ in range(run))
    return bytes(payload)


def _hostile_element(copy: bytearray, rng: random.Random) -> None:
    tag = rng.choice(HOSTILE_ELEMENTS)
    places = [match.start() for match in re.finditer(re.escape(tag), bytes(copy))]
    if not places:
        return
    at = rng.choice(places)
    if rng.random() < 0.3:
        copy[at + 6 : at + 8] = struct.pack("<H", rng.choice(HOSTILE_SHORTS))  # its length
    elif rng.random() < 0.5:
        copy[at + 8 : at + 10] = struct.pack("<H", rng.choice(HOSTILE_SHORTS))  # its value
    else:
        text = rng.choice((b"99999999", b"2147483648", b"-1", b"1e400", b"nan", b"0", b"\\\\", b"1\\2\\3"))
        copy[at + 8 : at + 8 + len(text)] = text


def worker(first: int, last: int, step: int, seed: int, isolated: bool, out: str) -> None:
    """Read every `step`-th damaged file from `first`; one JSON line for each, begun before it is read."""
    from medvlp.io import ReadError, read_image, read_volume

    sources = [(path.name, path.read_bytes()) for path in seed_files()] + pictures()
    with open(out, "a", buffering=1) as log, tempfile.TemporaryDirectory() as folder:
        for index in range(first, last, step):
            rng = random.Random(f"{seed}/{index}")
            name, data = sources[rng.randrange(len(sources))]
            path = Path(folder) / ("x.nii.gz" if name.endswith(".nii.gz") else "x.dcm")
            path.write_bytes(mutate(data, rng))
            log.write(f'{{"index": {index}, "file": "{name}", ')
            Path("/proc/self/clear_refs").write_text("5")  # begin a new peak
            start, outcome = time.perf_counter(), "read"
            try:
                if name.endswith(".nii.gz") or index % 4 == 0:
                    read_volume(path, isolated=isolated)
                else:
                    read_image(path, isolated=isolated)
            except ReadError as error:
                outcome = error.reason
            seconds = time.perf_counter() - start
            peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) << 10
            log.write(f'"seconds": {seconds:.3f}, "peak": {peak}, "outcome": {json.dumps(outcome)}}}\n')


def run(count: int, seed: int, isolated: bool, workers: int) -> dict[str, object]:
    """All damaged files over `workers` processes that are started again where they die."""
    context = multiprocessing.get_context("spawn")
    logs = [tempfile.mkstemp(suffix=".jsonl")[1] for _ in range(workers)]
    crashes: list[dict[str, object]] = []
    for lane, log in enumerate(logs):
        first = lane
        while first < count:
            process = context.Process(target=worker, args=(first, count, workers, seed, isolated, log))
            process.start()
            process.join()
            if process.exitcode == 0:
                break
            lines = Path(log).read_text().splitlines()
            begun = json.loads(lines[-1].rstrip(", ") + "}")
            crashes.append({**begun, "exit": process.exitcode})
            Path(log).write_text("\n".join(lines[:-1]) + "\n")
            first = int(begun["index"]) + workers
    rows = [json.loads(line) for log in logs for line in Path(log).read_text().splitlines() if line]
    reasons = collections.Counter(re.sub(r"[\d,.]+|\(.*?\)|'.*?'", "#", row["outcome"]) for row in rows)
    return {
        "count": len(rows) + len(crashes),
        "read": reasons.pop("read", 0),
        "crashes": crashes,
        "unforeseen": [row for row in rows if "please report" in row["outcome"]],
        "slow": [row for row in rows if row["seconds"] > SLOW_SECONDS],
        "large": [row for row in rows if row["peak"] > MAX_RSS],
        "slowest seconds": max(row["seconds"] for row in rows),
        "largest peak MiB": max(row["peak"] for row in rows) >> 20,
        "refusals": reasons.most_common(60),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--isolated", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", default="-")
    options = parser.parse_args()
    result = run(options.count, options.seed, options.isolated, options.workers)
    text = json.dumps(result, indent=1)
    print(text) if options.out == "-" else Path(options.out).write_text(text)

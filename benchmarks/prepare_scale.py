"""What preparing a large archive costs: time an image, memory of each process, and how busy the cores are.

    python benchmarks/prepare_scale.py --studies 20000 --workers 2 --out prepare_scale.json
    python benchmarks/prepare_scale.py --studies 200 --full-size 1 --workers 2

An archive in MIMIC-CXR's layout is made of `--seeds` generated patients, multiplied until it has `--studies` studies:
each image has its own file name (a link to one of the generated files), each report its own number, so that tables,
shards and reports have their full size. With `--full-size 1` the images are 3056 x 2544, 15.5 MB each, as a
hospital's.

Then `medvlp data index` and `medvlp data prepare` run as a user runs them, while their processes are watched. Printed
are the peak resident memory of parent and of each worker, CPU seconds an image and a report, the share of the
workers' time that they were busy, and what 377,110 images and 227,835 reports would take. Target: below 2 GiB a
process.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from store_read import radiograph, write_dicom

from medvlp.phantom import generate

MIMIC = {"images": 377_110, "reports": 227_835}
LABELS = ["Atelectasis", "Edema", "Pleural Effusion"]


def multiply(seeds: Path, out: Path, studies: int, full_size: bool) -> tuple[int, int]:
    """Write the archive; returns how many images and reports it has."""
    metadata = pd.read_csv(next(seeds.glob("*-metadata.csv.gz")), dtype=str)
    groups = [group for _, group in metadata.groupby("study_id")]
    large = [out / f"large{i}.dcm" for i in range(4)] if full_size else []
    out.mkdir(parents=True)
    for i, path in enumerate(large):
        write_dicom(path, radiograph(i))
    rows = []
    for number in range(studies):
        group = groups[number % len(groups)]
        patient, study = f"{10_000_000 + number // 2}", f"{50_000_000 + number}"
        folder = out / "files" / f"p{patient[:2]}" / f"p{patient}"
        (folder / f"s{study}").mkdir(parents=True)
        for i, image in enumerate(group.itertuples()):
            name = f"{number:08x}-{i:08x}"
            there = seeds / f"files/p{image.subject_id[:2]}/p{image.subject_id}/s{image.study_id}"
            os.link(
                large[len(rows) % 4] if large else there / f"{image.dicom_id}.dcm", folder / f"s{study}" / f"{name}.dcm"
            )
            rows.append([name, patient, study, image.ViewPosition, "train"])
        text = (there.parent / f"s{image.study_id}.txt").read_text()
        (folder / f"s{study}.txt").write_text(f"{text}\n Study number {number} of this archive.\n")
    table = pd.DataFrame(rows, columns=["dicom_id", "subject_id", "study_id", "ViewPosition", "split"])
    labels = table[["subject_id", "study_id"]].drop_duplicates()
    labels = labels.assign(**{label: np.resize(["1.0", "0.0", "-1.0", ""], len(labels)) for label in LABELS})
    for name, part in (("metadata", table.drop(columns="split")), ("split", table), ("chexpert", labels)):
        with gzip.open(out / f"mimic-cxr-2.0.0-{name}.csv.gz", "wt", compresslevel=1) as file:
            part.to_csv(file, index=False)
    return len(table), studies


@dataclass
class Watched:
    """One process: when it was first and last seen, its peak memory, and how long it ran or waited for a core."""

    first: float
    last: float = 0.0
    mib: float = 0.0
    cpu: float = 0.0
    queued: float = 0.0

    def look(self, pid: int) -> None:
        folder = Path(f"/proc/{pid}")
        self.mib = max(self.mib, int((folder / "status").read_text().split("VmHWM:")[1].split()[0]) / 1024)
        self.cpu, self.queued = (int(ns) / 1e9 for ns in (folder / "schedstat").read_text().split()[:2])
        times = (folder / "stat").read_text().rsplit(")", 1)[1].split()  # all threads; schedstat knows the main one
        self.cpu = max(self.cpu, (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"))
        self.last = time.monotonic()


def watched(command: list[str]) -> dict[str, float]:
    """Run a command and look at its processes: peak memory in MiB, CPU seconds, and how busy the workers were.

    Busy is the share of their life in which workers ran or stood in the queue for a core, so that other work on the
    machine does not count against them; the rest is waiting for the parent or the disk.
    """
    seen: dict[int, Watched] = {}
    start = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", "from medvlp.cli.main import app; app()", *command]) as process:
        while process.poll() is None:
            for pid in [process.pid, *children(process.pid)]:
                try:
                    seen.setdefault(pid, Watched(time.monotonic())).look(pid)
                except (FileNotFoundError, ProcessLookupError, IndexError):
                    continue  # it ended between two looks
            time.sleep(0.1)
    parent = seen.pop(process.pid)
    workers = [w for w in seen.values() if w.last - w.first > 1]
    alive = sum(w.last - w.first for w in workers)
    return {
        "status": process.returncode,
        "wall": time.monotonic() - start,
        "cpu": parent.cpu + sum(w.cpu for w in seen.values()),
        "parent_cpu": parent.cpu,
        "parent_mib": parent.mib,
        "worker_mib": max((w.mib for w in seen.values()), default=0.0),
        "workers_busy": sum(w.cpu + w.queued for w in workers) / alive if alive else 0.0,
    }


def children(pid: int) -> list[int]:
    """Process ids of all descendants."""
    try:
        direct = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return [*direct, *(below for child in direct for below in children(child))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=40, help="generated patients that are multiplied")
    parser.add_argument("--full-size", type=int, default=0, choices=(0, 1))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="where to work; default a temporary folder")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        generate(folder / "seeds", options.seeds, seed=0, size=128, workers=options.workers)
        images, reports = multiply(folder / "seeds", folder / "archive", options.studies, bool(options.full_size))
        manifest, store = str(folder / "manifest.parquet"), str(folder / "store")
        index = watched(["data", "index", "mimic_cxr", str(folder / "archive"), "-o", manifest])
        workers = ["--workers", str(options.workers), "--size", str(options.size)]
        prepare = watched(["data", "prepare", manifest, "-o", store, *workers])
        kib = sum(p.stat().st_size for p in Path(store).rglob("*") if p.is_file()) / 1024
    each = prepare["cpu"] / images
    result = {
        "images": images,
        "reports": reports,
        "index": index,
        "prepare": prepare,
        "cpu_ms_an_image": each * 1000,
        "kib_an_image": kib / images,
        "mimic_core_hours": each * MIMIC["images"] / 3600,
        "mimic_gib": kib / images * MIMIC["images"] / 2**20,
    }
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

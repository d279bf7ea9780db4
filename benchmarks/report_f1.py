"""How well study labels are read: F1 against labels set by hand, with 95 % intervals.

    python benchmarks/report_f1.py --errors errors.txt                # radiograph reports that the rules were tuned on
    python benchmarks/report_f1.py --set ct --part aside              # CT reports whose texts stay unread

Two sets of MEDVLP_REAL_DATA: `radiograph` (folder `openi_reports`, 14 labels; reports are read from FINDINGS and
IMPRESSION, the MeSH headings, from which the labels were made, never) and `ct` (folder `ct_reports`, the 18 labels of
CT-RATE). The parts are fixed by the SHA-256 of the file name or accession number: a third is aside. Intervals: 1,000
resamples of reports.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medvlp.knowledge import LabelSpace
from medvlp.knowledge.study_labels import study_labels
from medvlp.reports import FindingState, parse_report
from medvlp.reports.files import xml_report_text

SPACES = {"radiograph": LabelSpace.load("nih14"), "ct": LabelSpace.load("ctrate18")}
Row = tuple[str, str, np.ndarray]  # name, text, labels [L] of 0 and 1


def is_aside(name: str) -> bool:
    """Whether a report is in the third that is kept aside."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 == 0


def read_radiograph_reports(root: Path) -> Iterator[Row]:
    """The labeled Open-i reports."""
    folder, space = root / "openi_reports", SPACES["radiograph"]
    with (folder / "labels.csv").open() as file:
        rows = {row["filename"]: row for row in csv.DictReader(file)}
    with tarfile.open(folder / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            name = f"CXR{Path(member.name).stem}"
            if name in rows:
                gold = np.array([rows[name][label] == "1" for label in space.labels])
                yield name, xml_report_text(archive.extractfile(member).read()), gold


def read_ct_reports(root: Path) -> Iterator[Row]:
    """The labeled CT reports of CT-RATE."""
    with (root / "ct_reports" / "reports.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield row["AccessionNo"], row["report_text"], np.array([row[c] == "1" for c in SPACES["ct"].labels])


READERS = {"radiograph": read_radiograph_reports, "ct": read_ct_reports}


def f1(gold: np.ndarray, read: np.ndarray) -> float:
    """F1 of two boolean arrays over all their cells."""
    errors = int((gold != read).sum())
    hits = 2 * int((gold & read).sum())
    return hits / (hits + errors) if hits + errors else float("nan")


def macro_f1(gold: np.ndarray, read: np.ndarray, columns: np.ndarray) -> float:
    """Mean F1 over some columns."""
    return float(np.nanmean([f1(gold[:, c], read[:, c]) for c in columns]))


def interval(score, gold: np.ndarray, read: np.ndarray, n: int = 1000) -> tuple[float, float]:
    """95 % percentile interval over resamples of the reports."""
    rng = np.random.default_rng(0)
    values = [score(gold[rows], read[rows]) for rows in rng.integers(0, len(gold), (n, len(gold)))]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def write_errors(path: Path, space: LabelSpace, part: list[Row], read: np.ndarray) -> None:
    """Every disagreement with the sentences that speak of the label; for the tuning part only."""
    with path.open("w") as file:
        for (name, text, gold), row in zip(part, read, strict=True):
            for column in np.flatnonzero(gold != row):
                report = parse_report(text)
                kind = "missed" if gold[column] else "invented"
                file.write(f"\n## {space.labels[column]} {kind} {name}\n")
                for m in report.mentions:
                    cue = f" by {m.cue!r}" if m.cue else ""
                    file.write(f"   {m.finding} {m.assertion}{cue}: {report.words(report.sentences[m.sentence])}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=list(READERS), default="radiograph")
    parser.add_argument("--part", choices=["tune", "aside"], default="tune")
    parser.add_argument("--hedged", choices=["table", "present", "absent"], default="table")
    parser.add_argument("--errors", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    root = Path(os.environ.get("MEDVLP_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    space = SPACES[arguments.set]
    part = [row for row in READERS[arguments.set](root) if is_aside(row[0]) == (arguments.part == "aside")]
    gold = np.stack([labels for _, _, labels in part])
    states = [study_labels(parse_report(text), space, arguments.hedged) for _, text, _ in part]
    read = np.array([[state[f] == FindingState.PRESENT for f in space.findings] for state in states])
    occurring = np.flatnonzero(gold.any(axis=0))
    frequent = np.flatnonzero(gold.sum(axis=0) >= 10)
    micro = f1(gold[:, occurring], read[:, occurring])
    result = {
        "set": arguments.set,
        "part": arguments.part,
        "reports": len(part),
        "hedged": arguments.hedged,
        "micro_f1": micro,
        "micro_interval": interval(lambda g, r: f1(g[:, occurring], r[:, occurring]), gold, read),
        "macro_f1_10_or_more": macro_f1(gold, read, frequent),
        "macro_interval": interval(lambda g, r: macro_f1(g, r, frequent), gold, read),
        "labels": {
            space.labels[c]: {
                "positives": int(gold[:, c].sum()),
                "hit": int((gold & read)[:, c].sum()),
                "invented": int((read & ~gold)[:, c].sum()),
                "f1": f1(gold[:, c], read[:, c]),
            }
            for c in occurring
        },
    }
    if arguments.errors:
        if arguments.part == "aside":
            parser.error("--errors shows texts, and those of the aside part stay unread")
        write_errors(arguments.errors, space, part, read)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

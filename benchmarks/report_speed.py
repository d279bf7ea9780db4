"""Speed of the report parser: reports a second on one core, start-up, memory of the label verb.

    python benchmarks/report_speed.py --out report_speed.json
    python benchmarks/report_speed.py --medspacy /path/to/other/venv/bin/python

Reports: the findings and impressions of the 3,955 Open-i reports (MEDVLP_REAL_DATA), each once, in one pass from an
empty memory; `no_memory` parses each sentence anew. The label run streams `--rows` rows and states the peak memory of
its process at a tenth of the rows and at all of them. medspacy (Eyre et al., AMIA 2021) runs in an environment of its
own, because it pins older versions: its default pipeline with the names of the NIH labels as targets.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

MEASURED = """
import resource, sys
from medvlp.cli.main import app
try:
    app()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_maxrss // 1024, used.ru_utime + used.ru_stime, file=sys.stderr)
"""
MEDSPACY = """
import json, sys, time
import medspacy
from medspacy.ner import TargetRule
texts, names = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
nlp = medspacy.load()
nlp.get_pipe("medspacy_target_matcher").add([TargetRule(name, "FINDING") for name in names])
nlp(texts[0])
start = time.process_time()
for text in texts:
    nlp(text)
print(len(texts) / (time.process_time() - start))
"""


def open_i_texts() -> list[str]:
    """Findings and impression of every Open-i report."""
    from medvlp.reports.files import xml_report_text

    folder = Path(os.environ.get("MEDVLP_REAL_DATA", Path(__file__).parents[2] / "shared" / "data")) / "openi_reports"
    texts = []
    with tarfile.open(folder / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            if member.name.endswith(".xml"):
                text = xml_report_text(archive.extractfile(member).read())
                texts.append(text[text.index("FINDINGS:") :])
    return texts


def parser_rate(texts: list[str], remember: bool) -> float:
    """Reports a second of CPU time, one pass."""
    from medvlp.reports import load_lexicon, parse

    load_lexicon()
    cached = parse.parse_sentence
    cached.cache_clear()
    parse.parse_sentence = cached if remember else cached.__wrapped__
    start = time.process_time()
    for text in texts:
        parse.parse_report(text)
    seconds = time.process_time() - start
    parse.parse_sentence = cached
    return len(texts) / seconds


def medspacy_rate(python: Path, texts: list[str]) -> float:
    """The same for medspacy, in another environment."""
    from medvlp.knowledge import LabelSpace, load_findings

    names = [name for f in LabelSpace.load("nih14").findings for name in load_findings()[f].names]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "texts.json", Path(folder) / "names.json"]
        for path, content in zip(paths, (texts, names), strict=True):
            path.write_text(json.dumps(content))
        run = [python, "-c", MEDSPACY, *paths]
        return float(subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()[-1])


def start_up() -> float:
    """CPU seconds of a fresh process that imports the parser and reads its first report; best of three."""
    code = (
        "import time; from medvlp.reports import parse_report; parse_report('No effusion.'); print(time.process_time())"
    )
    run = [sys.executable, "-c", code]
    return min(float(subprocess.run(run, check=True, capture_output=True, text=True).stdout) for _ in range(3))


def label_run(texts: list[str], rows: int) -> dict[str, float]:
    """Rate, start-up and writing included, and peak memory of `medvlp report label` on a table of different texts."""
    with tempfile.TemporaryDirectory() as folder:
        table, out = Path(folder) / "reports.csv", Path(folder) / "labels.csv"
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text"])
            writer.writerows((k, f"{texts[k % len(texts)]} Nodule of {k} mm.") for k in range(rows))
        run = [sys.executable, "-c", MEASURED, "report", "label", table, "-o", out, "--labels", "nih14", "--json"]
        done = subprocess.run(run, check=True, capture_output=True, text=True)
        peak, seconds = map(float, done.stderr.split()[-2:])
        return {"rows": rows, "rows_per_cpu_second": rows / seconds, "peak_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=250_000)
    parser.add_argument("--medspacy", type=Path, help="Python of an environment with medspacy.")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    texts = open_i_texts()
    result: dict[str, object] = {
        "reports": len(texts),
        "characters_per_report": sum(map(len, texts)) / len(texts),
        "reports_per_second": parser_rate(texts, remember=True),
        "reports_per_second_no_memory": parser_rate(texts, remember=False),
        "start_up_seconds": start_up(),
    }
    if arguments.medspacy:
        some = texts[:: max(1, len(texts) // 400)]
        result["medspacy_reports_per_second"] = medspacy_rate(arguments.medspacy, some)
        result["same_reports_medvlp"] = parser_rate(some, remember=True)
    if arguments.rows:
        result["label_tenth"] = label_run(texts, arguments.rows // 10)
        result["label_all"] = label_run(texts, arguments.rows)
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

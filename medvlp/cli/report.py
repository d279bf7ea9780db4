"""`medvlp report`: read one report on the screen, or label a table or a folder of them."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvlp.cli.error_handler import exit_status, written_as
from medvlp.cli.report_input import count_estimate, open_reports
from medvlp.progress import progress_bar

if TYPE_CHECKING:
    from medvlp.reports import Report

app = typer.Typer(help="Read reports: sections, findings, places, labels.", no_args_is_help=True)


class Hedge(StrEnum):
    """What an uncertain mention counts as."""

    keep = "keep"
    present = "present"
    absent = "absent"
    table = "table"


_COLORS = {"present": "bold red", "absent": "green", "uncertain": "yellow"}


@app.command()
def parse(
    file: Annotated[Path, typer.Argument(help="Report as text or Open-i XML; `-` reads the standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print sections, sentences, mentions as JSON.")] = False,
) -> None:
    """Read a report: findings in red (present), green (absent) and yellow (uncertain), with place and attributes.

    Example: `medvlp report parse s50414267.txt`
    """
    from medvlp.reports import parse_report
    from medvlp.reports.files import read_report_file

    text = sys.stdin.read() if str(file) == "-" else read_report_file(file)
    report = parse_report(text, study=file.stem)
    if as_json:
        typer.echo(json.dumps(_as_dict(report), ensure_ascii=False))
    else:
        _show(report)


@app.command()
def label(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="CSV with columns id and text, or a folder of .txt and .xml reports.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", callback=written_as(".csv"), help="CSV to write: id and one column a label: 1, 0, u, empty."
        ),
    ],
    labels: Annotated[str, typer.Option(help="Label space: nih14, chexpert14, padchest, ... or a YAML file.")],
    hedged: Annotated[
        Hedge, typer.Option(help="What a doubt counts as: keep (u), present, absent, or table (by its words).")
    ] = Hedge.keep,
    sections: Annotated[Path | None, typer.Option(help="Also write the sections, one column each.")] = None,
    triples: Annotated[Path | None, typer.Option(help="Also write (finding, place, assertion) triples.")] = None,
    id_column: Annotated[str, typer.Option(help="Column of the ids.")] = "id",
    text_column: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON; draw no bar.")] = False,
) -> None:
    """Label reports, any number of them: about 2,000 a second, in constant memory.

    Example: `medvlp report label reports.csv -o labels.csv --labels nih14 --hedged table`

    A folder, such as `files/` of MIMIC-CXR, is read file by file; the id is the file's name without its ending, with
    its folders where two files have one name. What cannot be read, and an id that comes again, goes to
    `OUT.quarantine.csv` with its reason, and the exit status is then 1.
    """
    from medvlp.io.paths import refuse_path_conflicts
    from medvlp.knowledge import KnowledgeError, LabelSpace, UnknownNameError
    from medvlp.knowledge.report_tables import label_reports

    try:
        space = LabelSpace.load(labels)
    except (KnowledgeError, UnknownNameError, OSError) as error:
        raise typer.BadParameter(f"--labels: {error}") from error
    outputs = [out, sections, triples, _quarantine(out)]
    refuse_path_conflicts([source], outputs, folders=False)
    refused: list[tuple[str, str]] = []
    done = 0
    with (
        exit_status(2, ValueError, csv.Error),
        open_reports(source, id_column, text_column, refused) as reports,
        progress_bar("reports", as_json) as bar,
    ):
        for done, _ in enumerate(label_reports(reports, space, out, hedged.value, sections, triples), start=1):
            if done % 500 == 0:
                bar(done, count_estimate(reports, done))
        bar(done, done)
    _finish(out, done, refused, as_json)


def _quarantine(out: Path) -> Path:
    return out.with_name(f"{out.name}.quarantine.csv")


def _finish(out: Path, done: int, refused: list[tuple[str, str]], as_json: bool) -> None:
    """Write the quarantine table, print the counts, and end with status 1 where something was refused."""
    quarantine = _quarantine(out)
    if refused:
        with quarantine.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("input", "reason"), *refused])
    if as_json:
        typer.echo(json.dumps({"reports": done, "refused": len(refused), "out": str(out)}))
    else:
        typer.echo(f"{done} reports labeled in {out}")
    if refused:
        typer.secho(f"{len(refused)} could not be read; the reasons are in {quarantine}", err=True, fg="yellow")
        raise typer.Exit(1)


def _as_dict(report: Report) -> dict[str, Any]:
    """The report as plain values, each part with its own words beside its offsets."""

    def parts(name: str) -> Iterator[dict[str, Any]]:
        for part in getattr(report, name):
            yield {**asdict(part), "text": report.words(part)}

    return {"text": report.text, **{name: list(parts(name)) for name in ("sections", "sentences", "mentions")}}


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for section in report.sections:
        console.print(Text((section.heading or section.name).upper(), style="bold underline"))
        for k, sentence in enumerate(report.sentences):
            if not section.start <= sentence.start < section.end:
                continue
            line = Text(report.words(sentence))
            mentions = [m for m in report.mentions if m.sentence == k]
            for m in mentions:
                line.stylize(_COLORS[m.assertion], m.start - sentence.start, m.end - sentence.start)
            console.print(Padding(Text(" ").join(line.split()), (0, 2)))
            for m in mentions:
                values = (m.severity, m.side, m.place, m.temporality, m.size_mm and f"{m.size_mm:g} mm")
                details = " · ".join(str(value) for value in values if value)
                cue = f' by "{" ".join(m.cue.split())}"' if m.cue else ""
                style = _COLORS[m.assertion]
                console.print(
                    Padding(
                        Text.assemble("→ ", (f"{m.finding} {m.assertion}", style), cue, "  ", (details, "dim")), (0, 6)
                    )
                )

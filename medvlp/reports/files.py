"""`read_report_file`: a report from a text file or an Open-i XML file; `find_report_files`: all reports of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from medvlp.errors import MedVLPError
from medvlp.io.walk import walk_folder

_SUFFIXES = (".txt", ".xml")


class ReportFileError(MedVLPError, ValueError):
    """A file that is no report; the message says which and why."""


def read_report_file(path: str | Path) -> str:
    """The text of a report.

    Args:
        path: a text file (UTF-8; bytes that are none become U+FFFD), or an XML file of the Open-i collection.

    Raises:
        ReportFileError: the XML is broken or holds no report section.
    """
    path = Path(path)
    if path.suffix.lower() == ".xml":
        try:
            return xml_report_text(path.read_bytes())
        except ReportFileError as error:
            raise ReportFileError(f"{path}: {error}") from error
    return path.read_text(encoding="utf-8", errors="replace")


def xml_report_text(content: bytes) -> str:
    """The report sections of an Open-i XML file as headed paragraphs ("FINDINGS: ...").

    Only what the radiologist wrote is taken. The MeSH headings of the file are others' labels, and stay out.

    Raises:
        ReportFileError: the XML is broken or holds no `AbstractText`.
    """
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ReportFileError(f"no XML that can be read: {error}") from error
    parts = [(part.get("Label", ""), " ".join((part.text or "").split())) for part in root.iter("AbstractText")]
    if not parts:
        raise ReportFileError("no AbstractText element; a report of the Open-i collection has four")
    return "\n\n".join(f"{label}: {text}" if label else text for label, text in parts)


def find_report_files(folder: str | Path) -> Iterator[Path]:
    """Every `.txt` and `.xml` file below a folder, sorted."""
    return (file for file in walk_folder(folder) if file.suffix.lower() in _SUFFIXES)

"""Findings as they are written on a command line."""

from __future__ import annotations


def finding_list(text: str | None) -> tuple[str, ...] | None:
    """`edema,mass` or the name or file of a label space -> ids; None stays None.

    Raises:
        UnknownNameError: a finding that nobody knows; names the nearest.
        KnowledgeError: a label space file that does not hold what it should.
    """
    if text is None:
        return None
    from medvlp.knowledge import LabelSpace, get_finding

    if text in LabelSpace.names() or text.endswith((".yaml", ".yml")):
        return LabelSpace.load(text).findings
    return tuple(get_finding(part.strip()).id for part in text.split(",") if part.strip())

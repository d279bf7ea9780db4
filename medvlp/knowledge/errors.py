"""`UnknownNameError`: a finding, place, label or facet that nobody knows, with the nearest names that are known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class KnowledgeError(ValueError):
    """A knowledge file (findings, label space, prompts, book) that does not hold what it should: where and what."""


class UnknownNameError(KeyError):
    """A name that is not known. A `KeyError` whose message reads as it was written."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for an unknown name, naming up to three near ones (case and underscores do not count).

    Args:
        kind: what the name should have been, such as "finding" or "place".
        name: what was asked for.
        known: all valid names.
    """
    by_plain = {_plain(k): k for k in known}
    near = [by_plain[n] for n in get_close_matches(_plain(str(name)), by_plain, n=3, cutoff=0.5)]
    if near:
        advice = f"did you mean {' or '.join(repr(n) for n in near)}?"
    elif len(by_plain) <= 20:
        advice = f"known: {', '.join(by_plain.values())}"
    else:
        advice = f"none of the {len(by_plain)} known names is near it"
    return UnknownNameError(f"unknown {kind} {name!r}; {advice}")


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").strip()

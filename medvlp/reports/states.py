"""`FindingState`: the four states that a finding has in a report, one integer each; `resolve_hedge`: doubts decided.

Whatever a report does not mention is UNMENTIONED, and stays so: nothing on the way turns it into ABSENT.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Literal

from medvlp.reports.lexicon import load_lexicon
from medvlp.reports.report import Mention

HedgePolicy = Literal["keep", "present", "absent", "table"]
_UNSTATED = "unstated"  # the class of an uncertain mention without a cue, as label files give them


class FindingState(IntEnum):
    """What a report says of one finding; the value is what tables and tensors (int8) hold."""

    UNMENTIONED = -1
    ABSENT = 0
    PRESENT = 1
    UNCERTAIN = 2

    @classmethod
    def from_cell(cls, cell: object) -> FindingState:
        """Read a table's cell: `1 | 0 | u | empty`, also `present | absent | uncertain | unmentioned`, NaN and 1.0.

        CheXpert's -1 for "uncertain" is not taken here: it would be read as UNMENTIONED or the reverse by somebody, so
        the source that knows its column translates it by name.

        Raises:
            ValueError: the cell is none of the four states.
        """
        if cell is None or cell != cell:  # NaN
            return cls.UNMENTIONED
        text = str(cell).strip().lower()
        if text in _CELLS:
            return _CELLS[text]
        raise ValueError(
            f"{cell!r} is none of the four states; use 1 (present), 0 (absent), u (uncertain) or an empty cell"
        )

    @property
    def cell(self) -> str:
        """The table form: `1`, `0`, `u` or an empty string."""
        return {self.PRESENT: "1", self.ABSENT: "0", self.UNCERTAIN: "u", self.UNMENTIONED: ""}[self]


_CELLS = {
    **dict.fromkeys(("", "unmentioned", "nan", "none"), FindingState.UNMENTIONED),
    **dict.fromkeys(("1", "1.0", "present", "true"), FindingState.PRESENT),
    **dict.fromkeys(("0", "0.0", "absent", "false"), FindingState.ABSENT),
    **dict.fromkeys(("u", "uncertain"), FindingState.UNCERTAIN),
}


def resolve_hedge(
    mention: Mention, hedged: HedgePolicy = "table", table: Mapping[str, str] | None = None
) -> FindingState:
    """The state that a mention gives its finding.

    Readers mean different things by their hedges: "probable" mostly announces the finding, "may represent" mostly does
    not. The table is `hedges.yaml`; `docs/reports.md` tells how it was measured.

    Args:
        mention: present and absent mentions keep their state.
        hedged: `keep` leaves UNCERTAIN; `present` and `absent` decide for all; `table` decides by the cue's class.
        table: cue class -> `present | absent`; the package's own where None.

    Raises:
        ValueError: `hedged` is none of the four.
    """
    if mention.assertion != "uncertain":
        return FindingState.PRESENT if mention.assertion == "present" else FindingState.ABSENT
    if hedged == "keep":
        return FindingState.UNCERTAIN
    if hedged == "table":
        lexicon = load_lexicon()
        cue = lexicon.cue_class(mention.cue) if mention.cue else None
        hedged = "present" if (table or lexicon.hedges).get(cue or _UNSTATED, "absent") == "present" else "absent"
    if hedged not in ("present", "absent"):
        raise ValueError(f"hedged={hedged!r}: use one of keep, present, absent, table")
    return FindingState.PRESENT if hedged == "present" else FindingState.ABSENT

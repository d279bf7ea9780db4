"""`resolve_hedge`: an uncertain mention counted as present or absent, by a table of cue classes.

Readers mean different things by their hedges: "probable" mostly announces the finding, "may represent" mostly does not.
The table is `hedges.yaml`; how it was measured stands in `docs/reports.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from medvlp.reports.lexicon import load_lexicon
from medvlp.reports.report import Mention
from medvlp.reports.states import FindingState

Hedged = Literal["keep", "present", "absent", "table"]
UNSTATED = "unstated"  # the class of an uncertain mention without a cue, as label files give them


def resolve_hedge(mention: Mention, hedged: Hedged = "table", table: Mapping[str, str] | None = None) -> FindingState:
    """The state that a mention gives its finding.

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
        hedged = "present" if (table or lexicon.hedges).get(cue or UNSTATED, "absent") == "present" else "absent"
    if hedged not in ("present", "absent"):
        raise ValueError(f"hedged={hedged!r}: use one of keep, present, absent, table")
    return FindingState.PRESENT if hedged == "present" else FindingState.ABSENT

"""`FindingState`: the four states that a finding has in a report, and their one integer code.

Whatever a report does not mention is UNMENTIONED, and stays so: nothing on the way turns it into ABSENT.
"""

from __future__ import annotations

from enum import IntEnum


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

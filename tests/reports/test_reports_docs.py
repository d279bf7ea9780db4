"""What docs/reports.md states of the hedge policy is what the package does."""

import re
from pathlib import Path

from medvlp.reports import load_lexicon

PAGE = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")


def test_the_hedge_table_of_the_documentation_is_the_one_in_use():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (present|absent) \|$", PAGE, re.MULTILINE)
    assert dict(rows) == load_lexicon().hedges


def test_the_number_of_hand_written_sentences_is_right():
    import yaml

    files = Path(__file__).parent.glob("sentences_*.yaml")
    count = sum(len(sentences) for path in files for sentences in yaml.safe_load(path.read_text()).values())
    assert f"{count} hand-written sentences" in PAGE

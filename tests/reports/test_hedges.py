"""The hedge table."""

import pytest

from medvlp.reports import FindingState, Mention, load_lexicon, parse_report, resolve_hedge

PRESENT, ABSENT, UNCERTAIN = FindingState.PRESENT, FindingState.ABSENT, FindingState.UNCERTAIN


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Probable atelectasis.", PRESENT),
        ("Atelectasis versus scarring.", PRESENT),
        ("May represent atelectasis.", ABSENT),
        ("Could be atelectasis.", ABSENT),
        ("Possible atelectasis.", ABSENT),
        ("Atelectasis is possible.", ABSENT),
        ("Most suggestive of atelectasis.", PRESENT),
        ("Suggestive of atelectasis.", ABSENT),
        ("Atelectasis cannot be excluded.", ABSENT),
        ("Atelectasis.", PRESENT),
        ("No atelectasis.", ABSENT),
    ],
)
def test_the_table_decides_by_the_words_of_the_cue(text, state):
    (mention, *_) = parse_report(text).mentions
    assert resolve_hedge(mention, "table") == state


def test_the_other_policies():
    (mention,) = parse_report("Possible atelectasis.").mentions
    assert resolve_hedge(mention, "keep") == UNCERTAIN
    assert resolve_hedge(mention, "present") == PRESENT
    assert resolve_hedge(mention, "absent") == ABSENT
    assert resolve_hedge(mention, "table", {"possible": "present"}) == PRESENT
    with pytest.raises(ValueError, match="keep, present, absent, table"):
        resolve_hedge(mention, "maybe")


def test_a_doubt_without_words_has_its_own_row():
    mention = Mention("edema", "uncertain", 0, 1, 0)
    assert resolve_hedge(mention) == PRESENT
    assert resolve_hedge(mention, "table", {"unstated": "absent"}) == ABSENT


def test_every_doubt_has_a_row_and_every_row_a_doubt():
    lexicon = load_lexicon()
    doubts = {name for name, cue in lexicon.cues.items() if cue.means == "uncertain"}
    assert set(lexicon.hedges) == doubts | {"unstated"}
    assert set(lexicon.hedges.values()) == {"present", "absent"}

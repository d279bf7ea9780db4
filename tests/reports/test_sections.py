"""Sections of MIMIC-like, Open-i-like and CT reports."""

import pytest

from medvlp.reports import parse_report
from medvlp.reports.sections import find_sections, heading_name

MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old woman with ?pleural effusion  // ?pleural effusion

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  ___

 FINDINGS:

 Cardiac size cannot be evaluated.  Large left pleural effusion is new.  Small
 right effusion is new.

 IMPRESSION:

 Large left pleural effusion
"""


def _named(text, study=None):
    return [(s.name, text[s.start : s.end]) for s in find_sections(text, study)]


def test_a_report_with_all_headings():
    sections = dict(_named(MIMIC))
    assert list(sections) == ["examination", "indication", "technique", "comparison", "findings", "impression"]
    assert sections["examination"] == "CHEST (PA AND LAT)"
    assert sections["impression"] == "Large left pleural effusion"
    assert sections["findings"].startswith("Cardiac size")
    assert sections["findings"].endswith("is new.")


def test_mentions_come_from_findings_and_impression_only():
    report = parse_report(
        "INDICATION: Pneumonia, rule out pneumothorax.\n\nFINDINGS: Small effusion.\n\nIMPRESSION: Effusion."
    )
    assert [m.finding for m in report.mentions] == ["pleural_effusion", "pleural_effusion"]


def test_a_text_without_headings_is_read_whole():
    report = parse_report("Small left effusion.")
    assert [s.name for s in report.sections] == ["preamble"]
    assert [m.finding for m in report.mentions] == ["pleural_effusion"]


def test_the_body_may_follow_the_comparison_without_a_heading():
    text = " COMPARISON:  ___.\n \n The lungs are clear.\n \n No effusion.\n \n IMPRESSION:  Normal.\n"
    assert _named(text) == [
        ("comparison", "___."),
        ("findings", "The lungs are clear.\n \n No effusion."),
        ("impression", "Normal."),
    ]


def test_a_body_without_any_findings_heading_is_still_read():
    text = " HISTORY:  Cough.\n\n FRONTAL CHEST RADIOGRAPH ___\n\n There is a large effusion.\n"
    assert [m.finding for m in parse_report(text).mentions] == ["pleural_effusion"]


def test_a_wet_read_is_a_section_of_its_own_and_gives_no_mentions_beside_the_final_report():
    text = (
        " WET READ: ___ 8:13 PM\n  No pneumothorax.\n " + "_" * 78 + "\n" + " " * 30 + "FINAL REPORT\n"
        " CHEST, TWO VIEWS:  ___\n\n FINDINGS:  Small pneumothorax.\n"
    )
    report = parse_report(text)
    assert [s.name for s in report.sections] == ["wet_read", "examination", "findings"]
    assert [m.assertion for m in report.mentions] == ["present"]


def test_headings_of_views_open_findings():
    text = "PA AND LATERAL VIEWS OF THE CHEST:  The heart is enlarged."
    assert _named(text) == [("findings", "The heart is enlarged.")]


def test_organ_headings_are_the_subjects_of_their_sentences():
    text = "FINDINGS:\nLUNGS AND AIRWAYS: Clear.\nHEART: Normal.\nPLEURA: No effusion.\nIMPRESSION: Normal CT."
    report = parse_report(text)
    assert [(s.name, s.heading) for s in report.sections] == [
        ("findings", "FINDINGS"),
        ("findings", "LUNGS AND AIRWAYS"),
        ("findings", "HEART"),
        ("findings", "PLEURA"),
        ("impression", "IMPRESSION"),
    ]
    assert [(m.finding, m.assertion) for m in report.mentions] == [
        ("lung_opacity", "absent"),
        ("cardiomegaly", "absent"),
        ("pleural_effusion", "absent"),
    ]


def test_headings_in_one_line():
    text = "Findings: Left effusion. Impression: Effusion. IMPRESSION: No pneumothorax."
    assert [name for name, _ in _named(text)] == ["findings", "impression", "impression"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("IMPRESSION", "impression"),
        ("ndication", "indication"),
        ("FINDINGS AND IMPRESSION", "impression"),
        ("REASON FOR EXAM", "indication"),
        ("PROVISIONAL FINDINGS IMPRESSION (PFI)", "impression"),
        ("Imperssion", "impression"),
        ("CHEST, TWO VIEWS", "findings"),
        ("LUNGS", "organ"),
        ("RECOMMENDATION(S)", "recommendation"),
        ("DR", None),
        ("The following was discussed with the team on rounds", None),
    ],
)
def test_heading_names(words, name):
    assert heading_name(words) == name


def test_special_study_with_a_named_section_has_its_findings_there():
    text = " RECOMMENDATIONS:  Small effusion, follow up.\n\n COMPARISON:  None."
    assert [m.finding for m in parse_report(text, "s50913680").mentions] == ["pleural_effusion"]
    assert ("findings", "Small effusion, follow up.") in _named(text, "s50913680")


def test_special_study_with_a_stated_range():
    text = "x" * 73 + "Left effusion." + " " * 290 + "Right pneumothorax."
    assert _named(text, "s53514462") == [("other", "x" * 73), ("findings", "Left effusion.")]


def test_special_study_without_findings_gives_nothing():
    assert parse_report("No effusion.", "s58235663").mentions == ()


def test_other_study_ids_change_nothing():
    assert find_sections(MIMIC, "s50000000") == find_sections(MIMIC)

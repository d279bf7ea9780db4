"""The findings: the schema of the files, lookup by id and by name, errors that help."""

from __future__ import annotations

import pytest

from medvlp.knowledge import KnowledgeError, UnknownNameError, get_finding, id_of, load_findings, name_of
from medvlp.knowledge.finding import read_findings

CORE = """atelectasis cardiomegaly consolidation edema emphysema enlarged_cardiomediastinum fibrosis fracture
rib_fracture hernia hiatal_hernia infiltration lung_lesion lung_opacity mass nodule pleural_effusion pleural_thickening
pleural_other pneumonia pneumothorax support_devices endotracheal_tube central_venous_catheter pacemaker no_finding"""

ENTRY = """
thing:
  name: thing
  side: none
  definition: Something.
  radiographic: Some shadow.
  sources: [felson]
"""


def test_core_findings_are_complete() -> None:
    for finding in map(get_finding, CORE.split()):
        assert len(finding.definition) > 15, finding.id
        assert len(finding.radiographic) > 60, finding.id
        assert len(finding.aspects) == 6, finding.id


def test_names_in_words() -> None:
    assert name_of("pleural_effusion") == "pleural effusion"
    assert name_of("edema") == "pulmonary edema"
    assert name_of("mass") == "lung mass"


def test_a_finding_is_found_by_id_name_and_synonym() -> None:
    assert id_of("pleural_effusion") == id_of("Pleural Effusion") == id_of("effusion") == "pleural_effusion"
    assert id_of("Air-Space  consolidation") == "consolidation"


def test_an_unknown_finding_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="pleural_effusion"):
        name_of("pleural_efusion")
    with pytest.raises(KeyError):
        id_of("zzz")


def test_the_table_of_findings_is_read_only() -> None:
    with pytest.raises(TypeError):
        load_findings()["new"] = get_finding("nodule")  # type: ignore[index]


def test_a_finding_of_a_file_has_the_defaults(tmp_path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(ENTRY)
    (finding,) = read_findings(path)
    assert (finding.id, finding.region, finding.kind, finding.parents, finding.ct) == (
        "thing",
        "own",
        "abnormality",
        (),
        None,
    )
    assert finding.names == ("thing",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("side: none", "side: both"), "side is 'both'"),
        (("side: none", "sid: none"), 'did you mean "side"'),
        (("  definition: Something.\n", ""), "definition missing"),
        (("sources: [felson]", "sources: felson"), "sources must be a list"),
        (("sources: [felson]", "sources: [felson]\n  aspects: {dencity: x}"), 'did you mean "density"'),
        (("sources: [felson]", "sources: [felson]\n  sources: [felson]"), "given twice: sources"),
        (("name: thing", "name: [thing"), "no valid YAML"),
    ],
)
def test_a_bad_entry_says_where_and_what(tmp_path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(ENTRY.replace(*change))
    with pytest.raises(KnowledgeError, match=message) as error:
        read_findings(path)
    assert "own.yaml" in str(error.value)

"""Files of the package by name, and mappings that give a key twice."""

from pathlib import Path

import pytest

from medvlp.knowledge import KnowledgeError, UnknownNameError
from medvlp.knowledge.yaml_files import packaged_file, packaged_names, read_yaml, write_yaml


def test_files_of_the_package_are_found_by_name() -> None:
    names = packaged_names("label_spaces")
    assert names == sorted(names)
    assert "chexpert14" in names
    assert packaged_file("label_spaces", "chexpert14", "label space").stem == "chexpert14"
    with pytest.raises(UnknownNameError, match=r"label space.*chexpert41.*chexpert14"):
        packaged_file("label_spaces", "chexpert41", "label space")


def test_a_key_given_twice_is_refused_and_order_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write_yaml(path, {"b": 1, "a": 2})
    assert list(read_yaml(path).items()) == [("b", 1), ("a", 2)]
    path.write_text("b: 1\nb: 2\n")
    with pytest.raises(KnowledgeError, match="given twice: b"):
        read_yaml(path)

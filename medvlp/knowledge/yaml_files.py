"""Reading and writing the knowledge's YAML files, and the errors of what they hold and of unknown names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from medvlp.errors import MedVLPError, did_you_mean
from medvlp.io.atomic_write import atomic_file

KNOWLEDGE_FOLDER = Path(__file__).parent

_FastLoader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FastDumper: type = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class KnowledgeError(MedVLPError, ValueError):
    """A knowledge file (findings, label space, prompts, book) that does not hold what it should: where and what."""


class UnknownNameError(MedVLPError, KeyError):
    """A finding, place, label or facet that is not known. A `KeyError` whose message reads as it was written."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for an unknown name of a kind ("finding", "place"), naming the nearest of those that are known.

    Examples:
        >>> print(unknown_name("finding", "pleural efusion", ["pleural_effusion", "edema"]))
        unknown finding "pleural efusion"; did you mean "pleural_effusion"?
    """
    return UnknownNameError(f'unknown {kind} "{name}"; {did_you_mean(name, known)}')


class _Loader(_FastLoader):
    """Safe YAML (libyaml where it is built) that refuses a mapping with a key given twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            keys = [key.value for key, _ in node.value]
            twice = sorted({k for k in keys if keys.count(k) > 1})
            raise KnowledgeError(f"{node.start_mark.name}: key given twice: {', '.join(twice)}")
        return mapping


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        KnowledgeError: the file is no valid YAML, gives a key twice or holds something else than a mapping.
        FileNotFoundError: there is no such file.
    """
    try:
        with path.open("rb") as file:
            content = yaml.load(file, Loader=_Loader)
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{path} is no valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise KnowledgeError(f"{path} holds {type(content).__name__}; a mapping of names is needed")
    return content


def packaged_names(folder: str) -> list[str]:
    """Names of the YAML files of a folder of the package, such as `label_spaces`, sorted."""
    return sorted(path.stem for path in (KNOWLEDGE_FOLDER / folder).glob("*.yaml"))


def packaged_file(folder: str, name: str, kind: str) -> Path:
    """The file of that name in a folder of the package.

    Raises:
        UnknownNameError: there is none; names the nearest, with `kind` for what was looked for.
    """
    path = KNOWLEDGE_FOLDER / folder / f"{name}.yaml"
    if not path.exists():
        raise unknown_name(kind, name, packaged_names(folder))
    return path


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as YAML in its own order, as UTF-8, whole or not at all."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        yaml.dump(dict(content), file, Dumper=_FastDumper, sort_keys=False, allow_unicode=True, width=110)

"""Every option has its bounds, and is refused outside them with its key and what is valid."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from medvlp.methods.auxiliary.base import AUXILIARY
from medvlp.methods.base import METHODS, Options
from medvlp.training.recipe_errors import explain

KINDS = {name: METHODS.get(name).Options for name in METHODS.names()}
KINDS |= {f"auxiliary.{name}": extra.Options for name in AUXILIARY for extra in [AUXILIARY.get(name)]}
ABOVE_ZERO = {"temperature", "target_temperature", "sharpness", "attention_sharpness", "weight", "masked_rate"}
AT_MOST_ONE = {"temperature", "masked_rate", "dropout", "share", "keep", "region_share", "decay"}
AT_MOST_ONE |= {"caption_rate", "shortened_rate", "dropped_words"}
BELOW_ZERO = {"start_bias"}


def types_of(annotation: Any) -> set[Any]:
    return {annotation} | {kind for inner in get_args(annotation) for kind in types_of(inner)}


def options(wanted: set[Any]) -> list[Any]:
    return [
        pytest.param(kind, key, types_of(field.annotation), id=f"{name}.{key}")
        for name, kind in KINDS.items()
        for key, field in kind.model_fields.items()
        if types_of(field.annotation) & wanted
    ]


def refused(kind: type[Options], key: str, value: Any) -> str:
    """What is said of a value that has to be refused."""
    with pytest.raises(ValidationError) as error:
        kind(**{key: value})
    return explain(error.value, kind, "options")


@pytest.mark.parametrize(("kind", "key", "types"), options({int, float}))
def test_a_number_out_of_its_bounds_is_refused_with_its_key_and_what_is_valid(
    kind: type[Options], key: str, types: set[Any]
) -> None:
    worst = [1.0] if key in BELOW_ZERO else [0, -1] if int in types else [-1.0]
    worst += [0.0] * (key in ABOVE_ZERO) + [1.01] * (key in AT_MOST_ONE)
    if float in types:
        worst += [float("nan"), float("inf")]
    for value in worst:
        said = refused(kind, key, (value, value) if isinstance(kind.model_fields[key].default, tuple) else value)
        assert f"options.{key}" in said
        assert "greater than" in said or "less than" in said or "finite" in said


@pytest.mark.parametrize(("kind", "key", "types"), options({str}))
def test_texts_and_lists_of_texts_say_something(kind: type[Options], key: str, types: set[Any]) -> None:
    default = kind.model_fields[key].default
    if not isinstance(default, str):
        assert "at least 1 item" in refused(kind, key, ())
    if "{}" in str(default):
        for text in ("there is", "{x}", "{} and {}", "{0}", "{} }"):
            wrong = text if isinstance(default, str) else [text] if isinstance(default[0], str) else [(text, "no {}")]
            assert f"options.{key}" in (said := refused(kind, key, wrong))
            assert 'a template says "{}" once' in said


@pytest.mark.parametrize(
    "name", [name for name, kind in KINDS.items() if set(kind.model_fields) & {"heads", "decoder_heads"}]
)
def test_heads_divide_the_width(name: str) -> None:
    prefix = "" if name == "carzero" else "decoder_"
    said = refused(KINDS[name], f"{prefix}heads", 3)
    assert said == f"options.{prefix}heads: 3 heads do not divide {prefix}width, 128 (given: 3)."
    assert f"4 heads do not divide {prefix}width, 130" in refused(KINDS[name], f"{prefix}width", 130)
    assert KINDS[name](**{f"{prefix}width": 96, f"{prefix}heads": 3})


def test_the_prompt_for_absence_may_be_the_same_for_all_findings() -> None:
    assert KINDS["clip"](prompts=[("{}", "normal chest")]).prompts == (("{}", "normal chest"),)
    for wrong in ("", "no {x}", "no {} and no {}"):
        assert "options.prompts" in refused(KINDS["clip"], "prompts", [("{}", wrong)])


@pytest.mark.parametrize("name", ["clip", "chexzero", "convirt"])
def test_the_share_of_a_direction_is_at_most_one(name: str) -> None:
    assert "less than or equal to 1" in refused(KINDS[name], "image_weight", 1.01)


def test_the_tests_above_ask_every_kind_of_option() -> None:
    keys = {option.values[1] for option in options({int, float})}
    assert keys > ABOVE_ZERO | AT_MOST_ONE | BELOW_ZERO | {"dim", "decoder_layers", "chunk", "off_diagonal", "pairs"}
    assert {option.values[1] for option in options({str})} > {"prompts", "template", "templates", "facets", "aspects"}

"""What the schemas in workflow/schemas say of the configuration and of the project's own JSON files.

Imported while Snakemake parses, so it needs nothing but the standard library, PyYAML and jsonschema.
"""

from collections.abc import Mapping
from functools import cache, reduce
from math import isfinite
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators

from lesionbench.environment import WORKFLOW
from lesionbench.files import read_json

SCHEMAS = WORKFLOW / "schemas"
CONFIG = "config"
_SUFFIX = ".schema.yaml"
# Of floats, jsonschema takes nan and infinity for numbers.
_FINITE = Draft202012Validator.TYPE_CHECKER.redefine(
    "number", lambda _, value: isinstance(value, (int, float)) and not isinstance(value, bool) and _is_finite(value)
)
Validator = validators.extend(Draft202012Validator, type_checker=_FINITE)  # type: ignore[no-untyped-call]


def _is_finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


@cache
def read_schema(name: str = CONFIG) -> dict[str, Any]:
    """Return the JSON schema of the configuration, or of a file of our own."""
    schema: dict[str, Any] = yaml.safe_load((SCHEMAS / f"{name}{_SUFFIX}").read_text(encoding="utf-8"))
    return schema


@cache
def _validator(name: str) -> Any:
    return Validator(_joined(read_schema(name)))


def _joined(rule: Any) -> Any:
    """Return a schema with what it refers to in the files of others, as `config.schema.yaml#/properties/training`."""
    if isinstance(rule, list):
        return [_joined(one) for one in rule]
    if not isinstance(rule, dict):
        return rule
    file, found, place = str(rule.get("$ref", "")).partition(f"{_SUFFIX}#")
    if not found:
        return {key: _joined(value) for key, value in rule.items()}
    return reduce(lambda part, key: part[key], place.split("/")[1:], read_schema(file))


def check(content: Mapping[str, Any], name: str) -> None:
    """Raise ValueError, naming the place, where content is not what a schema says."""
    error = next(_validator(name).iter_errors(content), None)
    if error:
        place = ".".join(map(str, error.absolute_path))
        raise ValueError(f"{place}: {brief(error.message)}".removeprefix(": "))


def brief(text: str) -> str:
    """Return what is shown of a text in which a value stands that may be of any length."""
    return text if len(text) <= 400 else f"{text[:300]} … {text[-80:]}"


def read_checked(path: str | Path, name: str) -> dict[str, Any]:
    """Return the content of a JSON file that a schema describes.

    Raises OSError or ValueError where it cannot be read, or is not what the schema says.
    """
    content = read_json(path)
    check(content, name)
    return content

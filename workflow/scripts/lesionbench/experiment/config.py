"""The configuration: checked against its schema, completed with defaults, one model's recipe resolved.

Imported while Snakemake parses, so it needs nothing but the standard library, PyYAML and jsonschema, which Snakemake
installs too.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any
from unicodedata import category

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from lesionbench.errors import UserError
from lesionbench.experiment.typed import read_as, spoken
from lesionbench.models.entry import ModelEntry
from lesionbench.models.names import check_encoder, list_holds, listed_names, unknown_names

# Of floats, jsonschema takes nan and infinity for numbers.
_FINITE = Draft202012Validator.TYPE_CHECKER.redefine(
    "number", lambda _, value: isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
)
_Validator = validators.extend(Draft202012Validator, type_checker=_FINITE)  # type: ignore[no-untyped-call]
SCHEMA = Path(__file__).parents[3] / "schemas" / "config.schema.yaml"


@cache
def read_schema() -> dict[str, Any]:
    """Return the JSON schema of the configuration."""
    schema: dict[str, Any] = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    return schema


def resolve_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked copy of `config` in which every key has its value, in a fixed order.

    Each model that is to be trained gets its whole recipe: `training` with its own overrides. Mappings are sorted by
    key, so that moving a line in a YAML file changes no job's parameters.

    Raises
    ------
    UserError
        naming each key that is misspelt, of the wrong type or out of bounds, with a line that would be right.
    """
    schema = read_schema()
    config = read_as(config, schema, schema)
    errors = sorted(_Validator(schema).iter_errors(config), key=lambda error: list(map(str, error.path)))
    if errors:
        found = [message for error in errors for message in _messages(_innermost(error))]
        raise UserError("The configuration has errors.\n\n" + "\n\n".join(found))
    resolved = _with_defaults(config, schema)
    _check_models(resolved)
    for model in resolved["models"].values():
        if "architecture" in model:
            model["training"] = {**resolved["training"], **model.get("training", {})}
    return dict(_sorted(resolved))


def dataset_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections `dataset` and `pathvars` of a configuration, checked and completed; others do not count."""
    some = {key: config[key] for key in ("dataset", "pathvars") if key in config}
    model = {"models": {"model": {"architecture": "classic-unet"}}, "compare": ["model"]}
    resolved = resolve_config(some | model)
    return {key: resolved[key] for key in ("dataset", "pathvars")}


def _check_models(config: Mapping[str, Any]) -> None:
    if not config.get("compare"):
        raise UserError(
            "compare: no model is listed, so there is nothing to compare. Write, for example:\n  compare: [unet]"
        )
    for name in config["compare"]:
        if name not in config["models"]:
            near = difflib.get_close_matches(name, config["models"], 1) or sorted(config["models"])[:1]
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UserError(
                f"compare: {name} is not in `models`.{hint} Add it there, for example:\n"
                f"  models:\n    {name}: {{architecture: Unet, encoder: resnet34, encoder_weights: imagenet}}"
            )
    models = {name: config["models"][name] for name in config["compare"]}
    _check_names(models)
    for name, model in models.items():
        _check_model(name, model)
    _check_labels({name: model.get("label", name) for name, model in models.items()})
    low, high = config["preprocessing"]["hu_window"]
    if low >= high:
        raise UserError(
            f"preprocessing.hu_window: the lower bound {low} is not below the upper bound {high}. Write, for example:\n"
            "  hu_window: [-1000, 1000]"
        )


def _check_model(name: str, model: Mapping[str, Any]) -> None:
    if name == "study":
        raise UserError("models.study: tables of the studies have a column of that name. Give the model another one.")
    if found := re.search("</script|<!--", model.get("label", ""), flags=re.IGNORECASE):
        raise UserError(f"models.{name}.label: {found[0]} would break the report. Leave it out.")
    idle = sorted(model.keys() - {"label", "predictions"})
    if "predictions" in model and idle:
        raise UserError(
            f"models.{name}: its masks are taken as they are, so {', '.join(idle)} would have no effect. Leave only:\n"
            f"  predictions: {model['predictions']}"
        )
    if "architecture" in model:
        check_encoder(ModelEntry.of(model), f"models.{name}.")


def _check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels by which nobody can tell the models apart, and control characters, which no SVG can hold."""
    models: dict[str, str] = {}
    for name, label in labels.items():
        words = " ".join(label.split())
        if not any(character.isprintable() for character in words.replace(" ", "")):
            problem = "nothing of it can be seen"
        elif any(category(character) == "Cc" and character not in "\t\n" for character in label):
            problem = f"{label!r} holds control characters"
        elif models.setdefault(words, name) != name:
            problem = f"tables and figures call {models[words]} {words} as well"
        else:
            continue
        raise UserError(f"models.{name}.label: {problem}. Write, for example:\n  label: {name}")


def _check_names(models: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse unknown names before anything runs, unless other versions are installed: those may know other names."""
    entries = {name: ModelEntry.of(model) for name, model in models.items() if "architecture" in model}
    found = [text for name in entries for text in unknown_names(entries[name], listed_names(), f"models.{name}.")]
    if found and list_holds():
        raise UserError("\n\n".join(found))


def _innermost(error: ValidationError) -> ValidationError:
    """Return the error inside an `anyOf` that says most: one further in than a wrong type."""
    if not error.context or error.validator == "oneOf":
        return error
    return max(error.context, key=lambda inner: (len(inner.absolute_path), inner.validator not in ("type", "const")))


def _messages(error: ValidationError) -> Iterator[str]:
    """Yield what is wrong, at which key, and a line that would be right."""
    key = ".".join(map(str, error.absolute_path))
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    given: Any = error.instance
    if error.validator == "additionalProperties":
        for name in sorted(set(given) - set(schema.get("properties", {}))):
            yield _unknown_key(key, name, schema["properties"])
        return
    if error.validator == "required":
        missing = next(name for name in schema["required"] if name not in given)
        rule = schema["properties"][missing]
        yield f"{key}: the key {missing} is missing. {rule.get('description', '')}\n  {_line(missing, rule)}"
        return
    if error.validator == "oneOf":
        choices = [option["required"][0] for option in schema["oneOf"]]
        lines = "\n".join(f"  {_line(name, schema['properties'][name])}" for name in choices)
        yield f"{key}: it needs either {' or '.join(choices)}, and not both. {schema['description']}\n{lines}"
        return
    if error.validator == "pattern" and "propertyNames" in error.absolute_schema_path:
        yield f"{key}: {given!r} cannot be a name. {schema['description']}"
        return
    name = key or "the configuration"
    last = next((part for part in reversed(error.absolute_path) if isinstance(part, str)), "")
    yield f"{name}: {_complaint(error)} {schema.get('description', '')}".rstrip() + (
        f"\n  {_line(last, schema)}" if last else ""
    )


def _unknown_key(key: str, name: str, properties: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, properties, 1, cutoff=0.5)
    where = f"{key}.{name}" if key else name
    if near:
        return f"{where}: there is no such key. Did you mean {near[0]}?\n  {_line(near[0], properties[near[0]])}"
    return f"{where}: there is no such key. Known here: {', '.join(sorted(properties))}."


def _complaint(error: ValidationError) -> str:
    given, wanted = error.instance, str(error.validator_value)
    if error.validator == "type" and given is None:
        return "it is empty, or null."
    if error.validator == "type" and wanted in ("integer", "number") and isinstance(given, str):
        return f"{given!r} is text, not a number."
    if error.validator == "type" and wanted == "number" and isinstance(given, float):
        return f"{given} is not finite."
    if error.validator == "type" and "string" in wanted and not isinstance(given, (dict, list)):
        return f"YAML reads {spoken(given)} there, which is not text. Write what you mean in quotes: '{spoken(given)}'."
    if error.validator == "minItems" and not given:
        return "the list is empty."
    return f"{error.message}."


def _line(name: str, schema: Mapping[str, Any]) -> str:
    """Return a line of YAML that sets `name` as the schema allows."""
    examples = [*schema.get("examples", []), *schema.get("enum", []), schema.get("const", "…")]
    example = schema.get("default", examples[0])
    text = yaml.safe_dump(example, default_flow_style=True, allow_unicode=True, width=1000)
    return f"{name}: " + text.split("\n")[0]


def _with_defaults(value: Any, schema: Mapping[str, Any]) -> Any:
    """Fill in the defaults of `schema` and of the mappings in it; what a model overrides stays as it is."""
    if isinstance(value, dict):
        for name, rule in schema.get("properties", {}).items():
            if "default" in rule:
                value.setdefault(name, deepcopy(rule["default"]))
            if isinstance(value.get(name), dict):
                value[name] = _with_defaults(value[name], _mapping_rule(rule))
    return value


def _mapping_rule(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the alternative of `rule` that describes a mapping."""
    for alternative in rule.get("anyOf", []):
        if "$ref" in alternative:
            definitions: Mapping[str, Mapping[str, Any]] = read_schema()["$defs"]
            return definitions[alternative["$ref"].rsplit("/", 1)[1]]
    return rule


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value

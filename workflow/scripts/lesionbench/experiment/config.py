"""The configuration: checked against its schema, completed with defaults, one model's recipe resolved.

Imported while Snakemake parses, so it needs nothing but the standard library, PyYAML and jsonschema, which Snakemake
installs too.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from functools import reduce
from os import PathLike
from pathlib import Path
from typing import Any
from unicodedata import category

import yaml
from jsonschema.exceptions import ValidationError

from lesionbench.errors import UserError
from lesionbench.experiment.sweeps import Swept, expand_sweeps, name_keys
from lesionbench.experiment.typed import read_as, referred, spoken
from lesionbench.models.entry import ModelEntry
from lesionbench.models.names import check_encoder, list_holds, listed_names, unknown_names
from lesionbench.models.own import own_network
from lesionbench.models.programs import Program
from lesionbench.schema import Validator, brief, read_schema


def fill_empty_sections(config: MutableMapping[str, Any], files: Iterable[str | PathLike[str]]) -> None:
    """Give each section that is empty what `files` say of it, later ones over earlier ones.

    Of an overlay whose `training:` has only comments below it, Snakemake lets the nothing replace the whole section of
    config.yaml.
    """
    rules = read_schema()["properties"]
    empty = [name for name, value in config.items() if value is None and rules.get(name, {}).get("type") == "object"]
    contents = [{}, *(yaml.safe_load(Path(file).read_bytes()) for file in files)] if empty else []
    for name in empty:
        sections: list[dict[str, Any]] = [content.get(name) or {} for content in contents]
        config[name] = reduce(_merged, sections)


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {key: _merged(one[key], other[key]) for key in one.keys() & other.keys() if _are_sections(one, other, key)}
    return {**one, **other, **both}


def _are_sections(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> bool:
    return isinstance(one[key], Mapping) and isinstance(other[key], Mapping)


def resolve_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked copy of `config` in which every key has its value, in a fixed order.

    Each model that is to be trained gets its whole recipe: `training` with its own overrides, and each row of a sweep
    is a model. Mappings are sorted by key, so that moving a line in a YAML file changes no job's parameters.

    Raises
    ------
    UserError
        naming each key that is misspelt, of the wrong type or out of bounds, with a line that would be right.
    """
    return resolve_with_sweeps(config)[0]


def resolve_with_sweeps(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Swept]]:
    """Return what `resolve_config` does, and the rows of sweeps by name."""
    expanded, rows = expand_sweeps(config, read_schema())
    try:
        return _resolve(expanded), rows
    except UserError as error:
        raise UserError(name_keys(str(error), rows)) from None


def _resolve(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return `resolve_config` of a configuration without sweeps."""
    schema = read_schema()
    config = read_as(config, schema, schema)
    _check(config, schema)
    resolved = _with_defaults(config, schema)
    resolved["external"] = {
        name: _with_defaults(external, schema["$defs"]["external_set"])
        for name, external in resolved["external"].items()
    }
    _check_models(resolved)
    for name, model in resolved["models"].items():
        if "architecture" in model:
            for section in ("training", "preprocessing"):
                model[section] = {**resolved[section], **model.get(section, {})}
            _check_warmup(name, model["training"])
            _check_window(f"models.{name}.", model["preprocessing"])
        if "method" in model or "command" in model:
            model["options"] = _resolve_options(name, model)
        elif "predictions" not in model:
            own = schema["$defs"]["model"]["properties"]["evaluation"]["properties"]
            common = {key: resolved["evaluation"][key] for key in own}
            model["evaluation"] = {**common, **model.get("evaluation", {})}
    return dict(_sorted(resolved))


def check_resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration that `resolve_config` returned before, checked by the schema alone.

    Nothing is looked up: networks, files and programs may be those of another machine. Raises UserError as
    `resolve_config` does.
    """
    schema = read_schema()
    _check(config, schema)
    return dict(_sorted(_with_defaults(deepcopy(dict(config)), schema)))


def _check(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    errors = sorted(Validator(schema).iter_errors(config), key=lambda error: list(map(str, error.path)))
    if errors:
        found = [message for error in errors for message in _messages(_innermost(error), schema)]
        raise UserError("The configuration has errors.\n\n" + "\n\n".join(found))


def _resolve_options(name: str, model: Mapping[str, Any]) -> Any:
    """Return the options of an external method, checked and completed by its own description of them."""
    given: Any = {"models": {name: {"options": model.get("options", {})}}}
    try:
        rules = Program.of(model).options
    except (UserError, ValueError) as error:
        key = "method" if "method" in model else "command"
        raise UserError(f"models.{name}.{key}: {error}") from None
    if rules is None:
        return given["models"][name]["options"]
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": dict(rules)}
    for part in ("options", name, "models"):
        schema = {"type": "object", "properties": {part: schema}}
    given = read_as(given, schema, schema)
    _check(given, schema)
    return _with_defaults(given, schema)["models"][name]["options"]


def dataset_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections on data of a configuration, and `pathvars`, checked and completed; others do not count."""
    sections = ("dataset", "external", "pathvars")
    some = {key: config[key] for key in sections if key in config}
    model = {"models": {"model": {"architecture": "classic-unet"}}, "compare": ["model"]}
    resolved = resolve_config(some | model)
    return {key: resolved[key] for key in sections}


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
    _check_members(config)
    models = {name: config["models"][name] for name in used_models(config)}
    _check_names(models)
    for name, model in models.items():
        _check_model(name, model)
    check_labels({name: model.get("label", name) for name, model in models.items()}, "models")
    _check_window("", config["preprocessing"])


def used_models(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the models that are compared, and of further members of ensembles among them."""
    members = [member for model in config["compare"] for member in config["models"][model].get("members", [])]
    return list(dict.fromkeys([*config["compare"], *members]))


def _check_members(config: Mapping[str, Any]) -> None:
    """Refuse ensembles of models that do not exist, and of ensembles."""
    models = config["models"]
    plain = [name for name in models if "members" not in models[name]]
    for name in config["compare"]:
        for member in models[name].get("members", []):
            if member not in plain:
                problem = "is an ensemble itself" if member in models else "is not in `models`"
                near = difflib.get_close_matches(member, plain, 1) or sorted(plain)[:1]
                raise UserError(
                    f"models.{name}.members: {member} {problem}. Name models that are trained here or made elsewhere, "
                    f"for example:\n  members: [{', '.join(near)}]"
                )
        _check_choice(name, config)


def _check_choice(name: str, config: Mapping[str, Any]) -> None:
    """Refuse an operating point to choose for an ensemble that has masks of members, and no probabilities."""
    members = config["models"][name].get("members", [])
    masks = [member for member in members if "predictions" in config["models"][member]]
    point = {**config["evaluation"], **config["models"][name].get("evaluation", {})}
    for key in ("threshold", "min_component_mm3"):
        if masks and point[key] == "validation":
            raise UserError(
                f"models.{name}: {masks[0]} has no predictions of the validation studies, by which evaluation.{key} "
                "would be chosen. Write, for example:\n  evaluation: {threshold: 0.5, min_component_mm3: 0}"
            )


def _check_window(prefix: str, preprocessing: Mapping[str, Any]) -> None:
    low, high = preprocessing["hu_window"]
    if low >= high:
        raise UserError(
            f"{prefix}preprocessing.hu_window: the lower bound {low} is not below the upper bound {high}. Write, for "
            "example:\n  hu_window: [-1000, 1000]"
        )


_NOT_TRAINED = {"predictions": "its masks are taken as they are", "members": "an ensemble is not trained"}


def _check_model(name: str, model: Mapping[str, Any]) -> None:
    if name == "study":
        raise UserError("models.study: tables of the studies have a column of that name. Give the model another one.")
    own: dict[str, set[str]] = {
        "predictions": {"external_predictions"},
        "members": {"evaluation"},
        "method": {"options"},
        "command": {"options", "seeded", "gpu"},
    }
    for kind, further in own.items():
        idle = sorted(model.keys() - {"label", kind} - further)
        if kind in model and idle:
            what = _NOT_TRAINED.get(kind, "an external method trains by itself")
            raise UserError(
                f"models.{name}: {what}, so {', '.join(idle)} would have no effect. Leave only:\n"
                f"  {kind}: {_flow(model[kind])}"
            )
    if "architecture" in model:
        check_encoder(ModelEntry.of(model), f"models.{name}.")


def _check_warmup(name: str, recipe: Mapping[str, Any]) -> None:
    epochs, warmup = recipe["max_epochs"], recipe["warmup_epochs"]
    if warmup >= epochs:
        raise UserError(
            f"models.{name}: training.warmup_epochs is {warmup}, and training ends after {epochs} epochs "
            f"(training.max_epochs), before the warm-up does. Write, for example:\n  warmup_epochs: {epochs // 10}"
        )


def check_labels(labels: Mapping[str, str], section: str) -> None:
    """Refuse labels of models or external sets by which nobody can tell them apart, and what would break a page.

    No SVG can hold control characters. Raises UserError, naming the key in the section.
    """
    names: dict[str, str] = {}
    for name, label in labels.items():
        words = " ".join(label.split())
        if found := re.search("</script|<!--", label, flags=re.IGNORECASE):
            raise UserError(f"{section}.{name}.label: {found[0]} would break the report. Leave it out.")
        if not any(character.isprintable() for character in words.replace(" ", "")):
            problem = "nothing of it can be seen"
        elif any(category(character) == "Cc" and character not in "\t\n" for character in label):
            problem = f"{label!r} holds control characters"
        elif names.setdefault(words, name) != name:
            problem = f"tables and figures call {names[words]} {words} as well"
        else:
            continue
        raise UserError(f"{section}.{name}.label: {problem}. Write, for example:\n  label: {name}")


def _check_names(models: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse unknown names before anything runs, unless other versions are installed: those may know other names."""
    entries = {name: ModelEntry.of(model) for name, model in models.items() if "architecture" in model}
    known = list_holds()
    entries = {name: entry for name, entry in entries.items() if known or own_network(entry.architecture)}
    found = [text for name in entries for text in unknown_names(entries[name], listed_names(), f"models.{name}.")]
    if found:
        raise UserError("\n\n".join(found))


def _innermost(error: ValidationError) -> ValidationError:
    """Return the error inside an `anyOf` that says most: one further in than a wrong type."""
    if not error.context or error.validator == "oneOf":
        return error
    return max(error.context, key=lambda inner: (len(inner.absolute_path), inner.validator not in ("type", "const")))


def _messages(error: ValidationError, whole: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong, at which key, and a line that would be right; whole: the schema of the configuration."""
    key = ".".join(map(str, error.absolute_path))
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    given: Any = error.instance
    if error.validator == "additionalProperties":
        for name in sorted(set(given) - set(schema.get("properties", {}))):
            yield _unknown_key(list(error.absolute_path), name, schema["properties"], whole)
        return
    if error.validator == "required":
        missing = next(name for name in schema["required"] if name not in given)
        rule = schema["properties"][missing]
        yield f"{key}: the key {missing} is missing. {rule.get('description', '')}\n  {_line(missing, rule)}"
        return
    if error.validator == "oneOf":
        choices = [option["required"][0] for option in schema["oneOf"]]
        lines = "\n".join(f"  {_line(name, schema['properties'][name])}" for name in choices)
        yield f"{key}: it needs one of {', '.join(choices)}, and only one. {schema['description']}\n{lines}"
        return
    if error.validator == "pattern" and "propertyNames" in error.absolute_schema_path:
        yield f"{key}: {given!r} cannot be a name. {schema['description']}"
        return
    name = key or "the configuration"
    last = next((part for part in reversed(error.absolute_path) if isinstance(part, str)), "")
    yield f"{name}: {_complaint(error)} {schema.get('description', '')}".rstrip() + (
        f"\n  {_line(last, schema)}" if last else ""
    )


def _unknown_key(path: list[str | int], name: str, properties: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, properties, 1, cutoff=0.5)
    where = _place(path, name)
    if places := _other_places(path, name, properties, schema):
        line = next(iter(places.values()))
        return f"{where}: there is no such key. Did you mean {' or '.join(places)}?\n  {line}"
    if near:
        return f"{where}: there is no such key. Did you mean {near[0]}?\n  {_line(near[0], properties[near[0]])}"
    return f"{where}: there is no such key. Known here: {', '.join(sorted(properties))}."


def _other_places(
    path: list[str | int], name: str, properties: Mapping[str, Any], schema: Mapping[str, Any]
) -> dict[str, str]:
    """Return where there is a key of this name one level below or above, each with a line that sets it."""
    inside = {section: _mapping_rule(referred(rule, schema)) for section, rule in properties.items()}
    found = {
        _place(path, section, name): f"{section}: {{{_line(name, rule['properties'][name])}}}"
        for section, rule in inside.items()
        if name in rule.get("properties", {})
    }
    above = schema
    for part in path[:-1]:
        above = referred(above.get("properties", {}).get(part) or above.get("additionalProperties") or {}, schema)
    if path and name in above.get("properties", {}):
        found[_place(path[:-1], name)] = _line(name, above["properties"][name])
    return found


def _place(path: Iterable[str | int], *names: str) -> str:
    return ".".join(map(str, [*path, *names]))


def _complaint(error: ValidationError) -> str:
    given, wanted = error.instance, str(error.validator_value)
    if error.validator == "type" and given is None:
        return "it is empty, or null."
    if error.validator == "type" and wanted in ("integer", "number") and isinstance(given, str):
        return f"{brief(repr(given))} is text, not a number."
    if error.validator == "type" and wanted == "number" and isinstance(given, float):
        return f"{given} is not finite."
    if error.validator == "type" and "string" in wanted and not isinstance(given, (dict, list)):
        return f"YAML reads {spoken(given)} there, which is not text. Write what you mean in quotes: '{spoken(given)}'."
    if error.validator == "minItems" and not given:
        return "the list is empty."
    return f"{brief(error.message)}."


def _line(name: str, schema: Mapping[str, Any]) -> str:
    """Return a line of YAML that sets `name` as the schema allows."""
    examples = [*schema.get("examples", []), *schema.get("enum", []), schema.get("const", "…")]
    example = schema.get("default", examples[0])
    return f"{name}: {_flow(example)}"


def _flow(value: Any) -> str:
    """Return a value as YAML in one line."""
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000).split("\n")[0]


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

"""Sweeps: a model with several values of some keys is one row a value, or one a combination of values.

Imported while Snakemake parses, so it needs nothing but the standard library and PyYAML.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import yaml

from lesionbench.errors import UserError
from lesionbench.experiment.typed import read_as
from lesionbench.words import listed

# What a row may have a value of, of a model's keys; the sections take a key of theirs behind a dot.
KEYS = ("architecture", "encoder", "encoder_weights")
SECTIONS = ("evaluation", "options", "preprocessing", "training")
_EXAMPLE = "sweep: {training.learning_rate: [0.001, 0.0001]}"
MOST_ROWS = 1000
_LONGEST = 40  # characters of a value in a name
_LONGEST_NAME = 120  # of 255 that a file may have, with what stands around it


@dataclass(frozen=True)
class Swept:
    """A row that a sweep makes: its model, that model's label, and the place of its value in the list of each key."""

    model: str
    label: str
    places: Mapping[str, int]


def expand_sweeps(config: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Swept]]:
    """Return a configuration without sweeps, in which each of their rows is a model, and those rows by name.

    `compare` and `members` name all rows of a sweep by its model. The rows are in the order of the lists, the last key
    in alphabetical order first. A sweep that the schema refuses stays as it is, for the check to say so.

    Raises UserError, naming the key, where a key cannot be swept, a value is given twice, or two rows would have one
    name.
    """
    models = config.get("models")
    if not isinstance(models, Mapping):
        return dict(config), {}
    expanded: dict[str, Any] = {}
    rows: dict[str, Swept] = {}
    for name, entry in models.items():
        if not _is_sweep(entry):
            kept = isinstance(entry, Mapping) and not entry.get("sweep", True)  # an empty sweep is none
            expanded[name] = {key: value for key, value in entry.items() if key != "sweep"} if kept else entry
            continue
        for row, settings, swept in _rows_of(name, entry, schema):
            _check_name(row, swept, [*models, *expanded])
            expanded[row], rows[row] = settings, swept
    for name, entry in expanded.items():
        if isinstance(entry, Mapping) and "members" in entry:
            expanded[name] = {**entry, "members": _with_rows(entry["members"], rows)}
    compare = {"compare": _with_rows(config["compare"], rows)} if "compare" in config else {}
    return {**config, "models": expanded, **compare}, rows


def compared_sweeps(rows: Mapping[str, Swept], compared: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the label and the compared `rows` of each sweep, by its model, where there are several."""
    sweeps: dict[str, dict[str, Any]] = {}
    for name in compared:
        if name in rows:
            sweeps.setdefault(rows[name].model, {"label": rows[name].label, "rows": []})["rows"].append(name)
    return {model: sweep for model, sweep in sweeps.items() if len(sweep["rows"]) > 1}


def name_keys(text: str, rows: Mapping[str, Swept]) -> str:
    """Return an error's text with the keys that the user wrote in place of those of rows, each paragraph once."""
    for row in sorted(rows, key=len, reverse=True):
        model = f"models.{rows[row].model}"
        for key, place in rows[row].places.items():
            text = re.sub(
                rf"models\.{re.escape(row)}\.{re.escape(key)}(?![\w-])", f"{model}.sweep.{key}[{place}]", text
            )
        text = re.sub(rf"models\.{re.escape(row)}(?![\w-])", model, text)
    text = re.sub(r"\[\d+\](?=: there is no such key)", "", text)
    return "\n\n".join(dict.fromkeys(text.split("\n\n")))


def _is_sweep(entry: Any) -> bool:
    """Say whether a model's entry has a sweep that can be expanded."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("sweep"), Mapping):
        return False
    values, sections = entry["sweep"].values(), [entry.get(section) for section in SECTIONS]
    right = all(section is None or isinstance(section, Mapping) for section in sections)
    return right and bool(values) and all(isinstance(value, list) and value for value in values)


def _rows_of(
    name: str, entry: Mapping[str, Any], schema: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any], Swept]]:
    """Yield the name, the entry and the origin of each row of a sweep."""
    sweep = {str(key): entry["sweep"][key] for key in sorted(entry["sweep"], key=str)}
    for key in sweep:
        _check_key(name, key)
    if (count := math.prod(map(len, sweep.values()))) > MOST_ROWS:
        raise UserError(
            f"models.{name}.sweep: this is {count:,} rows, and each is trained in every fold with every seed. Give "
            f"fewer values: {MOST_ROWS} rows at most."
        )
    read = {key: _read(name, key, values, schema) for key, values in sweep.items()}
    last = [key.rpartition(".")[2] for key in sweep]
    short = {key: end if last.count(end) == 1 else key for key, end in zip(sweep, last, strict=True)}
    for places in product(*(range(len(values)) for values in sweep.values())):
        chosen = dict(zip(sweep, places, strict=True))
        parts = [f"{short[key]}-{_in_names(read[key][place])}" for key, place in chosen.items()]
        words = [f"{short[key].replace('_', ' ')} {_in_words(read[key][place])}" for key, place in chosen.items()]
        settings = {key: value for key, value in entry.items() if key != "sweep"}
        for key, place in chosen.items():
            settings = _with_value(settings, key.split("."), sweep[key][place])
        if isinstance(entry.get("label", name), str):
            settings["label"] = ", ".join([entry.get("label", name), *words])
        yield (
            _shortened(".".join([name, *parts]), _LONGEST_NAME),
            settings,
            Swept(name, entry.get("label", name), chosen),
        )


def _check_key(name: str, key: str) -> None:
    section, _, inside = key.partition(".")
    if key not in KEYS and not (section in SECTIONS and inside):
        raise UserError(
            f"models.{name}.sweep.{key}: rows cannot differ in this. They can in {', '.join(KEYS)}, and in keys of "
            f"{listed(SECTIONS)}. Write, for example:\n  {_EXAMPLE}"
        )


def _read(name: str, key: str, values: Sequence[Any], schema: Mapping[str, Any]) -> list[Any]:
    """Return the values as the schema reads them, paths as they are written. Raises UserError where two are equal."""
    rule, read = schema["$defs"]["model"], []
    seen: dict[str, int] = {}
    for place, value in enumerate(values):
        found = read_as(_with_value({}, key.split("."), value), rule, schema, f"models.{name}")
        for part in key.split("."):
            found = found[part]
        read.append(value if isinstance(value, str) and isinstance(found, str) else found)
        if (first := seen.setdefault(_as_json(found), place)) != place:
            raise UserError(
                f"models.{name}.sweep.{key}[{place}]: {_in_words(read[-1])} is the value of {key}[{first}] as well. "
                "Remove one of them."
            )
    return read


def _with_value(settings: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a mapping with a value at a path of keys."""
    first, *others = path
    if not others:
        return {**settings, first: value}
    inside = settings.get(first)
    return {**settings, first: _with_value(inside if isinstance(inside, Mapping) else {}, others, value)}


def _check_name(row: str, swept: Swept, others: Sequence[str]) -> None:
    """Refuse two rows whose folders would be one, on some disks if not here."""
    other = next((other for other in others if other.casefold() == row.casefold()), None)
    if other:
        where = ", ".join(f"{key}[{place}]" for key, place in swept.places.items())
        raise UserError(
            f"models.{swept.model}.sweep: the row of {where} would be called {row}, and there is a model {other}; some "
            "disks do not tell capitals from small letters. Make it a model of its own, with another name."
        )


def _with_rows(names: Any, rows: Mapping[str, Swept]) -> Any:
    """Return a list of models with the rows of a sweep in the place of its model."""
    if not isinstance(names, list):
        return names
    return [row for name in names for row in [row for row, swept in rows.items() if swept.model == name] or [name]]


def _in_names(value: Any) -> str:
    """Return a value as a part of a name, which depends on this value alone.

    What a name cannot say, or could say of another value too, gets the start of its SHA-256.
    """
    if isinstance(value, bool | int | float) or value is None:
        return _as_json(value)
    text = value if isinstance(value, str) else _as_json(value)
    numbers = isinstance(value, list) and all(isinstance(item, int | float) for item in value)
    words = "-".join(map(_as_json, value)) if numbers else re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")
    exact = numbers or (words == text and _reads_as_itself(text))
    return _shortened(words if exact else f"{words}-{_digest(value)}", _LONGEST)


def _in_words(value: Any) -> str:
    """Return a value as labels have it: text as it is, unless YAML reads it as something else."""
    plain = isinstance(value, str) and _reads_as_itself(value)
    return str(value) if plain else json.dumps(value, ensure_ascii=False, default=str)


def _reads_as_itself(text: str) -> bool:
    """Say whether YAML reads a word as text, and not as a number or the like."""
    try:
        return bool(yaml.safe_load(text) == text)
    except (ValueError, RecursionError, yaml.YAMLError):
        return False


def _shortened(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 7]}-{_digest(name)}"


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _digest(value: Any) -> str:
    return hashlib.sha256(_as_json(value).encode()).hexdigest()[:6]

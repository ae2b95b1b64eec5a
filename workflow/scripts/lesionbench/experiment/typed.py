"""The configuration as people type it, read as the schema means it, before it is checked.

Snakemake hands over all values inside `--config 'training={max_epochs: 5}'` as text (`parse_config` in snakemake.cli);
YAML reads `5.0` as a float, `1e-4` as text and an empty section as null. Imported while Snakemake parses, so it needs
nothing but the standard library and PyYAML.
"""

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import yaml

from lesionbench.errors import UserError
from lesionbench.files import can_be_path, read_bytes
from lesionbench.models.own import own_network, shown

_MOST_NODES = 1_000_000  # of a configuration
_LONGEST_WORD = 100  # that YAML may read as something else than text


def read_as(value: Any, rule: Mapping[str, Any], schema: Mapping[str, Any], key: str = "") -> Any:
    """Return `value` as `rule` of `schema` wants it; what cannot be read so stays, for the check to refuse.

    Text becomes a number, boolean or null where the rule wants one, a whole number an int, an empty section an empty
    mapping, a path (`x-path`) one without `~` and variables. Raises UserError where a key is not text or a variable of
    a path is not set; `key` is where the value stands.
    """
    rule = referred(rule, schema)
    if "anyOf" in rule:
        choices = [referred(choice, schema) for choice in rule["anyOf"]]
        null = any(choice.get("type") == "null" for choice in choices)
        return None if null and _is_null(value) else read_as(value, choices[-1], schema, key)
    if isinstance(value, Mapping):
        check_keys(value, key)
        rules, others = rule.get("properties", {}), rule.get("additionalProperties")
        free = others if isinstance(others, Mapping) else {}
        return {name: read_as(item, rules.get(name, free), schema, _below(key, name)) for name, item in value.items()}
    if isinstance(value, list):
        rules = rule.get("prefixItems", [])
        return [
            read_as(item, rules[number] if number < len(rules) else rule.get("items", {}), schema, _below(key, number))
            for number, item in enumerate(value)
        ]
    if value is None and rule.get("type") == "object":
        return {}
    if rule.get("x-path") and isinstance(value, str) and not (_is_null(value) and "null" in rule["type"]):
        return expanded(value, key)
    return _scalar(value, rule)


def check_keys(section: Mapping[Any, Any], where: str) -> None:
    """Raise UserError where YAML has read a key as a number, boolean, date or null."""
    for name in section:
        if not isinstance(name, str):
            raise UserError(
                f"{where or 'the configuration'}: YAML reads a key there as {spoken(name)}, which is not text. Write "
                f"the key in quotes as you mean it, for example:\n  '{spoken(name)}': …"
            )


def spoken(value: object) -> str:
    """Return a value in YAML's words."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else "null" if value is None else str(value)


def expanded(path: str, key: str) -> str:
    """Return `path` with `~` and environment variables filled in.

    Raises UserError, naming the key, where a variable is not set, a user is not known, or no file can be called so.
    """
    if not can_be_path(path):
        raise UserError(f"{key}: no file can be called {shorten(ascii(path), 60, placeholder='…')}. Correct the path.")
    try:
        full = os.path.expandvars(Path(path).expanduser() if path.startswith("~") else path)
    except RuntimeError:
        raise UserError(f"{key}: {path}: there is no such user. Write ~/… or the whole path.") from None
    unset = re.search(r"\$(\w+|\{[^}]*\})", full)
    if unset and not Path(full).exists():
        raise UserError(
            f"{key}: {path}: the environment variable {unset[1].strip('{}')} is not set. Set it before Snakemake "
            "starts, or write the path without it."
        )
    return full


def expand_pathvars(folders: MutableMapping[str, str]) -> None:
    """Expand Snakemake's own path variables, which it takes from the configuration before the workflow's code runs.

    Source: `Workflow.configfile` in snakemake.workflow. Rules that are defined later use what stands in `folders`.
    """
    for name, folder in folders.items():
        folders[name] = expanded(folder, f"pathvars.{name}")


def check_config_files(files: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse what one file of the configuration says twice, of which only one would count.

    That is a key that is given twice, since YAML's reader lets the last one win, and two kinds of data set. Raises
    UserError with the file, and the lines of a key; and where aliases of YAML would make more of a file than it says.
    """
    for file in dict.fromkeys(map(str, files)):
        with _readable(file):
            root = yaml.compose(Path(file).read_bytes(), Loader=yaml.SafeLoader)
        if _count_nodes(root, {}) > _MOST_NODES:
            raise UserError(f"{file}: its aliases (*name) stand for more than {_MOST_NODES:,} values. Write them out.")
        for key, first, second in _double_keys(root):
            raise UserError(
                f"{file}: the key {key} is given twice, in line {first} and line {second}. Only the last one would "
                "count. Remove one, or join what stands below them."
            )
        dataset = _mapping(_contents(file), "dataset")
        if dataset.get("root") is not None and dataset.get("phantom") is not None:
            raise UserError(
                f"{file}: dataset.root and dataset.phantom are both given, and data are either real or synthetic. "
                "Remove root to synthesise them, or phantom to read those in root."
            )


def hidden_keys(files: Sequence[str | os.PathLike[str]], schema: Mapping[str, Any]) -> list[str]:
    """Return a line for each key that the first file changes from its default, and a later one sets to another value.

    files: of the configuration, in the order in which they were merged.
    """
    if len(files) < 2:
        return []
    first, *others = files
    set_later = {key: (file, value) for file in others for key, value in _leaves(_contents(file)).items()}
    lines = []
    for key, value in _leaves(_contents(first)).items():
        default = _default(key, schema)  # of keys without one, nothing tells whether they were changed
        if key in set_later and default is not None and value not in (default, set_later[key][1]):
            said = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000).split("\n")[0]
            lines.append(f"{set_later[key][0]} sets {'.'.join(key)}, so the {said} of {first} does not count.")
    return lines


def _leaves(section: Mapping[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return the values in nested mappings by the keys that lead to them."""
    found: dict[tuple[str, ...], Any] = {}
    for name, value in section.items():
        key = (*above, str(name))
        found |= _leaves(value, key) if isinstance(value, Mapping) else {key: value}
    return found


def _default(key: Sequence[str], schema: Mapping[str, Any]) -> Any:
    """Return the default of a key, None where it has none."""
    rule = schema
    for name in key:
        rule = referred(rule.get("properties", {}).get(name, {}), schema)
    return rule.get("default")


def _contents(file: str | os.PathLike[str]) -> Mapping[str, Any]:
    contents = yaml.safe_load(Path(file).read_bytes())
    return contents if isinstance(contents, Mapping) else {}


def read_config_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the keys of one file of a configuration. Raises UserError where it is none."""
    with _readable(path):
        config = yaml.safe_load(read_bytes(os.fspath(path)).decode())
    if not isinstance(config, dict):
        raise UserError(f"{path}: this is no configuration: it holds no keys. Give one, or a folder.")
    check_config_files([path])
    return config


@contextmanager
def _readable(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as YAML ({reason}). Give a configuration, or a folder.") from None


def _count_nodes(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Return how many values a node of YAML stands for, those of aliases each time; too many where it holds itself."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1  # until it is known: met again inside itself
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_count_nodes(part, known) for part in parts)
    return known[id(node)]


def place_own_files(config: MutableMapping[str, Any], files: Sequence[str | os.PathLike[str]]) -> None:
    """Let the files of own networks, which a configuration names relative to its own folder, start from ours.

    files: of the configuration, in the order in which they were merged. What is not beside the file that names it stays
    as it is, and is looked for in the working directory.
    """
    for file in reversed(files):  # of two that say the same, the later one is meant
        for name, model in _mapping(_contents(file), "models").items():
            merged = _mapping(config, "models", name)
            for said, used in ((model, merged), (_mapping(model, "sweep"), _mapping(merged, "sweep"))):
                architecture = _mapping(said).get("architecture")
                if architecture is not None and architecture == used.get("architecture"):
                    used["architecture"] = _placed(architecture, Path(file).parent)


def _placed(architecture: Any, folder: Path) -> Any:
    """Return an `architecture`, or a list of some, with each file that lies below a folder named from here."""
    if isinstance(architecture, list):
        return [_placed(one, folder) for one in architecture]
    own = own_network(str(architecture))
    if own is None or not own.is_file or not (folder / own.where).is_file():
        return architecture
    return replace(own, where=shown((folder / own.where).resolve())).name


def _mapping(value: Any, *keys: str) -> Any:
    """Return the mapping below keys of a value, an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _double_keys(root: yaml.Node | None) -> list[tuple[str, int, int]]:
    """Return each key that is given twice in one mapping, and both lines, from 1."""
    found: list[tuple[str, int, int]] = []
    pending, seen = [root], {id(None)}
    while pending:
        node = pending.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                pending.append(value)
                name, line = (key.tag, str(key.value)), key.start_mark.line + 1
                if name in lines:
                    found.append((name[1], lines[name], line))
                lines[name] = line
    return sorted(found, key=lambda double: double[1:])


def referred(rule: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a rule with what it refers to (`$ref`) filled in; what stands beside the reference counts."""
    found: Any = schema
    for part in rule["$ref"].removeprefix("#/").split("/") if "$ref" in rule else []:
        found = found[part]
    return {**found, **rule} if "$ref" in rule else rule


def _below(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _is_null(value: object) -> bool:
    return value is None or (isinstance(value, str) and value != "" and _yaml(value) is None)


def _yaml(text: str) -> Any:
    """Return what YAML makes of one word; text that is no YAML stays."""
    if len(text) > _LONGEST_WORD:
        return text
    try:
        return yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return text


def _scalar(value: Any, rule: Mapping[str, Any]) -> Any:
    """Return a single value as a type that the rule wants, or as it is; a rule without types wants what YAML reads."""
    wanted = rule.get("type", [] if {"enum", "const"} & rule.keys() else ["null", "boolean", "number"])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if "null" in wanted and _is_null(value):
        return None
    if isinstance(value, str) and "boolean" in wanted and isinstance(_yaml(value), bool):
        return _yaml(value)
    if isinstance(value, (str, float)) and {"integer", "number"} & set(wanted):
        return _number(value)
    return value


def _number(value: str | float) -> Any:
    """Return a number, an int where it is whole; text that is none, and what is not finite, stays."""
    for kind in (int, float) if isinstance(value, str) else (float,):
        try:
            number = kind(value)
        except ValueError:
            continue
        if isinstance(number, int):
            return number
        return int(number) if number.is_integer() else number if math.isfinite(number) else value
    return value

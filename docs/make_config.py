"""Write config.md from the schema of the configuration: python -m docs.make_config"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lesionbench.experiment.config import read_schema

PAGE = Path(__file__).with_name("config.md")

INTRODUCTION = """\
# Configuration

<!-- Written by `python -m docs.make_config` from workflow/schemas/config.schema.yaml: change it there. -->

An experiment is `config.yaml`, with the keys of an overlay (`--configfile`) on top. Every key has a default except
`compare` and the entries of `models`; "–" stands for no default. Paths are relative to the folder that Snakemake runs
in; a leading `~` and environment variables (`$VAR`) in them are filled in. An empty section means its defaults.

The last column names the rules that run again after the key has changed. All rules that use their results follow; see
[what runs again after a change](reruns.md) and [the rules](workflow.md). `summary`, the first page of the report, also
shows the configuration: it is written again after any change except one of `figures`, `notify`, `pathvars`, `segment`
or `training.log`.
"""

HEADER = "| key | what it is | values | default | runs again |\n| --- | --- | --- | --- | --- |"
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
TYPES = {"integer": "whole number", "number": "number", "string": "text", "null": "`null`", "object": "mapping"}
RULES = {"*": "everything, into the new folder", "plot*": "all figures"}


def sections(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the path and the rule of each mapping whose keys the schema lists, the top level first, under ""."""
    pending = [("", schema)]
    while pending:
        path, rule = pending.pop(0)
        yield path, rule
        children = [(f"{path}.{name}".strip("."), child) for name, child in rule["properties"].items()]
        inside = [(name, _mapping(child, schema)) for name, child in children]
        pending[:0] = [(f"{name}{suffix}", found) for name, (suffix, found) in inside if found]


def leaves(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the path and the rule of each key that is not a section."""
    for path, rule in sections(schema):
        for name, child in rule["properties"].items():
            if not _mapping(child, schema)[1] or "x-reruns" in child:
                yield f"{path}.{name}".strip("."), child


def page(schema: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for path, rule in sections(schema):
        heading = f"## {path}\n\n{rule['description']}" if path else "## The top level"
        known = dict(leaves(schema))
        rows = [_row(name, known[key]) for name in rule["properties"] if (key := f"{path}.{name}".strip(".")) in known]
        parts.append("\n".join([heading, "", HEADER, *rows, ""]))
    return "\n".join(parts)


def _mapping(rule: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
    """Return the mapping that a key holds, if the schema lists its keys, and what follows the key in its path."""
    if "properties" in rule:
        return "", rule
    if "$ref" in (rule.get("additionalProperties") or {}):
        return ".NAME", _referred(rule["additionalProperties"], schema)
    named = [choice for choice in rule.get("anyOf", []) if "$ref" in choice]
    return "", _referred(named[0], schema) if named else None


def _referred(rule: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema
    for part in rule["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def _row(name: str, rule: Mapping[str, Any]) -> str:
    default = f"`{_flow(rule['default'])}`" if "default" in rule else "–"
    again = ", ".join(RULES.get(rerun, f"`{rerun}`") for rerun in rule["x-reruns"]) or "–"
    cells = [f"`{name}`", rule["description"], _values(rule), default, again]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _values(rule: Mapping[str, Any]) -> str:
    """Return in words which values a rule allows."""
    if "$ref" in rule:
        name = rule["$ref"].rsplit("/", 1)[1]
        return f"keys of [{name}](#{name})" if "properties" in rule["$ref"] else f"keys of `{name}`, below"
    if "anyOf" in rule:
        return " or ".join(_values(choice) for choice in rule["anyOf"])
    if "enum" in rule or "const" in rule:
        return _any_of(rule.get("enum") or [rule["const"]])
    if rule["type"] == "boolean":
        return _any_of([True, False])
    if rule["type"] == "array":
        return _list(rule)
    types = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
    bounds = " and ".join(f"{sign} {rule[key]}" for key, sign in BOUNDS.items() if key in rule)
    examples = f", such as {_any_of(rule['examples'])}" if rule.get("examples") else ""
    return f"{' or '.join(TYPES[name] for name in types)} {bounds}".strip() + examples


def _list(rule: Mapping[str, Any]) -> str:
    fewest, most = rule.get("minItems", 0), rule.get("maxItems")
    item = rule["prefixItems"][0] if "prefixItems" in rule else rule["items"]
    what = "mapping of " + " and ".join(f"`{key}`" for key in item["properties"]) if "properties" in item else None
    count = f"list of {fewest}" if fewest == most else "list"
    return f"{count}, each: {what or _values(item)}" + (", no two alike" if rule.get("uniqueItems") else "")


def _any_of(values: list) -> str:
    texts = [f"`{_flow(value)}`" for value in values]
    return " or ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else texts[0]


def _flow(value: object) -> str:
    """Return a value as YAML on one line."""
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000).split("\n")[0]


if __name__ == "__main__":
    PAGE.write_text(page(read_schema()), encoding="utf-8")

"""What a capsule says of itself: RO-Crate metadata after the profile Workflow Run Crate.

Source: Leo et al., Recording provenance of workflow runs with RO-Crate, https://doi.org/10.1371/journal.pone.0309210;
profile: https://w3id.org/ro/wfrun/workflow/0.5. Scans and reference masks are entities that have a hash and no file.
"""

import json
import mimetypes
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lesionbench.capsule.contents import Finished
from lesionbench.errors import UserError
from lesionbench.files import sha256
from lesionbench.training.runfile import read_contents

METADATA = "ro-crate-metadata.json"
SNAKEFILE = "workflow/Snakefile"
_PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
_CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
_NO_LICENCE = "No licence is stated: ask the authors before you use the results for anything but checking them."


def describe(files: Mapping[str, Path], results: Finished, name: str, day: str) -> bytes:
    """Return the metadata file for the files of a capsule by their names.

    name: of the results, in words; day: of the export, as ISO 8601 writes it.

    Raises UserError where the package rocrate is not installed.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise UserError("To make a capsule, rocrate is needed. Install it with `pip install rocrate`.") from error
    crate = ROCrate(version="1.1")  # which the profile builds on
    crate.metadata.extra_contexts.append(_CONTEXT)
    crate.name, crate.datePublished = f"Lesionbench: {name}", day
    crate.description = (
        "Predicted masks, scores and tables of a comparison of segmentation models on chest CT, with what made them. "
        "Scans and reference masks are named by their hashes only. Check it with `lesionbench verify`."
    )
    crate.license = _add(crate, "#licence", "CreativeWork", name="Licence", description=_NO_LICENCE)
    profiles = [_add_profile(crate, uri) for uri in _PROFILES]
    crate.root_dataset["conformsTo"] = profiles
    made = [_add_file(crate, path, target) for target, path in sorted(files.items()) if target != SNAKEFILE]
    workflow = crate.add_workflow(files[SNAKEFILE], SNAKEFILE, main=True, lang="snakemake")
    workflow["name"] = "Lesionbench"
    workflow["sha256"] = sha256(files[SNAKEFILE])
    if commit := results.environment.get("git_commit"):
        workflow["version"] = commit
    inputs = [
        _add(crate, f"#sha256-{digest}", "CreativeWork", name=what, sha256=digest) for what, digest in _inputs(results)
    ]
    action = _add(crate, "#run", "CreateAction", name="Training, prediction and comparison")
    action["instrument"] = workflow
    action["object"] = inputs
    action["result"] = [entity for entity in made if entity.id.startswith("results/")]
    action["actionStatus"] = "http://schema.org/CompletedActionStatus"
    action["endTime"] = max(_times(results), default=day)
    crate.root_dataset["mentions"] = [action]
    return (json.dumps(crate.metadata.generate(), indent=1, ensure_ascii=False) + "\n").encode()


def _add(crate: Any, identifier: str, kind: str, **properties: Any) -> Any:
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **properties}))


def _add_profile(crate: Any, uri: str) -> Any:
    name, version = uri.split("/")[-2:]
    return _add(crate, uri, "CreativeWork", name=f"RO-Crate profile: {name}", version=version)


def _add_file(crate: Any, path: Path, target: str) -> Any:
    kind = "application/gzip" if target.endswith(".gz") else mimetypes.guess_type(target)[0] or "text/plain"
    about = {"sha256": sha256(path), "contentSize": str(path.stat().st_size), "encodingFormat": kind}
    return crate.add_file(path, target, properties={"name": Path(target).name, **about})


def _inputs(results: Finished) -> Iterator[tuple[str, str]]:
    """Yield what it is and its SHA-256 for each scan, each reference mask, and each file of pretrained weights."""
    found: dict[str, str] = {}
    for external in results.sets:
        where = f" of {external}" if external else ""
        for row in results.inventory(external).to_dict("records"):
            for kind, words in (("ct", "CT"), ("mask", "reference mask")):
                if row[f"{kind}_sha256"]:
                    found.setdefault(row[f"{kind}_sha256"], f"{words} of {row['study']}{where}")
    for record in records(results):
        if digest := record.get("encoder_weights_sha256"):
            found.setdefault(digest, "pretrained weights of an encoder")
    yield from ((what, digest) for digest, what in found.items())


def records(results: Finished) -> Iterator[dict[str, Any]]:
    """Yield the records of the trainings."""
    for path in sorted(results.folder.glob("models/*/*/*/run.json")):
        yield read_contents(path, ("environment",))


def _times(results: Finished) -> Iterator[str]:
    yield from (record["environment"]["finished"] for record in records(results))

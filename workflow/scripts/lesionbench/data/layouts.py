"""The layouts of data sets that are known, and which of them a folder has: `presets/data/` and `lesionbench init`."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lesionbench.data.proposals import holds_dicom, propose
from lesionbench.data.studies import DataSet, Study, find_studies
from lesionbench.environment import CHECKOUT
from lesionbench.errors import UserError
from lesionbench.words import counted

PRESETS = CHECKOUT / "presets" / "data"
STACK = "tr_im.nii.gz"  # MedSeg's slices of a hundred patients, in one volume


@dataclass(frozen=True)
class Layout:
    """A layout: its name, what it is in a line, and the configuration that describes it."""

    name: str
    title: str
    config: Mapping[str, Any]

    def dataset(self, root: str | Path) -> DataSet:
        """Return the data set that lies below `root` in this layout."""
        given = {key: value for key, value in self.config["dataset"].items() if key in ("ct", "mask", "table")}
        if given.get("table"):
            given["table"] = CHECKOUT / given["table"]
        return DataSet(root, **given)


def read_layouts() -> dict[str, Layout]:
    """Return the layouts of `presets/data`, by name; each file's second line is its title."""
    layouts = {}
    for path in sorted(PRESETS.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        title = text.splitlines()[1].removeprefix("# ")
        layouts[path.stem] = Layout(path.stem, title, yaml.safe_load(text))
    return layouts


def recognise(root: str | Path) -> list[tuple[Layout, list[Study]]]:
    """Return the layouts that a folder fits, with the studies that they find there, the best first.

    The best finds most studies that have both CT and mask; where none has, it says most in plain text.
    """
    found = []
    for layout in read_layouts().values():
        dataset = layout.dataset(root)
        try:
            studies = find_studies(dataset)
        except UserError:
            continue
        folders = [study.ct for study in studies if study.ct and study.ct.is_dir()]
        if all(map(holds_dicom, folders[:3])):
            found.append((layout, studies))
    return sorted(
        found, key=lambda one: (-_complete(one[1]), -len(re.sub(r"\{\w+\}", "", one[0].dataset(".").ct or "")))
    )


def config_of(root: str | Path) -> dict[str, Any]:
    """Return the configuration of a folder whose layout is known.

    Raises UserError with what `lesionbench init` says where it is not.
    """
    root = Path(root)
    known = recognise(root)
    if known and (_complete(known[0][1]) or not propose(root)[1]):
        return _of_layout(root, known)[1]
    if any((root / folder).is_dir() for folder in ("studies", "masks")):  # MosMedData's, with files that do not fit
        return {"dataset": {"root": str(root)}}
    proposed = propose_config(root)
    raise UserError(
        f"{root}: its layout is none that is known. Write these lines into a configuration, look at them, and check "
        f"that:\n{proposed}"
    )


def propose_config(root: str | Path) -> str:
    """Return what `lesionbench init` says of a folder: which layout it has, what is in it, and lines for the config.

    Everything but these lines is a comment, so that the text is YAML as it is. Raises UserError where the folder is not
    there or holds no volume.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder. Give the folder that holds your CTs and masks.")
    if (root / STACK).is_file():
        raise UserError(
            f"{root / STACK}: this stack holds slices of many patients, who would be taken for one. Write a study for "
            f"each slice first:\n  lesionbench unstack {root / STACK} {root / 'tr_mask.nii.gz'} FOLDER\n"
            "and then: lesionbench init FOLDER"
        )
    known, (ct, mask) = recognise(root), propose(root)
    if known and (_complete(known[0][1]) or not mask):
        head, config = _of_layout(root, known)
        studies = known[0][1]
    elif ct:
        studies = find_studies(DataSet(root, ct, mask))
        config = {"dataset": {"root": str(root), "ct": ct, "mask": mask}, "reference_results": None}
        head = ["# Layout: none that is known; these patterns fit most files. Look at them before you use them."]
    else:
        raise UserError(
            f"{root}: there is no CT that can be read: no NIfTI, NRRD, MetaImage or DICOM below it. Give "
            "the folder that holds your CTs and masks."
        )
    lines = yaml.safe_dump(config, default_flow_style=None, sort_keys=False)
    return "\n".join([*head, *_counts(studies), lines.rstrip()])


def _of_layout(root: Path, known: Sequence[tuple[Layout, list[Study]]]) -> tuple[list[str], dict[str, Any]]:
    """Return comments on the best of the layouts that fit, and its configuration for a folder."""
    layout = known[0][0]
    others = [f"# It also fits: {other.name} ({other.title})" for other, found in known[1:] if _complete(found)]
    dataset = {**layout.config["dataset"], "root": str(root)}
    if "table" in dataset:
        dataset["table"] = os.path.relpath(CHECKOUT / dataset["table"])
    return [f"# Layout: {layout.name} ({layout.title})", *others], {**layout.config, "dataset": dataset}


def _complete(studies: Sequence[Study]) -> int:
    return sum(bool(study.ct and study.mask) for study in studies)


def _counts(studies: Sequence[Study]) -> list[str]:
    """Return comments on what there is."""
    patients = {study.patient for study in studies if study.patient}
    categories = sorted({study.category for study in studies if study.category})
    lines = [
        f"# {counted(len(studies), 'study')}: {sum(bool(study.ct) for study in studies):,} with a CT, "
        f"{sum(bool(study.mask) for study in studies):,} with a mask, {_complete(studies):,} with both",
        f"# {counted(len(patients), 'patient')}" if patients else "# patients are not known: each study counts as one",
    ]
    if categories:
        lines.append(f"# categories: {', '.join(categories)}")
    if not any(study.mask for study in studies):
        lines.append("# Without masks nothing can be trained or scored.")
    return lines

"""Synthetic data sets in the layouts of published ones, with their names of files, to try a configuration on."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import label

from lesionbench.data.layouts import STACK, Layout, read_layouts
from lesionbench.data.nifti import write_mask, write_volume
from lesionbench.data.patterns import Pattern
from lesionbench.data.phantom import synthesise, write_phantom
from lesionbench.data.studies import Phantom
from lesionbench.data.study_table import read_study_table
from lesionbench.data.volume import Volume, slice_spacing, to_slices
from lesionbench.errors import UserError
from lesionbench.files import atomic
from lesionbench.progress import track
from lesionbench.words import listed

BURDEN = "CT-3"  # enough lesion to be seen in a small volume
GREY = (-1250.0, 1500.0)  # lower edge and width of the window of the radiopaedia cases (doi:10.5281/zenodo.3757476)
_RICORD = "MIDRC-RICORD-1A-419639-000"
_EXAMPLES: Mapping[str, Sequence[Mapping[str, str]]] = {
    "nnunet": [{"study": f"lesion_{number:03d}"} for number in range(1, 7)],
    "msd": [{"study": f"lung_{number:03d}"} for number in (1, 3, 4, 5, 6)],
    "covid-19-20": [{"study": f"volume-covid19-A-{number:04d}"} for number in (3, 11, 14, 16, 25)],
    "medseg": [{"study": str(number)} for number in range(1, 7)],
    "covid-ct-md": [
        {"category": "COVID-19 subjects", "study": "P001"},
        {"category": "COVID-19 subjects", "study": "P002"},
        {"category": "CAP subjects", "study": "cap001"},
        {"category": "Normal subjects", "study": "normal001"},
    ],
    "ricord": [
        {"patient": f"{_RICORD}082", "study": "08-02-2002-NA-CT CHEST WITHOUT CONTRAST-04614"},
        {"patient": f"{_RICORD}082", "study": "08-09-2002-NA-CT CHEST WITHOUT CONTRAST-51206"},
        {"patient": f"{_RICORD}361", "study": "10-21-2002-NA-CT CHEST WITHOUT CONTRAST-30188"},
    ],
    "patients": [
        {"patient": f"patient-{number:02d}", "study": date}
        for number in range(1, 5)
        for date in ("2020-03-01", "2020-03-15")[: 1 + number % 2]
    ],
}  # fmt: skip
# What lies there besides: files of macOS, and the second part of Medical Segmentation Decathlon.
_STRAYS = {"msd": ["imagesTr/._lung_001.nii.gz", "labelsTr/._lung_001.nii.gz"], "covid-19-20": [".DS_Store"]}


@dataclass(frozen=True)
class _Place:
    """A study and where its files go, relative to the root; no mask where it has none."""

    study: str
    ct: str
    mask: str | None


def write_layout(name: str, folder: str | Path, phantom: Phantom) -> None:
    """Write phantoms below a new folder as a published data set lies; size, slices and seed are those of `phantom`.

    Raises UserError where the layout is unknown or the folder holds something already.
    """
    layouts = read_layouts()
    if name not in layouts:
        raise UserError(f"{name}: no such layout. Known are {listed(sorted(layouts))}.")
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: it is not empty. Give the name of a new folder.")
    if name == "mosmed":
        write_phantom(folder, phantom)
    elif name == "medseg-slices":
        _write_stack(folder, phantom)
    else:
        for place in track(_places(layouts[name]), "study"):
            _write_study(name, folder, place, phantom)
    for stray in _STRAYS.get(name, []):
        (folder / stray).write_bytes(b"\0\5\x16\7")
    if name in ("nnunet", "msd"):
        _write_description(name, folder)


def _places(layout: Layout) -> list[_Place]:
    """Return the studies of a layout: the table's where it names files, else examples; the last has no mask."""
    dataset = layout.dataset(".")
    lines, names_files = read_study_table(dataset.table, "table") if dataset.table else ({}, False)
    if names_files:
        return [_Place(line.study, line.ct, line.mask) for line in lines.values()]
    examples = _EXAMPLES.get(layout.name) or [{"study": study} for study in lines]
    ct, mask = (Pattern(text, layout.name) if text else None for text in (dataset.ct, dataset.mask))
    assert ct  # every layout that is written by examples has one
    without = examples[-1] if layout.name in _EXAMPLES else None
    return [
        _Place(
            " ".join(values.values()), ct.fill(values), mask.fill(values) if mask and values is not without else None
        )
        for values in examples
    ]


def _write_study(name: str, folder: Path, place: _Place, phantom: Phantom) -> None:
    ct, lesion = synthesise(place.study, BURDEN, phantom)
    if place.ct.endswith("/"):
        _write_dicom(name, folder / place.ct, ct)
        return
    grey = place.study.startswith("radiopaedia")
    write_volume(folder / place.ct, _as_grey(ct.data) if grey else ct.data, ct.affine)
    if place.mask:
        write_mask(folder / place.mask, _labelled(name, ct, lesion), ct.affine)


def _as_grey(hu: np.ndarray) -> np.ndarray:
    lowest, width = GREY
    return np.rint(np.clip((hu - lowest) / width, 0, 1) * 255).astype(np.uint8)


def _labelled(name: str, ct: Volume, lesion: np.ndarray) -> np.ndarray:
    """Return the mask with the labels of a layout: of lungs, or of kinds of lesion."""
    if name == "ma-lung":
        regions, _ = label(ct.data < -500)
        outside = np.unique(np.concatenate([regions[0].ravel(), regions[-1].ravel(), regions[:, -1].ravel()]))
        right = np.arange(len(lesion))[:, None, None] < len(lesion) // 2
        lungs = np.where(np.isin(regions, outside), 0, np.where(right, 2, 1))
        return np.where(lesion, 3, lungs).astype(np.uint8)
    if name.startswith("medseg"):
        labels = np.where(lesion, np.where(ct.data > -250, 2, 1), 0).astype(np.uint8)
        labels[tuple(np.argwhere((ct.data > 0) & (lesion == 0))[0])] = 3
        return labels
    return lesion


def _write_stack(folder: Path, phantom: Phantom) -> None:
    """Write MedSeg's stack: each slice is the one with most lesion of another patient."""
    slices = []
    for number in range(phantom.annotated):
        ct, lesion = synthesise(f"slice {number}", BURDEN, phantom)
        most = int(lesion.sum(axis=(0, 1)).argmax())
        slices.append((ct.data[:, :, most], _labelled("medseg", ct, lesion)[:, :, most]))
    images, masks = (np.stack(part, axis=-1) for part in zip(*slices, strict=True))
    write_volume(folder / STACK, images, ct.affine)
    write_mask(folder / "tr_mask.nii.gz", masks, ct.affine)


def _write_description(name: str, folder: Path) -> None:
    """Write the `dataset.json` of nnU-Net, or of Medical Segmentation Decathlon."""
    if name == "nnunet":
        text = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "lesion": 1}, "file_ending": ".nii.gz"}
    else:
        text = {"name": "Lung", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "cancer"}}
    with atomic(folder / "dataset.json") as temporary:
        temporary.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")


def _write_dicom(name: str, folder: Path, ct: Volume) -> None:
    """Write a CT as DICOM; for RICORD in the folders of its series, of which one is a coronal reformat."""
    if name == "ricord":
        patient = folder.parent.name
        _write_series(folder / "3.000000-ROUTINE CHEST NON-CON-97100", ct, patient, 3, "ROUTINE CHEST NON-CON")
        _write_series(folder / "4.000000-COR CHEST-26970", ct, patient, 4, "COR CHEST", "coronal")
    else:
        _write_series(folder, ct, folder.name, 1, "CHEST")


def _write_series(folder: Path, ct: Volume, patient: str, number: int, description: str, plane: str = "axial") -> None:
    """Write the slices of a plane as DICOM files, out of order by name; the grid of `ct` is LAS."""
    try:
        import pydicom
    except ImportError:
        raise UserError("pydicom writes DICOM, and it is not installed. Run: pip install pydicom") from None
    folder.mkdir(parents=True)
    stack = to_slices(ct.data, ct.affine, plane)
    between, down, along = map(float, slice_spacing(ct.affine, plane))
    _, back, top = ct.data.shape
    names = random.Random(patient).sample(range(1, len(stack) + 1), len(stack))
    series = {
        "SOPClassUID": pydicom.uid.CTImageStorage, "Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PatientID": patient, "SeriesNumber": number, "SeriesDescription": description,
        "StudyInstanceUID": _uid(folder.parent), "SeriesInstanceUID": _uid(folder),
        "Rows": stack.shape[1], "Columns": stack.shape[2], "PixelSpacing": [down, along], "SliceThickness": between,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0] if plane == "axial" else [1, 0, 0, 0, 0, -1],
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelRepresentation": 0,
        "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU",
    }  # fmt: skip
    for index, (pixels, name) in enumerate(zip(stack, names, strict=True)):
        corner = (0, back - 1, index) if plane == "axial" else (0, back - 1 - index, top - 1)
        right, front, head = map(float, (ct.affine @ [*corner, 1])[:3])
        header = pydicom.Dataset()
        header.file_meta = pydicom.dataset.FileMetaDataset()
        header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        for keyword, value in series.items():
            setattr(header, keyword, value)
        header.SOPInstanceUID, header.InstanceNumber = _uid(folder / str(index)), index + 1
        header.ImagePositionPatient = [-right, -front, head]  # DICOM's axes point to the left and to the back
        header.PixelData = (pixels + 1024).astype("<u2").tobytes()
        with atomic(folder / f"IM{name:04d}.dcm") as temporary:
            pydicom.dcmwrite(temporary, header, enforce_file_format=True)


def _uid(path: Path) -> str:
    """Return an identifier of DICOM that is a path's own (PS3.5, B.2)."""
    return f"2.25.{int(hashlib.sha256(str(path).encode()).hexdigest()[:32], 16)}"

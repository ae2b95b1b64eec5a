"""How a data set's files are read, and which names are those of volumes.

Imported while Snakemake parses the workflow, so it needs nothing but the standard library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

NIFTI_SUFFIXES = (".nii.gz", ".nii")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
# What the name of a volume ends with, in any case of letters; a CT may also be a folder of DICOM slices.
SUFFIXES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)


@dataclass(frozen=True)
class Reading:
    """The keys of the section `dataset` that say how its files are read; the schema says what each means.

    lesion_labels: of masks, None where they hold 0 and 1 (or 255) and nothing else; intensity: "hu", or {"window":
    [centre, width]} in HU for grey values 0…255 of that window; geometry: "sform", "qform", or None where the two must
    agree; series: UID, number or description, where a folder of DICOM slices holds several CT series.
    """

    lesion_labels: tuple[int, ...] | None = None
    intensity: str | Mapping[str, Sequence[float]] = "hu"
    geometry: str | None = None
    series: str | None = None

    def __post_init__(self) -> None:
        if self.lesion_labels is not None:
            object.__setattr__(self, "lesion_labels", tuple(self.lesion_labels))  # a list where it comes from YAML

    @property
    def window(self) -> tuple[float, float] | None:
        """The HU of the grey values 0 and 255; None where voxels are HU."""
        if isinstance(self.intensity, str):
            return None
        centre, width = self.intensity["window"]
        return centre - width / 2, centre + width / 2

    @property
    def predicted(self) -> "Reading":
        """How masks that a model predicted for the data set are read: lesion is 1, the geometry that of the scans."""
        return replace(self, lesion_labels=None)


AS_IS = Reading()


def is_scan(path: str | Path) -> bool:
    """Say by its name whether a file is a volume that `data.scans` reads.

    Of a folder it says False: whether it holds DICOM slices, only its files can tell (`data.scans.read_header`).
    """
    return str(path).lower().endswith(SUFFIXES)


def is_nifti(path: str | Path) -> bool:
    """Say by its name whether a file is NIfTI: `.nii` or `.nii.gz`, in any case of letters."""
    return str(path).lower().endswith(NIFTI_SUFFIXES)


def scan_stem(path: str | Path) -> str:
    """Return the name of a file or folder without what lies above it and without a volume's suffix."""
    name = Path(path).name
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def is_dicom(path: str | Path) -> bool:
    """Decide by the name, or by the prefix after the preamble of 128 bytes (DICOM PS3.10, section 7.1)."""
    path = Path(path)
    if path.suffix.lower() in _DICOM_SUFFIXES:
        return path.is_file()
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False

"""A lesion mask as DICOM Segmentation (PS3.3, A.51) that refers to the images of its CT series.

highdicom and pydicom are imported where such a file is written: the rest does without them.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lesionbench import __version__
from lesionbench.data.dicom import read_slices
from lesionbench.errors import UserError
from lesionbench.files import atomic

LABEL = "COVID-19 lesion"
_MAY_BE_EMPTY = (
    "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime",
    "PositionReferenceIndicator",
)  # fmt: skip


def refuse_missing() -> None:
    """Raise UserError where highdicom is not installed."""
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise UserError(
            "--dicom-seg needs highdicom. Run `pip install highdicom`, or install lesionbench with the extra `dicom`."
        ) from error


def write_dicom_seg(lesion: np.ndarray, folder: Path, series: str | None, algorithm: str, path: str | Path) -> None:
    """Write a mask (i, j, k), on the grid that `data.dicom.read_voxels` gives of the series, and read it back.

    algorithm: what made the mask, for the file's record. Raises UserError where the series' headers lack what a
    segmentation must repeat of them, the mask is empty, or what is read back is not the mask.
    """
    import highdicom as hd
    import pydicom

    files = read_slices(folder, series)
    images = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    frames = np.ascontiguousarray(np.moveaxis(lesion.astype(np.uint8), (2, 1, 0), (0, 1, 2)))
    if not frames.any():
        raise UserError(f"{path}: nothing is marked, and a DICOM segmentation cannot be empty. It is not written.")
    try:
        with atomic(path) as temporary:
            _segmentation(hd, images, frames, algorithm).save_as(temporary)
            _check(hd, temporary, images, frames, path)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{folder}: no DICOM segmentation can refer to this series ({reason}). Export it again."
        ) from error


def _segmentation(hd: Any, images: list[Any], frames: np.ndarray, algorithm: str) -> Any:
    from pydicom.sr.codedict import codes

    for image in images:  # what the standard asks for in each of them, and anonymisers remove
        for name in _MAY_BE_EMPTY:
            if name not in image:
                setattr(image, name, None)
        if "FrameOfReferenceUID" not in image:
            raise ValueError("its images have no FrameOfReferenceUID")
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=LABEL,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm[:64], version=__version__, family=codes.DCM.ArtificialIntelligence
        ),
        anatomic_regions=[codes.SCT.Lung],
    )
    return hd.seg.Segmentation(
        source_images=images,
        pixel_array=frames,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=hd.UID(),
        series_number=9000,
        series_description=f"{LABEL}, research only"[:64],
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Lesionbench",
        manufacturer_model_name="lesionbench segment",
        software_versions=__version__,
        device_serial_number="0",
        omit_empty_frames=True,
    )


def _check(hd: Any, written: Path, images: list[Any], frames: np.ndarray, path: str | Path) -> None:
    """Raise UserError where a file does not hold the frames at the images that they are of."""
    uids = [image.SOPInstanceUID for image in images]
    found = hd.seg.segread(written).get_pixels_by_source_instance(
        uids, ignore_spatial_locations=True, combine_segments=True, assert_missing_frames_are_empty=True
    )
    if not np.array_equal(found, frames):
        raise UserError(f"{path}: what was written is not the mask. Use the NIfTI file, and report this.")

"""Scans to masks, pictures and reports, one after another: one loaded ensemble for all of them.

The next scan is read, and its lungs are found, while one is segmented; no more than two are in memory.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from lesionbench.data.nifti import write_mask
from lesionbench.data.reading import AS_IS, Reading
from lesionbench.data.scans import read_ct
from lesionbench.data.slices import stack_slices
from lesionbench.data.volume import Volume, match_grid
from lesionbench.environment import environment
from lesionbench.errors import UserError
from lesionbench.files import sha256
from lesionbench.progress import track
from lesionbench.segmentation.dicom_seg import refuse_missing, write_dicom_seg
from lesionbench.segmentation.found_lungs import LUNGS, read_found, read_hu
from lesionbench.segmentation.inference import TRAINING, Predictor, load_run, predict
from lesionbench.segmentation.inputs import Scan
from lesionbench.segmentation.lungs import Lungs, find_lungs
from lesionbench.segmentation.measure import doubts, measure
from lesionbench.segmentation.operating_point import FILE, find_point, lesion_mask
from lesionbench.segmentation.point import OperatingPoint
from lesionbench.segmentation.preview import refuse_without_matplotlib, write_preview
from lesionbench.segmentation.probabilities import write_probability
from lesionbench.segmentation.scan_report import REPORT, is_finished, write_report, write_table
from lesionbench.training.runfile import WEIGHTS
from lesionbench.words import counted

logger = logging.getLogger(__name__)

MASK, PROBABILITY = "lesion.nii.gz", "probability.nii.gz"
PREVIEW, DICOM_SEG = "preview.png", "lesion.dcm"
FILES = (MASK, LUNGS, PROBABILITY, PREVIEW, DICOM_SEG)


@dataclass(frozen=True)
class Wanted:
    """What is made of each scan, and how it is read.

    lungs: the mask of another tool, of the one scan that there is; force: segment also what is no CT in HU; whole: look
    for lesions far from the lungs too; basis: what else decides the results, such as a digest of the code.
    """

    probabilities: bool = False
    preview: bool = False
    dicom_seg: bool = False
    lungs: Path | None = None
    force: bool = False
    reading: Reading = AS_IS
    whole: bool = False
    basis: str = ""


@dataclass(frozen=True)
class Ensemble:
    """Runs that segment together: the mean of their probabilities at one operating point."""

    runs: Sequence[Path]
    predictors: Sequence[Predictor]
    point: OperatingPoint

    def __str__(self) -> str:
        size = f"components of {self.point.min_component_mm3:g} mm³ or more"
        return f"{counted(len(self.runs), 'run')}. Threshold {self.point.threshold:.3g}, {size}"

    @property
    def record(self) -> dict[str, Any]:
        """Return what decides its masks: weights of each run, mirror images, precision, and the operating point."""
        weights = {str(run): sha256(run / WEIGHTS) for run in self.runs}
        first = self.predictors[0]
        how = {"mirroring": first.mirroring, "precision": first.computes_in}
        return {"runs": weights, **how, "operating_point": asdict(self.point)}


def load_ensemble(
    runs: Sequence[Path],
    device: str = "auto",
    mirroring: bool = False,
    code: Sequence[str] | None = (),
    given: Mapping[str, float] | None = None,
    precision: str = TRAINING,
) -> Ensemble:
    """Load runs. `given` is what the operating point has instead of what the runs have chosen.

    precision: float32, bfloat16, or `training` for those of the trainings.

    Raises UserError as `load_run` does.
    """
    predictors = [load_run(run, device, mirroring, code, precision, fast=True) for run in runs]
    return Ensemble(runs, predictors, replace(chosen_point(runs), **(given or {})))


def chosen_point(runs: Sequence[Path]) -> OperatingPoint:
    """Return the mean of the operating points that all runs have chosen, or the usual one where one has none."""
    files = [run / FILE for run in runs]
    usual = OperatingPoint()
    return find_point(asdict(usual), files if all(file.is_file() for file in files) else []) or usual


@dataclass(frozen=True)
class Segmented:
    """A scan's probability of lesion, its mask (i, j, k), and the volume in ml that each run alone would mark."""

    probability: Volume
    lesion: np.ndarray
    volumes: Sequence[float]


def segment_scan(ensemble: Ensemble, name: str, ct: Volume, lungs: np.ndarray | None = None) -> Segmented:
    """Segment a CT. Raises UserError, naming the scan, where a network gives no numbers.

    lungs: (i, j, k), not 0 inside, where lesions are looked for around them only (`inference.predict_stack`).
    """
    count = len(ensemble.runs)
    total: Volume | None = None
    volumes, stacks = [], {}
    for predictor in ensemble.predictors:
        preprocessing = predictor.record.preprocessing
        key = (preprocessing.plane, *preprocessing.hu_window)
        if key not in stacks:
            stacks = {key: stack_slices(name, ct, None, preprocessing)}  # the last one only: memory
        found = predict(predictor, stacks[key], lungs)
        if not np.isfinite(found.data).all():
            raise UserError(f"{name}: the model gives probabilities that are no numbers. Train it again.")
        volumes.append(_ml(lesion_mask(found.data, ensemble.point, 1000 * ct.voxel_ml), ct))
        total = found if total is None else replace(total, data=np.add(total.data, found.data, out=total.data))
    assert total  # an ensemble has runs
    total.data[:] /= np.float32(count)
    return Segmented(total, lesion_mask(total.data, ensemble.point, 1000 * ct.voxel_ml), volumes)


def _ml(mask: np.ndarray, ct: Volume) -> float:
    return int(np.count_nonzero(mask)) * ct.voxel_ml


def segment_one(
    path: Path, mask: Path, ensemble: Ensemble, reading: Reading = AS_IS, force: bool = False, whole: bool = False
) -> float:
    """Write the lesion mask of a CT of any format, on the CT's grid; return the lesion volume in ml.

    whole: look for lesions far from the lungs too.

    Raises UserError, naming the scan, where it cannot be read or is no CT in HU.
    """
    ct = read_hu(path, reading, force)
    lungs = None if whole else where_to_look(find_lungs(ct))
    lesion = segment_scan(ensemble, str(path), ct, lungs).lesion
    write_mask(mask, lesion, ct.affine, ct.forms)
    found = measure(lesion, ct.grid, None)
    for doubt in doubts(found, ct.grid):
        logger.warning("%s: %s.", path, doubt)
    return float(found["lesion_ml"])


def where_to_look(lungs: Lungs) -> np.ndarray | None:
    """Return the lungs around which lesions are looked for; None, for everywhere, where they are in doubt."""
    return None if lungs.failure or lungs.warning else lungs.mask


@dataclass(frozen=True)
class _Read:
    """A scan as it was read: its CT and lungs, its hash, and the seconds that took."""

    ct: Volume
    lungs: Lungs
    digest: str
    seconds: float


def segment_scans(scans: Sequence[Scan], ensemble: Ensemble, wanted: Wanted, out: Path) -> list[str]:
    """Write a folder of results for each scan into `out`, and a table of all; return what went wrong, a line a scan.

    Raises OSError where the folder cannot be made.
    """
    errors = segment_each(scans, ensemble, wanted, out)
    write_table(out)
    return errors


def segment_each(scans: Sequence[Scan], ensemble: Ensemble, wanted: Wanted, out: Path) -> list[str]:
    """Write the folders of `segment_scans` without the table.

    What an earlier call has finished with the same runs, settings and scan is kept; the rest is made again. A scan that
    fails leaves no report, and the others go on.
    """
    if wanted.dicom_seg:
        refuse_missing()
    if wanted.preview:
        refuse_without_matplotlib()
    out.mkdir(parents=True, exist_ok=True)
    settings = {**ensemble.record, **_plain(wanted)}
    errors = []
    for scan, future in track(_ahead(scans, settings, wanted, out), "scan", len(scans)):
        try:
            read = future.result()
            if read is None:
                logger.warning("%s: its results in %s are kept.", scan, out / scan.name)
            else:
                _write(scan, read, ensemble, wanted, settings, out / scan.name)
            del read  # two scans are in memory, not three
        except (UserError, OSError) as error:
            errors.append(_reason(scan, error))
            tqdm.write(f"lesionbench: {errors[-1]}")
    return errors


def _reason(scan: Scan, error: UserError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{scan}: its results cannot be written ({error.strerror}: {error.filename})."
    return str(error) if str(scan.path) in str(error) else f"{scan}: {error}"


def _ahead(
    scans: Sequence[Scan], settings: dict[str, Any], wanted: Wanted, out: Path
) -> Iterator[tuple[Scan, "Future[_Read | None]"]]:
    """Yield each scan with what reads it, while the next is read in a thread."""
    with ThreadPoolExecutor(1) as pool:
        futures: list[Future[_Read | None]] = []
        try:
            for place, scan in enumerate(scans):
                for following in scans[place + len(futures) : place + 2]:
                    futures.append(pool.submit(_read, following, settings, wanted, out / following.name))
                yield scan, futures.pop(0)
        finally:
            for future in futures:
                future.cancel()


def _read(scan: Scan, settings: dict[str, Any], wanted: Wanted, folder: Path) -> _Read | None:
    """Return a scan with its lungs; None where its results are finished."""
    start = perf_counter()
    digest = sha256(scan.path)
    if is_finished(folder, settings | {"scan_sha256": digest}):
        return None
    ct = read_hu(scan.path, replace(wanted.reading, series=scan.series), wanted.force)
    lungs = read_found(scan.lungs, ct, wanted.reading) if scan.lungs else _lungs(scan, ct, wanted.lungs)
    return _Read(ct, lungs, digest, perf_counter() - start)


def _lungs(scan: Scan, ct: Volume, given: Path | None) -> Lungs:
    """Return the lungs found, or those of a file: 1 right and 2 left, or one label for both."""
    if given is None:
        return find_lungs(ct)
    labels = match_grid(scan.name, ct, read_ct(given), names=("CT", "mask of lungs")).data
    if not set(np.unique(labels)) <= {0, 1, 2} or not labels.any():
        raise UserError(f"{given}: a mask of lungs holds 0, 1 in the right lung and 2 in the left. Give such a file.")
    return Lungs(labels.astype(np.uint8))


def _plain(wanted: Wanted) -> dict[str, Any]:
    """Return what is wanted as JSON has it; of another tool's lungs, what the file holds."""
    given = {"lungs_sha256": sha256(wanted.lungs) if wanted.lungs else None}
    settings = {**asdict(wanted), "reading": asdict(wanted.reading) | {"series": None}, **given}
    del settings["lungs"]
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def _write(scan: Scan, read: _Read, ensemble: Ensemble, wanted: Wanted, settings: dict[str, Any], folder: Path) -> None:
    """Segment a scan and write its results, the report at last: where it is, all else is whole."""
    start = perf_counter()
    for name in (REPORT, *FILES):  # what another call made with other settings
        (folder / name).unlink(missing_ok=True)
    ct, lungs = read.ct, None if read.lungs.failure else read.lungs.mask
    segmented = segment_scan(ensemble, scan.name, ct, None if wanted.whole else where_to_look(read.lungs))
    found = measure(segmented.lesion, ct.grid, lungs)
    warnings = [*doubts(found, ct.grid), *filter(None, (read.lungs.failure, read.lungs.warning))]
    write_mask(folder / MASK, segmented.lesion, ct.affine, ct.forms)
    if lungs is not None and not scan.lungs:
        write_mask(folder / LUNGS, lungs, ct.affine, ct.forms)
    if wanted.probabilities:
        write_probability(segmented.probability, folder / PROBABILITY)
    if wanted.preview:
        write_preview(ct, segmented.lesion, lungs, _title(scan.name, found), folder / PREVIEW)
    if wanted.dicom_seg:
        warnings += _dicom_seg(scan, segmented.lesion, ensemble, folder / DICOM_SEG)
    for warning in warnings:
        logger.warning("%s: %s.", scan, warning)
    report = {
        "scan": scan.name,
        "path": str(scan.path.resolve()),
        "series": scan.series,
        "shape": list(ct.data.shape),
        "spacing_mm": [float(size) for size in ct.spacing],
        **found,
        "lesion_ml_lowest": min(segmented.volumes),
        "lesion_ml_highest": max(segmented.volumes),
        "members": dict(zip(map(str, ensemble.runs), segmented.volumes, strict=True)),
        "warnings": warnings,
        "seconds": round(read.seconds + perf_counter() - start, 2),
        "files": sorted(path.name for path in folder.iterdir() if path.name in FILES),
        "made_by": settings | {"scan_sha256": read.digest},
        "environment": environment(),
    }
    write_report(folder, report)
    tqdm.write(f"{folder}: {_title('lesion', found).removeprefix('lesion: ')}")


def _title(name: str, found: dict[str, Any]) -> str:
    """Return "scan_1: lesion of 12.3 ml, 1.2% of the lungs"."""
    share = found["share_involved"]
    of_lungs = "" if share is None else f", {share:.1%} of the lungs"
    return f"{name}: lesion of {found['lesion_ml']:.1f} ml{of_lungs}"


def _dicom_seg(scan: Scan, lesion: np.ndarray, ensemble: Ensemble, path: Path) -> list[str]:
    """Write a DICOM segmentation of a scan that is DICOM; return why there is none, if so."""
    if not scan.path.is_dir():
        return ["no DICOM segmentation is written, because the scan is no DICOM series"]
    if not lesion.any():
        return ["no DICOM segmentation is written, because nothing is marked"]
    architecture = ensemble.predictors[0].record.model.architecture
    write_dicom_seg(lesion, scan.path, scan.series, f"{architecture}, {counted(len(ensemble.runs), 'run')}", path)
    return []

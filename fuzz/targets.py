"""The kinds of file that are damaged: for each, good files made by code, and all that reads them."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from fuzz import mutations
from fuzz.mutations import Mutation, damage, inside_gzip, inside_zip, json_value, table_cell
from lesionbench import cli
from lesionbench.capsule.archive import unpack, write_archive
from lesionbench.data.duplicates import fingerprint, read_fingerprints, write_fingerprints
from lesionbench.data.findings import check_grid, check_values
from lesionbench.data.frames import read_frame
from lesionbench.data.inventory import read_registry
from lesionbench.data.manifest import read_manifest, write_manifest
from lesionbench.data.nifti import write_mask, write_volume
from lesionbench.data.phantom import synthesise
from lesionbench.data.preprocessing import Preprocessing, padded_size
from lesionbench.data.scans import read_ct, read_header, read_mask
from lesionbench.data.slices import load_stack, save_stack, stack_shape, stack_slices, stack_spacing
from lesionbench.data.split import Split, make_folds
from lesionbench.data.studies import DataSet, Phantom, find_studies
from lesionbench.data.volume import Volume
from lesionbench.evaluation.comparison import compare_models, read_comparison, write_comparison
from lesionbench.evaluation.scores import collect_scores
from lesionbench.evaluation.selection import read_validation
from lesionbench.experiment.checks import read_reference_results
from lesionbench.experiment.config import read_schema, resolve_config
from lesionbench.experiment.typed import read_config_file
from lesionbench.files import write_json
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from lesionbench.report.model_card import About
from lesionbench.report.point_table import point_table, read_choices
from lesionbench.report.sharing import export_model
from lesionbench.report.summary import read_provenance
from lesionbench.segmentation.inference import load_run, predict
from lesionbench.segmentation.operating_point import Choice, read_point, write_choice
from lesionbench.segmentation.point import OperatingPoint
from lesionbench.segmentation.scan_report import is_finished, write_table
from lesionbench.segmentation.takeover import read_left_record
from lesionbench.training.batches import load_slices
from lesionbench.training.checkpoint import load_state, state_writer
from lesionbench.training.learner import FoldData, Learner, prepare
from lesionbench.training.recipe import Recipe
from lesionbench.training.record import read_record, write_run
from lesionbench.training.resumption import check_state
from lesionbench.training.runfile import RECORD, WEIGHTS

PHANTOM = Phantom(studies=3, annotated=3, size=32, slices=(6, 6))
SEEN = Preprocessing(plane="axial")
MODEL = ModelEntry("classic-unet", options={"width": 2})
RUNS = [("model", 0, 0)]
RECIPE = Recipe(batch_size=4, device="cpu", max_epochs=2)
Reader = Callable[[], object]


@dataclass(frozen=True)
class Target:
    """A kind of file.

    make: writes good files to a folder; damaged: a pattern of their names, and how files that it finds are damaged;
    readers: all that reads them, each to be called apart from the others.
    """

    make: Callable[[Path], None]
    damaged: Mapping[str, Mutation]
    readers: Callable[[Path], Iterator[Reader]]


@cache
def study(number: int = 0) -> tuple[Volume, np.ndarray]:
    """Return a small CT in HU and its lesion mask."""
    return synthesise(f"study_{number:04d}", "CT-2", PHANTOM)


def _scan(suffix: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        ct, mask = study()
        if suffix in (".nii", ".nii.gz"):
            write_volume(folder / f"ct{suffix}", ct.data, ct.affine)
            write_mask(folder / f"mask{suffix}", mask, ct.affine)
            return
        import SimpleITK

        image = SimpleITK.GetImageFromArray(ct.data.T)
        image.SetSpacing([float(size) for size in ct.spacing])
        SimpleITK.WriteImage(image, folder / f"ct{suffix}")

    return make


def _scan_readers(folder: Path) -> Iterator[Reader]:
    for path in sorted(folder.iterdir()):
        yield partial(read_header, path)
        yield partial(read_mask, path)
        yield partial(_examine, path)


def _examine(path: Path) -> None:
    ct = read_ct(path)
    list(check_values(ct.data))
    list(check_grid(ct.grid))
    fingerprint(ct)
    stack_slices("study", ct, None, SEEN)


def _make_dicom(folder: Path) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

    ct, _ = study()
    folder.mkdir()
    for number in range(ct.data.shape[2]):
        piece = Dataset()
        piece.file_meta = FileMetaDataset()
        piece.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if number % 2 else ImplicitVRLittleEndian
        piece.file_meta.MediaStorageSOPClassUID = piece.SOPClassUID = CTImageStorage
        piece.file_meta.MediaStorageSOPInstanceUID = piece.SOPInstanceUID = f"1.2.3.{number + 1}"
        piece.Modality, piece.ImageType, piece.PatientID = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], "P1"
        piece.SeriesInstanceUID, piece.SeriesNumber, piece.SeriesDescription = "1.2.4", 2, "Lung"
        piece.PixelSpacing, piece.SliceThickness = [11.25, 11.25], 8
        piece.ImageOrientationPatient, piece.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-180, -180, 8 * number]
        piece.RescaleSlope, piece.RescaleIntercept, piece.RescaleType = 1, -1024, "HU"
        piece.Rows, piece.Columns, piece.SamplesPerPixel = 32, 32, 1
        piece.BitsAllocated, piece.BitsStored, piece.HighBit, piece.PixelRepresentation = 16, 16, 15, 1
        piece.PhotometricInterpretation = "MONOCHROME2"
        piece.PixelData = (ct.data[:, :, number].T + np.int16(1024)).tobytes()
        piece["PixelData"].VR = "OW"
        if number == 3:
            piece.compress(RLELossless)
        piece.save_as(folder / f"{number}.dcm", enforce_file_format=True)


def _make_slices(folder: Path) -> None:
    ct, mask = study()
    save_stack(stack_slices("study_0001", ct, Volume(mask, ct.affine), SEEN), folder / "slices.npz")


def _slice_readers(folder: Path) -> Iterator[Reader]:
    path = folder / "slices.npz"
    yield partial(load_stack, path)
    yield partial(stack_shape, path)
    yield partial(stack_spacing, path)
    for seen in (SEEN, Preprocessing(plane="axial", spacing=(12, 12), size=(32, 32))):
        pad = partial(padded_size, stride=16)
        yield partial(load_slices, {"study_0001": path}, pad, seen, torch.device("cpu"), 1e9)


def _make_fingerprints(folder: Path) -> None:
    write_fingerprints({f"study_{n}": fingerprint(study(n)[0]) for n in range(3)}, folder / "fingerprints.npz")


@cache
def run_files() -> Mapping[str, bytes]:
    """Return the files of a finished training, by name."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        weights = build_network(MODEL).module.state_dict()
        rows = [{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.5, "validation_dice": 0.1, "seconds": 2.0}]
        record = {
            "model": asdict(MODEL), "model_code": None, "training": asdict(RECIPE), "preprocessing": asdict(SEEN),
            "intensity": "hu", "fold": 0, "encoder_weights_sha256": None, "seed": 0, "code": "",
            "inputs_sha256": {"train": {"study_0001": "a" * 64}, "validation": {"study_0002": "b" * 64}},
            "studies": {"train": ["study_0001"], "validation": ["study_0002"]}, "parameters": 1000,
            "precision": "float32", "threads": 1, "resident": True, "epochs": 1, "best_epoch": 1, "resumed": 0,
            "device": {"type": "cpu"},
        }  # fmt: skip
        write_run(Path(folder), weights, rows, record)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _make_run(folder: Path) -> None:
    for name, content in run_files().items():
        (folder / name).write_bytes(content)


def _make_run_of_unknown_weights(folder: Path) -> None:
    """Write a run as older versions did: nothing tells which weights and which recipe it has."""
    _make_run(folder)
    record = json.loads(run_files()[RECORD])
    for name in [name for name in record if name in ("weights_sha256", "recipe_sha256")]:
        del record[name]
    write_json(folder / RECORD, record)


def _run_readers(folder: Path) -> Iterator[Reader]:
    yield partial(read_record, folder / RECORD)
    yield partial(_predict, folder)
    yield partial(export_model, folder, folder.parent / "shared", About("other", "model"))
    yield partial(read_provenance, RUNS, [folder / RECORD], [folder / WEIGHTS], {"model": "Model"})
    yield from _history_readers(folder)


def _history_readers(folder: Path) -> Iterator[Reader]:
    yield partial(read_validation, [folder / "history.csv"], [folder / RECORD], RUNS)


def _predict(folder: Path) -> None:
    ct, _ = study()
    predictor = load_run(folder, "cpu")
    predict(predictor, stack_slices("study", ct, None, predictor.record.preprocessing))


def _make_encoder(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file(_encoder_weights(), folder / "encoder.safetensors")


@cache
def _encoder_weights() -> dict[str, torch.Tensor]:
    network = build_network(ModelEntry("Unet", encoder="tu-tf_mobilenetv3_small_minimal_100"))
    encoder: Any = network.module.get_submodule("encoder")
    return {name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}


def _encoder_readers(folder: Path) -> Iterator[Reader]:
    entry = ModelEntry("Unet", encoder="tu-tf_mobilenetv3_small_minimal_100")
    yield partial(build_network, entry, folder / "encoder.safetensors")


FINGERPRINT = {"model": asdict(MODEL), "seed": 0}


def _learner(folder: Path) -> Learner:
    paths = []
    for number in range(2):
        ct, mask = study(number)
        paths.append(folder / f"{number}.npz")
        save_stack(stack_slices(str(number), ct, Volume(mask, ct.affine), SEEN), paths[-1])
    data = FoldData({"0": paths[0]}, {"1": paths[1]}, SEEN)
    return prepare(MODEL, RECIPE, data, 0, torch.device("cpu"))


@cache
def _state() -> tuple[Learner, bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        learner = _learner(Path(name))
        row = {"epoch": 1, "train_loss": 0.5, "validation_loss": 0.5, "validation_dice": 0.1, "seconds": 2.0}
        for parameter in learner.network.module.parameters():
            parameter.grad = torch.zeros_like(parameter)
        learner.optimizer.step()
        path = Path(name, "training-state.pt")
        with state_writer(path, FINGERPRINT) as save:
            save(**learner.end_epoch(row | {"learning_rate": 0.1}))
        return learner, path.read_bytes()


def _make_state(folder: Path) -> None:
    (folder / "training-state.pt").write_bytes(_state()[1])


def _resume(folder: Path) -> None:
    learner, _ = _state()
    state = load_state(folder / "training-state.pt", FINGERPRINT, partial(check_state, learner))
    if state is not None:
        learner.resume(state)
        assert learner.goes_on in (True, False) and learner.patience_left >= 0


def state_value(data: bytes, random: Any) -> bytes:
    """Replace, remove or add values in a state, as PyTorch would write them."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    holder, key = random.choice(list(mutations.places(state)))
    if random.random() < 0.3:
        del holder[key]
    else:
        values: list[Any] = [
            torch.zeros(3),
            torch.tensor(float("nan")),
            torch.empty(0),
            torch.zeros(2, 2, dtype=torch.int8),
        ]
        holder[key] = random.choice([*values, mutations.value_of(random)])
    target = io.BytesIO()
    torch.save(state, target)
    return target.getvalue()


def hostile_pickle(data: bytes, random: Any) -> bytes:
    """Put code into what is pickled."""

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            import os

            return os.mkdir, ("executed",)

    target = io.BytesIO()
    torch.save({"fingerprint": FINGERPRINT, "weights": Hostile()}, target)
    return target.getvalue()


def hostile_npz(data: bytes, random: Any) -> bytes:
    """Put objects into an array, or let its header lie about its shape."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as archive:
        names = source.namelist()
        chosen = random.choice(names)
        for name in names:
            content = source.read(name)
            if name == chosen:
                shape = random.choice(["(1000000, 1000, 1000)", "(0,)", "()", "(-1,)", "(2, 3)", "(1,) * 99", "x"])
                kind = random.choice(["<i2", "|O", "|u1", "<f8", "<U9999999", "|V0", "[('a', '<i2')]"])
                header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
                start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
                content = start + content[128 if random.random() < 0.5 else len(content) :]
            archive.writestr(name, content)
    return target.getvalue()


def _make_point(folder: Path) -> None:
    curve = np.linspace(0, 1, 255)
    write_choice(Choice(OperatingPoint(0.5, 10), ["a", "b"], curve, np.linspace(0, 1, 16)), folder / "point.json")


def _point_readers(folder: Path) -> Iterator[Reader]:
    path = folder / "point.json"
    yield partial(read_point, path)
    yield lambda: point_table(read_choices([path], RUNS), {"model": "Model"})


def _make_comparison(folder: Path) -> None:
    write_comparison(_comparison(), folder / "comparison.json")


@cache
def _comparison() -> Any:
    import pandas as pd

    random = np.random.default_rng(0)
    rows = [
        {"study": f"s{n}", "model": model, "fold": 0, "seed": 0, "dice": random.random(), "reference_ml": 1.0}
        | {"false_positive_ml": np.nan, "any_false_positive": np.nan}
        for model in ("a", "b")
        for n in range(8)
    ]
    slices = pd.DataFrame([row | {"slice": 0, "reference_voxels": 9, "predicted_voxels": 9} for row in rows])
    return compare_models(pd.DataFrame(rows), slices, {"a": "A", "b": "B"}, resamples=100)


def _make_report(folder: Path) -> None:
    report = {
        "scan": "scan", "path": "/scan.nii", "members": {"run": 1.0}, "warnings": ["none"], "seconds": 1.0,
        "files": [], "made_by": {"operating_point": {"threshold": 0.5, "min_component_mm3": 0}},
        **dict.fromkeys(("lesion_ml", "lesion_ml_lowest", "lesion_ml_highest", "lungs_ml", "share_involved"), 0.5),
        **dict.fromkeys(("lesion_outside_lungs_ml", "lesion_slices", "slices"), 1),
        **{f"{side}_{name}": 0.5 for side in ("left", "right") for name in ("lesion_ml", "lungs_ml", "share_involved")},
    }  # fmt: skip
    for name in ("one", "two"):
        write_json(folder / name / "report.json", report)


def _report_readers(folder: Path) -> Iterator[Reader]:
    yield partial(is_finished, folder / "one", {"a": 1})
    yield partial(write_table, folder)


REGISTRY = "study_id,category,study_file,mask_file\n" + "".join(
    f"study_{n:04d},CT-{n % 5},/studies/CT-{n % 5}/study_{n:04d}.nii.gz,{'/masks/study_0001_mask.nii.gz' * (n == 1)}\n"
    for n in range(1, 6)
)
SPLIT = "study,fold,subset\n" + "".join(
    f"s{n},{fold},{('train', 'validation', 'test')[(n + fold) % 3]}\n" for fold in range(2) for n in range(6)
)
TABLE = "study,ct,mask,patient,category,set\n" + "".join(
    f"s{n},ct{n}.nii,mask{n}.nii,p{n // 2},CT-1,a\n" for n in range(6)
)
REFERENCE = "model,mean_dice,max_dice\nunet,0.602920,0.809378\nother,60 %,0.8\n"
SCORES = "study,dice,precision,reference_ml\ns1,0.5,0.25,10\ns2,,0,0\n"


def _text(name: str, text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return make


def _sheet(name: str, text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from openpyxl import Workbook

        book = Workbook()
        for line in text.splitlines():
            book.worksheets[0].append(line.split(","))
        book.save(folder / name)

    return make


def xlsx_sheet(data: bytes, random: Any) -> bytes:
    """Put cells that are far out, and XML that grows or is broken, into a workbook."""
    lies = [
        '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row>',
        '<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>',
        '<row r="2"><c r="ZZZZZZ2"><v>1</v></c></row>',
        '<row r="x"><c r="1"><v>1e999</v></c></row>',
        f'<row r="3"><c r="A3"><v>{"9" * 5000}</v></c></row>',
        '<row r="3"><c r="A3" t="s"><v>99999</v></c></row>',
        '<row r="3"><c r="A3" t="d"><v>2020-99-99</v></c></row>',
        '<row r="3"><c r="A3" s="99999"><v>1</v></c></row>',
        "<row r='4'><c>",
        "<a>" * 20_000,
    ]
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("sheet1.xml"):
                text = content.decode()
                if random.random() < 0.2:
                    head = f'<!DOCTYPE x [<!ENTITY e0 "x">{entities}]>'
                    text = head + text.replace("<sheetData>", "<sheetData><row><c t='str'><v>&e11;</v></c></row>", 1)
                elif random.random() < 0.2:
                    text = text.replace("<dimension ref=", '<dimension ref="A1:XFD1048576" x=')
                else:
                    text = text.replace("</sheetData>", random.choice(lies) + "</sheetData>")
                content = text.encode()
            archive.writestr(name, content)
    return target.getvalue()


SHEET = mutations.any_of(inside_zip(damage), xlsx_sheet, damage, mutations.hostile_zip)


def _registry_readers(folder: Path) -> Iterator[Reader]:
    yield partial(read_registry, folder)


def _split_readers(folder: Path) -> Iterator[Reader]:
    for path in folder.iterdir():
        yield partial(make_folds, {f"s{n}": f"s{n}" for n in range(6)}, Split(file=str(path)))


def _make_table(folder: Path) -> None:
    (folder / "table.csv").write_text(TABLE, encoding="utf-8")
    for n in range(6):
        for kind in ("ct", "mask"):
            (folder / f"{kind}{n}.nii").touch()


def _table_readers(folder: Path) -> Iterator[Reader]:
    yield partial(find_studies, DataSet(folder, table=folder / "table.csv"))


def _make_config(folder: Path) -> None:
    rules = read_schema()["properties"]
    config: dict[str, Any] = {
        section: {key: rule["default"] for key, rule in rules[section]["properties"].items() if "default" in rule}
        for section in ("dataset", "preprocessing", "split", "training", "evaluation", "figures", "pathvars")
    }
    del config["dataset"]["root"]
    config["dataset"]["phantom"] = {"studies": 14, "annotated": 10, "slices": [16, 22]}
    config["external"] = {"other": {"root": "data/other", "ct": "{study}.nii", "mask": "{study}_seg.nii"}}
    config["models"] = {
        "unet": {"label": "U-Net", "architecture": "classic-unet", "options": {"width": 8}},
        "vgg": {"architecture": "Unet", "encoder": "vgg19", "training": {"batch_size": 4}},
        "swept": {"architecture": "classic-unet", "sweep": {"training.learning_rate": [0.1, 0.01]}},
        "there": {"predictions": "masks/{fold}"},
        "floor": {"method": "threshold", "options": {}},
        "both": {"members": ["unet", "vgg"], "evaluation": {"threshold": 0.4}},
    }
    config["compare"] = ["unet", "vgg", "both", "there"]
    config["seeds"] = [0, 1]
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def _config_readers(folder: Path) -> Iterator[Reader]:
    yield lambda: resolve_config(read_config_file(folder / "config.yaml"))


def _reference_readers(folder: Path) -> Iterator[Reader]:
    yield partial(read_reference_results, str(folder / "reference.csv"))


def _frame_readers(folder: Path) -> Iterator[Reader]:
    yield partial(read_frame, folder / "scores.csv")
    yield partial(collect_scores, [folder / "scores.csv"], RUNS)


def _make_manifest(folder: Path) -> None:
    _make_slices(folder)
    write_manifest({"study_0001": folder / "slices.npz"}, folder / "manifest.csv")


def _manifest_readers(folder: Path) -> Iterator[Reader]:
    yield partial(read_manifest, folder / "manifest.csv")
    yield partial(write_manifest, {"study_0001": folder / "slices.npz"}, folder / "manifest.csv")


def _make_capsule(folder: Path) -> None:
    files = {"results/config.json": b'{"config": {}}', "results/a.csv": SCORES.encode(), "crate.json": b"{}"}
    write_archive(folder / "capsule.zip", files)


def _capsule_readers(folder: Path) -> Iterator[Reader]:
    yield partial(unpack, folder / "capsule.zip", folder.parent / "unpacked")


def _make_set(folder: Path) -> None:
    for n in range(3):
        ct, mask = study(n)
        write_volume(folder / "studies" / "CT-1" / f"study_{n:04d}.nii.gz", ct.data, ct.affine)
        write_mask(folder / "masks" / f"study_{n:04d}_mask.nii.gz", mask, ct.affine)
    (folder / "dataset_registry.csv").write_text(REGISTRY.replace("study_0003", "study_0000"), encoding="utf-8")
    for name, content in run_files().items():
        (folder / "run").mkdir(exist_ok=True)
        (folder / "run" / name).write_bytes(content)


def _command_readers(folder: Path) -> Iterator[Reader]:
    yield partial(_command, "check", str(folder), "--threads", "1")
    scans = sorted((folder / "studies" / "CT-1").iterdir())
    run = ("--run", str(folder / "run"), "--device", "cpu")
    yield partial(_command, "segment", *map(str, scans), "--out", str(folder.parent / "segmented"), *run)
    yield partial(_command, "segment", str(scans[0]), str(folder.parent / "mask.nii.gz"), *run)


def _command(*arguments: str) -> None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as errors:
        status = cli.main(arguments)
    assert status in (0, 1, 2), status
    assert "Traceback" not in errors.getvalue(), errors.getvalue()


def _left_readers(folder: Path) -> Iterator[Reader]:
    yield partial(read_left_record, "models.x", folder / "record.json")


TARGETS: dict[str, Target] = {
    "nifti": Target(
        _scan(".nii"), {"*.nii": mutations.any_of(mutations.nifti_field, mutations.nifti_field, damage)}, _scan_readers
    ),
    "gzip": Target(
        _scan(".nii.gz"),
        {"*.gz": mutations.any_of(damage, inside_gzip(mutations.nifti_field), inside_gzip(damage))},
        _scan_readers,
    ),
    "nrrd": Target(_scan(".nrrd"), {"*.nrrd": damage}, _scan_readers),
    "metaimage": Target(_scan(".mha"), {"*.mha": damage}, _scan_readers),
    "dicom": Target(
        lambda folder: _make_dicom(folder / "series"),
        {"series/*.dcm": mutations.any_of(damage, mutations.dicom_value)},
        _scan_readers,
    ),
    "slices": Target(
        _make_slices,
        {"*.npz": mutations.any_of(damage, inside_zip(damage), hostile_npz, mutations.hostile_zip)},
        _slice_readers,
    ),
    "fingerprints": Target(
        _make_fingerprints,
        {"*.npz": mutations.any_of(damage, inside_zip(damage), hostile_npz, mutations.hostile_zip)},
        lambda folder: iter([partial(read_fingerprints, folder / "fingerprints.npz")]),
    ),
    "weights": Target(
        _make_run_of_unknown_weights,
        {WEIGHTS: mutations.any_of(damage, mutations.safetensors_header)},
        lambda folder: iter([partial(_predict, folder)]),
    ),
    "encoder": Target(
        _make_encoder, {"*.safetensors": mutations.any_of(damage, mutations.safetensors_header)}, _encoder_readers
    ),
    "state": Target(
        _make_state,
        {"*.pt": mutations.any_of(damage, inside_zip(damage), state_value, state_value, hostile_pickle)},
        lambda folder: iter([partial(_resume, folder)]),
    ),
    "record": Target(_make_run, {RECORD: mutations.any_of(damage, json_value, json_value)}, _run_readers),
    "unsigned": Target(_make_run_of_unknown_weights, {RECORD: json_value}, _run_readers),
    "history": Target(_make_run, {"history.csv": mutations.any_of(damage, table_cell)}, _history_readers),
    "point": Target(_make_point, {"*.json": mutations.any_of(damage, json_value, json_value)}, _point_readers),
    "comparison": Target(
        _make_comparison,
        {"*.json": mutations.any_of(damage, json_value, json_value)},
        lambda folder: iter([partial(read_comparison, folder / "comparison.json")]),
    ),
    "report": Target(_make_report, {"*/*.json": mutations.any_of(damage, json_value, json_value)}, _report_readers),
    "registry": Target(
        _text("dataset_registry.csv", REGISTRY), {"*.csv": mutations.any_of(damage, table_cell)}, _registry_readers
    ),
    "workbook": Target(_sheet("dataset_registry.xlsx", REGISTRY), {"*.xlsx": SHEET}, _registry_readers),
    "split": Target(_text("split.csv", SPLIT), {"*.csv": mutations.any_of(damage, table_cell)}, _split_readers),
    "split-workbook": Target(_sheet("split.xlsx", SPLIT), {"*.xlsx": SHEET}, _split_readers),
    "table": Target(_make_table, {"*.csv": mutations.any_of(damage, table_cell, table_cell)}, _table_readers),
    "config": Target(
        _make_config, {"*.yaml": mutations.any_of(damage, mutations.yaml_value, mutations.yaml_value)}, _config_readers
    ),
    "reference": Target(
        _text("reference.csv", REFERENCE), {"*.csv": mutations.any_of(damage, table_cell)}, _reference_readers
    ),
    "scores": Target(_text("scores.csv", SCORES), {"*.csv": mutations.any_of(damage, table_cell)}, _frame_readers),
    "manifest": Target(
        _make_manifest,
        {"*.csv": mutations.any_of(damage, table_cell), "*.npz": mutations.hostile_zip},
        _manifest_readers,
    ),
    "capsule": Target(
        _make_capsule,
        {"*.zip": mutations.any_of(damage, inside_zip(damage), mutations.hostile_zip)},
        _capsule_readers,
    ),
    "left": Target(
        _text("record.json", '{"training_seconds": 1.5, "versions": {"x": "1"}, "epochs": 3}'),
        {"*.json": mutations.any_of(damage, json_value)},
        _left_readers,
    ),
    "commands": Target(
        _make_set,
        {
            "studies/CT-1/*.gz": mutations.any_of(damage, inside_gzip(mutations.nifti_field), inside_gzip(damage)),
            "masks/*.gz": mutations.any_of(damage, inside_gzip(mutations.nifti_field), inside_gzip(damage)),
            "*.csv": table_cell,
            f"run/{RECORD}": json_value,
        },
        _command_readers,
    ),
}

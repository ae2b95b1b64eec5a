import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from lesionbench.errors import UserError
from lesionbench.experiment.config import resolve_config
from lesionbench.models.entry import ModelEntry
from lesionbench.models.names import LIST, check_encoder, list_holds, listed_names, unknown_names
from lesionbench.models.networks import installed_names
from owned import write_network

REPOSITORY = Path(__file__).parents[3]
MISSPELT = {"models": {"small": {"architecture": "Unet", "encoder": "resnet43"}}, "compare": ["small"]}


USUAL = {"architecture": "Unet", "encoder": "resnet18"}


def complaints(**entry):
    """The messages about a model's entry."""
    return "\n\n".join(unknown_names(ModelEntry.of({**USUAL, **entry}), listed_names()))


def install(monkeypatch, version):
    """Let every package be installed in a version; None: not at all."""

    def found(package):
        if version is None:
            raise metadata.PackageNotFoundError(package)
        return version

    monkeypatch.setattr(metadata, "version", found)


def test_the_list_holds_what_the_installed_packages_know():
    assert listed_names() == installed_names(), "smp or timm has another version: run `make names` and commit the list"


@pytest.mark.parametrize(
    ("encoder", "hint"), [("tu-resnet18", r"that have: resnet18"), ("resnext101_32x32d", r"that have: resnext")]
)
def test_an_encoder_without_imagenet_weights_is_told_before_anything_runs(encoder, hint):
    message = complaints(encoder=encoder, encoder_weights="imagenet")
    assert re.search(rf"^encoder_weights: there are no `imagenet` weights for the encoder {encoder} .*{hint}", message)
    assert message.endswith("\n  encoder_weights: null")
    assert complaints(encoder=encoder) == complaints(encoder=encoder, encoder_weights="my.safetensors") == ""
    assert complaints(encoder_weights="imagenet") == ""


def test_the_list_is_part_of_the_package():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    root = REPOSITORY / settings["package-dir"][""]
    data = settings["package-data"]
    assert LIST in [path for name in data for glob in data[name] for path in (root / name.replace(".", "/")).glob(glob)]


@pytest.mark.parametrize(
    "entry",
    [
        {"encoder": "tu-resnet18.a1_in1k"},
        {"encoder": "tu-resnet18", "options": {"drop_path_rate": 0.1}},
        {"encoder": "tu-convnext_tiny_in22ft1k"},
        {"architecture": "classic-unet", "encoder": None, "options": {"width": 4}},
        {"architecture": "DeepLabV3Plus", "options": {"encoder_output_stride": 8}},
    ],
)
def test_known_names_pass(entry):
    assert complaints(**entry) == ""


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"architecture": "unet"}, ["architecture: unet is unknown. Did you mean Unet", "\n  architecture: Unet"]),
        (
            {"architecture": "my-net"},
            ["architecture: my-net is unknown", "classic-unet, Unet", "path/to/file.py:Class or package.module:Class"],
        ),
        (
            {"architecture": "monai.networks.nets.BasicUNet"},
            ["a colon before its name. Write:\n  architecture: monai.networks.nets:BasicUNet"],
        ),
        (
            {"architecture": "resnet34", "encoder": None},
            ["resnet34 is an encoder", "\n  architecture: Unet\n  encoder: resnet34"],
        ),
        ({"architecture": "resnet50d", "encoder": None}, ["resnet50d is an encoder", "\n  encoder: tu-resnet50d"]),
        ({"encoder": "FPN"}, ["FPN is an architecture", "\n  architecture: Unet\n  encoder: resnet34"]),
        (
            {"architecture": "vgg19", "encoder": "FPN"},
            ["vgg19 is an encoder", "FPN is an architecture", "\n  architecture: FPN\n  encoder: vgg19"],
        ),
        ({"encoder": "ResNet34"}, ["encoder: ResNet34 is unknown. Did you mean resnet34", "\n  encoder: resnet34\n"]),
        ({"encoder": "resnet50d.a1_in1k"}, ["\n  encoder: tu-resnet50d.a1_in1k\n", str(LIST)]),
        ({"encoder": "tu-resnet19.a1_in1k"}, ["Did you mean tu-resnet", "\n  encoder: tu-resnet"]),
        ({"encoder": "swin transformer of mine"}, ["\n  encoder: resnet34\n"]),
        ({"options": {"encodr_depth": 3}}, ["options: Unet takes no encodr_depth", "\n  options: {encoder_depth: 3}"]),
        ({"options": {"colour": "red"}}, ["options: Unet takes no colour. It takes encoder_depth, "]),
        ({"options": {3: 3}}, ["options: Unet takes no 3"]),
        ({"encoder": "tu-resnet18", "options": {"classes": 2}}, ["options: classes is set by the workflow. Remove it"]),
    ],
)
def test_an_unknown_name_is_told_with_the_right_line(entry, said):
    for text in said:
        assert text in complaints(**entry)


def test_all_unknown_names_are_told_at_once():
    config = {
        "models": {
            "one": {"architecture": "Unet", "encoder": "resnet43", "options": {"encodr_depth": 3}},
            "two": {"architecture": "FNP", "encoder": "resnet34"},
            "idle": {"architecture": "unlisted"},
        },
        "compare": ["one", "two"],
    }
    with pytest.raises(UserError, match=r"(?s)models\.one\.encoder.*models\.one\.options.*models\.two\.arch") as error:
        resolve_config(config)
    assert "idle" not in str(error.value)


def test_other_versions_may_know_other_names(monkeypatch):
    install(monkeypatch, "99.0")
    assert not list_holds()
    assert resolve_config(MISSPELT)["models"]["small"]["encoder"] == "resnet43"


def test_jobs_with_environments_of_their_own_know_the_list(monkeypatch):
    install(monkeypatch, None)
    with pytest.raises(UserError, match=r"models\.small\.encoder: resnet43 is unknown"):
        resolve_config(MISSPELT)


class TestOwn:
    """The entry of a class of one's own, in a file of the working directory."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write_network(tmp_path)
        write_network(tmp_path, "in_channels=1, classes=1, width=4", "width, depth", name="needs.py")

    @pytest.mark.parametrize(
        ("entry", "said"),
        [
            ({"options": {"width": 3}}, ""),
            (
                {"options": {"widht": 3}},
                "options: net.py:Net takes no widht. Did you mean width? It takes width. Write",
            ),
            ({"options": {"classes": 2}}, "options: classes is set by the workflow. Remove it."),
            (
                {"architecture": "needs.py:Net", "options": {"depth": 1}},
                "needs width. Write, for example:\n  options: {wi",
            ),
            ({"architecture": "net.py:Other"}, "architecture: net.py has no class Other"),
            ({"architecture": "none.py:Net"}, "architecture: there is no file none.py"),
            ({"architecture": "net.py"}, "Name the class in it too. Write, for example:\n  architecture: net.py:Net"),
        ],
    )
    def test_what_its_file_tells_is_told_with_the_right_line(self, entry, said):
        found = complaints(**{"architecture": "net.py:Net", "encoder": None, **entry})
        assert said in found and bool(said) == bool(found)

    def test_it_takes_no_encoder(self):
        for entry in ({"encoder": "resnet18"}, {"encoder_weights": "a.safetensors"}):
            with pytest.raises(UserError, match=r"models\.mine\.encoder: net\.py:Net is a class of its own\. Remove"):
                check_encoder(ModelEntry.of({"architecture": "net.py:Net", **entry}), "models.mine.")

    @pytest.mark.parametrize("version", ["99.0", None])
    def test_it_is_looked_at_whatever_is_installed(self, version, monkeypatch):
        install(monkeypatch, version)
        config = {"models": {"mine": {"architecture": "net.py:Net", "options": {"a": 1}}}, "compare": ["mine"]}
        with pytest.raises(UserError, match=r"models\.mine\.options: net\.py:Net takes no a"):
            resolve_config(config)

"""The code of an own network is executed as Python would in its folder, and whatever it does is told by its name."""

import sys

import pytest
import torch

from lesionbench.errors import UserError
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from owned import CLASS, entry_of, write_network

INPUT = torch.zeros(1, 1, 8, 8)


def built(path, channels=1, **options):
    return build_network(entry_of(path, **options), channels=channels)


def test_the_constructor_gets_its_channels_and_the_options(tmp_path):
    network = built(write_network(tmp_path), channels=3, width=6)
    assert network.module.first.weight.shape[:2] == (6, 3) and network.module.last.out_channels == 1
    assert (network.stride, network.channels, network.name) == (
        1,
        3,
        f"{tmp_path}/net.py:Net with options {{'width': 6}}",
    )


@pytest.mark.parametrize("names", [("in_chans", "num_classes"), ("in_channels", "out_channels")])
def test_channels_are_called_as_the_constructor_calls_them(names, tmp_path):
    code = CLASS.replace("in_channels", names[0]).replace("classes", names[1]).replace("=1", "=7")
    network = built(write_network(tmp_path, code=code), channels=2).module
    assert network.first.in_channels == 2 and network.last.out_channels == 1


def test_a_class_that_hands_its_arguments_on_gets_those_of_its_base(tmp_path):
    init = "    def __init__(self, **options):\n        super().__init__(**options)\n"
    path = write_network(tmp_path, code=f"{CLASS.replace('Net', 'Base')}\n\nclass Net(Base):\n{init}")
    assert built(path, channels=5, width=2).module.first.weight.shape[:2] == (2, 5)


def test_a_stride_is_taken_from_the_instance(tmp_path):
    path = write_network(tmp_path, "super().__init__()", "super().__init__()\n        self.stride = 2 * width")
    assert built(path, width=8).stride == 16


@pytest.mark.parametrize("stride", ["0", "True", "(8, 8)", "512"])
def test_a_stride_that_is_no_number_of_pixels_is_refused(stride, tmp_path):
    path = write_network(tmp_path, "    def __init__", f"    stride = {stride}\n\n    def __init__")
    with pytest.raises(UserError, match=r"net\.py:Net: its attribute `stride` is .*from 1 to 256"):
        built(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "import torch",
            "import no_such_package",
            r"cannot be imported \(ModuleNotFoundError: .*; line 1 of net\.py\)",
        ),
        ("import torch\n", "raise SystemExit(0)\n", r"cannot be imported \(SystemExit: it ends the process; line 1"),
        ("super().__init__()", "exit()", r"cannot be built \(SystemExit: it ends the process; line 8 of net\.py\)"),
        ("super().__init__()", "pass", r"cannot be built \(AttributeError: cannot assign module before"),
        ("nn.Conv2d(width", "nn.LazyConv2d(width", r"cannot be built"),
        ("nn.Conv2d(in_channels, ", "nn.LazyConv2d(", r"first\.weight has no size yet, as in nn\.LazyConv2d"),
        ("class Net", "Net = None\n\n\nclass Other", "there is no such class"),
        ("class Net(nn.Module)", "class Net(list)", "it is no torch.nn.Module"),
        ("class Net", "@staticmethod\nclass Net", "it is no torch.nn.Module"),
    ],
)
def test_whatever_the_code_does_is_told_with_the_class_and_its_file(old, new, said, tmp_path):
    path = write_network(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=rf"^{path}:Net.*{said}"):
        built(path)


def test_an_option_that_only_the_constructor_knows_is_told(tmp_path):
    path = write_network(tmp_path, "class Net", "@(lambda made: made)\nclass Net")
    with pytest.raises(UserError, match=r"unexpected keyword argument 'widht'.*Correct the class or the model's `opt"):
        built(path, widht=3)


def test_a_file_imports_from_its_own_folder_as_where_python_runs_it(tmp_path):
    path = write_network(tmp_path, "class Net", "import parts.sizes as sizes\nfrom helper import WIDTH\n\n\nclass Net")
    path.write_text(path.read_text().replace("width=4", "width=WIDTH + sizes.MORE"))
    (tmp_path / "helper.py").write_text("WIDTH = 2\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "sizes.py").write_text("MORE = 3\n")
    before = list(sys.path)
    assert built(path).module.first.out_channels == 5
    assert sys.path == before and not list(tmp_path.rglob("__pycache__"))
    (tmp_path / "helper.py").write_text("WIDTH = 1\n")  # as long, and within the second
    assert built(path).module.first.out_channels == 4


def test_a_file_in_a_package_imports_from_it(tmp_path):
    path = write_network(tmp_path / "own_nets", "class Net", "from .helper import WIDTH\n\n\nclass Net")
    path.write_text(path.read_text().replace("width=4", "width=WIDTH"))
    (tmp_path / "own_nets" / "helper.py").write_text("WIDTH = 2\n")
    with pytest.raises(UserError, match=r"cannot be imported .*relative import.*line 6 of net\.py"):
        built(path)
    (tmp_path / "own_nets" / "__init__.py").write_text("")
    assert built(path).module.first.out_channels == 2


def test_two_folders_may_have_helpers_of_one_name(tmp_path):
    for width in (2, 3):
        path = write_network(tmp_path / str(width), "class Net", "from helper import WIDTH\n\n\nclass Net")
        path.write_text(path.read_text().replace("width=4", "width=WIDTH"))
        path.with_name("helper.py").write_text(f"WIDTH = {width}\n")
    for width in (2, 3, 2):
        assert built(tmp_path / str(width) / "net.py").module.first.out_channels == width


def test_a_file_may_be_called_as_an_installed_package(tmp_path):
    path = write_network(tmp_path, name="timm.py")
    (tmp_path / "random.py").write_text("raise SystemExit\n")
    assert built(path).module(INPUT).shape == INPUT.shape
    folder = write_network(tmp_path / "timm")
    folder.with_name("__init__.py").write_text("")
    with pytest.raises(UserError, match=r"timm is called as a package that is in use\. Rename the folder"):
        built(folder)


def test_a_class_needs_no_pickle(tmp_path):
    path = write_network(tmp_path, "super().__init__()", "super().__init__()\n        self.odd = lambda: open('x')")
    network = built(path)
    assert network.padded_size([(9, 9)]) == (9, 9) and network.padding.twin is not None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("BasicUNet", {"features": [4, 4, 4, 4, 4, 4]}),
        ("SegResNet", {"init_filters": 8}),
        ("AttentionUnet", {"channels": [4, 8], "strides": [2]}),
    ],
)
def test_classes_of_monai_are_built_by_their_entry_alone(name, options):
    entry = ModelEntry(f"monai.networks.nets:{name}", options={"spatial_dims": 2, **options})
    assert build_network(entry, channels=3).module(torch.zeros(1, 3, 32, 32)).shape == (1, 1, 32, 32)
    with pytest.raises(UserError, match="options: out_channels is set by the workflow"):
        build_network(ModelEntry(entry.architecture, options={"spatial_dims": 2, "out_channels": 2}))


def test_a_module_that_is_missing_in_a_job_is_told(monkeypatch):
    from lesionbench.models import declared

    monkeypatch.setattr(declared, "installed_version", lambda package: None)
    with pytest.raises(UserError, match=r"no_such.nets:Net cannot be imported \(ModuleNotFoundError.*install what"):
        build_network(ModelEntry("no_such.nets:Net"))

"""What docs/extend.md asks of a network of one's own, each broken once: told before anything is trained."""

import json
import logging
import re
from pathlib import Path

import pytest
import torch
import yaml

from lesionbench.errors import UserError
from lesionbench.models.contract import check_contract
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from lesionbench.models.trial import Trial, try_network, write_trials
from owned import entry_of, write_network

REPOSITORY = Path(__file__).parents[3]
SIZES = [(48, 40), (33, 40)]
LAST = "return self.last(features)"


def tried(path, batch_size=4, precision="auto", **options):
    return try_network(Trial(entry_of(path, **options), batch_size, precision), SIZES)


@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_network_that_keeps_the_contract_passes(batch_size, precision, tmp_path):
    outcome = tried(write_network(tmp_path), batch_size, precision)
    assert outcome["stride"] == 1 and [entry["padded"] for entry in outcome["slices"]] == SIZES


def test_the_random_generator_stays_as_it_was(tmp_path):
    entry = entry_of(write_network(tmp_path))
    state = torch.get_rng_state()
    check_contract(lambda: build_network(entry), SIZES, 4, "float32", torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (LAST, "return self.last(features)[:, 0]", r"slices \(2, 1, 48, 40\) give logits \(2, 48, 40\)"),
        (LAST, "return self.last(features), image", "it returns tuple, not one tensor of logits"),
        (LAST, "return unknown(features)", r"NameError: name 'unknown' is not defined; line 14 of net\.py"),
        (LAST, "exit(0)", r"SystemExit: it ends the process; line 14 of net\.py"),
        (LAST, "return self.last(features) / (image.std() * 0)", "NaN or infinite"),
        (
            "image).relu()",
            "image / image.std((1, 2, 3), keepdim=True)).relu()",
            "for a slice of nothing but air it gives logits that are NaN or infinite",
        ),
        (
            LAST,
            "return self.last(features) + (self.last.bias * 0 * (image + 1)).sqrt()",
            r"the gradient of last\.bias is NaN or infinite",
        ),
        (LAST, "return self.last(features).detach()", "its logits have no gradient, so it would learn nothing"),
        (LAST, "return image.requires_grad_()", "no weight of it gets a gradient"),
        (
            LAST,
            "return self.last(functional.dropout(features))",
            "in evaluation mode it gives other logits each time.*training=self.training",
        ),
        (
            LAST,
            "logits = self.last(features)\n        return logits if self.training else logits[..., 1:]",
            r"in evaluation mode slices \(1, 1, 33, 40\) give logits \(1, 1, 33, 39\)",
        ),
        (LAST, "return self.last(features).squeeze().unsqueeze(1)", r"in evaluation mode slices .* \(33, 1, 40\)"),
        (
            "super().__init__()",
            "super().__init__()\n        self.scale = torch.randn(1)\n"
            "        self.register_forward_pre_hook(lambda module, given: (given[0] * module.scale,))",
            r"gives other logits: .*not saved\. Make them parameters, or buffers \(`register_buffer`\)",
        ),
        (
            "    def forward",
            "    def get_extra_state(self):\n        return {}\n\n    def forward",
            "its state holds _extra_state, which is no tensor and cannot be saved",
        ),
        (
            LAST,
            "self.auxiliary = [features]\n        return self.last(features)",
            r"its attribute `auxiliary` holds \(2, 4, 33, 40\), not logits \(batch, 1, height, width\)",
        ),
        (
            LAST,
            f"assert image.max() < 2 and image.shape[2] % 16 == 0, 'no multiple of 16'\n        {LAST}",
            r"fails in a step of training \(no multiple of 16; line 14 of net\.py\).*set its attribute `stride`",
        ),
    ],
)
def test_what_breaks_it_is_told_with_the_class_and_its_file(old, new, said, tmp_path):
    path = write_network(tmp_path, old, new)
    with pytest.raises(UserError, match=rf"(?s)^{path}:Net.*{said}"):
        tried(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (LAST, "self.auxiliary = [self.last(functional.avg_pool2d(features, 2))]\n        return self.last(features)"),
        ("self.last = nn", "self.twice = self.first\n        self.last = nn"),
        (LAST, "assert image.max() < 2\n        return self.last(features)"),
        (LAST, "return self.last(functional.dropout(features, training=self.training))"),
    ],
    ids=["auxiliary", "shared weights", "reads values", "dropout"],
)
def test_what_is_allowed_passes(old, new, tmp_path):
    tried(write_network(tmp_path, old, new))


def test_sizes_that_must_be_multiples_are_found_or_declared(tmp_path):
    check = f"assert image.shape[2] % 16 == 0\n        {LAST}"
    found = tried(write_network(tmp_path, LAST, check))
    assert [entry["padded"] for entry in found["slices"]] == [(48, 40), (48, 48)]
    path = write_network(tmp_path, LAST, f"assert image.max() < 2\n        {check}", name="other.py")
    path.write_text(path.read_text().replace("    def __init__", "    stride = 16\n\n    def __init__"))
    assert [entry["padded"] for entry in tried(path)["slices"]] == [(48, 48), (48, 48)]


def test_weights_without_a_gradient_are_a_warning(tmp_path, caplog):
    tried(write_network(tmp_path, "self.last = nn", "self.idle = nn.Linear(2, 2)\n        self.last = nn"))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1 and "net.py:Net: idle.weight, idle.bias get no gradient" in warnings[0]


def test_a_broken_network_stops_itself_alone(tmp_path):
    trials = {
        name: Trial(entry_of(write_network(tmp_path / name, LAST, line)), 4, "auto")
        for name, line in (("good", LAST), ("ends", "exit()"))
    }
    write_trials(trials, dict.fromkeys(trials, SIZES), tmp_path / "models.json")
    outcomes = json.loads((tmp_path / "models.json").read_text())
    assert outcomes["good"]["parameters"] == 45 and outcomes["ends"]["error"].startswith("models.ends: ")


def test_the_entries_of_monai_in_the_docs_pass():
    page = (REPOSITORY / "docs" / "extend.md").read_text()
    models = yaml.safe_load(re.search(r"<!-- entries -->\n```yaml\n(.*?)```", page, re.DOTALL)[1])["models"]
    assert {model["architecture"].split(":")[1] for model in models.values()} == {
        "BasicUNet",
        "SegResNet",
        "AttentionUnet",
    }
    for model in models.values():
        outcome = try_network(Trial(ModelEntry.of(model), 2, "auto", channels=3), [(40, 33)])
        assert outcome["parameters"] > 1e6


def test_a_network_for_volumes_is_told_how_to_be_one_for_slices():
    with pytest.raises(UserError, match=r"takes no slices of .*\n  options: \{spatial_dims: 2\}$"):
        try_network(Trial(ModelEntry("monai.networks.nets:SegResNet"), 2, "auto"), [(40, 32)])

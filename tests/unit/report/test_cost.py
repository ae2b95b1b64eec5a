"""The cost of a model is counted right, and averaged over its runs."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from lesionbench.models.networks import build_network
from lesionbench.report.cost import cost_table, gmacs
from owned import entry_of, write_network
from tabled import MOBILE, SMALL, cost_on_a_cpu, write_check, write_runs

LABELS = {"small": "Small", "mobile": "Mobile", "both": "Both"}
ITSELF = {"small": ["small"], "mobile": ["mobile"]}


def counted_by_layer(network, height, width):
    """Multiply-accumulates of all convolutions, from the shapes that pass through them."""
    total = 0

    def add(layer, inputs, output):
        nonlocal total
        # Each weight meets each pixel: of the input where the convolution is transposed, else of the output.
        pixels = (inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output)[0, 0].numel()
        total += layer.weight.numel() * pixels

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(add)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 1, height, width))
    return total


@pytest.mark.parametrize("model", [SMALL, MOBILE], ids=["classic-unet", "mobilenet_v2"])
def test_gmacs_are_those_of_all_convolutions(model):
    expected = counted_by_layer(build_network(model).module, 32, 64) / 1e9
    assert gmacs(build_network(model), 32, 64) == pytest.approx(expected)
    assert gmacs(build_network(model), 64, 64) == pytest.approx(2 * expected)


def test_the_largest_slice_is_padded_as_the_model_needs_it(tmp_path):
    records, predictions = write_runs(tmp_path, [(SMALL, 1, 1, [1]), (MOBILE, 1, 1, [1])], {"type": "cpu"})
    checks = [write_check(tmp_path, model, [(65, 4), (32, 40)]) for model in ("small", "mobile")]
    runs = [["small", 0, 0], ["mobile", 0, 0]]
    data = cost_table(records, predictions, checks, runs, ITSELF, LABELS).data
    sizes = data[["slice_height", "slice_width"]]
    assert sizes.to_numpy().tolist() == [[80, 48], [96, 64]]


def test_time_and_memory_are_means_over_runs_and_a_slow_first_study_does_not_count(tmp_path):
    device = {"type": "cuda", "name": "A GPU", "peak_memory_bytes": 2e9}
    runs = [(SMALL, 10, 4, [9, 1, 1]), (SMALL, 20, 5, [2, 2, 2]), (MOBILE, 5, 1, [0.5])]
    records, predictions = write_runs(tmp_path, runs, device)
    checks = [write_check(tmp_path, model, [(32, 32)]) for model in ("small", "mobile")]
    names = [["small", 0, 0], ["small", 0, 1], ["mobile", 0, 0]]
    table = cost_table(records, predictions, checks, names, ITSELF, LABELS)
    small = table.data.set_index("model").loc["small"]
    assert [small["training_seconds"], small["epochs"], small["seconds_per_study"]] == [15, 4.5, 1.5]
    assert small["gmacs"] == gmacs(build_network(SMALL), 32, 32)
    assert table.shown["Model"].tolist() == ["Small", "Mobile"]
    assert table.shown["GPU memory (GB)"].tolist() == ["2.0", "2.0"]
    assert "A GPU" in table.notes[1]


def test_without_a_gpu_there_is_no_column_of_its_memory(tmp_path):
    table = cost_on_a_cpu(tmp_path)
    assert "GPU memory (GB)" not in table.shown and table.shown["Host memory (GB)"].tolist() == ["3.0"]
    assert "CPU" in table.notes[1]


def test_an_ensemble_costs_what_all_its_members_cost_with_all_their_seeds(tmp_path):
    measured = [*[(SMALL, 10, 4, [1])] * 3, *[(MOBILE, 5, 1, [0.5])] * 3]
    records, predictions = write_runs(tmp_path, measured, {"type": "cpu"})
    checks = [write_check(tmp_path, "small", [(32, 32)]), write_check(tmp_path, "mobile", [(64, 32)])]
    rows = {"both": ["small", "mobile"], "small": ["small"]}
    runs = [[model, 0, seed] for model in ("small", "mobile") for seed in range(3)]
    table = cost_table(records, predictions, checks, runs, rows, LABELS)
    both, small = table.data.to_dict("records")
    assert both["training_seconds"] == 3 * 15 and both["seconds_per_study"] == 3 * 1.5
    assert both["parameters"] == 3 * sum(build_network(model).parameters for model in (SMALL, MOBILE))
    assert both["host_memory_bytes"] == 3e9 and small["training_seconds"] == 10
    assert table.shown["Slice"].tolist() == ["–", "32 × 32"] and table.shown["Epochs"].tolist() == ["–", "4.0"]
    assert "Of an ensemble" in table.notes[2]


def test_of_an_external_method_time_and_memory_are_known_and_what_it_leaves_to_say(tmp_path):
    records, predictions = write_runs(
        tmp_path, [(SMALL, 10, 4, [1]), (SMALL, 0, 0, [2]), (SMALL, 0, 0, [])], {"type": "cpu"}
    )
    left = {"training_seconds": 30, "epochs": 5, "peak_device_memory_bytes": 4e9}
    record = {
        "method": "nnunet",
        "seconds": 50,
        "device": {"type": "cpu"},
        "peak_host_memory_bytes": 2e9,
        "program": left,
    }
    Path(records[1]).write_text(json.dumps(record))
    Path(records[2]).write_text(json.dumps(record | {"program": {}}))
    runs = [["small", 0, 0], ["nnunet", 0, 0], ["other", 0, 0]]
    rows = {"small": ["small"], "nnunet": ["nnunet"], "other": ["other"], "both": ["small", "nnunet"]}
    labels = {name: name.title() for name in rows}
    table = cost_table(records, predictions, [write_check(tmp_path, "small", [(32, 32)])], runs, rows, labels)
    known = table.data.set_index("model")
    assert known["training_seconds"].tolist() == [10, 30, 50, 40]
    assert known.loc["nnunet", ["epochs", "device_memory_bytes", "seconds_per_study"]].tolist() == [5, 4e9, 2]
    assert known["parameters"].isna().tolist() == known["gmacs"].isna().tolist() == [False, True, True, True]
    assert (
        table.shown.set_index("Model")
        .loc["Other", ["Slice", "GMACs", "Epochs", "Prediction (s a study)"]]
        .eq("–")
        .all()
    )
    assert any("Of an external method" in note for note in table.notes)


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        ("assert image.max() < 2\n        return self.last(features)", True),
        ("assert image.max() > 2\n        return self.last(features)", False),
    ],
)
def test_a_network_that_reads_values_is_counted_on_a_slice_of_zeros_if_it_takes_one(line, counted, tmp_path):
    plain = entry_of(write_network(tmp_path / "plain"))
    entry = entry_of(write_network(tmp_path / "reads", "return self.last(features)", line))
    records, predictions = write_runs(tmp_path, [(plain, 1, 1, [1]), (entry, 1, 1, [1])], {"type": "cpu"})
    checks = [write_check(tmp_path, name, [(32, 48)]) for name in ("plain", "reads")]
    rows, labels = {"plain": ["plain"], "reads": ["reads"]}, {"plain": "Plain", "reads": "Reads {values}"}
    table = cost_table(records, predictions, checks, [["plain", 0, 0], ["reads", 0, 0]], rows, labels)
    expected, found = table.data["gmacs"]
    assert expected == pytest.approx((9 * 4 + 4) * 32 * 48 / 1e9)
    assert found == pytest.approx(expected) if counted else math.isnan(found)
    assert any("GMACs of Reads {values}: a network cannot predict" in note for note in table.notes) != counted

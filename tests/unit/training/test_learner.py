"""A network in training starts from its seed, keeps its best epoch, and goes on from a state as if never stopped."""

from dataclasses import replace

import pytest
import torch

from lesionbench.data.slices import load_stack, save_stack
from lesionbench.errors import UserError
from lesionbench.training.learner import FoldData, prepare
from owned import entry_of, write_network
from tiny import MODEL, PREPROCESSING, RECIPE, by_study, write_stack

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A training study and a validation study."""
    folder = tmp_path_factory.mktemp("stacks")
    return FoldData(by_study([write_stack(folder, 1)]), by_study([write_stack(folder, 2)]), PREPROCESSING)


def learner_of(data, seed=0, **changes):
    return prepare(MODEL, replace(RECIPE, **changes), data, seed, CPU)


def end_epoch(learner, loss):
    """End an epoch in which all weights have become the number of the epoch."""
    with torch.no_grad():
        for parameter in learner.network.module.parameters():
            parameter.fill_(len(learner.history) + 1)
    learner.optimizer.step()  # without a gradient it changes nothing
    return learner.end_epoch({"validation_loss": loss})


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_seed_decides_the_first_weights(data):
    first, again, other = (learner_of(data, seed).network.module.state_dict() for seed in (0, 0, 1))
    assert same(first, again) and not same(first, other)


def test_the_weights_of_the_epoch_with_the_lowest_validation_loss_are_kept(data):
    learner = learner_of(data)
    for loss in (0.5, 0.4, 0.6, 0.4):
        end_epoch(learner, loss)
    names = dict(learner.network.module.named_parameters())
    assert {learner.best_weights[name].unique().item() for name in names} == {2}
    assert learner.describe()["best_epoch"] == 2 and learner.describe()["epochs"] == 4


def test_a_state_does_not_change_with_further_training(data):
    learner = learner_of(data)
    state = end_epoch(learner, 0.5)
    end_epoch(learner, 0.4)
    assert len(state["history"]) == 1
    assert {state["weights"][name].unique().item() for name, _ in learner.network.module.named_parameters()} == {1}


def test_another_learner_goes_on_from_a_state(data):
    learner, other = learner_of(data), learner_of(data, seed=1)
    learner.forward(torch.zeros(2, 1, 32, 32)).sum().backward()
    learner.optimizer.step()
    state = end_epoch(learner, 0.5)
    other.resume(state)
    assert same(other.network.module.state_dict(), learner.network.module.state_dict())
    assert other.optimizer.state_dict()["state"].keys() == learner.optimizer.state_dict()["state"].keys() != set()
    assert (other.history, other.resumed) == (learner.history, 1)
    assert other.end_epoch({"validation_loss": 0.6})["resumed"] == 1
    assert same(other.best_weights, learner.best_weights)


def test_it_ends_when_patience_or_epochs_are_spent(data):
    learner = learner_of(data, patience=2, max_epochs=4)
    assert learner.goes_on and learner.patience_left == 2
    left = []
    for loss in (0.5, 0.6, 0.7):
        end_epoch(learner, loss)
        left.append(learner.patience_left)
    assert left == [2, 1, 0] and not learner.goes_on
    learner = learner_of(data, patience=9, max_epochs=1)
    end_epoch(learner, 0.5)
    assert learner.patience_left == 9 and not learner.goes_on


def test_training_slices_go_first_where_not_all_fit(data):
    size = learner_of(data).slices.nbytes
    for limit, resident in ((2 * size, (True, True)), (size, (True, False)), (0, (False, False))):
        learner = learner_of(data, resident_limit_gb=limit / 1e9)
        assert (learner.slices.resident, learner.validation.resident) == resident


def test_the_record_is_told_the_studies_and_the_network(data):
    learner = learner_of(data)
    end_epoch(learner, 0.5)
    described = learner.describe()
    assert described["studies"] == {"train": ("study_0001",), "validation": ("study_0002",)}
    assert described["parameters"] == learner.network.parameters and described["precision"] == "float32"


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_part_without_any_lesion_is_refused(data, tmp_path, part):
    stack = load_stack(data.train["study_0001"])
    save_stack(replace(stack, mask=0 * stack.mask), tmp_path / "a.npz")
    with pytest.raises(UserError, match=rf"The masks of all {part}\w* studies are empty \(a, b\)"):
        learner_of(replace(data, **{part: {"a": tmp_path / "a.npz", "b": tmp_path / "a.npz"}}))
    learner_of(replace(data, **{part: {"a": tmp_path / "a.npz", **data.train}}))
    stack.mask[:] = 0
    stack.mask[:, 0, 0] = 1
    save_stack(stack, tmp_path / "a.npz")
    corner = replace(data, **{part: {"a": tmp_path / "a.npz"}})
    learner_of(corner)
    with pytest.raises(UserError, match=r"preprocessing\.size leaves"):
        learner_of(replace(corner, preprocessing=replace(PREPROCESSING, size=(16, 16))))


def test_the_average_is_judged_and_kept_where_there_is_one(data):
    learner = learner_of(data, ema_decay=0.5)
    learner.network.module.eval()
    image = torch.ones(1, 1, 32, 32)
    before = learner.judged(image)
    torch.testing.assert_close(before, learner.forward(image))
    state = end_epoch(learner, 0.5)  # the weights are all 1 now, and no step has been averaged
    assert torch.equal(learner.judged(image), before) and not torch.equal(learner.forward(image), before)
    assert same(learner.best_weights, learner.average.weights) and state["average"]["steps"] == 0
    assert not same(learner.best_weights, state["weights"])


def test_outputs_at_lower_resolutions_are_the_logits_that_a_network_leaves(data):
    learner = learner_of(data)
    assert learner.auxiliary == []
    one, two = torch.zeros(1), torch.ones(1)
    for left, found in (([one, two], [one, two]), ((two,), [two]), (one, [one]), ("none", [])):
        learner.network.module.auxiliary = left
        assert learner.auxiliary == found


def test_a_network_of_ones_own_is_held_to_its_contract_before_it_trains(data, tmp_path):
    drawn = torch.get_rng_state()
    entry = entry_of(write_network(tmp_path))
    first, again = (prepare(entry, RECIPE, data, 0, CPU).network.module.state_dict() for _ in range(2))
    assert same(first, again)
    write_network(tmp_path, "image).relu()", "image / image.std((1, 2, 3), keepdim=True)).relu()")
    with pytest.raises(UserError, match="for a slice of nothing but air it gives logits that are NaN"):
        prepare(entry, RECIPE, data, 0, CPU)
    torch.set_rng_state(drawn)

"""A sweep is one row a value, with names that last, and its mistakes are told with the user's own keys."""

import re
from copy import deepcopy

import pytest

from lesionbench.errors import UserError
from lesionbench.experiment.config import read_schema, resolve_config
from lesionbench.experiment.plan import plan_experiment
from lesionbench.experiment.sweeps import expand_sweeps
from planned import config

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")


def swept(sweep, compare=("unet",), others=None, **entry):
    unet = {"architecture": "classic-unet", "label": "U-Net", "sweep": sweep, **entry}
    return {"models": {"unet": unet, **(others or {})}, "compare": list(compare)}


def rows(sweep):
    return expand_sweeps(swept(sweep), read_schema())[0]["compare"]


def test_each_value_is_a_row_with_a_name_and_a_label_of_its_own():
    resolved = resolve_config(swept({"training.learning_rate": [1e-3, 1e-4]}))
    assert resolved["compare"] == ["unet.learning_rate-0.001", "unet.learning_rate-0.0001"]
    first, second = (resolved["models"][row] for row in resolved["compare"])
    assert first["label"] == "U-Net, learning rate 0.001" and "sweep" not in first
    assert (first["training"]["learning_rate"], second["training"]["learning_rate"]) == (0.001, 0.0001)
    assert first["training"]["patience"] == resolved["training"]["patience"]


def test_several_keys_make_all_combinations_in_an_order_that_moving_lines_does_not_change():
    sweep = {"training.learning_rate": [0.01, 0.001], "options.width": [4, 8]}
    expected = [f"unet.width-{width}.learning_rate-{rate}" for width in (4, 8) for rate in ("0.01", "0.001")]
    assert rows(sweep) == rows(dict(reversed(sweep.items()))) == expected
    assert resolve_config(swept(sweep))["models"][expected[0]]["label"] == "U-Net, width 4, learning rate 0.01"


def test_a_row_keeps_what_its_model_says_elsewhere():
    given = swept({"options.width": [4, 8]}, training={"patience": 9}, options={"width": 2, "depth": 3})
    before = deepcopy(given)
    row = expand_sweeps(given, read_schema())[0]["models"]["unet.width-8"]
    assert row["options"] == {"width": 8, "depth": 3} and row["training"] == {"patience": 9}
    assert given == before


def test_a_name_depends_on_its_own_value_alone():
    values = [0.1, "1e-4", True, None, "deep", "Deep/er", "a" * 300, [1, 2.5], [[1], 2], {"x": 1}, "1/10", "a: b", "ä"]
    alone = [rows({"options.depth": [value, "other"]})[0] for value in values]
    together = rows({"options.depth": values})
    assert together == alone and len(set(together)) == len(values)
    assert all(NAME.match(name) and len(name) <= 130 for name in together)
    assert together[:5] == [f"unet.depth-{text}" for text in ("0.1", "0.0001", "true", "null", "deep")]
    assert together[7] == "unet.depth-1-2.5"


def test_keys_with_one_ending_are_told_apart():
    found = rows({"options.a.width": [1, 2], "options.b.width": [3]})
    assert found == ["unet.options.a.width-1.options.b.width-3", "unet.options.a.width-2.options.b.width-3"]


def test_compare_and_members_name_all_rows_by_the_model():
    others = {"mean": {"members": ["unet", "b"]}, "b": {"architecture": "classic-unet"}}
    resolved = resolve_config(swept({"options.width": [4, 8]}, ["b", "unet", "mean"], others))
    assert resolved["compare"] == ["b", "unet.width-4", "unet.width-8", "mean"]
    assert resolved["models"]["mean"]["members"] == ["unet.width-4", "unet.width-8", "b"]
    one = swept({"options.width": [4, 8]}, ["unet.width-8"])
    assert resolve_config(one)["compare"] == ["unet.width-8"]


@pytest.mark.parametrize("sweep", [{}, None])
def test_an_empty_sweep_is_none(sweep):
    assert rows(sweep) == ["unet"]


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ({"training.learning_rate": [0.1, -1]}, ".sweep.training.learning_rate[1]: -1 is less than or equal"),
        ({"training.learning_rate": ["fast"]}, ".sweep.training.learning_rate[0]: 'fast' is text, not a number"),
        ({"training.learning_rate": []}, ".sweep.training.learning_rate: the list is empty"),
        ({"training.learning_rate": 0.1}, ".sweep.training.learning_rate: 0.1 is not of type 'array'"),
        ({"training.learnig_rate": [1, 2]}, ".sweep.training.learnig_rate: there is no such key. Did you mean learn"),
        ({"training.learning_rate": [0.1, 1, "0.1"]}, ".sweep.training.learning_rate[2]: 0.1 is the value of"),
        ({"training": [{}]}, ".sweep.training: rows cannot differ in this"),
        ({"label": ["a"]}, ".sweep.label: rows cannot differ in this"),
        ({"options.x": ["a", "A"]}, ".sweep: the row of options.x[1] would be called unet.x-A, and there is a model"),
        ({"training.warmup_epochs": [1, 500]}, ": training.warmup_epochs is 500"),
        ({"preprocessing.hu_window": [[0, 1], [1, 0]]}, ".sweep.preprocessing.hu_window[1]: the lower bound 1"),
    ],
)
def test_a_mistake_names_the_value_in_the_users_list(sweep, said):
    with pytest.raises(UserError) as error:
        resolve_config(swept(sweep))
    assert f"models.unet{said}" in str(error.value)


def test_a_mistake_beside_the_sweep_is_told_once():
    with pytest.raises(UserError) as error:
        resolve_config(swept({"options.width": [4, 8, 16]}, trainin={}))
    assert str(error.value).count("models.unet.trainin: there is no such key") == 1


def test_an_unknown_encoder_is_told_by_its_place():
    sweep = {"encoder": ["resnet34", "resnt34"]}
    with pytest.raises(UserError, match=r"models\.unet\.sweep\.encoder\[1\]: resnt34 is unknown"):
        resolve_config(swept(sweep, architecture="Unet"))


def test_a_row_that_is_called_as_another_model_is_refused():
    others = {"unet.width-4": {"architecture": "classic-unet"}}
    with pytest.raises(UserError, match="would be called"):
        resolve_config(swept({"options.width": [4, 8]}, others=others))


def test_the_plan_knows_the_compared_rows_of_each_sweep():
    models = swept({"options.width": [4, 8, 16]})["models"]
    whole = plan_experiment(config(models=models, compare=["unet"]))
    assert whole.sweeps == {"unet": {"label": "U-Net", "rows": ["unet.width-4", "unet.width-8", "unet.width-16"]}}
    assert whole.sweep_trainings == whole.trainings
    one = plan_experiment(config(models=models, compare=["unet.width-8"]))
    assert one.sweeps == {} and one.sweep_trainings == []

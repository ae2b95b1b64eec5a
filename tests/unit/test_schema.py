"""What the schemas of our own JSON files refuse, with the place."""

import json

import pytest

from lesionbench.schema import SCHEMAS, Validator, check, read_checked, read_schema

NAMES = [path.name.removesuffix(".schema.yaml") for path in SCHEMAS.glob("*.schema.yaml")]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one(name):
    Validator.check_schema(read_schema(name))


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"batch_size": "8"}, r"training\.batch_size: '8' is not of type 'integer'"),
        ({"learning_rate": float("nan")}, r"training\.learning_rate: nan is not of type 'number'"),
        ({"learning_rate": 10**400}, r"training\.learning_rate: .* is not of type 'number'"),
        ({"bach_size": 8}, r"training: Additional properties are not allowed \('bach_size' was unexpected\)"),
    ],
)
def test_a_record_is_held_against_the_schema_of_the_configuration(training, said):
    with pytest.raises(ValueError, match=said):
        check({"training": training}, "run")
    check({"training": {"batch_size": 8, "learning_rate": 0.1}}, "run")


def test_a_file_is_read_and_checked(tmp_path):
    path = tmp_path / "operating_point.json"
    path.write_text(json.dumps({"threshold": 0.4, "min_component_mm3": 10}))
    assert read_checked(path, "operating_point")["threshold"] == 0.4
    path.write_text(json.dumps({"threshold": 1.5, "min_component_mm3": 10}))
    with pytest.raises(ValueError, match=r"threshold: 1\.5 is greater than or equal to the maximum of 1"):
        read_checked(path, "operating_point")

"""Two versions of a file are compared number by number, and each difference is told with its place."""

import json

import pytest

from lesionbench.capsule.differences import Comparison, Difference, shown


@pytest.fixture
def compare(tmp_path):
    """A function that compares two contents of a file; returns how many numbers there are, and the differences."""

    def run(given, computed, suffix=".csv"):
        paths = [tmp_path / f"{name}{suffix}" for name in ("given", "computed")]
        for path, content in zip(paths, (given, computed), strict=True):
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        comparison = Comparison()
        comparison.compare(*paths, f"file{suffix}")
        return comparison.numbers, comparison.differences

    return run


def test_a_number_that_differs_is_told_with_row_and_column(compare):
    numbers, [found] = compare("model,dice,n\nunet,0.61,5\nvgg,0.5,5\n", "model,dice,n\nunet,0.6,5\nvgg,0.5,5\n")
    assert numbers == 4
    assert str(found) == "file.csv (row 1 unet, dice): 0.61, recomputed 0.6"


@pytest.mark.parametrize(("given", "same"), [("0.1234567890123456", True), ("0.12345678", False), ("", False)])
def test_the_last_digits_do_not_count(compare, given, same):
    _, found = compare(f"dice\n{given}\n", "dice\n0.12345678901234561\n")
    assert (found == []) == same


def test_a_count_that_differs_by_one_is_a_difference(compare):
    assert compare("voxels\n99999999\n", "voxels\n100000000\n")[1]


def test_names_that_look_like_numbers_are_compared_as_they_stand(compare):
    numbers, found = compare("study,dice\n001,1\n", "study,dice\n1,1\n")
    assert numbers == 1 and [difference.column for difference in found] == ["study"]


def test_columns_and_keys_that_cannot_be_computed_again_do_not_count(compare):
    assert compare("study,dice,hd95\na,1,7\n", "study,dice\na,1\n") == (1, [])
    assert compare({"a": 1, "b": 2}, {"a": 1}, ".json") == (1, [])


@pytest.mark.parametrize(
    ("given", "computed", "place"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "a.b[1]"),
        ({"a": None}, {"a": 1.5}, "a"),
        ({"a": 1.5}, {"a": None}, "a"),
        ({"a": [1]}, {"a": [1, 2]}, "a"),
        ({}, {"a": "b"}, "a"),
        ([], {"a": 1}, ""),
    ],
)
def test_a_tree_is_compared_leaf_by_leaf(compare, given, computed, place):
    assert [difference.row for difference in compare(given, computed, ".json")[1]] == [place]


def test_text_is_compared_line_by_line(compare):
    _, [found] = compare("one\n| 0.603 |\n", "one\n| 0.602 |\n", ".md")
    assert found.row == "line 2" and "0.603" in found.given and "0.602" in found.computed


def test_rows_that_are_missing_or_added_are_told(compare):
    assert compare("dice\n1\n", "dice\n1\n1\n")[1][0].given == "1 rows"
    assert compare("a\n", "a\nb\n", ".md")[1][0].given == "1 lines"


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_what_cannot_be_read_is_a_difference(compare, content):
    assert "unreadable" in str(compare(content, {"a": 1}, ".json")[1][0])


def test_a_file_that_is_missing_is_a_difference(tmp_path):
    comparison = Comparison()
    comparison.compare(tmp_path / "none.csv", tmp_path / "some.csv", "none.csv")
    assert str(comparison.differences[0]) == "none.csv: missing"


def test_of_many_differences_the_first_are_shown_and_the_rest_counted():
    found = [Difference("a.csv", f"row {number}", "dice", "1", "2") for number in range(7)]
    assert list(shown(found, most=5))[-1] == "… and 2 more" and len(list(shown(found))) == 7

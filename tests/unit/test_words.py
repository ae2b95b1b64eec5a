"""Counts and lists read as in a sentence, text of the user's as it is."""

import asyncio

import pytest
from snakemake.report import expand_labels

from lesionbench.words import Verbatim, counted, duration, first_few, listed, rounded


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(1, "test study", "1 test study"), (0, "study", "0 studies"), (1110, "slice", "1,110 slices")],
)
def test_a_noun_agrees_with_its_number(number, noun, text):
    assert counted(number, noun) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0.01234, "0.0123"), (0.3, "0.3"), (12.34, "12.3"), (1000.0, "1,000"), (123456, "123,000")]
)
def test_a_number_is_rounded_to_three_digits_without_an_exponent(number, text):
    assert rounded(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(45.4, "45 s"), (89, "89 s"), (130, "2 min"), (7100, "118 min"), (11_100, "3 h 05 min")]
)
def test_a_duration_is_told_in_one_unit_or_two(seconds, text):
    assert duration(seconds) == text


def test_lists_end_with_and():
    assert [listed(list("abc")[:length]) for length in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_an_ellipsis_stands_for_what_is_left_out():
    assert [first_few(list("abcd")[:length], 3) for length in (0, 3, 4)] == ["", "a, b, c", "a, b, c, …"]


def test_a_label_of_the_report_keeps_its_braces():
    text = "{braces} {{twice}} {a,b}"
    shown = asyncio.run(expand_labels({"model": Verbatim(text)}, {}, job=None))
    assert shown == {"model": text}

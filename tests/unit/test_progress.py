"""A line a minute, by a clock of the tests' own, and a bar in a terminal alone."""

import io
import logging
import sys

import pytest

from lesionbench import progress
from lesionbench.logs import collected_warnings
from lesionbench.progress import track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set: clock[0] in seconds."""
    now = [1000.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, progress.PROGRESS)
    return caplog


def spend(clock, items, seconds):
    for item in items:
        clock[0] += seconds
        yield item


def test_the_log_has_a_line_a_minute_and_one_at_the_end(clock, said):
    assert list(track(spend(clock, range(56), 21), "study", 56)) == list(range(56))
    assert said.messages[:2] == ["3 of 56 studies, about 19 min left", "6 of 56 studies, about 18 min left"]
    assert said.messages[-2:] == ["54 of 56 studies, about 42 s left", "56 of 56 studies"]
    assert len(said.messages) == 19


def test_a_line_comes_when_an_item_is_done_that_takes_longer_than_a_minute(clock, said):
    list(track(spend(clock, "ab", 4000), "scan", 2, label="segmenting"))
    assert said.messages == ["segmenting: 1 of 2 scans, about 67 min left", "segmenting: 2 of 2 scans"]


def test_a_short_step_says_nothing(clock, said):
    for _ in track(["a", "b"], "study"):
        clock[0] += 29
    assert said.messages == []


def test_what_breaks_off_has_no_last_line(clock, said):
    for item in track(spend(clock, range(9), 61), "study", 9):
        if item == 2:
            break
    assert said.messages == ["1 of 9 studies, about 8 min left", "2 of 9 studies, about 7 min left"]


def test_warnings_that_are_held_back_hold_back_no_line(clock, said):
    with collected_warnings():
        list(track(spend(clock, "ab", 61), "study", 2))
    assert said.messages[-1] == "2 of 2 studies"


@pytest.mark.parametrize(("screen", "shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_bar_is_shown_in_a_terminal_alone(screen, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "DELAY", 0)
    for _ in track("abc", "slice", label="study {1}"):
        pass
    assert ("study {1}: 0 of 3 slices |" in screen.getvalue()) == shown


def test_a_bar_leaves_messages_whole(monkeypatch):
    screen, root = Terminal(), logging.getLogger()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "DELAY", 0)
    handler = logging.StreamHandler(screen)
    monkeypatch.setattr(root, "handlers", [handler])
    for item in track("ab", "study"):
        root.error("message %s", item)
    assert {"message a", "message b"} <= {line.strip("\r ") for line in screen.getvalue().splitlines()}
    assert root.handlers == [handler]

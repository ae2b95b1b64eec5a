"""Imported by each Python that starts with this folder in PYTHONPATH: writes down where its seconds went.

A line of JSON goes to the file that LESIONBENCH_SECONDS names, at the process's end: what it ran, its seconds, those of
them that went into imports, and its processor time.
"""

import _frozen_importlib as importing
import atexit
import json
import os
import sys
import time
from pathlib import Path

_started = time.time()
_imports = [0.0]
_running: list[str] = []
_process = os.getpid()
_find_and_load = importing._find_and_load


def _timed(name, import_):
    """Import a module that is not loaded yet, as Python does, and count the seconds of the outermost import."""
    _running.append(name)
    started = time.perf_counter()
    try:
        return _find_and_load(name, import_)
    finally:
        _running.pop()
        if not _running:
            _imports[0] += time.perf_counter() - started


def _write():
    if os.getpid() == _process:  # a fork has what is its parent's
        line = {
            "ran": " ".join(sys.orig_argv[1:3]),
            "seconds": time.time() - _started,
            "imports": _imports[0],
            "processor": time.process_time(),
        }
        with Path(os.environ["LESIONBENCH_SECONDS"]).open("a") as file:
            file.write(json.dumps(line) + "\n")


if "LESIONBENCH_SECONDS" in os.environ:
    importing._find_and_load = _timed
    atexit.register(_write)

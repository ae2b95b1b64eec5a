"""The experiment that is disturbed, and its results as they are compared."""

import csv
from io import StringIO

TIMES = ("seconds", "peak_memory", "peak_host_memory")  # what differs between two equal runs


def config(name):
    return {"compare": ["small"], "pathvars": {"results": f"results/{name}", "logs": f"logs/{name}"}}


def contents(checkout, name):
    """The results as bytes by name, less what is measured; of tables with times, the other columns."""
    root = checkout.folder / "results" / name
    files = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        file = path.relative_to(root).as_posix()
        if path.name == "run.json" or "cost" in path.name:
            files[file] = b""
        elif path.name in ("history.csv", "seconds.csv"):
            rows = csv.DictReader(StringIO(path.read_text()))
            files[file] = repr([{key: row[key] for key in row if not key.startswith(TIMES)} for row in rows]).encode()
        else:
            files[file] = path.read_bytes().replace(f"results/{name}".encode(), b"results/NAME")
    return files

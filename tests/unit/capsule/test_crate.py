"""What a capsule says of itself names every file with its hash, and every input without one."""

import hashlib
import json
import sys
import zipfile
from urllib.parse import unquote
from urllib.request import urlopen

import pytest

from lesionbench.capsule.contents import read_finished
from lesionbench.capsule.crate import METADATA, describe
from lesionbench.errors import UserError


@pytest.fixture(scope="module")
def graph(made):
    content = json.loads(zipfile.ZipFile(made.capsule).read(METADATA))
    return {unquote(entity["@id"]): entity for entity in content["@graph"]}


def test_every_file_is_described_with_its_hash(made, graph):
    with zipfile.ZipFile(made.capsule) as archive:
        for name in set(archive.namelist()) - {METADATA, "manifest-sha256.txt"}:
            entity = graph[name]
            assert "File" in entity["@type"]
            assert entity["sha256"] == hashlib.sha256(archive.read(name)).hexdigest()


def test_the_run_has_the_workflow_as_its_instrument_and_inputs_that_are_hashes_only(made, graph):
    run = graph["#run"]
    assert run["@type"] == "CreateAction" and run["instrument"] == {"@id": "workflow/Snakefile"}
    hashes = {graph[entity["@id"]]["sha256"] for entity in run["object"]}
    scan = made.roots[""] / "studies" / "CT-1" / "study_0000.nii.gz"
    assert hashlib.sha256(scan.read_bytes()).hexdigest() in hashes
    assert not any("File" in graph[entity["@id"]]["@type"] for entity in run["object"])
    assert graph["./"]["mainEntity"] == {"@id": "workflow/Snakefile"} and "agent" not in run


def test_the_profiles_of_workflow_runs_are_named(graph):
    profiles = {entity["@id"] for entity in graph["./"]["conformsTo"]}
    assert {f"https://w3id.org/ro/wfrun/{name}/0.5" for name in ("process", "workflow")} <= profiles


def test_without_rocrate_the_message_says_how_to_install_it(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "rocrate.rocrate", None)
    with pytest.raises(UserError, match="pip install rocrate"):
        describe({}, read_finished(made.results), "results", "2026-01-01")


def test_roc_validator_finds_all_that_the_profile_requires(made):
    services = pytest.importorskip("rocrate_validator.services", reason="roc-validator is not installed")
    from rocrate_validator.models import Severity

    try:
        urlopen("https://w3id.org/ro/crate/1.1/context", timeout=10).close()
    except OSError:
        pytest.skip("roc-validator reads contexts from w3id.org, which cannot be reached")
    settings = services.ValidationSettings(
        rocrate_uri=str(made.capsule),
        profile_identifier="workflow-run-crate",
        requirement_severity=Severity.REQUIRED,
    )
    assert [issue.message for issue in services.validate(settings).get_issues()] == []

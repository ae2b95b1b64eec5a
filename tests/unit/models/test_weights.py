"""Fetching is tested against a small server on this machine that answers as the hub does."""

import hashlib
import logging
import runpy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from segmentation_models_pytorch.encoders import encoders

from lesionbench.errors import UserError
from lesionbench.models.weights import fetch_encoder_weights

SOURCE = encoders["resnet34"]["pretrained_settings"]["imagenet"]
CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """One file at one revision, as the hub serves what is in git LFS."""

    stated_sha256 = SHA256

    def do_HEAD(self):
        found = self.path == f"/{SOURCE['repo_id']}/resolve/{SOURCE['revision']}/model.safetensors"
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Repo-Commit", SOURCE["revision"])
            self.send_header("X-Linked-Etag", f'"{self.stated_sha256}"')
            self.send_header("X-Linked-Size", str(len(CONTENT)))
            self.send_header("Content-Length", str(len(CONTENT)))
        else:
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(CONTENT)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint(monkeypatch, tmp_path):
    """Point the hub's client to an address on this machine, away from its cache."""

    def point(address):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    return point


@pytest.fixture
def hub(endpoint, monkeypatch):
    """Serve `CONTENT`; what it says of its hash can be changed."""
    monkeypatch.setattr(Hub, "stated_sha256", SHA256)
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        endpoint(f"http://127.0.0.1:{server.server_port}")
        yield Hub
        server.shutdown()


@pytest.fixture
def no_network(endpoint):
    """Point the client to a port where nothing listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        port = server.server_port
    endpoint(f"http://127.0.0.1:{port}")


def test_the_file_is_fetched_at_the_pinned_revision(hub, tmp_path):
    path = tmp_path / "weights" / "resnet34.safetensors"
    fetch_encoder_weights("resnet34", path)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_a_hash_other_than_the_hosts_is_refused(hub, tmp_path):
    hub.stated_sha256 = "0" * 64
    with pytest.raises(UserError, match=f"resnet34 have SHA-256 {SHA256}, but their host states 0{{64}}.*resnet34.st"):
        fetch_encoder_weights("resnet34", tmp_path / "resnet34.st")
    assert list(tmp_path.iterdir()) == []


def test_without_network_one_sentence_says_what_to_do(no_network, tmp_path):
    path = tmp_path / "resnet34.safetensors"
    with pytest.raises(UserError) as error:
        fetch_encoder_weights("resnet34", path)
    message = str(error.value)
    assert "\n" not in message and message.count(". ") == 0
    assert f"{SOURCE['repo_id']}/resolve/{SOURCE['revision']}/model.safetensors" in message
    assert f"put it at {path}" in message and "null to train from scratch" in message
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_from_the_hub_is_told(hub, tmp_path):
    with pytest.raises(UserError, match=r"Cannot fetch the ImageNet weights of encoder resnet18 \(\w+: 404"):
        fetch_encoder_weights("resnet18", tmp_path / "resnet18.safetensors")


@pytest.mark.parametrize(
    ("encoder", "near"), [("resnet43", "resnet34"), ("dpn92", "dpn98"), ("tu-resnet34", "resnet34")]
)
def test_an_encoder_without_imagenet_weights_is_refused(encoder, near, tmp_path):
    with pytest.raises(
        UserError, match=rf"no `imagenet` weights for encoder {encoder} .*{near}.*null to train from scratch"
    ):
        fetch_encoder_weights(encoder, tmp_path / "weights.safetensors")


def test_the_script_writes_its_output(hub, repository, tmp_path):
    output, log = tmp_path / "resnet34.safetensors", tmp_path / "job.log"
    snakemake = SimpleNamespace(wildcards=SimpleNamespace(encoder="resnet34"), output=[output], log=[log])
    handlers = logging.getLogger().handlers[:]
    try:
        runpy.run_path(str(repository / "workflow/scripts/pretrained_weights.py"), {"snakemake": snakemake})
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.captureWarnings(False)
    assert output.read_bytes() == CONTENT

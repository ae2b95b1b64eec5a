"""ImageNet weights of encoders, fetched from where segmentation-models-pytorch keeps them, at its pinned revision."""

import difflib
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from segmentation_models_pytorch.encoders import encoders

from lesionbench.errors import UserError
from lesionbench.files import atomic, sha256

FILE = "model.safetensors"

logger = logging.getLogger(__name__)


def fetch_encoder_weights(encoder: str, path: str | Path) -> None:
    """Download an encoder's ImageNet weights to `path` and check that their SHA-256 is what their host states.

    The revision is a commit, so that the file cannot change without notice.

    Raises
    ------
    UserError
        where there are no such weights, no network, or the hash differs; it says what to do without the download.
    """
    path = Path(path)
    source = _imagenet_source(encoder)
    url = hf_hub_url(source["repo_id"], FILE, revision=source["revision"])
    remedy = (
        f"download {url} on a machine with network and put it at {path}, or set the model's `encoder_weights` to a "
        "safetensors file that you have, or to null to train from scratch."
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=".download-") as folder:
        try:
            # A request of its own, because the download would retry for half a minute where there is no network.
            stated_sha256 = get_hf_file_metadata(url).etag
            downloaded = Path(hf_hub_download(source["repo_id"], FILE, revision=source["revision"], local_dir=folder))
        except Exception as error:  # by its version, the hub's client lets through errors of requests, httpx or httpx2
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UserError(f"Cannot fetch the ImageNet weights of encoder {encoder} ({reason}): {remedy}") from error
        actual = sha256(downloaded)
        if stated_sha256 != actual:
            raise UserError(
                f"The fetched ImageNet weights of encoder {encoder} have SHA-256 {actual}, but their host states "
                f"{stated_sha256}: run again in case the download was damaged, else {remedy}"
            )
        with atomic(path) as temporary:
            downloaded.replace(temporary)
    logger.info("Fetched %s, SHA-256 %s", url, actual)


def _imagenet_source(encoder: str) -> dict[str, str]:
    """Return `repo_id` and `revision` (a commit) of an encoder's ImageNet weights."""
    known = {name: entry["pretrained_settings"] for name, entry in encoders.items()}
    if "imagenet" in known.get(encoder, {}):
        return dict(known[encoder]["imagenet"])
    near = difflib.get_close_matches(encoder, [name for name in known if "imagenet" in known[name]])
    hint = f" (encoders with a name like it that have: {', '.join(near)})" if near else ""
    raise UserError(
        f"segmentation-models-pytorch has no `imagenet` weights for encoder {encoder}{hint}. Set the model's "
        "`encoder_weights` to a safetensors file that you have, or to null to train from scratch."
    )

"""Configurations of small experiments, which are planned and never run."""

MODELS = {
    "a": {"architecture": "classic-unet", "label": "Model A"},
    "b": {"architecture": "Unet", "encoder": "resnet34", "encoder_weights": "imagenet"},
}


def config(**changes):
    """Two models on a phantom of twelve studies, ten of them annotated."""
    return {"dataset": {"phantom": {"studies": 12}}, "models": MODELS, "compare": ["b", "a"], **changes}


def with_methods(**models):
    """Return the same configuration with one of the models and further ones, and two seeds."""
    return config(models={**MODELS, **models}, compare=["a", *models], seeds=[3, 1])


def with_masks(folder, names, suffix=".nii.gz"):
    """Make empty files of masks in a new folder and return its path as text."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}{suffix}").touch()
    return str(folder)

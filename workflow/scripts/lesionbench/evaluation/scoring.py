"""What scores depend on beside the masks. Needs nothing but the standard library."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scoring:
    """The section `evaluation` of the configuration; the schema says what each key means.

    threshold: a probability; min_component_mm3: in mm³, both possibly `validation`; mirroring: predict mirror images
    too; precision: what networks predict in; probabilities: keep them; surface_tolerance_mm: in mm; min_lesion_mm3: in
    mm³; resamples: a count.
    """

    threshold: float | str = 0.5
    min_component_mm3: float | str = 0
    probabilities: bool = False
    mirroring: bool = False
    precision: str = "training"
    surface_tolerance_mm: float = 3
    min_lesion_mm3: float = 14
    resamples: int = 10000

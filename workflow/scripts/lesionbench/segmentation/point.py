"""Where a probability becomes lesion: what the configuration says of it. Needs nothing but the standard library."""

from dataclasses import dataclass

VALIDATION = "validation"


@dataclass(frozen=True)
class OperatingPoint:
    """A voxel is lesion from a probability on, in a connected component of some volume or more.

    threshold: a probability; min_component_mm3: in mm³; either may be `validation`, until it is chosen on the
    validation studies of a run.
    """

    threshold: float | str = 0.5
    min_component_mm3: float | str = 0

    @property
    def is_to_choose(self) -> bool:
        """Whether something of it is chosen on validation studies."""
        return VALIDATION in (self.threshold, self.min_component_mm3)

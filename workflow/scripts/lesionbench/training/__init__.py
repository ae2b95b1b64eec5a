"""From slices to the weights and the record of a run."""

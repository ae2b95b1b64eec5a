"""Studies on disk: where they lie, volumes and planes, slices, the split, checks and phantoms."""

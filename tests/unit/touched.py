"""Empty files of data sets, of which only the names count."""


def touch(root, *names):
    """Make empty files, and the folders above them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

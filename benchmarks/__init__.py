"""How fast and how large Lesionbench is, against bars and against other ways of doing the same: `make bench`."""

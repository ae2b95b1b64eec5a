"""`python -m lesionbench` is the command `lesionbench`."""

from lesionbench.cli import main

raise SystemExit(main())

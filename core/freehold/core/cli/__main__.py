"""`python -m freehold.core.cli`: the command line where no console script is on the path."""

from freehold.core.cli.main import main

main()

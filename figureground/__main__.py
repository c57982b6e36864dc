"""``python -m figureground``."""

from figureground.cli.app import main

main()

"""``python -m figureground``."""

from figureground.cli import main

main()

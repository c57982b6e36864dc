"""The tests here speak of ``figureground.exports.evaluate``, the one file that is published with every dataset.

Where FIGUREGROUND_EVALUATION is ``file`` they run on that file; else, and in a plain run, on the package that it is
generated from, which takes the file's name for as long as the tests run. `make test` does both.
"""

from __future__ import annotations

import os
import sys

from evaluation_package import package_as_one_module

if os.environ.get("FIGUREGROUND_EVALUATION") != "file":
    import figureground.exports

    module = package_as_one_module()
    sys.modules[module.__name__] = module
    setattr(figureground.exports, "evaluate", module)  # noqa: B010  a module has no such attribute to type checkers

"""The evaluation package as one module, as the published file is one."""

from __future__ import annotations

import importlib
import types
from pathlib import Path

from figureground.exports import evaluation, join_evaluation

NAME = "figureground.exports.evaluate"
FILE = Path(join_evaluation.__file__).with_name("evaluate.py")


class OneModule(types.ModuleType):
    """All names of several modules; what is set here is set in each module that has the name, as in one file."""

    def __init__(self, parts: list[types.ModuleType]) -> None:
        super().__init__(NAME)
        self.__dict__["_parts"] = parts
        self.__dict__["__file__"] = str(FILE)
        for part in parts:
            self.__dict__.update({name: value for name, value in vars(part).items() if not name.startswith("__")})

    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__[name] = value
        for part in self.__dict__["_parts"]:
            if name in vars(part):
                setattr(part, name, value)


def package_as_one_module() -> types.ModuleType:
    """Every module that the file is made of, with the names of all."""
    folder = Path(str(evaluation.__file__)).parent
    names = [
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in sorted(folder.rglob("*.py"))
        if path.stem not in join_evaluation.STAYS_BEHIND
    ]
    return OneModule([importlib.import_module(f"{join_evaluation.PACKAGE}.{name}") for name in names])

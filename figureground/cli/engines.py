"""Options of the commands that can run on Ray: ``--engine ray`` and what goes with it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from figureground.runtime.engines import EngineChoice

EngineOption = Annotated[
    Literal["local", "ray"], typer.Option(help="Where the work runs: processes here, or Ray; the same bytes.")
]
RayAddressOption = Annotated[
    str, typer.Option(help="Cluster, HOST:PORT, or auto for this machine's; default: a Ray of this machine alone.")
]
RayStagingOption = Annotated[
    str, typer.Option(help="Folder or URI (s3://, gs://, hf://) that all nodes reach; default: the output folder.")
]
RayGpusOption = Annotated[float, typer.Option(min=0, help="GPUs that Ray keeps for each model.")]


def engine_choice(
    engine: Literal["local", "ray"], address: str, *, staging: str = "", gpus: float = 0.0
) -> EngineChoice:
    """The choice that the options mean.

    Raises:
        UsageError: for options that contradict each other.
    """
    return EngineChoice(kind=engine, ray_address=address, staging=staging, gpus=gpus)

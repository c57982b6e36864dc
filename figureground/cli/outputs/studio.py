"""Shapes of ``studio`` and ``human``, but for ``human score``."""

from __future__ import annotations

from figureground.annotate.human import kit, pull, push
from figureground.annotate.studio import pull as studio_pull
from figureground.annotate.studio import push as studio_push
from figureground.annotate.studio import second_look
from figureground.annotate.studio.progress.overview import Overview
from figureground.cli.outputs.printed import Output


class Started(Output):
    """The servers of a workspace."""

    url: str
    """Of Label Studio."""
    username: str
    """Whom to log in as; empty on a server of your own."""
    backend: str | None
    """Address of the interactive SAM; null where none was started."""


class Stopped(Output):
    """What became of Label Studio."""

    server: str
    """``stopped``, ``it was not running``, or that a server of your own is disconnected."""


class StoredEmbeddings(Output):
    """Embeddings of one model."""

    photos: int
    bytes: int


class FilledEmbeddings(Output):
    """What ``--fill`` did."""

    made: int
    there: int
    """That were there before."""
    no_room: int
    """That found no room in what ``--embeddings-gb`` allows."""


class Embeddings(Output):
    """Photos that the interactive SAM has encoded."""

    models: dict[str, StoredEmbeddings]
    filled: FilledEmbeddings | None
    """Null without ``--fill``."""


Status = Overview
Pushed = studio_push.PushReport | second_look.SecondLookReport
Pulled = studio_pull.PullReport
Kit = kit.KitReport
KitPushed = push.HumanPushReport
KitPulled = pull.HumanPullReport

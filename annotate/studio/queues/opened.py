"""Which photos annotators open, read from the log of a server of ours.

Label Studio 1.23.2 calls its interactive backend when somebody clicks, and at no other time that would do: a call at
each open task (``get_predictions_for_prelabeling``, tasks/models.py) is made only where the backend's predictions take
the place of ours, and webhooks to this machine are refused. What its log says of each request is enough.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qs, urlsplit

from figureground.annotate.studio.queues.order import Queue
from figureground.annotate.studio.served import ANSWER_PREFIX

_REQUEST: Final = re.compile(r'"(GET|POST) (\S+) HTTP/[\d.]+" (200|201|304) ')
_TASK: Final = re.compile(r"/api/tasks/(\d+)(/annotations)?/?")
_MOST_READ: Final = 4_000_000
"""Bytes read at once, from the end: older requests say nothing about where people are."""
_LINES_COMPARED: Final = 8
_NO_QUEUES: Final[Mapping[int, Queue]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Somebody has opened a photo, or just answered it."""

    project: int | None = None
    """None where the log does not say."""
    task: int | None = None
    """None where the photo is known instead."""
    image_id: str = ""
    """Empty where the task is known instead."""


@dataclass(slots=True)
class ServerLog:
    """A log that grows, and what in it is new."""

    path: Path
    _offset: int = 0
    _rest: bytes = b""
    _before: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES_COMPARED))
    _streams: list[int] = field(default_factory=list)
    """Projects whose next task was asked for, and whose photo was not loaded yet."""

    def opened(self, queues: Mapping[int, Queue] = _NO_QUEUES) -> Iterator[Opened]:
        """What was opened or answered since the last call, the oldest first; nothing where there is no log.

        Args:
            queues: Project to its photos: where two people ask within a second, they tell who got which one. A project
                without a queue may have any.
        """
        for line in self._new_lines():
            # Label Studio writes each line twice, the same time in both.
            if line in self._before:
                continue
            self._before.append(line)
            if (request := _REQUEST.search(line)) is not None:
                yield from self._read(request[1], request[2], queues)

    def _read(self, method: str, address: str, queues: Mapping[int, Queue]) -> Iterator[Opened]:
        try:
            parts = urlsplit(address)
        except ValueError:
            return
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        project = int(text) if (text := asked.get("project", "")).isdecimal() else None
        if (task := _TASK.fullmatch(parts.path)) is not None:
            if (method, task[2]) in (("GET", None), ("POST", "/annotations")):
                yield Opened(project=project, task=int(task[1]))
        elif asked.get("id") == "next_task" and project is not None:
            self._streams.append(project)
        elif parts.path.startswith("/data/") and self._streams:
            # In a stream a photo is loaded after the next task was asked for. The table loads many, and asks for none.
            # A page of second looks loads pictures of earlier answers with it, in any order.
            name = Path(asked.get("d") or parts.path).stem
            if not name.startswith(ANSWER_PREFIX) and (asking := self._asking(name, queues)) is not None:
                self._streams.remove(asking)
                yield Opened(project=asking, image_id=name)

    def _asking(self, image_id: str, queues: Mapping[int, Queue]) -> int | None:
        """The project that asked first, of those that can have asked for a photo; None where none can."""
        return next((one for one in self._streams if one not in queues or image_id in queues[one].image_ids), None)

    def _new_lines(self) -> Iterator[str]:
        try:
            with self.path.open("rb") as log:
                size = log.seek(0, 2)
                if size < self._offset:  # the server was started anew
                    self._offset, self._rest = 0, b""
                if size - self._offset > _MOST_READ:
                    self._offset, self._rest = size - _MOST_READ, b""
                log.seek(self._offset)
                new = log.read()
                self._offset = log.tell()
        except OSError:
            return
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", errors="replace")

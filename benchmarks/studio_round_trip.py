"""Push and pull of many tasks through a real Label Studio: seconds, and peak memory against a tenth of the tasks.

Every answer holds four masks: the object as it was sent and three painted parts. Answers are given through the server's
own route, one by one, as the page gives them; their time is not ours and not counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.server import start_server, stop_server
from figureground.annotate.studio.tasks import mask_region
from figureground.schemas.rasters.masks import Mask, encode_coco_rle
from figureground.schemas.records import ProposalRecord, ProposalRun, content_id
from figureground.schemas.store.workspace import Workspace

SIZE_HW = (375, 500)
PARTS = ("wings", "tail", "beak")


def blob(seed: int) -> Mask:
    """An ellipse with a ragged rim, as SAM and people leave them."""
    random = np.random.Generator(np.random.Philox(seed))
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    centre, radii = random.uniform((120, 160), (250, 340)), random.uniform((30, 40), (110, 150))
    distance = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2
    return np.asarray(distance + random.normal(0, 0.05, SIZE_HW) < 1)


def make_workspace(root: Path, tasks: int) -> None:
    """Photos that differ, each with a proposal."""
    folder = root / "photos" / "n01531178"
    folder.mkdir(parents=True)
    for seed in range(tasks):
        noise = np.random.Generator(np.random.Philox(seed)).integers(0, 256, (25, 34, 3), np.uint8)
        Image.fromarray(noise).resize(SIZE_HW[::-1], Image.Resampling.BICUBIC).save(folder / f"{seed:05d}.jpg")
    run(root, "index", str(root / "photos"))
    with Workspace.open(root) as store:
        for seed, image in enumerate(store.images()):
            run_id = content_id("blob", image.image_id)
            made = ProposalRun(
                run_id=run_id, image_id=image.image_id, segmenter="blob", prompt_mode="auto", reason="", seconds=0.0
            )
            proposal = ProposalRecord(
                proposal_id=content_id(run_id, "0"),
                run_id=run_id,
                image_id=image.image_id,
                score=0.9,
                stability=0.9,
                rle=encode_coco_rle(blob(seed)),
                rank=0,
                prompt="{}",
                segmenter="blob",
                checkpoint_sha256="",
            )
            store.add_run(made, [proposal])


def run(root: Path, *words: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of a command."""
    command = [sys.executable, "-P", "-m", "figureground", *words, "-w", str(root), "--json"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def answer_all(root: Path) -> None:
    """Submit every task: the object untouched, three parts painted."""
    client = StudioClient(StudioHome.of(root).require_connection())
    with Workspace.open(root) as store:
        (project,) = store.studio_projects(client.connection.server)
    page = 1
    while True:
        query = {"project": project, "fields": "all", "page": page, "page_size": 50}
        answer = client._get("/api/tasks/", query)
        for task in answer["tasks"]:
            parts = [
                mask_region(blob(task["id"] * 3 + n), region_id=f"part{n}", label=name) for n, name in enumerate(PARTS)
            ]
            result = [*task["predictions"][0]["result"], *parts]
            client._request("POST", f"/api/tasks/{task['id']}/annotations/", json={"result": result, "lead_time": 9.0})
        if page * 50 >= answer["total"]:
            return
        page += 1


def measure(tasks: int) -> dict[str, tuple[float, float]]:
    """One round trip: seconds and peak memory of each command."""
    with tempfile.TemporaryDirectory(prefix="figureground-bench-") as folder:
        root = Path(folder) / "work"
        root.mkdir()
        make_workspace(root, tasks)
        home = StudioHome.of(root)
        start_server(home)
        try:
            seconds = {"push": run(root, "studio", "push", "--attributes", "rival10")}
            seconds["push again"] = run(root, "studio", "push")
            answer_all(root)
            seconds["pull"] = run(root, "studio", "pull")
            seconds["pull again"] = run(root, "studio", "pull")
        finally:
            stop_server(home)
        with Workspace.open(root) as store:
            answers = list(store.annotations())
    if len(answers) != tasks or any(len(answer.masks) != 4 or answer.changed_px for answer in answers):
        raise SystemExit("the answers that came back are not those that were given")
    return seconds


def main() -> None:
    """Measure a tenth, then all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    given = parser.parse_args()
    tenth = max(1, given.tasks // 10)
    few, many = measure(tenth), measure(given.tasks)
    print(f"| command | s, {tenth} tasks | s, {given.tasks} tasks | peak MB | peak / that of a tenth |")
    print("|---|---|---|---|---|")
    for name in few:
        (few_s, few_mb), (many_s, many_mb) = few[name], many[name]
        print(f"| {name} | {few_s:.1f} | {many_s:.1f} | {many_mb:.0f} | {many_mb / few_mb:.2f} |")


if __name__ == "__main__":
    main()

"""A kit from a built dataset: sample, pictures, questions; the folder appears whole or not at all."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from figureground.annotate.human.pictures import make_picture
from figureground.annotate.human.questions import QuestionPlan, foils_text, make_tasks, picture_id, read_foils
from figureground.annotate.human.sample import DatasetRow, draw_sample, read_images, read_rows, shared_rows
from figureground.errors import Faults, FigureGroundError, UsageError
from figureground.runtime.files import file_sha256, write_text
from figureground.runtime.folders import made_before, note_made, require_absent, unfinished_folder
from figureground.runtime.progress import Progress
from figureground.schemas.classes import ClassMap, load_class_map
from figureground.schemas.pages.human_tasks import (
    CLASS_MAP_FILE,
    FOILS_FILE,
    TASKS_FILE,
    Arm,
    HumanKit,
    KitFacts,
    read_kit,
    write_tasks,
)
from figureground.schemas.records import content_id

FoilChooser = Callable[[Mapping[str, Path], Mapping[str, int]], Mapping[str, int]]
"""From pictures and labels, by image, to the class index of each image's foil."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KitRequest:
    """Everything that decides the bytes of a kit."""

    dataset: Path
    """Folder of a dataset repository."""
    configs: tuple[str, ...]
    plan: QuestionPlan
    split: str = "test"
    arm: Arm = "model"
    images: int | None = None
    """How many; None for all."""
    per_class: int | None = None
    """Most images of a class."""
    seconds_limit: int = 10
    """Instructions that raters read, for one picture."""
    foils: Path | None = None
    """CSV of foils."""
    foil_chooser: FoilChooser | None = None
    """Chooses foils by the pictures of the first config."""
    foils_by: str = ""
    """What the chooser is called."""

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if not self.configs or len(set(self.configs)) < len(self.configs):
            raise UsageError("name at least one config, each once")
        given = (self.foils is not None) + (self.foil_chooser is not None)
        if given > 1:
            raise UsageError("foils come from a file or from a model, not from both")
        if given and self.plan.design != "verification":
            raise UsageError("foils belong to the design verification; choices are drawn by hash")
        if min(self.seconds_limit, *(count for count in (self.images, self.per_class) if count is not None), 1) < 1:
            raise UsageError("images, images of a class and seconds are numbers from 1")


@dataclass(slots=True, kw_only=True)
class KitReport:
    """What was made."""

    folder: str
    images: int = 0
    tasks: int = 0
    """Of all configs, with repeats."""
    repeats: int = 0
    rounds: int = 0
    n_per_class: dict[str, int] = field(default_factory=dict)


def make_kit(request: KitRequest, folder: Path, *, progress: Progress = lambda *_: None) -> KitReport:
    """Make the kit of a dataset.

    Raises:
        UsageError: if the folder holds anything else than this very kit, or what is asked for is not there.
        DataError: with every row, image and foil at fault.
    """
    key = _key(request)
    if (made := made_before(folder, key)) is not None:
        return KitReport(folder=str(folder), **made)
    require_absent(folder)
    class_map = request.dataset / CLASS_MAP_FILE
    if not class_map.is_file():
        raise UsageError(f"{request.dataset} has no {CLASS_MAP_FILE}; give the folder of a dataset repository")
    classes = load_class_map(str(class_map))
    seed = request.plan.seed
    shared = shared_rows(read_rows(request.dataset, request.configs, request.split, classes), seed)
    labels = {image_id: next(iter(rows.values())).label for image_id, rows in shared.items()}
    chosen = draw_sample(labels, request.images, request.per_class, seed)
    labels = {image_id: labels[image_id] for image_id in chosen}
    rows = [shared[image_id][config] for config in request.configs for image_id in chosen]
    with unfinished_folder(folder, key, "kit", keeps=False) as partial:
        (partial / "images").mkdir(exist_ok=True)
        _write_pictures(rows, request, partial, progress)
        shutil.copyfile(class_map, partial / CLASS_MAP_FILE)
        foils, foils_by = _foils(request, rows, labels, classes, partial)
        tasks = make_tasks(rows, classes, request.plan, foils)
        write_tasks(partial / TASKS_FILE, tasks)
        if request.plan.design == "verification":
            write_text(partial / FOILS_FILE, foils_text(tasks, classes))
        _write_facts(request, foils_by, partial)
        report = _report(read_kit(partial), folder, labels)
        note_made(partial, key, {name: value for name, value in asdict(report).items() if name != "folder"})
    return report


def _key(request: KitRequest) -> str:
    """All that decides the bytes of a kit."""
    manifest = request.dataset / "manifest.json"
    named = {
        part.name: getattr(request, part.name)
        for part in fields(request)
        if part.name not in ("dataset", "foils", "foil_chooser")
    }
    foils = file_sha256(request.foils) if request.foils is not None and request.foils.is_file() else ""
    return content_id("kit", file_sha256(manifest) if manifest.is_file() else "", foils, repr(named))


def _write_pictures(rows: Sequence[DatasetRow], request: KitRequest, folder: Path, progress: Progress) -> None:
    faults = Faults()
    for number, (row, stored) in enumerate(read_images(rows), 1):
        try:
            picture = make_picture(stored, request.arm)
        except FigureGroundError as error:
            faults.add(f"data/{row.config}", row.image_id, expected="an image", got=str(error))
        else:
            (folder / "images" / f"{picture_id(row, request.plan.seed)}.png").write_bytes(picture)
        progress("pictures", number, len(rows))
    faults.raise_if_any()


def _foils(
    request: KitRequest, rows: Sequence[DatasetRow], labels: Mapping[str, int], classes: ClassMap, folder: Path
) -> tuple[Mapping[str, int] | None, str]:
    """Foils by image and what chose them; None for those drawn by hash."""
    if request.plan.design == "choice":
        return None, ""
    if request.foils is not None:
        return read_foils(request.foils, labels, classes), f"file {file_sha256(request.foils)[:16]}"
    if request.foil_chooser is None:
        return None, "hash"
    pictures = {
        row.image_id: folder / "images" / f"{picture_id(row, request.plan.seed)}.png"
        for row in rows
        if row.config == request.configs[0]
    }
    return request.foil_chooser(pictures, labels), request.foils_by


def _write_facts(request: KitRequest, foils_by: str, folder: Path) -> None:
    manifest = request.dataset / "manifest.json"
    facts = KitFacts(
        design=request.plan.design,
        arm=request.arm,
        dataset=request.dataset.resolve().name,
        manifest_sha256=file_sha256(manifest) if manifest.is_file() else None,
        split=request.split,
        configs=request.configs,
        seed=request.plan.seed,
        foils=foils_by,
        repeat_share=request.plan.repeat_share,
        seconds_limit=request.seconds_limit,
        tasks_sha256=file_sha256(folder / TASKS_FILE),
    )
    write_text(folder / "kit.json", facts.model_dump_json(indent=1) + "\n")


def _report(kit: HumanKit, folder: Path, labels: Mapping[str, int]) -> KitReport:
    sizes = Counter(labels.values())
    return KitReport(
        folder=str(folder),
        images=len(labels),
        tasks=len(kit.tasks),
        rounds=len(kit.facts.configs),
        repeats=sum(task.repeats is not None for task in kit.tasks),
        n_per_class={name: sizes[index] for index, name in enumerate(kit.classes.names) if sizes[index]},
    )

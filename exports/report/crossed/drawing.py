"""Files of the report on crossed grounds: which plots there are, of what, and under which names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from figureground.exports.evaluation.dataset import Repository, load_rows
from figureground.exports.evaluation.pictures import stored_bytes
from figureground.exports.report.crossed import plots
from figureground.exports.report.crossed.section import crossed_configs
from figureground.exports.report.groups import ModelSummary, ResultGroup
from figureground.exports.report.pictures import PictureFolder, safe_name
from figureground.exports.report.stored_answers import StoredAnswer, answers_path, read_arrays

CrossedRow = tuple[str, str]
"""Photo of the figure and photo of the ground; the latter is empty where a row has no other's."""


def draw_crossed(group: ResultGroup, pictures: PictureFolder, stem: str, *, opened: Repository | None = None) -> None:
    """Draw everything of a group.

    Args:
        group: Models that were scored alike.
        pictures: Where to.
        stem: Beginning of the names.
        opened: The dataset that was scored, to show grounds and figures; None shows none.
    """
    for config in crossed_configs(group):
        members = [member for member in group.members if config in member.summary["crossed"]]
        pictures.chart(
            f"{stem}.{config}.components", partial(plots.draw_components, members, config), kind="components", of=config
        )
        pictures.chart(
            f"{stem}.{config}.attacks", partial(plots.draw_attacks, members, config), kind="attacks", of=config
        )
        for member in members:
            name = safe_name(member.model)
            pairs = member.summary["crossed"][config]["attacks"]["fooled"]["pairs"]
            if pairs:
                names = list(member.summary["n_per_class"])
                pictures.chart(
                    f"{stem}.{config}.pairs.{name}",
                    partial(plots.draw_pairs, member, config, names),
                    kind="pairs",
                    of=f"{member.model}, {config}",
                )
            answers = None if opened is None else read_crossed(member, group.space, config)
            if opened is not None and answers:
                load = partial(_load, opened, member.result["split"])
                sheet = plots.draw_grounds(member, config, *answers, load, opened.classes)
                pictures.sheet(f"{stem}.{config}.grounds.{name}", sheet, kind="grounds", of=f"{member.model}, {config}")


def read_crossed(
    member: ModelSummary, space: str, config: str
) -> tuple[dict[CrossedRow, StoredAnswer], dict[str, int]] | None:
    """Answers on a crossed config, of figures that are right on the control, and the classes of the figures.

    None where ``evaluate`` was given no folder.

    Raises:
        DataError: for a damaged file of answers.
    """
    names = ("image_id", "ground_id", "label", f"{space}.right", "mapped", "probability")
    paths = [answers_path(member.result, wanted) for wanted in (config, member.summary["control"])]
    if not all(path.is_file() for path in paths):
        return None
    rows, before = (
        list(zip(*(column.tolist() for column in read_arrays(path, names).values()), strict=True)) for path in paths
    )
    known = {image_id for image_id, _, _, right, *_ in before if right}
    answers = {
        (image_id, ground_id): StoredAnswer(mapped, probability, right)
        for image_id, ground_id, _, right, mapped, probability in rows
        if image_id in known
    }
    return answers, {image_id: label for image_id, _, label, *_ in rows}


def _load(opened: Repository, split: str, config: str, ids: Collection[str]) -> dict[CrossedRow, bytes]:
    """Encoded images of the rows of some photos; none where the dataset has no such config."""
    if config not in opened.layout:
        return {}
    table = load_rows(opened, config, split, columns=["ground_id"], ids=ids)
    columns: Sequence[Sequence[Any]] = [table[name] for name in ("image_id", "ground_id", "image")]
    return {(name, ground or ""): stored_bytes(image) or b"" for name, ground, image in zip(*columns, strict=True)}

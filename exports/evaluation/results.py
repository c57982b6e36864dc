"""Results as text tables and as the Hub's eval results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from figureground.exports.evaluation.label_spaces import ASSUMED_ORDER, class_order
from figureground.exports.evaluation.protocols.conflict import CONFLICT_LEGEND
from figureground.exports.evaluation.protocols.registry import named_protocol
from figureground.exports.evaluation.shares import guess_floor
from figureground.exports.evaluation.tables import RULE, Cell, describe_stars, find_stars

_DECIDES: Final = ("weights_sha256", "input_size_hw", "device", "precision", "feeding", "model_settings")


class ResultTable(NamedTuple):
    """Results that compare, as a table: variants down, models across."""

    title: str
    models: Sequence[str]
    rows: Mapping[str, Sequence[Cell]]  # a cell a model by the row's name; RULE, below a name with "-", parts groups
    stars: Collection[tuple[str, int]]  # rows and numbers of models of the cells that have a star
    foot: str
    chance: float | None  # what a model that sees nothing scores, in [0, 1]; None where that may be less than chance


class _Column(NamedTuple):
    """A result in one label space."""

    result: Mapping[str, Any]
    cells: Mapping[str, Cell]  # by row
    note: str  # for the foot
    chance: float | None  # as in ``ResultTable``


def format_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Plain text: variants down, models across, percent with 95 % intervals."""
    return "\n\n".join(map(table_text, result_tables(results)))


def result_tables(results: Sequence[Mapping[str, Any]]) -> list[ResultTable]:
    """Tables of results: those of other data, settings, label spaces or feeds do not compare, and have their own."""
    groups: dict[tuple[str, ...], list[_Column]] = {}
    for result, data in ((result, result["dataset"]) for result in results):
        dataset = data["name"] if data["revision"] is None else f"{data['name']}@{data['revision']}"
        protocol = named_protocol(result["protocol"])
        spaces = result.get("label_spaces", {result.get("label_space"): result})
        for space, summary in sorted(spaces.items(), reverse=True):
            title = f"{dataset} ({data['split']}, {summary['n']} images), label space {space}, feed {result['feed']}"
            title = ", ".join([title, *protocol.describe(result)])
            mean = "balanced classes" if summary["balanced"] else "classes NOT balanced: class means"
            mean = "images count alike, but in class means" if result.get("headline") == "accuracy_micro" else mean
            unscored = ", ".join(f"{config} ({reason})" for config, reason in result.get("not_scored", {}).items())
            floor = guess_floor(str(space), float(summary["chance"]))
            of = " of mapped outputs only (an answer outside the map is wrong)" if floor is None else ""
            note = f"{mean}; chance {100 * summary['chance']:.1f}{of}{'; not scored: ' * bool(unscored)}{unscored}"
            sliced = ["slices of the differences: with --json"] if any(summary.get("slices", {}).values()) else []
            about = [*describe_groups(data, summary), *describe_masks(data), *describe_model(result, str(space))]
            about += CONFLICT_LEGEND if summary.get("conflict") else ()
            note = "; ".join([note, *sliced, *about])
            column = _Column(result, protocol.cells(summary), note, floor)
            groups.setdefault((title, data["fingerprint"], settings_key(result)), []).append(column)
    return [_table(title, group) for (title, *_), group in groups.items()]


def settings_key(result: Mapping[str, Any]) -> str:
    """What a protocol's options came to, as text: results compare only where it is the same.

    A dataset counts by its fingerprint: a folder and its copy on the Hub are called otherwise.
    """
    own = {name: result.get(name) for name in named_protocol(result["protocol"]).settings}
    plain = {
        name: value.get("fingerprint", value) if isinstance(value, Mapping) else value for name, value in own.items()
    }
    return json.dumps(plain, sort_keys=True)


def describe_masks(data: Mapping[str, Any]) -> list[str]:
    """How many of a dataset's masks nobody reviewed, and how many agree with another segmenter's, in words.

    Nothing where all were reviewed, or where that is not known.
    """
    masks = data.get("masks") or {}
    if not masks.get("unreviewed"):
        return []
    notes = [f"{masks['unreviewed']} of {masks['objects']} masks are a machine's that nobody reviewed"]
    if own := masks.get("agreement"):
        agree = f"{own['agreeing']} of {own['objects']} agree with another segmenter's (IoU {own['min_iou']:g} or more)"
        notes.append(agree)
    return notes


def describe_groups(data: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    """What photos of one video, burst or photographer do to the intervals, in words; nothing where there are none."""
    counts = data.get("groups")
    if not counts:
        return []
    first: Mapping[str, Any] = next(iter(summary.get("configs", {}).values()), {})
    if "n_groups" not in first:
        return [f"{counts['images']} images are in {counts['groups']} groups, which these intervals do not allow for"]
    worth = f"{first['n']} images in {first['n_groups']} groups are worth {first['n_effective']:.1f} independent ones"
    return [f"whole groups of photos are the sample: {worth}"]


def describe_model(result: Mapping[str, Any], space: str) -> list[str]:
    """What a reader of a table must know of a model, in words: choices that were made for it, and assumptions."""
    settings, model = result.get("model_settings") or {}, result["model"]
    notes = [f"{model}: {note}" for note in result.get("notes", ())]
    if class_order(space, settings.get("class_names")) == "assumed":
        notes.append(f"{model}: {ASSUMED_ORDER}")
    if (settings.get("settings") or {}).get("size") == "train":
        notes.append(f"{model}: at the size and crop that timm trained it at")
    return notes


def tell_apart(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of models for one table or plot: other models of one name get what they differ in behind it.

    That is the first eight digits of the weights' hash, the input's size, the device, the precision, or else eight
    digits of a hash of all that decides the answers. The same model twice keeps its name.
    """
    names: list[str] = []
    for result in results:
        alike = [other for other in results if other["model"] == result["model"]]
        whole = {json.dumps([other.get(part) for part in _DECIDES], sort_keys=True, default=str) for other in alike}
        facets = [_facets(other) for other in alike]
        telling = (index for index in range(len(facets[0])) if len({facet[index] for facet in facets}) == len(whole))
        suffix = "" if len(whole) == 1 else f" ({_facets(result)[next(telling)]})"
        names.append(f"{result['model']}{suffix}")
    return names


def _facets(result: Mapping[str, Any]) -> list[str]:
    """What models of one name may be told apart by, the last of which always tells."""
    height, width = result.get("input_size_hw") or (0, 0)
    whole = json.dumps([result.get(part) for part in _DECIDES], sort_keys=True, default=str)
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    weights = str(result.get("weights_sha256", ""))[:8]
    return [weights, f"{width}x{height}", str(result.get("device")), str(result.get("precision")), digest]


def _table(title: str, columns: Sequence[_Column]) -> ResultTable:
    """One table of results that compare, and so have one chance."""
    names = list(dict.fromkeys(name for column in columns for name in column.cells))
    numbered = {(name, number): cell for number, column in enumerate(columns) for name, cell in column.cells.items()}
    stars, comparisons = find_stars(numbered)
    rows = {name: [numbered.get((name, number), RULE) for number in range(len(columns))] for name in names}
    notes = list(
        dict.fromkeys(part for note in sorted({column.note for column in columns}) for part in note.split("; "))
    )
    foot = "; ".join(part for part in ["percent [95 % interval]", *notes, describe_stars(comparisons)] if part)
    return ResultTable(title, tell_apart([column.result for column in columns]), rows, stars, foot, columns[0].chance)


def table_text(table: ResultTable) -> str:
    """A table as plain text: its title, columns that stand below each other, its foot."""
    lines: list[list[str]] = [["", *table.models]]
    for name, cells in table.rows.items():
        texts = [cell.text((name, number) in table.stars) for number, cell in enumerate(cells)]
        lines.append([] if name.startswith("-") else [name, *texts])
    return "\n".join([table.title, *align_columns(lines), table.foot])


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns are as wide as their widest cell.

    The first row has a cell in every column; later ones may have fewer, and one without cells becomes a dashed line.
    """
    widths = [max(len(row[column]) for row in rows if len(row) > column) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return [line or "-" * (sum(widths) + 2 * len(widths) - 2) for line in lines]


def format_eval_results(result: Mapping[str, Any]) -> str:
    """Main figures as YAML for ``.eval_results/`` in a model's repository (eval_results.yaml of huggingface/hub-docs).

    A task is a config or the name of another figure, after the label space where a protocol has several. Values are
    percent; their interval, and all else that they are of, stand in the notes.
    """
    data, lines = result["dataset"], list[str]()
    figures = named_protocol(result["protocol"]).figures
    for space, summary in sorted(result.get("label_spaces", {"": result}).items()):
        about = [
            f"{summary['n']} images of {data['split']}",
            f"protocol {result['protocol']}",
            f"feed {result['feed']}",
            f"label space {space or summary['label_space']}",
            f"weights {result['weights_sha256']}",
            *describe_groups(data, summary),
            *describe_masks(data),
            *describe_model(result, space or str(summary.get("label_space"))),
        ]
        for name, value, ci95 in figures(summary):
            if value is None:
                continue
            interval = f"[{100 * ci95[0]:.2f}, {100 * ci95[1]:.2f}]" if ci95 else "unknown"
            notes = "; ".join([f"percent, 95 % interval {interval}", *about])
            task = {"id": data["name"], "task_id": f"{space}.{name}".strip("."), "revision": data["revision"]}
            lines += ["- dataset:", *(f"    {key}: {json.dumps(text)}" for key, text in task.items())]
            lines += [f"  value: {100 * value:.4f}", f"  notes: {json.dumps(notes)}"]
    return "\n".join([*lines, ""])

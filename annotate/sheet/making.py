"""A sheet: pages of photos with their machine masks, the most uncertain first, which need no server and no network."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from figureground.annotate.photo_states import count_textures, photos_to_annotate, require_sources
from figureground.annotate.proposals.best import Choice, best_proposals
from figureground.annotate.proposals.fusion import maker_title
from figureground.annotate.sheet.rejected import is_judged, other_masks_command, sheet_rejections
from figureground.annotate.studio.served import ServedView
from figureground.annotate.studio.tasks import label_title, uncertainty
from figureground.console import count_text
from figureground.errors import Fault, Faults, FigureGroundError, UsageError, printable, shell_word
from figureground.runtime.folders import made_before, note_made, unfinished_folder
from figureground.runtime.progress import Progress
from figureground.schemas.pages.inline_pictures import mask_url, photo_url
from figureground.schemas.pages.page_style import OBJECT_COLOUR, mask_filter
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.records import Decision, ImageRecord, ProposalRecord, SourceRow, content_id
from figureground.schemas.sources.names import photo_name
from figureground.schemas.sources.opening import read_catalogued
from figureground.schemas.store.workspace import Workspace

SHOWN_PIXELS: Final = 480_000
"""Most pixels of a photo on a sheet, 800 x 600: a page of 200 is some 20 MB."""
PHOTOS_A_PAGE: Final = 200

Shown = tuple[ImageRecord, ProposalRecord]
"""A photo and the machine mask that is asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRequest:
    """What a sheet shows."""

    segmenter: str | None = None
    """Whose masks: ``sam``, or ``sam:box``; needed where several segmenters made some and nothing ranked them."""
    sources: tuple[str, ...] = ()
    """Photos of these sources; empty for all."""
    limit: int | None = None
    """Most photos, 1 or more, the most uncertain first; None for all."""
    photos_a_page: int = PHOTOS_A_PAGE
    """1 or more."""


@dataclass(slots=True, kw_only=True)
class SheetReport:
    """Counts of one call of ``make_sheet``."""

    pages: list[Path] = field(default_factory=list)
    photos: int = 0
    """Photos that are shown."""
    beyond_limit: int = 0
    """Photos that the limit leaves out."""
    again: int = 0
    """Photos among them and beyond the limit whose earlier mask was rejected on a sheet: another one is shown."""
    decided: int = 0
    """Photos that have a decision, and are not shown."""
    without_mask: int = 0
    """Photos without a machine mask, which are not shown."""
    textures: int = 0
    """Photos that are textures, about which nobody is asked."""
    choice: Choice | None = None
    """How rankings chose the masks; None where none did."""
    faults: Faults = field(default_factory=Faults)
    """Photos that could not be read; the others are shown."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        counts = ("photos", "beyond_limit", "again", "decided", "without_mask", "textures")
        values = {name: getattr(self, name) for name in counts}
        choice = {} if self.choice is None else {"chosen_by": self.choice.to_dict()}
        return {**values, **choice, "pages": list(map(str, self.pages)), "faults": list(map(str, self.faults))}

    def __str__(self) -> str:
        """Counts, then the pages to open."""
        others = [
            (self.beyond_limit, "beyond the limit"),
            (self.again, "of an earlier mask that was rejected"),
            (self.decided, "decided before"),
            (self.without_mask, "without a machine mask"),
            (self.textures, "textures"),
            (len(self.faults), "could not be read"),
        ]
        rest = "".join(f", {count} {words}" for count, words in others if count)
        choice = [] if self.choice is None else [str(self.choice)]
        lines = [*choice, f"{self.photos} photos to accept or reject{rest}; open in a browser:", *map(str, self.pages)]
        return "\n".join(map(printable, lines))


def make_sheet(
    workspace: Workspace, out: Path, request: SheetRequest = SheetRequest(), *, progress: Progress = lambda *_: None
) -> SheetReport:
    """Write pages of photos with machine masks to accept or reject; the same masks make the same bytes.

    They are all photos without a decision, and those whose earlier mask was rejected on a sheet and that have another
    one now.

    Args:
        workspace: Where photos and masks are; nothing is written to it.
        out: The folder to make: ``sheet-1.html``, ``sheet-2.html`` and so on.
        request: What is shown.
        progress: Called after every photo with ("sheet", done, total).

    Raises:
        UsageError: if ``out`` holds anything else than this very sheet, there is nothing to show, or several segmenters
            made masks.
        DataError: at the end, with every photo that could not be read, and the report; the pages show the others.
    """
    shown, report = _choose(workspace, request)
    sheet = content_id("sheet", *(proposal.proposal_id for _, proposal in shown))
    pages = [shown[start : start + request.photos_a_page] for start in range(0, len(shown), request.photos_a_page)]
    sources, done = workspace.sources(), 0
    key = content_id(sheet, str(request.photos_a_page))
    made = made_before(out, key)
    if made is not None:
        names = [out / f"sheet-{number}.html" for number in range(1, len(pages) + 1)]
        return replace(report, pages=names, photos=int(made["photos"]))
    with unfinished_folder(out, key, "sheet", keeps=False) as folder:
        for number, photos in enumerate(pages, start=1):
            head, tail = _page(sheet, number, len(pages)).split("{{tiles}}")
            with (folder / f"sheet-{number}.html").open("w", encoding="utf-8", newline="\n") as file:
                file.write(head)
                for image, proposal in photos:
                    done += 1
                    tile = _tile(image, proposal, sources, f"{done} of {len(shown)}")
                    if isinstance(tile, Fault):
                        report.faults.extend([tile])
                    else:
                        file.write(tile)
                        report.photos += 1
                    progress("sheet", done, len(shown))
                file.write(tail)
            report.pages.append(out / f"sheet-{number}.html")
        if not report.faults:
            note_made(folder, key, {"photos": report.photos})
    report.faults.raise_if_any(report)
    return report


def _choose(workspace: Workspace, request: SheetRequest) -> tuple[list[Shown], SheetReport]:
    """Photos to show, the most uncertain first, and the counts of those that are not."""
    require_sources(workspace, request.sources)
    if (request.limit is not None and request.limit < 1) or request.photos_a_page < 1:
        raise UsageError("a sheet shows 1 photo or more, and 1 or more on a page")
    decided, report = workspace.decisions(), SheetReport(textures=count_textures(workspace))
    proposals = {proposal.image_id: proposal for proposal in best_proposals(workspace, request.segmenter)}
    shown: list[Shown] = []
    states = Counter[str]()
    for image in photos_to_annotate(workspace, request.sources):
        proposal, decision = proposals.get(image.image_id), decided.get(image.image_id)
        again = decision is not None and proposal is not None and _asks_again(workspace, decision, proposal)
        if decision is not None and not again:
            states[decision.state] += 1
        elif proposal is None:
            report.without_mask += 1
        else:
            shown.append((image, proposal))
            report.again += again
    report.decided = states.total()
    if not shown:
        raise UsageError(_nothing_to_show(workspace, states, report.without_mask))
    shown.sort(key=lambda pair: (-uncertainty(pair[1]), pair[0].image_id))
    chosen = shown[: request.limit]
    report.beyond_limit = len(shown) - len(chosen)
    report.choice = Choice.of(workspace, request.segmenter, {image.image_id for image, _ in chosen})
    return chosen, report


def _asks_again(workspace: Workspace, decision: Decision, proposal: ProposalRecord) -> bool:
    """Whether another mask of the photo was rejected on a sheet, and this one was not judged yet."""
    answers = sheet_rejections(workspace, decision)
    return bool(answers) and not is_judged(proposal, answers)


def _nothing_to_show(workspace: Workspace, states: Counter[str], without_mask: int) -> str:
    """Why, and what to type next."""
    root = shell_word(workspace.root)
    reasons = [f"{count_text(count, 'photo')} {state}" for state, count in sorted(states.items())]
    reasons += [f"{count_text(without_mask, 'photo')} without a machine mask"] if without_mask else []
    if without_mask:
        remedy = f"make masks with: figureground propose -w {root}"
    elif states["needs_second"]:
        remedy = (
            f"other masks of rejected ones: {other_masks_command(root)}; in Label Studio: "
            f"figureground studio push -w {root} --second-look"
        )
    else:
        remedy = f"what is next: figureground status -w {root}"
    return f"there is nothing to show: {', '.join(reasons) or 'no photo'}; {remedy}"


@cache
def _template() -> str:
    return files(__package__).joinpath("page.html").read_text(encoding="utf-8")


def _page(sheet: str, number: int, count: int) -> str:
    """A page without its tiles."""
    others = [
        f"<b>{other}</b>" if other == number else f'<a href="sheet-{other}.html">{other}</a>'
        for other in range(1, count + 1)
    ]
    values = {
        "title": "Accept or reject masks" + (f", page {number} of {count}" if count > 1 else ""),
        "sheet": sheet,
        "page": str(number),
        "links": " ".join(others if count > 1 else []),
        "outline": mask_filter("outline"),
    }
    text = _template()
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _tile(image: ImageRecord, proposal: ProposalRecord, sources: dict[str, SourceRow], place: str) -> str | Fault:
    """One photo with its mask and three buttons, as HTML; a fault where it cannot be read."""
    view = ServedView.of(image, most_pixels=SHOWN_PIXELS)
    shown_name = photo_name(image.source, image.uri)
    try:
        photo = view.picture(decode_photo(read_catalogued(image, sources)))
        mask = view.to_served(decode_coco_rle(proposal.rle, size_hw=image.size_hw, record=shown_name))
    except (FigureGroundError, OSError) as error:
        return Fault(where=image.source, record=image.uri, expected="the catalogued photo", got=str(error))
    buttons = [("accept", "Accept"), ("reject", "Reject"), ("skip", "Skip")]
    lines = [
        f'<figure data-image="{image.image_id}" data-proposal="{proposal.proposal_id}">',
        '<div class="picture">'
        f'<img alt="the photo" src="{photo_url(photo)}">'
        f'<img class="mask" alt="its mask" src="{mask_url(mask, OBJECT_COLOUR)}">'
        '<span class="state"></span></div>',
        f"<figcaption><span><b>{place}</b> {escape(printable(label_title(image.label)))}</span>"
        f"<span>{uncertainty(proposal):.2f} uncertain, by {escape(maker_title(proposal))}</span>"
        f'<span class="uri">{escape(printable(shown_name))}</span>',
        *(f'<button type="button" data-decision="{name}">{title}</button>' for name, title in buttons),
        "</figcaption></figure>\n",
    ]
    return "\n".join(lines)

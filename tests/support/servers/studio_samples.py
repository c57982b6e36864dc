"""Photos, machine masks and answers as Label Studio gives them, for tests that need no server."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from needs import need
from numpy.typing import NDArray
from PIL import Image

from figureground.annotate.studio.served import ServedView
from figureground.schemas.attributes import OBJECT, Attribute, AttributeSchema
from figureground.schemas.rasters.masks import Mask, encode_brush_rle, encode_coco_rle
from figureground.schemas.records import ImageRecord, ProposalRecord, ProposalRun, Purpose, StudioProject, content_id
from figureground.schemas.store.workspace import Workspace

Json = dict[str, Any]
SERVER = "export"
PROJECT = 7


def make_schema(
    *,
    local: Sequence[str] = (),
    ticked: Sequence[str] = (),
    was: Mapping[str, str] | None = None,
    version: str = "1",
    name: str = "animals",
) -> AttributeSchema:
    """A schema of painted (``local``) and ticked (global) attributes; ``was`` holds earlier names."""
    attributes = [
        *(Attribute(name=part, scope="local", was=(was or {}).get(part)) for part in local),
        *(Attribute(name=word, scope="global", was=(was or {}).get(word)) for word in ticked),
    ]
    return AttributeSchema(name=name, version=version, attributes=tuple(attributes))


def make_photo(
    name: str = "a", *, size_hw: tuple[int, int] = (30, 40), orientation: int = 1, label: str = "n02279972"
) -> ImageRecord:
    """A catalogued photo whose id derives from its name."""
    return ImageRecord(
        image_id=content_id(name),
        source="photos",
        uri=f"{name}.jpg",
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        width=size_hw[1],
        height=size_hw[0],
        exif_orientation=orientation,
        label=label,
        source_split="val",
        phash="0" * 16,
    )


def block_mask(size_hw: tuple[int, int] = (30, 40)) -> Mask:
    """A mask whose figure is off the middle, so that every turn of it is another mask."""
    mask = np.zeros(size_hw, dtype=np.bool_)
    mask[size_hw[0] // 6 : size_hw[0] // 2, size_hw[1] // 4 : size_hw[1] * 3 // 4] = True
    return mask


def make_proposal(image: ImageRecord, mask_hw: Mask | None = None, *, score: float = 0.9) -> ProposalRecord:
    """The machine mask of a photo."""
    mask = block_mask(image.size_hw) if mask_hw is None else mask_hw
    run_id = content_id("run", image.image_id)
    return ProposalRecord(
        proposal_id=content_id(run_id, "0"),
        run_id=run_id,
        image_id=image.image_id,
        rle=encode_coco_rle(mask),
        score=score,
        stability=0.5,
        rank=0,
        prompt="{}",
        segmenter="sam",
        checkpoint_sha256="0123456789abcdef" * 4,
    )


def store_proposal(store: Workspace, proposal: ProposalRecord) -> None:
    """Store a machine mask and the run that made it."""
    run = ProposalRun(
        run_id=proposal.run_id,
        image_id=proposal.image_id,
        segmenter=proposal.segmenter,
        prompt_mode="auto",
        reason="",
        seconds=0.0,
    )
    store.add_run(run, [proposal])


def note_project(
    store: Workspace, schema: AttributeSchema, *, since: str, project: int = PROJECT, purpose: Purpose = "first_look"
) -> None:
    """Note that a project's page asks for a schema from some time on."""
    store.add_studio_project(
        StudioProject(
            server=SERVER,
            project=project,
            title="t",
            annotator="",
            purpose=purpose,
            attribute_schema=schema.model_dump_json(),
            since=since,
        )
    )


# Answers


def alpha_rle(alpha_hw: NDArray[np.uint8]) -> list[int]:
    """Brush RLE of black pixels of any alpha, as one literal of four values for each pixel."""
    pixels = np.zeros((*alpha_hw.shape, 4), dtype=np.uint8)
    pixels[..., 3] = alpha_hw
    sizes = (3, 4, 8, 16)
    bits = f"{pixels.size:032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    for pixel in pixels.reshape(-1, 4):
        bits += "000011" + "".join(f"{value:08b}" for value in pixel)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def painted(
    mask_hw: Mask, label: str = OBJECT, *, region_id: str = "r1", origin: str = "manual", rle: list[int] | None = None
) -> Json:
    """A brush region of an answer, its mask in served pixels."""
    return {
        "id": region_id,
        "type": "brushlabels",
        "from_name": "mask",
        "to_name": "image",
        "origin": origin,
        "original_width": mask_hw.shape[1],
        "original_height": mask_hw.shape[0],
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush_rle(mask_hw) if rle is None else rle, "brushlabels": [label]},
    }


def untouched(image: ImageRecord, proposal: ProposalRecord, mask_hw: Mask) -> Json:
    """The region of a machine mask that was submitted as it was sent."""
    served = ServedView.of(image).to_served(mask_hw)
    return {**painted(served, region_id=proposal.proposal_id, origin="prediction"), "score": proposal.score}


def said_of(region: Json, *words: str) -> Json:
    """What was ticked of a region: a result of its own, with the region's id and a copy of its RLE."""
    return {
        **{key: region[key] for key in ("id", "to_name", "origin", "original_width", "original_height")},
        "type": "choices",
        "from_name": "visibility",
        "image_rotation": 0,
        "value": {"format": "rle", "rle": region["value"]["rle"], "choices": list(words)},
    }


def ticked(control: str, *words: str) -> Json:
    """What was ticked of the whole photo."""
    return {
        "id": f"{control}-1",
        "type": "choices",
        "from_name": control,
        "to_name": "image",
        "origin": "manual",
        "value": {"choices": list(words)},
    }


def noted(*lines: str) -> Json:
    """A note."""
    return {
        "id": "note-1",
        "type": "textarea",
        "from_name": "note",
        "to_name": "image",
        "origin": "manual",
        "value": {"text": list(lines)},
    }


def make_answer(results: Iterable[Json], *, number: int = 1, person: int = 3, at: str = "05", **changes: Any) -> Json:
    """A submitted answer as the server lists it; ``at`` is its minute."""
    return {
        "id": number,
        "result": list(results),
        "completed_by": person,
        "updated_by": person,
        "was_cancelled": False,
        "created_at": f"2026-05-01T10:{at}:00.000001Z",
        "updated_at": f"2026-05-01T10:{at}:00.000001Z",
        "lead_time": 12.5,
        "parent_prediction": 4,
        "ground_truth": False,
        "unique_id": "e7e7",
        **changes,
    }


def make_draft(results: Iterable[Json], *, number: int = 1, person: str = "ann@example.org", at: str = "05") -> Json:
    """An answer that was never submitted, as the server lists it."""
    return {
        "id": number,
        "result": list(results),
        "user": person,
        "annotation": None,
        "lead_time": 2.0,
        "created_at": f"2026-05-01T10:{at}:00.000001Z",
        "updated_at": f"2026-05-01T10:{at}:00.000001Z",
    }


def make_export(
    image: ImageRecord, answers: Sequence[Json], *, proposal: ProposalRecord | None = None, drafts: Sequence[Json] = ()
) -> Json:
    """A task as the JSON export gives it."""
    return {
        "id": 1,
        "project": PROJECT,
        "annotations": list(answers),
        "drafts": list(drafts),
        "predictions": [4],
        "data": {"image_id": image.image_id, "proposal_id": proposal.proposal_id if proposal else ""},
    }


def write_export(path: Path, tasks: Any) -> Path:
    """A file of the JSON export."""
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def label_interface(configuration: str) -> Any:
    """The SDK's reading of a labeling configuration; the test is skipped where it is not installed."""
    try:
        from label_studio_sdk.label_interface.interface import LabelInterface
    except ImportError:
        need(False, "label-studio-sdk is not installed")
    return LabelInterface(configuration)


def png_bytes(size_wh: tuple[int, int]) -> bytes:
    """A grey PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", size_wh, (90, 90, 90)).save(buffer, "PNG")
    return buffer.getvalue()

"""What check_unchanged.py has figureground work on: photos, masks and recipes, and the commands that are run."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import imagenet_a_tree
import pyarrow as pa
import pyarrow.parquet as pq
import rival10_tree
from needs import ROOT, SHARED
from PIL import Image, ImageFilter

COMMANDS: Final = r"""
demo -o demo

index photos -w work --boxes boxes --licence 'CC BY 4.0' --unrestricted --workers 2
import masks masks -w work --origin 'a machine'
freeze -w work --version v1
build --list
build imagenet9 -w work -o in9 --draws 2 --workers 2
build imagenet9 -w work -o in9-reference --rules reference --per-class 2 --workers 2
build imagenet9 -w work -o in9-recipe --per-class 2 --no-pixels --workers 2
rebuild in9-recipe --source photos -o in9-rebuilt --workers 2
build imagenet9l -w work -o in9l --per-class 1 --workers 2
build background_check -w work -o check --per-class 2 --workers 2
import masks mended -w work --origin 'a machine'
freeze -w work --version v2
build imagenet9 -w work -o in9-v2 --release v2 --earlier in9 --draws 2 --workers 2
diff in9 in9-v2
diff work/objects/v1.parquet work/objects/v2.parquet
verify in9-v2 --workers 2
! build nothing -w work -o nothing

index imagenet-a.tar -w natural --workers 2
index photos -w natural --workers 2
import masks natural-masks -w natural --origin drawn
import masks masks -w natural --origin 'a machine' --source photos
freeze -w natural --version v1
build imagenet_a_plus -w natural -o plus --pixels --workers 2
build imagenet_a_plus -w natural -o plus-recipe --workers 2
! rebuild plus-recipe --source photos -o plus-partial --workers 2

index RIVAL10 -w rival-work --kind rival10 --workers 2
import rival10 RIVAL10 -w rival-work
freeze -w rival-work --version v1
build rival10 -w rival-work -o rival --split-by source --workers 2
build rival10 -w rival-work -o rival-reference --rules reference --workers 2

index leeds -w wings --workers 2
import masks leeds-masks -w wings --attributes butterfly.yaml --origin 'project-made, by a rule'
freeze -w wings --version v1
index photos -w wings --name textures --workers 2
build butterfly_recipe.yaml -w wings -o butterflies --workers 2
build new_splits.yaml -w wings -o new-splits --workers 2
build on_photos.yaml -w wings -o on-photos --workers 2

index demo/photos -w machine --name demo --workers 2
propose -w machine --segmenter grabcut
propose -w machine --segmenter saliency
freeze -w machine --version grabcut --unreviewed --segmenter grabcut
freeze -w machine --version saliency --unreviewed --segmenter saliency

export in9 --layout imagenet9 -o as-imagenet9
export butterflies --layout rival10 -o as-rival10
export plus --layout imagenet-a -o as-imagenet-a
export plus --layout imagenet-a --config plus -o as-imagenet-a-plus
export butterflies --layout coco -o as-coco
index as-rival10/RIVAL10 -w from-rival10 --kind rival10 --workers 2
import rival10 as-rival10/RIVAL10 -w from-rival10 --attributes butterfly.yaml
freeze -w from-rival10 --version v1
index as-coco/images -w from-coco --labels as-coco/labels.csv --workers 2
import coco as-coco/annotations/instances_train.json as-coco/annotations/attributes_train.json -w from-coco \
  --attributes butterfly.yaml --origin ours
freeze -w from-coco --version v1

evaluate in9 --model MODEL --challenge exact,reference --bootstrap 500 --limit 16 -o scores/in9
evaluate in9-reference --model MODEL --feed reference --challenge reference,targeted --bootstrap 500 --limit 12
in9/evaluate.py --model MODEL --challenge reference --bootstrap 500 --limit 6 --out scores/script
evaluate plus --model MODEL --bootstrap 500 --limit 20 -o scores/plus
evaluate plus --model MODEL --configs original,plus,center_zoom --cluster class --feed reference --bootstrap 500
evaluate check --model MODEL --bootstrap 500 --limit 12 -o scores/check
evaluate butterflies --model MODEL --split train --noise sigma --levels 0.25,0.5 --mask-grow 0,4,-4 --bootstrap 500 \
  --limit 12 -o scores/butterflies
evaluate butterflies --model MODEL --noise l2 --levels 75 --trials 2 --rfs-undefined hardimagenet --bootstrap 500
! evaluate in9-recipe --model MODEL
report scores/in9 scores/plus scores/check scores/butterflies -o report --repository butterflies

analyze saliency butterflies --model MODEL --split train --limit 6 --bootstrap 200 --shown 1 -o saliency
analyze worst butterflies --model MODEL --split train --limit 6 -k 2 -o worst
analyze features butterflies --model MODEL --split train --limit 12 -k 4 -o features
analyze spuriosity butterflies --model MODEL --split train --limit 12 --top-n 3 -k 4 --shown 2 -o spuriosity
analyze probe butterflies --model MODEL --epochs 4 -o head.safetensors

human make in9 -o people --config original --config mixed_rand --images 9 --repeats 0.2 --foils-by MODEL
human make in9 -o choices --design choice --arm full --images 9
ANSWER people
human score people -o people-scores --model MODEL --bootstrap 500 --allow-missing
"""
"""A line each, run in one folder. MODEL is the classifier; ANSWER stands for people; ``!`` is a command that fails."""
_ON_PHOTOS: Final = """
name: on_photos
version: "1"
seed: 3
class_map: butterfly_classes.json
attributes: butterfly.yaml
textures: textures
balance: {per_class: all}
rules: {exact: {views: {imagenet: {resize: short_side, size: 256, crop: 224}}, filters: {strip: true}}}
variants:
  original: {ground: source}
  on_photo: {ground: {texture: photos}, matte: mask, figure: source}
  on_bricks: {ground: {texture: bricks}, matte: mask_box, figure: source}
"""
_XML: Final = (
    "<annotation><size><width>{0}</width><height>{1}</height></size><object><name>{2}</name><bndbox><xmin>{3}</xmin>"
    "<ymin>{4}</ymin><xmax>{5}</xmax><ymax>{6}</ymax></bndbox></object></annotation>"
)


def make_inputs(work: Path) -> None:
    """Write all that the commands read."""
    wnids = json.loads((SHARED / "class_maps" / "imagenet_a.json").read_text(encoding="utf-8"))["wnids"]
    masks, taken = SHARED / "photos_in9_masks", Counter[str]()
    for row in _rows(masks / "labels.csv"):
        wnid, group, stem = row["wnid"], row["in9"], Path(row["file"]).stem
        if row["eye_check"] != "ok" or (taken[group] >= 5 and wnid not in wnids):
            continue
        taken[group] += 1
        _copy(SHARED / "photos_in9" / wnid / row["file"], work / "photos" / wnid / row["file"])
        _copy(masks / f"{wnid}.png", work / "masks" / f"{stem}.png")
        with Image.open(masks / f"{wnid}.png") as mask:
            left, top, right, bottom = mask.getbbox() or (0, 0, 1, 1)
            corners = max(left - 4, 1), max(top - 2, 1), min(right + 6, mask.width), bottom
            _write(work / "boxes" / wnid / f"{stem}.xml", _XML.format(*mask.size, wnid, *corners))
            if taken[group] == 2:  # one photo of each class has a mask that somebody mends
                mended = _parents(work / "mended" / f"{stem}.png")
                mask.convert("L").filter(ImageFilter.MinFilter(9)).convert("1").save(mended)
    imagenet_a_tree.draw_tar(work / "imagenet-a.tar")
    imagenet_a_tree.write_masks(work / "natural-masks")
    rival10_tree.draw_tree(work)
    _make_butterflies(work)
    _write(work / "on_photos.yaml", _ON_PHOTOS)


def _make_butterflies(work: Path) -> None:
    """Twelve photos of each class, and the attributes that the example of docs/ finds on them."""
    shared, examples, taken = SHARED / "masked" / "leeds_butterfly", ROOT / "docs" / "examples", Counter[str]()
    for row in _rows(shared / "labels.csv"):
        taken[row["wnid"]] += 1
        if taken[row["wnid"]] <= 12:
            _copy(shared / "images" / f"{row['id']}.jpg", work / "leeds" / row["wnid"] / f"{row['id']}.jpg")
            _copy(shared / "masks" / f"{row['id']}.png", work / "leeds-objects" / f"{row['id']}.png")
    words = [shared / "images", work / "leeds-objects", "-o", work / "leeds-masks"]
    script = [sys.executable, examples / "butterfly_attributes.py", *words]
    subprocess.run(list(map(str, script)), check=True, capture_output=True)
    for name in ("butterfly.yaml", "butterfly_classes.json", "butterfly_recipe.yaml", "new_splits.yaml"):
        _copy(examples / name, work / name)


def answer(kit: Path) -> None:
    """Three raters answer a kit's questions of yes and no, by a hash of the question."""
    tasks = pq.read_table(kit / "tasks.parquet").column("task_id").to_pylist()
    rows = []
    for rater, task in ((rater, task) for rater in ("r1", "r2", "r3") for task in tasks):
        number = hashlib.sha256(f"{rater} {task}".encode()).digest()[0]
        word = ("yes", "no", "yes", "no", "absent")[number % 5]
        rows.append({"task_id": task, "rater": rater, "said": word, "chosen": None, "seconds": number / 20})
    texts = [(name, pa.string()) for name in ("task_id", "rater", "said")]
    schema = pa.schema([*texts, ("chosen", pa.int32()), ("seconds", pa.float64())])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), kit / "answers.parquet")


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _parents(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _copy(file: Path, path: Path) -> None:
    shutil.copyfile(file, _parents(path))


def _write(path: Path, text: str) -> None:
    _parents(path).write_text(text, encoding="utf-8")

"""The adversarial-background challenge: figures that some ground makes a model answer wrong."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.exports.evaluation.adapters import Adapter, adapter_option
from figureground.exports.evaluation.answers import Predictions, whole_canvas
from figureground.exports.evaluation.dataset import row_names
from figureground.exports.evaluation.intervals import Sampling
from figureground.exports.evaluation.jobs import Job
from figureground.exports.evaluation.label_spaces import ClassMap, find_label_space, map_predictions
from figureground.exports.evaluation.model_files.adapter_checks import checked_logits
from figureground.exports.evaluation.options import Option
from figureground.exports.evaluation.pictures import decode_mask, open_image, stored_bytes
from figureground.exports.evaluation.shares import RowAnswers, average_rows, measure_accuracy
from figureground.exports.evaluation.values import Answers, Bools, Floats, Images, Ints, Table, require, spell_size

CHALLENGE: Final = {  # rule: which grounds may fool, by whether they must be of another class and be the answer's
    "reference": (False, False),  # challenge_eval.py of MadryLab/backgrounds_challenge: any ground, any wrong answer
    "exact": (True, False),
    "targeted": (True, True),  # what Xiao et al. (arXiv 2006.09994) count
}
CHALLENGE_OPTION: Final = Option(
    name="challenge",
    help="Figures that some ground makes the model answer wrong, by rules with commas: reference, exact, targeted.",
    default=(),
    choices=tuple(CHALLENGE),
    several=True,
)
CHALLENGE_CONFIGS: Final = ("original", "only_bg_t")  # where figures and grounds are from
CHALLENGE_PART: Final = 128  # figures that are stored together


def run_challenge(job: Job, rules: Sequence[str], alone: Predictions) -> Challenged:
    """Search grounds for all figures, in parts that are stored; ``alone`` are the answers on the grounds themselves."""
    figures, grounds = job.rows("original", ["object_mask"]), job.rows("only_bg_t", [])
    names, under = row_names(figures), row_names(grounds)
    tells = dict(zip(alone.image_id, np.where(alone.mapped == alone.label, alone.probability, 0), strict=True))
    search = GroundSearch(under["label"], np.array([tells[name] for name in under["image_id"]]), rules)
    answer = answer_pasted(job.adapter, figures, grounds, job.repository.classes)
    order = np.lexsort((names["image_id"], names["label"]))
    job, parts = _keyed(job, rules), list[dict[str, Any]]()

    def run(part: str) -> Answers:
        start = int(part.partition("-")[2])
        rows = order[start : start + CHALLENGE_PART]

        def show(done: int) -> None:
            if job.progress is not None:
                job.progress("challenge", start + done, len(order))

        def ask(own: Ints, ground: Ints) -> Ints:
            return answer(rows[own], ground)

        chosen, shown = search.run(names["label"][rows], ask, job.batch_size, show)
        ids = np.append(under["image_id"], "")[chosen]
        own_names = {name: values[rows] for name, values in names.items()}
        return {**own_names, "ground_id": ids, "shown": shown, "tries": search.tries, "hits": search.hits}

    for start in range(0, len(order), CHALLENGE_PART):
        part = f"challenge-{start}"
        parts.append(dict(job.remembered([part], run)[part]))
        search.tries, search.hits = parts[-1].pop("tries"), parts[-1].pop("hits")
    return Challenged(**{name: np.concatenate([part[name] for part in parts]) for name in Challenged.__slots__})


def stored_parts(job: Job, rules: Sequence[str]) -> str | None:
    """Pattern of the files of the search, below the results' folder; None where no folder was given."""
    path = _keyed(job, rules).predictions_path("challenge-*")
    return path.relative_to(job.out).as_posix() if path and job.out else None


def _keyed(job: Job, rules: Sequence[str]) -> Job:
    return job.keyed(challenge=list(rules))


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenged:
    """What the search for grounds found of F figures under S rules."""

    image_id: NDArray[np.str_]  # (F,)
    label: Ints  # (F,)
    ground_id: NDArray[np.str_]  # (F, S) of a ground that fools; empty where none does
    shown: Ints  # (F,) grounds that the figure was shown on


class GroundSearch:
    """Finds for every figure a ground that fools a model, if there is one; remembers which grounds fooled before.

    A figure is done when each rule has its ground, or no ground is left that could be one. So the order decides how
    many pictures are shown, and never which figures are fooled.
    """

    def __init__(self, ground_labels: Ints, likely: Floats, rules: Sequence[str]) -> None:
        """Of G grounds the class and how likely each is to fool, ``(G,)``, in [0, 1], while it has not been tried."""
        self._labels, self._likely = ground_labels, likely
        self._apart, self._aimed = np.array([CHALLENGE[rule] for rule in rules]).T
        classes = int(ground_labels.max()) + 1  # those of the figures: both are the same images
        self.tries, self.hits = np.zeros((2, classes, len(likely)), np.int64)  # of each ground, by class of the figure

    def run(
        self, labels: Ints, answer: Callable[[Ints, Ints], Ints], size: int, show: Callable[[int], None]
    ) -> tuple[Ints, Ints]:
        """Grounds that fool F figures of ``labels`` ``(F,)``: ``(F, S)``, -1 for none; and grounds shown, ``(F,)``.

        ``answer`` takes rows of figures and of grounds, up to ``size`` each, and gives class indices. Every round
        shows ``size`` figures on the best ground that each has left; fewer figures get several.
        """
        fooling, shown = np.full((len(labels), len(self._apart)), -1), np.zeros(len(labels), np.int64)
        waiting, active = deque(range(len(labels))), dict[int, Bools]()
        while True:
            while waiting and len(active) < size:
                active[waiting.popleft()] = np.ones(len(self._labels), np.bool_)
            for figure, left in list(active.items()):
                left &= (self._labels != labels[figure]) | ((fooling[figure] < 0) & ~self._apart).any()
                if (fooling[figure] >= 0).all() or not left.any():
                    del active[figure]
            show(len(labels) - len(waiting) - len(active))
            if not active and not waiting:
                return fooling, shown
            share, extra = divmod(size, max(1, len(active)))
            chosen = [
                self._choose(left, labels[figure], share + (rank < extra))
                for rank, (figure, left) in enumerate(active.items())
            ]
            figures = np.repeat(np.array(list(active), np.int64), list(map(len, chosen)))
            grounds = np.concatenate([*chosen, np.zeros(0, np.int64)])
            fools = self._judge(labels[figures], grounds, answer(figures, grounds)) if len(figures) else ()
            for figure, ground, now in zip(figures, grounds, fools, strict=True):
                new = now & (fooling[figure] < 0)
                fooling[figure, new] = ground
                shown[figure] += 1
                active[figure][ground] = False
                self.tries[labels[figure], ground] += 1
                self.hits[labels[figure], ground] += new.any()

    def _choose(self, left: Bools, label: int, count: int) -> Ints:
        """The best of the grounds that are left: by the share of figures fooled, those of the same class first."""
        pooled = (self.hits.sum(axis=0) + self._likely) / (self.tries.sum(axis=0) + 1)
        score = (self.hits[label] + pooled) / (self.tries[label] + 1)
        score[self._labels == label] -= 1  # these fool least
        grounds = np.flatnonzero(left)
        return grounds[np.argsort(-score[grounds], kind="stable")[:count]]

    def _judge(self, labels: Ints, grounds: Ints, answers: Ints) -> Bools:
        """Whether N pictures fool, ``(N, S)``."""
        under = self._labels[grounds]
        wrong, other, aimed = (row[:, None] for row in (answers != labels, under != labels, answers == under))
        return np.asarray(wrong & (other | ~self._apart) & (aimed | ~self._aimed))


def answer_pasted(adapter: Adapter, figures: Table, grounds: Table, classes: ClassMap) -> Callable[[Ints, Ints], Ints]:
    """What a model answers, class indices ``(N,)``, for rows ``(N,)`` of figures pasted by their masks on grounds.

    They are pasted on the stored canvas, which is then shown like any other.
    """
    whole = whole_canvas(adapter)
    ids = figures["image_id"][:], grounds["image_id"][:]

    @functools.lru_cache(1024)
    def figure(row: int) -> tuple[Images, Bools]:
        stored, name = figures[row], f"original/{ids[0][row]}"
        mask = decode_mask(stored_bytes(stored["object_mask"]), name)
        return np.asarray(open_image(stored_bytes(stored["image"]), name)), mask

    @functools.lru_cache(1024)
    def ground(row: int) -> Images:
        return np.asarray(open_image(stored_bytes(grounds[row]["image"]), f"only_bg_t/{ids[1][row]}"))

    def paste(name: str, first: int, second: int) -> Images:
        (image, mask), under = figure(first), ground(second)
        fits = image.shape == under.shape and image.shape[:2] == mask.shape
        sizes = [spell_size(part.shape) for part in (image, mask, under)]
        require(fits, f"{name}: expected one size, got an image of {sizes[0]}, a mask {sizes[1]}, a ground {sizes[2]}")
        return np.asarray(whole.crop(Image.fromarray(np.where(mask[..., None], image, under)), name)[0])

    def answer(first: Ints, second: Ints) -> Ints:
        pairs = list(zip(first.tolist(), second.tolist(), strict=True))
        names = [f"challenge/{ids[0][own]} on {ids[1][other]}" for own, other in pairs]
        shown = np.stack([paste(name, *pair) for name, pair in zip(names, pairs, strict=True)])
        logits = checked_logits(adapter, shown, names)
        space = find_label_space(logits.shape[1], classes, adapter_option(adapter, "label_space"))
        return map_predictions(logits, classes, space)[1]

    return answer


def summarise_challenge(
    challenged: Challenged, original: Predictions, rules: Sequence[str], classes: ClassMap, sampling: Sampling
) -> dict[str, Any]:
    """How many figures some ground fools, by rule, JSON-ready; ``value`` is their share of all figures."""
    right = np.isin(challenged.image_id, original.image_id[original.mapped == original.label])
    by_rule: dict[str, Any] = {}
    for rule, grounds in zip(rules, challenged.ground_id.T, strict=True):
        fooled = grounds != ""
        rows = RowAnswers(image_id=challenged.image_id, label=challenged.label, right=fooled)
        shares = measure_accuracy(average_rows(rule, rows, fooled), sampling)
        by_rule[rule] = {
            **_vulnerable(fooled, np.ones_like(fooled)),
            "value": shares["accuracy_micro"],
            "ci95": shares["ci95_micro"],
            "value_macro": shares["accuracy_macro"],
            "ci95_macro": shares["ci95"],
            "right_on_original": _vulnerable(fooled, right),
            "per_class": {
                owner: _vulnerable(fooled, challenged.label == index) for index, owner in enumerate(classes.names)
            },
        }
    return {"rules": by_rule, "pictures_shown": int(challenged.shown.sum())}


def _vulnerable(fooled: Bools, own: Bools) -> dict[str, int]:
    """How many of a group of figures ``(F,)`` are vulnerable."""
    return {"n": int(own.sum()), "vulnerable": int((fooled & own).sum())}

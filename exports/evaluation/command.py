"""Score image classifiers on this dataset: how much do they look at the object, how much at the background?

    python evaluate.py --model onnx:my.onnx                                         (in the dataset's folder)
    uv run --with timm --with torch evaluate.py --repo ORG/NAME --revision v1.0 --model timm:resnet50.a1_in1k

Models, each from the library of its name (uv run --with timm --with torch …):
    timm:NAME                      its weights, at its test size; timm:NAME=CHECKPOINT: yours
    torchvision:NAME[/WEIGHTS]     such as torchvision:resnet50/IMAGENET1K_V2; torchvision:NAME=CHECKPOINT: yours
    hf:NAME[@REVISION]             of transformers, by id on the Hub or folder: a classifier, or CLIP and SigLIP, asked
                                   with the classes' names; hf:NAME=FILE.json: with your words and templates
    open_clip:NAME/TAG             a CLIP of open_clip, or open_clip:FOLDER; as above
    chat:NAME                      a chat model of transformers that sees: which of up to 26 classes fits?
    onnx:FILE                      ONNX Runtime
    MODULE:CALLABLE[=ARGUMENT]     yours, installed or in the working directory; it returns an ``Adapter`` (below)
The file stands alone: it needs the packages named above, and those libraries only for their models.
Exit codes: 0 done, 1 a fault in the data or the model, 2 wrong usage, 3 a download failed (run again).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from figureground.exports.evaluation.options import OUT
from figureground.exports.evaluation.protocols.registry import PROTOCOLS, option_owners
from figureground.exports.evaluation.results import format_table
from figureground.exports.evaluation.scoring import check_models, evaluate
from figureground.exports.evaluation.values import EvaluationError, json_text, plain_line, require

_STOPPED: Final = 130


def make_parser() -> argparse.ArgumentParser:
    """The command line of the published file, from the table of options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, metavar="SPEC", help="see above; may be repeated")
    parser.add_argument("--repo", help="folder or OWNER/NAME on the Hub; default: the folder of this file")
    for name, (option, owners) in option_owners().items():
        about = f"{', '.join(owners)}: {option.help}" if owners else option.help
        choices = sorted(protocol.name for protocol in PROTOCOLS) if name == "protocol" else option.choices
        parser.add_argument(
            *option.flags,
            type=option.parse,
            default=option.default,
            choices=None if option.several else choices or None,
            help=about,
        )
    parser.add_argument("--eval-results-yaml", metavar="FILE", help="write the Hub's eval results of the one model")
    parser.add_argument(*OUT.flags, help=OUT.help)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    given = vars(make_parser().parse_args(arguments))
    specs, as_json = list(dict.fromkeys(given.pop("model"))), given.pop("json")

    def show(config: str, done: int, total: int) -> None:
        print(f"\r{config} {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    results: list[dict[str, Any]] = []
    try:
        single = len(specs) == 1 or given["eval_results_yaml"] is None
        require(single, "eval results are of one model: give one --model", 2)
        here = Path(__file__).resolve().parent
        inside = (here / "README.md").is_file() and (here / "data").is_dir()
        repo = given.pop("repo") or (str(here) if inside else "")
        require(repo, "this file does not lie in a dataset: give --repo (and on the Hub --revision)", 2)
        files = {name: given.pop(name) for name in ("out", "eval_results_yaml")}
        check_models(repo, specs, **given)
        shown = show if sys.stderr.isatty() else None
        for spec in specs:
            results.append(evaluate(repo, spec, progress=shown, **files, **given))
    except KeyboardInterrupt:
        print("stopped; what --out keeps is kept, run again to go on", file=sys.stderr)
        return _STOPPED
    except Exception as error:  # an adapter's own errors, figureground's for one, may carry an exit code too
        if results:
            print_results(results, as_json=as_json)
        if not isinstance(getattr(error, "exit_code", None), int):
            return show_unforeseen(error)
        EvaluationError.show(error)  # type: ignore[arg-type]
        return int(error.exit_code)  # type: ignore[attr-defined]
    print_results(results, as_json=as_json)
    return 0


def print_results(results: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print results as JSON or as tables."""
    print(json_text({"results": results}) if as_json else format_table(results))


def show_unforeseen(error: Exception) -> int:
    """Print an error that nothing here foresaw as one line, and write where it arose to a file; returns 1."""
    file, path = tempfile.mkstemp(prefix="evaluate-", suffix=".traceback.txt")
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write("".join(traceback.format_exception(error)))
    words = f"{type(error).__name__}: {plain_line(error)}"
    print(f"error: {words} (unforeseen; where it arose stands in {path})", file=sys.stderr)
    return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run as Ctrl-C does: nothing is half-written
    sys.exit(main())

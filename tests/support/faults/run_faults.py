"""The long run of ``make faults``: verbs are killed, starved and run side by side for as long as is asked.

    python tests/support/faults/run_faults.py KILLS SEED [PART] [KIND ...]

PART is ``kills`` or ``conditions`` (full disks, few handles, no home, two at once) for that alone, or ``all``. KINDS of
verbs are plain, networks, studio (those that need Label Studio) and hub; without any, all are tried that the machine
has what they need for. Differences and leftovers are printed as they are found, then a line a verb and the sums; exit
code 1 where there is a difference.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests" / "support" / name) for name in ("", "faults", "samples", "servers")]

from fault_inputs import Inputs  # noqa: E402
from fault_runner import Zygotes  # noqa: E402
from fault_trials import Trials  # noqa: E402
from fault_verbs import VERBS, Verb  # noqa: E402

CONDITIONS = ("few files", "no HOME", "HOME that is none")
STARVED = 3


def main(kills: int, seed: str, part: str = "all", *kinds: str) -> int:
    """Run all trials; returns the exit code."""
    began = time.monotonic()
    counts: Counter[str] = Counter()
    wrong = 0
    with ExitStack() as stack:
        trials = _begin(stack, kinds)
        for name, what, lines in _trials(trials, kills if part != "conditions" else 0, seed, counts):
            for line in lines:
                print(f"{name}, seed {seed!r}, {what}: {line}", flush=True)
            wrong += len(lines)
            if time.monotonic() - began > 60 * (counts["minutes"] + 1):
                counts["minutes"] = int((time.monotonic() - began) / 60)
                print(f"  {counts['kills']} kills in {counts['minutes']} min", flush=True)
        for name in trials.verbs if part != "kills" else ():
            for what, lines in _conditions(trials, name, seed):
                for line in lines:
                    print(f"{name}, {what}: {line}", flush=True)
                wrong += len(lines)
                counts["conditions"] += 1
    for name in trials.verbs:
        alone = trials.known[name].seconds if name in trials.known else 0
        print(f"{name:26} {counts[name]:4} kills, {alone:.2f} s alone")
    in_time = f"{counts['in time']} of them before the end"
    print(
        f"{counts['kills']} kills of {len(trials.verbs)} verbs, {in_time}, seed {seed!r}; "
        f"{counts['conditions']} other trials"
    )
    print(f"{time.monotonic() - began:.0f} s; {wrong} differences and leftovers")
    return int(bool(wrong))


def _begin(stack: ExitStack, kinds: tuple[str, ...]) -> Trials:
    """What all trials share: inputs, servers, and the verbs that can be tried here."""
    folder = tempfile.TemporaryDirectory(prefix="figureground-faults-", ignore_cleanup_errors=True)
    root = Path(stack.enter_context(folder))
    inputs, environments = Inputs(root / "inputs"), dict[str, Mapping[str, str]]()
    verbs: dict[str, Verb] = {name: verb for name, verb in VERBS.items() if not kinds or verb.kind in kinds}
    place = root / "trials"
    if not kinds or "hub" in kinds:
        from fault_hub import HUB_VERBS, hub_environment
        from hub_double import HubDouble

        inputs.hub = stack.enter_context(HubDouble())
        environments["hub"] = hub_environment(inputs, root / "hub home")
        verbs |= HUB_VERBS
    if not kinds or "studio" in kinds:
        from fault_studio import STUDIO_VERBS, Studio
        from studio_server import server_is_installed, stop_shared_server

        if server_is_installed():
            studio = root / "studio"
            studio.mkdir()
            os.environ["FIGUREGROUND_TEST_STUDIO"] = str(studio)
            stack.callback(stop_shared_server, studio)
            inputs.studio = Studio.shared()
            verbs |= STUDIO_VERBS
            place = inputs.studio.trials
        else:
            print("Label Studio is not installed; its verbs are left out (figureground studio up installs it)")
    return Trials(verbs, inputs, stack.enter_context(Zygotes(environments)), place)


def _trials(trials: Trials, kills: int, seed: str, counts: Counter[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Name of the verb, which kill, and what was wrong after it."""
    for name, number in _turns(trials.verbs, kills):
        in_time, lines = trials.kill(name, f"{seed} {name} {number}")
        counts.update([name, "kills", *(["in time"] if in_time else [])])
        yield name, f"kill {number}", lines


def _turns(verbs: Mapping[str, Verb], kills: int) -> Iterator[tuple[str, int]]:
    """Verbs in turns, as many as there are kills; those that take long in some of the rounds."""
    number = 0
    for turn in count():
        for name, verb in verbs.items():
            if turn % verb.every == 0:
                if number == kills:
                    return
                yield name, number
                number += 1


def _conditions(trials: Trials, name: str, seed: str) -> Iterator[tuple[str, list[str]]]:
    """What was tried with a verb, and what was wrong."""
    for number in range(STARVED if trials.verbs[name].starved else 0):
        yield "full disk", trials.starve(name, f"{seed} {name} disk {number}")
    for condition in CONDITIONS if trials.verbs[name].starved else ():
        yield condition, trials.confine(name, condition)
    yield "twice", trials.twice(name, f"{seed} {name} twice")


def clock_library(folder: Path) -> Path:
    """The clock of ``fault_clock.c`` as a library."""
    library = folder / "fault_clock.so"
    source = Path(__file__).with_name("fault_clock.c")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))

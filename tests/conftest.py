"""What every test run shares: no traffic to the Hub, folders of its own, the same examples each time."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import settings

# huggingface_hub, datasets and Ray read their folders when first imported or started, so these are set before any test
# module is. The workers of xdist inherit them. Checkpoints stay in the user's cache: checked by sha256, and large.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["FIGUREGROUND_TEST_RUN"] = tempfile.mkdtemp(prefix="fg")  # short: Ray's sockets may have 107 bytes
RUN = Path(os.environ["FIGUREGROUND_TEST_RUN"])
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ["FIGUREGROUND_TEST_STUDIO"] = str(RUN / "studio")
os.environ["HF_HOME"] = str(RUN / "hf")
os.environ["HF_DATASETS_CACHE"] = str(RUN / "hf" / "datasets")
os.environ["HF_HUB_CACHE"] = str(RUN / "hf" / "hub")
os.environ["RAY_TMPDIR"] = str(RUN / WORKER)  # each worker starts Rays of its own, and leaves a developer's alone
for folder in ("studio", WORKER):
    (RUN / folder).mkdir(exist_ok=True)
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
# Workers share the processors, and a thread that waits for another spins; so does each program that a test starts.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "RAY_ADDRESS", "FORCE_COLOR", "CLICOLOR_FORCE"):
    os.environ.pop(name, None)

# What a shell starts in the background, as .ci/alone does, is deaf to Ctrl-C, and so would be all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# huggingface_hub parses a dataset's card anew for each config that is loaded, a third of what loading costs. PyYAML's
# parser in C, where there is one, gives the same in a tenth of the time. Programs that tests start have that in Python.
yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]

# No test may fail or pass by luck; `make fuzz` looks for new examples.
settings.register_profile("same", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("fuzz", deadline=None, max_examples=500, database=None, print_blob=True)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quick`, for the loop between two edits."""
    parser.addoption("--quick", action="store_true", help="leave out tests that cost much (tests/support/costs.py)")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    from costs import MARKERS

    own = {"same_on_file": "what it runs of the evaluation is the published file, or no part of it, in either run"}
    for name, meaning in {**MARKERS, **own}.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """In the quick loop, do not even import modules that cost much."""
    from costs import is_costly

    return True if config.getoption("quick") and is_costly(collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test with what its module costs; in the quick loop, leave out those that are slow by themselves.

    Tests that start a Ray come first, one after the other, so that they can share it.
    """
    from costs import mark_module

    for item in items:
        mark_module(item)
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)
    if config.getoption("quick"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in set(slow)]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say which markers the next test has; end the run before it if `make fuzz` says that the time is up."""
    from costs import note_markers

    note_markers(item)
    if time.time() > float(os.environ.get("FIGUREGROUND_TESTS_END", "inf")):
        item.session.shouldstop = "the time is up"


@pytest.fixture(autouse=True)
def _secrets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test keeps secret, a token of forty noughts say, is not masked in what the next one reads."""
    from figureground import errors

    monkeypatch.setattr(errors, "_secrets", set(errors._secrets))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the Ray that tests share after the last that needs it: idle, it costs a share of a processor."""
    if "ray_cluster" in sys.modules and (nextitem is None or nextitem.get_closest_marker("ray") is None):
        sys.modules["ray_cluster"].end_shared_ray()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the run's Label Studio and delete the run's folders, from the process that made them."""
    if hasattr(config, "workerinput"):
        return
    studio = RUN / "studio"
    if any(studio.iterdir()):
        from studio_server import stop_shared_server

        stop_shared_server(studio)
    shutil.rmtree(RUN, ignore_errors=True)

"""What every test run shares: no traffic to the Hub, no caches but its own, the same examples in CI."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# huggingface_hub and datasets read their folders once, when first imported, so these are set before any test module is.
# The workers of xdist inherit them. Checkpoints stay in the user's cache: they are checked by sha256 and large.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="figureground-tests-")
    os.environ["FIGUREGROUND_TEST_STUDIO"] = tempfile.mkdtemp(prefix="figureground-studio-")
    os.environ["HF_DATASETS_CACHE"] = str(Path(os.environ["HF_HOME"], "datasets"))
    os.environ["HF_HUB_CACHE"] = str(Path(os.environ["HF_HOME"], "hub"))
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "FORCE_COLOR", "CLICOLOR_FORCE"):
    os.environ.pop(name, None)

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the run's Label Studio and delete the run's folders, from the process that made them."""
    if hasattr(config, "workerinput"):
        return
    shared = Path(os.environ["FIGUREGROUND_TEST_STUDIO"])
    if any(shared.iterdir()):
        from studio_server import stop_shared_server

        stop_shared_server(shared)
    shutil.rmtree(shared, ignore_errors=True)
    shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)

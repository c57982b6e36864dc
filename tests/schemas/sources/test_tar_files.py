"""Files in a tar archive: found in one pass, read where they lie; what is no plain file is a fault by name."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.errors import DataError
from figureground.schemas.sources import tar_files
from figureground.schemas.sources.tar_files import open_tar

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def pack(path: Path, *members: tuple[str, bytes], format_name: str = "pax") -> Path:
    """An archive of files, in the order given."""
    with tarfile.open(path, "w", format=FORMATS[format_name]) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def pack_odd(path: Path, kind: bytes, **fields: object) -> Path:
    """An archive of one photo and one member of another kind."""
    with tarfile.open(path, "w") as archive:
        good, odd = tarfile.TarInfo("a/good.jpg"), tarfile.TarInfo("a/odd.jpg")
        good.size, odd.type = 4, kind
        for name, value in fields.items():
            setattr(odd, name, value)
        archive.addfile(good, io.BytesIO(b"good"))
        archive.addfile(odd)
    return path


@pytest.mark.parametrize("format_name", FORMATS)
def test_files_are_read_where_they_lie(tmp_path: Path, format_name: str) -> None:
    name = "imagenet-a/n12057211/0.031873_yellow lady's slipper _ yellow lady's slipper_0.60760463.jpg"
    path = pack(tmp_path / "a.tar", ("./b/x.jpg", b"x" * 513), (name, b"yz"), ("b/e", b""), format_name=format_name)
    files = open_tar(path)
    assert list(files.members) == ["b/e", "b/x.jpg", name]
    assert [files.read(name) for name in files.members] == [b"", b"x" * 513, b"yz"]
    assert not files.faults
    assert os.listdir(tmp_path) == ["a.tar"]  # noqa: PTH208  nothing was unpacked


@pytest.mark.parametrize("format_name", ["gnu", "pax"])
def test_long_and_foreign_names(tmp_path: Path, format_name: str) -> None:
    name = "a/" + "é" * 150 + ".jpg"
    assert open_tar(pack(tmp_path / "a.tar", (name, b"x"), format_name=format_name)).read(name) == b"x"


def test_folders_are_no_files(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    files = open_tar(tmp_path / "a.tar")
    assert (dict(files.members), dict(files.faults)) == ({}, {})


@pytest.mark.parametrize(
    ("kind", "fields", "fault"),
    [
        (tarfile.SYMTYPE, {"linkname": "/etc/passwd"}, "expected a file, got a symbolic link"),
        (tarfile.LNKTYPE, {"linkname": "a/good.jpg"}, "expected a file, got a hard link"),
        (tarfile.CHRTYPE, {}, "expected a file, got a device"),
        (tarfile.BLKTYPE, {}, "expected a file, got a device"),
        (tarfile.FIFOTYPE, {}, "expected a file, got a pipe"),
        (tarfile.REGTYPE, {"name": "/etc/odd.jpg"}, "expected a path inside the archive, got one that leaves it"),
        (tarfile.REGTYPE, {"name": "a/../../odd.jpg"}, "expected a path inside the archive, got one that leaves it"),
        (tarfile.REGTYPE, {"name": "a//odd.jpg"}, "expected a path inside the archive, got one that leaves it"),
        (tarfile.REGTYPE, {"name": "a/odd\udce9.jpg"}, "expected a path in UTF-8, got other bytes"),
        (tarfile.REGTYPE, {"pax_headers": {"path": "a/odd\0.jpg"}}, "expected a path inside the archive"),
        (tarfile.REGTYPE, {"pax_headers": {"GNU.sparse.size": "9"}}, "expected a file, got a sparse file"),
        (tarfile.REGTYPE, {"name": "a/good.jpg"}, "expected one file of this name, got 2"),
        (tarfile.REGTYPE, {"name": "./a/good.jpg"}, "expected one file of this name, got 2"),
    ],
)
def test_what_is_no_plain_file_is_a_fault_by_name(
    tmp_path: Path, kind: bytes, fields: dict[str, Any], fault: str
) -> None:
    files = open_tar(pack_odd(tmp_path / "a.tar", kind, **fields))
    ((name, got),) = files.faults.items()
    assert got.startswith(fault)
    name.encode()
    twice = "2" in fault
    assert list(files.members) == ([] if twice else ["a/good.jpg"])
    with pytest.raises(DataError, match="none of this name"):
        files.read(name)


def test_a_member_too_large_to_be_a_photo_is_a_fault(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", ("a/small.jpg", b"x"))
    header = tarfile.TarInfo("a/big.jpg")
    header.size = (1 << 30) + 1
    with path.open("r+b") as file:  # as a hole, so that the disk does not fill
        file.seek(1024)
        file.write(header.tobuf())
        file.truncate(1024 + 512 + (1 << 30) + 512 + 1024)
    files = open_tar(path)
    assert (list(files.members), list(files.faults)) == (["a/small.jpg"], ["a/big.jpg"])
    assert "at most 1073741824 bytes" in files.faults["a/big.jpg"]


@pytest.mark.parametrize("end", [0, 1, 511, 512, 513, 1024, 1500, 2048, 2049, 2560, 3072, 3073, 3500])
def test_a_cut_archive_is_an_error_wherever_it_was_cut(tmp_path: Path, end: int) -> None:
    path = pack(tmp_path / "a.tar", ("a/x.jpg", b"x" * 700), ("a/y.jpg", b"y" * 700))  # the mark begins at 3072
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(DataError, match=r"expected a whole, uncompressed tar archive, got .*; download or pack it"):
        open_tar(path)


def test_damage_in_the_middle_is_no_early_end(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", ("a/x.jpg", b"x"), ("a/y.jpg", b"y"))
    data = bytearray(path.read_bytes())
    data[1024 + 5] ^= 1  # in the second header: its checksum fails
    path.write_bytes(data)
    with pytest.raises(DataError, match="where the next member or the end should be"):
        open_tar(path)


def test_a_packed_archive_names_the_remedy(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", ("a/x.jpg", b"x"))
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"got a gzip file; decompress it with gunzip"):
        open_tar(path)


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b""), "expected a whole"),
        (lambda path: path.write_bytes(b"text" * 1000), "expected a whole"),
    ],
)
def test_no_archive_at_all(tmp_path: Path, make: Callable[[Path], object], got: str) -> None:
    make(tmp_path / "a.tar")
    with pytest.raises(DataError, match=got):
        open_tar(tmp_path / "a.tar")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("size", [-512, -1024, -1536])  # back to itself, into the photo before it, to that one's header
def test_a_negative_size_does_not_lead_back_for_ever(tmp_path: Path, size: int) -> None:
    path = pack(tmp_path / "a.tar", ("a/x.jpg", b"x"), ("a/y.jpg", b"y"))
    info = tarfile.TarInfo("a/y.jpg")
    info.size = size
    header = bytearray(info.tobuf(format=tarfile.GNU_FORMAT))
    data = bytearray(path.read_bytes())
    data[1024:1536] = header
    path.write_bytes(data)
    with pytest.raises(DataError, match="a whole, uncompressed tar archive"):
        open_tar(path)


def test_headers_nested_without_end_are_an_error(tmp_path: Path) -> None:
    link = tarfile.TarInfo("././@LongLink")
    link.type, link.size = tarfile.GNUTYPE_LONGNAME, 1
    block = link.tobuf(format=tarfile.GNU_FORMAT) + b"x".ljust(512, b"\0")
    (tmp_path / "a.tar").write_bytes(block * 5000 + bytes(1024))
    with pytest.raises(DataError, match="a whole, uncompressed tar archive"):
        open_tar(tmp_path / "a.tar")


def test_an_archive_that_changed_is_read_anew(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", ("a/x.jpg", b"x"))
    assert open_tar(path) is open_tar(path)
    first = open_tar(path)
    pack(path, ("a/x.jpg", b"x"), ("a/long.jpg", b"y" * 20_000))
    assert open_tar(path).read("a/long.jpg") == b"y" * 20_000
    path.write_bytes(path.read_bytes()[:512])
    with pytest.raises(DataError, match="expected 1 bytes, got 0"):
        first.read("a/x.jpg")


@given(where=st.integers(0, 3 * 1024 - 1), value=st.integers(0, 255), fix=st.booleans())
def test_no_damaged_byte_brings_anything_but_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, where: int, value: int, fix: bool
) -> None:
    path = pack(tmp_path_factory.mktemp("t") / "a.tar", ("a/x.jpg", b"x"), ("é/y.jpg", b"y"))
    data = bytearray(path.read_bytes())
    data[where] = value
    if fix:  # with a checksum that fits, so that the reader gets past it
        start = where // 512 * 512
        total = tarfile.calc_chksums(bytes(data[start : start + 512]))[0]  # type: ignore[attr-defined]
        data[start + 148 : start + 156] = b"%06o\0 " % total
    path.write_bytes(data)
    try:
        files = open_tar(path)
    except DataError:
        return
    for name, member in files.members.items():
        assert len(files.read(name)) == member.size <= tar_files.MOST_BYTES

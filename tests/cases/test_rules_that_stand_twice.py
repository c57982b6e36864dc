"""Rules that stand twice, because the published evaluation imports nothing of the house: both say the same."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import httpx2
import numpy as np
import pytest
from huggingface_hub import errors as hub
from photo_samples import draw_pixels, encode
from PIL import Image

from figureground.errors import masked, printable, spellings
from figureground.exports.evaluation.pictures import MAX_PIXELS, open_image
from figureground.exports.evaluation.repository.hub import hub_fault
from figureground.exports.evaluation.values import EvaluationError, spell_size
from figureground.exports.evaluation.values import masked as masked_there
from figureground.exports.evaluation.values import printable as printable_there
from figureground.exports.evaluation.values import spellings as spellings_there
from figureground.runtime.hub import hub_error
from figureground.schemas.rasters import sizes
from figureground.schemas.rasters.photos import PhotoRejected, decode_photo

# Errors of the Hub's client: one exit code in both, and nothing secret in either


def answered(status: int) -> httpx2.Response:
    return httpx2.Response(status, request=httpx2.Request("GET", "https://hub/x?token=hf_secret"))


HUB_ERRORS: dict[str, Callable[[], BaseException]] = {
    "absent": lambda: hub.RepositoryNotFoundError("hf_secret", response=answered(404)),
    "private": lambda: hub.RepositoryNotFoundError("hf_secret", response=answered(401)),
    "gated": lambda: hub.GatedRepoError("hf_secret", response=answered(403)),
    "no such revision": lambda: hub.RevisionNotFoundError("hf_secret", response=answered(404)),
    "no such file": lambda: hub.RemoteEntryNotFoundError("hf_secret", response=answered(404)),
    "no rights": lambda: hub.HfHubHTTPError("hf_secret", response=answered(403)),
    "no login": lambda: hub.HfHubHTTPError("hf_secret", response=answered(401)),
    "too many": lambda: hub.HfHubHTTPError("hf_secret", response=answered(429)),
    "broken": lambda: hub.HfHubHTTPError("hf_secret", response=answered(500)),
    "away": lambda: hub.HfHubHTTPError("hf_secret", response=answered(503)),
    "no way": lambda: httpx2.ConnectError("hf_secret"),
    "late": lambda: httpx2.ReadTimeout("hf_secret"),
    "refused": lambda: ConnectionResetError("hf_secret"),
    "not in the cache": lambda: hub.LocalEntryNotFoundError("hf_secret"),
    "another error": lambda: KeyError("x"),
}


@pytest.mark.parametrize("name", HUB_ERRORS)
def test_errors_of_the_hub_are_judged_alike(name: str) -> None:
    ours, theirs = hub_error(HUB_ERRORS[name](), "me/x@v1"), hub_fault(HUB_ERRORS[name](), "me/x@v1")
    if name == "another error":
        assert (ours, theirs) == (None, None)
        return
    assert ours is not None
    assert theirs is not None
    if name == "not in the cache":  # told apart by what the cache holds, before this rule is asked
        assert {ours.exit_code, theirs.exit_code} <= {2, 3}
    else:
        assert ours.exit_code == theirs.exit_code
    for text in (str(ours), str(theirs)):
        assert "me/x@v1" in text
        assert "hf_secret" not in text


# Pictures: the same pixels, and the same refusals

PIXELS = draw_pixels(3, 40, 60)
PNG, JPEG = encode(PIXELS, "PNG"), encode(PIXELS, "JPEG")


def header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + PNG[33:]


PICTURES: dict[str, tuple[bytes, bool]] = {
    "png": (PNG, True),
    "jpeg": (JPEG, True),
    "webp": (encode(PIXELS, "WEBP"), True),
    "grey": (encode(Image.fromarray(PIXELS).convert("L"), "PNG"), True),
    "cmyk": (encode(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"), True),
    "palette": (encode(Image.fromarray(PIXELS).quantize(9), "PNG"), True),
    "alpha": (encode(Image.fromarray(PIXELS).convert("RGBA"), "PNG"), True),
    "empty": (b"", False),
    "text": (b"hello", False),
    "cut png": (PNG[: len(PNG) // 2], False),
    "cut jpeg": (JPEG[: len(JPEG) // 2], False),
    "more pixels than are read": (header(20_000, 20_000), False),
    "many more": (header(2**31 - 1, 2**31 - 1), False),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", False),
    "drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", False),
    "another program's": (b"8BPS" + bytes(99), False),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_read_and_refused_alike(name: str) -> None:
    data, readable = PICTURES[name]
    if not readable:
        with pytest.raises(PhotoRejected):
            decode_photo(data)
        with pytest.raises(EvaluationError):
            open_image(data, name)
        return
    np.testing.assert_array_equal(np.asarray(open_image(data, name)), decode_photo(data))


def test_as_many_pixels_are_read_and_sizes_are_spelled_alike() -> None:
    assert MAX_PIXELS == sizes.MOST_PIXELS
    assert spell_size((480, 640)) == f"{sizes.spell_size((480, 640))} {sizes.ORDER}"


@pytest.mark.parametrize("text", ["\x1b[2J", "a\x07", "\x9b31m", "\u202egpj", "\u2066x", "half \udcff", "\x7f"])
def test_what_commands_a_terminal_is_spelled_out_alike(text: str) -> None:
    assert printable(text) == printable_there(text)
    assert printable(text).isprintable()


# Secrets: the same spellings are masked, and the same parts of addresses

ADDRESSES = {
    "signed for S3": "https://host/a?X-Amz-Signature=s3cret&b=1",
    "signed for a CDN": "https://host/a?Policy=s3cret",
    "signed for Azure": "at https://host/a?se=1&sig=s3cret, and on",
    "a login": "s3://name:s3cret@host/bucket",
    "a login without a name": "https://:s3cret@host/",
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_addresses_lose_their_secrets_alike(name: str) -> None:
    assert masked(ADDRESSES[name]) == masked_there(ADDRESSES[name])
    assert "s3cret" not in masked(ADDRESSES[name])


@pytest.mark.parametrize("text", ["https://host/a?b=1", "mailto:a@b", "17:30 at a@b", "plain"])
def test_other_texts_stay_alike(text: str) -> None:
    assert masked(text) == masked_there(text) == text


@pytest.mark.parametrize("secret", ["hf_0123456789abcdef", 'of/the "store"+?é0123456789', "short"])
def test_secrets_are_spelled_alike(secret: str) -> None:
    assert set(spellings(secret)) == set(spellings_there(secret))


# Weights: the same tensors are the same model in proposals and in scores

TENSORS: dict[str, Callable[[Any], Any]] = {
    "floats": lambda torch: torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "half": lambda torch: torch.arange(6).to(torch.bfloat16),
    "turned": lambda torch: torch.arange(6.0).reshape(2, 3).T,
    "every other": lambda torch: torch.arange(12.0)[::2],
    "a number": lambda torch: torch.tensor(7, dtype=torch.int64),
    "none": lambda torch: torch.zeros(0, 3),
    "truth": lambda torch: torch.tensor([True, False, True]),
    "learnt": lambda torch: torch.nn.Parameter(torch.ones(2, 2)),
}


def test_tensors_are_known_by_the_same_sum() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from figureground.annotate.segmenters.hub_models.pretrained import tensors_identity
    from figureground.exports.evaluation.model_files.torch_models import tensors_sha256

    made = {name: make(torch) for name, make in TENSORS.items()}
    for name, tensor in made.items():
        assert tensors_identity({name: tensor}, "") == tensors_sha256({name: tensor})
    assert tensors_identity(made, "") == tensors_sha256(dict(reversed(made.items())))
    sums = {tensors_sha256({"weight": tensor}) for tensor in made.values()}
    assert len(sums) == len(made)  # types and shapes count, and not bytes alone
    assert tensors_identity(made, "{}") != tensors_identity(made, "")

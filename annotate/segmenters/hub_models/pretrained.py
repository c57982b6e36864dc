"""Models of transformers from a local folder or the Hub: whole, without foreign code, and known by their tensors.

Only safetensors are read, and no code that a repository carries is run. A folder that lacks a tensor of the model is
refused, since transformers would go on with random ones.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from figureground.annotate.segmenters.checkpoints import HubCheckpoint, hub_checkpoints
from figureground.annotate.segmenters.first_use import check_weights, trusted_revision
from figureground.errors import DataError, MissingExtraError, ServiceError, UsageError
from figureground.schemas.records import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator

_HUB_ID: Final = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_SHOWN: Final = 5
"""Tensors that an error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that one pair of transformers' classes loads."""

    name: str
    """Name of the segmenter, or of what finds boxes."""
    model: str
    """Class of the model. Named, since AutoModel takes the video classes for most of these folders."""
    processor: str
    model_types: tuple[str, ...]
    """What ``model_type`` may be in the folder's ``config.json``."""
    default: str
    """The checkpoint of ``checkpoints.yaml`` that is taken where none is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """A model in evaluation mode, with float32 weights, on its device."""

    model: Any
    processor: Any
    identity: str
    """SHA-256 of its tensors and of what its processor does; the same from the Hub and from any copy of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """Where weights lie."""

    address: str
    """A folder, or a repository of the Hub."""
    revision: str | None
    is_folder: bool
    name: str = ""
    """In ``checkpoints.yaml``; empty for what it does not know."""

    def __str__(self) -> str:
        return self.address if self.revision is None else f"{self.address}@{self.revision}"


def load_pretrained(family: Family, checkpoint: Path | str | None, *, device: str) -> Pretrained:
    """Load a model and its processor.

    Args:
        family: What is loaded.
        checkpoint: A folder as ``save_pretrained`` writes it, a name in ``checkpoints.yaml``, or a repository of the
            Hub, ``OWNER/NAME`` or ``OWNER/NAME@REVISION``; None for the family's default.
        device: A torch device.

    Raises:
        MissingExtraError: without transformers or torch.
        UsageError: if there is neither such a folder nor such a name.
        DataError: if the folder holds another model, only a part of it, or no safetensors; if the Hub's files are not
            those of a name's pinned sums or of its first use.
        ServiceError: if the Hub does not give it: it is gated, absent, or cannot be reached.
    """
    transformers = import_transformers()
    origin = _find(family, checkpoint)
    # Its progress bars and advice would stand between our own lines.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with _explained(origin):
        described, _ = transformers.PretrainedConfig.get_config_dict(origin.address, revision=origin.revision)
        _require_type(described.get("model_type"), family, origin)
        origin, snapshot = _settled(origin)
        processor = getattr(transformers, family.processor).from_pretrained(
            origin.address, revision=origin.revision, trust_remote_code=False
        )
        model, loading = getattr(transformers, family.model).from_pretrained(
            origin.address,
            revision=origin.revision,
            dtype=import_torch().float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    _require_whole(loading, family, origin)
    if origin.name and snapshot is not None:
        check_weights(origin.name, hub_checkpoints()[origin.name], snapshot)
    identity = tensors_identity(model.state_dict(), _settings(processor))
    return Pretrained(model=model.eval().to(device), processor=processor, identity=identity)


def tensors_identity(tensors: Mapping[str, Any], settings: str) -> str:
    """SHA-256, hex, over name, type, shape and bytes of every tensor, sorted by name, and over further settings.

    The hashes of files would not do: the same weights may be cut into other files.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(np.ascontiguousarray(tensor.reshape(-1).view(import_torch().uint8).numpy()).data)
    digest.update(settings.encode())
    return digest.hexdigest()


def import_transformers() -> Any:  # noqa: ANN401  untyped
    """The library.

    Raises:
        MissingExtraError: if it is not installed.
    """
    import_torch()
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "transformers") from error
    return transformers


def import_torch() -> Any:  # noqa: ANN401  may not be there
    """torch; raises as ``import_transformers``."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "transformers") from error
    return torch


def _find(family: Family, checkpoint: Path | str | None) -> _Origin:
    asked = family.default if checkpoint is None else str(checkpoint)
    if Path(asked).is_dir():
        return _Origin(address=str(Path(asked).resolve()), revision=None, is_folder=True)
    named = {name: entry for name, entry in hub_checkpoints().items() if entry.segmenter == family.name}
    if asked in named:
        return _announced(asked, named[asked])
    hub_id = _HUB_ID.fullmatch(asked)
    if hub_id is None:
        names = ", ".join(named)
        raise UsageError(
            f"{asked}: no such folder, and {family.name} has no checkpoint called so; there are {names}, and any "
            "repository of the Hub, OWNER/NAME"
        )
    return _Origin(address=hub_id["repository"], revision=hub_id["revision"], is_folder=False)


def _announced(name: str, entry: HubCheckpoint) -> _Origin:
    gate = ", gated" if entry.gated else ""
    logging.getLogger(__name__).info("%s (%s, licence %s%s)", name, entry.title, entry.licence, gate)
    return _Origin(address=entry.repository, revision=trusted_revision(entry), is_folder=False, name=name)


def _settled(origin: _Origin) -> tuple[_Origin, Path | None]:
    """A repository at the commit that its branch stands for now, so that no two files are of different ones.

    Returns:
        The origin, and the folder of the Hub's cache that holds that commit; None for a folder of the user's own.
    """
    if origin.is_folder:
        return origin, None
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(origin.address, "config.json", revision=origin.revision)
    if not isinstance(path, str):
        raise OSError("its config.json came, and is not in the Hub's cache")
    return replace(origin, revision=Path(path).parent.name), Path(path).parent


@contextmanager
def _explained(origin: _Origin) -> Iterator[None]:
    """Turns what transformers raises into an error with a remedy."""
    from safetensors import SafetensorError

    try:
        yield
    except ImportError as error:  # timm, for EdgeTAM's encoder; transformers' own words fill a paragraph
        raise MissingExtraError(error.name or _library_of(str(error)), "transformers") from error
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        text = " ".join(str(error).split())
        if origin.is_folder:
            raise DataError.single(
                origin.address,
                "",
                expected="a model as save_pretrained writes it: config.json, processor and *.safetensors",
                got=text[:300],
                remedy="download all of it again; pickled weights (.bin) and models with code of their own are refused",
            ) from error
        remedy = (
            f"look at https://huggingface.co/{origin.address}, or download it elsewhere and give the folder as "
            "--checkpoint"
        )
        if "gated" in text.lower() or "401" in text or "403" in text:
            remedy = (
                f"accept its terms at https://huggingface.co/{origin.address} and log in with: hf auth login; or give "
                "a folder that has it as --checkpoint"
            )
        raise ServiceError(f"{origin}: the Hub does not give it ({text[:200]}); {remedy}") from error


def _library_of(text: str) -> str:
    """The library that transformers says it lacks."""
    named = re.search(r"requires the (\w+) library", text)
    return named[1] if named else "a library of this model"


def _require_type(model_type: object, family: Family, origin: _Origin) -> None:
    if model_type not in family.model_types:
        raise DataError.single(
            str(origin),
            "model_type",
            expected=" or ".join(family.model_types),
            got=str(model_type),
            remedy=f"this is no {family.name}",
        )


def _require_whole(loading: Mapping[str, Any], family: Family, origin: _Origin) -> None:
    """Refuse a model of which a part would be random."""
    absent = sorted(loading["missing_keys"])
    mismatched = sorted(str(key[0] if isinstance(key, tuple) else key) for key in loading["mismatched_keys"])
    if absent or mismatched:
        raise DataError.single(
            str(origin),
            _shown([*absent, *mismatched]),
            expected=f"every tensor of {family.model}",
            got=f"{len(absent)} missing, {len(mismatched)} of another shape",
            remedy="transformers would fill them at random; take a whole checkpoint of this family",
        )


def _shown(names: Sequence[str]) -> str:
    further = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + further


def _settings(processor: Any) -> str:  # noqa: ANN401
    """What a processor does to pixels and to text, as canonical JSON."""
    settings = {}
    for name in ("image_processor", "tokenizer"):
        part = getattr(processor, name, None)
        if part is not None:
            described = part.to_dict() if hasattr(part, "to_dict") else {}
            settings[name] = {"class": type(part).__name__, **described}
    return canonical_json(_plain(settings))


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items() if not str(key).startswith("_")}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)

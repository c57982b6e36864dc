"""Loading: whole models of the right family, no pickles, no foreign code, and one line where something is not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from figureground.annotate.segmenters.checkpoints import hub_checkpoints
from figureground.annotate.segmenters.hub_models import pretrained
from figureground.annotate.segmenters.hub_models.promptable import SAM_FAMILIES
from figureground.annotate.segmenters.loading import HUB_SAMS, load_segmenter
from figureground.cli.app import app, main
from figureground.errors import DataError, MissingExtraError, ServiceError, UsageError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
safetensors_torch = pytest.importorskip("safetensors.torch")

Saved = Callable[[str], Path]


@pytest.fixture
def copy(saved: Saved, tmp_path: Path) -> Path:
    """A copy of the tiny SAM 2.1 that a test may damage."""
    return Path(shutil.copytree(saved("sam2"), tmp_path / "copy"))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = folder / "model.safetensors"
    safetensors_torch.save_file(change(safetensors_torch.load_file(path)), path, {"format": "pt"})


def names_in(folder: Path) -> list[str]:
    return sorted(safetensors_torch.load_file(folder / "model.safetensors"))


def load(folder: Path, name: str = "sam2") -> Any:
    return load_segmenter(name, checkpoint=folder, device="cpu")


class TestWholeOrNotAtAll:
    def test_a_missing_tensor_is_named(self, copy: Path) -> None:
        name = "mask_decoder.iou_token.weight"
        rewrite(copy, lambda tensors: {key: value for key, value in tensors.items() if key != name})
        with pytest.raises(DataError, match="1 missing, 0 of another shape") as caught:
            load(copy)
        (fault,) = caught.value.faults
        assert fault.record == name
        assert "at random" in fault.remedy

    def test_a_tensor_of_another_shape_is_refused(self, copy: Path) -> None:
        rewrite(copy, lambda tensors: {**tensors, "mask_decoder.iou_token.weight": torch.zeros(1, 3)})
        with pytest.raises(DataError):
            load(copy)

    def test_a_sam3_video_checkpoint_needs_the_trackers_own_names(self, saved: Saved, tmp_path: Path) -> None:
        """A ``Sam3VideoModel`` saved anew has ``tracker_model.tracker_model.``: the tracker would be random."""
        folder = Path(shutil.copytree(saved("sam3"), tmp_path / "video"))
        assert all(name.startswith("tracker_model.") for name in names_in(folder))
        tracker = json.loads((folder / "config.json").read_text())
        video = {"model_type": "sam3_video", "tracker_config": {**tracker, "model_type": "sam3_tracker_video"}}
        (folder / "config.json").write_text(json.dumps(video))
        rewrite(folder, lambda tensors: {f"tracker_model.{key}": value for key, value in tensors.items()})
        with pytest.raises(DataError, match=r"\d+ missing"):
            load(folder, "sam3")
        rewrite(folder, lambda tensors: {key.removeprefix("tracker_model."): value for key, value in tensors.items()})
        assert load(folder, "sam3").checkpoint_sha256 == load(saved("sam3"), "sam3").checkpoint_sha256

    def test_video_folders_are_read_by_the_image_classes(self, copy: Path) -> None:
        """SAM 2.1's repositories say ``sam2_video``, for which AutoModel takes a class that wants more."""
        described = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps({**described, "model_type": "sam2_video"}))
        rewrite(copy, lambda tensors: {**tensors, "memory_encoder.projection.weight": torch.zeros(2, 2)})
        assert load(copy).checkpoint_sha256

    def test_another_familys_folder_is_refused_by_its_type(self, saved: Saved) -> None:
        with pytest.raises(DataError, match="this is no sam-hq"):
            load(saved("sam2"), "sam-hq")

    def test_a_processor_of_another_size_is_refused(self, copy: Path) -> None:
        for path in copy.glob("*processor*.json"):
            path.write_text(
                path.read_text().replace('"height": 64', '"height": 32').replace('"width": 64', '"width": 32')
            )
        with pytest.raises(DataError, match="the processor is another model's"):
            load(copy)

    def test_a_folder_without_weights_says_what_it_lacks(self, copy: Path) -> None:
        (copy / "model.safetensors").unlink()
        with pytest.raises(DataError, match="save_pretrained"):
            load(copy)

    def test_a_damaged_file_is_refused(self, copy: Path) -> None:
        (copy / "model.safetensors").write_bytes(b"\0" * 100)
        with pytest.raises(DataError):
            load(copy)


class TestNothingForeignRuns:
    def test_pickled_weights_are_refused(self, copy: Path, tmp_path: Path) -> None:
        tensors = safetensors_torch.load_file(copy / "model.safetensors")
        (copy / "model.safetensors").unlink()
        torch.save(tensors, copy / "pytorch_model.bin")
        with pytest.raises(DataError, match="pickled weights"):
            load(copy)

    def test_code_of_a_folder_is_not_run(self, copy: Path, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        (copy / "evil.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\nclass Evil: pass\n")
        described = json.loads((copy / "config.json").read_text())
        described["auto_map"] = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
        (copy / "config.json").write_text(json.dumps(described))
        load(copy)
        (copy / "config.json").write_text(json.dumps({**described, "model_type": "evil"}))
        with pytest.raises(DataError, match="this is no sam2"):
            load(copy)
        assert not ran.exists()


class TestIdentity:
    def test_it_is_that_of_the_tensors_and_not_of_the_files(self, copy: Path, saved: Saved) -> None:
        known = load(saved("sam2")).checkpoint_sha256
        assert len(known) == 64
        model = transformers.Sam2Model.from_pretrained(copy)
        (copy / "model.safetensors").unlink()
        model.save_pretrained(copy, max_shard_size="40KB")
        assert len(list(copy.glob("model-*.safetensors"))) > 1
        assert load(copy).checkpoint_sha256 == known

    def test_one_other_weight_or_another_processor_changes_it(self, copy: Path, saved: Saved) -> None:
        known = load(saved("sam2")).checkpoint_sha256
        processor = next(path for path in copy.glob("*processor*.json") if "image_mean" in path.read_text())
        text = processor.read_text()
        processor.write_text(text.replace("0.485", "0.5"))
        assert load(copy).checkpoint_sha256 != known
        processor.write_text(text)
        assert load(copy).checkpoint_sha256 == known

        def change(tensors: dict[str, Any]) -> dict[str, Any]:
            tensors["mask_decoder.iou_token.weight"][0, 0] += 1e-3
            return tensors

        rewrite(copy, change)
        assert load(copy).checkpoint_sha256 != known


class TestWhatIsNotThere:
    def test_a_hub_that_does_not_answer_is_one_line_with_the_remedy(self) -> None:
        """Tests have no Hub, so this is what a user without a connection sees."""
        with pytest.raises(ServiceError, match="the Hub does not give it") as caught:
            load_segmenter("sam2", device="cpu")
        text = str(caught.value)
        assert "facebook/sam2.1-hiera-small@main" in text
        assert "--checkpoint" in text
        assert "\n" not in text

    def test_a_gated_repository_says_where_its_terms_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # What transformers raises for a gate, which stands before its own network call.
        words = (
            "You are trying to access a gated repo.\nMake sure to have access to it at "
            "https://huggingface.co/facebook/sam3.\n401 Client Error."
        )

        def refused(*_: object, **__: object) -> None:
            raise OSError(words)

        monkeypatch.setattr(transformers.PretrainedConfig, "get_config_dict", refused)
        with pytest.raises(ServiceError, match=r"accept its terms at https://huggingface\.co/facebook/sam3 and log in"):
            load_segmenter("sam3", device="cpu")

    def test_a_name_that_is_nothing_lists_what_there_is(self) -> None:
        with pytest.raises(UsageError, match=r"sam2\.1_tiny.*OWNER/NAME"):
            load_segmenter("sam2", checkpoint="huge", device="cpu")

    def test_the_command_says_it_in_one_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        work = ["-w", str(tmp_path / "work")]
        from drawn_boxes import draw_tree

        draw_tree(tmp_path, 1)
        assert CliRunner().invoke(app, ["index", str(tmp_path / "photos"), *work]).exit_code == 0
        with pytest.raises(SystemExit) as ended:
            main(["propose", *work, "--segmenter", "sam3", "--prompt", "center"])
        assert ended.value.code == 3
        assert "facebook/sam3" in capsys.readouterr().err

    def test_without_transformers_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch, saved: Saved) -> None:
        import sys

        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(MissingExtraError, match=r"figureground\[transformers\]"):
            load(saved("sam2"))


def test_every_family_has_checkpoints_and_a_default() -> None:
    assert set(SAM_FAMILIES) == set(HUB_SAMS)
    for family in SAM_FAMILIES.values():
        assert hub_checkpoints()[family.default].segmenter == family.name
    assert [name for name, entry in hub_checkpoints().items() if entry.gated] == ["sam3"]
    assert pretrained.Family.__doc__

"""Every small input of ../shared is run by a test, which is named here beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from needs import need_shared
from shared_cases import CASES

HERE = Path(__file__).parent
TESTS = {
    "annotate/01_ls_deleted_users": "studio/test_studio_answers.py",
    "annotate/02_ls_region_without_label": "studio/test_studio_answers.py",
    "annotate/03_coco_two_images_of_one_photo": "test_imports.py",
    "annotate/04_coco_other_folder_wins": "test_names.py",
    "annotate/05_names_that_mean_two_photos": "test_names.py",
    "annotate/08_hidden_folders_become_classes": "test_index.py",
    "annotate/09_test_split_lost": "test_index.py",
    "annotate/10_report_lost_when_one_fault": "test_imports.py",
    "annotate/11_exif_180_mask_folder": "test_imports.py",
    "annotate/12_attributes_csv_fault_kept": "test_imports.py",
    "annotate/13_coco_macos_screenshot_name": "test_names.py",
    "annotate/14_nfc_nfd_names": "test_names.py",
    "annotate/16_png_crc_and_jpeg_eoi": "test_damage.py",
    "annotate/17_raw_traceback_for_workspace": "test_disk.py",
    "annotate/18_masks_modes_wrong_remedy": "test_messages.py",
    "annotate/20_duplicate_photo_named": "test_names.py",
    "annotate/21_ls_json_min_and_bom": "studio/test_studio_answers.py",
    "annotate/22_ls_fault_without_a_place": "studio/test_studio_answers.py",
    "annotate/23_coco_one_fault_told_31_times": "test_messages.py",
    "annotate/25_ls_regions_of_other_kinds": "studio/test_studio_answers.py",
    "annotate/28_terminal_escapes": "test_messages.py",
    "annotate/29_two_origins_one_annotator": "test_origins.py",
    "build/00_tiny": "scoring/test_adapters.py",
    "build/01_onnx_external_data": "scoring/test_result_keys.py",
    "build/02_shard_changed": "scoring/test_result_keys.py",
    "build/03_onnx_raises": "scoring/test_models.py",
    "build/04_onnx_settings": "scoring/test_models.py",
    "build/05_shard_unreadable": "scoring/test_scored_shards.py",
    "build/06_thousand_classes": "scoring/test_checkpoints.py",
    "build/07_timm_checkpoints": "scoring/test_checkpoints.py",
    "build/08_timm_test_size": "scoring/test_shared_scores.py",
    "build/09_zero_width_interval": "scoring/test_shared_scores.py",
    "build/10_softmax_inside": "scoring/test_models.py",
    "build/12_csv_index_1000": "test_grammar.py",
    "build/14_names_that_datasets_refuses": "test_grammar.py",
    "build/15_partial_folder_deleted": "test_disk.py",
    "build/16_disk_full": "test_disk.py",
    "build/18_offline_hub": "scoring/test_shared_scores.py",
    "build/19_parquet_labels": "test_index.py",
    "build/20_bad_adapters": "scoring/test_adapters.py",
    "build/22_late_model_loses_results": "scoring/test_shared_scores.py",
}
"""Folder of an input to the module of tests that runs it."""


@pytest.mark.parametrize("case", TESTS)
def test_the_named_module_runs_the_input(case: str) -> None:
    text = (HERE / TESTS[case]).read_text(encoding="utf-8")
    assert case.partition("/")[2] in text


def test_no_input_is_left_out() -> None:
    need_shared(CASES)
    folders = {path.relative_to(CASES).as_posix() for path in CASES.glob("*/*") if path.is_dir()}
    assert folders == set(TESTS)

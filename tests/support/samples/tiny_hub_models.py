"""Tiny random models of the Hub's families, saved as their checkpoints are: each is made in a fraction of a second.

Their weights are scaled up (normal over the square root of the fan-in), since transformers' own initial ones give
logits near 1e-7 and thus masks of rounding noise. Their images have 64 pixels, SAM 3's 112.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers

hf: Any = transformers
"""Untyped here: its annotations leave out what configurations take from their base class."""

TEXT_LETTERS = "abcdefghijklmnopqrstuvwxyz ."


def _scaled(model: Any, seed: int = 0) -> Any:
    """The model with weights that matter, from a generator of its own."""
    draw = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.is_floating_point() and tensor.ndim >= 2 and "positional" not in name:
            fan_in = tensor[0].numel()
            tensor.copy_(torch.randn(tensor.shape, generator=draw) / fan_in**0.5)
    return model.eval()


def _saved(model: Any, processor: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _squares(side: int, kind: Any = None) -> Any:
    return (kind or hf.Sam2ImageProcessor)(size={"height": side, "width": side}, mask_size={"height": 16, "width": 16})


def _sam2_parts() -> dict[str, Any]:
    backbone = hf.Sam2HieraDetConfig(
        image_size=[64, 64],
        hidden_size=8,
        num_attention_heads=1,
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 24, 32],
        num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 2, 2, 2],
        window_positional_embedding_background_size=[2, 2],
        global_attention_blocks=[3],
    )
    vision = hf.Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[32, 24, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=16,
    )
    return {"vision_config": vision, **_decoder_parts(hf.Sam2PromptEncoderConfig, hf.Sam2MaskDecoderConfig)}


def _decoder_parts(prompt: Any, decoder: Any, *, side: int = 64, patch: int = 16) -> dict[str, Any]:
    return {
        "prompt_encoder_config": prompt(hidden_size=16, image_size=side, patch_size=patch, mask_input_channels=4),
        "mask_decoder_config": decoder(
            hidden_size=16, mlp_dim=16, num_hidden_layers=2, num_attention_heads=2, iou_head_hidden_dim=16
        ),
    }


def save_sam2(folder: Path, *, seed: int = 0) -> Path:
    """A SAM 2.1."""
    model = hf.Sam2Model(hf.Sam2Config(**_sam2_parts()))
    return _saved(_scaled(model, seed), hf.Sam2Processor(_squares(64)), folder)


def save_edgetam(folder: Path) -> Path:
    """An EdgeTAM; its encoder is timm's."""
    backbone = hf.TimmWrapperConfig(
        architecture="repvit_m1",
        model_args={
            "embed_dim": (8, 16, 24, 32),
            "depth": (1, 1, 1, 1),
            "features_only": True,
            "out_indices": (0, 1, 2, 3),
        },
    )
    vision = hf.EdgeTamVisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[32, 24, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=16,
    )
    parts = _decoder_parts(hf.EdgeTamPromptEncoderConfig, hf.EdgeTamMaskDecoderConfig)
    model = hf.EdgeTamModel(hf.EdgeTamConfig(vision_config=vision, **parts))
    return _saved(_scaled(model), hf.Sam2Processor(_squares(64)), folder)


def save_sam_hq(folder: Path) -> Path:
    """A SAM-HQ."""
    vision = hf.SamHQVisionConfig(
        hidden_size=16,
        output_channels=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=16,
        window_size=2,
        global_attn_indexes=[1],
        num_pos_feats=8,
        mlp_dim=16,
    )
    prompt = hf.SamHQPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4)
    decoder = hf.SamHQMaskDecoderConfig(
        hidden_size=16, mlp_dim=16, num_hidden_layers=2, num_attention_heads=2, iou_head_hidden_dim=16, vit_dim=16
    )
    config = hf.SamHQConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    model = hf.SamHQModel(config)
    images = hf.SamImageProcessor(
        size={"longest_edge": 64},
        pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    )
    return _saved(_scaled(model), hf.SamHQProcessor(images), folder)


def _sam3_backbone() -> Any:
    return hf.Sam3ViTConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=112,
        patch_size=14,
        window_size=4,
        pretrain_image_size=56,
        global_attn_indexes=[1],
    )


def sam3_tracker() -> Any:
    """A SAM 3 tracker, not saved."""
    vision = hf.Sam3VisionConfig(
        backbone_config=_sam3_backbone(), fpn_hidden_size=16, backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]]
    )
    parts = _decoder_parts(hf.Sam3TrackerPromptEncoderConfig, hf.Sam3TrackerMaskDecoderConfig, side=112, patch=14)
    return _scaled(hf.Sam3TrackerModel(hf.Sam3TrackerConfig(vision_config=vision, **parts)))


def save_sam3_tracker(folder: Path) -> Path:
    """A SAM 3 tracker."""
    return _saved(sam3_tracker(), hf.Sam3TrackerProcessor(_squares(112)), folder)


def _clip_tokenizer(most: int) -> Any:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    alphabet = list(bytes_to_unicode().values())  # type: ignore[no-untyped-call]
    words = [*alphabet, *(f"{letter}</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    return hf.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=most)


def _clip_text(tokenizer: Any, kind: Any, **further: Any) -> Any:
    return kind(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        projection_dim=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **further,
    )


def save_sam3_text(folder: Path) -> Path:
    """A SAM 3 that takes texts."""
    tokenizer = _clip_tokenizer(32)
    vision = hf.Sam3VisionConfig(
        backbone_config=_sam3_backbone(), fpn_hidden_size=16, backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]]
    )
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    model = hf.Sam3Model(
        hf.Sam3Config(
            vision_config=vision,
            text_config=_clip_text(tokenizer, hf.CLIPTextConfig, max_position_embeddings=32),
            geometry_encoder_config=hf.Sam3GeometryEncoderConfig(num_layers=1, **sizes),
            detr_encoder_config=hf.Sam3DETREncoderConfig(num_layers=1, **sizes),
            detr_decoder_config=hf.Sam3DETRDecoderConfig(num_layers=1, num_queries=8, **sizes),
            mask_decoder_config=hf.Sam3MaskDecoderConfig(
                hidden_size=16, num_upsampling_stages=2, num_attention_heads=2
            ),
        )
    )
    images = hf.Sam3ImageProcessor(size={"height": 112, "width": 112}, mask_size={"height": 32, "width": 32})
    return _saved(_scaled(model), hf.Sam3Processor(images, tokenizer), folder)


def save_sam3(folder: Path) -> Path:
    """A SAM 3 with both of its networks, as the Hub's has them: the one that takes texts, and the tracker."""
    from safetensors.torch import load_file, save_file

    text, clicks = (make(folder / name) for name, make in (("text", save_sam3_text), ("clicks", save_sam3_tracker)))
    detector = {f"detector_model.{key}": value for key, value in load_file(text / "model.safetensors").items()}
    tracker = {}
    for key, value in load_file(clicks / "model.safetensors").items():
        own = key.removeprefix("tracker_model.")
        tracker[own if ".detector_model." in key or ".tracker_neck." in key else key] = value
    configs = {
        f"{name}_config": json.loads((path / "config.json").read_text())
        for name, path in (("detector", text), ("tracker", clicks))
    }
    for path in text.iterdir():
        path.rename(folder / path.name)
    save_file({**tracker, **detector}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"model_type": "sam3_video", **configs}))
    for path in (text, clicks):
        shutil.rmtree(path)
    return folder


def save_grounding_dino(folder: Path, kind: str = "GroundingDino") -> Path:
    """A Grounding DINO, or with ``kind`` an ``MMGroundingDino``."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "?", *TEXT_LETTERS, *(f"##{letter}" for letter in TEXT_LETTERS)]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}
    tokenizer = hf.BertTokenizer(vocab=vocabulary)
    text = hf.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=256,
    )
    backbone = hf.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )
    model = getattr(hf, f"{kind}ForObjectDetection")(
        getattr(hf, f"{kind}Config")(
            backbone_config=backbone,
            text_config=text,
            d_model=32,
            encoder_layers=1,
            decoder_layers=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            num_queries=16,
            max_text_len=256,
        )
    )
    images = hf.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    return _saved(_scaled(model), hf.GroundingDinoProcessor(images, tokenizer), folder)


def save_owlv2(folder: Path) -> Path:
    """An OWLv2."""
    tokenizer = _clip_tokenizer(16)
    vision = hf.Owlv2VisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=64, patch_size=16
    )
    text = _clip_text(tokenizer, hf.Owlv2TextConfig, max_position_embeddings=16)
    config = hf.Owlv2Config(vision_config=vision.to_dict(), text_config=text.to_dict(), projection_dim=16)
    images = hf.Owlv2ImageProcessor(size={"height": 64, "width": 64})
    return _saved(_scaled(hf.Owlv2ForObjectDetection(config)), hf.Owlv2Processor(images, tokenizer), folder)

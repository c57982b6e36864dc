"""Tiny random models as their libraries save them, in folders; a seed makes each the same every time."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

SIDE = 16
"""Pixels of the models' inputs."""
CHAT_TEMPLATE = (
    "{% for message in messages %}<s>{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}:{% endif %}"
)


def loud(model: Any, seed: int = 0) -> Any:
    """The model with weights so large that answers differ: those that it begins with give logits near 1e-7."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 1 / math.sqrt(max(1, parameter[0].numel())) if parameter.ndim > 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return model.eval()


def write_vit(folder: Path, labels: Sequence[str] = ("a", "b", "c"), *, side: int = SIDE, **options: Any) -> Path:
    """An image classifier with a head of these labels; the processor squashes and normalises by 0.5."""
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=side,
        patch_size=max(1, side // 4),
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    loud(transformers.ViTForImageClassification(config)).save_pretrained(folder, **options)
    transformers.ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    return folder


def _clip_towers(places: int, vocabulary: int) -> dict[str, Any]:
    layers: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    return {
        "text_config": {**layers, "vocab_size": vocabulary, "max_position_embeddings": places, "projection_dim": 8,
                        "projection_size": 16, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1},
        "vision_config": {**layers, "image_size": SIDE, "patch_size": 8, "projection_dim": 8},
    }  # fmt: skip


def write_clip(folder: Path, places: int = 77) -> Path:
    """A CLIP; its processor resizes the short side to 20 and crops 16."""
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + index) for index in range(256 - len(letters))]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=places)
    config = transformers.CLIPConfig(**_clip_towers(places, len(vocabulary)), projection_dim=8)
    loud(transformers.CLIPModel(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size: dict[str, Any] = {"size": {"shortest_edge": 20}, "crop_size": {"height": SIDE, "width": SIDE}}
    transformers.CLIPImageProcessor(**size).save_pretrained(folder)
    return folder


def write_siglip(folder: Path) -> Path:
    """A SigLIP as version 2 of fixed size is saved: model type siglip, and a tokenizer that keeps capitals."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *(chr(code) for code in range(33, 127))]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    config = transformers.SiglipConfig(**_clip_towers(64, len(tokens)))
    loud(transformers.SiglipModel(config)).save_pretrained(folder)
    transformers.GemmaTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    transformers.SiglipImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def write_open_clip(folder: Path) -> Path:
    """A model of open_clip in a folder, as ``local-dir:`` reads it."""
    import open_clip  # type: ignore[import-untyped]  # ships no annotations
    from safetensors.torch import save_file

    config: dict[str, Any] = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": SIDE, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
    }
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {"size": SIDE}}))
    model = loud(open_clip.CLIP(**{**config, "vision_cfg": dict(config["vision_cfg"])}))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()},
              folder / "open_clip_model.safetensors")  # fmt: skip
    return folder


def write_chat(folder: Path) -> Path:
    """A LLaVA: every letter is a token, and a picture is four."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = [chr(code) for code in range(32, 127)]
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "\n", *letters]
    raw = Tokenizer(models.WordLevel({token: index for index, token in enumerate(tokens)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    names = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    fast: Any = transformers.PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=raw, additional_special_tokens=["<image>"], **names)
    layers: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**layers, image_size=SIDE, patch_size=8, projection_dim=8),
        text_config=transformers.LlamaConfig(
            **layers, num_key_value_heads=2, vocab_size=len(tokens), bos_token_id=1, eos_token_id=2, pad_token_id=0
        ),
        image_token_index=4,
    )
    loud(transformers.LlavaForConditionalGeneration(config)).save_pretrained(folder)
    images = transformers.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor: Any = transformers.LlavaProcessor
    processor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder

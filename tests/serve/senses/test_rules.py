"""The rules against transformers' and mistral-common's own arithmetic, over many sizes and lengths."""

import importlib
import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from freehold.serve.senses import Modality, Senses, read_senses
from freehold.serve.senses.reading import rules

SIDES = (1, 13, 27, 28, 29, 47, 56, 100, 224, 333, 640, 1000, 1023, 1540, 2048, 4000, 7999)
SIZES = [size for size in product(SIDES, SIDES) if max(size) / min(size) <= 200]
"""Width and height; longer strips are refused by the processors."""


def senses_of(folder: Path, **files: dict[str, Any]) -> Senses:
    """Of a model with these files, without `.json`."""
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    found = read_senses(folder)
    assert found is not None
    return found


def processor(place: str, name: str) -> Any:
    """A class of transformers that needs no torchvision."""
    return getattr(importlib.import_module(f"transformers.models.{place}"), name)


QWEN = "qwen2_vl.image_processing_pil_qwen2_vl", "Qwen2VLImageProcessorPil"
GLM = "glm4v.image_processing_pil_glm4v", "Glm4vImageProcessorPil"
GLM46 = "glm46v.image_processing_pil_glm46v", "Glm46VImageProcessorPil"
SMALL = {"shortest_edge": 4 * 28 * 28, "longest_edge": 64 * 28 * 28}


@pytest.mark.parametrize(
    ("kind", "made", "options"),
    [
        ("qwen2_5_vl", QWEN, {}),
        ("qwen2_5_vl", QWEN, {"min_pixels": 256 * 28 * 28, "max_pixels": 1280 * 28 * 28}),
        ("qwen3_vl", QWEN, {"patch_size": 16, "size": {"shortest_edge": 65536, "longest_edge": 16777216}}),
        ("qwen3_5_moe", QWEN, {"patch_size": 16, "size": SMALL}),
        ("minimax_m3_vl", QWEN, {"size": {"shortest_edge": 3136, "longest_edge": 451584}}),
        ("glm4v", GLM, {}),
        ("glm4v_moe", GLM, {"size": SMALL}),
        ("glm46v", GLM46, {"size": SMALL, "patch_size": 14}),
        ("glm_ocr", GLM46, {"size": {"shortest_edge": 12544, "longest_edge": 9633792}}),
    ],
)
def test_patches_are_counted_as_the_processor_counts_them(
    tmp_path: Path, kind: str, made: tuple[str, str], options: dict[str, Any]
) -> None:
    rule = senses_of(tmp_path, config={"model_type": kind, "vision_config": {}}, preprocessor_config=options).image
    assert rule is not None
    theirs = processor(*made)(**options)
    for width, height in SIZES:
        patches = theirs.get_number_of_image_patches(height, width, {})
        assert rule.tokens(width, height) == patches // theirs.merge_size**2 + 2, (width, height)
        assert rule.tokens(width, height) <= rule.most, (width, height)


def test_what_is_fitted_is_equal_until_it_is_shrunk(tmp_path: Path) -> None:
    made = processor("glm5_next.image_processing_pil_glm5_next", "Glm5NextImageProcessorPil")
    for most in (64, 8000):
        options = {"min_image_tokens": 16, "max_image_tokens": most}
        config = {"model_type": "glm5_next", "vision_config": {}}
        rule = senses_of(tmp_path, config=config, preprocessor_config=options).image
        assert rule is not None
        for width, height in SIZES:
            told = made(**options).get_number_of_image_patches(height, width, {}) // 4 + 2
            assert told <= rule.tokens(width, height) <= rule.most, (width, height)
            assert told == rule.tokens(width, height) or told > 0.5 * rule.most, (width, height)


@pytest.mark.parametrize("longest", [112, 1024, 1540])
@pytest.mark.parametrize("merge", [1, 2])
def test_rows_are_counted_as_the_processor_counts_them(tmp_path: Path, longest: int, merge: int) -> None:
    config = {"model_type": "mistral3", "vision_config": {"patch_size": 14}, "spatial_merge_size": merge}
    image = {"patch_size": {"height": 14, "width": 14}, "size": {"longest_edge": longest}}
    own = {"patch_size": 14, "spatial_merge_size": merge}
    rule = senses_of(tmp_path, config=config, preprocessor_config=image, processor_config=own).image
    assert rule is not None
    numpy = importlib.import_module("numpy")
    shrunk = processor("pixtral.image_processing_pil_pixtral", "get_resize_output_image_size")
    unit = 14 * merge
    for width, height in SIZES:
        if min(width, height) * longest < max(width, height):  # nothing would be left of the shorter side
            continue
        # Strides of zero: an image of that shape without its bytes.
        image_ = numpy.broadcast_to(numpy.zeros((1, 1, 1), dtype="uint8"), (height, width, 3))
        tall, wide = shrunk(image_, size=(longest, longest), patch_size=(unit, unit), input_data_format="channels_last")
        assert rule.tokens(width, height) == (wide // unit + 1) * (tall // unit), (width, height)
        assert rule.tokens(width, height) <= rule.most


def test_mistrals_own_form_is_counted_as_mistral_common_counts_it(tmp_path: Path) -> None:
    from mistral_common.tokens.tokenizers.image import ImageConfig, ImageEncoder, SpecialImageIDs
    from PIL import Image

    vision = {"patch_size": 14, "max_image_size": 1540, "image_size": 1540, "spatial_merge_size": 2}
    rule = senses_of(tmp_path, params={"dim": 1, "vision_encoder": vision}).image
    assert rule is not None
    settings = ImageConfig(image_patch_size=14, max_image_size=1540, spatial_merge_size=2)
    encoder = ImageEncoder(settings, SpecialImageIDs(img=10, img_break=12, img_end=13))
    for width, height in SIZES:
        columns, rows = encoder._image_to_num_tokens(Image.new("1", (width, height)))
        assert rule.tokens(width, height) == (columns + 1) * rows, (width, height)


def test_gemma_3_is_its_fixed_number(tmp_path: Path) -> None:
    rule = senses_of(tmp_path, config={"model_type": "gemma3", "mm_tokens_per_image": 256, "vision_config": {}}).image
    assert rule is not None
    assert {rule.tokens(*size) for size in SIZES} == {rule.most} == {256 + 6}


def test_gemma_4_is_never_above_its_most(tmp_path: Path) -> None:
    fitted = processor("gemma4.image_processing_pil_gemma4", "get_aspect_ratio_preserving_size")
    config = {"model_type": "gemma4", "vision_soft_tokens_per_image": 280, "vision_config": {}, "audio_config": {}}
    rule = senses_of(tmp_path, config=config).image
    assert rule is not None
    for width, height in SIZES:
        tall, wide = fitted(height, width, patch_size=16, max_patches=280 * 9, pooling_kernel_size=3)
        assert (tall // 48) * (wide // 48) + 2 <= rule.tokens(width, height)


def test_deepseek_ocr_is_never_above_its_most(tmp_path: Path) -> None:
    theirs = processor("deepseek_ocr2.image_processing_pil_deepseek_ocr2", "DeepseekOcr2ImageProcessorPil")()
    rule = senses_of(tmp_path, config={"model_type": "deepseek_ocr2", "vision_config": {}}).image
    assert rule is not None
    most = 0
    for width, height in SIZES:
        tiles = theirs.get_number_of_image_patches(height, width) - 1
        most = max(most, tiles * 144 + 256 + 1)
    assert most <= rule.most <= most * 1.02


LENGTHS = (0.02, 0.1, 0.5, 0.99, 1.0, 1.01, 2.5, 7.77, 29.9, 30.0, 30.1, 61.3)


@pytest.mark.parametrize("kind", ["qwen3_asr", "qwen3_omni_moe"])
def test_sound_of_qwen_3(tmp_path: Path, kind: str) -> None:
    exact = processor("qwen3_omni_moe.processing_qwen3_omni_moe", "_get_feat_extract_output_lengths")
    sound = senses_of(tmp_path, config={"model_type": kind, "audio_config": {}}).sound
    assert sound is not None
    for seconds in LENGTHS:
        theirs = exact(math.ceil(seconds * 100)) + 2
        assert theirs <= sound.tokens(seconds) <= theirs + 13, seconds


def test_sound_of_qwen_2_audio(tmp_path: Path) -> None:
    sound = senses_of(tmp_path, config={"model_type": "qwen2_audio", "audio_config": {}}).sound
    assert sound is not None
    for seconds in LENGTHS:
        frames = min(math.ceil(seconds * 100), 3000)
        theirs = ((frames - 1) // 2 + 1 - 2) // 2 + 1 + 2  # `Qwen2AudioProcessor._process_audio`
        assert theirs <= sound.tokens(seconds) <= theirs + 1, seconds


def test_sound_of_voxtral(tmp_path: Path) -> None:
    sound = senses_of(tmp_path, config={"model_type": "voxtral", "audio_config": {}}).sound
    assert sound is not None
    for seconds in LENGTHS:
        windows = math.ceil(seconds / 30)
        # `AudioConfig(sampling_rate=16000, frame_rate=12.5, chunk_length_s=30)`: padded, then a token for 80 ms.
        assert windows * 375 <= sound.tokens(seconds) <= windows * 375 + 3, seconds


def test_sound_of_whisper_is_what_the_engine_tells(tmp_path: Path) -> None:
    senses = senses_of(tmp_path, config={"model_type": "whisper", "num_mel_bins": 80})
    assert senses.sound is not None and senses.heard is not None
    assert [senses.heard.tokens(seconds) for seconds in (1, 30)] == [108, 3008]
    assert [senses.sound.tokens(seconds) for seconds in (1, 30, 30.5)] == [1504, 1504, 3004]


def test_what_a_model_takes_is_read_from_its_files(tmp_path: Path) -> None:
    def takes(name: str, config: dict[str, Any], **files: dict[str, Any]) -> set[str] | None:
        folder = tmp_path / name
        folder.mkdir()
        for file, content in {"config": config, **files}.items():
            (folder / f"{file}.json").write_text(json.dumps(content))
        found = read_senses(folder)
        return None if found is None else set(found.takes)

    text = {"model_type": "qwen3", "tokenizer_revision": "1", "vision_config": None}
    assert takes("text", text) == set()
    assert takes("sees", {"model_type": "new_vl", "vision_config": {}}) == {Modality.IMAGE, Modality.VIDEO}
    assert takes("hears", {"model_type": "qwen2_audio", "audio_config": {}}) == {Modality.AUDIO}
    assert takes("unclear", text, preprocessor_config={}) is None
    assert read_senses(tmp_path / "nothing-here") is None
    (tmp_path / "text" / "config.json").write_text("{")
    assert read_senses(tmp_path / "text") is None


def test_arguments_of_the_engine_go_over_the_files(tmp_path: Path) -> None:
    config = {"model_type": "qwen2_5_vl", "vision_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for arguments in (
        ("--mm-processor-kwargs", '{"max_pixels": 50176}'),
        ('--mm_processor_kwargs={"max_pixels": 50176}',),
    ):
        found = read_senses(tmp_path, arguments)
        assert found is not None and found.image is not None
        assert found.image.tokens(4000, 4000) == 64 + 2
    plain = read_senses(tmp_path, ("--mm-processor-kwargs", "not JSON"))
    assert plain is not None and plain.image is not None and plain.image.tokens(4000, 4000) == 35 * 35 + 2


def test_each_rule_names_its_source_and_each_model_has_one() -> None:
    for group in ("images", "sounds"):
        kinds = [kind for rule in rules()[group] for kind in rule["models"]]
        assert len(kinds) == len(set(kinds))
        assert all(rule["source"] for rule in rules()[group])


def test_a_wrong_rule_would_be_noticed(tmp_path: Path) -> None:
    """Planted: one pixel's difference in what a token covers."""
    theirs = processor(*QWEN)()
    rule = senses_of(
        tmp_path, config={"model_type": "qwen2_vl", "vision_config": {}}, preprocessor_config={"patch_size": 15}
    ).image
    assert rule is not None
    assert any(rule.tokens(w, h) != theirs.get_number_of_image_patches(h, w, {}) // 4 + 2 for w, h in SIZES)

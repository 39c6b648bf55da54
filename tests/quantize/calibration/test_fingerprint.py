"""Text that was calibrated on is found again, and cannot be read from what is kept."""

from freehold.core.settings import Settings
from freehold.quantize.calibration.fingerprint import fingerprint, overlap
from freehold.quantize.texts.reading import read_texts, words_of
from freehold.quantize.texts.shipped import CALIBRATION, HELD_OUT

LONG = " ".join(f"word{number} is followed by word{number + 1}" for number in range(200))
OTHER = " ".join(f"another{number} comes before another{number + 7}" for number in range(200))


def test_the_same_text_is_found_whatever_its_case_and_spaces() -> None:
    assert overlap(fingerprint([LONG]), [LONG.upper().replace(" ", "\n ")]) == 1


def test_other_text_is_not() -> None:
    assert overlap(fingerprint([LONG]), [OTHER]) == 0


def test_a_part_is_found_by_its_share() -> None:
    assert 0.4 < overlap(fingerprint([LONG]), [f"{LONG} {OTHER}"]) < 0.6


def test_short_text_has_no_runs_and_no_overlap() -> None:
    assert overlap(fingerprint(["a few words"]), ["a few words"]) == 0


def test_only_hashes_are_kept_and_not_all() -> None:
    kept = fingerprint([LONG])
    runs = len(LONG.split()) - 15
    assert runs / 16 < len(kept) < runs / 4
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in kept)


def test_the_shipped_texts_do_not_overlap(settings: Settings) -> None:
    read = [read_texts(["neutral"], settings, neutral=files).examples for files in (CALIBRATION, HELD_OUT)]
    calibrated, held_out = ([words_of(example) for example in examples] for examples in read)
    assert len(calibrated) == 96 and len(held_out) == 40
    assert overlap(fingerprint(calibrated), held_out) == 0

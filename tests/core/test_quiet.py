"""Libraries are quiet inside the block and themselves again after it."""

import logging
import warnings

import pytest

from freehold.core.quiet import quiet_libraries


def test_bars_logs_and_warnings_are_silent_inside_only(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from tqdm.auto import tqdm

    with quiet_libraries():
        list(tqdm([1, 2, 3], desc="hidden"))
        logging.getLogger("some.library").warning("hidden")
        logging.getLogger("some.library").error("an error comes through")
        warnings.warn("hidden", stacklevel=1)
    list(tqdm([1], desc="shown"))
    printed = capsys.readouterr().err + caplog.text
    assert "hidden" not in printed
    assert "shown" in printed and "an error comes through" in printed

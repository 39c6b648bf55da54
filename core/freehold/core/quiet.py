"""Keeping libraries' own chatter off the terminal while one of our phases is shown."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence log lines below ERROR, warnings and progress bars of torch, transformers and their friends.

    Enter before the first import of them: tqdm reads its setting once. Errors still come through.
    """
    from huggingface_hub.utils import disable_progress_bars

    os.environ.setdefault("TQDM_DISABLE", "1")
    disable_progress_bars()  # transformers asks for this when it is imported
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

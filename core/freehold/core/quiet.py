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
    os.environ.setdefault("TQDM_DISABLE", "1")
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

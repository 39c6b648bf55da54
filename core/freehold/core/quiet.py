"""Keeping libraries' own chatter off the terminal while one of our phases is shown."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence log lines below ERROR, warnings and progress bars of torch, transformers and their friends.

    Errors still come through.
    """
    from tqdm.std import tqdm

    before, show = logging.root.manager.disable, tqdm.__init__
    # tqdm's own switch is an environment variable that it reads once, and hub clients have imported it long ago.
    tqdm.__init__ = partialmethod(show, disable=True)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        tqdm.__init__ = show

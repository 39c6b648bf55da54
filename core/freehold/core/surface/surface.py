"""What of the closed providers' APIs the gateway answers: `surface.yaml`."""

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from freehold.core.manifest.data import Data
from freehold.core.manifest.model import Capability


class Support(StrEnum):
    """Whether an application may go on using something."""

    YES = "yes"
    CONDITIONS = "conditions"
    """If the model or its options are such; `says` names them."""
    IGNORED = "ignored"
    """Taken without effect, and named in the answer's header: the application goes on."""
    NO = "no"
    """Refused, or there is no such path."""


class Feature(Data):
    """One thing that applications use, by its id in `surface.yaml`."""

    title: str
    support: Support
    says: str = ""
    """The condition, or what to do without it."""
    paths: tuple[str, ...] = ()
    """Where it is asked for."""
    rows: tuple[tuple[str, str], ...] = ()
    """Section and feature of docs/compatibility.md that show it."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Path and parameter of the gateway's rules that refuse or name it."""
    needs: tuple[Capability, ...] = ()
    """What a model must be able to do."""
    foreign: bool = False
    """Of another API than OpenAI's and Anthropic's."""


@cache
def surface() -> dict[str, Feature]:
    """By id."""
    read: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("surface.yaml").read_text())
    return {name: Feature.model_validate(value) for name, value in read.items()}

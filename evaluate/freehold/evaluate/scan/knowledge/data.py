"""Reading the YAML of this folder."""

from pathlib import Path
from typing import Any

import yaml


def read_data(name: str) -> Any:
    """The content of `<name>.yaml`, beside this file."""
    return yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text())

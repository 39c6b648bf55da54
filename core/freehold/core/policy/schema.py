"""The JSON schema of `policy.yaml`, for editors: `python -m freehold.core.policy.schema FILE`."""

import json
import sys
from pathlib import Path
from typing import Any

from freehold.core.policy.policy import Policy


def policy_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of a policy."""
    schema = Policy.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Freehold policy"}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(policy_schema(), indent=2) + "\n")

"""The configuration reference, as Markdown, from the schema: `python -m freehold.serve.config_reference FILE`.

A field is documented by the string right under it in `config/`, which is the only place.
"""

import ast
import inspect
import json
import sys
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from freehold.serve import config

SECTIONS = (
    ("models.&lt;name&gt;", config.ServedModel),
    ("models.&lt;name&gt;.engine, kind process", config.ProcessEngine),
    ("models.&lt;name&gt;.engine.restart", config.RestartPolicy),
    ("models.&lt;name&gt;.engine, kind ray", config.RayEngine),
    ("models.&lt;name&gt;.engine.autoscaling, kind ray", config.Autoscaling),
    ("models.&lt;name&gt;.engine, kind remote", config.RemoteEngine),
    ("models.&lt;name&gt;.cost", config.Cost),
    ("models.&lt;name&gt;.replaces", config.Replaces),
    ("routes.&lt;name&gt;", config.Route),
    ("routes.&lt;name&gt;.contemplate", config.Contemplate),
    ("routes.&lt;name&gt;.canary", config.Canary),
    ("routes.&lt;name&gt;.shadow", config.Shadow),
    ("routes.&lt;name&gt;.record", config.Record),
    ("upstreams.&lt;name&gt;", config.Upstream),
    ("upstreams.&lt;name&gt;.prices.&lt;model&gt;", config.TokenPrice),
    ("tuning", config.TuningConfig),
    ("tuning.defaults", config.TuningDefaults),
    ("batches", config.BatchesConfig),
    ("gateway", config.GatewayConfig),
    ("gateway.media", config.MediaConfig),
    ("gateway.console", config.ConsoleConfig),
    ("gateway.console.oidc", config.OidcConfig),
    ("gateway.console.oidc.roles", config.OidcRoles),
)

HEADING = """# Configuration

`freehold.yaml` is read by `freehold serve`; `freehold serve --check` lists every problem at once. Unknown keys are
errors. Tables generated from the schema by `make docs`; do not edit.

```yaml
models:                            # a map: the key is what clients send as "model"
  smollm2-135m-instruct:
    artifact: smollm2-135m-instruct
    engine: {maxModelLen: 2048}
  elsewhere:
    engine: {kind: remote, baseUrl: "http://10.0.0.7:8000", apiKeyFrom: {env: ELSEWHERE_KEY}}
routes:                            # names that are not models: aliases, splits, fallbacks
  gpt-4o-mini: {targets: {smollm2-135m-instruct: 100}, fallback: openai/gpt-4o-mini}
upstreams:
  openai: {baseUrl: "https://api.openai.com", apiKeyFrom: {env: OPENAI_API_KEY}}
gateway: {port: 8000, auth: keys}
policy: policy.yaml                # what may be served, beside the machine's policy (policy.md); relative to this file
```
"""


def config_reference() -> str:
    """One table per section of the schema."""
    return "\n".join([HEADING, *(_section(name, model) for name, model in SECTIONS)])


def _section(name: str, model: type[BaseModel]) -> str:
    texts = field_texts(model)
    known = config.VllmEngine.model_fields.keys() - {"kind"} if model is config.RayEngine else frozenset()
    also = " Beside these keys it has those of kind process." if known else ""
    lines = [f"## {name}", "", _first_line(model) + also, "", "| key | default | meaning |", "|---|---|---|"]
    for field_name, field in model.model_fields.items():
        if field_name in known:
            continue
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
        text = texts.get(field_name, "").replace("|", "\\|")
        lines.append(f"| `{field.alias}` | {default} | {text} |")
    return "\n".join([*lines, ""])


def _first_line(model: type[BaseModel]) -> str:
    return (inspect.getdoc(model) or "").splitlines()[0]


def _default(value: object) -> str:
    if value is None or value is PydanticUndefined:
        return "none"
    return "see its section" if isinstance(value, BaseModel) else f"`{json.dumps(value)}`"


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """What is written under each field, by the field's name; those that it inherits are among them."""
    texts: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            texts |= _own_texts(each)
    return {name: text for name, text in texts.items() if name in model.model_fields}  # not those of class variables


def _own_texts(model: type[BaseModel]) -> dict[str, str]:
    (body,) = (node.body for node in ast.parse(inspect.getsource(model)).body if isinstance(node, ast.ClassDef))
    texts = {}
    for field, below in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            texts[field.target.id] = " ".join(str(below.value.value).split())
    return texts


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(config_reference())

"""`freehold policy check|show|schema`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_json, print_rows
from freehold.core.errors import NotFoundError, PolicyError
from freehold.core.settings import load_settings

if TYPE_CHECKING:
    from freehold.core.policy import Facts, Finding, Policies
    from freehold.core.policy.rules import Rule
    from freehold.core.settings import Settings
    from freehold.serve.config import DeploymentConfig

app = typer.Typer(
    help="What may be pulled, promoted and served here.",
    no_args_is_help=True,
    epilog=examples("freehold policy show", "freehold policy check freehold.yaml", "freehold policy check qwen3-8b"),
)

CONFIG = Path("freehold.yaml")
StageName = Literal["pull", "promote", "rehearse", "serve"]
COLUMNS = ("name", "rule", "result", "why", "policy")

PolicyOption = Annotated[
    Path | None, typer.Option("--policy", help="Judge by this file alone, whether or not it holds here.")
]


@app.command(
    epilog=examples(
        "freehold policy check",
        "freehold policy check freehold.yaml --format json",
        "freehold policy check smollm2-135m-instruct --policy policy.yaml --at pull",
    )
)
def check(
    target: Annotated[
        str, typer.Argument(metavar="CONFIG|ARTIFACT", help="A deployment, or one artifact of the store.")
    ] = str(CONFIG),
    policy: PolicyOption = None,
    at: Annotated[StageName, typer.Option("--at", help="The step that it is judged for.")] = "serve",
    form: FormatOption = Format.TABLE,
) -> None:
    """Judge a deployment or an artifact by every rule; ends with status 10 where one is broken. Nothing is changed."""
    from freehold.core.policy import Stage

    settings = load_settings()
    config = _config(target)
    policies = _policies(settings, config, policy)
    judged = [(name, policies.judge(facts, Stage(at))) for name, facts in _facts(target, config, settings)]
    findings = [(name, finding) for name, found in judged for finding in found]
    print_rows([_row(name, finding) for name, finding in findings], COLUMNS, form)
    if broken := [f"{name}: {line}" for name, finding in findings for line in finding.lines()]:
        remedies = dict.fromkeys(finding.remedy for _, finding in findings if not finding.is_kept)
        raise PolicyError(f"{target} breaks the policy", broken, next_step=" ".join(remedies))


@app.command(epilog=examples("freehold policy show", "freehold policy show --config freehold.yaml --format json"))
def show(
    config: Annotated[
        Path | None, typer.Option(help="A deployment, whose own policy holds too; ./freehold.yaml if there is one.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Which policies hold here, and what each of their rules says."""
    from freehold.core.policy import find_policies
    from freehold.serve.config import load_config

    path = config or (CONFIG if CONFIG.is_file() else None)
    found = find_policies(load_settings(), load_config(path).policy if path else None)
    rows = [
        {"policy": str(file.path), "rule": name, "says": _said(rule)}
        for file in found
        for name, rule in file.policy.rules()
    ]
    print_rows(rows, ("policy", "rule", "says"), form, empty="No policy holds here: everything may be served.")


@app.command(epilog=examples("freehold policy schema > policy.schema.json"))
def schema() -> None:
    """Print the JSON schema of `policy.yaml`, for editors."""
    from freehold.core.policy.schema import policy_schema

    print_json(policy_schema())


def _said(rule: "Rule") -> dict[str, Any]:
    said: dict[str, Any] = rule.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return said


def _config(target: str) -> "DeploymentConfig | None":
    from freehold.serve.config import load_config

    return load_config(Path(target)) if Path(target).suffix in (".yaml", ".yml") else None


def _policies(settings: "Settings", config: "DeploymentConfig | None", own: Path | None) -> "Policies":
    """Those that hold, or the one that was named. Raises NotFoundError without any: nothing is judged by nothing."""
    from freehold.core.manifest import load_catalogue
    from freehold.core.policy import Policies, policies_here, read_policy

    if own is not None:
        return Policies((read_policy(own),), load_catalogue(settings.manifests_root))
    found = policies_here(settings, config.policy if config else None)
    if not found:
        raise NotFoundError(
            "No policy holds here",
            why=f"FREEHOLD_POLICY is not set, there is no {settings.own_policy}, and no deployment names one",
            next_step="Name one with --policy FILE. docs/policy.md shows how to write it.",
        )
    return found


def _facts(target: str, config: "DeploymentConfig | None", settings: "Settings") -> "list[tuple[str, Facts]]":
    from freehold.core.manifest import load_catalogue
    from freehold.core.policy import facts_of
    from freehold.core.store import Store
    from freehold.serve.engines.permission import facts_of_deployment

    store, catalogue = Store(settings.store_root), load_catalogue(settings.manifests_root)
    if config is not None:
        return list(facts_of_deployment(config, store, catalogue))
    artifact = store.get(target)
    return [(artifact.id, facts_of(artifact, store, catalogue))]


def _row(name: str, finding: "Finding") -> dict[str, Any]:
    result = "kept" if finding.is_kept else "broken"
    return {
        "name": name,
        "rule": finding.rule,
        "result": result if finding.is_asked else "not asked",
        "why": "; ".join(finding.problems),
        "policy": str(finding.policy),
    }

"""Libraries that a project lists: requirements, pyproject.toml, package.json and their like."""

import re
from pathlib import PurePath

from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.finding import Confidence, Kind
from freehold.evaluate.scan.knowledge import sdk_of_package
from freehold.evaluate.scan.knowledge.sdks import Sdk

REQUIREMENT = re.compile(r"^\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:[=<>!~;@#\\].*|\s*)$")
QUOTED = re.compile(r"""["'](?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:[=<>!~;@][^"']*)?["']""")
ASSIGNED = re.compile(r"^\s*[\"']?(?P<name>[A-Za-z0-9][\w.-]*)[\"']?\s*=\s*(?:[\"'{].*)$")
NPM = re.compile(
    r"""["'](?P<name>(?:@[\w.-]+/)?[\w.-]+)["']\s*:\s*["'](?:[\^~<>=v\d*]|workspace:|latest|next|npm:|catalog)"""
)
GO = re.compile(
    r"^\s*(?:require\s+)?(?P<name>github\.com/(?:sashabaranov/go-openai|openai/openai-go|anthropics/anthropic-sdk-go))\b"
)
GEM = re.compile(r"^\s*gem\s+[\"'](?P<name>ruby-openai|openai|anthropic)[\"']")
NUGET = re.compile(r"PackageReference\s+Include=[\"'](?P<name>OpenAI|Azure\.AI\.OpenAI|Anthropic(?:\.SDK)?)[\"']")
CARGO = re.compile(r"^\s*(?P<name>async-openai)\s*=")
MAVEN = re.compile(
    r"(?P<name>com\.openai:openai-java|com\.anthropic:anthropic-java|<artifactId>(?:openai|anthropic)-java)"
)

_OTHER = {
    "go-openai": "openai",
    "openai-go": "openai",
    "anthropic-sdk-go": "anthropic",
    "ruby-openai": "openai",
    "async-openai": "openai",
    "azure.ai.openai": "azure-openai",
    "anthropic.sdk": "anthropic",
    "openai-java": "openai",
    "anthropic-java": "anthropic",
}


def find_dependencies(context: Context, file: str, text: str) -> None:
    """Every library of a closed model that this file asks for; nothing in a file that lists none."""
    path = PurePath(file)
    pattern = _pattern(path)
    if pattern is None:
        return
    in_dependencies = path.name != "pyproject.toml"
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("#", "//")):
            continue
        if path.name == "pyproject.toml" and (begun := _section(line)) is not None:
            in_dependencies = begun
        match = pattern.search(line)
        found = match or (ASSIGNED.match(line) if path.name in ("pyproject.toml", "Pipfile") else None)
        if found and in_dependencies and (sdk := _sdk(found["name"])):
            confidence = Confidence.LIKELY if sdk.several else Confidence.CERTAIN
            context.add(number, Kind.SDK, sdk.id, sdk.provider, confidence)


def _pattern(path: PurePath) -> re.Pattern[str] | None:
    name = path.name.lower()
    if re.fullmatch(r".*requirements.*\.(?:txt|in)|constraints.*\.txt", name) or (
        path.suffix in (".txt", ".in") and "requirements" in path.parts
    ):
        return REQUIREMENT
    by_name = {
        "pyproject.toml": QUOTED,
        "setup.py": QUOTED,
        "setup.cfg": REQUIREMENT,
        "pipfile": QUOTED,
        "package.json": NPM,
        "go.mod": GO,
        "gemfile": GEM,
        "cargo.toml": CARGO,
        "pom.xml": MAVEN,
        "build.gradle": MAVEN,
        "build.gradle.kts": MAVEN,
    }
    if name in ("environment.yml", "environment.yaml", "meta.yaml"):
        return re.compile(r"^\s*-\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:[=<>!~].*)?$")
    return by_name.get(name) or (NUGET if name.endswith((".csproj", ".fsproj", ".props")) else None)


def _section(line: str) -> bool | None:
    """Whether a heading of pyproject.toml begins something that may list dependencies; None for another line."""
    if not (match := re.match(r"\s*\[\[?([^\]]+)\]", line)):
        return None
    heading = match[1].strip()
    return heading in ("project", "build-system") or "dependenc" in heading or heading.startswith("tool.poetry")


def _sdk(name: str) -> Sdk | None:
    from freehold.evaluate.scan.knowledge import sdks

    last = name.lower().split("/")[-1].split(":")[-1].removeprefix("<artifactid>")
    other = _OTHER.get(last)
    return sdks()[other] if other else sdk_of_package(name)

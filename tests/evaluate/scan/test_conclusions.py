"""What follows from an inventory: support, changes, candidates, and how they are shown."""

import json
from pathlib import Path
from typing import Any

import pytest
import sarif_om
from fixtures.scans import scanned

from freehold.core.manifest import load_catalogue
from freehold.core.surface import Support
from freehold.evaluate.scan.conclude import Conclusion, conclude
from freehold.evaluate.scan.report import print_inventory, sarif_log, scan_document
from freehold.evaluate.scan.scanning import Inventory

SOURCE = """
    from openai import OpenAI
    client = OpenAI()
    client.chat.completions.create(model="gpt-4o-mini-2024-07-18", tools=[], prompt_cache_key="k")
    client.beta.threads.create()
    client.embeddings.create(model="text-embedding-3-small")
    M = "nobody/knows"
    # gpt-5
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return scanned(tmp_path, app_py=SOURCE, broken_py="print 'OPENAI_API_KEY'", mentions=True)


@pytest.fixture
def conclusion(inventory: Inventory) -> Conclusion:
    return conclude(inventory.findings, load_catalogue())


def test_features_are_judged_by_the_gateways_surface(conclusion: Conclusion) -> None:
    judged = {use.id: use.support for use in conclusion.uses}
    assert judged == {
        "assistants": Support.NO,
        "tools": Support.CONDITIONS,
        "prompt_caching": Support.IGNORED,
        "chat": Support.YES,
        "embeddings": Support.YES,
    }
    assert [use.id for use in conclusion.unsupported] == ["assistants"]
    assert [place.line for place in conclusion.unsupported[0].places] == [4]


def test_a_feature_behind_another_api_wants_another_client(tmp_path: Path) -> None:
    source = "import boto3\nc = boto3.client('bedrock-runtime')\nc.converse(modelId='amazon.nova-pro-v1:0')\n"
    (use,) = conclude(scanned(tmp_path, app_py=source).findings, ()).uses
    assert (use.id, use.support) == ("bedrock", Support.NO)


def test_the_change_is_the_base_url(conclusion: Conclusion) -> None:
    (change,) = conclusion.changes
    assert change.what == "Set OPENAI_BASE_URL or pass `base_url`: the gateway's URL with /v1."
    assert [(place.file, place.line) for place in change.places] == [("app.py", 2)]


def test_candidates_are_of_the_catalogue_and_can_what_is_used(conclusion: Conclusion) -> None:
    by_name = {each.model: each for each in conclusion.replacements}
    assert set(by_name) == {"gpt-4o-mini-2024-07-18", "text-embedding-3-small"}
    chat, embedding = by_name["gpt-4o-mini-2024-07-18"], by_name["text-embedding-3-small"]
    assert (chat.known_as, chat.needs) == ("gpt-4o-mini", ("tools",))
    named = {
        manifest.id for manifest in load_catalogue() if "gpt-4o-mini" in {each.model for each in manifest.replaces}
    }
    assert named == {each.manifest.id for each in chat.candidates if each.named} != set()
    for each in chat.candidates:
        assert bool(each.lacks) == ("tools" not in each.manifest.capabilities)
    assert [bool(each.lacks) for each in chat.candidates] == sorted(bool(each.lacks) for each in chat.candidates)
    assert all("embeddings" in each.manifest.capabilities for each in embedding.candidates)


def test_the_document_is_whole_and_always_the_same(inventory: Inventory, conclusion: Conclusion) -> None:
    document = json.loads(json.dumps(scan_document(inventory, conclusion)))
    assert document == scan_document(inventory, conclude(inventory.findings, load_catalogue()))
    summary = document["summary"]
    assert (summary["places_to_change"], summary["not_supported"], summary["mentions"]) == (1, 1, 1)
    assert summary["findings"] == len(document["findings"]) == len(inventory.findings)
    assert [each["file"] for each in document["unread"]] == ["broken.py"]
    tools = next(each for each in document["findings"] if each["value"] == "tools")
    assert (tools["line"], tools["gateway"], tools["model"]) == (3, "conditions", "gpt-4o-mini-2024-07-18")


def test_the_table_names_places_candidates_and_licences(
    inventory: Inventory, conclusion: Conclusion, capsys: pytest.CaptureFixture[str]
) -> None:
    print_inventory(inventory, conclusion)
    shown = capsys.readouterr()
    assert "To change: 1 place(s) in 1 file(s)" in shown.out
    assert "Not supported by the gateway: 1 place(s)" in shown.out
    assert "app.py:4" in shown.out.split("Not supported")[1]
    best = conclusion.replacements[0].candidates[0].manifest
    assert f"{best.id}: " in shown.out
    assert best.license.spdx in shown.out
    assert "broken.py is no Python" in shown.err


def test_secrets_of_a_line_are_nowhere(tmp_path: Path) -> None:
    source = 'from openai import OpenAI\nOpenAI(api_key="sk-secret", base_url="https://u:sk-secret@api.openai.com/v1?k=sk-secret")\n'
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-secret\n")
    found = scanned(tmp_path, app_py=source)
    concluded = conclude(found.findings, load_catalogue())
    assert "sk-secret" not in json.dumps([scan_document(found, concluded), sarif_log(found, "1")])


# The object model that Microsoft generates from the official schema, class by class: unknown and missing properties
# are refused by the constructors.
CLASSES: dict[str, Any] = {
    "runs": sarif_om.Run,
    "tool": sarif_om.Tool,
    "driver": sarif_om.ToolComponent,
    "rules": sarif_om.ReportingDescriptor,
    "shortDescription": sarif_om.MultiformatMessageString,
    "help": sarif_om.MultiformatMessageString,
    "invocations": sarif_om.Invocation,
    "toolExecutionNotifications": sarif_om.Notification,
    "results": sarif_om.Result,
    "message": sarif_om.Message,
    "description": sarif_om.Message,
    "locations": sarif_om.Location,
    "physicalLocation": sarif_om.PhysicalLocation,
    "artifactLocation": sarif_om.ArtifactLocation,
    "SRCROOT": sarif_om.ArtifactLocation,
    "region": sarif_om.Region,
}
OPEN = {"originalUriBaseIds", "partialFingerprints", "properties"}


def sarif_problems(value: Any, kind: Any, where: str = "$") -> list[str]:
    """What the object model refuses."""
    fields = {each.metadata["schema_property_name"]: each.name for each in kind.__attrs_attrs__}
    problems = [f"{where}.{key} is unknown" for key in value if key not in fields]
    try:
        kind(**{fields[key]: each for key, each in value.items() if key in fields})
    except TypeError as error:
        problems.append(f"{where}: {error}")
    for key, each in value.items():
        inner = each if isinstance(each, list) else [each]
        for index, one in enumerate(inner):
            if isinstance(one, dict) and key not in OPEN:
                problems += sarif_problems(one, CLASSES[key], f"{where}.{key}[{index}]")
    return problems


def test_the_log_is_sarif(inventory: Inventory) -> None:
    log = json.loads(json.dumps(sarif_log(inventory, "1.2.3")))
    assert sarif_problems(log, sarif_om.SarifLog) == []
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert len(run["results"]) == len(inventory.findings)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("note", "warning", "error")
        place = result["locations"][0]["physicalLocation"]
        assert place["region"]["startLine"] >= 1
        assert not place["artifactLocation"]["uri"].startswith("/")
        assert 0 <= result["rank"] <= 100
    levels = {(each["ruleId"], each["level"]) for each in run["results"]}
    assert {("feature/assistants", "error"), ("client", "warning"), ("feature/tools", "note")} <= levels
    prints = [each["partialFingerprints"]["freeholdScan/v1"] for each in run["results"]]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize("planted", ["result", "tool", "rule"])
def test_a_log_that_is_no_sarif_is_refused(planted: str, inventory: Inventory) -> None:
    log = sarif_log(inventory, "1.2.3")
    run = log["runs"][0]
    if planted == "result":
        run["results"][0]["ruleID"] = "x"
    elif planted == "tool":
        del run["tool"]["driver"]["name"]
    else:
        del run["tool"]["driver"]["rules"][0]["id"]
    assert sarif_problems(log, sarif_om.SarifLog)


def test_a_fingerprint_outlives_lines_above_it(tmp_path: Path) -> None:
    def prints(source: str) -> set[str]:
        (tmp_path / "a.py").write_text(source)
        results = sarif_log(scanned(tmp_path), "1")["runs"][0]["results"]
        return {each["partialFingerprints"]["freeholdScan/v1"] for each in results}

    assert prints("m = 'gpt-4o'\n") == prints("\n\nm = 'gpt-4o'\n") != prints("m = 'gpt-4'\n")

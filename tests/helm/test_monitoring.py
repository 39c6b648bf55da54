"""Alerts and dashboards ask for what is really measured, and each alert is explained to whoever it wakes."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml
from fixtures.chart.rendering import CHART, ROOT, SCENARIOS, Object, Packaged

SOURCES = ROOT / "serve" / "freehold" / "serve"
SUFFIXES = re.compile(r"_(total|bucket|sum|count)$")
ALERTS: list[Object] = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
RULES = [rule for group in ALERTS for rule in group["rules"]]
PAGE = (ROOT / "docs" / "operations.md").read_text()


def _asked(text: str) -> set[str]:
    """Metrics in a text, without what Prometheus' client appends."""
    return {SUFFIXES.sub("", name) for name in re.findall(r"\b(?:freehold_[a-z_]+|vllm:[a-z_]+)\b(?!=)", text)}


def _texts() -> dict[str, str]:
    texts = {rule["alert"]: rule["expr"] for rule in RULES}
    for path in (CHART / "dashboards").glob("*.json"):
        targets = [target["expr"] for panel in json.loads(path.read_text())["panels"] for target in panel["targets"]]
        texts[path.name] = "\n".join(targets)
    texts["autoscaler"] = (CHART / "templates" / "engines" / "autoscaler.yaml").read_text()
    return texts


LABELS = {"freehold_release", "freehold_component"}


def _measured() -> set[str]:
    """Names in the gateway's sources: whole ones, and those that are put together of a loop's names."""
    code = "\n".join(path.read_text() for path in SOURCES.rglob("*.py"))
    whole = set(re.findall(r'"(freehold_[a-z_]+)"', code))
    metrics = (SOURCES / "gateway" / "metrics.py").read_text()
    return whole | {f"freehold_{name}" for name in re.findall(r'"([a-z_]+)"', metrics)}


def _unknown(texts: dict[str, str]) -> set[str]:
    asked = {name for text in texts.values() for name in _asked(text) if name.startswith("freehold_")}
    return asked - LABELS - _measured()


def test_what_is_asked_of_the_gateway_is_measured() -> None:
    assert len({name for text in _texts().values() for name in _asked(text)}) > 20
    assert _unknown(_texts()) == set()


def test_a_metric_that_nobody_measures_is_caught() -> None:
    assert _unknown({"Planted": "rate(freehold_requsts_total[5m])"}) == {"freehold_requsts"}


def test_what_is_asked_of_engines_is_measured() -> None:
    spec = importlib.util.find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("vLLM is not installed")
    code = "\n".join(
        path.read_text() for path in (Path(spec.submodule_search_locations[0]) / "v1" / "metrics").glob("*.py")
    )
    measured = set(re.findall(r'"(vllm:[a-z_]+)"', code))
    asked = {name for text in _texts().values() for name in _asked(text) if name.startswith("vllm:")}
    assert asked - {SUFFIXES.sub("", name) for name in measured} == set()
    assert asked


def test_every_series_is_of_this_release() -> None:
    """But for what Kubernetes itself measures, which is told by namespace and name."""
    for rule in RULES:
        for selector in re.findall(r"(?:freehold_[a-z_]+|vllm:[a-z_]+|\bup)(\{[^}]*\})?", rule["expr"]):
            if "freehold_component" not in rule["expr"] or selector:
                assert selector.startswith("{SELECTOR") or "kube" in rule["expr"], rule["alert"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_says_what_to_do(rule: Object) -> None:
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "runbook"}
    assert len(rule["annotations"]["runbook"]) > 60
    assert f"\n### {rule['alert']}\n" in PAGE


def test_the_page_explains_no_alert_that_there_is_not() -> None:
    assert set(re.findall(r"^### (Freehold\w+)$", PAGE, re.MULTILINE)) == {rule["alert"] for rule in RULES}


def _expressions(objects: list[Object]) -> list[str]:
    (rules,) = (each for each in objects if each["kind"] == "PrometheusRule")
    return [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_left_to_put_in(chart: Packaged, name: str) -> None:
    render = chart.render(name)
    assert not re.search(
        r"SELECTOR|THRESHOLD|SLEEPERS|NAMESPACE|FULLNAME|RELEASE", "\n".join(_expressions(render.objects))
    )
    for each in render.of("ConfigMap"):
        if "-dashboard-" in each["metadata"]["name"]:
            (text,) = each["data"].values()
            dashboard = json.loads(text)
            assert "(rel)" in dashboard["title"]
            assert "SELECTOR" not in text and "RELEASE" not in text


def test_runbooks_are_linked(chart: Packaged) -> None:
    (rules,) = chart.render("minimal").of("PrometheusRule")
    links = {rule["annotations"]["runbook_url"] for group in rules["spec"]["groups"] for rule in group["rules"]}
    assert {link.partition("#")[2] for link in links} == {rule["alert"].lower() for rule in RULES}


def test_thresholds_are_the_users(chart: Packaged) -> None:
    render = chart.render("minimal", "--set", "monitoring.rules.thresholds.queue=77")
    assert any(expression.endswith("> 77") for expression in _expressions(render.objects))


def test_without_the_operator_nothing_of_it_is_rendered(chart: Packaged) -> None:
    kinds = {each["kind"] for each in chart.render("minimal", apis=()).objects}
    assert kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule"} == set()
    assert "ConfigMap" in kinds

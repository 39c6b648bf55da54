"""The report as one page with nothing from elsewhere."""

from importlib.resources import files

import jinja2

from freehold.core.chart.page import STYLE
from freehold.serve.compliance import wording
from freehold.serve.compliance.document import Report

TEMPLATE = "page.html.jinja"


def as_page(report: Report) -> str:
    """HTML. Every text of a lineage, a config or a manifest is escaped."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files("freehold.serve.compliance").joinpath(TEMPLATE).read_text())
    return template.render(
        report=report,
        style=STYLE,
        head=wording.HEAD,
        summary=wording.summary,
        license_text=wording.license_text,
        commercial_text=wording.commercial_text,
        origin_text=wording.origin_text,
        files_text=wording.files_text,
        day=wording.day,
        findings=wording.findings(report),
    )

"""How an inventory is shown: a table, one JSON document, or SARIF."""

from freehold.evaluate.scan.report.document import scan_document
from freehold.evaluate.scan.report.sarif import sarif_log
from freehold.evaluate.scan.report.table import print_inventory

__all__ = ["print_inventory", "sarif_log", "scan_document"]

"""`freehold dataset show`: examples as they are understood, or as the model would learn them."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from freehold.core.cli.output import print_json
from freehold.core.dataset.examples import Example
from freehold.core.dataset.reading import Scan
from freehold.core.dataset.sources.opening import open_sources
from freehold.core.errors import UserError
from freehold.core.quiet import quiet_libraries
from freehold.core.settings import Settings
from freehold.core.store import Artifact
from freehold.finetune.checking.display import MaskPrinter, mask_document
from freehold.finetune.checking.tokens import mask_any
from freehold.finetune.masking import load_masker


def first_examples(
    sources: Sequence[str], data_format: str, count: int, line: int, settings: Settings
) -> list[Example]:
    """The first examples from a line on. Raises UserError with the problems where there is none."""
    found: list[Example] = []
    problems: list[str] = []
    for findings, example in Scan(open_sources(sources, settings), data_format)():
        if findings.origin.line < line:
            continue
        if example is None:
            problems += map(str, findings.problems)
        else:
            found.append(example)
        if len(found) == count:
            break
    if not found:
        why = "\n".join(problems[:count]) or f"nothing from line {line} on"
        raise UserError(
            "There is no example to show", why=why, next_step="`freehold dataset check` lists every problem."
        )
    return found


def print_examples(found: Sequence[Example], *, as_json: bool) -> None:
    """Messages as templates get them."""
    documents = [_document(example) for example in found]
    if as_json:
        print_json(documents)
        return
    for example, document in zip(found, documents, strict=True):
        print(f"--- {example.origin}")
        for name, value in document.items():
            if name == "origin" or not value:
                continue
            print(f"{name}:")
            for item in value if isinstance(value, tuple) else (value,):
                print(f"  {_line(item)}")


def print_masks(artifact: Artifact, found: Sequence[Example], *, as_json: bool) -> None:
    """Tokens, and which are learnt. Raises TemplateError where the template cannot tell."""
    with quiet_libraries():
        masker = load_masker(artifact.path, allow_remote_code="remote-code" in artifact.lineage.allowed)
        masks = [masked for example in found for masked in mask_any(masker, example)]
    if as_json:
        print_json([mask_document(masker, masked) for masked in masks])
        return
    printer = MaskPrinter()
    for masked in masks:
        printer.show(masker, masked)


def _document(example: Example) -> dict[str, Any]:
    document = {field.name: getattr(example, field.name) for field in fields(example)}
    return document | {"origin": {"source": example.origin.source, "line": example.origin.line}}


def _line(item: Any) -> str:
    if isinstance(item, dict) and "role" in item:
        rest = {name: value for name, value in item.items() if name not in ("role", "content")}
        return f"{item['role']}: {item['content']}" + (f" {rest}" if rest else "")
    return str(item)

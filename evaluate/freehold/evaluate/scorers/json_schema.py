"""`json-schema`: the answer is JSON of a schema, and, if asked, the expected document."""

import json
import re
from typing import Any, Literal

from jsonschema import SchemaError
from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for
from pydantic import Field, field_validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.results.record import Score
from freehold.evaluate.scorers.comparing import as_json, same
from freehold.evaluate.scorers.scorer import Ask, Sample, Scorer, shortened, verdict

_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


class JsonSchema(Scorer):
    """Which draft it is, the schema's `$schema` says; 2020-12 without. Nothing is fetched for a `$ref`."""

    kind: Literal["json-schema"]
    document_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    """The same for all prompts; none means that each prompt's `expected` is its schema."""
    equal: bool = False
    """The document must also be the prompt's `expected`; needs `schema`."""
    fenced: bool = False
    """Take a document in a Markdown fence too; nothing else may stand around it."""

    @field_validator("document_schema")
    @classmethod
    def _is_schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and (problem := _fault(value)):
            raise ValueError(problem)
        return value

    def lack(self, prompt: Prompt) -> str:
        if self.document_schema is None:
            if not isinstance(prompt.expected, dict):
                return "expected must be a JSON schema, or the scorer needs one"
            return "`equal` needs the scorer's own schema" if self.equal else _fault(prompt.expected)
        return "expected must be the document that `equal` asks for" if self.equal and prompt.expected is None else ""

    async def score(self, sample: Sample, ask: Ask) -> Score:
        text = sample.reply.text
        if self.fenced and (found := _FENCED.match(text)):
            text = found[1]
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            return Score(value=0, why=f"no JSON ({error}): {shortened(text)}")
        schema = sample.prompt.expected if self.document_schema is None else self.document_schema
        try:
            errors = list(validator_for(schema)(schema, registry=Registry()).iter_errors(document))
        except Unresolvable as error:
            return Score(value=0, why=f"the schema refers to what is not in it: {shortened(error)}")
        if worst := best_match(errors):
            return Score(value=0, why=f"{worst.json_path}: {shortened(worst.message)}")
        if self.equal:
            expected = sample.prompt.expected
            return verdict(same(document, expected), as_json(expected), as_json(document))
        return Score(value=1, why="of the schema")


def _fault(schema: dict[str, Any]) -> str:
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        return f"it is no JSON schema: {error.json_path}: {error.message}"
    return ""

"""The kinds of scorers."""

from typing import Annotated

from pydantic import Discriminator

from freehold.evaluate.scorers.code import Code
from freehold.evaluate.scorers.exact import Exact
from freehold.evaluate.scorers.harness import Harness
from freehold.evaluate.scorers.json_schema import JsonSchema
from freehold.evaluate.scorers.numeric import Numeric
from freehold.evaluate.scorers.regex import Regex
from freehold.evaluate.scorers.rubric import Rubric
from freehold.evaluate.scorers.scorer import Scorer
from freehold.evaluate.scorers.similarity import Similarity
from freehold.evaluate.scorers.tool_calls import ToolCalls

AnyScorer = Annotated[
    Exact | Regex | JsonSchema | ToolCalls | Numeric | Code | Similarity | Rubric | Harness, Discriminator("kind")
]

SCORERS: dict[str, type[Scorer]] = {
    "exact": Exact,
    "regex": Regex,
    "json-schema": JsonSchema,
    "tool-calls": ToolCalls,
    "numeric": Numeric,
    "code": Code,
    "similarity": Similarity,
    "rubric": Rubric,
    "harness": Harness,
}
"""By `kind`."""

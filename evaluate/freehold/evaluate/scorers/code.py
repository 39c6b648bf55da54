"""`code`: the answer's Python passes the prompt's tests, in a sandbox."""

import re
import secrets
from typing import Literal

from pydantic import Field

from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.results.record import Score
from freehold.evaluate.scorers.sandbox.running import Ended, Limits, obstacle, run
from freehold.evaluate.scorers.scorer import Ask, Sample, Scorer, shortened

_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)


class Code(Scorer):
    """`expected` is Python that runs after the answer's code, and raises where that is wrong."""

    kind: Literal["code"]
    sandbox: Literal["namespaces", "process"] = "namespaces"
    """`namespaces`: no network, no files but Python's own, no other processes, no rights (Linux). `process`: limits of
    time and memory alone; the code can read your files and use your network, so say so only where that is all right."""
    wall_s: float = Field(default=10.0, gt=0)
    """Longest that it may run."""
    memory_mib: int = Field(default=512, ge=64)
    """Most memory (address space) of a process."""
    setup: str = ""
    """Python that runs before the answer's code."""

    def lack(self, prompt: Prompt) -> str:
        return "" if isinstance(prompt.expected, str) and prompt.expected.strip() else "expected must be Python tests"

    def obstacle(self) -> str:
        if not (why := obstacle(self.sandbox)):
            return ""
        return f"no sandbox on this machine: {why}; `sandbox: process` runs the code with your own rights"

    async def score(self, sample: Sample, ask: Ask) -> Score:
        code = _code(sample.reply.text)
        # A program that ends early, as by sys.exit(0), never comes to this line.
        passed = secrets.token_hex(16)
        program = "\n".join([self.setup, code, str(sample.prompt.expected), f"print({passed!r})", ""])
        ended = await run(program, Limits(self.wall_s, self.memory_mib * 1024 * 1024), self.sandbox)
        if ended.status == 0 and passed in ended.output.splitlines():
            return Score(value=1, why="passes the tests")
        return Score(value=0, why=_why(ended))


def _code(text: str) -> str:
    """All blocks of Python in the text; the text itself where there are none."""
    blocks = _BLOCK.findall(text)
    return "\n".join(blocks) if blocks else text


def _why(ended: Ended) -> str:
    if ended.stopped:
        return ended.stopped
    lines = [line for line in ended.errors.splitlines() if line.strip()]
    if lines:
        return shortened(lines[-1])
    return f"it ended with status {ended.status}, before the tests were through"

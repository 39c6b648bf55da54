"""The demo's course: plan, pull, tune, parity, quantize, quality, evaluate, serve; then the sum of it all."""

import asyncio
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from freehold.core.cli.options import Format
from freehold.core.cli.output import print_rows
from freehold.core.progress import hint
from freehold.core.settings import Settings
from freehold.core.store import Artifact
from freehold.serve.config import DeploymentConfig, parse_config
from freehold.serve.demonstration.asking import ask
from freehold.serve.demonstration.console import ADMIN_KEY, admin_key, console_of
from freehold.serve.demonstration.evaluating import evaluate
from freehold.serve.demonstration.planning import CONTEXT, plan_here
from freehold.serve.demonstration.pulling import pull_verified
from freehold.serve.demonstration.quantizing import compared, judge, quantize
from freehold.serve.demonstration.stages import Stages
from freehold.serve.demonstration.tuning import ADAPTER, QUESTION, prove, tune
from freehold.serve.running import Deployment, serving

MODEL = "smollm2-135m-instruct"
COLUMNS = ("stage", "seconds", "evidence")


@dataclass(frozen=True)
class Wishes:
    """What of the demo is wanted."""

    question: str
    port: int
    """Of the gateway; 0 takes a free one."""
    keep: bool
    """Go on serving until a signal comes."""
    tunes: bool = True
    quantizes: bool = True
    evaluates: bool = True
    """Only what is tuned can be held against its base."""
    form: Format = Format.TABLE

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of what is gone through, in order."""
        tuning = ("tune", "parity") if self.tunes else ()
        quantizing = ("quantize", "quality") if self.quantizes else ()
        evaluating = ("evaluate",) if self.tunes and self.evaluates else ()
        return ("plan", "pull", *tuning, *quantizing, *evaluating, "serve")


def demonstrate(settings: Settings, wishes: Wishes) -> None:
    """Go through the stages and print what came of them.

    Raises what any of them raises, and KeyboardInterrupt when a signal came before the last.
    """
    import uvloop

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a pull that is stopped clears up
    stages = Stages(wishes.stages)
    with stages.stage("plan") as stage:
        plan_here(MODEL, 1 + wishes.quantizes, settings, stage)
    with stages.stage("pull") as stage:
        artifact = pull_verified(MODEL, settings, stage)
    uvloop.run(_until_stopped(_Journey(settings, wishes, stages, artifact)))


async def _until_stopped(journey: "_Journey") -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    going = asyncio.create_task(journey.go())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({going, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if going.done():
        going.result()
        return
    going.cancel()
    with suppress(asyncio.CancelledError):
        await going
    if not journey.is_told:
        hint("Stopped before the end.")
        raise KeyboardInterrupt


class _Journey:
    """What comes after the pull, in one event loop: each stage ends with the task."""

    def __init__(self, settings: Settings, wishes: Wishes, stages: Stages, base: Artifact) -> None:
        self._settings = settings
        self._wishes = wishes
        self._stages = stages
        self._base = base
        self._small: Artifact | None = None
        self.is_told = False
        """Whether the summary has been printed."""

    async def go(self) -> None:
        """Make what is to be served, serve it, ask it."""
        adapter = await self._tune() if self._wishes.tunes else None
        self._small = await self._quantize() if self._wishes.quantizes else None
        async with serving(self._config(adapter), self._settings) as deployment:
            if "evaluate" in self._wishes.stages:
                await self._evaluate(deployment)
            await self._serve(deployment, asks_adapter=adapter is not None)
            self._sum_up()
            await self._say_where(deployment.url)
            self.is_told = True
            if self._wishes.keep:
                await asyncio.Event().wait()  # until the task is cancelled

    async def _tune(self) -> Artifact:
        with self._stages.stage("tune") as stage:
            adapter = await tune(self._base, self._settings, stage)
        with self._stages.stage("parity") as stage:
            await prove(adapter, self._settings, stage)
        return adapter

    async def _quantize(self) -> Artifact:
        with self._stages.stage("quantize") as stage:
            made = await quantize(self._base, self._settings, stage)
        with self._stages.stage("quality") as stage:
            await judge(made, self._settings, stage)
        return made

    def _config(self, adapter: Artifact | None) -> DeploymentConfig:
        engine = {"maxModelLen": CONTEXT}
        model: dict[str, Any] = {"artifact": self._base.id, "engine": engine}
        if adapter is not None:
            model["adapters"] = {ADAPTER: {"artifact": adapter.id}}
        models = {MODEL: model}
        if self._small is not None:
            models[self._small.name] = {"artifact": self._small.id, "engine": engine}
        admin_key()
        gateway = {"port": self._wishes.port, "adminKeyFrom": {"env": ADMIN_KEY}}
        return parse_config({"models": models, "gateway": gateway}, "The demo")

    async def _evaluate(self, deployment: Deployment) -> None:
        """The engines that are started for it go on to serve."""
        with self._stages.stage("evaluate") as stage:
            await deployment.until_ready()
            await evaluate(MODEL, deployment.url, self._settings, stage)

    async def _serve(self, deployment: Deployment, *, asks_adapter: bool) -> None:
        with self._stages.stage("serve") as stage:
            await deployment.until_ready()
            question = self._wishes.question
            answer = await ask(deployment.url, MODEL, question)
            self._show(MODEL, question, answer.text)
            if self._small is not None:
                told = await ask(deployment.url, self._small.name, question)
                self._show(f"{self._small.name}, {compared(self._base, self._small)}", question, told.text)
            for name in (MODEL, ADAPTER) if asks_adapter else ():
                self._show(name, QUESTION, (await ask(deployment.url, name, QUESTION)).text)
            stage.tell(
                f"first of {answer.completion_tokens} tokens after {answer.first_token_s * 1000:.0f} ms, then "
                f"{answer.tokens_per_s:.1f} tokens/s, system_fingerprint {answer.fingerprint}",
                first_token_s=answer.first_token_s,
                tokens_per_s=answer.tokens_per_s,
                system_fingerprint=answer.fingerprint,
                answer=answer.text,
            )

    def _show(self, name: str, question: str, text: str) -> None:
        """On stdout, unless that is a document."""
        told = f"\n{name}> {question}\n{text}"
        if self._wishes.form is Format.TABLE:
            print(told, flush=True)
        else:
            hint(told)

    def _sum_up(self) -> None:
        if self._wishes.form is Format.TABLE:
            print()
        print_rows(self._stages.rows(), COLUMNS, self._wishes.form)
        sys.stdout.flush()

    async def _say_where(self, url: str) -> None:
        console = await console_of(url)
        if self._wishes.keep:
            hint(_what_to_try(url, self._wishes.question))
            if console:
                hint(f"Console: {console} (sign in with the key {admin_key()})")
            hint(f"Serving on {url} until Ctrl-C.")
        else:
            hint(f"`freehold demo --keep` goes on serving{', and its console' if console else ''}.")


def _what_to_try(url: str, question: str) -> str:
    return f"""
From another terminal:

  curl {url}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "{question}"}}]}}'

  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="none")
  reply = client.chat.completions.create(
      model="{MODEL}", messages=[{{"role": "user", "content": "{question}"}}])
  print(reply.choices[0].message.content)
"""

"""Libraries through which programs reach closed models: `sdks.yaml`."""

import re
from functools import cache
from typing import Literal

from freehold.core.manifest.data import Data
from freehold.evaluate.scan.knowledge.data import read_data

Language = Literal["python", "javascript"]


class Sdk(Data):
    """One library, by its id in `sdks.yaml`."""

    id: str
    provider: str
    dialect: Literal["openai", "anthropic", "own"]
    modules: dict[Language, tuple[str, ...]]
    packages: tuple[str, ...]
    clients: dict[str, str]
    methods: str = "none"
    variable: str = ""
    several: bool = False
    change: str = ""
    itself: str = ""
    """Of a client that is a function: the API that its call asks."""

    @property
    def is_foreign(self) -> bool:
        """Its API is another than OpenAI's and Anthropic's; those of clouds that host them differ in paths only."""
        return self.dialect == "own" and self.methods not in ("openai", "anthropic", "cohere")


@cache
def sdks() -> dict[str, Sdk]:
    """By id."""
    return {name: Sdk(id=name, **entry) for name, entry in read_data("sdks").items()}


@cache
def sdk_of_module(module: str, language: Language) -> Sdk | None:
    """The one whose module, or a part of whose module, this is; the longest of several."""
    found = [
        (len(prefix), sdk)
        for sdk in sdks().values()
        for prefix in sdk.modules.get(language, ())
        if module == prefix or module.startswith(f"{prefix}{'.' if language == 'python' else '/'}")
    ]
    return max(found, key=lambda each: each[0])[1] if found else None


@cache
def _packages() -> dict[str, Sdk]:
    return {_normal(package): sdk for sdk in sdks().values() for package in sdk.packages}


def sdk_of_package(package: str) -> Sdk | None:
    """The one that PyPI or npm calls so."""
    return _packages().get(_normal(package))


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package.lower()) if not package.startswith("@") else package.lower()


@cache
def others() -> frozenset[str]:
    """Modules whose calls look alike and which reach open models."""
    return frozenset(read_data("others"))


OTHER_CLASSES = {
    "openai": ("azure-openai", ("AzureOpenAI", "AsyncAzureOpenAI")),
    "anthropic": (
        "anthropic-cloud",
        (
            "AnthropicBedrock",
            "AsyncAnthropicBedrock",
            "AnthropicVertex",
            "AsyncAnthropicVertex",
            "AnthropicFoundry",
            "AsyncAnthropicFoundry",
            "AnthropicBedrockMantle",
            "AsyncAnthropicBedrockMantle",
        ),
    ),
    "langchain-openai": ("langchain-azure", ("AzureChatOpenAI", "AzureOpenAI", "AzureOpenAIEmbeddings")),
}
"""Classes of a library that reach the same models in another way: by the library, which one they belong to."""


def sdk_of_class(sdk: Sdk, name: str) -> Sdk:
    """The library, or the entry for its class that goes to another cloud."""
    other, names = OTHER_CLASSES.get(sdk.id, ("", ()))
    return sdks()[other] if name in names else sdk

"""Clients that a program makes, and whether they are pointed at another server already."""

import re

from freehold.evaluate.scan.detect.constants import items, values
from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.detect.meaning import Meaning, bedrock_of, class_of, named_service
from freehold.evaluate.scan.finding import Kind
from freehold.evaluate.scan.knowledge import find_endpoints
from freehold.evaluate.scan.knowledge.sdks import Sdk, sdk_of_class
from freehold.evaluate.scan.program import Used
from freehold.evaluate.scan.program.values import Call, Constant, Item, Joined, Record

BASES = frozenset(
    [
        "base_url",
        "baseURL",
        "basePath",
        "baseUrl",
        "api_base",
        "apiBase",
        "openai_api_base",
        "anthropic_api_url",
        "anthropicApiUrl",
        "api_base_url",
        "endpoint",
        "server_url",
        "serverURL",
        "azure_endpoint",
        "azureEndpoint",
        "openai_proxy",
    ]
)
"""Arguments that say which server a client asks."""


def find_client(context: Context, used: Used, meant: Meaning) -> bool:
    """Add the client that this call makes, if it makes one."""
    if meant.is_client or not meant.rest:
        return False
    name = class_of(meant)
    sdk = sdk_of_class(meant.sdk, name)
    if name not in sdk.clients:
        return False
    base = base_of(used)
    settled = base is not None and _is_elsewhere(base, used)
    change = "" if settled else change_of(sdk, context, base)
    context.add(used.call.line, Kind.CLIENT, name, sdk.provider, change=change, settled=settled)
    return True


def find_bedrock(context: Context, used: Used) -> bool:
    """`boto3.client("bedrock-runtime")` names its service, not a class."""
    if used.call.callee[-1] != "client" or not (sdk := bedrock_of(used.call)):
        return False
    context.imported[sdk.id] = sdk
    service = next(str(each.value) for each in named_service(used.call))
    context.add(used.call.line, Kind.CLIENT, service, sdk.provider, change=sdk.change)
    return True


def base_of(used: Used) -> Item | None:
    """The argument that says which server, its own or in a `configuration`."""
    for item in items(used.call.keywords, used.scope):
        if item.key in BASES:
            return item
        if item.key in ("configuration", "clientOptions", "client_options"):
            for each in values(item.value, used.scope):
                inner = items(each, used.scope) if isinstance(each, Record) else []
                if found := next((one for one in inner if one.key in BASES), None):
                    return found
    return None


def is_settled(used: Used) -> bool:
    """Whether the client is pointed at a server that is no closed model's."""
    base = base_of(used)
    return base is not None and _is_elsewhere(base, used)


def is_elsewhere_call(call: Call, used: Used) -> bool:
    """The same of another call that makes the client."""
    return is_settled(Used(call, used.scope))


_URL = re.compile(r"https?://", re.IGNORECASE)


def _is_elsewhere(base: Item, used: Used) -> bool:
    """A server that it may be is known, and none that is known is a closed model's."""
    found = values(base.value, used.scope)
    texts = [each.value for each in found if isinstance(each, Constant) and isinstance(each.value, str)]
    for each in found:
        if isinstance(each, Joined):
            first = each.parts[0]
            texts += [first.value] if isinstance(first, Constant) and isinstance(first.value, str) else []
    return bool(texts) and all(_URL.match(text) and not find_endpoints(text) for text in texts)


def change_of(sdk: Sdk, context: Context, base: Item | None) -> str:
    """What to do at a client of this library."""
    if sdk.dialect == "own":
        return sdk.change
    argument = _argument(sdk, context)
    if base is not None and isinstance(base.value, Constant):
        told = f"Set `{base.key}` to the gateway's URL."
    elif base is not None:
        told = f"Give `{base.key}` the gateway's URL where its value is set."
    else:
        by_variable = f"Set {sdk.variable}" if sdk.variable else ""
        by_argument = f"pass `{argument}`" if argument else ""
        told = " or ".join(each for each in (by_variable, by_argument) if each)
        told = f"{told[:1].upper()}{told[1:]}: the gateway's URL{_suffix(sdk)}." if told else ""
    return " ".join(each for each in (told, sdk.change) if each)


def _argument(sdk: Sdk, context: Context) -> str:
    name = next((argument for argument in sdk.clients.values() if argument), "")
    if context.language == "javascript" and name == "base_url":
        return "configuration: { baseURL }" if sdk.id == "langchain-openai" else "baseURL"
    return name


def _suffix(sdk: Sdk) -> str:
    """Anthropic's clients add /v1 by themselves."""
    return " without /v1" if sdk.dialect == "anthropic" and sdk.id != "ai-sdk-anthropic" else " with /v1"

"""What the scanner knows of libraries, calls, parameters, model names, hosts and variables: data, and its reading."""

from freehold.evaluate.scan.knowledge.endpoints import Endpoint, find_endpoints
from freehold.evaluate.scan.knowledge.models import ClosedName, ClosedNames
from freehold.evaluate.scan.knowledge.sdks import Sdk, sdk_of_module, sdk_of_package, sdks
from freehold.evaluate.scan.knowledge.usage import methods, parameters
from freehold.evaluate.scan.knowledge.variables import Variable, variables

__all__ = [
    "ClosedName",
    "ClosedNames",
    "Endpoint",
    "Sdk",
    "Variable",
    "find_endpoints",
    "methods",
    "parameters",
    "sdk_of_module",
    "sdk_of_package",
    "sdks",
    "variables",
]

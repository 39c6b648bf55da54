"""Python, by its own parser."""

from freehold.evaluate.scan.detect import detect
from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.knowledge import ClosedNames
from freehold.evaluate.scan.program.python import read_python
from freehold.evaluate.scan.readers.dependencies import find_dependencies
from freehold.evaluate.scan.readers.pattern import by_pattern
from freehold.evaluate.scan.readers.reader import Reading


class PythonReader:
    """`.py` and `.pyi`."""

    name = "Python"

    def read(self, file: str, text: str, names: ClosedNames) -> Reading:
        try:
            program = read_python(text)
        except SyntaxError as error:
            problem = f"is no Python {_version()}: {error.msg}, line {error.lineno}"
            return Reading(by_pattern(file, text, names), problem)
        except (ValueError, RecursionError, MemoryError) as error:
            return Reading(by_pattern(file, text, names), f"cannot be parsed: {error}")
        found = list(detect(file, program, "python", names))
        if file.rpartition("/")[2] == "setup.py":
            listed = Context(file, program, "python", names)
            find_dependencies(listed, file, text)
            found += listed.results()
        return Reading(found)


def _version() -> str:
    import platform

    return ".".join(platform.python_version_tuple()[:2])

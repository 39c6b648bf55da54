"""JavaScript and TypeScript, by tree-sitter's grammars."""

from pathlib import PurePath

from freehold.evaluate.scan.detect import detect
from freehold.evaluate.scan.knowledge import ClosedNames
from freehold.evaluate.scan.readers.pattern import by_pattern
from freehold.evaluate.scan.readers.reader import Reading


class JavaScriptReader:
    """`.js`, `.ts` and their variants."""

    name = "JavaScript and TypeScript"

    def read(self, file: str, text: str, names: ClosedNames) -> Reading:
        from freehold.evaluate.scan.program.javascript import read_javascript

        try:
            program, error = read_javascript(text, PurePath(file).suffix.lower())
        except RecursionError:
            return Reading(by_pattern(file, text, names), "is nested too deeply to be parsed")
        if error:
            problem = f"has an error of syntax in line {error}"
            parsed = list(detect(file, program, "javascript", names))
            known = {(each.line, each.kind, each.value) for each in parsed}
            missed = [each for each in by_pattern(file, text, names) if (each.line, each.kind, each.value) not in known]
            return Reading([*parsed, *missed], problem)
        return Reading(detect(file, program, "javascript", names))

"""Documents: what they speak of is a mention."""

from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.detect.texts import find_mentions
from freehold.evaluate.scan.knowledge import ClosedNames
from freehold.evaluate.scan.program import Place, Program, Text
from freehold.evaluate.scan.readers.reader import Reading


class ProseReader:
    """Markdown, reStructuredText, plain text."""

    name = "documents"

    def read(self, file: str, text: str, names: ClosedNames) -> Reading:
        context = Context(file, Program(), "python", names)
        find_mentions(context, Text(1, text, Place.PROSE))
        return Reading(context.results())

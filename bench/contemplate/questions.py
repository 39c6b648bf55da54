"""Questions of which SmolLM2-135M knows some: sums of digits, and capitals of countries.

Each begins with two solved examples, so that all answers have one form and one line, by which they are compared.
"""

import itertools
import re
from dataclasses import dataclass

_SUM = """\
Q: What is 4 + 3?
A: 4 + 3 = 7

Q: What is 6 + 8?
A: 6 + 8 = 14

Q: What is {a} + {b}?
A:"""
_CAPITAL = """\
Q: What is the capital of Norway?
A: The capital of Norway is Oslo.

Q: What is the capital of Peru?
A: The capital of Peru is Lima.

Q: What is the capital of {country}?
A:"""

PATTERNS = {"sums": r"= *(\d+)", "capitals": r"\bis (?:the city of )?([A-Z][\w' -]+)"}
"""What counts as an answer, by slice: for the gateway's vote and for the score alike."""

_CAPITALS = """
Argentina Buenos Aires|Australia Canberra|Austria Vienna|Belgium Brussels|Bolivia Sucre|Brazil Brasilia|Canada Ottawa
|Chile Santiago|China Beijing|Colombia Bogota|Cuba Havana|Denmark Copenhagen|Ecuador Quito|Egypt Cairo|Finland Helsinki
|France Paris|Germany Berlin|Greece Athens|Hungary Budapest|India New Delhi|Indonesia Jakarta|Iran Tehran|Iraq Baghdad
|Ireland Dublin|Italy Rome|Jamaica Kingston|Japan Tokyo|Kenya Nairobi|Lebanon Beirut|Mexico Mexico City|Morocco Rabat
|Nepal Kathmandu|Nigeria Abuja|Pakistan Islamabad|Poland Warsaw|Portugal Lisbon|Romania Bucharest|Russia Moscow
|Spain Madrid|Sweden Stockholm|Switzerland Bern|Syria Damascus|Thailand Bangkok|Turkey Ankara|Ukraine Kyiv
|Uruguay Montevideo|Venezuela Caracas|Vietnam Hanoi|Zambia Lusaka|Zimbabwe Harare
"""


@dataclass(frozen=True)
class Question:
    """One item of the suite."""

    slice: str
    prompt: str
    answer: str

    def is_solved_by(self, text: str) -> bool:
        """Whether the last answer in the text is the right one."""
        found = re.findall(PATTERNS[self.slice], text)
        return bool(found) and found[-1].strip(" .").casefold() == self.answer.casefold()


def questions() -> tuple[Question, ...]:
    """64 sums and 50 capitals, always the same."""
    sums = [Question("sums", _SUM.format(a=a, b=b), str(a + b)) for a, b in itertools.product(range(2, 10), repeat=2)]
    pairs = [entry.strip().split(" ", 1) for entry in _CAPITALS.split("|")]
    return (*sums, *(Question("capitals", _CAPITAL.format(country=pair[0]), pair[1]) for pair in pairs))

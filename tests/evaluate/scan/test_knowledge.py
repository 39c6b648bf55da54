"""The scanner's data is whole: what one file names, another one has."""

import re

from freehold.core.surface import surface
from freehold.evaluate.scan.knowledge import methods, parameters, sdks
from freehold.evaluate.scan.knowledge.data import read_data
from freehold.evaluate.scan.knowledge.sdks import OTHER_CLASSES


def test_every_feature_is_in_the_gateways_surface() -> None:
    named = {feature for table in methods().values() for each in table.calls.values() for feature in each}
    named |= {feature for table in methods().values() for feature in table.beneath.values()}
    for parameter in parameters().everywhere.values():
        named |= {parameter.feature, *parameter.values.values()}
    named |= {*parameters().parts.values(), *parameters().keys.values(), *read_data("paths").values()}
    named |= {sdk.itself for sdk in sdks().values()}
    assert named - {""} - surface().keys() == set()
    assert surface().keys() - named == set(), "a feature that nothing can find"


def test_every_library_has_its_calls() -> None:
    assert {sdk.methods for sdk in sdks().values()} <= methods().keys()
    assert {name for name, (other, _) in OTHER_CLASSES.items() if name not in sdks() or other not in sdks()} == set()


def test_who_needs_another_client_is_told_which() -> None:
    assert {sdk.id for sdk in sdks().values() if sdk.dialect == "own" and not sdk.change} == set()


def test_distinct_calls_are_calls() -> None:
    for name, table in methods().items():
        assert {each for each in table.distinct if not table.of(each)} == set(), name


def test_every_expression_compiles() -> None:
    patterns = [each for group in read_data("names")["patterns"].values() for each in group]
    patterns += [*read_data("names")["unless"], *read_data("paths")]
    patterns += [each for entry in read_data("imports").values() for each in entry["patterns"]]
    for each in patterns:
        re.compile(each)


def test_imports_of_other_languages_name_known_libraries() -> None:
    assert read_data("imports").keys() - sdks().keys() == {"langchain4j-openai", "langchain4j-anthropic"}

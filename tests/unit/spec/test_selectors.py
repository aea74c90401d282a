import pytest

from projector.spec.selectors import Selector

READ = [
    ("OrderPlaced", Selector("OrderPlaced"), [0, 1, 2, 99]),
    ("OrderPlaced@2", Selector("OrderPlaced", "==", 2), [2]),
    ("OrderPlaced@>=2", Selector("OrderPlaced", ">=", 2), [2, 99]),
    ("OrderPlaced@>2", Selector("OrderPlaced", ">", 2), [99]),
    ("OrderPlaced@<=1", Selector("OrderPlaced", "<=", 1), [0, 1]),
    ("OrderPlaced@<1", Selector("OrderPlaced", "<", 1), [0]),
    ("a@b@>1", Selector("a@b", ">", 1), [2, 99]),
    ("user@example.com", Selector("user@example.com"), [0, 1, 2, 99]),
    ("(tombstone)", Selector("(tombstone)"), [0, 1, 2, 99]),
]


@pytest.mark.parametrize(("text", "selector", "versions"), READ, ids=[text for text, *_ in READ])
def test_types_and_versions(text: str, selector: Selector, versions: list[int]) -> None:
    assert Selector.parse(text) == selector
    assert str(selector) == text
    assert [version for version in (0, 1, 2, 99) if selector.matches(version)] == versions
    assert selector.tombstone is (text == "(tombstone)")


@pytest.mark.parametrize("text", ["A@=2", "A@>=", "A@>=x", "A@2.5", "A@> 2", "A@1234567890"])
def test_what_is_no_version_is_refused_with_the_ways_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="names no version: write Name@2, Name@>=2, Name@>2, Name@<=2 or Name@<2"):
        Selector.parse(text)


def test_a_tombstone_has_no_version() -> None:
    with pytest.raises(ValueError, match="there is no value that could have one"):
        Selector.parse("(tombstone)@2")

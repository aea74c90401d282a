"""Results as JUnit XML, which most CI systems show."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from projector.testkit.run import Verdict


def write(path: Path, results: Mapping[str, Sequence[Verdict]]) -> None:
    """One suite per Projection, by name. Raises OSError."""
    root = ET.Element("testsuites")
    for projection, verdicts in results.items():
        _count(suite := ET.SubElement(root, "testsuite", name=projection), verdicts)
        for verdict in verdicts:
            _case(suite, projection, verdict)
    _count(root, [verdict for verdicts in results.values() for verdict in verdicts])
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _count(element: ET.Element, verdicts: Sequence[Verdict]) -> None:
    element.set("tests", str(len(verdicts)))
    element.set("failures", str(sum(1 for verdict in verdicts if verdict.differences)))
    element.set("errors", "0")
    element.set("time", f"{sum(verdict.seconds for verdict in verdicts):.3f}")


def _case(suite: ET.Element, projection: str, verdict: Verdict) -> None:
    seconds = f"{verdict.seconds:.3f}"
    case = ET.SubElement(suite, "testcase", name=_legal(verdict.name), classname=projection, time=seconds)
    if verdict.differences:
        lines = [_legal(line) for line in verdict.differences]
        ET.SubElement(
            case, "failure", message="; ".join(line.strip() for line in lines[:2]), type="difference"
        ).text = "\n".join(lines)


def _legal(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(char if char >= " " or char == "\t" else "�" for char in text)

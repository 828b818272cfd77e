"""Outcomes as JUnit XML, which continuous integration shows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from edgeroute.cli.output import printable
from edgeroute.policy_tests import Outcome


def junit(results: Sequence[tuple[Path, Sequence[Outcome]]], describe: Callable[[Outcome], str]) -> bytes:
    """A `testsuite` for each file; `describe` tells a failure in lines for people.

    Neither has control characters, which XML cannot hold.
    """
    root = Element("testsuites")
    for path, outcomes in results:
        failed = sum(not each.passed for each in outcomes)
        suite = SubElement(root, "testsuite", name=printable(str(path)), tests=str(len(outcomes)), failures=str(failed))
        for each in outcomes:
            place = {"classname": printable(str(path)), "file": printable(str(path)), "line": str(each.line)}
            case = SubElement(suite, "testcase", place, name=printable(each.name))
            if not each.passed:
                message = ", ".join(difference.field for difference in each.differences)
                SubElement(case, "failure", message=f"not as expected: {message}").text = describe(each)
    indent(root)
    return tostring(root, encoding="utf-8", xml_declaration=True)

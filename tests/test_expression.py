"""`edgeroute.Expression`, and values of rules as values of Python."""

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from ipaddress import ip_address, ip_interface, ip_network
from types import MappingProxyType
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from edgeroute import Expression, RuleError
from edgeroute.rules import Duration, Optional, Timestamp, TypeName, Uint

EAST = timezone(timedelta(hours=5, minutes=30))
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def same(found: object, expected: object) -> bool:
    return type(found) is type(expected) and (found == expected or found != found)


@pytest.mark.parametrize(
    ("text", "of_type", "expected"),
    [
        ("null", "null", None),
        ("1 < 2", "bool", True),
        ("1 + 1", "int", 2),
        ("-9223372036854775808", "int", -(2**63)),
        ("2u", "uint", Uint(2)),
        ("18446744073709551615u", "uint", Uint(2**64 - 1)),
        ("1.5", "double", 1.5),
        ("0.0 / 0.0", "double", math.nan),
        ("'a\\u00e4'", "string", "aä"),
        (r"b'\xff'", "bytes", b"\xff"),
        ("[1, 2]", "list(int)", [1, 2]),
        ("{'a': [null], 'b': []}", "map(string, list(null))", {"a": [None], "b": []}),
        ("type(1)", "type(int)", TypeName("int")),
        ("type(timestamp(0)) == google.protobuf.Timestamp", "bool", True),
        ("timestamp('2026-01-01T00:00:00Z')", "timestamp", NEW_YEAR),
        ("timestamp('0001-01-01T00:00:00Z')", "timestamp", datetime(1, 1, 1, tzinfo=UTC)),
        ("timestamp('9999-12-31T23:59:59.999999Z')", "timestamp", datetime.max.replace(tzinfo=UTC)),
        ("timestamp('1969-12-31T23:59:59.999999999Z')", "timestamp", Timestamp(-1)),
        ("duration('-1.5s')", "duration", timedelta(seconds=-1.5)),
        ("duration('1us')", "duration", timedelta(microseconds=1)),
        ("duration('-1ns')", "duration", Duration(-1)),
        ("duration('-2562047h')", "duration", timedelta(hours=-2562047)),
        ("optional.of(1)", "optional_type(int)", Optional(1)),
        ("optional.of(null)", "optional_type(null)", Optional(None)),
        ("optional.none()", "optional_type(dyn)", Optional()),
    ],
)
def test_results(text: str, of_type: str, expected: object) -> None:
    expression = Expression(text, {})
    assert expression.type == of_type
    assert same(expression.evaluate(), expected)
    assert same(Expression(text, {}, checked=False).evaluate({}), expected)


@pytest.mark.parametrize(
    ("of_type", "value", "expected"),
    [
        ("null", None, None),
        ("bool", True, True),
        ("int", -5, -5),
        ("int", 2**63 - 1, 2**63 - 1),
        ("uint", 5, Uint(5)),
        ("uint", Uint(5), Uint(5)),
        ("uint", 2**64 - 1, Uint(2**64 - 1)),
        ("double", 2, 2.0),
        ("double", Uint(2), 2.0),
        ("double", math.inf, math.inf),
        ("string", "ä", "ä"),
        ("bytes", b"\x00", b"\x00"),
        ("list(string)", ("a", "b"), ["a", "b"]),
        ("list(double)", [1, 2.5], [1.0, 2.5]),
        ("list(dyn)", [1, "b", Uint(3), None], [1, "b", Uint(3), None]),
        ("map(string, list(uint))", {"a": [1]}, {"a": [Uint(1)]}),
        ("map(string, int)", MappingProxyType({"a": 1}), {"a": 1}),
        ("map(int, dyn)", {1: {True: b""}}, {1: {True: b""}}),
        ("timestamp", NEW_YEAR, NEW_YEAR),
        ("timestamp", datetime(2026, 1, 1, 5, 30, tzinfo=EAST), NEW_YEAR),
        ("timestamp", Timestamp(1), Timestamp(1)),
        ("timestamp", Timestamp(-1_000), datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
        ("duration", timedelta(days=-1, microseconds=1), timedelta(days=-1, microseconds=1)),
        ("duration", Duration(-1_001), Duration(-1_001)),
        ("type(int)", TypeName("int"), TypeName("int")),
        ("optional_type(double)", Optional(1), Optional(1.0)),
        ("optional_type(int)", Optional(), Optional()),
        ("net.IP", ip_address("10.0.0.1"), ip_address("10.0.0.1")),
        ("net.IP", ip_address("::1"), ip_address("::1")),
        ("net.CIDR", ip_interface("10.1.2.3/8"), ip_interface("10.1.2.3/8")),
        ("net.CIDR", ip_network("10.0.0.0/8"), ip_interface("10.0.0.0/8")),
        ("net.CIDR", ip_network("2001:db8::/32"), ip_interface("2001:db8::/32")),
        ("dyn", 2**63, Uint(2**63)),
        ("dyn", {"a": NEW_YEAR}, {"a": NEW_YEAR}),
    ],
)
def test_values_go_in_and_come_out(of_type: str, value: object, expected: object) -> None:
    found = Expression("it", {"it": of_type}).evaluate({"it": value})
    assert same(found, expected)
    assert repr(found) == repr(expected)


YEARS_292 = timedelta(seconds=2**63 // 10**9)
SCALARS = (
    some.none()
    | some.booleans()
    | some.integers(-(2**63), 2**63 - 1)
    | some.integers(0, 2**64 - 1).map(Uint)
    | some.floats(allow_nan=False)
    | some.text(some.characters(exclude_categories=["Cs"]))
    | some.binary()
    | some.datetimes(timezones=some.just(UTC)).map(lambda at: at.replace(fold=0))
    | some.timedeltas(-YEARS_292, YEARS_292)
    | some.integers(-6 * 10**18, 2 * 10**19).map(lambda thousandth: Timestamp(thousandth * 10 + 1))
    | some.integers(-(9 * 10**17), 9 * 10**17).map(lambda thousandth: Duration(thousandth * 10 + 1))
    | some.ip_addresses()
)
KEYS = some.text(some.characters(exclude_categories=["Cs"])) | some.integers(2, 2**63 - 1) | some.booleans()
VALUES = some.recursive(
    SCALARS,
    lambda inner: some.lists(inner) | some.dictionaries(KEYS, inner) | inner.map(Optional),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_any_value_goes_in_and_comes_out(value: object) -> None:
    found = Expression("it", {"it": "dyn"}).evaluate({"it": value})
    assert shown(found) == shown(value)


def shown(value: object) -> str:
    """A value with its types, the entries of maps in one order."""
    if isinstance(value, dict):
        entries = cast(dict[object, object], value)
        return "{" + ", ".join(sorted(f"{shown(key)}: {shown(held)}" for key, held in entries.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, cast(list[object], value))) + "]"
    return f"Optional({shown(value.value)})" if isinstance(value, Optional) else repr(value)


class Nowhere(tzinfo):
    def utcoffset(self, dt: datetime | None, /) -> None:
        del dt


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    ("of_type", "value", "message"),
    [
        ("int", True, "int; .* bool"),
        ("int", Uint(1), "int; .* Uint"),
        ("int", 2**63, "64 bits"),
        ("bool", 1, "bool; .* int"),
        ("uint", -1, "not negative"),
        ("uint", 2**64, "64 bits"),
        ("double", "1", "double; .* str"),
        ("string", b"a", "string; .* bytes"),
        ("string", None, "string; .* NoneType"),
        ("bytes", "a", "bytes; .* str"),
        ("list(int)", "ab", r"list\(int\); .* str"),
        ("list(int)", {1, 2}, "set"),
        ("list(int)", ["a"], "int; .* str"),
        ("map(string, int)", {"a": "b"}, "int; .* str"),
        ("map(string, int)", {1: 1}, "string; .* int"),
        ("map(dyn, int)", {1.5: 1}, "double cannot be the key"),
        ("map(dyn, int)", {(1,): 1}, "list cannot be the key"),
        ("timestamp", datetime(2026, 1, 1), "time zone"),
        ("timestamp", datetime(2026, 1, 1, tzinfo=Nowhere()), "time zone"),
        ("timestamp", datetime.min.replace(tzinfo=EAST), "years 1 to 9999"),
        ("timestamp", Timestamp(10**21), "years 1 to 9999"),
        ("timestamp", Timestamp(10**40), "years 1 to 9999"),
        ("duration", timedelta.max, "292 years"),
        ("duration", Duration(10**40), "292 years"),
        ("duration", 1, "duration; .* int"),
        ("type(int)", TypeName("integer"), "`integer` is not a type"),
        ("optional_type(int)", Optional("a"), "int; .* str"),
        ("optional_type(int)", 1, "int"),
        ("net.IP", "10.0.0.1", "net.IP; .* str"),
        ("net.IP", ip_address("fe80::1%eth0"), "zone"),
        ("net.CIDR", ip_address("10.0.0.1"), "net.CIDR"),
        ("dyn", object(), "the Python type object"),
        ("dyn", 1j, "the Python type complex"),
        ("dyn", nested(100), "nested 64 deep"),
        ("dyn", "\ud800", "surrogates"),
    ],
)
def test_wrong_values(of_type: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        Expression("it", {"it": of_type}).evaluate({"it": value})
    assert not isinstance(raised.value, RuleError)


def test_what_refers_to_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested 64 deep"):
        Expression("it", {"it": "dyn"}).evaluate({"it": loop})


def test_a_dict_that_changes_while_it_is_read() -> None:
    class Zone(tzinfo):
        def utcoffset(self, dt: datetime | None, /) -> timedelta:
            given[str(len(given))] = dt
            return timedelta()

    given: dict[str, Any] = {"at": datetime(2026, 1, 1, tzinfo=Zone())}
    found = Expression("it", {"it": "dyn"}).evaluate({"it": given})
    assert found == {"at": NEW_YEAR}


def test_keys_that_are_one_in_python() -> None:
    with pytest.raises(ValueError, match="one in Python"):
        Expression("{1: 'a', true: 'b'}").evaluate()


@pytest.mark.parametrize(
    ("text", "variables", "message", "place"),
    [
        ("1 + )", {}, "expected", ")"),
        ("a + 'b'", {"a": "int"}, "int", "a + 'b'"),
        ("a.b + c", {"a": "int"}, "no variable `c`", "c"),
        ("1 / 0", {}, "divided by zero", "1 / 0"),
        ("'ä' == ['a'][3]", {}, "no such position", "['a'][3]"),
    ],
)
def test_errors_have_a_place(text: str, variables: dict[str, str], message: str, place: str) -> None:
    with pytest.raises(RuleError, match=message) as raised:
        Expression(text, variables).evaluate()
    diagnostic = raised.value.diagnostics[-1]
    assert diagnostic.rule is None
    assert diagnostic.text.startswith("error: ")
    assert text[diagnostic.start : diagnostic.end] == place


def test_a_missing_value() -> None:
    doubled = Expression("n * 2", {"n": "int"})
    assert doubled.evaluate({"n": 4}) == 8
    nothing: list[dict[str, int] | None] = [{}, None]
    for mapping in nothing:
        with pytest.raises(RuleError, match="no value") as raised:
            doubled.evaluate(mapping)
        (diagnostic,) = raised.value.diagnostics
        assert (diagnostic.start, diagnostic.end, diagnostic.line, diagnostic.column) == (0, 1, 1, 1)
    with pytest.raises(ValueError, match="there is no variable `m`"):
        doubled.evaluate({"m": 4})


def test_without_variables_there_are_those_of_a_configuration() -> None:
    assert Expression("headers['x-tier']").evaluate({"headers": {"X-Tier": "gold"}}) == "gold"
    assert Expression("headers").evaluate({"headers": {"X-Tier": "gold"}}) == {"x-tier": "gold"}


def test_qualified_names_and_containers() -> None:
    variables = {"com.example.y": "int", "y": "int"}
    values = {"com.example.y": 1, "y": 2}
    for text, container, expected in [
        ("y", "", 2),
        ("y", "com", 2),
        ("y", "com.example", 1),
        ("example.y", "com", 1),
        (".y", "com.example", 2),
        ("com.example.y", "", 1),
    ]:
        assert Expression(text, variables, container=container).evaluate(values) == expected, text


def test_declared_functions() -> None:
    functions = ["quota(string) -> int", "string.slug() -> string", "pair(A, B) -> tuple(A, B)"]
    for text, of_type in [
        ("quota('a') + 1", "int"),
        ("'A b'.slug()", "string"),
        ("pair(1, 'a')", "tuple(int, string)"),
    ]:
        assert Expression(text, {}, functions=functions).type == of_type
    for text in ("quota(1)", "'a'.quota()", "slug('a')"):
        with pytest.raises(RuleError):
            Expression(text, {}, functions=functions)
    with pytest.raises(RuleError, match="no such function"):
        Expression("quota('a')", {}, functions=functions).evaluate()
    for signature in ("", "quota", "quota(text) -> int"):
        with pytest.raises(ValueError, match="is no signature"):
            Expression("1", {}, functions=[signature])


def test_without_the_checker_mistakes_show_when_it_is_evaluated() -> None:
    expression = Expression("nothing.such || true", {}, checked=False)
    assert expression.type == "dyn"
    assert expression.evaluate() is True
    with pytest.raises(RuleError):
        Expression("nothing.such", {}, checked=False).evaluate()


def test_without_macros() -> None:
    assert Expression("has({'a': 1}.a) && [1].exists(x, x > 0)", {}).evaluate() is True
    for text in ("has({'a': 1}.a)", "[1].exists(x, true)", "cel.bind(a, 1, a)", "optional.of(1).optMap(x, x)"):
        with pytest.raises(RuleError):
            Expression(text, {}, macros=False)


def test_uint_is_checked() -> None:
    assert Uint(5) + 1 == 6
    for number in (-1, 2**64):
        with pytest.raises(ValueError, match="a uint is from 0"):
            Uint(number)


def test_optionals() -> None:
    assert (Optional(None).has_value, Optional(None).or_value(1)) == (True, None)
    assert (Optional().has_value, Optional().or_value(1)) == (False, 1)


def test_exact_times_are_ordered() -> None:
    assert sorted([Timestamp(2), Timestamp(1)]) == [Timestamp(1), Timestamp(2)]
    assert Duration(1) < Duration(2)


def test_importing_edgeroute_loads_nothing_of_it() -> None:
    loaded = "import sys, edgeroute; print(sorted(name for name in sys.modules if name.startswith('edgeroute.')))"
    output = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"

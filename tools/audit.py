"""Checks what edgeroute is built from, offline, against the committed lock files.

    python tools/audit.py                                 # what CI runs
    python tools/audit.py --update RUSTSEC_DB PYPA_DB     # new advisories, from clones of the two databases

Every locked package comes from its public registry with a checksum, has a licence that we can ship (Rust; what is
linked into the wheel), and is not in an advisory of the RustSec or PyPA database. `advisories.json` holds what the two
say of each package that was locked when it was written, whatever the version: newly locked versions are judged without
a network, and a newly locked package is a finding until the databases have been asked about it.
Sources: github.com/rustsec/advisory-db (CC0), github.com/pypa/advisory-database (CC-BY 4.0).
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import VERSION_PATTERN, Version

ROOT = Path(__file__).parent.parent
ADVISORIES = Path(__file__).with_name("advisories.json")
LOCKS = [ROOT / "requirements" / name for name in ("runtime.txt", "development.txt")]
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"

LICENCES = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}

ACCEPTED: dict[str, str] = {}
"""Advisories that do not concern us, each with the reason."""

_VERSION = re.compile(VERSION_PATTERN, re.VERBOSE | re.IGNORECASE)

Packages = dict[str, list[dict[str, Any]]]


def main() -> int:
    """Exit status 0 when nothing was found, 1 with a line for each finding."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--update", nargs=2, type=Path, metavar=("RUSTSEC_DB", "PYPA_DB"))
    chosen = arguments.parse_args()
    crates, distributions = locked_crates(), locked_distributions()
    if chosen.update:
        rustsec, pypa = chosen.update
        update(rustsec, pypa, {name for name, _ in crates}, {name for name, _ in distributions})
    known = json.loads(ADVISORIES.read_text())
    findings = [
        *unverified_crates(),
        *licences(),
        *matches(known["rust"], crates, rust_affected),
        *matches(known["python"], distributions, python_affected),
    ]
    for finding in findings:
        print(f"error: {finding}", file=sys.stderr)
    if not findings:
        dates = ", ".join(f"{source} {date}" for source, date in known["as_of"].items())
        print(f"{len(crates)} crates and {len(distributions)} distributions: nothing found (advisories as of {dates})")
    return 1 if findings else 0


def locked_crates() -> list[tuple[str, str]]:
    """Name and version of every crate that is not ours."""
    return [(each["name"], each["version"]) for each in _cargo_lock() if "source" in each]


def locked_distributions() -> list[tuple[str, str]]:
    """Name and version of every Python distribution; ValueError for one without a hash."""
    found: set[tuple[str, str]] = set()
    for lock in LOCKS:
        text = lock.read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            pinned = re.match(r"([A-Za-z0-9._-]+)==(\S+)", line)
            if pinned is None or "--hash=sha256:" not in line:
                raise ValueError(f"{lock.name}: not pinned with a hash: {line.strip()}")
            found.add((canonicalize_name(pinned[1]), pinned[2]))
    return sorted(found)


def unverified_crates() -> Iterator[str]:
    """Crates from elsewhere than the registry, or without a checksum."""
    for each in _cargo_lock():
        if "source" in each and (each["source"] != REGISTRY or "checksum" not in each):
            yield f"Cargo.lock: {each['name']} {each['version']} is not from the registry with a checksum"


def licences() -> Iterator[str]:
    """Crates under terms that are not on our list."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    for each in json.loads(subprocess.check_output(command, cwd=ROOT))["packages"]:
        if each["source"] is not None and not allowed(each["license"] or ""):
            yield f"{each['name']} {each['version']} has the licence {each['license']!r}, which is not on our list"


def allowed(expression: str) -> bool:
    """Whether one of the alternatives of an SPDX expression consists of allowed licences."""
    words = re.findall(r"[()]|[A-Za-z0-9.+-]+(?: WITH [A-Za-z0-9.+-]+)?", expression.replace("/", " OR "))
    operators = {"(": "(", ")": ")", "AND": "and", "OR": "or"}
    return bool(words) and bool(eval(" ".join(operators.get(word, str(word in LICENCES)) for word in words)))


def matches(
    known: Packages, locked: list[tuple[str, str]], affected: Callable[[dict[str, Any], str], bool]
) -> Iterator[str]:
    """Advisories on locked versions that are not accepted, and packages that the databases were not asked about."""
    for name, version in locked:
        if name not in known:
            yield f"{name} {version} is not in {ADVISORIES.name}: run tools/audit.py --update (see its --help)"
        for advisory in known.get(name, []):
            if advisory["id"] not in ACCEPTED and affected(advisory, version):
                yield f"{name} {version} is in {advisory['id']}: {advisory['title']}"


def rust_affected(advisory: dict[str, Any], version: str) -> bool:
    """RustSec names the versions that are patched or were never affected, as Cargo's requirements."""
    return not any(satisfies(version, each) for each in [*advisory["patched"], *advisory["unaffected"]])


def satisfies(version: str, requirement: str) -> bool:
    """Cargo's requirement: comparisons joined by commas; a caret (which is the default) keeps the first non-zero."""
    return all(_compare(Version(version), part.strip()) for part in requirement.split(",") if part.strip())


def _compare(version: Version, part: str) -> bool:
    found = re.fullmatch(r"(>=|<=|>|<|=|\^|~)?\s*(\S+)", part)
    if found is None:
        raise ValueError(f"not a version requirement: {part!r}")
    bound = Version(found[2])
    match found[1]:
        case ">=":
            return version >= bound
        case "<=":
            return version <= bound
        case ">":
            return version > bound
        case "<":
            return version < bound
        case "=":
            return version == bound
        case "~":
            return version >= bound and version.release[:2] == bound.release[:2]
        case _:
            kept = next((i for i, number in enumerate(bound.release) if number), len(bound.release) - 1) + 1
            return version >= bound and version.release[:kept] == bound.release[:kept]


def python_affected(advisory: dict[str, Any], version: str) -> bool:
    """PyPA's half-open ranges, introduced to fixed (or null), and the versions named besides them."""
    return Version(version) in map(Version, advisory["versions"]) or _in_ranges(advisory["ranges"], Version(version))


def _in_ranges(ranges: list[tuple[str, str | None]], version: Version) -> bool:
    return any(Version(low) <= version and (high is None or version < Version(high)) for low, high in ranges)


def update(rustsec: Path, pypa: Path, crates: set[str], distributions: set[str]) -> None:
    """Write the advisories on our packages; a package without any has an empty list."""
    known = {
        "as_of": {"RustSec": _date(rustsec), "PyPA": _date(pypa)},
        "rust": {name: list(_rustsec(rustsec / "crates" / name)) for name in sorted(crates)},
        "python": {name: list(_pypa(pypa / "vulns" / name)) for name in sorted(distributions)},
    }
    ADVISORIES.write_text(json.dumps(known, indent=1) + "\n")


def _rustsec(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("RUSTSEC-*.md")):
        front, _, rest = path.read_text().removeprefix("```toml\n").partition("\n```")
        entry = tomllib.loads(front)
        if entry["advisory"].get("informational") or entry["advisory"].get("withdrawn"):
            continue
        versions = entry["versions"]
        title = next(line.removeprefix("# ") for line in rest.splitlines() if line.startswith("# "))
        yield {
            "id": entry["advisory"]["id"],
            "title": title,
            "patched": versions.get("patched", []),
            "unaffected": versions.get("unaffected", []),
        }


def _pypa(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("PYSEC-*.yaml")):
        entry = yaml.safe_load(path.read_text())
        if "withdrawn" in entry:
            continue
        ranges = [
            pair
            for affected in entry["affected"]
            for each in affected.get("ranges", [])
            if each["type"] == "ECOSYSTEM"
            for pair in _intervals(each["events"])
        ]
        versions = [
            version
            for affected in entry["affected"]
            for version in affected.get("versions", [])
            # What is not a version by today's rules (PEP 440) cannot be locked.
            if _VERSION.fullmatch(version) and not _in_ranges(ranges, Version(version))
        ]
        title = entry["details"].split("\n")[0][:120]
        yield {"id": entry["id"], "title": title, "ranges": ranges, "versions": versions}


def _intervals(events: list[dict[str, str]]) -> Iterator[tuple[str, str | None]]:
    low: str | None = None
    for event in events:
        if "introduced" in event:
            low = event["introduced"]
        elif low is not None and "fixed" in event:
            yield low, event["fixed"]
            low = None
    if low is not None:
        yield low, None


def _date(repository: Path) -> str:
    command = ["git", "-C", str(repository), "log", "-1", "--format=%cs"]
    return subprocess.check_output(command, text=True).strip()


def _cargo_lock() -> list[dict[str, Any]]:
    return tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]


if __name__ == "__main__":
    sys.exit(main())

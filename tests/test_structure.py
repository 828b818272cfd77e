"""The architecture's invariants that the tree itself can show."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import edgeroute

ROOT = Path(__file__).parent.parent
CRATES = sorted(path.parent.name for path in ROOT.glob("rust/*/Cargo.toml"))

MAY_DEPEND_ON = {
    "wire": set[str](),
    "rules": {"simd"},
    "placement": set[str](),
    "shared": set[str](),
    "limits": {"shared"},
    "simd": set[str](),
    "store": set[str](),
    "cache": {"simd", "wire"},
    "upstream": set[str](),
    "router": {"rules", "placement", "limits", "shared", "simd", "wire", "cache"},
    "python": {"router", "placement", "limits", "rules", "shared", "upstream", "wire", "cache", "store"},
}


def manifest(crate: str) -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "rust" / crate / "Cargo.toml").read_text())


def source(crate: str) -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / "rust" / crate / "src").rglob("*.rs")))


def test_every_crate_is_listed() -> None:
    assert set(MAY_DEPEND_ON) == set(CRATES)


@pytest.mark.parametrize("crate", CRATES)
def test_dependencies_point_one_way(crate: str) -> None:
    names = manifest(crate)["dependencies"]
    assert {name[10:] for name in names if name.startswith("edgeroute-")} <= MAY_DEPEND_ON[crate]


@pytest.mark.parametrize("crate", CRATES)
def test_only_the_border_knows_python(crate: str) -> None:
    assert ("pyo3" in manifest(crate)["dependencies"]) == (crate == "python")


@pytest.mark.parametrize("crate", CRATES)
def test_unsafe_code_only_where_memory_is_shared_or_vectors_are_searched(crate: str) -> None:
    allowed = re.search(r"(allow|expect)\(unsafe_code", source(crate)) is not None
    assert not allowed or crate in {"shared", "simd", "store"}
    assert manifest(crate)["lints"] == {"workspace": True}


@pytest.mark.parametrize("crate", [crate for crate in CRATES if crate not in ("upstream", "python")])
def test_no_sockets_but_in_upstream(crate: str) -> None:
    assert not re.search(r"std::net::(Tcp|Udp)|\bmio::", source(crate))


@pytest.mark.parametrize("crate", ["router", "limits", "placement", "rules", "wire", "cache"])
def test_what_decides_reads_no_clock(crate: str) -> None:
    assert not re.search(r"(Instant|SystemTime)::now", source(crate))


@pytest.mark.parametrize("crate", CRATES)
def test_each_crate_says_what_it_is(crate: str) -> None:
    library = (ROOT / "rust" / crate / "src" / "lib.rs").read_text()
    assert len(library.split("\n\n")[0]) > 200
    assert library.startswith("//! ")


def test_the_public_interface() -> None:
    errors = ["ConfigError", "EdgerouteError", "RuleError"]
    classes = sorted([*errors, "AffinityIndex", "Config", "Expression", "Ring", "RuleSet", "SemanticCache"])
    assert edgeroute.__all__ == [*classes, "__version__", "create_app"]


def test_one_version() -> None:
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    assert edgeroute.__version__ == workspace["package"]["version"] == version("edgeroute")

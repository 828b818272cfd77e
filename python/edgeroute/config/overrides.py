"""What overrides the file: `EDGEROUTE_…` variables, and above them options of the command line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgeroute.config.diagnostics import Diagnostic, nearest
from edgeroute.config.variables import is_text

OVERRIDABLE = ("listen", "admin", "workers", "log")
"""The settings that may be set outside the file."""

KEY_VARIABLE = "EDGEROUTE_KEY"
"""The virtual key of a configuration that is made from the environment."""

_PREFIX = "EDGEROUTE_"


@dataclass(frozen=True, slots=True)
class Override:
    """A setting's text from outside the file; `origin` names the variable or the option."""

    setting: str
    origin: str
    text: str


def find_overrides(environ: Mapping[str, str], options: Mapping[str, str]) -> list[Override]:
    """The settings that the environment sets, or the command line (`options`: text by setting), which wins."""
    return list(_find(environ, options))


def _find(environ: Mapping[str, str], options: Mapping[str, str]) -> Iterator[Override]:
    for setting in OVERRIDABLE:
        variable = _PREFIX + setting.upper()
        if setting in options:
            yield Override(setting, f"--{setting}", options[setting])
        elif variable in environ:
            yield Override(setting, variable, environ[variable])


def misspelt(environ: Mapping[str, str]) -> list[Diagnostic]:
    """A warning for each variable that is nearly one of ours, and would have no effect."""
    ours = [*(setting.upper() for setting in OVERRIDABLE), "CONFIG", "KEY", "ADMIN_KEY", "RUN_DIR"]
    found: list[Diagnostic] = []
    for variable in sorted(filter(is_text, environ)):
        word = variable.removeprefix(_PREFIX)
        near = nearest(word, ours) if word != variable and word not in ours else None
        if near is not None:
            advice = f"did you mean {_PREFIX}{near}?"
            found.append(Diagnostic.about("the environment", "warning", f"nothing reads {variable}", advice))
    return found

"""`edgeroute models`."""

from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from edgeroute.cli.options import config_option, json_option, load_or_refuse
from edgeroute.cli.output import Screen, echo_json, table
from edgeroute.config.models import match


class _Provider(msgspec.Struct, frozen=True):
    name: str
    dialect: str


class _Target(msgspec.Struct, frozen=True):
    provider: str
    model: str
    weight: int


class _Model(msgspec.Struct, frozen=True):
    name: str
    alias: str | None
    targets: list[_Target]
    weighted: bool
    fallbacks: list[str]


class _Configuration(msgspec.Struct, frozen=True):
    """What is needed of the normalised configuration; credentials are not read."""

    providers: list[_Provider]
    models: list[_Model]


class Served(msgspec.Struct, frozen=True):
    """One target of a model; `weight` only where targets are drawn by weight."""

    target: str
    weight: int | None


class PublicModel(msgspec.Struct, frozen=True):
    """A name that clients ask for, with who serves it."""

    model: str
    dialects: list[str]
    """Of those who serve it, its fallbacks included: clients may ask in these."""
    targets: list[Served]
    fallbacks: list[str]
    aliases: list[str]
    """Other names for it, also by way of further aliases."""


@click.command("models", epilog="Example: edgeroute models -c edgeroute.yaml")
@config_option
@json_option
def command(path: Path | None, as_json: bool) -> None:
    """List the models that clients may ask for, and for each: dialects, targets, fallbacks, aliases.

    Targets stand in the order in which they are tried, or with their weights. A model that ends in * stands for
    every name that begins so.
    """
    models = public_models(load_or_refuse(path).normalised)
    if as_json:
        echo_json(msgspec.to_builtins(models))
    else:
        click.echo(render(models, Screen.current()))


def public_models(normalised: bytes) -> list[PublicModel]:
    """The models of a normalised configuration in the order of the file; aliases stand with what they mean."""
    configuration = msgspec.json.decode(normalised, type=_Configuration)
    dialects = {each.name: each.dialect for each in configuration.providers}
    models = {each.name: each for each in configuration.models}
    meanings = {each.name: _resolve(each.name, models) for each in configuration.models if each.alias is not None}
    return [
        PublicModel(
            model=each.name,
            dialects=_unique(
                dialects[target.provider] for model in _with_fallbacks(each, models) for target in model.targets
            ),
            targets=[
                Served(f"{target.provider}/{target.model}", target.weight if each.weighted else None)
                for target in each.targets
            ],
            fallbacks=each.fallbacks,
            aliases=[alias for alias, meaning in meanings.items() if meaning == each.name],
        )
        for each in configuration.models
        if each.alias is None
    ]


def render(models: list[PublicModel], screen: Screen) -> str:
    """A table with a row for each model."""
    rows = [
        (
            each.model,
            "\n".join(each.dialects),
            "\n".join(_served(target) for target in each.targets),
            "\n".join(each.fallbacks),
            "\n".join(each.aliases),
        )
        for each in models
    ]
    return table(screen, ("model", "dialects", "targets", "fallbacks", "aliases"), rows)


def _served(target: Served) -> str:
    return target.target if target.weight is None else f"{target.target} ({target.weight})"


def _resolve(name: str, models: dict[str, _Model]) -> str | None:
    """The model with targets that a name stands for. A checked configuration has no circles."""
    found = match(name, models)
    while found is not None and (alias := models[found].alias) is not None:
        found = match(alias, models)
    return found


def _with_fallbacks(model: _Model, models: dict[str, _Model]) -> list[_Model]:
    """A model, its fallbacks, and theirs."""
    reached = {model.name: model}
    pending = list(model.fallbacks)
    while pending:
        found = _resolve(pending.pop(), models)
        if found is not None and found not in reached:
            reached[found] = models[found]
            pending += models[found].fallbacks
    return list(reached.values())


def _unique(names: Iterable[str]) -> list[str]:
    return sorted(set(names))

"""`edgeroute models`."""

from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from edgeroute.cli.options import config_option, json_option, load_or_refuse
from edgeroute.cli.output import Screen, echo_json, table
from edgeroute.config import Config
from edgeroute.config.models import Model, dialects_of_model, interpret, match


class Served(msgspec.Struct, frozen=True):
    """One target of a model; `weight` unless targets are tried in their order."""

    target: str
    weight: int | None


class PublicModel(msgspec.Struct, frozen=True):
    """A name that clients ask for, with who serves it."""

    model: str
    dialects: list[str]
    """Of those who serve it, its fallbacks included: clients may ask in these."""
    strategy: str
    """How targets are ordered."""
    targets: list[Served]
    fallbacks: list[str]
    aliases: list[str]
    """Other names for it, also by way of further aliases."""


@click.command("models", epilog="Example: edgeroute models -c edgeroute.yaml")
@config_option
@json_option
def command(path: Path | None, as_json: bool) -> None:
    """List the models that clients may ask for, and for each: dialects, strategy, targets, fallbacks, aliases.

    Targets of strategy "ordered" stand in the order in which they are tried, all others with their weights. A model
    that ends in * stands for every name that begins so.
    """
    models = public_models(load_or_refuse(path).config)
    if as_json:
        echo_json(msgspec.to_builtins(models))
    else:
        click.echo(render(models, Screen.current()))


def public_models(config: Config) -> list[PublicModel]:
    """The models of a checked configuration in the order of the file; aliases stand with what they mean."""
    models = {name: interpret(value, config.providers) for name, value in config.models.items()}
    meanings = {name: _resolve(name, models) for name, model in models.items() if model.alias is not None}
    return [
        PublicModel(
            model=name,
            dialects=list(dialects_of_model(config, name)),
            strategy=model.strategy.name,
            targets=[
                Served(f"{target.provider}/{target.model}", None if model.strategy.name == "ordered" else target.weight)
                for target in model.targets
            ],
            fallbacks=list(model.fallbacks),
            aliases=[alias for alias, meaning in meanings.items() if meaning == name],
        )
        for name, model in models.items()
        if model.alias is None
    ]


def render(models: list[PublicModel], screen: Screen) -> str:
    """A table with a row for each model."""
    rows = [
        (
            each.model,
            "\n".join(each.dialects),
            each.strategy,
            "\n".join(_served(target) for target in each.targets),
            "\n".join(each.fallbacks),
            "\n".join(each.aliases),
        )
        for each in models
    ]
    return table(screen, ("model", "dialects", "strategy", "targets", "fallbacks", "aliases"), rows)


def _served(target: Served) -> str:
    return target.target if target.weight is None else f"{target.target} ({target.weight})"


def _resolve(name: str, models: Mapping[str, Model]) -> str | None:
    """The model with targets that a name stands for. A checked configuration has no circles."""
    found = match(name, models)
    while found is not None and (alias := models[found].alias) is not None:
        found = match(alias, models)
    return found

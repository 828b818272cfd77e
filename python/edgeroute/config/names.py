"""Which providers and models the file names, and what to say of a name it does not have."""

from edgeroute.config.diagnostics import suggest
from edgeroute.config.document import Document, Path
from edgeroute.config.models import ORDERED, Model, Target, interpret, match, split_target
from edgeroute.config.schema import Config
from edgeroute.providers import CATALOGUE


class Names:
    """The names of a file. One counts as existing when the file has it, even if its value is wrong."""

    def __init__(self, document: Document, config: Config) -> None:
        self._document = document
        self.providers = dict.fromkeys(document.names("providers"))
        self.models = dict.fromkeys(document.names("models"))
        self._wildcards = [name for name in self.models if name.endswith("*")]
        self.interpreted: dict[str, Model] = {name: self._interpret(name, config) for name in self.models}

    def match(self, name: str) -> str | None:
        """The model that serves a name, if any does."""
        return name if name in self.models else match(name, self._wildcards)

    def _interpret(self, name: str, config: Config) -> Model:
        """What a name means, as far as it is known: its value may be wrong."""
        value = config.models.get(name, self._document.text(("models", name)))
        if value is not None:
            return interpret(value, self.providers)
        fallbacks = self._document.texts(("models", name, "fallbacks"))
        return Model(None, (), ORDERED, tuple(text for _, text in fallbacks))

    def check_model(self, name: str, path: Path, where: str, *, at_key: bool = False) -> bool:
        """Reports a name that no model has, and says whether one has it; `where` is as in "a fallback"."""
        if self.match(name) is not None:
            return True
        shown = self._document.shown(path, name)
        if "/" in name and split_target(name).provider in self.providers:
            advice = f"{where} names a model, not a target: add NAME: {shown} under models and write NAME here"
        else:
            near = self._document.nearest(name, self.models)
            advice = suggest(near, self.models, "models are" if self.models else "add it under models")
        self._document.error(path, f'unknown model "{shown}"', advice, at_key=at_key)
        return False

    def check_provider(self, target: Target, path: Path, *, at_key: bool = False) -> bool:
        """Reports a target whose provider is not in the file, and says whether it is."""
        provider = target.provider
        if provider in self.providers:
            return True
        shown = self._document.shown(path, provider)
        if not target.model or not provider:
            message = f'"{shown or f"/{target.model}"}" is not a target'
            advice = "a target is provider/model"
            if self.match(provider) is not None:
                advice += "; another model can stand under fallbacks"
        elif provider in CATALOGUE:
            message = f'provider "{provider}" is not configured'
            advice = f'add under providers: {provider}: {{api_key: "${{{CATALOGUE[provider].key_variable}}}"}}'
        else:
            message = f'unknown provider "{shown}"'
            near = self._document.nearest(provider, self.providers)
            otherwise = "providers are" if self.providers else "add it under providers"
            advice = suggest(near, self.providers, otherwise)
        self._document.error(path, message, advice, at_key=at_key)
        return False

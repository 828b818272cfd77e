"""The replicas of every provider as they are now, and the configuration with them."""

from collections.abc import Mapping
from typing import Any

from edgeroute.config import Config
from edgeroute.config.members import Member, Members, configured, published_url
from edgeroute.config.normalise import normalise
from edgeroute.replicas.changes import Command, Overlay, described, follow, misfits, overlaid
from edgeroute.replicas.discovery import Discovery, sources


class ReplicaSets:
    """What is configured, with what is discovered, with what operators have changed since the start.

    One thread changes it; others may ask, and see each change whole.
    """

    def __init__(self, environ: Mapping[str, str], discovery: Discovery) -> None:
        self.overlay: Overlay = {}
        self.discovery = discovery
        self._environ = environ

    def given(self, config: Config) -> Members:
        """The replicas that are configured, then those that are discovered, each once."""
        given = {name: {each.name: each for each in members} for name, members in configured(config).items()}
        for source in sources(config):
            provider = config.providers[source.provider]
            for each in self.discovery.found(source):
                url = published_url(source.provider, provider, each.url)
                member = Member(url=url, weight=each.weight, address=each.address)
                given[source.provider].setdefault(member.name, member)
        return {name: list(members.values()) for name, members in given.items()}

    def now(self, config: Config) -> Members:
        """The replicas as they are to be."""
        return overlaid(self.given(config), self.overlay)

    def normalised(self, config: Config) -> bytes:
        """A configuration with these replicas, as workers compile it. Raises Malformed about HTTPS_PROXY."""
        return normalise(config, self._environ, self.now(config))

    def command(self, command: Command, config: Config) -> Overlay:
        """Change the overlay, and return what it was. Raises RefusedError, and then nothing is changed."""
        before = self.overlay
        self.overlay = follow(command, config, self.given(config), before)
        return before

    def misfits(self, config: Config) -> list[str]:
        """A sentence for each change of an operator that has no effect now."""
        return misfits(self.given(config), self.overlay)

    def described(self, config: Config) -> dict[str, Any]:
        """What differs from the configuration, and how the look-ups go, as JSON can hold them."""
        return {
            "changes": described(self.given(config), self.overlay),
            "discovery": self.discovery.described(),
        }

    def listed(self, config: Config) -> list[dict[str, Any]]:
        """Every replica, as JSON can hold it."""
        listed = {name: [each.name for each in members] for name, members in configured(config).items()}
        given = {name: {each.name for each in members} for name, members in self.given(config).items()}

        def origin(provider: str, replica: str) -> str:
            if replica in listed[provider]:
                return "configured"
            return "discovered" if replica in given[provider] else "added"

        return [
            {"provider": provider, "replica": each.name, "weight": each.weight, "origin": origin(provider, each.name)}
            for provider, members in self.now(config).items()
            for each in members
        ]

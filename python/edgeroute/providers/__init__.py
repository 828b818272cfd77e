"""Providers: the catalogue of those whose dialect and address are known."""

from edgeroute.providers.catalogue import CATALOGUE, KnownProvider

__all__ = ["CATALOGUE", "KnownProvider"]

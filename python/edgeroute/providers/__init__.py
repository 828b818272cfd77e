"""Providers: the catalogue of those whose dialect and address are known, how they cache prompts, what they cost."""

from edgeroute.providers.catalogue import CATALOGUE, CachedPrompts, KnownProvider
from edgeroute.providers.prices import KnownPrice, catalogue_price, prices_date

__all__ = ["CATALOGUE", "CachedPrompts", "KnownPrice", "KnownProvider", "catalogue_price", "prices_date"]

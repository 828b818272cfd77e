"""Providers that need only a name and a key in the configuration.

Source: each provider's own API reference. Only providers that serve one of our dialects at a fixed public
address; anything else is configured with `dialect` and `url`.
"""

from dataclasses import dataclass
from typing import Literal

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class CachedPrompts:
    """How a provider keeps prompts that it has read, by the page of its documentation in `source`.

    `lifetime_ms` counts from the last use. Where a provider promises none (`promised` is false) it is 5 minutes, which
    is the least that any other promises. `least_tokens` is that of its models which keep short prompts best known.
    """

    lifetime_ms: int
    least_tokens: int
    source: str
    promised: bool = True


@dataclass(frozen=True, slots=True)
class KnownProvider:
    """Where a provider is, what it speaks, under which variable people keep its key, and how it caches prompts."""

    dialect: Literal["openai-chat", "anthropic-messages"]
    url: str
    key_variable: str
    prompt_cache: CachedPrompts | None = None


def _openai(url: str, key_variable: str, prompt_cache: CachedPrompts | None = None) -> KnownProvider:
    return KnownProvider("openai-chat", url, key_variable, prompt_cache)


CATALOGUE = {
    "alibaba": _openai(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
        CachedPrompts(
            5 * _MINUTE_MS, 256, "https://www.alibabacloud.com/help/en/model-studio/context-cache", promised=False
        ),
    ),
    "anthropic": KnownProvider(
        "anthropic-messages",
        "https://api.anthropic.com",
        "ANTHROPIC_API_KEY",
        CachedPrompts(5 * _MINUTE_MS, 1024, "https://platform.claude.com/docs/en/build-with-claude/prompt-caching"),
    ),
    "cerebras": _openai(
        "https://api.cerebras.ai/v1",
        "CEREBRAS_API_KEY",
        CachedPrompts(5 * _MINUTE_MS, 128, "https://inference-docs.cerebras.ai/capabilities/prompt-caching"),
    ),
    "deepinfra": _openai("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "deepseek": _openai(
        "https://api.deepseek.com/v1",
        "DEEPSEEK_API_KEY",
        CachedPrompts(60 * _MINUTE_MS, 64, "https://api-docs.deepseek.com/guides/kv_cache"),
    ),
    "fireworks": _openai(
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        CachedPrompts(5 * _MINUTE_MS, 0, "https://docs.fireworks.ai/guides/prompt-caching", promised=False),
    ),
    "google": _openai(
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        CachedPrompts(5 * _MINUTE_MS, 1024, "https://ai.google.dev/gemini-api/docs/caching", promised=False),
    ),
    "groq": _openai(
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        CachedPrompts(120 * _MINUTE_MS, 128, "https://console.groq.com/docs/prompt-caching"),
    ),
    "mistral": _openai("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "moonshot": _openai("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "nebius": _openai("https://api.tokenfactory.nebius.com/v1", "NEBIUS_API_KEY"),
    "nvidia": _openai("https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    "openai": _openai(
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        CachedPrompts(5 * _MINUTE_MS, 1024, "https://developers.openai.com/api/docs/guides/prompt-caching"),
    ),
    "openrouter": _openai("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "perplexity": _openai("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    "together": _openai("https://api.together.ai/v1", "TOGETHER_API_KEY"),
    "xai": _openai(
        "https://api.x.ai/v1",
        "XAI_API_KEY",
        CachedPrompts(
            5 * _MINUTE_MS, 0, "https://docs.x.ai/developers/advanced-api-usage/prompt-caching", promised=False
        ),
    ),
    "zai": _openai("https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
}

"""Providers that need only a name and a key in the configuration.

Source: each provider's own API reference. Only providers that serve one of our dialects at a fixed public
address; anything else is configured with `dialect` and `url`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class KnownProvider:
    """Where a provider is, what it speaks, and under which variable people keep its key."""

    dialect: Literal["openai-chat", "anthropic-messages"]
    url: str
    key_variable: str


def _openai(url: str, key_variable: str) -> KnownProvider:
    return KnownProvider("openai-chat", url, key_variable)


CATALOGUE = {
    "alibaba": _openai("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
    "anthropic": KnownProvider("anthropic-messages", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    "cerebras": _openai("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepinfra": _openai("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "deepseek": _openai("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "fireworks": _openai("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "google": _openai("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "groq": _openai("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": _openai("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "moonshot": _openai("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "nebius": _openai("https://api.tokenfactory.nebius.com/v1", "NEBIUS_API_KEY"),
    "nvidia": _openai("https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    "openai": _openai("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "openrouter": _openai("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "perplexity": _openai("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    "together": _openai("https://api.together.ai/v1", "TOGETHER_API_KEY"),
    "xai": _openai("https://api.x.ai/v1", "XAI_API_KEY"),
    "zai": _openai("https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
}

"""Which provider of ours another gateway's name for one means, and how its URLs and headers become ours."""

import re

from edgeroute.config.providers import CREDENTIAL_HEADERS, forbidden_header
from edgeroute.config.values import HeaderValue, Malformed, Url
from edgeroute.config.vocabulary import foreign_variable
from edgeroute.migrate.draft import Draft, Provider
from edgeroute.migrate.foreign import carried
from edgeroute.migrate.report import Place, Reason
from edgeroute.providers import CATALOGUE

SELF_HOSTED = {
    "hosted_vllm": "vllm",
    "vllm": "vllm",
    "sgl": "sglang",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "openai_like": "openai-compatible",
    "custom_openai": "openai-compatible",
    "litellm_proxy": "litellm",
    "lm_studio": "lm-studio",
    "llamafile": "llamafile",
    "xinference": "xinference",
    "infinity": "infinity",
    "databricks": "databricks",
}
"""Servers of one's own that speak OpenAI's dialect, by the names of other gateways."""

_DIALECTS = "edgeroute speaks the dialects of OpenAI and Anthropic in this version"
_SIGNED = f"{_DIALECTS}; this provider has its own, with signed requests"
_UNSUPPORTED = {
    "bedrock": _SIGNED,
    "bedrock_mantle": _SIGNED,
    "sagemaker": _SIGNED,
    "sagemaker_chat": _SIGNED,
    "vertex_ai": f"{_DIALECTS}; Vertex AI has its own, with tokens that expire",
    "vertex": f"{_DIALECTS}; Vertex AI has its own, with tokens that expire",
}
_OTHERS = {
    "aleph_alpha", "azure_ai", "clarifai", "cloudflare", "cohere", "cohere_chat", "elevenlabs", "gradient_ai",
    "huggingface", "nlp_cloud", "oci", "palm", "petals", "predibase", "replicate", "snowflake", "triton", "watsonx",
    "watsonx_text",
}  # fmt: skip
_SECRET_HEADER = re.compile(r"(?i)authorization|key|token|secret|password|cookie")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ENDPOINT = re.compile(r"(/chat/completions|/completions|/embeddings|/v1/messages|/messages|/responses)?/*$")


def speaks_otherwise(name: str) -> bool:
    """Whether a provider is known to speak a dialect that we do not."""
    return name in _UNSUPPORTED or name in _OTHERS


def unsupported(name: str) -> Reason:
    """Why models of a provider cannot be carried."""
    reason = _UNSUPPORTED.get(name, f"{_DIALECTS}; {name} is not known to speak one of them")
    advice = "if it has an OpenAI-compatible URL, add it under providers with dialect and url; else keep it where it is"
    return Reason("left out", reason, advice)


def catalogued(draft: Draft, name: str, api_key: str | None, headers: dict[str, str], url: str | None = None) -> str:
    """The name of a provider of the catalogue with these credentials; a second one spells out what it is."""
    known = CATALOGUE[name]
    plain = Provider(name, None, url, _keys(api_key), tuple(headers.items()))
    if name not in draft.providers or draft.providers[name] == plain:
        return draft.provider(plain)
    return draft.provider(Provider(name, known.dialect, url or known.url, _keys(api_key), tuple(headers.items())))


def _keys(api_key: str | None) -> tuple[str, ...]:
    return () if api_key is None else (api_key,)


def base_url(draft: Draft, text: str, place: Place, suffix: str = "") -> str | None:
    """A base URL as ours: no endpoint at its end; `suffix` is added where the other gateway adds it itself.

    None, and a finding, if it is not a URL.
    """
    if foreign_variable(text) is not None:
        return carried(text) + suffix
    text = _ENDPOINT.sub("", text)
    if suffix and not re.search(r"/v[0-9]+[a-z0-9]*(/openai)?$", text):
        text += suffix
    try:
        return carried(Url.parse(text))
    except ValueError as problem:
        draft.report.left_out(place, str(problem), "write the provider into the new configuration yourself")
        return None


def azure(
    draft: Draft, endpoint: str, credential: str | None, place: Place, headers: dict[str, str]
) -> Provider | None:
    """An Azure resource by its v1 API, which is OpenAI's dialect with the key in a header of its own."""
    if foreign_variable(endpoint) is None:
        endpoint = re.sub(r"/openai(/.*)?$", "", endpoint.rstrip("/"))
    url = base_url(draft, endpoint, place)
    if url is None:
        return None
    if credential is not None:
        headers = {"api-key": credential, **headers}
    comment = "Azure's v1 API: model names are those of deployments"
    return Provider("azure", "openai-chat", f"{url}/openai/v1", (), tuple(headers.items()), comment=comment)


def extra_header(draft: Draft, name: str, value: str, place: Place, *, beside_a_key: bool) -> tuple[str, str] | None:
    """An extra header as ours, lower-cased; None, and a finding, if it must not be set.

    `beside_a_key` says whether the provider has a credential already, so that no header can be one.
    """
    name = name.lower()
    forbidden = forbidden_header(name)
    if forbidden is not None or not _HEADER_NAME.fullmatch(name):
        reason, advice = forbidden or ("no header is called that", "")
        draft.report.left_out(place, f'"{name}" cannot be an extra header: {reason}', advice)
        return None
    if beside_a_key and name in CREDENTIAL_HEADERS:
        advice = "keep one of them: the credential is sent in this header"
        draft.report.left_out(place, f'"{name}" cannot be an extra header: the provider has an api_key', advice)
        return None
    try:
        HeaderValue.parse(value)
    except Malformed as problem:
        draft.report.left_out(place, problem.message, problem.advice or "")
        return None
    if _SECRET_HEADER.search(name):
        variable = re.sub(r"[^A-Z0-9]+", "_", name.upper())
        found = draft.credential(value, place, variable)
        return None if found is None else (name, found)
    return name, carried(value)

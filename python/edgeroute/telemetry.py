"""What operators read: the metrics page (Prometheus text exposition format 0.0.4) and the process log.

Workers count in shared cells under whole sample names (`name{label="value"}`). Here they are grouped into
families with a type and a help text; `FAMILIES` is the list of everything edgeroute measures.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SAMPLE_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_HISTOGRAM_PART = re.compile(r"_(bucket|sum|count)$")
_BOUND = re.compile(r'(?<=[{,])le="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its type and what it says, with the unit."""

    type: Literal["counter", "gauge", "histogram"]
    help: str


FAMILIES = {
    "edgeroute_requests_total": Family("counter", "Finished requests by model, target, status and outcome."),
    "edgeroute_attempts_total": Family("counter", "Finished attempts, one exchange with one target, by outcome."),
    "edgeroute_tokens_total": Family("counter", "Tokens that providers reported, by model and direction."),
    "edgeroute_rule_matches_total": Family("counter", "Requests that a rule matched."),
    "edgeroute_rule_errors_total": Family("counter", "Requests for which a rule could not be evaluated."),
    "edgeroute_limit_refusals_total": Family("counter", "Requests refused by a limit, by its owner and kind."),
    "edgeroute_request_duration_seconds": Family("histogram", "Time from a request's arrival to its end."),
    "edgeroute_time_to_first_token_seconds": Family("histogram", "Time from a request's arrival to its first output."),
    "edgeroute_overhead_seconds": Family("histogram", "Time spent in edgeroute, waiting for providers apart."),
    "edgeroute_cache_requests_total": Family("counter", "Requests to models with a cache, by what came of asking it."),
    "edgeroute_cache_refused_total": Family(
        "counter", "Requests that were not looked up, or not by meaning, by reason."
    ),
    "edgeroute_cache_embeddings_total": Family("counter", "Vectors of questions that embedders were asked for."),
    "edgeroute_cache_evidence_total": Family("counter", "Answers to similar requests compared with the model's."),
    "edgeroute_cache_judgements_total": Family(
        "counter", "Comparisons that judges were asked for, by what came of it."
    ),
    "edgeroute_cache_evictions_total": Family("counter", "Answers that went because the cache was full."),
    "edgeroute_cache_dropped_total": Family(
        "counter", "Answers that could not be kept: too many, too large, no store."
    ),
    "edgeroute_cache_entries": Family("gauge", "Answers in the cache of the host."),
    "edgeroute_cache_bytes": Family("gauge", "Bytes that they take on the disk."),
    "edgeroute_dropped_total": Family("counter", "What was lost or left unsettled; more than 0 is a defect."),
    "edgeroute_in_flight": Family("gauge", "Exchanges with providers open now, over all workers."),
    "edgeroute_replica_available": Family("gauge", "0 while a replica is tried last, after connect failures in a row."),
    "edgeroute_workers": Family("gauge", "Live worker processes."),
    "edgeroute_generation": Family("gauge", "Published generation of the configuration."),
    "edgeroute_reloads_total": Family("counter", "Reloads of the configuration by result."),
    "edgeroute_worker_deaths_total": Family("counter", "Worker processes that ended without being told to."),
    "edgeroute_build_info": Family("gauge", "Always 1; the label is the version that runs."),
}

Sample = tuple[str, float]


def exposition(collected: Iterable[Sample]) -> str:
    """The metrics page: samples by family, in the order of `FAMILIES`, each family with HELP and TYPE.

    A sample of an unknown family is shown as untyped rather than hidden.
    """
    grouped: dict[str, list[Sample]] = {}
    for name, value in collected:
        grouped.setdefault(_family_of(name), []).append((name, value))
    known = [name for name in FAMILIES if name in grouped]
    lines: list[str] = []
    for family in known + sorted(grouped.keys() - FAMILIES.keys()):
        described = FAMILIES.get(family)
        lines.append(f"# HELP {family} {described.help if described else 'Not documented.'}")
        lines.append(f"# TYPE {family} {described.type if described else 'untyped'}")
        lines.extend(f"{name} {_number(value)}" for name, value in sorted(grouped[family], key=_order))
    return "\n".join(lines) + "\n"


def samples(cells: Iterable[tuple[str, int]]) -> Iterable[Sample]:
    """Samples from named cells: those whose name is a sample's. Cells hold seconds as microseconds."""
    for name, value in cells:
        if name.startswith("edgeroute_"):
            yield name, value / 1_000_000 if _sample_name(name).endswith("_seconds_sum") else value


def replica_samples(replicas: Iterable[tuple[str, str, str]]) -> Iterable[Sample]:
    """Whether each replica is available, from provider, base URL and breaker of each."""
    for provider, url, breaker in replicas:
        escaped = url.replace("\\", r"\\").replace('"', r"\"")
        yield f'edgeroute_replica_available{{provider="{provider}",url="{escaped}"}}', int(breaker != "open")


def _sample_name(sample: str) -> str:
    found = _SAMPLE_NAME.match(sample)
    return found.group() if found else sample


def _family_of(sample: str) -> str:
    name = _sample_name(sample)
    base = _HISTOGRAM_PART.sub("", name)
    family = FAMILIES.get(base)
    return base if family is not None and family.type == "histogram" else name


def _order(sample: Sample) -> tuple[str, str, float]:
    """Histograms by labels, then buckets by their bound; anything else by name."""
    name = sample[0]
    bound = _BOUND.search(name)
    return _sample_name(name), _BOUND.sub("", name), float(bound.group(1)) if bound else 0.0


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) or not value.is_integer() else str(int(value))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        line: dict[str, Any] = {"time_ms": int(record.created * 1000), "level": level, "message": record.getMessage()}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _TextFormatter(logging.Formatter):
    converter = time.gmtime

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")


def log_config(form: Literal["text", "json"]) -> dict[str, object]:
    """Settings for `logging.config.dictConfig`: a line per event on standard error, ours and granian's."""
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "line"}
    quiet = {"handlers": ["console"], "level": "WARNING", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _JsonFormatter if form == "json" else _TextFormatter}},
        "handlers": {"console": handler},
        "loggers": {"edgeroute": quiet | {"level": "INFO"}, "_granian": quiet},
    }


def configure_log(form: Literal["text", "json"]) -> None:
    """Send this process's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if form == "json" else _TextFormatter())
    logger = logging.getLogger("edgeroute")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False

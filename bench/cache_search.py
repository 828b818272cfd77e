"""The search of the semantic cache beside libraries for nearest neighbours, in one run on the same vectors.

    python bench/cache_search.py TEXTS [--counts 10000,100000] [--json FILE]

TEXTS has a question a line; where there are fewer than wanted, vectors between two of them are added. It needs
`pip install numpy hnswlib usearch faiss-cpu`; who is not installed is left out.

Asked is what a cache asks: who is within a cosine of 0.95? Libraries answer with their nearest one. Recall is the share
of queries with such a neighbour for which it, or one as near, is found; the truth is a product of all float vectors.
Times are those of calls from Python with one thread, conversion of the vector included, and the least of several
rounds, because a shared machine can only be slower than itself.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from edgeroute.cache import Bank, SemanticCache, embed

QUERIES = 1024
ROUNDS = 7
COSINE = 0.95


class Contender:
    """A search over vectors: what it is called, how long it took to build, and who is nearest to a query."""

    def __init__(self, name: str, build: Callable[[], Callable[[Any], int]], queries: Any) -> None:
        self.name = name
        start = time.perf_counter()
        self.nearest = build()
        self.build_seconds = time.perf_counter() - start
        self.queries = queries

    def row(self, truth: Any, cosines: Any) -> dict[str, Any]:
        """Its figures; `cosines` has a row per query, `truth` the best of each."""
        rounds: list[float] = []
        found: list[int] = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            found = [self.nearest(query) for query in self.queries]
            rounds.append((time.perf_counter() - start) / len(found) * 1e6)
        asked = [number for number, best in enumerate(truth) if best >= COSINE]
        near = [n for n in asked if found[n] >= 0 and cosines[n, found[n]] >= truth[n] - 0.005]
        return {
            "search": self.name,
            "us": round(min(rounds), 2),
            "recall": round(len(near) / max(len(asked), 1), 4),
            "with_a_neighbour": len(asked),
            "build_s": round(self.build_seconds, 2),
        }


def vectors(texts: list[str], count: int, numpy: Any) -> Any:
    """Unit vectors of the texts, then between two of them."""
    known = [vector for text in texts[:count] if (vector := embed(text))]
    draw = random.Random(1)
    while len(known) < count:
        one, other = draw.sample(known[: len(texts)], 2)
        known.append([(a + b) / 2 for a, b in zip(one, other, strict=True)])
    matrix = numpy.array(known, numpy.float32)
    return matrix / numpy.linalg.norm(matrix, axis=1, keepdims=True)


def ours(bank: Any) -> Callable[[], Callable[[Any], int]]:
    def build() -> Callable[[Any], int]:
        index = Bank(bank.shape[1])
        for number, vector in enumerate(bank.tolist()):
            index.insert(number, vector)

        def nearest(query: Any) -> int:
            found = index.within(query, COSINE, 1)
            return found[0][0] if found else -1

        return nearest

    return build


def hnswlib(bank: Any, width: int) -> Callable[[], Callable[[Any], int]]:
    def build() -> Callable[[Any], int]:
        index = import_module("hnswlib").Index(space="ip", dim=bank.shape[1])
        index.init_index(max_elements=len(bank), M=16, ef_construction=200)
        index.set_num_threads(1)
        index.add_items(bank)
        index.set_ef(width)
        return lambda query: int(index.knn_query(query, k=1, num_threads=1)[0][0, 0])

    return build


def usearch(bank: Any) -> Callable[[], Callable[[Any], int]]:
    def build() -> Callable[[Any], int]:
        index = import_module("usearch.index").Index(ndim=bank.shape[1], metric="cos", dtype="i8", expansion_search=48)
        index.add(range(len(bank)), bank, threads=1)
        return lambda query: int(index.search(query, 1, threads=1).keys[0])

    return build


def faiss(bank: Any) -> Callable[[], Callable[[Any], int]]:
    def build() -> Callable[[Any], int]:
        library = import_module("faiss")
        library.omp_set_num_threads(1)
        index = library.IndexScalarQuantizer(
            bank.shape[1], library.ScalarQuantizer.QT_8bit, library.METRIC_INNER_PRODUCT
        )
        index.train(bank)
        index.add(bank)
        return lambda query: int(index.search(query[None], 1)[1][0, 0])

    return build


def contenders(bank: Any, queries: Any) -> list[Contender]:
    """Those that are installed."""
    libraries = {
        "hnswlib M16 ef48": ("hnswlib", hnswlib(bank, 48)),
        "hnswlib M16 ef128": ("hnswlib", hnswlib(bank, 128)),
        "usearch i8 ef48": ("usearch", usearch(bank)),
        "faiss SQ8 scan": ("faiss", faiss(bank)),
    }
    found = [Contender("edgeroute.cache.Bank", ours(bank), queries.tolist())]
    for name, (module, build) in libraries.items():
        try:
            import_module(module)
        except ImportError:
            print(f"{name} is not installed")
            continue
        found.append(Contender(name, build, queries))
    return found


def whole(texts: list[str], asked: list[str], count: int) -> dict[str, Any]:
    """All of a lookup from the text on, by `SemanticCache.find`."""
    start = time.perf_counter()
    cache = SemanticCache(capacity=count)
    for text in texts[:count]:
        cache.add(text, text)
    seconds = time.perf_counter() - start
    rounds: list[float] = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for text in asked:
            cache.find(text)
        rounds.append((time.perf_counter() - start) / len(asked) * 1e6)
    name = f"SemanticCache.find, from the text, of {len(cache)}"
    return {"search": name, "us": round(min(rounds), 2), "build_s": round(seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--counts", default="10000,100000")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    numpy = import_module("numpy")
    texts = options.texts.read_text().splitlines()
    random.Random(1).shuffle(texts)
    asked, texts = texts[:QUERIES], texts[QUERIES:]
    queries = vectors(asked, len(asked), numpy)
    results: dict[str, list[dict[str, Any]]] = {}
    for count in map(int, options.counts.split(",")):
        bank = vectors(texts, count, numpy)
        cosines = queries @ bank.T
        rows = [each.row(cosines.max(axis=1), cosines) for each in contenders(bank, queries)]
        results[str(count)] = [*rows, whole(texts, asked, count)]
        for row in results[str(count)]:
            print(f"{count:8}  " + "  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

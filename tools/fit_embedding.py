# type: ignore
"""Fits the table by which texts become vectors (`rust/cache/data/embedding.bin`) to the vectors of a teacher.

    python tools/fit_embedding.py ../shared/embedding [--pairs PAIRS.csv] [--hold-out]

The folder has `texts.txt` (one a line) and `teacher.npz` (`vectors` int8, `scale` float32: row i times its scale is the
unit vector of text i). `--hold-out` fits without the texts that have one of some words, every 40th of the rare ones,
says how near the table comes to the teacher there, and writes nothing: the constants below were chosen by that.
`--pairs` only says how well the table ranks pairs of texts that people scored (`text,text,score` a line). Needs numpy
and scipy, half a minute and 2 GB; the same input gives the same table.

*Features.* A text is a bag of words: runs of letters and digits, in lower case, without accents. The row of a word is
the sum of a row of its own, if the texts have the word twice, and of the rows of its pieces, 4 characters long, with
`<` and `>` at its ends: so words with a common stem share what is learnt (Bojanowski et al., arXiv 1607.04606).
The table keeps the sum as the row of a known word, which then costs one look-up, and the rows of the pieces that most
words have, for words that it does not know.

*Loss.* The vector of a text is the sum of the rows of its words, weighted a / (a + p) by the frequency p of the word
(Arora et al., 2017). It should point where the teacher's vector points, of which the 256 main directions are kept.
Ridge regression by conjugate gradients, whose penalty takes back from rare rows what few texts cannot show; it is done
a few times, and each text is asked for a vector as long as the one that it had, so that only directions count.

*Output*, little-endian, read by `rust/cache/src/embedding/table.rs`: 16,384 buckets of 4 keys (2 bytes fingerprint of
each, then 2 bytes number of the row of each, 0xFFFF where there is none; when one is full, the next); the rows, 256
int8 of one scale, turned by a random rotation so that their signs are a code; noise, of which a piece without a row
takes 256 bytes for one.
"""

# Unchecked: numpy and scipy are no dependencies of the project, for so rare a use.

import argparse
import csv
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

OUTPUT = Path(__file__).parents[1] / "rust" / "cache" / "data" / "embedding.bin"

DIMENSIONS = 256
BUCKETS = 1 << 14
ROWS = 29_800
NOISE = 1 << 15
EMPTY = 0xFFFF

LENGTH = 4
LONGEST_WORD = 24
KNOWN_FROM = 2  # texts must have a word as often
COMMON = 1e-3  # frequency of a word that weighs half
PIECES = 3.0  # weight of a word's pieces beside its own row
NOISE_NORM = 0.3  # of a word none of whose pieces is known, where a known one has about .45
RIDGE = 0.3
ROUNDS = 8
STEPS = 12

Floats = NDArray[np.float32]


def words(text: str) -> list[str]:
    """The words of a text, folded; `embedding/words.rs` does the same."""
    folded = "".join(each for each in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(each))
    return re.findall(r"[^\W_]+", folded)


def pieces(word: str) -> list[str]:
    """The parts of a word, itself not among them."""
    if len(word) > LONGEST_WORD:
        return []
    whole = f"<{word}>"
    return [whole[start : start + LENGTH] for start in range(len(whole) - LENGTH + 1)] if len(whole) > LENGTH else []


def key(piece: str) -> int:
    """32 bits of a piece, or of a word between `<` and `>`: the lower 14 are its bucket, the upper 16 a fingerprint."""
    if piece[0] == "<" and piece[-1] == ">":
        state, piece = 0xCBF29CE484222325, piece[1:-1]
    else:
        state = 0x84222325CBF29CE4
    data = piece.encode()
    for start in range(0, len(data), 8):
        state ^= int.from_bytes(data[start : start + 8], "little")
        state = (state * 0x9FB21C651E98DF25) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 32
    return ((state * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF) >> 32


class Vocabulary:
    """What has a row: words that the texts have twice, and the pieces that most of the words have."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.counts = Counter(word for text in texts for word in words(text))
        shared = Counter(piece for word in self.counts for piece in set(pieces(word)))
        known = [word for word, count in self.counts.items() if count >= KNOWN_FROM]
        self.known = sorted(known, key=lambda word: (-self.counts[word], word))
        ranked = sorted(shared, key=lambda piece: (-shared[piece], piece))
        self.pieces = ranked[: ROWS - len(self.known)]
        self.number = {f"<{word}>": at for at, word in enumerate(self.known)}
        self.number |= {piece: len(self.known) + at for at, piece in enumerate(self.pieces)}

    def weight(self, word: str) -> float:
        """How much a word says, by how rare it is."""
        return COMMON / (COMMON + (self.counts[word] + 0.5) / self.counts.total())

    def composition(self, of: Sequence[str]) -> sparse.csr_matrix:
        """How the rows of these words (shape: words x rows) are made of those that are learnt."""
        entries: list[tuple[int, int, float]] = []
        for at, word in enumerate(of):
            weight, parts = self.weight(word), pieces(word)
            if f"<{word}>" in self.number:
                entries.append((at, self.number[f"<{word}>"], weight))
            share = PIECES * weight / max(1, len(parts)) ** 0.5
            entries.extend((at, self.number[part], share) for part in parts if part in self.number)
        return matrix(entries, (len(of), len(self.number)))


def matrix(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> sparse.csr_matrix:
    """A sparse matrix of entries (row, column, value); equal places add up."""
    row, column, value = zip(*entries, strict=True)
    return sparse.csr_matrix((np.array(value, np.float32), (row, column)), shape)


def bags(texts: Sequence[str], number: dict[str, int]) -> sparse.csr_matrix:
    """How often each text (rows) has each word (columns)."""
    entries = [(at, number[word], 1.0) for at, text in enumerate(texts) for word in words(text)]
    return matrix(entries, (len(texts), len(number)))


def unit(vectors: Floats) -> Floats:
    """Each row of length one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def main_directions(vectors: Floats) -> Floats:
    """Unit vectors in the 256 directions in which these vectors lie most."""
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return unit(vectors @ directions[:, ::-1][:, :DIMENSIONS])


def solve(bag: sparse.csr_matrix, composition: sparse.csr_matrix, weights: Floats, wanted: Floats) -> Floats:
    """The learnt rows: ridge regression by conjugate gradients, all dimensions at once."""
    bag_back, composition_back = bag.T.tocsr(), composition.T.tocsr()
    learnt = np.zeros((composition.shape[1], DIMENSIONS), np.float32)
    length = np.sqrt(np.maximum(bag @ weights[:, None] ** 2, 1e-3))
    usual = np.median(length)
    for _ in range(ROUNDS):

        def normal(rows: Floats, length: Floats = length) -> Floats:
            seen = (bag @ (composition @ rows)) / length**2
            return composition_back @ (bag_back @ seen) + RIDGE * rows

        left = composition_back @ (bag_back @ (wanted / length)) - normal(learnt)
        direction, size = left.copy(), (left**2).sum(0)
        for _ in range(STEPS):
            image = normal(direction)
            step = size / np.maximum((direction * image).sum(0), 1e-20)
            learnt += step * direction
            left -= step * image
            before, size = size, (left**2).sum(0)
            direction = left + size / np.maximum(before, 1e-20) * direction
        length = np.linalg.norm(bag @ (composition @ learnt), axis=1, keepdims=True)
        length = np.maximum(length, np.median(length) / 5)
        length *= usual / np.median(length)
    return learnt


class Table:
    """What the file has, and the vectors of texts by it: the twin of `embedding::embed`."""

    def __init__(self, vocabulary: Vocabulary, learnt: Floats) -> None:
        rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(DIMENSIONS, DIMENSIONS)))
        known = vocabulary.composition(vocabulary.known) @ learnt
        rows = np.concatenate([known, PIECES * learnt[len(known) :]]) @ rotation.astype(np.float32)
        step = np.quantile(np.abs(rows), 1 - 1e-5) / 127
        noise = np.random.default_rng(2).normal(size=NOISE + DIMENSIONS) * NOISE_NORM / DIMENSIONS**0.5
        self.number = vocabulary.number
        self.exact = rows / step
        self.rows = np.clip(np.rint(self.exact), -127, 127).astype(np.int8)
        self.noise = np.clip(np.rint(noise / step), -127, 127).astype(np.int8)

    def bytes(self) -> bytes:
        """The file."""
        buckets = np.full((BUCKETS, 2, 4), EMPTY, "<u2")
        for piece, number in self.number.items():
            at, fingerprint = key(piece) % BUCKETS, key(piece) >> 16
            while (used := np.count_nonzero(buckets[at, 1] != EMPTY)) == 4 and fingerprint not in buckets[at, 0]:
                at = (at + 1) % BUCKETS
            # Of two that cannot be told apart (one pair, if any) the first has the row, which more words need.
            if fingerprint not in buckets[at, 0, :used]:
                buckets[at, :, used] = fingerprint, number
        return buckets.tobytes() + self.rows.tobytes() + self.noise.tobytes()

    def embed(self, text: str, rows: Floats) -> Floats:
        """The vector of a text by these rows (`self.rows`, or `self.exact`)."""
        total = np.zeros(DIMENSIONS, np.float32)
        for word in words(text):
            if (number := self.number.get(f"<{word}>")) is not None:
                total += rows[number]
                continue
            parts = [f"<{word}>", *pieces(word)]
            total += sum(self._row(part, rows) for part in parts) / len(parts) ** 0.5
        return total

    def _row(self, part: str, rows: Floats) -> Floats:
        if (number := self.number.get(part)) is not None:
            return rows[number].astype(np.float32)
        start = key(part) % NOISE
        return self.noise[start : start + DIMENSIONS].astype(np.float32)

    def all(self, texts: Sequence[str], *, exact: bool = False) -> Floats:
        """Unit vectors of texts, in what the file keeps or as they were before rounding."""
        rows = self.exact if exact else self.rows
        return unit(np.stack([self.embed(text, rows) for text in texts]))


def alike(first: Floats, second: Floats) -> NDArray[np.floating]:
    """Cosines of rows that are unit vectors."""
    return (first * second).sum(1)


def held_out(texts: Sequence[str]) -> NDArray[np.bool_]:
    """Which texts have a word that none of the others has: texts of tomorrow have words that these lack."""
    counts = Counter(word for text in texts for word in words(text))
    unknown = set(sorted(word for word, count in counts.items() if 2 <= count <= 20)[::40])
    return np.array([not unknown.isdisjoint(words(text)) for text in texts])


def judge_held_out(table: Table, texts: Sequence[str], wanted: Floats) -> None:
    """Says how well texts that were not fitted are placed: each, and each with others at all cosines."""
    got = table.all(texts)
    turned = got @ np.linalg.lstsq(got, wanted, rcond=None)[0]
    print(f"held out: {len(texts)} texts, cosine to the teacher {alike(unit(turned), wanted).mean():.4f}")
    pairs = np.triu_indices(len(texts), 1)
    ours, theirs = (got @ got.T)[pairs], (wanted @ wanted.T)[pairs]
    draw = np.random.default_rng(3)
    buckets = [np.flatnonzero(np.floor(theirs * 20) == bucket) for bucket in range(20)]
    chosen = np.concatenate([draw.choice(each, min(300, len(each)), replace=False) for each in buckets])
    ranks = stats.spearmanr(ours[chosen], theirs[chosen])
    print(f"held out: rank correlation of pairs with the teacher {ranks.statistic:.4f}")


def judge_pairs(table: Table, path: Path) -> None:
    """Says the rank correlation with people's scores: before rounding, of the table, of the signs alone."""
    with path.open(newline="") as file:
        first, second, score = zip(*csv.reader(file), strict=True)
    scores = np.array(score, float)
    exact = alike(table.all(first, exact=True), table.all(second, exact=True))
    ours = [table.all(first), table.all(second)]
    codes = ((ours[0] > 0) == (ours[1] > 0)).sum(1)
    for name, cosines in (("exact", exact), ("int8", alike(ours[0], ours[1])), ("signs", codes)):
        print(f"{path.name}: rank correlation {stats.spearmanr(cosines, scores).statistic:.4f} ({name})")


def main() -> None:
    """Fits, judges, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--hold-out", action="store_true")
    given = parser.parse_args()
    begun = time.monotonic()
    texts = (given.folder / "texts.txt").read_text(encoding="utf-8").splitlines()
    with np.load(given.folder / "teacher.npz") as teacher:
        wanted = main_directions(teacher["vectors"] * teacher["scale"][:, None].astype(np.float32))
    kept = ~held_out(texts) if given.hold_out else np.ones(len(texts), bool)
    fitted = [text for text, keep in zip(texts, kept, strict=True) if keep]
    vocabulary = Vocabulary(fitted)
    every = sorted(vocabulary.counts)
    bag = bags(fitted, {word: at for at, word in enumerate(every)})
    weights = np.array([vocabulary.weight(word) for word in every], np.float32)
    table = Table(vocabulary, solve(bag, vocabulary.composition(every), weights, wanted[kept]))
    print(f"fitted in {time.monotonic() - begun:.0f} s")
    if given.hold_out:
        judge_held_out(table, [text for text, keep in zip(texts, kept, strict=True) if not keep], wanted[~kept])
    if given.pairs:
        judge_pairs(table, given.pairs)
    if not given.hold_out:
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_bytes(table.bytes())
        print(f"{OUTPUT.name}: {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()

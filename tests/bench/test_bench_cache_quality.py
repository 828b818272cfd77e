"""Quality of the semantic cache: what must hold for the pairs written here, and that any file of pairs is read."""

import json
from pathlib import Path

import pytest
from cache_quality import DEFAULT, Quality, main, pairs, read_pairs, replay

PAIRS = Path(__file__).parents[1] / "cache/pairs.csv"
CLINC = next((each for up in Path(__file__).parents if (each := up / "shared/clinc150/data_full.json").exists()), None)


def served(quality: Quality) -> tuple[float, float]:
    """Shares of different and of same pairs that are answered as configured by default."""
    point = next(each for each in quality.points if each.way.startswith("confidence") and each.threshold == DEFAULT)
    return point.wrong / (quality.asked - quality.answerable), point.right / quality.answerable


@pytest.mark.parametrize("only", [None, "split=tune", "split=held-out"])
def test_different_questions_are_not_answered_alike(only: str | None) -> None:
    quality = pairs(PAIRS, only=only)
    wrong, right = served(quality)
    assert wrong <= 0.01
    assert right >= 0.15


def test_the_pairs_are_many_and_of_many_kinds() -> None:
    read = read_pairs(PAIRS, None, None, 4)
    assert len(read) >= 600
    assert sum(not pair.same for pair in read) >= 250
    assert sum(pair.same for pair in read) >= 250
    assert len({frozenset(pair[:2]) for pair in read}) == len(read)


SAME, OTHER = ("How are you?", "how are you"), ("one apple", "two apples")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.csv", "How are you?,how are you,1\none apple,two apples,0\n"),
        ("scores.csv", '"How are you?","how are you",4.8\none apple,two apples,2.5\n'),
        ("header.csv", "id,is_same,a,b\n10,1,How are you?,how are you\n11,0,one apple,two apples\n"),
        ("quality.tsv", "Quality\t#1\t#2\n1\tHow are you?\thow are you\n0\tone apple\ttwo apples\n"),
        ("lines.jsonl", json.dumps({"a": SAME[0], "b": SAME[1], "label": 1}) + "\n" + '{"a": "one apple", '
         '"b": "two apples", "label": 0}\n'),
    ],
)  # fmt: skip
def test_any_file_of_pairs_is_read(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert read_pairs(file, None, None, 4) == [(*SAME, True), (*OTHER, False)]


def test_a_file_without_pairs_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "one.csv"
    file.write_text("only,one text\n")
    with pytest.raises(SystemExit, match="--columns"):
        pairs(file)


def test_figures_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(PAIRS), "--only", "kind=number", "--json", str(tmp_path / "figures.json")])
    assert "| **confidence and vetoes** | 0.95 |" in capsys.readouterr().out
    assert json.loads((tmp_path / "figures.json").read_bytes())["answerable"] == 0


def test_other_questions_are_seldom_answered_wrongly() -> None:
    if CLINC is None:
        pytest.skip("CLINC150 is not beside the project")
    quality = replay(CLINC, None, bank=500, asked=500, seed=1)
    point = next(each for each in quality.points if each.way.startswith("confidence") and each.threshold == DEFAULT)
    assert point.wrong <= 0.005 * point.asked

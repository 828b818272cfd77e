"""edgeroute at the limit: each measurement alone, with what was asked beside what was measured.

Without --only all of them, one after the other, which takes about 45 minutes. One worker; policy on is a key, two
limits, ten rules, four targets, metrics and a log line; 1,024 different requests take turns; every leg has its round
before the next round begins.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec
import ratios
from asked import Measure, Options, Results, Setup, render
from boot import boot
from hits import hits
from legs import HERE, BenchError
from measure import DISTURBED, tell
from mixed import mixed
from overload import overload
from rate import rate
from run import calm, surroundings
from streams import streams

CASES: dict[str, Measure] = {
    "plain": ratios.plain,
    "burst": ratios.burst,
    "spaced": ratios.spaced,
    "body": ratios.body,
    "tls": ratios.tls,
    "alone": ratios.alone,
    "rate": rate,
    "streams": streams,
    "hits": hits,
    "overload": overload,
    "mixed": mixed,
    "boot": boot,
}


def main() -> None:
    options = arguments()
    names = options.only.split(",") if options.only else list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        sys.exit(f"there is no {', '.join(unknown)}; there is {', '.join(CASES)}")
    busy = calm(options.force)
    results = Results(surroundings(busy), {})
    for name in names:
        tell(name)
        try:
            with tempfile.TemporaryDirectory() as directory:
                setup = Setup(Path(directory), options.rounds, options.seconds, options.scale)
                results.cases[name] = CASES[name](setup)
        except BenchError as error:
            sys.exit(f"bench, {name}: {error}")
        print(render(results.cases[name]), end="\n\n", flush=True)
    save(results, options.output)


def arguments() -> Options:
    described = "\n".join(f"  {name:10}{measure.__doc__}" for name, measure in CASES.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\nmeasurements:\n{described}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="measurements, with commas between them")
    parser.add_argument("--rounds", type=int, default=10, help="of those that compare legs; default 10")
    parser.add_argument("--seconds", type=float, default=1.5, help="that a round takes; default 1.5")
    parser.add_argument("--scale", type=float, default=1, help="of counts: 0.01 to see that it runs; default 1")
    parser.add_argument("--force", action="store_true", help=f"also on a busy machine (over {DISTURBED} cores)")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for the report and the raw data")
    return parser.parse_args(namespace=Options())


def save(results: Results, folder: Path) -> None:
    """Write the report and the raw data; named by date, time and what was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    date = results.facts["date"].replace(" ", "-").replace(":", "")
    what = "limits" if len(results.cases) == len(CASES) else "-".join(results.cases)
    facts = "\n".join(f"- {name}: {value}" for name, value in results.facts.items())
    chapters = [render(case) for case in results.cases.values()]
    report = folder / f"{date}-{what}.md"
    report.write_text("\n\n".join(["# At the limit", facts, *chapters]) + "\n")
    report.with_suffix(".json").write_bytes(msgspec.json.encode(results) + b"\n")
    tell(f"saved: {report} and {report.with_suffix('.json').name}")


if __name__ == "__main__":
    main()

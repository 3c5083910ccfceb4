"""Run the benchmarks: `python -m benchmarks` for all, or name some: `python -m benchmarks learner ope_speed`."""

import importlib
import pkgutil
import sys
from pathlib import Path


def main() -> None:
    known = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name != "__main__")
    chosen = sys.argv[1:] or known
    if unknown := set(chosen) - set(known):
        sys.exit(f"unknown benchmark {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    failed = []
    for name in chosen:
        print(f"\n== {name}", flush=True)
        sys.argv = [name]  # a benchmark's own options are for running it alone: python -m benchmarks.NAME --help
        try:
            importlib.import_module(f"benchmarks.{name}").main()
        except SystemExit as stop:  # a benchmark says so when its claim does not hold; the others still run
            if stop.code:
                failed.append(name)
    if failed:
        sys.exit(f"claims that did not hold: {', '.join(failed)}")


if __name__ == "__main__":
    main()

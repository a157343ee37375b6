"""`python -m benchmarks [CASE…] [--cores 1,2] [--json FILE]`: check, then time, against PyTorch and JAX.

Every case runs in a process of its own for every core count, pinned to that many cores, with that many
threads for all sides. BLAS kernels are what each library picks, unless OPENBLAS_CORETYPE is set in the
environment.
"""

import argparse
import json
import os
import subprocess
import sys

from benchmarks.cases import CASES

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def main() -> int:
    arguments = _parser().parse_args()
    unknown = [name for name in arguments.cases if name not in CASES]
    if unknown:
        print(f"benchmarks: no case {unknown[0]!r}; the cases are {', '.join(CASES)}", file=sys.stderr)
        return 2
    if arguments.child:
        return _child(arguments.cases[0], arguments.cores[0], arguments.rounds)
    rows = [
        _run(name, cores, arguments.rounds) for name in arguments.cases or CASES for cores in arguments.cores
    ]
    done = [row for row in rows if row]
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(done, file, indent=1)
    return int(len(done) < len(rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument(
        "--cores", type=_cores, default=[1, 2], help="core counts, comma separated (default 1,2)"
    )
    parser.add_argument("--rounds", type=_rounds, default=9, help="interleaved timed rounds (default 9)")
    parser.add_argument("--json", metavar="FILE", help="also write the rows here")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser


def _rounds(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"rounds must be a whole number >= 1, was {text!r}")
    return int(text)


def _cores(text: str) -> list[int]:
    available = len(os.sched_getaffinity(0))
    counts = [int(part) if part.isdigit() else 0 for part in text.split(",")]
    if min(counts) < 1 or max(counts) > available:
        raise argparse.ArgumentTypeError(f"core counts must be from 1 to {available}, was {text!r}")
    return counts


def _run(name: str, cores: int, rounds: int) -> dict | None:
    environment = os.environ | {variable: str(cores) for variable in _THREADS}
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        name,
        "--cores",
        str(cores),
        "--rounds",
        str(rounds),
        "--child",
    ]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"{name} on {cores} core(s): failed, see above", file=sys.stderr)
        return None
    row = json.loads(done.stdout.splitlines()[-1])
    print(_line(row), flush=True)
    return {key: value for key, value in row.items() if key not in ("spread", "unit")}


def _child(name: str, cores: int, rounds: int) -> int:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    from benchmarks.machine import blas, machine
    from benchmarks.timing import measure, summary

    case = CASES[name](cores)
    medians = {who: summary(seconds) for who, seconds in measure(case, rounds).items()}
    ours, floor = medians.pop("vbref"), medians.pop("floor", (None, None))
    row = {
        "case": name,
        "cores": cores,
        "dtype": case.dtype,
        "seconds": ours[0],
        "peers": {peer: median for peer, (median, _) in medians.items()},
        "floor_seconds": floor[0],
        "blas": blas(),
        "machine": machine(),
        "unit": case.unit,
        "spread": max(spread for _, spread in [ours, *medians.values()]),
    }
    print(json.dumps(row))
    return 0


def _line(row: dict) -> str:
    ratios = "  ".join(f"{peer} {seconds / row['seconds']:.2f}x" for peer, seconds in row["peers"].items())
    floor = f"  over the floor {row['seconds'] / row['floor_seconds']:.2f}" if row["floor_seconds"] else ""
    return (
        f"{row['case']:24s} {row['cores']} core(s) {row['dtype']}  "
        f"{1e3 * row['seconds']:10.4f} ms a {row['unit']}  "
        f"{ratios}{floor}  (spread {100 * row['spread']:.0f} %, {row['blas']})"
    )


sys.exit(main())

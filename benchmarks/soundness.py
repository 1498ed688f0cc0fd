"""Random programs against the prover: what numbers refute must never be proved; what they do not refute should be.

``python benchmarks/soundness.py --programs 10000 --seed 0`` prints the counts, the seeds and the time. Program k of seed s is
``generate(1000000 s + k)`` of ``tests/verify/programs.py``; every second one is broken by one random edit. A claim is refuted if one of
200 random group elements, with random data and weights in float64, gives another output than it says; it is proved if the search finds a
proof and the kernel accepts it. A proved one that is refuted is printed, and the exit code is 1. (One that is proved under the assumption
that there are no ties, and has some, is unknown: ``verify.equivariant`` looks for them and says ``refuted``.)
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from catlearn.verify.kernel import check
from catlearn.verify.rules import NO_TIES
from catlearn.verify.search import Failure, Search
from tests.verify.programs import Case, generate, refuted, tied


def verdict(case: Case) -> str:
    """``proved`` by the search and the kernel, or the reason why not."""
    found = Search(case.program, case.dom, case.cod).run()
    if isinstance(found, Failure):
        return found.reason
    wrong = check(found)
    if wrong is None and NO_TIES in found.claim.assumes and tied(case):
        return "it is proved where there are no ties, and there are"
    return "proved" if wrong is None else f"the kernel refuses what the search found: {wrong}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first program, for running in parts")
    parser.add_argument("--elements", type=int, default=200)
    parser.add_argument("--reasons", type=int, default=12, help="how many reasons of what is unknown to print")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    counts: Counter[tuple[str, str, str]] = Counter()
    reasons: dict[str, list[int]] = {}
    unsound, begin, spent = [], time.perf_counter(), 0.0
    for k in range(args.first, args.first + args.programs):
        case = generate(1_000_000 * args.seed + k)
        false = refuted(case, args.elements)
        start = time.perf_counter()
        said = verdict(case)
        spent += time.perf_counter() - start
        counts[
            "broken" if case.broken else "whole", "refuted" if false else "not refuted", "proved" if said == "proved" else "unknown"
        ] += 1
        if false and said == "proved":
            unsound.append(k)
            print(f"UNSOUND program {k}: {false}\n  dom {', '.join(map(str, case.dom))}\n  cod {', '.join(map(str, case.cod))}", flush=True)
        if not false and said != "proved":
            reasons.setdefault(said, []).append(k)
    for key, n in sorted(counts.items()):
        print(f"{n:6}  {', '.join(key)}")
    true = sum(n for key, n in counts.items() if key[1] == "not refuted")
    proved = sum(n for key, n in counts.items() if key[1:] == ("not refuted", "proved"))
    print(f"seed {args.seed}, programs {args.first} to {args.first + args.programs - 1}: {len(unsound)} refuted and proved; "
          f"{proved} of {true} not refuted are proved ({100 * proved / max(true, 1):.1f} %); "
          f"{time.perf_counter() - begin:.0f} s, of them {spent:.1f} s in the prover and the kernel")  # fmt: skip
    for reason, where in sorted(reasons.items(), key=lambda item: -len(item[1]))[: args.reasons]:
        print(f"{len(where):6}  {reason}  {where[:4]}")
    return 1 if unsound else 0


if __name__ == "__main__":
    raise SystemExit(main())

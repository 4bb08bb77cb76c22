"""``python -m safety.sets check NAME|FILE`` proves a set; ``synthesise NAME`` makes one, and writes it when it is proved."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from robots.errors import TetherError
from safety.sets.certificate import Certificate, Facet, certify
from safety.sets.safe_set import DATA, SafeSet, load, names
from safety.sets.synthesis import search, synthesise
from safety.sets.systems import SYSTEMS


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 proved, 1 not proved, 2 for what the user can put right."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except TetherError as error:
        print(f"safety.sets: error: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m safety.sets", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    check = verbs.add_parser("check", help="prove that a set is safe")
    check.add_argument("set", metavar="NAME|FILE", help=f"{', '.join(names())}, or a .json file")
    check.set_defaults(run=_check)
    make = verbs.add_parser("synthesise", help="make a set, prove it, write it")
    make.add_argument("name", metavar="NAME", help=", ".join(SYSTEMS))
    make.add_argument("-o", "--output", type=Path, help="file to write (default: the shipped one)")
    make.add_argument("--trials", type=int, default=0, help="random changes of the design to try first (default: %(default)s)")
    make.add_argument("--seed", type=int, default=0, help="of the trials (default: %(default)s)")
    make.add_argument("--estimation-error", type=float, nargs="+", metavar="E", help="largest error of each state")
    make.add_argument("--action-delay-s", type=float, default=0.0, metavar="S", help="lag of the actuation (default: %(default)s)")
    make.set_defaults(run=_synthesise)
    return parser


def _check(options: argparse.Namespace) -> int:
    safe_set = load(options.set)
    certificate = certify(safe_set)
    print(table(safe_set, certificate))
    return 0 if certificate.holds else 1


def _synthesise(options: argparse.Namespace) -> int:
    error = None if options.estimation_error is None else np.array(options.estimation_error)
    design = search(options.name, options.trials, options.seed) if options.trials else None
    if design is not None:
        print(design)
    safe_set = synthesise(options.name, design=design, estimation_error=error, action_delay_s=options.action_delay_s)
    certificate = certify(safe_set)
    print(table(safe_set, certificate))
    if not certificate.holds:
        print("not written")
        return 1
    output = options.output or DATA / f"{options.name}.json"
    safe_set.save(output)
    print(f"wrote {output}")
    return 0


def table(safe_set: SafeSet, certificate: Certificate) -> str:
    """Every inequality with its margins, the worst one, the verdict."""
    lines = [f"{'':28}{'proved':>12}{'attained':>12}{'required':>12}{'cells':>7}"]
    lines += [_line(item) for item in (*certificate.facets, *certificate.limits)]
    if certificate.facets:
        worst = certificate.worst
        lines.append(f"worst: {worst.name}, margin {worst.margin:.3g}, at x = {np.array2string(worst.witness, precision=4)}")
    radius = safe_set.polytope.chebyshev()[1]
    lines.append(
        f"{safe_set.system}: {len(safe_set.h)} facets, {safe_set.box_fraction:.1%} of the state box, inscribed radius {radius:.3g}"
    )
    verdict = "proved safe" if certificate.holds else "NOT proved safe"
    lines.append(f"{verdict}; {certificate.cells} cells, {certificate.wall_time_s:.1f} s")
    return "\n".join(lines)


def _line(item: Facet) -> str:
    mark = "" if item.holds else "  FAILS"
    return f"{item.name:28}{item.margin:12.3e}{item.attained:12.3e}{item.required:12.1e}{item.cells:7}{mark}"


if __name__ == "__main__":
    sys.exit(main())

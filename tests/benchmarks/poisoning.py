"""What it costs to turn a choice: `python tests/benchmarks/poisoning.py [--json]`.

Attackers of the small fleet of `tests/poison.py`: `even` over all variants of a place, or `concentrated` on one,
always with the mechanism's own noise, for some rounds x.
The regret of the place's choices after the last round, with a training that believes every report and with ours, by the
attacker's share of the honest reports of that place. `least`: the smallest share tried that costs more than 5 %.
`month`: attackers of some networks who send evenly what they may for 30 days, by the hour alone and by hour and day.
`fleet`: attackers who are a share of all devices, and each tells of that place in its one report a day for 30 days.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator

from tests.learning_world import FLEET, LAB, MANIFEST, first, reports
from tests.poison import even, forged, regret, target, unguarded

from fleetune.model import Model
from fleetune_server.store.base import CellSum
from fleetune_server.telemetry.limits import PLACE_HOURS
from fleetune_server.training.aggregate import merge
from fleetune_server.training.train import TrainRequest, train

HONEST = 10_000  # reports a round, of all places
PLACES = len(FLEET.frame.kernels) * len(FLEET.frame.environments)
OF_PLACE = HONEST / PLACES
SHARES = (0.3, 0.8, 1.5)
ROUNDS, SLOWER = 3, 3
PER_HOUR = 20  # reports of one place that one network may send an hour (FLEETUNE_RATE_PACKETS' default)
PER_DAY = PER_HOUR * PLACE_HOURS
MONTH, TURN = 30, 3  # days, and days between two trainings
NETWORKS = (1, 5, 20)
FLEETS = (0.01, 0.05, 0.1)  # of all devices
COSTLY = 0.05
VARIANT = "inlining+loopUnrolling"  # neither the best there nor the worst
ENVIRONMENTS = {"measured by the lab": 0, "not measured": 2}


def guarded(sums: list[CellSum], model: Model) -> Model:
    result = train(TrainRequest(MANIFEST.raw, LAB, sums, model.to_bytes(), model.version + 1))
    return Model.from_bytes(result.model) if result.verdict.accepted else model


def costs(
    attack: Callable[[Model, int, int], list[CellSum]],
    learn: Callable[[list[CellSum], Model], Model],
    share: float,
    slower: int,
    environment: int,
) -> float:
    """The regret of the place's choices after all rounds."""
    model, sums = Model.from_bytes(first().model), list[CellSum]()
    honest = HONEST // slower
    for turn in range(ROUNDS * slower):
        lies = attack(model, round(share * OF_PLACE / slower), 50 + turn)
        sums = merge([*sums, *reports(model, honest, 5 + turn), *lies])
        model = learn(sums, model)
    return regret(model, environment)


def rows() -> Iterator[dict[str, object]]:
    for name, environment in ENVIRONMENTS.items():
        cells = target(VARIANT, whole=True, environment=environment)
        attacks: dict[str, tuple[Callable[[Model, int, int], list[CellSum]], int]] = {
            "even": (lambda m, n, s, e=environment: even(m, n, e, s), 1),  # type: ignore[misc]
            "concentrated": (lambda m, n, s, c=cells: forged(m, n, c, s, shaped=True), 1),  # type: ignore[misc]
            "even, slow": (lambda m, n, s, e=environment: even(m, n, e, s), SLOWER),  # type: ignore[misc]
        }
        for attacker, (attack, slower) in attacks.items():
            found = {
                word: {share: costs(attack, learn, share, slower, environment) for share in SHARES}
                for word, learn in (("believing", unguarded), ("ours", guarded))
            }
            least = {
                word: min((s for s in SHARES if by[s] > COSTLY), default=None) for word, by in found.items()
            }
            yield {"place": name, "attacker": attacker, "regret": found, "least": least}


def month(of_day: int, environment: int) -> float:
    """The regret of the place's choices after MONTH days of HONEST reports and so many forged ones of it."""
    model, sums = Model.from_bytes(first().model), list[CellSum]()
    for turn in range(MONTH // TURN):
        lies = even(model, of_day * TURN, environment, 50 + turn)
        sums = merge([*sums, *reports(model, HONEST * TURN, 5 + turn), *lies])
        model = guarded(sums, model)
    return regret(model, environment)


def slow() -> Iterator[dict[str, object]]:
    """Where only reports defend: the place that no lab measured."""
    for networks in NETWORKS:
        found = {
            word: month(networks * of_day, ENVIRONMENTS["not measured"])
            for word, of_day in (("by the hour", 24 * PER_HOUR), ("by hour and day", PER_DAY))
        }
        yield {"networks": networks, "regret": found}


def fleets() -> Iterator[dict[str, object]]:
    """Devices that look like any others: no limit of a network and no proof of work concerns them."""
    for share in FLEETS:
        of_day = round(HONEST * share / (1 - share))
        found = {name: month(of_day, environment) for name, environment in ENVIRONMENTS.items()}
        yield {"fleet": share, "of_place": of_day / OF_PLACE, "regret": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--month", action="store_true", help="only the slow attackers")
    parser.add_argument(
        "--fleet", action="store_true", help="only the attackers who are a share of the fleet"
    )
    args = parser.parse_args()
    found = [] if args.month or args.fleet else list(rows())
    monthly = [] if args.fleet else list(slow())
    devices = [] if args.month else list(fleets())
    if args.json:
        limits = {"of_place_per_network_hour": PER_HOUR, "of_place_per_network_day": PER_DAY}
        lists = {"rows": found, "month": monthly, "fleet": devices}
        print(json.dumps({"honest_reports_of_place": OF_PLACE, **limits, **lists}))
        return
    for row in devices:
        print(
            f"30 days, {row['fleet']:.0%} of the fleet, {row['of_place']:.2f} of the place: {row['regret']}"
        )
    for row in monthly:
        print(f"30 days, {row['networks']} networks: {row['regret']}")
    for row in found:
        print(
            f"{row['place']}, {row['attacker']}: {row['regret']}; more than {COSTLY:.0%} from {row['least']}"
        )


if __name__ == "__main__":
    main()

"""`allot simulate`: policies in a world whose truth is known."""

import os
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allot import CampaignError
from api import console
from api.console import number, safe, say, table
from api.options import Format, Output, answer

if TYPE_CHECKING:
    from engine.stages import Reporter

Document = dict[str, Any]

_CUSTOMERS = 5_000  # in every round, or in the files of a world
_POLICIES = "allot,lints,epsilon-greedy,best-static"


def simulate(
    world: Annotated[
        str, typer.Argument(help="World with known truth: nbo, nbo-trees, …, or a file.toml that describes one.")
    ] = "nbo",
    policies: Annotated[
        str | None,
        typer.Option(
            help="Learners, separated by commas, each with an allocation if not its own: `allot`, `lints`, "
            f"`allot/first-come`, `lints/best-first`, `logistic-ts/balanced`. Default: {_POLICIES}."
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="One seed, or a range such as 1000-1009.")] = "1000",
    customers: Annotated[
        int | None, typer.Option(min=1, help="Customers of a day; with --rounds or --write, of the population.")
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Instead of days in memory: so many rounds of `allot` through files, a workspace and the use cases "
            "of allocate, feedback and learn, eight days apart, in any world.",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps every finished run; these are not played again.", file_okay=False),
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Write a page with charts beside the runs.")] = False,
    write: Annotated[
        Path | None, typer.Option(help="Only write the world's files to this folder.", file_okay=False)
    ] = None,
    output: Format = Output.TABLE,
) -> None:
    """Play policies in a world whose truth is known, and compare them with its oracle under the same limits."""
    _check(policies, rounds, to, report, write)
    if write is not None:
        answer(_written(world, seeds, customers or _CUSTOMERS, write), output, _show_files)
        return
    with console.progress(quiet=output is Output.JSON) as reporter:
        if rounds is not None:
            document = _rounds(world, seeds, customers or _CUSTOMERS, rounds, reporter)
        else:
            named = _POLICIES if policies is None else policies
            document = _compared(world, named, seeds, customers, to, report, reporter)
    answer(document, output, _show_rounds if rounds is not None else _show)


def _check(policies: str | None, rounds: int | None, to: Path | None, report: bool, write: Path | None) -> None:
    """Refuse what cannot be meant together."""
    where = "allot simulate"
    if write is not None and (policies is not None or rounds or to or report):
        raise CampaignError(
            "--write plays nothing.", where=where, remedy="Give it with WORLD, --seeds and --customers."
        )
    if rounds is not None and (policies is not None or to or report):
        raise CampaignError("--rounds plays `allot` alone and keeps nothing.", where=where, remedy="Leave it out.")
    if report and to is None:
        raise CampaignError("--report needs a folder.", where=where, remedy="Add --to FOLDER.")


def _written(world: str, seeds: str, customers: int, folder: Path) -> Document:
    from sims import build, described
    from sims.files import write
    from sims.study import seeds_of

    numbers = seeds_of(seeds)
    if len(numbers) > 1:
        raise CampaignError("--write writes one world.", where="--seeds", remedy=f"Write {numbers[0]}.")
    files = write(build(described(world), numbers[0], customers), folder)
    return {"world": world, "files": [str(path) for path in asdict(files).values()]}


def _rounds(world: str, seeds: str, customers: int, rounds: int, reporter: "Reporter") -> Document:
    from sims import described
    from sims.description import pinned
    from sims.round_figures import simulate as through_the_engine
    from sims.study import seeds_of

    about, numbers = pinned(described(world)), seeds_of(seeds)
    return through_the_engine(about, numbers, customers=customers, rounds=rounds, reporter=reporter)


def _compared(
    world: str, policies: str, seeds: str, customers: int | None, to: Path | None, report: bool, reporter: "Reporter"
) -> Document:
    from sims import described
    from sims.comparison import Compared, summarised
    from sims.description import pinned
    from sims.policies import policies_of
    from sims.runs import played
    from sims.study import Study, seeds_of
    from sims.trust import trusted

    about = pinned(described(world))
    sized = about if customers is None else replace(about, per_day=customers)
    study = Study(sized, policies_of(policies), seeds_of(seeds))
    with TemporaryDirectory(prefix="allot-sim-") as passing:
        folder = Path(passing) if to is None else to
        compared = Compared(played(study, folder, processes=os.cpu_count() or 1, reporter=reporter))
    document = summarised(about.name, compared) | {"data": about.data, "trust": trusted(compared)}
    if to is None:
        return document
    document["folder"] = str(to / about.name)
    if report:
        from api.pages.simulation import write_simulation_report

        reporter("page", 0, 1)
        page = write_simulation_report(document, compared, to / about.name / "report")
        reporter("page", 1, 1)
        document |= {"html": str(page.html), "charts": [str(path) for path in page.charts]}
    return document


def _show_files(d: Document) -> None:
    say(*(f"Wrote {safe(path)}" for path in d["files"]))


def _show(d: Document) -> None:
    """Every policy beside the oracle, from the best to the worst; no wider than 80 characters."""
    order = sorted(d["summary"].items(), key=lambda item: -item[1]["oracle_share"])
    rows = [
        (
            policy.replace("/", "\n/"),
            _points(x["oracle_share"]),
            _points(x["worst"]),
            _points(x["worst_day_share"]),
            f"{x['regret']:,.0f}",
            _points(x["spend"] / x["budget"]) if x["budget"] else "-",
            _behind(x["behind"]),
        )
        for policy, x in order
    ]
    heads = ("policy", "share\n%", "worst\nseed", "worst\nday", "regret", "spent\n%", "behind")
    seeds = order[0][1]["seeds"]
    table(f"World {d['world']}: % of what the oracle earns, {seeds} seed{'s' if seeds != 1 else ''}", heads, rows)
    say(f"Behind: points by which {safe(d['reference'])} is ahead, paired over seeds, with 95 % interval.")
    say("Regret: money per seed. Spent: % of the budget.")
    refused = {policy: x["refused_days"] for policy, x in d["summary"].items() if x["refused_days"]}
    say(
        *(
            f"{safe(policy)}: days without a plan, on which nobody got anything: {days:,}."
            for policy, days in refused.items()
        )
    )
    if "folder" in d:
        say(f"Runs: {safe(d['folder'])}")
    if "html" in d:
        say(f"Report: {safe(d['html'])}")


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _behind(x: Document | None) -> str:
    if x is None:
        return "-"
    half = "" if x["low"] is None else f"±{100 * (x['high'] - x['value']):.1f}"
    return f"{100 * x['value']:+.1f}{half}"


def _show_rounds(d: Document) -> None:
    """Share of the oracle, round by round."""
    rows = [
        (
            str(r["seed"]),
            r["round"],
            f"{r['reward']:,.0f}",
            f"{r['oracle_reward']:,.0f}",
            "-" if r["oracle_share"] is None else _points(r["oracle_share"]),
            f"{r['spend']:,.0f}",
            f"{r['true_spend']:,.0f}",
            "-" if r["budget"] is None else f"{r['budget']:,.0f}",
        )
        for r in d["runs"]
    ]
    columns = ("seed", "round", "profit", "oracle's", "share\n%", "planned\nspend", "true\nspend", "budget")
    table(f"World {d['world']}: true expected profit of `allot`, round by round", columns, rows)
    for r in d["runs"]:
        if r["status"] != "released":
            say(f"Seed {r['seed']}, round {r['round']}: nobody got anything. {safe(r['status'])}")
    s = d["summary"]["allot"]
    of = f"{s['seeds']} seed{'s' if s['seeds'] != 1 else ''}"
    error = number(s["gain_std_error"])
    say(
        f"Share of the oracle: {s['oracle_share']:.3f}; first round {s['first']:.3f}, last round {s['last']:.3f} "
        f"(paired difference {s['gain']:+.4f}, standard error {error}, {of})."
    )

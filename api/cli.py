"""The `allot` command. Each command parses, calls one use case and prints its answer; heavy imports wait until then."""

import errno
import gc
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from allot import AllotError, CampaignError, DataError, WorkspaceError, __version__
from api import (
    backups,
    budgets,
    console,
    deciding,
    evaluating,
    experiments,
    keys,
    letters,
    releasing,
    remote,
    serving,
    simulating,
    tables,
)
from api.options import HOME, AsOf, Format, Home, Learnable, Output, answer, open_workspace, read_moment, who
from api.start import INTERRUPTED, tell_interrupted, wants_json

app = typer.Typer(
    name="allot",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Decides which offer, if any, each customer gets; spends a campaign's budget where it is worth most; "
        "learns from what comes back; and says what any other policy would have earned.\n\n"
        "The usual way: `allot init`, `allot load`, `allot train`, `allot allocate CAMPAIGN`, `allot feedback FILE`, "
        "`allot learn`, `allot evaluate`. Try `allot demo` first."
    ),
)


_COLLECT_AFTER = 100_000  # objects: importing makes many that stay; looking through them each time costs a tenth of it
_MISUSED, _MODEL_REFUSED = 2, 10
_MISUSED_SAID = {
    "kind": "UsageError",
    "where": "command line",
    "what": "is not understood; stderr says why.",
    "remedy": "See `allot --help`.",
}
_NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


@app.command()
def init(workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """Make an empty workspace."""
    from engine.workspaces import init as use_case

    answer(use_case(workspace), output, tables.initialised)


@app.command()
def load(
    customers: Annotated[Path | None, typer.Option(help="One row per customer (CSV or Parquet).")] = None,
    offers: Annotated[Path | None, typer.Option(help="One row per offer: costs, margin, dates, eligibility.")] = None,
    exposures: Annotated[Path | None, typer.Option(help="Past decisions and their outcomes.")] = None,
    events: Annotated[Path | None, typer.Option(help="What customers did: purchases, visits, refusals.")] = None,
    append: Annotated[bool, typer.Option(help="Add exposures and events to those already there.")] = False,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Check tables against their contracts and take them in; a breach loads nothing."""
    from engine.workspaces import load as use_case

    named = {"customers": customers, "offers": offers, "exposures": exposures, "events": events}
    sources = {name: path for name, path in named.items() if path is not None}
    if remote.chosen():
        answer(remote.load(sources, append=append), output, tables.loaded)
        return
    with console.progress(quiet=output is Output.JSON) as report:
        document = use_case(open_workspace(workspace), sources, append=append, reporter=report)
    answer(document, output, tables.loaded)


@app.command()
def train(
    as_of: AsOf = None,
    outcome_days: Annotated[float, typer.Option(help="Exposures younger than this are not yet trained on.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Same data and seed: the same model, to the bit.")] = 0,
    monotone: Annotated[
        list[str] | None,
        typer.Option(help="A number column in which chances may only rise or fall: customer.tenure=up. Several times."),
    ] = None,
    weigh: Annotated[
        bool,
        typer.Option("--weigh", help="Weight rows by logged propensities: what the logger preferred is not learnt."),
    ] = False,
    learn_margins: Annotated[
        bool,
        typer.Option("--learn-margins", help="Learn from rewards how much more or less a success brings by customer."),
    ] = False,
    experts: Annotated[
        bool,
        typer.Option(
            "--experts",
            help="Three posteriors beside one another: one forgets faster, one sees curves; each is believed as well "
            "as it foresees outcomes. Learning and beliefs take about ten times the CPU.",
        ),
    ] = False,
    outcome: Annotated[
        Learnable,
        typer.Option(
            help="What to learn: whether decisions succeed, or the amounts in column reward (baskets, donations)."
        ),
    ] = Learnable.SUCCESS,
    force: Annotated[bool, typer.Option("--force", help="Put the model to use even if it is worse.")] = False,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Fit the prior on exposures and matured decisions, and start the posterior from them.

    A model that is worse than the one in use on held-out rows is not put to use, unless with --force. The answer then
    says why (`refused`), and the exit status is 10.
    """
    from bandit import kind_named
    from engine.train import Wishes
    from engine.train import train as use_case

    wishes = Wishes(tuple(monotone or ()), weigh, learn_margins, experts, force, kind_named(outcome.value))
    opened, moment = open_workspace(workspace), read_moment(as_of)
    with console.progress(quiet=output is Output.JSON) as report:
        document = use_case(opened, as_of=moment, outcome_days=outcome_days, seed=seed, wishes=wishes, reporter=report)
    answer(document, output, tables.trained)
    if not document["in_use"]:
        raise typer.Exit(_MODEL_REFUSED)


@app.command()
def allocate(
    campaign: Annotated[Path | None, typer.Argument(help="Campaign document (TOML, or JSON by suffix).")] = None,
    reproduce: Annotated[str | None, typer.Option(help="Recompute a past allocation from its version stamp.")] = None,
    again: Annotated[
        bool, typer.Option(help="Replace an allocation of the same name and as_of that has outcomes.")
    ] = False,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Only say what other limits would bring; nothing is kept. `budget=-20%`, `budget=50000`, "
            "`budget=2x, letters=none`, or a range of points, `budget=0.5x..2x`. May be given several times."
        ),
    ] = None,
    changes: Annotated[
        Path | None, typer.Option(help="With --what-if: write who gets something else to this .parquet or .csv file.")
    ] = None,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Decide which offer each customer of a campaign's audience gets, inside every limit."""
    from engine.campaign import campaign_from_file

    _check_allocate(campaign, reproduce, again, what_if, changes)
    if remote.chosen():
        if campaign is None or what_if or again:
            what = "--server goes with a campaign document alone."
            raise CampaignError(what, where="allot allocate", remedy="Leave the other options out.")
        with console.progress(quiet=output is Output.JSON) as report:
            document = remote.allocate(campaign, report)
        answer(document, output, tables.allocated)
        return
    opened = open_workspace(workspace)
    read = None if campaign is None else campaign_from_file(campaign)
    with console.progress(quiet=output is Output.JSON) as report:
        if read is None:
            from engine.allocate import reproduce as recompute

            document, show = recompute(opened, str(reproduce), reporter=report), tables.reproduced
        elif what_if:
            from engine.whatif import what_if as suppose

            document = suppose(opened, read, tuple(what_if), changes_to=changes, reporter=report)
            show = tables.supposed
        else:
            from engine.allocate import allocate as use_case

            now, by = datetime.now(UTC), who()
            document = use_case(opened, read, now=now, by=by, again=again, reporter=report)
            show = tables.allocated
    answer(document, output, show)


def _check_allocate(
    campaign: Path | None, reproduce: str | None, again: bool, what_if: list[str] | None, changes: Path | None
) -> None:
    """Refuse what cannot be meant together."""
    where = "allot allocate"
    if reproduce is not None and (what_if or campaign is not None):
        what = f"--reproduce does not go with {'--what-if' if what_if else 'a campaign document'}."
        raise CampaignError(what, where=where, remedy="Give one of them.")
    if campaign is None and reproduce is None:
        remedy = "Give the path of one, or --reproduce with an allocation's id."
        raise CampaignError("there is no campaign document.", where=where, remedy=remedy)
    if again and what_if:
        what = "--again does not go with --what-if, which replaces nothing."
        raise CampaignError(what, where=where, remedy="Leave one of them out.")
    if changes is not None and not what_if:
        what = "--changes needs --what-if: only a scenario changes anything."
        raise CampaignError(what, where=where, remedy="Add --what-if, such as --what-if budget=-20%.")


app.command()(releasing.approve)
app.command()(releasing.release)


@app.command()
def feedback(
    file: Annotated[Path, typer.Argument(help="Outcomes of decisions (NDJSON, JSON, CSV or Parquet).")],
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Take in outcomes. The same event twice counts once; unknown decisions wait.

    Rejected records are listed, the others are kept, and the exit status is 3: mend them and send the file again.
    """
    from engine.feedback import feedback as use_case

    if remote.chosen():
        document = remote.feedback(file)
    else:
        document = use_case(open_workspace(workspace), file, now=datetime.now(UTC))
    answer(document, output, tables.fed_back)
    if document["rejected"]:
        what = f"{document['rejected']:,} records were rejected; all others are kept."
        remedy = "Mend them and send the file again: what is already known counts once."
        console.print_error(DataError(what, where=file.name, remedy=remedy), as_json=False)
        raise typer.Exit(DataError.exit_code)


@app.command()
def learn(as_of: AsOf = None, workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """Fold matured outcomes into the posterior; each is folded once, whatever the order of arrival."""
    from engine.learn import learn as use_case

    with console.progress(quiet=output is Output.JSON) as report:
        document = use_case(open_workspace(workspace), as_of=read_moment(as_of), reporter=report)
    answer(document, output, tables.learnt)


app.command()(evaluating.evaluate)
app.command()(evaluating.backtest)
app.add_typer(experiments.app, name="experiment")
app.command()(deciding.decide)
app.command()(serving.serve)
app.add_typer(keys.app, name="keys")
app.add_typer(keys.tenants_app, name="tenants")
app.command()(backups.backup)
app.command()(backups.restore)
app.add_typer(budgets.app, name="budget")
app.add_typer(letters.app, name="dead-letters")


@app.command()
def explain(
    customer: Annotated[str, typer.Argument(help="customer_id")],
    allocation: Annotated[str | None, typer.Option(help="Allocation id; default: the latest.")] = None,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Say why a customer got what they got, and why not each of the other offers."""
    from engine.explain import explain as use_case

    if remote.chosen():
        document = remote.explain(customer, allocation)
    else:
        document = use_case(open_workspace(workspace), customer, allocation)
    answer(document, output, tables.explained)


@app.command()
def report(
    about: Annotated[
        str | None,
        typer.Argument(help="Allocation id, or the id of a model (prior-…); default: the latest allocation."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder; default: reports/ in the workspace.", file_okay=False)
    ] = None,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Write one self-contained HTML page about an allocation, or about a model's training, and its charts as PNG."""
    from api.report import write
    from api.training_report import write_training

    opened = open_workspace(workspace)
    with console.progress(quiet=output is Output.JSON) as reporter:
        if about is not None and about.startswith("prior-"):
            document = write_training(opened, about, to, reporter=reporter)
        else:
            document = write(opened, about, to, reporter=reporter)
    answer(document, output, tables.reported)


app.command()(simulating.simulate)


@app.command()
def demo(
    to: Annotated[
        Path, typer.Option(help="Folder for the demo's workspace, files and report.", file_okay=False)
    ] = Path("allot-demo"),
    customers: Annotated[int, typer.Option(help="Customers in the world.")] = 50_000,
    output: Format = Output.TABLE,
) -> None:
    """Everything once: a world, training, an allocation, two rounds of learning, an evaluation, the report."""
    from api.demo import run

    document = run(to, customers=customers, quiet=output is Output.JSON)
    if output is Output.JSON:
        console.print_json(document)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"allot {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 (its callback acts)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            envvar="ALLOT_SERVER",
            metavar="URL",
            help=f"Have a running service do it ({', '.join(remote.COMMANDS)}); its key is in {remote.KEY}.",
        ),
    ] = None,
) -> None:
    if server is not None:
        remote.choose(server, str(context.invoked_subcommand))


def main() -> None:
    """The command line: expected failures become one readable line and an exit status."""
    gc.set_threshold(_COLLECT_AFTER)
    as_json = wants_json()
    try:
        app()
    except AllotError as error:
        console.print_error(error, as_json=as_json)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            tell_interrupted(as_json=as_json)
        elif as_json and end.code == _MISUSED:
            console.print_json({"error": _MISUSED_SAID})
        raise
    except OSError as error:
        console.print_error(_in_words(error), as_json=as_json)
        sys.exit(WorkspaceError.exit_code)


def _in_words(error: OSError) -> WorkspaceError:
    """What the operating system refused, and what to do about it."""
    where, as_it_was = str(error.filename or ""), "the workspace is as it was."
    if error.errno in _NO_RIGHT:
        remedy = f"Ask for the right to, or use another folder; {as_it_was}"
        return WorkspaceError("may not be written to." if where else "may not write there.", where=where, remedy=remedy)
    if error.errno in _NO_FOLDER:
        return WorkspaceError("there is a file where a folder is needed.", where=where, remedy="Name another folder.")
    remedy = f"Free some space and try again; {as_it_was}"
    return WorkspaceError(f"{error.strerror or error}.", where=where, remedy=remedy)


if __name__ == "__main__":
    main()

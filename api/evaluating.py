"""The commands that ask what another policy would have earned."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from allot import DataError
from api import console, evaluation_table, remote
from api.hindsight import backtested, hindsight
from api.options import HOME, AsOf, Format, Home, Output, Page, answer, open_workspace, read_moment


def evaluate(
    campaign: Annotated[Path | None, typer.Argument(help="What would this campaign have earned on the log?")] = None,
    log: Annotated[Path | None, typer.Option(help="An exposures file; default: this workspace's decisions.")] = None,
    target: Annotated[Path | None, typer.Option(help="A list: customer_id, offer_id, probability.")] = None,
    allocation: Annotated[
        list[str] | None, typer.Option(help="The allocation whose decisions are the log. May be given several times.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="The log is all allocations decided from then on.")] = None,
    until: Annotated[str | None, typer.Option(help="The log is all allocations decided before then.")] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            help="What would other limits have earned? `budget=-20%`, `budget=2x, letters=none`, as for "
            "`allot allocate`; the campaign is given, or each allocation's own. May be given several times."
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="A customer column by whose segments to compare; default: one of few texts.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--every-estimator", help="Also by dm, clipped, switch, shrunk, subgaussian, mrdr, mips, balanced."
        ),
    ] = False,
    outcome_days: Annotated[float, typer.Option(help="With --log: younger rows are left out.")] = 30.0,
    page: Page = None,
    as_of: AsOf = None,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Estimate from logged decisions what a policy would have earned, with interval, diagnostics and verdict."""
    from engine.campaign import campaign_from_file
    from engine.evaluate import Question
    from engine.evaluate import evaluate as use_case

    if remote.chosen():
        if log is not None or target is not None:
            what = "--server judges on the service's own decisions."
            raise DataError(what, where="allot evaluate", remedy="Leave --log and --target out.")
        policy = "logged" if campaign is None else campaign_from_file(campaign).to_document()
        asked: dict[str, Any] = {
            "policy": policy,
            "allocations": allocation,
            "since": since,
            "until": until,
            "as_of": as_of,
        }
        asked |= {"what_if": what_if, "by": by, "every_estimator": every}
        with console.progress(quiet=output is Output.JSON) as report:
            document = remote.evaluate(asked, report)
        _answered(document, page, output)
        return
    question = Question(
        campaign=None if campaign is None else campaign_from_file(campaign),
        log=log,
        target=target,
        allocations=tuple(allocation or ()),
        outcome_days=outcome_days,
        as_of=read_moment(as_of),
        since=_moment_or_none(since, "--since"),
        until=_moment_or_none(until, "--until"),
        by=by,
        every_estimator=every,
    )
    opened = open_workspace(workspace)
    with console.progress(quiet=output is Output.JSON) as report:
        if what_if:
            from engine.hindsight import in_hindsight

            document = in_hindsight(opened, question, what_if, reporter=report)
        else:
            document = use_case(opened, question, reporter=report)
    _answered(document, page, output)


def _answered(document: dict[str, Any], page: Path | None, output: Output) -> None:
    """Write the page where one is wanted, and print the answer."""
    if page is not None:
        from api.evaluation_report import write_page

        document |= write_page("hindsight" if document.get("scenarios") else "evaluation", document, page)
    answer(document, output, hindsight if "scenarios" in document else evaluation_table.evaluated)


def backtest(
    campaign: Annotated[Path, typer.Argument(help="Would this campaign have worked?")],
    origins: Annotated[int, typer.Option(help="To how many moments to train, one after the other.")] = 4,
    known: Annotated[
        list[str] | None,
        typer.Option(help="A column that was surely known before each decision: customer.grade. Several times."),
    ] = None,
    outcome_days: Annotated[float, typer.Option(help="How long an outcome may take.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Of the models.")] = 0,
    page: Page = None,
    as_of: AsOf = None,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Train to a moment of the past, decide for the time after it, and judge by what was logged then; several times.

    Nothing from after a moment is used for it. A column that holds what came after is named, and the verdict is then
    `invalid`.
    """
    from engine.backtest import Rolling
    from engine.backtest import backtest as use_case
    from engine.campaign import campaign_from_file

    how = Rolling(origins, outcome_days, read_moment(as_of), seed, tuple(known or ()))
    read, opened = campaign_from_file(campaign), open_workspace(workspace)
    with console.progress(quiet=output is Output.JSON) as report:
        document = use_case(opened, read, how, reporter=report)
    if page is not None:
        from api.evaluation_report import write_page

        document |= write_page("backtest" if document["origins"] else "evaluation", document, page)
    answer(document, output, backtested)


def _moment_or_none(text: str | None, option: str) -> datetime | None:
    return None if text is None else read_moment(text, option)

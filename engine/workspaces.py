"""Making a workspace and filling it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allot import DataError
from engine.stages import Reporter, Stages, silent
from warehouse import Workspace, make_store

TABLES = ("customers", "offers", "exposures", "events")
_APPENDABLE = ("exposures", "events")


def init(root: Path) -> dict[str, Any]:
    """Make an empty workspace, or find the one that is there (`made` false). Nothing in it is ever overwritten."""
    made = not (root / "workspace.toml").exists()
    workspace = Workspace.init(root)
    make_store(workspace)
    return {"workspace": str(workspace.root), "made": made}


def load(
    workspace: Workspace, sources: Mapping[str, Path], *, append: bool = False, reporter: Reporter = silent
) -> dict[str, Any]:
    """Check files against their contracts and make them the workspace's data.

    Args:
        workspace: where.
        sources: a file for each table: customers, offers, exposures, events.
        append: add exposures and events to those that are there; customers and offers are always replaced.
        reporter: told about progress.

    Returns:
        rows per table, the data version and warnings.

    Raises:
        DataError: nothing to append to, or a breach, with file, column, example and remedy; nothing was loaded.
        RuleError: an offer's eligible_when is wrong; nothing was loaded.
    """
    from engine.offer_rules import review_rules
    from governance import CONTRACTS
    from warehouse import load as load_tables

    if not sources:
        raise DataError("no file was given.", where="allot load", remedy="Give --customers, --offers or --exposures.")
    if append and not set(sources) & set(_APPENDABLE):
        what = f"--append adds to {' and '.join(_APPENDABLE)} only; {' and '.join(sorted(sources))} would be replaced."
        raise DataError(what, where="allot load", remedy="Load the whole table, without --append.")
    stages = Stages(reporter)
    with stages("check and publish", len(sources)) as done:
        steps: list[str] = []

        def tell(step: str) -> None:
            steps.append(step)
            done(sum(step.endswith("writing") for step in steps))

        kept = _APPENDABLE if append else ()
        loaded = load_tables(workspace, sources, CONTRACTS, append=kept, review=review_rules, progress=tell)
    return {
        "tables": list(loaded.counts),
        **loaded.counts,
        "version": loaded.version.id,
        "warnings": list(loaded.warnings),
    }

"""Is there anything to learn? Looked at every few seconds, so that nothing is loaded for learning before there is."""

from datetime import datetime, timedelta
from typing import Any

from warehouse import Counted, Store, Workspace
from warehouse.learning_marks import LearningMark, learning_mark, put_learning_mark, to_be_seen


def learn_when_due(
    workspace: Workspace, store: Store, *, now: datetime, counted: Counted | None = None
) -> dict[str, Any] | None:
    """Learn if there may be something new since the last time: feedback, a release, a model, an hour.

    Half of the time at most goes into learning: after a long fold the next one waits as long as that took.

    Args:
        workspace, store: whose.
        now: the clock.
        counted: of the log, by an earlier call in this process.

    Returns:
        As `learn`; None where nothing was due.

    Raises:
        LockedError: another command is writing.
    """
    last, seen = learning_mark(store), to_be_seen(store, now)
    if seen["posterior"] is None or (last is not None and last.seen == seen):
        return None
    if last is not None and timedelta(0) <= now - last.at < timedelta(seconds=last.seconds):
        return None
    from engine.learn import learn

    learnt = learn(workspace, as_of=now, counted=counted)
    after = seen | {"posterior": learnt["posterior"]}  # what came in meanwhile is seen next time
    put_learning_mark(store, LearningMark(after, now, sum(learnt["seconds"].values())))
    return learnt

"""Many runs at once: what is finished is never played again, and the order or number of processes changes no bit."""

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import active_children, get_context
from pathlib import Path

from allot import WorkspaceError
from engine.stages import Reporter, silent
from sims.days import Known
from sims.description import Description, pinned
from sims.play import play
from sims.policies import ORACLE, Policy, own
from sims.run_files import Run, path_of, read_run, settings_of, write_run
from sims.study import Study
from sims.world import build


@dataclass(frozen=True, slots=True)
class Task:
    """One run that is missing: a policy, a seed, and where the run belongs."""

    study: Study
    policy: Policy
    seed: int
    folder: Path

    @property
    def path(self) -> Path:
        """Of its file."""
        return path_of(self.folder, self.study.about.name, self.policy.name, self.seed)


def played(study: Study, folder: Path, *, processes: int = 2, reporter: Reporter = silent) -> list[Run]:
    """Play what is missing in a folder, the oracle included, and read all of it.

    An interruption leaves finished runs where they are; of others nothing is left.

    Args:
        study: what is compared.
        folder: where runs are kept, a file for each.
        processes: at work at the same time.
        reporter: told how many runs are finished.

    Returns:
        by policy, then seed; the oracle last.

    Raises:
        WorkspaceError: the folder has runs of another setting, or a process ended before its time.
    """
    study = replace(study, about=pinned(study.about))
    everybody = tuple(dict.fromkeys((*study.policies, Policy(ORACLE, own(ORACLE)))))
    tasks = [Task(study, policy, seed, folder) for seed in study.seeds for policy in everybody]
    missing = [task for task in tasks if not _finished(task)]
    reporter("runs", len(tasks) - len(missing), len(tasks))
    finished = len(tasks) - len(missing)

    def count() -> None:
        nonlocal finished
        finished += 1
        reporter("runs", finished, len(tasks))

    if processes > 1 and len(missing) > 1:
        _beside_one_another(missing, min(processes, len(missing)), count)
    else:
        for task in missing:
            perform(task)
            count()
    return [read_run(Task(study, policy, seed, folder).path) for policy in everybody for seed in study.seeds]


def perform(task: Task) -> None:
    """Play one run and keep it."""
    known = _known(task.study.about, task.seed)
    named = {
        "settings": task.study.settings,
        "policy": task.policy.name,
        "seed": task.seed,
        "offers": known.world.offers.ids,
    }
    write_run(task.path, play(known, task.policy), named)


@lru_cache(maxsize=1)
def _known(about: Description, seed: int) -> Known:
    """The trees of a seed are fitted once for all policies that this process plays."""
    return Known(build(about, seed))


def _finished(task: Task) -> bool:
    found, wanted = settings_of(task.path), task.study.settings
    if found is None or found == wanted:
        return found is not None
    other = [f"{key} {found.get(key)}" for key, value in wanted.items() if found.get(key) != value]
    remedy = "Give another folder, or remove this one."
    if other == [f"data {found.get('data')}"]:
        remedy = f'Give another folder; or write data = "{found.get("data")}" in the description.'
    what = f"the run was played with other settings ({', '.join(other)})."
    raise WorkspaceError(what, where=str(task.path), remedy=remedy)


def _beside_one_another(tasks: list[Task], processes: int, finished: Callable[[], None]) -> None:
    others = set(active_children())
    pools = [ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_deaf) for _ in range(processes)]
    try:
        started = [
            pools[place].submit(perform, task) for task, place in zip(tasks, places(tasks, processes), strict=True)
        ]
        for future in as_completed(started):
            future.result()
            finished()
    except BrokenProcessPool as error:
        remedy = (
            "Was memory short? Give fewer --customers. With --to, finished runs are kept: the same command goes on."
        )
        raise WorkspaceError("a process ended before its time.", where="simulate", remedy=remedy) from error
    except BaseException:  # an interruption above all: nobody waits for runs that are half-way
        for child in set(active_children()) - others:
            child.terminate()
        raise
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def places(tasks: Sequence[Task], processes: int) -> list[int]:
    """Which process plays each task: a seed's all the same one, which builds its world and trees only once.

    Seeds that are left over when every process has had as many as the others are shared out task by task.
    """
    seeds = {seed: number for number, seed in enumerate(dict.fromkeys(task.seed for task in tasks))}
    whole = len(seeds) // processes * processes
    return [(seeds[task.seed] if seeds[task.seed] < whole else number) % processes for number, task in enumerate(tasks)]


def _deaf() -> None:
    """An interruption is for the process that waits, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

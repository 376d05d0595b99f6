"""Workers that draw on one budget while they are killed, paused beyond their leases and given wrong clocks.

    python budget_trial.py WORKSPACE SEED KILLS PAUSES MUTANT

Four processes decide as fast as they can, on three caps that overlap, and write down what was acknowledged. Every kill
raises the caps a little, so that some kills fall into plenty and some into the last micros. In the end the demand goes
on until nothing fits any more. One line of JSON says what was found: the worst overspending ever seen, what was left of
the caps, acknowledged decisions that the ledger does not know, accounts that their parts do not add up to.
"""

import json
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, select, update

from allot import LeaseLostError, WorkspaceError
from warehouse import Ledger, Workspace, open_store
from warehouse.accounts import ACCOUNTS, LEASES
from warehouse.holds import HOLDS

ACCOUNT, WORKERS, LEASE_SECONDS, LARGEST = "spring", 4, 0.4, 3_000
OFFERS = (  # what each takes of every cap, micros
    {"budget": 3_000},
    {"budget": 1_700, "letters": 1_000},
    {"budget": 900, "letters": 1_000, "gold": 2_500},
    {"budget": 400, "gold": 700},
    {"letters": 1_000},
    {"gold": 100},
    {"budget": 100},
    {"letters": 100},
)
START = {"budget": 120_000, "letters": 70_000, "gold": 90_000}
STEP = {"budget": 12_000, "letters": 8_000, "gold": 9_000}
PATIENCE_SECONDS = 200.0


class WrongClock:
    """An hour early, right, or an hour late; it changes its mind."""

    def __init__(self, chance):
        self.chance, self.offset, self.until = chance, timedelta(0), 0.0

    def __call__(self):
        if time.monotonic() > self.until:
            self.offset = timedelta(hours=self.chance.choice((-1, 0, 0, 1)))
            self.until = time.monotonic() + self.chance.uniform(0.1, 1.5)
        return datetime.now(UTC) + self.offset


class WithoutFence(Ledger):
    """Holds without looking whether the lease is still there: believes what it was told."""

    def hold(self, session, campaign, decision_id, amounts, *, sure=None, due=None):
        for limit, amount in amounts.items():
            there = (LEASES.c.worker == self._worker) & (LEASES.c.limit_name == limit)
            enough = LEASES.c.used_micros + amount <= LEASES.c.granted_micros
            session.execute(update(LEASES).where(there, enough).values(used_micros=LEASES.c.used_micros + amount))
        _add_holds(session, campaign, decision_id, amounts, sure)


class ReadCheckWrite(Ledger):
    """Looks what is free, and later writes down what it makes of it.

    It writes every account, in the order of their names as the ledger does: else it would wait in a circle with others,
    and whoever opens the accounts in between might be the one whom PostgreSQL ends for it.
    """

    def room(self, session, campaign, need=None):
        self.seen = {row.limit_name: row for row in session.execute(select(ACCOUNTS))}
        return {name: row.cap_micros - row.held_micros - row.spent_micros for name, row in self.seen.items()}

    def hold(self, session, campaign, decision_id, amounts, *, sure=None, due=None):
        for limit, row in sorted(self.seen.items()):
            held = row.held_micros + amounts.get(limit, 0)
            session.execute(update(ACCOUNTS).where(ACCOUNTS.c.limit_name == limit).values(held_micros=held))
        _add_holds(session, campaign, decision_id, amounts, sure)


def _add_holds(session, campaign, decision_id, amounts, sure):
    common = {"decision_id": decision_id, "campaign": campaign, "fence": 0, "spent_micros": None, "due_at": None}
    rows = [
        common | {"limit_name": limit, "amount_micros": amount, "sure_micros": (sure or {}).get(limit, 0)}
        for limit, amount in amounts.items()
    ]
    session.execute(insert(HOLDS), rows)


MUTANTS = {"none": Ledger, "without_fence": WithoutFence, "read_check_write": ReadCheckWrite}


def work(workspace, slot, life, seed, mutant, folder):
    """Decide until nothing fits any more and the end has been announced."""
    chance = random.Random(f"{seed} {slot} {life}")
    book = os.open(folder / f"acknowledged-{slot}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    need = dict.fromkeys(START, LARGEST)
    with open_store(workspace) as store:
        ledger = MUTANTS[mutant](store, worker=f"w{slot}", clock=WrongClock(chance), lease_seconds=LEASE_SECONDS)
        number, open_ids, last = 0, [], False
        while True:
            ended = (folder / "end").exists()
            with store.transaction() as session:
                room = ledger.room(session, ACCOUNT, need)
            chosen = [o for o in OFFERS if all(amount <= room.get(limit, 0) for limit, amount in o.items())]
            if not chosen:
                if last:
                    return
                last = ended  # ask once more after the end: everything that others gave back is there
                time.sleep(0.01)
                continue
            last = False
            if chance.random() < 0.5:
                time.sleep(chance.uniform(0.0, 0.02))  # what was told is of an earlier transaction by now
            plan = [chance.choice(chosen) for _ in range(chance.choice((1, 1, 8)))]
            made = []
            try:
                with store.transaction() as session:
                    for offer in plan:
                        number += 1
                        made.append((f"{slot}-{life}-{number}", offer))
                        half = {limit: amount // 2 for limit, amount in offer.items()}
                        ledger.hold(session, ACCOUNT, *made[-1], sure=half)
            except (LeaseLostError, WorkspaceError):
                continue
            os.write(book, "".join(f"{json.dumps(one)}\n" for one in made).encode())
            open_ids += [decision for decision, _ in made]
            if len(open_ids) > 30 and mutant == "none":
                with store.transaction() as session:
                    ledger.settle_outcomes(session, {decision: chance.random() < 0.5 for decision in open_ids[:20]})
                del open_ids[:20]


def taken(workspace):
    """By limit, what all decisions hold and have spent, counted from the decisions themselves; and the caps."""
    with open_store(workspace) as store, store.transaction(write=False) as session:
        caps = {row.limit_name: row.cap_micros for row in session.execute(select(ACCOUNTS))}
        sums = dict.fromkeys(caps, 0)
        for hold in session.execute(select(HOLDS)):
            sums[hold.limit_name] += hold.amount_micros if hold.spent_micros is None else hold.spent_micros
    return sums, caps


class Trial:
    """The workers, and what befalls them."""

    def __init__(self, workspace, seed, mutant, folder):
        self.workspace, self.seed, self.mutant, self.folder = workspace, seed, mutant, folder
        self.chance = random.Random(seed)
        self.living, self.lives, self.asleep = {}, [0] * WORKERS, {}
        self.caps, self.worst = dict(START), 0
        self.open()

    def open(self):
        with open_store(self.workspace) as store:
            Ledger(store, worker="owner", clock=lambda: datetime.now(UTC)).open(ACCOUNT, self.caps)

    def begin(self, slot):
        self.lives[slot] += 1
        pid = os.fork()
        if pid == 0:
            try:
                work(self.workspace, slot, self.lives[slot], self.seed, self.mutant, self.folder)
            except BaseException as error:  # noqa: BLE001 (the parent tells of it)
                (self.folder / f"failed-{slot}").write_text(repr(error))
            finally:
                os._exit(0)
        self.living[slot] = pid

    def kill(self):
        slot = self.chance.randrange(WORKERS)
        os.kill(self.living[slot], signal.SIGKILL)
        os.waitpid(self.living.pop(slot), 0)
        self.asleep.pop(slot, None)
        self.caps = {limit: cap + STEP[limit] for limit, cap in self.caps.items()}
        self.open()
        self.begin(slot)

    def pause(self):
        awake = [slot for slot in self.living if slot not in self.asleep]
        slot = self.chance.choice(awake)
        os.kill(self.living[slot], signal.SIGSTOP)
        seconds = self.chance.uniform(1.0, 1.6) * LEASE_SECONDS
        self.asleep[slot] = time.monotonic() + seconds
        if os.fork() == 0:  # woken by somebody who does not wait for the locks that the sleeper may hold
            try:
                time.sleep(seconds)
                os.kill(self.living[slot], signal.SIGCONT)
            finally:  # also where it is dead by now
                os._exit(0)

    def wake(self):
        for slot, until in list(self.asleep.items()):
            if time.monotonic() > until:
                del self.asleep[slot]

    def look(self):
        sums, caps = taken(self.workspace)
        self.worst = max(self.worst, *(sums[limit] - caps[limit] for limit in caps))

    def run(self, kills, pauses):
        for slot in range(WORKERS):
            self.begin(slot)
        time.sleep(0.3)
        troubles = ["kill"] * kills + ["pause"] * pauses
        self.chance.shuffle(troubles)
        for trouble in troubles:
            getattr(self, trouble)()
            time.sleep(self.chance.uniform(0.02, 0.3))
            while len(self.asleep) >= WORKERS - 1:
                time.sleep(0.01)
                self.wake()
            self.wake()
            if self.mutant != "none" or self.chance.random() < 0.3:
                self.look()
            if self.worst > 0:  # enough is known
                return self.verdict(kills, pauses)
        (self.folder / "end").touch()
        until = time.monotonic() + PATIENCE_SECONDS
        while self.living:
            for slot, pid in list(self.living.items()):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del self.living[slot]
            if self.mutant != "none":
                self.look()
                if self.worst > 0:
                    return self.verdict(kills, pauses)
            if time.monotonic() > until:
                raise RuntimeError("the workers do not come to an end")
            time.sleep(0.02)
        self.look()
        return self.verdict(kills, pauses)

    def verdict(self, kills, pauses):
        sums, caps = taken(self.workspace)
        known = {}
        with open_store(self.workspace) as store:
            with store.transaction(write=False) as session:
                for hold in session.execute(select(HOLDS)):
                    known.setdefault(hold.decision_id, {})[hold.limit_name] = hold.amount_micros
            recount = Ledger(store, worker="owner", clock=lambda: datetime.now(UTC)).recount(ACCOUNT)
        said = [json.loads(line) for path in self.folder.glob("acknowledged-*") for line in path.open()]
        return {
            "overspent_micros": self.worst,
            "unspent": {limit: (caps[limit] - sums[limit]) / caps[limit] for limit in caps},
            "acknowledged": len(said),
            "lost": sum(known.get(decision) != offer for decision, offer in said),
            "wrong_accounts": [x.limit for x in recount if not x.right],
            "failed": [path.read_text() for path in self.folder.glob("failed-*")],
            "kills": kills,
            "pauses": pauses,
        }


if __name__ == "__main__":
    root, seed, kills, pauses, mutant = sys.argv[1:]
    here = Workspace.open(Path(root))
    notes = Path(root) / "notes"
    notes.mkdir()
    trial = Trial(here, int(seed), mutant, notes)
    try:
        print(json.dumps(trial.run(int(kills), int(pauses))))  # noqa: T201
    finally:
        for living in trial.living.values():
            os.kill(living, signal.SIGKILL)

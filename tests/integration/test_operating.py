"""The runbooks work as written: their commands run, one after the other, on a workspace with a history."""

import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.budgets import account_of
from engine.campaign import read_campaign
from warehouse import Ledger, Workspace, feedback_items, open_store, take_feedback

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/operating.md"
AWAY = "postgresql://allot:secret@db.example/allot"


def test_every_command_of_the_runbooks_works(workspace: Path, tmp_path: Path, postgres: str) -> None:
    workspace.rename(tmp_path / "shop")
    with_a_past(Workspace.open(tmp_path / "shop"))
    port = free_port()
    changes = {AWAY: f"'{postgres}'", ":8000": f":{port}", "--port 8000": f"--port {port}"}
    text = PAGE.read_text()
    for written, here in changes.items():
        assert written in text
        text = text.replace(written, here)
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 11
    script = tmp_path / "page.sh"
    script.write_text("set -euxo pipefail\ntrap 'kill $(jobs -p) 2>&- || true' EXIT\n" + "".join(blocks))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ALLOT_")} | {"PATH": path}
    run = subprocess.run(
        ["bash", str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    told = run.stderr[-4000:] + run.stdout[-3000:]
    assert run.returncode == 0, told
    assert '"event_id":"lost"' in run.stdout.replace(" ", ""), told
    assert "Frozen: nothing more is taken." in run.stdout
    assert run.stdout.count("Restored to") == 2
    assert run.stdout.splitlines()[-1] == "ok"
    with open_store(Workspace.open(tmp_path / "restored")) as store:
        assert store.latest_allocation(status="released") is not None


def with_a_past(shop: Workspace) -> None:
    """A dead letter, and a campaign with a budget."""
    now = datetime.now(UTC)
    with open_store(shop) as store:
        lost = {"event_id": "lost", "decision_id": "B-1", "outcome": 1, "reward": 1, "occurred_at": "2026-04-05"}
        take_feedback(store, feedback_items([lost]), lambda _: set(), received_at=now - timedelta(days=2))
        take_feedback(store, (), lambda _: set(), received_at=now)
        first = read_campaign(store.campaign("first").document)
        Ledger(store, worker="test", clock=lambda: now).open(account_of(first), {"spend": 1_000_000})


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

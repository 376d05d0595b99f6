"""The page for newcomers works as written: its commands run, one after the other, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/golden-path.md"


def test_every_command_of_the_golden_path_works(tmp_path: Path) -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    script = tmp_path / "page.sh"
    script.write_text("set -euo pipefail\n" + "".join(blocks))
    folder = tmp_path / "empty"
    folder.mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**{k: v for k, v in os.environ.items() if k != "ALLOT_HOME"}, "PATH": path}
    run = subprocess.run(
        ["bash", str(script)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr[-3000:] + run.stdout[-3000:]
    assert run.stdout.count("customers get an offer") == 2
    assert "Verdict" in run.stdout
    assert len(list((folder / "allot-workspace/reports").glob("*/report.html"))) == 1
    assert len(list((folder / "allot-workspace/decisions").glob("*/decisions.parquet"))) == 2

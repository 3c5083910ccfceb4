"""The examples in the README run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def example(containing: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    (found,) = [block for block in blocks if containing in block]
    return str(found)


def run_python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_ten_lines_compare_two_policies() -> None:
    said = run_python(example("load_scenario"))
    assert "hold" in said
    assert "random" in said
    assert "Margin, money per customer" in said


def test_the_policy_of_ones_own_behaves_as_a_policy_must(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(example('name = "favourite"'))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + example("load_scenario").replace(
        '["hold", "random"]', '["hold", "mine:Policy"]'
    )
    assert "favourite" in run_python(code)

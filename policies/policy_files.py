"""A policy as a directory: `policy.json`, `model.vw`, and nothing that can run code.

`policy.json` names the format, everything the policy is made of, and the checksum of every other
file; its own checksum stands in `SHA256`. Writing goes to a temporary sibling first, so a reader
never sees half a policy. Loading checks every checksum and the parity of compiled and VW's scores.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from policies.actions import ActionSet
from policies.errors import PolicyError, PolicyFormatError
from policies.vw_policy import Progress, VWPolicy, VWSettings

FORMAT = 1
_MODEL, _POLICY, _SUM = "model.vw", "policy.json", "SHA256"


def save_policy(policy: VWPolicy, directory: Path) -> None:
    """Write `policy` to `directory`, which must not exist yet or be empty.

    Raises:
        PolicyFormatError: the directory has content.
    """
    if directory.exists() and any(directory.iterdir()):
        raise PolicyFormatError(f"{directory} is not empty; save a policy to a new directory")
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        (staging / _MODEL).write_bytes(policy.model)
        content = {
            "format": FORMAT,
            "kind": "vw",
            "settings": policy.settings.to_json(),
            "actions": policy.actions.to_json(),
            "progress": asdict(policy.progress),
            "sha256": {_MODEL: _sha256(staging / _MODEL)},
        }
        (staging / _POLICY).write_text(json.dumps(content, indent=1) + "\n")
        (staging / _SUM).write_text(f"{_sha256(staging / _POLICY)}  {_POLICY}\n")
        staging.chmod(0o755)
        if directory.exists():
            directory.rmdir()
        staging.rename(directory)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def load_policy(directory: Path) -> VWPolicy:
    """Read and verify a policy directory.

    Raises:
        PolicyFormatError: a file is missing, damaged, of another format, or VW disagrees with it.
    """
    for name in (_POLICY, _MODEL, _SUM):
        if not (directory / name).is_file():
            raise PolicyFormatError(f"{directory} is not a policy: {name} is missing; train one with `journey train`")
    _verify(directory / _POLICY, (directory / _SUM).read_bytes().split(b" ", 1)[0].decode("ascii", "replace"))
    content = _read_json(directory / _POLICY)
    if content.get("format") != FORMAT or content.get("kind") != "vw":
        raise PolicyFormatError(
            f"{directory / _POLICY}: format {content.get('format')!r} of kind {content.get('kind')!r}; "
            f"this version reads format {FORMAT} of kind 'vw': train again"
        )
    _verify(directory / _MODEL, content["sha256"][_MODEL])
    try:
        policy = VWPolicy(
            VWSettings.from_json(content["settings"]),
            ActionSet.from_json(content["actions"]),
            model=(directory / _MODEL).read_bytes(),
            progress=Progress(**content["progress"]),
        )
    except PolicyFormatError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, PolicyError) as error:
        raise PolicyFormatError(f"{directory / _POLICY}: incomplete or inconsistent ({error}): train again") from error
    policy.check_parity()
    return policy


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise PolicyFormatError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise PolicyFormatError(f"{path} must hold a JSON object")
    return content


def _verify(path: Path, expected: str) -> None:
    if (found := _sha256(path)) != expected:
        raise PolicyFormatError(
            f"{path} is damaged: its SHA-256 is {found[:12]}…, recorded {expected[:12]}…; "
            "restore the directory or train again"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

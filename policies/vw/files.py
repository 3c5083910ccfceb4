"""A learned policy as a directory: `policy.json`, `model.vw`, and nothing that can run code.

See `policies.policy_directory` for how it is written. Loading checks every checksum and the parity of
compiled and VW's scores.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from policies.actions import ActionSet
from policies.errors import PolicyError, PolicyFormatError
from policies.policy_directory import POLICY, new_directory, read_content, write_content
from policies.vw.policy import Progress, VWPolicy, VWSettings

_KIND, _MODEL = "vw", "model.vw"


def save_policy(policy: VWPolicy, directory: Path) -> None:
    """Write `policy` to `directory`, which must not exist yet or be empty.

    Raises:
        PolicyFormatError: the directory has content.
    """
    with new_directory(directory) as staging:
        (staging / _MODEL).write_bytes(policy.model)
        content = {
            "settings": policy.settings.to_json(),
            "actions": policy.actions.to_json(),
            "progress": asdict(policy.progress),
        }
        write_content(staging, content, kind=_KIND)


def load_policy(directory: Path) -> VWPolicy:
    """Read and verify a policy directory.

    Raises:
        PolicyFormatError: a file is missing, damaged, of another format, or VW disagrees with it.
    """
    content = read_content(directory, kinds=(_KIND,), files=(_MODEL,))
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
        raise PolicyFormatError(f"{directory / POLICY}: incomplete or inconsistent ({error}): train again") from error
    policy.check_parity()
    return policy

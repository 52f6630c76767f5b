"""Every command that the documentation tells people to type is typed here, page by page and in order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kubectl import kubectl
from tests.support.laptop import Laptop
from tests.support.s3 import S3

REPOSITORY = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "docs/guides").glob("*.md")))

BLOCK = re.compile(r"(?:<!-- (?P<mark>.*?) -->\n)?^```sh\n(?P<commands>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """Return (why it is not run, or nothing; commands) of each fenced `sh` block."""
    text = (REPOSITORY / page).read_text()
    return [(found["mark"] or "", found["commands"]) for found in BLOCK.finditer(text)]


@pytest.mark.parametrize("page", PAGES)
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    """`<!-- not run: reason -->` is the only mark, and no page hides all it has behind it."""
    found = blocks(page)
    for mark, commands in found:
        assert not mark or re.match(r"not run: \w+", mark), commands
    assert not found or any(not mark for mark, _ in found)


@pytest.mark.e2e
@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work(page: str, laptop: Laptop, s3: S3, tmp_path: Path) -> None:
    """As somebody would type them: in a fresh shell, at the root of the repository, with the state in ~/.torpor."""
    shutil.copytree(REPOSITORY / "manifests", tmp_path / "manifests")
    example = tmp_path / "manifests/examples/minilm.yaml"
    # "Put your endpoint and keys into the example", says the page.
    example.write_text(example.read_text().replace("127.0.0.1:9000", s3.url.removeprefix("http://")))
    home = tmp_path / "home"
    home.mkdir()
    (home / ".torpor").symlink_to(laptop.data_dir)
    environment = {"HOME": str(home), "PATH": f"{_commands(tmp_path)}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    script = "\n".join(commands for mark, commands in blocks(page) if not mark)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{page} stopped here:\n{done.stdout[-4000:]}"


def _commands(folder: Path) -> Path:
    """Return a folder with what the environment of `source .venv/bin/activate`, and kubectl, put on the PATH."""
    found = folder / "bin"
    found.mkdir()
    for name in ("python", "torpor"):
        # A link would not do: python finds its environment by where it was called from.
        (found / name).write_text(f'#!/bin/sh\nexec {Path(sys.executable).parent / name} "$@"\n')
        (found / name).chmod(0o755)
    (found / "kubectl").symlink_to(kubectl())
    return found

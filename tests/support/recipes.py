"""The recipes of CONTRIBUTING: read from the page, and applied to a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
_FIRST_LINE = "+++ "
_NEXT_PLACE = "@@"


def recipes() -> dict[str, list[str]]:
    """Return the blocks of each recipe by its title, such as `Add a metric`."""
    sections = PAGE.partition("\n## Recipes\n")[2].split("\n### ")[1:]
    return {
        section.partition("\n")[0]: re.findall(r"```diff\n(.*?)```", section, re.DOTALL)
        for section in sections
    }


class Tree:
    """A copy of the tree as git knows it, whose own code its commands run."""

    def __init__(self, folder: Path, url: str, namespace: str) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "REDIS_URL": url,
            "ROUTESTREAM_NAMESPACE": namespace,
            "COLUMNS": "200",
        }
        listed = subprocess.check_output(
            ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT
        )
        for name in filter(None, listed.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)

    def apply(self, title: str) -> set[str]:
        """Apply the recipe of that title, and return the files that are others now."""
        for block in recipes()[title]:
            self._apply(block)
        files = (path for path in self.folder.rglob("*") if path.is_file())
        names = {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}
        return {
            name
            for name, content in names.items()
            if not (ROOT / name).is_file() or (ROOT / name).read_bytes() != content
        }

    def _apply(self, block: str) -> None:
        first, *lines = block.splitlines()
        assert first.startswith(_FIRST_LINE), f"a block begins with its file: {first}"
        path = self.folder / first.removeprefix(_FIRST_LINE)
        text = path.read_text("utf-8") if path.exists() else ""
        places: list[list[str]] = [[]]
        for line in lines:
            if line == _NEXT_PLACE:
                places.append([])
            else:
                places[-1].append(line)
        for place in places:
            before = "".join(f"{line[1:]}\n" for line in place if not line.startswith("+"))
            after = "".join(f"{line[1:]}\n" for line in place if not line.startswith("-"))
            assert not before or text.count(before) == 1, f"{path.name} has not once:\n{before}"
            text = text.replace(before, after) if before else text + after
        path.write_text(text, "utf-8")

    def python(self, *arguments: str, exit_code: int = 0) -> str:
        """Run Python in the copy, and return what it prints."""
        done = subprocess.run(
            (sys.executable, *arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == exit_code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def routestream(self, *arguments: str, exit_code: int = 0) -> str:
        """Run a command of the copy, and return what it prints."""
        return self.python("-m", "consumers", *arguments, exit_code=exit_code)

    def starting(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of the copy that goes on, with its log to be read."""
        command = (sys.executable, "-m", "consumers", *arguments)
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

"""The environment in which tests run a small real model server: made by `make model-server`."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_FOLDER = _ROOT / ".venv-model-server"

PACKAGES = ("xllamacpp==2026.10.11549", "gguf==0.19.0")
"""llama.cpp with its server, built; and what writes its models."""

PYTHON = _FOLDER / "bin" / "python"

MISSING = "there is no model server; `make model-server` installs one"


def is_installed() -> bool:
    """Whether the environment is there."""
    return (_FOLDER / "installed").exists()


def main() -> None:
    """Make the environment."""
    if is_installed():
        return
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary")
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_FOLDER)], check=True)
        subprocess.run([str(PYTHON), *install, ":all:", *PACKAGES], check=True)
    except subprocess.CalledProcessError as error:
        sys.stdout.write(f"no model server can be installed ({error}); the tests of it skip\n")
    else:
        (_FOLDER / "installed").touch()


if __name__ == "__main__":
    main()

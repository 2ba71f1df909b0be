"""Images of servers are made of packages and tagged by what lies in them."""

import subprocess
from pathlib import Path

import pytest

from tests.support import container_server
from tests.support.container_server import NoImageError, image_of


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is taken for what was fetched."""
    folder = tmp_path / "valkey-9.1-recipe"
    folder.mkdir()
    monkeypatch.setattr(container_server, "server_tree", lambda _: folder)
    return folder


def made_of(tree: Path, packages: str) -> str:
    (tree / "packages").write_text(packages)
    image_of.cache_clear()
    return image_of("valkey-9.1")


def test_an_image_of_other_packages_has_another_tag(tree: Path) -> None:
    images = [made_of(tree, packages) for packages in ("one", "other", "one")]
    assert len(set(images)) == 2
    assert images[0] == images[2]
    subprocess.run(["docker", "image", "rm", *set(images)], check=True, capture_output=True)
    image_of.cache_clear()


def test_an_image_that_is_not_to_be_had_is_told_of_with_the_reason() -> None:
    with pytest.raises(NoImageError, match=r"no Docker engine|localhost:1/none cannot be pulled: "):
        image_of("localhost:1/none")

"""Writes the ready-made ACL files: `python -m docs.pages.acl_files deploy/acl`."""

import sys
from pathlib import Path

from consumers.roles.role import ROLES, user_line

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for role in ROLES:
        (folder / f"{role}.acl").write_text(user_line([role]) + "\n", "utf-8")

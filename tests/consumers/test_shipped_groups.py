"""The groups that are shipped: what is said of each is so."""

import msgspec
import pytest

from consumers.cli.consume import consume
from consumers.errors import MissingSettingError, UnknownGroupError
from consumers.settings import Settings
from consumers.shipped import GROUPS, SHIPPED, group_named
from projections.catalogue import PROJECTIONS

PARTS = {field.name for field in msgspec.structs.fields(Settings)}


def test_no_two_groups_have_one_name() -> None:
    assert len(GROUPS) == len(SHIPPED)


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_is_named_in_the_help_with_its_part_of_the_settings(name: str) -> None:
    group = GROUPS[name]
    [line] = [one for one in (consume.epilog or "").splitlines() if one.split()[:1] == [group.name]]
    assert group.about in line
    assert not group.section or (group.section in PARTS and f"settings: {group.section}" in line)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_the_name_of_a_projection_stands_for_its_group(name: str) -> None:
    assert group_named(name).name == PROJECTIONS[name].read_model


def test_a_group_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UnknownGroupError, match=r"'gone' is not one of .*, webhook"):
        group_named("gone")


def test_a_group_that_lacks_a_setting_is_refused_with_its_name() -> None:
    with pytest.raises(MissingSettingError, match=r"set webhook\.url"):
        GROUPS["webhook"].check(Settings())
    GROUPS["route-table"].check(Settings())

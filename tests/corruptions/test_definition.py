"""A definition's full name says it all and is read back."""

import itertools

import pytest

from corruptions.definition import FAMILIES, POSITIONS, TABLES, Definition


def test_every_name_is_read_back_and_none_is_used_twice():
    every = [
        Definition(family, table, position, hold=hold)
        for family, table, position, hold in itertools.product(FAMILIES, TABLES, POSITIONS, (False, True))
    ]
    assert len({definition.name for definition in every}) == len(every) == 64
    assert [Definition.parse(definition.name) for definition in every] == every


def test_names_look_as_they_are_printed():
    assert Definition("gaussian").name == "gaussian/ucf101-p@source/v1"
    assert Definition("shot", "cifar10-c", "input", hold=True).name == "shot/cifar10-c@input/held/v1"


@pytest.mark.parametrize("severity_and_constant", [(1, 250), (2, 100), (3, 50), (4, 30), (5, 15)])
def test_the_default_is_the_table_of_ucf101_p(severity_and_constant):
    severity, constant = severity_and_constant
    assert Definition("shot").constant(severity) == constant


def test_the_constants_are_those_of_the_sources():
    """One row a family, in the order ucf101-p, imagenet-c, tiny-imagenet-c, cifar10-c."""
    expected = {
        "gaussian": "08 12 18 26 38, 08 12 18 26 38, 04 08 12 15 18, 04 06 08 09 10",
        "impulse": "03 06 09 17 27, 03 06 09 17 27, 01 02 05 08 14, 01 02 03 05 07",
        "speckle": "15 20 25 30 35, 15 20 35 45 60, 15 20 25 30 35, 06 10 12 16 20",
    }
    for family, rows in expected.items():
        for table, row in zip(TABLES.values(), rows.split(","), strict=True):
            assert [round(100 * c) for c in table.constants[family]] == [int(c) for c in row.split()]
    assert [t.constants["shot"] for t in TABLES.values()] == [
        (250, 100, 50, 30, 15),
        (60, 25, 12, 5, 3),
        (250, 100, 50, 30, 15),
        (500, 250, 100, 75, 50),
    ]


def test_tables_cannot_be_changed():
    with pytest.raises(TypeError):
        TABLES["ucf101-p"].constants["shot"] = (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"family": "fog"}, "unknown noise 'fog'; expected one of gaussian, impulse, shot, speckle"),
        ({"table": "imagenet"}, "unknown table 'imagenet'; expected one of ucf101-p, imagenet-c"),
        ({"position": "output"}, "unknown position 'output'; expected one of source, input"),
        ({"version": 2}, "version 2 of the noise definitions is not known here"),
        ({"hold": "yes"}, "hold is 'yes'; expected True"),
    ],
)
def test_an_unknown_part_is_refused_with_the_known_ones(arguments, found):
    with pytest.raises(ValueError, match=found):
        Definition(**{"family": "shot"} | arguments)


@pytest.mark.parametrize(
    "name",
    ["", "shot", "shot/ucf101-p", "shot/ucf101-p@source", "shot/ucf101-p@source/v1/held", "shot/ucf101-p@source/v1 "],
)
def test_a_name_that_is_not_whole_is_refused(name):
    with pytest.raises(ValueError, match="is not the full name of a noise; expected family/table@position/v1"):
        Definition.parse(name)

"""The list of commands."""

from experiments import __main__ as command
from experiments.pages.command_options import commands as parsed
from experiments.terminal.commands import commands


def test_every_command_stands_in_the_list_with_a_line_of_its_own(capsys):
    command.main()
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    listed = {words[0] for words in printed if words}
    assert {name.split()[0] for name in parsed()} == set(commands()) <= listed
    assert all(commands().values())

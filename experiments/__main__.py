"""Lists the commands.

python -m experiments
"""

from rich import box
from rich.table import Table

from experiments.terminal.commands import commands
from vae_topk_jax.runs.progress import console


def main() -> None:
    """Prints one line for each command."""
    table = Table(box=box.SIMPLE_HEAD, title="python -m experiments.COMMAND", title_justify="left")
    table.add_column("command", no_wrap=True)
    table.add_column("")
    for name, sentence in commands().items():
        table.add_row(name, sentence)
    console.print(table)
    console.print("python -m experiments.COMMAND --help lists its options")


if __name__ == "__main__":
    main()

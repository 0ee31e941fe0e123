"""The command line, ``shoal COMMAND``: demo, run, resume, replay, report, simulate and devices.

Bad input ends with one line, ``place: rule, got value``, and exit code 2, and so does what does not fit into memory.
An error of any other kind is a bug of ours or of a user's function, and keeps its traceback. Commands import what they
need, so that ``shoal --help`` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.errors import ShoalError, StudyError

if TYPE_CHECKING:
    from shoal.data import Dataset
    from shoal.search.protocol import Config
    from shoal.study import Replay, Result
    from shoal.studyfile import StudyFile

INTERRUPTED = 130  # 128 and SIGINT, as shells count

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train and evolve whole populations of small neural networks at once.",
)

Study = Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a study.", show_default=False)]
Directory = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where the study is kept, so that it can go on when it was stopped.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; by default one for each core.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line, by default the process's, and exit.

    Raises:
        SystemExit: With 0, with 2 after bad input, or with 128 and the number of the signal that stopped a study.
    """
    try:
        code = app(arguments, prog_name="shoal", standalone_mode=False)
    except (ValueError, ShoalError, MemoryError) as error:
        _fail(str(error) or "out of memory")
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}")
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except Exception as error:
        # What is wrong in the command line itself; the class lives in click or in typer, depending on typer's version.
        if not hasattr(error, "format_message"):
            raise
        _fail(f"shoal: {error.format_message()}")
    sys.exit(code)


def _fail(message: str) -> None:
    typer.echo(" ".join(message.split("\n")), err=True)
    sys.exit(2)


def _print_version(wanted: bool) -> None:
    if wanted:
        from shoal.population import __version__

        typer.echo(f"shoal {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _shoal(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def demo(
    network: Annotated[
        str, typer.Option(metavar="NAME", help="mlp, softmax, lenet5, small_cnn, cifar_cnn, cuda_convnet or resnet20.")
    ] = "mlp",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="digits, mnist, fashion-mnist, cifar10, cifar100, or a directory; by default digits (lenet5: mnist).",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=2, help="Networks trained at once; by default 64, of the larger ones fewer.")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="For each network, on all of the data; by default what takes a few minutes."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of everything random.")] = 0,
    directory: Directory = None,
    threads: Threads = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show the result only.")] = False,
) -> None:
    """Evolve a population of networks on real images, and compare with random search."""
    from shoal import demo as demonstration

    demonstration.run(network, data, trials, epochs, seed, directory, threads, not quiet)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="STUDY.TOML", help="The study.", show_default=False)],
    directory: Directory = None,
    threads: Threads = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be done and needed, and do nothing.")] = False,
) -> None:
    """Run the study of a file, or go on with it where it was stopped."""
    from shoal.manager.job import job
    from shoal.manager.mortal import speaks
    from shoal.studyfile import StudyFile

    with job() as comm:
        study, first = StudyFile.read(file, directory, threads), comm is None or speaks(comm)
        if plan:
            if first:
                typer.echo(study.study.explain())
            return
        if first:
            study.keep()
        _run(study, comm)


@app.command()
def resume(study: Study, threads: Threads = None) -> None:
    """Go on with a study that was stopped."""
    from shoal.manager.job import job

    with job() as comm:
        _run(_kept(study, threads, "run the script again to go on"), comm)


@app.command()
def replay(
    study: Study,
    threads: Threads = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the network here, as safetensors.")] = None,
) -> None:
    """Train a study's best network again, alone and by its whole schedule; exit with 1 unless it is the same."""
    file = _kept(study, threads, "call replay() of its result there")
    if save is not None and not save.parent.is_dir():
        raise ValueError(f"--save: there is no directory {save.parent}")
    again = file.study.replay()
    if save is not None:
        again.model.save(save)
    _compare(again)
    if not again.same:
        typer.echo("not the same: a replay needs the kind of device and the instruction set of the study")
        raise typer.Exit(1)
    typer.echo("the same bit for bit")


@app.command()
def report(
    study: Study,
    compare: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another study to compare with; by default DIR/random, if any.")
    ] = None,
) -> None:
    """Write report.html and its pictures of a study, running or ended."""
    from shoal.report import note, write

    if compare is not None:
        note(study, against=compare)
    typer.echo(write(study))


@app.command()
def simulate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="STUDY.TOML...", help="Whose strategies to compare.", show_default=False),
    ],
    table: Annotated[str, typer.Option(metavar="FILE", help="Recorded curves; digits come with shoal.")] = "digits",
    workers: Annotated[int, typer.Option(min=1, help="How many trials train at a time.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the strategies.")] = 0,
    budget: Annotated[int | None, typer.Option(min=1, help="Epochs after which no trial is started.")] = None,
    plot: Annotated[Path, typer.Option(metavar="FILE", help="Where the picture goes.")] = Path("simulation.png"),
) -> None:
    """Let the strategies of study files search recorded learning curves, in virtual time."""
    from shoal.simulate import Table, compare, run
    from shoal.studyfile import place, read_strategy

    curves, runs = Table.load(table), {}
    for path in files:
        strategy = read_strategy(path)
        with place(str(path)):
            runs[str(path.with_suffix(""))] = run(strategy, curves, workers=workers, seed=seed, budget=budget)
    wide = max(map(len, (*runs, "strategy")))
    typer.echo(f"{'strategy':{wide}}   trials      epochs   seconds   workers busy   regret")
    for name, found in runs.items():
        typer.echo(
            f"{name:{wide}} {len(found.rows):8,} {found.spent:11,} {found.seconds:9.4g}"
            f" {found.utilisation:14.1%} {found.regret()[1][-1]:8.4g}"
        )
    typer.echo(f"picture: {compare(runs, plot)}")


@app.command()
def devices() -> None:
    """List the devices that can train."""
    from shoal.population import devices
    from shoal.population.native import why_no_gpu

    for device in devices():
        typer.echo(str(device))
    if why := why_no_gpu():
        typer.echo(f"no GPU: {why}", err=True)


def _kept(study: Path, threads: int | None, otherwise: str) -> StudyFile:
    from shoal.manager.record import StudyRecord
    from shoal.studyfile import FILE, StudyFile

    path = study / FILE
    if not path.exists():
        StudyRecord.read(study)  # or it is no study at all
        raise StudyError(f"{path}: not found, for a Python script made this study: {otherwise}")
    return StudyFile.read(path, study, threads)


def _compare(again: Replay) -> None:
    typer.echo(
        f"trial {again.trial}, trained again alone: {again.progress} {again.unit}, {len(again.schedule)} configs"
    )
    for name, value in again.recorded.items():
        typer.echo(f"{name}: recorded {value!r}, replayed {again.metrics.get(name)!r}")


def _run(file: StudyFile, comm: Any) -> None:
    from shoal.manager.mortal import speaks

    result = file.study.run(comm=comm)
    if comm is None or speaks(comm):
        _tell(result, file.test)


def _tell(result: Result, test: Dataset) -> None:
    from shoal.report import Summary, tables
    from shoal.report.axes import amount, text

    best, unit, summary = result.best, result.record.header["unit"], Summary(result.record, {})
    tested = {name: float(value[0]) for name, value in best.model.evaluate(test).items()}
    page = result.report(tested)
    typer.echo(f"trial {best.id} of {len(result.trials)} is the best, after {best.progress} {unit}")
    for place, value in enumerate(summary.reached):
        typer.echo(f"{summary.label(place)}: {amount(value)}")
    for name, value in tested.items():
        typer.echo(f"test {name}: {text(value)}")
    typer.echo(f"config: {_words(best.config)}")
    if (schedule := tables.schedule(summary)) is not None:
        typer.echo(f"trained with:\n{tables.lines(schedule)}")
    if (front := tables.front(summary)) is not None:
        typer.echo(f"the front, {len(front.rows)} networks:\n{tables.lines(front)}")
    if words := tables.audits(summary):
        typer.echo(words)
    typer.echo(f"report: {page}")


def _words(config: Config) -> str:
    from shoal.report.axes import text

    return ", ".join(f"{name} {text(value)}" for name, value in config.items())

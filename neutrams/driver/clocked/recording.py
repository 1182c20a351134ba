"""Write down what a run of the cycle grain does: a trace, and a waveform of chosen signals."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from neutrams.driver.effects import without_effect
from neutrams.driver.layers import layers
from neutrams.driver.outputs import check_writable
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error, warning
from neutrams.ir.files import atomic_write
from neutrams.ir.ops.chip import Round
from neutrams.ir.program import Program
from neutrams.simulator import schedule
from neutrams.simulator.cycle import Job, Layout, Machine, lay_out, lay_out_all
from neutrams.simulator.network.mesh import NEVER
from neutrams.simulator.recording import (
    DETAILS,
    Detail,
    Places,
    Recorder,
    Signal,
    Trace,
    Waveform,
    Window,
    choose,
    signals_of,
    signals_of_rounds,
)

_WAVEFORM = "--vcd out.vcd --signals 'core(0,*),link(0,0)->(1,0)'"
BINS = 1000
"""Values of each counter in a trace, where the schedule is right about the time."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is written down of a run."""

    trace: str | Path = ""
    """Where the trace goes; it is compressed if the name ends in ``.gz``."""
    vcd: str | Path = ""
    """Where the waveform goes."""
    signals: str = ""
    """Signals of the waveform: names and patterns joined by commas."""
    first: int = 0
    """First clock that is recorded."""
    last: int | None = None
    """The clock behind the last one; ``None`` for the end of the run."""
    bin: int = 0
    """Clocks of each value of a counter; 0 for a thousandth of the scheduled latency."""
    limit: int = 1_000_000
    """Most spans and values of counters in a trace."""
    detail: Detail = "items"
    inferences: int = 1
    """Inferences, one behind the other, of the run that is recorded."""

    @property
    def window(self) -> Window:
        return Window(self.first, NEVER if self.last is None else self.last)


def check_record(record: Record, programs: Mapping[str, Program]) -> None:
    """Refuse what cannot be recorded, before anything runs.

    Raises:
        NeutramsError: NT0574, there is no such signal; NT0575; NT0590, a value changes nothing of
            what is written; NT0020, a file cannot be written.
    """
    if record.first < 0 or record.window.last <= record.first:
        raise _wrong(f"clocks from {record.first} up to {record.last} are none")
    if record.detail not in DETAILS:
        raise _wrong(f"`{record.detail}` is no detail of a trace: " + " or ".join(DETAILS))
    if min(record.bin, record.limit, record.inferences - 1) < 0:
        raise _wrong("a bin, a limit of events or a number of inferences is negative")
    if bool(record.vcd) != bool(record.signals):
        fault = _wrong("a waveform takes a file and the signals to write")
        raise NeutramsError(fault.diagnostics[0].help(_WAVEFORM))
    if faults := list(_idle(record, programs)):
        raise NeutramsError(*faults)
    for path in (record.trace, record.vcd):
        if path:
            check_writable(path)
    if record.signals:
        choose(record.signals, _signals(programs))


def _idle(record: Record, programs: Mapping[str, Program]) -> Iterator[Diagnostic]:
    """Say what changes nothing of what is written."""
    usual = Record()
    if not record.trace:
        named = {"bin": "--trace-bin", "limit": "--trace-limit", "detail": "--trace-detail"}
        if not record.vcd:
            named |= {"first": "--trace-from", "last": "--trace-to"}
            named |= {"inferences": "--trace-inferences"}
        given = [name for field, name in named.items() if _differs(record, usual, field)]
        if given or not record.vcd:
            what = "--trace out.json.gz" + ("" if record.vcd else f", or {_WAVEFORM}")
            why = "no trace is written" if record.vcd else "nothing is written down"
            yield without_effect("`, `".join(given or ["Record()"]), why, what)
    if record.inferences == usual.inferences:
        return
    if len(programs) > 1:
        why = "networks beside each other are written for one inference of each"
        yield without_effect("--trace-inferences", why, "leave it out")
    elif any(_in_rounds(program) for program in programs.values()):
        why = "what runs in rounds is written for its whole batch"
        yield without_effect("--trace-inferences", why, "compile it for another --batch")


def _differs(record: Record, usual: Record, field: str) -> bool:
    return bool(getattr(record, field) != getattr(usual, field))


def _in_rounds(program: Program) -> bool:
    return any(isinstance(op, Round) for op in program.module["chip"].ops)


def signal_names(program: Program) -> list[str]:
    """Return the name of every signal that a waveform of a program may show."""
    return [signal.name for signal in _signals({"": program})]


def _signals(programs: Mapping[str, Program]) -> list[Signal]:
    ops = [op for program in programs.values() for op in program.module["chip"].ops]
    if rounds := [op.round for op in ops if isinstance(op, Round)]:
        (program,) = programs.values()
        layouts = (lay_out(program, round=number) for number in rounds)
        return signals_of_rounds([signals_of(places_of(programs, each)) for each in layouts])
    layout = lay_out_all([Job(program) for program in programs.values()])
    return signals_of(places_of(programs, layout))


def places_of(programs: Mapping[str, Program], layout: Layout) -> Places:
    """Return a layout's places, by the names of the layers; of several programs with their own."""
    names = []
    for name, program in programs.items():
        prefix = f"{name}/" if len(programs) > 1 else ""
        found = layers(program.module["main"])
        known = {op.results[0].name: each.name for each in found for op in each.ops}
        names.append({op: prefix + known.get(op, op) for op in layout.ops})
    return Places.of(list(programs.values()), layout, names)


class Session:
    """Files that are being written, machine after machine."""

    def __init__(
        self,
        programs: Mapping[str, Program],
        record: Record,
        trace: Trace | None,
        wave: Waveform | None,
    ) -> None:
        self._programs, self._record = programs, record
        self._trace, self._wave = trace, wave

    def recorder(self, layout: Layout, machine: Machine, *, base: int = 0) -> Recorder:
        """Return a leader of a machine whose first clock is clock ``base`` of what is written."""
        places = places_of(self._programs, layout)
        for file in (self._trace, self._wave):
            if file is not None:
                file.place(places, base=base)
        first, last = self._record.window.first - base, self._record.window.last - base
        return Recorder(machine, Window(first, last), trace=self._trace, wave=self._wave)

    def programmed(self, number: int, begin: int, end: int) -> None:
        """Write that cells are programmed for a round, which begins with that."""
        self._mark("programming", f"programming for round {number + 1}", begin, end)
        if self._wave is not None:
            self._wave.hold("round", begin)

    def spilled(self, number: int, begin: int, end: int) -> None:
        """Write that what did not fit in buffers moves off the chip and back."""
        self._mark("spilling", f"what round {number + 1} spills", begin, end)

    def _mark(self, signal: str, name: str, begin: int, end: int) -> None:
        if self._trace is not None:
            self._trace.mark(name, begin, end)
        if self._wave is not None:
            self._wave.hold(signal, begin, end)

    def close(self, clock: int) -> tuple[Diagnostic, ...]:
        """End the files, and return what there is to say of them."""
        if self._wave is not None:
            self._wave.close(clock)
        if self._trace is not None:
            self._trace.close()
        return (*self._missed(clock), *self._cut(clock))

    def _missed(self, clock: int) -> Iterator[Diagnostic]:
        """Say that the run was over before the window began."""
        if self._record.first >= clock:
            message = f"nothing is written: the run takes {clock:,} clocks"
            found = warning("NT0591", f"{message}, and the window begins at {self._record.first:,}")
            yield found.help(f"begin earlier: --trace-from {clock // 2}")

    def _cut(self, clock: int) -> Iterator[Diagnostic]:
        """Say that a trace ends early."""
        if self._trace is None or self._trace.ended is None:
            return
        message = f"the trace ends at clock {self._trace.ended:,} of {clock:,}"
        found = warning("NT0573", f"{message}: it may hold {self._record.limit:,} events")
        found = found.help("join spans that touch: --trace-detail busy; or coarser counters")
        yield found.help("or a window: --trace-from, --trace-to; or more: --trace-limit")


@contextmanager
def session(programs: Mapping[str, Program], record: Record) -> Iterator[Session]:
    """Yield a session; its files appear whole when the block ends well, or not at all.

    Raises:
        NeutramsError: NT0020, a file cannot be written.
    """
    network = next(iter(programs.values())).target.machine.network
    clock_ns = 1 / network.clock_ghz
    window = {"first": record.window.first, "last": record.window.last}
    with ExitStack() as files:
        trace, wave = None, None
        if record.vcd:
            chosen = choose(record.signals, _signals(programs))
            file = files.enter_context(atomic_write(record.vcd))
            wave = Waveform(file, chosen, clock_ns=clock_ns, **window)
        if record.trace:
            bin = record.bin or max(map(usual_bin, programs.values()))
            file, how = _opened(files, record.trace), {"bin": bin, "limit": record.limit}
            trace = Trace(file, clock_ns=clock_ns, detail=record.detail, **how, **window)
        yield Session(programs, record, trace, wave)


def usual_bin(program: Program) -> int:
    """Return a thousandth of the latency of the schedule in clocks, rounded to a power of two."""
    clocks = schedule(program).latency_s * program.target.machine.network.clock_ghz * 1e9
    return 1 << max(int(clocks / BINS).bit_length(), 0)


def _opened(files: ExitStack, path: str | Path) -> IO[bytes]:
    file = files.enter_context(atomic_write(path))
    if not str(path).endswith(".gz"):
        return file
    packed = gzip.GzipFile("", "wb", 6, fileobj=file, mtime=0)
    return cast(IO[bytes], files.enter_context(packed))


def _wrong(message: str) -> NeutramsError:
    return NeutramsError(error("NT0575", message))

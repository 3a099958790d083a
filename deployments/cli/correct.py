"""`performia correct SONG …`: put right what was heard wrong. What is said is kept, and holds in every later analysis."""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.terminal import error_console, print_json, shown
from schemas import corrections as c
from schemas.results import SectionLabel
from schemas.song_folder import MAP_NAME
from schemas.song_map import SongMap
from tasks.common.errors import CorrectionsInvalid, OptionInvalid, StorageError
from tasks.common.harmony.lead_sheet import label_of
from tasks.common.note_names import note_number
from tasks.common.settings import get_settings
from tasks.corrections import said
from tasks.corrections.by_hand import ByHand, kind_of, labels_by_hand, lines_by_hand
from tasks.corrections.kept import read_file
from tasks.corrections.label_files import KINDS, Of, is_lrc, labels_of, read_labels, read_lrc, written
from tasks.corrections.log import effective, joined, taken_back, with_changes
from tasks.corrections.said import Said
from tasks.packager.correct import CorrectedSong, correct_song, folder_at, read_corrected

app = typer.Typer(
    help="Put right what was heard wrong. It is kept with the song, and holds in every later analysis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    # `performia correct SONG word …`: the song comes before what is said of it.
    subcommand_metavar="COMMAND [ARGS]...",
)

_TIME = re.compile(r"(?:(\d+):)?(\d+(?:\.\d*)?|\.\d+)")
_KEY = re.compile(r"([A-Ga-g])([b#♭♯]?)\s*(major|maj|dur|minor|min|moll|m|)", re.IGNORECASE)
_COLOURS = {"applied": "green", "moved": "yellow", "conflict": "red", "obsolete": "dim"}
_MOST_BYTES = 50_000_000


def _seconds(text: str | float) -> float:
    """A time in seconds, or as 1:02.5."""
    found = _TIME.fullmatch(str(text).strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time; give seconds, or minutes and seconds as 1:02.5")
    return 60.0 * int(found[1] or 0) + float(found[2])


def _chord(text: str) -> str:
    label = label_of(text)
    if label is None:
        raise typer.BadParameter(f"{text!r} is no chord; give one such as Am7, F#m7b5, Bb/D, N.C. or A:min7")
    return label


def _section_label(text: str) -> SectionLabel:
    found = next((name for name in get_args(SectionLabel) if name == text.lower()), None)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no section; give one of: {', '.join(get_args(SectionLabel))}")
    return found  # type: ignore[no-any-return]


Author = Annotated[str | None, typer.Option("--author", help="Who says so. Default: the user's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
At = Annotated[Any, typer.Option("--at", parser=_seconds, metavar="TIME", help="When, in seconds or as 1:02.5.")]
Start = Annotated[Any, typer.Option("--start", parser=_seconds, metavar="TIME", help="When it begins.")]
End = Annotated[Any, typer.Option("--end", parser=_seconds, metavar="TIME", help="When it ends.")]
From = Annotated[Any, typer.Option("--from", parser=_seconds, metavar="TIME", help="From there. Default: the start of the song.")]
Until = Annotated[Any, typer.Option("--until", parser=_seconds, metavar="TIME", help="To there. Default: the end of the song.")]
WordNamed = Annotated[str | None, typer.Option("--text", metavar="WORD", help="The word as it is in the map.")]
Ms = Annotated[float, typer.Argument(metavar="MS", help="Milliseconds; less than 0 for earlier.", min=-60_000, max=60_000)]
Numbers = {"ignore_unknown_options": True}


@app.callback(invoke_without_command=True)
def correct(
    context: typer.Context,
    song: Annotated[Path, typer.Argument(metavar="SONG", help="The song's folder, or the song_map.json in it.")],
    author: Author = None,
    as_json: AsJson = False,
) -> None:
    context.obj = _Session(song, author, as_json)
    if context.invoked_subcommand is None:
        list_operations(context)


def run(arguments: Sequence[str], name: str) -> None:
    """The command. --json and --author are taken wherever they stand; typer takes them before SONG only."""
    left = list(arguments)
    first: list[str] = []
    for place in reversed(range(len(left))):
        flag = left[place].partition("=")[0]
        if flag in ("--json", "--author"):
            first[:0] = left[place : place + (2 if left[place] == "--author" else 1)]
            del left[place : place + (2 if left[place] == "--author" else 1)]
    app([*first, *left], prog_name=name)


class _Session:
    """One command: the song that is corrected, by whom, and how the outcome is shown."""

    def __init__(self, song: Path, author: str | None, as_json: bool):
        self._song = song
        self.author = author or _user()
        self.as_json = as_json

    @property
    def folder(self) -> Path:
        return folder_at(self._song)

    def read(self) -> CorrectedSong:
        return read_corrected(get_settings(), self.folder)

    def say(self, *sayings: Callable[[SongMap], Said]) -> None:
        """Append to the log, each said of the map that the ones before made."""
        before: list[str] = []

        def change(song: CorrectedSong) -> c.Corrections:
            before.extend(operation.id for operation in song.log.operations)
            return with_changes(song.log, song.map, [saying(song.map) for saying in sayings], self.author)

        self._tell(correct_song(get_settings(), self.folder, change), before)

    def append(self, made: Callable[[CorrectedSong], c.Corrections]) -> None:
        before: list[str] = []

        def change(song: CorrectedSong) -> c.Corrections:
            before.extend(operation.id for operation in song.log.operations)
            return made(song)

        self._tell(correct_song(get_settings(), self.folder, change), before)

    def _tell(self, song: CorrectedSong, before: Sequence[str]) -> None:
        """What became of what was said now, and of what else does not hold as it was said. Exit code 1 where something new conflicts."""
        new = {operation.id for operation in song.log.operations} - set(before)
        mine = [outcome for outcome in song.outcomes if outcome.id in new]
        if self.as_json:
            print_json(
                {
                    "song": song.map.id,
                    "added": sorted(new),
                    "outcomes": [outcome.model_dump(mode="json") for outcome in song.outcomes],
                    "map": shown(self.folder / MAP_NAME),
                }
            )
        else:
            console = error_console()
            for operation in song.log.operations:
                if operation.id in new and isinstance(operation.change, c.Undo):
                    console.print(f"[green]taken back[/] {operation.change.operation}", soft_wrap=True)
            for outcome in mine:
                console.print(f"[{_COLOURS[outcome.outcome]}]{outcome.outcome:<9}[/] {escape(shown(outcome.text))}", soft_wrap=True)
            others = [outcome for outcome in song.outcomes if outcome.id not in new and outcome.outcome == "conflict"]
            for outcome in others:
                console.print(f"[red]conflict [/] {escape(shown(outcome.text))} (said before; kept)", soft_wrap=True)
            grid = [operation for operation in song.log.operations if operation.id in new and isinstance(operation.change, c.GridChange)]
            if any(not isinstance(operation.change, c.KeySet) for operation in grid):
                console.print("The sections are carried along; the song's next analysis finds them on these beats.", soft_wrap=True)
        if any(outcome.outcome == "conflict" for outcome in mine):
            raise typer.Exit(1)


# --- words -----------------------------------------------------------------------------------------------------------------------------


@app.command()
def word(
    context: typer.Context,
    at: At = None,
    text: WordNamed = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TEXT", help="What is sung: a word, several, or '' for none.")] = None,
    start: Start = None,
    end: End = None,
) -> None:
    """Another word, or another time of one."""
    if to is None and start is None and end is None:
        raise OptionInvalid("Nothing was put right", "Give --to, --start or --end")
    sayings: list[Callable[[SongMap], Said]] = []
    # The time first: a word that becomes several is placed by what it was.
    if start is not None or end is not None:
        sayings.append(lambda song: said.word_time(song, at, text, start, end))
    if to is not None:
        sayings.append(lambda song: said.word(song, at, text, to))
    context.obj.say(*sayings)


@app.command()
def line(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="split|join", help="split: the word begins a line; join: its line goes on with the one before.")
    ],
    at: At = None,
    text: WordNamed = None,
) -> None:
    """Split a line before a word, or join it with the line before."""
    choices = {"split": said.line_split, "join": said.lines_joined}
    chosen = _one_of(what, choices)
    context.obj.say(lambda song: chosen(song, at, text))


@app.command(context_settings=Numbers)
def lyrics(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="shift|give", help="shift MS: all lyrics later; give FILE: what is sung, to be aligned.")],
    value: Annotated[str, typer.Argument(metavar="MS|FILE")],
) -> None:
    """Shift all lyrics, or give what is sung."""
    if _one_of(what, {"shift": False, "give": True}):
        text = _text_of(Path(value))
        context.obj.say(lambda song: said.lyrics_given(song, text))
    else:
        ms = _number(value, "milliseconds")
        context.obj.say(lambda song: said.lyrics_shifted(song, ms))


# --- chords, sections, notes -----------------------------------------------------------------------------------------------------------


@app.command()
def chord(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="CHORD[,CHORD]", help="Am7, Bb/D, N.C.; two, with a comma, where it changes at --at.")],
    at: At,
    until: Annotated[
        Any, typer.Option("--until", parser=_seconds, metavar="TIME", help="One chord up to the one that sounds there.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Also wherever it stands between the same two chords.")] = False,
) -> None:
    """Another chord; two in the place of one; one in the place of several."""
    labels = [_chord(text) for text in to.split(",")]
    if len(labels) > 2 or (len(labels) == 2 and (until is not None or everywhere)) or (until is not None and everywhere):
        raise OptionInvalid("These do not go together", "Give one chord, two at the time where it changes, or one with --until")
    if len(labels) == 2:
        context.obj.say(lambda song: said.chord_split(song, at, (labels[0], labels[1])))
    elif until is not None:
        context.obj.say(lambda song: said.chords_merged(song, at, until, labels[0]))
    else:
        context.obj.say(lambda song: said.chord(song, at, labels[0], everywhere))


@app.command()
def section(
    context: typer.Context,
    at: At,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NAME[,NAME]", help="chorus, verse, …; two, with a comma, where one begins at --at.")
    ] = None,
    start: Start = None,
    merge: Annotated[bool, typer.Option("--merge", help="It and the one after it are one.")] = False,
) -> None:
    """Another name of a section, where it begins, where it is split, what is one."""
    labels = [_section_label(text.strip()) for text in (to or "").split(",") if text.strip()]
    if len(labels) > 2 or (len(labels) == 2 and (merge or start is not None)) or not (labels or merge or start is not None):
        raise OptionInvalid(
            "It is not clear what is put right", "Give --to NAME, --to NAME,NAME at the time of the second, --start or --merge"
        )
    if len(labels) == 2:
        context.obj.say(lambda song: said.section_split(song, at, (labels[0], labels[1])))
        return
    sayings: list[Callable[[SongMap], Said]] = []
    if start is not None:
        sayings.append(lambda song: said.section_moved(song, at, start))
    if merge:
        sayings.append(lambda song: said.sections_merged(song, at, labels[0] if labels else None))
    elif labels:
        sayings.append(lambda song: said.section(song, at, labels[0]))
    context.obj.say(*sayings)


@app.command()
def note(
    context: typer.Context,
    at: At,
    part: Annotated[str, typer.Option("--part", metavar="melody|bass|harmony")] = "melody",
    to: Annotated[str | None, typer.Option("--to", metavar="NOTE", help="A4, F#3, or a MIDI number.")] = None,
    start: Start = None,
    end: End = None,
) -> None:
    """Another pitch or another time of a note."""
    chosen: c.PartName = _one_of(part, {name: name for name in get_args(c.PartName)})
    if to is None and start is None and end is None:
        raise OptionInvalid("Nothing was put right", "Give --to, --start or --end")
    sayings: list[Callable[[SongMap], Said]] = []
    if to is not None:
        midi = note_number(to)
        if not 0 <= midi <= 127:
            raise OptionInvalid(f"{to} is no MIDI note", "Give one from C-1 to G9")
        sayings.append(lambda song: said.note_pitch(song, chosen, at, midi))
    if start is not None or end is not None:
        sayings.append(lambda song: said.note_time(song, chosen, at, start, end))
    context.obj.say(*sayings)


# --- beats and key ---------------------------------------------------------------------------------------------------------------------


@app.command()
def tempo(context: typer.Context, what: Annotated[str, typer.Argument(metavar="double|half")]) -> None:
    """The tempo is twice what was heard, or half of it."""
    double = _one_of(what, {"double": True, "half": False})
    context.obj.say(lambda song: said.tempo(song, double))


@app.command(context_settings=Numbers)
def downbeat(
    context: typer.Context,
    beats: Annotated[int | None, typer.Argument(metavar="[N]", min=-31, max=31, help="By how many beats the one is later.")] = None,
    at: At = None,
    since: Annotated[Any, typer.Option("--from", parser=_seconds, metavar="TIME", help="Only from there on.")] = None,
) -> None:
    """The one is some beats later, or less than 0 for earlier; or the beat at a time is a one."""
    if (beats is None) == (at is None):
        raise OptionInvalid("It is not clear where the one is", "Give by how many beats it moves, or --at a time")
    context.obj.say(lambda song: said.downbeat_at(song, at) if beats is None else said.downbeat(song, beats, since))


@app.command(context_settings=Numbers)
def beats(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="shift|tap|replace", help="shift MS; tap FILE of times; replace FILE of times and places.")
    ],
    value: Annotated[str, typer.Argument(metavar="MS|FILE")],
    one: Annotated[Any, typer.Option("--one", parser=_seconds, metavar="TIME", help="Which of the taps is a one.")] = None,
) -> None:
    """Shift all beats; set them as they were tapped (a time a line); or replace them (a time and a place in the bar a line)."""
    way = _one_of(what, {name: name for name in ("shift", "tap", "replace")})
    if way == "shift":
        ms = _number(value, "milliseconds")
        context.obj.say(lambda song: said.beats_shifted(song, ms))
        return
    rows = _rows(Path(value), 1 if way == "tap" else 2)
    if way == "tap":
        context.obj.say(lambda song: said.beats_tapped(song, [row[0] for row in rows], one))
    else:
        context.obj.say(lambda song: said.beats_replaced(song, [(row[0], int(row[1])) for row in rows]))


@app.command()
def meter(context: typer.Context, to: Annotated[str, typer.Argument(metavar="N/N", help="Such as 3/4.")], at: At = None) -> None:
    """The meter, of the song or of the passage at a time."""
    found = re.fullmatch(r"(\d{1,2})/(1|2|4|8|16|32)", to)
    if found is None or not 1 <= int(found[1]) <= 32:
        raise OptionInvalid(f"{to!r} is no meter", "Give one such as 3/4 or 6/8")
    context.obj.say(lambda song: said.meter(song, int(found[1]), int(found[2]), at))


@app.command()
def key(
    context: typer.Context,
    to: Annotated[str, typer.Argument(metavar="KEY", help="Am, 'F# minor', Bb, 'Eb major'.")],
    start: From = None,
    end: Until = None,
) -> None:
    """The key, of the song or from one time to another. Chords are spelled in it."""
    found = _KEY.fullmatch(to.strip())
    if found is None:
        raise OptionInvalid(f"{to!r} is no key", "Give one such as Am, Bb, 'F# minor'")
    tonic = found[1].upper() + found[2].replace("♭", "b").replace("♯", "#")
    minor = found[3] == "m" or found[3].lower() in ("min", "minor", "moll")
    context.obj.say(lambda song: said.key(song, tonic, "minor" if minor else "major", start, end))


@app.command()
def title(context: typer.Context, text: Annotated[str, typer.Argument(metavar="TITLE")]) -> None:
    """What the song is called."""
    _refuse_empty(text)
    context.obj.say(lambda song: said.title(song, text))


@app.command()
def artist(context: typer.Context, text: Annotated[str, typer.Argument(metavar="ARTIST")]) -> None:
    """Who performs it."""
    _refuse_empty(text)
    context.obj.say(lambda song: said.artist(song, text))


# --- the log ---------------------------------------------------------------------------------------------------------------------------


@app.command("--list", hidden=True)
@app.command("list")
def list_operations(context: typer.Context) -> None:
    """Everything that was put right, by whom, and what became of it."""
    session: _Session = context.obj
    song = session.read()
    fates = {outcome.id: outcome for outcome in song.outcomes}
    back = taken_back(song.log.operations)
    if session.as_json:
        rows = [
            entry.model_dump(mode="json", exclude_defaults=True)
            | {"outcome": fates[entry.id].outcome if entry.id in fates else None, "taken_back": entry.id in back}
            for entry in song.log.operations
        ]
        print_json({"song": song.map.id, "operations": rows})
        return
    if not song.log.operations:
        print("Nothing is put right in this song.")
        return
    table = Table("id", "when", "who", "what", "was", "outcome", box=None, pad_edge=False)
    for entry in song.log.operations:
        if isinstance(entry.change, c.Undo):
            continue
        fate = fates.get(entry.id)
        colour = _COLOURS[fate.outcome] if fate else "dim"
        outcome = "taken back" if entry.id in back else f"{fate.outcome}: {shown(fate.text)}" if fate else "at the next analysis"
        cells = (entry.id, entry.time, entry.author, entry.change.kind, entry.replaces or "")
        table.add_row(*(escape(shown(cell)) for cell in cells), f"[{colour}]{escape(outcome)}[/]")
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)


@app.command("--undo", hidden=True)
@app.command("undo")
def undo(
    context: typer.Context,
    operation: Annotated[str | None, typer.Argument(metavar="[ID]", help="Which; the first digits will do. Default: the last.")] = None,
) -> None:
    """Take something back. Taking back is kept too: the log only grows."""

    def change(song: CorrectedSong) -> c.Corrections:
        taken = said.undo(effective(song.log.operations), operation)
        return with_changes(song.log, song.map, [taken], context.obj.author)

    context.obj.append(change)


@app.command("export")
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - for standard output.")],
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="|".join(KINDS), help="Labels for Audacity, to be moved by hand. Default: the corrections."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write what was put right, to take it along; or what the map has as labels, to move them by hand and import them again."""
    song: CorrectedSong = context.obj.read()
    kind: Of | None = None if of is None else _one_of(of, {name: name for name in KINDS})
    text = song.log.to_json() if kind is None else written(labels_of(song.map, kind))
    if str(file) == "-":
        print(text, end="")
        return
    if file.exists() and not force:
        raise StorageError(f"{file} is there already", "Give another name, or --force")
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"Could not write {file}: {error.strerror or error}", "Check the path and its permissions") from error
    error_console().print(f"{escape(shown(file))}", soft_wrap=True)


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A corrections.json, labels of Audacity, or an LRC file.")],
    of: Annotated[
        str | None, typer.Option("--of", metavar="|".join(KINDS), help="What the labels are of. Default: told by what they say.")
    ] = None,
) -> None:
    """Take what was put right elsewhere, or what was moved by hand in another program."""
    session: _Session = context.obj
    kind: Of | None = None if of is None else _one_of(of, {name: name for name in KINDS})
    text = _text_of(file)
    if text.lstrip().startswith("{"):
        session.append(lambda song: joined(song.map.id, song.log, read_file(file)))
        return
    left: list[str] = []

    def change(song: CorrectedSong) -> c.Corrections:
        done = _by_hand(song.map, text, kind)
        left.extend(done.left)
        if not done.changes:
            error_console().print("The file says what the song has; nothing is put right.", soft_wrap=True)
        return with_changes(song.log, song.map, done.changes, session.author)

    try:
        session.append(change)
    finally:
        for line_ in left:
            error_console().print(f"[yellow]left     [/] {escape(shown(line_))}", soft_wrap=True)


def _by_hand(song: SongMap, text: str, kind: Of | None) -> ByHand:
    if is_lrc(text):
        return lines_by_hand(song, read_lrc(text))
    labels = read_labels(text)
    kind = kind or kind_of(song, labels)
    if kind is None:
        raise CorrectionsInvalid("It does not show what the labels are of", f"Say --of with one of: {', '.join(KINDS)}")
    return labels_by_hand(song, kind, labels)


# --- what a person types ---------------------------------------------------------------------------------------------------------------


def _one_of(text: str, choices: dict[str, Any]) -> Any:
    if text not in choices:
        raise OptionInvalid(f"{text!r} is not taken here", f"Give one of: {', '.join(choices)}")
    return choices[text]


def _number(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) <= 60_000:
        raise OptionInvalid(f"{text!r} is no number of {what}", "Give one such as 40 or -120")
    return number


def _refuse_empty(text: str) -> None:
    if not text.strip() or len(text) > 500:
        raise OptionInvalid("The name is empty or longer than 500 characters", "Give a name")


def _rows(file: Path, least: int) -> list[list[float]]:
    """Numbers of a text file, a line a row; what follows them does not count. Raises CorrectionsInvalid."""
    rows = []
    for number, line_ in enumerate(_text_of(file).splitlines(), start=1):
        if not line_.strip() or line_.lstrip().startswith("#"):
            continue
        try:
            row = [float(word_) for word_ in re.split(r"[\s,;]+", line_.strip())[:least]]
        except ValueError:
            row = []
        # The place in a bar is a whole number, which the time before it need not be.
        if len(row) < least or not 0 <= row[0] < 86_400 or (least > 1 and not (row[1].is_integer() and 1 <= row[1] <= 64)):
            wanted = "a time in seconds" if least == 1 else "a time in seconds and a place in the bar, such as `12.34 1`"
            raise CorrectionsInvalid(f"Line {number} of {file.name} is not {wanted}: {line_.strip()[:40]!r}", f"Give {wanted} on each line")
        rows.append(row)
    return rows


def _text_of(file: Path) -> str:
    """Raises StorageError, CorrectionsInvalid."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise CorrectionsInvalid(f"{file.name} is larger than {_MOST_BYTES // 1_000_000} MB")
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorrectionsInvalid(f"{file.name} is not UTF-8", "Save it as UTF-8") from error
    except (OSError, ValueError) as error:
        raise StorageError(f"Could not read {file}: {getattr(error, 'strerror', None) or error}", "Check the path") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid())

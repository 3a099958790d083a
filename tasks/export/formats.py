"""Every export: its name, its file, what opens it, and the function that writes it. The table of the README is made of it.

A writer is a pure function of a song and the options. It gets the song transposed already, and returns the file's bytes. What it needs
beyond the standard library, numpy and soundfile is imported inside it, so that a list of the formats costs nothing.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from schemas.song_folder import MAP_NAME
from tasks.common.errors import ExportFormatUnknown, ExportNothingToWrite
from tasks.export import (
    ass,
    audacity,
    beats,
    chordpro,
    click,
    jams,
    lab,
    lrc,
    midi,
    musicxml,
    reaper,
    sheet,
    srt,
    stems,
    tones,
    ultrastar,
    vtt,
)
from tasks.export.options import ExportOptions
from tasks.export.song import Song

Writer = Callable[[Song, ExportOptions], bytes]
Files = Callable[[Song, ExportOptions], Iterator[tuple[str, bytes]]]


@dataclass(frozen=True, slots=True)
class Format:
    """An export.

    name: as in `--to` and in the address of the HTTP API; letters, digits and hyphens.
    suffix: what follows the song's name in the file's name, such as `.lrc`, or `.chords.lab`.
    title, opens_in, cannot_say: for people: what it is, the programs that open it, and what a Song Map has that it has no place for.
    write: the writer. needs_sound: whether it reads the song's stems; without them it raises ExportNeedsSound.
    sound: whether it is a sound file, in the format that the options say; the suffix and the media type are then those of the usual one.
    files: where the export is several files, what they are called below the song's name (`vocals.flac`), and their content, one at a time;
        `write` is then `zip_of(files)`. The command writes them into a folder: the suffix without its `.zip`.
    """

    name: str
    suffix: str
    media_type: str
    title: str
    opens_in: str
    write: Writer
    needs_sound: bool = False
    files: Files | None = None
    cannot_say: str = ""
    sound: bool = False

    def content(self, song: Song, options: ExportOptions) -> bytes:
        """The file, transposed where asked; sound is not. Raises ExportNeedsSound, ExportNothingToWrite."""
        return self.write(song if self.sound else song.transposed(options.transpose), options)

    def suffix_for(self, options: ExportOptions) -> str:
        """The suffix with these options."""
        return f"{self.suffix.rpartition('.')[0]}.{options.sound_format.ending}" if self.sound else self.suffix

    def media_type_for(self, options: ExportOptions) -> str:
        """The media type with these options."""
        return options.sound_format.media_type if self.sound else self.media_type


def zip_of(files: Files) -> Writer:
    """A writer of one zip with several files. It is the same for the same files: no time of writing is in it."""

    def write(song: Song, options: ExportOptions) -> bytes:
        return zipped(files(song, options))

    return write


def zipped(files: Iterator[tuple[str, bytes]]) -> bytes:
    """A zip of names and contents. What is compressed already is stored."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            packed = name.lower().endswith((".flac", ".mp3", ".opus", ".zip", ".pdf", ".png"))
            info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return target.getvalue()


#: The export that holds the others.
EVERYTHING: Final = "zip"


def _everything(song: Song, options: ExportOptions) -> Iterator[tuple[str, bytes]]:
    """The map, and every export but sound that can be made of it. The song is in the key that was asked for already."""
    yield MAP_NAME, song.map.to_json().encode()
    for entry in _ALL:
        if entry.sound or entry.needs_sound or entry.name == EVERYTHING:
            continue
        with suppress(ExportNothingToWrite):
            if entry.files is None:
                yield f"song{entry.suffix}", entry.write(song, options)
            else:
                yield from ((f"{entry.name}/{name}", content) for name, content in entry.files(song, options))


_ALL: Final = (
    Format(
        "lrc", ".lrc", "text/plain", "LRC: lyrics, a time a line", "music players, LRCLIB, Jellyfin, Kodi", lrc.write,
        cannot_say="chords, sections; times finer than 10 ms; brackets that look like a time",
    ),
    Format(
        "lrc-words", ".words.lrc", "text/plain", "enhanced LRC (A2): lyrics, a time a word", "players that show words, karaoke programs",
        lrc.write_words, cannot_say="as LRC; syllables",
    ),
    Format(
        "srt", ".srt", "application/x-subrip", "SRT: lyrics as subtitles", "video players and editors, YouTube", srt.write,
        cannot_say="times of words; chords; text that looks like a tag",
    ),
    Format(
        "vtt", ".vtt", "text/vtt", "WebVTT: subtitles, a time a word or syllable", "browsers (`<track>`), video players", vtt.write,
        cannot_say="where a word ends; chords",
    ),
    Format(
        "ass", ".ass", "text/x-ssa", "ASS karaoke: words filled while they are sung (`\\kf`)", "VLC, mpv, Aegisub, FFmpeg", ass.write,
        cannot_say="times finer than 10 ms; chords; braces and backslashes in words",
    ),
    Format(
        "ass-steps", ".steps.ass", "text/x-ssa", "ASS karaoke: words that light up (`\\k`)", "VLC, mpv, Aegisub, FFmpeg", ass.write_steps,
        cannot_say="as the other",
    ),
    Format(
        "chordpro", ".cho", "text/plain", "ChordPro: lyrics with chords, sections", "OnSong, SongBook, ChordPro, chordsketch",
        chordpro.write, cannot_say="times; a tempo that changes; braces, brackets and backslashes in words",
    ),
    Format(
        "sheet", ".html", "text/html", "song sheet: lyrics with chords, boxes for guitar and ukulele", "browsers; prints to a page or two",
        sheet.write, cannot_say="times; chords beyond the twenty that sound longest have no box",
    ),
    Format(
        "midi", ".mid", "audio/midi", "MIDI, type 1: tempo map, sections, lyrics; melody, chords and bass as tracks",
        "Ableton Live, Logic, Reaper, Cubase, MuseScore", midi.write, cannot_say="pitches between the semitones; how a chord is spelled",
    ),
    Format(
        "musicxml", ".musicxml", "application/vnd.recordare.musicxml+xml", "MusicXML 4.0: a lead sheet with melody, words and chords",
        "MuseScore, Dorico, Finale, Sibelius", musicxml.write, cannot_say="times; the bass; what is sung beside the melody",
    ),
    Format(
        "ultrastar", ".ultrastar.txt", "text/plain", "UltraStar 1.2: syllables on their notes", "UltraStar Deluxe, Performous, Vocaluxe",
        ultrastar.write, cannot_say="chords, sections; times finer than 10 ms; pitches between the semitones",
    ),
    Format(
        "beats", ".beats", "text/tab-separated-values", "beats, each with its position in the bar",
        "Sonic Visualiser, Beat This, mir_eval", beats.write, cannot_say="anything but the beats",
    ),
    Format(
        "lab", ".lab.zip", "application/zip", "chords, keys, sections, words and notes as tables: a folder; from the HTTP API, a zip",
        "mir_eval, Sonic Visualiser", zip_of(lab.files), files=lab.files, cannot_say="confidences, but of notes; where it comes from",
    ),
    Format(
        "jams", ".jams", "application/json", "JAMS: everything as annotations, with engines, models and confidences",
        "jams, mirdata, mir_eval", jams.write, cannot_say="bends of notes; other chords it could be; the stems",
    ),
    Format(
        "audacity", ".audacity.zip", "application/zip", "label tracks, one a file: a folder; from the HTTP API, a zip",
        "Audacity, Tenacity", zip_of(audacity.files), files=audacity.files, cannot_say="notes; tempo and meter",
    ),
    Format(
        "reaper", ".reaper.csv", "text/csv", "regions of the sections, markers of keys and meters", "Reaper (Region/Marker Manager)",
        reaper.write, cannot_say="chords, words, notes, the tempo map (see MIDI)",
    ),
    Format(
        "click", ".click.flac", "audio/flac", "click track: every beat, the first of a bar higher, after a count-in", "DAWs, players",
        click.write, cannot_say="anything but the beats", sound=True,
    ),
    Format(
        "click-mix", ".click-mix.flac", "audio/flac", "the click on the left, the song on the right", "DAWs, players, drummers' headphones",
        click.write_with_mix, needs_sound=True, cannot_say="the song in stereo", sound=True,
    ),
    Format(
        "sonification", ".sonification.flac", "audio/flac", "the song, with its chords, bass and melody played over it", "players",
        tones.write, needs_sound=True, cannot_say="words, beats, sections", sound=True,
    ),
    Format(
        "stems", ".stems.zip", "application/zip", "the stems and the karaoke mix: a folder; from the HTTP API, a zip", "DAWs, players",
        zip_of(stems.files), needs_sound=True, files=stems.files, cannot_say="-",
    ),
    Format(
        EVERYTHING, ".zip", "application/zip", "the map, and all of these but sound, in one file", "whatever opens zips",
        zip_of(_everything), cannot_say="sound: stems, clicks, sonification",
    ),
)  # fmt: skip

#: By name, in the order in which they are listed.
FORMATS: Final[dict[str, Format]] = {format.name: format for format in _ALL}


def format_named(name: str) -> Format:
    """Raises ExportFormatUnknown."""
    try:
        return FORMATS[name]
    except KeyError:
        raise ExportFormatUnknown(f"No export is called {name!r}", f"Choose of: {', '.join(FORMATS)}") from None

"""A song to be exported: its map, and where it has one, its folder with the sound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from schemas.song_folder import MAP_NAME
from schemas.song_map import SongMap, SongStem
from tasks.common.errors import ExportNeedsSound, SongMapInvalid, SongMapNotFound
from tasks.export.transposed import transposed


@dataclass(frozen=True, slots=True)
class Song:
    """map: the Song Map. folder: where its stems lie, below `stems/`; None where there is no sound, as for a map alone.

    mix: a file with the whole song, where one is at hand beside the stems. It has the decode's time: sample 0 is time 0 of the map.
    """

    map: SongMap
    folder: Path | None = None
    mix: Path | None = None

    def transposed(self, semitones: int) -> Song:
        """The same song with its chords, keys and notes moved; its sound is not."""
        return self if semitones == 0 else replace(self, map=transposed(self.map, semitones))

    def stem(self, name: SongStem) -> Path:
        """The file of a stem, in any format. `vocals` and `instrumental` add up to the mix. Raises ExportNeedsSound."""
        found = next((stem for stem in self.map.stems if stem.name == name), None)
        if found is None or found.path is None or self.folder is None:
            raise ExportNeedsSound(f"The song has no stem {name!r}")
        path = self.folder / found.path
        if PurePath(found.path).is_absolute() or ".." in PurePath(found.path).parts or not path.is_file():
            raise ExportNeedsSound(f"The stem {name!r} is not there any more")
        return path

    def sound(self) -> list[Path]:
        """The files that add up to the song: the mix itself, or the voice and the rest. Raises ExportNeedsSound."""
        return [self.mix] if self.mix is not None else [self.stem("vocals"), self.stem("instrumental")]

    @property
    def artist(self) -> str | None:
        return self.map.source.tags.artist

    @property
    def name(self) -> str:
        """Artist and title, as a file of the song is called before its ending."""
        return f"{self.artist} - {self.map.title}" if self.artist else self.map.title


def read_song(path: Path) -> Song:
    """A song of its folder, or of a Song Map in a file. Raises SongMapNotFound, SongMapInvalid."""
    file = path / MAP_NAME if path.is_dir() else path
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        what = f"{path} holds no {MAP_NAME}" if file != path else f"{path} does not exist"
        raise SongMapNotFound(what) from None
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        raise SongMapNotFound(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        found = SongMap.from_json(content)
    except ValueError as error:
        raise SongMapInvalid(f"{file} is no Song Map of this version", todo="`performia validate` lists what is wrong") from error
    return Song(found, file.parent)

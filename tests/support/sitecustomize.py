"""Puts the light engines in place in every Python process that has this folder on PYTHONPATH. See `light_engines`."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys

TARGETS = {
    "tasks.separation.separate": ["separate_song"],
    "tasks.asr.transcribe": ["transcribe_lyrics"],
    "tasks.beats_key.track_beats": ["track_beats_and_key"],
    "tasks.chords.recognize": ["recognize_chords"],
    "tasks.melody_bass.track_notes": ["track_melody", "track_bass"],
    "tasks.structure.detect": ["detect_structure"],
}


class Patching(importlib.abc.MetaPathFinder):
    """Replaces the engines of a module as soon as it has been imported: nothing is imported before it is needed."""

    def find_spec(self, name, path=None, target=None):
        if name not in TARGETS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            for function in TARGETS[name]:
                setattr(module, function, light(f"{name}.{function}"))

        spec.loader.exec_module = exec_module
        return spec


def light(target):
    def engine(*inputs):
        import light_engines

        return light_engines.logged(target, *inputs)

    return engine


sys.meta_path.insert(0, Patching())

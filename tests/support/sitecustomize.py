"""Puts the light engines in place in every Python process that has this folder on PYTHONPATH. See `light_engines`.

They need no torch, so there is none in such a process: its import takes as long as all else that a light run does. It counts as installed,
and the plan is the usual one. Nor is there a GPU but what the settings name: only torch would know.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
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
        if name == "torch":
            return importlib.machinery.ModuleSpec(name, Refusing())
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


class Refusing(importlib.abc.Loader):
    """Of a package that is there, and not to be imported."""

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        raise ImportError(f"a process with light engines has no {module.__name__}")


def light(target):
    def engine(*inputs):
        import light_engines

        return light_engines.logged(target, *inputs)

    return engine


os.environ.setdefault("PERFORMIA_DEVICE", "cpu")
sys.meta_path.insert(0, Patching())

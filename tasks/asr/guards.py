"""Dropping what was not sung: Whisper invents text in music, at the end of files, and where it gets stuck.

Pure functions from what was heard to words that can be trusted: sorted, disjoint, inside the song, each where a voice is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from schemas.results import TimeSpan
from tasks.asr.recognizer import MIN_AVG_LOGPROB, RecognizedSegment, RecognizedWord, is_loop, text_of
from tasks.asr.voice_activity import HOP_SEC, SPEECH_PROBABILITY, Frames

#: Captions of the videos that Whisper was trained on; as a whole phrase, none of them is a line of a song.
_CAPTIONS = re.compile(
    r"""^(
        (.{0,40}\ )?thank(s|\ you)(\ (so|very)\ much)?\ for\ (watching|viewing)(\W.{0,30})? |
        thank(s|\ you)(\ (so|very)\ much)?\ for\ listening | (this\ is\ )?the\ end\ of\ (the|this)\ video |
        (please\ )?(like\ and\ |like,?\ (comment\ )?and\ )?(don't\ forget\ to\ )?subscribe(\ to\ (my|our|the|this)\ channel)? |
        see\ you\ (in\ the\ )?next\ (video|time) |
        (sub|cap)(titles?|tions?|titled|tioned)\ (made\ |provided\ |created\ )?by\ .* | transcri(bed|ption)\ by\ .* | translated\ by\ .* |
        .*amara\.org.* | .*opensubtitles.* | (https?://|www\.)\S* | copyright\ .* |
        sous-titr(es|age).* | merci\ d'avoir\ regardé.* | abonnez-vous.* |
        untertitel(ung)?\ .* | vielen\ dank\ fürs?\ zuschauen.* | copyright\ wdr.* |
        subtítulos\ .* | gracias\ por\ ver.* | suscríbete.* | legendas?\ .* | sottotitoli\ .* | ondertitel(ing|d)\ .* |
        (upbeat\ |soft\ |dramatic\ |gentle\ )?(music(\ playing)?|applause|laughter|instrumental|singing|musique|musik|música)
    )$""",
    re.VERBOSE | re.IGNORECASE,
)
_BRACKETED = re.compile(r"^\s*[\[(♪*].*[\])♪*][.!?]?\s*$")

#: A word may lie this far from a voice: Whisper's word times are about 0.2 s off where a note is held.
VOICE_TOLERANCE_SEC = 0.4
#: A word that reaches over a pause longer than this belongs to one side of it.
PAUSE_SEC = 0.8
#: So many words in a row without any length mean that the alignment had run out of sound for them.
EMPTY_RUN = 3
MIN_WORD_SEC = 0.04
#: In a window that is a loop, a phrase said more often than this in a row is cut down to it.
MAX_REPEATS, MAX_PHRASE_WORDS = 4, 12
#: Above this, the model takes a window for one without speech (Radford et al. 2022, section 4.5).
MAX_NO_SPEECH = 0.6
#: A word that the model believes in less is not printed, unless the mean of its phrase reaches the second figure: in a sure phrase, right
#: words had 0.001 and 0.03. A longer word is never printed; the longest right one of three songs lasts 3.2 s.
MIN_PROBABILITY, SURE_PHRASE, MAX_WORD_SEC = 0.05, 0.5, 8.0
#: Mean probability that the words of a phrase must have, and those of all such phrases together, where most do not sound like speech.
#: Chosen on rendered instrumentals: on the half that it was chosen on, 0.7 leaves 7 of 41 words, 0.75 none.
MIN_UNSPOKEN_PROBABILITY = 0.8
#: Such a phrase also stays where the model doubts so little that somebody speaks, if the mean over all that it said there, loops included,
#: reaches the figure above. Shouted punk has 0.18 and 0.26; of instrumentals with such a mean, the lowest is 0.51.
MAX_VOICED_NO_SPEECH = 0.4
#: The voice activity detector may hear a word so much earlier or later.
SPEECH_TOLERANCE_SEC = 0.2


def trusted_phrases(
    segments: Iterable[RecognizedSegment], voice_activity: Sequence[TimeSpan], duration_sec: float, speech: Frames | None = None
) -> tuple[tuple[RecognizedWord, ...], ...]:
    """The words that were sung, still in the phrases they were heard in; phrases without such words are left out.

    speech: how much each frame of the voice sounds like speech, as of `speech_probabilities`; None where there is no voice alone.
    """
    phrases: list[list[RecognizedWord]] = []
    voiced: list[bool] = []
    for _, group in groupby(segments, key=lambda segment: segment.window):
        window = list(group)
        said = [segment for segment in window if not is_guess(segment) and not is_caption(text_of([segment]))]
        texts = [segment.words for segment in said]
        for segment, words in zip(said, without_repeats(texts) if is_loop(window) else texts, strict=True):
            sung = within_voice(without_empty_runs(words), voice_activity)
            phrases.append([word for word in sung if any(c.isalnum() for c in word.text)])
            voiced.append(is_voiced(segment))
    return likely_words(in_order(believed(phrases, voiced, speech), duration_sec))


def is_guess(segment: RecognizedSegment) -> bool:
    """Whether the model itself thinks that nobody speaks, and is not sure of the words either."""
    return segment.no_speech_prob > MAX_NO_SPEECH and segment.avg_logprob < MIN_AVG_LOGPROB


def is_voiced(segment: RecognizedSegment) -> bool:
    """Whether the model hears somebody, and is sure of the words."""
    return segment.no_speech_prob <= MAX_VOICED_NO_SPEECH and mean_probability([segment.words]) >= MIN_UNSPOKEN_PROBABILITY


def is_likely(word: RecognizedWord, phrase: Sequence[RecognizedWord]) -> bool:
    """Whether a word of a phrase is more than a name for a sound."""
    believed_in = word.probability >= MIN_PROBABILITY or mean_probability([phrase]) >= SURE_PHRASE
    return believed_in and word.end - word.start <= MAX_WORD_SEC


def likely_words(phrases: Iterable[Sequence[RecognizedWord]]) -> tuple[tuple[RecognizedWord, ...], ...]:
    """The phrases without their unlikely words; last of all, so that what is left of a guess is no better for it."""
    likely = (tuple(word for word in phrase if is_likely(word, phrase)) for phrase in phrases)
    return tuple(phrase for phrase in likely if phrase)


def believed(
    phrases: Sequence[Sequence[RecognizedWord]], voiced: Sequence[bool], speech: Frames | None
) -> tuple[Sequence[RecognizedWord], ...]:
    """The phrases that sound like speech, and of the others those that the model is sure of. voiced: as of `is_voiced`, one a phrase.

    A solo instrument or a wordless voice is as loud in the stem as a singer, and Whisper finds words for it. It believes in them less, and
    what tells speech from other sound hears none. Phrases without speech are judged one by one and all together: a solo is long, and among
    many guesses some are sure. A shouting voice is no speech to the detector either, but the model has no doubt that somebody is there.
    """
    heard = [is_voiced or _sounds_like_speech(phrase, speech) for phrase, is_voiced in zip(phrases, voiced, strict=True)]
    doubtful = [phrase for phrase, is_heard in zip(phrases, heard, strict=True) if not is_heard]
    all_doubtful = mean_probability(doubtful) < MIN_UNSPOKEN_PROBABILITY
    return tuple(
        phrase
        for phrase, is_heard in zip(phrases, heard, strict=True)
        if is_heard or not (all_doubtful or mean_probability([phrase]) < MIN_UNSPOKEN_PROBABILITY)
    )


def mean_probability(phrases: Sequence[Sequence[RecognizedWord]]) -> float:
    """Of all their words; 0 where there are none."""
    return float(np.mean([word.probability for phrase in phrases for word in phrase] or [0.0]))


def _sounds_like_speech(phrase: Sequence[RecognizedWord], speech: Frames | None) -> bool:
    """Whether most of its words do; all do where nothing is known."""
    return speech is None or not phrase or bool(np.mean([_is_spoken(word, speech) for word in phrase]) >= 0.5)


def _is_spoken(word: RecognizedWord, speech: Frames) -> bool:
    first, last = (int(time / HOP_SEC) for time in (word.start - SPEECH_TOLERANCE_SEC, word.end + SPEECH_TOLERANCE_SEC))
    return bool(speech[max(0, first) : last + 1].max(initial=0.0) >= SPEECH_PROBABILITY)


def is_caption(text: str) -> bool:
    """Whether a phrase is a video's caption ("Thanks for watching!") or a description of sound ("[Music]")."""
    return bool(_BRACKETED.match(text)) or bool(_CAPTIONS.match(text.strip(" .!?♪-\"'")))


def without_repeats(phrases: Sequence[tuple[RecognizedWord, ...]]) -> list[tuple[RecognizedWord, ...]]:
    """The phrases, with anything said more than `MAX_REPEATS` times in a row cut down to that."""
    words = [(plain(word.text), number, word) for number, phrase in enumerate(phrases) for word in phrase]
    texts = [text for text, _, _ in words]
    dropped: set[int] = set()
    index = 0
    while index < len(texts):
        length, repeats = _longest_repeat(texts, index)
        if repeats > MAX_REPEATS:
            dropped.update(range(index + MAX_REPEATS * length, index + repeats * length))
            index += repeats * length
        else:
            index += 1
    kept = [(number, word) for position, (_, number, word) in enumerate(words) if position not in dropped]
    return [tuple(word for number, word in kept if number == phrase) for phrase in range(len(phrases))]


def _longest_repeat(texts: Sequence[str], start: int) -> tuple[int, int]:
    """(words of the phrase, times it is said in a row from `start`) of the repeat that covers most words."""
    best = (1, 1)
    for length in range(1, MAX_PHRASE_WORDS + 1):
        phrase = texts[start : start + length]
        repeats = 1
        while texts[start + repeats * length : start + (repeats + 1) * length] == phrase:
            repeats += 1
        if repeats > 1 and repeats * length > best[0] * best[1]:
            best = (length, repeats)
    return best


def without_empty_runs(words: Sequence[RecognizedWord]) -> list[RecognizedWord]:
    """The words without runs of words that take no time."""
    kept: list[RecognizedWord] = []
    for empty, group in groupby(words, key=lambda word: word.end - word.start < MIN_WORD_SEC / 2):
        run = list(group)
        if not (empty and len(run) >= EMPTY_RUN):
            kept += run
    return kept


def within_voice(words: Iterable[RecognizedWord], voice_activity: Sequence[TimeSpan]) -> list[RecognizedWord]:
    """The words that lie where a voice is; those that reach over a pause are cut to the side with more of them."""
    kept = []
    for word in words:
        near = [
            span
            for span in voice_activity
            if span.start - VOICE_TOLERANCE_SEC < max(word.end, word.start + MIN_WORD_SEC) and word.start < span.end + VOICE_TOLERANCE_SEC
        ]
        if not near:
            continue
        start, end = _most_of(word, _joined(near))
        cut_start = max(word.start, start - VOICE_TOLERANCE_SEC)
        kept.append(replace(word, start=cut_start, end=max(cut_start, min(word.end, end + VOICE_TOLERANCE_SEC))))
    return kept


def _joined(spans: Sequence[TimeSpan]) -> list[tuple[float, float]]:
    """(start, end) of the spans, with short pauses bridged."""
    joined: list[tuple[float, float]] = []
    for span in spans:
        if joined and span.start - joined[-1][1] <= PAUSE_SEC:
            joined[-1] = (joined[-1][0], span.end)
        else:
            joined.append((span.start, span.end))
    return joined


def _most_of(word: RecognizedWord, spans: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The span that holds most of the word."""
    return max(spans, key=lambda span: min(span[1], word.end) - max(span[0], word.start))


def in_order(phrases: Iterable[Sequence[RecognizedWord]], duration_sec: float) -> tuple[tuple[RecognizedWord, ...], ...]:
    """The words with times that rise, do not overlap and end with the song; a word without room is left out, empty phrases too."""
    ordered: list[tuple[RecognizedWord, ...]] = []
    reached = 0.0
    for phrase in phrases:
        kept: list[RecognizedWord] = []
        for word in phrase:
            start = max(word.start, reached)
            end = min(max(word.end, start + MIN_WORD_SEC), duration_sec)
            if word.end < reached - PAUSE_SEC or end - start < MIN_WORD_SEC / 2:
                continue
            kept.append(replace(word, start=start, end=end))
            reached = end
        if kept:
            ordered.append(tuple(kept))
    return tuple(ordered)


def plain(text: str) -> str:
    """A word as it is compared: lower case, letters and digits only."""
    return "".join(c for c in text.lower() if c.isalnum())

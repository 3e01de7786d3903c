"""Finds speech and cuts it to the lengths an engine takes; packs the pieces into windows.

Owns voice activity, merging, cutting and packing; leaves decoding to ``decode`` and words to the engines. Every
decision is taken per 20 ms frame, so the spans do not depend on the blocks in which samples arrive, and only as much
sound is kept as an undecided span needs: about two of the longest pieces.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dashscribe.decode import encode_flac
from dashscribe.noise import check_threshold
from dashscribe.types import SAMPLES_PER_MS, Limits, Span, Waveform, Window, total_ms
from dashscribe.voice import Voice, open_voice

#: Length of one decision; webrtcvad takes 10, 20 or 30 ms.
FRAME_MS = 20
BYTES_PER_MS = 2 * SAMPLES_PER_MS
FRAME_SAMPLES = FRAME_MS * SAMPLES_PER_MS
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
#: Frames over which the detector's flags are counted, and how many of them open a run and keep it going: webrtcvad
#: stretches a click to five or six frames, the shortest word to more; inside speech less is enough.
WINDOW_FRAMES = 10
OPENING_FRAMES = 7
KEEPING_FRAMES = 3
#: Silence that ends a run of speech. Shorter pauses stay inside: the language model wants whole phrases. As long as the
#: pause that ends a sentence: no sentence goes on from one run to the next.
HANGOVER_MS = 700
#: Sound kept before and after a run, for soft onsets and releases that the detector misses.
PAD_MS = 300
#: webrtcvad takes up to 120 ms of any steady noise at the very beginning for voice (measured at -84 to -30 dB of full
#: scale), until its model of the noise has formed: too early to say, and covered by the padding of what follows.
WARM_UP_MS = 160
#: How far back of the newest frame a run may still turn out to have begun.
LOOKBACK_MS = WINDOW_FRAMES * FRAME_MS + PAD_MS
#: Width of the triangle that smooths levels in search of a pause, an odd count: longer and quieter pauses both win.
PAUSE_FRAMES = 25
#: A window is closed once it holds this much speech, and never holds more than the cap.
WINDOW_MS = 30_000
WINDOW_CAP_MS = 60_000


class VoiceDetector:
    """Turns frames into runs of voice: ``push`` says after each frame whether a run is open.

    ``begin_ms`` is where the open run began, ``voiced_ms`` the end of its last voiced frame. A run opens when enough
    of the last ``WINDOW_FRAMES`` frames are voiced, and ends after ``HANGOVER_MS`` without.
    """

    def __init__(self, begin_ms: int, noise_threshold: float, voice: Voice) -> None:
        self._is_voiced = voice
        self._opening = round(float(np.interp(noise_threshold, (-1, 0, 1), (1, OPENING_FRAMES, WINDOW_FRAMES))))
        self._keeping = round(float(np.interp(noise_threshold, (-1, 0, 1), (1, KEEPING_FRAMES, WINDOW_FRAMES))))
        self._flags: deque[bool] = deque(maxlen=WINDOW_FRAMES)
        self._warm_ms = begin_ms + WARM_UP_MS
        self.now_ms = begin_ms
        self.begin_ms = begin_ms
        self.voiced_ms = begin_ms
        self.open = False

    def push(self, frame: bytes) -> bool:
        """Take the next frame; whether a run is open after it."""
        voiced = self._is_voiced(frame) and self.now_ms >= self._warm_ms
        self._flags.append(voiced)
        self.now_ms += FRAME_MS
        if sum(self._flags) >= (self._keeping if self.open else self._opening):
            if not self.open:
                self.open = True
                self.begin_ms = self.now_ms - FRAME_MS * (len(self._flags) - self._flags.index(True))
                self.voiced_ms = self.now_ms
            elif voiced:
                self.voiced_ms = self.now_ms
        elif self.now_ms - self.voiced_ms >= HANGOVER_MS:
            self.open = False
        return self.open


class SpanPlanner:
    """Groups runs of speech into spans within the limits; knows times only, samples and levels stay with the caller.

    ``best_cut(begin, end)`` names the best place for a cut inside a stretch. Of what was planned so far, ``_held`` is
    complete but may yet take in a short follower, ``_short`` waits for its nearer neighbor, ``_open`` still grows.
    Every method returns the spans that became final, in order.
    """

    def __init__(self, limits: Limits, begin_ms: int, best_cut: Callable[[int, int], int]) -> None:
        self._max_ms, self._min_ms = limits.max_piece_ms, limits.min_piece_ms
        if self._max_ms < 2 * self._min_ms or self._max_ms <= 0:
            raise ValueError(
                f"{limits}: max_piece_ms must be at least twice min_piece_ms, or cut pieces come out short"
            )
        self._best_cut = best_cut
        self._done_ms = begin_ms
        self._held: Span | None = None
        self._short: Span | None = None
        self._open: int | None = None

    @property
    def needed_ms(self) -> int:
        """The earliest time that may still become part of a span, as far as planned stretches go."""
        begins = [span.begin_ms for span in (self._held, self._short) if span]
        if self._open is not None:
            begins.append(self._open)
        return min(begins, default=2**62)

    def begin(self, at_ms: int) -> list[Span]:
        """A run begins: a waiting short one joins it if that is the nearer neighbor."""
        final: list[Span] = []
        self._open = max(at_ms, self._end_ms())
        short = self._short
        if short is not None:
            gap_ms = self._open - short.end_ms
            if gap_ms <= self._min_ms and gap_ms < self._gap_before(short):
                self._open, self._short = short.begin_ms, None
            else:
                final = self._settle(self._open)
        return final

    def grow(self, to_ms: int) -> list[Span]:
        """The open run lasts to ``to_ms`` at least: cut it as soon as what remains is long enough to stand alone."""
        assert self._open is not None
        if to_ms - self._open < self._min_ms:
            return []
        final = self._release()
        while to_ms - self._open > self._max_ms + self._min_ms:
            cut_ms = self._cut(Span(self._open, to_ms))
            final.append(Span(self._open, cut_ms))
            self._done_ms = self._open = cut_ms
        return final

    def end(self, at_ms: int) -> list[Span]:
        """The open run ends."""
        assert self._open is not None
        stretch, self._open = Span(self._open, at_ms), None
        if stretch.duration_ms < self._min_ms:
            self._short = stretch
            return []
        return self._hold(self._release(), stretch)

    def quiet(self, until_ms: int) -> list[Span]:
        """No run is open and none can begin before ``until_ms``: what has no near neighbor is settled."""
        if self._short is not None and until_ms - self._short.end_ms > self._min_ms:
            return self._settle(until_ms)
        if self._short is None and self._held is not None and until_ms - self._held.end_ms > self._min_ms:
            return self._release()
        return []

    def finish(self, end_ms: int) -> list[Span]:
        """The sound ends at ``end_ms``."""
        return [*(self._settle(end_ms) if self._short is not None else []), *self._release()]

    def _end_ms(self) -> int:
        """End of the last stretch that is planned or final."""
        last = self._short or self._held
        return last.end_ms if last else self._done_ms

    def _gap_before(self, short: Span) -> int:
        return short.begin_ms - self._held.end_ms if self._held else 2**62

    def _release(self) -> list[Span]:
        """Make the held span final."""
        if self._held is None:
            return []
        span, self._held = self._held, None
        self._done_ms = span.end_ms
        return [span]

    def _hold(self, final: list[Span], stretch: Span) -> list[Span]:
        """Hold ``stretch``, cut where it is too long; its earlier pieces are final."""
        while stretch.duration_ms > self._max_ms:
            cut_ms = self._cut(stretch)
            final.append(Span(stretch.begin_ms, cut_ms))
            stretch = Span(cut_ms, stretch.end_ms)
        self._held = stretch
        return final

    def _settle(self, free_ms: int) -> list[Span]:
        """Join the short span to the held one if that is near, else widen it by the sound around, up to ``free_ms``."""
        assert self._short is not None
        short, self._short = self._short, None
        if self._held is not None and self._gap_before(short) <= self._min_ms:
            return self._hold([], Span(self._held.begin_ms, short.end_ms))
        final = self._release()
        room_before, room_after = short.begin_ms - self._done_ms, free_ms - short.end_ms
        lacking = self._min_ms - short.duration_ms
        before = min(max(lacking // 2, lacking - room_after), room_before)
        after = min(lacking - before, room_after)
        self._held = Span(short.begin_ms - before, short.end_ms + after)
        return final

    def _cut(self, stretch: Span) -> int:
        """Where to cut: in the later half of what is allowed, leaving at least the shortest piece on both sides."""
        first = stretch.begin_ms + max(self._max_ms // 2, self._min_ms)
        last = min(stretch.begin_ms + self._max_ms, stretch.end_ms - self._min_ms)
        return self._best_cut(first, last)


class Segmenter:
    """Finds the speech of one channel while its samples stream by.

    Spans come in order, disjoint and inside what was fed; none is longer than ``limits.max_piece_ms``. One shorter than
    ``limits.min_piece_ms`` is joined with the nearer neighbor, over the true sound between, if that is no further
    away than the shortest piece is long; else it is widened by the sound around it. A stretch that is too long is
    cut in its best pause, and the pieces abut.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        begin_ms: int = 0,
        noise_threshold: float | None = None,
        detector: Path | None = None,
    ) -> None:
        """``noise_threshold`` -1 hears speech in almost anything, 1 only in what is clearly voice; None is 0.

        ``detector`` is the file of an installed model for voice activity; None takes the embedded one.
        """
        threshold = check_threshold(noise_threshold)
        self._voice = VoiceDetector(begin_ms, threshold, open_voice(detector, threshold))
        self._planner = SpanPlanner(limits, begin_ms, self._best_cut)
        self._keep_ms = limits.min_piece_ms
        self._sound = bytearray()  # samples as bytes, from _begin_ms on; cheap to extend behind and to cut in front
        self._begin_ms = begin_ms

    def feed(self, samples: NDArray[np.int16]) -> list[Waveform]:
        """Take the next samples, shape (n,), any n; the pieces of speech that are final, with their sound."""
        self._sound += samples.tobytes()
        pieces: list[Waveform] = []
        while len(self._sound) >= (at := self._offset(self._voice.now_ms)) + FRAME_BYTES:
            spans = self._step(bytes(self._sound[at : at + FRAME_BYTES]))
            pieces += [self._piece(span) for span in spans]
        self._forget()
        return pieces

    def finish(self) -> list[Waveform]:
        """The sound has ended: the remaining pieces. A last part of a frame has no say, but may be inside a piece."""
        end_ms = self._begin_ms + len(self._sound) // BYTES_PER_MS
        spans: list[Span] = []
        if self._voice.open:
            spans = self._planner.end(min(self._voice.voiced_ms + PAD_MS, end_ms))
        spans += self._planner.finish(end_ms)
        return [self._piece(span) for span in spans]

    def _step(self, frame: bytes) -> list[Span]:
        """Decide on one frame."""
        voice, planner = self._voice, self._planner
        was_open = voice.open
        if voice.push(frame):
            begun = [] if was_open else planner.begin(voice.begin_ms - PAD_MS)
            return begun + planner.grow(voice.voiced_ms)
        if was_open:
            return planner.end(voice.voiced_ms + PAD_MS)
        return planner.quiet(voice.now_ms - LOOKBACK_MS)

    def _best_cut(self, first_ms: int, last_ms: int) -> int:
        """The time in [first_ms, last_ms] in the longest, quietest pause; the quietest frame where there is none."""
        levels = _levels_db(self._between(first_ms, max(last_ms, first_ms + FRAME_MS)))
        padded = np.pad(levels, PAUSE_FRAMES // 2, mode="edge")
        smoothed = np.convolve(padded, np.bartlett(PAUSE_FRAMES + 2)[1:-1], mode="valid")
        middle = int(np.argmin(smoothed))
        lowest = max(0, middle - PAUSE_FRAMES // 4)
        frame = lowest + int(np.argmin(levels[lowest : middle + PAUSE_FRAMES // 4 + 1]))
        return min(first_ms + frame * FRAME_MS + FRAME_MS // 2, last_ms)

    def _offset(self, at_ms: int) -> int:
        return (at_ms - self._begin_ms) * BYTES_PER_MS

    def _between(self, begin_ms: int, end_ms: int) -> NDArray[np.int16]:
        """A copy of the samples of a stretch that is still kept."""
        return np.frombuffer(bytes(self._sound[self._offset(begin_ms) : self._offset(end_ms)]), np.int16)

    def _piece(self, span: Span) -> Waveform:
        return Waveform(self._between(span.begin_ms, span.end_ms), span.begin_ms)

    def _forget(self) -> None:
        """Drop sound that no span can reach any more."""
        needed_ms = min(self._planner.needed_ms, self._voice.now_ms - LOOKBACK_MS) - self._keep_ms
        if needed_ms > self._begin_ms:
            del self._sound[: self._offset(needed_ms)]
            self._begin_ms = needed_ms


class Packer:
    """Collects the pieces of one channel into windows of about 30 s of speech, numbered from 0.

    ``packed`` compresses their sound, which costs as much time as the detector and pays where it is stored.
    """

    def __init__(self, channel: int, *, packed: bool = True) -> None:
        self._channel = channel
        self._packed = packed
        self._index = 0
        self._pieces: list[Waveform] = []

    def add(self, piece: Waveform) -> Window | None:
        """Take the next piece; a window, if one is full."""
        held_ms = total_ms(p.span for p in self._pieces)
        window = self.finish() if self._pieces and held_ms + piece.span.duration_ms > WINDOW_CAP_MS else None
        self._pieces.append(piece)
        if window is None and held_ms + piece.span.duration_ms >= WINDOW_MS:
            window = self.finish()
        return window

    def finish(self) -> Window | None:
        """What is left, as a window; None if nothing is."""
        if not self._pieces:
            return None
        samples = np.concatenate([piece.samples for piece in self._pieces])
        audio = encode_flac(samples) if self._packed else samples.tobytes()
        window = Window(self._channel, self._index, tuple(p.span for p in self._pieces), audio, self._packed)
        self._pieces, self._index = [], self._index + 1
        return window


def _levels_db(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Mean power of each whole frame of ``samples``, shape (n,), in dB over one int16 step."""
    whole = len(samples) // FRAME_SAMPLES
    frames = samples[: whole * FRAME_SAMPLES].reshape(whole, FRAME_SAMPLES).astype(np.float64)
    return 10 * np.log10(np.square(frames).mean(axis=1) + 1)

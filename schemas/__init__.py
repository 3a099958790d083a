"""The contracts of Performia: the typed results of every step and the Song Map they are joined into.

Conventions, everywhere: times are float seconds from sample 0 of the decoded audio; pitches are MIDI note numbers (float where bent);
confidences lie in [0, 1]; chord labels are Harte syntax with a display form beside them.
"""

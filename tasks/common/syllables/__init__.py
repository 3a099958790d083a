"""The syllables of sung words: where a word is divided (`division`, `nuclei`), and when each part is sung (`timing`)."""

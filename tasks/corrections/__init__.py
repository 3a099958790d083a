"""What persons put right in Song Maps, and how it is applied again. It is no step: the steps and the packager read it."""

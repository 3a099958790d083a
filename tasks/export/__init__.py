"""A Song Map as files for the programs that people use: pure writers, one module a format. `formats.FORMATS` lists them."""

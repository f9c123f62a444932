"""Running a Session again: its journal, kept with its Recording, is what `livereactor replay` does again."""

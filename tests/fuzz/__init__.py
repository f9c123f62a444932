"""Fuzzers of every parser of outside bytes, with a kept corpus.

`make fuzz` runs each for a minute and continues from the corpus. An input that reaches new code is added to
`corpus/NAME/`, smallest first and up to a bound; one that breaks a promise is written there as `crash-…`, and fails
`make test` until it is mended: `test_kept_corpus.py` reads every file of the corpus once. `FUZZ="link body"` and
`FUZZ_SECONDS=600` choose.

The fuzzer is Atheris (libFuzzer): it sees which branches an input takes, and so gets through formats in a minute that
blind mutation (`tests/property/protocol/test_hostile_input.py`) does not get through in an hour; a corpus is a folder
of plain files, merged by libFuzzer itself; and it ends on a regular expression or a C extension that hangs or grows,
which no thread of Python can. It has wheels for Python 3.11 to 3.13 on x86-64 Linux. HypoFuzz keeps its examples in a
form that only the same version of a test can read, and serves a dashboard instead of a minute in a Makefile.

A target is one function in `readers/`, from bytes to what was read. `promises.py` says what holds for all of them.
"""

"""The `livereactor` command: one file per command group. stdout carries results, stderr the rest."""

"""The commands of `livereactor`: one module each, registered by `livereactor.cli.main`."""

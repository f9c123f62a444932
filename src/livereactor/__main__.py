"""`python -m livereactor`: the same as the `livereactor` command, for where the command is not on the path."""

from livereactor.cli.main import main

if __name__ == "__main__":
    main()

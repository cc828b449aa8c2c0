"""`python -m dcsim`: the command line, for where no `dcsim` command is on the path."""

from dcsim.cli import main

if __name__ == "__main__":
    main()

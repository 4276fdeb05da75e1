"""`python -m nevus`: the command, for where the script `nevus` is not on the path."""

from nevus.cli import main

if __name__ == "__main__":
    main()

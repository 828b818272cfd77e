"""`python -m edgeroute`: the command line."""

from edgeroute.cli import main

if __name__ == "__main__":
    main()

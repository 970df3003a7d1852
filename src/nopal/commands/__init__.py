"""Groups of commands of the command line, see cli.py."""

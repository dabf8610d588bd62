"""What the command line does, a file per command, and a few that they share. May use: everything below it."""

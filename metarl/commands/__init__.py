"""What the command line does, a file a command. May use: everything below it."""

"""Commands: a program is started with arguments, and none of them becomes a script."""

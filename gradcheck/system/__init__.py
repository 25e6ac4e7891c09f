"""The operating system: folders, files, signals, and processes that end with this one."""

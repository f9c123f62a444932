"""One session of a model: its members, their peers and channels, its commands, files and end."""

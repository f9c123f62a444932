"""What every HTTP server of ours has in common: the guard before its routes, its error answers, who asks from where."""
